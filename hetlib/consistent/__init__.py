"""Losses for labels of every type, and their expectations (chapters 8 and 11)."""

from hetlib.extras import lazily

__getattr__, __dir__, __all__ = lazily(__name__, __file__)
