"""A reader's own survey question: names, shares and masses as they come from a YAML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hetlib import checks
from hetlib.checks import Array
from hetlib.surveys.questions import distinct_names


@dataclass(frozen=True, eq=False)
class Answers:
    """A checked question.

    Attributes:
        options: What can be answered.
        types: Names of the user types.
        shares: Share of each type that chose each option, shape (types, options); rows sum to 1.
        masses: Share of each type in the population, shape (types,); sums to 1.
        messages: What was changed or deserves care, in words.
    """

    options: list[str]
    types: list[str]
    shares: Array
    masses: Array
    messages: list[str]


def read_question(
    options: Sequence[str], types: Sequence[str], shares: ArrayLike, masses: ArrayLike
) -> Answers:
    """Check the shares and masses of a question, and normalise them.

    Printed shares rarely sum to 1, and people give per cent or counts: sums are divided out,
    and a message says so.

    Args:
        options: What can be answered, at least two different texts.
        types: Names of the user types, all different.
        shares: Share of each type that chose each option, shape (types, options).
        masses: Share of each type in the population, shape (types,).

    Returns:
        The question, ready for :func:`~hetlib.surveys.questions.luce_shepard_rewards`.

    Raises:
        ValueError: a name that is not text or appears twice, a shape that does not fit, a
            negative or non-finite number, a row or masses that are all zero.
    """
    options = distinct_names("options", options, 2)
    types = distinct_names("types", types)
    s = checks.array("shares", shares, 2)
    m = checks.array("masses", masses, 1)
    wanted = (len(types), len(options))
    if s.shape != wanted:
        raise ValueError(
            f"shares has {s.shape[0]} rows of {s.shape[1]} numbers; {wanted[0]} types and "
            f"{wanted[1]} options make {wanted[0]} rows of {wanted[1]}"
        )
    if len(m) != len(types):
        raise ValueError(f"masses has {len(m)} numbers; there are {len(types)} types")
    messages: list[str] = []
    for name, values in (("shares", s), ("masses", m)):
        if (values < 0).any():
            where = [int(k) for k in np.argwhere(values < 0)[0]]
            raise ValueError(f"{name}{where} is {values[tuple(where)]}; it must not be negative")
    rows = [_normalise(f"shares[{u}]", row, types[u], messages) for u, row in enumerate(s)]
    m = _normalise("masses", m, "all types", messages)
    for u, y in np.argwhere(np.array(rows) == 0):
        messages.append(
            f"shares[{u}, {y}] is 0: the reward of {types[u]} for {options[y]!r} is set by the "
            "floor, and its size can decide the average"
        )
    return Answers(options, types, np.array(rows), m, messages)


def _normalise(name: str, row: Array, whose: str, messages: list[str]) -> Array:
    if row.max() == 0:
        raise ValueError(f"{name} ({whose}) is all zero; at least one must be positive")
    if row.max() > 1e300:  # the sum may be too large for a float
        row = row / row.max()
        messages.append(f"{name} ({whose}) was divided by its greatest number")
    total = float(row.sum())
    if abs(total - 1) > 1e-9:
        messages.append(f"{name} ({whose}) sums to {total:.10g}; it was divided by its sum")
    return np.asarray(row / total)
