"""How often the audit names what was planted, and what was not: ``results/people-kinds.json``.

    python tools/kinds.py [sets]

Two hundred sets of each kind at each number of labels, half an hour on one core; sets that are
done are kept in ``_build/kinds``, so that an interrupted run goes on.
"""

from __future__ import annotations

import sys
from pathlib import Path

from hetlib import store
from hetlib.people import simulated

SETS, LABELS, NUMBER = 200, (10, 40, 160), 100
#: With so many bootstrap ratios a p-value can reach a fifth of five percent.
LEAST = 99
ROOT = Path(__file__).parent.parent


def main() -> None:
    """Simulate, fit, judge, store."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else SETS
    if number < LEAST:
        raise ValueError(f"sets is {number}; with fewer than {LEAST} no test can reject")
    kinds = [
        (planted, labels)
        for labels in LABELS
        for planted in simulated.PLANTED
        if planted != "two strengths" or labels == LABELS[1]
    ]
    cells = [simulated.Trial(*kind, seed, NUMBER) for seed in range(number) for kind in kinds]
    found = store.run(simulated.ratios, cells, ROOT / "_build" / "kinds", workers=4, label="sets")
    results = {}
    for planted, labels in kinds:
        pool = [f for cell, f in zip(cells, found, strict=True) if cell.planted == planted]
        sets = [
            f
            for cell, f in zip(cells, found, strict=True)
            if (cell.planted, cell.labels) == (planted, labels)
        ]
        results[f"{planted}, {labels}"] = simulated.summary(sets, pool)
    settings = {"sets": number, "labels": list(LABELS), "people": NUMBER, "code": simulated.code()}
    store.save_result(ROOT / "results/people-kinds.json", settings | store.device(), results)


if __name__ == "__main__":
    main()
