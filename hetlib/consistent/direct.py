"""Direct losses as a whole: on all ordered pairs and all votes (Theorem 6.2).

A direct loss sees the responses through the policy and the reference alone. It takes the votes
(batch, types) and, each of shape (batch,), p and q, the policy at y1 and y2, and the reference
at y1 and y2; it returns the loss of each comparison. Nothing here uses the margin or looks at a
pair by itself, which is what the theorem derives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize

from hetlib import checks
from hetlib.checks import Array
from hetlib.consistent.expected import patterns, probabilities
from hetlib.core.newton import ConvergenceError
from hetlib.core.population import Population
from hetlib.extras import require

require("torch")
import torch
from torch import Tensor

#: (votes, p, q, reference at y1, reference at y2) to the loss of each comparison.
DirectLoss = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


def direct_optimum(
    loss: DirectLoss,
    population: Population,
    sampling: ArrayLike | None = None,
    reference: ArrayLike | None = None,
) -> Array:
    """The policy that a direct loss finds on an infinite sample, by a general optimiser.

    Args:
        loss: Direct loss, differentiable in p and q.
        population: Types of equal mass; each votes once on every pair.
        sampling: Distribution D of each response, shape (responses,); uniform if None.
        reference: Reference policy, shape (responses,), full support; uniform if None.

    Returns:
        The minimiser found from the reference on, shape (responses,).

    Raises:
        ValueError: types of unequal mass, or an invalid distribution.
        ConvergenceError: the gradient does not become small.
    """
    if np.ptp(population.weights) > 1e-12:
        raise ValueError(f"population has weights {population.weights}; equal ones are allowed")
    n = population.responses
    D = torch.from_numpy(checks.distribution("sampling", sampling, n, full_support=True))
    ref = torch.from_numpy(checks.distribution("reference", reference, n, full_support=True))
    o = torch.from_numpy(patterns(population.types))
    weight = torch.from_numpy(probabilities(population.pairwise_by_type()))  # rows are y2
    weight = (weight * torch.outer(D, D)).ravel()
    votes = o.repeat_interleave(n * n, dim=0)

    def pairs(values: Tensor) -> tuple[Tensor, Tensor]:
        both = values[None, :].expand(n, n), values[:, None].expand(n, n)  # at y1 and y2
        first, second = (v.ravel().repeat(len(o)) for v in both)
        return first, second

    def value_and_slope(logits: Array) -> tuple[float, Array]:
        free = torch.tensor(logits, requires_grad=True)
        total = (weight * loss(votes, *pairs(torch.softmax(free, dim=0)), *pairs(ref))).sum()
        (slope,) = torch.autograd.grad(total, free)
        return total.item(), slope.numpy()

    start = np.log(ref.numpy())
    found = minimize(value_and_slope, start, jac=True, method="BFGS", options={"gtol": 1e-9})
    if not abs(found.jac).max() < 1e-6:
        raise ConvergenceError(f"the optimiser ends at a gradient of {abs(found.jac).max():.1e}")
    policy: Array = torch.softmax(torch.from_numpy(found.x), dim=0).numpy()
    return policy


def stationary_losses(
    functions: Callable[[Tensor, Tensor], Tensor],
    populations: Iterable[Population],
    samplings: Iterable[ArrayLike],
    tolerance: float = 1e-12,
) -> Array:
    """Which combinations of given functions have a stationary expected loss at every pi*.

    On each vector of votes a loss may be any combination of the functions. The slope of its
    expectation at pi*, in the directions in which a policy can move, is linear in the
    coefficients; those for which all slopes vanish are a null space.

    Args:
        functions: From p and q of one shape to the values of all functions, shape
            (functions, ...); independent of each other. The reference is uniform.
        populations: Populations of equally many types and of three or more responses.
        samplings: A distribution D for each population, shape (responses,).
        tolerance: Singular values below this part of the largest one count as zero.

    Returns:
        A basis, shape (members, 2^types, functions); votes as in
        :func:`hetlib.consistent.expected.patterns`.

    Raises:
        ValueError: no population, other numbers of types, or too few equations.
    """
    level, rows = checks.positive("tolerance", tolerance), []
    types = set()
    for people, sampling in zip(populations, samplings, strict=True):
        types.add(people.types)
        n = people.responses
        D = torch.from_numpy(checks.distribution("sampling", sampling, n, full_support=True))
        chi = torch.from_numpy(probabilities(people.pairwise_by_type()))  # rows are y2

        def means(policy: Tensor, chi: Tensor = chi, D: Tensor = D, n: int = n) -> Tensor:
            values = functions(policy[None, :].expand(n, n), policy[:, None].expand(n, n))
            return torch.einsum("oij,i,j,bij->ob", chi, D, D, values)

        pi = torch.from_numpy(people.optimal_policy())
        slope = torch.autograd.functional.jacobian(means, pi)  # type: ignore[no-untyped-call]
        rows += list(torch.movedim(slope[..., :-1] - slope[..., -1:], -1, 0))
    if len(types) != 1:
        raise ValueError(f"populations have {sorted(types)} types; one number is allowed")
    M = torch.stack(rows).flatten(start_dim=1).numpy()
    if len(M) < M.shape[1]:
        raise ValueError(f"populations give {len(M)} equations; {M.shape[1]} are needed")
    _, values, V = np.linalg.svd(M, full_matrices=False)
    return np.asarray(V[values < level * values[0]]).reshape(-1, *rows[0].shape)
