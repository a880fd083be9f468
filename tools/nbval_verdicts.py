"""A pytest plugin: of a checked cell, nbval compares the text alone.

The HTML and data of a verdict hold the computed value, which may differ in its last digits
between the profiles; its text holds what must not: the claim and the verdict. Values glued into
the prose differ between the profiles too. Progress bars on stderr erase themselves, and stored
notebooks have none.
"""

from __future__ import annotations

import pytest
from nbval.plugin import IPyNbFile

from hetlib.book.claims import MIME

#: How myst_nb keeps a glued value beside a cell's own output.
GLUED = tuple(
    f"application/papermill.record/{kind}"
    for kind in ("text/plain", "text/html", "text/markdown", "text/latex")
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave all but the plain text out of the comparison."""
    for notebook in {item.parent for item in items if isinstance(item.parent, IPyNbFile)}:
        assert notebook is not None
        notebook.skip_compare += ("text/html", "image/svg+xml", "stderr", MIME, *GLUED)
