"""Several labels of each type on each pair: counts, their classes, the conditional likelihood.

With n_u independent labels of type u the outcome of a pair is a vector of counts k, k_u
labels for y2. Let m be the smallest whole numbers in the ratio of the types' weights. Counts
that differ by a multiple of m form a class; given the class, the law of k depends on the
types' rewards through their weighted average alone (chapter 11).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, logsumexp

from hetlib import checks
from hetlib.checks import Array
from hetlib.consistent.expected import chances
from hetlib.core.modular import check_prime, rank_modulo
from hetlib.core.newton import PairLoss

Counts = NDArray[np.int64]

#: More count vectors than this are not enumerated.
LIMIT = 2**20
#: Larger numbers of labels, and ratios of weights, are refused.
LARGEST = 2**31 - 1


def _whole(name: str, value: Sequence[int]) -> tuple[int, ...]:
    try:
        numbers = tuple(value)
    except TypeError as error:
        raise ValueError(f"{name} is {value!r}; one entry a type is needed") from error
    out = []
    for u, number in enumerate(numbers):
        try:
            out.append(int(number))
        except (TypeError, ValueError, OverflowError):
            out.append(0)
        if out[u] != number or out[u] < 1:
            raise ValueError(f"{name}[{u}] is {number!r}; positive whole numbers are allowed")
    if not numbers:
        raise ValueError(f"{name} is empty; one entry a type is needed")
    return tuple(out)


def quota(
    labels: Sequence[int], weights: Sequence[int] | None = None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Check labels and weights.

    Args:
        labels: Labels of each type on a pair, n_u >= 1, shape (types,).
        weights: Masses of the types as whole numbers; as ``labels`` if None.

    Returns:
        The quota n, and m, the weights divided by their greatest common divisor.

    Raises:
        ValueError: an entry that is not a positive whole number or is too large, or different
            lengths.
    """
    n = _whole("labels", labels)
    m = n if weights is None else _whole("weights", weights)
    if len(n) != len(m):
        raise ValueError(f"labels has {len(n)} entries and weights {len(m)}; one a type is needed")
    m = tuple(number // math.gcd(*m) for number in m)
    for name, numbers in (("labels", n), ("weights", m)):
        if max(numbers) > LARGEST:
            raise ValueError(f"{name} holds {max(numbers)}; at most {LARGEST} is allowed")
    return n, m


@dataclass(frozen=True)
class Quota:
    """Labels of each type on a pair, and the types' weights.

    Args:
        labels: n_u, shape (types,).
        weights: Masses of the types as whole numbers, shape (types,); as ``labels`` if None.

    Raises:
        ValueError: entries that are not positive whole numbers, or too many count vectors.
    """

    labels: Sequence[int]
    weights: Sequence[int] | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        n, m = quota(self.labels, self.weights)
        if math.prod(a + 1 for a in n) > LIMIT:
            raise ValueError(f"labels allow more than {LIMIT} count vectors; use fewer")
        object.__setattr__(self, "labels", n)
        object.__setattr__(self, "weights", m)

    @property
    def step(self) -> Counts:
        """m, shape (types,)."""
        return np.array(self.weights)

    @property
    def total(self) -> int:
        """Labels of a pair, all types together."""
        return sum(self.labels)

    @cached_property
    def counts(self) -> Counts:
        """All count vectors in lexicographic order, shape (vectors, types)."""
        grid = np.indices([a + 1 for a in self.labels])
        return grid.reshape(len(self.labels), -1).T

    @cached_property
    def place(self) -> Counts:
        """Position of each count vector in its class, from 0, shape (vectors,)."""
        return np.asarray((self.counts // self.step).min(axis=1))

    @cached_property
    def group(self) -> Counts:
        """Number of the class of each count vector, shape (vectors,)."""
        first = self.counts - self.place[:, None] * self.step
        shape = [a + 1 for a in self.labels]
        code = np.ravel_multi_index(tuple(first.T), shape)
        return np.unique(code, return_inverse=True)[1].reshape(-1)

    @cached_property
    def log_binomial(self) -> Array:
        """Sum over types of log binom(n_u, k_u), shape (vectors,)."""
        n, k = np.array(self.labels), self.counts
        return np.asarray((gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)).sum(axis=1))

    @property
    def speaks(self) -> NDArray[np.bool_]:
        """Whether a count vector has company in its class, shape (vectors,)."""
        return np.asarray(np.bincount(self.group)[self.group] > 1)

    def probabilities(self, z: ArrayLike) -> Array:
        """Probability of each count vector if a type's labels are independent.

        Args:
            z: Probability that a label of each type prefers y2, shape (types, ...).

        Returns:
            Shape (vectors, ...).

        Raises:
            ValueError: z does not have one row a type, or has entries outside [0, 1].
        """
        tables = []
        for n, q in zip(self.labels, chances(z, len(self.labels)), strict=True):
            k = np.arange(n + 1).reshape((-1,) + (1,) * q.ndim)
            binomial = np.array([math.comb(n, j) for j in range(n + 1)]).reshape(k.shape)
            tables.append(binomial * q**k * (1 - q) ** (n - k))
        return self.joint(tables)

    def joint(self, tables: Sequence[Array]) -> Array:
        """Probability of each count vector from the law of each type's count.

        Args:
            tables: For each type, the probability of 0, ..., n_u, shape (n_u + 1, ...).
        """
        out = np.ones((len(self.counts), *np.shape(tables[0])[1:]))
        for u, table in enumerate(tables):
            out *= table[self.counts[:, u]]
        return out

    def information(self, z: ArrayLike) -> Array:
        """Information about the average logit in one pair's class-conditional likelihood.

        E Var(sum(k) | class): Theorem D.

        Args:
            z: Probability that a label of each type prefers y2, shape (types, ...).

        Returns:
            Information of all labels of a pair together, shape (...).
        """
        p = self.probabilities(z)
        classes = self.group.max() + 1
        mass, first, second = (np.zeros((classes, *p.shape[1:])) for _ in range(3))
        j = self.place.reshape((-1,) + (1,) * (p.ndim - 1))
        for target, values in ((mass, p), (first, j * p), (second, j**2 * p)):
            np.add.at(target, self.group, values)
        within = second - first**2 / np.where(mass > 0, mass, 1.0)
        return np.asarray(self.step.sum() ** 2 * within.sum(axis=0))

    def information_bound(self, z: ArrayLike) -> Array:
        """The same if every label is used and every type's logit is unknown.

        Args:
            z: Probability that a label of each type prefers y2, shape (types, ...).

        Returns:
            1 / sum_u w_u^2 / (n_u z_u (1 - z_u)), shape (...); 0 where a type is certain.
        """
        p = chances(z, len(self.labels))
        w = self.step / self.step.sum()
        with np.errstate(divide="ignore", over="ignore"):
            spread = 1 / (p * (1 - p))
        return np.asarray(1 / np.tensordot(w**2 / np.array(self.labels), spread, axes=1))

    def loss(self, observed: Array) -> PairLoss:
        """The conditional likelihood on probabilities or counts of every outcome.

        The same as :func:`hetlib.consistent.losses.conditional`, summed, with two derivatives.

        Args:
            observed: How often each count vector was seen on the ordered pair in which y2 is
                the row and y1 the column, shape (vectors, ..., responses, responses).
        """
        M, speaks = int(self.step.sum()), self.speaks
        constant = np.tensordot(self.log_binomial[speaks], observed[speaks], axes=1)
        won = M * np.tensordot(self.place.astype(np.float64), observed, axes=1)
        parts: dict[tuple[float, ...], Array] = {}
        for c in np.unique(self.group[speaks]):  # classes with the same binomials together
            members = np.flatnonzero(self.group == c)  # in the order of their places
            key = tuple(np.round(self.log_binomial[members], 10))
            parts[key] = parts.get(key, 0.0) + observed[members].sum(axis=0)

        def loss(H: Array) -> tuple[Array, Array, Array]:
            value, slope, curve = -constant - won * H, -won + 0 * H, 0 * H
            for key, often in parts.items():
                j = M * np.arange(len(key)).reshape((-1,) + (1,) * H.ndim)
                terms = np.array(key).reshape(j.shape) + j * H
                top = logsumexp(terms, axis=0)
                p = np.exp(terms - top)
                mean = (p * j).sum(axis=0)
                value = value + often * top
                slope = slope + often * mean
                curve = curve + often * (p * (j - mean) ** 2).sum(axis=0)
            return value, slope, curve

        return loss

    def silent_rank(self, seed: int = 0, prime: int = 2**31 - 1) -> int:
        """Exact rank of the conditions on the slopes of a consistent loss (Theorem D).

        Rows are the monomials prod_u x_u^{k_u} at rational points of {prod_u x_u^{m_u} = c},
        modulo a prime. This never exceeds the rational rank, which never exceeds the number
        of classes; so if it equals that number, it is the rank.
        """
        prime = check_prime(prime)
        rng = np.random.default_rng(checks.whole("seed", seed, 0))
        m, k, points = self.step, self.counts, 2 * len(self.counts) + 8
        rows = np.ones((points, len(k)), dtype=np.int64)
        for row in rows:
            t = [int(x) for x in rng.integers(2, prime - 1, size=len(m) - 1)]
            x = [2 * pow(a, int(m[-1]), prime) % prime for a in t]
            rest = [pow(a, -int(b), prime) for a, b in zip(t, m[:-1], strict=True)]
            x.append(2 * math.prod(rest) % prime)  # so prod x^m is 2^M at every point
            for u, base in enumerate(x):
                powers = np.array([pow(base, j, prime) for j in range(self.labels[u] + 1)])
                row *= powers[k[:, u]]
                row %= prime
        return rank_modulo(rows, prime)
