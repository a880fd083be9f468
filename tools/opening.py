"""Make the figure that opens the book: ten people, two answers, one slider.

python tools/opening.py book/_static/opening.html
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import expit

import hetlib
from hetlib.book.plots import COLOURS
from hetlib.book.sliders import SliderFigure, slider_figure

MILD = 0.6  # by how much nine people prefer the first answer
OFFENCE = np.arange(0, 12.5, 0.5)  # by how much the tenth prefers the second
GROUPS = ["nine people", "the tenth", "all ten", "all ten as DPO reads them"]


def margins(offence: float) -> tuple[float, float]:
    """Margin of the first answer over the second: of DPO, and of the average reward."""
    people = hetlib.Population([[MILD, 0.0], [0.0, offence]], [0.9, 0.1])
    dpo = np.log(hetlib.dpo_policy(people.pairwise()))
    best = people.mean_reward()
    return float(dpo[0] - dpo[1]), float(best[0] - best[1])


def caption(offence: float) -> str:
    """A frame in words."""
    dpo, best = margins(offence)
    answer = "DPO's answer, too" if (dpo > 0) == (best > 0) else "DPO still gives the first"
    chosen = "first" if best > 0 else "second"
    return (
        f"The {chosen} answer serves the ten best on average; {answer}. DPO gives the first in "
        f"{expit(dpo):.1%} of cases, the best policy in {expit(best):.1%}."
    )


def figure() -> SliderFigure:
    """The slider figure, with a static picture at a strong offence."""
    both = 10 * np.array([margins(z) for z in OFFENCE])  # summed over ten people
    none = np.zeros_like(OFFENCE)
    people = np.column_stack([none + 9 * MILD, -OFFENCE, none, none])
    best = np.column_stack([none, none, both[:, 1], none])
    dpo = np.column_stack([none, none, none, both[:, 0]])
    start = int(np.argmax(both[:, 1] < 0)) - 2  # two steps before the best answer turns
    hetlib.book.plots.style()
    fig, ax = plt.subplots(figsize=(7.2, 3.0))
    shown = start + 6
    heights = [9 * MILD, -OFFENCE[shown], both[shown, 1], both[shown, 0]]
    ink = [COLOURS[role] for role in ("reference", "reference", "average", "dpo")]
    ax.bar(GROUPS, heights, color=ink, width=0.55)
    ax.axhline(0, color="black", lw=0.8)
    ax.set(ylabel="first answer over second")
    return slider_figure(
        {"how much the tenth prefers the second answer": OFFENCE},
        GROUPS,
        {"wishes": people, "their sum": best, "DPO": dpo},
        captions=lambda k: caption(float(OFFENCE[k])),
        colours={"wishes": "reference", "their sum": "average", "DPO": "dpo"},
        start={"how much the tenth prefers the second answer": start},
        ylabel="first answer over second",
        ylim=(-12.5, 6.5),
        digits=2,
        fallback=fig,
        alt=(
            "Bars: nine people together prefer the first answer by 5.4, the tenth prefers the "
            "second by more. The sum of the ten is negative, what DPO reads from their votes is "
            "positive."
        ),
    )


if __name__ == "__main__":
    hetlib.store.write(Path(sys.argv[1]), figure()._html() + "\n")
