"""Minimising smooth losses of a few dozen parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from scipy.optimize import minimize

from hetlib.checks import Array
from hetlib.core.newton import ConvergenceError

#: Loss and gradient.
Loss = Callable[[Array], tuple[float, Array]]


def lowest(
    loss: Loss,
    starts: Sequence[Array],
    bounds: Sequence[tuple[float | None, float | None]] | None = None,
    max_steps: int = 2000,
) -> Array:
    """The best of several L-BFGS runs.

    Args:
        loss: Loss a label and its gradient; near one in size.
        starts: Where to begin, each of shape (parameters,).
        bounds: Least and largest value of each parameter.
        max_steps: Limit on the steps of each run.

    Raises:
        ConvergenceError: the best run stopped at the limit.
    """
    options = {"maxiter": max_steps, "ftol": 1e-9, "gtol": 1e-6, "maxcor": 30}
    runs = [
        minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        for start in starts
    ]
    best = min(runs, key=lambda run: float(run.fun))
    if best.nit >= max_steps:
        raise ConvergenceError(f"L-BFGS still moves after {max_steps} steps")
    out: Array = best.x
    return out
