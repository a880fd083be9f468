"""Many independent computations on several processes, each result kept as soon as it is there.

A cell is a value that says what to compute. Its result is a file named by a digest of the
cell, of the code and of the versions of what the code rests on: an interrupted run loses the
cells it was at, and a changed program finds no old results. Dask distributes the cells; a
worker that dies costs the cell it was at, which another one repeats.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.metadata
import json
import logging
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from hetlib.book.progress import track
from hetlib.extras import require

PACKAGE = Path(__file__).parent
#: Libraries on whose version the results may depend.
LIBRARIES = ("numpy", "scipy")


class Describable(Protocol):
    """What a cell must offer."""

    def describe(self) -> dict[str, Any]:
        """Everything that the result depends on besides the code, as JSON."""


C = TypeVar("C", bound=Describable)


def _files(module: str) -> Iterator[Path]:
    """Source files of a module of hetlib: its own and those of the packages around it."""
    parts = module.split(".")[1:]
    for depth in range(len(parts) + 1):
        base = PACKAGE.joinpath(*parts[:depth])
        if (base / "__init__.py").is_file():
            yield base / "__init__.py"
    if (file := PACKAGE.joinpath(*parts).with_suffix(".py")).is_file():
        yield file


def _without_docstrings(tree: ast.Module) -> ast.Module:
    """What a module does, without what it says about itself; changed in place."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:]
    return tree


def code_digest(module: str) -> str:
    """Digest of a module of hetlib, of all that it imports from hetlib, and of packaged data.

    Comments, docstrings and layout do not count.

    Args:
        module: Dotted name, such as ``hetlib.comparison.cells``.

    Returns:
        Sixteen hexadecimal digits; versions of NumPy and SciPy are part of it.
    """
    waiting, seen = [module], dict[Path, str]()
    while waiting:
        for file in _files(waiting.pop()):
            if file in seen:
                continue
            tree = ast.parse(file.read_text("utf-8"))
            seen[file] = ast.dump(_without_docstrings(tree))
            for node in ast.walk(tree):
                if isinstance(node, ast.Import):
                    waiting += [a.name for a in node.names if a.name.startswith("hetlib")]
                elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hetlib"):
                    waiting += [f"{node.module}.{a.name}" for a in node.names]
    digest = hashlib.sha256()
    for name in LIBRARIES:
        digest.update(f"{name} {importlib.metadata.version(name)}".encode())
    for file in sorted(seen):
        digest.update(f"{file.relative_to(PACKAGE)} {seen[file]}".encode())
    for file in sorted((PACKAGE / "data").glob("*")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _name(cell: Describable, code: str) -> str:
    text = json.dumps([code, cell.describe()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _read(file: Path) -> dict[str, Any] | None:
    try:
        stored: dict[str, Any] = json.loads(file.read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return stored


def _write(file: Path, value: dict[str, Any]) -> None:
    """The file is whole or not there."""
    with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False, encoding="utf-8") as part:
        part.write(json.dumps(value, sort_keys=True) + "\n")
    Path(part.name).replace(file)


@contextlib.contextmanager
def _client(address: str | None, workers: int) -> Iterator[Any]:
    """A client of the scheduler at an address, or of a cluster of this machine's own."""
    require("distributed")
    import dask
    from distributed import Client, LocalCluster

    quiet = {"distributed.worker.daemon": False, "distributed.logging.distributed": "critical"}
    with contextlib.ExitStack() as stack:
        stack.enter_context(dask.config.set(quiet))
        if address is None:
            cluster = stack.enter_context(
                LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address="127.0.0.1:0",  # any free port: several runs at once
                    silence_logs=logging.CRITICAL,
                )
            )
            address = cluster.scheduler_address
        yield stack.enter_context(Client(address, set_as_default=False))


def run(
    function: Callable[[C], dict[str, Any]],
    cells: Sequence[C],
    folder: str | Path,
    *,
    workers: int = 2,
    address: str | None = None,
    label: str = "cells",
) -> list[dict[str, Any]]:
    """Compute a function on many cells; what is in the folder already is not computed again.

    Args:
        function: From a cell to a result that JSON can hold; of a module of hetlib, whose
            code then is part of the name of each result.
        cells: What to compute.
        folder: For the results; made if it is not there.
        workers: Processes of a local cluster; 0 computes here, without Dask.
        address: A Dask scheduler to use instead, such as ``tcp://10.0.0.1:8786``. Its workers
            need this version of hetlib; the folder is this process's alone.
        label: Text before the progress bar.

    Returns:
        Results in the order of the cells, as JSON gives them back.

    Raises:
        ValueError: a negative number of workers.
    """
    if workers < 0:
        raise ValueError(f"workers is {workers}; it must not be negative")
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    code = code_digest(getattr(function, "__module__", "hetlib"))
    files = [place / f"{_name(cell, code)}.json" for cell in cells]
    missing = {file: cell for file, cell in zip(files, cells, strict=True) if _read(file) is None}
    if missing and workers == 0 and address is None:
        for file, cell in track(list(missing.items()), label):
            _write(file, function(cell))
    elif missing:
        _distribute(function, missing, workers, address, label)
    results = [_read(file) for file in files]
    assert None not in results
    return [result for result in results if result is not None]


def _distribute(
    function: Callable[[C], dict[str, Any]],
    missing: dict[Path, C],
    workers: int,
    address: str | None,
    label: str,
) -> None:
    from distributed import as_completed

    with _client(address, min(workers, len(missing)) or 1) as client:
        futures = {
            client.submit(function, cell, key=file.stem, pure=False): file
            for file, cell in missing.items()
        }
        done = as_completed(list(futures), loop=client.loop, with_results=True)
        bar = iter(track(range(len(futures)), label))
        for future, result in done:
            _write(futures.pop(future), result)  # forgetting the future frees the worker's copy
            next(bar, None)
        for _ in bar:
            pass
    sys.stderr.flush()


def save_result(path: str | Path, settings: dict[str, Any], results: dict[str, Any]) -> None:
    """Store a run as JSON; the file is whole or not there.

    Args:
        path: File to write; its folder must exist.
        settings: Everything that the results depend on, device and versions included.
        results: The figures.
    """
    path = Path(path)
    text = json.dumps({"settings": settings, "results": results}, indent=1, sort_keys=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(text + "\n")
    Path(file.name).replace(path)


def load_result(path: str | Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """Results of a stored run, if it was made with these settings.

    Args:
        path: File of :func:`save_result`.
        settings: What the chapter asks for; other keys of the file are not compared.

    Returns:
        ``{"settings": ..., "results": ...}``, or None if there is no such file: not run.

    Raises:
        ValueError: the file was made with other settings; it names each difference.
    """
    path = Path(path)
    if not path.exists():
        return None
    stored: dict[str, Any] = json.loads(path.read_text())
    odd = [
        f"{key} is {stored['settings'].get(key)!r}, not {value!r}"
        for key, value in settings.items()
        if stored["settings"].get(key) != value
    ]
    if odd:
        raise ValueError(f"{path.name} was made with other settings: {'; '.join(odd)}")
    return stored
