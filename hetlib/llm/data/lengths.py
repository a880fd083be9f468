"""Rewards that are functions of length alone: Appendix E and Figure 11."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from hetlib.checks import Array

#: Longest text, prompt and response together, in tokens.
LIMIT = 512

#: User types, by the texts that they prefer.
TYPES = ("long", "short", "middle")

#: Share of HH-RLHF's texts (4,664 test pairs, a 49k-token vocabulary) at most this long.
HH_LENGTH_QUANTILES = {0.05: 33, 0.25: 78, 0.50: 145, 0.75: 243, 0.95: 444}


def check_lengths(name: str, tokens: ArrayLike, limit: int = LIMIT) -> Array:
    """Numbers of tokens as float64.

    Raises:
        ValueError: limit is not a positive whole number, or an entry is not in [1, limit].
    """
    try:
        fits = not isinstance(limit, bool) and int(limit) == limit and 2 <= limit <= 2**53
    except (TypeError, ValueError, OverflowError):
        fits = False
    if not fits:
        raise ValueError(f"limit is {limit}; a whole number of at least 2 tokens is allowed")
    try:
        x = np.asarray(tokens, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be a rectangular array of numbers") from error
    bad = ~((x >= 1) & (x <= limit))
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        at = list(where) if where else ""
        raise ValueError(f"{name}{at} is {x[where]}; 1 to {limit} tokens are allowed")
    return x


def length_rewards(tokens: ArrayLike, limit: int = LIMIT) -> Array:
    """Rewards of the three user types for a text of ``tokens`` tokens (Appendix E, Figure 11).

    Args:
        tokens: Length of prompt and response together, any shape.
        limit: Longest text. The paper's 512; for shorter worlds the lengths are stretched,
            x -> 512 x / limit, so that the curves keep their shape.

    Returns:
        Rewards in the order of ``TYPES``, shape (3, ...).

    Raises:
        ValueError: a length below 1 or above the limit.
    """
    x = check_lengths("tokens", tokens, limit) * LIMIT / limit
    return np.stack(
        [
            np.minimum(4, np.exp(x / 80) / 100),
            np.minimum(4, np.exp((LIMIT - x) / 80) / 100),
            np.exp(1 / (((x - 256) / 64) ** 2 + 1)) - 1,
        ]
    )


def mean_reward(tokens: ArrayLike, limit: int = LIMIT) -> Array:
    """Average of the three types' rewards, each with weight 1/3: the ground truth.

    Args:
        tokens: Length of prompt and response together, any shape.
        limit: Longest text, as in :func:`hetlib.llm.data.lengths.length_rewards`.

    Returns:
        Average reward, the shape of ``tokens``.
    """
    return np.asarray(length_rewards(tokens, limit).mean(axis=0))
