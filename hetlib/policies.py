"""Policies and the rewards that they induce; exact optima on an infinite sample."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse.csgraph import connected_components
from scipy.special import expit, log_softmax

from hetlib import validate
from hetlib.borda import normalized_borda_count
from hetlib.newton import ConvergenceError as ConvergenceError
from hetlib.newton import PairLoss as PairLoss
from hetlib.newton import minimise_pairwise as minimise_pairwise
from hetlib.validate import Array


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
    r = validate.array("reward", reward, 1)
    ref = validate.distribution("reference", reference, len(r), full_support=True)
    return np.exp(log_softmax(np.log(ref) + r / validate.positive("beta", beta)))  # Eq. (3)


def induced_reward(
    policy: ArrayLike, reference: ArrayLike | None = None, beta: float = 1.0
) -> Array:
    """The reward for which a policy is optimal, from Eq. (4); centred to mean zero.

    Args:
        policy: pi(y), shape (responses,), full support.
        reference: Reference policy, shape (responses,), full support; uniform if None.
        beta: Weight of the KL term.

    Returns:
        beta log pi(y) / pi_ref(y), less its mean, shape (responses,).
    """
    pi = validate.array("policy", policy, 1)
    pi = validate.distribution("policy", pi, len(pi), full_support=True)
    ref = validate.distribution("reference", reference, len(pi), full_support=True)
    s = validate.positive("beta", beta) * (np.log(pi) - np.log(ref))
    return s - s.mean()


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
        reference: Reference policy, shape (responses,), full support; uniform if None.
        beta: Weight of the KL term.

    Returns:
        E_pi[r] - beta KL(pi; pi_ref).
    """
    r = validate.array("reward", reward, 1)
    pi = validate.distribution("policy", policy, len(r))
    return float(pi @ r - validate.positive("beta", beta) * kl_divergence(pi, reference))


def kl_divergence(p: ArrayLike, q: ArrayLike | None = None) -> float:
    """KL(p; q) in nats; q is uniform if None and must have full support."""
    from scipy.special import rel_entr

    a = validate.array("p", p, 1)
    a = validate.distribution("p", a, len(a))
    b = validate.distribution("q", q, len(a), full_support=True)
    return float(rel_entr(a, b).sum())


def total_variation(p: ArrayLike, q: ArrayLike) -> float:
    """Half the sum of absolute differences of two distributions, in [0, 1]."""
    a = validate.array("p", p, 1)
    a = validate.distribution("p", a, len(a))
    return float(abs(a - validate.distribution("q", q, len(a))).sum() / 2)


def dpo_loss(pairwise: Array) -> PairLoss:
    """The expected DPO loss of each pair, Eq. (6), with its derivatives in the margin."""

    def loss(H: Array) -> tuple[Array, Array, Array]:
        q = expit(H)
        return pairwise * np.logaddexp(0, -H), -pairwise * expit(-H), pairwise * q * (1 - q)

    return loss


def dpo_reward(pairwise: ArrayLike, sampling: ArrayLike | None = None) -> Array:
    """The reward that DPO induces on an infinite sample, whatever reference and beta are.

    It solves the first-order condition, Eq. (18): the Borda count that the fitted
    Bradley-Terry model predicts equals the one in the data.

    Args:
        pairwise: Pr(y_i beats y_j), shape (responses, responses).
        sampling: Distribution D of each response, shape (responses,), full support.

    Returns:
        Induced rewards, mean zero, shape (responses,).

    Raises:
        ValueError: malformed arguments, or preferences so one-sided that no finite optimum
            exists (some set of responses never loses to the rest).
        ConvergenceError: the solver failed.
    """
    P = validate.pairwise(pairwise)
    D = validate.distribution("sampling", sampling, len(P), full_support=True)
    _require_finite_optimum("pairwise", P)
    borda = P @ D
    start = np.log(borda / (1 - borda))
    return minimise_pairwise(dpo_loss(P), D, start)


def has_finite_optimum(wins: ArrayLike) -> bool:
    """Whether the DPO loss has a minimiser, which is then unique up to a constant.

    Ford's (1957) condition: however the responses are split into two sets, each set has
    won against the other; that is, the graph of wins is strongly connected.

    Args:
        wins: How often (or with what probability) y_i beat y_j, shape (responses, responses).

    Returns:
        True if there is a finite optimum.

    Raises:
        ValueError: wins is not square, not finite, or has a negative entry.
    """
    groups, _ = connected_components(validate.counts("wins", wins) > 0, connection="strong")
    return bool(groups == 1)


def _require_finite_optimum(name: str, wins: Array) -> None:
    groups, group = connected_components(wins > 0, directed=True, connection="strong")
    if groups == 1:
        return
    # A set that loses to nobody outside it comes first in the order of the components.
    for k in range(groups):
        inside = group == k
        if not wins[np.ix_(~inside, inside)].any():
            break
    members = np.flatnonzero(inside).tolist()
    raise ValueError(
        f"{name} has no finite optimum: responses {members} never lost to any of the others; "
        "each set of responses must have lost to the rest at least once"
    )


def fit_dpo(wins: ArrayLike) -> Array:
    """The reward that DPO induces on a finite sample: the exact minimiser of Eq. (6).

    Only how often each response beat each other one matters, in which order does not; a
    response compared with itself (the diagonal) tells nothing.

    Args:
        wins: How often y_i beat y_j, shape (responses, responses); real weights are allowed.

    Returns:
        Induced rewards, mean zero, shape (responses,).

    Raises:
        ValueError: malformed counts, or no finite optimum (see :func:`has_finite_optimum`).
        ConvergenceError: the solver failed.
    """
    W = validate.counts("wins", wins)
    np.fill_diagonal(W, 0.0)
    _require_finite_optimum("wins", W)
    k = len(W)
    # Scaled so that sum_ij D_i D_j loss_ij, with D uniform, is the mean loss of the sample.
    return minimise_pairwise(dpo_loss(W * (k**2 / (W.sum() or 1.0))), np.full(k, 1 / k))


def dpo_policy(
    pairwise: ArrayLike,
    sampling: ArrayLike | None = None,
    reference: ArrayLike | None = None,
    beta: float = 1.0,
) -> Array:
    """The policy of DPO on an infinite sample: the exact minimiser of Eq. (6).

    Args:
        pairwise: Pr(y_i beats y_j), shape (responses, responses).
        sampling: Distribution D of each response, shape (responses,), full support.
        reference: Reference policy, shape (responses,), full support; uniform if None.
        beta: Weight of the KL term.

    Returns:
        Probabilities, shape (responses,).
    """
    return optimal_policy(dpo_reward(pairwise, sampling), reference, beta)


def ipo_policy(
    pairwise: ArrayLike,
    sampling: ArrayLike | None = None,
    reference: ArrayLike | None = None,
    beta: float = 1.0,
) -> Array:
    """The policy of IPO on an infinite sample, in closed form.

    IPO (Azar et al., 2024) regresses each margin on the outcome; the least-squares solution
    is the Borda count itself, so the policy is proportional to pi_ref exp(NBC / beta).

    Args:
        pairwise: Pr(y_i beats y_j), shape (responses, responses).
        sampling: Distribution D of each response, shape (responses,), full support.
        reference: Reference policy, shape (responses,), full support; uniform if None.
        beta: Weight of the KL term.

    Returns:
        Probabilities, shape (responses,).
    """
    return optimal_policy(normalized_borda_count(pairwise, sampling), reference, beta)
