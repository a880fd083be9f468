"""One style for all figures: colour-blind-safe, and fit to be inverted for a dark page."""

from __future__ import annotations

from typing import Any

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
#: Colours of user types, in order.
TYPES = ("#332288", "#44AA99", "#AA4499", "#999933", "#88CCEE", "#CC6677")


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
        }
    )
    try:
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return
    # No version of matplotlib in the file: the same figure is the same bytes.
    options: dict[str, Any] = {"metadata": {"Software": None}}
    set_matplotlib_formats("retina", **options)  # type: ignore[no-untyped-call]
