"""The synthetic ring (chapter 9)."""

from hetlib.extras import lazily

__getattr__, __dir__, __all__ = lazily(__name__, __file__)
