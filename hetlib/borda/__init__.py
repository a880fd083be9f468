"""Borda counts, exact optima, and how they turn with sampling (chapters 3 and 4)."""

from hetlib.extras import lazily

__getattr__, __dir__, __all__ = lazily(__name__, __file__)
