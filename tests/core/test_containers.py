# mypy: disable-error-code="arg-type, no-untyped-call"
"""Labels of one person and labels one a type: what each container takes and who takes it."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit

from hetlib.core.labels import NOT_ANSWERED, TIE, Comparisons, Linked, TypeLabels
from hetlib.core.population import Population
from hetlib.linked.estimators import tabular_cross_covariance
from hetlib.linked.moments import tabular_moments
from hetlib.mixture import em_dpo, log_probability
from hetlib.mixture.rankings import Rankings

CONTAINERS: list[Any] = [Comparisons, TypeLabels]
PEOPLE = Population([[0.0, 1.0, -1.0], [2.0, 0.0, 0.5]], [0.3, 0.7])


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("vote", [np.nan, 0.5, 3, -2, np.inf])
def test_a_vote_is_one_of_four_codes(container: Any, vote: float) -> None:
    with pytest.raises(ValueError, match=r"votes\[1, 0\] is .*; allowed are 1 \(y2 won\)"):
        container([0, 1], [1, 2], [[1], [vote]])


WON = np.random.default_rng(0).integers(0, 2, 60)
#: The same wins as others code them.
CODINGS: dict[str, tuple[np.ndarray, str]] = {
    "1 and 2": (WON + 1, r"votes holds 1 and 2 and no 0, as labels coded 1 and 2 would"),
    "-1 and 1": (2 * WON - 1, r"votes holds 1 and -1 and no 0, as labels coded -1 and 1 would"),
    "1 and 2, and skips": (np.where(np.arange(60) % 7 == 0, -1, WON + 1), "coded 1 and 2 would"),
    "1 and 2, and ties of 3": (np.where(np.arange(60) % 7 == 0, 3, WON + 1), r"\] is 3; allowed"),
    "-1, 0 and 1, and ties of 0.5": (np.where(np.arange(60) % 7 == 0, 0.5, WON), r"is 0\.5; all"),
    "few, 1 and 2": (np.array([1, 2] * 5), "coded 1 and 2 would"),
    "floats, 1 and 2": (WON + 1.0, "coded 1 and 2 would"),
    "NaN where nobody answered": (np.where(np.arange(60) % 7 == 0, np.nan, WON), "is nan; allow"),
}


@pytest.mark.parametrize("container", [*CONTAINERS, Linked])
@pytest.mark.parametrize("case", CODINGS)
def test_wins_as_others_code_them_are_refused(container: Any, case: str) -> None:
    coded, message = CODINGS[case]
    votes = coded.reshape(-1, 2)
    first = np.zeros_like(votes if container is Linked else votes[:, 0], dtype=int)
    with pytest.raises(ValueError, match=message):
        container(first, first + 1, votes)


@pytest.mark.parametrize("code", [TIE, NOT_ANSWERED])
def test_one_label_turned_round_tells_what_the_codes_are(code: int) -> None:
    y1, y2, votes = np.zeros(12, int), np.ones(12, int), np.array([[1]] * 6 + [[code]] * 6)
    y1[0], y2[0], votes[0] = 1, 0, 0
    wins = 6 + 3 * (code == TIE)
    assert Comparisons(y1, y2, votes).wins(2)[1, 0] == wins
    few = np.array([[1]] * 4 + [[code]] * 4)  # too few to look like a coding
    assert Comparisons(y1[1:9], y2[1:9], few).wins(2)[1, 0] == 4 + 2 * (code == TIE)


#: What is no vote, no index and no type, whatever container it is in.
ODD: list[Any] = [
    *(
        np.nan,
        np.inf,
        -np.inf,
        -2,
        0.5,
        -0.5,
        1e308,
        2**70,
        None,
        pd.NA,
        pd.NaT,
        "1",
        "x",
        "",
        b"1",
    ),
    *(1j, 1 + 1j, [], [1], {}, Fraction(1, 2), np.datetime64("2020"), object()),
]
PLACES: dict[str, Callable[[Any], Any]] = {
    "Comparisons votes": lambda v: Comparisons([0, 1], [1, 2], [[1], [v]]),
    "TypeLabels votes": lambda v: TypeLabels([0, 1], [1, 2], [[1], [v]]),
    "Linked votes": lambda v: Linked([[0, 1]], [[1, 2]], [[1, v]]),
    "Comparisons y1": lambda v: Comparisons([0, v], [1, 2], [[1], [1]]),
    "TypeLabels y2": lambda v: TypeLabels([0, 1], [1, v], [[1], [1]]),
    "Linked y2": lambda v: Linked([[0, 1]], [[1, v]], [[1, 1]]),
    "Comparisons types": lambda v: Comparisons([0, 1], [1, 2], [[1], [1]], [0, v]),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("odd", ODD, ids=lambda odd: re.sub(r" at 0x\w+", "", repr(odd)))
def test_what_is_no_label_is_refused_by_name(place: str, odd: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{place.split()[1]}(\[|\b)"):
        PLACES[place](odd)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("one", [True, np.int8(1), torch.tensor(1)], ids=repr)
def test_a_one_is_a_one_whatever_its_type(place: str, one: Any) -> None:
    assert repr(PLACES[place](one)) == repr(PLACES[place](1))


def test_masked_entries_are_not_what_lies_beneath() -> None:
    votes = np.ma.array([[1], [0]], mask=[[0], [1]])
    for container in CONTAINERS:
        with pytest.raises(ValueError, match="votes has masked entries, the first at 1"):
            container([0, 1], [1, 2], votes)
    with pytest.raises(ValueError, match="y1 has masked"):
        Linked(np.ma.array([[0, 1]], mask=[[0, 1]]), [[1, 2]], [[1, 0]])
    with pytest.raises(ValueError, match="rewards has masked"):
        Population(np.ma.array([[0.0, 1.0]], mask=[[0, 1]]))
    assert Comparisons([0, 1], [1, 2], np.ma.array([[1], [0]])).votes.tolist() == [[1], [0]]


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


def test_rankings_leave_out_missing_answers_and_halve_ties() -> None:
    data = Comparisons(np.array([0, 0]), np.array([1, 1]), np.array([[1, 0], [NOT_ANSWERED, 1]]))
    assert Rankings.of(data).orders.tolist() == [[[1, 0], [0, 1]], [[-1, -1], [1, 0]]]
    tied = Rankings.of(Comparisons(np.array([0]), np.array([1]), np.array([[TIE, 1]])))
    assert tied.orders.tolist() == [[[0, 1], [1, 0], [1, 0], [-1, -1]]]
    assert tied.weights is not None
    assert tied.weights.tolist() == [[0.5, 1.0, 0.5, 0.5]]
    log = log_probability(tied, [[0.3, 0.0]])[0, 0]
    assert log == pytest.approx(1.5 * np.log(expit(-0.3)) + 0.5 * np.log(expit(0.3)))
    assert Linked.of(data).linked == 1
    with pytest.raises(ValueError, match=r"votes\[1, 0\] is -1; this method takes"):
        Linked.of(data).decided()


CODES = np.array([[1, 0, TIE], [NOT_ANSWERED, 1, 1], [TIE, TIE, 0], [0, 1, NOT_ANSWERED]])


def spelt_out() -> tuple[Linked, list[Linked], np.ndarray]:
    """Labels with ties and gaps on one pair; each way a coin can decide, and its chance."""
    first, second = np.zeros_like(CODES), np.ones_like(CODES)
    ways = []
    ties = np.argwhere(CODES == TIE)
    for coins in product((0, 1), repeat=len(ties)):
        votes = CODES.copy()
        votes[tuple(ties.T)] = coins
        ways.append(Linked(first, second, votes))
    return Linked(first, second, CODES), ways, np.full(len(ways), 1 / len(ways))


def test_moments_count_a_tie_as_a_coin_would_decide_on_average() -> None:
    data, ways, chance = spelt_out()
    found = tabular_moments(data, 2)
    each = [tabular_moments(way, 2) for way in ways]  # as many answers in each
    np.testing.assert_allclose(found.J1, np.tensordot(chance, [m.J1 for m in each], 1))
    np.testing.assert_allclose(found.J2, np.tensordot(chance, [m.J2 for m in each], 1))
    both, asked = tabular_cross_covariance(data, 2)
    assert asked[1, 0, 1, 0] == 2 * (3 + 1 + 3 + 1)  # both orders of 3, 1, 3 and 1 pairs
    assert np.isfinite(both).all()


def test_em_takes_ties_and_gaps() -> None:
    data, *_ = spelt_out()
    fit = em_dpo(data, 2, 1, ridge=1e-6, tolerance=1e-12)
    wins = 2 + 1 + 2 * 0.5 + 1 + 0.5  # of y2, in ten answers
    assert fit.policies[0, 1] == pytest.approx(wins / 10, abs=1e-5)
