"""Direct methods: one policy at once, from losses of earlier chapters."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from scipy.special import softmax

from hetlib.checks import Array
from hetlib.comparison.budgets import LabelSet
from hetlib.comparison.methods.registry import FULL, NOTHING, PAIRS, TYPE, Result, register
from hetlib.core import newton
from hetlib.core.newton import ConvergenceError
from hetlib.linked.corrected import Correction
from hetlib.linked.moments import JointMoments, moments_from_counts
from hetlib.ring import fits

#: Weight of the squared rewards in every fit of the comparison.
RIDGE = 0.1
#: Strengths among which held-out labels choose.
STRENGTHS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
FOLDS = 5


def off_diagonal(counts: Array) -> int:
    """Labels on pairs of two different responses; the others say nothing."""
    return round(float(counts.sum() - np.trace(counts, axis1=-2, axis2=-1).sum()))


@register("dpo", "DPO", NOTHING, "anonymous", "biased")
def dpo(labels: LabelSet) -> Result:
    """DPO on anonymous labels, Eq. (6)."""
    wins = labels.anonymous
    policy = fits.fit_dpo_tables(wins[None], RIDGE).policy[0]
    return Result(policy, labels.size, off_diagonal(wins), len(policy))


@register("ipo", "IPO", NOTHING, "anonymous", "biased")
def ipo(labels: LabelSet) -> Result:
    """IPO on anonymous labels (Azar et al., 2024) with tau = 1."""
    wins = labels.anonymous
    policy = fits.fit_ipo(wins[None], RIDGE).policy[0]
    return Result(policy, labels.size, off_diagonal(wins), len(policy))


def correction_path(
    wins: Array, moments: JointMoments, strengths: tuple[float, ...]
) -> dict[float, Array]:
    """Rewards of corrected DPO along growing strengths, from DPO on.

    Where the loss has no stationary point near the last one, the path ends: the strengths
    beyond are left out.

    Args:
        wins: Win counts, shape (n, n).
        moments: J.
        strengths: Strengths in growing order.

    Returns:
        Rewards, shape (n,), by strength; 0 is always among them.
    """
    correction = Correction(1.0, choice_variance=moments.choice_variance)
    reward = fits.fit_dpo_tables(wins[None], RIDGE).reward
    found, last = {0.0: reward[0]}, 0.0
    for strength in strengths:
        try:
            # Steps of at most one half, as everywhere in the book.
            for alpha in np.linspace(last, strength, 1 + int(np.ceil(2 * (strength - last))))[1:]:
                loss = replace(correction, alpha=float(alpha)).weighted(wins[None])
                reward = newton.minimise(loss, reward, RIDGE, 1e-8, 100)
        except ConvergenceError:
            break
        found[strength], last = reward[0], strength
    return found


def corrected(labels: LabelSet, alpha: float) -> Result:
    """First-order corrected DPO (Section 5) with J from pairs that people labelled twice."""
    both, mixed = labels.twice
    wins = 2 * both + mixed
    path = correction_path(wins, moments_from_counts(both, mixed, 1.0), _steps(alpha))
    reached = max(path)
    return _corrected_result(labels, wins, path[reached], reached)


for _alpha in (1.0, 2.0):
    register(f"corrected {_alpha:g}", f"corrected, α = {_alpha:g}", PAIRS, "twice", "biased")(
        partial(corrected, alpha=_alpha)
    )


@register("corrected tuned", "corrected, α tuned", PAIRS, "twice", "biased")
def corrected_tuned(labels: LabelSet) -> Result:
    """The same with the strength that predicts held-out labels best.

    The labels of each fold are predicted by sigma(h) + alpha c(h) fitted to the other folds.
    Nothing but linked labels is used, and pi* is never looked at.
    """
    both, mixed = labels.twice
    rng = labels.rng(20)
    upper = np.triu(mixed)
    folds = [_split(counts, rng) for counts in (both, upper)]
    score = dict.fromkeys(STRENGTHS, 0.0)
    for fold in range(FOLDS):
        b, m = (counts - parts[fold] for counts, parts in zip((both, upper), folds, strict=True))
        moments = moments_from_counts(b, m + m.T - np.diag(np.diag(m)), 1.0)
        path = correction_path(2 * b + m + m.T, moments, STRENGTHS)
        held_b, held_m = (parts[fold] for parts in folds)
        held = 2 * held_b + held_m + held_m.T
        for alpha in STRENGTHS:
            if alpha not in path:
                score[alpha] = -np.inf  # a strength that does not converge is not chosen
                continue
            H = path[alpha][:, None] - path[alpha][None, :]
            term = Correction(alpha, choice_variance=moments.choice_variance)
            p = np.clip(term.likelihood(H), 1e-3, 1 - 1e-3)
            score[alpha] += float((held * np.log(p)).sum())
    best = max(STRENGTHS, key=lambda alpha: score[alpha])
    wins = 2 * both + mixed
    path = correction_path(wins, moments_from_counts(both, mixed, 1.0), _steps(best))
    reached = max(path)
    return _corrected_result(labels, wins, path[reached], reached)


def _steps(alpha: float) -> tuple[float, ...]:
    return tuple(float(a) for a in np.linspace(0, alpha, 1 + int(np.ceil(2 * alpha)))[1:])


def _split(counts: Array, rng: np.random.Generator) -> list[Array]:
    """Counts divided into folds at random."""
    rest, parts = np.rint(counts).astype(np.int64), []
    for left in range(FOLDS, 0, -1):
        part = rng.binomial(rest, 1 / left)
        parts.append(part.astype(np.float64))
        rest = rest - part
    return parts


def _corrected_result(labels: LabelSet, wins: Array, reward: Array, reached: float) -> Result:
    n = len(reward)
    policy = np.asarray(softmax(reward))
    pairs = n * (n - 1)  # J1 and J2 of every unordered pair have two free numbers
    return Result(policy, 2 * (labels.size // 2), off_diagonal(wins), n + pairs, reached)


@register("agreement", "Prop. 6.1", FULL, "votes", "average")
def agreement(labels: LabelSet, integral: bool = False) -> Result:
    """The consistent loss of Proposition 6.1, or that of Proposition B.3, on unanimous votes."""
    quota, seen = labels.votes(1)
    unanimous = (seen[-1] + seen[0].T)[None]
    fit = fits.fit_integral if integral else fits.fit_agreement
    policy = fit(unanimous, len(quota.step), RIDGE).policy[0]
    used = off_diagonal(unanimous[0]) * quota.total
    return Result(policy, round(seen.sum()) * quota.total, used, len(policy))


register("integral", "Prop. B.3", FULL, "votes", "average")(partial(agreement, integral=True))


def conditional(labels: LabelSet, each: int) -> Result:
    """The conditional loss of chapter 11 with ``each`` labels of every type on a pair."""
    quota, seen = labels.votes(each)
    n = seen.shape[-1]
    reward = newton.minimise(quota.loss(seen), np.zeros(n), RIDGE)
    used = off_diagonal(seen[quota.speaks].sum(axis=0)) * quota.total
    return Result(np.asarray(softmax(reward)), round(seen.sum()) * quota.total, used, n)


for _each, _word in ((2, "two"), (3, "three")):
    register(
        f"conditional {_each}",
        f"conditional, n = {_each}",
        f"{_word} labels of every type on each pair",
        "votes",
        "average",
    )(partial(conditional, each=_each))


@register("personalised", "personalised, averaged", TYPE, "typed", "average")
def personalised(labels: LabelSet) -> Result:
    """One Bradley-Terry reward a type, averaged by the types' shares of the labels."""
    wins = labels.typed
    share = wins.sum(axis=(1, 2)) / wins.sum()
    policy = fits.fit_personalised(wins[:, None], share, RIDGE).policy[0]
    size = len(wins) * len(policy) + len(wins) - 1
    return Result(policy, labels.size, off_diagonal(wins), size, types=len(wins))
