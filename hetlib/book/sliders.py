"""Figures with sliders that work from a file: precomputed frames, drawn by ``frames.js``.

A chapter computes every frame; nothing runs in the reader's browser but the drawing. Where
there is no JavaScript (PDF, Jupyter, a strict browser), the static picture stays.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hetlib import checks
from hetlib.book.plots import COLOURS, bars, label
from hetlib.book.text import html, plain

KINDS = ("bars", "lines")

#: One caption a frame, nested like the sliders; or a function of the sliders' positions.
Captions = Sequence[Any] | Callable[..., str]


@dataclass(frozen=True)
class SliderFigure:
    """An output with a picture and, in HTML, the same figure with sliders.

    Attributes:
        data: What ``frames.js`` draws; see :func:`slider_figure`.
        png: The static picture.
        alt: Its text for those who do not see it.
    """

    data: dict[str, Any]
    png: bytes
    alt: str

    def json(self) -> str:
        """The frames, compact and safe inside a script element."""
        text = json.dumps(self.data, separators=(",", ":"), ensure_ascii=False)
        return text.replace("<", "\\u003c")

    def __repr__(self) -> str:
        """Size only, so that the text is the same in every run."""
        steps = " x ".join(str(len(s["values"])) for s in self.data["sliders"])
        return f"<SliderFigure: {steps} frames>"

    def _html(self) -> str:
        # A PNG says its width in bytes 16 to 20; it was drawn at twice the size shown.
        width = struct.unpack(">I", self.png[16:20])[0] // 2
        source = base64.b64encode(self.png).decode()
        return (
            f'<div class="frames"><img class="frames-static" alt="{html(self.alt)}" '
            f'width="{width}" style="max-width:100%;height:auto" '
            f'src="data:image/png;base64,{source}">'
            f'<script type="application/json">{self.json()}</script></div>'
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {
            "text/plain": repr(self),
            "text/html": self._html(),
            "image/png": base64.b64encode(self.png).decode(),
        }


def slider_figure(
    sliders: Mapping[str, Sequence[float | str]],
    x: Sequence[float | str],
    series: Mapping[str, ArrayLike],
    *,
    alt: str,
    fallback: Any = None,
    captions: Captions | None = None,
    kind: str = "bars",
    colours: Mapping[str, str] | None = None,
    start: Mapping[str, int] | None = None,
    xlabel: str = "",
    ylabel: str = "",
    ylim: tuple[float, float] | None = None,
    digits: int = 3,
) -> SliderFigure:
    """A figure with sliders; the last line of a cell shows it.

    For example::

        hetlib.book.sliders.slider_figure(
            {"D(y₃)": [0.02, 0.04]},                       # one slider with two positions
            ["y₁", "y₂", "y₃"],                            # a group of bars each
            {"Borda count": nbc},                          # shape (2, 3)
            captions=lambda i: f"Borda ranks {first[i]} first.",
            colours={"Borda count": "borda"},
            alt="Bars of the Borda counts of three responses",
        )

    Args:
        sliders: For each slider, in order, its name and its positions; numbers are shown
            with up to four significant digits.
        x: Names of the groups of bars; for lines, increasing numbers.
        series: For each series its values: one axis a slider, in their order, and a last
            one for ``x``.
        alt: Description of the figure, for both forms.
        fallback: Matplotlib figure shown where there is no JavaScript; it is closed. The frame
            at which the sliders start if None.
        captions: What a frame shows, in words, read out as it changes: a function of the
            position of every slider, or nested sequences of strings.
        kind: ``"bars"`` or ``"lines"``.
        colours: For a series, a role of :data:`hetlib.book.plots.COLOURS` or ``"#rrggbb"``; those
            without one take the roles in turn.
        start: First position of a slider, as an index; 0 if it is not given.
        xlabel: Label of the horizontal axis.
        ylabel: Label of the vertical axis.
        ylim: Range of the vertical axis; that of the data (and 0, for bars) if None.
        digits: Decimals of the values that are kept and shown.

    Returns:
        An object that displays itself as PNG in PDF, as HTML elsewhere.

    Raises:
        ValueError: no slider, position, ``x`` or series; a series of the wrong shape, not
            finite, or too large for its digits; not one caption a frame; an unknown kind,
            colour, slider or position; a range that is not one.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; it must be one of {', '.join(KINDS)}")
    for argument, given in (("sliders", sliders), ("series", series)):
        if not isinstance(given, Mapping):
            raise ValueError(f"{argument} is {given!r}; it must map names to values")
        if not given:
            raise ValueError(f"{argument} is empty; a figure needs at least one")
    for name, positions in sliders.items():
        _listed(f"sliders[{name!r}]", positions, "has no positions")
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError("alt is empty; describe the figure for those who do not see it")
    shape = tuple(len(positions) for positions in sliders.values())
    places = _places(x, kind)
    values = _values(series, (*shape, len(places)), digits)
    flat = [v for row in values.values() for v in row]
    texts = _captions(captions, shape)
    unique = list(dict.fromkeys(texts))
    data = {
        "kind": kind,
        "alt": plain(alt),
        "sliders": [
            {
                "name": plain(name),
                "values": [_text(f"sliders[{name!r}]", v) for v in positions],
                "start": 0,
            }
            for name, positions in sliders.items()
        ],
        "x": places,
        "xlabel": plain(xlabel),
        "ylabel": plain(ylabel),
        "ylim": _range(flat, digits, kind) if ylim is None else _ylim(ylim),
        "digits": digits,
        "series": [
            {"name": plain(name), "colour": colour, "values": values[name]}
            for name, colour in _colours(list(series), colours or {}).items()
        ],
        "captions": unique,
        "caption": [unique.index(text) for text in texts],
    }
    for name, index in (start or {}).items():
        if name not in sliders:
            raise ValueError(f"start[{name!r}] names no slider; there are {', '.join(sliders)}")
        index = checks.whole(f"start[{name!r}]", index)
        if not 0 <= index < len(sliders[name]):
            raise ValueError(f"start[{name!r}] is {index}; 0 to {len(sliders[name]) - 1} exist")
        data["sliders"][list(sliders).index(name)]["start"] = index  # type: ignore[index]
    return SliderFigure(data, _png(_frame(data) if fallback is None else fallback), alt)


def _frame(data: Mapping[str, Any]) -> Any:
    """The frame at which the sliders start, as a matplotlib figure."""
    import matplotlib.pyplot as plt

    sliders, x = data["sliders"], data["x"]
    shape = [len(slider["values"]) for slider in sliders]
    at = int(np.ravel_multi_index([slider["start"] for slider in sliders], shape))
    fig, ax = plt.subplots()
    rows = [
        np.array(one["values"][at * len(x) : (at + 1) * len(x)]) / 10 ** data["digits"]
        for one in data["series"]
    ]
    colours, names = ([one[key] for one in data["series"]] for key in ("colour", "name"))
    if data["kind"] == "bars":
        bars(ax, rows, colours, names, [label(place) for place in x])
    else:
        for row, colour, name in zip(rows, colours, names, strict=True):
            ax.plot(x, row, color=colour, label=label(name))
        ax.legend(fontsize=9)
    where = "; ".join(
        f"{slider['name']}: {slider['values'][slider['start']]}" for slider in sliders
    )
    ax.set(xlabel=label(data["xlabel"]), ylabel=label(data["ylabel"]), ylim=data["ylim"])
    ax.set_title(label(where, 80), fontsize=9)
    return fig


def _listed(name: str, values: Any, empty: str = "is empty") -> None:
    if isinstance(values, str) or not hasattr(values, "__len__"):
        raise ValueError(f"{name} is {values!r}; a list is needed")
    if not len(values):
        raise ValueError(f"{name} {empty}")


def _text(name: str, value: float | str) -> str:
    if isinstance(value, str):
        return plain(value)
    return f"{checks.array(name, value, 0):.4g}"


def _ylim(ylim: tuple[float, float]) -> list[float]:
    pair = checks.array("ylim", ylim, 1)
    if len(pair) != 2 or not pair[0] < pair[1]:
        raise ValueError(f"ylim is {ylim}; a lower and a higher number are needed")
    return [v.item() if hasattr(v, "item") else v for v in ylim]


def _places(x: Sequence[float | str], kind: str) -> list[Any]:
    _listed("x", x)
    if kind == "bars":
        return [_text("x", place) for place in x]
    numbers = checks.array("x", x, 1)
    if (np.diff(numbers) <= 0).any():
        k = int(np.argmax(np.diff(numbers) <= 0)) + 1
        raise ValueError(f"x[{k}] is not above x[{k - 1}]; lines need increasing numbers")
    return [float(f"{v:.6g}") for v in numbers]


def _values(
    series: Mapping[str, ArrayLike], shape: tuple[int, ...], digits: int
) -> dict[str, list[int]]:
    """Each series as integers, in units of the last digit kept: short, and never -0.0."""
    digits = checks.whole("digits", digits)
    if not 0 <= digits <= 9:
        raise ValueError(f"digits is {digits}; it must be between 0 and 9")
    out = {}
    for name, array in series.items():
        v = checks.array(f"series[{name!r}]", array, len(shape))
        if v.shape != shape:
            raise ValueError(
                f"series[{name!r}] has shape {v.shape}; an axis a slider and one for x make {shape}"
            )
        most = 2.0**53 / 10**digits  # what a browser counts exactly
        if (abs(v) > most).any():
            where = [int(k) for k in np.argwhere(abs(v) > most)[0]]
            raise ValueError(
                f"series[{name!r}]{where} is {v[tuple(where)]}; with {digits} digits at most "
                f"{most:.3g} can be shown"
            )
        out[name] = [int(k) for k in np.rint(v * 10**digits).astype(np.int64).ravel()]
    return out


def _range(flat: list[int], digits: int, kind: str) -> list[float]:
    low, high = float(min(flat)), float(max(flat))
    if kind == "bars":
        low, high = min(low, 0.0), max(high, 0.0)
    room = 0.06 * (high - low) or 1
    low = low if kind == "bars" and low == 0 else low - room
    return [float(f"{v / 10**digits:.4g}") for v in (low, high + room)]


def _captions(captions: Captions | None, shape: tuple[int, ...]) -> list[str]:
    """One caption a frame, in the order of the values."""
    if captions is None:
        return [""] * int(np.prod(shape))
    if callable(captions):
        return [plain(str(captions(*k))) for k in itertools.product(*map(range, shape))]
    try:
        nested = np.array(captions, dtype=object)
    except ValueError as error:  # ragged
        raise ValueError(f"captions must be one string a frame, shape {shape}") from error
    if nested.shape != shape:
        raise ValueError(f"captions has shape {nested.shape}; one a frame makes {shape}")
    return [plain(str(text)) for text in nested.ravel()]


def _colours(names: list[str], chosen: Mapping[str, str]) -> dict[str, str]:
    if unknown := set(chosen) - set(names):
        raise ValueError(f"colours[{min(unknown)!r}] names no series; there are {', '.join(names)}")
    turn = itertools.cycle(COLOURS.values())
    out = {}
    for name in names:
        colour = chosen.get(name) or next(turn)
        colour = COLOURS.get(colour, colour)
        if not re.fullmatch(r"#[0-9A-Fa-f]{6}", colour):
            raise ValueError(
                f"colours[{name!r}] is {colour!r}; allowed are #rrggbb and {', '.join(COLOURS)}"
            )
        out[name] = colour
    return out


def _png(figure: Any) -> bytes:
    import matplotlib.pyplot as plt

    buffer = BytesIO()
    figure.savefig(
        buffer,
        format="png",
        dpi=2 * figure.dpi,
        bbox_inches="tight",
        metadata={"Software": None},  # no version of matplotlib in the file
    )
    plt.close(figure)  # or Jupyter shows it a second time
    return buffer.getvalue()
