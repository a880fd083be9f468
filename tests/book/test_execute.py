"""Running chapters: a failure is named and harms nothing; a second run goes on or is the same."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import execute
import nbformat
import new
import pytest
import tidy
from digests import provenance

from hetlib import store

CHAPTER = (
    new.HEAD
    + """
# A chapter

```{{code-cell}} ipython3
:tags: [parameters]

number: int = 2
```

```{{code-cell}} ipython3
{code}
```
"""
)
BEFORE = "what was stored before"


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
    root = tmp_path / "ein Bücherregal"  # every plain command works there
    root.mkdir()
    monkeypatch.setattr(execute, "ROOT", root)
    return Book(root)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["execute.py", "--profile", "quick", *arguments])
    return execute.main()


def printed(path: Path) -> list[str]:
    cells = nbformat.read(path, as_version=4).cells
    return [out.text for cell in cells if cell.cell_type == "code" for out in cell.outputs]


@pytest.mark.slow
def test_a_failing_chapter_is_named_and_the_others_are_stored(
    book: Book, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = book.write("01-good", "print(number + 1)")
    bad = book.write("02-bad", "def half(x):\n    return x / 0\n\nhalf(number)")
    bad.write_text(BEFORE)
    assert run(monkeypatch) == 1
    said = capsys.readouterr()
    assert "02-bad failed" in said.out
    assert "01-good" not in said.out
    assert "return x / 0" in said.out  # the line of the traceback
    assert "ZeroDivisionError" in said.out
    assert bad.read_text() == BEFORE
    assert printed(good) == ["3\n"]


@pytest.mark.slow
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
    assert len(said.splitlines()) == 1  # nothing to warn of
    assert execute.is_fresh("01-first", first.parent, "quick")
    assert not execute.is_fresh("01-first", first.parent, "full")
    book.write("01-first", "print(number + 1)")
    assert not execute.is_fresh("01-first", first.parent, "quick")


@pytest.mark.slow
def test_a_second_run_changes_no_byte(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    path = book.write("01-first", "print(number)\nnumber")
    assert run(monkeypatch) == 0
    once = path.read_bytes()
    assert run(monkeypatch) == 0
    assert path.read_bytes() == once


def trials(book: Book) -> list[Path]:
    return sorted((book.root / "_build" / "try").glob("*.ipynb"))


@pytest.mark.slow
def test_each_trial_is_stored_under_its_parameters(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = book.write("01-first", "print(number)")
    for value in (7, 8):
        monkeypatch.setenv("P", f"-p number {value}")
        assert run(monkeypatch, "--trial", "01-first") == 0
    assert not path.exists()
    seven, eight = trials(book)
    assert seven.name.startswith("01-first-number-7-")
    assert (printed(seven), printed(eight)) == (["7\n"], ["8\n"])
    assert "provenance" not in nbformat.read(seven, as_version=4).metadata
    monkeypatch.setenv("OUT", str(book.root / "my own.ipynb"))
    assert run(monkeypatch, "--trial", "01-first") == 0
    assert printed(book.root / "my own.ipynb") == ["8\n"]
    assert len(trials(book)) == 2
    assert not list((book.root / "_build" / "run").iterdir())


@pytest.mark.parametrize("out", ["notebooks/01-first.ipynb", "book/x.ipynb", "x.txt", "~/../x"])
def test_a_trial_is_never_stored_where_results_are(
    out: str, book: Book, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    book.write("01-first", "print(number)")
    monkeypatch.setenv("OUT", out)
    with pytest.raises(SystemExit):
        run(monkeypatch, "--trial", "01-first")
    assert "name one .ipynb outside" in capsys.readouterr().err


@pytest.mark.slow
def test_runs_and_trials_at_once_do_not_meet(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten rounds of a full run and a trial of one chapter, side by side."""
    path = book.write("01-first", "import time\ntime.sleep(0.2)\nprint(number)")
    scratch: list[Path] = []

    def read(file: Path) -> nbformat.NotebookNode:
        scratch.append(file)
        return tidy.read_notebook(file)

    monkeypatch.setattr(execute, "read_notebook", read)
    for k in range(10):
        path.unlink(missing_ok=True)
        own = book.root / f"{k}.ipynb"
        both = [
            threading.Thread(target=execute.run, args=("01-first", path, "quick", [], 0)),
            threading.Thread(
                target=execute.run, args=("01-first", own, "quick", ["-p", "number", "9"], 1, True)
            ),
        ]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        assert (printed(path), printed(own)) == (["2\n"], ["9\n"])
        assert execute.is_fresh("01-first", path.parent, "quick")
    assert len({file for file in scratch if file != path}) == 2  # a scratch file each


def test_one_process_stores_a_chapter_at_a_time(book: Book) -> None:
    order: list[str] = []

    def wait() -> None:
        with execute.lock("01-first"):
            order.append("second")

    with execute.lock("01-first"):
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("-p numbr 3", "has no parameter 'numbr'; did you mean 'number'? It has number"),
        ("-p xyz 3", "has no parameter 'xyz'. It has number"),
        ("-r numbr 3", "did you mean 'number'"),
        ("--parameters numbr 3", "did you mean 'number'"),
        ("-y 'numbr: 3'", "did you mean 'number'"),
        ("-y \"number=open('ran','w'): 3\"", "is no name"),
        ("-p \"number = open('ran', 'w') #\" 3", "is no name"),
        ("-y '3: 3'", "parameter 3 is no name"),
        ("-y '[1]'", "must give parameters by name"),
        ("-y '{'", "is no YAML"),
        ("-y '!!python/object/apply:os.getcwd []'", "is no YAML"),
        ("-f nowhere.yml", "nowhere.yml cannot be read"),
        ("-f", "-f needs a value"),
        ("-p number", "-p needs a name and a value"),
        ("--help-notebook", "is no option of a trial"),
        ("03-other", "is no option of a trial"),
        ("-p note \"don't", "No closing quotation"),
    ],
)
def test_parameters_are_checked_before_anything_runs(
    given: str,
    said: str,
    book: Book,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    book.write("01-first", "print(number)")
    monkeypatch.setenv("P", given)
    with pytest.raises(SystemExit):
        run(monkeypatch, "--trial", "01-first")
    assert said in capsys.readouterr().err
    assert not (book.root / "_build").exists()
    assert not list(book.root.rglob("ran"))


@pytest.mark.parametrize("option", ["-f {}", "--parameters_file={}"])
def test_a_file_of_parameters_is_found_whatever_its_name(
    option: str, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = book.root / "my file's"
    folder.mkdir()
    (folder / "q.yml").write_text("number: 5\n")
    monkeypatch.setenv("HOME", str(book.root))
    typed = "~/" + shlex.quote("my file's/q.yml")
    words, names = execute.given_parameters(shlex.split(option.format(typed)))
    assert (words, names) == (["-f", str(folder / "q.yml")], ["number"])


def test_every_parameter_of_every_chapter_is_known() -> None:
    for name in execute.chapters():
        assert execute.known_parameters(execute.read_chapter(name)), name


@pytest.mark.parametrize("content", ["", "{", "[1]", "{}", '{"cells": 1, "nbformat": 4}', "\0"])
def test_a_notebook_that_is_not_whole_is_named_and_made_again(
    content: str, book: Book, capsys: pytest.CaptureFixture[str]
) -> None:
    path = book.write("01-first", "print(number)")
    path.write_text(content)
    with pytest.raises(ValueError, match=r"01-first\.ipynb is no whole notebook"):
        tidy.read_notebook(path)
    assert not execute.is_fresh("01-first", path.parent, "quick")
    assert "01-first.ipynb is no whole notebook" in capsys.readouterr().err
    assert execute.sync_all(["01-first"]) == 1
    assert path.read_text() == content
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.slow
def test_edited_prose_is_copied_and_outputs_stay(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = book.write("01-first", "print(number)")
    assert run(monkeypatch) == 0
    source = book.root / "book" / "01-first.md"
    source.write_text(source.read_text().replace("# A chapter", "# Another title"))
    assert run(monkeypatch, "--sync", "01-first") == 0
    stored = nbformat.read(path, as_version=4)
    assert stored.cells[0].source == "# Another title"
    assert printed(path) == ["2\n"]
    assert execute.is_fresh("01-first", path.parent, "quick")


def test_what_papermill_warns_of_is_shown() -> None:
    log = (
        "Input Notebook:  -\nPassed unknown parameter: presentations\nExecuting: 1%\n"
        "iorw.py:149: UserWarning: the file is not specified with any extension : -\n"
        "a.py:1: UserWarning: a word\nTraceback (most recent call last):\n"
    )
    assert execute.warnings_in(log) == ["a.py:1: UserWarning: a word"]


# ---- faults in the middle of a run: what is stored stays, the next plain command is right ----

#: The chapter says that it has begun, and goes on while there is a file named wait.
WAITS = """\
import time; from pathlib import Path
Path("../begun").touch()
while Path("../wait").exists():
    time.sleep(0.05)
print(number)"""

RUN = """\
import signal, sys; from pathlib import Path
import execute
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background ignores it
execute.ROOT = Path.cwd()
sys.exit(execute.main())"""


def started(book: Book) -> subprocess.Popen[str]:
    """A run of its own process group, in the C locale, that has come to its chapter's wait."""
    (book.root / "wait").touch()
    path = os.pathsep.join([str(Path(execute.__file__).parent), *filter(None, sys.path)])
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, "--profile", "quick", "01-first"],
        cwd=book.root,
        env={**os.environ, "LC_ALL": "C", "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    for _ in range(600):
        if (book.root / "begun").exists():
            return process
        time.sleep(0.1)
    raise AssertionError(process.communicate(timeout=10))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_stopped_harms_nothing(
    number: signal.Signals, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By kill -9, which no process can answer, and by Ctrl-C."""
    path = book.write("01-first", WAITS)
    path.write_text(BEFORE)
    process = started(book)
    os.killpg(process.pid, number)
    said = process.communicate(timeout=180)[1]
    assert path.read_text() == BEFORE
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "stopped; stored notebooks are as they were" in said
    else:
        assert process.returncode == -signal.SIGKILL
    (book.root / "wait").unlink()
    assert run(monkeypatch) == 0
    assert printed(path) == ["2\n"]


@pytest.mark.slow
def test_kernels_that_die_or_run_out_of_memory_are_named(
    book: Book, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    killed = book.write("01-killed", "import os\nos.kill(os.getpid(), 9)")
    full = book.write("02-full", "import numpy as np\nnp.ones(2**58)")
    for path in (killed, full):
        path.write_text(BEFORE)
    assert run(monkeypatch) == 1
    said = capsys.readouterr().out
    assert "01-killed failed" in said
    assert "Kernel died" in said
    assert "02-full failed" in said
    assert "MemoryError" in said
    for path in (killed, full):
        assert path.read_text() == BEFORE


@pytest.mark.slow
def test_build_may_lie_on_another_file_system(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    """The finished notebook is written beside its place, wherever the scratch file lies."""
    path = book.write("01-first", "print(number)")
    shared = Path("/dev/shm")  # noqa: S108  (memory, another device where there is one)
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as elsewhere:
        (book.root / "_build").symlink_to(elsewhere)
        assert run(monkeypatch) == 0
        assert not list(Path(elsewhere, "run").iterdir())
    assert printed(path) == ["2\n"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_notebook_that_cannot_be_stored_is_named(
    code: int,
    book: Book,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A full disk, a read-only checkout, a quota: met when all the work is done."""
    path = book.write("01-first", "print(number)")

    def refuse(path: Path, _: str) -> None:
        raise OSError(code, os.strerror(code), str(path))

    def finished(name: str, out: Path, *_: object) -> None:
        store.write(out, "x")

    monkeypatch.setattr(store, "write", refuse)
    monkeypatch.setattr(execute, "run", finished)
    assert run(monkeypatch) == 1
    said = capsys.readouterr().out
    assert "01-first failed; its stored notebook is as it was" in said
    assert os.strerror(code) in said
    assert str(path) in said
    path.write_text(nbformat.writes(nbformat.v4.new_notebook()))
    assert execute.sync_all(["01-first"]) == 1


@pytest.mark.slow
def test_a_clock_that_was_set_says_nothing(book: Book) -> None:
    """Dates of long ago or of the future make nothing fresh and nothing stale."""
    path = book.write("01-first", "print(number)")
    nb = execute.read_chapter("01-first")
    nb.metadata["provenance"] = {"profile": "quick", **provenance(nb, "01-first")}
    path.write_text(nbformat.writes(nb))
    source = book.root / "book" / "01-first.md"
    for mine, other in ((0, 4e9), (4e9, 0)):
        os.utime(path, (mine, mine))
        os.utime(source, (other, other))
        assert execute.is_fresh("01-first", path.parent, "quick")
    book.write("01-first", "print(number + 1)")
    for clock in (0, 4e9):
        os.utime(source, (clock, clock))
        assert not execute.is_fresh("01-first", path.parent, "quick")


# ---- make: nothing that is typed is read by a shell ----

TYPED = [
    "-f 'my files/q.yml'", '-p note "don\'t"', "it's", "costs $5", "$(touch ran)", "`touch ran`",
    "$(shell touch ran)", "x; touch ran", "a'b\"c", "~/q.yml", "$$HOME", "a\\b", "#x", "%",
]  # fmt: skip


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """The Makefile with a Python that prints what it is given."""
    shutil.copy(Path(__file__).parents[2] / "Makefile", tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf "%s|%s|%s|%s" "$*" "$NAME" "$P" "$OUT"\n')
    python.chmod(0o755)
    return tmp_path


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "-s", "-o", "setup", *words]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


@pytest.mark.parametrize("typed", TYPED)
def test_parameters_and_outputs_survive_make(typed: str, made: Path) -> None:
    out = make(made, "try/04-drawbacks", f"P={typed}", f"OUT={typed}")
    assert out.stdout == f"tools/execute.py --named --trial|04-drawbacks|{typed}|{typed}"
    assert not list(made.rglob("ran"))


@pytest.mark.parametrize("kind", ["run", "try", "sync"])
@pytest.mark.parametrize("typed", [t for t in TYPED if "/" not in t])
def test_names_survive_make(kind: str, typed: str, made: Path) -> None:
    out = make(made, f"{kind}/{typed}")
    assert out.stdout.split("|")[1:2] == [typed]
    assert not list(made.rglob("ran"))


def test_an_empty_name_runs_nothing(
    made: Path, book: Book, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make(made, "run/").returncode
    book.write("01-first", "print(number)")
    for name in ("", " ", "01", "../01-first"):
        monkeypatch.setenv("NAME", name)
        with pytest.raises(SystemExit):
            run(monkeypatch, "--named")
        assert "no such chapter" in capsys.readouterr().err
    assert not (book.root / "_build").exists()


def test_an_unknown_chapter_is_refused(
    book: Book, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    book.write("01-first", "print(number)")
    with pytest.raises(SystemExit):
        run(monkeypatch, "03-third")
    assert "no such chapter: 03-third; there are 01-first" in capsys.readouterr().err
