"""A joint likelihood model for linked data: a small network, trained as Section 5.3 says."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hetlib import checks
from hetlib.checks import Array
from hetlib.core.labels import Comparisons, Linked
from hetlib.extras import require
from hetlib.linked.moments import JointMoments


def _products(data: Linked) -> tuple[NDArray[np.int64], Array, Array]:
    """Distinct (y1, y2, y1', y2') with how often asked and how often both labels were 1.

    A pair read backwards has the opposite label, so each linked pair gives eight rows: both
    orders of the two answers, each pair forwards and backwards.
    """
    labels = data.y1.shape[1]
    rows, ones = [], []
    for a in range(labels):
        for b in range(labels):
            if a == b:
                continue
            for flip_a in (False, True):
                for flip_b in (False, True):
                    row, product = [], np.ones(len(data), dtype=np.int64)
                    for k, flip in ((a, flip_a), (b, flip_b)):
                        y1, y2, o = data.y1[:, k], data.y2[:, k], data.votes[:, k]
                        row += [y2, y1] if flip else [y1, y2]
                        product = product * (1 - o if flip else o)
                    rows.append(np.stack(row, axis=1))
                    ones.append(product)
    all_rows, where = np.unique(np.concatenate(rows), axis=0, return_inverse=True)
    where = where.ravel()
    asked = np.bincount(where).astype(np.float64)
    return all_rows.astype(np.int64), asked, np.bincount(where, np.concatenate(ones)).astype(float)


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
        ValueError: features of another length, or indices that are no response.
    """
    require("torch")
    import torch

    linked = Linked.of(data)
    linked.check(responses)
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
        adam = torch.optim.Adam(net.parameters(), lr=learning_rate)
        for step in range(steps):
            for group in adam.param_groups:
                group["lr"] = learning_rate * (1 + np.cos(np.pi * step / steps)) / 2
            few = len(rows) <= batch
            pick = torch.arange(len(rows)) if few else torch.randint(len(rows), (batch,))
            logit = net(table[index[pick]].flatten(1))[:, 0]
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                logit, target[pick], mass[pick]
            )
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
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
    J1, J2 = J1 / total, J2 / total
    off = ~np.eye(responses, dtype=bool)
    return JointMoments(np.where(off, J1, 0.25), np.where(off, J2, 0.25), linked.linked)
