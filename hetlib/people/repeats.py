"""What repeated answers of the same people show: how much of a disagreement is between people.

A person u chooses option k with propensity p_u(k). From one answer a person only the shares
E p_u(k) are seen. If propensities are stable and two occasions independent given the person,
the covariance over people of the two answers is Var_u p_u(k): J of Lemma 5.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hetlib import checks
from hetlib.checks import Array


@dataclass(frozen=True)
class VarianceParts:
    """The variance of an answer, summed over the options, split in three.

    Attributes:
        total: Of one answer of a random person, 1 - sum_k E p(k) E p'(k).
        person: Of the propensities over people, the sum of the covariances of two answers.
        group: Of the mean propensities over groups; the rest of ``person`` is within groups.
    """

    total: Array
    person: Array
    group: Array

    @property
    def person_share(self) -> Array:
        """Part of the variance that lies between people, Cohen's kappa of the two answers."""
        return np.asarray(self.person / self.total)

    @property
    def group_share(self) -> Array:
        """Part of the variance between people that the groups explain; NaN where there is none."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.person > 0, self.group / self.person, np.nan)


def variance_parts(counts: ArrayLike) -> VarianceParts:
    """Law of total variance from answers given twice, each square of a mean without its bias.

    Args:
        counts: People by group and their two answers, shape (..., groups, options, options);
            leading axes are kept. Groups of fewer than two people add nothing.

    Raises:
        ValueError: other shapes, negative counts, or fewer than two people.
    """
    n = np.asarray(counts, dtype=np.float64)
    if n.ndim < 3 or n.shape[-1] != n.shape[-2] or not (np.isfinite(n).all() and (n >= 0).all()):
        raise ValueError(
            f"counts has shape {n.shape}; non-negative numbers of shape (groups, options, "
            "options) are needed"
        )
    size = n.sum(axis=(-1, -2))
    n = np.where((size >= 2)[..., None, None], n, 0.0)
    size = n.sum(axis=(-1, -2))
    people = size.sum(axis=-1)
    if (people < 2).any():
        raise ValueError("fewer than two people answered twice")

    def products(table: Array, size: Array) -> tuple[Array, Array]:
        """Sums over options: E p p' within a person, and of two different people."""
        at = np.where(size > 1, size, 2.0)
        same = np.trace(table, axis1=-2, axis2=-1) / at
        cross = (table.sum(axis=-1) * table.sum(axis=-2)).sum(axis=-1) / at**2
        return same, (at * cross - same) / (at - 1)

    same, apart = products(n.sum(axis=-3), people)
    _, within = products(n, size)
    mean = (within * size).sum(axis=-1) / people
    return VarianceParts(1 - apart, same - apart, mean - apart)


def pair_parts(counts: ArrayLike) -> VarianceParts:
    """The same for one pair and m answers of each person: z is the chance of the first.

    Args:
        counts: People by group and number of wins of the first, shape (..., groups, m + 1), m at
            least 2. Groups of fewer than two people add nothing.

    Raises:
        ValueError: other shapes, negative counts, or fewer than two people.
    """
    n = np.asarray(counts, dtype=np.float64)
    if n.ndim < 2 or n.shape[-1] < 3 or not (np.isfinite(n).all() and (n >= 0).all()):
        raise ValueError(f"counts has shape {n.shape}; (groups, m + 1) with m >= 2 is needed")
    size = n.sum(axis=-1)
    n = np.where((size >= 2)[..., None], n, 0.0)
    size = n.sum(axis=-1)
    people = size.sum(axis=-1)
    if (people < 2).any():
        raise ValueError("fewer than two people answered")
    m = n.shape[-1] - 1
    k = np.arange(m + 1.0)

    def square(table: Array, size: Array) -> Array:
        """(E z)^2 from two different people."""
        at = np.where(size > 1, size, 2.0)
        return np.asarray(((table @ (k / m)) ** 2 - table @ (k / m) ** 2) / (at * (at - 1)))

    pooled = n.sum(axis=-2)
    once, twice = pooled @ (k / m) / people, pooled @ (k * (k - 1) / (m * (m - 1))) / people
    apart = square(pooled, people)
    within = (square(n, size) * size).sum(axis=-1) / people
    return VarianceParts(once - apart, twice - apart, within - apart)


@dataclass(frozen=True)
class Interval:
    """An estimate with a confidence interval."""

    value: float
    lower: float
    upper: float

    def __format__(self, spec: str) -> str:
        return f"{self.value:{spec}} [{self.lower:{spec}}, {self.upper:{spec}}]"


def bootstrap_parts(
    counts: ArrayLike, rng: np.random.Generator, draws: int = 500, level: float = 0.95
) -> tuple[Interval, Interval]:
    """Intervals for person share and group share, by drawing people anew (percentiles).

    Args:
        counts: As for :func:`variance_parts`, or two axes as for :func:`pair_parts`.
        rng: Source of randomness.
        draws: Bootstrap samples.
        level: Confidence of each interval.

    Returns:
        Person share of the variance, and the groups' share of what lies between people.
    """
    n = np.asarray(counts, dtype=np.float64)
    parts = pair_parts if n.ndim == 2 else variance_parts
    best = parts(n)
    drawn = rng.multinomial(int(n.sum()), n.ravel() / n.sum(), size=draws)
    again = parts(drawn.reshape(draws, *n.shape))
    cut = [(1 - level) / 2, (1 + level) / 2]

    def interval(value: Array, drawn: Array) -> Interval:
        low, high = np.nanquantile(drawn, cut) if np.isfinite(drawn).any() else (np.nan, np.nan)
        return Interval(float(value), float(low), float(high))

    return (
        interval(best.person_share, again.person_share),
        interval(best.group_share, again.group_share),
    )


@dataclass(frozen=True)
class PairMoments:
    """Moments over people of z, the probability of choosing the first of a pair.

    Attributes:
        moments: E z^k for k = 1 … m, shape (m,).
        errors: Standard errors of the moments (delta method), shape (m,).
        variance: Var z, unbiased; negative by chance where people hardly differ.
        variance_error: Its standard error (delta method).
        people: Number of people.
    """

    moments: Array
    errors: Array
    variance: float
    variance_error: float
    people: float


def pair_moments(counts: ArrayLike) -> PairMoments:
    """Moments of the propensity on one pair from m answers of each person.

    Args:
        counts: How many people chose the first k times of m, k = 0 … m, shape (m + 1,), m at
            least 2: J1 is ``moments[1]``, J2 is ``moments[0] - moments[1]``.

    Raises:
        ValueError: fewer than three cells, negative counts, or fewer than two people.
    """
    n = checks.array("counts", counts, 1)
    m, people = len(n) - 1, float(n.sum())
    if m < 2 or (n < 0).any() or people < 2:
        raise ValueError(f"counts is {n.tolist()}; people by 0 … m wins, m >= 2, are needed")
    k = np.arange(m + 1.0)
    falling = np.ones((m, m + 1))  # [j, k]: k(k-1)…(k-j) over m(m-1)…(m-j)
    for j in range(m):
        falling[j:] *= np.maximum(k - j, 0) / (m - j)
    p = n / people
    c = falling @ p
    spread = (falling**2) @ p - c**2
    influence = (falling[1] - c[1]) - 2 * c[0] * (falling[0] - c[0])
    square = (c[0] ** 2 * people - (falling[0] ** 2) @ p) / (people - 1)  # of two people
    return PairMoments(
        c,
        np.sqrt(np.maximum(spread, 0) / people),
        float(c[1] - square),
        float(np.sqrt(max(influence**2 @ p, 0.0) / people)),
        people,
    )


def fewer_labels(counts: ArrayLike, labels: int) -> Array:
    """Expected counts if each person had given ``labels`` of the m answers, chosen at random.

    Args:
        counts: People by number of wins, shape (m + 1,).
        labels: From 1 to m.

    Returns:
        Counts, shape (labels + 1,).

    Raises:
        ValueError: ``labels`` out of range.
    """
    from scipy.stats import hypergeom

    n = checks.array("counts", counts, 1)
    m = len(n) - 1
    if not 1 <= labels <= m:
        raise ValueError(f"labels is {labels}; from 1 to {m}, as many as each person gave")
    law = hypergeom.pmf(np.arange(labels + 1)[:, None], m, np.arange(m + 1)[None], labels)
    return np.asarray(law @ n)


def drift(agree: ArrayLike, chance: ArrayLike) -> tuple[float, float, float]:
    """Covariances of answers one and two intervals apart, and what they say of no interval.

    If a person's propensity forgets at a constant rate, the covariance of two answers is
    V exp(-rate · time); from one and two intervals V is c1² / c2.

    Args:
        agree: Sum over options of Pr(both answers k), one and two intervals apart, shape (2,).
        chance: What it would be for two different people, shape (2,).

    Returns:
        c1, c2 and V. V is NaN unless both covariances are positive.
    """
    c = checks.array("agree", agree, 1) - checks.array("chance", chance, 1)
    if len(c) != 2:
        raise ValueError(f"agree and chance need two entries, not {len(c)}")
    V = c[0] ** 2 / c[1] if (c > 0).all() else np.nan
    return float(c[0]), float(c[1]), float(V)
