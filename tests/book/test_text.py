"""Names from data appear as written in every medium, however hostile they are."""

from __future__ import annotations

import ast
import inspect
import re
import warnings
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jupytext
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from digests import python_cells
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from matplotlib.text import Text
from mdit_py_plugins.dollarmath import dollarmath_plugin

from hetlib.book import plots, sliders, text

ROOT = Path(__file__).parents[2]

#: Each would break at least one medium if it were not escaped.
NAMES = (
    "$50 to $100", "$150_000^+ or more$", r"\$5 \\ \alpha", "_hidden", "a|b||c", "`code` ``x``",
    "<b>bold</b>", "<script>alert(1)</script>", '" onload="x', "' x='", "&amp; &lt;", "two\nlines",
    "tab\there", "\u202eevil", "\u2066a\u2069", "\x00\x07\x1b", "\ud800", "**x** _y_ [z](http://a)",
    "{ref}`x`", "#1 %2 ~3", "--- ''x''", "../../etc/passwd", "CON", ".", "", "日本", "Städter",
    "x" * 5000, "http://example.org", "\\", "-->", "]]>", "${x}$",
)  # fmt: skip
MARKS = st.sampled_from("$_|`<>&\"'\\{}[]()#%^~*-!:/.\n\t\r \u202e\u2066\u200f\x00\x1b\ud800é日")
HOSTILE = st.one_of(
    st.sampled_from(NAMES),
    st.text(MARKS, max_size=40),
    st.text(st.characters(codec=None), max_size=40),
)


class Parsed(HTMLParser):
    """Text and attributes of a page, and how many elements it has."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.words, self.attributes, self.elements = "", dict[str, str | None](), 0
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements += 1
        self.attributes |= dict(attrs)

    def handle_data(self, data: str) -> None:
        self.words += data


def drawn(name: str) -> Any:
    """What matplotlib draws, and whether it takes it for a formula."""
    artist: Any = Text(0, 0, name)
    return artist._preprocess_math(name)


def test_what_cannot_be_seen_is_written_out() -> None:
    assert text.plain("a\u202eb\u200fc") == "a⟨U+202E⟩b⟨U+200F⟩c"
    assert text.plain("\ud800\x00") == "⟨U+D800⟩⟨U+0000⟩"
    assert text.plain(" two\r\n lines\t\u2028here ") == "two lines here"
    assert text.plain("é 日本 \u200d ½") == "é 日本 \u200d ½"
    with pytest.raises(ValueError, match="text is 5"):
        text.plain(5)  # type: ignore[arg-type]


@settings(max_examples=300, deadline=None)
@given(HOSTILE)
def test_html_and_svg_show_the_name_and_nothing_else(name: str) -> None:
    shown = text.plain(name)
    for quote in "\"'":
        page = Parsed(f"<p title={quote}{text.html(name)}{quote}>{text.html(name)}</p>")
        assert page.elements == 1
        assert page.attributes == {"title": shown}
        assert page.words == shown
    node = ET.fromstring(f"<text a='{text.svg(name)}'>{text.svg(name)}</text>")  # noqa: S314
    assert (node.text or "") == shown
    assert node.attrib == {"a": shown}
    assert len(node) == 0


@settings(max_examples=300, deadline=None)
@given(HOSTILE)
@example("\\$")
def test_mathtext_is_no_formula(name: str) -> None:
    assert drawn(text.mathtext(name)) == (text.plain(name), False)
    wrapped = drawn(text.mathtext(name, 14))
    assert wrapped[1] is False
    assert max(map(len, wrapped[0].split("\n"))) <= 14
    assert wrapped[0].replace("\n", "").replace(" ", "") == text.plain(name).replace(" ", "")


@settings(max_examples=300, deadline=None)
@given(HOSTILE)
def test_latex_has_no_command_but_ours(name: str) -> None:
    back = {v: k for k, v in text._LATEX.items()}
    token = re.compile(r"\\text[a-z]+\{\}|-\{\}|\\[{}$&#%_]|[^\\{}$&#%_~^`'<>|-]", re.DOTALL)
    found = token.findall(text.latex(name))
    assert "".join(found) == text.latex(name)
    assert "".join(back.get(t, t) for t in found) == text.plain(name)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(HOSTILE)
def test_markdown_keeps_a_table_and_its_cells(name: str) -> None:
    page = f"| a | b |\n| --- | --- |\n| {text.markdown(name)} | next |\n"
    parser = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin)
    tokens = parser.parse(page)
    inline = [t for t in tokens if t.type == "inline"]
    assert len(inline) == 4
    kinds = {child.type for child in inline[2].children or []}
    assert kinds <= {"text", "text_special"}
    shown = "".join(child.content for child in inline[2].children or [])
    assert shown == text.plain(name)
    assert inline[3].content == "next"


# ---- figures ----


def test_every_public_figure_is_tried() -> None:
    """A new function of figures that takes texts has to be tried with hostile ones."""
    tried = {"plots.panels", "plots.bars", "plots.bump", "plots.label", "plots.rows"}
    tried |= {"sliders.slider_figure"}
    markup = {"plots.note", "plots.responses"}  # texts of the book's own, formulas among them
    found = {
        f"{module.__name__.rpartition('.')[2]}.{name}"
        for module in (plots, sliders)
        for name, made in vars(module).items()
        if inspect.isfunction(made)
        and made.__module__ == module.__name__
        and not name.startswith("_")
        and any("str" in str(p.annotation) for p in inspect.signature(made).parameters.values())
    }
    assert found == tried | markup


@pytest.mark.slow
def test_names_are_escaped_once() -> None:
    """Chapters hand names as they are to a figure that escapes them itself."""
    calls = []
    for page in sorted((ROOT / "book").glob("*.md")):
        code = "\n".join(python_cells(jupytext.read(page, fmt="md:myst")))
        calls += [n for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Call)]
    itself = re.compile(r"\b(bump|bars|panels|slider_figure)$")
    drawn = [c for c in calls if itself.search(ast.unparse(c.func))]
    assert len(drawn) > 8
    for call in drawn:
        within = [n for part in (*call.args, *call.keywords) for n in ast.walk(part)]
        called = {ast.unparse(n.func) for n in within if isinstance(n, ast.Call)}
        assert not called & {"label", "html", "markdown"}, ast.unparse(call)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:constrained_layout not applied")  # 5,000 letters leave no room
@pytest.mark.parametrize("name", [n for n in NAMES if n.isascii()])
def test_figures_draw_every_name_as_written(name: str) -> None:
    """In ticks and legends, and those that begin with _ too."""
    scores = {"average": [1.0, 2.0], "borda": [2.0, 1.0]}
    fig = plots.panels([[0.4, 0.6], [0.5, 0.5]], [[0, 1], [1, 0]], [name, "other"], scores)
    fig.draw_without_rendering()
    entries = fig.axes[0].get_legend().get_texts()
    assert len(entries) == 2
    shown, formula = drawn(entries[0].get_text())
    assert shown.replace("\n", "").replace(" ", "") == text.plain(name).replace(" ", "")
    assert not formula
    plt.close(fig)


#: A hundred and twenty characters: as one word, of the widest letter, as words, with marks.
LONG = ("x" * 120, "W" * 120, "a name of words " * 8, "$_{^}\\|`" * 15, "<b>bold</b>&" * 10)


def inside(fig: Any) -> bool:
    """Whether all names lie on the figure, and none on another."""
    fig.canvas.draw()
    texts = [*fig.axes[0].get_yticklabels(), *fig.legends[0].get_texts()]
    boxes = [text.get_window_extent() for text in texts]
    within = all(b.x0 >= 0 and b.y0 >= 0 and b.x1 < fig.bbox.x1 for b in boxes)
    return within and not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])


@pytest.mark.parametrize("name", LONG, ids=lambda name: name[:4])
def test_long_names_stay_on_their_figure(name: str) -> None:
    plots.style()
    fig, ax = plt.subplots()
    places = plots.rows(ax, [name, "short", name + "z", "other"])
    assert (np.diff(places) > 0).all()
    ax.plot([0.1, 0.2, 0.3, 0.4], places, "o", label="DPO")
    fig.legend(loc="outside upper right")
    assert inside(fig)
    assert ax.get_position().width > 0.3
    scores = {"average": [1.0, 2.0], "borda": [2.0, 1.0]}
    panels = plots.panels([[0.4, 0.6], [0.5, 0.5]], [[0, 1], [1, 0]], [name, "other"], scores)
    panels.canvas.draw()
    for part in panels.axes:
        box = part.get_legend().get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= panels.bbox.x1
        assert part.get_position().width > 0.7
    plt.close("all")


def test_pages_are_told_of_no_place_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("IPython.core.getipython.get_ipython", object)
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    with warnings.catch_warnings(record=True) as met:
        warnings.simplefilter("always")
        plots.style()
        warnings.warn("Glyph 26085 (\\N{CJK}) missing from font(s) DejaVu Sans.", stacklevel=1)
        warnings.warn("another", stacklevel=1)
    assert [str(w.message) for w in met] == ["another"]
    said = warnings.formatwarning("another", UserWarning, "/home/me/x.py", 3)
    assert said == "UserWarning: another\n"


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(HOSTILE)
@pytest.mark.filterwarnings("ignore:no font is installed")
def test_ranks_show_names_and_titles_as_written(name: str) -> None:
    fig, ax = plt.subplots()
    plots.bump(ax, [[1, 2], [2, 1]], [name, "other"], name)
    shown = "\n".join(map(text.plain, name.split("\n")))
    assert drawn(ax.get_title()) == (shown, False)
    assert drawn(ax.get_xticklabels()[0].get_text()) == (shown, False)
    plt.close(fig)


def test_letters_without_a_font_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not [name for name, _ in plots._fonts() if "Last Resort" in name]  # boxes for all
    monkeypatch.setattr(plots, "_fonts", list)
    with pytest.warns(
        UserWarning, match=r"no font is installed for 本 \(U\+672C\), 社 .* in '本社'"
    ):
        assert plots.label("本社") == "本社"
    assert plots.label("Städter, ½, Ωμέγα, Москва") == "Städter, ½, Ωμέγα, Москва"


def test_a_font_that_has_the_letters_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind the fonts in use; a made-up font stands for one that has them."""
    real = plots._letters
    monkeypatch.setattr(plots, "_fonts", lambda: [("Empty", "none"), ("Han", "han.ttf")])
    made_up = {"none": frozenset[int](), "han.ttf": frozenset({0x672C})}
    monkeypatch.setattr(
        plots, "_letters", lambda path: made_up[path] if path in made_up else real(path)
    )
    with mpl.rc_context({"font.family": ["DejaVu Sans"]}):
        assert plots.label("本") == "本"
        assert mpl.rcParams["font.family"] == ["DejaVu Sans", "Han"]


@pytest.mark.parametrize("options", [1, 26, 27, 30, 702, 703])
def test_every_option_has_a_letter_of_its_own(options: int) -> None:
    names = plots.letters(options)
    assert len(set(names)) == options
    assert names[:26] == [chr(65 + k) for k in range(min(options, 26))]
    assert names[26:28] == ["AA", "AB"][: max(options - 26, 0)]


@pytest.mark.slow
@pytest.mark.parametrize(("types", "options"), [(1, 1), (7, 4), (3, 27), (13, 30)])
def test_many_options_and_types_are_all_drawn(types: int, options: int) -> None:
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(options), types)
    names = [f"type {k}" for k in range(types)]
    scores = {"average": shares.mean(axis=0), "borda": -shares.mean(axis=0)}
    fig = plots.panels(shares, np.log(shares), names, scores)
    assert len(fig.axes[0].patches) == types * options
    assert len(fig.axes[0].get_legend().get_texts()) == types
    assert fig.axes[0].get_xticklabels()[-1].get_text() == plots.letters(options)[-1]
    plt.close(fig)
    fig, ax = plt.subplots()
    plots.bump(ax, list(scores.values()), ["one", "two"])
    assert len(ax.texts) == 2 * options
    assert len(ax.lines) == options
    plt.close(fig)


def test_figures_refuse_what_does_not_fit() -> None:
    scores = {"average": [1.0, 2.0]}
    good = [[0.4, 0.6], [0.5, 0.5]]
    for arguments, message in (
        ((good, [[1, 2]], ["a", "b"], scores), r"rewards \(1, 2\)"),
        ((good, good, ["a"], scores), "there are 1 types"),
        ((good, good, ["a", "b"], {"votes": [1, 2]}), "scores names"),
        ((good, good, ["a", "b"], {}), "scores names"),
        ((good, good, ["a", "b"], {"dpo": [1, 2, 3]}), "scores has 3 options"),
        (([[0.4, np.nan]], [[1, 2]], ["a"], scores), r"shares\[0, 1\] is nan"),
    ):
        with pytest.raises(ValueError, match=message):
            plots.panels(*arguments)
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match="names has 1 entries"):
        plots.bump(ax, [[1, 2], [2, 1]], ["one"])
    with pytest.raises(ValueError, match="rectangular"):
        plots.bump(ax, [[1, 2], [2]], ["one", "two"])
    plt.close("all")


def test_equal_scores_draw_a_flat_panel() -> None:
    fig = plots.panels([[0.5, 0.5]], [[0, 0]], ["a"], {"average": [0.0, 0.0]})
    assert [p.get_height() for p in fig.axes[2].patches] == [0, 0]
    plt.close(fig)
