"""Newton's method for losses of the margins of pairs, for one table of rewards or many at once.

Counts can be lopsided: one pair may weigh 1e15 times as much as another, and the gap between
two groups of responses may hang on the lightest. So the method moves gaps, along a tree of the
most curved pairs where the weights differ that much. The gradient of such a gap is a sum over
the pairs that cross it, none much heavier than the tree's own: nothing large cancels in it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from hetlib import checks
from hetlib.checks import Array

#: Maps margins H, H[i, j] = s_i - s_j, to the loss of each ordered pair and its first two
#: derivatives in H[i, j]; all of shape (..., responses, responses).
PairLoss = Callable[[Array], tuple[Array, Array, Array]]


class ConvergenceError(RuntimeError):
    """A solver stopped before it reached the accuracy that was asked for.

    Of many tables solved at once, ``tables`` are the indices of those without a solution, and
    ``rewards`` what all have got, NaN where there is none.
    """

    def __init__(
        self, message: str, tables: tuple[int, ...] = (), rewards: Array | None = None
    ) -> None:
        super().__init__(message)
        self.tables, self.rewards = tables, rewards

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        """Keep what it knows on the way from another process."""
        return type(self), (str(self), self.tables, self.rewards)


def minimise(
    loss: PairLoss,
    start: ArrayLike,
    ridge: float = 0.0,
    tolerance: float = 1e-10,
    max_steps: int = 1000,
) -> Array:
    """Minimise sum_ij loss_ij(s_i - s_j) + ``ridge / 2 |s|^2`` over rewards s of mean zero.

    Newton's method with a line search of each table's own. Where the Hessian is not positive it
    is lifted, so a loss that is not convex ends in a local minimum near ``start``. Gaps that
    nothing in the loss determines stay as they are.

    Args:
        loss: Loss of each ordered pair with two derivatives.
        start: First guess, shape (responses,), or (tables, responses) for many tables.
        ridge: Weight of the squared rewards; a little of it gives thin data an optimum.
        tolerance: Largest gradient of a gap at the end, divided by the sizes of the slopes and
            curvatures that it is made of: about the error of a log-odds.
        max_steps: Limit on the steps.

    Returns:
        The rewards, mean zero, of the shape of ``start``.

    Raises:
        ConvergenceError: the gradient of some table is still larger. It names the tables, and
            its ``rewards`` hold what the others have got.
    """
    first = np.asarray(start, dtype=np.float64)
    s = np.atleast_2d(first - first.mean(axis=-1, keepdims=True))
    tables, n = s.shape
    others, star = np.arange(n - 1), np.eye(n)[:, 1:]
    pull = ridge / n  # ridge |s|^2 / 2 is a square of every margin, since s has mean zero

    def evaluate(s: Array) -> tuple[Array, Array, Array, Array]:
        """Value; net slope and curvature of each pair, and the sizes that went into them."""
        H = s[:, :, None] - s[:, None, :]
        parts = loss(H.reshape(*first.shape, n))
        value, slope, curve = (np.reshape(part, H.shape) for part in parts)
        turned = slope.transpose(0, 2, 1)
        curve = curve + curve.transpose(0, 2, 1) + pull
        size = abs(slope) + abs(turned) + abs(curve) + abs(pull * H)
        value = value.sum(axis=(1, 2)) + ridge / 2 * (s**2).sum(axis=1)
        return value, slope - turned + pull * H, curve, size

    now, left = evaluate(s), np.zeros(tables)
    up: Array | None = None  # a tree, where the star about response 0 would lose digits
    for _ in range(max_steps if n > 1 else 0):
        value, slope, curve, size = now
        if not (np.isfinite(slope).all() and np.isfinite(curve).all()):
            left = np.full(tables, np.nan)
            break
        if up is None:
            gradient, scale = slope.sum(axis=2)[:, 1:], size.sum(axis=2)[:, 1:]
            hessian = -curve[:, 1:, 1:]
            hessian[:, others, others] += curve.sum(axis=2)[:, 1:]
        if up is not None or (scale > 100 * n * abs(curve[:, 1:, 0])).any():
            up = _strongest_tree(abs(curve))
            gradient, hessian, scale = _along(up, slope, curve, size)
        left = (abs(gradient) / np.where(scale > 0, scale, 1.0)).max(axis=1)
        active = left > tolerance
        if not active.any():
            break
        # What rounding leaves of a heavy gap is no reason to move: it would hide the light ones
        gradient = np.where(abs(gradient) > 1e-3 * tolerance * scale, gradient, 0.0)
        gaps = _solve(gradient, hessian, scale, convex=bool((curve >= 0).all()))
        step = (star if up is None else up) @ gaps[:, :, None]
        step = step[:, :, 0]
        gap = step[:, :, None] - step[:, None, :]
        fall = (slope * gap).sum(axis=(1, 2)) / 2  # derivative of the value along the step
        length = np.where(active, 1.0, 0.0)
        while True:
            with np.errstate(over="ignore", invalid="ignore"):  # such a step is too long
                now = evaluate(s + length[:, None] * step)
            good = now[0] <= value + 1e-4 * length * fall
            # Where values agree to rounding, the slope along the step decides: not far uphill
            flat = abs(now[0] - value) <= 1e-13 * (1e-300 + abs(value))
            if flat.any():
                along = (now[1] * gap).sum(axis=(1, 2)) / 2
                good = np.where(flat, along < 0.9 * abs(fall), good)
            bad = (length > 0) & ~good
            if not bad.any():
                break
            length = np.where(bad, np.where(length > 1e-10, length / 2, 0.0), length)
        if not (length > 0).any():
            break
        s = s + length[:, None] * step
        s -= s.mean(axis=1, keepdims=True)
    if not (left <= tolerance).all():
        bad = np.flatnonzero(~(left <= tolerance))
        worst = f"gradient {left.max():.1e}, relative to its parts, after Newton's method"
        asked = f"{tolerance:.0e} was asked for"
        if first.ndim == 1:
            raise ConvergenceError(f"{worst}; {asked}")
        named = ", ".join(map(str, bad[:5])) + (", ..." if len(bad) > 5 else "")
        others = np.where((left <= tolerance)[:, None], s, np.nan)
        raise ConvergenceError(
            f"{len(bad)} of {tables} tables have no solution (number {named}): {worst}; {asked}",
            tuple(int(k) for k in bad),
            others,
        )
    return s.reshape(first.shape)


def minimise_pairwise(
    loss: PairLoss,
    sampling: ArrayLike,
    start: ArrayLike | None = None,
    tolerance: float = 1e-10,
) -> Array:
    """Minimise sum_ij D_i D_j loss_ij(s_i - s_j) by :func:`minimise`, without a ridge.

    Args:
        loss: Loss of each ordered pair with two derivatives.
        sampling: Distribution D of each response, shape (responses,), full support.
        start: First guess, shape (responses,); zeros if None.
        tolerance: As for :func:`minimise`, of which errors and result are, too.
    """
    D = checks.array("sampling", sampling, 1)
    DD = np.outer(D, D)
    s = np.zeros(len(D)) if start is None else checks.array("start", start, 1)

    def weighted(H: Array) -> tuple[Array, Array, Array]:
        value, slope, curve = loss(H)
        return DD * value, DD * slope, DD * curve

    return minimise(weighted, s, 0.0, tolerance)


def _strongest_tree(strength: Array) -> Array:
    """The spanning tree of largest strength for each table, by Prim's algorithm from response 0.

    1 where an edge, numbered by its far end, lies between a response and 0: (tables, n, n - 1).
    """
    tables, n, _ = strength.shape
    rows = np.arange(tables)
    up = np.zeros((tables, n, n))
    near = np.zeros((tables, n), dtype=np.int64)
    best, outside = strength[:, 0].copy(), np.ones((tables, n), dtype=bool)
    outside[:, 0] = False
    for _ in range(n - 1):
        new = np.where(outside, best, -1.0).argmax(axis=1)
        up[rows, new] = up[rows, near[rows, new]]
        up[rows, new, new] = 1.0
        outside[rows, new] = False
        closer = outside & (strength[rows, new] > best)
        best = np.where(closer, strength[rows, new], best)
        near = np.where(closer, new[:, None], near)
    return up[:, :, 1:]


def _along(up: Array, slope: Array, curve: Array, size: Array) -> tuple[Array, Array, Array]:
    """Gradient, Hessian and sizes in the gaps of a tree, each summed over crossing pairs only."""
    below = up.transpose(0, 2, 1)  # (tables, edges, n): the far side of each edge
    above = 1 - below
    gradient = (below @ slope * above).sum(axis=2)
    scale = (below @ size * above).sum(axis=2)
    mass = below @ curve
    inside, across = mass @ above.transpose(0, 2, 1), mass @ up
    nested = up[:, 1:]  # [e, f]: edge e lies on the far side of edge f
    turned = nested.transpose(0, 2, 1) > 0
    hessian = np.where(nested > 0, inside, np.where(turned, inside.transpose(0, 2, 1), -across))
    return gradient, hessian, scale


def _solve(gradient: Array, hessian: Array, scale: Array, convex: bool) -> Array:
    """Newton's step in the gaps, with the Hessian scaled, and lifted where it is not positive."""
    edges = np.arange(gradient.shape[1])
    # Nothing crosses a gap of scale zero, and it stays
    floor = np.where(scale > 0, 1e-9 * scale, 1.0)
    unit = np.sqrt(np.maximum(abs(hessian[:, edges, edges]), floor))
    scaled = hessian / unit[:, :, None] / unit[:, None, :]
    scaled[:, edges, edges] += scale == 0
    g = (gradient / unit)[:, :, None]
    try:
        if not convex:
            np.linalg.cholesky(scaled)
        step = -np.linalg.solve(scaled, g)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(scaled)
        lifted = np.maximum(abs(values), 1e-9)[:, :, None]
        step = -vectors @ (vectors.transpose(0, 2, 1) @ g / lifted)
    with np.errstate(over="ignore"):
        step = np.clip(step[:, :, 0] / unit, -1e100, 1e100)
    # Ten units of h away, slopes like exp(-h) are others: no gap moves farther. Together the
    # gaps are shortened only if that is needed to go down.
    apart = np.clip(step, -10, 10)
    together = step * (10 / np.maximum(abs(step).max(axis=1, keepdims=True), 10))
    down = (gradient * apart).sum(axis=1) <= 0.1 * (gradient * together).sum(axis=1)
    return np.where(down[:, None], apart, together)
