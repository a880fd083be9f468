"""Numbers of the paper in plain text: found, told from the book's, and linked where they stand."""

from __future__ import annotations

import pydoc
import re
from pathlib import Path

import pytest
from numbers_of_the_paper import endings, pieces
from scorecard import anchor_of, code_of_paper, names_of_paper, spellings

KNOWN = {
    "Proposition 6.1",
    "Eq. (16)",
    "Eq. (14)",
    "Figure 4(b)",
    "Figure 4",
    "Table 2",
    "Lemma C.1",
}
ROOT = Path(__file__).parents[2]


def found(text: str) -> list[tuple[str, str]]:
    return [part for part in pieces(text, KNOWN) if not isinstance(part, str)]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("as Proposition 6.1 says", ["Proposition 6.1"]),
        ("by Eq. (16), and", ["Eq. (16)"]),
        ("Eqs. (14) and (16) give", ["Eq. (14)", "Eq. (16)"]),
        ("Equation 16 of the paper", ["Eq. (16)"]),
        ("in Figure 4(b).", ["Figure 4(b)"]),
        ("in Figure 4(c).", ["Figure 4"]),  # listed as a whole
        ("Lemma C.1. Then", ["Lemma C.1"]),
        ("Tables 1 and 2", ["Table 2"]),
        ("Proposition 6.17, Proposition 61, Theorem 9.9", []),
        ("no number here", []),
    ],
)
def test_what_is_found(text: str, names: list[str]) -> None:
    assert [name for name, _ in found(text)] == names


def test_no_letter_is_lost() -> None:
    text = "By Eqs. (14) and (16), Lemma C.1 and Figure 4(b): Table 2."
    parts = [part if isinstance(part, str) else part[1] for part in pieces(text, KNOWN)]
    assert "".join(parts) == text


def test_every_name_has_a_place_of_its_own() -> None:
    names = names_of_paper(str(ROOT))
    assert len({anchor_of(name) for name in names}) == len(names) > 40
    assert all(re.fullmatch(r"paper-[a-z0-9-]+", anchor_of(name)) for name in names)


def test_how_people_spell_a_number() -> None:
    assert {"Eq. (16)", "Eq. 16", "Equation 16"} <= set(spellings("Eq. (16)"))
    assert {"Figure 4(b)", "Figure 4b"} <= set(spellings("Figure 4(b)"))
    assert {"Proposition 6.1", "Prop. 6.1"} <= set(spellings("Proposition 6.1"))


def test_a_page_may_call_a_function_by_any_ending() -> None:
    name = "hetlib.linked.moments.variance_from_moments"
    assert {name, "variance_from_moments", "hetlib.variance_from_moments"} <= endings(name)
    method = endings("hetlib.core.population.Population.pairwise", method=True)
    assert {"Population.pairwise", "hetlib.Population.pairwise"} <= method
    assert "hetlib.pairwise" not in method


def test_the_code_of_what_the_paper_numbers_exists() -> None:
    table = code_of_paper(str(ROOT))
    assert {"Eq. (6)", "Eq. (16)", "Proposition 6.1"} <= set(table)
    for code in table.values():
        for name in re.findall(r"`(hetlib[\w.]+)`", code):
            assert pydoc.locate(name) is not None, name
