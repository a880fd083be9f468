"""Draw the picture of the index page from the exact optima of the ring of Section 7.2.

python tools/cover.py book/_static/cover.svg
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

import hetlib


def draw(path: Path) -> None:
    """Two panels: what the types want, and what two methods choose for them."""
    hetlib.book.plots.style()
    mpl.rcParams.update({"svg.hashsalt": "cover", "axes.grid": False, "font.size": 12})
    ring = hetlib.RingEnvironment()
    delta, people = ring.offsets, ring.centred()
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2))
    for row, colour in zip(people.rewards, hetlib.book.plots.TYPES, strict=False):
        left.plot(delta, row, color=colour)
        left.fill_between(delta, row, color=colour, alpha=0.12)
    left.set(title="Three kinds of people", xlabel="response", ylabel="reward", yticks=[])
    dpo, best = ring.optimum("dpo"), ring.best()
    right.plot(delta, best, color=hetlib.book.plots.COLOURS["average"])
    right.plot(delta, dpo, color=hetlib.book.plots.COLOURS["dpo"])
    top = int(best.argmax())
    right.annotate("what serves them best", (delta[top], best[top]), (-19.5, best.max() * 1.06),
                   color=hetlib.book.plots.COLOURS["average"])  # fmt: skip
    right.annotate("what DPO learns", (0, 0), (0, 0.6 * best.max()), ha="center",
                   color=hetlib.book.plots.COLOURS["dpo"])  # fmt: skip
    right.set(title="One answer for all", xlabel="response", ylabel="probability", yticks=[])
    right.set_ylim(0, best.max() * 1.12)
    for axes in (left, right):
        axes.set_xticks([-10, 0, 10])
    with hetlib.store.writing(path) as part:
        fig.savefig(part, format="svg", transparent=True, metadata={"Date": None})


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
