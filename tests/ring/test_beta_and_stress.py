"""Another KL penalty, all methods on one data set, and one thing changed at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hetlib.borda.optima import dpo_policy
from hetlib.core.policies import kl_divergence, objective, total_variation
from hetlib.ring.curves import (
    at_beta,
    exact_distance,
    fit_by_prompt,
    learning_curves,
    mean_distance,
    stress_tests,
)
from hetlib.ring.environment import RingEnvironment
from hetlib.ring.fits import fit_dpo_tables, win_counts

SMALL = RingEnvironment(n=8, shifts=(-2, 0, 2), scales=(2.0, 1.0, 2.0), rates=(0.4, 0.5, 0.4))


@pytest.mark.parametrize("beta", [0.4, 1.0, 3.0])
def test_a_policy_at_another_beta_is_that_of_the_same_rewards(beta: float) -> None:
    people = SMALL.centred()
    assert at_beta(SMALL.best(), beta) == pytest.approx(people.optimal_policy(beta=beta))
    dpo = dpo_policy(people.pairwise(), beta=beta)
    assert at_beta(SMALL.optimum("dpo"), beta) == pytest.approx(dpo, abs=1e-8)
    away = total_variation(dpo, people.optimal_policy(beta=beta))
    assert exact_distance(SMALL, "dpo", beta=beta) == pytest.approx(away, abs=1e-7)
    assert exact_distance(SMALL, "agreement", beta=beta) < 1e-7


def test_bad_policies_and_strengths_are_named() -> None:
    with pytest.raises(ValueError, match=r"policy\[1\] is 0.0"):
        at_beta([1.0, 0.0], 2.0)
    with pytest.raises(ValueError, match="beta is 0"):
        at_beta([0.5, 0.5], 0)
    with pytest.raises(ValueError, match="points is 1"):
        stress_tests(SMALL, 1)
    with pytest.raises(ValueError, match="seed is -1"):
        fit_by_prompt(SMALL, 10, -1)


def test_regret_is_what_the_objective_loses() -> None:
    beta = 0.5
    curves = learning_curves(SMALL, [1000], 3, 0, ["dpo"], beta)["dpo"]
    best = SMALL.centred().optimal_policy(beta=beta)
    rng = np.random.default_rng(0)
    pi = rng.dirichlet(np.ones(8))
    mean = SMALL.centred().mean_reward()
    lost = objective(best, mean, beta=beta) - objective(pi, mean, beta=beta)
    assert lost == pytest.approx(beta * kl_divergence(pi, best))
    assert (curves["regret"] < 2 * beta * curves["kl"]).all()
    near = mean_distance(SMALL, "dpo", 10**8, 1, rng, beta=beta)
    assert near == pytest.approx(exact_distance(SMALL, "dpo", beta=beta), abs=1e-3)


def test_all_methods_on_one_data_set() -> None:
    few, counted = fit_by_prompt(SMALL, 400, 3)
    assert counted.shape == (8, 8)
    for name, policy in few.items():
        assert np.isnan(policy).all() == name.startswith("corrected"), name
    many, _ = fit_by_prompt(SMALL, 60_000, 3, beta=2.0)
    data = SMALL.sample(60_000, np.random.default_rng([3, 0]))
    by_hand = at_beta(fit_dpo_tables(win_counts(data)).policy, 2.0)
    assert many["dpo"] == pytest.approx(by_hand)
    assert all(policy.sum(axis=1) == pytest.approx(1.0) for policy in many.values())


def test_one_thing_changes_at_a_time() -> None:
    ring = RingEnvironment()
    tests = stress_tests(ring, 5)
    for values, cases in tests.values():
        assert len(values) == len(cases)
    values, cases = tests["shift of the outer types"]
    assert cases[2][0] == ring  # ten is the third of 0, 5, 10, 15, 20
    assert values[2] == 10
    assert list(cases[0][0].shifts) == [0, 0, 0]
    assert list(tests["scale of the outer types"][1][-1][0].scales) == [8.0, 1.5, 8.0]
    assert [len(e.shifts) for e, _ in tests["number of types"][1]] == [1, 2, 3, 4, 5]
    middle = tests["weight of the middle type"]
    assert middle[1][0][0].weights == pytest.approx((0.475, 0.05, 0.475))
    law = tests["sampling: peak at 0 (κ)"][1][-1][1]
    assert law is not None
    assert law.argmax() == 20
    assert law.sum() == pytest.approx(1.0)
    alone = stress_tests(replace(ring, shifts=(4,), scales=(1.0,), rates=(0.1,)), 3)
    assert alone["weight of the middle type"][1][0][0].weights is None
