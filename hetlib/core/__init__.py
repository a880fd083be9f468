"""Types of people, their labels, policies, and the one solver (chapters 1 and 2)."""

from hetlib.extras import lazily

__getattr__, __dir__, __all__ = lazily(__name__, __file__)
