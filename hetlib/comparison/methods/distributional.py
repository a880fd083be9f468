"""Methods that fit a law to anonymous labels: of the strength of preference, or of utilities.

*MixDPO* (Imai et al., 2026) replaces the one strength beta of DPO by a random one with a
learned distribution. Here the margin h is multiplied by a lognormal strength B of mean one, and
the loss is -log E[sigma(B h)]. The mean has to be held fixed: with a free policy a larger mean
and a smaller margin say the same. The expectation is a Gauss-Hermite sum, not random draws.

*Distributional preference learning* (Siththaranjan, Laidlaw and Hadfield-Menell, 2024): hidden
context makes the utility of each response random, normal with its own mean and variance,
independent between responses. Their mean-and-variance model has
Pr(i beats j) = Phi((mu_i - mu_j) / sqrt(v_i + v_j)). Here a choice has the logistic noise of
Bradley and Terry besides; the logistic function averaged over the normal law is approximated
as sigma(d / sqrt(1 + pi v / 8)). Labels leave the scale open: means times c and 1/2 + pi v / 8
times c^2 explain them as well. We take the smallest scale, at which the least variance is zero;
equal variances then are the model of DPO. The policy is optimal for the means.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, log_expit, softmax

from hetlib.checks import Array
from hetlib.comparison.budgets import LabelSet
from hetlib.comparison.methods.direct import RIDGE, off_diagonal
from hetlib.comparison.methods.quasi_newton import lowest
from hetlib.comparison.methods.registry import NOTHING, Result, register
from hetlib.ring import fits

NODES, WEIGHTS = (np.asarray(part) for part in np.polynomial.hermite_e.hermegauss(24))
WEIGHTS = WEIGHTS / WEIGHTS.sum()
#: Largest standard deviation of log B. Beyond, labels hardly say anything about the mean of B.
WIDEST_STRENGTH = 1.5


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

    start = fits.fit_dpo_tables(W[None], ridge).reward[0]
    bounds = [(None, None)] * len(W) + [(0.0, WIDEST_STRENGTH)]
    found = lowest(loss, [np.append(start, tau) for tau in (0.2, 1.0)], bounds)
    return found[:-1] - found[:-1].mean(), float(found[-1])


@register("mixdpo", "MixDPO-style", NOTHING, "anonymous", "biased")
def mixdpo(labels: LabelSet) -> Result:
    """MixDPO-style: anonymous labels, a random strength."""
    wins = labels.anonymous
    reward, _ = random_strength(wins)
    return Result(np.asarray(softmax(reward)), labels.size, off_diagonal(wins), len(reward) + 1)


#: Largest variance of a response's utility, lest the scale that the least one sets be void.
WIDEST_UTILITY = 10.0


def mean_and_variance(wins: Array, ridge: float = RIDGE) -> tuple[Array, Array]:
    """Fit the mean and the variance of each response's utility to win counts.

    Args:
        wins: How often y_i beat y_j, shape (n, n); real weights are allowed.
        ridge: Weight of the squared means and variances.

    Returns:
        Means, centred, and variances of which the least is zero, each of shape (n,).
    """
    n = len(wins)
    W = wins * (1 - np.eye(n))
    total = W.sum()

    def loss(x: Array) -> tuple[float, Array]:
        mu, v = x[:n], x[n:]
        d = mu[:, None] - mu[None, :]
        root = 1 / np.sqrt(1 + np.pi / 8 * (v[:, None] + v[None, :]))
        z = d * root
        slope = -W * expit(-z)  # derivative in z
        by_mean, by_variance = slope * root, slope * d * (-np.pi / 16) * root**3
        value = -(W * log_expit(z)).sum() + ridge / 2 * x @ x
        g_mean = by_mean.sum(axis=1) - by_mean.sum(axis=0)
        g_variance = by_variance.sum(axis=1) + by_variance.sum(axis=0)
        return value / total, (np.concatenate([g_mean, g_variance]) + ridge * x) / total

    start = fits.fit_dpo_tables(W[None], ridge).reward[0]
    bounds = [(None, None)] * n + [(0.0, WIDEST_UTILITY)] * n
    starts = [np.concatenate([start, np.full(n, v)]) for v in (0.1, 2.0)]
    found = lowest(loss, starts, bounds)
    mean, spread = found[:n] - found[:n].mean(), 0.5 + np.pi / 8 * found[n:]
    shrink = 0.5 / spread.min()
    return mean * np.sqrt(shrink), (spread * shrink - 0.5) * 8 / np.pi


@register("dpl", "distributional (DPL-style)", NOTHING, "anonymous", "biased")
def dpl(labels: LabelSet) -> Result:
    """Distributional preference learning: anonymous labels, the means of the utilities."""
    wins = labels.anonymous
    mean, _ = mean_and_variance(wins)
    return Result(np.asarray(softmax(mean)), labels.size, off_diagonal(wins), 2 * len(mean))
