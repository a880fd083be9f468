"""Worlds in which methods are compared, and what can go wrong in them.

A world is a population, the way in which responses are drawn, and the law of the labels *as
recorded*: with flips, with extra noise, or with annotators mixed up. pi* belongs to the
rewards and masses alone, so whatever goes wrong with the labels counts against a method.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cache, cached_property

import numpy as np
from scipy.special import logit

from hetlib import checks
from hetlib.checks import Array
from hetlib.core import link as links
from hetlib.core.policies import optimal_policy
from hetlib.core.population import Population
from hetlib.ring.environment import RingEnvironment
from hetlib.surveys.questions import Question
from hetlib.surveys.tables import nonvoters

#: Worlds, and what people are like there.
WORLDS = {
    "ring": "the environment of Section 7.2, prompts pooled",
    "random": "equally frequent types with normal rewards, drawn anew for each seed",
    "survey": "one question of the open poll for each seed, types are parties",
    "groups": "three groups on record, each of six kinds of people who differ a little",
    "many": "twenty-four small types, of which the study takes eight each for one",
    "own": "the rewards that are given",
}
#: Types and responses of a random population, unless given otherwise.
TYPES, RESPONSES = 3, 8
#: Groups on record in the worlds "groups" and "many", and kinds of people in each.
GROUPS, KINDS = {"groups": 3, "many": 3}, {"groups": 6, "many": 8}
#: Standard deviation of kinds within a group of the world "groups"; between groups it is 1.5.
WITHIN = 0.75
#: Streams of random numbers: of the people of a world, and of the tilt of D.
WHO, TILT = 1, 2
#: Most types that a study may believe in.
MOST = 64


@dataclass(frozen=True)
class Conditions:
    """Who is asked, and what differs from a well-behaved study; the defaults change nothing.

    Attributes:
        link: Preference model, a key of :data:`hetlib.core.link.LINKS`.
        temperature: Divides reward differences before the link.
        jitter: Scale of logistic noise that is added to each reward difference.
        flips: Probability that a label is recorded the wrong way round.
        mixed: Probability that a label was really given by a random person of the population
            and not by the annotator on record.
        skew: Strength of a random tilt of the sampling distribution D.
        mass: Mass of the second type, the others sharing the rest; None leaves the world's.
        assumed: Number of types that the study believes in, 1 to twice the true number; None
            means the truth, or the groups on record where types are many.
        types: Number of types, in the worlds "ring" and "random"; None is the world's.
        responses: Number of responses in these worlds and in "groups" and "many".
        weights: Masses of the types, one a type; None is the world's.
        scale: Standard deviation of rewards in the worlds that are drawn.
        rewards: Rewards of the world "own", one row a type.
        beta: Weight of the KL term.
        reference: Reference policy, one probability a response; None is uniform.

    Raises:
        ValueError: a value outside its range; it names the condition.
    """

    link: str = "logistic"
    temperature: float = 1.0
    jitter: float = 0.0
    flips: float = 0.0
    mixed: float = 0.0
    skew: float = 0.0
    mass: float | None = None
    assumed: int | None = None
    types: int | None = None
    responses: int | None = None
    weights: Sequence[float] | None = None
    scale: float = 1.5
    rewards: Sequence[Sequence[float]] | None = None
    beta: float = 1.0
    reference: Sequence[float] | None = None

    def __post_init__(self) -> None:
        """Check the arguments; lists become tuples, so that conditions can be compared."""
        links.find(self.link)
        for name in ("temperature", "scale", "beta"):
            checks.positive(name, getattr(self, name))
        for name, top in (("jitter", 1e3), ("flips", 0.5), ("mixed", 1.0), ("skew", 1e3)):
            if not 0 <= getattr(self, name) <= top:
                raise ValueError(f"{name} is {getattr(self, name)}; it must lie in [0, {top:g}]")
        if self.mass is not None and not 0 < self.mass < 1:
            raise ValueError(f"mass is {self.mass}; it must lie strictly between 0 and 1")
        if self.mass is not None and self.weights is not None:
            raise ValueError("mass and weights both say how many people are of each type")
        for name, least in (("assumed", 1), ("types", 1), ("responses", 2)):
            value = getattr(self, name)
            if value is not None and (int(value) != value or not least <= value <= 1000):
                raise ValueError(f"{name} is {value}; whole numbers from {least} are allowed")
        for name in ("weights", "reference"):
            if (value := getattr(self, name)) is not None:
                given = checks.array(name, value, 1)
                checks.distribution(name, given, len(given), full_support=True)
                object.__setattr__(self, name, tuple(float(v) for v in given))
        if self.rewards is not None:
            table = checks.array("rewards", self.rewards, 2)
            object.__setattr__(self, "rewards", tuple(tuple(map(float, row)) for row in table))


@dataclass(frozen=True, eq=False)
class World:
    """A population, how it is asked, and how its labels are recorded.

    Attributes:
        population: The truth: rewards and masses; its link is not used.
        sampling: Distribution D of each response, shape (responses,).
        conditions: What goes wrong.
        believed: Number of types that the study believes in.

    Raises:
        ValueError: more believed types than twice the true number, or a reference of another
            length.
    """

    population: Population
    sampling: Array
    conditions: Conditions
    believed: int

    def __post_init__(self) -> None:
        """Check what conditions alone cannot know."""
        most = min(2 * self.population.types, MOST)
        if not 1 <= self.believed <= most:
            raise ValueError(
                f"assumed is {self.believed}; with {self.population.types} types it is "
                f"at most {most}: each type can be split once"
            )
        checks.distribution("reference", self.conditions.reference, self.responses)

    @property
    def responses(self) -> int:
        """Number of responses."""
        return self.population.responses

    @property
    def reference(self) -> Array:
        """Reference policy, shape (responses,)."""
        return checks.distribution("reference", self.conditions.reference, self.responses)

    def best(self) -> Array:
        """pi* of Eq. (10), shape (responses,)."""
        return self.population.optimal_policy(self.reference, self.conditions.beta)

    def best_by_type(self) -> Array:
        """The policy that is best for each type alone, shape (types, responses)."""
        beta = self.conditions.beta
        return np.array([optimal_policy(r, self.reference, beta) for r in self.population.rewards])

    @cached_property
    def recorded(self) -> Array:
        """Pr(label on record says y_i beats y_j) by type on record, (types, n, n)."""
        c, r, w = self.conditions, self.population.rewards, self.population.weights
        gaps = r[:, :, None] - r[:, None, :]
        link = links.find(c.link)
        # Every link gets the slope of the logistic at zero, so that only the shape differs.
        stretch = links.find("logistic").slope / link.slope / c.temperature
        p = link(stretch * gaps)
        if c.jitter:  # averaged over quantiles of the logistic noise
            nodes, weights = np.polynomial.legendre.leggauss(100)
            noise = c.jitter * logit((nodes + 1) / 2)
            p = np.einsum(
                "k,k...->...", weights / 2, np.array([link(stretch * (gaps + z)) for z in noise])
            )
            p = (p + 1 - p.transpose(0, 2, 1)) / 2  # exact complements despite the quadrature
        p = p + c.flips * (1 - 2 * p)
        return np.asarray((1 - c.mixed) * p + c.mixed * np.einsum("u,uij->ij", w, p))

    @cached_property
    def groups(self) -> Array:
        """Mass of each type in each assumed group, shape (groups, types).

        With fewer groups than types, neighbouring types are merged into groups of as equal a
        number of types as possible, the first groups the larger ones; with more, types are
        split in halves, the first ones first.
        """
        w, k, believed = self.population.weights, self.population.types, self.believed
        if believed <= k:
            parts = np.array_split(np.arange(k), believed)
            return np.array([np.where(np.isin(np.arange(k), part), w, 0.0) for part in parts])
        rows = []
        for u in range(k):
            copies = 2 if u < believed - k else 1
            rows += [np.eye(k)[u] * w[u] / copies] * copies
        return np.array(rows)

    @cached_property
    def recorded_by_group(self) -> Array:
        """The same as :attr:`recorded` for a random member of each group, (groups, n, n)."""
        share = self.groups / self.groups.sum(axis=1, keepdims=True)
        return np.asarray(np.einsum("gu,uij->gij", share, self.recorded))


@cache
def _questions() -> list[Question]:
    """The packaged questions in an order that has nothing to do with their topic."""
    questions = nonvoters()
    order = np.random.default_rng(0).permutation(len(questions))
    return [questions[k] for k in order]


#: Conditions that say who is asked, and the worlds that have them.
_WHO = {
    "types": ("ring", "random"),
    "responses": ("ring", "random", "groups", "many"),
    "rewards": ("own",),
    "scale": ("random", "groups", "many"),
}


def _ring(c: Conditions) -> Array:
    """The ring's rewards; other numbers of types are spread over the same arc."""
    plain = RingEnvironment()
    n = plain.n if c.responses is None else c.responses
    if c.types is None:
        step = n / plain.n
        shifts = [s * step for s in plain.shifts]
        rates = [r / step for r in plain.rates]
        return RingEnvironment(n, shifts, plain.scales, rates).centred().rewards
    step, k = n / plain.n, c.types
    shifts = list(np.linspace(-10, 10, k) * step) if k > 1 else [0.0]
    middle = (k - 1) / 2
    scales = [1.5 if abs(u - middle) < 1 and k > 2 else 4.0 for u in range(k)]
    return RingEnvironment(n, shifts, scales, [0.075 / step] * k).centred().rewards


#: What draws the people of a world that was added by ``world``.
Draw = Callable[[Conditions, np.random.Generator], Population]
_ADDED: dict[str, Draw] = {}


def world(name: str, about: str) -> Callable[[Draw], Draw]:
    """Decorator: enter a world, from conditions and random numbers to its people.

    Args:
        name: Its key in :data:`WORLDS`.
        about: What people are like there.

    Raises:
        ValueError: a name that is taken.
    """
    if name in WORLDS:
        raise ValueError(f"name is {name!r}, which is a world already; choose another")

    def enter(draw: Draw) -> Draw:
        WORLDS[name], _ADDED[name] = about, draw
        return draw

    return enter


def make_world(name: str, seed: int, conditions: Conditions | None = None) -> World:
    """A world by name.

    Args:
        name: A key of :data:`WORLDS`. The ring has the same population for every seed, "own"
            the rewards of the conditions; the others are drawn by the seed.
        seed: Of the population and of the tilt of D.
        conditions: Who is asked and what goes wrong; the world's own people and nothing if None.

    Raises:
        ValueError: no such world, or conditions that it cannot have.
    """
    if name not in WORLDS:
        raise ValueError(f"name is {name!r}; known worlds are {', '.join(WORLDS)}")
    c, plain = conditions or Conditions(), Conditions()
    for field in fields(c):
        if name not in _WHO.get(field.name, (name,)) and (
            getattr(c, field.name) != getattr(plain, field.name)
        ):
            raise ValueError(
                f"{field.name} is {getattr(c, field.name)}; it can be set for "
                f"{', '.join(_WHO[field.name])}, not for {name}"
            )
    rng = np.random.default_rng([seed, WHO])
    n = RESPONSES if c.responses is None else c.responses
    weights = None
    if name in _ADDED:
        added = _ADDED[name](c, rng)
        rewards, weights = added.rewards, added.weights
    elif name == "ring":
        rewards = _ring(c)
    elif name == "random":
        rewards = rng.normal(scale=c.scale, size=(TYPES if c.types is None else c.types, n))
    elif name == "survey":
        questions = _questions()
        asked = questions[seed % len(questions)].population()
        rewards, weights = asked.rewards, asked.weights
    elif name == "groups":
        of_group = rng.normal(scale=c.scale, size=(GROUPS[name], n))
        own = rng.normal(scale=WITHIN * c.scale / 1.5, size=(GROUPS[name] * KINDS[name], n))
        rewards = np.repeat(of_group, KINDS[name], axis=0) + own
    elif name == "many":
        rewards = rng.normal(scale=c.scale, size=(GROUPS[name] * KINDS[name], n))
    else:
        if c.rewards is None:
            raise ValueError("rewards is None; the world 'own' needs one row of rewards a type")
        rewards = np.array(c.rewards)
    types = len(rewards)
    weights = np.full(types, 1 / types) if weights is None else weights
    if c.weights is not None:
        weights = checks.distribution("weights", c.weights, types)
    if c.mass is not None:
        if types < 2:
            raise ValueError(f"mass is {c.mass}; it needs at least two types")
        weights = np.full(types, (1 - c.mass) / (types - 1))
        weights[1] = c.mass
    tilt = np.random.default_rng([seed, TILT]).standard_normal(rewards.shape[1])
    sampling = np.exp(c.skew * tilt - np.logaddexp.reduce(c.skew * tilt))
    believed = GROUPS.get(name, types) if c.assumed is None else c.assumed
    return World(Population(rewards, weights), sampling / sampling.sum(), c, believed)
