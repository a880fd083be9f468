"""Degenerate calls of a population: the right answer or a ValueError that names the argument."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetlib import Population, normalized_borda_count

TWO = Population([[1.0, 0.0]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 2.5}, "size is 2.5; it must be a whole number"),
        ({"size": -1}, "size is -1; it must be at least 1"),
        ({"size": np.nan}, "size is nan; it must be a whole number"),
        ({"labels": 0}, "labels is 0; it must be at least 1"),
        ({"labels": -1}, "labels is -1; it must be at least 1"),
        ({"labels": 1.5}, "labels is 1.5; it must be a whole number"),
    ],
)
def test_sample_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TWO.sample(**(dict[str, Any](size=10, rng=np.random.default_rng(0)) | arguments))


def test_numbers_that_are_no_floats() -> None:
    huge: Any = 10**400
    with pytest.raises(ValueError, match="rewards holds a number too large for a float"):
        Population([[huge, 0]])
    with pytest.raises(ValueError, match="temperature must be a positive number"):
        Population([[1.0, 0.0]], temperature=huge)
    with pytest.raises(ValueError, match="pairwise must be a rectangular array of numbers"):
        normalized_borda_count(np.array([[0.5, 0.7], [0.3, 0.5]]) + 0j)


@pytest.mark.filterwarnings("error")
@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(min_value=5e-324, allow_infinity=False),
)
def test_any_floats_give_probabilities(a: float, b: float, temperature: float) -> None:
    P = Population([[a, b]], temperature=temperature).pairwise()
    assert np.isfinite(P).all()
    assert np.allclose(P + P.T, 1)
    assert P[0, 0] == 0.5
    assert P[0, 1] >= 0.5 or a < b
