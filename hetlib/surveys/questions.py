"""Survey questions as answer shares by type, and rewards from shares (Appendix D)."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from hetlib import checks
from hetlib.checks import Array
from hetlib.core.population import Population


def same(name: str) -> str:
    """What names that look the same have in common: one form of letters, single spaces."""
    return " ".join(unicodedata.normalize("NFC", name).split())


def distinct_names(argument: str, names: Sequence[str], least: int = 1) -> list[str]:
    """A list of at least ``least`` texts, all different in more than spaces.

    Raises:
        ValueError: another kind of value, an entry that is not text, or one given twice.
    """
    if isinstance(names, str) or not np.iterable(names) or len(names) < least:
        raise ValueError(f"{argument} must be a list of at least {least}, not {names!r}")
    seen: dict[str, int] = {}
    for k, name in enumerate(names):
        if not isinstance(name, str) or not name.strip():
            raise ValueError(
                f"{argument}[{k}] is {name!r}; it must be text, in quotes if YAML would read a "
                "number, a date, or yes and no"
            )
        if seen.setdefault(same(name), k) != k:
            raise ValueError(f"{argument}[{k}] is {name!r} again; every name must differ")
    return list(names)


def luce_shepard_rewards(shares: ArrayLike, floor: float = 1e-15) -> Array:
    """Rewards under the Luce-Shepard model, Eq. (27): log shares, centred by type.

    Args:
        shares: Share of each type that chose each option, shape (..., types, options); rows
            sum to 1 (or count answers: they are normalised).
        floor: Shares below it are lifted to it, because log 0 is not a reward.

    Returns:
        Rewards with mean 0 in each row, the shape of ``shares``.

    Raises:
        ValueError: a negative or non-finite share, a row without answers, or a floor that is
            not between 0 and 1 / options, which equal shares would fall below.
    """
    s = checks.array("shares", shares, None)
    s = checks.array("shares", s, max(s.ndim, 2))
    if (s < 0).any():
        where = [int(k) for k in np.argwhere(s < 0)[0]]
        raise ValueError(f"shares{where} is {s[tuple(where)]}; shares must be non-negative")
    if s.max() > 1e300:  # whose sum may be too large for a float
        s = s / s.max(axis=-1, keepdims=True).clip(1)
    total = s.sum(axis=-1, keepdims=True)
    if (total <= 0).any():
        where = [int(k) for k in np.argwhere(total[..., 0] <= 0)[0]]
        raise ValueError(f"shares{where} sums to 0; a type needs at least one answer")
    floor = _floor(floor, s.shape[-1])
    logs = np.log(np.maximum(s / total, floor))
    return np.asarray(logs - logs.mean(axis=-1, keepdims=True))


def _floor(floor: float, options: int) -> float:
    floor = checks.positive("floor", floor)
    if floor * options > 1 or floor >= 1:
        raise ValueError(
            f"floor is {floor}; it must be below 1 and at most 1 / options = {1 / options:.3g}"
        )
    return floor


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
        k = [self.types.index(t) for t in distinct_names("types", types)]
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
            ValueError: size is below 1, or the question has no counts, or counts that are
                not whole.
        """
        size = checks.whole("size", size)
        if size < 1:
            raise ValueError(f"size is {size}; at least one resample is needed")
        if self.counts is None or self.weights is None or self.squares is None:
            raise ValueError(f"{self.name} has shares only; a bootstrap needs counts")
        C, W, S = self.counts, self.weights, self.squares
        if (broken := abs(C - np.rint(C)) > 1e-6).any():
            u, y = np.argwhere(broken)[0]
            raise ValueError(
                f"counts of {self.name}[{u}, {y}] is {C[u, y]}; a bootstrap draws whole "
                "respondents: give counts beside the weights"
            )
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
        ValueError: a name given twice, a table of another shape, negative or huge entries, or
            a type without answers.
    """
    options = distinct_names(f"options of {name}", list(options))
    types = distinct_names(f"types of {name}", list(types))
    W = checks.array(f"weights of {name}", weights, 2)
    C = W if counts is None else checks.array(f"counts of {name}", counts, 2)
    S = C if squares is None else checks.array(f"squares of {name}", squares, 2)
    for label, table, most in (
        ("weights", W, 1e300),
        ("counts", C, 2.0**53),
        ("squares", S, 1e300),
    ):
        if table.shape != (len(types), len(options)):
            wanted = (len(types), len(options))
            raise ValueError(f"{label} of {name} has shape {table.shape}, not {wanted}")
        if ((table < 0) | (table > most)).any():
            u, y = np.argwhere((table < 0) | (table > most))[0]
            raise ValueError(
                f"{label} of {name}[{u}, {y}] is {table[u, y]}; from 0 to {most:g} are allowed"
            )
    total = W.sum(axis=1)
    if (total <= 0).any():
        who = types[int(total.argmin())]
        raise ValueError(f"weights of {name} must not be 0 for a whole type, as for {who!r}")
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

    Raises:
        ValueError: shares or masses that are not finite, negative, or above 1, of shapes that
            do not fit, or a floor as for :func:`luce_shepard_rewards`.
    """
    s = checks.array("shares", shares, None)
    s = checks.array("shares", s, max(s.ndim, 2))
    m = checks.array("masses", masses, s.ndim - 1)
    if m.shape != s.shape[:-1]:
        raise ValueError(
            f"masses has shape {m.shape}; shares of shape {s.shape} need {s.shape[:-1]}"
        )
    for name, values in (("shares", s), ("masses", m)):
        if ((values < 0) | (values > 1 + 1e-9)).any():
            where = [int(k) for k in np.argwhere((values < 0) | (values > 1 + 1e-9))[0]]
            raise ValueError(f"{name}{where} is {values[tuple(where)]}; it must lie in [0, 1]")
    s = np.maximum(s, _floor(floor, s.shape[-1]))
    P = s[..., :, None] / (s[..., :, None] + s[..., None, :])
    return np.einsum("...u,...uij->...ij", m, P)
