"""Checks of arguments, each with an error that names what is wrong and what is allowed."""

from __future__ import annotations

from operator import index

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def array(name: str, value: ArrayLike, ndim: int) -> Array:
    """A float64 copy of ``value`` with ``ndim`` axes, none empty, all entries finite.

    Raises:
        ValueError: ``value`` is ragged, not numeric, of another rank, empty or not finite.
    """
    try:
        if np.iscomplexobj(value):
            raise TypeError("complex numbers")
        out = np.array(value, dtype=np.float64)
    except OverflowError as error:
        raise ValueError(f"{name} holds a number too large for a float") from error
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must be a rectangular array of numbers: every row of the same length"
        ) from error
    if out.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, not {out.ndim} (shape {out.shape})")
    if out.size == 0:
        raise ValueError(f"{name} must not be empty (shape {out.shape})")
    if not np.isfinite(out).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(out))[0])
        raise ValueError(f"{name}{list(where)} is {out[where]}; only finite numbers are allowed")
    return out


def distribution(
    name: str, value: ArrayLike | None, size: int, *, full_support: bool = False
) -> Array:
    """A probability vector of length ``size``; the uniform one if ``value`` is None.

    Args:
        name: What the error calls it.
        value: Probabilities, shape (size,).
        size: Its length.
        full_support: Refuse zeros as well as negative numbers.

    Raises:
        ValueError: wrong length, a negative entry (or a zero one under ``full_support``),
            or a sum that differs from 1 by more than 1e-9.
    """
    if value is None:
        return np.full(size, 1.0 / size)
    p = array(name, value, 1)
    if len(p) != size:
        raise ValueError(f"{name} has {len(p)} entries; {size} are needed")
    bad = p <= 0 if full_support else p < 0
    if bad.any():
        k = int(np.argmax(bad))
        allowed = "positive (full support)" if full_support else "non-negative"
        raise ValueError(f"{name}[{k}] is {p[k]}; every entry must be {allowed}")
    if abs(p.sum() - 1) > 1e-9:
        raise ValueError(f"{name} sums to {p.sum():.12g}; it must sum to 1")
    return p / p.sum()


def whole(name: str, value: int) -> int:
    """``value`` as an int.

    Raises:
        ValueError: ``value`` is not a whole number.
    """
    try:
        return index(value)
    except TypeError as error:
        raise ValueError(f"{name} is {value!r}; it must be a whole number") from error


def positive(name: str, value: float) -> float:
    """``value`` as a float.

    Raises:
        ValueError: ``value`` is not a positive finite number.
    """
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be a positive number, not {value!r}") from error
    if not (np.isfinite(number) and number > 0):
        raise ValueError(f"{name} is {number}; it must be positive and finite")
    return number


def pairwise(value: ArrayLike) -> Array:
    """A matrix of choice probabilities: P[i, j] + P[j, i] = 1 and 1/2 on the diagonal.

    Raises:
        ValueError: not square, an entry outside [0, 1], or not complementary within 1e-9.
    """
    P = array("pairwise", value, 2)
    if P.shape[0] != P.shape[1]:
        raise ValueError(f"pairwise must be square, not of shape {P.shape}")
    if ((P < 0) | (P > 1)).any():
        i, j = np.argwhere((P < 0) | (P > 1))[0]
        raise ValueError(f"pairwise[{i}, {j}] is {P[i, j]}; probabilities lie in [0, 1]")
    gap = abs(P + P.T - 1)
    if gap.max() > 1e-9:
        i, j = np.unravel_index(gap.argmax(), gap.shape)
        raise ValueError(
            f"pairwise[{i}, {j}] + pairwise[{j}, {i}] is {P[i, j] + P[j, i]:.12g}; it must be 1 "
            "(1/2 on the diagonal)"
        )
    return P


def counts(name: str, value: ArrayLike) -> Array:
    """A square matrix of counts: finite and non-negative.

    Raises:
        ValueError: not square, not finite, or a negative entry.
    """
    W = array(name, value, 2)
    if W.shape[0] != W.shape[1]:
        raise ValueError(f"{name} must be square, not of shape {W.shape}")
    if (W < 0).any():
        i, j = np.argwhere(W < 0)[0]
        raise ValueError(f"{name}[{i}, {j}] is {W[i, j]}; every entry must be non-negative")
    return W
