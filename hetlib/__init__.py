"""Alignment with heterogeneous preferences: the library of the book.

Modules are loaded on first use, so ``import hetlib`` is quick. It needs NumPy and SciPy;
what else a part needs is named when it is missing. The names are listed in ``__init__.pyi``.
"""

from typing import Any

from hetlib.extras import lazily

_load, __dir__, __all__ = lazily(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name != "__version__":
        return _load(name)
    from importlib.metadata import version

    return version("hetlib")
