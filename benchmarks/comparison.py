"""How long each method of chapter 14 takes: from labels to policy, on one thread.

    python benchmarks/comparison.py [seeds]

Each method alone, on 10,000 labels of each world, the choice of its ridge by cross-validation
included, median over seeds. Labels are drawn before the clock starts, and what methods share
(the types that EM finds) is timed for each. Results go to results/comparison-times.json; it is
processor time, and the ratio of wall to processor time says how busy the machine was.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from hetlib.comparison.budgets import LabelSet
from hetlib.comparison.cells import Cell
from hetlib.comparison.methods import METHODS
from hetlib.comparison.worlds import WORLDS, make_world
from hetlib.core.newton import ConvergenceError
from hetlib.store import device, save_result

ROOT = Path(__file__).parent.parent
BUDGET, SEEDS = 10_000, 5


def seconds(key: str, world: str, seed: int) -> tuple[float, float]:
    """Processor and wall time of one fit."""
    cell = Cell(world, BUDGET, seed)
    labels = LabelSet(make_world(world, seed), cell.budget, seed)
    if METHODS[key].form == "people":
        _ = labels.people
    elif METHODS[key].form in ("anonymous", "typed", "twice"):
        getattr(labels, METHODS[key].form)
    cpu, wall = time.process_time(), time.perf_counter()
    try:
        METHODS[key].fit(labels)
    except ConvergenceError:
        print(f"{key} did not converge in {world}, seed {seed}")
    return time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
    """Measure, print, store."""
    rows: dict[str, Any] = {}
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS
    spent = np.zeros(2)
    for world in (name for name in WORLDS if name != "own"):  # nobody gave its rewards
        seconds("integral", world, 0)  # what is loaded on first use
        rows[world] = {}
        for key in METHODS:
            times = np.array([seconds(key, world, seed) for seed in range(seeds)])
            spent += times.sum(axis=0)
            cpu, wall = np.median(times, axis=0)
            rows[world][key] = {"cpu_s": round(float(cpu), 5), "wall_s": round(float(wall), 5)}
            print(f"{world:8s} {key:16s} {cpu:8.4f} s", flush=True)
    idle = bool(spent[1] < 1.2 * spent[0])
    note = f"{'median of ' if seeds > 1 else ''}{seeds} seed{'s'[: seeds > 1]}"
    note += "" if idle else ", with other work beside it"
    settings = {"budget": BUDGET, "seeds": seeds, "threads": 1, "note": note} | device()
    save_result(ROOT / "results" / "comparison-times.json", settings, rows)


if __name__ == "__main__":
    main()
