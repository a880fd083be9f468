"""Policies: closed forms against solvers, and the exact optima of DPO and IPO."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit, softmax

from hetlib.borda import optima
from hetlib.borda.counts import normalized_borda_count
from hetlib.core import newton, policies
from hetlib.core.population import Population

Array = NDArray[np.float64]


def distributions(size: int) -> st.SearchStrategy[Array]:
    raw = arrays(np.float64, size, elements=st.floats(0.05, 1))
    return raw.map(lambda p: p / p.sum())


@st.composite
def instances(draw: st.DrawFn) -> tuple[Population, Array, Array, float]:
    """A population, a sampling distribution, a reference, and beta."""
    types, k = draw(st.integers(1, 3)), draw(st.integers(2, 5))
    rewards = draw(arrays(np.float64, (types, k), elements=st.floats(-4, 4)))
    population = Population(rewards, draw(distributions(types)))
    return population, draw(distributions(k)), draw(distributions(k)), draw(st.floats(0.1, 5))


def dpo_gradient(P: Array, D: Array, s: Array) -> Array:
    """Gradient of sum_ij D_i D_j loss_ij in s, divided by D: what Newton's method stops on."""
    H = s[:, None] - s[None, :]
    gradient: Array = (expit(H) - P) @ D
    return gradient


@given(instances())
def test_optimal_policy_is_equation_3(instance: tuple[Population, Array, Array, float]) -> None:
    population, _, reference, beta = instance
    r = population.mean_reward()
    policy = policies.optimal_policy(r, reference, beta)
    direct = reference * np.exp((r - r.max()) / beta)
    assert np.allclose(policy, direct / direct.sum(), atol=1e-12)
    assert policy.sum() == pytest.approx(1)


@pytest.mark.parametrize("seed", range(10))
def test_optimal_policy_against_a_solver(seed: int) -> None:
    rng = np.random.default_rng(seed)
    k, beta = int(rng.integers(2, 6)), rng.uniform(0.3, 2)
    r, reference = rng.normal(size=k), rng.dirichlet(np.full(k, 3.0))

    def loss(logits: Array) -> float:
        return -policies.objective(softmax(logits), r, reference, beta)

    solved = softmax(minimize(loss, np.zeros(k), tol=1e-12).x)
    assert np.allclose(solved, policies.optimal_policy(r, reference, beta), atol=1e-4)


@given(instances(), st.integers(0, 1000))
def test_regret_is_a_divergence(
    instance: tuple[Population, Array, Array, float], seed: int
) -> None:
    population, _, reference, beta = instance
    r = population.mean_reward()
    best = policies.optimal_policy(r, reference, beta)
    other = np.random.default_rng(seed).dirichlet(np.ones(len(r)))
    regret = policies.objective(best, r, reference, beta) - policies.objective(
        other, r, reference, beta
    )
    assert regret == pytest.approx(beta * policies.kl_divergence(other, best), abs=1e-9)


@given(instances(), st.floats(-10, 10))
def test_policies_and_rewards_are_inverse(
    instance: tuple[Population, Array, Array, float], constant: float
) -> None:
    population, policy, reference, beta = instance
    induced = policies.induced_reward(policy, reference, beta)
    assert induced.mean() == pytest.approx(0, abs=1e-12)
    again = policies.optimal_policy(induced + constant, reference, beta)
    assert np.allclose(again, policy, atol=1e-12)
    r = population.mean_reward()
    back = policies.induced_reward(policies.optimal_policy(r, None, beta), None, beta)
    assert np.allclose(back, r - r.mean(), atol=1e-8)


def test_extreme_rewards_stay_finite() -> None:
    policy = policies.optimal_policy([1e6, 0.0], beta=1e-3)
    assert policy.tolist() == [1, 0]


def test_objective_and_distances_by_hand() -> None:
    assert policies.objective([1.0, 0.0], [3.0, 5.0], beta=2.0) == pytest.approx(3 - 2 * np.log(2))
    assert policies.kl_divergence([0.5, 0.5], [0.25, 0.75]) == pytest.approx(np.log(2 / 3**0.5))
    assert policies.total_variation([1, 0, 0], [0.2, 0.5, 0.3]) == pytest.approx(0.8)
    assert policies.total_variation([0.3, 0.7], [0.3, 0.7]) == 0


@given(instances())
def test_dpo_reward_is_stationary(instance: tuple[Population, Array, Array, float]) -> None:
    population, D, _, _ = instance
    P = population.pairwise()
    s = optima.dpo_reward(P, D)
    assert s.mean() == pytest.approx(0, abs=1e-12)
    assert abs(dpo_gradient(P, D, s)).max() < 1e-10
    predicted = expit(s[:, None] - s[None, :])  # the model's Borda counts are those of the data
    assert np.allclose(predicted @ D, normalized_borda_count(P, D), atol=1e-10)


@given(instances())
def test_dpo_orders_like_borda(instance: tuple[Population, Array, Array, float]) -> None:
    population, D, _, _ = instance
    P = population.pairwise()
    s, nbc = optima.dpo_reward(P, D), normalized_borda_count(P, D)
    gap = np.sign(np.where(abs(np.subtract.outer(nbc, nbc)) > 1e-7, np.subtract.outer(nbc, nbc), 0))
    assert (gap * np.subtract.outer(s, s) >= 0).all()


@given(instances(), st.data())
def test_dpo_reward_is_invariant(
    instance: tuple[Population, Array, Array, float], data: Any
) -> None:
    population, D, _, _ = instance
    s = optima.dpo_reward(population.pairwise(), D)
    shift = data.draw(arrays(np.float64, (population.types, 1), elements=st.floats(-3, 3)))
    moved = Population(population.rewards + shift, population.weights)
    assert np.allclose(optima.dpo_reward(moved.pairwise(), D), s, atol=1e-6)
    y = np.array(data.draw(st.permutations(range(len(D)))))
    permuted = optima.dpo_reward(population.pairwise()[np.ix_(y, y)], D[y])
    assert np.allclose(permuted, s[y], atol=1e-6)
    mirrored = optima.dpo_reward(population.pairwise().T, D)
    assert np.allclose(mirrored, -s, atol=1e-6)


@given(arrays(np.float64, 4, elements=st.floats(-4, 4)), distributions(4), st.integers(1, 3))
def test_with_one_type_dpo_is_exact(reward: Array, D: Array, types: int) -> None:
    P = Population(np.tile(reward, (types, 1))).pairwise()
    assert np.allclose(optima.dpo_reward(P, D), reward - reward.mean(), atol=1e-6)
    best = policies.optimal_policy(reward, D, 0.5)
    assert np.allclose(optima.dpo_policy(P, None, D, 0.5), best, atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_dpo_policy_minimises_the_loss_directly(seed: int) -> None:
    """Over policies, not rewards: Eq. (6) in the limit, by a general solver."""
    rng = np.random.default_rng(seed)
    P = Population(rng.normal(size=(2, 4))).pairwise()
    D, reference, beta = rng.dirichlet(np.full(4, 3.0)), rng.dirichlet(np.full(4, 3.0)), 0.7

    def loss(logits: Array) -> float:
        s = beta * np.log(softmax(logits) / reference)
        return -float((np.outer(D, D) * P * log_expit(np.subtract.outer(s, s))).sum())

    solved = softmax(minimize(loss, np.zeros(4), tol=1e-12).x)
    assert np.allclose(solved, optima.dpo_policy(P, D, reference, beta), atol=1e-4)


@settings(max_examples=20)
@given(instances())
def test_ipo_closed_form_against_minimisation(
    instance: tuple[Population, Array, Array, float],
) -> None:
    """The loss as IPO defines it: one square for each possible winner of each pair."""
    population, D, reference, tau = instance
    P, tau = population.pairwise(), max(tau, 0.3)

    def loss(t: Array) -> float:
        margin = t[:, None] - t[None, :]
        return float((np.outer(D, D) * P * (margin - 1 / (2 * tau)) ** 2).sum())

    def slope(t: Array) -> Array:
        pull = 2 * np.outer(D, D) * P * (t[:, None] - t[None, :] - 1 / (2 * tau))
        gradient: Array = pull.sum(1) - pull.sum(0)
        return gradient

    t = minimize(loss, np.zeros(len(D)), jac=slope, tol=1e-13).x
    expected = reference * np.exp(t - t.max())
    policy, nbc = optima.ipo_policy(P, D, reference, tau), normalized_borda_count(P, D)
    assert np.allclose(policy, expected / expected.sum(), atol=1e-5)
    score = tau * np.log(policy / reference)
    assert np.allclose(score - score.mean(), nbc - nbc.mean(), atol=1e-10)


def test_newton_on_any_pair_loss() -> None:
    """IPO's square by `minimise_pairwise`: one Newton step, the closed form."""
    rng = np.random.default_rng(0)
    P, D = Population(rng.normal(size=(2, 4))).pairwise(), rng.dirichlet(np.full(4, 3.0))

    def square(H: Array) -> tuple[Array, Array, Array]:
        return P * (H - 0.5) ** 2, 2 * P * (H - 0.5), 2 * P

    s = newton.minimise_pairwise(square, D, start=rng.normal(size=4))
    nbc = normalized_borda_count(P, D)
    assert np.allclose(s, nbc - nbc.mean(), atol=1e-9)


def test_newton_reports_failure() -> None:
    def falling(H: Array) -> tuple[Array, Array, Array]:  # no minimum
        return -H * 1e3, np.full_like(H, -1e3) * np.tri(*H.shape), np.zeros_like(H)

    with pytest.raises(newton.ConvergenceError, match=r"gradient .* was asked for"):
        newton.minimise(falling, np.zeros(2), max_steps=3)


def test_dpo_loss_derivatives() -> None:
    P = Population([[0.0, 1.0, -0.5]]).pairwise()
    loss, H, h = optima.dpo_loss(P), np.linspace(-2, 2, 9).reshape(3, 3), 1e-5
    _, slope, curve = loss(H)
    assert np.allclose((loss(H + h)[0] - loss(H - h)[0]) / (2 * h), slope, atol=1e-8)
    assert np.allclose((loss(H + h)[1] - loss(H - h)[1]) / (2 * h), curve, atol=1e-8)


def test_fit_dpo_two_responses_is_a_log_odds() -> None:
    assert np.diff(optima.fit_dpo([[0, 1], [3, 0]])) == pytest.approx(np.log(3), abs=1e-9)
    assert np.diff(optima.fit_dpo([[7, 1], [3, 9]])) == pytest.approx(np.log(3), abs=1e-9)


@given(instances())
def test_fit_dpo_on_expected_counts_is_the_population_optimum(
    instance: tuple[Population, Array, Array, float],
) -> None:
    population, D, _, _ = instance
    P = population.pairwise()
    fit = optima.fit_dpo(1000 * 2 * np.outer(D, D) * P)
    assert np.allclose(fit, optima.dpo_reward(P, D), atol=1e-5)


@given(arrays(np.int64, (4, 4), elements=st.integers(0, 3)))
def test_fit_dpo_exactly_when_fords_condition_holds(wins: NDArray[np.int64]) -> None:
    """Against the definition: every split of the responses has wins in both directions."""
    inside = np.array([[mask >> y & 1 for y in range(4)] for mask in range(1, 15)], dtype=bool)
    condition = all(wins[np.ix_(a, ~a)].any() for a in inside)
    assert optima.has_finite_optimum(wins) == condition
    if condition:
        s = optima.fit_dpo(wins)
        predicted = (wins + wins.T) * expit(np.subtract.outer(s, s))
        np.fill_diagonal(predicted, 0)
        won = wins.sum(1) - np.diag(wins)
        assert np.allclose(predicted.sum(1), won, atol=1e-7)  # score equations
    else:
        with pytest.raises(ValueError, match=r"wins has no finite optimum: responses \["):
            optima.fit_dpo(wins)


def test_error_of_fits_follows_the_fisher_information() -> None:
    r, n = np.array([0.5, 0.0, -0.5]), 20_000
    population, rng = Population([r]), np.random.default_rng(0)
    fits = np.array([optima.fit_dpo(population.sample_wins(n, rng)) for _ in range(400)])
    P = population.pairwise()
    pull = 2 / 9 * P * (1 - P) * (1 - np.eye(3))
    covariance = np.linalg.pinv(np.diag(pull.sum(1)) - pull) / n
    assert np.trace(np.cov(fits.T)) == pytest.approx(np.trace(covariance), rel=0.2)
    assert abs(fits.mean(0) - r).max() < 5 * np.sqrt(covariance.max() / 400)


GOOD: dict[str, Any] = {
    "reward": [1.0, 0.0],
    "policy": [0.5, 0.5],
    "pairwise": [[0.5, 0.7], [0.3, 0.5]],
}
CASES: list[tuple[Callable[..., Any], str, dict[str, Any], str]] = [
    (policies.optimal_policy, "reward", {"reward": [0.0, np.inf]}, r"reward\[1\] is inf"),
    (policies.optimal_policy, "reward", {"reward": [[0.0]]}, "reward must have 1 axes"),
    (
        policies.optimal_policy,
        "reward",
        {"reference": [0.0, 1.0]},
        r"reference\[0\] is 0.0; .*full",
    ),
    (policies.optimal_policy, "reward", {"reference": [1.0]}, "reference has 1 entries; 2 are"),
    (policies.optimal_policy, "reward", {"beta": 0}, "beta is 0.0; it must be positive"),
    (policies.optimal_policy, "reward", {"beta": -1}, "beta is -1.0; it must be positive"),
    (policies.induced_reward, "policy", {"policy": [0.0, 1.0]}, r"policy\[0\] is 0.0; .*positive"),
    (policies.induced_reward, "policy", {"policy": [0.4, 0.4]}, "policy sums to 0.8"),
    (policies.induced_reward, "policy", {"reference": [0.4, 0.4]}, "reference sums to 0.8"),
    (policies.induced_reward, "policy", {"beta": np.nan}, "beta is nan"),
    (optima.dpo_reward, "pairwise", {"pairwise": [[0.5, 0.9], [0.9, 0.5]]}, r"pairwise\[0, 1\]"),
    (
        optima.dpo_reward,
        "pairwise",
        {"pairwise": [[0.5, 1.0], [0.0, 0.5]]},
        r"responses \[0\] nev",
    ),
    (optima.dpo_reward, "pairwise", {"sampling": [0.0, 1.0]}, r"sampling\[0\] is 0.0; .*full"),
    (optima.dpo_policy, "pairwise", {"sampling": [2.0, -1.0]}, r"sampling\[1\] is -1.0"),
    (optima.dpo_policy, "pairwise", {"reference": [2.0, -1.0]}, r"reference\[1\] is -1.0"),
    (optima.dpo_policy, "pairwise", {"beta": "x"}, "beta must be a positive number, not 'x'"),
    (optima.ipo_policy, "pairwise", {"sampling": [0.5, 0.6]}, "sampling sums to 1.1"),
    (optima.ipo_policy, "pairwise", {"reference": [0.5, 0.6]}, "reference sums to 1.1"),
    (optima.ipo_policy, "pairwise", {"beta": np.inf}, "beta is inf"),
]


@pytest.mark.parametrize(("function", "first", "arguments", "message"), CASES)
def test_bad_arguments(
    function: Callable[..., Any], first: str, arguments: dict[str, Any], message: str
) -> None:
    function(**{first: GOOD[first]})  # good ones pass
    with pytest.raises(ValueError, match=message):
        function(**({first: GOOD[first]} | arguments))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: policies.objective([0.5, 0.6], [1, 2]), "policy sums to 1.1"),
        (lambda: policies.objective([1.0], [1, 2]), "policy has 1 entries; 2 are needed"),
        (lambda: policies.objective([0.5, 0.5], [1, np.nan]), r"reward\[1\] is nan"),
        (lambda: policies.objective([0.5, 0.5], [1, 2], None, 0), "beta is 0.0"),
        (lambda: policies.kl_divergence([1.5, -0.5]), r"p\[1\] is -0.5"),
        (lambda: policies.kl_divergence([0.5, 0.5], [1, 0]), r"q\[1\] is 0.0; .*full support"),
        (lambda: policies.total_variation([0.5, 0.5], [1.0]), "q has 1 entries; 2 are needed"),
        (lambda: policies.total_variation([0.5, 0.4], [1, 0]), "p sums to 0.9"),
        (lambda: optima.fit_dpo([[0, -1], [1, 0]]), r"wins\[0, 1\] is -1.0; .*non-negative"),
        (lambda: optima.fit_dpo([[0, 1]]), "wins must be square"),
        (lambda: optima.has_finite_optimum([[0.0, np.nan], [1.0, 0.0]]), r"wins\[0, 1\] is nan"),
    ],
)
def test_other_bad_arguments(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_no_optimum_names_the_unbeaten() -> None:
    unbeaten = [[0, 1, 1, 1], [1, 0, 1, 0], [0, 0, 0, 1], [0, 0, 1, 0]]
    with pytest.raises(ValueError, match=r"responses \[0, 1\] never lost to any of the others"):
        optima.fit_dpo(unbeaten)
