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
from scipy.special import expit, log_expit

from hetlib.checks import Array
from hetlib.comparison.budgets import LabelSet
from hetlib.comparison.methods.direct import off_diagonal
from hetlib.comparison.quasi_newton import lowest
from hetlib.comparison.registry import Result, register
from hetlib.comparison.tuning import RIDGES, tune
from hetlib.ring import fits

NODES, WEIGHTS = (np.asarray(part) for part in np.polynomial.hermite_e.hermegauss(24))
WEIGHTS = WEIGHTS / WEIGHTS.sum()
#: Largest standard deviation of log B. Beyond, labels hardly say anything about the mean of B.
WIDEST_STRENGTH = 1.5


def strength_law(margins: Array, spread: float) -> Array:
    """Probability that the row wins under a random strength: E[sigma(B h)]."""
    B = np.exp(spread * NODES - spread**2 / 2).reshape((-1,) + (1,) * np.ndim(margins))
    return np.asarray(np.tensordot(WEIGHTS, expit(B * margins), axes=1))


def utility_law(mean: Array, variance: Array) -> Array:
    """Probability that the row wins under random utilities, shape (n, n)."""
    d = mean[:, None] - mean[None, :]
    return np.asarray(expit(d / np.sqrt(1 + np.pi / 8 * (variance[:, None] + variance[None, :]))))


def _surprise(law: Array, held: Array) -> float:
    """Negative log-likelihood of win counts."""
    return -float((held * np.log(np.clip(law, 1e-12, 1.0))).sum())


def random_strength(
    wins: Array, ridge: float = RIDGES[0], near: tuple[Array, float] | None = None
) -> tuple[Array, float]:
    """Fit margins and the spread of the strength to win counts.

    Args:
        wins: How often y_i beat y_j, shape (n, n); real weights are allowed.
        ridge: Weight of the squared rewards.
        near: Another fit to start from.

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

    bounds = [(None, None)] * len(W) + [(0.0, WIDEST_STRENGTH)]
    if near is None:
        start = fits.fit_dpo_tables(W[None], ridge).reward[0]
        starts = [np.append(start, tau) for tau in (0.2, 1.0)]
    else:
        starts = [np.append(*near)]
    found = lowest(loss, starts, bounds)
    return found[:-1] - found[:-1].mean(), float(found[-1])


@register(
    "mixdpo", "MixDPO-style", form="anonymous", aim="biased", source="Imai et al. (2026)",
    colour="#CC6677", mark="p", line="--",
)  # fmt: skip
def mixdpo(labels: LabelSet) -> Result:
    """MixDPO-style: anonymous labels, a random strength."""
    wins = labels.anonymous

    def loss(fit: tuple[Array, float], held: Array) -> float:
        reward, spread = fit
        return _surprise(strength_law(reward[:, None] - reward[None, :], spread), held)

    found = tune(labels, wins, random_strength, loss)
    reward, _ = found.model
    size = len(reward) + 1
    return Result(labels.policy(reward), labels.size, off_diagonal(wins), size, ridge=found.ridge)


#: Largest variance of a response's utility, lest the scale that the least one sets be void.
WIDEST_UTILITY = 10.0


def mean_and_variance(
    wins: Array, ridge: float = RIDGES[0], near: tuple[Array, Array] | None = None
) -> tuple[Array, Array]:
    """Fit the mean and the variance of each response's utility to win counts.

    Args:
        wins: How often y_i beat y_j, shape (n, n); real weights are allowed.
        ridge: Weight of the squared means and variances.
        near: Another fit to start from.

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

    bounds = [(None, None)] * n + [(0.0, WIDEST_UTILITY)] * n
    if near is None:
        start = fits.fit_dpo_tables(W[None], ridge).reward[0]
        starts = [np.concatenate([start, np.full(n, v)]) for v in (0.1, 2.0)]
    else:
        starts = [np.concatenate(near)]
    found = lowest(loss, starts, bounds)
    mean, spread = found[:n] - found[:n].mean(), 0.5 + np.pi / 8 * found[n:]
    shrink = 0.5 / spread.min()
    return mean * np.sqrt(shrink), (spread * shrink - 0.5) * 8 / np.pi


@register(
    "dpl", "distributional (DPL-style)", form="anonymous", aim="biased",
    source="Siththaranjan et al. (2024)", colour="#882255", mark="*", line="--",
)  # fmt: skip
def dpl(labels: LabelSet) -> Result:
    """Distributional preference learning: anonymous labels, the means of the utilities."""
    wins = labels.anonymous
    found = tune(
        labels, wins, mean_and_variance, lambda fit, held: _surprise(utility_law(*fit), held)
    )
    mean, _ = found.model
    size = 2 * len(mean)
    return Result(labels.policy(mean), labels.size, off_diagonal(wins), size, ridge=found.ridge)
