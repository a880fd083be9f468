"""From a .sav file to the distances of Figure 2: this library, HiGHS, and the released code.

Usage: python benchmarks/surveys.py [CHECKOUT] [--rows 10000] [--questions 150] [--waves 19]

CHECKOUT is a copy of https://github.com/arashne/dahp. Its script ``nbc_sensitivity.py`` runs
as it is, in its own process; only its list of files is cut down to the synthetic wave that
all three are given. The figures go to ``results/benchmark-surveys.json``. Without a checkout
the other two are compared, and nothing is stored.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import hetlib
from hetlib import surveys
from hetlib.borda import sensitivity
from hetlib.checks import Array
from hetlib.surveys.synthetic import make_wave, write_wave

OUT = Path(__file__).parent.parent / "results" / "benchmark-surveys.json"
WAVE = "W83"

#: Runs the released script on one file and keeps what it found.
DRIVER = """
import json, runpy, sys, time
import utils.constants as constants
constants.SURVEYS.clear()
constants.SURVEYS[sys.argv[1]] = sys.argv[2]
start = time.perf_counter()
found = runpy.run_path(sys.argv[3])
seconds = time.perf_counter() - start
keep = {"seconds": seconds, "tv": list(map(float, found["tv_distances"]))}
keep |= {"questions": found["c"], "failed": found["fail"]}
open(sys.argv[4], "w").write(json.dumps(keep))
"""


def released(checkout: Path, file: Path) -> dict[str, Any]:
    """What the released script finds in a file, and how long it takes."""
    home = checkout / "Pew Research experiments"
    script = home / "nbc_sensitivity.py"
    if not script.is_file():
        raise SystemExit(f"{checkout} is no checkout of the released code: {script.name} missing")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.json"
        environment = os.environ | {"PYTHONPATH": str(home), "MPLBACKEND": "Agg"}
        subprocess.run(
            [sys.executable, "-c", DRIVER, WAVE, str(file), str(script), str(out)],
            cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        found: dict[str, Any] = json.loads(out.read_text())
    return found


def ours(file: Path) -> tuple[Array, int]:
    """Distances of the questions that the released code attempts, and how many there are."""
    read = surveys.read_survey(file, empty="count")
    P = [surveys.pairwise(q.shares, q.masses) for q in read]
    return sensitivity.distances(P), len(P)


def matrices(file: Path) -> list[Array]:
    """Choice probabilities of the questions, read as the released code reads them."""
    return [surveys.pairwise(q.shares, q.masses) for q in surveys.read_survey(file, empty="count")]


def one_by_one(P: list[Array], slack: float) -> Array:
    """Distances by one linear programme a pair; ``slack`` is the released code's bound."""
    out = []
    for p in P:
        pairs = np.argwhere(~np.isnan(sensitivity.smallest_changes(p)))
        found = [sensitivity.linear_programme(p, i, j, slack=slack) for i, j in pairs]
        out.append(min((c.tv for c in found if c), default=np.inf))
    return np.array(out)


def timed(function: Any, *args: Any, repeats: int = 1) -> tuple[Any, float]:
    """The result and the shortest of several wall times."""
    best = np.inf
    for _ in range(repeats):
        start = time.perf_counter()
        result = function(*args)
        best = min(best, time.perf_counter() - start)
    return result, float(best)


def many(files: list[Path]) -> int:
    """Number of changeable questions in many waves, on two processes."""
    with ProcessPoolExecutor(2) as pool:
        return int(sum(np.isfinite(tv).sum() for tv, _ in pool.map(ours, files)))


def machine() -> dict[str, Any]:
    """Processor and versions; no name of a computer."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((s.split(":")[1].strip() for s in lines if s.startswith("model name")), "unknown")
    import pyreadstat
    import scipy

    return {
        "processor": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "pyreadstat": pyreadstat.__version__,
    }


def compare(file: Path, waves: int) -> tuple[dict[str, Any], Array, Array]:
    """Greedy against HiGHS: seconds and differences; distances without and with the bound."""
    ours(file)  # imports and the file cache are warm for everybody
    (tv, count), whole = timed(ours, file, repeats=3)
    P, reading = timed(matrices, file, repeats=3)
    _, greedy = timed(sensitivity.distances, P, repeats=3)
    highs, solving = timed(one_by_one, P, 0.0)
    _, many_seconds = timed(many, [file] * waves)
    changed = np.isfinite(tv)
    seconds = {"ours": whole, "ours_reading": reading, "ours_solving": greedy}
    seconds |= {"highs": reading + solving, "highs_solving": solving, "waves": many_seconds}
    found = {
        "seconds": seconds,
        "ratio": {"highs": (reading + solving) / whole, "highs_solving": solving / greedy},
        "questions": count,
        "changed": int(changed.sum()),
        "difference": {"highs": float(abs(highs[changed] - tv[changed]).max(initial=0))},
    }
    return found, tv[changed], one_by_one(P, 1e-5)[changed]


def add_released(results: dict[str, Any], theirs: dict[str, Any], tv: Array, bound: Array) -> None:
    """Put the released code's figures beside ours."""
    other = np.array(theirs["tv"])
    results["released"] = {k: theirs[k] for k in ("questions", "failed")} | {"changed": len(other)}
    results["seconds"]["released"] = theirs["seconds"]
    results["ratio"]["released"] = theirs["seconds"] / results["seconds"]["ours"]
    for name, values in (("released", tv), ("released_bounded", bound)):
        same = len(other) == len(values)
        results["difference"][name] = float(abs(other - values).max()) if same else None


def main() -> None:
    """Run all and store the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path, nargs="?")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--questions", type=int, default=150)
    parser.add_argument("--waves", type=int, default=19)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"ATP {WAVE}.sav"
        rng = np.random.default_rng(0)
        write_wave(make_wave(WAVE, options.rows, options.questions, rng), file)
        results, tv, bound = compare(file, options.waves)
        if options.checkout:
            add_released(results, released(options.checkout.resolve(), file), tv, bound)
    results |= {"date": datetime.datetime.now(datetime.UTC).date().isoformat()}
    results |= {"machine": machine()}
    print(json.dumps(results, indent=1))
    if options.checkout:
        settings = {k: getattr(options, k) for k in ("rows", "questions", "waves")}
        hetlib.store.save_result(options.out, settings, results)


if __name__ == "__main__":
    main()
