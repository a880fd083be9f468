"""What infinitely many labels of each kind would teach a function of length, exactly.

The pairs stay as they are; each is labelled again and again. Bradley-Terry on the lengths
that occur then has a convex loss whose minimum needs no training: a reference for what the
labels themselves allow, free of noise and of optimisers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import expit

from hetlib import checks
from hetlib.borda.optima import dpo_loss
from hetlib.checks import Array
from hetlib.core.newton import minimise
from hetlib.llm.data.agreement import true_margins
from hetlib.llm.data.labels import differences, label_probability
from hetlib.llm.data.lengths import LIMIT, check_lengths

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LengthFunction:
    """A reward that depends on length alone.

    Attributes:
        lengths: The lengths that occurred, increasing, shape (lengths,).
        scores: Reward of each, of mean zero in every part, shape (lengths,).
        part: Which lengths are compared with one another, directly or through others: those
            of the same number. Between parts the labels say nothing. Shape (lengths,).
    """

    lengths: Array
    scores: Array
    part: Index

    @property
    def connected(self) -> bool:
        """Whether all lengths are in one part."""
        return bool((self.part == 0).all())

    def __call__(self, tokens: ArrayLike) -> Array:
        """Reward of texts: linear between the lengths that occurred, constant beyond them."""
        x = np.asarray(tokens, dtype=np.float64)
        return np.asarray(np.interp(x, self.lengths, self.scores))

    def margins(self, lengths: ArrayLike) -> Array:
        """Reward of the second text less that of the first, shape (pairs,)."""
        s = self(_pairs(lengths))
        return np.asarray(s[:, 1] - s[:, 0])


def fit_lengths(
    lengths: ArrayLike, preferred: ArrayLike, smoothness: float = 0.0
) -> LengthFunction:
    """The function of length that maximises the Bradley-Terry likelihood.

    Args:
        lengths: Tokens of both texts, shape (pairs, 2).
        preferred: Share of labels that prefer the second text, in [0, 1], shape (pairs,):
            probabilities give the population limit, labels the estimate from a sample.
        smoothness: Weight of the squared steps between neighbouring lengths, divided by
            their distance, in the summed loss. Zero imposes nothing.

    Returns:
        The function; unique up to one constant for each of its parts.

    Raises:
        ValueError: shapes that do not fit, a share outside [0, 1], or no finite maximum: some
            lengths win every comparison with the others.
    """
    x, p = _pairs(lengths), checks.array("preferred", preferred, 1)
    if len(x) != len(p):
        raise ValueError(f"preferred has {len(p)} entries; one for each of {len(x)} pairs")
    if ((p < 0) | (p > 1)).any():
        k = int(np.argmax((p < 0) | (p > 1)))
        raise ValueError(f"preferred[{k}] is {p[k]}; 0 to 1 is allowed")
    if not 0 <= checks.real("smoothness", smoothness) <= 1e100:
        raise ValueError(f"smoothness is {smoothness}; from zero to 1e100 is allowed")
    values, place = np.unique(x, return_inverse=True)
    i, j, wins, losses = _tally(place.reshape(x.shape), p, len(values))
    if smoothness > 0 and len(values) > 1:
        part, step = np.zeros(len(values), dtype=np.int64), smoothness / np.diff(values)
    else:
        part, step = _parts(values, i, j, wins, losses), np.zeros(len(values) - 1)
    return LengthFunction(values, _scores(i, j, wins, losses, step, part), part)


def population_limit(lengths: ArrayLike, kind: str, limit: int = LIMIT) -> LengthFunction:
    """The best function of length under a kind of label, without noise.

    Args:
        lengths: Tokens of both texts, prompt included, shape (pairs, 2).
        kind: One of ``labels.KINDS`` but ``"average"``, which has no finite limit.
        limit: Longest text.

    Returns:
        The minimiser of the expected loss over these pairs.

    Raises:
        ValueError: as :func:`hetlib.llm.analysis.limits.fit_lengths`, or a bad kind or length.
    """
    return fit_lengths(lengths, label_probability(lengths, kind, limit))


def rule(lengths: ArrayLike, name: str) -> Array:
    """Margins of the rules "the shorter text wins" and "the longer text wins".

    Args:
        lengths: Tokens of both texts, shape (pairs, 2).
        name: ``"shorter"`` or ``"longer"``.

    Returns:
        1 where the second text wins, -1 where the first does, 0 at equal lengths.
    """
    if name not in ("shorter", "longer"):
        raise ValueError(f"name is {name!r}; allowed are shorter, longer")
    x = _pairs(lengths)
    sign = np.sign(x[:, 1] - x[:, 0])
    return np.asarray(-sign if name == "shorter" else sign)


def label_right(lengths: ArrayLike, kind: str, limit: int = LIMIT) -> Array:
    """Probability that one label prefers the text of larger average reward.

    Args:
        lengths: Tokens of both texts, prompt included, shape (pairs, 2).
        kind: One of ``labels.KINDS``.
        limit: Longest text.

    Returns:
        Shape (pairs,); NaN where the average rewards are equal.
    """
    p, d = label_probability(lengths, kind, limit), true_margins(lengths, limit)
    return np.where(d > 0, p, np.where(d < 0, 1 - p, np.nan))


def unanimous(lengths: ArrayLike, limit: int = LIMIT) -> Array:
    """Probability that one user of each type gives the same label: prod z + prod (1 - z).

    Args:
        lengths: Tokens of both texts, prompt included, shape (pairs, 2).
        limit: Longest text.

    Returns:
        Shape (pairs,); 1/4 where every type is indifferent.
    """
    z = expit(differences(lengths, limit))
    return np.asarray(z.prod(axis=0) + (1 - z).prod(axis=0))


def _pairs(lengths: ArrayLike) -> Array:
    x = check_lengths("lengths", lengths, 2**31)
    if x.ndim != 2 or x.shape[1] != 2 or len(x) == 0:
        raise ValueError(f"lengths must have shape (pairs, 2) and not be empty, not {x.shape}")
    return x


def _tally(place: Index, p: Array, size: int) -> tuple[Index, Index, Array, Array]:
    """Pairs of lengths i < j, how often j won and how often i did."""
    i, j = place.min(axis=1), place.max(axis=1)
    up = np.where(place[:, 1] == j, p, 1 - p)  # the share that prefers the longer text
    code, where = np.unique(i * size + j, return_inverse=True)
    wins, losses = np.bincount(where, up), np.bincount(where, 1 - up)
    i, j = np.divmod(code, size)
    other = i != j  # equal lengths tell nothing about a function of length
    return i[other], j[other], wins[other], losses[other]


def _parts(values: Array, i: Index, j: Index, wins: Array, losses: Array) -> Index:
    """Connected lengths; refuses comparisons whose likelihood has no finite maximum."""
    m = len(values)
    beats = coo_array(
        (
            np.ones(2 * len(i)) * np.concatenate([wins > 0, losses > 0]),
            (np.concatenate([j, i]), np.concatenate([i, j])),
        ),
        shape=(m, m),
    ).tocsr()
    beats.eliminate_zeros()
    count, part = connected_components(beats, directed=False)
    strong, _ = connected_components(beats, connection="strong")
    if strong != count:
        raise ValueError(
            "preferred allows no finite function of length: some lengths win every comparison "
            "with the others; use probabilities inside (0, 1) or a positive smoothness"
        )
    return np.asarray(part, dtype=np.int64)


def _scores(i: Index, j: Index, wins: Array, losses: Array, step: Array, part: Index) -> Array:
    """The minimum of the summed loss, of mean zero in each part."""
    m = len(part)
    W, smooth = np.zeros((2, m, m))
    W[j, i], W[i, j] = wins, losses
    k = np.arange(m - 1)
    smooth[k + 1, k] = step
    fit = dpo_loss(W)

    def loss(H: Array) -> tuple[Array, Array, Array]:
        value, slope, curve = fit(H)
        return value + smooth / 2 * H**2, slope + smooth * H, curve + smooth

    s = minimise(loss, np.zeros(m))
    s -= (np.bincount(part, s) / np.bincount(part))[part]
    return np.asarray(np.round(s, 9))  # so that equal rewards are equal
