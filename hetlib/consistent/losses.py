"""Losses of direct alignment as functions of the margin h, in torch.

Every loss takes the margin of Eq. (15) from y1 to y2,

    h = beta log pi(y2) / pi_ref(y2) - beta log pi(y1) / pi_ref(y1),

shape (batch,), float32 or float64, and returns the mean over the batch, or with
``reduction="none"`` each loss, shape (batch,). For a reward model put r(y2) - r(y1) for h.

All are finite with finite gradients for ``|h|`` up to 1e4 in float32. A margin that is NaN is
refused; an infinite one has its limit in the logistic losses and is refused by the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from hetlib import checks
from hetlib.consistent import expected
from hetlib.consistent.label_counts import quota
from hetlib.extras import require

require("torch")
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def dpo(h: Tensor, preferred: Tensor, reduction: str = "mean") -> Tensor:
    """The DPO loss, Eq. (6): -log sigma(h) where y2 won, -log sigma(-h) where y1 did.

    Args:
        h: Margin of Eq. (15) from y1 to y2, shape (batch,).
        preferred: 1 where y2 won, 0 where y1 won, shape (batch,).
        reduction: "mean" or "none".

    Raises:
        ValueError: wrong shapes or dtypes, a margin that is NaN, labels other than 0 and 1, or
            an unknown reduction.
    """
    h = checks.margins(h, infinite=True)
    won = checks.binary("preferred", preferred, 1, h)
    return checks.reduce(-logsigmoid(torch.where(won, h, -h)), reduction)  # Eq. (6)


def corrected(
    h: Tensor,
    preferred: Tensor,
    variance: Tensor,
    alpha: float = 1.0,
    eps: float = 1e-6,
    clamp: float | None = None,
    reduction: str = "mean",
) -> Tensor:
    """First-order corrected DPO, Eq. (14) to (16).

    A win of y2 has likelihood sigma(h) + alpha / 2 sigma''(h) V, one of y1 the same at -h.

    V is made by the caller, as ``hetlib.linked.moments.variance_from_moments`` does by Eq. (16).
    Gradients flow through whatever it depends on; ``variance.detach()`` stops them.

    Args:
        h: As for :func:`dpo`.
        preferred: As for :func:`dpo`.
        variance: V(y1, y2) >= 0, over users, of the reward difference, shape (batch,).
        alpha: Strength of the correction; 0 is DPO, 1 is Eq. (14).
        eps: Floor of the stabilised logarithm, log max(z, eps), of Section 5.1.
        clamp: Limit of ``|sigma''(h) V / 2|`` before it is multiplied by alpha. None: no limit,
            as in the paper; the released code has 0.1.
        reduction: "mean" or "none".

    Raises:
        ValueError: as :func:`dpo`; a variance that is negative or not finite, alpha < 0, eps not
            in (0, 1), or clamp <= 0.
    """
    h = checks.margins(h, infinite=True)
    won = checks.binary("preferred", preferred, 1, h)
    if not isinstance(variance, Tensor) or variance.shape != h.shape:
        shape = tuple(variance.shape) if isinstance(variance, Tensor) else type(variance).__name__
        raise ValueError(f"variance must be a tensor of shape {tuple(h.shape)}, not {shape}")
    bad = ~(torch.isfinite(variance) & (variance >= 0))
    if bool(bad.any()):
        k = int(bad.nonzero()[0])
        raise ValueError(
            f"variance[{k}] is {variance[k].item()}; it must be non-negative and finite"
        )
    alpha = checks.non_negative("alpha", alpha)
    if not 0 < (eps := checks.positive("eps", eps)) < 1:
        raise ValueError(f"eps is {eps}; it must lie strictly between 0 and 1")

    t = torch.where(won, h, -h)
    # sigma'' / sigma = -sigma(-t) tanh(t / 2), so the likelihood is sigma(t) (1 + alpha term)
    term = -0.5 * variance * torch.sigmoid(-t) * torch.tanh(t / 2)
    if clamp is not None:
        # |sigma term| <= clamp; where t < -40 the bound on term exceeds 1e16 and cannot bind
        bound = checks.positive("clamp", clamp) * (1 + torch.exp(-t.clamp(min=-40.0)))
        term = torch.maximum(torch.minimum(term, bound), -bound)
    factor = 1 + alpha * term
    positive = factor > 0
    # Logarithms are added, so that the gradient survives where sigma(t) rounds to 1.
    logz = logsigmoid(t) + torch.log(torch.where(positive, factor, 1.0))
    floor = torch.full_like(h, math.log(eps))
    return checks.reduce(-torch.maximum(torch.where(positive, logz, floor), floor), reduction)


def _unanimous(votes: Tensor, h: Tensor) -> tuple[Tensor, Tensor, int]:
    """Where all types chose y2, where all chose y1, and the number of types."""
    o = checks.binary("votes", votes, 2, h)
    return o.all(dim=1), ~o.any(dim=1), o.shape[1]


def agreement(
    h: Tensor, votes: Tensor, as_released: bool = False, reduction: str = "mean"
) -> Tensor:
    """The consistent loss of Proposition 6.1: DPO at temperature ``1 / |U|`` on unanimous votes.

    With one type it is the DPO loss. As in Eq. (17), a comparison with disagreement counts 0.

    Args:
        h: Margin of Eq. (15) from y1 to y2, shape (batch,).
        votes: 1 where the type preferred y2, 0 where it preferred y1, shape (batch, types).
        as_released: Score the votes for y1 by ``sigma(|U| (1 - h))``, as the released code does,
            where the proposition has ``sigma(-|U| h)``. Not consistent; for comparison only.
        reduction: "mean" or "none".

    Raises:
        ValueError: as :func:`dpo`, of votes.
    """
    h = checks.margins(h, infinite=True)
    ones, zeros, types = _unanimous(votes, h)
    t = torch.where(ones, h, 1 - h if as_released else -h)
    loss = -logsigmoid(types * t)  # Prop. 6.1
    return checks.reduce(torch.where(ones | zeros, loss, 0.0), reduction)


class _TailIntegral(torch.autograd.Function):
    """-sigma(t) - I(sigma(t)) of Proposition B.3 for one number of types.

    The gradient, -sigma'(t) (1 + exp(-K t)), does not need the value: that has no graph.
    """

    @staticmethod
    def forward(ctx: Any, t: Tensor, types: int) -> Tensor:
        ctx.save_for_backward(t)
        ctx.types = types
        x = t.to(torch.float64)
        return (tail_integral(x, types) - torch.sigmoid(x)).to(t.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (t,) = ctx.saved_tensors
        # log sigma'(t) = log sigma(t) + log sigma(-t); added before exp, so nothing overflows
        logs = logsigmoid(t) + logsigmoid(-t)
        return -grads[0] * (torch.exp(logs) + torch.exp(logs - ctx.types * t)), None


def tail_integral(h: Tensor, types: int) -> Tensor:
    """-I(sigma(h)) of Proposition B.3: :func:`hetlib.consistent.expected.tail_integral` in torch.

    Raises:
        ValueError: h is not float64, or types is not a positive whole number.
    """
    if h.dtype != torch.float64:
        raise ValueError(f"h must be float64, not {h.dtype}")
    value: Tensor = expected.tail_integral(h, types, torch)
    return value


def integral(h: Tensor, votes: Tensor, reduction: str = "mean") -> Tensor:
    """The consistent loss of Proposition B.3, on unanimous votes, for every number of types.

    With one type it is the DPO loss less 1. It is convex in h, and grows like
    ``exp((|U| - 1) |h|)`` on the side that the votes contradict. Where that would overflow
    (``|h|`` beyond ``60 / (|U| - 1)`` in float32, ``680 / (|U| - 1)`` in float64) it is
    continued by its tangent: still convex, with a gradient that points back.

    Arguments and result are those of :func:`agreement`: a comparison with disagreement counts 0.

    Raises:
        ValueError: as :func:`agreement`, and a margin that is not finite.
    """
    h = checks.margins(h)
    ones, zeros, types = _unanimous(votes, h)
    t = torch.where(ones, h, -h)
    # A factor of 1e12 below the largest number: room for the tangent and the sum of a batch
    limit = (math.log(torch.finfo(h.dtype).max) - 28) / max(types - 1, 1)
    p = math.exp(-limit)
    slope = (p + p ** (1 - types)) / (1 + p) ** 2  # -d loss / dt at t = -limit
    loss: Tensor = _TailIntegral.apply(t.clamp(min=-limit), types)  # type: ignore[no-untyped-call]
    loss = loss + slope * (-limit - t).clamp(min=0.0)
    return checks.reduce(torch.where(ones | zeros, loss, 0.0), reduction)


def conditional(
    h: Tensor,
    counts: Tensor,
    labels: Sequence[int],
    weights: Sequence[int] | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The conditional likelihood of counts given their class (chapter 11, Theorem D).

    Counts k and k + m, with m the smallest whole numbers in the ratio of the types' weights,
    share a class. Given the class, the other counts of it compete like

        Pr(k) proportional to prod_u binom(n_u, k_u) exp(sum(k) h).

    A count that is alone in its class scores 0. One label a type gives Proposition 6.1, one
    type and one label DPO.

    Args:
        h: Margin of Eq. (15) from y1 to y2, shape (batch,).
        counts: How many of a type's labels preferred y2, shape (batch, types).
        labels: Number of labels of each type on each pair, n_u >= 1, shape (types,).
        weights: Masses of the types, as whole numbers in the right ratio, shape (types,).
            None: as ``labels``.
        reduction: "mean" or "none".

    Returns:
        -log Pr(k | class).

    Raises:
        ValueError: as :func:`dpo`, of counts from 0 to n_u; a margin that is not finite; labels
            or weights that are not positive whole numbers.
    """
    h = checks.margins(h)
    n, m = quota(labels, weights)
    k = checks.label_counts(counts, n, h)
    top, step = k.new_tensor(n), k.new_tensor(m)
    J = min(a // b for a, b in zip(n, m, strict=True))
    s = torch.arange(-J, J + 1, device=k.device)
    member = k[:, None, :] + s[:, None] * step  # (batch, 2J + 1, types)
    inside = ((member >= 0) & (member <= top)).all(dim=2)

    def log_binomial(j: Tensor) -> Tensor:
        a, b = j.clamp(min=0).to(torch.float64), (top - j).clamp(min=0).to(torch.float64)
        return -(torch.lgamma(a + 1) + torch.lgamma(b + 1)).sum(dim=-1)

    # Differences from the count that was seen: its own term is exp(0), so nothing overflows
    ratio = (log_binomial(member) - log_binomial(k)[:, None]).to(h.dtype)
    terms = torch.where(inside, ratio + (s * sum(m)) * h[:, None], -torch.inf)
    return checks.reduce(torch.logsumexp(terms, dim=1), reduction)
