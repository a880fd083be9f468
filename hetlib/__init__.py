"""Alignment with heterogeneous preferences: the library of the book.

Modules are loaded on first use, so ``import hetlib`` is quick and needs neither torch
nor transformers. The names are listed in ``__init__.pyi``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
