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
        ([["a", "b", *range(10)]], r"counts\[0\] has 9 labels a person; at most 8"),
        ([["a", "b", 0, 0]], r"not all 0; it holds \[0.0, 0.0\]"),
        ([["a", "b", 1.5, 2]], "whole numbers"),
        ([["a", "b", float("inf"), 2]], "whole numbers"),
        ([["a", "b", 3, "", 4, None, ""], ["a", "c", 1]], "must hold numbers"),
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


def test_counts_as_files_have_them(tmp_path: Path) -> None:
    """A mark at the start, names in other scripts, spaces, one person, zeros and eight labels."""
    file = tmp_path / "counts.csv"
    text = "first,second,0,1\r\n é , b ,0,1\r\n\r\nb,c,0,0,0,0,0,0,0,0,1\r\n"
    file.write_bytes(text.encode("utf-8-sig"))
    names, table = bounds.read_counts(str(file))
    assert names == ["é", "b", "c"]
    assert table[0, 1].tolist() == [0, 1]
    assert table[1, 2].tolist() == [0] * 8 + [1]
    assert bounds.read_counts([["a", "b", 3, 4, "", None]])[1][0, 1].tolist() == [3, 4]


def test_widths_of_what_is_to_be_expected() -> None:
    """By hand for one label: the law of two labels under each of three populations."""
    counts, B = [30, 70], 2.0
    people, labels = bounds.next_label(counts, B, 0.9, 3)
    low, high = bounds.bounds_from_counts(counts, B, 0.9, 3).witnesses
    for at, parts in enumerate(([low], [low, high], [high])):
        d = np.concatenate([w.differences for w in parts])
        mass = np.concatenate([w.weights for w in parts]) / len(parts)
        x = 1 / (1 + np.exp(-d))
        once = 200 * np.array([mass @ (1 - x), mass @ x])
        twice = 100 * np.array([mass @ (1 - x) ** 2, 2 * mass @ (x * (1 - x)), mass @ x**2])
        assert people[at] == pytest.approx(bounds.bounds_from_counts(once, B, 0.9, 3).width)
        assert labels[at] == pytest.approx(bounds.bounds_from_counts(twice, B, 0.9, 3).width)
    once_more, _ = bounds.next_label(counts, B)
    assert once_more[0] == pytest.approx(bounds.next_label(counts, B, 0.95, 1)[0][0])


@pytest.mark.parametrize("labels", [-1, 1001])
def test_numbers_of_labels_have_a_limit(labels: int) -> None:
    with pytest.raises(ValueError, match=f"labels is {labels}"):
        bounds.worst_width_bounds(labels, 2.0)
    assert bounds.worst_width_bounds(1000, 2.0)[1] < 1e-3
