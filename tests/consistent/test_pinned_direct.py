"""Direct losses where the equations just suffice, at other scales, and with a kink."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from hetlib import Population
from hetlib.consistent import direct, losses
from hetlib.core.newton import ConvergenceError

agreement = partial(losses.agreement, reduction="none")


def margin(p: Tensor, q: Tensor, p_ref: Tensor, q_ref: Tensor) -> Tensor:
    return torch.log(q / q_ref) - torch.log(p / p_ref)


def consistent(votes: Tensor, *at: Tensor) -> Tensor:
    return agreement(margin(*at), votes)


def difference(p: Tensor, q: Tensor) -> Tensor:
    """One antisymmetric function."""
    return (q - p)[None]


def four(p: Tensor, q: Tensor) -> Tensor:
    """Of one type four members are stationary: q - p, the DPO loss, and two that sum to zero."""
    h = torch.log(q / p)
    return torch.stack([q - p, p**2 + q, logsigmoid(h), logsigmoid(-h)])


def people(count: int, responses: int, types: int = 1) -> tuple[list[Population], list[Any]]:
    rng = np.random.default_rng(responses)
    made = [Population(rng.normal(size=(types, responses))) for _ in range(count)]
    return made, [rng.dirichlet(np.full(responses, 3.0)) for _ in made]


@pytest.mark.parametrize("defaults", [True, False])
@pytest.mark.parametrize("types", [1, 3])
def test_the_optimum_of_four_responses(types: int, defaults: bool) -> None:
    p = Population(np.random.default_rng(types).normal(size=(types, 4)))
    reference = None if defaults else np.array([0.1, 0.4, 0.3, 0.2])
    sampling = None if defaults else [0.4, 0.1, 0.2, 0.3]
    found = direct.direct_optimum(consistent, p, sampling, reference)
    assert found.sum() == pytest.approx(1, abs=1e-14)
    np.testing.assert_allclose(found, p.optimal_policy(reference), atol=1e-7)


def test_a_loss_sees_the_vote_the_policy_and_the_reference_of_either_response() -> None:
    """Here each pair's share and its vote come back as the coefficient of log pi(y2)."""
    z = 1 / (1 + np.exp(-1.5))  # how often the first response is preferred
    D, reference = np.array([0.3, 0.7]), np.array([0.9, 0.1])

    def gains(votes: Tensor, p: Tensor, q: Tensor, p_ref: Tensor, q_ref: Tensor) -> Tensor:
        return -torch.where(votes[:, 0] == 1, torch.log(q) / q_ref, torch.log(p) / p_ref)

    found = direct.direct_optimum(gains, Population([[1.5, 0.0]]), D, reference)
    # pairs of a response with itself, then the two ordered pairs of different ones
    score = np.array([D[0] ** 2 + 2 * D[0] * D[1] * z, D[1] ** 2 + 2 * D[0] * D[1] * (1 - z)])
    score /= reference
    np.testing.assert_allclose(found, score / score.sum(), atol=1e-8)


def test_a_loss_with_a_kink_at_its_minimum_is_refused() -> None:
    """The slope is never small there: about a half on either side."""

    def kinked(votes: Tensor, *at: Tensor) -> Tensor:
        return abs(torch.where(votes.all(dim=1), margin(*at), -margin(*at)) - 1)

    with pytest.raises(ConvergenceError, match=r"the optimiser ends at a gradient of \d\.\de"):
        direct.direct_optimum(kinked, Population([[30.0, 0.0], [30.0, 0.0]]))


def test_as_many_equations_as_coefficients_are_enough() -> None:
    """Three responses give two equations for one function on the two votes of a type."""
    made, draws = people(1, 3)
    C = direct.stationary_losses(difference, made, draws)
    assert C.shape == (1, 2, 1)
    np.testing.assert_allclose(abs(C[0, :, 0]), 0.5**0.5)
    assert C[0, 0, 0] == pytest.approx(C[0, 1, 0])
    few, share = people(1, 2)
    with pytest.raises(ValueError, match=r"populations give 1 equations; 2 are needed"):
        direct.stationary_losses(difference, few, share)


@pytest.mark.parametrize("scale", [2.0**-25, 1.0, 2.0**25])
def test_the_unit_of_the_functions_does_not_matter(scale: float) -> None:
    made, draws = people(8, 3)
    C = direct.stationary_losses(lambda p, q: scale * four(p, q), made, draws)
    assert C.shape == (4, 2, 4)
    np.testing.assert_allclose(np.einsum("avf,bvf->ab", C, C), np.eye(4), atol=1e-12)
    votes_0_and_1 = (
        [[1, 0, 0, 0], [1, 0, 0, 0]],
        [[0, 0, 0, 1], [0, 0, 1, 0]],
        [[0, 0, 0, -1], [0, 0, 1, 0]],
        [[0, 0, -1, 0], [0, 0, 0, 1]],
    )
    for member in votes_0_and_1:
        wanted = np.array(member, dtype=float)
        inside = np.einsum("avf,vf,abg->bg", C, wanted, C)
        np.testing.assert_allclose(inside, wanted, atol=1e-7)


def test_the_tolerance_is_a_part_of_the_largest_singular_value() -> None:
    made, draws = people(8, 3)
    all_of_them = direct.stationary_losses(four, made, draws, tolerance=1.5)
    assert all_of_them.shape == (8, 2, 4)
    largest_is_left_out = direct.stationary_losses(four, made, draws, tolerance=1 - 1e-9)
    assert largest_is_left_out.shape == (7, 2, 4)
    assert len(direct.stationary_losses(four, made, draws, 1e-12)) == 4


def call(**given: Any) -> Callable[[], Any]:
    made, draws = people(8, 3)
    arguments: dict[str, Any] = {"functions": four, "populations": made, "samplings": draws}
    return lambda: direct.stationary_losses(**{**arguments, **given})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (call(tolerance=0), "tolerance is 0"),
        (call(tolerance=float("nan")), "tolerance is nan"),
        (call(populations=[], samplings=[]), r"populations have \[\] types; one number"),
        (
            call(populations=people(8, 3, 2)[0][:4] + people(8, 3)[0][:4]),
            r"populations have \[1, 2\] types; one number is allowed",
        ),
        (call(samplings=[[0.5, 0.5]] * 8), "sampling has 2 entries; 3 are needed"),
        (
            lambda: direct.direct_optimum(consistent, Population([[1.0, 0.0]] * 2, [0.4, 0.6])),
            r"population has weights \[0.4 0.6\]; equal ones are allowed",
        ),
        (
            lambda: direct.direct_optimum(
                consistent, Population([[1.0, 0.0]] * 2, [0.5 - 1e-12, 0.5 + 1e-12])
            ),
            "population has weights",
        ),
        (
            lambda: direct.direct_optimum(consistent, Population([[1.0, 0.0]]), None, [1.0]),
            "reference has 1 entries; 2 are needed",
        ),
    ],
)
def test_refusals_that_name_the_argument(wrong: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()


def test_weights_that_are_equal_but_for_rounding_are_allowed() -> None:
    thirds = Population(np.eye(3), [1 / 3, 1 / 3 + 2e-13, 1 / 3 - 2e-13])
    np.testing.assert_allclose(direct.direct_optimum(consistent, thirds), 1 / 3, atol=1e-7)
