"""Methods of the comparison: from labels to a policy, each with what it must know."""

from hetlib.extras import lazily

__getattr__, __dir__, __all__ = lazily(__name__, __file__)
