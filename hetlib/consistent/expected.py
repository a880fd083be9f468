"""One vote of every type on each pair (Section 6): probabilities and expected losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from hetlib import checks
from hetlib.checks import Array
from hetlib.core.labels import Bits
from hetlib.core.newton import PairLoss
from hetlib.extras import require

if TYPE_CHECKING:
    from torch import Tensor

    #: A loss of :mod:`hetlib.consistent.losses` of each comparison: (h, votes) to shape (batch,).
    VoteLoss = Callable[[Tensor, Tensor], Tensor]


def patterns(types: int) -> Bits:
    """All vote vectors o, in binary order: first nobody for y2, last everybody.

    Args:
        types: Number of user types, 1 to 16.

    Returns:
        Votes, shape (2^types, types); 1 is a vote for y2.

    Raises:
        ValueError: types is not an integer from 1 to 16.
    """
    if not isinstance(types, int) or not 1 <= types <= 16:
        raise ValueError(f"types is {types!r}; it must be an integer from 1 to 16")
    codes = np.arange(2**types)[:, None] >> np.arange(types)[::-1]
    return (codes & 1).astype(np.int8)


def probabilities(z: ArrayLike, votes: ArrayLike | None = None) -> Array:
    """chi_o(z), Lemma C.2: the probability of each vote vector.

    Args:
        z: Probability that each type prefers y2, shape (types, ...).
        votes: Vote vectors, shape (vectors, types); all of :func:`patterns` if None.

    Returns:
        prod_u z_u^{o_u} (1 - z_u)^{1 - o_u}, shape (vectors, ...).

    Raises:
        ValueError: z has no axis or an entry outside [0, 1], or votes do not fit.
    """
    p = np.asarray(z, dtype=np.float64)
    if p.ndim == 0 or p.size == 0 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError("z must have shape (types, ...) and entries in [0, 1]")
    o = patterns(len(p)) if votes is None else np.asarray(votes)
    if o.ndim != 2 or o.shape[1] != len(p) or not np.isin(o, (0, 1)).all():
        raise ValueError(f"votes must be 0 or 1, of shape (vectors, {len(p)}), not {o.shape}")
    o = o.reshape(o.shape + (1,) * (p.ndim - 1))
    out: Array = np.where(o == 1, p, 1 - p).prod(axis=1)
    return out


def expected_loss(loss: VoteLoss, probability: ArrayLike, votes: ArrayLike) -> PairLoss:
    """The expectation of a torch loss over the votes, for ``newton.minimise_pairwise``.

    The derivatives come from automatic differentiation: what is minimised is the loss
    itself, not a formula about it.

    Args:
        loss: Loss of each comparison, called with h (batch,) and votes (batch, types).
        probability: Probability, or count, of each vote vector on the ordered pair in which
            y2 is the row and y1 the column, shape (vectors, responses, responses).
        votes: The vote vectors, shape (vectors, types).

    Returns:
        A function of the margins H, H[i, j] = s_i - s_j, for ``newton.minimise_pairwise``.

    Raises:
        ValueError: probability is not of that shape, or negative somewhere.
    """
    require("torch")
    import torch

    w = checks.array("probability", probability, 3)
    o = np.asarray(votes)
    if w.shape[1] != w.shape[2] or o.ndim != 2 or len(o) != len(w) or (w < 0).any():
        raise ValueError(
            "probability must be non-negative, of shape (vectors, responses, responses), with "
            f"votes of shape (vectors, types); the shapes are {w.shape} and {o.shape}"
        )
    pairs = w.shape[1] ** 2
    weights = torch.from_numpy(w.reshape(len(w), pairs))
    every = torch.from_numpy(np.ascontiguousarray(o)).repeat_interleave(pairs, dim=0)

    def value(H: Array) -> tuple[Array, Array, Array]:
        h = torch.tensor(H.ravel(), dtype=torch.float64, requires_grad=True)
        total = (weights * loss(h.repeat(len(o)), every).reshape(len(o), pairs)).sum(dim=0)
        (slope,) = torch.autograd.grad(total.sum(), h, create_graph=True)
        (curve,) = torch.autograd.grad(slope.sum(), h)
        parts = (total.detach(), slope.detach(), curve)
        return tuple(part.numpy().reshape(H.shape) for part in parts)  # type: ignore[return-value]

    return value


def covariance(
    loss: VoteLoss, z: ArrayLike, reward: ArrayLike, sampling: ArrayLike | None = None
) -> Array:
    """Asymptotic covariance of the induced reward, times the number of pairs.

    The sandwich A^+ B A^+ of M-estimation: A is the expected second derivative of the loss
    and B the expected square of the first, at the population optimum.

    Args:
        loss: Loss of each comparison, called with h (batch,) and votes (batch, types).
        z: Probability that each type prefers i to j, shape (types, responses, responses).
        reward: The reward that the loss finds on an infinite sample, shape (responses,).
        sampling: Distribution D of each response, shape (responses,); uniform if None.

    Returns:
        Covariance of sqrt(n) (estimate - reward), both of mean zero over responses, shape
        (responses, responses).

    Raises:
        ValueError: shapes that do not fit, or an invalid distribution.
    """
    require("torch")
    import torch

    s = checks.array("reward", reward, 1)
    p = checks.array("z", z, 3)
    if p.shape[1:] != (len(s), len(s)):
        raise ValueError(f"z must have shape (types, {len(s)}, {len(s)}), not {p.shape}")
    D = checks.distribution("sampling", sampling, len(s), full_support=True)
    o = patterns(len(p))
    weight = probabilities(p, o) * np.outer(D, D)

    i, j = np.indices((len(s), len(s))).reshape(2, -1)
    h = torch.tensor(np.tile(s[i] - s[j], len(o)), requires_grad=True)
    every = torch.from_numpy(o).repeat_interleave(len(i), dim=0)
    (slope,) = torch.autograd.grad(loss(h, every).sum(), h, create_graph=True)
    (curve,) = torch.autograd.grad(slope.sum(), h)

    def quadratic(values: Array) -> Array:
        """Sum over pairs of values (e_i - e_j)(e_i - e_j)^T."""
        c = (weight * values.reshape(weight.shape)).sum(axis=0)
        c = c + c.T
        return np.diag(c.sum(axis=1)) - c

    A = np.linalg.pinv(quadratic(curve.numpy()), rcond=1e-10, hermitian=True)
    B = quadratic(slope.detach().numpy() ** 2)
    return A @ B @ A
