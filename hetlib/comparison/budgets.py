"""Labels of one world at one budget, in each of the forms in which a method may ask for them.

A budget counts labels: one person's answer to one pair. Every form costs the same number of
labels. Each form has a stream of random numbers of its own, so two methods that ask for the
same form see the same labels, whatever else is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from hetlib.checks import Array
from hetlib.comparison.worlds import World
from hetlib.consistent.label_counts import LIMIT, Quota
from hetlib.core.labels import Linked, draw, draw_counts
from hetlib.core.policies import optimal_policy

#: Labels that each person gives, where people are followed.
LABELS_PER_PERSON = 10
#: Fewest people, or pairs with a label of every type, that can be divided into folds.
FEWEST = 5
#: Weight of the labels that stand for endless data; any ridge is nothing beside it.
ENDLESS = 10**9
#: Streams of random numbers of the forms of labels; several labels of every type have one each.
ANONYMOUS, TYPED, TWICE, PEOPLE, VOTES = 0, 1, 2, 3, 10
#: Most ratios of masses that are compared when a quota is chosen.
MOST_RATIOS = 10**5


class ImpossibleError(ValueError):
    """A form of labels that these people, or this budget, cannot give."""


@dataclass(frozen=True, eq=False)
class LabelSet:
    """Labels of a world.

    Attributes:
        world: Who is asked.
        budget: Number of labels. None stands for endless data: expected counts, from which
            every method that works on counts finds its population optimum.
        seed: Of the labels.

    Raises:
        ValueError: a budget too small for any of the forms.
    """

    world: World
    budget: int | None
    seed: int

    def __post_init__(self) -> None:
        """Check the budget."""
        least = max(3 * len(self.world.groups), FEWEST * LABELS_PER_PERSON)
        if self.budget is not None and self.budget < least:
            raise ValueError(f"budget is {self.budget}; at least {least} labels are needed")

    @property
    def size(self) -> int:
        """Number of labels; a very large one for endless data."""
        return ENDLESS if self.budget is None else self.budget

    @property
    def responses(self) -> int:
        """Number of responses."""
        return self.world.responses

    @property
    def types(self) -> int:
        """Number of types that the study believes in."""
        return len(self.world.groups)

    @property
    def reference(self) -> Array:
        """Reference policy, shape (responses,)."""
        return self.world.reference

    @property
    def beta(self) -> float:
        """Weight of the KL term."""
        return self.world.conditions.beta

    def policy(self, reward: ArrayLike) -> Array:
        """The policy that is optimal for a reward, with this reference and beta, Eq. (3)."""
        return optimal_policy(reward, self.reference, self.beta)

    def rng(self, form: int) -> np.random.Generator:
        """The stream of random numbers of one form of labels, or of one method."""
        return np.random.default_rng([self.seed, self.size, form])

    def _draw(self, law: Array, size: int, form: int) -> Array:
        """Counts of ``size`` observations whose law is proportional to ``law``."""
        if self.budget is None:
            return np.asarray(law / law.sum() * size)
        return draw_counts(law, size, self.rng(form))

    @cached_property
    def _by_type(self) -> Array:
        D, w = self.world.sampling, self.world.population.weights
        law = w[:, None, None] * np.outer(D, D) * self.world.recorded
        return self._draw(law, self.size, ANONYMOUS)

    @cached_property
    def anonymous(self) -> Array:
        """How often y_i beat y_j in labels of random people, shape (n, n)."""
        out: Array = self._by_type.sum(axis=0)
        return out

    @cached_property
    def typed(self) -> Array:
        """The same labels by the assumed group of the person, shape (groups, n, n)."""
        rng, groups = self.rng(TYPED), self.world.groups
        out = np.zeros((len(groups), *self._by_type.shape[1:]))
        for u, counts in enumerate(self._by_type):
            members = np.flatnonzero(groups[:, u])  # two if the type is split
            first = counts / len(members)
            if self.budget is not None:
                first = rng.binomial(counts.astype(np.int64), 1 / len(members))
            out[members[-1]] += counts - first
            out[members[0]] += first
        return out

    @cached_property
    def twice(self) -> tuple[Array, Array]:
        """Pairs that one person labelled twice, by whether y_i won both times or once each way."""
        D, w, p = self.world.sampling, self.world.population.weights, self.world.recorded
        moments = [np.einsum("u,uij->ij", w, p**2), np.einsum("u,uij->ij", w, p * (1 - p))]
        both, mixed = self._draw(np.stack(moments) * np.outer(D, D), self.size // 2, TWICE)
        return both, mixed + mixed.T

    def votes(self, labels: int) -> tuple[Quota, Array]:
        """Pairs that ``labels`` people of every assumed group label.

        Args:
            labels: People of each group.

        Returns:
            The quota with the whole-number masses nearest to the groups' that it can express,
            and how often each of its count vectors was seen with y2 the row and y1 the
            column, shape (vectors, n, n).

        Raises:
            ImpossibleError: more groups than a quota can hold, or not one pair in the budget.
        """
        z, masses = self.world.recorded_by_group, self.world.groups.sum(axis=1)
        if (labels + 1) ** len(z) > LIMIT or labels ** len(z) > MOST_RATIOS:
            raise ImpossibleError(
                f"{labels} labels of each of {len(z)} groups on a pair have too many outcomes"
            )
        quota = Quota([labels] * len(z), nearest_masses(masses, labels))
        rng, n, D = self.rng(VOTES + labels), self.world.responses, self.world.sampling
        pairs = self.size // quota.total
        if pairs < FEWEST:
            raise ImpossibleError(f"budget is {self.size}; a pair costs {quota.total} labels")
        if self.budget is None:
            return quota, quota.probabilities(z) * np.outer(D, D) * pairs
        y1, y2 = rng.choice(n, size=(2, pairs), p=D)
        counts = rng.binomial(labels, z[:, y2, y1])
        vector = np.ravel_multi_index(tuple(counts), (labels + 1,) * len(z))
        seen = np.bincount((vector * n + y2) * n + y1, minlength=len(quota.counts) * n * n)
        return quota, seen.reshape(-1, n, n).astype(np.float64)

    @cached_property
    def people(self) -> Linked:
        """People who label several random pairs each.

        Raises:
            ImpossibleError: endless data; there is no expected person.
        """
        if self.budget is None:
            raise ImpossibleError("budget is None; people can only be followed within a budget")
        world, rng = self.world, self.rng(PEOPLE)
        size = (self.budget // LABELS_PER_PERSON, LABELS_PER_PERSON)
        y1, y2 = rng.choice(world.responses, size=(2, *size), p=world.sampling)
        u = rng.choice(world.population.types, size=(size[0], 1), p=world.population.weights)
        return Linked(y1, y2, draw(world.recorded[u, y2, y1], rng))


def nearest_masses(masses: Array, labels: int) -> tuple[int, ...]:
    """Whole numbers from 1 to ``labels`` in a ratio as close as possible to the masses.

    A conditional loss needs at least as many labels of a type as its whole-number mass
    (chapter 11), so few labels a type can express coarse ratios only.

    Args:
        masses: Masses, shape (groups,).
        labels: Labels of each group.

    Returns:
        One number for each group, the first among equally close ones.
    """
    grid = np.indices((labels,) * len(masses)).reshape(len(masses), -1).T + 1
    gaps = abs(grid / grid.sum(axis=1, keepdims=True) - masses).sum(axis=1)
    return tuple(int(m) for m in grid[np.flatnonzero(gaps < gaps.min() + 1e-12)[0]])
