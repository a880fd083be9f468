"""Preference models: from a difference of rewards to the probability of a choice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, log_expit, log_ndtr, logit, ndtr, ndtri

from hetlib.checks import Array

Function = Callable[[Array], Array]


@dataclass(frozen=True)
class Link:
    """A preference model sigma; calling it is calling ``cdf``.

    A link of one's own is entered by ``LINKS["mine"] = Link("mine", ...)``: whatever takes the
    name of a link takes it then, and the property tests of all links run for it.

    Attributes:
        name: Its key in :data:`LINKS`.
        cdf: Probability of choosing the response that is better by a difference; increasing,
            with cdf(z) + cdf(-z) = 1.
        inverse: The difference at a probability.
        log_cdf: Log-likelihood of such a choice, log cdf, without loss of digits in the tail.
        score: Derivative of ``log_cdf``.
        curvature: Second derivative of ``log_cdf``; negative where the loss is convex.
    """

    name: str
    cdf: Function
    inverse: Function
    log_cdf: Function
    score: Function
    curvature: Function

    def __call__(self, difference: ArrayLike) -> Array:
        """Probability of choosing the response that is better by ``difference``."""
        return self.cdf(np.asarray(difference, dtype=np.float64))

    def density(self, difference: ArrayLike) -> Array:
        """Derivative of ``cdf``."""
        z = np.asarray(difference, dtype=np.float64)
        return np.asarray(self.score(z) * self.cdf(z))

    @property
    def slope(self) -> float:
        """Derivative of ``cdf`` at zero."""
        return float(self.density(0.0))


def _mills(z: Array) -> Array:
    """Normal density over normal distribution function."""
    return np.asarray(np.exp(-(z**2) / 2 - log_ndtr(z)) / np.sqrt(2 * np.pi))


def _cauchy(z: Array) -> Array:
    return np.asarray(np.arctan2(1.0, -z) / np.pi)  # 1/2 + arctan(z)/pi, exact in the tail


def _cauchy_score(z: Array) -> Array:
    return np.asarray(1 / (np.pi * (1 + z**2) * _cauchy(z)))


#: Preference models by name.
LINKS = {
    link.name: link
    for link in (
        Link(  # Bradley-Terry
            "logistic",
            expit,
            logit,
            log_expit,
            lambda z: expit(-z),
            lambda z: -expit(z) * expit(-z),
        ),
        Link(  # Thurstone, case V
            "probit", ndtr, ndtri, log_ndtr, _mills, lambda z: -_mills(z) * (z + _mills(z))
        ),
        Link(  # heavy tails; its loss is not convex
            "cauchit",
            _cauchy,
            lambda p: np.tan(np.pi * (p - 0.5)),
            lambda z: np.log(_cauchy(z)),
            _cauchy_score,
            lambda z: -_cauchy_score(z) * (2 * z / (1 + z**2) + _cauchy_score(z)),
        ),
    )
}


def find(name: str) -> Link:
    """The link of a name; a ValueError that lists those that are known if there is none."""
    if name not in LINKS:
        raise ValueError(f"link is {name!r}; known links are {', '.join(sorted(LINKS))}")
    return LINKS[name]
