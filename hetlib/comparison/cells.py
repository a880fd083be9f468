"""One cell of the comparison: every method on the labels of one world at one budget."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from scipy.stats import t as student

from hetlib.checks import Array
from hetlib.comparison.budgets import LabelSet
from hetlib.comparison.methods import METHODS
from hetlib.comparison.worlds import Conditions, World, make_world
from hetlib.core.newton import ConvergenceError
from hetlib.core.policies import kl_divergence, total_variation

#: Measures of a policy, all but the last the smaller the better.
MEASURES = ("regret", "tv", "worst", "order")


@dataclass(frozen=True)
class Cell:
    """Which methods see which labels.

    Attributes:
        world: A key of ``hetlib.comparison.worlds.WORLDS``.
        budget: Labels for each method; None for endless data, which methods that follow
            people cannot have.
        seed: Of the population, where it is random, and of the labels. Cells that differ in
            conditions only see the same people and pairs as far as conditions allow.
        conditions: What goes wrong.
        methods: Keys of ``hetlib.comparison.methods.METHODS``.
    """

    world: str
    budget: int | None
    seed: int
    conditions: Conditions = field(default_factory=Conditions)
    methods: tuple[str, ...] = tuple(METHODS)

    def __post_init__(self) -> None:
        """Check the methods."""
        if odd := [m for m in self.methods if m not in METHODS]:
            raise ValueError(f"methods has {odd[0]!r}; known are {', '.join(METHODS)}")
        followed = [m for m in self.methods if METHODS[m].form == "people"]
        if self.budget is None and followed:
            raise ValueError(f"methods has {followed[0]!r}, which needs a budget of labels")

    def describe(self) -> dict[str, Any]:
        """Everything that the result depends on besides the code, as JSON."""
        return asdict(self) | {"methods": list(self.methods)}


def score(policy: Array, world: World) -> dict[str, float]:
    """How good a policy is, by the measures of the comparison.

    Args:
        policy: Probabilities, shape (responses,).
        world: Where it is used.

    Returns:
        "regret" of Eq. (9), which is KL(pi; pi*) for beta = 1; "tv" to pi*; "worst", the
        largest regret of a type against the policy that is best for it alone; "order", the
        share of pairs of responses that the policy orders as the average reward does.
    """
    reward = world.population.mean_reward()
    upper = np.triu_indices(len(reward), 1)
    true = np.subtract.outer(reward, reward)[upper]
    found = np.subtract.outer(policy, policy)[upper]
    counted = abs(true) > 1e-9
    right = np.where(abs(found) < 1e-12, 0.5, np.sign(found) == np.sign(true))[counted]
    best = world.best()
    return {
        "regret": kl_divergence(policy, best),
        "tv": total_variation(policy, best),
        "worst": max(kl_divergence(policy, own) for own in world.best_by_type()),
        "order": float(right.mean()) if counted.any() else 1.0,
    }


def run_cell(cell: Cell) -> dict[str, dict[str, float]]:
    """Fit and score every method of a cell.

    Returns:
        For each method its measures, the labels it collected and used, the numbers it fits,
        and the strength and number of types it ended with. A fit that does not converge has
        "failed" = 1 and the measures of doing nothing.
    """
    world = make_world(cell.world, cell.seed, cell.conditions)
    labels = LabelSet(world, cell.budget, cell.seed)
    out = {}
    for key in cell.methods:
        failed = 0.0
        try:
            result = METHODS[key].fit(labels)
        except ConvergenceError:
            result, failed = METHODS["uniform"].fit(labels), 1.0
        out[key] = score(result.policy, world) | {
            "labels": float(result.labels),
            "used": float(result.used),
            "parameters": float(result.parameters),
            "reached": float(result.reached),
            "types": float(result.types),
            "failed": failed,
        }
    best = score(world.best(), world)  # what pi* itself costs the worst-off type
    out["best"] = best
    return out


def interval(values: Iterable[float], level: float = 0.95) -> tuple[float, float]:
    """Mean and half-width of Student's confidence interval.

    Raises:
        ValueError: fewer than two values.
    """
    x = np.asarray(list(values), dtype=np.float64)
    if len(x) < 2:
        raise ValueError(f"values has {len(x)} entries; an interval needs at least 2")
    half = student.ppf((1 + level) / 2, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x))
    return float(x.mean()), float(half)


def collect(
    cells: Sequence[Cell], results: Sequence[dict[str, Any]], measure: str, **where: Any
) -> dict[str, Array]:
    """One measure by method, over the seeds of the cells that match.

    Args:
        cells: The cells.
        results: What :func:`run_cell` returned for each.
        measure: Name of the measure.
        where: Values that fields of the cell must have, such as ``world="ring"``.

    Returns:
        By method, in the order of the cells, shape (matching cells,).

    Raises:
        ValueError: no cell matches.
    """
    chosen = [
        result
        for cell, result in zip(cells, results, strict=True)
        if all(getattr(cell, name) == value for name, value in where.items())
    ]
    if not chosen:
        raise ValueError(f"no cell has {where}")
    return {
        m: np.array([r[m][measure] for r in chosen]) for m in chosen[0] if measure in chosen[0][m]
    }
