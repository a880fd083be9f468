"""What hetlib can do without: modules loaded on first use, packages named when missing."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

#: The extra of ``pyproject.toml`` that brings a package, if not ``book``.
_LLM = ("accelerate", "datasets", "gguf", "peft", "psutil", "safetensors", "tokenizers")
EXTRAS = dict.fromkeys((*_LLM, "transformers"), "llm") | {"torch": "torch"}
#: What people call a package, where Python calls it otherwise.
_CALLED = {"torch": "PyTorch", "yaml": "PyYAML"}


def require(*packages: str) -> None:
    """Say before an import which packages it needs beyond NumPy and SciPy.

    Raises:
        ImportError: one is missing; the message names the extra that brings it.
    """
    for package in packages:
        if find_spec(package) is None:
            extra = EXTRAS.get(package, "book")
            raise ImportError(
                f"this part of hetlib needs {_CALLED.get(package, package)}: "
                f"pip install 'hetlib[{extra}]'",
                name=package,
            )


def lazily(name: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """The ``__getattr__``, ``__dir__`` and ``__all__`` of a package that loads on first use.

    Its names are those that the stub beside it imports, so there is one list for Python and
    for type checkers.

    Args:
        name: The package's ``__name__``.
        file: The package's ``__file__``.
    """
    stub = ast.parse(Path(file).with_suffix(".pyi").read_text("utf-8"))
    homes = {
        alias.name: node.module
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    def load(attribute: str) -> Any:
        if attribute not in homes:
            raise AttributeError(f"module {name!r} has no attribute {attribute!r}")
        if (home := homes[attribute]) is None:
            return importlib.import_module(f"{name}.{attribute}")
        source = importlib.import_module(f"{name}.{home}")
        if not hasattr(source, attribute):  # a module of a package that loads nothing by itself
            importlib.import_module(f"{name}.{home}.{attribute}")
        value = getattr(source, attribute)
        setattr(importlib.import_module(name), attribute, value)
        return value

    return load, lambda: sorted(homes), sorted(homes)
