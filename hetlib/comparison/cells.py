"""One cell of the comparison: methods on the labels of one world at one budget."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from scipy.stats import t as student

from hetlib import checks
from hetlib.checks import Array
from hetlib.comparison import registry
from hetlib.comparison.budgets import ImpossibleError, LabelSet
from hetlib.comparison.worlds import Conditions, World, make_world
from hetlib.core.newton import ConvergenceError
from hetlib.core.policies import kl_divergence, total_variation

#: Measures of a policy, all but the last the smaller the better.
MEASURES = ("regret", "tv", "worst", "order")


@dataclass(frozen=True)
class Cell:
    """Which methods see which labels.

    A cell's results are stored one a method, each under a name that counts what this method
    alone rests on: another method, or a change to one, has nothing but its own to compute.

    Attributes:
        world: A key of ``hetlib.comparison.worlds.WORLDS``.
        budget: Labels for each method; None for endless data, which methods that follow
            people cannot have.
        seed: Of the population, where it is random, and of the labels. Cells that differ in
            conditions only see the same people and pairs as far as conditions allow.
        conditions: Who is asked, and what goes wrong.
        methods: Keys of registered methods; all of them if empty.
    """

    world: str
    budget: int | None
    seed: int
    conditions: Conditions = field(default_factory=Conditions)
    methods: tuple[str, ...] = ()
    homes: tuple[str, ...] = field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        """Check the methods, and note where they are from."""
        for home in self.homes:  # in a worker process: nothing is registered yet
            registry.load(home)
        found = registry.METHODS if self.homes else registry.known()
        asked = self.methods or tuple(found)
        if odd := [m for m in asked if m not in found]:
            raise ValueError(f"methods has {odd[0]!r}; known are {', '.join(found)}")
        followed = [m for m in asked if found[m].form == "people"]
        if self.budget is None and followed:
            raise ValueError(f"methods has {followed[0]!r}, which needs a budget of labels")
        object.__setattr__(self, "methods", asked)
        object.__setattr__(self, "homes", tuple(dict.fromkeys(found[m].home for m in asked)))

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process makes the cell anew, and with it reads the methods."""
        values = (self.world, self.budget, self.seed, self.conditions, self.methods, self.homes)
        return type(self), values

    def describe(self) -> dict[str, Any]:
        """Everything that the result depends on besides the code, as JSON."""
        said = {k: v for k, v in asdict(self).items() if k != "homes"}
        return dict(json.loads(json.dumps(said)))

    @property
    def rests_on(self) -> tuple[str, ...]:
        """Modules and files whose code counts besides this one's."""
        return self.homes

    def parts(self) -> dict[str, Cell]:
        """The same for each method alone."""
        return {m: self.only([m]) for m in self.methods}

    def only(self, methods: Sequence[str]) -> Cell:
        """The same for some of the methods."""
        return replace(self, methods=tuple(methods), homes=())


def score(policy: Array, world: World) -> dict[str, float]:
    """How good a policy is, by the measures of the comparison.

    Args:
        policy: Probabilities, shape (responses,).
        world: Where it is used.

    Returns:
        "regret" of Eq. (9), which is beta KL(pi; pi*); "tv" to pi*; "worst", the largest regret
        of a type against the policy that is best for it alone; "order", the share of pairs of
        responses that pi / pi_ref orders as the average reward does.
    """
    reward, beta = world.population.mean_reward(), world.conditions.beta
    lifted = policy / world.reference
    upper = np.triu_indices(len(reward), 1)
    true = np.subtract.outer(reward, reward)[upper]
    found = np.subtract.outer(lifted, lifted)[upper]
    counted = abs(true) > 1e-9
    right = np.where(abs(found) < 1e-12, 0.5, np.sign(found) == np.sign(true))[counted]
    best = world.best()
    return {
        "regret": beta * kl_divergence(policy, best),
        "tv": total_variation(policy, best),
        "worst": beta * max(kl_divergence(policy, own) for own in world.best_by_type()),
        "order": float(right.mean()) if counted.any() else 1.0,
    }


def run_cell(cell: Cell) -> dict[str, dict[str, Any]]:
    """Fit and score every method of a cell.

    Returns:
        For each method its measures, the labels it collected and used, the numbers it fits,
        the ridge it chose, and the strength and number of types it ended with. A method that
        has no fit, or cannot have such labels, has "failed" = 1, the reason as "why", and the
        measures of doing nothing; it does not stop the others.
    """
    world = make_world(cell.world, cell.seed, cell.conditions)
    labels = LabelSet(world, cell.budget, cell.seed)
    out = {}
    for key in cell.methods:
        why = ""
        try:
            result = registry.METHODS[key].fit(labels)
        except (ConvergenceError, ImpossibleError) as error:
            why = str(error)
            result = registry.Result(world.reference, 0, 0, 0)
        used = result.labels if result.used is None else result.used
        size = world.responses if result.parameters is None else result.parameters
        out[key] = score(result.policy, world) | {
            "labels": float(result.labels),
            "used": float(used),
            "parameters": float(size),
            "reached": float(result.reached),
            "types": float(result.types),
            "ridge": float(result.ridge),
            "failed": float(bool(why)),
            "why": why,
        }
    return out


def interval(values: Iterable[float], level: float = 0.95) -> tuple[float, float]:
    """Mean and half-width of Student's confidence interval.

    Raises:
        ValueError: fewer than two values, or one that is not finite.
    """
    x = checks.array("values", list(values) or [np.nan], 1)
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
    return {m: np.array([r[m][measure] for r in chosen]) for m in chosen[0]}
