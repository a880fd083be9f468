"""Digests that tie stored outputs to the code, data and claims that made them.

Comments, docstrings, layout and the texts of ``raise`` do not count: Python is compared as a
syntax tree (:mod:`hetlib.provenance`).
"""

from __future__ import annotations

from pathlib import Path

import yaml
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

from hetlib.provenance import Sources, normal_form, short

ROOT = Path(__file__).parent.parent


def python_cells(nb: NotebookNode) -> list[str]:
    """The code cells of a notebook as Python: magics are calls."""
    to_python = TransformerManager().transform_cell
    return [to_python(c.source) for c in nb.cells if c.cell_type == "code"]


def chapter_digest(nb: NotebookNode) -> str:
    """Digest of a chapter's own code."""
    return short("\0".join(map(normal_form, python_cells(nb))))


def claims_digest(chapter: str, root: Path = ROOT) -> str:
    """Digest of what the rows of ``claims.yml`` ask of a chapter."""
    rows = yaml.safe_load((root / "book" / "claims.yml").read_text("utf-8"))
    asked = [
        {key: row.get(key) for key in ("id", "paper", "tolerance", "format", "needs")}
        for row in rows
        if row["chapter"] == chapter
    ]
    return short(repr(asked))


def results_digest(nb: NotebookNode, root: Path = ROOT) -> str:
    """Digest of the stored results and parameter files that a chapter names."""
    code = "\n".join(c.source for c in nb.cells if c.cell_type == "code")
    found = [p for folder in ("results", "params") for p in sorted((root / folder).glob("*"))]
    return short("".join(short(p.read_bytes()) for p in found if p.is_file() and p.name in code))


def provenance(nb: NotebookNode, chapter: str, sources: Sources | None = None) -> dict[str, object]:
    """All digests of one chapter.

    Args:
        nb: The chapter.
        chapter: Its name, such as ``03-borda``.
        sources: The files of hetlib; those that are here if None.

    Returns:
        What a run stores in the notebook's metadata.
    """
    sources = sources or Sources()
    return {
        "chapter": chapter_digest(nb),
        "claims": claims_digest(chapter),
        "results": results_digest(nb),
        "hetlib": sources.digests(code="\n".join(python_cells(nb))),
    }


def stale(
    stored: NotebookNode, chapter: NotebookNode, name: str, sources: Sources | None = None
) -> list[str]:
    """Why the stored outputs of a chapter are not those of its present code.

    Args:
        stored: The notebook with outputs.
        chapter: The chapter as it is now.
        name: The chapter's name.
        sources: The files of hetlib; those that are here if None.

    Returns:
        What changed since the run; empty if the outputs are fresh.
    """
    then = stored.metadata.get("provenance")
    if not then:
        return ["never run"]
    now = provenance(chapter, name, sources)
    parts = [part for part in ("chapter", "claims", "results") if now[part] != then.get(part)]
    old, new = then.get("hetlib") or {}, now["hetlib"]
    assert isinstance(new, dict)
    return parts + sorted(m for m in {*old, *new} if old.get(m) != new.get(m))
