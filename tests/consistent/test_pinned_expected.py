"""Votes, expected losses and the sandwich at their limits, and computed a second way."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import expit

from hetlib import Population
from hetlib.checks import Array
from hetlib.consistent import expected, losses

agreement = partial(losses.agreement, reduction="none")
released = partial(losses.agreement, as_released=True, reduction="none")
integral = partial(losses.integral, reduction="none")


@pytest.mark.parametrize("types", [1, 3, 16])
def test_patterns_count_in_binary(types: int) -> None:
    votes = expected.patterns(types)
    assert votes.shape == (2**types, types)
    assert votes.dtype == np.int8
    for code in {0, 1, 2**types // 2, 2**types - 1}:
        assert "".join(map(str, votes[code])) == f"{code:0{types}b}"


def test_probabilities_are_products_over_the_types() -> None:
    z = np.random.default_rng(2).uniform(size=(3, 2, 2))
    z[0, 0, 0], z[1, 1, 1] = 0, 1
    chi = expected.probabilities(z)
    for code, o in enumerate(product((0, 1), repeat=3)):
        for i, j in np.ndindex(2, 2):
            wanted = 1.0
            for u in range(3):
                wanted *= z[u, i, j] if o[u] else 1 - z[u, i, j]
            assert chi[code, i, j] == pytest.approx(wanted, abs=1e-15)


@pytest.mark.parametrize("types", [1, 2, 5, 16])
def test_losses_of_counts_by_differentiation(types: int) -> None:
    """Value, slope and curvature at equal rewards and far on either side, of uneven counts."""
    o = np.array([[1] * types, [0] * types])
    s = np.array([0.0, 0.0, 4.0, -9.5])
    H = s[:, None] - s
    second, first = np.random.default_rng(types).integers(0, 9, size=(2, 4, 4)).astype(float)
    nobody = np.zeros((4, 4))

    def torch_loss(loss: Any, ones: Array, zeros: Array, at: Array) -> tuple[Array, Array, Array]:
        return expected.expected_loss(loss, np.stack([ones, zeros]), o)(at)

    # y_i shown first and preferred: a vote for y1 of the pair whose margin is -H
    turned = torch_loss(released, nobody, first, -H)
    shown_first = (turned[0], -turned[1], turned[2])
    shown_second = torch_loss(released, second, nobody, H)
    both = tuple(a + b for a, b in zip(shown_first, shown_second, strict=True))
    for ours, theirs in (
        (expected.agreement_loss(second, types), torch_loss(agreement, second, nobody, H)),
        (expected.integral_loss(second, types), torch_loss(integral, second, nobody, H)),
        (expected.shifted_agreement_loss(second, first, types), both),
    ):
        found = ours(H)
        assert len(found) == 3
        for a, b in zip(found, theirs, strict=True):
            assert a.shape == (4, 4)
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "loss",
    [
        lambda W: expected.agreement_loss(W, 3),
        lambda W: expected.integral_loss(W, 3),
        lambda W: expected.shifted_agreement_loss(W, W[..., ::-1], 3),
    ],
)
def test_many_tables_are_each_alone(loss: Callable[[Array], Any]) -> None:
    rng = np.random.default_rng(4)
    W, H = rng.uniform(size=(5, 3, 3)), rng.normal(size=(5, 3, 3))
    for k, part in enumerate(zip(*loss(W)(H), strict=True)):
        for a, b in zip(part, loss(W[k])(H[k]), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-14)


@pytest.mark.parametrize("types", [100, 1000])
def test_the_tail_integral_of_equal_rewards_and_many_types(types: int) -> None:
    """In closed form its terms alternate and cancel: nothing may be lost at a margin of zero."""
    wanted, _ = quad(
        lambda v: v**types / (1 + v) ** 2, 0, 1, epsabs=0, epsrel=1e-13, points=[1 - 5 / types]
    )
    found = expected.tail_integral(np.array([0.0]), types)[0]
    assert found == pytest.approx(wanted, rel=5e-13, abs=0)


def test_margins_that_are_whole_numbers_have_derivatives() -> None:
    W = np.random.default_rng(6).uniform(size=(2, 3, 3))
    value = expected.expected_loss(agreement, W, [[1, 1], [0, 0]])
    H = np.array([[0, 1, -2], [-1, 0, 3], [2, -3, 0]])
    for whole, real in zip(value(H), value(H.astype(float)), strict=True):
        assert whole.dtype == np.float64
        np.testing.assert_array_equal(whole, real)


@pytest.mark.parametrize("D", [[0.3, 0.5, 0.2], [0.997, 0.001, 0.002], [0.0001, 0.9996, 0.0003]])
@pytest.mark.parametrize("types", [1, 2])
def test_covariance_pair_by_pair(types: int, D: list[float]) -> None:
    """The sandwich in two rewards that are free, pairs of a response with itself left out."""
    reward = np.array([0.5, -0.1, -0.4])
    spread = np.array([[0.3, 0.0, -0.3], [-0.3, 0.0, 0.3]]) if types == 2 else np.zeros((1, 3))
    z = Population(reward + spread).pairwise_by_type()
    A, B = np.zeros((2, 2)), np.zeros((2, 2))
    basis = np.array([[1, -1, 0], [1, 1, -2]]) / np.sqrt([[2], [6]])  # of mean zero, orthonormal
    for i, j in np.ndindex(3, 3):
        if i == j:
            continue
        direction = basis[:, i] - basis[:, j]
        outer = D[i] * D[j] * np.outer(direction, direction)
        h = types * (reward[i] - reward[j])
        for chance, lost in (
            (z[:, i, j].prod(), expit(-h)),
            (z[:, j, i].prod(), expit(h)),
        ):
            A += chance * types**2 * expit(h) * expit(-h) * outer
            B += chance * types**2 * lost**2 * outer
    inverse = np.linalg.inv(A)
    wanted = basis.T @ inverse @ B @ inverse @ basis
    found = expected.covariance(agreement, z, reward, D)
    np.testing.assert_allclose(found, wanted, rtol=1e-8)


@pytest.mark.parametrize("loss", [agreement, integral])
def test_covariance_without_a_distribution_is_that_of_the_uniform_one(loss: Any) -> None:
    p = Population([[1.0, 0.0, -0.5], [0.2, 0.7, 0.0]])
    at = (p.pairwise_by_type(), p.mean_reward())
    np.testing.assert_allclose(
        expected.covariance(loss, *at), expected.covariance(loss, *at, [1 / 3] * 3), rtol=1e-12
    )


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: expected.patterns(-1), r"types is -1; 1 to 16 is allowed"),
    (lambda: expected.chances([]), r"z must have shape \(types, ...\) and not be empty, not \(0,"),
    (lambda: expected.chances("x"), r"z must hold numbers, of shape \(types, ...\)"),
    (lambda: expected.chances([0.5], 2), r"z must have shape \(2, ...\) and not be empty"),
    (lambda: expected.chances([[0.5, 0.5], [0.5, -0.1]]), r"z\[1, 1\] is -0.1; entries in \[0, 1"),
    (lambda: expected.probabilities([0.5], [1]), r"of shape \(vectors, 1\), not \(1,\)"),
    (
        lambda: expected.covariance(agreement, np.full((2, 2), 0.5), [0, 0]),
        r"z must have 3 axes, not 2 \(shape \(2, 2\)\)",
    ),
    (
        lambda: expected.covariance(agreement, np.full((2, 3, 2), 0.5), [0, 0]),
        r"z must have shape \(types, 2, 2\), not \(2, 3, 2\)",
    ),
    (lambda: expected.tail_integral(torch.zeros(1), 0, torch), "types is 0; at least one"),
    (lambda: expected.shifted_agreement_loss(np.eye(2), np.eye(2), 0), "types is 0; at least one"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_refusals_that_name_the_argument(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_certain_types_are_allowed() -> None:
    assert expected.chances([0, 1]).tolist() == [0.0, 1.0]
    assert expected.chances([[0.5], [1.0]], 2).shape == (2, 1)
