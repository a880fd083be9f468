"""Checks of the tensors that losses take."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hetlib.extras import require

require("torch")
import torch
from torch import Tensor


def margin(h: Tensor) -> Tensor:
    """``h`` if it is a batch of margins in float32 or float64."""
    if not isinstance(h, Tensor) or h.dtype not in (torch.float32, torch.float64):
        kind = h.dtype if isinstance(h, Tensor) else type(h).__name__
        raise ValueError(f"h must be a float32 or float64 tensor, not {kind}")
    if h.ndim != 1 or len(h) == 0:
        raise ValueError(f"h must have shape (batch,) with batch > 0, not {tuple(h.shape)}")
    return h


def binary(name: str, value: Tensor, ndim: int, h: Tensor) -> Tensor:
    """``value`` as booleans, one row for each margin."""
    if not isinstance(value, Tensor):
        raise ValueError(f"{name} must be a tensor, not {type(value).__name__}")
    if value.ndim != ndim or len(value) != len(h) or value.numel() == 0:
        shape = "(batch,)" if ndim == 1 else "(batch, types)"
        raise ValueError(
            f"{name} must have shape {shape} with batch = {len(h)}, not {tuple(value.shape)}"
        )
    if value.dtype == torch.bool:
        return value
    bad = (value != 0) & (value != 1)
    if bool(bad.any()):
        where = bad.nonzero()[0].tolist()
        raise ValueError(f"{name}{where} is {value[tuple(where)].item()}; only 0 and 1 are allowed")
    return value == 1


def number(name: str, value: float, *, positive: bool) -> float:
    """``value`` as a float that is finite and not negative, or positive."""
    x = float(value)
    if not math.isfinite(x) or x < 0 or (positive and x == 0):
        allowed = "positive" if positive else "non-negative"
        raise ValueError(f"{name} is {value}; it must be {allowed} and finite")
    return x


def reduce(loss: Tensor, reduction: str) -> Tensor:
    """The mean over the batch, or the losses as they are."""
    if reduction not in ("mean", "none"):
        raise ValueError(f"reduction is {reduction!r}; it must be 'mean' or 'none'")
    return loss.mean() if reduction == "mean" else loss


def counts(name: str, value: Tensor, labels: Sequence[int], h: Tensor) -> Tensor:
    """``value`` as whole numbers from 0 to the labels of each type, one row for each margin."""
    shape = (len(h), len(labels))
    if not isinstance(value, Tensor) or tuple(value.shape) != shape:
        got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"{name} must be a tensor of shape (batch, types) = {shape}, not {got}")
    top = torch.tensor(labels, device=value.device)
    bad = ~((value >= 0) & (value <= top) & (value == torch.round(value)))
    if bool(bad.any()):
        i, u = bad.nonzero()[0].tolist()
        raise ValueError(
            f"{name}[{i}, {u}] is {value[i, u].item()}; "
            f"whole numbers from 0 to labels[{u}] = {labels[u]} are allowed"
        )
    return value.to(torch.int64)
