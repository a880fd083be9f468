"""Tables on the ring by prompt, brought to the 1-D form over offsets (Section 7.2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from hetlib import checks
from hetlib.checks import Array


def one_dimensional(table: ArrayLike) -> tuple[Array, Array]:
    """Average of a policy over prompts by offset, with its standard error (Section 7.2).

    Args:
        table: A policy or reward by prompt and offset, shape (prompts, n).

    Returns:
        Mean and standard error across prompts, each of shape (n,).
    """
    values = checks.array("table", table, 2, most=1e150)
    if len(values) < 2:
        raise ValueError("table has one row; a standard error needs at least two prompts")
    return values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))


def by_offset(table: ArrayLike) -> Array:
    """Entries by prompt and response rearranged by prompt and offset, shape (n, n).

    Args:
        table: Entry [x, y] belongs to response y of prompt x, shape (n, n).
    """
    values = checks.array("table", table, 2)
    n = len(values)
    if values.shape != (n, n):
        raise ValueError(f"table must be square, not of shape {values.shape}")
    return np.array([np.roll(row, n // 2 - x) for x, row in enumerate(values)])
