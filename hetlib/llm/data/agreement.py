"""The ground truth of a pair, and how often learned margins agree with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hetlib import checks
from hetlib.checks import Array
from hetlib.llm.data.labels import differences
from hetlib.llm.data.lengths import LIMIT


@dataclass(frozen=True)
class Agreement:
    """Agreement of margins with the truth.

    Attributes:
        rate: Share of pairs on which both prefer the same text; a zero margin counts as half.
        low: Lower end of the confidence interval.
        high: Upper end.
        pairs: Pairs that count: those whose true rewards differ.
    """

    rate: float
    low: float
    high: float
    pairs: int


def true_margins(lengths: ArrayLike, limit: int = LIMIT) -> Array:
    """Average reward of the second text less that of the first, shape (pairs,)."""
    return np.asarray(differences(lengths, limit).mean(axis=0))


def agreement_rate(margins: ArrayLike, truth: ArrayLike) -> float:
    """Share of pairs on which margins and truth prefer the same text.

    Pairs of equal true reward are left out: there is nothing to agree with. A margin of
    zero counts as half.

    Raises:
        ValueError: not of one shape, not finite, or no pair that the truth decides.
    """
    return float(_points(margins, truth).mean())


def wilson(successes: float, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's confidence interval of a share (Wilson 1927).

    Args:
        successes: Number of successes, halves allowed.
        trials: Number of trials, positive.
        level: Probability that the interval covers the true share.

    Returns:
        Lower and upper end, inside [0, 1].

    Raises:
        ValueError: no trials, more successes than trials, or a level outside (0, 1).
    """
    if not 1 <= checks.real("trials", trials) <= 2**53 or not (
        0 <= checks.real("successes", successes) <= trials
    ):
        raise ValueError(f"successes is {successes} and trials {trials}; 0 to trials is allowed")
    level = checks.between("level", level, 0, 1)
    from statsmodels.stats.proportion import proportion_confint

    share = proportion_confint(successes, trials, 1 - level, method="wilson")
    return float(share[0]), float(share[1])


def agreement(
    margins: ArrayLike,
    truth: ArrayLike,
    groups: Sequence[Any] | None = None,
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> Agreement:
    """Share of pairs that margins and truth order alike, with a confidence interval.

    Pairs of equal true reward are left out; a margin of zero counts as half.

    Args:
        margins: Learned reward of the second text less that of the first, shape (pairs,).
        truth: Average reward of the second text less that of the first, shape (pairs,).
        groups: What makes pairs dependent, such as their prompt, one entry a pair: the
            interval then resamples groups. Without it pairs are taken as independent and
            the interval is Wilson's.
        level: Probability that the interval covers the true rate.
        draws: Resampled data sets, if groups are given.
        seed: Of the resampling.

    Returns:
        The rate and its interval.

    Raises:
        ValueError: shapes that do not fit, entries that are not finite, or no pair that the
            truth decides.
    """
    points = _points(margins, truth)
    rate, n = float(points.mean()), len(points)
    if groups is None:
        return Agreement(rate, *wilson(float(points.sum()), n, level), n)
    decided = np.asarray(truth, dtype=np.float64) != 0
    if len(groups) != len(decided):
        raise ValueError(f"groups has {len(groups)} entries; one for each of {len(decided)} pairs")
    names = np.asarray(groups)[decided]
    where = np.unique(names, return_inverse=True)[1]
    right, size = np.bincount(where, points), np.bincount(where)
    level, draws = checks.between("level", level, 0, 1), checks.whole("draws", draws, 1)
    rng, rates = np.random.default_rng(checks.whole("seed", seed, 0)), np.empty(draws)
    for k in range(draws):
        pick = rng.integers(len(size), size=len(size))
        rates[k] = right[pick].sum() / size[pick].sum()
    low, high = np.quantile(rates, [(1 - level) / 2, (1 + level) / 2])
    return Agreement(rate, float(low), float(high), n)


def _points(margins: ArrayLike, truth: ArrayLike) -> Array:
    """1, 0 or 1/2 for each pair that the truth decides."""
    m, t = checks.array("margins", margins, 1), checks.array("truth", truth, 1)
    if m.shape != t.shape:
        raise ValueError(f"margins has {len(m)} entries and truth {len(t)}; one a pair is needed")
    decided = t != 0
    if not decided.any():
        raise ValueError("truth is zero on every pair; there is nothing to agree with")
    return np.asarray((1 + np.sign(m[decided]) * np.sign(t[decided])) / 2)
