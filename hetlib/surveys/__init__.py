"""Surveys: who chose what, read from files or packaged tables, and rewards from shares."""

from hetlib.extras import lazily

__getattr__, __dir__, __all__ = lazily(__name__, __file__)
