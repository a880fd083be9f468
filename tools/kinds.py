"""How often the audit names what was planted, and what was not: ``results/people-kinds.json``.

    python tools/kinds.py [sets [workers]]

Two hundred sets of each kind at each number of labels, and half as many as rankings and as
ratings, an hour on one core; sets that are done are kept in ``_build/kinds``, so that an
interrupted run goes on.
"""

from __future__ import annotations

import sys
from pathlib import Path

from hetlib import store
from hetlib.people import simulated

SETS, LABELS, NUMBER = 200, (10, 40, 160), 100
#: What is planted in rankings and ratings, at which numbers of pairs.
WHOLE, WHOLE_LABELS = ("nothing", "strengths", "carelessness", "types"), (10, 40)
#: With so many bootstrap ratios a p-value can reach a fifth of five percent.
LEAST = 99
ROOT = Path(__file__).parent.parent


def main() -> None:
    """Simulate, fit, judge, store."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else SETS
    workers = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    if number < LEAST:
        raise ValueError(f"sets is {number}; with fewer than {LEAST} no test can reject")
    kinds = [
        ("pairs", planted, labels)
        for labels in LABELS
        for planted in simulated.PLANTED
        if planted != "two strengths" or labels == LABELS[1]
    ]
    kinds += [(s, p, m) for s in simulated.SHAPES[1:] for p in WHOLE for m in WHOLE_LABELS]
    cells = [
        simulated.Trial(planted, labels, seed, NUMBER, shape)
        for seed in range(number)
        for shape, planted, labels in kinds
        if shape == "pairs" or 2 * seed < number
    ]
    found = store.run(
        simulated.ratios, cells, ROOT / "_build" / "kinds", workers=workers, label="sets"
    )
    results = {}
    for shape, planted, labels in kinds:
        pool, sets = (
            [
                f
                for cell, f in zip(cells, found, strict=True)
                if (cell.shape, cell.planted) == (shape, planted) and cell.labels in which
            ]
            for which in (LABELS, (labels,))
        )
        name = planted if shape == "pairs" else f"{planted}, {shape}"
        results[f"{name}, {labels}"] = simulated.summary(sets, pool) | {"sets": len(sets)}
    settings = {"sets": number, "labels": list(LABELS), "people": NUMBER, "code": simulated.code()}
    store.save_result(ROOT / "results/people-kinds.json", settings | store.device(), results)


if __name__ == "__main__":
    main()
