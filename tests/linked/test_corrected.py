# mypy: disable-error-code="arg-type"
"""Population optimum of corrected DPO: derivatives, stationarity, and the ring."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.special import expit

from hetlib import Population
from hetlib.borda.optima import dpo_reward
from hetlib.checks import Array
from hetlib.consistent import losses
from hetlib.core.newton import ConvergenceError
from hetlib.linked.corrected import Correction, corrected_optima, corrected_reward, detached_reward
from hetlib.linked.moments import JointMoments, exact_moments, variance_from_moments

rng = np.random.default_rng(0)
PEOPLE = Population(rng.normal(size=(3, 4)), [0.5, 0.3, 0.2])
MOMENTS = exact_moments(PEOPLE)
P = PEOPLE.pairwise()
D = np.array([0.4, 0.3, 0.2, 0.1])
V = MOMENTS.variance(PEOPLE.mean_reward())
FORMS: dict[str, dict[str, Any]] = {
    "fixed": {"variance": V},
    "attached": {"choice_variance": MOMENTS.choice_variance},
    "fixed, clamp": {"variance": 5 * V, "clamp": 0.1},
    "attached, clamp": {"choice_variance": MOMENTS.choice_variance, "clamp": 0.02},
}


def ring() -> Population:
    """The rewards of Section 7.2 by position; 0 is at index 20, 10 at index 30."""
    far = abs((np.arange(40) - 20 - np.array([[-10], [0], [10]]) + 20) % 40 - 20)
    height, rate = np.array([[4], [1.5], [4]]), np.array([[0.075], [0.1], [0.075]])
    return Population(height * np.maximum(0, 1 - rate * far))


@pytest.mark.parametrize("form", FORMS)
def test_derivatives(form: str) -> None:
    loss = Correction(1.3, **FORMS[form]).loss(P)
    H = np.random.default_rng(1).uniform(-2, 2, (4, 4))
    e = 1e-5
    value, slope, curve = loss(H)
    up, down = loss(H + e), loss(H - e)
    assert_allclose(slope, (up[0] - down[0]) / (2 * e), atol=1e-8)
    assert_allclose(curve, (up[1] - down[1]) / (2 * e), atol=1e-7)
    assert np.isfinite(value).all()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("alpha", [0.0, 1.0, 2.5])
def test_the_training_loss_has_the_same_gradient(form: str, alpha: float) -> None:
    given = FORMS[form]
    correction = Correction(alpha, **given)
    H = np.random.default_rng(2).uniform(-4, 4, (4, 4))
    value, slope, _ = correction.loss(P)(H)
    for i, j in [(0, 1), (3, 2), (1, 3)]:
        h = torch.tensor([H[i, j]], requires_grad=True)
        if "variance" in given:
            spread = torch.tensor([given["variance"][i, j]])
        else:  # attached: V depends on h through sigma'(h)
            J1, J2 = (torch.tensor([m[i, j]]) for m in (MOMENTS.J1, MOMENTS.J2))
            spread = variance_from_moments(J1, J2, h)
        one = losses.corrected(h, torch.tensor([1]), spread, alpha, clamp=given.get("clamp"))
        (gradient,) = torch.autograd.grad(one, h)
        assert P[i, j] * one.item() == pytest.approx(value[i, j], abs=1e-10)
        assert P[i, j] * gradient.item() == pytest.approx(slope[i, j], abs=1e-9)


def test_without_strength_it_is_dpo() -> None:
    for given in FORMS.values():
        assert_allclose(corrected_reward(P, Correction(0.0, **given), D), dpo_reward(P, D))


@pytest.mark.parametrize("form", ["fixed", "attached"])
def test_optimum_against_another_solver(form: str) -> None:
    correction = Correction(1.0, **FORMS[form])

    def value(free: Array) -> float:
        s = np.append(free, 0.0)
        p = correction.likelihood(s[:, None] - s[None, :])
        return float(-(np.outer(D, D) * P * np.log(np.maximum(p, 1e-6))).sum())

    found = minimize(value, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 0})
    s = np.append(found.x, 0.0)
    assert_allclose(corrected_reward(P, correction, D), s - s.mean(), atol=1e-5)
    best = corrected_optima(P, correction, D, random_starts=5, spread=0.3)[0]
    assert best.loss == pytest.approx(found.fun, abs=1e-10)


def gradient_with_v_held(
    reward: Array, P: Array, moments: JointMoments, alpha: float, D: Array
) -> float:
    s = torch.tensor(reward, requires_grad=True)
    h = s[:, None] - s[None, :]
    J1, J2 = torch.tensor(moments.J1), torch.tensor(moments.J2)
    held = variance_from_moments(J1, J2, h).detach()
    flat = torch.sigmoid(h) * torch.sigmoid(-h)
    p = torch.sigmoid(h) + alpha / 2 * flat * (1 - 2 * torch.sigmoid(h)) * held
    total = -(torch.tensor(np.outer(D, D) * P) * torch.log(p)).sum()
    (gradient,) = torch.autograd.grad(total, s)
    return float(abs(gradient).max())


def test_detached_fixed_point_has_no_gradient_with_v_held() -> None:
    reward = detached_reward(P, 1.5, MOMENTS.choice_variance, D)
    assert gradient_with_v_held(reward, P, MOMENTS, 1.5, D) < 1e-9
    attached = corrected_reward(P, Correction(1.5, **FORMS["attached"]), D)
    assert abs(reward - attached).max() > 1e-5  # close, but another optimum


def test_detached_fixed_point_at_wide_margins() -> None:
    people = Population([[1.5, 0.0, -1.5], [1.0, 0.1, -1.1]])
    moments, wide = exact_moments(people), people.pairwise()
    reward = detached_reward(wide, 1.0, moments.choice_variance)
    assert np.ptp(reward) > 2  # a limit on margins would show
    assert gradient_with_v_held(reward, wide, moments, 1.0, np.full(3, 1 / 3)) < 1e-9


@pytest.mark.parametrize(("alpha_v", "increasing"), [(3.99, True), (4.01, False)])
def test_monotone_up_to_four(alpha_v: float, increasing: bool) -> None:
    H = np.linspace(-6, 6, 20001)[:, None, None]
    p = Correction(1.0, np.full((1, 1), alpha_v)).likelihood(H).ravel()
    assert bool((np.diff(p) > 0).all()) is increasing


@pytest.mark.parametrize(("alpha_v", "inside"), [(15.99, True), (16.01, False)])
def test_a_probability_up_to_sixteen(alpha_v: float, inside: bool) -> None:
    H = np.linspace(-6, 6, 20001)[:, None, None]
    p = Correction(1.0, np.full((1, 1), alpha_v)).likelihood(H).ravel()
    assert bool(((p > 0) & (p < 1)).all()) is inside


def test_extreme_margins_stay_finite() -> None:
    H = np.array([[0.0, 1e4], [-1e4, 0.0]])
    fixed = Correction(2.0, variance=np.full((2, 2), 9.0))
    attached = Correction(2.0, choice_variance=np.full((2, 2), 0.2))
    for correction in (fixed, attached):
        loss = correction.loss(np.array([[0.5, 0.9], [0.1, 0.5]]))
        assert all(np.isfinite(part).all() for part in loss(H))


def test_alpha_one_is_not_enough_on_the_ring() -> None:
    people = ring()
    moments, pairwise = exact_moments(people), people.pairwise()
    V, v = moments.variance(people.mean_reward()), moments.choice_variance
    for alpha, right in ((1.0, False), (2.0, True)):
        for correction in (Correction(alpha, variance=V), Correction(alpha, choice_variance=v)):
            s = corrected_reward(pairwise, correction)
            assert bool(s[30] > s[20]) is right
            assert s[10] == pytest.approx(s[30], abs=1e-7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "exactly one"),
        ({"variance": V, "choice_variance": V}, "exactly one"),
        ({"variance": -np.ones((2, 2))}, r"variance\[0, 0\] is -1"),
        ({"variance": np.triu(np.ones((2, 2)))}, "symmetric"),
        ({"variance": np.ones((2, 3))}, "square"),
        ({"variance": V, "alpha": -1.0}, "alpha is -1"),
        ({"variance": V, "clamp": 0.0}, "clamp"),
        ({"variance": V, "eps": 0.7}, "eps is 0.7"),
    ],
)
def test_bad_input(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Correction(**arguments)


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match="pairwise has 2 responses"):
        Correction(1.0, V).loss(expit([[0.0, 1.0], [-1.0, 0.0]]))


def test_the_floor_of_the_stabilised_logarithm() -> None:
    """Far below zero a likelihood is one in a million, as Section 5.1 stabilises it."""
    term = Correction(0.0, variance=np.zeros((2, 2)))
    wins = np.array([[0.0, 1.0], [0.0, 0.0]])
    value, slope, _ = term.weighted(wins)(np.array([[0.0, -40.0], [40.0, 0.0]]))
    assert value.sum() == pytest.approx(13.815510557964274, rel=1e-12)
    assert slope.sum() == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "given", "alpha", "clamp"),
    [
        (7, "variance", 2.0, 0.05), (8, "choice_variance", 2.0, 0.05),
        (14, "choice_variance", 2.0, 0.05), (15, "variance", 2.0, 0.05),
        (35, "choice_variance", 2.0, 0.05), (0, "choice_variance", 3.0, None),
    ],
)  # fmt: skip
def test_a_kink_is_passed(seed: int, given: str, alpha: float, clamp: float | None) -> None:
    """Newton alone ends at a kink from some starts; what is found is lower, and a minimum."""
    rng = np.random.default_rng(seed)
    people = Population(rng.normal(scale=2, size=(3, 4)), rng.dirichlet(np.ones(3) * 3))
    moments, D = exact_moments(people), rng.dirichlet(np.full(4, 3.0))
    spread = moments.variance(people.mean_reward())
    table = spread if given == "variance" else moments.choice_variance
    correction = Correction(alpha, **{given: table}, clamp=clamp)
    ways = 4 if clamp else 12  # the tables of this seed are drawn in this order, too
    start = [rng.normal(scale=2, size=4) for _ in range(ways)]

    def value(s: Array) -> float:
        p = correction.likelihood(s[:, None] - s[None, :])
        return float(-(np.outer(D, D) * people.pairwise() * np.log(np.maximum(p, 1e-6))).sum())

    for first in start:
        try:
            found = corrected_reward(people.pairwise(), correction, D, first)
        except ConvergenceError:
            continue
        assert value(found) <= value(first)
        for step in 1e-4 * np.vstack([np.eye(4), -np.eye(4)]):
            assert value(found + step) >= value(found) - 1e-11


@pytest.mark.slow
def test_all_starts_give_distinct_optima_best_first() -> None:
    """Half of the people for each side: two optima that are mirror images, and perhaps zero."""
    people = Population([[3.0, -3.0], [-3.0, 3.0]])
    correction = Correction(3.0, choice_variance=exact_moments(people).choice_variance)
    few = corrected_optima(people.pairwise(), correction, random_starts=0)
    many = corrected_optima(people.pairwise(), correction)
    assert len(few) <= len(many)
    losses_found = [one.loss for one in many]
    assert losses_found == sorted(losses_found)
    for k, one in enumerate(many):
        assert all(abs(one.reward - other.reward).max() > 1e-6 for other in many[:k])
        H = one.reward[:, None] - one.reward[None, :]
        value, slope, _ = correction.loss(people.pairwise())(H)
        assert one.loss == pytest.approx(value.mean())
        assert abs(slope.sum(axis=1) - slope.sum(axis=0)).max() < 1e-7


@pytest.mark.slow
def test_a_given_start_finds_what_others_do_not() -> None:
    """On a pair with little left of the correction's floor there is an optimum far out."""
    found = {}
    correction = Correction(2.0, variance=np.full((2, 2), 9.0), clamp=0.3)
    pairwise = [[0.5, 0.6], [0.4, 0.5]]
    for name, starts in (("none", ()), ("given", ([4.0, -4.0], [-4.0, 4.0]))):
        found[name] = corrected_optima(pairwise, correction, starts=starts, random_starts=0)
    assert len(found["given"]) >= len(found["none"])
    again = corrected_optima(pairwise, correction, random_starts=6, spread=4.0, seed=3)
    same = corrected_optima(pairwise, correction, random_starts=6, spread=4.0, seed=3)
    assert [one.loss for one in again] == [one.loss for one in same]


@pytest.mark.parametrize("call", [corrected_reward, corrected_optima])
def test_sampling_needs_full_support(call: Any) -> None:
    with pytest.raises(ValueError, match="sampling"):
        call(P, Correction(1.0, variance=V), [0.5, 0.5, 0.0, 0.0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": -1}, "seed is -1"), ({"seed": 0.5}, "seed is 0.5"),
        ({"spread": -1}, "spread is -1; from 0 to 1e100"), ({"spread": 1e101}, "spread is 1e"),
        ({"starts": [[0.0] * 3]}, "start has 3 entries; 4"), ({"starts": [0.0]}, r"starts\[0\]"),
        ({"starts": [[1e101] * 4]}, r"starts\[0\]"), ({"random_starts": -1}, "random_starts"),
    ],
)  # fmt: skip
def test_starts_that_are_none(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        corrected_optima(P, Correction(1.0, variance=V), D, **change)


def test_a_spread_of_nothing_is_a_start_at_zero() -> None:
    [only] = corrected_optima(P, Correction(0.5, variance=V), D, random_starts=1, spread=0)
    assert_allclose(only.reward, corrected_reward(P, Correction(0.5, variance=V), D), atol=1e-7)


@pytest.mark.parametrize("form", ["variance", "choice_variance"])
def test_a_table_that_is_no_variance_is_named(form: str) -> None:
    table = np.zeros((3, 3))
    table[0, 1] = table[1, 0] = 0.5
    table[2, 1] = -0.25
    with pytest.raises(ValueError, match=rf"^{form}\[2, 1\] is -0.25; a variance is not"):
        Correction(1.0, **{form: table})
    table[2, 1] = 0.25
    with pytest.raises(ValueError, match=rf"^{form}\[1, 2\] differs from {form}\[2, 1\]"):
        Correction(1.0, **{form: table})
    with pytest.raises(ValueError, match=rf"^{form} must be square"):
        Correction(1.0, **{form: np.zeros((2, 3))})
    with pytest.raises(ValueError, match=form):
        Correction(1.0, **{form: [0.0, 0.0]})
    table[1, 2] = table[2, 1] * (1 + 1e-10)
    assert Correction(1.0, **{form: table}).responses == 3


def test_detached_needs_a_symmetric_variance_and_one_step() -> None:
    lopsided = [[0.0, 0.1], [0.2, 0.0]]
    with pytest.raises(ValueError, match=r"choice_variance\[0, 1\] differs"):
        detached_reward([[0.5, 0.6], [0.4, 0.5]], 1.0, lopsided)
    nobody = np.zeros((2, 2))
    found = detached_reward([[0.5, 0.6], [0.4, 0.5]], 1.0, nobody, max_steps=1)
    assert_allclose(found, dpo_reward([[0.5, 0.6], [0.4, 0.5]]), atol=1e-9)
    with pytest.raises(ConvergenceError, match="still change after 1 repetitions"):
        detached_reward(P, 1.5, MOMENTS.choice_variance, D, max_steps=1)
    floors = [detached_reward(P, 1.5, MOMENTS.choice_variance, D, eps=e) for e in (1e-6, 1e-2)]
    assert_allclose(floors[0], floors[1], atol=1e-8)  # no likelihood comes near the floor
