"""A joint likelihood model for linked data: a mixture of Bradley-Terry models, by EM.

One person's labels are independent given the type, so labels on *different* pairs inform each
other, and J can be asked for a pair that nobody saw twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import log_expit, logsumexp

from hetlib.checks import Array, positive
from hetlib.core.labels import Comparisons
from hetlib.core.newton import ConvergenceError
from hetlib.core.population import Population
from hetlib.linked.moments import JointMoments, Linked, exact_moments


@dataclass(frozen=True)
class MixtureFit:
    """The best of several EM runs.

    Attributes:
        weights: Probability of each type, shape (types,).
        rewards: Reward of each type, rows of mean zero, shape (types, responses).
        history: Penalised log-likelihood a person after each EM step; never falls.
        finals: Where each start ended, best first, shape (starts,).
        linked: Linked pairs of labels that were used.
    """

    weights: Array
    rewards: Array
    history: Array
    finals: Array
    linked: int

    def population(self) -> Population:
        """The fitted mixture as a population."""
        return Population(self.rewards, self.weights)

    def moments(self) -> JointMoments:
        """J1 and J2; the variance is never negative, so nothing is ever clamped."""
        exact = exact_moments(self.population())
        return JointMoments(exact.J1, exact.J2, self.linked)


def _ascend(wins: Array, reward: Array, ridge: float) -> Array:
    """One damped Newton step on sum wins log sigma(r_i - r_j) - ridge |r|^2 / 2; never down."""

    def value(r: Array) -> float:
        logs = log_expit(r[:, None] - r[None, :])
        return float((wins * logs).sum() - ridge / 2 * r @ r)

    p = np.exp(log_expit(reward[:, None] - reward[None, :]))
    slope = wins * (1 - p)
    gradient = slope.sum(axis=1) - slope.sum(axis=0) - ridge * reward
    pair = (wins + wins.T) * p * (1 - p)
    hessian = np.diag(pair.sum(axis=1) + ridge) - pair
    step = np.linalg.solve(hessian, gradient)
    now, size = value(reward), 1.0
    while size > 1e-6 and value(reward + size * step) < now:
        size /= 2
    return reward + size * step if size > 1e-6 else reward


def _em(
    data: Linked, rewards: Array, ridge: float, tolerance: float, max_steps: int
) -> tuple[Array, Array, list[float]]:
    types, responses = rewards.shape
    # People with the same answers count together, in whatever order they gave them.
    winner = np.where(data.votes == 1, data.y2, data.y1)
    loser = np.where(data.votes == 1, data.y1, data.y2)
    answers = np.sort(winner * responses + loser, axis=1)
    cells, people = np.unique(answers, axis=0, return_counts=True)
    flat = cells.ravel()
    weights = np.full(types, 1 / types)
    history: list[float] = []
    for _ in range(max_steps):
        table = log_expit(rewards[:, :, None] - rewards[:, None, :]).reshape(types, -1)
        logs = np.log(weights)[:, None] + table[:, cells].sum(axis=2)
        total = logsumexp(logs, axis=0)
        history.append(float(people @ total - ridge / 2 * (rewards**2).sum()) / len(data))
        if len(history) > 1 and history[-1] - history[-2] < tolerance:
            return weights, rewards, history
        share = np.exp(logs - total) * people  # E step: people of each type, by answers
        weights = np.maximum(share.sum(axis=1) / len(data), 1e-12)
        weights = weights / weights.sum()
        for k in range(types):  # M step, once uphill
            mass = np.repeat(share[k], cells.shape[1])
            wins: Array = np.bincount(flat, mass, responses**2).astype(np.float64)
            wins = wins.reshape(responses, responses)
            np.fill_diagonal(wins, 0.0)  # a response against itself says nothing
            rewards[k] = _ascend(wins, rewards[k], ridge)
    raise ConvergenceError(f"EM still gains more than {tolerance:.0e} after {max_steps} steps")


def fit_mixture(
    data: Comparisons | Linked,
    responses: int,
    types: int,
    seed: int = 0,
    starts: int = 5,
    ridge: float = 0.1,
    tolerance: float = 1e-7,
    max_steps: int = 5000,
) -> MixtureFit:
    """Fit K Bradley-Terry models and their weights to linked labels.

    Generalised EM: types' shares of each person, then one Newton step of each type's weighted
    Bradley-Terry likelihood. The penalised likelihood never falls.

    Args:
        data: Labels by person, on the same or on different pairs.
        responses: Number of responses.
        types: Number K of types in the model.
        seed: Seed of the random starts.
        starts: Number of starts; the best is kept.
        ridge: Weight of the squared rewards; positive, so that an optimum exists.
        tolerance: Gain in log-likelihood a person at which EM stops.
        max_steps: Limit on the EM steps of one start.

    Raises:
        ValueError: counts that are not positive, or indices that are no response.
        ConvergenceError: a start did not settle.
    """
    linked = Linked.of(data)
    linked.check(responses)
    if types < 1 or starts < 1:
        raise ValueError(f"types={types}, starts={starts}: both must be at least 1")
    positive("ridge", ridge)
    rng = np.random.default_rng(seed)
    runs = []
    for _ in range(starts):
        start = rng.standard_normal((types, responses))
        start -= start.mean(axis=1, keepdims=True)
        runs.append(_em(linked, start, ridge, tolerance, max_steps))
    runs.sort(key=lambda run: -run[2][-1])
    weights, rewards, history = runs[0]
    order = np.argsort(rewards @ np.arange(responses), kind="stable")  # types have no names
    return MixtureFit(
        weights[order],
        rewards[order] - rewards[order].mean(axis=1, keepdims=True),
        np.array(history),
        np.array([run[2][-1] for run in runs]),
        linked.linked,
    )
