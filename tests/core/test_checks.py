"""Bad arguments: each error names the argument, the place, and what is allowed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hetlib import checks

RAGGED: Any = [[1.0, 2.0], [3.0]]


def test_array_copies() -> None:
    given = np.array([1.0, 2.0])
    out = checks.array("x", given, 1)
    out[0] = 9
    assert given[0] == 1


@pytest.mark.parametrize(
    ("value", "ndim", "message"),
    [
        (RAGGED, 2, r"rewards must be a rectangular array of numbers"),
        ([["a"]], 2, r"rewards must be a rectangular array of numbers"),
        ([1.0, 2.0], 2, r"rewards must have 2 axes, not 1 \(shape \(2,\)\)"),
        ([[]], 2, r"rewards must not be empty \(shape \(1, 0\)\)"),
        ([[1.0, 2.0], [3.0, np.nan]], 2, r"rewards\[1, 1\] is nan; only finite numbers"),
        ([1.0, -np.inf], 1, r"rewards\[1\] is -inf; only finite numbers"),
    ],
)
def test_array_refuses(value: Any, ndim: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checks.array("rewards", value, ndim)


def test_distribution_default_and_exact_sum() -> None:
    assert checks.distribution("D", None, 4).tolist() == [0.25] * 4
    assert checks.distribution("D", [0.3, 0.7 + 5e-10], 2).sum() == pytest.approx(1, abs=1e-15)
    assert checks.distribution("D", [0.0, 1.0], 2).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("value", "full", "message"),
    [
        ([0.5, 0.25, 0.25], False, r"weights has 3 entries; 2 are needed"),
        ([1.5, -0.5], False, r"weights\[1\] is -0.5; every entry must be non-negative"),
        ([0.0, 1.0], True, r"weights\[0\] is 0.0; every entry must be positive \(full support\)"),
        ([0.5, 0.6], False, r"weights sums to 1.1; it must sum to 1"),
        ([0.5, np.nan], False, r"weights\[1\] is nan; only finite"),
    ],
)
def test_distribution_refuses(value: Any, full: bool, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checks.distribution("weights", value, 2, full_support=full)


@pytest.mark.parametrize("value", [0, -1.0, np.nan, np.inf])
def test_positive_refuses_numbers(value: float) -> None:
    with pytest.raises(ValueError, match=r"beta is .*; it must be positive and finite"):
        checks.positive("beta", value)


@pytest.mark.parametrize("value", ["big", None, [1, 2]])
def test_positive_refuses_other_things(value: Any) -> None:
    with pytest.raises(ValueError, match=r"beta must be a positive number, not "):
        checks.positive("beta", value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([[0.5, 0.5]], r"pairwise must be square, not of shape \(1, 2\)"),
        ([[0.5, 1.2], [-0.2, 0.5]], r"pairwise\[0, 1\] is 1.2; probabilities lie in \[0, 1\]"),
        ([[0.5, 0.7], [0.4, 0.5]], r"pairwise\[0, 1\] \+ pairwise\[1, 0\] is 1.1; it must be 1"),
        ([[0.6, 0.5], [0.5, 0.5]], r"pairwise\[0, 0\] \+ pairwise\[0, 0\] is 1.2; it must be 1"),
    ],
)
def test_pairwise_refuses(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checks.pairwise(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([[0, 1, 2]], r"wins must be square, not of shape \(1, 3\)"),
        ([[0, 1], [-2, 0]], r"wins\[1, 0\] is -2.0; every entry must be non-negative"),
        ([[0, np.inf], [1, 0]], r"wins\[0, 1\] is inf; only finite"),
    ],
)
def test_counts_refuses(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checks.counts("wins", value)
