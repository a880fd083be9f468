"""Make a notebook a pure function of its chapter and its outputs.

Timings, versions, random cell ids and overwritten progress bars go, so a diff
shows only what changed and a second run changes no byte.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode


def as_terminal(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join the pieces of each stream and drop what a carriage return erased."""
    joined: list[NotebookNode] = []
    for out in outputs:
        last = joined[-1] if joined else None
        if last and out.output_type == last.output_type == "stream" and out.name == last.name:
            last.text += out.text
        else:
            joined.append(out)
    for out in joined:
        if out.output_type == "stream":
            out.text = re.sub(r"[^\n]*\r(?!\n)", "", out.text)
    return [out for out in joined if out.get("text", "-").strip()]  # a bar leaves blanks


def tidy(nb: NotebookNode, provenance: dict[str, object] | None = None) -> NotebookNode:
    """Reduce ``nb`` to its source, its outputs and the metadata that either needs.

    Args:
        nb: The notebook, changed in place.
        provenance: What made the outputs; what the notebook says already if None.

    Returns:
        The same notebook.
    """
    provenance = provenance or nb.metadata.get("provenance")
    nb.metadata = NotebookNode(
        kernelspec=nb.metadata.kernelspec,
        language_info={"name": "python", "pygments_lexer": "ipython3"},
        **({"provenance": provenance} if provenance else {}),
    )
    nb.nbformat, nb.nbformat_minor = 4, 5
    for number, cell in enumerate(nb.cells):
        cell.id = f"cell-{number:02d}"
        cell.metadata = NotebookNode(
            {key: cell.metadata[key] for key in ("mystnb", "tags") if cell.metadata.get(key)}
        )
        if cell.cell_type == "code":
            cell.outputs = as_terminal(cell.outputs)
    return nb


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        nbformat.write(tidy(nbformat.read(path, as_version=4)), path)
