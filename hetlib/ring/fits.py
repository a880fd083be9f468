"""Training a reward or policy for each prompt from finite comparison data, directly.

A loss that is a sum over comparisons needs only how often each thing was seen: win counts, or
counts of unanimous votes. On these the exact minimiser takes a few Newton steps. Counts have
shape (tables, n, n): one table a prompt, or a single one if prompts are pooled, which uses
that preferences depend on the offset y - x alone. Rewards have shape (tables, n).

The other route, a network trained by stochastic gradients as in the paper, is in
:mod:`hetlib.ring.network`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import rel_entr, softmax

from hetlib import checks
from hetlib.borda.optima import dpo_loss, ipo_loss
from hetlib.checks import Array
from hetlib.consistent.expected import agreement_loss, integral_loss, shifted_agreement_loss
from hetlib.core.newton import PairLoss, minimise
from hetlib.linked.corrected import Correction
from hetlib.linked.moments import JointMoments, moments_from_counts
from hetlib.ring.environment import RingComparisons, RingEnvironment


def _count(
    data: RingComparisons,
    winner: NDArray[np.int64],
    loser: NDArray[np.int64],
    pool: bool,
    keep: NDArray[np.bool_] | None = None,
) -> Array:
    n = data.n
    cell = winner * n + loser
    if not pool:
        cell = cell + data.x * (n * n)
    if keep is not None:
        cell = cell[keep]
    tables = 1 if pool else n
    return np.bincount(cell, minlength=tables * n * n).reshape(tables, n, n).astype(np.float64)


def win_counts(data: RingComparisons, pool: bool = False) -> Array:
    """How often offset i beat offset j, over all labels.

    Args:
        data: Comparisons.
        pool: Add up the prompts.

    Returns:
        Counts, shape (n, n, n) by prompt, or (1, n, n) if pooled.
    """
    tables = []
    for column in data.votes.T:
        won = column == 1
        winner, loser = np.where(won, data.d2, data.d1), np.where(won, data.d1, data.d2)
        tables.append(_count(data, winner, loser, pool))
    return np.sum(tables, axis=0)


def win_counts_by_type(data: RingComparisons, types: int, pool: bool = False) -> Array:
    """The same for each type's labels, shape (types, tables, n, n).

    Reads the types of people, or takes the columns of fully annotated data.
    """
    types = checks.whole("types", types, 1)
    if data.types is None:
        if data.votes.shape[1] < types:
            raise ValueError(f"types is {types}; the votes have {data.votes.shape[1]} columns")
        columns = [replace(data, votes=data.votes[:, u : u + 1]) for u in range(types)]
    else:
        columns = []
        for u in range(types):
            of = data.types == u
            columns.append(
                RingComparisons(data.x[of], data.d1[of], data.d2[of], data.votes[of], None, data.n)
            )
    return np.stack([win_counts(part, pool) for part in columns])


def unanimous_counts(data: RingComparisons, pool: bool = False) -> tuple[Array, Array]:
    """How often all labels of a comparison preferred offset i to offset j.

    Returns:
        Counts where i was shown second, and where it was shown first; each (tables, n, n).
    """
    if data.types is not None:
        raise ValueError("votes are labels of one person; unanimity needs one label of every type")
    total = data.votes.sum(axis=1)
    second = _count(data, data.d2, data.d1, pool, total == data.votes.shape[1])
    return second, _count(data, data.d1, data.d2, pool, total == 0)


def linked_moments(data: RingComparisons, prior: float = 1.0) -> JointMoments:
    """Tabular J of Section 5.3 by offset, prompts pooled, from the first two labels of each.

    The same as :func:`hetlib.linked.moments.tabular_moments`, from counts.
    """
    prior = checks.non_negative("prior", prior)
    if data.types is None:
        raise ValueError("votes are one label a type; linked data need two labels by one person")
    if data.votes.shape[1] < 2:
        raise ValueError("votes has one column; linked data need two labels by one person")
    a, b = data.votes[:, 0] == 1, data.votes[:, 1] == 1
    both = _count(data, data.d2, data.d1, True, a & b) + _count(
        data, data.d1, data.d2, True, ~a & ~b
    )
    mixed = _count(data, data.d2, data.d1, True, a != b)[0]
    return moments_from_counts(both[0], mixed + mixed.T, prior)


@dataclass(frozen=True)
class Fit:
    """Rewards learned from data.

    Attributes:
        reward: By table and offset, mean zero, shape (tables, n).
    """

    reward: Array

    @property
    def policy(self) -> Array:
        """The policies of the fitted rewards (uniform reference, beta = 1), shape (tables, n)."""
        return np.asarray(softmax(self.reward, axis=1))


#: Counts and ridges above this would overflow in sums.
MOST = 1e100


def _counts(**given: Array) -> Array:
    """Counts of shape (tables, n, n), checked."""
    ((name, value),) = given.items()
    return checks.counts(name, value, 3, MOST)


def _fit(loss: PairLoss, counts: Array, ridge: float, start: Array | None = None) -> Fit:
    if not checks.non_negative("ridge", ridge) <= MOST:
        raise ValueError(f"ridge is {ridge:g}; at most {MOST:g} is allowed")
    return Fit(minimise(loss, np.zeros(counts.shape[:2]) if start is None else start, ridge))


def fit_dpo_tables(wins: Array, ridge: float = 0.1) -> Fit:
    """DPO, Eq. (6), on win counts of shape (tables, n, n).

    Raises:
        ValueError: counts or a ridge that are negative, huge or not finite.
        ConvergenceError: no optimum was reached, as where the ridge is too small.
    """
    wins = _counts(wins=wins)
    return _fit(dpo_loss(wins), wins, ridge)


def fit_ipo(wins: Array, ridge: float = 0.1) -> Fit:
    """IPO (Azar et al., 2024) with tau = 1 on win counts of shape (tables, n, n).

    Raises:
        ValueError: counts or a ridge that are negative, huge or not finite.
        ConvergenceError: no optimum was reached, as where the ridge is too small.
    """
    wins = _counts(wins=wins)
    return _fit(ipo_loss(wins), wins, ridge)


def fit_corrected(
    wins: Array,
    moments: JointMoments,
    alpha: float,
    ridge: float = 0.1,
) -> Fit:
    """First-order corrected DPO of Section 5.1 on win counts.

    As in :func:`hetlib.linked.corrected.corrected_reward`, alpha is raised in steps from 0, the
    optimum of DPO. V depends on the margin through Eq. (16) and this is differentiated.

    Args:
        wins: Win counts, shape (tables, n, n).
        moments: J by offset: exact, or estimated from linked labels.
        alpha: Strength of the correction.
        ridge: Weight of the squared rewards.

    Raises:
        ValueError: malformed arguments.
        ConvergenceError: no optimum was reached.
    """
    correction = Correction(alpha, choice_variance=moments.choice_variance)
    wins = _counts(wins=wins)
    if wins.shape[1] != correction.responses:
        raise ValueError(
            f"wins has {wins.shape[1]} responses; the moments have {correction.responses}"
        )
    fit = fit_dpo_tables(wins, ridge)
    for strength in np.linspace(0, alpha, 1 + int(np.ceil(2 * alpha)))[1:]:
        loss = replace(correction, alpha=float(strength)).weighted(wins)
        fit = _fit(loss, wins, ridge, fit.reward)
    return fit


def fit_agreement(unanimous: Array, types: int, ridge: float = 0.1) -> Fit:
    """The consistent loss of Proposition 6.1 on unanimous counts, (tables, n, n).

    Raises:
        ValueError: counts or a ridge that are negative, huge or not finite.
        ConvergenceError: no optimum was reached, as where the ridge is too small.
    """
    unanimous = _counts(unanimous=unanimous)
    return _fit(agreement_loss(unanimous, types), unanimous, ridge)


def fit_shifted_agreement(second: Array, first: Array, types: int, ridge: float = 0.1) -> Fit:
    """Proposition 6.1 as released, on the two counts of :func:`unanimous_counts`.

    Raises:
        ValueError: counts or a ridge that are negative, huge or not finite.
        ConvergenceError: no optimum was reached, as where the ridge is too small.
    """
    second, first = _counts(second=second), _counts(first=first)
    if second.shape != first.shape:
        raise ValueError(f"second has shape {second.shape} and first {first.shape}")
    return _fit(shifted_agreement_loss(second, first, types), second + first, ridge)


def fit_integral(unanimous: Array, types: int, ridge: float = 0.1) -> Fit:
    """The consistent loss of Proposition B.3 on unanimous counts, (tables, n, n).

    Raises:
        ValueError: counts or a ridge that are negative, huge or not finite.
        ConvergenceError: no optimum was reached, as where the ridge is too small.
    """
    unanimous = _counts(unanimous=unanimous)
    start = fit_agreement(unanimous, types, ridge).reward
    return _fit(integral_loss(unanimous, types), unanimous, ridge, start)


def fit_personalised(wins_by_type: Array, weights: ArrayLike, ridge: float = 0.1) -> Fit:
    """One Bradley-Terry reward a type, averaged: needs each label's type.

    Args:
        wins_by_type: Counts of :func:`win_counts_by_type`, shape (types, tables, n, n).
        weights: Probability of each type.
        ridge: Weight of the squared rewards of each type.

    Raises:
        ValueError: malformed arguments.
        ConvergenceError: no optimum was reached.
    """
    tables = checks.counts("wins_by_type", wins_by_type, 4, MOST)
    w = checks.distribution("weights", weights, len(tables))
    rewards = np.array([fit_dpo_tables(wins, ridge).reward for wins in tables])
    return Fit(np.einsum("u,utn->tn", w, rewards))


def counted_borda(wins: Array) -> Array:
    """Normalised Borda count by counting: won comparisons over all, shape (tables, n).

    Comparisons of a response with itself count as one win and one loss.

    Raises:
        ValueError: a response that was never compared.
    """
    wins = _counts(wins=wins)
    won, lost = wins.sum(axis=2), wins.sum(axis=1)
    if (won + lost == 0).any():
        t, i = np.argwhere(won + lost == 0)[0]
        raise ValueError(f"response {i} of table {t} was never compared: wins is 0")
    return np.asarray(won / (won + lost))


def distances(policy: Array, environment: RingEnvironment) -> dict[str, Array]:
    """How far policies are from pi*: total variation, KL(pi*; pi), regret of Eq. (9).

    Args:
        policy: By table and offset, shape (tables, n).
        environment: The environment; its pi* is the target.

    Returns:
        "tv", "kl" and "regret", each of shape (tables,). The regret is KL(pi; pi*), since
        beta is 1.

    Raises:
        ValueError: rows that are no distributions.
    """
    best, pi = environment.best(), checks.array("policy", policy, 2)
    if pi.shape[1] != len(best):
        raise ValueError(f"policy has {pi.shape[1]} columns; {len(best)} are needed")
    if (bad := (pi < 0) | (pi > 1 + 1e-6)).any():
        t, i = (int(k) for k in np.argwhere(bad)[0])
        raise ValueError(f"policy[{t}, {i}] is {pi[t, i]}; probabilities lie in [0, 1]")
    if (off := abs(pi.sum(axis=1) - 1) > 1e-6).any():
        raise ValueError(f"policy[{int(off.argmax())}] does not sum to 1")
    return {
        "tv": abs(pi - best).sum(axis=1) / 2,
        "kl": rel_entr(best, pi).sum(axis=1),
        "regret": rel_entr(pi, best).sum(axis=1),
    }
