"""Labels of one person and labels one a type: what each container takes and who takes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hetlib.core.labels import NOT_ANSWERED, TIE, Comparisons, Linked, TypeLabels
from hetlib.core.population import Population
from hetlib.linked.moments import tabular_moments
from hetlib.mixture.rankings import Rankings

CONTAINERS: list[Any] = [Comparisons, TypeLabels]
PEOPLE = Population([[0.0, 1.0, -1.0], [2.0, 0.0, 0.5]], [0.3, 0.7])


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("vote", [np.nan, 0.5, 3, -2, np.inf])
def test_a_vote_is_one_of_four_codes(container: Any, vote: float) -> None:
    with pytest.raises(ValueError, match=r"votes\[1, 0\] is .*; allowed are 1 \(y2 won\)"):
        container([0, 1], [1, 2], [[1], [vote]])


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(
    ("y1", "y2", "votes", "message"),
    [
        ([0], [-1], [[1]], r"y2\[0\] is -1; an index of a response is not negative"),
        ([0.5], [1], [[1]], "y1 must hold whole numbers, not float64"),
        ([0], [1, 2], [[1]], "y1 has 1 entries and y2 2"),
        ([[0, 1]], [1], [[1]], r"y1 must have shape \(pairs,\)"),
        ([0], [1], [1], r"votes must have shape \(1, columns\), not \(1,\)"),
        ([], [], [[]], r"y1 must have shape \(pairs,\) and not be empty"),
    ],
)
def test_shapes_and_indices(container: Any, y1: Any, y2: Any, votes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        container(y1, y2, votes)


@pytest.mark.parametrize("container", CONTAINERS)
def test_ties_and_missing_answers_are_counted(container: Any) -> None:
    data = container([0, 0, 0], [1, 1, 1], [[1], [TIE], [NOT_ANSWERED]])
    assert data.wins(2).tolist() == [[0, 0.5], [1.5, 0]]
    with pytest.raises(ValueError, match="response 1 occurs; responses=1 allows"):
        data.wins(1)


@pytest.mark.parametrize("reader", [Linked.of, Rankings.of, lambda data: tabular_moments(data, 3)])
def test_labels_one_a_type_are_not_labels_of_one_person(reader: Callable[[Any], Any]) -> None:
    data = PEOPLE.sample_types(2000, np.random.default_rng(0))
    reader(PEOPLE.sample(2000, np.random.default_rng(0), labels=2))
    with pytest.raises(ValueError, match=r"not TypeLabels"):
        reader(data)


def test_rankings_leave_out_missing_answers_and_refuse_ties() -> None:
    data = Comparisons(np.array([0, 0]), np.array([1, 1]), np.array([[1, 0], [NOT_ANSWERED, 1]]))
    assert Rankings.of(data).orders.tolist() == [[[1, 0], [0, 1]], [[-1, -1], [1, 0]]]
    with pytest.raises(ValueError, match=r"votes\[0, 0\] is a tie"):
        Rankings.of(Comparisons(np.array([0]), np.array([1]), np.array([[TIE]])))
    with pytest.raises(ValueError, match="linked labels are 1"):
        Linked.of(data)
