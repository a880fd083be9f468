"""The exact optimum of DPO: ours against SciPy's general-purpose optimiser and choix, in one run.

    python benchmarks/dpo.py

Both minimise the same expected loss, Eq. (6), with analytic derivatives, for the same random
populations. Printed are the median ratio of the times and the largest gradient left by each.
Without the package choix (in the extra ``dev``) its rows are left out.
"""

from __future__ import annotations

import time
from importlib.util import find_spec

import numpy as np
from scipy.optimize import minimize

import hetlib
from hetlib.borda.optima import dpo_loss, dpo_reward
from hetlib.checks import Array


def by_scipy(pairwise: Array) -> Array:
    """The same optimum by L-BFGS-B, run until it makes no more progress."""
    n = len(pairwise)
    loss = dpo_loss(pairwise)

    def value(s: Array) -> tuple[float, Array]:
        v, slope, _ = loss(s[:, None] - s[None, :])
        return v.sum() / n**2, (slope.sum(axis=1) - slope.sum(axis=0)) / n**2

    tight = {"ftol": 1e-16, "gtol": 1e-12, "maxiter": 10_000}
    return minimize(value, np.zeros(n), jac=True, method="L-BFGS-B", options=tight).x


def by_choix(pairwise: Array) -> Array:
    """The same optimum by choix: the Bradley-Terry fit of a dense matrix of wins."""
    import choix

    wins = pairwise * (1 - np.eye(len(pairwise)))
    return choix.ilsr_pairwise_dense(wins, max_iter=10_000, tol=1e-12)


def gradient(pairwise: Array, s: Array) -> float:
    """Largest entry of the first-order condition, Eq. (18)."""
    fitted = 1 / (1 + np.exp(s[None, :] - s[:, None]))
    return float(abs((fitted - pairwise).mean(axis=1)).max())


def main() -> None:
    """Print one row a peer and size."""
    rng = np.random.default_rng(0)
    peers = {"SciPy": by_scipy, "choix": by_choix}
    if find_spec("choix") is None:
        del peers["choix"]
        print("choix is not installed (pip install choix): compared with SciPy alone")
    print("responses  peer   speed-up  gradient, ours  gradient, theirs")
    for n in (5, 20, 40, 200):
        populations = [
            hetlib.Population(rng.normal(size=(3, n), scale=2.0)).pairwise() for _ in range(9)
        ]
        for peer, solve in peers.items():
            ratios, ours, theirs = [], [], []
            for P in populations:
                start = time.perf_counter()
                s = dpo_reward(P)
                middle = time.perf_counter()
                t = solve(P)
                ratios.append((time.perf_counter() - middle) / (middle - start))
                ours.append(gradient(P, s))
                theirs.append(gradient(P, t))
            print(
                f"{n:9d}  {peer}  {np.median(ratios):7.1f}x  {max(ours):14.1e}  {max(theirs):16.1e}"
            )


if __name__ == "__main__":
    main()
