"""The ridge of every method, chosen by the same cross-validation.

Labels are divided into five folds at random. For each ridge a method is fitted to four folds, and
its own loss is taken on the fifth: a negative log-likelihood, for all methods that have one. The
ridge with the least loss over the five folds is used for all labels. Nobody looks at pi*.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from hetlib.checks import Array
from hetlib.comparison.budgets import LabelSet
from hetlib.core.labels import Linked
from hetlib.core.newton import ConvergenceError

#: Weights of the squared rewards among which held-out labels choose.
RIDGES = (0.1, 1.0, 10.0, 100.0)
FOLDS = 5
#: Stream of random numbers of the folds.
STREAM = 20

D = TypeVar("D", Array, Linked, tuple[Array, ...])
M = TypeVar("M")


@dataclass(frozen=True, eq=False)
class Tuned(Generic[M]):
    """A fit at the ridge that predicts held-out labels best.

    Attributes:
        model: What the method has fitted to all labels.
        ridge: The ridge.
        option: Of methods that choose more than a ridge, the number of the choice.
    """

    model: M
    ridge: float
    option: int = 0


def split(data: D, rng: np.random.Generator, folds: int = FOLDS) -> list[tuple[D, D]]:
    """Pairs of what is fitted and what is held out.

    Args:
        data: Counts of labels, divided label by label; several such arrays; or people, divided
            person by person.
        rng: Source of randomness.
        folds: How many.
    """
    if isinstance(data, Linked):
        place = rng.permutation(len(data)) % folds
        return [(_rows(data, place != k), _rows(data, place == k)) for k in range(folds)]  # type: ignore[misc]
    arrays = data if isinstance(data, tuple) else (data,)
    parts = [_divide(counts, rng, folds) for counts in arrays]
    out = []
    for k in range(folds):
        held = tuple(part[k] for part in parts)
        kept = tuple(counts - h for counts, h in zip(arrays, held, strict=True))
        out.append((kept, held) if isinstance(data, tuple) else (kept[0], held[0]))
    return out


def _rows(data: Linked, which: ArrayLike) -> Linked:
    return Linked(data.y1[which], data.y2[which], data.votes[which])  # type: ignore[index]


def _divide(counts: Array, rng: np.random.Generator, folds: int) -> list[Array]:
    rest, parts = np.rint(counts).astype(np.int64), []
    for left in range(folds, 0, -1):
        part = rng.binomial(rest, 1 / left)
        parts.append(part.astype(np.float64))
        rest = rest - part
    return parts


def tune(
    labels: LabelSet,
    data: D,
    fit: Callable[[D, float, M | None], M],
    loss: Callable[[M, D], float | ArrayLike],
) -> Tuned[M]:
    """Fit a method at the ridge of ``RIDGES`` that its held-out labels like best.

    With endless data the least ridge is taken, and nothing is held out: an option is chosen by
    the loss of the data themselves, which no fit can flatter.

    Args:
        labels: For their random numbers: two methods with the same labels have the same folds.
        data: Counts or people, as for :func:`split`.
        fit: From data, a ridge and a fit nearby, or None, to a fit. A method that moves in
            steps may start from the one nearby; others ignore it.
        loss: Total loss of held-out data under a fit, without the ridge; several, in a list,
            for methods that choose among several predictions of one fit.

    Raises:
        ConvergenceError: no ridge has a fit to all labels and to every fold.
    """
    near: M | None = None
    if labels.budget is None:
        model = fit(data, RIDGES[0], None)
        return Tuned(model, RIDGES[0], int(np.argmin(np.atleast_1d(loss(model, data)))))
    folds = split(data, labels.rng(STREAM))
    best, least = None, np.inf
    for ridge in RIDGES:
        try:
            whole = fit(data, ridge, near)
            held = [np.atleast_1d(loss(fit(kept, ridge, whole), out)) for kept, out in folds]
        except ConvergenceError:
            continue
        near, total = whole, np.sum(held, axis=0)
        if total.min() < least:
            least = float(total.min())
            best = Tuned(whole, ridge, int(total.argmin()))
    if best is None:
        raise ConvergenceError(f"no ridge of {', '.join(f'{r:g}' for r in RIDGES)} has a fit")
    return best
