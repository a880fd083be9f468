"""Direct losses on all ordered pairs and votes, against closed forms and Theorem 6.2."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from hetlib import Population, dpo_policy
from hetlib.consistent import direct, losses
from hetlib.core.newton import ConvergenceError

agreement = partial(losses.agreement, reduction="none")
PEOPLE = Population([[1.0, 0.0, -0.5], [0.2, 0.7, 0.0]])
D, REF = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.2, 0.6])


def margin(p: Tensor, q: Tensor, p_ref: Tensor, q_ref: Tensor) -> Tensor:
    return torch.log(q / q_ref) - torch.log(p / p_ref)


def test_proposition_6_1_finds_the_optimal_policy() -> None:
    found = direct.direct_optimum(lambda o, *at: agreement(margin(*at), o), PEOPLE, D, REF)
    np.testing.assert_allclose(found, PEOPLE.optimal_policy(REF), atol=1e-7)


def test_dpo_on_all_votes_finds_the_policy_of_the_borda_count() -> None:
    """A loss of another kind, with the exact solver of another room as the answer."""

    def dpo(o: Tensor, *at: Tensor) -> Tensor:
        h = margin(*at)
        first, second = (losses.dpo(h, o[:, u], reduction="none") for u in range(2))
        return (first + second) / 2

    found = direct.direct_optimum(dpo, PEOPLE, D, REF)
    np.testing.assert_allclose(found, dpo_policy(PEOPLE.pairwise(), D, REF), atol=1e-7)
    assert abs(found - PEOPLE.optimal_policy(REF)).max() > 1e-3


def test_a_loss_without_a_minimum_is_named() -> None:
    """Everybody prefers the first response almost surely; the lower its probability the better."""

    def downwards(o: Tensor, *at: Tensor) -> Tensor:
        return margin(*at) * (2 * o.to(torch.float64).mean(dim=1) - 1)

    with pytest.raises(ConvergenceError, match="gradient"):
        direct.direct_optimum(downwards, Population([[30.0, 0.0], [30.0, 0.0]]))


def family(p: Tensor, q: Tensor, types: int = 2) -> Tensor:
    h = types * torch.log(q / p)
    return torch.stack([p, q, p * q, logsigmoid(h), logsigmoid(-h)])


@pytest.mark.parametrize("sampled", [True, False])
def test_what_is_stationary_everywhere(sampled: bool) -> None:
    """Antisymmetric terms and Proposition 6.1; under one distribution p + q and p q as well."""
    rng = np.random.default_rng(3)
    people = [Population(rng.normal(size=(2, 3))) for _ in range(20)]
    draws = [rng.dirichlet(np.full(3, 2.0)) if sampled else np.full(3, 1 / 3) for _ in people]
    C = direct.stationary_losses(family, people, draws)
    assert C.shape == (10 + 1 + (0 if sampled else 2), 4, 5)
    symmetric = C + C[:, ::-1][:, :, [1, 0, 2, 4, 3]]
    if sampled:
        assert abs(symmetric[:, 1:-1]).max() < 1e-8
        assert abs(symmetric[:, -1, :3]).max() < 1e-8 < abs(symmetric[:, -1, 3]).max()
    else:
        assert abs(symmetric[:, 1:-1]).max() > 1e-2


def test_refusals() -> None:
    def loss(o: Tensor, *at: Tensor) -> Tensor:
        return agreement(margin(*at), o)

    uneven = Population([[1.0, 0.0], [0.0, 1.0]], [0.3, 0.7])
    with pytest.raises(ValueError, match="population has weights"):
        direct.direct_optimum(loss, uneven)
    with pytest.raises(ValueError, match="sampling"):
        direct.direct_optimum(loss, PEOPLE, [0.5, 0.5])
    with pytest.raises(ValueError, match="equations"):
        direct.stationary_losses(family, [PEOPLE], [D])
    with pytest.raises(ValueError, match="types"):
        direct.stationary_losses(family, [PEOPLE, Population([[1.0, 0.0, 2.0]])], [D, D])
    with pytest.raises(ValueError, match="types"):
        direct.stationary_losses(family, [], [])
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        direct.stationary_losses(family, [PEOPLE] * 20, [D] * 19)
    with pytest.raises(ValueError, match="sampling"):
        direct.stationary_losses(family, [PEOPLE] * 20, [[0.5, 0.5, 0.0]] * 20)
    for given in ([0.5, 0.5, 0.0], REF):
        with pytest.raises(ValueError, match="sampling" if given is not REF else "reference"):
            direct.direct_optimum(loss, PEOPLE, given, [0.5, 0.5, 0.0])


def test_four_responses_give_three_equations_each() -> None:
    """Seven populations of four responses are 21 equations for 20 coefficients; six are 18."""
    rng = np.random.default_rng(8)
    people = [Population(rng.normal(size=(2, 4))) for _ in range(7)]
    draws = [rng.dirichlet(np.full(4, 2.0)) for _ in people]
    with pytest.raises(ValueError, match="18 equations; 20"):
        direct.stationary_losses(family, people[:6], draws[:6])
    assert len(direct.stationary_losses(family, people, draws)) == 11
