"""Borda counts, exact optima, and how they turn with sampling (chapters 3 and 4)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
