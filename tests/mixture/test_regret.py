"""Min-max regret: the linear programme, its dual, and the best policy of all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hetlib.core.policies import kl_divergence, objective, optimal_policy
from hetlib.mixture import best_min_max_regret, chernoff_information, min_max_regret, regret_table


def world(seed: int, types: int, responses: int) -> tuple[np.ndarray, np.ndarray, float]:
    rng = np.random.default_rng(seed)
    rewards = rng.normal(scale=2, size=(types, responses))
    return rewards, rng.dirichlet(np.full(responses, 3.0)), float(rng.uniform(0.3, 2))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(2, 6), st.booleans())
def test_programme_and_dual(seed: int, types: int, responses: int, penalty: bool) -> None:
    rewards, ref, beta = world(seed, types, responses)
    rng = np.random.default_rng(seed)
    policies = rng.dirichlet(np.ones(responses), size=4)
    out = min_max_regret(rewards, policies, ref, beta, penalty)
    table = regret_table(rewards, policies, ref, beta, penalty)
    assert out.weights.sum() == pytest.approx(1)
    assert out.prices.sum() == pytest.approx(1)
    assert out.value == pytest.approx((table @ out.weights).max())
    assert out.value == pytest.approx((out.prices @ table).min(), abs=1e-7)  # no mix does better
    for w in rng.dirichlet(np.ones(4), size=50):
        assert (table @ w).max() >= out.value - 1e-7
    # a type with a price has the largest regret; a policy with a weight is a best answer
    assert (out.prices * (out.value - out.regrets)).max() < 1e-6
    assert (out.weights * (out.prices @ table - out.value)).max() < 1e-6


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(2, 6))
def test_best_of_all(seed: int, types: int, responses: int) -> None:
    rewards, ref, beta = world(seed, types, responses)
    out = best_min_max_regret(rewards, ref, beta)
    assert out.policy == pytest.approx(optimal_policy(out.prices @ rewards, ref, beta), abs=1e-9)
    rng = np.random.default_rng(seed)
    for policy in rng.dirichlet(np.ones(responses), size=100):
        assert regret_table(rewards, policy[None], ref, beta).max() >= out.value - 1e-5
    mixed = min_max_regret(rewards, None, ref, beta)
    assert out.value <= mixed.value + 1e-5


def test_regret_two_ways() -> None:
    rewards, ref, beta = world(5, 3, 4)
    own = [optimal_policy(r, ref, beta) for r in rewards]
    policy = np.array([0.1, 0.2, 0.0, 0.7])
    table = regret_table(rewards, policy[None], ref, beta)[:, 0]
    for k, r in enumerate(rewards):
        loss = objective(own[k], r, ref, beta) - objective(policy, r, ref, beta)
        assert (
            table[k] == pytest.approx(loss) == pytest.approx(beta * kl_divergence(policy, own[k]))
        )
    plain = regret_table(rewards, policy[None], ref, beta, penalty=False)[:, 0]
    assert plain == pytest.approx([p @ r - policy @ r for p, r in zip(own, rewards, strict=True)])


def test_two_types_is_chernoff_information() -> None:
    rewards, ref, beta = world(8, 2, 5)
    a, b = (optimal_policy(r, ref, beta) for r in rewards)
    assert best_min_max_regret(rewards, ref, beta).value == pytest.approx(
        beta * chernoff_information(a, b), abs=1e-6
    )


def test_shifts_do_not_matter() -> None:
    rewards, ref, beta = world(9, 3, 4)
    moved = rewards + np.array([[5.0], [-3.0], [0.5]])
    for rule in (best_min_max_regret, lambda r, p, b: min_max_regret(r, None, p, b)):
        one, two = rule(rewards, ref, beta), rule(moved, ref, beta)
        assert one.policy == pytest.approx(two.policy, abs=1e-5)


def test_all_policies_without_penalty() -> None:
    """Two opposed types, one response each: the fair draw, and both regrets alike."""
    out = min_max_regret([[1.0, 0.0], [0.0, 1.0]], np.eye(2), penalty=False)
    assert out.weights == pytest.approx([0.5, 0.5])
    assert out.regrets[0] == pytest.approx(out.regrets[1])
    assert out.gap == pytest.approx(0, abs=1e-9)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="beta"):
        min_max_regret(np.zeros((2, 2)), [[0.5, 0.5], [1.0, 0.0]], beta=0)
    with pytest.raises(ValueError, match=r"policies\[1\] sums to 1.4"):
        min_max_regret(np.zeros((2, 2)), [[0.5, 0.5], [0.7, 0.7]])
    with pytest.raises(ValueError, match=r"policies\[0\] has 3 entries"):
        min_max_regret(np.zeros((2, 2)), [[0.5, 0.3, 0.2]])
    with pytest.raises(ValueError, match="beta"):
        best_min_max_regret(np.zeros((2, 2)), beta=-1)
