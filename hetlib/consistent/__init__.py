"""Losses for labels of every type, and their expectations (chapters 8 and 11)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
