"""Known people: tables of labels, repeated answers, what differs between people, one pass."""

from hetlib.extras import lazily

__getattr__, __dir__, __all__ = lazily(__name__, __file__)
