"""Labels by one person: moments, first-order correction, bounds (chapters 6, 7 and 12)."""

from hetlib.extras import lazily

__getattr__, __dir__, __all__ = lazily(__name__, __file__)
