"""The synthetic environment of Section 7.2: prompts and responses on a ring.

Rewards depend on prompt x and response y only through delta = y - x, so everything has a
1-D form over *offsets* delta = -n/2, ..., n/2 - 1. Arrays over offsets are in that order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hetlib import checks
from hetlib.borda.counts import normalized_borda_count
from hetlib.borda.optima import dpo_reward
from hetlib.checks import Array
from hetlib.consistent.expected import agreement_loss, integral_loss, shifted_agreement_loss
from hetlib.core.labels import Bits, Indices
from hetlib.core.newton import minimise_pairwise
from hetlib.core.policies import optimal_policy
from hetlib.core.population import Population
from hetlib.linked.corrected import Correction, corrected_reward
from hetlib.linked.moments import JointMoments

#: How a reward falls with the distance d, from 1 at d = 0, at a given rate.
DECAYS: dict[str, Any] = {
    "linear": lambda d, rate: np.maximum(0.0, 1 - rate * d),
    "quadratic": lambda d, rate: np.maximum(0.0, 1 - rate * d**2),
    "exponential": lambda d, rate: rate**d,
    "gaussian": lambda d, rate: rate ** (d**2),
}

#: Most prompts, since tables by pair have n^2 entries a type.
LARGEST = 10_000

#: Whose exact population optimum :meth:`RingEnvironment.optimum` knows.
OPTIMA = (
    "best",
    "dpo",
    "corrected",
    "agreement",
    "agreement as released",
    "integral",
    "ipo",
    "personalised",
)


@dataclass(frozen=True)
class RingComparisons:
    """Labelled pairs of responses to prompts on the ring.

    Attributes:
        x: Prompt, shape (pairs,).
        d1: Offset index of the first response, shape (pairs,): y = x - n/2 + d1 modulo n.
        d2: Offset index of the second response, shape (pairs,).
        votes: 1 where the second was preferred, shape (pairs, labels): labels of one person,
            or one of each type.
        types: Type of the labelling person, shape (pairs,); None if every type labels.
        n: Number of prompts.

    Raises:
        ValueError: a vote that is neither 0 nor 1, or a prompt or offset outside of 0 … n - 1.
    """

    x: Indices
    d1: Indices
    d2: Indices
    votes: Bits
    types: Indices | None
    n: int

    def __post_init__(self) -> None:
        """Check votes and indices."""
        if (odd := (self.votes != 0) & (self.votes != 1)).any():
            i, j = (int(k) for k in np.argwhere(odd)[0])
            raise ValueError(
                f"votes[{i}, {j}] is {self.votes[i, j]}; allowed are 1 (the second won) and 0"
            )
        for name in ("x", "d1", "d2"):
            index = getattr(self, name)
            if (out := (index < 0) | (index >= self.n)).any():
                k = int(np.argmax(out))
                raise ValueError(f"{name}[{k}] is {index[k]}; from 0 to {self.n - 1} are allowed")

    def __len__(self) -> int:
        return len(self.x)

    @property
    def y1(self) -> Indices:
        """First response, shape (pairs,)."""
        return (self.x + self.d1 - self.n // 2) % self.n

    @property
    def y2(self) -> Indices:
        """Second response, shape (pairs,)."""
        return (self.x + self.d2 - self.n // 2) % self.n


@dataclass(frozen=True)
class RingEnvironment:
    """Prompts, responses and types on a ring.

    Args:
        n: Number of prompts, and of responses to each.
        shifts: Type u likes y = x + u best, shape (types,).
        scales: Its reward there, shape (types,).
        rates: How fast it falls with the distance, shape (types,). For "exponential" and
            "gaussian" it is the factor per step: between 0 and 1, small is fast.
        decay: A key of :data:`DECAYS`.
        weights: Probability of each type; uniform if None.
        link: Preference model, a key of :data:`hetlib.core.link.LINKS`.
        temperature: Divides reward differences before the link.
        noise: Probability that a label is flipped, each on its own; below 1/2.

    Raises:
        ValueError: n < 2, lists of different lengths, an unknown decay or link, rates outside
            their range, a noise outside [0, 1/2).
    """

    n: int = 40
    shifts: Sequence[float] = (-10, 0, 10)
    scales: Sequence[float] = (4.0, 1.5, 4.0)
    rates: Sequence[float] = (0.075, 0.1, 0.075)
    decay: str = "linear"
    weights: Sequence[float] | None = None
    link: str = "logistic"
    temperature: float = 1.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        n = checks.real("n", self.n)
        if not 2 <= n <= LARGEST or n != int(n):
            raise ValueError(
                f"n is {self.n}; it must be an integer of at least 2, at most {LARGEST}"
            )
        object.__setattr__(self, "n", int(n))
        lengths = {
            name: len(checks.array(name, getattr(self, name), 1))
            for name in ("shifts", "scales", "rates")
        }
        if len(set(lengths.values())) > 1:
            raise ValueError(f"shifts, scales and rates need one entry a type: {lengths}")
        if self.decay not in DECAYS:
            raise ValueError(f"decay is {self.decay!r}; known are {', '.join(sorted(DECAYS))}")
        top = np.inf if self.decay in ("linear", "quadratic") else 1.0
        for k, rate in enumerate(self.rates):
            if not 0 < rate <= top:
                raise ValueError(
                    f"rates[{k}] is {rate}; {self.decay} decay allows 0 < rate <= {top}"
                )
        if not 0 <= checks.real("noise", self.noise) < 0.5:
            raise ValueError(f"noise is {self.noise}; it must lie in [0, 1/2)")
        self.centred()  # weights, link and temperature are checked by Population

    @property
    def offsets(self) -> NDArray[np.int64]:
        """The values -n/2, ..., n/2 - 1 of delta, shape (n,)."""
        return np.arange(self.n) - self.n // 2

    def _rewards(self, delta: Array) -> Array:
        rows = []
        for shift, scale, rate in zip(self.shifts, self.scales, self.rates, strict=True):
            ahead = (delta - shift) % self.n
            rows.append(scale * DECAYS[self.decay](np.minimum(ahead, self.n - ahead), rate))
        return np.array(rows)

    def centred(self) -> Population:
        """The types with their rewards by offset: the 1-D form."""
        rewards = self._rewards(self.offsets.astype(np.float64))
        return self._population(rewards)

    def _population(self, rewards: Array) -> Population:
        return Population(rewards, self.weights, self.link, self.temperature, self.noise)

    def population(self, x: int) -> Population:
        """The types with their rewards r*(x, y; u) for one prompt, y = 0, ..., n - 1.

        Raises:
            ValueError: no such prompt.
        """
        if not 0 <= checks.whole("x", x) < self.n:
            raise ValueError(f"x is {x}; prompts are 0 to {self.n - 1}")
        y = np.arange(self.n, dtype=np.float64)
        return self._population(self._rewards(y - x))

    def pairwise_by_type(self) -> Array:
        """Pr(label says delta_i beats delta_j | u), flips included, shape (types, n, n)."""
        return self.centred().pairwise_by_type()

    def pairwise(self) -> Array:
        """Pr(label says delta_i beats delta_j), flips included, shape (n, n)."""
        return self.centred().pairwise()

    def moments(self) -> JointMoments:
        """J1 and J2 of two labels by one person, each flipped on its own."""
        p, w = self.pairwise_by_type(), self.centred().weights
        return JointMoments(np.einsum("u,uij->ij", w, p**2), np.einsum("u,uij->ij", w, p * (1 - p)))

    def unanimous(self) -> Array:
        """Pr(every type's label prefers delta_i to delta_j), shape (n, n)."""
        return self.pairwise_by_type().prod(axis=0)

    def best(self) -> Array:
        """pi* of Eq. (10) with a uniform reference and beta = 1, by offset, shape (n,)."""
        return self.centred().optimal_policy()

    def borda(self, sampling: ArrayLike | None = None) -> Array:
        """Normalised Borda count of the labels, Eq. (13), by offset, shape (n,)."""
        return normalized_borda_count(self.pairwise(), sampling)

    def optimum(
        self, method: str, sampling: ArrayLike | None = None, alpha: float = 1.0, **options: Any
    ) -> Array:
        """The policy of a method on an infinite sample (uniform reference, beta = 1).

        Args:
            method: One of :data:`OPTIMA`.
            sampling: Distribution D of each response's offset, shape (n,); uniform if None.
            alpha: Strength of "corrected".
            options: Passed to :class:`hetlib.linked.corrected.Correction` for "corrected", such as
                clamp or variance; by default V is attached, from the exact moments.

        Returns:
            Probabilities by offset, shape (n,).

        Raises:
            ValueError: an unknown method.
        """
        D = checks.distribution("sampling", sampling, self.n, full_support=True)
        P, A = self.pairwise(), self.unanimous()
        k = len(self.shifts)
        losses = {
            "agreement": lambda: agreement_loss(A, k),
            "agreement as released": lambda: shifted_agreement_loss(A / 2, A / 2, k),
            "integral": lambda: integral_loss(A, k),
        }
        if method == "best":
            return self.best()
        if method == "dpo":
            reward = dpo_reward(P, D)
        elif method == "corrected":
            if "variance" not in options:
                options.setdefault("choice_variance", self.moments().choice_variance)
            reward = corrected_reward(P, Correction(alpha, **options), D)
        elif method == "ipo":
            reward = P @ D
        elif method == "personalised":
            rewards = [dpo_reward(p, D) for p in self.pairwise_by_type()]
            reward = self.centred().weights @ np.array(rewards)
        elif method in losses:
            reward = minimise_pairwise(losses[method](), D)
        else:
            raise ValueError(f"method is {method!r}; known are {', '.join(OPTIMA)}")
        return optimal_policy(reward)

    def _pairs(
        self, size: int, rng: np.random.Generator, sampling: ArrayLike | None
    ) -> tuple[Indices, Indices, Indices]:
        size = checks.whole("size", size, 1)
        x = rng.integers(self.n, size=size)
        if sampling is None:
            pairs = rng.integers(self.n, size=(2, size))
        else:
            D = checks.distribution("sampling", sampling, self.n)
            pairs = rng.choice(self.n, size=(2, size), p=D)
        return x, pairs[0], pairs[1]

    def sample(
        self,
        size: int,
        rng: np.random.Generator,
        sampling: ArrayLike | None = None,
        labels: int = 1,
    ) -> RingComparisons:
        """Random prompts and pairs, each labelled by one random person.

        Args:
            size: Number of comparisons.
            rng: Source of randomness.
            sampling: Distribution D of each response's offset, shape (n,); uniform if None.
            labels: How often the same person labels the pair: 1 is anonymous (leave
                ``types`` unread), 2 or more linked.

        Returns:
            Comparisons with votes of shape (size, labels).
        """
        labels = checks.whole("labels", labels, 1)
        x, d1, d2 = self._pairs(size, rng, sampling)
        people = self.centred()
        u = np.searchsorted(people.weights.cumsum()[:-1], rng.random(size), side="right")
        each = np.broadcast_to(u[:, None], (size, labels))
        votes = people.answer(each, d1[:, None], d2[:, None], rng)
        return RingComparisons(x, d1, d2, votes, u, self.n)

    def sample_types(
        self, size: int, rng: np.random.Generator, sampling: ArrayLike | None = None
    ) -> RingComparisons:
        """Random prompts and pairs, each labelled once by every type (Section 6).

        Returns:
            Comparisons with votes of shape (size, types).
        """
        x, d1, d2 = self._pairs(size, rng, sampling)
        votes = self.centred().answer(np.arange(len(self.shifts))[:, None], d1, d2, rng)
        return RingComparisons(x, d1, d2, np.ascontiguousarray(votes.T), None, self.n)


def by_offset(table: ArrayLike) -> Array:
    """Entries by prompt and response rearranged by prompt and offset, shape (n, n).

    Args:
        table: Entry [x, y] belongs to response y of prompt x, shape (n, n).
    """
    values = checks.array("table", table, 2)
    n = len(values)
    if values.shape != (n, n):
        raise ValueError(f"table must be square, not of shape {values.shape}")
    return np.array([np.roll(row, n // 2 - x) for x, row in enumerate(values)])
