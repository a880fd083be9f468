"""Labels: who preferred what."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hetlib.checks import Array

Bits = NDArray[np.int8]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Comparisons:
    """Labelled pairs of responses to one prompt.

    Attributes:
        y1: Index of the first response, shape (pairs,).
        y2: Index of the second response, shape (pairs,).
        votes: 1 where y2 was preferred, shape (pairs, labels). What the columns are is
            said by the method that made them: labels of one person, or one a type.
        types: Type of the person who labelled the pair, shape (pairs,); None if every
            type labels every pair. Kept for checks: a method that reads it is not anonymous.
    """

    y1: Indices
    y2: Indices
    votes: Bits
    types: Indices | None = None

    def __len__(self) -> int:
        return len(self.y1)

    def wins(self, responses: int) -> Array:
        """How often i beat j, over all labels: shape (responses, responses)."""
        won = self.votes.sum(axis=1).astype(np.float64)
        lost = self.votes.shape[1] - won
        count = np.zeros((responses, responses))
        np.add.at(count, (self.y2, self.y1), won)
        np.add.at(count, (self.y1, self.y2), lost)
        return count
