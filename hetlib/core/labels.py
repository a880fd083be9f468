"""Labels: who preferred what. Labels of one person and labels one a type are two containers."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Number

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hetlib import checks
from hetlib.checks import Array

Bits = NDArray[np.int8]
Indices = NDArray[np.int64]

#: Codes of a vote beside 1 (y2 was preferred) and 0 (y1 was).
NOT_ANSWERED, TIE = -1, 2
#: Votes that are never 0 but so often 1 and so often another code are labels coded otherwise.
OTHERWISE = 5


def draw(p: Array, rng: np.random.Generator) -> Bits:
    """Labels that name the second response with probability p, one uniform number each."""
    return (rng.random(p.shape) < p).astype(np.int8)


def draw_counts(
    law: Array, size: int, rng: np.random.Generator, repeats: tuple[int, ...] = ()
) -> Array:
    """How often each cell of a table came up in ``size`` draws whose law it is, up to a factor.

    Returns:
        Counts of shape repeats + law.shape, one multinomial each; fast for any size.
    """
    counts = rng.multinomial(size, law.ravel() / law.sum(), repeats or None)
    return counts.reshape(*repeats, *law.shape).astype(np.float64)


def _indices(name: str, value: ArrayLike) -> Indices:
    array = checks.rectangular(name, value)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} must have shape (pairs,) and not be empty, not {array.shape}")
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} must hold whole numbers, not {array.dtype}")
    if (array < 0).any():
        k = int(np.argmax(array < 0))
        raise ValueError(f"{name}[{k}] is {array[k]}; an index of a response is not negative")
    return array.astype(np.int64, copy=False)


def _check_responses(y1: Indices, y2: Indices, responses: int) -> None:
    top = max(int(y1.max()), int(y2.max()))
    if top >= checks.whole("responses", responses):
        raise ValueError(f"response {top} occurs; responses={responses} allows 0 … {responses - 1}")


def _votes(value: ArrayLike, pairs: int) -> Bits:
    array = checks.rectangular("votes", value)
    if array.ndim != 2 or len(array) != pairs or array.size == 0:
        raise ValueError(f"votes must have shape ({pairs}, columns), not {array.shape}")
    if array.dtype.kind == "O":  # pandas' NA compares with nothing
        flat = [v if isinstance(v, Number) else str(v) for v in array.flat]
        array = np.array(flat, dtype=object).reshape(array.shape)
    bad = ~np.isin(array, (0, 1, NOT_ANSWERED, TIE))
    if bad.any():
        i, j = (int(k) for k in np.argwhere(bad)[0])
        raise ValueError(
            f"votes[{i}, {j}] is {array[i, j]}; allowed are 1 (y2 won), 0 (y1 won), "
            f"{NOT_ANSWERED} (not answered) and {TIE} (tie)"
        )
    if not (array == 0).any() and (array == 1).sum() >= OTHERWISE:
        for code, coded, said in ((TIE, "1 and 2", "tie"), (NOT_ANSWERED, "-1 and 1", "skip")):
            if (array == code).sum() >= OTHERWISE:
                raise ValueError(
                    f"votes holds 1 and {code} and no 0, as labels coded {coded} would; here y1 "
                    f"won is 0, and {code} is a {said}. If y2 did win every time, turn one label "
                    "round: swap its y1 and y2, and give it 0"
                )
    return array.real.astype(np.int8, copy=False)


@dataclass(frozen=True)
class _Labels:
    y1: Indices
    y2: Indices
    votes: Bits

    def __post_init__(self) -> None:
        """Check shapes and contents."""
        for name in ("y1", "y2"):
            object.__setattr__(self, name, _indices(name, getattr(self, name)))
        if len(self.y1) != len(self.y2):
            raise ValueError(
                f"y1 has {len(self.y1)} entries and y2 {len(self.y2)}; they must agree"
            )
        object.__setattr__(self, "votes", _votes(self.votes, len(self.y1)))

    def __len__(self) -> int:
        return len(self.y1)

    def wins(self, responses: int) -> Array:
        """How often i beat j, a tie half each way: shape (responses, responses).

        Raises:
            ValueError: an index is ``responses`` or larger.
        """
        _check_responses(self.y1, self.y2, responses)
        half = (self.votes == TIE).sum(axis=1) / 2
        count = np.zeros((responses, responses))
        np.add.at(count, (self.y2, self.y1), (self.votes == 1).sum(axis=1) + half)
        np.add.at(count, (self.y1, self.y2), (self.votes == 0).sum(axis=1) + half)
        return count


@dataclass(frozen=True)
class Comparisons(_Labels):
    """Labelled pairs of responses to one prompt, each pair labelled by one person.

    Attributes:
        y1: Index of the first response, shape (pairs,).
        y2: Index of the second response, shape (pairs,).
        votes: 1 where y2 was preferred, 0 where y1 was, ``NOT_ANSWERED`` or ``TIE``;
            shape (pairs, labels). The columns are labels of one person.
        types: Type of the person who labelled the pair, shape (pairs,). Kept for checks: a
            method that reads it is not anonymous.

    Raises:
        ValueError: other shapes, negative or fractional indices, or other votes; and labels
            that look as if coded 1 and 2, or -1 and 1: never 0, and each of these at least
            :data:`OTHERWISE` times.
    """

    types: Indices | None = None

    def __post_init__(self) -> None:
        """Check the types, too."""
        super().__post_init__()
        if self.types is None:
            return
        object.__setattr__(self, "types", _indices("types", self.types))
        if len(self.types) != len(self.y1):
            raise ValueError(f"types has {len(self.types)} entries; {len(self.y1)} are needed")


@dataclass(frozen=True)
class TypeLabels(_Labels):
    """Pairs of responses, each labelled once by every type (Section 6).

    As :class:`Comparisons`, but one column of ``votes``, shape (pairs, types), is one type's.
    """


@dataclass(frozen=True)
class Linked:
    """Several labels by each of many people, on the same or on different pairs.

    Attributes:
        y1: First response of each comparison, shape (people, labels).
        y2: Second response, same shape.
        votes: As in :class:`Comparisons`, same shape.

    Raises:
        ValueError: as there, or fewer than two labels a person.
    """

    y1: Indices
    y2: Indices
    votes: Bits

    def __post_init__(self) -> None:
        """Check shapes and contents."""
        array = checks.rectangular("votes", self.votes)
        if array.ndim != 2 or 0 in array.shape or array.shape[1] < 2:
            raise ValueError(
                f"votes must have shape (people, labels) with at least 2 labels, not {array.shape}"
            )
        votes = _votes(array, len(array))
        for name in ("y1", "y2"):
            y = checks.rectangular(name, getattr(self, name))
            if y.shape != votes.shape:
                raise ValueError(f"{name} has shape {y.shape}; votes have {votes.shape}")
            object.__setattr__(self, name, _indices(name, y.ravel()).reshape(y.shape))
        object.__setattr__(self, "votes", votes)

    def shares(self) -> Array:
        """Votes as shares of a win of y2: 1, 0, 1/2 for a tie, and NaN for no answer."""
        out = self.votes.astype(np.float64)
        out[self.votes == TIE] = 0.5
        out[self.votes == NOT_ANSWERED] = np.nan
        return out

    def decided(self) -> Linked:
        """These labels; a ValueError if one is a tie or was not given."""
        if (odd := self.votes >> 1 != 0).any():
            i, j = (int(k) for k in np.argwhere(odd)[0])
            raise ValueError(
                f"votes[{i}, {j}] is {self.votes[i, j]}; this method takes 1 (y2 won) and 0 (y1 "
                "won) only"
            )
        return self

    @classmethod
    def of(cls, data: Comparisons | Linked) -> Linked:
        """Several labels of one person a row, whichever container holds them.

        Raises:
            ValueError: labels of every type, or one a person: they are not linked.
        """
        if isinstance(data, Linked):
            return data
        if not isinstance(data, Comparisons):
            raise ValueError(
                f"linked labels are needed, several by one person: Linked or Comparisons, not "
                f"{type(data).__name__}"
            )
        y1, y2 = (np.broadcast_to(y[:, None], data.votes.shape) for y in (data.y1, data.y2))
        return cls(y1, y2, data.votes)

    def __len__(self) -> int:
        return len(self.y1)

    @property
    def linked(self) -> int:
        """Pairs of answers by the same person, a response against itself not counted."""
        real = ((self.y1 != self.y2) & (self.votes != NOT_ANSWERED)).sum(axis=1)
        return int((real * (real - 1) // 2).sum())

    def check(self, responses: int) -> None:
        """A ValueError if an index is no response."""
        _check_responses(self.y1, self.y2, responses)
