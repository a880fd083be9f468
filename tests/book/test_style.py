"""Each rule of style finds what it is about, and the pages of the book keep all of them."""

from __future__ import annotations

import pytest
import style

FAULTS = {
    "a tic": "That is the whole story.",
    "en dash": "See sections 3-5 of it.",
    "orphaned comma": "Here $x$ , and there.",
    "degrees": "It is very unique.",
    "bold": "Take **this.**.",
    "a word twice": "One of of them.",
    "end mark": ":::{prf:proof}\nClear.\n:::",
}


@pytest.mark.parametrize("what", FAULTS)
def test_each_rule_finds_its_fault(what: str) -> None:
    assert any(what in told for told in style.faults(FAULTS[what]))


def test_code_formulas_and_addresses_are_left_alone() -> None:
    text = (
        "---\na: 1-2\n---\nA `b 1-2` and $3-5$, pages 3–5, 2026-11-26, arXiv:2105.00879.\n"
        "```{code-cell} ipython3\nx = 3 - 5\n```\n:::{prf:proof}\nClear. $\\square$\n:::\n"
    )
    assert not list(style.faults(text))


def test_the_book_keeps_the_rules() -> None:
    assert style.main() is None
