"""Vote vectors, expected losses and the sandwich."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit

from hetlib import Population
from hetlib.borda import optima
from hetlib.consistent import expected, losses
from hetlib.core import newton, policies

agreement = partial(losses.agreement, reduction="none")
integral = partial(losses.integral, reduction="none")


def test_patterns_and_probabilities() -> None:
    assert expected.patterns(2).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    z = np.random.default_rng(0).uniform(size=(3, 5))
    chi = expected.probabilities(z)
    assert chi.shape == (8, 5)
    np.testing.assert_allclose(chi.sum(axis=0), 1)
    np.testing.assert_allclose(chi[5], z[0] * (1 - z[1]) * z[2])
    np.testing.assert_allclose(expected.probabilities(z, [[1, 1, 1]])[0], z.prod(axis=0))


@pytest.mark.parametrize("types", range(1, 7))
@pytest.mark.parametrize("loss", [agreement, integral])
def test_consistent_losses_find_the_optimal_policy(loss: Any, types: int) -> None:
    rng = np.random.default_rng(types)
    for _ in range(3):
        p = Population(rng.normal(size=(types, 4)))
        D, ref = rng.dirichlet(np.full(4, 3.0), size=2)
        o = expected.patterns(types)  # all vectors: mixed ones must not matter
        chi = expected.probabilities(p.pairwise_by_type(), o)
        scale = (chi[0] + chi[-1]).mean()
        s = newton.minimise_pairwise(
            expected.expected_loss(loss, chi / scale, o), D, tolerance=1e-11
        )
        found = policies.optimal_policy(s, ref, 0.7)
        assert policies.total_variation(found, p.optimal_policy(ref, 0.7)) < 1e-8


def test_released_loss_does_not() -> None:
    p = Population([[2.0, 0.0, 1.0], [0.0, 1.0, 3.0]])
    o = expected.patterns(2)
    chi = expected.probabilities(p.pairwise_by_type(), o)
    slip = partial(losses.agreement, as_released=True, reduction="none")
    s = newton.minimise_pairwise(expected.expected_loss(slip, chi, o), np.full(3, 1 / 3))
    assert policies.total_variation(policies.optimal_policy(s), p.optimal_policy()) > 1e-2


def test_expected_loss_derivatives() -> None:
    p = Population([[1.0, 0.0, 0.5], [0.0, 2.0, 0.3]])
    o = expected.patterns(2)
    value = expected.expected_loss(integral, expected.probabilities(p.pairwise_by_type(), o), o)
    H = np.random.default_rng(1).normal(size=(3, 3))
    _, slope, curve = value(H)
    up, down = value(H + 1e-5), value(H - 1e-5)
    np.testing.assert_allclose((up[0] - down[0]) / 2e-5, slope, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose((up[1] - down[1]) / 2e-5, curve, rtol=1e-6, atol=1e-9)


def test_covariance_on_one_pair() -> None:
    """With two responses the sandwich is the delta method on counts of unanimous votes."""
    z = np.array([0.6, 0.35, 0.7])
    both = np.array([[[0.5, x], [1 - x, 0.5]] for x in z])
    margin = np.log(z / (1 - z)).mean()
    chi1, chi0 = z.prod(), (1 - z).prod()
    # half of the pairs compare a response with itself
    delta = 2 * (1 / chi1 + 1 / chi0) / 9
    for loss in (agreement, integral):
        C = expected.covariance(loss, both, [margin / 2, -margin / 2])
        assert C[0, 0] + C[1, 1] - 2 * C[0, 1] == pytest.approx(delta)


def test_covariance_against_simulation() -> None:
    p = Population([[1.0, 0.0, -0.5], [0.2, 0.7, 0.0]])
    true = p.mean_reward() - p.mean_reward().mean()
    errors = []
    for k in range(300):
        data = p.sample_types(4000, np.random.default_rng(k))
        W = np.zeros((3, 3))
        for vote, a, b in ((1, data.y2, data.y1), (0, data.y1, data.y2)):
            keep = (data.votes == vote).all(axis=1)
            np.add.at(W, (a[keep], b[keep]), 1.0)
        errors.append(optima.fit_dpo(W) / 2 - true)  # Prop. 6.1 is DPO at temperature 1/2
    simulated = 4000 * np.cov(np.array(errors).T)
    theory = expected.covariance(agreement, p.pairwise_by_type(), true)
    assert np.trace(simulated) == pytest.approx(np.trace(theory), rel=0.25)


@pytest.mark.parametrize("types", [1, 2, 3, 5])
def test_losses_of_counts_are_the_losses_of_votes(types: int) -> None:
    """Value, slope and curvature, against automatic differentiation of the torch losses."""
    rng = np.random.default_rng(types)
    o = np.array([[1] * types, [0] * types])  # row is y2 first, then column is y1
    both, H = rng.uniform(0.1, 1, size=(2, 4, 4)), rng.normal(scale=2, size=(4, 4))
    U, none = both[0], np.zeros((4, 4))
    slip = partial(losses.agreement, as_released=True, reduction="none")

    def turned(first: Any) -> Any:
        """By automatic differentiation; y_i first and preferred is a vote for y1 at -H."""
        return expected.expected_loss(slip, np.stack([none, first]), o)(-H)

    for loss, torch_loss in (
        (expected.agreement_loss, agreement),
        (expected.integral_loss, integral),
    ):
        found = loss(U, types)(H)
        wanted = expected.expected_loss(torch_loss, np.stack([U, none]), o)(H)
        for ours, theirs in zip(found, wanted, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-10)
    found = expected.shifted_agreement_loss(both[0], both[1], types)(H)
    shown_second = expected.expected_loss(slip, np.stack([both[0], none]), o)(H)
    shown_first = turned(both[1])
    for ours, second, first, sign in zip(found, shown_second, shown_first, (1, -1, 1), strict=True):
        np.testing.assert_allclose(ours, second + sign * first, rtol=1e-10)


def test_the_integral_loss_is_held_where_it_would_overflow() -> None:
    value, slope, curve = expected.integral_loss(np.ones((1, 1)), 3)(np.array([[-1e4]]))
    at_limit = expected.integral_loss(np.ones((1, 1)), 3)(np.array([[-200.0]]))
    for found, limit in zip((value, slope, curve), at_limit, strict=True):
        np.testing.assert_allclose(found, limit)
        assert np.isfinite(found).all()
    beyond = expected.integral_loss(np.ones((1, 1)), 3)(np.array([[-199.0]]))
    assert value > beyond[0]


@pytest.mark.parametrize("types", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("h", [-2.5, -0.4, 0.4, 3.0])
def test_the_tail_integral_on_both_sides(h: float, types: int) -> None:
    wanted, _ = quad(lambda v: v**types / (1 + v) ** 2, 0, np.exp(-h), epsabs=0, epsrel=1e-12)
    assert expected.tail_integral(np.array([h]), types)[0] == pytest.approx(wanted, rel=1e-9)


def test_covariance_under_uneven_sampling() -> None:
    """By the delta method on one pair: it is compared 2 D_1 D_2 of the time."""
    both = np.array([[[0.5, x], [1 - x, 0.5]] for x in (0.6, 0.35)])
    margin = np.log(0.6 / 0.4) / 2 + np.log(0.35 / 0.65) / 2
    delta = (1 / (0.6 * 0.35) + 1 / (0.4 * 0.65)) / 4 / (2 * 0.2 * 0.8)
    C = expected.covariance(agreement, both, [margin / 2, -margin / 2], [0.2, 0.8])
    assert C[0, 0] + C[1, 1] - 2 * C[0, 1] == pytest.approx(delta)
    np.testing.assert_allclose(C.sum(axis=0), 0, atol=1e-12)


BAD = [
    (lambda: expected.patterns(0), "types is 0"),
    (lambda: expected.patterns(17), "types is 17"),
    (lambda: expected.probabilities([1.2]), "entries in"),
    (lambda: expected.probabilities(0.5), "shape"),
    (lambda: expected.probabilities([0.5, 0.5], [[0, 2]]), "votes must be 0 or 1"),
    (lambda: expected.probabilities([0.5, 0.5], [[0, 1, 1]]), "votes must be 0 or 1"),
    (lambda: expected.expected_loss(agreement, -np.ones((1, 2, 2)), [[1, 1]]), "non-negative"),
    (lambda: expected.expected_loss(agreement, np.ones((1, 2, 3)), [[1, 1]]), "responses"),
    (lambda: expected.covariance(agreement, np.full((2, 2, 2), 0.5), [0.0, 0.0, 0.0]), "z must"),
    (lambda: expected.covariance(agreement, np.full((2, 2, 2), 0.5), [0, 0], [1, 0]), "sampling"),
    (lambda: expected.covariance(agreement, np.full((2, 2, 2), 0.5), [[0, 0]]), "reward must"),
    (lambda: expected.covariance(agreement, np.full((2, 2), 0.5), [0, 0]), "z must"),
    (lambda: expected.expected_loss(agreement, np.ones((2, 2)), [[1], [0]]), "probability must"),
    (lambda: expected.expected_loss(agreement, np.ones((1, 2, 2)), [1]), "votes of shape"),
    (lambda: expected.expected_loss(agreement, np.ones((2, 2, 2)), [[1, 1]]), "votes of shape"),
    (lambda: expected.agreement_loss(np.ones((2, 2)), 0), "types is 0; at least one"),
    (lambda: expected.integral_loss(np.ones((2, 2)), 0), "types is 0; at least one"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_input(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_slip_shrinks_margins() -> None:
    """The optimum of the released loss on one pair solves Eq. (slip) of the page on that code."""
    h, K = 0.8, 3
    odds = (expit(K * h) + expit(K * h - K)) / (expit(-K * h) + expit(-K * h - K))
    z = expit(np.log(odds) / K)
    both = np.array([[[0.5, z], [1 - z, 0.5]]] * K)
    o = expected.patterns(K)[[0, -1]]
    slip = partial(losses.agreement, as_released=True, reduction="none")
    value = expected.expected_loss(slip, expected.probabilities(both, o), o)
    s = newton.minimise_pairwise(value, [0.5, 0.5])
    assert s[0] - s[1] == pytest.approx(h, abs=1e-7)


@pytest.mark.parametrize("types", [1, 2, 5, 16])
@pytest.mark.parametrize("h", [0.0, 1e-3, 0.1])
def test_the_tail_integral_where_its_series_is_slowest(h: float, types: int) -> None:
    wanted, _ = quad(lambda v: v**types / (1 + v) ** 2, 0, np.exp(-h), epsabs=0, epsrel=2e-14)
    assert expected.tail_integral(np.array([h]), types)[0] == pytest.approx(wanted, rel=1e-13)
