"""Simulated people who differ in one way, and how often each difference is then named.

A test by parametric bootstrap on each of hundreds of simulated data sets would fit hundreds of
models to each. As the sets of one kind are draws of one law, one bootstrap draw of each set
gives, pooled over the sets, the law under the smaller model (Giacomini, Politis and White's
warp-speed method); that law hardly depends on the number of labels, over which we pool as well.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_matrix
from scipy.special import expit

from hetlib import checks
from hetlib.checks import Array
from hetlib.core.labels import Indices
from hetlib.people import models
from hetlib.people.models import Answers, Fit, Kind, named, pair_of_fits, simulate

#: Rewards of the simulated people.
TASTE = (1.2, 0.5, 0.0, -0.4, -1.3)
#: What is planted, by name, as arguments of ``people``.
PLANTED: dict[str, dict[str, Any]] = {
    "nothing": {},
    "position": {"position": 0.6},
    "strengths": {"sigma": 0.8},
    "carelessness": {"careless": 0.25},
    "types": {"opposed": 0.5},
    "two strengths": {"factors": (0.4, 1.8)},
}
#: Forms of the labels, in turn a row a pair, pairs of rankings, and pairs of ratings in five steps.
SHAPES = ("pairs", "rankings", "ratings")
#: Where one step of a rating ends and the next begins, in the reward with logistic noise.
STEPS = (-2.0, -0.7, 0.7, 2.0)


def people(
    rng: np.random.Generator,
    number: int,
    labels: int,
    *,
    rewards: ArrayLike = TASTE,
    position: float = 0.0,
    spread: float = 0.0,
    sigma: float = 0.0,
    careless: float = 0.0,
    opposed: float = 0.0,
    factors: Sequence[float] = (1.0,),
    shape: str = "pairs",
) -> tuple[Answers, Indices]:
    """Answers of people who differ in the ways named; pairs and orders are drawn evenly.

    Rankings follow Plackett and Luce's law. A rating is the step of :data:`STEPS` in which the
    reward with logistic noise falls: the ordered logit, which is not the law of the bootstrap.

    Args:
        rng: Source of randomness.
        number: Number of people.
        labels: Labels of each; for rankings and ratings the pairs of all of them, at least.
        rewards: Of the common taste, shape (items,).
        position: Effect of being shown first, in log odds.
        spread: Its standard deviation over people.
        sigma: Standard deviation of the logarithm of the strengths.
        careless: Probability that a person answers by coin.
        opposed: Probability that a person has the opposite taste.
        factors: Strengths one of which, with equal chances, multiplies a person's rewards.
        shape: One of :data:`SHAPES`.

    Returns:
        The answers, and 1 for people of the opposite taste, 0 for the others, shape (number,).

    Raises:
        ValueError: fewer than one person or label, rewards that are no vector, an unknown
            shape, or an effect of position on rankings or ratings.
    """
    if shape not in SHAPES:
        raise ValueError(f"shape is {shape!r}; it must be one of {', '.join(SHAPES)}")
    if shape != "pairs" and (position or spread):
        raise ValueError(f"position is {position}, spread {spread}; {shape} have no first response")
    for name, value in (("number", number), ("labels", labels)):
        if checks.whole(name, value) < 1:
            raise ValueError(f"{name} is {value}; at least 1 is needed")
    r = checks.array("rewards", rewards, 1)
    names = tuple(f"item {k}" for k in range(1, len(r) + 1))
    shown = np.array([(i, j) for i in range(len(r)) for j in range(len(r)) if i != j])
    design = np.eye(len(r))[shown[:, 0]] - np.eye(len(r))[shown[:, 1]]
    pick = rng.integers(len(shown), size=(number, labels))
    sure = rng.random(number) >= careless
    other = rng.random(number) < opposed
    strength = np.exp(sigma * rng.standard_normal(number)) * rng.choice(factors, size=number)
    if shape != "pairs":
        each = -(-labels // (len(r) * (len(r) - 1) // 2))
        who = np.repeat(np.arange(number), each)
        worth = (strength * np.where(other, -1, 1) * sure)[who][:, None] * r
        if shape == "rankings":
            rank = -(worth + rng.gumbel(size=worth.shape))
            seat = np.argsort(np.argsort(rank, axis=1), axis=1)
        else:
            seat = -np.digitize(worth + rng.logistic(size=worth.shape), STEPS)
        table = np.tile(np.arange(len(r)), (len(who), 1))
        lists = models.Lists(who, table, seat, np.ones(len(who)))
        return models.from_lists(lists, number, names), other.astype(np.int64)
    place = position + spread * rng.standard_normal(number)
    margin = (strength * np.where(other, -1, 1))[:, None] * (design @ r)[pick] + place[:, None]
    won = rng.random(pick.shape) < expit(margin * sure[:, None])

    def count(which: Array) -> csr_matrix:
        u, k = np.nonzero(which)
        return csr_matrix((np.ones(len(u)), (u, pick[u, k])), (number, len(shown)))

    found = Answers(design, count(won), count(~won), count(won & ~won), names)
    return found, other.astype(np.int64)


@dataclass(frozen=True)
class Trial:
    """One simulated set.

    Attributes:
        planted: A key of :data:`PLANTED`.
        labels: Labels a person.
        seed: Seed.
        number: Number of people.
        shape: One of :data:`SHAPES`.
    """

    planted: str
    labels: int
    seed: int
    number: int = 100
    shape: str = "pairs"

    def describe(self) -> dict[str, Any]:
        """What the result depends on, beside the code."""
        return asdict(self)


def ratios(trial: Trial) -> dict[str, tuple[float, float]]:
    """Of each step of :func:`hetlib.people.models.diagnose`: observed ratio and a bootstrap one.

    Strengths and carelessness are tested with two types where types are planted, each given
    the other only where one of them or types are; whether types are multiples of one taste only
    where there are types or two strengths. A test that is not made counts as a rejection of
    what it could have taken back.
    """
    law = list(PLANTED).index(trial.planted) + len(PLANTED) * SHAPES.index(trial.shape)
    rng = np.random.default_rng([trial.seed, trial.labels, law])
    data, _ = people(rng, trial.number, trial.labels, shape=trial.shape, **PLANTED[trial.planted])
    fits: dict[Kind, Fit] = {}
    out = {}
    left = {"types": (), "two strengths": ()}.get(trial.planted, ("not multiples",))
    if trial.planted in ("nothing", "position"):
        left = (*left, "strengths", "carelessness")
    for what, smaller, larger in models.steps(2 if trial.planted == "types" else 1, data.ordered):
        if what in left:
            continue
        for kind in (smaller, larger):
            if kind not in fits:
                fits[kind] = models.fit(data, kind, start=fits.get(smaller))
        one, two = fits[smaller], fits[larger]
        if two.objective < one.objective:
            two = replace(two, objective=one.objective)
        drawn = pair_of_fits(simulate(one, data, rng), smaller, larger, start=one)
        out[what] = (
            2 * (two.objective - one.objective),
            2 * (drawn[1].objective - drawn[0].objective),
        )
    return out


Ratios = Mapping[str, Sequence[float]]


def p_values(sets: Sequence[Ratios], null: Sequence[Ratios] | None = None) -> dict[str, Array]:
    """Of each step in each set, by pooled bootstrap ratios.

    Args:
        sets: What :func:`ratios` gives for sets of one kind.
        null: Sets whose bootstrap ratios are pooled; the same ones if None.
    """
    out = {}
    for what in sets[0]:
        seen = np.array([found[what][0] for found in sets])
        drawn = np.array([found[what][1] for found in null or sets])
        above = (drawn[None, :] >= seen[:, None] - 1e-9).sum(axis=1)
        out[what] = (1 + above) / (1 + len(drawn))
    return out


def summary(
    sets: Sequence[Ratios], null: Sequence[Ratios] | None = None, level: float = 0.05
) -> dict[str, dict[str, int]]:
    """Of sets of one kind: in how many each difference is named, and each step rejects.

    Args:
        sets: What :func:`ratios` gives.
        null: As for :func:`p_values`.
        level: Of all tests together.
    """
    each = level / models.DIFFERENCES
    p = p_values(sets, null)
    made = {"not multiples": np.zeros(len(sets))} | p
    found = [named({what: float(v[k]) for what, v in made.items()}, each) for k in range(len(sets))]
    every = ("position", "position by person", "strengths", "carelessness", "reliability", "types")
    return {
        "named": {"nothing": sum(not f for f in found)}
        | {name: sum(name in f for f in found) for name in every},
        "steps": {what: int((v <= each + 1e-12).sum()) for what, v in p.items()},
    }


#: What of ``models`` the ratios do not rest on.
APART = {
    "answers", "score", "posterior", "held_out", "diagnose", "Diagnosis", "ratio_test", "Step",
    "_pooled_finite", "position_interval", "careless_interval", "_information",
}  # fmt: skip


def code() -> str:
    """Digest of the statements that the ratios rest on, imports and docstrings aside."""
    text = []
    for module in (models, inspect.getmodule(code)):
        tree = ast.parse(inspect.getsource(module))  # type: ignore[arg-type]
        tree.body = [s for s in tree.body if getattr(s, "name", "") not in APART]
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list):
                kept = [
                    s
                    for s in body
                    if not isinstance(s, ast.Import | ast.ImportFrom)
                    and not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))
                ]
                node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]
        text.append(ast.unparse(tree))
    return hashlib.sha256("\n".join(text).encode()).hexdigest()[:16]
