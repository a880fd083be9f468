"""Labels: who preferred what. Labels of one person and labels one a type are two containers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hetlib.checks import Array

Bits = NDArray[np.int8]
Indices = NDArray[np.int64]

#: Codes of a vote beside 1 (y2 was preferred) and 0 (y1 was).
NOT_ANSWERED, TIE = -1, 2


def _indices(name: str, value: ArrayLike) -> Indices:
    given = np.asarray(value)
    if given.ndim != 1 or given.size == 0:
        raise ValueError(f"{name} must have shape (pairs,) and not be empty, not {given.shape}")
    if given.dtype.kind not in "iu":
        raise ValueError(f"{name} must hold whole numbers, not {given.dtype}")
    if (given < 0).any():
        k = int(np.argmax(given < 0))
        raise ValueError(f"{name}[{k}] is {given[k]}; an index of a response is not negative")
    return given.astype(np.int64, copy=False)


def _votes(value: ArrayLike, pairs: int) -> Bits:
    given = np.asarray(value)
    if given.ndim != 2 or len(given) != pairs or given.size == 0:
        raise ValueError(f"votes must have shape ({pairs}, columns), not {given.shape}")
    bad = ~np.isin(given, (0, 1, NOT_ANSWERED, TIE))
    if bad.any():
        i, j = (int(k) for k in np.argwhere(bad)[0])
        raise ValueError(
            f"votes[{i}, {j}] is {given[i, j]}; allowed are 1 (y2 won), 0 (y1 won), "
            f"{NOT_ANSWERED} (not answered) and {TIE} (tie)"
        )
    return given.astype(np.int8, copy=False)


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
        """How often i beat j, over all labels: shape (responses, responses).

        A tie is half a win each way; a label that was not given does not count.

        Raises:
            ValueError: an index is ``responses`` or larger.
        """
        top = max(int(self.y1.max()), int(self.y2.max()))
        if top >= responses:
            raise ValueError(
                f"response {top} occurs; responses={responses} allows 0 … {responses - 1}"
            )
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
        votes: 1 where y2 was preferred, 0 where y1 was, :data:`NOT_ANSWERED` or :data:`TIE`;
            shape (pairs, labels). The columns are labels of one person.
        types: Type of the person who labelled the pair, shape (pairs,). Kept for checks: a
            method that reads it is not anonymous.

    Raises:
        ValueError: other shapes, negative or fractional indices, or other votes.
    """

    types: Indices | None = None


@dataclass(frozen=True)
class TypeLabels(_Labels):
    """Pairs of responses, each labelled once by every type (Section 6).

    Attributes:
        y1: Index of the first response, shape (pairs,).
        y2: Index of the second response, shape (pairs,).
        votes: As in :class:`Comparisons`, shape (pairs, types): one column a type.

    Raises:
        ValueError: other shapes, negative or fractional indices, or other votes.
    """
