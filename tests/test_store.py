"""The grid: what is stored is not computed again, and a dead worker changes no number."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from hetlib import store
from hetlib.comparison.cells import Cell, run_cell

METHODS = ("dpo", "personalised")
CELLS = [Cell("random", 600, seed, methods=METHODS) for seed in range(6)]


@dataclass(frozen=True)
class Task:
    """A cell of a real comparison whose worker may be killed while it is at it."""

    cell: Cell
    marker: str = ""

    def describe(self) -> dict[str, Any]:
        return self.cell.describe()


def fragile(task: Task) -> dict[str, Any]:
    """Kills its own process the first time, in the middle of the work."""
    result: dict[str, Any] = dict(run_cell(task.cell))
    if task.marker and not Path(task.marker).exists():
        Path(task.marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return result


@dataclass(frozen=True)
class Number:
    """A cell that keeps a log of its calls."""

    value: int
    log: str

    def describe(self) -> dict[str, Any]:
        return asdict(self)


def square(cell: Number) -> dict[str, Any]:
    """Leaves a line for each call; fails at three while there is a file named stop."""
    log = Path(cell.log)
    with log.open("a") as file:
        file.write(f"{cell.value}\n")
    if cell.value == 3 and (log.parent / "stop").exists():
        raise KeyboardInterrupt
    return {"square": cell.value**2}


def test_a_killed_worker_changes_no_number(tmp_path: Path) -> None:
    marker = tmp_path / "killed"
    tasks = [Task(cell, str(marker) if seed == 2 else "") for seed, cell in enumerate(CELLS)]
    spread = store.run(fragile, tasks, tmp_path / "spread", workers=2)
    assert marker.exists(), "no worker was killed"
    here = store.run(run_cell, CELLS, tmp_path / "here", workers=0)
    assert spread == here
    files = sorted((tmp_path / "spread").glob("*"))
    assert [f.suffix for f in files] == [".json"] * len(CELLS)


def test_a_scheduler_by_address(tmp_path: Path) -> None:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
    ) as cluster:
        address = cluster.scheduler_address
        there = store.run(run_cell, CELLS[:2], tmp_path / "there", address=address)
    assert there == store.run(run_cell, CELLS[:2], tmp_path / "here", workers=0)


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path) -> None:
    log, folder = tmp_path / "log", tmp_path / "cells"
    cells = [Number(k, str(log)) for k in range(6)]
    (tmp_path / "stop").touch()
    with pytest.raises(KeyboardInterrupt):
        store.run(square, cells, folder, workers=0)
    assert len(list(folder.glob("*.json"))) == 3
    (tmp_path / "stop").unlink()
    results = store.run(square, cells, folder, workers=0)
    assert [r["square"] for r in results] == [0, 1, 4, 9, 16, 25]
    assert log.read_text().split() == ["0", "1", "2", "3", "3", "4", "5"]


def test_half_a_file_is_computed_again(tmp_path: Path) -> None:
    cells = [Number(2, str(tmp_path / "log"))]
    store.run(square, cells, tmp_path / "cells", workers=0)
    (file,) = (tmp_path / "cells").glob("*.json")
    file.write_text(file.read_text()[:5])
    assert store.run(square, cells, tmp_path / "cells", workers=0) == [{"square": 4}]
    assert json.loads(file.read_text()) == {"square": 4}


def test_changed_code_finds_no_old_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [Number(2, str(tmp_path / "log"))]
    store.run(square, cells, tmp_path / "cells", workers=0)
    monkeypatch.setattr(store, "code_digest", lambda _: "another")
    store.run(square, cells, tmp_path / "cells", workers=0)
    assert (tmp_path / "log").read_text().split() == ["2", "2"]


def test_digest_of_code_follows_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "hetlib"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "a.py").write_text("from hetlib import b\nx = b.y\n")
    (package / "b.py").write_text("y = 1  # one\n")
    (package / "c.py").write_text("z = 1\n")
    monkeypatch.setattr(store, "PACKAGE", package)
    first = store.code_digest("hetlib.a")
    (package / "b.py").write_text('"""About."""\n\n# a comment\ny =  1\n')
    (package / "c.py").write_text("z = 2\n")
    assert store.code_digest("hetlib.a") == first
    (package / "b.py").write_text("y = 2\n")
    assert store.code_digest("hetlib.a") != first


def test_workers_are_a_number(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="workers is -1"):
        store.run(square, [], tmp_path, workers=-1)
    assert store.run(square, [], tmp_path, workers=2) == []
