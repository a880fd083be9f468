"""Survey questions as answer shares by type, and rewards from shares (Appendix D)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from hetlib import checks
from hetlib.checks import Array
from hetlib.core.population import Population


def luce_shepard_rewards(shares: ArrayLike, floor: float = 1e-15) -> Array:
    """Rewards under the Luce-Shepard model, Eq. (27): log shares, centred by type.

    Args:
        shares: Share of each type that chose each option, shape (..., types, options); rows
            sum to 1 (or count answers: they are normalised).
        floor: Shares below it are lifted to it, because log 0 is not a reward.

    Returns:
        Rewards with mean 0 in each row, the shape of ``shares``.

    Raises:
        ValueError: a negative or non-finite share, a row without answers, or a floor
            outside (0, 1).
    """
    s = checks.array("shares", shares, max(np.ndim(shares), 2))
    if (s < 0).any():
        where = [int(k) for k in np.argwhere(s < 0)[0]]
        raise ValueError(f"shares{where} is {s[tuple(where)]}; shares must be non-negative")
    total = s.sum(axis=-1, keepdims=True)
    if (total <= 0).any():
        where = [int(k) for k in np.argwhere(total[..., 0] <= 0)[0]]
        raise ValueError(f"shares{where} sums to 0; a type needs at least one answer")
    floor = checks.positive("floor", floor)
    if floor >= 1:
        raise ValueError(f"floor is {floor}; it must be below 1")
    logs = np.log(np.maximum(s / total, floor))
    return np.asarray(logs - logs.mean(axis=-1, keepdims=True))


@dataclass(frozen=True, eq=False)
class Question:
    """The answers to one question, by type.

    Attributes:
        name: Its column.
        options: Labels of the options, in the order of their codes.
        shares: Share of each type that chose each option, shape (types, options).
        masses: Share of each type among the respondents, shape (types,).
        n: Respondents counted.
        types: Names of the types.
        text: What the file calls the question.
        counts: Respondents by type and option, shape (types, options), or None if only
            shares are known.
        weights: Sums of their weights, same shape, or None.
        squares: Sums of their squared weights, same shape, or None; for resampling.
    """

    name: str
    options: tuple[str, ...]
    shares: Array
    masses: Array
    n: int
    types: tuple[str, ...] = ()
    text: str = ""
    counts: Array | None = field(default=None, repr=False)
    weights: Array | None = field(default=None, repr=False)
    squares: Array | None = field(default=None, repr=False)

    def rewards(self, floor: float = 1e-15) -> Array:
        """Luce-Shepard rewards, shape (types, options)."""
        return luce_shepard_rewards(self.shares, floor)

    def population(self, floor: float = 1e-15) -> Population:
        """The types with their rewards and masses: a Bradley-Terry population."""
        return Population(self.rewards(floor), self.masses)

    def disagreement(self) -> float:
        """Mean total variation between the shares of two people's types, 0 to 1.

        The two types are drawn by their masses and are different.
        """
        gaps = 0.5 * abs(self.shares[:, None] - self.shares[None]).sum(axis=-1)
        chance = np.outer(self.masses, self.masses)
        np.fill_diagonal(chance, 0)
        return float((gaps * chance).sum() / chance.sum()) if chance.any() else 0.0

    def select(self, types: Sequence[str]) -> Question:
        """The question as answered by some of the types, masses renormalised.

        Raises:
            ValueError: no types, or one that nobody belongs to.
        """
        missing = [t for t in types if t not in self.types]
        if missing or not types:
            who = f"nobody belongs to type {missing[0]!r}" if missing else "no type is named"
            raise ValueError(f"{self.name}: {who}; its types are {list(self.types)}")
        k = [self.types.index(t) for t in types]
        n = self.n if self.counts is None else round(float(self.counts[k].sum()))
        masses = self.masses[k] / self.masses[k].sum()
        return replace(
            self,
            types=tuple(types),
            shares=self.shares[k],
            masses=masses,
            n=n,
            counts=None if self.counts is None else self.counts[k],
            weights=None if self.weights is None else self.weights[k],
            squares=None if self.squares is None else self.squares[k],
        )

    def drop_options(self, least: float) -> Question:
        """The question without options that some type chose with a share below ``least``.

        Raises:
            ValueError: fewer than two options would remain.
        """
        keep = np.flatnonzero(self.shares.min(axis=0) >= least)
        if len(keep) < 2:
            raise ValueError(f"{self.name}: fewer than two options have shares of {least} or more")
        shares = self.shares[:, keep] / self.shares[:, keep].sum(axis=1, keepdims=True)
        return replace(
            self,
            options=tuple(self.options[k] for k in keep),
            shares=shares,
            counts=None if self.counts is None else self.counts[:, keep],
            weights=None if self.weights is None else self.weights[:, keep],
            squares=None if self.squares is None else self.squares[:, keep],
        )

    def smooth(self, pseudo: float) -> Question:
        """Shares after ``pseudo`` more respondents of each type chose each option.

        Raises:
            ValueError: pseudo is not positive, or the question has no counts.
        """
        pseudo = checks.positive("pseudo", pseudo)
        if self.counts is None:
            raise ValueError(f"{self.name} has shares only; smoothing needs counts")
        n = self.counts.sum(axis=1, keepdims=True)
        shares = (self.shares * n + pseudo) / (n + pseudo * len(self.options))
        return replace(self, shares=shares)

    def resample(self, size: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Bootstrap: respondents drawn anew within each type, weights kept.

        How many respondents fall on each option is multinomial. Their total weight, given
        that number, is drawn from the gamma distribution with the mean and variance that
        drawing the weights themselves would have: the table needs no respondents.

        Args:
            size: Number of resamples.
            rng: Source of randomness.

        Returns:
            Shares (size, types, options) and masses (size, types).

        Raises:
            ValueError: size is below 1, or the question has no counts.
        """
        if size < 1:
            raise ValueError(f"size is {size}; at least one resample is needed")
        if self.counts is None or self.weights is None or self.squares is None:
            raise ValueError(f"{self.name} has shares only; a bootstrap needs counts")
        C, W, S = self.counts, self.weights, self.squares
        n = np.rint(C.sum(axis=1)).astype(np.int64)
        drawn = np.stack(
            [rng.multinomial(k, c / c.sum(), size) for k, c in zip(n, C, strict=True)], axis=1
        ).astype(np.float64)
        mean = np.divide(W, C, out=np.zeros_like(W), where=C > 0)
        spread = np.maximum(np.divide(S, C, out=np.zeros_like(W), where=C > 0) - mean**2, 0)
        vary = (drawn > 0) & (spread > 1e-12 * mean**2)
        shape = np.where(vary, drawn * mean**2 / np.where(spread > 0, spread, 1), 1.0)
        scale = np.where(vary, spread / np.where(mean > 0, mean, 1), 0.0)
        total = np.where(vary, rng.gamma(shape) * scale, drawn * mean)
        sums = total.sum(axis=2)
        masses = self.masses * sums / W.sum(axis=1)
        return total / sums[:, :, None], masses / masses.sum(axis=1, keepdims=True)


def question(
    name: str,
    options: Sequence[str],
    types: Sequence[str],
    weights: ArrayLike,
    counts: ArrayLike | None = None,
    squares: ArrayLike | None = None,
    text: str = "",
) -> Question:
    """A question from a table of weighted answers.

    Args:
        name: What to call it.
        options: Labels of the options.
        types: Names of the types.
        weights: Sums of weights by type and option, shape (types, options).
        counts: Respondents, same shape; the weights themselves if None (each counted once).
        squares: Sums of squared weights, same shape; as ``counts`` if None.
        text: A longer name.

    Raises:
        ValueError: a table of another shape, negative entries, or a type without answers.
    """
    W = checks.array(f"weights of {name}", weights, 2)
    if W.shape != (len(types), len(options)):
        raise ValueError(f"weights of {name} has shape {W.shape}, not {(len(types), len(options))}")
    if (W < 0).any() or (W.sum(axis=1) <= 0).any():
        raise ValueError(f"weights of {name} must not be negative, nor 0 for a whole type")
    C = W if counts is None else checks.array(f"counts of {name}", counts, 2)
    S = C if squares is None else checks.array(f"squares of {name}", squares, 2)
    for label, table in (("counts", C), ("squares", S)):
        if table.shape != W.shape:
            raise ValueError(f"{label} of {name} has shape {table.shape}, not {W.shape}")
    total = W.sum(axis=1)
    n = round(float(C.sum()))
    shares, masses = W / total[:, None], total / total.sum()
    return Question(name, tuple(options), shares, masses, n, tuple(types), text, C, W, S)


def pairwise(shares: ArrayLike, masses: ArrayLike, floor: float = 1e-15) -> Array:
    """Pr(y_i beats y_j) from shares, for many questions or resamples at once.

    Under the Luce-Shepard model a type prefers i to j with probability s_i / (s_i + s_j).

    Args:
        shares: Shape (..., types, options).
        masses: Shape (..., types).
        floor: Shares below it are lifted to it.

    Returns:
        Shape (..., options, options).
    """
    s = np.maximum(np.asarray(shares, dtype=np.float64), floor)
    P = s[..., :, None] / (s[..., :, None] + s[..., None, :])
    return np.einsum("...u,...uij->...ij", np.asarray(masses, dtype=np.float64), P)
