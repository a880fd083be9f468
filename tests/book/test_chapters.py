"""A notebook is its chapter, its outputs come from the present code, and a chapter is whole."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import jupytext
import nbformat
import pytest
import yaml
from digests import stale
from execute import PAGES as UNNUMBERED
from jupytext.config import load_jupytext_config
from nbformat import NotebookNode
from tidy import tidy

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in (ROOT / "book").glob("[0-9]*.md"))
PAGES = sorted((ROOT / "book").glob("*.md"))

#: Lines of a code cell that a reader sees; the other cells are folded, or not shown at all.
MOST_LINES = 15
UNSEEN = {"hide-cell", "hide-input", "remove-cell", "remove-input"}

each_chapter = pytest.mark.parametrize("name", NAMES)


def text(name: str) -> str:
    return (ROOT / "book" / f"{name}.md").read_text()


@cache
def chapter(name: str) -> NotebookNode:
    """The chapter as a notebook without outputs."""
    return tidy(jupytext.read(ROOT / "book" / f"{name}.md"))


@cache
def stored(name: str) -> NotebookNode:
    """The notebook with outputs."""
    path = ROOT / "notebooks" / f"{name}.ipynb"
    assert path.exists(), f"{name} was never run: make run/{name}"
    return nbformat.read(path, as_version=4)


def tagged(name: str, tag: str) -> list[NotebookNode]:
    return [cell for cell in chapter(name).cells if tag in cell.metadata.get("tags", [])]


def test_there_is_one_notebook_per_chapter() -> None:
    assert NAMES
    assert sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb")) == [
        *NAMES,
        *UNNUMBERED,
    ]


def test_every_chapter_is_in_the_table_of_contents_in_order() -> None:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    files = [entry["file"] for part in toc["parts"] for entry in part["chapters"]]
    listed = [file.removeprefix("notebooks/") for file in files if file.startswith("notebooks/")]
    assert [name for name in listed if name not in UNNUMBERED] == NAMES
    assert sorted(listed) == [*NAMES, *UNNUMBERED]


# ---- the pair ----


@each_chapter
def test_chapter_is_as_jupytext_writes_it(name: str) -> None:
    """Otherwise the next tool that touches it would change it."""
    path = ROOT / "book" / f"{name}.md"
    notebook = jupytext.reads(text(name), "md:myst")
    written = jupytext.writes(notebook, "md:myst", config=load_jupytext_config(str(path)))
    lines = zip(text(name).splitlines(), written.splitlines(), strict=False)
    differ = [f"line {n}: {a!r} becomes {b!r}" for n, (a, b) in enumerate(lines, 1) if a != b]
    if written != text(name):
        pytest.fail("\n".join([f"book/{name}.md", *differ[:3]]))


@each_chapter
def test_notebook_has_the_cells_of_its_chapter(name: str) -> None:
    def cells(notebook: NotebookNode) -> list[tuple[str, dict[str, object], str]]:
        return [(cell.cell_type, dict(cell.metadata), cell.source) for cell in notebook.cells]

    assert cells(stored(name)) == cells(chapter(name)), f"make sync/{name}, or run/{name} for code"


@each_chapter
def test_outputs_are_fresh(name: str) -> None:
    changed = stale(stored(name), chapter(name), name)
    assert not changed, f"outputs are older than {', '.join(changed)}: make run/{name}"
    assert stored(name).metadata.provenance.profile == "full", f"make run/{name}"


@each_chapter
def test_every_cell_ran_without_error(name: str) -> None:
    for cell in stored(name).cells:
        if cell.cell_type == "code" and cell.source.strip():
            assert cell.execution_count, f"never run:\n{cell.source}"
            errors = [out for out in cell.outputs if out.output_type == "error"]
            assert not errors, f"{errors[0].ename} in\n{cell.source}"


# ---- what a chapter holds ----


@each_chapter
def test_parameters(name: str) -> None:
    """One tagged cell; every parameter with its type; what every chapter has."""
    (cell,) = tagged(name, "parameters")
    body = ast.parse(cell.source).body
    plain = [ast.unparse(node) for node in body if isinstance(node, ast.Assign)]
    assert not plain, f"no type: {plain}"
    names = {ast.unparse(node.target) for node in body if isinstance(node, ast.AnnAssign)}
    assert {"profile", "seed"} <= names


@each_chapter
def test_ci_compares_some_output(name: str) -> None:
    assert tagged(name, "nbval-check-output")


@each_chapter
def test_sections(name: str) -> None:
    lines = text(name).splitlines()
    assert "## Paper and here" in lines
    assert f"(sec-{name[:2]})=" in lines
    assert any(line.startswith("*In the paper:") for line in lines)


@each_chapter
def test_visible_code_cells_are_short(name: str) -> None:
    """All lines count, blank ones and comments too; the parameters say what each one means."""
    long = [
        f"{lines} lines: {cell.source.splitlines()[0]}"
        for cell in chapter(name).cells
        if cell.cell_type == "code"
        and not {"parameters", *UNSEEN} & set(cell.metadata.get("tags", []))
        and (lines := len(cell.source.splitlines())) > MOST_LINES
    ]
    assert not long, f"{name}: more than {MOST_LINES} lines in\n" + "\n".join(long)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_glued_numbers_have_a_format(page: Path) -> None:
    """Without one, a number shows all the digits of a float."""
    prose = re.sub(r"``.*?``", "", page.read_text())  # text that shows how it is written
    glued = re.findall(r"\{glue(?::text|:any)?\}`([^`]*)`", prose)
    bare = [key for key in glued if ":" not in key.rpartition("::")[2]]
    assert not bare, f"{page.name}: no format in {bare}"


@each_chapter
def test_glued_numbers_are_glued(name: str) -> None:
    """Every key used in a chapter is made by one of its cells."""
    used = {
        key.partition(":")[0] for key in re.findall(r"\{glue:text\}`([^`:]+:[^`]*)`", text(name))
    }
    made = {
        key.removeprefix("application/papermill.record/")
        for cell in stored(name).cells
        if cell.cell_type == "code"
        for out in cell.outputs
        if "scrapbook" in out.get("metadata", {})
        for key in [out.metadata.scrapbook.name]
    }
    missing = {key for key in used if "/" not in key} - made
    assert not missing, f"{name} glues {sorted(missing)} nowhere"
