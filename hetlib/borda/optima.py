"""What direct alignment finds on an infinite sample, and on counts: exact optima."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse.csgraph import connected_components
from scipy.special import expit

from hetlib import checks
from hetlib.borda.counts import normalized_borda_count
from hetlib.checks import Array
from hetlib.core import link as links
from hetlib.core.newton import PairLoss, minimise, minimise_pairwise
from hetlib.core.policies import optimal_policy


def ipo_loss(wins: Array) -> PairLoss:
    """Squared distance of the margin from 1/2 for the winner (IPO with tau = 1)."""

    def loss(H: Array) -> tuple[Array, Array, Array]:
        return wins * (H - 0.5) ** 2, 2 * wins * (H - 0.5), 2 * wins + 0 * H

    return loss


def dpo_loss(pairwise: Array, link: str = "logistic") -> PairLoss:
    """The expected DPO loss of each pair, Eq. (6), by the probability or number of its wins."""
    sigma = links.find(link)

    def loss(H: Array) -> tuple[Array, Array, Array]:
        lost = pairwise * expit(-H)  # 1 - expit(H) would lose the digits of rare losses
        return pairwise * np.logaddexp(0, -H), -lost, lost * expit(H)

    def other(H: Array) -> tuple[Array, Array, Array]:
        return (
            -pairwise * sigma.log_cdf(H),
            -pairwise * sigma.score(H),
            -pairwise * sigma.curvature(H),
        )

    return loss if link == "logistic" else other


def dpo_reward(
    pairwise: ArrayLike, sampling: ArrayLike | None = None, link: str = "logistic"
) -> Array:
    """The reward that DPO induces on an infinite sample, whatever reference and beta are.

    It solves the first-order condition, Eq. (18): the Borda count that the fitted
    Bradley-Terry model predicts equals the one in the data. With another link it is the
    minimiser of the same loss with that link in place of the logistic one.

    Args:
        pairwise: Pr(y_i beats y_j), shape (responses, responses).
        sampling: Distribution D of each response, shape (responses,), full support.
        link: Preference model of the fit, a key of :data:`hetlib.core.link.LINKS`. Where its
            likelihood is not log-concave (cauchit) the optimum need not be unique.

    Returns:
        Induced rewards, mean zero, shape (responses,).

    Raises:
        ValueError: malformed arguments, or preferences so one-sided that no finite optimum
            exists (some set of responses never loses to the rest, or too rarely for a float).
        ConvergenceError: the solver failed.
    """
    P = checks.pairwise(pairwise)
    D = checks.distribution("sampling", sampling, len(P), full_support=True)
    _require_finite_optimum("pairwise", P)
    D = np.maximum(D, 1e-150)  # a response drawn more rarely moves no other one's reward
    if _components(np.where(P * np.outer(D, D) > 1e-290, P, 0.0))[0] > 1:
        raise ValueError("pairwise and sampling hold wins too rare for a float: below 1e-290")
    start = np.log(np.maximum(P @ D, 1e-300) / np.maximum(D @ P, 1e-300))
    return minimise_pairwise(dpo_loss(P, link), D, start)


def has_finite_optimum(wins: ArrayLike) -> bool:
    """Whether the DPO loss has a minimiser, which is then unique up to a constant.

    Ford's (1957) condition: however the responses are split into two sets, each set has
    won against the other; that is, the graph of wins is strongly connected.

    Args:
        wins: How often (or with what probability) y_i beat y_j, shape (responses, responses).

    Raises:
        ValueError: wins is not square, not finite, or has a negative entry.
    """
    return _components(checks.counts("wins", wins))[0] == 1


def _components(wins: Array) -> tuple[int, Array]:
    """The sets of responses that have beaten one another, directly or through others."""
    if np.count_nonzero(wins > 0) - np.count_nonzero(wins.diagonal() > 0) == wins.size - len(wins):
        return 1, np.zeros(len(wins))  # the usual case, seen at once
    groups, group = connected_components(wins > 0, directed=True, connection="strong")
    return int(groups), group


def _require_finite_optimum(name: str, wins: Array) -> None:
    groups, group = _components(wins)
    if groups == 1:
        return
    # A set that loses to nobody outside it comes first in the order of the components.
    for k in range(groups):
        inside = group == k
        if not wins[np.ix_(~inside, inside)].any():
            break
    members = np.flatnonzero(inside).tolist()
    raise ValueError(
        f"{name} has no finite optimum: responses "
        f"{np.flatnonzero(parts[1] != np.bincount(parts[1]).argmax()).tolist()} were compared with "
        "none of the others, directly or through others, so that no scale is common; compare "
        "them, or leave them out"
        if (parts := connected_components(wins > 0, directed=False))[0] > 1
        else f"{name} has no finite optimum: responses {members} never lost to any of the others; "
        "each set of responses must have lost to the rest at least once"
    )


def bradley_terry(wins: ArrayLike, link: str = "logistic") -> Array:
    """The Bradley-Terry fit of counts, which is the reward that DPO induces on that sample.

    Maximum likelihood: the exact minimiser of Eq. (6) on a finite sample. A response compared
    with itself (the diagonal) tells nothing.

    Args:
        wins: How often y_i beat y_j, shape (responses, responses); real weights are allowed.
        link: Another preference model than Bradley and Terry's, a key of
            :data:`hetlib.core.link.LINKS`: "probit" is Thurstone's.

    Returns:
        Rewards in units of log-odds (or of the link), mean zero, shape (responses,).

    Raises:
        ValueError: malformed counts, or no finite optimum (see :func:`has_finite_optimum`).
        ConvergenceError: the solver failed.
    """
    W = checks.counts("wins", wins)
    np.fill_diagonal(W, 0.0)
    _require_finite_optimum("wins", W)
    if len(W) == 1:
        return np.zeros(1)
    W /= W.max()
    if _components(W)[0] > 1:
        raise ValueError("wins holds counts that differ by more than a factor of 1e308")
    return minimise(dpo_loss(W, link), np.log(W.sum(axis=1) / W.sum(axis=0)))


#: The same under the name of what it is to alignment: DPO on a finite sample.
fit_dpo = bradley_terry


def dpo_policy(
    pairwise: ArrayLike,
    sampling: ArrayLike | None = None,
    reference: ArrayLike | None = None,
    beta: float = 1.0,
    link: str = "logistic",
) -> Array:
    """The policy of DPO on an infinite sample: the exact minimiser of Eq. (6).

    Args:
        pairwise: Pr(y_i beats y_j), shape (responses, responses).
        sampling: Distribution D of each response, shape (responses,), full support.
        reference: Reference policy, shape (responses,), full support; uniform if None.
        beta: Weight of the KL term.
        link: Preference model of the fit, as for :func:`dpo_reward`, whose errors these are.

    Returns:
        Probabilities, shape (responses,).
    """
    return optimal_policy(dpo_reward(pairwise, sampling, link), reference, beta)


def ipo_policy(
    pairwise: ArrayLike,
    sampling: ArrayLike | None = None,
    reference: ArrayLike | None = None,
    beta: float = 1.0,
) -> Array:
    """The policy of IPO on an infinite sample, in closed form.

    IPO (Azar et al., 2024) regresses each margin on the outcome; the least-squares solution
    is the Borda count itself, so the policy is proportional to pi_ref exp(NBC / beta).
    Arguments and result are those of :func:`dpo_policy`.
    """
    return optimal_policy(normalized_borda_count(pairwise, sampling), reference, beta)
