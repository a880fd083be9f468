"""Policies and the rewards that they induce; exact optima on an infinite sample."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse.csgraph import connected_components
from scipy.special import expit, log_softmax

from hetlib import validate
from hetlib.borda import normalized_borda_count
from hetlib.validate import Array

#: Maps margins H, H[i, j] = s_i - s_j, to the loss of each ordered pair and its first two
#: derivatives in H[i, j]; all of shape (responses, responses).
PairLoss = Callable[[Array], tuple[Array, Array, Array]]


class ConvergenceError(RuntimeError):
    """A solver stopped before it reached the accuracy that was asked for."""


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


def minimise_pairwise(
    loss: PairLoss,
    sampling: ArrayLike,
    start: ArrayLike | None = None,
    tolerance: float = 1e-10,
    max_steps: int = 500,
) -> Array:
    """Minimise sum_ij D_i D_j loss_ij(s_i - s_j) over rewards s of mean zero.

    Newton's method with a line search; where the Hessian is not positive it is lifted, so a
    loss that is not convex ends in a local minimum near ``start``.

    Args:
        loss: Loss of each ordered pair with two derivatives.
        sampling: Distribution D of each response, shape (responses,), full support.
        start: First guess, shape (responses,); zeros if None.
        tolerance: Largest entry of the gradient, divided by D, at the end.
        max_steps: Limit on the steps.

    Returns:
        The rewards s, mean zero, shape (responses,).

    Raises:
        ConvergenceError: the gradient is still larger after ``max_steps``.
    """
    D = validate.array("sampling", sampling, 1)
    DD = np.outer(D, D)
    s = np.zeros(len(D)) if start is None else validate.array("start", start, 1)
    s = s - s.mean()

    def evaluate(s: Array) -> tuple[float, Array, Array]:
        value, slope, curve = (DD * part for part in loss(s[:, None] - s[None, :]))
        gradient = slope.sum(axis=1) - slope.sum(axis=0)
        pair = curve + curve.T
        return float(value.sum()), gradient, np.diag(pair.sum(axis=1)) - pair

    value, gradient, hessian = evaluate(s)
    for _ in range(max_steps):
        if abs(gradient / D).max() < tolerance:
            return s - s.mean()
        eigenvalues, vectors = np.linalg.eigh(hessian)
        # The constant direction has eigenvalue zero and gradient zero; lifting is harmless there.
        lifted = np.maximum(abs(eigenvalues), 1e-9 * abs(eigenvalues).max() + 1e-300)
        step = -vectors @ ((vectors.T @ gradient) / lifted)
        step -= step.mean()
        size, slope = 1.0, gradient @ step
        while size > 1e-10:
            trial = evaluate(s + size * step)
            # Near the optimum values agree to rounding; then a smaller gradient decides.
            enough = trial[0] <= value + 1e-4 * size * slope
            flat = abs(trial[0] - value) < 1e-13 * (1 + abs(value))
            if enough or (flat and abs(trial[1] / D).max() < abs(gradient / D).max()):
                break
            size /= 2
        else:
            break
        s, (value, gradient, hessian) = s + size * step, trial
    raise ConvergenceError(
        f"gradient {abs(gradient / D).max():.1e} after {max_steps} Newton steps; "
        f"{tolerance:.0e} was asked for"
    )


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
