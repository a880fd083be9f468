"""A digest changes with the code that makes an output, and with nothing else."""

from __future__ import annotations

import ast
import functools
import json
import subprocess
import sys
from pathlib import Path

import digests
import jupytext
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from hetlib.provenance import Sources

ROOT = Path(__file__).parents[2]
CODE = '''"""A module."""
import math

def area(radius):
    """The area of a disc."""
    if radius < 0:
        raise ValueError(f"radius is {radius}; " + "it must not be negative")
    return math.pi * radius**2  # Archimedes
'''
SAME = [
    CODE.replace("  # Archimedes", ""),
    CODE.replace("The area of a disc.", "Another docstring."),
    CODE.replace('    """The area of a disc."""\n', ""),
    CODE.replace('"""A module."""\n', "# nothing\n\n"),
    CODE.replace("math.pi * radius**2", "(math.pi\n            * radius ** 2)"),
    CODE.replace("it must not be negative", "no disc has it"),
    CODE.replace('f"radius is {radius}; " + "it must not be negative"', '"bad radius"'),
]
OTHER = [
    CODE.replace("radius**2", "radius**3"),
    CODE.replace("def area(radius)", "def area(radius=1)"),
    CODE.replace("import math", "import cmath as math"),
    CODE.replace("ValueError", "TypeError"),
    CODE.replace("radius < 0", "radius < 1"),
    CODE + "\narea(1)\n",
]


def notebook(*cells: str, prose: str = "words") -> NotebookNode:
    return new_notebook(cells=[new_markdown_cell(prose), *map(new_code_cell, cells)])


def package(root: Path, **files: str) -> Sources:
    """A package in a folder of its own; ``a__b`` is the file a/b.py, ``stub`` the lazy names."""
    (root / "hetlib").mkdir(exist_ok=True)
    (root / "hetlib" / "__init__.py").write_text("")
    for name, text in files.items():
        file = root / "hetlib" / (name.replace("__", "/") + ".py")
        file.parent.mkdir(exist_ok=True)
        if file.parent.name != "hetlib":
            (file.parent / "__init__.py").touch()
        (file.with_name("__init__.pyi") if name.endswith("stub") else file).write_text(text)
    return Sources(root)


@pytest.mark.parametrize("changed", SAME)
def test_comments_docstrings_layout_and_messages_do_not_count(changed: str, tmp_path: Path) -> None:
    assert changed != CODE
    before = package(tmp_path, disc=CODE).digests(module="hetlib.disc")
    assert package(tmp_path, disc=changed).digests(module="hetlib.disc") == before
    assert digests.chapter_digest(notebook(changed)) == digests.chapter_digest(notebook(CODE))


@pytest.mark.parametrize("changed", OTHER)
def test_code_counts(changed: str, tmp_path: Path) -> None:
    before = package(tmp_path, disc=CODE).digests(module="hetlib.disc")
    assert package(tmp_path, disc=changed).digests(module="hetlib.disc") != before
    assert digests.chapter_digest(notebook(changed)) != digests.chapter_digest(notebook(CODE))


@pytest.mark.parametrize(
    "code",
    [
        "import hetlib.a.b",
        "import hetlib.a.b as other",
        "from hetlib.a import b",
        "from hetlib.a.b import f",
        "from hetlib.a.b import *",
        "from hetlib import f",
        "from hetlib import *",
        "import hetlib\nhetlib.f(1)",
        "import hetlib\nhetlib.a.b.f(1)",
        "import hetlib as h\nh.a.f",
        "from hetlib import a\na.b.f",
        "from hetlib import a\na.f",
        "from hetlib import a\ngetattr(a, 'f')",
        "def g():\n    if True:\n        from hetlib.a import b",
        "import subprocess\nsubprocess.run(['python', '-m', 'hetlib.a.b'])",
        "print(f'python -m hetlib.a.b {1}')",
        "import hetlib.relative",
        "from hetlib.relative import g",
    ],
)
def test_each_way_to_reach_a_module(code: str, tmp_path: Path) -> None:
    sources = package(
        tmp_path,
        a__b="def f(x): return x\n",
        a__stub="from .b import f as f\nfrom . import b as b\n",
        stub="from .a.b import f as f\nfrom . import a as a\n",
        relative="from .a import b\ng = b.f\n",
        apart="x = 1\n",
    )
    found = set(sources.digests(code=code))
    assert {"hetlib", "hetlib.a", "hetlib.a.b"} <= found
    assert found <= {"hetlib", "hetlib.a", "hetlib.a.b", "hetlib.relative"}


@pytest.mark.parametrize(
    "code",
    [
        "import math",
        "hetlib = 1\nhetlib.a",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from hetlib.a import b",
        "# hetlib.a.b",
        '"""About hetlib.a.b."""',
        "from hetlibrary.a import b",
    ],
)
def test_what_does_not_reach_a_module(code: str, tmp_path: Path) -> None:
    assert package(tmp_path, a__b="x = 1\n").digests(code=code) == {}


def test_a_module_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no module 'hetlib\.b' in hetlib"):
        package(tmp_path, a="").digests(module="hetlib.b")


def test_prose_does_not_count_but_cells_and_their_order_do() -> None:
    one = digests.chapter_digest(notebook("a = 1", "b = 2"))
    assert digests.chapter_digest(notebook("a = 1", "b = 2", prose="other words")) == one
    assert digests.chapter_digest(notebook("a = 1\nb = 2")) != one
    assert digests.chapter_digest(notebook("b = 2", "a = 1")) != one


def test_magics_are_code() -> None:
    one = digests.chapter_digest(notebook("%matplotlib inline"))
    assert digests.chapter_digest(notebook("%matplotlib agg")) != one


def test_data_that_a_module_names_counts(tmp_path: Path) -> None:
    data = tmp_path / "hetlib" / "data"
    data.mkdir(parents=True)
    (data / "shares.csv").write_text("1,2")
    (data / "other.csv").write_text("1,2")
    one = package(tmp_path, disc='TABLE = "shares.csv"\n').digests(module="hetlib.disc")
    (data / "other.csv").write_text("3,4")
    assert Sources(tmp_path).digests(module="hetlib.disc") == one
    (data / "shares.csv").write_text("3,4")
    assert Sources(tmp_path).digests(module="hetlib.disc") != one


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


@pytest.mark.slow
def test_stale_names_what_changed() -> None:
    code = "from hetlib.borda import counts"
    chapter, stored = notebook(code), notebook(code)
    assert digests.stale(stored, chapter, "01-x") == ["never run"]
    stored.metadata["provenance"] = digests.provenance(chapter, "01-x")
    assert digests.stale(stored, chapter, "01-x") == []
    assert digests.stale(stored, notebook(f"{code}\na = 2"), "01-x") == ["chapter"]
    file = ROOT / "hetlib" / "borda" / "counts.py"
    changed = Sources(changed={file: file.read_text() + "\nx = 1\n"})
    assert digests.stale(stored, chapter, "01-x", changed) == ["hetlib.borda.counts"]


# ---- every file of hetlib ----

MODULES = {Sources().name(file): file for file in sorted(Sources().files)}
CHAPTERS = sorted((ROOT / "book").glob("[0-9]*.md"))
RUNS = {
    "a cell of the grid": "hetlib.comparison.cells",
    "a method of the grid": "hetlib.comparison.methods.direct",
    "a run of a language model": "hetlib.llm.train.training",
    "a run on the ring": "hetlib.ring.training",
}


@functools.cache
def subjects() -> dict[str, dict[str, str]]:
    """What is stored: code of chapters, modules of runs, as arguments of ``Sources``."""
    found = {}
    for path in CHAPTERS:
        found[path.stem] = {"code": "\n".join(digests.python_cells(jupytext.read(path)))}
    return found | {name: {"module": module} for name, module in RUNS.items()}


@functools.cache
def present() -> dict[str, dict[str, str]]:
    sources = Sources()
    return {name: sources.digests(**what) for name, what in subjects().items()}


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
def test_a_changed_statement_makes_stale_what_rests_on_it_alone(module: str) -> None:
    """A changed docstring or comment changes nothing."""
    file = MODULES[module]
    source = file.read_text("utf-8")
    start = ast.get_docstring(ast.parse(source), clean=False)
    assert start, "a module says what it is"
    words = Sources(changed={file: source.replace(start, "Other words.", 1) + "\n# a comment\n"})
    more = Sources(changed={file: f"{source}\nraise ValueError('one')\n"})
    other = Sources(changed={file: f"{source}\nraise ValueError(f'two {{3}}')\n"})
    assert words.digest(file) == Sources().digest(file)
    assert more.digest(file) == other.digest(file) != Sources().digest(file)
    for name, what in subjects().items():
        changed = more.digests(**what) != present()[name]
        assert changed == (module in present()[name]), name


def test_closures_of_what_is_stored() -> None:
    """Workers, which the kernel of chapter 10 starts, train; chapter 14 draws worlds."""
    chapter = present()["10-language-models"]
    assert {f"hetlib.llm.train.{name}" for name in ("training", "trainer", "checkpoints")} <= set(
        chapter
    )
    assert "hetlib.consistent.losses" in chapter
    assert "hetlib.comparison.worlds" in present()["14-comparison"]
    assert "hetlib.llm.train.trainer" not in present()["03-borda"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "module",
    [
        "hetlib.borda.counts",
        "hetlib.comparison.cells",
        "hetlib.ring.runs",
        "hetlib.linked.corrected",
    ],
)
def test_what_an_import_loads_is_in_the_closure(module: str) -> None:
    probe = f"import {module}, sys, json; print(json.dumps(list(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    loaded = {name for name in json.loads(out.stdout) if name.split(".")[0] == "hetlib"}
    assert loaded <= set(Sources().digests(module=module))
