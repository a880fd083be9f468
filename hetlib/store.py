"""Finished runs: files that are whole or not there, and cells that are not computed twice.

A cell is a value that says what to compute. Its result is a file named by a digest of the
cell, of the code and of the versions of what the code rests on: an interrupted run loses the
cells it was at, and a changed program finds no old results. Processes of this machine, which
open no port, or the workers of a Dask scheduler compute the cells; a worker that dies costs
the cells that were being computed, which are computed again.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import importlib.metadata
import importlib.util
import json
import multiprocessing
import os
import platform
import secrets
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Protocol, TypeVar

from hetlib.book.progress import track
from hetlib.extras import require
from hetlib.provenance import Sources, normal_form, short

#: Libraries on whose version the results may depend.
LIBRARIES = ("numpy", "scipy")
#: How often in a row workers may die before any of them has finished a cell.
DEATHS = 3


class Describable(Protocol):
    """What a cell must offer.

    It may offer three things more. ``rests_on``: names of modules and files whose code counts
    besides the function's. ``parts()``: cells by name, whose results are stored one by one; and
    ``only(names)``: the cell with these parts alone. The function then returns a result for each
    name, and is asked for those that are missing.
    """

    def describe(self) -> dict[str, Any]:
        """Everything that the result depends on besides the code, as JSON."""


C = TypeVar("C", bound=Describable)


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[Path]:
    """A file beside the one to write, which takes its place at the end; gone after an error.

    It lies in the folder of its target, so that it can be renamed on any file system, and has
    the mode that new files have.
    """
    target = Path(os.path.realpath(path))  # a link stays one
    part = target.with_name(f".{target.name[:80]}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        part.touch(exist_ok=False)
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(target)
    except OSError as error:
        if error.errno and error.filename is None:  # a disk that is full does not say whose
            error.filename = str(target)
        raise
    finally:  # a stop by the keyboard as well
        part.unlink(missing_ok=True)


def write(path: str | Path, content: str | bytes) -> None:
    """Write a file that is whole or not there.

    Args:
        path: File to write; its folder must exist.
        content: Text, stored as UTF-8, or bytes.
    """
    with writing(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON that is whole or not there."""
    write(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


def _outside(sources: Sources, home: str) -> dict[str, str]:
    """Digests of a file, or of a module of another package, and of what it uses of hetlib."""
    if home.endswith(".py"):
        files = [Path(home)]
    else:
        spec = importlib.util.find_spec(home)
        origin = Path(spec.origin) if spec is not None and spec.origin else None
        if origin is None:
            raise ValueError(f"there is no module {home!r} whose code could be read")
        package = importlib.util.find_spec(home.split(".")[0])
        inside = package.submodule_search_locations if package is not None else None
        files = sorted(Path(inside[0]).rglob("*.py")) if inside else [origin]
    out: dict[str, str] = {}
    for file in files:
        text = file.read_text("utf-8")
        out |= {f"outside {file.name}": short(normal_form(text))} | sources.digests(code=text)
    return out


def code_digest(module: str, libraries: Sequence[str] = LIBRARIES, also: Sequence[str] = ()) -> str:
    """Digest of every file of hetlib that a module rests on.

    Args:
        module: Dotted name, such as ``hetlib.comparison.cells``. For one of another package
            all of hetlib counts.
        libraries: Packages whose versions count as well, where they are installed.
        also: Further modules, of hetlib or not, and Python files that count.

    Returns:
        Sixteen hexadecimal digits.
    """
    sources = Sources()
    if sources.file(module) is not None:
        parts: list[Any] = [sources.digests(module=module)]
    else:
        parts = [{sources.name(file): sources.digest(file) for file in sorted(sources.files)}]
    for home in also:
        known = sources.file(home) is not None
        parts[0] |= sources.digests(module=home) if known else _outside(sources, home)
    for name in libraries:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            parts.append([name, importlib.metadata.version(name)])
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def device() -> dict[str, Any]:
    """Processor, cores and versions, without the name of the machine; and the date."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].split(":", 1)[1].strip() if names else cpu
    versions = {}
    for name in ("numpy", "scipy", "torch"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
    } | versions


def _name(cell: Describable, code: str) -> str:
    text = json.dumps([code, cell.describe()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _seal(name: str, value: Any) -> str:
    """Digest of a stored content under its name."""
    return short(json.dumps([name, value], sort_keys=True))


def _read(file: Path) -> dict[str, Any] | None:
    """The result of a cell; None if there is none, or the file is not as it was written."""
    try:
        stored = json.loads(file.read_text("utf-8"))
        whole = stored["digest"] == _seal(file.stem, stored["result"])
    except (OSError, ValueError, TypeError, KeyError, IndexError, RecursionError):
        return None
    found = stored["result"] if whole else None
    return found if isinstance(found, dict) else None


def _keep(file: Path, result: dict[str, Any]) -> None:
    value = json.loads(json.dumps(result))  # keys as JSON has them
    text = {"digest": _seal(file.stem, value), "result": value}
    write(file, json.dumps(text, sort_keys=True) + "\n")


@contextlib.contextmanager
def one_thread_each() -> Iterator[None]:
    """Variables that a worker process reads when it starts."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ |= dict.fromkeys(before, "1")
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


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
        workers: Processes of this machine, one thread each; 0 computes in this one.
        address: A Dask scheduler to use instead, such as ``tls://10.0.0.1:8786``. Its workers
            need this version of hetlib; the folder is this process's alone. Certificates are
            those of Dask's own configuration (``distributed.comm.tls``, as a site sets it up);
            a ``tcp://`` address takes work from, and shows it to, everybody who reaches it.
        label: Text before the progress bar.

    Returns:
        Results in the order of the cells, as JSON gives them back.

    Raises:
        ValueError: a negative number of workers.
        RuntimeError: workers die again and again.
    """
    if workers < 0:
        raise ValueError(f"workers is {workers}; it must not be negative")
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    module = getattr(function, "__module__", "hetlib")
    codes: dict[tuple[str, ...], str] = {}

    def file(part: Any) -> Path:
        also = tuple(getattr(part, "rests_on", ()))
        if also not in codes:
            codes[also] = code_digest(module, also=also) if also else code_digest(module)
        return place / f"{_name(part, codes[also])}.json"

    whole = [not hasattr(cell, "parts") for cell in cells]
    files: list[dict[str, Path]] = [
        {"": file(cell)} if one else {name: file(part) for name, part in cell.parts().items()}  # type: ignore[attr-defined]
        for one, cell in zip(whole, cells, strict=True)
    ]
    missing: dict[int, C] = {}
    for k, cell in enumerate(cells):
        lacking = [name for name, path in files[k].items() if _read(path) is None]
        if lacking:
            missing[k] = cell if len(lacking) == len(files[k]) else cell.only(lacking)  # type: ignore[attr-defined]

    def keep(k: int, result: dict[str, Any]) -> None:
        for name, value in ({"": result} if whole[k] else result).items():
            _keep(files[k][name], value)

    if missing and workers == 0 and address is None:
        for k, cell in track(list(missing.items()), label):
            keep(k, function(cell))
    elif missing:
        bar = iter(track(range(len(missing)), label))
        if address is None:
            done = _in_processes(function, missing, workers)
        else:
            done = _by_scheduler(function, missing, address)
        with contextlib.closing(done):
            for k, result in done:
                keep(k, result)
                next(bar, None)
        for _ in bar:
            pass
        sys.stderr.flush()
    results: list[dict[str, Any]] = []
    for k, one in enumerate(whole):
        read = {name: _read(path) for name, path in files[k].items()}
        assert None not in read.values()
        results.append(read[""] if one else read)  # type: ignore[arg-type]
    return results


def _in_processes(
    function: Callable[[C], dict[str, Any]], missing: dict[int, C], workers: int
) -> Generator[tuple[int, dict[str, Any]]]:
    """Results as they come, from processes that are spoken to through pipes, not ports."""
    waiting, deaths = dict(missing), 0
    while waiting:
        with one_thread_each():
            context = multiprocessing.get_context("spawn")
            pool = ProcessPoolExecutor(min(workers, len(waiting)), context)
            try:
                futures = {pool.submit(function, c): k for k, c in waiting.items()}
                for future in as_completed(futures):
                    result, k = future.result(), futures[future]
                    del waiting[k]
                    deaths = 0
                    yield k, result
            except BrokenProcessPool:
                deaths += 1
                if deaths > DEATHS:
                    raise RuntimeError(
                        f"worker processes died {deaths} times before any had finished a cell; "
                        f"{len(waiting)} cells are left"
                    ) from None
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


def _by_scheduler(
    function: Callable[[C], dict[str, Any]], missing: dict[int, C], address: str
) -> Generator[tuple[int, dict[str, Any]]]:
    """Results as they come, from the workers of a Dask scheduler."""
    require("distributed")
    from distributed import Client, as_completed

    with Client(address, set_as_default=False) as client:
        once = secrets.token_hex(8)  # another run's cells have other keys
        futures = {
            client.submit(function, cell, key=f"{once}-{k}", pure=False): k
            for k, cell in missing.items()
        }
        for future, result in as_completed(list(futures), loop=client.loop, with_results=True):
            yield futures.pop(future), result  # forgetting the future frees the worker's copy


def save_result(path: str | Path, settings: dict[str, Any], results: Any) -> None:
    """Store a run as JSON; the file is whole or not there.

    Args:
        path: File to write; its folder must exist.
        settings: Everything that the results depend on, device and versions included.
        results: The figures.
    """
    content = json.loads(json.dumps({"settings": settings, "results": results}))
    write_json(path, content | {"digest": _seal("result", content)})


def load_result(path: str | Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """Results of a stored run, if it was made with these settings.

    Args:
        path: File of :func:`save_result`.
        settings: What the chapter asks for; other keys of the file are not compared.

    Returns:
        ``{"settings": ..., "results": ...}``, or None if there is no such file: not run.

    Raises:
        ValueError: the file was made with other settings (it names each difference), or is no
            stored run.
    """
    path = Path(path)
    if not path.exists():
        return None
    try:
        stored = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is no whole JSON file: {error}") from None
    if (
        not isinstance(stored, dict)
        or not isinstance(stored.get("settings"), dict)
        or "results" not in stored
    ):
        raise ValueError(f"{path.name} is no stored run; it must hold settings and results")
    digest = stored.pop("digest", None)  # files of before have none
    if digest is not None and digest != _seal("result", stored):
        raise ValueError(f"{path.name} was changed since it was stored; run it again")
    odd = [
        f"{key} is {stored['settings'].get(key)!r}, not {value!r}"
        for key, value in settings.items()
        if stored["settings"].get(key) != value
    ]
    if odd:
        raise ValueError(f"{path.name} was made with other settings: {'; '.join(odd)}")
    return stored
