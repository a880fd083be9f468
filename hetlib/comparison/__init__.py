"""Every method on the labels of one world (chapter 14)."""

from hetlib.extras import lazily

__getattr__, __dir__, __all__ = lazily(__name__, __file__)
