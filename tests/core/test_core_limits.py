"""What policies, populations and the solver do by default, at their limits and with bad input."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax

from hetlib.core.newton import ConvergenceError, minimise
from hetlib.core.policies import (
    induced_reward,
    kl_divergence,
    objective,
    optimal_policy,
    total_variation,
)
from hetlib.core.population import Population

Array = NDArray[np.float64]


def test_beta_is_one_unless_said_otherwise() -> None:
    reward = np.array([0.3, -1.2, 2.0])
    policy = softmax(reward)
    np.testing.assert_allclose(optimal_policy(reward), policy)
    np.testing.assert_allclose(induced_reward(policy), reward - reward.mean())
    by_hand = policy @ reward - policy @ np.log(3 * policy)
    assert objective(policy, reward) == pytest.approx(by_hand)


BEFORE = [0.5, 0.5]
REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: induced_reward([BEFORE]), "policy must have 1 axes"),
    (lambda: objective(BEFORE, [[1.0, 2.0]]), "reward must have 1 axes"),
    (lambda: kl_divergence([BEFORE]), "p must have 1 axes"),
    (lambda: total_variation([BEFORE], BEFORE), "p must have 1 axes"),
    (lambda: induced_reward(BEFORE, [1.0, 0.0]), r"reference\[1\] is 0.0"),
    (lambda: objective(BEFORE, [1.0, 2.0], [1.0, 0.0]), r"reference\[1\] is 0.0"),
    (lambda: objective([1, 0], [-1.7e308, 0], [0.01, 0.99], 1e308), r"beta is 1e\+308; the value"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_policies_refuse_by_name(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_people_label_pairs_of_the_sampling_and_come_by_their_weights() -> None:
    """Type 0 always prefers the last response, type 1 the first; nine in ten are of type 0."""
    people = Population([[-40.0, 0.0, 40.0], [40.0, 0.0, -40.0]], weights=[0.9, 0.1])
    data = people.sample_linked(4000, np.random.default_rng(0), sampling=[0.2, 0.0, 0.8])
    assert data.votes.shape == (4000, 2)  # two labels unless said otherwise
    assert sorted(set(data.y1.ravel()) | set(data.y2.ravel())) == [0, 2]
    share = np.mean([data.y1 == 2, data.y2 == 2])
    assert share == pytest.approx(0.8, abs=0.02)  # 16,000 draws: six standard errors
    last = np.where(data.votes == 1, data.y2, data.y1) == 2
    told = data.y1 != data.y2
    assert (last[told.all(axis=1), 0] == last[told.all(axis=1), 1]).all()  # one person, one type
    assert last[told].mean() == pytest.approx(0.9, abs=0.03)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"people": 0}, "people is 0; it must be at least 1"),
        ({"people": 1, "labels": 1}, "labels is 1; it must be at least 2"),
        ({"people": 1, "sampling": [0.5, 0.6]}, "sampling sums to 1.1"),
    ],
)
def test_linked_samples_refuse(arguments: dict[str, Any], message: str) -> None:
    population, rng = Population([[0.0, 1.0]]), np.random.default_rng(0)
    assert population.sample_linked(1, rng).votes.shape == (1, 2)
    with pytest.raises(ValueError, match=message):
        population.sample_linked(**arguments, rng=rng)


def test_an_error_of_the_solver_comes_whole_from_another_process() -> None:
    sent = ConvergenceError("no optimum", (1,), np.array([[0.0, 1.0], [np.nan, np.nan]]))
    got = pickle.loads(pickle.dumps(sent))  # noqa: S301
    assert type(got) is ConvergenceError
    assert str(got) == "no optimum"
    assert got.tables == (1,)
    np.testing.assert_array_equal(got.rewards, sent.rewards)


def nothing(H: Array) -> tuple[Array, Array, Array]:
    return 0 * H, 0 * H, 0 * H


def test_a_start_is_moved_to_mean_zero_table_by_table() -> None:
    starts = np.array([[5.0, 5.0, -4.0], [1.0, 2.0, 9.0]])
    expected = starts - starts.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(minimise(nothing, starts), expected)
    np.testing.assert_allclose(minimise(nothing, starts[0]), expected[0])


def wells(depth: Array) -> Callable[[Array], tuple[Array, Array, Array]]:
    """Two minima a table, of its own depth."""

    def loss(H: Array) -> tuple[Array, Array, Array]:
        upper = depth[..., None, None] * np.triu(np.ones(H.shape[-2:]), 1)
        return upper * (H**2 - 1) ** 2, upper * 4 * H * (H**2 - 1), upper * (12 * H**2 - 4)

    return loss


@pytest.mark.parametrize("ridge", [0.0, 4.0])
def test_each_table_has_a_line_search_of_its_own(ridge: float) -> None:
    """The minima of d (h^2 - 1)^2 + ridge h^2 / 4 are where h^2 = 1 - ridge / (8 d)."""
    depth = np.array([1.0, 1e6, 2.0, 1.0, 1e-3 if ridge == 0 else 5.0, 3.0])
    start = np.array([0.1, -0.2, 3.0, -40.0, 1e3, 0.6])
    s = minimise(wells(depth), np.stack([start, 0 * start], axis=1), ridge)
    gap = s[:, 0] - s[:, 1]
    np.testing.assert_allclose(gap, np.sign(start) * np.sqrt(1 - ridge / (8 * depth)), rtol=1e-9)
    for k in range(len(depth)):
        alone = minimise(wells(depth[k]), np.array([start[k], 0.0]), ridge)
        np.testing.assert_allclose(alone, s[k], rtol=1e-9)
