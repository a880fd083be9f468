"""From a .sav file to the distances of Figure 2: this library, HiGHS, and the released code.

Usage: python benchmarks/surveys.py CHECKOUT [--rows 10000] [--questions 150] [--waves 19]

CHECKOUT is a copy of https://github.com/arashne/dahp. Its script ``nbc_sensitivity.py`` runs
as it is, in its own process; only its list of files is cut down to the synthetic wave that
all three are given. The figures go to ``results/benchmark-surveys.json``.
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
from hetlib import sensitivity, surveys
from hetlib.synthetic_survey import make_wave, write_wave
from hetlib.validate import Array

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


def one_by_one(file: Path, slack: float) -> Array:
    """The same by one linear programme a pair; ``slack`` is the released code's bound."""
    out = []
    for q in surveys.read_survey(file, empty="count"):
        P = surveys.pairwise(q.shares, q.masses)
        pairs = np.argwhere(~np.isnan(sensitivity.smallest_changes(P)))
        found = [sensitivity.linear_programme(P, i, j, slack=slack) for i, j in pairs]
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


def main() -> None:
    """Run all three and store the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--questions", type=int, default=150)
    parser.add_argument("--waves", type=int, default=19)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"ATP {WAVE}.sav"
        rng = np.random.default_rng(0)
        write_wave(make_wave(WAVE, options.rows, options.questions, rng), file)
        ours(file)  # imports and the file cache are warm for everybody
        (tv, count), seconds = timed(ours, file, repeats=3)
        _, reading = timed(lambda: surveys.read_survey(file, empty="count"), repeats=3)
        highs, highs_seconds = timed(one_by_one, file, 0.0)
        bounded, _ = timed(one_by_one, file, 1e-5)
        _, many_seconds = timed(many, [file] * options.waves)
        theirs = released(options.checkout.resolve(), file)
    changed = np.isfinite(tv)
    same = len(theirs["tv"]) == int(changed.sum())
    results = {
        "seconds": {"ours": seconds, "ours_reading": reading, "highs": highs_seconds,
                    "released": theirs["seconds"], "waves": many_seconds},
        "ratio": {"released": theirs["seconds"] / seconds, "highs": highs_seconds / seconds},
        "questions": count,
        "changed": int(changed.sum()),
        "released": {k: theirs[k] for k in ("questions", "failed")}
        | {"changed": len(theirs["tv"])},
        "difference": {
            "highs": float(abs(highs[changed] - tv[changed]).max()),
            "released": float(abs(np.array(theirs["tv"]) - tv[changed]).max()) if same else None,
            "released_bounded": float(abs(np.array(theirs["tv"]) - bounded[changed]).max())
            if same else None,
        },
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine(),
    }  # fmt: skip
    settings = {"rows": options.rows, "questions": options.questions, "waves": options.waves}
    hetlib.runs.save_result(options.out, settings, results)
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
