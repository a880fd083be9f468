"""Several runs, side by side, each in a folder of its own; what is done is not done again."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from hetlib.llm.settings import Settings
from hetlib.llm.tokens import TokenPairs
from hetlib.progress import track
from hetlib.validate import Array

#: What a worker process works on; set once, so that data travel once a process.
_WORK: dict[str, Any] = {}


def run_folder(
    settings: Settings, data: TokenPairs, held_out: TokenPairs, folder: str | Path
) -> Path:
    """The folder of one run: readable, and different for different settings or data."""
    key = f"{settings.digest()} {data.digest()} {held_out.digest()}"
    digest = hashlib.blake2b(key.encode(), digest_size=5).hexdigest()
    return Path(folder) / f"{settings.method}-{settings.labels}-{settings.seed}-{digest}"


def run_all(
    runs: Sequence[Settings],
    data: TokenPairs,
    held_out: TokenPairs,
    folder: str | Path,
    workers: int = 2,
) -> list[dict[str, Any]]:
    """Train every one of several settings.

    Finished runs are read again from their folders, and runs that were stopped go on. The
    metrics depend on settings and data alone, not on the number of workers.

    Args:
        runs: The settings.
        data: Training pairs, the same for all.
        held_out: Pairs to measure on.
        folder: Folder of the runs' folders; the pretrained small model is kept there as well.
        workers: Processes, each with one thread, each for many runs. 0: in this process.

    Returns:
        Metrics of each run as ``training.train`` returns them, with
        ``folder``, in the order of ``runs``.

    Raises:
        ValueError: a negative number of workers, or what a run raises.
    """
    if workers < 0:
        raise ValueError(f"workers is {workers}; it must not be negative")
    folders = [run_folder(settings, data, held_out, folder) for settings in runs]
    todo = {
        path: settings
        for path, settings in zip(folders, runs, strict=True)
        if not (path / "metrics.json").exists()
    }
    if todo and workers == 0:
        from hetlib.llm.training import train

        for path, settings in track(list(todo.items()), "runs"):
            train(settings, data, held_out, path)
    elif todo:
        _in_processes(todo, data, held_out, min(workers, len(todo)))
    return [read_metrics(path) for path in folders]


def _in_processes(
    todo: dict[Path, Settings], data: TokenPairs, held_out: TokenPairs, workers: int
) -> None:
    context = multiprocessing.get_context("spawn")  # forking a process with threads may hang
    threads = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    os.environ |= dict.fromkeys(threads, "1")  # read when a worker starts
    try:
        with ProcessPoolExecutor(
            workers, context, initializer=_start, initargs=(data, held_out)
        ) as pool:
            # the small models first, one a worker at most, so that none is trained twice
            small = {json.dumps(s.base()): s for s in todo.values() if s.model == "tiny"}
            parent = next(iter(todo)).parent
            for done in [pool.submit(_prepare, s, parent) for s in small.values()]:
                done.result()
            waiting = [pool.submit(_run, settings, path) for path, settings in todo.items()]
            try:
                for done in tqdm(
                    as_completed(waiting), "runs", len(waiting), leave=False, file=sys.stderr
                ):
                    done.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        for name, value in threads.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _start(data: TokenPairs, held_out: TokenPairs) -> None:
    import torch

    torch.set_num_threads(1)
    _WORK.update(data=data, held_out=held_out)


def _prepare(settings: Settings, cache: Path) -> None:
    from hetlib.llm.pretrain import pretrained

    pretrained(settings, _WORK["data"], cache)


def _run(settings: Settings, path: Path) -> None:
    from hetlib.llm.training import train

    train(settings, _WORK["data"], _WORK["held_out"], path)


def read_metrics(path: Path) -> dict[str, Any]:
    """Metrics of a finished run, with its folder."""
    found: dict[str, Any] = json.loads((path / "metrics.json").read_text())
    return found | {"folder": str(path)}


def read_scores(metrics: dict[str, Any]) -> Array:
    """Rewards of both texts of the held-out pairs, shape (pairs, 2), of a finished run."""
    return np.asarray(np.load(Path(metrics["folder"]) / "scores.npy"))
