"""Checks of arguments, each with an error that names what is wrong and what is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]


def array(
    name: str,
    value: ArrayLike,
    ndim: int | None,
    *,
    infinite: bool = False,
    most: float = np.inf,
) -> Array:
    """A float64 copy of ``value`` with ``ndim`` axes, none empty, all entries finite.

    Args:
        name: What the error calls it.
        value: Numbers.
        ndim: How many axes; None allows any number.
        infinite: Allow infinite entries, but not NaN.
        most: Largest size of an entry.

    Raises:
        ValueError: ``value`` is ragged, masked, not numeric, of another rank, empty or not finite.
    """
    unmasked(name, value)
    try:
        if np.iscomplexobj(value):
            raise TypeError("complex numbers")
        out = np.array(value, dtype=np.float64)
    except OverflowError as error:
        raise ValueError(f"{name} holds a number too large for a float") from error
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must be a rectangular array of numbers: every row of the same length"
        ) from error
    if ndim is not None and out.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, not {out.ndim} (shape {out.shape})")
    if out.size == 0:
        raise ValueError(f"{name} must not be empty (shape {out.shape})")
    if (bad := np.isnan(out) if infinite else ~np.isfinite(out)).any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        allowed = "numbers" if infinite else "only finite numbers"
        raise ValueError(f"{name}{list(where) or ''} is {out[where]}; {allowed} are allowed")
    if most < np.inf and (abs(out) > most).any():
        where = tuple(int(i) for i in np.argwhere(abs(out) > most)[0])
        raise ValueError(f"{name}{list(where) or ''} is {out[where]}; at most {most:g} is allowed")
    return out


def unmasked(name: str, value: ArrayLike) -> None:
    """Refuse an array of NumPy's with masked entries, which would count as what lies beneath.

    Raises:
        ValueError: an entry is masked.
    """
    if np.ma.is_masked(value):
        k = int(np.flatnonzero(np.ma.getmaskarray(value))[0])  # type: ignore[no-untyped-call]
        raise ValueError(
            f"{name} has masked entries, the first at {k}; fill them in or leave them out"
        )


def distribution(
    name: str, value: ArrayLike | None, size: int, *, full_support: bool = False
) -> Array:
    """A probability vector of length ``size``; the uniform one if ``value`` is None.

    Args:
        name: What the error calls it.
        value: Probabilities, shape (size,).
        size: Its length.
        full_support: Refuse zeros as well as negative numbers.

    Raises:
        ValueError: wrong length, a negative entry (or a zero one under ``full_support``),
            or a sum that differs from 1 by more than 1e-9.
    """
    if value is None:
        return np.full(size, 1.0 / size)
    p = array(name, value, 1)
    if len(p) != size:
        raise ValueError(f"{name} has {len(p)} entries; {size} are needed")
    bad = p <= 0 if full_support else p < 0
    if bad.any():
        k = int(np.argmax(bad))
        allowed = "positive (full support)" if full_support else "non-negative"
        raise ValueError(f"{name}[{k}] is {p[k]}; every entry must be {allowed}")
    with np.errstate(over="ignore"):
        total = p.sum()
    if abs(total - 1) > 1e-9:
        raise ValueError(f"{name} sums to {total:.12g}; it must sum to 1")
    return p / total


def rectangular(name: str, value: ArrayLike) -> NDArray[Any]:
    """``value`` as an array of whatever it holds.

    Raises:
        ValueError: rows of different lengths, or a masked array.
    """
    unmasked(name, value)
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} must be a rectangular array of whole numbers") from error


def whole(name: str, value: int, least: int | None = None) -> int:
    """``value`` as an int.

    Raises:
        ValueError: ``value`` is not a whole number, or below ``least``.
    """
    try:
        number = index(value)
    except TypeError as error:
        raise ValueError(f"{name} is {value!r}; it must be a whole number") from error
    if least is not None and number < least:
        raise ValueError(f"{name} is {number}; it must be at least {least}")
    return number


def number(name: str, value: float, kind: str = "number") -> float:
    """``value`` as a float, whichever: infinite and NaN, too.

    Raises:
        ValueError: ``value`` is no number.
    """
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be a {kind}, not {value!r}") from error


def real(name: str, value: float) -> float:
    """``value`` as a float, which may be infinite.

    Raises:
        ValueError: ``value`` is no number, or NaN.
    """
    given = number(name, value)
    if np.isnan(given):
        raise ValueError(f"{name} is {given}; it must be a number")
    return given


def between(name: str, value: float, low: float, high: float) -> float:
    """``value`` as a float, strictly between two numbers.

    Raises:
        ValueError: it is not.
    """
    number = real(name, value)
    if not low < number < high:
        raise ValueError(f"{name} is {number}; it must lie in ({low:g}, {high:g})")
    return number


def positive(name: str, value: float) -> float:
    """``value`` as a float.

    Raises:
        ValueError: ``value`` is not a positive finite number.
    """
    given = number(name, value, "positive number")
    if not (np.isfinite(given) and given > 0):
        raise ValueError(f"{name} is {given}; it must be positive and finite")
    return given


def pairwise(value: ArrayLike, name: str = "pairwise") -> Array:
    """A matrix of choice probabilities: P[i, j] + P[j, i] = 1 and 1/2 on the diagonal.

    Raises:
        ValueError: not square, an entry outside [0, 1], or not complementary within 1e-9.
    """
    P = array(name, value, 2)
    if P.shape[0] != P.shape[1]:
        raise ValueError(f"{name} must be square, not of shape {P.shape}")
    if ((P < 0) | (P > 1)).any():
        i, j = np.argwhere((P < 0) | (P > 1))[0]
        raise ValueError(f"{name}[{i}, {j}] is {P[i, j]}; probabilities lie in [0, 1]")
    gap = abs(P + P.T - 1)
    if gap.max() > 1e-9:
        i, j = np.unravel_index(gap.argmax(), gap.shape)
        raise ValueError(
            f"{name}[{i}, {j}] + {name}[{j}, {i}] is {P[i, j] + P[j, i]:.12g}; it must be 1 "
            "(1/2 on the diagonal)"
        )
    return P


def counts(name: str, value: ArrayLike, ndim: int = 2, most: float = np.inf) -> Array:
    """Square matrices of counts along the last two axes: finite and non-negative.

    Raises:
        ValueError: not square, not finite, a negative entry, or one above ``most``.
    """
    W = array(name, value, ndim, most=most)
    if W.shape[-2] != W.shape[-1]:
        raise ValueError(f"{name} must be square, not of shape {W.shape}")
    if (W < 0).any():
        where = tuple(int(k) for k in np.argwhere(W < 0)[0])
        raise ValueError(f"{name}{list(where)} is {W[where]}; every entry must be non-negative")
    return W


def non_negative(name: str, value: float) -> float:
    """``value`` as a float.

    Raises:
        ValueError: ``value`` is not a finite number that is zero or positive.
    """
    given = number(name, value)
    if not (np.isfinite(given) and given >= 0):
        raise ValueError(f"{name} is {given}; it must be finite and not negative")
    return given


# ---- Tensors that losses take; torch is imported where it is used ----


def margins(h: Tensor, *, infinite: bool = False) -> Tensor:
    """``h`` if it is a batch of margins in float32 or float64, none of them NaN.

    Args:
        h: Shape (batch,).
        infinite: Allow infinite margins, where the loss has a limit.

    Raises:
        ValueError: another type or shape, an empty batch, or an entry that is not allowed.
    """
    import torch

    if not isinstance(h, torch.Tensor) or h.dtype not in (torch.float32, torch.float64):
        kind = h.dtype if isinstance(h, torch.Tensor) else type(h).__name__
        raise ValueError(f"h must be a float32 or float64 tensor, not {kind}")
    if h.ndim != 1 or len(h) == 0:
        raise ValueError(f"h must have shape (batch,) with batch > 0, not {tuple(h.shape)}")
    bad = torch.isnan(h) if infinite else ~torch.isfinite(h)
    if bool(bad.any()):
        k = int(bad.nonzero()[0])
        allowed = "a number is" if infinite else "only finite numbers are"
        raise ValueError(f"h[{k}] is {h[k].item()}; {allowed} allowed")
    return h


def binary(name: str, value: Tensor, ndim: int, h: Tensor) -> Tensor:
    """``value`` as booleans, one row for each margin.

    Raises:
        ValueError: no tensor, another shape, or an entry that is neither 0 nor 1.
    """
    import torch

    if not isinstance(value, torch.Tensor):
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


def label_counts(value: Tensor, labels: Sequence[int], h: Tensor) -> Tensor:
    """``counts`` as whole numbers from 0 to the labels of each type, one row for each margin.

    Raises:
        ValueError: no tensor, another shape, or an entry that is no such number.
    """
    import torch

    shape = (len(h), len(labels))
    if not isinstance(value, torch.Tensor) or tuple(value.shape) != shape:
        got = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        raise ValueError(f"counts must be a tensor of shape (batch, types) = {shape}, not {got}")
    top = torch.tensor(labels, device=value.device)
    bad = ~((value >= 0) & (value <= top) & (value == torch.round(value)))
    if bool(bad.any()):
        i, u = bad.nonzero()[0].tolist()
        raise ValueError(
            f"counts[{i}, {u}] is {value[i, u].item()}; "
            f"whole numbers from 0 to labels[{u}] = {labels[u]} are allowed"
        )
    return value.to(torch.int64)


def reduce(loss: Tensor, reduction: str) -> Tensor:
    """The mean over the batch, or the losses as they are.

    Raises:
        ValueError: ``reduction`` is neither "mean" nor "none".
    """
    if reduction not in ("mean", "none"):
        raise ValueError(f"reduction is {reduction!r}; it must be 'mean' or 'none'")
    return loss.mean() if reduction == "mean" else loss
