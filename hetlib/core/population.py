"""Populations of user types: who prefers what, and what their labels look like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hetlib import checks
from hetlib.checks import Array
from hetlib.core import link as links
from hetlib.core.labels import Bits, Comparisons, Indices, Linked, TypeLabels, draw, draw_counts
from hetlib.core.policies import optimal_policy


def _within(name: str, value: ArrayLike, size: int) -> Indices:
    """Indices below ``size``."""
    index = checks.rectangular(name, value)
    if index.dtype.kind not in "iu":
        raise ValueError(f"{name} must hold whole numbers, not {index.dtype}")
    if index.size and not 0 <= index.min() <= index.max() < size:
        raise ValueError(f"{name} holds {index.min()} to {index.max()}; 0 to {size - 1} are there")
    return index


@dataclass(frozen=True, init=False, eq=False)
class Population:
    """A mixture of user types, Eq. (7) and (8).

    Args:
        rewards: r*(y; u), shape (types, responses).
        weights: Probability of each type, shape (types,); uniform if None.
        link: Preference model sigma, a key of :data:`LINKS`.
        temperature: Reward differences are divided by it before the link.
        flips: Probability that a label is recorded the wrong way round, each on its own.

    Raises:
        ValueError: ragged or non-finite rewards, weights that are negative or do not sum
            to 1, an unknown link, a temperature that is not positive, or flips outside
            [0, 1/2].
    """

    rewards: Array
    weights: Array
    link: str
    temperature: float
    flips: float

    def __init__(
        self,
        rewards: ArrayLike,
        weights: ArrayLike | None = None,
        link: str = "logistic",
        temperature: float = 1.0,
        flips: float = 0.0,
    ) -> None:
        r = checks.array("rewards", rewards, 2)
        w = checks.distribution("weights", weights, len(r))
        links.find(link)
        if not 0 <= checks.real("flips", flips) <= 0.5:
            raise ValueError(f"flips is {flips}; it must lie in [0, 1/2]")
        for values in (r, w):
            values.flags.writeable = False
        heat = checks.positive("temperature", temperature)
        fields = ("rewards", "weights", "link", "temperature", "flips")
        for name, made in zip(fields, (r, w, link, heat, float(flips)), strict=True):
            object.__setattr__(self, name, made)

    @property
    def types(self) -> int:
        """Number of user types."""
        return self.rewards.shape[0]

    @property
    def responses(self) -> int:
        """Number of responses."""
        return self.rewards.shape[1]

    def choice(self, difference: ArrayLike) -> Array:
        """Probability that a label names the response better by ``difference``, Eq. (2)."""
        gap = checks.array("difference", difference, None, infinite=True)
        with np.errstate(over="ignore"):  # an infinite difference has the right limit
            p = links.LINKS[self.link](gap / self.temperature)
        return p + self.flips * (1 - 2 * p) if self.flips else p

    def answer(
        self,
        types: ArrayLike,
        y1: ArrayLike,
        y2: ArrayLike,
        rng: np.random.Generator,
    ) -> Bits:
        """Labels of people of known types on known pairs, flips included.

        Args:
            types: Type of the person, an index; any shape that broadcasts with the others.
            y1: Index of the first response, as ``y2`` of the second.
            y2: The second.
            rng: Source of randomness: one uniform number a label.

        Returns:
            1 where the second response was chosen, else 0; the broadcast shape.

        Raises:
            ValueError: an index that is no type or no response, or shapes that do not fit.
        """
        parts = (
            _within("types", types, self.types),
            _within("y1", y1, self.responses),
            _within("y2", y2, self.responses),
        )
        try:
            u, a, b = np.broadcast_arrays(*parts)
        except ValueError:
            shapes = ", ".join(str(part.shape) for part in parts)
            raise ValueError(f"types, y1 and y2 have shapes {shapes}; they must fit") from None
        return draw(self.choice(self.rewards[u, b] - self.rewards[u, a]), rng)

    def pairwise_by_type(self) -> Array:
        """Pr(y_i beats y_j | u), Eq. (7), shape (types, responses, responses)."""
        with np.errstate(over="ignore"):
            gaps = self.rewards[:, :, None] - self.rewards[:, None, :]
        return self.choice(gaps)

    def pairwise(self) -> Array:
        """Pr(y_i beats y_j), Eq. (8), shape (responses, responses)."""
        mean = np.einsum("u,uij->ij", self.weights, self.pairwise_by_type())
        return np.minimum(mean, 1.0)  # weights sum to one only up to rounding

    def mean_reward(self) -> Array:
        """E_u[r*(y; u)], shape (responses,)."""
        return self.weights @ self.rewards

    def optimal_policy(self, reference: ArrayLike | None = None, beta: float = 1.0) -> Array:
        """The policy that maximises Eq. (9), in the closed form of Eq. (10).

        Reference and result have shape (responses,), as in
        :func:`hetlib.core.policies.optimal_policy`.
        """
        return optimal_policy(self.mean_reward(), reference, beta)

    def _pairs(
        self, size: int, rng: np.random.Generator, sampling: ArrayLike | None
    ) -> tuple[Indices, Indices]:
        size = checks.whole("size", size, 1)
        D = checks.distribution("sampling", sampling, self.responses)
        pairs = rng.choice(self.responses, size=(2, size), p=D)
        return pairs[0], pairs[1]

    def sample(
        self,
        size: int,
        rng: np.random.Generator,
        sampling: ArrayLike | None = None,
        labels: int = 1,
    ) -> Comparisons:
        """Pairs drawn from D x D, each labelled by one random person.

        Args:
            size: Number of pairs.
            rng: Source of randomness.
            sampling: Distribution D of each response, shape (responses,); uniform if None.
            labels: How often the same person labels the pair; 1 makes anonymous data,
                2 the linked data of Section 5.3.

        Returns:
            Comparisons with votes of shape (size, labels).
        """
        labels = checks.whole("labels", labels, 1)
        y1, y2 = self._pairs(size, rng, sampling)
        u = rng.choice(self.types, size=size, p=self.weights)
        each = np.broadcast_to(u[:, None], (size, labels))
        return Comparisons(y1, y2, self.answer(each, y1[:, None], y2[:, None], rng), u)

    def sample_wins(
        self, size: int, rng: np.random.Generator, sampling: ArrayLike | None = None
    ) -> Array:
        """How often each response beat each other one in ``size`` anonymous comparisons.

        The same law as ``sample(size, rng, sampling).wins(responses)``, drawn as one
        multinomial, which is fast for any size: counts at [i, j] of y_i over y_j, shape
        (responses, responses).
        """
        size = checks.whole("size", size, 1)
        D = checks.distribution("sampling", sampling, self.responses)
        # The pair comes up in two orders; a response beside itself, in one.
        return draw_counts(2 * np.outer(D, D) * self.pairwise(), size, rng)

    def sample_types(
        self, size: int, rng: np.random.Generator, sampling: ArrayLike | None = None
    ) -> TypeLabels:
        """Pairs as of :meth:`sample`, each labelled once by every type (Section 6).

        Returns:
            Votes of shape (size, types).
        """
        y1, y2 = self._pairs(size, rng, sampling)
        votes = self.answer(np.arange(self.types)[:, None], y1, y2, rng)
        return TypeLabels(y1, y2, np.ascontiguousarray(votes.T))

    def sample_linked(
        self,
        people: int,
        rng: np.random.Generator,
        labels: int = 2,
        sampling: ArrayLike | None = None,
    ) -> Linked:
        """Random people who each label several independent pairs (Section 5.3).

        Args:
            people: Number of people.
            rng: Source of randomness.
            labels: Labels of each, at least 2, each on a pair of its own from D x D.
            sampling: As for :meth:`sample`.
        """
        people, labels = checks.whole("people", people, 1), checks.whole("labels", labels, 2)
        D = checks.distribution("sampling", sampling, self.responses)
        y1, y2 = rng.choice(self.responses, size=(2, people, labels), p=D)
        u = rng.choice(self.types, size=(people, 1), p=self.weights)
        return Linked(y1, y2, self.answer(u, y1, y2, rng))
