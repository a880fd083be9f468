"""What a method is, what it returns, and the one list of all methods.

A method is a function from labels to a result, registered beside its definition. Another
module adds one of its own with the same decorator; tables follow the order of registration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from hetlib.checks import Array
from hetlib.comparison.budgets import LabelSet

#: What must be known about annotators.
NOTHING = "nothing: anonymous labels"
PAIRS = "who gave the same two labels"
FULL = "a label of every type on each pair"
TYPE = "the type of each label's annotator"
PEOPLE = "who gave the same ten labels"
#: Forms of labels that a method can learn from.
FORMS = ("none", "anonymous", "twice", "votes", "typed", "people")
#: What a method aims at.
AIMS = ("none", "average", "other", "biased")


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


Fit = Callable[[LabelSet], Result]
F = TypeVar("F", bound=Callable[..., Result])


@dataclass(frozen=True)
class Method:
    """A method of the comparison.

    Attributes:
        name: What it is called in figures and tables.
        needs: What must be known about annotators.
        form: Kind of labels, one of :data:`FORMS`: a field of
            :class:`hetlib.comparison.budgets.LabelSet`.
        aim: What it would reach with endless data, one of :data:`AIMS`: "average", "other"
            (by design, such as the worst-off type), or "biased" (the average, missed).
        fit: From labels to a policy.
    """

    name: str
    needs: str
    form: str
    aim: str
    fit: Fit


#: All methods by a short key.
METHODS: dict[str, Method] = {}


def register(key: str, name: str, needs: str, form: str, aim: str) -> Callable[[F], F]:
    """Decorator: enter a function as a method.

    Args:
        key: Short name by which cells ask for it.
        name: As in :class:`Method`, like the rest.
        needs: What must be known about annotators.
        form: Kind of labels.
        aim: What it would reach with endless data.

    Raises:
        ValueError: a key that is taken, or an unknown form or aim.
    """
    if key in METHODS:
        raise ValueError(f"key is {key!r}, which is {METHODS[key].name!r} already; choose another")
    for what, value, known in (("form", form, FORMS), ("aim", aim, AIMS)):
        if value not in known:
            raise ValueError(f"{what} is {value!r}; it must be one of {', '.join(known)}")

    def enter(fit: F) -> F:
        METHODS[key] = Method(name, needs, form, aim, fit)
        return fit

    return enter


@register("uniform", "do nothing", "nothing", "none", "none")
def uniform(labels: LabelSet) -> Result:
    """The reference policy: what doing nothing costs."""
    n = labels.world.responses
    return Result(np.full(n, 1 / n), 0, 0, 0)
