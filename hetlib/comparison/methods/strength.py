"""A random strength of preference, after MixDPO (Imai et al., 2026).

MixDPO replaces the one strength beta of DPO by a random one with a learned distribution.
Here the margin h is multiplied by a lognormal strength B of mean one, and the loss is
-log E[sigma(B h)]. The mean has to be held fixed: with a free policy a larger mean and a
smaller margin say the same. The expectation is a Gauss-Hermite sum instead of random draws.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, softmax

from hetlib.checks import Array
from hetlib.comparison.budgets import LabelSet
from hetlib.comparison.methods.direct import RIDGE
from hetlib.comparison.methods.quasi_newton import lowest
from hetlib.comparison.methods.result import Result
from hetlib.ring import fits

NODES, WEIGHTS = (np.asarray(part) for part in np.polynomial.hermite_e.hermegauss(24))
WEIGHTS = WEIGHTS / WEIGHTS.sum()
#: Largest standard deviation of log B. Beyond, labels hardly say anything about the mean of B.
WIDEST = 1.5


def random_strength(wins: Array, ridge: float = RIDGE) -> tuple[Array, float]:
    """Fit margins and the spread of the strength to win counts.

    Args:
        wins: How often y_i beat y_j, shape (n, n); real weights are allowed.
        ridge: Weight of the squared rewards.

    Returns:
        Rewards of mean zero, shape (n,), and the standard deviation of log B.
    """
    W = wins * (1 - np.eye(len(wins)))
    total = W.sum()

    def loss(x: Array) -> tuple[float, Array]:
        s, tau = x[:-1], x[-1]
        B = np.exp(tau * NODES - tau**2 / 2)[:, None, None]  # E[B] = 1
        H = s[:, None] - s[None, :]
        q = expit(B * H)
        p = np.maximum(np.einsum("k,kij->ij", WEIGHTS, q), 1e-300)
        flat = WEIGHTS[:, None, None] * q * (1 - q) * B
        slope = -W / p * flat.sum(axis=0)  # derivative in the margin
        turn = ((NODES - tau)[:, None, None] * flat).sum(axis=0) * H
        gradient = slope.sum(axis=1) - slope.sum(axis=0) + ridge * s
        value = -(W * np.log(p)).sum() + ridge / 2 * s @ s
        return value / total, np.append(gradient, -(W / p * turn).sum()) / total

    start = fits.fit_dpo(W[None], ridge).reward[0]
    bounds = [(None, None)] * len(W) + [(0.0, WIDEST)]
    found = lowest(loss, [np.append(start, tau) for tau in (0.2, 1.0)], bounds)
    return found[:-1] - found[:-1].mean(), float(found[-1])


def mixdpo(labels: LabelSet) -> Result:
    """MixDPO-style: anonymous labels, a random strength."""
    wins = labels.anonymous
    reward, _ = random_strength(wins)
    used = round(float(wins.sum() - np.trace(wins)))
    return Result(np.asarray(softmax(reward)), labels.size, used, len(reward) + 1)
