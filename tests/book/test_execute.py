"""Running chapters: a failure is named and harms nothing; a second run goes on or is the same."""

from __future__ import annotations

import sys
from pathlib import Path

import execute
import nbformat
import pytest

CHAPTER = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
    format_version: 0.13
kernelspec:
  display_name: Python 3 (ipykernel)
  language: python
  name: python3
---

# A chapter

```{{code-cell}} ipython3
:tags: [parameters]

number: int = 2
```

```{{code-cell}} ipython3
{code}
```
"""


class Book:
    """A book in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("book", "notebooks"):
            (root / folder).mkdir()

    def write(self, name: str, code: str) -> Path:
        """Write a chapter; where its notebook will be."""
        (self.root / "book" / f"{name}.md").write_text(CHAPTER.format(code=code))
        return self.root / "notebooks" / f"{name}.ipynb"


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Book:
    monkeypatch.setattr(execute, "ROOT", tmp_path)
    return Book(tmp_path)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["execute.py", "--profile", "quick", *arguments])
    return execute.main()


def printed(path: Path) -> list[str]:
    cells = nbformat.read(path, as_version=4).cells
    return [out.text for cell in cells if cell.cell_type == "code" for out in cell.outputs]


def test_a_failing_chapter_is_named_and_the_others_are_stored(
    book: Book, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = book.write("01-good", "print(number + 1)")
    bad = book.write("02-bad", "def half(x):\n    return x / 0\n\nhalf(number)")
    bad.write_text("what was stored before")
    assert run(monkeypatch) == 1
    said = capsys.readouterr()
    assert "02-bad failed" in said.out
    assert "01-good" not in said.out
    assert "return x / 0" in said.out  # the line of the traceback
    assert "ZeroDivisionError" in said.out
    assert bad.read_text() == "what was stored before"
    assert printed(good) == ["3\n"]


def test_an_interrupted_run_goes_on_with_what_is_missing(
    book: Book, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = book.write("01-first", "print(number)")
    second = book.write("02-second", "print('second')")
    assert run(monkeypatch, "01-first") == 0
    assert not second.exists()
    capsys.readouterr()

    assert run(monkeypatch, "--missing") == 0
    said = capsys.readouterr().err
    assert "02-second" in said
    assert "01-first" not in said
    assert printed(second) == ["second\n"]

    book.write("01-first", "print(number)  # a comment")
    assert execute.is_fresh("01-first", first.parent, "quick")
    assert not execute.is_fresh("01-first", first.parent, "full")
    book.write("01-first", "print(number + 1)")
    assert not execute.is_fresh("01-first", first.parent, "quick")


def test_a_second_run_changes_no_byte(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    path = book.write("01-first", "print(number)\nnumber")
    assert run(monkeypatch) == 0
    once = path.read_bytes()
    assert run(monkeypatch) == 0
    assert path.read_bytes() == once


def test_parameters_reach_a_trial_which_is_stored_elsewhere(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = book.write("01-first", "print(number)")
    assert run(monkeypatch, "--into", "trial", "--papermill", "-p number 7", "01-first") == 0
    assert not path.exists()
    trial = book.root / "trial" / "01-first.ipynb"
    assert printed(trial) == ["7\n"]
    assert not execute.is_fresh("01-first", trial.parent, "quick")  # a trial is never a result


def test_an_unknown_chapter_is_refused(
    book: Book, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    book.write("01-first", "print(number)")
    with pytest.raises(SystemExit):
        run(monkeypatch, "03-third")
    assert "no such chapter: 03-third; there are 01-first" in capsys.readouterr().err
