"""Several rankings, or comparisons, by each of many annotators, and their likelihood.

A comparison is a ranking of two. Under Plackett and Luce a ranking is a sequence of choices:
the best of all, then the best of the rest, and so on; each choice is a softmax of the rewards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix

from hetlib import checks
from hetlib.checks import Array
from hetlib.core.labels import NOT_ANSWERED, TIE, Comparisons, Indices, Linked, TypeLabels
from hetlib.core.population import Population


@dataclass(frozen=True)
class Rankings:
    """Several rankings by each annotator.

    Attributes:
        orders: Responses from best to worst, shape (annotators, tasks, length). A shorter
            ranking ends in -1, and a task that an annotator did not do is all -1.
        types: True type of each annotator, shape (annotators,), if known. Kept for checks.
        weights: How much each task counts, shape (annotators, tasks); once each if None. A tie
            is two tasks, one each way, that count half.

    Raises:
        ValueError: not three axes of whole numbers, -1 before a response, or a response twice.
    """

    orders: Indices
    types: Indices | None = None
    weights: Array | None = None

    def __post_init__(self) -> None:
        """Check shape and contents."""
        try:
            raw = np.asarray(self.orders)
        except ValueError as error:
            raise ValueError("orders must be a rectangular array of whole numbers") from error
        if raw.ndim != 3 or 0 in raw.shape or not np.issubdtype(raw.dtype, np.integer):
            raise ValueError(
                f"orders has shape {raw.shape} and type {raw.dtype}; whole numbers of shape "
                "(annotators, tasks, length) are needed"
            )
        there = raw >= 0
        late = ~there[..., :-1] & there[..., 1:]
        ranked = np.sort(raw, axis=2)
        twice = (ranked[..., :-1] == ranked[..., 1:]) & (ranked[..., 1:] >= 0)
        for what, bad in (("-1 before a response", late), ("a response twice", twice)):
            if bad.any():
                i, t = (int(k) for k in np.argwhere(bad)[0][:2])
                raise ValueError(f"orders[{i}, {t}] is {raw[i, t].tolist()}: {what}")
        object.__setattr__(self, "orders", raw.astype(np.int64))
        if self.weights is not None:
            w = checks.array("weights", self.weights, 2)
            if w.shape != raw.shape[:2] or (w < 0).any():
                raise ValueError(f"weights must be non-negative, of shape {raw.shape[:2]}")
            object.__setattr__(self, "weights", w)

    @classmethod
    def of(cls, annotations: Rankings | Linked | Comparisons | ArrayLike) -> Rankings:
        """Read annotations as rankings.

        Args:
            annotations: Rankings; linked labels; comparisons, whose ``votes`` columns are
                labels by one person; or an array of orders, shape (annotators, tasks, length).

        Returns:
            The same as rankings; a response beside itself is a task not done.
        """
        if isinstance(annotations, Rankings):
            return annotations
        if isinstance(annotations, TypeLabels):
            raise ValueError(
                "labels of one person are needed, Comparisons or Linked, not TypeLabels, whose "
                "columns are labels one a type"
            )
        if not isinstance(annotations, Linked | Comparisons):
            return cls(np.asarray(annotations))
        votes = np.asarray(annotations.votes)
        y1, y2 = (
            np.broadcast_to(y.reshape(len(votes), -1), votes.shape)
            for y in (np.asarray(annotations.y1), np.asarray(annotations.y2))
        )
        orders = np.stack([np.where(votes == 1, y2, y1), np.where(votes == 1, y1, y2)], axis=2)
        orders = np.where(((y1 == y2) | (votes == NOT_ANSWERED))[:, :, None], -1, orders)
        types = annotations.types if isinstance(annotations, Comparisons) else None
        if not (tie := votes == TIE).any():
            return cls(orders, types)
        turned = np.where(tie[:, :, None], orders[:, :, ::-1], -1)  # a tie, the other way
        weights = np.hstack([np.where(tie, 0.5, 1.0), np.full(votes.shape, 0.5)])
        return cls(np.hstack([orders, turned]), types, weights)

    def __len__(self) -> int:
        return len(self.orders)

    def choices(self) -> int:
        """The most choices that any annotator made: 1 for one comparison, 2 for one of three."""
        return int((self.orders[..., 1:] >= 0).sum(axis=(1, 2)).max())

    def take(self, which: ArrayLike) -> Rankings:
        """Some of the annotators, by index or mask."""
        try:
            index = np.asarray(which)
        except ValueError as error:
            raise ValueError("which must be a list of whole numbers, or a mask") from error
        if index.ndim != 1 or index.dtype.kind not in "iub":
            raise ValueError("which must be a list of whole numbers, or a mask")
        if index.dtype.kind == "b" and len(index) != len(self):
            raise ValueError(f"which is a mask of {len(index)}; {len(self)} are needed")
        if (
            index.dtype.kind != "b"
            and index.size
            and not -1 < index.min() <= index.max() < len(self)
        ):
            raise ValueError(f"which holds {index.max()}; annotators are 0 to {len(self) - 1}")
        types, weights = (None if a is None else a[index] for a in (self.types, self.weights))
        return Rankings(self.orders[index], types, weights)


@dataclass(frozen=True)
class Choices:
    """Annotations as counts of choices, in the form that the likelihood needs.

    Attributes:
        members: Whether a response is in a choice set, shape (sets, responses).
        made: How often each distinct annotator chose each response from each set, sparse,
            shape (patterns, sets * responses).
        people: Annotators who gave the same answers, shape (patterns,).
        pattern: Pattern of each annotator, shape (annotators,).
    """

    members: NDArray[np.bool_]
    made: csr_matrix
    people: Array
    pattern: Indices

    @classmethod
    def of(cls, annotations: Rankings, responses: int) -> Choices:
        """Count choices.

        Args:
            annotations: Rankings by annotator.
            responses: Number of responses.

        Raises:
            ValueError: an index that is no response, or nothing but empty tasks.
        """
        orders = annotations.orders
        if orders.max() >= checks.whole("responses", responses):
            raise ValueError(
                f"response {orders.max()} occurs; responses={responses} allows 0 … {responses - 1}"
            )
        codes, menus, length = [], [], orders.shape[2]
        for stage in range(length - 1):
            left = orders[..., stage:].reshape(-1, length - stage)
            menu = np.full((len(left), length), -1)
            menu[:, : length - stage] = np.sort(left, axis=1)
            menu[left[:, 1] < 0] = -1  # a single response left is no choice
            menus.append(np.sort(menu, axis=1))
            codes.append(left[:, 0])
        menu, winner = np.concatenate(menus), np.concatenate(codes)
        key = np.zeros(len(menu), dtype=np.int64)
        if length * np.log2(responses + 1) < 62:
            for column in menu.T:
                key = key * (responses + 1) + column + 1
            _, first, place = np.unique(key, return_index=True, return_inverse=True)
            sets = menu[first]
        else:
            sets, place = np.unique(menu, axis=0, return_inverse=True)
        empty = sets[0, -1] < 0
        place = place.reshape(-1) - empty
        sets = sets[int(empty) :]
        if len(sets) == 0:
            raise ValueError("annotations hold no comparison of two different responses")
        members = np.zeros((len(sets), responses + 1), dtype=bool)
        members[np.arange(len(sets))[:, None], sets] = True  # -1 falls into the last column
        cell = np.where(place >= 0, place * responses + winner, -1)
        cell = cell.reshape(length - 1, len(orders), -1).transpose(1, 0, 2)
        rows = cell.reshape(len(orders), -1)
        if annotations.weights is None:
            rows, often = np.sort(rows, axis=1), np.ones(rows.shape)
        else:
            often = np.tile(annotations.weights, (1, length - 1))
        if (
            rows.shape[1] <= 8 and annotations.weights is None
        ):  # with more, hardly two annotators agree
            rows, pattern = np.unique(rows, axis=0, return_inverse=True)
        else:
            pattern = np.arange(len(rows))
        who, where = np.nonzero(rows >= 0)
        made = csr_matrix(
            (often[who, where], (who, rows[who, where])), (len(rows), len(sets) * responses)
        )
        people = np.bincount(pattern.reshape(-1), minlength=len(rows)).astype(np.float64)
        return cls(members[:, :responses], made, people, pattern.reshape(-1))

    def log_total(self, rewards: Array) -> Array:
        """Log of the sum of exp(reward) over each set, shape (..., sets)."""
        r = np.where(self.members, rewards[..., None, :], -np.inf)
        top = r.max(axis=-1)
        with np.errstate(over="ignore"):  # to -inf, whose share is zero
            return np.asarray(top + np.log(np.exp(r - top[..., None]).sum(axis=-1)))

    def choice(self, rewards: Array) -> Array:
        """Probability that y is chosen from each set, shape (..., sets, responses)."""
        r = np.where(self.members, rewards[..., None, :], -np.inf)
        with np.errstate(over="ignore"):
            return np.exp(r - self.log_total(rewards)[..., None])

    def log_probability(self, rewards: Array) -> Array:
        """Log-probability of a pattern's answers by type, shape (patterns, types)."""
        with np.errstate(over="ignore"):  # to -inf: what cannot happen
            table = rewards[:, None, :] - self.log_total(rewards)[:, :, None]
        return np.asarray(self.made @ table.reshape(len(rewards), -1).T)

    def counts(self, share: Array) -> Array:
        """Choices of each response from each set, patterns weighted; shape (sets, responses)."""
        return np.asarray(self.made.T @ share).reshape(self.members.shape)


def log_probability(
    annotations: Rankings | Linked | Comparisons | ArrayLike, rewards: ArrayLike
) -> Array:
    """How likely each annotator's answers are for each type (Plackett and Luce).

    Args:
        annotations: As ``Rankings.of`` takes them.
        rewards: Rewards of each type, shape (types, responses).

    Returns:
        log Pr(answers | type), shape (annotators, types).
    """
    r = checks.array("rewards", rewards, 2)
    choices = Choices.of(Rankings.of(annotations), r.shape[1])
    return choices.log_probability(r)[choices.pattern]


def sample_rankings(
    population: Population,
    annotators: int,
    rng: np.random.Generator,
    tasks: int = 1,
    length: int = 2,
    sampling: ArrayLike | None = None,
) -> Rankings:
    """Random annotators who each rank several random sets of different responses.

    Args:
        population: Who ranks; with the logistic link, of which Plackett-Luce is the extension.
        annotators: Number of annotators.
        rng: Source of randomness.
        tasks: Rankings by each annotator.
        length: Responses in each, at least 2.
        sampling: Responses are drawn one after the other with these odds, without replacement,
            shape (responses,), full support; uniform if None.

    Raises:
        ValueError: numbers out of range, or another link.
    """
    if population.link != "logistic":
        raise ValueError(
            f"the population's link is {population.link!r}; Plackett-Luce needs the logistic one"
        )
    if abs(population.rewards).max() > 1e300 * min(population.temperature, 1.0):
        raise ValueError("the population's rewards over its temperature are too large for a float")
    annotators, tasks = checks.whole("annotators", annotators), checks.whole("tasks", tasks)
    length = checks.whole("length", length)
    if annotators < 1 or tasks < 1 or not 2 <= length <= population.responses:
        raise ValueError(
            f"annotators={annotators}, tasks={tasks}, length={length}: at least 1, 1 and 2 are "
            f"needed, and at most {population.responses} responses in a ranking"
        )
    D = checks.distribution("sampling", sampling, population.responses, full_support=True)
    shape = (annotators, tasks, population.responses)
    # Adding Gumbel noise and sorting is Plackett-Luce; for the menus as for the rankings.
    menus = np.argsort(-(np.log(D) + rng.gumbel(size=shape)), axis=2)[..., :length]
    u = rng.choice(population.types, size=annotators, p=population.weights)
    utility = population.rewards[u[:, None, None], menus] / population.temperature
    best_first = np.argsort(-(utility + rng.gumbel(size=menus.shape)), axis=2)
    return Rankings(np.take_along_axis(menus, best_first, axis=2), u)
