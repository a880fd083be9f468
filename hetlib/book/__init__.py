"""What chapters need besides their subject: claims, figures, text, progress, profiles."""

from hetlib.extras import lazily

__getattr__, __dir__, __all__ = lazily(__name__, __file__)
