"""Parts of the estimators: descent, triangles, and what they refuse."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hetlib import Population
from hetlib.checks import Array
from hetlib.core.labels import Linked
from hetlib.linked.estimators import descend, neural_moments, triangle_variance
from hetlib.linked.moments import tabular_moments, variance_from_moments


class Watched:
    """A loss of one parameter, quadratic, that notes rows, rates and values."""

    def __init__(self) -> None:
        self.net = torch.nn.Linear(1, 1, bias=False)
        with torch.no_grad():
            self.net.weight.fill_(1.0)
        self.rows: list[list[int]] = []
        self.values: list[float] = []

    def __call__(self, pick: Tensor) -> Tensor:
        self.rows.append(pick.tolist())
        self.values.append(self.net.weight.item())
        loss: Tensor = (self.net.weight - 3.0).pow(2).sum()
        return loss


def test_descent_moves_by_a_cosine() -> None:
    """Far from the optimum each of Adam's steps is the rate, to a few parts in a thousand."""
    watched = Watched()
    descend(watched.net, watched, 5, steps=10, rate=1e-3, batch=5)
    moves = np.diff([*watched.values, watched.net.weight.item()])
    cosine = 1e-3 * (1 + np.cos(np.pi * np.arange(10) / 10)) / 2
    np.testing.assert_allclose(moves, cosine, rtol=0.01, atol=1e-7)
    assert watched.rows == [[0, 1, 2, 3, 4]] * 10


def test_batches_are_drawn_anew() -> None:
    watched = Watched()
    torch.manual_seed(0)
    descend(watched.net, watched, 1000, steps=8, rate=1e-3, batch=16)
    assert all(len(rows) == 16 and 0 <= min(rows) <= max(rows) < 1000 for rows in watched.rows)
    assert len({tuple(rows) for rows in watched.rows}) == 8
    assert max(max(rows) for rows in watched.rows) > 800


def test_decay_pulls_towards_zero() -> None:
    plain, pulled = Watched(), Watched()
    for watched, decay in ((plain, {}), (pulled, {"decay": 5.0})):
        descend(watched.net, watched, 1, steps=20, rate=1e-2, batch=1, **decay)
    assert plain.net.weight.item() == pytest.approx(1.1, abs=0.01)
    assert pulled.net.weight.item() < 0.8


def by_hand(covariance: Array, reward: Array, asked: Array | None) -> Array:
    """Each triangle on its own, with the derivative of the logistic function at each margin."""
    n = len(reward)
    V = np.zeros((n, n))

    def steep(i: int, j: int) -> float:
        p = 1 / (1 + np.exp(reward[j] - reward[i]))
        return float(p * (1 - p))

    for i, j in combinations(range(n), 2):
        found = []
        for k in set(range(n)) - {i, j}:
            if asked is not None and not (asked[i, j, i, k] > 0 and asked[i, j, k, j] > 0):
                continue
            found.append(
                covariance[i, j, i, k] / steep(i, j) / steep(i, k)
                + covariance[i, j, k, j] / steep(i, j) / steep(k, j)
            )
        V[i, j] = V[j, i] = max(sum(found) / len(found), 0.0)
    return V


@pytest.mark.parametrize("n", [3, 4, 5])
def test_triangles_one_by_one(n: int) -> None:
    rng = np.random.default_rng(n)
    C, r = rng.normal(scale=0.05, size=(n,) * 4), rng.normal(size=n)
    np.testing.assert_allclose(triangle_variance(C, r), by_hand(C, r, None))
    assert (triangle_variance(C, r) == 0).any()
    asked = np.ones((n,) * 4)
    np.testing.assert_allclose(triangle_variance(C, r, asked), by_hand(C, r, None))
    if n > 3:
        asked[0, 1, 0, 2] = asked[1, 3, 2, 3] = 0
        np.testing.assert_allclose(triangle_variance(C, r, asked), by_hand(C, r, asked))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"asked": np.ones((3, 3))}, "asked"),
        ({"asked": np.ones((2,) * 4)}, r"^asked has shape \(2, 2, 2, 2\); with 3 rewards"),
        ({"covariance": np.zeros((2,) * 4)}, r"^covariance has shape \(2, 2, 2, 2\); with 3"),
        ({"covariance": np.zeros((3, 3))}, "covariance"),
        ({"reward": [[0.0, 1.0, 2.0]]}, "reward"),
        ({"reward": [0.0, 400.0, 0.0], "covariance": np.ones((3,) * 4)}, "too large for a float"),
        ({"asked": np.zeros((3,) * 4)}, "no triangle with responses 0 and 1 was labelled by one"),
    ],
)
def test_triangles_that_cannot_be_used(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"covariance": np.zeros((3,) * 4), "reward": [0.0, 1.0, 2.0]} | change
    with pytest.raises(ValueError, match=message):
        triangle_variance(**given)


def two_of_one_pair(people: int = 60) -> Linked:
    return Population([[1.0, 0.0], [0.0, 1.0]]).sample_linked(people, np.random.default_rng(0))


@pytest.mark.parametrize("name", ["hidden", "steps", "batch", "responses"])
def test_sizes_of_a_network_are_named(name: str) -> None:
    given: dict[str, Any] = {"data": two_of_one_pair(), "responses": 2, "steps": 1}
    with pytest.raises(ValueError, match=f"^{name} is 0"):
        neural_moments(**(given | {name: 0}))


def test_other_arguments_of_a_network_are_named() -> None:
    for name, value in (("seed", -1), ("learning_rate", 0.0), ("features", [1.0, 2.0])):
        with pytest.raises(ValueError, match=name):
            neural_moments(two_of_one_pair(), 2, **{name: value, "steps": 1})  # type: ignore[arg-type]


def test_a_small_network_weighs_rows_by_how_often_they_were_asked() -> None:
    """On one pair, asked often, and little else a network's moments are the table's."""
    data = two_of_one_pair(4000)
    network = neural_moments(data, 2, hidden=1, steps=400, batch=1)
    table = tabular_moments(data, 2)
    for ours, theirs in ((network.J1, table.J1), (network.J2, table.J2)):
        assert abs(ours - theirs)[~np.eye(2, dtype=bool)].max() < 0.15
    state = torch.random.get_rng_state()
    neural_moments(data, 2, steps=1)
    assert torch.equal(torch.random.get_rng_state(), state)  # the caller's stream is untouched


def test_variance_of_whatever_holds_numbers() -> None:
    wanted = (0.4 - (0.4 + 0.1) ** 2) / 0.25**2
    assert variance_from_moments(0.4, 0.1, 0.0) == pytest.approx(wanted)
    assert variance_from_moments([0.4], [0.1], [0]) == pytest.approx([wanted])
    assert variance_from_moments(np.array([1]), np.array([0]), np.array([0])).dtype == np.float64
    small = [np.array([x], dtype=np.float32) for x in (0.4, 0.1, 0.0)]
    assert variance_from_moments(*small).dtype == np.float32
    with pytest.raises(ValueError, match=r"do not fit: J1 \(2,\), J2 \(3,\), margin \(1,\)"):
        variance_from_moments(np.zeros(2), np.zeros(3), np.zeros(1))
    for bad in (np.array(["x"]), np.array([True]), np.array([1j])):
        with pytest.raises(ValueError, match="J2 must hold numbers, not"):
            variance_from_moments(np.zeros(1), bad, np.zeros(1))
