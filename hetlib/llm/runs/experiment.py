"""Several runs, side by side, each in a folder of its own; what is done is not done again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from hetlib.book.progress import track
from hetlib.checks import Array
from hetlib.llm.data.tokens import TokenPairs
from hetlib.llm.model.settings import Settings

#: Data sets of a worker process by their place; sent once a process.
_WORK: list[TokenPairs] = []


class Job(NamedTuple):
    """One training run: settings, pairs to train on, pairs to measure on."""

    settings: Settings
    data: TokenPairs
    held_out: TokenPairs


def run_folder(
    settings: Settings, data: TokenPairs, held_out: TokenPairs, folder: str | Path
) -> Path:
    """The folder of one run: readable, and different for different settings or data."""
    key = f"{settings.digest()} {data.digest()} {held_out.digest()}"
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
    todo = {
        path: job
        for path, job in zip(folders, jobs, strict=True)
        if not (path / "metrics.json").exists()
    }
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
        _one_thread_each(),
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


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Variables that a worker reads when it starts."""
    before = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    os.environ |= dict.fromkeys(before, "1")
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _context() -> multiprocessing.context.BaseContext:
    """How workers start: never by forking this process, whose threads may hang in the copy.

    On Linux they are forked from a server that has imported what they need, so that only the
    first call waits for that.
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["hetlib.llm.train.training"])
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


def read_metrics(path: Path) -> dict[str, Any]:
    """Metrics of a finished run, with its folder."""
    found: dict[str, Any] = json.loads((path / "metrics.json").read_text())
    return found | {"folder": str(path)}


def read_scores(metrics: dict[str, Any]) -> Array:
    """Rewards of both texts of the held-out pairs, shape (pairs, 2), of a finished run."""
    return np.asarray(np.load(Path(metrics["folder"]) / "scores.npy"))
