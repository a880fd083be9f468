"""The best that a reward which never rises with length can do.

A sum of token scores that are never positive, such as log-probabilities of a text whose end is
not scored, can only fall as a text goes on. This file measures what that costs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hetlib.checks import Array
from hetlib.llm.data.agreement import true_margins
from hetlib.llm.data.lengths import LIMIT


@dataclass(frozen=True, eq=False)
class FallingRule:
    """A function of length that never rises and agrees best with the average reward.

    Attributes:
        rate: Share of pairs on which it agrees; equal scores count as half.
        flat: First and last length of each stretch on which it is constant and that holds
            more than one length, shape (stretches, 2).
    """

    rate: float
    flat: Array


def best_falling(lengths: ArrayLike, limit: int = LIMIT) -> FallingRule:
    """The best agreement of any reward that never rises with length.

    Only its flat stretches matter: it orders two lengths of one stretch by chance, all others
    as "shorter wins" does. The best cut into stretches is found by dynamic programming.

    Args:
        lengths: Tokens of both texts, prompt included, shape (pairs, 2).
        limit: Longest text.

    Returns:
        Its agreement and its flat stretches.

    Raises:
        ValueError: a wrong shape, a length outside [1, limit], or no pair that the average
            reward decides.
    """
    truth = true_margins(lengths, limit)
    x = np.asarray(lengths, dtype=np.float64)
    decided = truth != 0
    if not decided.any():
        raise ValueError("lengths hold no pair that the average reward decides")
    x, truth = x[decided], truth[decided]
    values, place = np.unique(x, return_inverse=True)
    i, j = np.sort(place.reshape(x.shape), axis=1).T
    gain = np.where((truth > 0) == (x[:, 1] < x[:, 0]), 0.5, -0.5)  # "shorter wins" over chance
    n = len(values)
    table = np.zeros((n + 1, n + 1))
    np.add.at(table[1:, 1:], (i, j), gain)
    table = table.cumsum(axis=0).cumsum(axis=1)
    least, cut = np.zeros(n + 1), np.zeros(n + 1, dtype=np.int64)
    for end in range(1, n + 1):
        start = np.arange(end)
        inside = table[end, end] - table[start, end] - table[end, start] + table[start, start]
        cost = least[start] + inside  # what is lost by treating the stretch as ties
        cut[end] = int(cost.argmin())
        least[end] = cost[cut[end]]
    flat, end = [], n
    while end > 0:
        start_ = int(cut[end])
        if end - start_ > 1:
            flat.append((values[start_], values[end - 1]))
        end = start_
    rate = 0.5 + (gain.sum() - least[n]) / len(x)
    return FallingRule(float(rate), np.array(flat[::-1]).reshape(-1, 2))
