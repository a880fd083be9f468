"""Digests that tie stored outputs to the code, data and claims that made them.

Comments, docstrings and layout do not count: Python is compared as a syntax tree.
"""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path

import yaml
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

ROOT = Path(__file__).parent.parent


def _short(text: str | bytes) -> str:
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()[:12]


def normal_form(source: str) -> str:
    """Python source without comments, docstrings and layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def chapter_digest(nb: NotebookNode) -> str:
    """Digest of a chapter's own code."""
    to_python = TransformerManager().transform_cell
    cells = [normal_form(to_python(c.source)) for c in nb.cells if c.cell_type == "code"]
    return _short("\0".join(cells))


def module_digest(name: str, root: Path = ROOT) -> str:
    """Digest of a module of hetlib and of the packaged data files that it names.

    Args:
        name: Dotted name, such as ``hetlib.borda.counts``.
        root: Folder that holds the package.

    Returns:
        Twelve hexadecimal digits, or ``"missing"``.
    """
    base = root / Path(*name.split("."))
    file = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    if not file.is_file():
        return "missing"
    source = file.read_text()
    data = sorted(p for p in (root / "hetlib" / "data").glob("*") if p.name in source)
    return _short(normal_form(source) + "".join(_short(p.read_bytes()) for p in data))


def claims_digest(chapter: str, root: Path = ROOT) -> str:
    """Digest of what the rows of ``claims.yml`` ask of a chapter."""
    rows = yaml.safe_load((root / "book" / "claims.yml").read_text())
    asked = [
        {key: row.get(key) for key in ("id", "paper", "tolerance", "format", "needs")}
        for row in rows
        if row["chapter"] == chapter
    ]
    return _short(repr(asked))


def results_digest(nb: NotebookNode, root: Path = ROOT) -> str:
    """Digest of the stored results and parameter files that a chapter names."""
    code = "\n".join(c.source for c in nb.cells if c.cell_type == "code")
    files = [p for folder in ("results", "params") for p in sorted((root / folder).glob("*"))]
    return _short("".join(_short(p.read_bytes()) for p in files if p.name in code))


def provenance(nb: NotebookNode, chapter: str, modules: list[str]) -> dict[str, object]:
    """All digests of one chapter.

    Args:
        nb: The chapter.
        chapter: Its name, such as ``03-borda``.
        modules: The modules of hetlib that its kernel had loaded at the end.

    Returns:
        What a run stores in the notebook's metadata.
    """
    return {
        "chapter": chapter_digest(nb),
        "claims": claims_digest(chapter),
        "results": results_digest(nb),
        "hetlib": {name: module_digest(name) for name in sorted(modules)},
    }


def stale(stored: NotebookNode, chapter: NotebookNode, name: str) -> list[str]:
    """Why the stored outputs of a chapter are not those of its present code.

    Args:
        stored: The notebook with outputs.
        chapter: The chapter as it is now.
        name: The chapter's name.

    Returns:
        What changed since the run; empty if the outputs are fresh.
    """
    then = stored.metadata.get("provenance")
    if not then:
        return ["never run"]
    now = provenance(chapter, name, list(then["hetlib"]))
    parts = [part for part in ("chapter", "claims", "results") if now[part] != then.get(part)]
    modules = now["hetlib"]
    assert isinstance(modules, dict)
    return parts + [m for m, d in modules.items() if d != then["hetlib"][m]]
