"""Ranks modulo a prime, against exact elimination."""

from __future__ import annotations

import numpy as np
import pytest
import sympy

from hetlib.core.modular import check_prime, rank_modulo

PRIME = 2**31 - 1


@pytest.mark.parametrize("seed", range(8))
def test_the_rank_is_that_over_the_rationals(seed: int) -> None:
    """Products of small factors, with zero rows and columns, so that pivots must be sought."""
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 5))
    M = rng.integers(-3, 4, (6, rank)) @ rng.integers(-3, 4, (rank, 7))
    M[[0, 3]] = 0
    M[:, 0] = 0
    M[4, 1:3] = 0
    assert rank_modulo(M.astype(np.int64), PRIME) == sympy.Matrix(M.tolist()).rank()


def test_a_matrix_whose_first_pivots_are_low() -> None:
    M = np.array([[0, 0, 1], [0, 2, 0], [3, 0, 0], [3, 2, 1]], dtype=np.int64)
    assert rank_modulo(M, PRIME) == 3
    assert rank_modulo(M[:, ::-1].copy(), PRIME) == 3
    assert rank_modulo(np.array([[PRIME, 1], [0, 1]], dtype=np.int64), PRIME) == 1
    assert rank_modulo(np.zeros((2, 3), dtype=np.int64), PRIME) == 0


@pytest.mark.parametrize("prime", [2**31 - 1, 1048583])
def test_primes(prime: int) -> None:
    """1048583 is the first prime beyond 2^20."""
    assert sympy.isprime(prime)
    assert check_prime(prime) == prime
    assert sympy.nextprime(2**20) == 1048583


@pytest.mark.parametrize("number", [7, 1048573, 2**20, 2**31, 2147483659, 1048585, 2 * 1048583])
def test_numbers_that_are_no_prime_in_the_range(number: int) -> None:
    """Primes that are too small or too large, powers of two, multiples of 5 and of 2."""
    with pytest.raises(ValueError, match=f"prime is {number}; a prime between"):
        check_prime(number)


def test_the_square_of_a_prime_is_none() -> None:
    assert sympy.isprime(1031)
    with pytest.raises(ValueError, match="prime is 1062961"):
        check_prime(1031**2)
