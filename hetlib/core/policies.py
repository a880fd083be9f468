"""Policies and the rewards that they induce."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_softmax

from hetlib import checks
from hetlib.checks import Array


def optimal_policy(
    reward: ArrayLike, reference: ArrayLike | None = None, beta: float = 1.0
) -> Array:
    """The KL-regularised optimum, Eq. (3).

    Args:
        reward: r(y), shape (responses,).
        reference: Reference policy, shape (responses,), full support; uniform if None.
        beta: Weight of the KL term.

    Returns:
        pi(y) = pi_ref(y) exp(r(y) / beta) / Z, shape (responses,).

    Raises:
        ValueError: a reward that is not finite, a reference without full support, beta <= 0.
    """
    r = checks.array("reward", reward, 1)
    ref = checks.distribution("reference", reference, len(r), full_support=True)
    with np.errstate(over="ignore"):  # to -inf, which is a probability of zero
        gap = (r - r.max()) / checks.positive("beta", beta)
    return np.exp(log_softmax(np.log(ref) + gap))  # Eq. (3)


def induced_reward(
    policy: ArrayLike, reference: ArrayLike | None = None, beta: float = 1.0
) -> Array:
    """The reward for which a policy is optimal, from Eq. (4); centred to mean zero.

    Args:
        policy: pi(y), shape (responses,), full support.
        reference: As for :func:`optimal_policy`.
        beta: Weight of the KL term.

    Returns:
        beta log pi(y) / pi_ref(y), less its mean, shape (responses,).

    Raises:
        ValueError: no full support, or a beta that is not positive or makes the reward overflow.
    """
    pi = checks.array("policy", policy, 1)
    pi = checks.distribution("policy", pi, len(pi), full_support=True)
    ref = checks.distribution("reference", reference, len(pi), full_support=True)
    with np.errstate(over="ignore", invalid="ignore"):
        s = checks.positive("beta", beta) * (np.log(pi) - np.log(ref))
        return _finite("reward", beta, s - s.mean())


def objective(
    policy: ArrayLike,
    reward: ArrayLike,
    reference: ArrayLike | None = None,
    beta: float = 1.0,
) -> float:
    """The value of a policy, Eq. (1); with the average reward, Eq. (9).

    Args:
        policy: pi(y), shape (responses,); zeros are allowed.
        reward: r(y), shape (responses,).
        reference: As for :func:`optimal_policy`.
        beta: Weight of the KL term.

    Returns:
        E_pi[r] - beta KL(pi; pi_ref).

    Raises:
        ValueError: no distribution, not finite, shapes that do not fit, or a value that overflows.
    """
    r = checks.array("reward", reward, 1)
    pi = checks.distribution("policy", policy, len(r))
    ref = checks.distribution("reference", reference, len(r), full_support=True)
    with np.errstate(over="ignore"):
        value = pi @ r - np.float64(checks.positive("beta", beta)) * kl_divergence(pi, ref)
    return float(_finite("value", beta, value))


def _finite(name: str, beta: float, value: Array) -> Array:
    if not np.isfinite(value).all():
        raise ValueError(f"beta is {beta}; the {name} is too large for a float")
    return value


def kl_divergence(p: ArrayLike, q: ArrayLike | None = None) -> float:
    """KL(p; q) in nats; q is uniform if None and must have full support."""
    from scipy.special import rel_entr

    a = checks.array("p", p, 1)
    a = checks.distribution("p", a, len(a))
    b = checks.distribution("q", q, len(a), full_support=True)
    return float(rel_entr(a, b).sum())


def total_variation(p: ArrayLike, q: ArrayLike) -> float:
    """Half the sum of absolute differences of two distributions, in [0, 1]."""
    a = checks.array("p", p, 1)
    a = checks.distribution("p", a, len(a))
    return float(abs(a - checks.distribution("q", q, len(a))).sum() / 2)
