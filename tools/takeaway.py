"""Sphinx extension: each chapter as a notebook and as a script, and how long it takes to read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jupytext
from docutils import nodes
from sphinx.application import Sphinx
from tidy import read_notebook

from hetlib import store

WORDS_A_MINUTE = 200


def minutes(doctree: nodes.document) -> int:
    """Reading time of the paragraphs that are not folded, in whole minutes."""
    words = 0
    for paragraph in doctree.findall(nodes.paragraph):
        parents: list[str] = []
        node = paragraph.parent
        while node is not None:
            parents += node.get("classes", []) if isinstance(node, nodes.Element) else []
            node = node.parent
        if "dropdown" not in parents and "cell" not in parents:
            words += len(paragraph.astext().split())
    return max(1, round(words / WORDS_A_MINUTE))


def line(app: Sphinx, doctree: nodes.document) -> None:
    """Put the line under a chapter's title."""
    folder, _, name = str(app.env.docname).rpartition("/")
    if folder != "notebooks":
        return
    title = next(iter(doctree.findall(nodes.title)), None)
    if title is None:
        return
    text = (
        f'<p class="takeaway">{minutes(doctree)} minutes to read · this chapter as a '
        f'<a href="{name}.ipynb" download>notebook with outputs</a>, as a '
        f'<a href="{name}.py" download>script</a></p>'
    )
    title.parent.insert(title.parent.index(title) + 1, nodes.raw("", text, format="html"))


def files(app: Sphinx, error: Exception | None) -> None:
    """Write notebooks and scripts beside the pages."""
    folder = Path(app.outdir) / "notebooks"
    if error or app.builder.format != "html" or not folder.is_dir():
        return
    for path in sorted((Path(app.srcdir) / "notebooks").glob("*.ipynb")):
        if f"notebooks/{path.stem}" in app.env.found_docs:
            store.write(folder / path.name, path.read_bytes())
            script = jupytext.writes(read_notebook(path), fmt="py:percent")
            store.write(folder / f"{path.stem}.py", script)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the hooks."""
    app.connect("doctree-read", line)
    app.connect("build-finished", files)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
