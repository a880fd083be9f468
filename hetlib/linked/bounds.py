"""What anonymous or linked labels leave open about the average reward.

With ``|Δr| <= B``, labels fix moments of the choice probability x = σ(Δr) over people: one label a
person E x, m labels of the same person on the pair E x, ..., E x^m. The average E Δr = E logit x
then lies in an interval; :func:`average_reward_bounds` computes it, with populations that attain
its ends. Then follow what is certain about the order of many responses, and finite samples.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import comb, expit, hyp2f1, logit
from scipy.stats import beta as beta_law

from hetlib import checks
from hetlib.checks import Array
from hetlib.core.population import Population
from hetlib.linked import moment_problem


@dataclass(frozen=True)
class Witness:
    """A population of a pair: who it takes to attain one end of the interval.

    Attributes:
        differences: Reward difference of each type, shape (types,).
        weights: Their masses, shape (types,).
    """

    differences: Array
    weights: Array

    def mean(self) -> float:
        """Average reward difference."""
        return float(self.weights @ self.differences)

    def moments(self, labels: int) -> Array:
        """E σ(Δr)^k for k = 1..labels, shape (labels,)."""
        k = np.arange(1, checks.whole("labels", labels, 1) + 1)
        return self.weights @ expit(self.differences)[:, None] ** k


@dataclass(frozen=True)
class Bounds:
    """Sharp bounds on the average reward difference.

    Attributes:
        lower: Least average.
        upper: Greatest average.
        witnesses: Populations with the given moments that attain them, in this order.
        used: How many of the moments say more than their rounding errors, and were used.
    """

    lower: float
    upper: float
    witnesses: tuple[Witness, Witness]
    used: int

    @property
    def width(self) -> float:
        """How much is left open."""
        return self.upper - self.lower


def tangent_point(reward_bound: float) -> float:
    """Where the line through (σ(B), B) touches the logit from above, below 1/2."""
    return _tangent_point(limit(reward_bound))


@lru_cache(maxsize=256)
def _tangent_point(reward_bound: float) -> float:
    b = expit(reward_bound)
    gap = lambda z: z + (b - expit(z)) / (expit(z) * expit(-z)) - reward_bound  # noqa: E731
    return float(expit(brentq(gap, -reward_bound, 0.0, xtol=1e-15, rtol=1e-15)))


def majority_needed(reward_bound: float) -> float:
    """Least Pr(y2 beats y1) above which anonymous labels certify that y2 is better on average.

    It is σ(-B) + B t(1 - t) with t the :func:`tangent_point`.
    """
    B = limit(reward_bound)
    t = _tangent_point(B)
    return float(expit(-B) + B * t * (1 - t))


def _envelope(p: float, B: float) -> Witness:
    """The population with E x = p of the greatest average: the concave envelope of the logit."""
    t, b = _tangent_point(B), float(expit(B))
    if p <= t:
        return Witness(np.array([logit(p)]), np.ones(1))
    share = min((p - t) / (b - t), 1.0)
    return Witness(np.array([logit(t), B]), np.array([1 - share, share]))


def mirror(witness: Witness) -> Witness:
    """The same people with the two responses exchanged."""
    return Witness(-witness.differences[::-1], witness.weights[::-1])


def average_reward_bounds(moments: ArrayLike, reward_bound: float) -> Bounds:
    """Sharp bounds on E Δr given moments of the choice probability and ``|Δr| <= B``.

    Args:
        moments: E_u σ(Δr)^k for k = 1..m, shape (m,), at most eight. One is what anonymous
            labels show, m what m labels of the same person show.
        reward_bound: B.

    Returns:
        Bounds with populations that attain them. For one moment, envelopes of the logit in closed
        form. An even number: Radau's rules. An odd number: Radau's rules, with the next
        moment chosen best. Later moments of which rounding leaves too little are not used,
        which can only widen the interval.

    Raises:
        ValueError: B is not positive, or no population has these moments: the first one that
            does not fit is named, with the range that the ones before it leave.
    """
    B = limit(reward_bound)
    c = checks.array("moments", moments, 1)
    if len(c) > moment_problem.MOST:
        raise ValueError(f"moments has {len(c)} entries; at most {moment_problem.MOST} are allowed")
    a, b = float(expit(-B)), float(expit(B))
    scaled, single, slack = _settle(c, a, b)

    def at(s: Array) -> Array:
        return a + (b - a) * s

    if single is not None:
        only = witness_of(at(single[0]), single[1], B)
        return Bounds(only.mean() - slack, only.mean() + slack, (only, only), len(c))
    if len(scaled) == 2:
        p = float(np.clip(c[0], a, b))
        low, high = mirror(_envelope(1 - p, B)), _envelope(p, B)
    else:
        rules = [moment_problem.extreme(scaled, upper, at) for upper in (False, True)]
        low, high = (witness_of(at(s), w, B) for s, w in rules)
    m = len(scaled) - 1
    miss = max(abs(witness.moments(m) - c[:m]).max() for witness in (low, high))
    blur = 0.0 if m == 1 else max(_blur(witness, m) for witness in (low, high))
    if m > 1 and (miss > 1e-10 or blur > 1e-6 or low.mean() > high.mean()):
        return average_reward_bounds(c[: m - 1], B)  # too near a limit for double precision
    return Bounds(low.mean(), high.mean(), (low, high), m)


def limit(reward_bound: float) -> float:
    """The bound B, if double precision can tell σ(B) from 1 and from σ(-B)."""
    B = checks.positive("reward_bound", reward_bound)
    if B > 30:
        raise ValueError(f"reward_bound is {B:g}; above 30 a label cannot tell σ(B) from 1")
    if B < 1e-6:
        raise ValueError(f"reward_bound is {B:g}; below 1e-6 a label cannot tell σ(B) from 1/2")
    return B


def witness_of(x: Array, weights: Array, B: float) -> Witness:
    """The population with choice probabilities x; atoms without weight are left out."""
    keep = weights > 1e-13
    differences = np.clip(logit(x[keep]), -B, B)
    return Witness(differences, weights[keep] / weights[keep].sum())


def _settle(c: Array, a: float, b: float) -> tuple[Array, tuple[Array, Array] | None, float]:
    """Moments of s = (x - a)/(b - a), as many as count.

    If only one population fits: also that one, and what rounding leaves open of its average.
    """
    m, width = len(c), b - a
    full = np.append(1.0, c)
    scaled = np.ones(1)
    for n in range(1, m + 1):
        shift = [comb(n, k) * (-a) ** (n - k) * full[k] for k in range(n + 1)]
        s = float(np.sum(shift)) / width**n
        noise = 64 * np.finfo(float).eps * ((1 + a) / width) ** n
        low, high = moment_problem.next_range(scaled) if n > 1 else (0.0, 1.0)
        room_for_error = 1e-9 + noise if high - low > 4 * noise else 1e-6
        if not low - room_for_error <= s <= high + room_for_error:
            room = c[n - 1] - s * width**n + width**n * np.array([low, high])
            given = f"given the {n - 1} before it and " if n > 1 else ""
            raise ValueError(
                f"moments[{n - 1}] is {c[n - 1]:.9g}; {given}with |Δr| <= {logit(b):g} it must lie "
                f"in [{room[0]:.9g}, {room[1]:.9g}]"
            )
        if high - low <= 4 * noise:
            break  # rounding is all that is left
        edge = min(s - low, high - s)
        if edge <= 4 * noise:
            ends = _ends(n, s - low > high - s)
            rule = moment_problem.principal(scaled, *ends)
            x = a + width * rule[0]
            slack = _slack(x, ends, a, b) * max(edge, noise) * width**n
            if slack > 1e-7:
                break  # the moment is sharper than rounding allows
            _nothing_else(c, n, x, rule[1])
            return scaled, rule, slack
        scaled = np.append(scaled, s)
    return scaled, None, 0.0


def _blur(witness: Witness, m: int) -> float:
    """How far rounding errors of the moments move the bound, roughly.

    The bounding polynomial touches the logit at the atoms; its leading coefficient is the divided
    difference there, and its others are at most 2^m as large in sum, for zeros in [0, 1].
    """
    points = np.tile(expit(witness.differences), m + 1)[: m + 1]
    return float(np.finfo(float).eps * 2**m * abs(moment_problem.divided_difference(points)))


def _slack(x: Array, ends: tuple[bool, bool], a: float, b: float) -> float:
    """Greatest |logit - q| / |Π| where q touches the logit at x and Π vanishes as they meet.

    A population whose E Π is ε has an average within ε times this of E q.
    """
    inner = x[ends[0] : len(x) - ends[1]]
    points = np.concatenate([x, inner])
    return max(abs(moment_problem.divided_difference(np.append(points, end))) for end in (a, b))


def _ends(n: int, high: bool) -> tuple[bool, bool]:
    """Ends of the interval that the principal representation of n - 1 moments contains."""
    return (high, high) if n % 2 == 0 else (not high, high)


def _nothing_else(c: Array, n: int, x: Array, weights: Array) -> None:
    for k in range(n, len(c)):
        value = float(weights @ x ** (k + 1))
        if abs(value - c[k]) > 1e-7:
            raise ValueError(
                f"moments[{k}] is {c[k]:.9g}; the first {n} fit one population only, and it has "
                f"{value:.9g}"
            )


def choice_moments(population: Population, labels: int) -> Array:
    """E_u Pr(y_i beats y_j | u)^k for k = 1..labels: what linked labels show in the limit.

    Returns:
        Shape (labels, responses, responses).

    Raises:
        ValueError: labels < 1, or a link that is not logistic.
    """
    labels = checks.whole("labels", labels, 1)
    if population.link != "logistic":
        raise ValueError(
            f"the population's link is {population.link!r}; these bounds are for the logistic link"
        )
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
    raw = checks.array("moments", moments, None)
    c = checks.array("moments", raw[None] if raw.ndim == 2 else raw, 3)
    checks.pairwise(c[0], "moments" if raw.ndim == 2 else "moments[0]")
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
    with np.errstate(over="ignore"):  # to infinity, which is no bound
        for k in range(len(d)):
            d = np.minimum(d, d[:, k, None] + d[None, k, :])
    if np.diag(d).min() < -1e-7:
        i = int(np.diag(d).argmin())
        raise ValueError(
            f"no average reward fits upper: bounds around response {i} sum to {d[i, i]:.3g}, "
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
    level = checks.between("level", level, 0, 1)
    if not 1 <= checks.real("pairs", pairs) <= 1e9:
        raise ValueError(f"pairs is {pairs}; a number from 1 to 1e9 is needed")
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


def worst_width_bounds(labels: int, reward_bound: float) -> tuple[float, float]:
    """Lower and upper bound on the width that labels of one person leave open at worst.

    With m the greatest odd number of at most ``labels`` (which has the same width), n = m + 2 and
    t = tanh(B/4) they are (8/n) artanh tⁿ and 8 Σ_i t^(n + 4i)/(n + 4i): chapter 12's theorem on
    the worst case.

    Args:
        labels: Labels a person gives on the pair, 0 or more.
        reward_bound: B.

    Raises:
        ValueError: labels is no whole number from 0 to 1000, or B outside 1e-6 to 30.
    """
    B = limit(reward_bound)
    if not 0 <= checks.whole("labels", labels) <= 1000:
        raise ValueError(f"labels is {labels}; it must lie in 0..1000")
    if labels == 0:
        return 2 * B, 2 * B
    n = labels + 2 - (labels % 2 == 0)
    t = np.tanh(B / 4)
    series = t**n / n * hyp2f1(1, n / 4, n / 4 + 1, t**4)  # Σ t^(n + 4i)/(n + 4i)
    return float(8 / n * np.arctanh(t**n)), float(8 * series)


Table = dict[tuple[int, int], Array]


def read_counts(source: str | Path | Sequence[Sequence[object]]) -> tuple[list[str], Table]:
    """Names and label counts of a table: one row a pair of responses.

    Args:
        source: Rows, or a .csv file with a header: first response, second response, then how
            many people chose the first 0, 1, ..., m times in their m labels on the pair. m may
            differ from row to row; empty cells at the end of a row are left out.

    Returns:
        Names in the order in which they occur, and the counts by pair of indices.

    Raises:
        ValueError: a row that is too short, names one response twice, repeats a pair, or has
            counts that are no whole numbers of at least 0 or all 0.
    """
    if isinstance(source, str | Path):
        with Path(source).open(newline="", encoding="utf-8-sig") as file:
            lines = [row for row in csv.reader(file) if any(row)][1:]
        rows: list[list[object]] = [list(row) for row in lines]
    else:
        rows = [list(row) for row in source]
    names: list[str] = []
    table: Table = {}
    for k, row in enumerate(rows):
        while row and row[-1] in ("", None):
            row.pop()
        if len(row) < 4:
            raise ValueError(
                f"counts[{k}] has {len(row)} entries; two responses and two or more counts are"
                " needed: how many people chose the first 0, 1, ... times"
            )
        first, second = str(row[0]).strip(), str(row[1]).strip()
        if first == second:
            raise ValueError(f"counts[{k}] names {first!r} twice")
        for name in (first, second):
            if name not in names:
                names.append(name)
        i, j = names.index(first), names.index(second)
        if (i, j) in table or (j, i) in table:
            raise ValueError(f"counts[{k}] repeats the pair of {first!r} and {second!r}")
        if len(row) - 3 > moment_problem.MOST:
            raise ValueError(
                f"counts[{k}] has {len(row) - 3} labels a person; at most {moment_problem.MOST}"
                " are allowed"
            )
        try:
            n = np.array([float(str(cell)) for cell in row[2:]])
        except ValueError:
            raise ValueError(f"counts[{k}] must hold numbers after the two names") from None
        if not np.isfinite(n).all() or (n < 0).any() or (n % 1 != 0).any() or n.sum() == 0:
            raise ValueError(
                f"counts[{k}] must hold whole numbers of at least 0, not all 0; it holds"
                f" {n.tolist()}"
            )
        table[i, j] = n
    if not table:
        raise ValueError("counts is empty; at least one pair is needed")
    return names, table


def certified_from_table(
    table: Table, responses: int, reward_bound: float, level: float = 0.95
) -> CertifiedRanking:
    """Orders of the average reward that are certain with a confidence level, all together.

    Args:
        table: Counts by pair (i, j): how many people let i win k times, k = 0..m.
        responses: Number of responses.
        reward_bound: B; what is left where a pair was not asked.
        level: Confidence that no certified order is wrong (Bonferroni over the pairs asked).

    Raises:
        ValueError: as :func:`bounds_from_counts` and :func:`tighten`.
    """
    named = 1 + max((max(pair) for pair in table), default=1)
    if not named <= checks.whole("responses", responses) <= 2000:
        raise ValueError(f"responses is {responses}; {named} to 2000 are allowed with this table")
    upper = np.full((responses, responses), limit(reward_bound))
    np.fill_diagonal(upper, 0)
    for (i, j), counts in table.items():
        try:
            pair = bounds_from_counts(counts, reward_bound, level, len(table))
        except ValueError as error:
            raise ValueError(f"pair [{i}, {j}]: {error}") from error
        upper[i, j], upper[j, i] = pair.upper, -pair.lower
    return tighten(upper)


def next_label(
    counts: ArrayLike, reward_bound: float, level: float = 0.95, pairs: int = 1
) -> tuple[Array, Array]:
    """What as many labels again as there are people would be worth.

    Nobody knows the population, so this is computed for three that the counts allow: the
    two that attain the ends of the interval, and their even mixture.

    Args:
        counts: How many people let y2 win k times of their m labels, shape (m + 1,).
        reward_bound: B.
        level: Of the intervals.
        pairs: Number of pairs that share the level.

    Returns:
        Width of the interval at the counts to be expected, for each of the three, if new people
        give these labels, m each; and if the same people give one more, shape (3,) each.

    Raises:
        ValueError: as :func:`bounds_from_counts`.
    """
    n = checks.array("counts", counts, 1)
    low, high = bounds_from_counts(n, reward_bound, level, pairs).witnesses
    both = Witness(
        np.concatenate([low.differences, high.differences]),
        np.concatenate([low.weights, high.weights]) / 2,
    )
    m = len(n) - 1

    def width(people: Witness, labels: int, size: float) -> float:
        k, x = np.arange(labels + 1)[:, None], expit(people.differences)
        law = (comb(labels, k) * x**k * (1 - x) ** (labels - k)) @ people.weights
        return bounds_from_counts(size * law, reward_bound, level, pairs).width

    populations = (low, both, high)
    more_people = [width(p, m, n.sum() * (1 + 1 / m)) for p in populations]
    more_labels = [width(p, m + 1, n.sum()) for p in populations]
    return np.array(more_people), np.array(more_labels)
