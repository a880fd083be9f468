"""Preference models: from a difference of rewards to the probability of a choice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri

from hetlib.checks import Array


@dataclass(frozen=True)
class Link:
    """A preference model sigma; calling it is calling ``cdf``.

    Attributes:
        name: Its key in :data:`LINKS`.
        cdf: Probability of choosing the response that is better by a difference.
        inverse: The difference at a probability.
        slope: Derivative of ``cdf`` at zero.
    """

    name: str
    cdf: Callable[[Array], Array]
    inverse: Callable[[Array], Array]
    slope: float

    def __call__(self, difference: Array) -> Array:
        """Probability of choosing the response that is better by ``difference``."""
        return self.cdf(difference)


#: Preference models by name.
LINKS = {
    link.name: link
    for link in (
        Link("logistic", expit, logit, 1 / 4),  # Bradley-Terry
        Link("probit", ndtr, ndtri, 1 / np.sqrt(2 * np.pi)),  # Thurstone, case V
        Link(  # heavy tails
            "cauchit",
            lambda z: 0.5 + np.arctan(z) / np.pi,
            lambda p: np.tan(np.pi * (p - 0.5)),
            1 / np.pi,
        ),
    )
}
