"""Worlds in which methods are compared, and what can go wrong in them.

A world is a population, the way in which responses are drawn, and the law of the labels *as
recorded*: with flips, with extra noise, or with annotators mixed up. pi* belongs to the
rewards and masses alone, so whatever goes wrong with the labels counts against a method.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from scipy.special import logit, softmax

from hetlib import checks
from hetlib.checks import Array
from hetlib.core.link import LINKS
from hetlib.core.population import Population
from hetlib.ring.environment import RingEnvironment
from hetlib.surveys.questions import Question
from hetlib.surveys.tables import nonvoters

WORLDS = ("ring", "random", "survey")
#: Types, responses and reward scale of a random population.
TYPES, RESPONSES, SCALE = 3, 8, 1.5


@dataclass(frozen=True)
class Conditions:
    """What differs from a well-behaved study; the defaults change nothing.

    Attributes:
        link: Preference model, a key of :data:`LINKS`.
        temperature: Divides reward differences before the link.
        jitter: Scale of logistic noise that is added to each reward difference.
        flips: Probability that a label is recorded the wrong way round.
        mixed: Probability that a label was really given by a random person of the population
            and not by the annotator on record.
        skew: Strength of a random tilt of the sampling distribution D.
        mass: Mass of the second type, the others sharing the rest; None leaves the world's.
        assumed: Number of types that the study believes in, 1 to twice the true number.
    """

    link: str = "logistic"
    temperature: float = 1.0
    jitter: float = 0.0
    flips: float = 0.0
    mixed: float = 0.0
    skew: float = 0.0
    mass: float | None = None
    assumed: int = 3

    def __post_init__(self) -> None:
        """Check the arguments."""
        if self.link not in LINKS:
            raise ValueError(f"link is {self.link!r}; known links are {', '.join(sorted(LINKS))}")
        checks.positive("temperature", self.temperature)
        for name, top in (("jitter", 1e3), ("flips", 0.5), ("mixed", 1.0), ("skew", 1e3)):
            if not 0 <= getattr(self, name) <= top:
                raise ValueError(f"{name} is {getattr(self, name)}; it must lie in [0, {top:g}]")
        if self.mass is not None and not 0 < self.mass < 1:
            raise ValueError(f"mass is {self.mass}; it must lie strictly between 0 and 1")
        if int(self.assumed) != self.assumed or self.assumed < 1:
            raise ValueError(f"assumed is {self.assumed}; positive whole numbers are allowed")


@dataclass(frozen=True, eq=False)
class World:
    """A population, how it is asked, and how its labels are recorded.

    Attributes:
        population: The truth: rewards and masses; its link is not used.
        sampling: Distribution D of each response, shape (responses,).
        conditions: What goes wrong.

    Raises:
        ValueError: more assumed types than twice the true number.
    """

    population: Population
    sampling: Array
    conditions: Conditions

    def __post_init__(self) -> None:
        """Check what conditions alone cannot know."""
        if self.conditions.assumed > 2 * self.population.types:
            raise ValueError(
                f"assumed is {self.conditions.assumed}; with {self.population.types} types it is "
                f"at most {2 * self.population.types}: each type can be split once"
            )

    @property
    def responses(self) -> int:
        """Number of responses."""
        return self.population.responses

    def best(self) -> Array:
        """pi* of Eq. (10) with a uniform reference and beta = 1, shape (responses,)."""
        return self.population.optimal_policy()

    def best_by_type(self) -> Array:
        """The policy that is best for each type alone, shape (types, responses)."""
        return np.asarray(softmax(self.population.rewards, axis=1))

    @cached_property
    def recorded(self) -> Array:
        """Pr(label on record says y_i beats y_j) by type on record, (types, n, n)."""
        c, r, w = self.conditions, self.population.rewards, self.population.weights
        gaps = r[:, :, None] - r[:, None, :]
        link = LINKS[c.link]
        # Every link gets the slope of the logistic at zero, so that only the shape differs.
        stretch = LINKS["logistic"].slope / link.slope / c.temperature
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

        With fewer groups than types the first ones are merged; with more, types are split in
        halves, the first ones first.
        """
        w, k, assumed = self.population.weights, self.population.types, self.conditions.assumed
        if assumed <= k:
            merged = k - assumed + 1
            rows = [np.where(np.arange(k) < merged, w, 0.0)]
            rows += [np.eye(k)[u] * w[u] for u in range(merged, k)]
        else:
            rows = []
            for u in range(k):
                copies = 2 if u < assumed - k else 1
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


def make_world(name: str, seed: int, conditions: Conditions | None = None) -> World:
    """A world by name.

    Args:
        name: "ring" (Section 7.2, prompts pooled: the same population for every seed),
            "random" (normal rewards, drawn by the seed) or "survey" (one question of the
            packaged poll for each seed, types are parties).
        seed: Of the population and of the tilt of D.
        conditions: What goes wrong; nothing if None.

    Raises:
        ValueError: no such world, or conditions that it cannot have.
    """
    c = conditions or Conditions()
    rng = np.random.default_rng([seed, 1])
    if name == "ring":
        ring = RingEnvironment().centred()
        rewards, weights = ring.rewards, ring.weights
    elif name == "random":
        rewards, weights = (
            rng.normal(scale=SCALE, size=(TYPES, RESPONSES)),
            np.full(TYPES, 1 / TYPES),
        )
    elif name == "survey":
        questions = _questions()
        asked = questions[seed % len(questions)].population()
        rewards, weights = asked.rewards, asked.weights
    else:
        raise ValueError(f"name is {name!r}; known worlds are {', '.join(WORLDS)}")
    if c.mass is not None:
        weights = np.full(len(weights), (1 - c.mass) / (len(weights) - 1))
        weights[1] = c.mass
    tilt = np.random.default_rng([seed, 2]).standard_normal(rewards.shape[1])
    return World(Population(rewards, weights), np.asarray(softmax(c.skew * tilt)), c)
