"""Draw the picture of the index page from the exact optima of the ring of Section 7.2.

python tools/cover.py book/_static/cover.svg
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

import hetlib


def ring() -> tuple[np.ndarray, hetlib.Population]:
    """The responses, as offsets from the prompt, and the three types of Section 7.2."""
    delta = np.arange(-20, 20)
    rows = []
    for shift, scale, rate in ((-10, 4.0, 0.075), (0, 1.5, 0.1), (10, 4.0, 0.075)):
        distance = np.abs((delta - shift + 20) % 40 - 20)
        rows.append(scale * np.maximum(0, 1 - rate * distance))
    return delta, hetlib.Population(rows)


def draw(path: Path) -> None:
    """Two panels: what the types want, and what two methods choose for them."""
    hetlib.plots.style()
    mpl.rcParams.update({"svg.hashsalt": "cover", "axes.grid": False, "font.size": 12})
    delta, people = ring()
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2))
    for row, colour in zip(people.rewards, hetlib.plots.TYPES, strict=False):
        left.plot(delta, row, color=colour)
        left.fill_between(delta, row, color=colour, alpha=0.12)
    left.set(title="Three kinds of people", xlabel="response", ylabel="reward", yticks=[])
    dpo = hetlib.dpo_policy(people.pairwise())
    best = people.optimal_policy()
    right.plot(delta, best, color=hetlib.plots.COLOURS["average"])
    right.plot(delta, dpo, color=hetlib.plots.COLOURS["dpo"])
    top = int(best.argmax())
    right.annotate("what serves them best", (delta[top], best[top]), (-19.5, best.max() * 1.04),
                   color=hetlib.plots.COLOURS["average"])  # fmt: skip
    right.annotate("what DPO learns", (0, dpo.max()), (0.5, dpo.max() * 1.06), ha="center",
                   color=hetlib.plots.COLOURS["dpo"])  # fmt: skip
    right.set(title="One answer for all", xlabel="response", ylabel="probability", yticks=[])
    right.set_ylim(0, best.max() * 1.12)
    for axes in (left, right):
        axes.set_xticks([-10, 0, 10])
    fig.savefig(path, transparent=True, metadata={"Date": None})


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
