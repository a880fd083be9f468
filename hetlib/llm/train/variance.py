"""The variance of Eq. (16) from linked labels, by a network head on the backbone (Section 5.3).

One annotator's answers to two pairs of texts say how choices go together:
``J(a, b) = Pr(the same person prefers the second text of pair a and of pair b)``. A small network
is trained on that by cross-entropy, from what the frozen base model says of the four texts; asked
about a pair and the same pair again, it gives J1 and J2.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from hetlib.checks import Array
from hetlib.linked.estimators import descend
from hetlib.linked.moments import variance_from_moments

Index = NDArray[np.int64]

#: Units of each of two hidden layers; steps of Adam, its rate at the start, and linked pairs a
#: step at most; weight decay, towards equal probabilities.
HIDDEN, STEPS, RATE, BATCH, DECAY = 32, 400, 1e-2, 1024, 1e-3
#: Directions of features kept at most.
DIRECTIONS = 16


def linked_pairs(
    pair: ArrayLike, preferred: ArrayLike, annotator: ArrayLike
) -> tuple[Index, Index]:
    """All pairs of labels by one annotator.

    Args:
        pair: Which pair of texts each label is of, shape (labels,).
        preferred: 1 where the second text won, shape (labels,).
        annotator: Who gave it, shape (labels,).

    Returns:
        Pairs of texts, shape (linked, 2), and the two labels, (linked, 2).
    """
    where, who = np.asarray(pair), np.asarray(annotator)
    order = np.argsort(who, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(who[order])) + 1)
    found = [both for group in groups for both in combinations(group.tolist(), 2)]
    index = np.array(found, dtype=np.int64).reshape(-1, 2)
    return where[index], np.asarray(preferred)[index]


def directions(features: ArrayLike) -> Array:
    """The main directions of pairs' features, each of mean square one, shape (pairs, kept).

    No mean is taken off: a pair read backwards has its features with the other sign.

    Args:
        features: Difference of the two texts' states, shape (pairs, hidden).
    """
    x = np.asarray(features, dtype=np.float64)
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    keep = s[:DIRECTIONS] > 1e-6 * max(s[0], 1e-300)
    return np.asarray(u[:, :DIRECTIONS][:, keep] * len(x) ** 0.5)


def joint_moments(
    features: ArrayLike,
    linked: Index,
    answers: Index,
    seed: int = 0,
) -> tuple[Array, Array]:
    """J1 and J2 of every pair of texts, from linked labels.

    A pair read backwards has the features with the other sign and the opposite label; all
    orders are averaged, in training and in the end, so that the four answers to a pair asked
    twice have probabilities that add up to 1.

    Args:
        features: Of each pair, odd under a swap of its texts, shape (pairs, features).
        linked: Pairs of texts that one annotator labelled, shape (linked, 2).
        answers: Their labels, shape (linked, 2).
        seed: Of weights and batches.

    Returns:
        Pr(second text, twice) and Pr(second, then first) of each pair, shape (pairs,).

    Raises:
        ValueError: no linked labels.
    """
    if not len(linked):
        raise ValueError("there are no two labels by one annotator; Eq. (16) needs linked labels")
    x = torch.as_tensor(np.asarray(features), dtype=torch.float32)
    index, votes = torch.as_tensor(linked), torch.as_tensor(answers)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(
            *(nn.Linear(2 * x.shape[1], HIDDEN), nn.Tanh()),
            *(nn.Linear(HIDDEN, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 1)),
        )

        def loss(pick: Tensor) -> Tensor:
            p = _four(net, x[index[pick, 0]], x[index[pick, 1]])
            cell = 2 * votes[pick, 0] + votes[pick, 1]
            return -p.gather(1, cell[:, None]).clamp(min=1e-9).log().mean()

        descend(net, loss, len(index), steps=STEPS, rate=RATE, batch=BATCH, decay=DECAY)
    with torch.no_grad():
        four: Array = _four(net, x, x).double().numpy()
    return four[:, 3], (four[:, 1] + four[:, 2]) / 2


def _four(net: nn.Module, one: Tensor, other: Tensor) -> Tensor:
    """Probabilities of (0, 0), (0, 1), (1, 0), (1, 1), shape (rows, 4), each row of sum 1."""
    logits = []
    for a in (-1, 1):
        for b in (-1, 1):
            both = (torch.cat([a * one, b * other], 1), torch.cat([b * other, a * one], 1))
            logits.append(sum(net(z)[:, 0] for z in both) / 2)
    return torch.stack(logits, dim=1).softmax(dim=1)


def variance(J1: ArrayLike, J2: ArrayLike, most: float = 25.0) -> Array:
    """Eq. (16) with the margin that J itself has, at most ``most``, shape (pairs,).

    Args:
        J1: From :func:`joint_moments`.
        J2: The same.
        most: Limit: a reward difference of standard deviation 5 is as good as any larger one.
    """
    one, two = np.asarray(J1, dtype=np.float64), np.asarray(J2, dtype=np.float64)
    p = np.clip(one + two, 0.02, 0.98)
    return np.minimum(np.asarray(variance_from_moments(one, two, np.log(p / (1 - p)))), most)
