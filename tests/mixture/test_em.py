"""Latent types: EM, its parts, and the number of types."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import expit

from hetlib import Population, fit_dpo, optimal_policy
from hetlib.checks import Array
from hetlib.core.newton import ConvergenceError
from hetlib.mixture import (
    Rankings,
    adjusted_agreement,
    em,
    em_dpo,
    log_probability,
    match_types,
    require_rise,
    responsibilities,
    sample_rankings,
    select_types,
)

PEOPLE = Population([[2.0, 0, -1, -1], [-1.0, 2, 0, -1], [0.0, -1, -1, 2]], [0.5, 0.3, 0.2])


def drawn(annotators: int = 2000, tasks: int = 6, length: int = 2, seed: int = 0) -> Rankings:
    return sample_rankings(PEOPLE, annotators, np.random.default_rng(seed), tasks, length)


@pytest.mark.parametrize(("tasks", "length"), [(8, 2), (4, 3), (2, 4)])
def test_recovers_types(tasks: int, length: int) -> None:
    data = drawn(4000, tasks, length)
    fit = em_dpo(data, 4, 3)
    place = match_types(fit.rewards, PEOPLE.rewards)
    centred = PEOPLE.rewards - PEOPLE.rewards.mean(axis=1, keepdims=True)
    assert abs(fit.rewards[place] - centred).max() < 0.25
    assert abs(fit.masses[place] - PEOPLE.weights).max() < 0.04
    assert data.types is not None
    assert adjusted_agreement(fit.responsibilities.argmax(axis=1), data.types) > 0.55
    assert abs(fit.average_policy - PEOPLE.optimal_policy()).max() < 0.03


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(2, 4))
def test_likelihood_never_falls(seed: int, types: int, length: int) -> None:
    fit = em_dpo(drawn(60, 3, length, seed), 4, types, starts=2, seed=seed, tolerance=1e-5)
    assert np.diff(fit.history).min(initial=0) > -1e-12
    assert fit.responsibilities.sum(axis=1) == pytest.approx(1)
    assert fit.masses.sum() == pytest.approx(1)
    assert fit.history[-1] == pytest.approx(fit.finals[0]) == pytest.approx(max(fit.finals))


def test_a_step_down_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(em, "_ascend", lambda choices, counts, reward, ridge: -3 * reward)
    with pytest.raises(ArithmeticError, match="can never fall"):
        em_dpo(drawn(200), 4, 2)
    with pytest.raises(ArithmeticError, match="can never fall"):
        require_rise(-1.0, float("nan"))


def test_one_type_is_dpo() -> None:
    data = drawn(500, 5)
    wins = np.zeros((4, 4))
    np.add.at(wins, (data.orders[..., 0].ravel(), data.orders[..., 1].ravel()), 1)
    fit = em_dpo(data, 4, 1, ridge=1e-9, tolerance=1e-14)
    assert fit.rewards[0] == pytest.approx(fit_dpo(wins), abs=1e-5)
    ref = [0.1, 0.2, 0.3, 0.4]
    tilted = em_dpo(data, 4, 1, ridge=1e-9, tolerance=1e-14, reference=ref, beta=0.5)
    assert tilted.policies[0] == pytest.approx(optimal_policy(fit.rewards[0], ref, 0.5), abs=1e-6)


def test_m_step_is_weighted_dpo() -> None:
    """At the optimum each policy is DPO's on answers weighted by responsibility."""
    data = drawn(1500, 6)
    fit = em_dpo(data, 4, 3, ridge=1e-8, tolerance=1e-13)
    for k in range(3):
        wins = np.zeros((4, 4))
        weight = np.repeat(fit.responsibilities[:, k], 6)
        np.add.at(wins, (data.orders[..., 0].ravel(), data.orders[..., 1].ravel()), weight)
        assert fit.rewards[k] == pytest.approx(fit_dpo(wins), abs=1e-3)
        assert fit.policies[k] == pytest.approx(optimal_policy(fit_dpo(wins)), abs=1e-3)


@pytest.mark.slow
def test_optimum_of_the_penalised_likelihood_on_linked_pairs() -> None:
    """The likelihood of each person written out; no step from the fit makes it larger."""
    data = PEOPLE.sample_linked(300, np.random.default_rng(1), labels=4)
    fit = em_dpo(data, 4, 3, tolerance=1e-12)
    real = data.y1 != data.y2  # a response beside itself is no task

    def value(rewards: Array, masses: Array) -> float:
        total = 0.0
        for y1, y2, votes, there in zip(data.y1, data.y2, data.votes, real, strict=True):
            h = np.where(votes == 1, 1, -1) * (rewards[:, y2] - rewards[:, y1])
            total += np.log(masses @ np.prod(np.where(there, expit(h), 1.0), axis=1))
        return float(total - 0.1 / 2 * (rewards**2).sum()) / len(data)

    best = value(fit.rewards, fit.masses)
    assert best == pytest.approx(fit.history[-1], abs=1e-9)
    rng = np.random.default_rng(2)
    for _ in range(30):
        step = 0.05 * rng.standard_normal(fit.rewards.shape)
        masses = fit.masses * np.exp(0.05 * rng.standard_normal(3))
        moved = value(fit.rewards + step, masses / masses.sum())
        assert moved < best + 1e-9


def test_plackett_luce_by_hand() -> None:
    a = np.array([4.0, 2.0, 1.0])
    got = log_probability([[[1, 0, 2], [2, 0, -1]]], np.log(a)[None])
    assert np.exp(got)[0, 0] == pytest.approx(2 / 7 * 4 / 5 * 1 / 5)


def test_sampler_follows_plackett_luce() -> None:
    people, n = Population([np.log([4.0, 2, 1])]), 60_000
    orders = sample_rankings(people, n, np.random.default_rng(0), 1, 3).orders[:, 0]
    assert (orders == [0, 1, 2]).all(axis=1).mean() == pytest.approx(8 / 21, abs=0.01)
    pairs = sample_rankings(people, n, np.random.default_rng(0), 1, 2, [0.8, 0.1, 0.1]).orders
    assert ((pairs == 0).any(axis=2)).mean() == pytest.approx(0.8 + 2 * 0.1 * 0.8 / 0.9, abs=0.01)


@pytest.mark.slow
def test_unlinked_warns_and_names_what_is_lost() -> None:
    data = drawn(200, 1)
    with pytest.warns(UserWarning, match=r"cannot be learned.*Propositions 5\.1 and 5\.2"):
        em_dpo(data, 4, 2)
    em_dpo(data, 4, 1)  # one type: no warning, and warnings are errors here
    em_dpo(drawn(200, 1, 3), 4, 2)  # a ranking of three: nor here
    anonymous = PEOPLE.sample(100, np.random.default_rng(0))
    with pytest.warns(UserWarning, match="one comparison by each annotator"):
        em_dpo(anonymous, 4, 2)


@pytest.mark.slow
def test_number_of_types() -> None:
    data = drawn(1500, 8)
    best, scores = select_types(data, 4, (1, 2, 3, 4), starts=3)
    assert best == 3
    assert scores[3] == em_dpo(data, 4, 3, starts=3).bic
    held, scores = select_types(data, 4, (1, 3), by="held-out", starts=3)
    assert held == 3
    assert scores[1] > scores[3]
    with pytest.raises(ValueError, match="held-out"):
        select_types(data, 4, (1,), by="aic")
    with pytest.raises(ValueError, match="folds is 1"):
        select_types(data, 4, (1,), by="held-out", folds=1)


def test_score_is_the_likelihood() -> None:
    data = drawn(300)
    fit = em_dpo(data, 4, 2)
    assert fit.score(data) * 300 == pytest.approx(fit.log_likelihood)
    logs = log_probability(data, fit.rewards)
    again, total = responsibilities(logs, fit.masses)
    assert again == pytest.approx(fit.responsibilities, abs=1e-12)
    assert total.sum() == pytest.approx(fit.log_likelihood)


def test_responsibilities_in_log_space() -> None:
    share, total = responsibilities([[-5000.0, -5001.0], [-np.inf, -3.0]], [0.5, 0.5])
    assert share[0, 0] == pytest.approx(1 / (1 + np.exp(-1)))
    assert share[1].tolist() == [0, 1]
    assert total[0] == pytest.approx(-5000 + np.log(0.5 + 0.5 * np.exp(-1)))
    with pytest.raises(ValueError, match="log_probability"):
        responsibilities([[-np.inf, -np.inf]], [0.5, 0.5])


def test_names_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=(4, 5))
    order = rng.permutation(4)
    assert match_types(true[order] + 7, true).tolist() == np.argsort(order).tolist()
    assert match_types(true[:2], true).tolist() == [0, 1, -1, -1]
    with pytest.raises(ValueError, match="responses"):
        match_types(true, true[:, :3])
    labels = rng.integers(3, size=50)
    assert adjusted_agreement(labels, (labels + 1) % 3) == pytest.approx(1)
    assert abs(adjusted_agreement(rng.integers(3, size=9000), rng.integers(3, size=9000))) < 0.01


def test_same_seed_same_bytes() -> None:
    one, two = (em_dpo(drawn(300), 4, 2, seed=3) for _ in range(2))
    assert one.rewards.tobytes() == two.rewards.tobytes()


@pytest.mark.parametrize(
    ("orders", "message"),
    [
        ([[[0, 0]]], "a response twice"),
        ([[[-1, 0]]], "-1 before a response"),
        ([[0, 1]], r"shape \(1, 2\)"),
        ([[[0.5, 1.0]]], "whole numbers"),
    ],
)
def test_bad_rankings(orders: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Rankings.of(np.asarray(orders))


def test_bad_arguments() -> None:
    data = drawn(20)
    with pytest.raises(ValueError, match="responses=3 allows 0 … 2"):
        em_dpo(data, 3, 2)
    with pytest.raises(ValueError, match="types is 0"):
        em_dpo(data, 4, 0)
    with pytest.raises(ValueError, match="ridge"):
        em_dpo(data, 4, 2, ridge=0)
    with pytest.raises(ValueError, match="no comparison"):
        em_dpo([[[1, -1]]], 4, 1)
    with pytest.raises(ConvergenceError, match="after 2 steps"):
        em_dpo(data, 4, 2, max_steps=2)
    with pytest.raises(ValueError, match="logistic"):
        sample_rankings(Population(PEOPLE.rewards, link="probit"), 5, np.random.default_rng(0))
    with pytest.raises(ValueError, match="length=5"):
        sample_rankings(PEOPLE, 5, np.random.default_rng(0), 1, 5)


def test_bic_and_held_out_scores_from_their_definitions() -> None:
    rng = np.random.default_rng(3)
    people = Population([[1.0, 0, -1], [-1, 0.5, 0]])
    data = Rankings.of(people.sample_linked(41, rng, 4))  # odd, so that folds are unequal
    fit = em_dpo(data, 3, 2, starts=2)
    free = 2 * (3 - 1) + (2 - 1)  # rewards up to a constant for each type, and masses
    assert_allclose(fit.bic, free * np.log(41) - 2 * fit.log_likelihood)
    for folds in (2, 3):
        _, scores = select_types(data, 3, (1,), by="held-out", folds=folds, starts=1)
        part = np.random.default_rng(0).permutation(41) % folds
        total = 0.0  # log-likelihood of every annotator, each once
        for k in range(folds):
            model = em_dpo(data.take(part != k), 3, 1, starts=1)
            total += model.score(data.take(part == k)) * int((part == k).sum())
        assert_allclose(scores[1], -total / 41)
