"""The one solver: closed forms, lopsided counts, ridge, one table or many, and honest failure."""

from __future__ import annotations

from contextlib import nullcontext
from decimal import Decimal, localcontext
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize

from hetlib import bradley_terry, fit_dpo
from hetlib.borda.optima import dpo_loss, dpo_reward, ipo_loss
from hetlib.core.newton import ConvergenceError, minimise

Array = NDArray[np.float64]


def close(log_odds: object, exact: object) -> None:
    np.testing.assert_allclose(np.asarray(log_odds), np.asarray(exact), rtol=1e-9, atol=1e-6)


def cut_residual(wins: Array, s: Array) -> float:
    """The score equations of every split of the responses, in 50 digits.

    For a set of responses the model's wins over the rest equal those in the data; the largest
    difference, relative to the smaller of what the set gains and loses. Sets are what counts: a
    light pair between two heavy groups is lost in the equations of single responses.
    """
    n, worst = len(s), Decimal(0)
    with localcontext(prec=50):
        won = {
            (i, j): Decimal(float(wins[i, j]))
            / (1 + (Decimal(float(s[i])) - Decimal(float(s[j]))).exp())
            for i, j in product(range(n), repeat=2)
        }
        for inside in product((False, True), repeat=n):
            crossing = [(i, j) for i, j in won if inside[i] and not inside[j]]
            gain, loss = (
                sum((won[p] for p in c), Decimal(0))
                for c in (crossing, [p[::-1] for p in crossing])
            )
            if gain:
                worst = max(worst, abs(gain - loss) / min(gain, loss))
    return float(worst)


@pytest.mark.parametrize("exponent", [0, 3, 8, 10, 12, 15, 18, 50, 150, 300])
def test_two_responses_are_a_log_odds(exponent: int) -> None:
    ratio = 10.0**exponent
    exact = exponent * np.log(10)
    for table in ([0, ratio, 1, 0], [7, 1, 1 / ratio, 9], [0, 1e-8 * ratio, 1e-8, 0]):
        wins = np.reshape(table, (2, 2))
        a, b = bradley_terry(wins)
        close(a - b, exact)
        assert a == pytest.approx(-b)
    starts = [np.zeros(2), np.array([350.0, -350]), np.array([-350.0, 350])]
    for start in starts:  # from either side, and far beyond
        s = minimise(dpo_loss(np.array([[0, ratio], [1, 0]])), start)
        close(s[0] - s[1], exact)


@pytest.mark.parametrize("exponent", [1, 8, 18, 50, 150])
def test_a_lopsided_cycle(exponent: int) -> None:
    """0 beats 1 and 1 beats 2 with odds R to 1, 0 and 2 are level: by symmetry R = 2 exp(gap)."""
    R = 10.0**exponent
    wins = np.array([[0, R, 1], [1, 0, R], [1, 1, 0]])
    s = bradley_terry(wins)
    gap = np.diff(-s)
    assert gap[0] == pytest.approx(gap[1], abs=1e-6)
    # R sigma(-g) + sigma(-2g) = sigma(g) + sigma(2g), whose solution is this to 1e-6 from 1e8 on
    if exponent >= 8:
        close(gap, exponent * np.log(10) - np.log(2))
    assert cut_residual(wins, s) < 1e-6


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.floats(-14, 14), st.floats(-100, 100)), min_size=1, max_size=6),
    st.integers(0, 10**6),
)
def test_any_tree_of_counts(edges: list[tuple[float, float]], seed: int) -> None:
    """On a tree each gap is the log-odds of its own pair, whatever the others weigh."""
    rng = np.random.default_rng(seed)
    n = len(edges) + 1
    names, wins, truth = rng.permutation(n), np.zeros((n, n)), {}
    for child, (odds, size) in enumerate(edges, 1):
        i, j = names[child], names[rng.integers(child)]
        wins[i, j], wins[j, i] = 10.0 ** (size + odds / 2), 10.0 ** (size - odds / 2)
        truth[i, j] = np.log(wins[i, j]) - np.log(wins[j, i])
    for s in (bradley_terry(wins), minimise(dpo_loss(wins), rng.normal(size=n))):
        for (i, j), gap in truth.items():
            close(s[i] - s[j], gap)


@given(st.lists(st.floats(-15, 15), min_size=12, max_size=12))
def test_any_table_solves_the_score_equations(exponents: list[float]) -> None:
    wins = np.zeros((4, 4))
    wins[~np.eye(4, dtype=bool)] = 10.0 ** np.array(exponents)
    assert cut_residual(wins, bradley_terry(wins)) < 1e-7


@given(st.floats(1e-130, 1), st.floats(1e-130, 1), st.floats(1e-140, 0.5))
def test_optimum_of_extreme_probabilities(p: float, q: float, mass: float) -> None:
    """With two responses it is their log-odds, however rarely one of them is sampled."""
    P = np.array([[0.5, 1 - p / 2], [p / 2, 0.5]])
    s = dpo_reward(P, [1 - mass, mass])
    close(s[0] - s[1], np.log(P[0, 1]) - np.log(P[1, 0]))
    # If nearly all pairs hold response 1, its gaps to the others are theirs alone
    P = np.array([[0.5, p / 2, 0.5], [1 - p / 2, 0.5, 1 - q / 2], [0.5, q / 2, 0.5]])
    s = dpo_reward(P, [1e-300, 1 - 2e-300, 1e-300])
    close(s[1] - s[0], np.log(P[1, 0]) - np.log(P[0, 1]))
    close(s[1] - s[2], np.log(P[1, 2]) - np.log(P[2, 1]))


@given(st.floats(5e-324, 1e-140), st.floats(5e-324, 1e-140))
def test_right_or_refused_where_floats_end(p: float, mass: float) -> None:
    P = np.array([[0.5, 1 - p], [p, 0.5]])
    refused = pytest.raises((ConvergenceError, ValueError), match=r"gradient|too rare for a float")
    with refused if p * mass <= 1e-290 else nullcontext():
        s = dpo_reward(P, [1 - mass, mass])
        close(s[0] - s[1], -np.log(p))


def test_counts_of_any_size() -> None:
    for size in (1e-320, 1e-300, 1.0, 1e300, 1e308):
        s = bradley_terry([[0, 1.5 * size], [size, 0]])
        # the smallest floats have few digits
        assert s[0] - s[1] == pytest.approx(np.log((1.5 * size) / size), abs=1e-6)
    with pytest.raises(ValueError, match="differ by more than a factor of 1e308"):
        bradley_terry([[0, 1e308], [1e-308, 0]])
    assert bradley_terry([[5]]).tolist() == [0]
    assert fit_dpo is bradley_terry


@pytest.mark.parametrize("ridge", [0.0, 0.1, 3.0])
def test_ridge_in_closed_form(ridge: float) -> None:
    """(h - 1/2)^2 w + ridge / 2 * 2 (h / 2)^2 has its minimum at w / (2 w + ridge / 2)."""
    s = minimise(ipo_loss(np.array([[0.0, 5.0], [0, 0]])), np.zeros(2), ridge)
    assert s[0] - s[1] == pytest.approx(5 / (10 + ridge / 2), rel=1e-12)


@pytest.mark.parametrize("ridge", [0.05, 2.0])
def test_ridge_against_scipy(ridge: float) -> None:
    rng = np.random.default_rng(0)
    wins = rng.integers(0, 4, size=(3, 5, 5)).astype(float)
    found = minimise(dpo_loss(wins), np.zeros((3, 5)), ridge)
    for W, s in zip(wins, found, strict=True):

        def value(t: Array, W: Array = W) -> float:
            return float((W * np.logaddexp(0, t[None] - t[:, None])).sum() + ridge / 2 * t @ t)

        best = minimize(value, np.zeros(5), tol=1e-12)
        np.testing.assert_allclose(s, best.x, atol=1e-5)
        np.testing.assert_allclose(minimise(dpo_loss(W), np.zeros(5), ridge), s, atol=1e-9)


def test_one_heavy_table_leaves_the_others_alone() -> None:
    wins = np.array([[[0, 3.0], [1, 0]], [[0, 1e15], [1, 0]], [[0, 1e-9], [2e-9, 0]]])
    s = minimise(dpo_loss(wins), np.zeros((3, 2)))
    close(s[:, 0] - s[:, 1], np.log([3, 1e15, 0.5]))


def test_gaps_without_data_stay() -> None:
    wins = np.zeros((4, 4))
    wins[0, 1], wins[1, 0], wins[2, 3], wins[3, 2] = 3, 1, 1e9, 1
    s = minimise(dpo_loss(wins), np.array([5.0, 5, -5, -5]))
    np.testing.assert_allclose([s[0] - s[1], s[2] - s[3]], np.log([3, 1e9]))
    # each group turns about its own start: nothing says how far apart they are
    assert minimise(dpo_loss(np.zeros((3, 3))), np.array([1.0, 0, -1])).tolist() == [1, 0, -1]


def double_well(H: Array) -> tuple[Array, Array, Array]:
    upper = np.triu(np.ones_like(H), 1)
    return upper * (H**2 - 1) ** 2, upper * 4 * H * (H**2 - 1), upper * (12 * H**2 - 4)


@pytest.mark.parametrize("start", [0.1, -0.2, 3.0, -40.0])
def test_not_convex_ends_in_a_minimum_nearby(start: float) -> None:
    s = minimise(double_well, np.array([start, 0.0]))
    assert s[0] - s[1] == pytest.approx(np.sign(start), abs=1e-9)


def test_failure_names_the_gradient() -> None:
    def falling(H: Array) -> tuple[Array, Array, Array]:  # no minimum
        return -H * 1e3, np.full_like(H, -1e3) * np.tri(*H.shape), np.zeros_like(H)

    def broken(H: Array) -> tuple[Array, Array, Array]:
        return H, H + np.nan, H

    for loss, message in ((falling, r"gradient 1\.0e\+00, .* was asked"), (broken, "gradient nan")):
        with pytest.raises(ConvergenceError, match=message):
            minimise(loss, np.zeros(2), max_steps=3)
    one_sided = dpo_loss(np.array([[0, 1.0], [0, 0]]))
    with pytest.raises(ConvergenceError, match="was asked for"):
        minimise(one_sided, np.zeros(2), max_steps=100)
    with pytest.raises(ConvergenceError, match="was asked for"):
        minimise(dpo_loss(np.array([[0, 1e9], [1, 0]])), np.zeros(2), max_steps=5)


@given(st.floats(5e-324, 1e-300), st.floats(5e-324, 1e-300))
def test_right_or_refused_where_floats_have_few_digits(a: float, b: float) -> None:
    try:
        s = minimise(dpo_loss(np.array([[0, a], [b, 0]])), np.zeros(2))
    except ConvergenceError:
        assert min(a, b) < 1e-307
    else:
        close(s[0] - s[1], np.log(a) - np.log(b))


def test_tables_without_a_solution_are_named_and_do_not_take_the_others_along() -> None:
    from hetlib.borda.optima import bradley_terry, dpo_loss

    wins = np.random.default_rng(0).integers(1, 9, size=(5, 4, 4)).astype(float)
    likelihood, downhill = dpo_loss(wins), np.arange(5.0)[:, None, None] == 3

    def loss(H: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One table's loss falls for ever."""
        straight = (H, 1 + 0 * H, 0 * H)
        tilt = np.triu(np.ones((4, 4)), 1)
        return tuple(  # type: ignore[return-value]
            np.where(downhill, tilt * b, a) for a, b in zip(likelihood(H), straight, strict=True)
        )

    with pytest.raises(ConvergenceError, match=r"1 of 5 tables have no solution \(number 3\)") as e:
        minimise(loss, np.zeros((5, 4)), max_steps=30)
    assert e.value.tables == (3,)
    assert e.value.rewards is not None
    assert np.isnan(e.value.rewards[3]).all()
    for k in (0, 1, 2, 4):
        assert np.allclose(e.value.rewards[k], bradley_terry(wins[k]), atol=1e-8)
