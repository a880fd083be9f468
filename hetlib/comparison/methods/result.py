"""What a method is, and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hetlib.checks import Array
from hetlib.comparison.budgets import LabelSet


@dataclass(frozen=True, eq=False)
class Result:
    """What a method makes of labels.

    Attributes:
        policy: Probabilities with a uniform reference and beta = 1, shape (responses,).
        labels: Labels that were collected for it.
        used: Labels that had any influence.
        parameters: Numbers that are fitted, the estimates it rests on included.
        reached: Strength of the correction that was chosen and reached; 0 if there is none.
        types: Number of types that the fit ended with; 1 if it has none.
    """

    policy: Array
    labels: int
    used: int
    parameters: int
    reached: float = 0.0
    types: int = 1


@dataclass(frozen=True)
class Method:
    """A method of the comparison.

    Attributes:
        name: What it is called in figures and tables.
        needs: What must be known about annotators.
        form: Kind of labels: "anonymous", "twice", "votes", "typed" or "people".
        aim: What it would reach with endless data: "average", "other" (by design, such as
            the worst-off type), or "biased" (the average, missed).
        fit: From labels to a policy.
    """

    name: str
    needs: str
    form: str
    aim: str
    fit: Callable[[LabelSet], Result]
