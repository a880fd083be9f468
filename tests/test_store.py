"""The grid: what is stored is not computed again, and a dead worker changes no number."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from hetlib import store
from hetlib.comparison.cells import Cell, run_cell

CHOSEN = ("dpo", "personalised")
CELLS = [Cell("random", 600, seed, methods=CHOSEN) for seed in range(6)]


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


@pytest.mark.slow
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
    assert json.loads(file.read_text())["result"] == {"square": 4}


def test_changed_code_finds_no_old_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [Number(2, str(tmp_path / "log"))]
    store.run(square, cells, tmp_path / "cells", workers=0)
    monkeypatch.setattr(store, "code_digest", lambda _: "another")
    store.run(square, cells, tmp_path / "cells", workers=0)
    assert (tmp_path / "log").read_text().split() == ["2", "2"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[1]", b"5", b"null", b'"x"', b'{"k": 999}', b'{"square": 5}', b"\xff\xfe{}",
     b'{"digest": "0", "result": {"square": 5}}', b'{"digest": 0, "result": 5}', b"[" * 10**5],
)  # fmt: skip
def test_what_is_no_result_is_computed_again(content: bytes, tmp_path: Path) -> None:
    cells = [Number(2, str(tmp_path / "log"))]
    store.run(square, cells, tmp_path / "cells", workers=0)
    (file,) = (tmp_path / "cells").glob("*.json")
    file.write_bytes(content)
    assert store.run(square, cells, tmp_path / "cells", workers=0) == [{"square": 4}]
    assert (tmp_path / "log").read_text().split() == ["2", "2"]


def test_a_result_of_another_cell_does_not_count(tmp_path: Path) -> None:
    one, two = (Number(k, str(tmp_path / "log")) for k in (2, 5))
    store.run(square, [one], tmp_path / "cells", workers=0)
    (file,) = (tmp_path / "cells").glob("*.json")
    store.run(square, [two], tmp_path / "cells", workers=0)
    (other,) = set((tmp_path / "cells").glob("*.json")) - {file}
    other.write_bytes(file.read_bytes())
    assert store.run(square, [two], tmp_path / "cells", workers=0) == [{"square": 25}]


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"5", b'{"settings": 1}', b"\xff", b"{"])
def test_a_spoilt_result_file_is_named(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "ring.json"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"ring\.json is no"):
        store.load_result(file, {})


def test_a_result_file_changed_by_hand_is_named(tmp_path: Path) -> None:
    file = tmp_path / "ring.json"
    store.save_result(file, {"n": (1, 2)}, {"tv": 0.25})
    assert store.load_result(file, {"n": [1, 2]}) == {
        "settings": {"n": [1, 2]},
        "results": {"tv": 0.25},
    }
    file.write_text(file.read_text().replace("0.25", "0.26"))
    with pytest.raises(ValueError, match=r"ring\.json was changed"):
        store.load_result(file, {})


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_written_files_have_the_mode_of_new_ones(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        store.write(tmp_path / "a.txt", "text")
        store.save_result(tmp_path / "b.json", {}, {})
    finally:
        os.umask(before)
    for file in tmp_path.iterdir():
        assert file.stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize("content", ["text", b"bytes"])
def test_a_write_that_fails_leaves_what_was_there(
    content: str | bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.txt"
    store.write(file, "before")

    def full(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        store.write(file, content)
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert file.read_text() == "before"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    store.write(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "text"


def dies(_: Number) -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


@pytest.mark.slow
def test_workers_that_always_die_are_told(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="1 cells are left"):
        store.run(dies, [Number(1, "")], tmp_path, workers=1)


# ---- one writer ----

WRITERS = {
    "write_text",
    "write_bytes",
    "touch",
    "save_file",
    "savez",
    "savefig",
    "to_csv",
    "write_sav",
}


def written_past_the_store(source: str) -> list[str]:
    """Calls that write a file outside of a ``with writing(...)``."""
    tree = ast.parse(source)
    inside = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.With)
        and any("writing(" in ast.unparse(item.context_expr) for item in node.items)
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or id(node) in inside:
            continue
        called = ast.unparse(node.func)
        last = called.rpartition(".")[2]
        modes = [a.value for a in node.args if isinstance(a, ast.Constant)]
        modes += [k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)]
        opens = last == "open" and any(m in ("w", "wb", "a", "ab", "x", "xb", "w+") for m in modes)
        if opens or last in WRITERS or called in ("np.save", "torch.save", "json.dump"):
            found.append(called)
    return found


def test_everything_made_is_written_by_the_store() -> None:
    assert written_past_the_store("path.write_text(x)\nopen(p, 'w')\nnp.save(p, x)")
    assert not written_past_the_store("with writing(p) as part:\n    part.write_text(x)\nopen(p)")
    root = Path(__file__).parent.parent
    files = [p for folder in ("hetlib", "tools") for p in (root / folder).rglob("*.py")]
    found = {
        p.relative_to(root).as_posix(): written_past_the_store(p.read_text("utf-8")) for p in files
    }
    assert {name: len(calls) for name, calls in found.items() if calls} == {
        "hetlib/store.py": 1,  # the writer itself
        "hetlib/book/sliders.py": 1,  # into memory
        "tools/environment.py": 1,  # runs on any Python, and renames
        "tools/execute.py": 1,  # a lock
        "tools/mutants.py": 2,  # in a copy of the checkout
        "tools/opening.py": 1,  # into memory
    }


@pytest.mark.parametrize("limit", [0, 100])
def test_a_full_disk_leaves_what_was_there(limit: int, tmp_path: Path) -> None:
    """A small limit on the size of files stands for it; the error names the file."""
    code = (
        "import resource, signal, sys; from pathlib import Path; from hetlib import store\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "try: store.write(sys.argv[1], 'x' * 10000)\n"
        "except OSError as error: print(error)"
    )
    file = tmp_path / "a b é.txt"
    store.write(file, "before")
    command = [sys.executable, "-c", code, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "File too large" in done.stdout
    assert file.name in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == [file.name]
    assert file.read_text() == "before"


def test_a_place_that_is_not_for_writing_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file")
    for place in (tmp_path / "none" / "a.txt", tmp_path / "folder" / "a.txt"):
        with pytest.raises(OSError, match=r"a\.txt"):
            store.write(place, "text")


FORMS = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}


def runs_what_it_reads(source: str) -> list[str]:
    """Forms in a source by which reading a file can run code."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] in FORMS]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            found += [module] if module.split(".")[0] in FORMS else []
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            safe = {k.arg: ast.unparse(k.value) for k in node.keywords}
            if called in {"eval", "exec", "builtins.eval", "builtins.exec", "yaml.load"}:
                found.append(called)
            if called == "torch.load" and safe.get("weights_only") != "True":
                found.append(called)
            if safe.get("allow_pickle", "False") != "False":
                found.append(f"{called}(allow_pickle)")
            if safe.get("trust_remote_code", "False") != "False":
                found.append(f"{called}(trust_remote_code)")
            if called.endswith("read_pickle"):
                found.append(called)
    return found


@pytest.mark.parametrize(
    "form",
    ["import pickle", "from joblib import load", "torch.load(f)", "eval(x)", "exec(x)",
     "torch.load(f, weights_only=False)", "np.load(f, allow_pickle=True)", "pd.read_pickle(f)"],
)  # fmt: skip
def test_each_form_is_seen(form: str) -> None:
    assert runs_what_it_reads(form)
    assert not runs_what_it_reads("torch.load(f, weights_only=True); np.load(f); model.eval()")


def test_nothing_that_is_read_runs() -> None:
    root = Path(__file__).parent.parent
    files = [
        p for folder in ("hetlib", "tools", "benchmarks") for p in (root / folder).rglob("*.py")
    ]
    odd = {p.relative_to(root).as_posix(): runs_what_it_reads(p.read_text("utf-8")) for p in files}
    # the comparison with the released trainer defines a few of its classes, in a process of its own
    assert odd.pop("benchmarks/llm.py") == ["exec"]
    assert not {name: forms for name, forms in odd.items() if forms}


def test_workers_are_a_number(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="workers is -1"):
        store.run(square, [], tmp_path, workers=-1)
    assert store.run(square, [], tmp_path, workers=2) == []
