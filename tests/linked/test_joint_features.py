"""Probabilities of outcomes, their derivatives, and the bounds that certificates rest on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from hetlib.checks import Array
from hetlib.linked.joint import _Features

DESIGNS: dict[str, list[tuple[tuple[int, ...], ...]]] = {
    "a pair": [((0, 1),)],
    "twice": [((0, 1), (0, 1))],
    "two pairs": [((0, 1), (1, 2))],
    "a ranking": [((0, 1, 2),)],
    "both": [((0, 1), (0, 1)), ((0, 2), (1, 2)), ((0, 1, 2),)],
}


def setting(name: str) -> tuple[_Features, Array, Array]:
    features, rng = _Features(DESIGNS[name], 3), np.random.default_rng(len(name))
    r = rng.uniform(-2, 2, (5, 3))
    return features, r, rng.normal(size=len(features(r)))


@pytest.mark.parametrize("name", DESIGNS)
def test_derivatives_by_differences(name: str) -> None:
    features, r, price = setting(name)
    gradient, hessian = features.derivatives(price, r, features(r))
    e = 1e-5
    for a in range(3):
        step = e * np.eye(3)[a]
        slope = price @ (features(r + step) - features(r - step)) / (2 * e)
        np.testing.assert_allclose(gradient[:, a], slope, atol=1e-8)
        up, _ = features.derivatives(price, r + step, features(r + step))
        down, _ = features.derivatives(price, r - step, features(r - step))
        np.testing.assert_allclose(hessian[:, a], (up - down) / (2 * e), atol=1e-8)


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("half", [0.05, 0.4])
@pytest.mark.parametrize("fixed", [0, 2])
def test_nothing_in_a_cell_is_steeper_than_its_bounds(name: str, half: float, fixed: int) -> None:
    """Second and third derivatives along moves within the cell, at many places of it."""
    features, r, price = setting(name)
    second, third = features.remainders(price, r, half, fixed)
    rng, e = np.random.default_rng(0), 1e-3
    worst = np.full((2, len(r)), -np.inf)
    for _ in range(300):
        at, move = rng.uniform(-half, half, (2, 3))
        if rng.random() < 0.5:
            move = half * rng.choice([-1.0, 1.0], 3)
        at[fixed] = move[fixed] = 0
        line = [-(price @ features(r + at + k * e * move)) for k in (-2, -1, 0, 1, 2)]
        worst[0] = np.maximum(worst[0], (line[1] - 2 * line[2] + line[3]) / e**2)
        jump = (line[4] - 2 * line[3] + 2 * line[1] - line[0]) / (2 * e**3)
        worst[1] = np.maximum(worst[1], abs(jump))
    assert (worst[0] <= second + 1e-8).all()
    assert (worst[1] <= third + 1e-6).all()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_bounds_of_one_pair_by_hand(sign: float) -> None:
    """One question, one response fixed: its probability between the ends of the cell."""
    features = _Features([((0, 1),)], 2)
    r, half = np.array([[0.9, 0.0], [0.1, 0.0]]), 0.3
    first = features(np.array([[5.0, 0.0]]))[:, 0].argmax()  # the outcome in which 0 wins
    price = np.zeros(2)
    price[first] = sign
    second, third = features.remainders(price, r, half, 1)
    low, high = expit(r[:, 0] - half), expit(r[:, 0] + half)
    spread = np.where(
        (low < 0.5) & (high > 0.5), 0.25, np.maximum(low * (1 - low), high * (1 - high))
    )
    slope, bend = (1 - low) * half, spread * half**2
    wanted = high * slope**2 if sign < 0 else high * bend
    np.testing.assert_allclose(second, wanted)
    twist = half**3 / (6 * np.sqrt(3))
    np.testing.assert_allclose(third, high * (slope**3 + 3 * slope * bend + twist))
    wider, _ = features.remainders(-price, r, half, 5)  # neither of the two is fixed
    assert (wider > features.remainders(-price, r, half, 1)[0]).all()
