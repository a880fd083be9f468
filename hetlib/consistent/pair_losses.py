"""Losses of pairs on counts: IPO and the consistent losses, with two derivatives.

Each function takes how often something was observed, an array whose last two axes are
(responses, responses), and returns a :data:`hetlib.core.newton.PairLoss`. DPO's is
:func:`hetlib.borda.optima.dpo_loss`; the corrected one is in
:mod:`hetlib.linked.corrected`. The same
losses on single comparisons, in torch, are in :mod:`hetlib.consistent.losses`.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from hetlib.checks import Array
from hetlib.core.newton import PairLoss
from hetlib.extras import require


def _number_of_types(types: int) -> int:
    if types < 1:
        raise ValueError(f"types is {types}; at least one is needed")
    return types


def agreement_loss(unanimous: Array, types: int) -> PairLoss:
    """The consistent loss of Proposition 6.1: logistic, at temperature ``1 / |U|``.

    Args:
        unanimous: How often every type preferred y_i to y_j.
        types: Number of types ``|U|``.
    """
    k = _number_of_types(types)

    def loss(H: Array) -> tuple[Array, Array, Array]:
        q = expit(k * H)
        slope = -k * expit(-k * H)
        return (
            unanimous * np.logaddexp(0, -k * H),
            unanimous * slope,
            unanimous * k**2 * q * (1 - q),
        )

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


def integral_loss(unanimous: Array, types: int) -> PairLoss:
    """The consistent loss of Proposition B.3.

    Args:
        unanimous: How often every type preferred y_i to y_j.
        types: Number of types ``|U|``.
    """
    k = _number_of_types(types)

    def loss(H: Array) -> tuple[Array, Array, Array]:
        require("torch")
        import torch

        from hetlib.consistent.losses import tail_integral

        h = np.clip(H, -600 / k, 600 / k)  # the loss grows like exp((|U| - 1) |h|)
        tail = tail_integral(torch.from_numpy(h), k).numpy()
        q = expit(h)
        flat, decay = q * (1 - q), np.exp(-k * h)
        slope = -flat * (1 + decay)
        curve = -flat * (1 - 2 * q) * (1 + decay) + k * flat * decay
        return unanimous * (tail - q), unanimous * slope, unanimous * curve

    return loss
