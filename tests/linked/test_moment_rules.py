"""Rules, ranges and programmes of the moment problem, each against another way to the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.special import comb, expit, logit
from scipy.stats import beta as beta_law

from hetlib.core.population import Population
from hetlib.linked import bounds, moment_problem
from hetlib.linked.bounds import average_reward_bounds, choice_moments

Array = NDArray[np.float64]


def moments(atoms: Array, weights: Array, order: int) -> Array:
    """Of order 0 to ``order``."""
    return np.asarray(weights @ atoms[:, None] ** np.arange(order + 1))


@pytest.mark.parametrize("free", [1, 2, 3, 4])
@pytest.mark.parametrize("low", [False, True])
@pytest.mark.parametrize("high", [False, True])
def test_a_rule_finds_the_atoms_that_made_the_moments(free: int, low: bool, high: bool) -> None:
    """As many moments as unknowns; the moments to rounding, atoms as well as they allow."""
    rng = np.random.default_rng(free + 10 * low + 20 * high)
    for _ in range(20):
        inner = np.sort(rng.uniform(0.02, 0.98, size=free))
        atoms = np.concatenate([[0.0] * low, inner, [1.0] * high])
        weights = rng.dirichlet(np.full(len(atoms), 2.0))
        c = moments(atoms, weights, 2 * free + low + high - 1)
        found, mass = moment_problem.principal(c, low, high)
        assert len(found) == len(atoms)
        assert (np.diff(found) >= 0).all()
        assert found.min() >= 0
        assert found.max() <= 1
        assert mass.sum() == pytest.approx(1, abs=1e-14)
        np.testing.assert_allclose(moments(found, mass, len(c) - 1), c, atol=1e-13)
        if free < 3:
            apart = np.diff(atoms, prepend=-0.1, append=1.1).min()
            np.testing.assert_allclose(found, atoms, atol=1e-12 / (apart * weights.min()) ** 2)


ONE: list[tuple[float, int, bool, bool]] = [
    (0.0, 2, True, False),
    (1.0, 2, False, True),
    (0.5, 3, False, False),
    (0.5, 4, True, False),
    (0.25, 4, False, True),
    (0.5, 5, True, True),
]


@pytest.mark.parametrize(("atom", "order", "low", "high"), ONE)
def test_one_atom_is_found_where_two_are_allowed(
    atom: float, order: int, low: bool, high: bool
) -> None:
    c = moments(np.array([atom]), np.ones(1), order)
    found, mass = moment_problem.principal(c, low, high)
    np.testing.assert_allclose(moments(found, mass, order), c, atol=1e-14)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_the_range_of_the_next_moment_is_that_of_a_programme(order: int) -> None:
    """Over weights on a grid, which contains the atoms of the law."""
    rng, grid = np.random.default_rng(order), np.linspace(0, 1, 401)
    for _ in range(3):
        atoms, weights = rng.choice(grid, size=4, replace=False), rng.dirichlet(np.ones(4))
        c = moments(atoms, weights, order)
        low, high = moment_problem.next_range(c)
        powers = np.vander(grid, order + 2, increasing=True).T
        ends = [sign * linprog(sign * powers[-1], A_eq=powers[:-1], b_eq=c).fun for sign in (1, -1)]
        assert low - 1e-9 <= ends[0] <= low + 1e-5
        assert high - 1e-5 <= ends[1] <= high + 1e-9
        assert low < weights @ atoms ** (order + 1) < high


@pytest.mark.parametrize("p", [0.5, 0.1, 1e-6, 1 - 1e-6, 2.0**-50, 1 - 2.0**-50])
def test_a_divided_difference_at_one_point_is_a_derivative(p: float) -> None:
    """Those of log x - log(1 - x), of order one to three."""
    first = 1 / p + 1 / (1 - p)
    second = (1 / (1 - p) ** 2 - 1 / p**2) / 2
    third = (2 / p**3 + 2 / (1 - p) ** 3) / 6
    for n, exact in ((2, first), (3, second), (4, third)):
        found = moment_problem.divided_difference([p] * n)
        assert found == pytest.approx(exact, rel=1e-9, abs=1e-9)


def test_a_programme_keeps_both_limits_of_a_box() -> None:
    """A gain of 1 at one of two points, whose chance of the outcome is in [0.3, 0.6]."""
    chance, low, high = np.array([[1.0, 0.0]]), np.array([0.3]), np.array([0.6])
    for gain, mean in (([0.0, 1.0], 0.7), ([1.0, 0.0], 0.6)):
        weights, price, constant, value, left = moment_problem.programme(
            np.array(gain), chance, low, high, 1e3
        )
        assert value == pytest.approx(mean)
        assert weights @ gain == pytest.approx(mean)
        assert left == pytest.approx(0)
        assert (np.array(gain) <= constant + price @ chance + 1e-9).all()
        assert constant + price @ np.where(price > 0, high, low) == pytest.approx(mean)


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4])
def test_a_loose_value_is_still_above_every_law_of_the_box(tolerance: float) -> None:
    B, law = 2.0, np.array([0.2, 0.3, 0.3, 0.2])
    low, high = law - 0.02, law + 0.02
    sharp, _, _ = moment_problem.greatest_mean(low, high, B, 1e-9)
    loose, atoms, weights = moment_problem.greatest_mean(low, high, B, tolerance)
    assert sharp - 1e-8 <= loose <= sharp + tolerance + 1e-8
    assert atoms.shape == weights.shape
    assert weights.min() > 0
    assert loose - tolerance - 1e-8 <= weights @ logit(atoms) <= loose + 1e-8
    k = np.arange(4)[:, None]
    counts = (comb(3, k) * atoms**k * (1 - atoms) ** (3 - k)) @ weights
    assert (counts >= low - 1e-7).all()
    assert (counts <= high + 1e-7).all()


@pytest.mark.parametrize("labels", [1, 2, 3, 4, 5, 6, 7, 8])
def test_one_type_of_people_is_known_but_for_rounding(labels: int) -> None:
    """From two labels on; its average is within what rounding leaves open."""
    for gap in (0.7, -1.9):
        people = Population([[gap, 0.0]])
        found = average_reward_bounds(choice_moments(people, labels)[:, 0, 1], 2.0)
        assert found.lower <= gap + 1e-9
        assert found.upper >= gap - 1e-9
        assert found.lower <= found.upper
        if labels > 1:
            assert found.upper - found.lower < 1e-3


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: bounds.Witness(np.zeros(1), np.ones(1)).moments(0), "labels is 0; it must be at le"),
    (lambda: average_reward_bounds([[0.5]], 1.0), "moments must have 1 axes"),
    (lambda: average_reward_bounds([0.5] * 9, 1.0), "moments has 9 entries; at most 8"),
    (lambda: bounds.limit(30.001), "reward_bound is 30.001; above 30"),
    (lambda: bounds.limit(0.9e-6), "reward_bound is 9e-07; below 1e-6"),
    (lambda: bounds.tighten(np.zeros((2, 2, 2))), "upper must have 2 axes"),
    (lambda: bounds.tighten([[0, 0.1], [-0.3, 0]]), "bounds around .* which is negative"),
    (lambda: bounds.confidence_box([[1.0, 2.0]]), "counts must have 1 axes"),
    (lambda: bounds.next_label([[1.0, 2.0]], 1.0), "counts must have 1 axes"),
    (lambda: bounds.certified_ranking(np.full((1, 1, 2, 2), 0.5), 1.0), "moments must have 3 axe"),
    (lambda: bounds.certified_ranking([[0.5, 0.9], [0.2, 0.5]], 1.0), r"moments\[0, 1\]"),
    (lambda: bounds.tighten([[0, 1], [1, 0]]).verdict([[1.0, 0.0]]), "scores must have 1 axes"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_bounds_refuse_by_name(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_the_limits_themselves_are_allowed() -> None:
    assert bounds.limit(30) == 30
    assert bounds.limit(1e-6) == 1e-6
    assert average_reward_bounds(0.5 ** np.arange(1, 9), 1.0).width < 1e-3


def test_tightened_bounds_lead_nowhere_from_a_response_to_itself() -> None:
    found = bounds.tighten([[5, 1, 9], [2, 7, 1], [9, 9, 3]])
    assert found.upper.tolist() == [[0, 1, 2], [2, 0, 1], [9, 9, 0]]
    assert found.order.tolist() == [[0] * 3] * 3
    led = bounds.tighten([[0, 3], [-1, 0]]).verdict([1.0, 0.0])
    assert led.dtype == np.int64
    assert led.tolist() == [[0, 1], [1, 0]]


def test_expected_counts_of_less_than_one_have_their_own_interval() -> None:
    """Clopper and Pearson's, which is defined for any size: what one plans with is not whole."""
    low, high = bounds.confidence_box([0.5, 9.5], level=0.9)
    assert low[0] == pytest.approx(beta_law.ppf(0.05, 0.5, 10.5))
    assert high[0] == pytest.approx(beta_law.ppf(0.95, 1.5, 9.5))
    assert low[1] == pytest.approx(1 - high[0])
    assert high[1] == pytest.approx(1 - low[0])


def test_more_people_are_counted_as_the_labels_they_give() -> None:
    """Of m labels each: as many labels again as there are people are n/m people more."""
    counts, B = np.array([30.0, 20, 30]), 1.5
    more_people, _ = bounds.next_label(counts, B)
    for width, witness in zip(
        more_people[[0, 2]], bounds.bounds_from_counts(counts, B).witnesses, strict=True
    ):
        k, x = np.arange(3)[:, None], expit(witness.differences)
        law = (comb(2, k) * x**k * (1 - x) ** (2 - k)) @ witness.weights
        assert width == pytest.approx(bounds.bounds_from_counts(120 * law, B).width, abs=1e-6)


def test_a_table_in_utf_8_with_a_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "counts.csv"
    path.write_text("a,b,0,1,2\nä,ö,3,0,5\n", encoding="utf-8-sig")
    names, table = bounds.read_counts(path)
    assert names == ["ä", "ö"]
    assert table[0, 1].tolist() == [3, 0, 5]
