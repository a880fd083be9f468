"""Labels by one person: moments, first-order correction, bounds (chapters 6, 7 and 12)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
