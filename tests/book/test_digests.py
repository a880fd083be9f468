"""A digest changes with the code that makes an output, and with nothing else."""

from __future__ import annotations

from pathlib import Path

import digests
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

CODE = '''"""A module."""
import math

def area(radius):
    """The area of a disc."""
    return math.pi * radius**2  # Archimedes
'''
SAME = [
    CODE.replace("  # Archimedes", ""),
    CODE.replace("The area of a disc.", "Another docstring."),
    CODE.replace('    """The area of a disc."""\n', ""),
    CODE.replace('"""A module."""\n', "# nothing\n\n"),
    CODE.replace("math.pi * radius**2", "(math.pi\n            * radius ** 2)"),
]
OTHER = [
    CODE.replace("radius**2", "radius**3"),
    CODE.replace("def area(radius)", "def area(radius=1)"),
    CODE.replace("import math", "import cmath as math"),
    CODE + "\narea(1)\n",
]


def notebook(*cells: str, prose: str = "words") -> NotebookNode:
    return new_notebook(cells=[new_markdown_cell(prose), *map(new_code_cell, cells)])


def in_module(code: str, root: Path) -> str:
    (root / "hetlib").mkdir(exist_ok=True)
    (root / "hetlib" / "disc.py").write_text(code)
    return digests.module_digest("hetlib.disc", root)


@pytest.mark.parametrize("changed", SAME)
def test_comments_docstrings_and_layout_do_not_count(changed: str, tmp_path: Path) -> None:
    assert changed != CODE
    assert in_module(changed, tmp_path) == in_module(CODE, tmp_path)
    assert digests.chapter_digest(notebook(changed)) == digests.chapter_digest(notebook(CODE))


@pytest.mark.parametrize("changed", OTHER)
def test_code_counts(changed: str, tmp_path: Path) -> None:
    assert in_module(changed, tmp_path) != in_module(CODE, tmp_path)
    assert digests.chapter_digest(notebook(changed)) != digests.chapter_digest(notebook(CODE))


def test_prose_does_not_count_but_cells_and_their_order_do() -> None:
    one = digests.chapter_digest(notebook("a = 1", "b = 2"))
    assert digests.chapter_digest(notebook("a = 1", "b = 2", prose="other words")) == one
    assert digests.chapter_digest(notebook("a = 1\nb = 2")) != one
    assert digests.chapter_digest(notebook("b = 2", "a = 1")) != one


def test_magics_are_code() -> None:
    one = digests.chapter_digest(notebook("%matplotlib inline"))
    assert digests.chapter_digest(notebook("%matplotlib agg")) != one


def test_data_that_a_module_names_counts(tmp_path: Path) -> None:
    code = 'TABLE = "shares.csv"\n'
    data = tmp_path / "hetlib" / "data"
    data.mkdir(parents=True)
    (data / "shares.csv").write_text("1,2")
    (data / "other.csv").write_text("1,2")
    one = in_module(code, tmp_path)
    (data / "other.csv").write_text("3,4")
    assert in_module(code, tmp_path) == one
    (data / "shares.csv").write_text("3,4")
    assert in_module(code, tmp_path) != one


def test_a_package_and_a_module_that_is_gone(tmp_path: Path) -> None:
    assert digests.module_digest("hetlib.disc", tmp_path) == "missing"
    package = tmp_path / "hetlib" / "llm"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("a = 1")
    one = digests.module_digest("hetlib.llm", tmp_path)
    (package / "__init__.py").write_text("a = 2")
    assert digests.module_digest("hetlib.llm", tmp_path) != one != "missing"


def test_what_a_claim_asks_counts_and_its_words_do_not(tmp_path: Path) -> None:
    (tmp_path / "book").mkdir()
    rows = "- {id: a, chapter: 01-x, statement: words, paper: 1.5, tolerance: 0.1}\n"
    rows += "- {id: b, chapter: 02-y, statement: words, paper: 2.5, tolerance: 0.1}\n"

    def digest(text: str) -> str:
        (tmp_path / "book" / "claims.yml").write_text(text)
        return digests.claims_digest("01-x", tmp_path)

    one = digest(rows)
    assert digest(rows.replace("words", "better words")) == one
    assert digest(rows.replace("2.5", "2.6")) == one  # another chapter's claim
    assert digest(rows.replace("1.5", "1.6")) != one
    assert digest(rows.replace("tolerance: 0.1", "tolerance: 0.2")) != one


def test_stale_names_what_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    chapter, stored = notebook("a = 1"), notebook("a = 1")
    assert digests.stale(stored, chapter, "01-x") == ["never run"]
    stored.metadata["provenance"] = digests.provenance(chapter, "01-x", ["hetlib.borda.counts"])
    assert digests.stale(stored, chapter, "01-x") == []
    assert digests.stale(stored, notebook("a = 2"), "01-x") == ["chapter"]
    monkeypatch.setattr(digests, "module_digest", lambda name: "changed")
    assert digests.stale(stored, chapter, "01-x") == ["hetlib.borda.counts"]
