"""Newton's method for losses of the margins of pairs: for one table of rewards, or many at once.

A loss is given with two derivatives. The solvers stop at a gradient, or say that they failed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from hetlib import checks
from hetlib.checks import Array

#: Maps margins H, H[i, j] = s_i - s_j, to the loss of each ordered pair and its first two
#: derivatives in H[i, j]; all of shape (responses, responses).
PairLoss = Callable[[Array], tuple[Array, Array, Array]]


class ConvergenceError(RuntimeError):
    """A solver stopped before it reached the accuracy that was asked for."""


def minimise_pairwise(
    loss: PairLoss,
    sampling: ArrayLike,
    start: ArrayLike | None = None,
    tolerance: float = 1e-10,
    max_steps: int = 500,
) -> Array:
    """Minimise sum_ij D_i D_j loss_ij(s_i - s_j) over rewards s of mean zero.

    Newton's method with a line search; where the Hessian is not positive it is lifted, so a
    loss that is not convex ends in a local minimum near ``start``.

    Args:
        loss: Loss of each ordered pair with two derivatives.
        sampling: Distribution D of each response, shape (responses,), full support.
        start: First guess, shape (responses,); zeros if None.
        tolerance: Largest entry of the gradient, divided by D, at the end.
        max_steps: Limit on the steps.

    Returns:
        The rewards s, mean zero, shape (responses,).

    Raises:
        ConvergenceError: the gradient is still larger after ``max_steps``.
    """
    D = checks.array("sampling", sampling, 1)
    DD = np.outer(D, D)
    s = np.zeros(len(D)) if start is None else checks.array("start", start, 1)
    s = s - s.mean()

    def evaluate(s: Array) -> tuple[float, Array, Array]:
        value, slope, curve = (DD * part for part in loss(s[:, None] - s[None, :]))
        gradient = slope.sum(axis=1) - slope.sum(axis=0)
        pair = curve + curve.T
        return float(value.sum()), gradient, np.diag(pair.sum(axis=1)) - pair

    value, gradient, hessian = evaluate(s)
    for _ in range(max_steps):
        if abs(gradient / D).max() < tolerance:
            return s - s.mean()
        eigenvalues, vectors = np.linalg.eigh(hessian)
        # The constant direction has eigenvalue zero and gradient zero; lifting is harmless there.
        lifted = np.maximum(abs(eigenvalues), 1e-9 * abs(eigenvalues).max() + 1e-300)
        step = -vectors @ ((vectors.T @ gradient) / lifted)
        step -= step.mean()
        size, slope = 1.0, gradient @ step
        while size > 1e-10:
            trial = evaluate(s + size * step)
            # Near the optimum values agree to rounding; then a smaller gradient decides.
            enough = trial[0] <= value + 1e-4 * size * slope
            flat = abs(trial[0] - value) < 1e-13 * (1 + abs(value))
            if enough or (flat and abs(trial[1] / D).max() < abs(gradient / D).max()):
                break
            size /= 2
        else:
            break
        s, (value, gradient, hessian) = s + size * step, trial
    raise ConvergenceError(
        f"gradient {abs(gradient / D).max():.1e} after {max_steps} Newton steps; "
        f"{tolerance:.0e} was asked for"
    )


def minimise_tables(
    loss: PairLoss,
    shape: tuple[int, int],
    scale: ArrayLike,
    ridge: float = 0.0,
    start: Array | None = None,
    tolerance: float = 1e-9,
    max_steps: int = 300,
) -> Array:
    """Minimise sum_ij loss_ij(s_i - s_j) + ``ridge / 2 |s|^2`` for many tables at once.

    Newton's method with a line search of each table's own, as
    :func:`hetlib.core.newton.minimise_pairwise` does for one.

    Args:
        loss: Total loss of each ordered pair with two derivatives, arrays (tables, n, n).
        shape: (tables, n).
        scale: Number of observations behind each table; the gradient is judged per one.
        ridge: Weight of the squared rewards; a little of it gives thin data an optimum.
        start: First guess; zeros if None.
        tolerance: Largest gradient per observation at the end.
        max_steps: Limit on the steps.

    Returns:
        Rewards of mean zero, shape (tables, n).

    Raises:
        ConvergenceError: some table's gradient is still larger after ``max_steps``.
    """
    tables, n = shape
    s = np.zeros(shape) if start is None else start - start.mean(axis=1, keepdims=True)
    unit = np.maximum(np.broadcast_to(np.asarray(scale, dtype=np.float64), (tables,)), 1.0)
    diagonal = np.arange(n)

    def evaluate(s: Array) -> tuple[Array, Array, Array]:
        value, slope, curve = loss(s[:, :, None] - s[:, None, :])
        gradient = slope.sum(axis=2) - slope.sum(axis=1) + ridge * s
        hessian = -(curve + curve.transpose(0, 2, 1))
        hessian[:, diagonal, diagonal] -= hessian.sum(axis=2) - ridge
        return value.sum(axis=(1, 2)) + ridge / 2 * (s**2).sum(axis=1), gradient, hessian

    value, gradient, hessian = evaluate(s)
    for _ in range(max_steps):
        active = abs(gradient).max(axis=1) / unit >= tolerance
        if not active.any():
            return s - s.mean(axis=1, keepdims=True)
        step = _newton_step(gradient, hessian)
        slope = (gradient * step).sum(axis=1)
        size = np.where(active, 1.0, 0.0)
        while True:
            trial = evaluate(s + size[:, None] * step)
            enough = trial[0] <= value + 1e-4 * size * slope
            flat = abs(trial[0] - value) < 1e-12 * (1 + abs(value))
            smaller = abs(trial[1]).max(axis=1) < abs(gradient).max(axis=1)
            bad = active & (size > 0) & ~(enough | (flat & smaller))
            if not bad.any():
                break
            size = np.where(bad, size / 2, size)
            size = np.where(size < 1e-10, 0.0, size)
        if not (active & (size > 0)).any():
            break
        s = s + size[:, None] * step
        value, gradient, hessian = trial
    worst = (abs(gradient).max(axis=1) / unit).max()
    raise ConvergenceError(f"gradient {worst:.1e} per observation; {tolerance:.0e} was asked for")


def _newton_step(gradient: Array, hessian: Array) -> Array:
    n = gradient.shape[1]
    # Rewards are free up to a constant; a term in that direction makes the system regular.
    size = np.trace(hessian, axis1=1, axis2=2) / n
    regular = hessian + (abs(size)[:, None, None] + 1e-300) / n
    try:
        np.linalg.cholesky(regular)
        step = -np.linalg.solve(regular, gradient[:, :, None])[:, :, 0]
    except np.linalg.LinAlgError:  # not convex here, or hardly curved: lift
        eigenvalues, vectors = np.linalg.eigh(hessian)
        top = abs(eigenvalues).max(axis=1, keepdims=True)
        lifted = np.maximum(abs(eigenvalues), 1e-9 * top + 1e-300)
        along = (vectors.transpose(0, 2, 1) @ gradient[:, :, None])[:, :, 0] / lifted
        step = -(vectors @ along[:, :, None])[:, :, 0]
    return step - step.mean(axis=1, keepdims=True)
