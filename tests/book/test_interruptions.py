"""Faults in the middle of a run: what is stored stays, and the next plain command is right."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import execute
import nbformat
import pytest
from test_execute import Book, printed, run

from hetlib import store

#: The chapter says that it has begun, and goes on while there is a file named wait.
WAITS = """\
import time; from pathlib import Path
Path("../begun").touch()
while Path("../wait").exists():
    time.sleep(0.05)
print(number)"""

RUN = """\
import sys; from pathlib import Path
import execute
execute.ROOT = Path.cwd()
sys.exit(execute.main())"""


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Book:
    root = tmp_path / "ein Bücherregal"  # every plain command works there
    root.mkdir()
    monkeypatch.setattr(execute, "ROOT", root)
    return Book(root)


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


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_stopped_harms_nothing(
    number: signal.Signals, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By kill -9, which no process can answer, and by Ctrl-C."""
    path = book.write("01-first", WAITS)
    path.write_text("what was stored before")
    process = started(book)
    os.killpg(process.pid, number)
    said = process.communicate(timeout=60)[1]
    assert path.read_text() == "what was stored before"
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "stopped; stored notebooks are as they were" in said
    else:
        assert process.returncode == -signal.SIGKILL
    (book.root / "wait").unlink()
    assert run(monkeypatch) == 0
    assert printed(path) == ["2\n"]


def test_kernels_that_die_or_run_out_of_memory_are_named(
    book: Book, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    killed = book.write("01-killed", "import os\nos.kill(os.getpid(), 9)")
    full = book.write("02-full", "import numpy as np\nnp.ones(2**58)")
    for path in (killed, full):
        path.write_text("what was stored before")
    assert run(monkeypatch) == 1
    said = capsys.readouterr().out
    assert "01-killed failed" in said
    assert "Kernel died" in said
    assert "02-full failed" in said
    assert "MemoryError" in said
    for path in (killed, full):
        assert path.read_text() == "what was stored before"


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


def test_a_clock_that_was_set_says_nothing(book: Book) -> None:
    """Dates of long ago or of the future make nothing fresh and nothing stale."""
    path = book.write("01-first", "print(number)")
    nb = execute.read_chapter("01-first")
    nb.metadata["provenance"] = {"profile": "quick", **execute.provenance(nb, "01-first")}
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
