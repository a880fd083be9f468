"""Labels: who preferred what. Labels of one person and labels one a type are two types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetlib.checks import Array

Bits = NDArray[np.int8]
Indices = NDArray[np.int64]


def _settle(labels: Any, shape: str, least: int = 1) -> None:
    """Check and store y1, y2 and votes of a container of labels.

    Raises:
        ValueError: shapes that do not fit, indices that are no whole numbers from 0 on, or
            votes other than 0 and 1; with the first place that is wrong.
    """
    name = type(labels).__name__
    votes = np.asarray(labels.votes)
    pairs = votes.shape if shape == "(people, labels)" else votes.shape[:1]
    if votes.ndim != 2 or 0 in votes.shape or votes.shape[1] < least:
        raise ValueError(
            f"votes of {name} must have shape {shape} with at least {least} labels a row, "
            f"not {votes.shape}"
        )
    wrong = (votes != 0) & (votes != 1)
    if wrong.any():
        i, k = (int(x) for x in np.argwhere(wrong)[0])
        raise ValueError(
            f"votes[{i}, {k}] is {votes[i, k]}; it must be 1 where y2 was preferred, else 0"
        )
    for key in ("y1", "y2"):
        y = np.asarray(getattr(labels, key))
        if y.shape != pairs:
            raise ValueError(f"{key} has shape {y.shape}; with these votes it must be {pairs}")
        odd = (y < 0) | (y != np.floor(y)) if np.issubdtype(y.dtype, np.number) else None
        if odd is None or odd.any():
            where = "" if odd is None else [int(x) for x in np.argwhere(odd)[0]]
            raise ValueError(f"{key}{where} is no response: whole numbers from 0 on are allowed")
        object.__setattr__(labels, key, y.astype(np.int64))
    object.__setattr__(labels, "votes", votes.astype(np.int8))


@dataclass(frozen=True)
class Comparisons:
    """Labelled pairs of responses to one prompt; all labels of a pair are one person's.

    Attributes:
        y1: Index of the first response, shape (pairs,).
        y2: Index of the second response, shape (pairs,).
        votes: 1 where y2 was preferred, else 0, shape (pairs, labels): one label makes
            anonymous data, two by the same person the linked data of Section 5.3.
        types: Type of the person who labelled the pair, shape (pairs,), if known. Kept for
            checks: a method that reads it is not anonymous.

    Raises:
        ValueError: as :class:`Linked`.
    """

    y1: Indices
    y2: Indices
    votes: Bits
    types: Indices | None = None

    def __post_init__(self) -> None:
        """Check shapes and contents."""
        _settle(self, "(pairs, labels)")

    def __len__(self) -> int:
        return len(self.y1)

    def wins(self, responses: int) -> Array:
        """How often i beat j, over all labels: shape (responses, responses)."""
        return _wins(self.y1, self.y2, self.votes, responses)


@dataclass(frozen=True)
class TypeLabels:
    """Pairs of responses, each labelled once by every type (Section 6).

    Attributes:
        y1: Index of the first response, shape (pairs,).
        y2: Index of the second response, shape (pairs,).
        votes: 1 where the type preferred y2, else 0, shape (pairs, types).

    Raises:
        ValueError: as :class:`Linked`.
    """

    y1: Indices
    y2: Indices
    votes: Bits

    def __post_init__(self) -> None:
        """Check shapes and contents."""
        _settle(self, "(pairs, types)")

    def __len__(self) -> int:
        return len(self.y1)

    def wins(self, responses: int) -> Array:
        """How often i beat j, over the labels of all types: shape (responses, responses)."""
        return _wins(self.y1, self.y2, self.votes, responses)


@dataclass(frozen=True)
class Linked:
    """Several labels by each of many people, on the same or on different pairs.

    Attributes:
        y1: First response of each comparison, shape (people, labels).
        y2: Second response, same shape.
        votes: 1 where y2 was preferred, else 0, same shape.

    Raises:
        ValueError: shapes that do not fit, fewer than two labels a person, indices that are no
            whole numbers from 0 on, or votes other than 0 and 1.
    """

    y1: Indices
    y2: Indices
    votes: Bits

    def __post_init__(self) -> None:
        """Check shapes and contents."""
        _settle(self, "(people, labels)", least=2)

    @classmethod
    def of(cls, data: Comparisons | Linked) -> Linked:
        """Several labels of one person a row, whichever container holds them.

        Raises:
            ValueError: labels of every type, or one label a person: they are not linked.
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
        """Pairs of labels by the same person, a response against itself not counted."""
        real = (self.y1 != self.y2).sum(axis=1)
        return int((real * (real - 1) // 2).sum())

    def check(self, responses: int) -> None:
        """Refuse indices that are no response.

        Raises:
            ValueError: an index is ``responses`` or larger.
        """
        top = max(int(self.y1.max()), int(self.y2.max()))
        if top >= responses:
            raise ValueError(
                f"response {top} occurs; responses={responses} allows 0 … {responses - 1}"
            )


def _wins(y1: Indices, y2: Indices, votes: Bits, responses: int) -> Array:
    top = max(int(y1.max()), int(y2.max()))
    if top >= responses:
        raise ValueError(f"response {top} occurs; responses={responses} allows 0 … {responses - 1}")
    won = votes.sum(axis=1).astype(np.float64)
    count = np.zeros((responses, responses))
    np.add.at(count, (y2, y1), won)
    np.add.at(count, (y1, y2), votes.shape[1] - won)
    return count
