"""Exact limits of a function of length."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit

from hetlib import Population
from hetlib.borda.optima import dpo_policy
from hetlib.core.policies import induced_reward
from hetlib.llm.analysis import limits
from hetlib.llm.data import labels, lengths, synthetic
from hetlib.llm.data.agreement import agreement_rate, true_margins


def pairs(size: int = 4000, seed: int = 0) -> np.ndarray:
    return synthetic.pair_lengths(size, seed)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["consensus", "homogeneous", "type-1", "type-2", "type-3"])
def test_labels_that_follow_one_reward_give_it_back(kind: str) -> None:
    x = pairs()
    r = lengths.length_rewards(np.unique(x))
    reward = {"consensus": r.sum(axis=0), "homogeneous": r.mean(axis=0)} | {
        f"type-{u + 1}": r[u] for u in range(3)
    }
    f = limits.population_limit(x, kind)
    s = reward[kind]
    for part in np.unique(f.part):
        inside = f.part == part
        np.testing.assert_allclose(f.scores[inside], (s - s[inside].mean())[inside], atol=1e-6)


@pytest.mark.slow
def test_anonymous_labels_do_not() -> None:
    x = pairs()
    t = true_margins(x)
    rates = {
        kind: agreement_rate(limits.population_limit(x, kind).margins(x), t)
        for kind in ("anonymous", "consensus", "homogeneous")
    }
    assert rates["consensus"] == rates["homogeneous"] == 1
    assert 0.9 < rates["anonymous"] < 0.99
    pairwise = labels.label_probability(x, "anonymous") - 0.5  # a pair on its own
    assert agreement_rate(pairwise, t) > rates["anonymous"]


def test_all_pairs_of_lengths_are_dpo_on_a_population() -> None:
    """The same limit from the library's exact DPO optimum: lengths are the responses."""
    tokens = np.array([20, 90, 180, 256, 300, 420, 500])
    x = np.array(list(itertools.combinations(tokens, 2)))
    people = Population(lengths.length_rewards(tokens))
    policy = dpo_policy(people.pairwise())
    expected = induced_reward(policy)
    f = limits.population_limit(x, "anonymous")
    np.testing.assert_allclose(f.scores, expected - expected.mean(), atol=1e-7)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.3, 20.0]))
def test_newton_against_scipy(seed: int, smoothness: float) -> None:
    rng = np.random.default_rng(seed)
    x = rng.choice([3, 10, 11, 40, 70], size=(60, 2))
    p = rng.uniform(0.05, 0.95, size=60)
    f = limits.fit_lengths(x, p, smoothness)
    place = np.searchsorted(f.lengths, x)

    def loss(s: np.ndarray) -> float:
        h = s[place[:, 1]] - s[place[:, 0]]
        fit = p @ np.logaddexp(0, -h) + (1 - p) @ np.logaddexp(0, h)
        return float(fit + 0.5 * smoothness * (np.diff(s) ** 2 / np.diff(f.lengths)).sum())

    found = minimize(loss, np.zeros(len(f.lengths)), method="BFGS", options={"gtol": 1e-9})
    assert loss(f.scores) <= found.fun + 1e-10
    if f.connected:
        np.testing.assert_allclose(f.scores, found.x - found.x.mean(), atol=1e-4)


def test_parts_that_are_never_compared() -> None:
    x = [[10, 20], [20, 30], [100, 200], [300, 300]]
    f = limits.population_limit(x, "homogeneous")
    assert not f.connected
    assert f.part.tolist() == [0, 0, 0, 1, 1, 2]
    for part in range(3):
        assert f.scores[f.part == part].mean() == pytest.approx(0)
    assert limits.fit_lengths(x, [0.4, 0.5, 0.6, 0.5], smoothness=1).connected


@pytest.mark.parametrize("preferred", [[1, 1, 1], [1, 0.5, 1], [0, 0.4, 0]])
def test_no_finite_limit(preferred: list[float]) -> None:
    x = [[10, 20], [20, 30], [10, 30]]
    with pytest.raises(ValueError, match="no finite function of length"):
        limits.fit_lengths(x, preferred)
    assert np.isfinite(limits.fit_lengths(x, preferred, smoothness=0.1).scores).all()


def test_a_cycle_of_wins_has_a_finite_limit() -> None:
    f = limits.fit_lengths([[10, 20], [20, 30], [30, 10]], [1, 1, 1])
    np.testing.assert_allclose(f.scores, 0, atol=1e-9)


def test_average_labels_have_none() -> None:
    with pytest.raises(ValueError, match="no finite function of length"):
        limits.population_limit(pairs(), "average")


@pytest.mark.slow
def test_smooth_sample_fit_comes_near_the_limit() -> None:
    """Labels of a sample, fitted with a penalty, approach the limit as pairs are added."""
    gaps = []
    for size in (2_000, 100_000):
        x = pairs(size)
        y = labels.label_pairs(x, [str(i) for i in range(size)], "consensus")
        s = limits.fit_lengths(x, y, smoothness=300).margins(pairs(500, seed=9))
        gaps.append(np.abs(s - 3 * true_margins(pairs(500, seed=9))).mean())
    assert gaps[1] < gaps[0]


def test_unanimous_and_right() -> None:
    x = pairs(300)
    d = labels.differences(x)
    patterns = np.array(list(itertools.product([0, 1], repeat=3)))
    chance = np.where(patterns[..., None], expit(d), expit(-d)).prod(axis=1)
    np.testing.assert_allclose(limits.unanimous(x), chance[0] + chance[-1])
    t = true_margins(x)
    right = limits.label_right(x, "consensus")
    np.testing.assert_allclose(right[t > 0], (chance[-1] / (chance[0] + chance[-1]))[t > 0])
    np.testing.assert_allclose(right[t < 0], (chance[0] / (chance[0] + chance[-1]))[t < 0])
    assert np.isnan(right[t == 0]).all()
    assert (t == 0).any()
    assert np.nanmin(limits.label_right(x, "average")) == 1


def test_types_that_want_long_and_short_leave_the_vote_to_the_third() -> None:
    x = pairs()
    sign = np.sign(labels.differences(x))
    uncapped = (sign[0] == -sign[1]) & (sign[2] != 0)
    assert uncapped.mean() > 0.9
    np.testing.assert_array_equal(np.sign(sign.sum(axis=0))[uncapped], sign[2][uncapped])


def test_rules_and_rates() -> None:
    x = np.array([[10, 20], [20, 10], [30, 30]])
    assert limits.rule(x, "longer").tolist() == [1, -1, 0]
    assert limits.rule(x, "shorter").tolist() == [-1, 1, 0]
    assert agreement_rate([1, -1, 0, 5], [2, 3, -1, 0]) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="name is 'best'"):
        limits.rule(x, "best")
    with pytest.raises(ValueError, match="nothing to agree with"):
        agreement_rate([1.0], [0.0])
    with pytest.raises(ValueError, match=r"margins\[1\] is nan"):
        agreement_rate([1.0, np.nan], [1.0, 1.0])
    with pytest.raises(ValueError, match="margins has 1 entries and truth 2"):
        agreement_rate([1.0], [1.0, 1.0])


def test_function_between_lengths() -> None:
    f = limits.fit_lengths([[10, 20], [20, 40]], [0.7, 0.6])
    a, b, c = f.scores
    np.testing.assert_allclose(f([5, 10, 15, 30, 99]), [a, a, (a + b) / 2, (b + c) / 2, c])
    assert f.margins([[10, 20]]) == pytest.approx([np.log(0.7 / 0.3)])


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="preferred has 1 entries; one for each of 2"):
        limits.fit_lengths([[1, 2], [2, 3]], [0.5])
    with pytest.raises(ValueError, match=r"preferred\[1\] is 1.5"):
        limits.fit_lengths([[1, 2], [2, 3]], [0.5, 1.5])
    with pytest.raises(ValueError, match="smoothness is -1"):
        limits.fit_lengths([[1, 2]], [0.5], smoothness=-1)
    with pytest.raises(ValueError, match=r"lengths must have shape \(pairs, 2\)"):
        limits.rule([1, 2], "longer")
