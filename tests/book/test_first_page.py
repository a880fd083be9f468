"""The first page and the first lines of chapters: pictures, what to read before, terms."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jupytext
import landmarks
import numpy as np
import opening
import powers
import pytest
import takeaway
import terms
import yaml
from docutils import nodes
from docutils.frontend import get_default_settings
from docutils.parsers.rst import Parser
from docutils.utils import new_document
from execute import chapters
from folds import Gather

from hetlib.comparison.methods import METHODS

BOOK = Path(__file__).parents[2] / "book"
INDEX = (BOOK / "index.md").read_text()
PATH = yaml.safe_load((BOOK / "path.yml").read_text())
NUMBERED = [name for name in chapters() if name[:2].isdigit()]


# ---- pictures ----


def test_the_pictures_are_those_that_the_book_draws() -> None:
    drawn = opening.pictures()
    stored = {path.stem: path.read_text() for path in (BOOK / "_static/opening").glob("*.svg")}
    assert stored == drawn, "python tools/opening.py book/_static/opening"


@pytest.mark.parametrize("name", ["why", "depends", "helps"])
def test_the_first_page_shows_each_with_one_link(name: str) -> None:
    cards = INDEX.split(":::{grid-item-card}")
    (card,) = [card for card in cards if f"_static/opening/{name}.svg" in card]
    assert len(re.findall(r"\{ref\}`", card.partition("\n:::")[0])) == 1
    assert ":alt:" in card


def test_readers_see_what_the_pictures_are_said_to_show() -> None:
    sums = opening.people()
    assert sums["nine people"] > 0 > sums["the tenth"]
    assert sums["as DPO reads"] > 0 > sums["all ten"]
    _minds, wanted, read = opening.why()
    assert wanted[0] > 0 > wanted[-1]
    np.testing.assert_allclose(np.diff(wanted, 2), 0, atol=1e-12)  # a straight line
    assert read.min() > 0
    assert abs(read[-1] - read[-5]) < 1e-3 < abs(read[4] - read[0])  # levels off
    _shares, wanted, read = opening.depends()
    assert np.ptp(wanted) == 0 < wanted[0]
    assert read[0] > 0 > read[-1]
    target, (dpo, twice, each) = opening.helps()
    assert dpo < target < twice < target + (target - dpo)  # a little too far, and nearer
    assert each == pytest.approx(target, abs=1e-8)


def test_the_sliders_start_where_the_pictures_do() -> None:
    script = (BOOK / "_static/lab/small.js").read_text()
    assert f"mild = {opening.MILD}, offence = {opening.OFFENCE}" in script


# ---- the way into a chapter ----


def test_every_chapter_says_what_it_needs_and_what_may_wait() -> None:
    assert sorted(PATH) == NUMBERED


@pytest.mark.parametrize("name", NUMBERED)
def test_what_is_needed_comes_before_and_what_may_wait_is_there(name: str) -> None:
    entry, text = PATH[name], (BOOK / f"{name}.md").read_text()
    assert entry.get("needs") or entry.get("before")
    assert all(number < int(name[:2]) for number in entry.get("needs", {}))
    typed = {'"': "”", "'": "’"}  # as Sphinx turns quotes
    titles = {
        re.sub(r"(^|\s)”", r"\1“", "".join(typed.get(c, c) for c in title))
        for title in re.findall(r"^##+ (.+)$", text, re.MULTILINE)
    }
    assert entry["skip"]
    assert set(entry["skip"]) <= titles
    cells = [cell.source for cell in jupytext.reads(text, fmt="md:myst").cells]
    assert not any(re.search(r"\*(You need|Time)\*", source) for source in cells)


def document(*children: nodes.Node) -> nodes.document:
    made = new_document("page", get_default_settings(Parser()))
    made += nodes.section("", nodes.title(text="A title"), *children, ids=["top"])
    return made


def test_words_are_those_that_are_not_folded() -> None:
    fold = nodes.container("", nodes.paragraph(text="a hidden solution"), classes=["dropdown"])
    assert takeaway.words(document(nodes.paragraph(text="three words here"), fold)) == 3


def test_the_way_names_chapters_and_links_sections() -> None:
    part = nodes.section(
        "", nodes.title(text="Later"), nodes.paragraph(text="word " * 400), ids=["later"]
    )
    entry: dict[str, Any] = {"needs": {1: "DPO", 2: "types", 3: "counts"}, "skip": ["Later"]}
    proof = nodes.section("", nodes.paragraph(text="of a theorem"), ids=["proof-content"])
    made = takeaway.way(document(part, proof), entry, "04-x")
    assert made.astext() == (
        "You need chapter 1 (DPO), chapter 2 (types) and chapter 3 (counts). "
        "Skip at first Later (2 min)."
    )
    assert next(iter(made.findall(nodes.reference)))["refid"] == "later"


# ---- terms ----

TERMS = {
    "Borda count": ("term-borda", "How often it wins."),
    "NBC": ("term-nbc", "How often it wins."),
    "type": ("term-type", "People with the same rewards."),
    "max-min": ("term-max", "Serving the worst off."),
}


def explained(*children: nodes.Node) -> str:
    made = document(*children)
    terms.explain(made, TERMS, "terms.html")
    return made.astext()


def test_the_first_use_of_a_definition_is_explained() -> None:
    text = explained(nodes.paragraph(text="Types, NBC, a Borda count and a type"))
    assert text.count('class="term"') == 2  # NBC and Borda count are one
    assert 'data-says="People with the same rewards.">Types</a>' in text
    assert text.count(">Borda count</a>") == 1


def test_titles_links_code_and_parts_of_words_stay() -> None:
    link = nodes.reference("", "a type", refuri="x")
    code = nodes.literal(text="type")
    rest = nodes.Text(" typed nbc prototype max-minimum")
    title = nodes.emphasis(text="On types")
    text = explained(nodes.paragraph("", "", link, code, title, rest))
    assert "term" not in text


def test_a_text_without_a_place_is_left_alone() -> None:
    lost = nodes.paragraph()
    lost.children = [nodes.Text("a Borda count")]  # as what is glued in may be put together
    assert "term" not in explained(lost)


@pytest.mark.parametrize(
    "term",
    re.findall(
        r"^(?=\S)(?![`({#])([^.\n]+)$",
        ((BOOK / "terms.md").read_text().partition("```{glossary}\n")[2]),
        re.MULTILINE,
    ),
)
def test_each_term_is_used(term: str) -> None:
    used = [*BOOK.glob("[0-9]*.md"), BOOK / "index.md", BOOK / "minutes.md", BOOK / "practice.md"]
    assert any(terms.pattern(term).search(path.read_text()) for path in used)


def test_gathered_checks_are_no_prose() -> None:
    """What is folded with the verdicts stays as the cell printed it."""
    assert Gather.default_priority < terms.Terms.default_priority
    cell = nodes.container("", nodes.paragraph(text="a type"), classes=["cell"])
    assert "term" not in explained(cell)


# ---- numbers and names in finished pages ----


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("within 1e-08 of", "within 10⁻⁸ of"),
        ("<td>3e-09</td>", "<td>3 × 10⁻⁹</td>"),
        ("2.0e-03 nats, 2.5e+04 labels", "0.0020 nats, 25,000 labels"),
        ("(-4.1e+16)", "(-4.1 × 10¹⁶)"),
        ("<code>1e-08</code> <b title='1e-08'>file1e-08, 3e-08x</b>", None),
        ('<span class="math notranslate">1e-08</span>', None),
    ],
)
def test_numbers_stand_as_a_person_writes_them(typed: str, written: str | None) -> None:
    assert powers.readable(typed) == (written or typed)


def test_a_method_in_the_chart_leads_to_its_function() -> None:
    row = "<td>{}: 13.2%; not ring: {}</td><td>{}: 1%</td><td>people: 3</td>"
    made = landmarks.led(row.format("EM-DPO + average", "conditional, n = 3", "unknown"), "x.html")
    at = '<a href="x.html#hetlib.comparison.methods.{}">{}</a>'.format
    expected = (
        at("latent.average", "EM-DPO + average"),
        at("direct.conditional", "conditional, n = 3"),
    )
    assert made == row.format(*expected, "unknown")


def test_every_method_has_a_function_to_lead_to() -> None:
    assert all(landmarks.function_of(m.name) for m in METHODS.values())
