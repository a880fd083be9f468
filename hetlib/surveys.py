"""Survey questions as answer shares by type, and rewards from shares (Appendix D)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hetlib import validate
from hetlib.preferences import Population
from hetlib.survey_files import Column, SurveyFile, open_file
from hetlib.validate import Array

#: Columns that are no questions, as shell patterns: those that the released code leaves out.
NOT_QUESTIONS = (
    "QKEY", "F_*", "*WEIGHT_*", "INTERVIEW_START_W*", "INTERVIEW_END_W*", "DEVICE_TYPE_W*",
    "LANG_W*", "FORM_W*", "XTABLET_W*", "TECHHELP_W*", "SMARTPHONE_W*", "SNSUSE_W*",
    "DIGCONF_W*",
)  # fmt: skip


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
    s = validate.array("shares", shares, max(np.ndim(shares), 2))
    if (s < 0).any():
        where = [int(k) for k in np.argwhere(s < 0)[0]]
        raise ValueError(f"shares{where} is {s[tuple(where)]}; shares must be non-negative")
    total = s.sum(axis=-1, keepdims=True)
    if (total <= 0).any():
        where = [int(k) for k in np.argwhere(total[..., 0] <= 0)[0]]
        raise ValueError(f"shares{where} sums to 0; a type needs at least one answer")
    floor = validate.positive("floor", floor)
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

    def select(self, types: Sequence[str]) -> Question:
        """The question as answered by some of the types, masses renormalised.

        Raises:
            ValueError: no types, or one that nobody belongs to.
        """
        missing = [t for t in types if t not in self.types]
        if missing or not types:
            raise ValueError(
                f"{self.name}: nobody belongs to type {missing[0]!r}; types are {list(self.types)}"
                if missing
                else f"{self.name}: types must name at least one of {list(self.types)}"
            )
        k = [self.types.index(t) for t in types]
        tables = {
            name: None if table is None else table[k]
            for name, table in (
                ("counts", self.counts), ("weights", self.weights), ("squares", self.squares)
            )
        }  # fmt: skip
        n = self.n if self.counts is None else int(self.counts[k].sum())
        masses = self.masses[k] / self.masses[k].sum()
        return replace(
            self, types=tuple(types), shares=self.shares[k], masses=masses, n=n, **tables
        )

    def drop_options(self, least: float) -> Question:
        """The question without options that some type chose with a share below ``least``.

        Raises:
            ValueError: fewer than two options would remain.
        """
        keep = (self.shares >= least).all(axis=0)
        if keep.sum() < 2:
            raise ValueError(f"{self.name}: fewer than two options have shares of {least} or more")
        shares = self.shares[:, keep] / self.shares[:, keep].sum(axis=1, keepdims=True)
        options = tuple(o for o, k in zip(self.options, keep, strict=True) if k)
        tables = {
            name: None if table is None else table[:, keep]
            for name, table in (
                ("counts", self.counts), ("weights", self.weights), ("squares", self.squares)
            )
        }  # fmt: skip
        return replace(self, options=options, shares=shares, **tables)


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
    W = validate.array(f"weights of {name}", weights, 2)
    if W.shape != (len(types), len(options)):
        raise ValueError(
            f"weights of {name} has shape {W.shape}, not {(len(types), len(options))}"
        )
    if (W < 0).any() or (W.sum(axis=1) <= 0).any():
        raise ValueError(f"weights of {name} must not be negative, nor 0 for a whole type")
    C = W if counts is None else validate.array(f"counts of {name}", counts, 2)
    S = C if squares is None else validate.array(f"squares of {name}", squares, 2)
    for label, table in (("counts", C), ("squares", S)):
        if table.shape != W.shape:
            raise ValueError(f"{label} of {name} has shape {table.shape}, not {W.shape}")
    total = W.sum(axis=1)
    n = round(float(C.sum()))
    shares, masses = W / total[:, None], total / total.sum()
    return Question(name, tuple(options), shares, masses, n, tuple(types), text, C, W, S)


@dataclass(frozen=True, eq=False)
class Survey:
    """Questions read from one file; iterate over it to get them.

    Attributes:
        questions: The questions.
        skipped: Why each other column is not among them, by name.
        types: Names of the types, in the order of their codes.
        rows: Respondents in the file.
        untyped: Respondents left out because their type is empty or refused.
        unweighted: Respondents left out because their weight is empty.
        absent: Types that the file labels and nobody belongs to.
        weight: The weight column, or "" if each respondent counts once.
    """

    questions: tuple[Question, ...]
    skipped: dict[str, str]
    types: tuple[str, ...]
    rows: int
    untyped: int = 0
    unweighted: int = 0
    absent: tuple[str, ...] = ()
    weight: str = ""

    def __iter__(self) -> Iterator[Question]:
        return iter(self.questions)

    def __len__(self) -> int:
        return len(self.questions)

    def __getitem__(self, name: str) -> Question:
        """The question called ``name``; a KeyError says why it was skipped, if it was."""
        for q in self.questions:
            if q.name == name:
                return q
        raise KeyError(f"{name}: {self.skipped.get(name, 'no such column')}")

    def reasons(self) -> dict[str, int]:
        """How many columns were skipped for each reason, the codes in it left out."""
        return dict(Counter(reason.split(":")[0] for reason in self.skipped.values()))

    def report(self) -> str:
        """What was read and what was left out, with counts."""
        lines = [f"{self.rows} respondents, weight {self.weight or 'none'}; types {self.types}"]
        for number, what in (
            (self.untyped, "respondents without a type"),
            (self.unweighted, "respondents without a weight"),
            (len(self.absent), f"labelled types that nobody belongs to: {self.absent}"),
        ):
            lines += [f"left out: {number} {what}"] if number else []
        lines.append(f"{len(self.questions)} questions; {len(self.skipped)} columns skipped")
        lines += [f"  {count:5d} {reason}" for reason, count in sorted(self.reasons().items())]
        return "\n".join(lines)
