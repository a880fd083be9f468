"""Exact linear algebra modulo a prime."""

from __future__ import annotations

from math import isqrt

import numpy as np
from numpy.typing import NDArray

from hetlib import checks


def check_prime(prime: int) -> int:
    """``prime``, if it is one whose products fit in 64 bits and that chance hardly hits.

    Raises:
        ValueError: ``prime`` is no prime between 2^20 and 2^31.
    """
    number = checks.whole("prime", prime)
    if not 2**20 < number < 2**31 or (number % np.arange(2, isqrt(number) + 1) == 0).any():
        raise ValueError(f"prime is {number}; a prime between 2^20 and 2^31 is needed")
    return number


def rank_modulo(matrix: NDArray[np.int64], prime: int) -> int:
    """Rank of an integer matrix modulo a prime below 2^31, by elimination."""
    M, rank = matrix % prime, 0
    for column in range(M.shape[1]):
        pivots = np.flatnonzero(M[rank:, column])
        if len(pivots) == 0:
            continue
        M[[rank, rank + pivots[0]]] = M[[rank + pivots[0], rank]]
        M[rank] = M[rank] * pow(int(M[rank, column]), -1, prime) % prime
        below = M[rank + 1 :, column : column + 1]
        M[rank + 1 :] = (M[rank + 1 :] - below * M[rank] % prime) % prime
        rank += 1
    return rank
