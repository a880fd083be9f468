"""Estimators of joint likelihoods from linked labels, beside the tabular one.

* Labels by one person on *different* pairs. Reward differences add up around a triangle:
  d(i, j) = d(i, k) + d(k, j). So Var d(i, j) is the covariance of d(i, j) with d(i, k) plus that
  with d(k, j), and nobody has to label a pair twice.
* :func:`neural_moments`: a small network, trained as Section 5.3 says.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hetlib import checks
from hetlib.checks import Array
from hetlib.core.labels import Comparisons, Linked
from hetlib.core.population import Population
from hetlib.extras import require
from hetlib.linked.moments import JointMoments


def cross_covariance(population: Population) -> Array:
    """Covariance over types of two choice probabilities.

    Returns:
        C[i, j, k, l] = Cov_u(Pr(y_i beats y_j | u), Pr(y_k beats y_l | u)).
    """
    p = population.pairwise_by_type()
    centred = p - population.pairwise()
    return np.einsum("u,uij,ukl->ijkl", population.weights, centred, centred)


def tabular_cross_covariance(data: Linked, responses: int) -> tuple[Array, Array]:
    """The same from linked labels, without a model, for pairs that one person labelled both.

    A tie is half a win each way, as if a coin had decided.

    Returns:
        Covariances, shape (responses,) * 4, and the number of linked pairs behind each.
        Covariances that no linked pair informs are 0; look at the number.

    Raises:
        ValueError: indices that are no response.
    """
    data.check(checks.whole("responses", responses, 1))
    rows, times, ones = _products(data)
    asked, both = np.zeros((2, *(responses,) * 4))
    cell = tuple(rows[:, [1, 0, 3, 2]].T)  # where both labels are 1, the second of each pair won
    asked[cell], both[cell] = times, ones
    first = both + both.swapaxes(2, 3)  # whatever the other label was
    second = both + both.swapaxes(0, 1)
    seen = np.maximum(asked, 1)
    return both / seen - first / seen * second / seen, asked


def triangle_variance(covariance: Array, reward: ArrayLike, asked: Array | None = None) -> Array:
    """V from covariances across the two other sides of each triangle, averaged over triangles.

    Args:
        covariance: From this module, shape (responses,) * 4.
        reward: The average reward, or a stand-in, shape (responses,).
        asked: Linked pairs behind each covariance; triangles with none are left out.

    Returns:
        V[i, j], clamped at zero, shape (responses, responses).

    Raises:
        ValueError: fewer than three responses, or a pair in no observed triangle.
    """
    r, c = checks.array("reward", reward, 1), checks.array("covariance", covariance, 4)
    seen = None if asked is None else checks.array("asked", asked, 4)
    n = len(r)
    for name, table in (("covariance", c), ("asked", c if seen is None else seen)):
        if n < 3 or table.shape != (n,) * 4:
            raise ValueError(
                f"{name} has shape {table.shape}; with {n} rewards it must be {(n,) * 4}, and a "
                "triangle needs 3 responses"
            )
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        steep = 1 / (2 + 2 * np.cosh(r[:, None] - r[None, :]))  # sigma'
        C = c / (steep[:, :, None, None] * steep[None, None])
    if not abs(C).max() < 1e300:
        raise ValueError(
            f"reward has differences up to {np.ptp(r):g}; with this covariance the variance is "
            "too large for a float"
        )
    V = np.zeros((n, n))
    for i, j in combinations(range(n), 2):
        third = [k for k in range(n) if k not in (i, j)]
        if seen is not None:
            third = [k for k in third if seen[i, j, i, k] and seen[i, j, k, j]]
        if not third:
            raise ValueError(
                f"no triangle with responses {i} and {j} was labelled by one person: asked is 0"
            )
        V[i, j] = V[j, i] = np.mean([C[i, j, i, k] + C[i, j, k, j] for k in third])
    return np.maximum(V, 0.0)


def _products(data: Linked) -> tuple[NDArray[np.int64], Array, Array]:
    """Distinct (y1, y2, y1', y2') with how often asked and how often both labels were 1.

    A pair read backwards has the opposite label, so each linked pair gives eight rows: both
    orders of the two answers, each pair forwards and backwards.
    """
    labels, votes = data.y1.shape[1], data.shares()
    rows, ones = [], []
    for a in range(labels):
        for b in range(labels):
            if a == b:
                continue
            there = np.isfinite(votes[:, a] + votes[:, b])
            for flip_a in (False, True):
                for flip_b in (False, True):
                    row, product = [], np.ones(int(there.sum()))
                    for k, flip in ((a, flip_a), (b, flip_b)):
                        y1, y2, o = data.y1[there, k], data.y2[there, k], votes[there, k]
                        row += [y2, y1] if flip else [y1, y2]
                        product = product * (1 - o if flip else o)
                    rows.append(np.stack(row, axis=1))
                    ones.append(product)
    all_rows, where = np.unique(np.concatenate(rows), axis=0, return_inverse=True)
    where = where.ravel()
    asked = np.bincount(where).astype(np.float64)
    return all_rows.astype(np.int64), asked, np.bincount(where, np.concatenate(ones)).astype(float)


def descend(
    net: Any,
    loss: Callable[[Any], Any],
    rows: int,
    *,
    steps: int,
    rate: float,
    batch: int,
    decay: float = 0.0,
) -> None:
    """Adam with a learning rate that falls to zero along a cosine.

    Args:
        net: A module of PyTorch.
        loss: Mean loss of some rows, given by a tensor of their numbers.
        rows: How many there are; all are taken in a step if they are not more than ``batch``.
        steps: Steps.
        rate: Learning rate at the start.
        batch: Rows a step at most, drawn anew each time.
        decay: Weight decay.
    """  # fmt: skip
    import torch

    adam = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=decay)
    for step in range(steps):
        for group in adam.param_groups:
            group["lr"] = rate * (1 + np.cos(np.pi * step / steps)) / 2
        pick = torch.arange(rows) if rows <= batch else torch.randint(rows, (batch,))
        adam.zero_grad()
        loss(pick).backward()
        adam.step()


def neural_moments(
    data: Comparisons | Linked,
    responses: int,
    features: ArrayLike | None = None,
    hidden: int = 64,
    steps: int = 800,
    learning_rate: float = 1e-2,
    batch: int = 4096,
    seed: int = 0,
) -> JointMoments:
    """J(y1, y2, y1', y2') as a network of two hidden layers, by cross-entropy on o o'.

    Nothing makes the network a mixture, so its variance can be negative; ``clamped`` of the
    result says in how many pairs. On one pair its four answers are scaled to total 1.

    Args:
        data: Labels by person, on the same or on different pairs.
        responses: Number of responses.
        features: Describes each response, shape (responses, features); indicators if None.
        hidden: Units of each hidden layer (tanh).
        steps: Adam steps; the learning rate falls to zero along a cosine.
        learning_rate: Of Adam, at the start.
        batch: Rows a step, if there are more distinct ones.
        seed: Seed of the weights and the batches.

    Raises:
        ValueError: features of another length or too large, sizes below 1, or indices that
            are no response.
    """
    require("torch")
    import torch

    linked = Linked.of(data)
    linked.check(checks.whole("responses", responses, 1))
    sizes = {"hidden": hidden, "steps": steps, "batch": batch}
    hidden, steps, batch = (checks.whole(name, size, 1) for name, size in sizes.items())
    seed, rate = checks.whole("seed", seed, 0), checks.positive("learning_rate", learning_rate)
    x = np.eye(responses) if features is None else checks.array("features", features, 2)
    if len(x) != responses:
        raise ValueError(f"features has {len(x)} rows; one for each of {responses} is needed")
    rows, asked, ones = _products(linked)
    table = torch.tensor(x, dtype=torch.float32)
    index = torch.tensor(rows)
    target = torch.tensor(ones / asked, dtype=torch.float32)
    mass = torch.tensor(asked / asked.mean(), dtype=torch.float32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = torch.nn.Sequential(
            torch.nn.Linear(4 * x.shape[1], hidden),
            torch.nn.Tanh(),
            torch.nn.Linear(hidden, hidden),
            torch.nn.Tanh(),
            torch.nn.Linear(hidden, 1),
        )
        entropy = torch.nn.functional.binary_cross_entropy_with_logits

        def loss(pick: torch.Tensor) -> torch.Tensor:
            logit = net(table[index[pick]].flatten(1))[:, 0]
            return entropy(logit, target[pick], mass[pick])

        descend(net, loss, len(rows), steps=steps, rate=rate, batch=batch)
    i, j = (k.ravel() for k in np.indices((responses, responses)))

    def ask(*quadruple: NDArray[np.int64]) -> Array:
        with torch.no_grad():
            out = torch.sigmoid(net(table[torch.tensor(np.stack(quadruple, axis=1))].flatten(1)))
        return out[:, 0].double().numpy().reshape(responses, responses)

    # Entry [i, j] is about y_i beating y_j: y1 = j, y2 = i.
    J1 = ask(j, i, j, i)
    J2 = ask(j, i, i, j)
    J2 = (J2 + J2.T) / 2
    total = J1 + J1.T + 2 * J2
    if not (np.isfinite(total) & (total > 1e-30)).all():
        raise ValueError(
            "the network answers no finite number: features or learning_rate are too large"
        )
    J1, J2 = J1 / total, J2 / total
    off = ~np.eye(responses, dtype=bool)
    return JointMoments(np.where(off, J1, 0.25), np.where(off, J2, 0.25), linked.linked)
