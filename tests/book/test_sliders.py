"""Figures with sliders: what they hand to frames.js, and what they refuse."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hetlib.book import sliders
from hetlib.book.plots import COLOURS
from hetlib.book.sliders import SliderFigure, slider_figure
from hetlib.book.text import plain

SLIDERS: dict[str, list[Any]] = {"D": [0.1, 0.25, 1 / 3], "link": ["logistic", "probit"]}
HOSTILE = st.one_of(
    st.text(st.sampled_from("$_|`<>&\"'\\/-!\n\t \u202e\u2066\x00\x1b\ud800é日"), max_size=30),
    st.text(st.characters(codec=None), max_size=30),
)
RESPONSES = ["a", "b", "c", "d"]


def make(**changes: Any) -> SliderFigure:
    values = np.arange(3 * 2 * 4).reshape(3, 2, 4) / 100
    arguments: dict[str, Any] = {
        "sliders": SLIDERS,
        "x": RESPONSES,
        "series": {"Borda": values, "optimum": -values},
        "fallback": plt.figure(figsize=(2, 1)),
        "alt": "Bars",
        "captions": lambda i, j: f"frame {i}",
        "colours": {"Borda": "borda", "optimum": "#123456"},
        **changes,
    }
    try:
        return slider_figure(**arguments)
    finally:
        plt.close("all")


def test_frames_are_in_the_order_of_the_sliders() -> None:
    data = json.loads(make().json())
    assert [s["values"] for s in data["sliders"]] == [
        ["0.1", "0.25", "0.3333"],
        ["logistic", "probit"],
    ]
    borda = np.array(data["series"][0]["values"]).reshape(3, 2, 4) / 10 ** data["digits"]
    assert np.allclose(borda, np.arange(24).reshape(3, 2, 4) / 100)
    assert [data["captions"][k] for k in data["caption"]] == [
        f"frame {i}" for i in range(3) for _ in range(2)
    ]
    assert data["captions"] == ["frame 0", "frame 1", "frame 2"]  # each text once


def test_colours_are_roles_or_hexadecimal() -> None:
    assert [s["colour"] for s in make().data["series"]] == [COLOURS["borda"], "#123456"]
    unnamed = make(colours=None).data["series"]
    assert [s["colour"] for s in unnamed] == list(COLOURS.values())[:2]


def test_values_are_rounded_and_have_no_negative_zero() -> None:
    values = np.full((3, 2, 4), 1 / 3)
    values[0] = -1e-9
    figure = make(series={"v": values}, digits=4, colours=None)
    assert set(figure.data["series"][0]["values"]) == {0, 3333}


def test_same_input_same_bytes() -> None:
    assert make()._repr_mimebundle_() == make()._repr_mimebundle_()


def test_output_has_picture_html_and_text() -> None:
    figure = make(alt='Bars of "two" <series>')
    bundle = figure._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html", "image/png"}
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    assert bundle["text/plain"] == "<SliderFigure: 3 x 2 frames>"
    page = bundle["text/html"]
    assert 'alt="Bars of &quot;two&quot; &lt;series&gt;"' in page
    assert f"base64,{bundle['image/png']}" in page
    assert not re.search(r"https?:", page)


def test_captions_cannot_end_the_script() -> None:
    page = make(captions=lambda i, j: "</script><b>")._repr_mimebundle_()["text/html"]
    assert page.count("</script>") == 1
    stored = re.search(r"<script[^>]*>(.*)</script>", page)
    assert stored is not None
    assert json.loads(stored[1])["captions"] == ["</script><b>"]


def test_nested_captions() -> None:
    nested = [[f"{i}{j}" for j in range(2)] for i in range(3)]
    assert make(captions=nested).data["captions"] == ["00", "01", "10", "11", "20", "21"]


def test_lines_keep_their_numbers() -> None:
    data = make(kind="lines", x=[0, 0.5, 1, 2]).data
    assert data["x"] == [0, 0.5, 1, 2]


def test_bars_start_at_zero_and_ylim_wins() -> None:
    positive = np.ones((3, 2, 4))
    assert make(series={"v": positive}, colours=None).data["ylim"] == [0, 1.06]
    assert make(ylim=(-1, 2)).data["ylim"] == [-1, 2]


def test_start_is_an_index_by_name() -> None:
    assert [s["start"] for s in make(start={"link": 1}).data["sliders"]] == [0, 1]


@pytest.mark.parametrize(("kind", "x"), [("bars", RESPONSES), ("lines", [1, 2, 3, 4])])
def test_without_a_fallback_the_first_frame_is_drawn(kind: str, x: list[Any]) -> None:
    start = {"D": 2, "link": 1}
    values = np.arange(3 * 2 * 4).reshape(3, 2, 4) / 100
    made = make(kind=kind, x=x, fallback=None, start=start, ylabel="$_y")
    fig = sliders._frame(made.data)
    (ax,) = fig.axes
    if kind == "bars":
        drawn = [bar.get_height() for bar in ax.containers[0]]
    else:
        drawn = list(ax.lines[0].get_ydata())
    assert np.allclose(drawn, values[2, 1])
    assert ax.get_title() == "D: 0.3333; link: probit"
    assert made.png.startswith(b"\x89PNG")
    plt.close(fig)


def test_the_fallback_is_closed() -> None:
    figure = plt.figure()
    make(fallback=figure)
    assert not plt.fignum_exists(figure.number)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "pie"}, "kind is 'pie'"),
        ({"sliders": {}}, "sliders is empty"),
        ({"sliders": {"D": []}}, r"sliders\['D'\] has no positions"),
        ({"x": []}, "x is empty"),
        ({"x": [0, 1, 1, 2], "kind": "lines"}, r"x\[2\] is not above x\[1\]"),
        ({"series": {}, "colours": {}}, "series is empty"),
        ({"series": {"Borda": np.ones((2, 3, 4))}}, r"series\['Borda'\] has shape \(2, 3, 4\)"),
        ({"series": {"Borda": np.ones((3, 4))}}, r"series\['Borda'\] must have 3 axes"),
        ({"series": {"Borda": np.full((3, 2, 4), np.nan)}}, r"series\['Borda'\]\[0, 0, 0\] is nan"),
        ({"captions": ["one", "two"]}, r"captions has shape \(2,\)"),
        ({"colours": {"nobody": "borda"}}, r"colours\['nobody'\] names no series"),
        ({"colours": {"Borda": "red"}}, r"colours\['Borda'\] is 'red'"),
        ({"start": {"x": 0}}, r"start\['x'\] names no slider"),
        ({"start": {"D": 3}}, r"start\['D'\] is 3; 0 to 2 exist"),
        ({"digits": 12}, "digits is 12"),
        ({"digits": 1.5}, "digits is 1.5; it must be a whole number"),
        ({"alt": " "}, "alt is empty"),
        ({"alt": None}, "alt is empty"),
        ({"sliders": [0.1, 0.2]}, r"sliders is \[0.1, 0.2\]; it must map"),
        ({"sliders": {"D": "abc"}}, r"sliders\['D'\] is 'abc'; a list"),
        ({"sliders": {"D": 3}}, r"sliders\['D'\] is 3; a list"),
        ({"sliders": {**SLIDERS, "D": [0.1, 0.2, float("nan")]}}, r"sliders\['D'\].* is nan"),
        ({"x": 4}, "x is 4; a list"),
        ({"x": "abcd"}, "x is 'abcd'; a list"),
        ({"x": ["a", "b", "c", float("inf")]}, "x.* is inf"),
        ({"series": [1, 2]}, r"series is \[1, 2\]; it must map"),
        (
            {"series": {"Borda": np.full((3, 2, 4), 1e300)}},
            r"\[0, 0, 0\] is 1e\+300; with 3 digits",
        ),
        ({"series": {"Borda": np.full((3, 2, 4), -1e13)}}, r"\[0, 0, 0\] is -1"),
        ({"series": {"Borda": np.full((3, 2, 4), 1e8)}, "digits": 9}, "with 9 digits at most"),
        ({"start": {"D": 0.5}}, r"start\['D'\] is 0.5; it must be a whole number"),
        ({"ylim": (1, 0)}, r"ylim is \(1, 0\)"),
        ({"ylim": (0, float("nan"))}, r"ylim\[1\] is nan"),
        ({"ylim": (0, 1, 2)}, "ylim is"),
    ],
)
def test_refusals_name_the_argument(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**changes)


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(HOSTILE.filter(str.strip), HOSTILE)
@example("</script><img src=x onerror=alert(1)>", "\u202e$a_b$")
def test_hostile_names_stay_text(name: str, caption: str) -> None:
    figure = make(
        sliders={name: [name, 1.0]},
        x=[name, "b", "c", "d"],
        series={name: np.zeros((2, 4))},
        colours=None,
        captions=[caption, name],
        xlabel=caption,
        ylabel=name,
        alt=name,
        start={name: 1},
    )
    page = figure._repr_mimebundle_()["text/html"]
    page.encode()  # halves of surrogate pairs are written out
    assert page.count("<") == 5  # of a div, an image and a script
    data = json.loads(figure.json())
    shown = plain(name)
    slider = data["sliders"][0]
    assert [slider["name"], *slider["values"]] == [shown, shown, "1"]
    assert [data["x"][0], data["series"][0]["name"], data["ylabel"]] == [shown] * 3
    assert [data["captions"][k] for k in data["caption"]] == [plain(caption), shown]
