"""Several runs, side by side, each in a folder of its own; what is done is not done again."""

from __future__ import annotations

import functools
import hashlib
import json
import multiprocessing
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

import numpy as np
from tqdm import tqdm

from hetlib.book.progress import track
from hetlib.checks import Array
from hetlib.llm.data.tokens import TokenPairs
from hetlib.llm.model.settings import Settings
from hetlib.store import code_digest, one_thread_each

#: All that a run does is reached from this module.
TRAINING = "hetlib.llm.train.training"
SEAL = "complete.json"  #: Marks a whole checkpoint; the name of ``train.checkpoints``.
#: What the metrics of a finished run hold at least.
METRICS = {"agreement", "low", "high", "steps", "presentations"}
LIBRARIES = ("numpy", "torch", "transformers", "peft", "accelerate")

#: Data sets of a worker process by their place; sent once a process.
_WORK: list[TokenPairs] = []


class Job(NamedTuple):
    """One training run: settings, pairs to train on, pairs to measure on."""

    settings: Settings
    data: TokenPairs
    held_out: TokenPairs


@functools.cache
def _code() -> str:
    """Digest of the code that trains; what this process has loaded does not change."""
    return code_digest(TRAINING, LIBRARIES)


def run_folder(
    settings: Settings, data: TokenPairs, held_out: TokenPairs, folder: str | Path
) -> Path:
    """The folder of one run: readable, and different for different settings, data or code."""
    key = f"{settings.digest()} {data.digest()} {held_out.digest()} {_code()}"
    digest = hashlib.blake2b(key.encode(), digest_size=5).hexdigest()
    return Path(folder) / f"{settings.method}-{settings.labels}-{settings.seed}-{digest}"


def run_all(jobs: Sequence[Job], folder: str | Path, workers: int = 2) -> list[dict[str, Any]]:
    """Train every one of several runs.

    Finished runs are read again from their folders, and runs that were stopped go on. The
    metrics depend on settings and data alone, not on the number of workers.

    Args:
        jobs: The runs.
        folder: Folder of the runs' folders; pretrained small models are kept there as well.
        workers: Processes, each with one thread, each for many runs. 0: in this process.

    Returns:
        Metrics of each run as ``training.train`` returns them, with
        ``folder``, in the order of ``jobs``.

    Raises:
        ValueError: a negative number of workers, or what a run raises.
    """
    if workers < 0:
        raise ValueError(f"workers is {workers}; it must not be negative")
    folders = [run_folder(*job, folder) for job in jobs]
    todo = {path: job for path, job in zip(folders, jobs, strict=True) if _metrics(path) is None}
    for path in todo:
        leave_out_damaged(path)
    if todo and workers == 0:
        from hetlib.llm.train.training import train

        for path, job in track(list(todo.items()), "runs"):
            train(*job, path)
    elif todo:
        _in_processes(todo, Path(folder), min(workers, len(todo)))
    return [read_metrics(path) for path in folders]


def _in_processes(todo: dict[Path, Job], folder: Path, workers: int) -> None:
    sets = {id(data): data for job in todo.values() for data in job[1:]}
    place = {key: k for k, key in enumerate(sets)}
    given = (list(sets.values()),)
    with (
        one_thread_each(),
        ProcessPoolExecutor(workers, _context(), initializer=_start, initargs=given) as pool,
    ):
        try:
            # small models first, each once; runs on a model follow when it is there
            groups: dict[tuple[str, int], dict[Path, Job]] = {}
            for path, job in todo.items():
                small = json.dumps(job.settings.base()) if job.settings.model == "tiny" else ""
                groups.setdefault((small, place[id(job.data)]), {})[path] = job
            ready = {
                pool.submit(_prepare, next(iter(jobs.values())).settings, k, folder): jobs
                for (_, k), jobs in groups.items()
            }
            runs = []
            for done in as_completed(ready):
                done.result()
                for path, job in ready[done].items():
                    which = (place[id(job.data)], place[id(job.held_out)])
                    runs.append(pool.submit(_run, job.settings, *which, path))
            bar = tqdm(as_completed(runs), "runs", len(runs), leave=False, file=sys.stderr)
            for done in bar:
                done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _context() -> multiprocessing.context.BaseContext:
    """How workers start: never by forking this process, whose threads may hang in the copy.

    On Linux they are forked from a server that has imported what they need, so that only the
    first call waits for that.
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([TRAINING])
    return context


def _start(sets: list[TokenPairs]) -> None:
    import torch

    torch.set_num_threads(1)
    _WORK[:] = sets


def _prepare(settings: Settings, data: int, cache: Path) -> None:
    if settings.model == "tiny":
        from hetlib.llm.model.pretrain import pretrained

        pretrained(settings, _WORK[data], cache)


def _run(settings: Settings, data: int, held_out: int, path: Path) -> None:
    from hetlib.llm.train.training import train

    train(settings, _WORK[data], _WORK[held_out], path)


def leave_out_damaged(path: Path) -> None:
    """Let what a stopped run left and nobody can read count as if it were not there.

    That is half of its metrics, and checkpoints with a file that is damaged though as long as
    it should be: they lose their mark, so that the run goes on from an earlier one.

    Args:
        path: The run's folder.

    Warns:
        UserWarning: a checkpoint is left out; it names the file.
    """
    from safetensors import SafetensorError

    if (path / "metrics.json").is_file() and _metrics(path) is None:
        (path / "metrics.json").unlink()
    for folder in sorted(path.glob("checkpoint-*")):
        for file in sorted(p for p in folder.iterdir() if (folder / SEAL).exists()):
            try:
                _read_through(file)
            except (OSError, ValueError, RecursionError, BadZipFile, SafetensorError) as error:
                warnings.warn(f"{file} is damaged ({error}); {folder} is left out", stacklevel=2)
                (folder / SEAL).unlink()


def _read_through(file: Path) -> None:
    """Read a file of a checkpoint as its kind allows, without running anything in it."""
    from safetensors import safe_open

    if file.suffix == ".json":
        json.loads(file.read_text("utf-8"))
    elif file.suffix == ".safetensors":
        with safe_open(file, "np"):  # its head says where each number lies
            pass
    elif file.suffix in (".pt", ".pth"):  # packed, with a checksum a part
        with ZipFile(file) as packed:
            if (bad := packed.testzip()) is not None:
                raise BadZipFile(f"{bad} has another checksum")


def _metrics(path: Path) -> dict[str, Any] | None:
    """What a finished run stored; None if there is none, or not the whole of it."""
    try:
        found = json.loads((path / "metrics.json").read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and set(found) >= METRICS else None


def read_metrics(path: Path) -> dict[str, Any]:
    """Metrics of a finished run, with its folder.

    Raises:
        ValueError: there are none, or the file is not whole.
    """
    found = _metrics(path)
    if found is None:
        raise ValueError(f"{path / 'metrics.json'} holds no metrics of a finished run")
    return found | {"folder": str(path)}


def read_scores(metrics: dict[str, Any]) -> Array:
    """Rewards of both texts of the held-out pairs, shape (pairs, 2), of a finished run."""
    file = Path(metrics["folder"]) / "scores.npy"
    try:
        with file.open("rb") as stored:
            found = np.load(stored, allow_pickle=False)
    except (ValueError, EOFError, BadZipFile) as error:
        raise ValueError(
            f"{file} is damaged ({error}); remove its folder, and run again"
        ) from error
    return np.asarray(found)
