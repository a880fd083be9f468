"""What anonymous or linked labels leave open about the average reward: ranks and samples.

The bounds for one pair are in :mod:`hetlib.linked.reward_bounds`. This module adds what is
certain about the order of many responses, and finite samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import comb, expit
from scipy.stats import beta as beta_law

from hetlib import checks
from hetlib.checks import Array
from hetlib.core.population import Population
from hetlib.linked import moment_problem
from hetlib.linked.reward_bounds import (
    Bounds,
    average_reward_bounds,
    limit,
    mirror,
    witness_of,
)


def choice_moments(population: Population, labels: int) -> Array:
    """E_u Pr(y_i beats y_j | u)^k for k = 1..labels: what linked labels show in the limit.

    Returns:
        Shape (labels, responses, responses).

    Raises:
        ValueError: labels < 1, or a link that is not logistic.
    """
    if labels < 1:
        raise ValueError(f"labels is {labels}; at least one is needed")
    if population.link != "logistic":
        raise ValueError(f"link is {population.link!r}; these bounds are for the logistic link")
    p = population.pairwise_by_type()
    return np.array(
        [np.einsum("u,uij->ij", population.weights, p**k) for k in range(1, labels + 1)]
    )


@dataclass(frozen=True)
class CertifiedRanking:
    """What is certain about the order of the average rewards.

    Attributes:
        lower: Least r̄_i - r̄_j, shape (responses, responses).
        upper: Greatest, shape (responses, responses).
    """

    lower: Array
    upper: Array

    @property
    def order(self) -> NDArray[np.int64]:
        """1 where i is certainly better than j, -1 where worse, 0 where open."""
        return (self.lower > 0).astype(np.int64) - (self.upper < 0)

    def verdict(self, scores: ArrayLike) -> NDArray[np.int64]:
        """1 where the order by ``scores`` is certified right, -1 wrong, 0 open (or a tie).

        Raises:
            ValueError: not one score a response.
        """
        s = checks.array("scores", scores, 1)
        if len(s) != len(self.lower):
            raise ValueError(f"scores has {len(s)} entries; {len(self.lower)} are needed")
        return self.order * np.sign(s[:, None] - s[None, :]).astype(np.int64)


def certified_ranking(moments: ArrayLike, reward_bound: float) -> CertifiedRanking:
    """Which orders of the average reward are certain, and which are open.

    Every pair's interval is sharp for the pair alone. Together they are tightened by the one
    fact that r̄_i - r̄_j adds up along paths, which contains the transitive closure. The result
    is sound, not always sharp: people's answers on different pairs are not tied together.

    Args:
        moments: E_u Pr(y_i beats y_j | u)^k, shape (m, responses, responses), or the matrix
            ``pairwise`` for m = 1.
        reward_bound: B, with ``|Δr| <= B`` for every pair and person.

    Raises:
        ValueError: not square, the two directions of a pair do not agree, moments that no
            population has, or intervals that no average reward satisfies together.
    """
    raw = np.asarray(moments, dtype=np.float64)
    c = checks.array("moments", raw[None] if raw.ndim == 2 else raw, 3)
    checks.pairwise(c[0])
    for k in range(1, len(c)):
        signs = [comb(k + 1, j) * (-1) ** j * (c[j - 1] if j else 1.0) for j in range(k + 2)]
        gap = abs(np.sum(np.broadcast_arrays(*signs), axis=0) - c[k].T)
        np.fill_diagonal(gap, 0)
        if gap.max() > 1e-8:
            i, j = np.unravel_index(gap.argmax(), gap.shape)
            raise ValueError(f"moments[{k}] disagrees between [{i}, {j}] and [{j}, {i}]")
    N = c.shape[1]
    upper = np.zeros((N, N))
    known: dict[bytes, float] = {}  # symmetric problems repeat the same moments
    for i in range(N):
        for j in range(i):
            there, back = (c[:, a, b].round(14).tobytes() for a, b in ((i, j), (j, i)))
            if there not in known or back not in known:
                try:
                    pair = average_reward_bounds(c[:, i, j], reward_bound)
                except ValueError as error:
                    raise ValueError(f"pair [{i}, {j}]: {error}") from error
                known[there], known[back] = pair.upper, -pair.lower
            upper[i, j], upper[j, i] = known[there], known[back]
    return tighten(upper)


def tighten(upper: ArrayLike) -> CertifiedRanking:
    """Bounds r̄_i - r̄_j <= upper[i, j], made consistent: shortest paths (Floyd, Warshall).

    Raises:
        ValueError: not square, or no average reward satisfies all bounds.
    """
    d = checks.array("upper", upper, 2)
    if d.shape[0] != d.shape[1]:
        raise ValueError(f"upper must be square, not of shape {d.shape}")
    np.fill_diagonal(d, 0)
    for k in range(len(d)):
        d = np.minimum(d, d[:, k, None] + d[None, k, :])
    if np.diag(d).min() < -1e-7:
        i = int(np.diag(d).argmin())
        raise ValueError(
            f"no average reward fits all pairs: bounds around response {i} sum to {d[i, i]:.3g}, "
            "which is negative; is reward_bound too small?"
        )
    np.fill_diagonal(d, 0)
    return CertifiedRanking(-d.T, d)


def confidence_box(counts: ArrayLike, level: float = 0.95, pairs: int = 1) -> tuple[Array, Array]:
    """Simultaneous Clopper-Pearson intervals for the probabilities of k wins in m labels.

    Args:
        counts: How many people let y2 win k times of m, k = 0..m, shape (m + 1,).
        level: Confidence that all intervals hold together (Bonferroni).
        pairs: Number of pairs that share the level.

    Returns:
        Lower and upper limits, shape (m + 1,) each.

    Raises:
        ValueError: counts that are negative or all zero, or fewer than two cells; a level outside
            (0, 1); pairs < 1.
    """
    n = checks.array("counts", counts, 1)
    if (n > 1e300).any():
        raise ValueError(f"counts[{int(n.argmax())}] is {n.max():g}; at most 1e300 is allowed")
    if len(n) < 2 or (n < 0).any() or not n.sum() > 0:
        raise ValueError(f"counts must be two or more non-negative numbers, not {n.tolist()}")
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it must lie in (0, 1)")
    if not (np.isfinite(pairs) and pairs >= 1):
        raise ValueError(f"pairs is {pairs}; a finite number, at least one, is needed")
    # one label: the two cells say the same, so they are one interval
    alpha = (1 - level) / pairs / (len(n) if len(n) > 2 else 1)
    rest = n.sum() - n
    low = np.where(n > 0, beta_law.ppf(alpha / 2, np.maximum(n, 1e-300), rest + 1), 0.0)
    high = np.where(rest > 0, beta_law.isf(alpha / 2, n + 1, np.maximum(rest, 1e-300)), 1.0)
    return low, high


def bounds_from_counts(
    counts: ArrayLike, reward_bound: float, level: float = 0.95, pairs: int = 1
) -> Bounds:
    """Bounds on E Δr that hold with a confidence level, from finitely many people.

    Args:
        counts: How many people let y2 win k times of their m labels, shape (m + 1,).
        reward_bound: B.
        level: Least probability that the interval contains the average.
        pairs: Number of pairs that share the level.

    Raises:
        ValueError: as :func:`confidence_box`; or no population with this B is in the box.
    """
    B = limit(reward_bound)
    low, high = confidence_box(counts, level, pairs)
    if len(low) == 2:
        a, b = expit(-B), expit(B)
        if low[1] > b or high[1] < a:
            raise ValueError(f"no population with |Δr| <= {B:g} has label counts like these")
        ends = np.clip([low[1], high[1]], a, b)
        first, last = (average_reward_bounds([p], B) for p in ends)
        return Bounds(first.lower, last.upper, (first.witnesses[0], last.witnesses[1]), 1)
    top, x, w = moment_problem.greatest_mean(low, high, B)
    bottom, x_, w_ = moment_problem.greatest_mean(low[::-1], high[::-1], B)
    witnesses = mirror(witness_of(x_, w_, B)), witness_of(x, w, B)
    return Bounds(-bottom, top, witnesses, len(low) - 1)


def certified_from_counts(
    counts: ArrayLike, reward_bound: float, level: float = 0.95
) -> CertifiedRanking:
    """Orders of the average reward that are certain with a confidence level, all together.

    Args:
        counts: counts[k, i, j] people let i beat j in k of their m labels on the pair, shape
            (m + 1, responses, responses); counts[k, j, i] is not read for j < i.
        reward_bound: B.
        level: Confidence that no certified order is wrong (Bonferroni over pairs).

    Raises:
        ValueError: as :func:`bounds_from_counts` and :func:`tighten`.
    """
    n = checks.array("counts", counts, 3)
    N = n.shape[1]
    if n.shape[2] != N or N < 2:
        raise ValueError(f"counts has shape {n.shape}; it must be (m + 1, responses, responses)")
    upper = np.zeros((N, N))
    for i in range(N):
        for j in range(i):
            pair = bounds_from_counts(n[:, i, j], reward_bound, level, N * (N - 1) // 2)
            upper[i, j], upper[j, i] = pair.upper, -pair.lower
    return tighten(upper)
