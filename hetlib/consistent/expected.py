"""One vote of every type on each pair (Section 6): probabilities, and losses of counts.

A loss of counts takes how often something was observed, an array whose last two axes are
(responses, responses), and returns a :data:`hetlib.core.newton.PairLoss`. DPO's and IPO's are in
:mod:`hetlib.borda.optima`, the corrected one in :mod:`hetlib.linked.corrected`; the same losses
of single comparisons, in torch, in :mod:`hetlib.consistent.losses`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from hetlib import checks
from hetlib.checks import Array
from hetlib.core.labels import Bits
from hetlib.core.newton import PairLoss
from hetlib.extras import require

if TYPE_CHECKING:
    from torch import Tensor

    #: A loss of :mod:`hetlib.consistent.losses` of each comparison: (h, votes) to shape (batch,).
    VoteLoss = Callable[[Tensor, Tensor], Tensor]

#: Terms of the series in :func:`tail_integral`: each is at most half the one before.
_TERMS = 60


def patterns(types: int) -> Bits:
    """All vote vectors o, in binary order: first nobody for y2, last everybody.

    Args:
        types: Number of user types, 1 to 16.

    Returns:
        Votes, shape (2^types, types); 1 is a vote for y2.

    Raises:
        ValueError: types is not a whole number from 1 to 16.
    """
    if not 1 <= (count := checks.whole("types", types)) <= 16:
        raise ValueError(f"types is {types}; 1 to 16 is allowed")
    codes = np.arange(2**count)[:, None] >> np.arange(count)[::-1]
    return (codes & 1).astype(np.int8)


def chances(z: ArrayLike, types: int | None = None) -> Array:
    """Probabilities that a label of each type prefers y2, checked: shape (types, ...).

    Raises:
        ValueError: no row, another number of rows than ``types``, or an entry outside [0, 1].
    """
    shape = f"({types or 'types'}, ...)"
    try:
        p = np.asarray(z, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"z must hold numbers, of shape {shape}") from error
    if p.ndim == 0 or p.size == 0 or len(p) != (types or len(p)):
        raise ValueError(f"z must have shape {shape} and not be empty, not {p.shape}")
    if (bad := ~((p >= 0) & (p <= 1))).any():
        where = tuple(int(k) for k in np.argwhere(bad)[0])
        raise ValueError(f"z{list(where)} is {p[where]}; entries in [0, 1] are allowed")
    return p


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
    p = chances(z)
    o = patterns(len(p)) if votes is None else np.asarray(votes)
    if o.ndim != 2 or o.shape[1] != len(p) or not np.isin(o, (0, 1)).all():
        raise ValueError(f"votes must be 0 or 1, of shape (vectors, {len(p)}), not {o.shape}")
    o = o.reshape(o.shape + (1,) * (p.ndim - 1))
    return np.asarray(np.where(o == 1, p, 1 - p).prod(axis=1))


def agreement_loss(unanimous: Array, types: int) -> PairLoss:
    """The consistent loss of Proposition 6.1: logistic, at temperature ``1 / |U|``.

    Args:
        unanimous: How often every type preferred y_i to y_j.
        types: Number of types ``|U|``.
    """
    k = _at_least_one(types)

    def loss(H: Array) -> tuple[Array, Array, Array]:
        lost = unanimous * k * expit(-k * H)
        return unanimous * np.logaddexp(0, -k * H), -lost, k * lost * expit(k * H)

    return loss


def shifted_agreement_loss(second: Array, first: Array, types: int) -> PairLoss:
    """Proposition 6.1 as the released code has it: ``sigma(|U| (1 - h))``.

    Here the order matters in which a pair was shown.

    Args:
        second: How often every type preferred y_i to y_j where y_i was shown second.
        first: The same where y_i was shown first.
        types: Number of types ``|U|``.
    """
    proper = agreement_loss(second, types)
    slipped = agreement_loss(first, types)

    def loss(H: Array) -> tuple[Array, Array, Array]:
        # y_i first and preferred: h = -H, so the argument |U| (1 - h) is |U| (1 + H)
        value, slope, curve = (a + b for a, b in zip(proper(H), slipped(1 + H), strict=True))
        return value, slope, curve

    return loss


def tail_integral(h: Any, types: int, xp: Any = np) -> Any:
    r"""-I(sigma(h)) of Proposition B.3 in closed form, for every number of types K.

    With v = 1/t - 1 the integral becomes, for q = exp(-h),

        -I(sigma(h)) = int_0^q v^K / (1 + v)^2 dv
                     = K [(-1)^{K-1} log(1+q) + sum_{j=1}^{K-1} (-1)^{K-1-j} q^j / j]
                       - q^K / (1+q).

    For h >= 0 the sum cancels; there the same number is q^{K-1} s^2 / (K+1) times the
    hypergeometric series sum_n (2)_n / (K+2)_n s^n with s = sigma(-h) <= 1/2, whose terms
    are all positive.

    Args:
        h: Margin, float64, any shape. The value grows like exp(-(K-1) h).
        types: The number of types K >= 1.
        xp: The library of ``h``: NumPy, or torch.

    Returns:
        -I(sigma(h)) >= 0, the shape of h.

    Raises:
        ValueError: types is not a positive whole number.
    """
    K = _at_least_one(types)
    q = xp.exp(-xp.clip(h, 0.0, None))
    s = q / (1 + q)
    series = term = xp.ones_like(s)
    for n in range(_TERMS):
        term = term * s * ((2 + n) / (K + 2 + n))
        series = series + term
    right = q ** (K - 1) * s**2 * series / (K + 1)

    g = xp.clip(h, None, 0.0)
    left = (-1.0) ** (K - 1) * (xp.log1p(xp.exp(g)) - g)
    for j in range(1, K):
        left = left + (-1.0) ** (K - 1 - j) * xp.exp(-j * g) / j
    # q^K / (1 + q) = q^{K-1} sigma(-h)
    left = K * left - xp.exp(-(K - 1) * g) / (1 + xp.exp(g))
    return xp.where(h >= 0, right, left)


def integral_loss(unanimous: Array, types: int) -> PairLoss:
    """The consistent loss of Proposition B.3.

    Args:
        unanimous: How often every type preferred y_i to y_j.
        types: Number of types ``|U|``.
    """
    k = _at_least_one(types)

    def loss(H: Array) -> tuple[Array, Array, Array]:
        h = np.clip(H, -600 / k, 600 / k)  # the loss grows like exp((|U| - 1) |h|)
        q, flat, decay = expit(h), expit(h) * expit(-h), np.exp(-k * h)
        slope = -flat * (1 + decay)
        curve = flat * (np.tanh(h / 2) * (1 + decay) + k * decay)  # 2 q - 1 = tanh(h / 2)
        return unanimous * (tail_integral(h, k) - q), unanimous * slope, unanimous * curve

    return loss


def _at_least_one(types: int) -> int:
    if (count := checks.whole("types", types)) < 1:
        raise ValueError(f"types is {types}; at least one is needed")
    return count


def expected_loss(loss: VoteLoss, probability: ArrayLike, votes: ArrayLike) -> PairLoss:
    """The expectation of a torch loss over the votes.

    The derivatives come from automatic differentiation: what is minimised is the loss
    itself, not a formula about it.

    Args:
        loss: Loss of each comparison, called with h (batch,) and votes (batch, types).
        probability: Probability, or count, of each vote vector on the ordered pair in which
            y2 is the row and y1 the column, shape (vectors, responses, responses).
        votes: The vote vectors, shape (vectors, types).

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
