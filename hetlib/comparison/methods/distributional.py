"""Distributional preference learning (Siththaranjan, Laidlaw and Hadfield-Menell, 2024).

Hidden context makes the utility of each response random: normal with its own mean and
variance, independent between responses. Their mean-and-variance model has
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
from hetlib.comparison.methods.direct import RIDGE
from hetlib.comparison.methods.quasi_newton import lowest
from hetlib.comparison.methods.result import Result
from hetlib.ring import fits

#: Largest variance of a response's utility, lest the scale that the least one sets be void.
WIDEST = 10.0


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

    start = fits.fit_dpo(W[None], ridge).reward[0]
    bounds = [(None, None)] * n + [(0.0, WIDEST)] * n
    starts = [np.concatenate([start, np.full(n, v)]) for v in (0.1, 2.0)]
    found = lowest(loss, starts, bounds)
    mean, spread = found[:n] - found[:n].mean(), 0.5 + np.pi / 8 * found[n:]
    shrink = 0.5 / spread.min()
    return mean * np.sqrt(shrink), (spread * shrink - 0.5) * 8 / np.pi


def dpl(labels: LabelSet) -> Result:
    """Distributional preference learning: anonymous labels, the means of the utilities."""
    wins = labels.anonymous
    mean, _ = mean_and_variance(wins)
    used = round(float(wins.sum() - np.trace(wins)))
    return Result(np.asarray(softmax(mean)), labels.size, used, 2 * len(mean))
