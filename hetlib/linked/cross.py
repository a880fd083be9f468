"""What labels by one person on *different* pairs say about the variance.

Reward differences add up around a triangle: d(i, j) = d(i, k) + d(k, j). So Var d(i, j) is the
covariance of d(i, j) with d(i, k) plus that with d(k, j), and nobody has to label a pair twice.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from hetlib import checks
from hetlib.checks import Array
from hetlib.core.labels import Linked
from hetlib.core.population import Population


def cross_covariance(population: Population) -> Array:
    """Covariance over types of two choice probabilities.

    Returns:
        C[i, j, k, l] = Cov_u(Pr(y_i beats y_j | u), Pr(y_k beats y_l | u)).
    """
    p = population.pairwise_by_type()
    centred = p - population.pairwise()
    return np.einsum("u,uij,ukl->ijkl", population.weights, centred, centred)


def tabular_cross_covariance(data: Linked, responses: int) -> tuple[Array, Array]:
    """The same from linked labels, without a model, for pairs that one person labelled both.

    Returns:
        Covariances, shape (responses,) * 4, and the number of linked pairs behind each.
        Covariances that no linked pair informs are 0; look at the number.

    Raises:
        ValueError: indices that are no response.
    """
    data.check(responses)
    shape = (responses,) * 4
    asked, both, first = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for a, b in combinations(range(data.y1.shape[1]), 2):
        for one, two in ((a, b), (b, a)):
            for flip in (False, True):
                for turn in (False, True):
                    ends = [data.y1[:, one], data.y2[:, one]][:: -1 if flip else 1]
                    others = [data.y1[:, two], data.y2[:, two]][:: -1 if turn else 1]
                    o = data.votes[:, one] ^ flip
                    other = data.votes[:, two] ^ turn
                    cell = (ends[1], ends[0], others[1], others[0])
                    np.add.at(asked, cell, 1.0)
                    np.add.at(both, cell, o * other)
                    np.add.at(first, cell, o)
    seen = np.maximum(asked, 1)
    second = first.transpose(2, 3, 0, 1)
    return both / seen - first / seen * second / seen, asked


def triangle_variance(covariance: Array, reward: ArrayLike, asked: Array | None = None) -> Array:
    """V from covariances across the two other sides of each triangle, averaged over triangles.

    Args:
        covariance: From this module, shape (responses,) * 4.
        reward: The average reward, or a stand-in, shape (responses,).
        asked: Linked pairs behind each covariance; triangles with none are left out.

    Returns:
        V[i, j], clamped at zero, shape (responses, responses).

    Raises:
        ValueError: fewer than three responses, or a pair in no observed triangle.
    """
    r = checks.array("reward", reward, 1)
    n = len(r)
    if n < 3 or covariance.shape != (n,) * 4:
        raise ValueError(
            f"covariance has shape {covariance.shape}; with {n} rewards it must be "
            f"{(n,) * 4}, and a triangle needs 3 responses"
        )
    steep = 1 / (2 + 2 * np.cosh(r[:, None] - r[None, :]))  # sigma'
    C = covariance / (steep[:, :, None, None] * steep[None, None])
    V = np.zeros((n, n))
    for i, j in combinations(range(n), 2):
        third = [k for k in range(n) if k not in (i, j)]
        if asked is not None:
            third = [k for k in third if asked[i, j, i, k] and asked[i, j, k, j]]
        if not third:
            raise ValueError(f"no triangle with responses {i} and {j} was labelled by one person")
        V[i, j] = V[j, i] = np.mean([C[i, j, i, k] + C[i, j, k, j] for k in third])
    return np.maximum(V, 0.0)
