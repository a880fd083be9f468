"""Make a notebook a pure function of its chapter and its outputs.

Timings, versions, random cell ids and overwritten progress bars go, so a diff
shows only what changed and a second run changes no byte.
"""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode


def read_notebook(path: Path) -> NotebookNode:
    """A stored notebook.

    Raises:
        ValueError: the file is empty, half written or no notebook; it names the file.
    """
    try:
        nb = nbformat.read(path, as_version=4)
        nbformat.validate(nb)
    except Exception as error:  # nbformat has a dozen kinds, some of them of its own
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path} is no whole notebook: {reason[:200]}") from None
    return nb


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
