"""The paper's way of training on the ring: a small network, Adam, batches of comparisons.

Section 7.2 and the released code say how: prompts one-hot, two hidden layers of 15 tanh units,
one logit a response; J beside it. Here are the parts; :mod:`hetlib.ring.training` trains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetlib.extras import require

require("torch")
import torch
from torch import Tensor

from hetlib.checks import Array
from hetlib.ring.environment import RingComparisons, RingEnvironment

#: Streams of random numbers of a seed, beside those of its data, 0 and 1.
JOINT, WEIGHTS = 2, 3
#: Losses that a recipe can name.
KINDS = ("dpo", "corrected", "agreement", "agreement as released", "integral")


@dataclass(frozen=True)
class Recipe:
    """One method as it is trained.

    Attributes:
        kind: One of :data:`KINDS`.
        alpha: Strength of "corrected".
        clamp: Its bound on the correction; the released code has 0.1.
        late: How many of the last steps use the correction; None for all. The released code
            has 2000.
        joint: Where its J comes from: "learned" (Adam, beside the policy) or "exact".
    """

    kind: str
    alpha: float = 1.0
    clamp: float | None = None
    late: int | None = None
    joint: str = "learned"

    def __post_init__(self) -> None:
        """Check the words."""
        if self.kind not in KINDS:
            raise ValueError(f"kind is {self.kind!r}; known are {', '.join(KINDS)}")
        if self.joint not in ("learned", "exact"):
            raise ValueError(f"joint is {self.joint!r}; it must be 'learned' or 'exact'")

    @property
    def votes(self) -> bool:
        """Whether it needs a label from every type."""
        return self.kind not in ("dpo", "corrected")


@dataclass(frozen=True)
class NetworkSettings:
    """How networks are trained; the defaults are those of the paper and its code.

    Attributes:
        steps: Adam steps.
        batch: Comparisons a step.
        size: Comparisons in the data set of a seed; None draws new ones for each step.
        hidden: Units of each of the two hidden layers.
        rate: Learning rate of the policy.
        joint_rate: Learning rate of J.
        record: Steps after which policies are kept; the last step always is.
    """

    steps: int = 10_000
    batch: int = 1024
    size: int | None = 500_000
    hidden: int = 15
    rate: float = 1e-3
    joint_rate: float = 1e-2
    record: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("steps", "batch", "hidden"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.size is not None and self.size < self.batch:
            raise ValueError(f"size is {self.size}; a batch alone is {self.batch}")

    @property
    def kept(self) -> list[int]:
        """The steps after which policies are kept."""
        return sorted({*(k for k in self.record if 0 < k < self.steps), self.steps})


class Batches:
    """Batches of one seed's data; a new order each pass, as in the released code."""

    def __init__(
        self, environment: RingEnvironment, settings: NetworkSettings, seed: int, votes: bool
    ):
        self.environment, self.settings, self.votes = environment, settings, votes
        self.rng = np.random.default_rng([seed, int(votes)])
        self.data = None if settings.size is None else self._draw(settings.size)
        self.order: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self.head = 0

    def _draw(self, size: int) -> RingComparisons:
        draw = self.environment.sample_types if self.votes else self.environment.sample
        return draw(size, self.rng)

    def next(self) -> RingComparisons:
        """The next batch."""
        batch = self.settings.batch
        if self.data is None:
            return self._draw(batch)
        if self.head + batch > len(self.order):
            self.order, self.head = self.rng.permutation(len(self.data)), 0
        rows = self.order[self.head : self.head + batch]
        self.head += batch
        d = self.data
        types = None if d.types is None else d.types[rows]
        return RingComparisons(d.x[rows], d.d1[rows], d.d2[rows], d.votes[rows], types, d.n)

    def state(self) -> dict[str, Any]:
        """What :meth:`load` needs to go on from here."""
        return {"rng": self.rng.bit_generator.state, "order": self.order, "head": self.head}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state; the data themselves were drawn again."""
        self.rng.bit_generator.state = state["rng"]
        self.order, self.head = state["order"], state["head"]


class Joint:
    """J of the released code: tabular Bradley-Terry models, one a type, and their weights.

    One set a seed. Trained on pairs of comparisons in a batch by users of the same type.
    """

    def __init__(self, n: int, types: int, seeds: Sequence[int], rate: float):
        start = [np.random.default_rng([s, JOINT]).standard_normal((n * n, types)) for s in seeds]
        self.rewards = torch.tensor(np.array(start), dtype=torch.float32, requires_grad=True)
        self.logits = torch.zeros(len(seeds), types, requires_grad=True)
        self.adam = torch.optim.Adam([self.rewards, self.logits], lr=rate, foreach=True)

    def _choices(self, one: Tensor, two: Tensor) -> Tensor:
        """Pr(y2 beats y1 | u), shape (seeds, batch, types)."""
        row = torch.arange(len(one))[:, None]
        return torch.sigmoid(self.rewards[row, two] - self.rewards[row, one])

    def moments(self, one: Tensor, two: Tensor) -> tuple[Tensor, Tensor]:
        """J1 and J2 of Lemma 5.3 on each comparison, shape (seeds, batch); no gradient."""
        with torch.no_grad():
            p = self._choices(one, two)
            w = torch.softmax(self.logits, dim=1)[:, None, :]
            return (w * p**2).sum(2), (w * p * (1 - p)).sum(2)

    def step(self, one: Tensor, two: Tensor, preferred: Tensor, types: Tensor) -> None:
        """One Adam step on the cross-entropy of "both said y2"."""
        order = torch.argsort(types, dim=1, stable=True)
        left, right = order[:, :-1], order[:, 1:]
        same = types.gather(1, left) == types.gather(1, right)
        p = self._choices(one, two)
        row = torch.arange(len(one))[:, None]
        w = torch.softmax(self.logits, dim=1)[:, None, :]
        both = (w * p[row, left] * p[row, right]).sum(2).clamp(1e-12, 1 - 1e-7)
        label = preferred.gather(1, left) & preferred.gather(1, right)
        entropy = -torch.where(label, both.log(), (1 - both).log())
        loss = ((entropy * same).sum(1) / same.sum(1).clamp(min=1)).sum()
        self.adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.adam.step()


def initial_weights(n: int, hidden: int, seeds: Sequence[int], recipes: int) -> list[Tensor]:
    """Weights of all runs, shape (recipes * seeds, in, out); equal for all recipes of a seed."""
    shapes = [(n, n, hidden), (n, 1, hidden), (hidden, hidden, hidden), (hidden, 1, hidden)]
    shapes += [(hidden, hidden, n), (hidden, 1, n)]
    columns: list[list[Array]] = [[] for _ in shapes]
    for seed in seeds:
        rng = np.random.default_rng([seed, WEIGHTS])
        for column, (fan_in, rows, width) in zip(columns, shapes, strict=True):
            column.append(rng.uniform(-1, 1, (rows, width)) / fan_in**0.5)  # as torch does
    stacked = [np.tile(np.array(column), (recipes, 1, 1)) for column in columns]
    return [torch.tensor(w, dtype=torch.float32, requires_grad=True) for w in stacked]


def logits(weights: list[Tensor]) -> Tensor:
    """Logits of every response to every prompt, shape (runs, prompts, responses)."""
    w1, b1, w2, b2, w3, b3 = weights
    out = torch.tanh(w1 + b1)  # a one-hot prompt picks a row
    out = torch.tanh(torch.baddbmm(b2, out, w2))
    return torch.baddbmm(b3, out, w3)
