# mypy: disable-error-code="arg-type, dict-item, list-item"
"""The rate of the worst width against an exchange algorithm; tables of counts; one more label."""

from pathlib import Path

import numpy as np
import pytest
from scipy.special import logit

from hetlib.checks import Array
from hetlib.linked import bounds

WAYS = [(m, B) for m in (1, 2, 3, 5) for B in (2.0, 4.0, 8.0)]


def remez(m: int, B: float) -> float:
    """Error of the best odd polynomial of degree m to the logit, by Remez's exchange."""
    T = np.tanh(B / 2)

    def f(t: Array) -> Array:
        return logit((1 + T * t) / 2)

    odd = np.arange(1, m + 1, 2)
    t = np.cos(np.pi * np.arange(len(odd) + 1) / (2 * len(odd) + 1))  # decreasing in (0, 1]
    fine = np.cos(np.linspace(0, np.pi / 2, 20_001))
    basis = np.polynomial.chebyshev.chebvander(fine, m)[:, odd]
    for _ in range(30):
        V = np.polynomial.chebyshev.chebvander(t, m)[:, odd]
        signs = (-1.0) ** np.arange(len(t))[:, None]
        solved = np.linalg.solve(np.hstack([V, signs]), f(t))
        error = f(fine) - basis @ solved[:-1]
        turns = np.flatnonzero(np.diff(np.sign(np.diff(error))) != 0) + 1
        at = np.concatenate([[0], turns])
        at = at[np.argsort(-abs(error[at]))][: len(t)]
        t = fine[np.sort(at)]
        if abs(error).max() < abs(solved[-1]) * (1 + 1e-9):
            break
    return float(abs(error).max())


@pytest.mark.parametrize(("m", "B"), WAYS)
def test_the_worst_width_lies_between_its_bounds(m: int, B: float) -> None:
    low, high = bounds.worst_width_bounds(m, B)
    width = 2 * remez(m - (m % 2 == 0), B)
    assert low <= width <= high * (1 + 1e-6)
    assert width > 0.7 * high


def test_one_label_has_a_closed_form() -> None:
    for B in (0.5, 4.0, 20.0):
        known = B - 4 * np.arctan(np.tanh(B / 4))
        assert bounds.worst_width_bounds(1, B)[1] == pytest.approx(known, rel=1e-6)
    assert bounds.worst_width_bounds(0, 3.0) == (6.0, 6.0)


def test_counts_are_read_from_rows_and_files(tmp_path: Path) -> None:
    rows = [["a", "b", 3, 5, 2], ["b", "c", 4, 6]]
    names, table = bounds.read_counts(rows)
    file = tmp_path / "counts.csv"
    file.write_text("first,second,0,1,2\na,b,3,5,2\nb,c,4,6,\n")
    again = bounds.read_counts(file)
    assert names == again[0] == ["a", "b", "c"]
    assert set(table) == set(again[1])
    assert all((table[p] == again[1][p]).all() for p in table)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "empty"),
        ([["a", "b", 3]], "3 entries"),
        ([["a", "a", 3, 4]], "twice"),
        ([["a", "b", 3, 4], ["b", "a", 1, 2]], "repeats"),
        ([["a", "b", 3, -4]], "whole numbers"),
        ([["a", "b", 3, "x"]], "numbers"),
        ([["a", "b", *range(12)]], "at most 8"),
    ],
)
def test_bad_counts_are_named(rows: list[list[object]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        bounds.read_counts(rows)


def test_a_pair_that_nobody_was_asked_about_has_the_bound() -> None:
    table = {(1, 0): [40, 60], (2, 0): [20, 80], (2, 1): [10, 90]}
    full = bounds.certified_from_table(table, 3, 2.0)
    alone = bounds.bounds_from_counts([10, 90], 2.0, pairs=3)
    assert full.upper[2, 1] <= alone.upper
    assert full.order[2, 0] == full.order[2, 1] == 1
    some = bounds.certified_from_table({(1, 0): table[1, 0]}, 3, 2.0)
    assert some.upper[2, 0] == 2.0
    assert some.order[2, 0] == 0


@pytest.mark.slow
def test_another_label_may_settle_what_more_people_cannot() -> None:
    people, labels = bounds.next_label([4000, 2000, 6000], 4.0)
    assert labels.shape == people.shape == (3,)
    assert labels.max() < 0.6 * people.min()
    few_people, few_labels = bounds.next_label([4, 6], 4.0)
    assert (few_people > people).all()
    assert (few_labels > few_people).all()


def test_an_even_label_is_worth_little_at_the_ends_of_one_label() -> None:
    people, labels = bounds.next_label([40_000, 60_000], 4.0)
    assert labels == pytest.approx(people, rel=0.03)
