"""Draw the pictures of the first page and of the README, computed from the book's examples.

python tools/opening.py book/_static/opening

Each picture has few words, so that it can be read on a phone; a test draws them again and
checks what the first page says of them.
"""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

import hetlib
from hetlib.book.plots import COLOURS
from hetlib.borda.optima import dpo_reward
from hetlib.checks import Array
from hetlib.consistent.expected import agreement_loss, probabilities
from hetlib.core.newton import minimise
from hetlib.linked.corrected import Correction, corrected_reward
from hetlib.linked.moments import exact_moments

MILD, OFFENCE = 0.6, 6.5  # where the sliders of the first page start
READERS = ("DPO", "two by each", "one of each kind")


def lead(reward: Array) -> float:
    """By how much the first response leads the second."""
    return float(reward[0] - reward[1])


def ten(offence: float) -> hetlib.Population:
    """Nine people who prefer the first of two responses a little, and one who minds it."""
    return hetlib.Population([[MILD, 0], [0, offence]], weights=[0.9, 0.1])


def people() -> dict[str, float]:
    """What the ten want, and what DPO reads from their votes, as sums over people."""
    p = ten(OFFENCE)
    return {
        "nine people": 9 * lead(p.rewards[0]),
        "the tenth": lead(p.rewards[1]),
        "all ten": 10 * lead(p.mean_reward()),
        "as DPO reads": 10 * lead(dpo_reward(p.pairwise())),
    }


def why() -> tuple[Array, Array, Array]:
    """How much the tenth minds, and the lead of the first response on average and for DPO."""
    minds = np.linspace(0, 12, 49)
    crowds = [ten(offence) for offence in minds]
    wanted = np.array([lead(p.mean_reward()) for p in crowds])
    return minds, wanted, np.array([lead(dpo_reward(p.pairwise())) for p in crowds])


def depends() -> tuple[Array, Array, Array]:
    """Share of the data that shows the third response, and the lead of the first as before."""
    p = hetlib.Population([[4, 2, 0], [0, 1, 0]])
    shares = np.linspace(0.02, 0.9, 45)
    read = [lead(dpo_reward(p.pairwise(), [(1 - d) / 2, (1 - d) / 2, d])) for d in shares]
    return shares, np.full(45, lead(p.mean_reward())), np.array(read)


def helps() -> tuple[float, list[float]]:
    """The lead that two kinds of people want on average, and what each of READERS reads."""
    p = hetlib.Population([[3, 0], [-1, 0]])
    wanted, pairwise = lead(p.mean_reward()), p.pairwise()
    moments = exact_moments(p)
    corrected = corrected_reward(pairwise, Correction(1.0, moments.variance(p.mean_reward())))
    yes = probabilities(p.pairwise_by_type(), [[1, 1]])[0]  # all kinds for y_i over y_j
    unanimous = minimise(agreement_loss(yes, p.types), np.zeros(2))
    return wanted, [lead(dpo_reward(pairwise)), lead(corrected), lead(unanimous)]


def figures() -> dict[str, Any]:
    """The pictures by name, as matplotlib figures."""
    import matplotlib.pyplot as plt

    hetlib.book.plots.style()
    plt.rcParams.update({"svg.hashsalt": "opening", "font.size": 12, "axes.grid": False})
    out = {}

    fig, ax = plt.subplots(figsize=(6.4, 2.3))
    names, sums = list(people()), list(people().values())
    colours = [COLOURS["reference"]] * 2 + [COLOURS["average"], COLOURS["dpo"]]
    ax.barh(names, sums, color=colours)
    ax.axvline(0, color="black", lw=0.8)
    ax.invert_yaxis()
    ax.set(xticks=[min(sums) / 2, max(sums) / 2], xticklabels=["second answer", "first answer"])
    ax.tick_params(length=0)
    out["people"] = fig

    for name, (x, wanted, read), xlabel in (
        ("why", why(), "how much the tenth minds"),
        ("depends", depends(), "share of a third answer"),
    ):
        fig, ax = plt.subplots(figsize=(3.6, 2.7))
        ax.axhline(0, color="black", lw=0.8)
        ax.plot(x, wanted, color=COLOURS["average"], lw=2.5, label="wanted")
        ax.plot(x, read, color=COLOURS["dpo"], lw=2.5, label="DPO")
        ax.set(xlabel=xlabel, ylabel="lead of the first")
        ax.legend()
        out[name] = fig

    fig, ax = plt.subplots(figsize=(3.6, 2.7))
    target, leads = helps()
    roles = ("dpo", "corrected", "consistent")
    ax.barh(READERS, leads, color=[COLOURS[role] for role in roles], height=0.6)
    ax.axvline(target, color=COLOURS["average"], lw=2.5)
    ax.invert_yaxis()
    ax.set(xlabel="lead of the first", title="wanted: the blue line")
    out["helps"] = fig
    return out


def pictures() -> dict[str, str]:
    """The pictures by name, as SVG."""
    import matplotlib.pyplot as plt

    out = {}
    for name, fig in figures().items():
        buffer = BytesIO()
        ground = {"facecolor": "white"} if name == "people" else {"transparent": True}
        fig.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, **ground)
        plt.close(fig)
        lines = buffer.getvalue().decode().splitlines()
        out[name] = "\n".join(line.rstrip() for line in lines) + "\n"
    return out


if __name__ == "__main__":
    for name, text in pictures().items():
        hetlib.store.write(Path(sys.argv[1]) / f"{name}.svg", text)
