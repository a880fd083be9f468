"""A mixture of ideal points, after PAL (Chen et al., 2024).

Responses and people live in one space: r(y; u) is minus the squared distance of f(y), the point
of a response, and p_u, the ideal of a person. In PAL a person's ideal is a convex combination of K
prototypes with weights of their own, and f a network. Here f(y) is a free point in the plane
and each person is *at* one of the prototypes, which one being integrated out: ten labels do
not tell a person's weights. The search begins at the types that EM finds without the geometry.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import expit, log_expit, log_softmax, logsumexp

from hetlib.checks import Array
from hetlib.comparison.budgets import LabelSet
from hetlib.comparison.methods.latent import find_types
from hetlib.comparison.quasi_newton import Loss, lowest
from hetlib.comparison.registry import Result, register
from hetlib.comparison.tuning import tune
from hetlib.core.labels import Linked

#: Dimensions of the space, a plane.
DIMENSIONS = 2


def unpack(x: Array, responses: int, types: int, dimensions: int) -> tuple[Array, Array, Array]:
    """Points of responses, prototypes and log masses from the vector of parameters."""
    points = x[: responses * dimensions].reshape(responses, dimensions)
    ideals = x[responses * dimensions : -types].reshape(types, dimensions)
    return points, ideals, log_softmax(x[-types:])


def ideal_rewards(points: Array, ideals: Array) -> Array:
    """Minus squared distances, centred by type, shape (types, responses)."""
    r = -((points[None] - ideals[:, None]) ** 2).sum(axis=2)
    return np.asarray(r - r.mean(axis=1, keepdims=True))


def _loss(data: Linked, responses: int, types: int, dimensions: int, ridge: float) -> Loss:
    """Penalised negative log-likelihood a label, with its gradient."""
    data = data.decided()
    winner = np.where(data.votes == 1, data.y2, data.y1)
    loser = np.where(data.votes == 1, data.y1, data.y2)
    people, each = winner.shape
    column = (winner * responses + loser).ravel()
    row = np.repeat(np.arange(people), each)
    made = csr_matrix((np.ones(len(row)), (row, column)), (people, responses**2))

    def loss(x: Array) -> tuple[float, Array]:
        f, p, log_mass = unpack(x, responses, types, dimensions)
        r = ideal_rewards(f, p)
        margin = r[:, :, None] - r[:, None, :]
        logs = log_mass + made @ log_expit(margin).reshape(types, -1).T
        total = logsumexp(logs, axis=1)
        share = np.exp(logs - total[:, None])  # of each type in each person
        wins = (made.T @ share).T.reshape(margin.shape)
        slope = wins * expit(-margin)
        on_r = ridge * r - slope.sum(axis=2) + slope.sum(axis=1)
        on_r -= on_r.mean(axis=1, keepdims=True)
        gap = f[None] - p[:, None]  # (types, responses, dimensions)
        on_f = -2 * np.einsum("ky,kyd->yd", on_r, gap)
        on_p = 2 * np.einsum("ky,kyd->kd", on_r, gap)
        on_mass = np.exp(log_mass) * people - share.sum(axis=0)
        value = -total.sum() + ridge / 2 * (r**2).sum()
        gradient = np.concatenate([on_f.ravel(), on_p.ravel(), on_mass])
        return float(value) / len(row), gradient / len(row)

    return loss


def initial_points(rewards: Array, masses: Array, dimensions: int) -> Array:
    """Parameters at which ideal points explain how given rewards differ between types.

    2 <f(y), p_u - mean p> is what sets a type's reward apart from the average one; the best
    such product is a singular value decomposition. The points get a little of the average
    reward as well: the better the closer to the middle.

    Args:
        rewards: Rewards of the types, centred by type, shape (types, responses).
        masses: Masses, shape (types,).
        dimensions: Of the space.
    """
    types, responses = rewards.shape
    left, size, right = np.linalg.svd(rewards - masses @ rewards, full_matrices=False)
    kept = min(dimensions, types, responses)
    points, ideals = np.zeros((responses, dimensions)), np.zeros((types, dimensions))
    root = np.sqrt(np.maximum(size[:kept], 1e-3) / 2)
    points[:, :kept] = right[:kept].T * root
    ideals[:, :kept] = left[:, :kept] * root
    mean = masses @ rewards
    away = np.sqrt(mean.max() - mean + 0.1)
    angle = 2 * np.pi * np.arange(responses) / responses  # any direction does to begin with
    points[:, 0] += 0.3 * away * np.cos(angle)
    points[:, -1] += 0.3 * away * np.sin(angle)
    return np.concatenate([points.ravel(), ideals.ravel(), np.log(masses)])


def fit_points(
    data: Linked, responses: int, start: Array, types: int, dimensions: int, ridge: float
) -> Array:
    """Maximise the likelihood of people's labels over points, prototypes and masses.

    Args:
        data: Several labels by each person.
        responses: Number of responses.
        start: Where to begin, from :func:`initial_points`.
        types: Number of prototypes.
        dimensions: Of the space.
        ridge: Weight of the squared rewards.

    Returns:
        The vector of parameters that :func:`unpack` takes apart.

    Raises:
        ConvergenceError: the optimum was not reached.
    """
    return lowest(_loss(data, responses, types, dimensions, ridge), [start])


@register(
    "pal", "ideal points (PAL-style)", form="people", aim="average", source="Chen et al. (2024)",
    colour="#999933", mark="P", line="--",
)  # fmt: skip
def pal(labels: LabelSet) -> Result:
    """PAL-style: people followed over several labels, prototypes, their average reward."""
    people, free = labels.people, find_types(labels).model
    start = initial_points(free.rewards, free.masses, DIMENSIONS)
    n, types = labels.responses, free.types

    def fit(data: Linked, ridge: float, near: Array | None) -> Array:
        return fit_points(data, n, start if near is None else near, types, DIMENSIONS, ridge)

    def loss(x: Array, held: Linked) -> float:
        return _loss(held, n, types, DIMENSIONS, 0.0)(x)[0] * held.votes.size

    found = tune(labels, people, fit, loss)
    f, p, log_mass = unpack(found.model, n, types, DIMENSIONS)
    policy = labels.policy(np.exp(log_mass) @ ideal_rewards(f, p))
    used = int((people.y1 != people.y2).sum())
    size = f.size + p.size + types - 1
    return Result(policy, people.votes.size, used, size, types=types, ridge=found.ridge)
