"""Pictures of survey questions: bump charts, and the three panels of Appendix D."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

import numpy as np

from hetlib.book.plots import COLOURS, TYPES
from hetlib.checks import Array
from hetlib.surveys.questions import Question


def letters(options: int) -> list[str]:
    """A, B, C … for the options, as in the paper's figures."""
    return list(string.ascii_uppercase[:options])


def bump(ax: Any, scores: Sequence[Array], names: Sequence[str], title: str = "") -> None:
    """Ranks of the options under several scores, a line an option (as Figure 1).

    Args:
        ax: Axes to draw on.
        scores: For each column the score of each option, shape (options,).
        names: Names of the columns.
        title: Title of the axes.
    """
    import matplotlib as mpl

    n = len(scores[0])
    ranks = np.array([(-s).argsort(kind="stable").argsort(kind="stable") + 1 for s in scores])
    shades = mpl.colormaps["cividis"](np.linspace(0.05, 0.7, n))
    for k, letter in enumerate(letters(n)):
        ax.plot(ranks[:, k], "o-", color=shades[k], linewidth=2.5, markersize=6)
        ax.annotate(letter, (0, ranks[0, k]), xytext=(-14, -4), textcoords="offset points")
        end = len(scores) - 1
        ax.annotate(letter, (end, ranks[-1, k]), xytext=(8, -4), textcoords="offset points")
    ax.set_xticks(range(len(scores)), names)
    ax.set_yticks(range(1, n + 1))
    ax.set(xlim=(-0.25, len(scores) - 0.75), ylim=(n + 0.4, 0.6), ylabel="rank", title=title)
    ax.grid(visible=False)


def _bars(ax: Any, values: Array, colours: Sequence[str], labels: Sequence[str]) -> None:
    width = 0.8 / len(values)
    x = np.arange(values.shape[1])
    for k, row in enumerate(values):
        place = x + (k - (len(values) - 1) / 2) * width
        ax.bar(place, row, width, color=colours[k], label=labels[k])
    ax.set_xticks(x, letters(values.shape[1]))
    ax.axhline(0, color="k", linewidth=0.8)
    ax.grid(visible=False, axis="x")
    ax.legend(fontsize=9, loc="best")


def panels(question: Question, floor: float = 1e-15) -> Any:
    """Shares by type, rewards by type, and average reward beside the Borda count.

    Args:
        question: What to draw.
        floor: Least share, see :func:`~hetlib.surveys.questions.luce_shepard_rewards`.

    Returns:
        A figure with the three panels of Figures 6 to 10, one below the other. Average and
        Borda count are standardised over the options, to share an axis.
    """
    import matplotlib.pyplot as plt

    pop = question.population(floor)
    fig, axes = plt.subplots(3, figsize=(7.2, 7.2))
    types = question.types
    _bars(axes[0], question.shares, TYPES, types)
    axes[0].set_ylabel("share")
    _bars(axes[1], question.rewards(floor), TYPES, types)
    axes[1].set_ylabel("reward")
    both = np.array([pop.mean_reward(), pop.pairwise().mean(axis=1)])
    both = (both - both.mean(axis=1, keepdims=True)) / both.std(axis=1, keepdims=True)
    _bars(axes[2], both, [COLOURS["average"], COLOURS["borda"]], ["average reward", "Borda count"])
    axes[2].set(ylabel="standardised", xlabel="option")
    return fig
