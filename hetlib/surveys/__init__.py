"""Surveys: who chose what, read from files or packaged tables, and rewards from shares."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
