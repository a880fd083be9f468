"""Calls at the edge of what numbers can hold: a right finite answer, or a refusal by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from scipy.special import expit, logit

from hetlib import average_reward_bounds
from hetlib.core.labels import Linked
from hetlib.core.population import Population
from hetlib.linked.bounds import (
    bounds_from_counts,
    certified_ranking,
    choice_moments,
    confidence_box,
    majority_needed,
    tighten,
)
from hetlib.linked.corrected import Correction, corrected_optima, detached_reward
from hetlib.linked.moments import (
    JointMoments,
    exact_moments,
    tabular_moments,
    variance_from_moments,
)

KINDS = [np.float32, np.float64]


def _as(kind: type, *values: float | list[float]) -> list[Any]:
    """Values as arrays of one type, of one axis at least."""
    return [np.atleast_1d(np.asarray(value, kind)) for value in values]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("margin", [0.0, -3.0, 20.0, -30.0])
def test_the_variance_agrees_with_extended_precision(kind: type, margin: float) -> None:
    J1, J2, h = _as(kind, 0.375, 0.125, margin)
    a, b, x = (np.longdouble(value[0]) for value in (J1, J2, h))
    truth = float((a - (a + b) ** 2) * (2 + 2 * np.cosh(x)) ** 2)
    tol = float(64 * np.finfo(kind).eps)
    np.testing.assert_allclose(variance_from_moments(J1, J2, h), truth, rtol=tol)
    tensors = (torch.tensor(v) for v in (J1, J2, h))
    np.testing.assert_allclose(variance_from_moments(*tensors).numpy(), truth, rtol=tol)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("margin", [50.0, -100.0, 800.0])
def test_no_disagreement_is_no_variance_at_any_margin(kind: type, margin: float) -> None:
    J, h = _as(kind, 0.25, margin)
    assert variance_from_moments(J, J, h) == 0
    x = torch.tensor(h, requires_grad=True)
    V = variance_from_moments(torch.tensor(J), torch.tensor(J), x)
    V.sum().backward()
    assert V.item() == 0
    assert x.grad is not None
    assert x.grad.item() == 0


@pytest.mark.parametrize("reward", [[800.0, 0.0], [0.0, 50.0], [1.0, 0.0]])
@pytest.mark.parametrize("utility", [0.3, 1.0, 2.7, -4.0])
def test_one_type_has_no_variance(utility: float, reward: list[float]) -> None:
    moments = exact_moments(Population([[utility, 0]]))
    assert (moments.variance(reward) == 0).all()


@pytest.mark.parametrize(("kind", "margin"), [(np.float32, 50.0), (np.float64, 800.0)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_variance_too_large_for_its_type_is_refused(kind: type, margin: float, sign: int) -> None:
    J1, J2, h = _as(kind, [0.25, 0.375], [0.25, 0.125], [margin, sign * margin])
    for arguments in ((J1, J2, h), tuple(torch.tensor(v) for v in (J1, J2, h))):
        with pytest.raises(ValueError, match=r"margin\[1\] gives no finite variance"):
            variance_from_moments(*arguments)


@pytest.mark.parametrize("which", range(3))
def test_moments_and_margins_that_are_no_numbers_are_refused(which: int) -> None:
    values = [np.array([0.375]), np.array([0.125]), np.array([1.0])]
    values[which] = np.array([np.nan])
    for arguments in (values, [torch.tensor(v) for v in values]):
        with pytest.raises(ValueError, match="must be finite"):
            variance_from_moments(*arguments)


TWICE = Linked(np.array([[0, 0]]), np.array([[1, 1]]), np.array([[1, 0]], np.int8))
V2 = np.array([[0, 0.1], [0.1, 0]])
P2 = np.array([[0.5, 0.7], [0.3, 0.5]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Correction(1e9, variance=V2), "alpha is 1e[+]09; at most 1000"),
        (lambda: Correction(1e308, variance=V2), "alpha is 1e[+]308; at most 1000"),
        (lambda: Correction(np.nan, variance=V2), "alpha is nan"),
        (lambda: corrected_optima(P2, Correction(variance=V2), random_starts=-1), "random_starts"),
        (lambda: average_reward_bounds([0.6], np.inf), "reward_bound is inf"),
        (lambda: average_reward_bounds([0.6], 31), "reward_bound is 31"),
        (lambda: average_reward_bounds([0.6], 5e-324), "reward_bound is 4.94066e-324"),
        (lambda: average_reward_bounds([0.5], 1e-9), "reward_bound is 1e-09"),
        (lambda: bounds_from_counts([5, 3, 5], 1e308), "reward_bound is 1e[+]308"),
        (lambda: bounds_from_counts([5, 5], 2, level=np.nan), "level is nan"),
        (lambda: bounds_from_counts([5, 5], 2, pairs=np.nan), "pairs is nan"),  # type: ignore[arg-type]
        (lambda: bounds_from_counts([5, 5], 2, pairs=np.inf), "pairs is inf"),  # type: ignore[arg-type]
        (lambda: confidence_box([1, 1e308]), r"counts\[1\] is 1e[+]308"),
        (lambda: majority_needed(1e308), "reward_bound is 1e[+]308"),
        (lambda: majority_needed(1e-9), "reward_bound is 1e-09"),
        (lambda: majority_needed(-1), "reward_bound is -1"),
        (lambda: tighten([[0, -1], [-1, 0]]), "no average reward fits upper"),
        (lambda: choice_moments(Population([[1, 0]]), 2.5), "labels is 2.5"),  # type: ignore[arg-type]
        (
            lambda: JointMoments(
                np.array([[0.25, -1], [1.25, 0.25]]), np.array([[0.25, 0.375], [0.375, 0.25]])
            ),
            r"J1\[0, 1\] is -1.0; probabilities",
        ),
        (lambda: tabular_moments(TWICE, 2, prior=np.inf), "prior is inf"),
        (lambda: detached_reward(P2, 1.0, V2, max_steps=0), "max_steps is 0"),
        (lambda: certified_ranking([[0.5, 1], [0, 0.5]], 2), r"moments\[0\] is 0"),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(("p", "v"), [(0.9, 3e-3), (0.995, 1e-6), (1 - 1e-5, 1e-12)])
def test_the_detached_fixed_point_solves_the_scalar_equation(p: float, v: float) -> None:
    """Two responses: sigma(h) - v sinh h = p, on the branch that starts at logit p."""
    h = brentq(lambda x: expit(x) - v * np.sinh(x) - p, logit(p), logit(p) + 0.5, xtol=1e-13)
    reward = detached_reward([[0.5, p], [1 - p, 0.5]], 1.0, [[0, v], [v, 0]])
    np.testing.assert_allclose(reward[0] - reward[1], h, rtol=1e-5)


@pytest.mark.filterwarnings("error")
def test_wide_bounds_are_kept() -> None:
    assert tighten([[0, 1e308], [1e308, 0]]).upper.tolist() == [[0, 1e308], [1e308, 0]]
    assert certified_ranking([[0.5]], 2).upper.tolist() == [[0.0]]
