"""One style for all figures: colour-blind-safe, and fit to be inverted for a dark page."""

from __future__ import annotations

import string
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import islice, product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hetlib import checks
from hetlib.book import text as texts
from hetlib.checks import Array
from hetlib.extras import require

#: A role keeps its colour through the whole book (palette of Okabe and Ito).
COLOURS = {
    "average": "#0072B2",  # the average reward and its optimum pi*
    "dpo": "#D55E00",
    "borda": "#E69F00",
    "corrected": "#CC79A7",
    "consistent": "#009E73",
    "ipo": "#56B4E9",
    "reference": "#7F7F7F",
}
#: What a legend calls a role.
NAMES = {
    "average": "average reward",
    "dpo": "DPO",
    "borda": "Borda count",
    "corrected": "corrected",
    "consistent": "consistent",
    "ipo": "IPO",
    "reference": "reference",
}
#: Colours of user types, in order.
TYPES = ("#332288", "#44AA99", "#AA4499", "#999933", "#88CCEE", "#CC6677")
#: Colours of options by letter, however many are shown.
OPTIONS = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#999999")


def style() -> None:
    """Set the book's style; called once by every chapter."""
    require("matplotlib")
    import matplotlib as mpl
    from cycler import cycler

    mpl.rcParams.update(
        {
            "figure.figsize": (7.2, 3.4),
            "figure.constrained_layout.use": True,
            "figure.dpi": 100,
            "savefig.dpi": 200,
            "font.size": 11,
            "axes.titlesize": 11,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.color": "#DDDDDD",
            "grid.linewidth": 0.6,
            "axes.axisbelow": True,
            "legend.frameon": False,
            "lines.linewidth": 1.8,
            "axes.prop_cycle": cycler(color=list(COLOURS.values())),
            "svg.hashsalt": "hetlib",
        }
    )
    # label() names letters without a font once for all; matplotlib does at every drawing
    warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from ")
    try:
        from IPython.core.getipython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return
    if get_ipython() is not None:  # on a page, a warning names no file of this machine
        warnings.formatwarning = lambda said, kind, *_, **__: f"{kind.__name__}: {said}\n"
    # Neither a date nor a version of matplotlib in the file: the same figure is the same bytes.
    # What a figure asks to be drawn as pixels has 200 an inch.
    options: dict[str, Any] = {"metadata": {"Date": None, "Creator": None}, "dpi": 200}
    set_matplotlib_formats("svg", **options)  # type: ignore[no-untyped-call]


def label(text: str, width: int | None = None) -> str:
    """A name from data as matplotlib shows it as written, in a font that has its letters.

    Fonts that are installed and have what the present ones lack are used behind them; what
    none has is named in a warning.

    Args:
        text: Any text.
        width: Characters a line, if it may take several.
    """
    require("matplotlib")
    import matplotlib as mpl

    shown = texts.mathtext(text, width)
    families = list(mpl.rcParams["font.family"])
    lacking = {ord(c) for c in shown if ord(c) > 127} - _covered(tuple(families))
    more = []
    for family, path in _fonts() if lacking else ():
        if got := lacking & _letters(path):
            more.append(family)
            lacking -= got
        if not lacking:
            break
    if more:
        mpl.rcParams["font.family"] = families + more
    if lacking:
        named = ", ".join(f"{chr(c)} (U+{c:04X})" for c in sorted(lacking)[:5])
        warnings.warn(
            f"no font is installed for {named} in {text!r}; figures show boxes there. Install "
            "one that has them, such as Noto Sans of their script, or Noto Sans CJK",
            stacklevel=2,
        )
    return shown


def _lines(text: str) -> str:
    """:func:`label` of each line."""
    return "\n".join(map(label, text.split("\n")))


def _covered(families: tuple[str, ...]) -> set[int]:
    from matplotlib.font_manager import FontProperties, fontManager

    return set[int]().union(
        *(_letters(str(fontManager.findfont(FontProperties(family=[f])))) for f in families)
    )


@cache
def _fonts() -> list[tuple[str, str]]:
    """Family and file of the upright fonts installed, sans serif and Noto first."""
    from matplotlib.font_manager import fontManager

    found = {
        font.name: str(font.fname)
        for font in fontManager.ttflist
        if font.style == "normal"
        and font.weight in (400, "normal", "regular")
        and not font.name.startswith("Last Resort")  # boxes for everything
    }
    return sorted(found.items(), key=lambda f: ("Sans" not in f[0], "Noto" not in f[0], f[0]))


@cache
def _letters(path: str) -> frozenset[int]:
    from matplotlib.font_manager import get_font

    return frozenset(get_font(path).get_charmap())


def letters(options: int) -> list[str]:
    """A, B, C … for the options, as in the paper's figures; then AA, AB and so on."""
    words = (
        "".join(word)
        for length in range(1, 1 + checks.whole("options", options))
        for word in product(string.ascii_uppercase, repeat=length)
    )
    return list(islice(words, max(options, 0)))


def responses(n: int, stem: str = "y") -> list[str]:
    """Names y₁, y₂ … of n responses, for texts without formulas."""
    low = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
    return [f"{stem}{str(k + 1).translate(low)}" for k in range(checks.whole("n", n))]


def triangle(ax: Any) -> Callable[[ArrayLike], Array]:
    """Set axes up as a triangle of policies over three responses, a corner each.

    Args:
        ax: Axes to draw on.

    Returns:
        Where a policy is drawn, from shape (..., 3) to the plane, shape (..., 2).
    """
    corners = np.array([[0, 0], [1, 0], [0.5, 3**0.5 / 2]])
    ax.fill(*corners.T, facecolor="none", edgecolor="#888888", linewidth=1)
    for k, shift in enumerate([(-22, -6), (8, -6), (-6, 8)]):
        note(ax, f"$y_{k + 1}$", corners[k], shift, size=13)
    ax.set(aspect="equal")
    ax.margins(0.1)
    ax.axis("off")

    def place(policies: ArrayLike) -> Array:
        p = np.asarray(policies, dtype=np.float64)
        if p.ndim == 0 or p.shape[-1] != 3:
            raise ValueError(f"policies has shape {p.shape}; three responses are needed")
        return np.asarray(p @ corners)

    return place


def rows(ax: Any, names: Sequence[str], width: int = 32) -> Array:
    """Rows from the top, each with its name at the left; the figure is as high as they need.

    Args:
        ax: The only axes of their figure.
        names: Names of the rows, shown as written, on several lines where they are long.
        width: Characters a line.

    Returns:
        Place of each row, shape (rows,).
    """
    shown = [label(name, width) for name in names]
    lines = np.array([1.5 + name.count("\n") for name in shown])
    places: Array = np.cumsum(lines) - lines / 2
    ax.set_yticks(places, shown, fontsize=9)
    ax.set_ylim(lines.sum(), 0)
    ax.figure.set_figheight(0.8 + 0.18 * lines.sum())
    return places


def note(
    ax: Any, text: str, point: ArrayLike, shift: tuple[float, float] = (0, 8), **options: Any
) -> None:
    """Write a text beside a point, ``shift`` typographic points away from it."""
    ax.annotate(text, np.asarray(point), shift, textcoords="offset points", **options)


def bump(ax: Any, scores: ArrayLike, names: Sequence[str], title: str = "") -> None:
    """Ranks of the options under several scores, a line an option (as Figure 1).

    Args:
        ax: Axes to draw on.
        scores: For each column the score of each option, shape (columns, options).
        names: Names of the columns; they may have line breaks.
        title: Title of the axes; it may have, too. Both are shown as written.

    Raises:
        ValueError: scores that are not finite or of different lengths, or not a name a column.
    """
    table = checks.array("scores", scores, 2)
    columns, n = table.shape
    if len(names) != columns:
        raise ValueError(f"names has {len(names)} entries; scores has {columns} columns")
    ranks = (-table).argsort(axis=1, kind="stable").argsort(axis=1, kind="stable") + 1
    for k, letter in enumerate(letters(n)):
        marker = "osD^vPX"[k % 7] + "-"
        ax.plot(ranks[:, k], marker, color=OPTIONS[k % 7], linewidth=2.5, markersize=7)
        left = -14 - 7 * (len(letter) - 1)
        ax.annotate(letter, (0, ranks[0, k]), xytext=(left, -4), textcoords="offset points")
        end = columns - 1
        ax.annotate(letter, (end, ranks[-1, k]), xytext=(8, -4), textcoords="offset points")
    ax.set_xticks(range(columns), [_lines(name) for name in names])
    ax.set_yticks(range(1, n + 1))
    ax.set(xlim=(-0.25, columns - 0.75), ylim=(n + 0.4, 0.6), ylabel="rank", title=_lines(title))
    ax.grid(visible=False)


def bars(
    ax: Any,
    values: ArrayLike,
    colours: Sequence[str],
    names: Sequence[str],
    ticks: Sequence[str] | None = None,
    fmt: str | None = None,
) -> None:
    """Bars in groups, an entry of the legend a row.

    Args:
        ax: Axes to draw on.
        values: Heights, shape (rows, groups).
        colours: Colours of the rows; they come again if there are more rows.
        names: Names of the rows, shown as written.
        ticks: Names of the groups, in matplotlib's own notation; letters if None.
        fmt: Format of a number on each bar, such as ``"%.2f"``; none if None.
    """
    table = checks.array("values", values, 2)
    width = 0.8 / len(table)
    x = np.arange(table.shape[1])
    for k, row in enumerate(table):
        place = x + (k - (len(table) - 1) / 2) * width
        # Without handles, a name that begins with _ would be left out of the legend.
        drawn = ax.bar(place, row, width, color=colours[k % len(colours)])
        if fmt is not None:
            ax.bar_label(drawn, fmt=fmt, fontsize=9)
    ax.set_xticks(x, letters(table.shape[1]) if ticks is None else ticks)
    ax.axhline(0, color="k", linewidth=0.8)
    ax.grid(visible=False, axis="x")
    ax.margins(y=0.05 if fmt is None else 0.15)
    ax.legend(ax.containers, [label(name, 40) for name in names], fontsize=9, loc="best")


def panels(
    shares: ArrayLike, rewards: ArrayLike, types: Sequence[str], scores: Mapping[str, ArrayLike]
) -> Any:
    """Shares by type, rewards by type, and scores of the options side by side.

    Args:
        shares: Share of each type that chose each option, shape (types, options).
        rewards: Reward of each option for each type, same shape.
        types: Names of the types; beyond six, colours come again.
        scores: Score of each option by a role of :data:`COLOURS`, such as ``average`` and
            ``borda``. They are standardised over the options, to share an axis.

    Returns:
        A figure with the three panels of Figures 6 to 10, one below the other.

    Raises:
        ValueError: shapes that do not fit, numbers that are not finite, or an unknown role.
    """
    require("matplotlib")
    import matplotlib.pyplot as plt

    s = checks.array("shares", shares, 2)
    r = checks.array("rewards", rewards, 2)
    if r.shape != s.shape or len(types) != len(s):
        raise ValueError(
            f"shares has shape {s.shape}, rewards {r.shape}, and there are {len(types)} types; "
            "both need (types, options)"
        )
    if unknown := [role for role in scores if role not in COLOURS] or not scores:
        raise ValueError(f"scores names {unknown}; roles are {', '.join(COLOURS)}")
    both = np.array([checks.array(f"scores[{k!r}]", v, 1) for k, v in scores.items()])
    if both.shape[1] != s.shape[1]:
        raise ValueError(f"scores has {both.shape[1]} options, shares {s.shape[1]}")
    spread = both.std(axis=1, keepdims=True)
    both = (both - both.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1)
    fig, axes = plt.subplots(3, figsize=(7.2, 7.2))
    bars(axes[0], s, TYPES, types)
    axes[0].set_ylabel("share")
    bars(axes[1], r, TYPES, types)
    axes[1].set_ylabel("reward")
    bars(axes[2], both, [COLOURS[role] for role in scores], [NAMES[role] for role in scores])
    axes[2].set(ylabel="standardised", xlabel="option")
    return fig
