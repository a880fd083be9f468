"""What a formula says under the pointer is what the notation page says of its symbols."""

from __future__ import annotations

import pytest
import symbols
from docutils import nodes


def notation(*rows: tuple[str, str, str]) -> symbols.Rows:
    """Rows of a symbol, a meaning and a chapter, as the page has them."""
    document = nodes.document("", reporter=None)
    for tex, said, chapter in rows:
        row = nodes.row()
        for part in (nodes.math("", tex), nodes.Text(said), *map(nodes.Text, ("", "", chapter))):
            row += nodes.entry("", nodes.paragraph("", "", part))
        document += row
    return symbols.notation(document)


ROWS = notation(
    (r"\beta", "strength", "1"),
    (r"\pi_{\text{ref}}", "the prior", "1"),
    (r"\bar r(\mathbf y)", "average reward", "2"),
    (r"\alpha", "correction", "7"),
    (r"\alpha", "a ratio", "8"),
    (r"\mathcal D_U,\ \mathcal D_a", "sampling", "5"),
    ("s", "score", "10"),
)


@pytest.mark.parametrize(
    ("tex", "chapter", "expected"),
    [
        (r"\beta", "9", "β: strength"),
        (r"\beta_2", "9", ""),  # another symbol
        (r"\hat\beta", "9", ""),
        (r"2\bar r(\mathbf y_1)/\beta", "9", "r̄: average reward; β: strength"),
        (r"\pi_{\text{ref}}(y)", "9", "π_ref: the prior"),
        (r"\pi", "9", ""),
        (r"\D_a", "5", "D_a: sampling"),
        (r"\alpha", "7", "α: correction"),
        (r"\alpha", "8", "α: a ratio"),
        (r"\alpha", "9", ""),  # nobody knows which
        ("s", "10", "s: score"),
        ("s", "9", ""),  # a plain letter means its own in its chapter only
    ],
)
def test_a_formula_says_its_symbols(tex: str, chapter: str, expected: str) -> None:
    assert symbols.explained(tex, ROWS, chapter) == expected


def test_a_symbol_with_two_rows_in_a_chapter_is_not_explained() -> None:
    rows = notation((r"\tau", "one", "6"), (r"\tau", "two", "6"))
    assert symbols.explained(r"\tau", rows, "6") == ""


@pytest.mark.parametrize(
    ("tex", "expected"),
    [(r"\tfrac12", "1/2"), (r"\bar r", "r̄"), (r"\lvert\mathcal U\rvert", "|U|"), (r"\foo", None)],
)
def test_formulas_in_letters(tex: str, expected: str | None) -> None:
    assert symbols.plain(tex) == expected
