"""The methods of the comparison: what each is right about, and its derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize
from scipy.special import softmax

from hetlib import Population
from hetlib.borda import counts
from hetlib.borda.optima import dpo_policy
from hetlib.comparison import quasi_newton, registry
from hetlib.comparison.budgets import LabelSet
from hetlib.comparison.methods import METHODS, distributional, games, ideal_points
from hetlib.comparison.methods.direct import FLOOR, PRIOR, correction_path
from hetlib.comparison.methods.latent import find_types, maxmin_policy
from hetlib.comparison.registry import register
from hetlib.comparison.tuning import FOLDS, RIDGES, split, tune
from hetlib.comparison.worlds import Conditions, World, make_world
from hetlib.core.newton import ConvergenceError
from hetlib.core.policies import kl_divergence, total_variation
from hetlib.linked.corrected import Correction, corrected_reward
from hetlib.linked.moments import exact_moments, moments_from_counts
from hetlib.ring import fits

COUNTS = [key for key, method in METHODS.items() if method.form not in ("people", "none")]


def biases(name: str, seed: int, conditions: Conditions | None = None) -> dict[str, float]:
    """Total variation to pi* of the population optimum of each method that works on counts."""
    world = make_world(name, seed, conditions)
    labels = LabelSet(world, None, seed)
    return {m: total_variation(METHODS[m].fit(labels).policy, world.best()) for m in COUNTS}


# ---- population optima ----


@pytest.mark.parametrize(("name", "seed"), [("ring", 0), ("random", 0), ("random", 7)])
def test_consistent_methods_reach_the_optimum_and_dpo_does_not(name: str, seed: int) -> None:
    bias = biases(name, seed)
    for method in ("agreement", "integral", "conditional 2", "conditional 3", "personalised"):
        assert bias[method] < 1e-4, method
    for method in ("dpo", "ipo", "corrected 1"):
        assert bias[method] > 1e-3, method


def test_dpo_is_that_of_the_policies_module() -> None:
    world = make_world("random", 2)
    found = METHODS["dpo"].fit(LabelSet(world, None, 2)).policy
    assert np.allclose(found, dpo_policy(world.population.pairwise()), atol=1e-6)


def test_corrected_is_that_of_the_corrected_module() -> None:
    world = make_world("ring", 0)
    found = METHODS["corrected 1"].fit(LabelSet(world, None, 0))
    moments = exact_moments(world.population)
    reward = corrected_reward(
        world.population.pairwise(), Correction(1.0, choice_variance=moments.choice_variance)
    )
    assert found.reached == 1.0
    assert np.allclose(found.policy, softmax(reward), atol=1e-6)


def test_correction_path_agrees_with_the_tabular_fit() -> None:
    both, mixed = LabelSet(make_world("random", 1), 20_000, 0).twice
    moments, wins = moments_from_counts(both, mixed, 1.0), 2 * both + mixed
    path = correction_path(wins, moments, (0.5, 1.0, 1.5, 2.0), 0.1)
    for alpha, reward in path.items():
        fit = fits.fit_corrected(wins[None], moments, alpha, 0.1)
        assert np.allclose(reward, fit.reward[0], atol=1e-5)


def test_one_assumed_type_is_dpo() -> None:
    bias = biases("random", 0, Conditions(assumed=1))
    for method in ("agreement", "conditional 2", "personalised"):
        assert bias[method] == pytest.approx(bias["dpo"], abs=1e-4)


def test_equal_masses_are_assumed_by_unanimity_only() -> None:
    bias = biases("ring", 0, Conditions(mass=0.6))
    assert bias["agreement"] > 0.05
    assert bias["conditional 3"] < 1e-4  # masses 1 : 3 : 1 can be expressed
    assert bias["personalised"] < 1e-4


@pytest.mark.slow
def test_labels_are_counted() -> None:
    labels = LabelSet(make_world("random", 0), 9_000, 0)
    for key, method in METHODS.items():
        result = method.fit(labels)
        assert result.policy.sum() == pytest.approx(1)
        if key != "uniform":
            assert 8_980 <= result.labels <= 9_000, key
            assert result.used is not None, key
            assert 0 < result.used <= result.labels, key
            assert result.parameters is None or result.parameters >= 8, key
            assert result.ridge in RIDGES, key
    used: dict[str, Any] = {
        key: METHODS[key].fit(labels).used for key in ("agreement", "conditional 2")
    }
    assert used["agreement"] < used["conditional 2"] < 9_000


# ---- a random strength ----


def test_mixdpo_is_right_if_types_differ_in_strength_alone() -> None:
    direction = np.array([1.2, 0.5, -0.1, -0.6, -1.0])
    rng = np.random.default_rng(0)
    strengths = np.exp(0.8 * rng.standard_normal(2000) - 0.32)
    people = Population(strengths[:, None] * direction)
    reward, spread = distributional.random_strength(people.pairwise() * 1e9)
    assert total_variation(softmax(reward), people.optimal_policy()) < 0.01
    assert spread == pytest.approx(0.8, abs=0.1)
    assert total_variation(dpo_policy(people.pairwise()), people.optimal_policy()) > 0.03


def test_one_type_needs_no_spread() -> None:
    people = Population([[1.0, 0.3, -0.5, -0.8]])
    reward, spread = distributional.random_strength(people.pairwise() * 1e9)
    mean, variance = distributional.mean_and_variance(people.pairwise() * 1e9)
    assert spread < 0.02
    assert np.allclose(softmax(reward), people.optimal_policy(), atol=1e-3)
    assert np.allclose(softmax(mean), people.optimal_policy(), atol=1e-3)
    assert variance.min() == 0
    assert variance.max() < 0.05


def _captured(monkeypatch: pytest.MonkeyPatch, module: Any, call: Callable[[], object]) -> Any:
    """The loss that a module hands to the optimiser."""
    seen: dict[str, Any] = {}

    def catch(loss: quasi_newton.Loss, starts: Any, *rest: Any) -> Any:
        seen["loss"], seen["start"] = loss, np.asarray(starts[0])
        return quasi_newton.lowest(loss, starts, *rest)

    monkeypatch.setattr(module, "lowest", catch)
    call()
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("method", ["mixdpo", "dpl", "pal"])
def test_gradients(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = LabelSet(make_world("random", 0), 3_000, 0)
    module = ideal_points if method == "pal" else distributional
    seen = _captured(monkeypatch, module, lambda: METHODS[method].fit(labels))
    rng = np.random.default_rng(0)
    x = seen["start"] + 0.3 * rng.random(seen["start"].size)
    numeric = approx_fprime(x, lambda z: seen["loss"](z)[0], 1e-7)
    assert np.allclose(seen["loss"](x)[1], numeric, atol=1e-5)


def test_optimiser_says_when_it_has_not_arrived() -> None:
    def valley(x: np.ndarray) -> tuple[float, np.ndarray]:
        slope = [-400 * x[0] * (x[1] - x[0] ** 2) - 2 * (1 - x[0]), 200 * (x[1] - x[0] ** 2)]
        return float(100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2), np.array(slope)

    assert np.allclose(quasi_newton.lowest(valley, [np.array([-1.2, 1.0])]), 1, atol=1e-3)
    with pytest.raises(ConvergenceError, match="after 3 steps"):
        quasi_newton.lowest(valley, [np.array([-1.2, 1.0])], max_steps=3)


# ---- types ----


def test_ideal_points_recover_a_planar_population() -> None:
    rng = np.random.default_rng(1)
    points, ideals = rng.normal(size=(6, 2)), 1.2 * rng.normal(size=(3, 2))
    people = Population(ideal_points.ideal_rewards(points, ideals))
    linked = people.sample_linked(20_000, rng, labels=10)
    start = ideal_points.initial_points(people.rewards + 0.3, people.weights, 2)
    found = ideal_points.fit_points(linked, 6, start, 3, 2, 0.1)
    f, p, log_mass = ideal_points.unpack(found, 6, 3, 2)
    average = np.exp(log_mass) @ ideal_points.ideal_rewards(f, p)
    assert total_variation(softmax(average), people.optimal_policy()) < 0.03


@pytest.mark.slow
def test_three_methods_share_one_fit() -> None:
    labels = LabelSet(make_world("random", 0), 2_000, 0)
    assert find_types(labels) is find_types(labels)
    other = LabelSet(make_world("random", 0), 2_000, 0)
    assert find_types(other) is not find_types(labels)
    assert np.array_equal(find_types(other).model.rewards, find_types(labels).model.rewards)


@pytest.mark.slow
def test_maxmin_policy_against_a_general_solver() -> None:
    rng = np.random.default_rng(3)
    for _ in range(5):
        r = rng.normal(scale=2.0, size=(3, 5))
        r -= r.mean(axis=1, keepdims=True)

        def lowest_value(logits: np.ndarray, r: np.ndarray = r) -> float:
            pi = softmax(logits)
            return -float((r @ pi).min() - kl_divergence(pi))

        best = min(
            minimize(lowest_value, start, method="Nelder-Mead", options={"maxiter": 20_000}).fun
            for start in rng.normal(size=(6, 5))
        )
        found = maxmin_policy(r)
        assert -float((r @ found).min() - kl_divergence(found)) == pytest.approx(best, abs=2e-3)


def test_maxmin_ignores_constants_of_a_type() -> None:
    r = np.random.default_rng(0).normal(size=(3, 4))
    assert np.allclose(maxmin_policy(r), maxmin_policy(r + np.array([[5.0], [0.0], [-3.0]])))


@pytest.mark.slow
def test_em_finds_the_average_of_a_world() -> None:
    world: World = make_world("random", 0)
    labels = LabelSet(world, 100_000, 0)
    for method in ("em average", "pal"):
        assert total_variation(METHODS[method].fit(labels).policy, world.best()) < 0.04


# ---- the registry ----


def test_registration_refuses_what_no_table_could_show() -> None:
    before = dict(METHODS)
    for key, form, aim, word in (
        ("dpo", "anonymous", "biased", "already"),
        ("new", "telepathy", "biased", "form"),
        ("new", "anonymous", "great", "aim"),
    ):
        with pytest.raises(ValueError, match=word):
            register(key, "A method", form=form, aim=aim)(lambda labels: None)  # type: ignore[type-var]
    assert before == METHODS


def test_a_method_from_outside_is_one_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "METHODS", dict(METHODS))
    fit = register("mine", "My method", form="none", aim="none")(METHODS["uniform"].fit)
    assert registry.METHODS["mine"].fit is fit
    assert list(registry.METHODS)[-1] == "mine"


# ---- constants ----


def test_spread_of_the_strength_ends_at_one_and_a_half() -> None:
    strengths = np.exp(3 * np.random.default_rng(0).standard_normal(2000))
    people = Population(strengths[:, None] * np.array([1.0, 0.2, -0.4, -0.8]))
    _, spread = distributional.random_strength(people.pairwise() * 1e9)
    assert spread == pytest.approx(1.5, abs=1e-9)


def test_variance_of_a_utility_ends_at_ten() -> None:
    people = Population([[40.0, 1.0, -1.0], [-40.0, 1.0, -1.0]])
    _, variance = distributional.mean_and_variance(people.pairwise() * 1e9)
    assert variance[0] == pytest.approx(10.0, rel=1e-6)
    assert variance.min() == 0


@pytest.mark.parametrize("ridge", RIDGES)
def test_the_ridge_is_half_a_square(ridge: float) -> None:
    """Two responses: the slope of the loss at the fit is the ridge's, by hand."""
    wins = np.array([[0.0, 30.0], [10.0, 0.0]])
    reward = fits.fit_dpo_tables(wins[None], ridge).reward[0]
    h = reward[0] - reward[1]
    slope = 30 * (1 - 1 / (1 + np.exp(-h))) - 10 / (1 + np.exp(-h))
    assert slope == pytest.approx(ridge * reward[0], abs=1e-6)


def test_constants_are_those_that_the_chapter_states() -> None:
    """Chapter 14 prints these objects; a change of one has to be meant."""
    assert RIDGES == (0.1, 1.0, 10.0, 100.0)
    assert (FOLDS, PRIOR, FLOOR) == (5, 1.0, 1e-3)
    assert (distributional.WIDEST_STRENGTH, distributional.WIDEST_UTILITY) == (1.5, 10.0)


# ---- one cross-validation for all ----


def test_folds_partition_counts_and_people() -> None:
    labels = LabelSet(make_world("random", 0), 2_000, 0)
    counts = split(labels.anonymous, np.random.default_rng(0))
    assert len(counts) == FOLDS
    assert np.array_equal(sum(held for _, held in counts), labels.anonymous)
    for kept, held in counts:
        assert np.array_equal(kept + held, labels.anonymous)
        assert held.sum() == pytest.approx(400, abs=80)
    people = split(labels.people, np.random.default_rng(0))
    assert sum(len(held) for _, held in people) == len(labels.people)


def test_dpo_chooses_the_ridge_by_the_likelihood_of_held_out_labels() -> None:
    """By hand: another solver, a loop over folds, and the sum of log-likelihoods."""
    labels = LabelSet(make_world("ring", 0), 1_000, 3)
    score = dict.fromkeys(RIDGES, 0.0)
    for kept, held in split(labels.anonymous, labels.rng(20)):
        for ridge in RIDGES:

            def penalised(s: np.ndarray, kept: np.ndarray = kept, ridge: float = ridge) -> float:
                H = s[:, None] - s[None, :]
                return float((kept * np.logaddexp(0, -H)).sum() + ridge / 2 * s @ s)

            s = minimize(penalised, np.zeros(40), method="L-BFGS-B", options={"maxfun": 10**6}).x
            score[ridge] += (held * np.logaddexp(0, s[None, :] - s[:, None])).sum()
    found = METHODS["dpo"].fit(labels)
    assert found.ridge == min(score, key=lambda r: score[r]) > 0.1
    small = fits.fit_dpo_tables(labels.anonymous[None], 0.1).policy[0]
    assert kl_divergence(found.policy, labels.world.best()) < kl_divergence(
        small, labels.world.best()
    )


def test_a_ridge_without_a_fit_is_not_chosen() -> None:
    labels = LabelSet(make_world("random", 0), 1_000, 0)

    def fit(kept: np.ndarray, ridge: float, _: object) -> float:
        if ridge < 5:
            raise ConvergenceError("no")
        return ridge

    chosen = tune(labels, labels.anonymous, fit, lambda model, held: -model)
    assert chosen.ridge == 100.0
    with pytest.raises(ConvergenceError, match=r"no ridge of 0\.1, 1, 10, 100"):
        tune(labels, labels.anonymous, lambda *_: fit(np.ones(1), 1.0, None), lambda *_: 0.0)


# ---- games ----


def test_rock_paper_scissors_is_drawn() -> None:
    P = np.full((4, 4), 0.5)
    for i, j in ((0, 1), (1, 2), (2, 0)):
        P[i, j], P[j, i] = 0.9, 0.1
    P[:3, 3], P[3, :3] = 0.8, 0.2  # the fourth loses to all
    assert np.allclose(counts.maximal_lottery(P), [1 / 3, 1 / 3, 1 / 3, 0], atol=1e-9)
    nash = games.nash_policy(P, beta=0.5)
    assert nash[3] < nash[0] == pytest.approx(nash[1])


@pytest.mark.parametrize("beta", [0.1, 1.0, 5.0])
def test_nobody_does_better_against_the_equilibrium(beta: float) -> None:
    """Payoff of random policies against it, with both penalties: at most the value, 1/2."""
    rng = np.random.default_rng(0)
    P = make_world("random", 1).population.pairwise()
    ref = rng.dirichlet(np.ones(8))
    pi = games.nash_policy(P, ref, beta)

    def payoff(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ P @ b - beta * kl_divergence(a, ref) + beta * kl_divergence(b, ref))

    assert payoff(pi, pi) == pytest.approx(0.5)
    for other in rng.dirichlet(np.ones(8), size=200):
        assert payoff(other, pi) <= 0.5 + 1e-12
    lottery = counts.maximal_lottery(P)
    assert (lottery @ P).min() >= 0.5 - 1e-9


@pytest.mark.parametrize("beta", [0.02, 0.2])
def test_a_small_penalty_costs_at_most_its_weight(beta: float) -> None:
    """Against a named response: 1 - (pi P)_j <= 1/2 + beta log n, by the equilibrium's own law."""
    P = make_world("random", 3).population.pairwise()
    assert (games.nash_policy(P, beta=beta) @ P).min() >= 0.5 - beta * np.log(8)
