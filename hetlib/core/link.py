"""Preference models: from a difference of rewards to the probability of a choice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import expit, ndtr

from hetlib.checks import Array

#: Preference models by name; each turns a reward difference into the probability of a choice.
LINKS: dict[str, Callable[[Array], Array]] = {
    "logistic": expit,  # Bradley-Terry
    "probit": ndtr,  # Thurstone, case V
    "cauchit": lambda z: 0.5 + np.arctan(z) / np.pi,  # heavy tails
}
