"""EM-DPO: latent types and one policy for each, from several answers by each annotator.

A tabular policy and its induced reward determine each other (Eq. (4)), so DPO weighted by
responsibilities is a weighted Bradley-Terry (or Plackett-Luce) likelihood in the reward; the
policy follows from it in closed form.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from scipy.special import logsumexp

from hetlib import checks
from hetlib.checks import Array
from hetlib.core.labels import Comparisons, Indices, Linked
from hetlib.core.newton import ConvergenceError
from hetlib.core.policies import optimal_policy
from hetlib.core.population import Population
from hetlib.linked.moments import JointMoments, exact_moments
from hetlib.mixture.rankings import Choices, Rankings

#: Hessians have responses^2 entries.
MOST_RESPONSES = 100_000

UNLINKED = (
    "one comparison by each annotator and types={types}: such data show nothing but how often "
    "each response beats each other one. Which annotators are alike, and in general the types' "
    "rewards and masses, their average and their variance, cannot be learned from it "
    "(Propositions 5.1 and 5.2); the fit is one of many that explain the data equally well. "
    "Give several comparisons by each annotator, or rankings"
)


def responsibilities(log_probability: ArrayLike, masses: ArrayLike) -> tuple[Array, Array]:
    """The E-step, in log space: how likely each annotator is of each type.

    Whatever model the types have; a language model's log-probabilities will do.

    Args:
        log_probability: log Pr(all answers of an annotator | type), shape (annotators, types).
        masses: Masses of the types, shape (types,).

    Returns:
        Posterior probabilities, rows sum to 1, shape (annotators, types), and the
        log-likelihood of each annotator, shape (annotators,).
    """
    try:
        logs = np.array(log_probability, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError("log_probability must hold numbers, (annotators, types)") from error
    if logs.ndim != 2 or not (logs < np.inf).all() or np.isneginf(logs).all(axis=1).any():
        raise ValueError("log_probability needs shape (annotators, types) and a finite entry a row")
    w = checks.distribution("masses", masses, logs.shape[1])
    with np.errstate(divide="ignore"):  # a type of mass zero has responsibility zero
        logs = logs + np.log(w)
    total = logsumexp(logs, axis=1)
    return np.exp(logs - total[:, None]), total


def require_rise(before: float, after: float) -> None:
    """Each EM step must not lower the objective; if one does, the code is wrong.

    Raises:
        ValueError: a value that is no number.
        ArithmeticError: it fell by more than rounding explains.
    """
    before, after = checks.real("before", before), checks.number("after", after)
    if not after >= before - 1e-9 * max(1.0, abs(before)):
        raise ArithmeticError(
            f"an EM step took the log-likelihood an annotator from {before:.12g} to {after:.12g}; "
            "it can never fall"
        )


@dataclass(frozen=True)
class LatentTypes:
    """The best of several EM runs; types in the order of their masses, largest first.

    Attributes:
        masses: Mass of each type, shape (types,).
        rewards: Reward that each type's policy induces, rows of mean zero, (types, responses).
        policies: One policy for each type, shape (types, responses).
        responsibilities: Probability of each type for each annotator, (annotators, types).
        history: Penalised log-likelihood an annotator after each EM step; never falls.
        log_likelihood: Of all annotators, without the penalty.
        finals: Where each start ended, best first, shape (starts,).
        reference: Reference policy, shape (responses,).
        beta: Weight of the KL term.
    """

    masses: Array
    rewards: Array
    policies: Array
    responsibilities: Array
    history: Array
    log_likelihood: float
    finals: Array
    reference: Array
    beta: float

    @property
    def types(self) -> int:
        """Number of types."""
        return len(self.masses)

    @property
    def bic(self) -> float:
        """Bayesian information criterion; smaller is better. The sample is the annotators."""
        free = self.rewards.size - 1  # a constant for each type is free; masses sum to one
        return float(free * np.log(len(self.responsibilities)) - 2 * self.log_likelihood)

    @property
    def average_reward(self) -> Array:
        """The recovered rewards, averaged by recovered masses, shape (responses,)."""
        return np.asarray(self.masses @ self.rewards)

    @property
    def average_policy(self) -> Array:
        """The optimum of Eq. (9) for what was recovered, shape (responses,)."""
        return optimal_policy(self.average_reward, self.reference, self.beta)

    def population(self) -> Population:
        """The fitted types as a population."""
        return Population(self.rewards, self.masses)

    def moments(self) -> JointMoments:
        """The joint likelihood model of Section 5.3 that the types make.

        One person's labels are independent given the type, so labels on *different* pairs
        inform each other, J can be asked for a pair that nobody saw twice, and the variance
        is never negative.
        """
        return exact_moments(self.population())

    def score(self, annotations: Rankings | Linked | Comparisons | ArrayLike) -> float:
        """Mean log-likelihood of other annotators, for instance held out."""
        choices = Choices.of(Rankings.of(annotations), self.rewards.shape[1])
        _, total = responsibilities(choices.log_probability(self.rewards), self.masses)
        return float(choices.people @ total / choices.people.sum())


def _ascend(choices: Choices, counts: Array, reward: Array, ridge: float) -> Array:
    """One damped Newton step on a type's weighted log-likelihood; never down."""
    n, won = counts.sum(axis=1), counts.sum(axis=0)

    def value(r: Array) -> float:
        return float(won @ r - n @ choices.log_total(r) - ridge / 2 * r @ r)

    p = choices.choice(reward)
    gradient = won - n @ p - ridge * reward
    hessian = np.diag(n @ p + ridge) - (p * n[:, None]).T @ p
    try:
        step = np.linalg.solve(hessian, gradient)
    except np.linalg.LinAlgError:
        raise ValueError(
            f"ridge is {ridge:g}; it is too small for the answers to determine every reward"
        ) from None
    now, size = value(reward), 1.0
    while size > 1e-6 and value(reward + size * step) < now:
        size /= 2
    return reward + size * step if size > 1e-6 else reward


def _em(
    choices: Choices, rewards: Array, ridge: float, tolerance: float, max_steps: int
) -> tuple[Array, Array, list[float], bool]:
    people = choices.people
    masses, history = np.full(len(rewards), 1 / len(rewards)), list[float]()
    for _ in range(max_steps):
        share, total = responsibilities(choices.log_probability(rewards), masses)  # E-step
        value = float(people @ total - ridge / 2 * (rewards**2).sum()) / people.sum()
        if history:
            require_rise(history[-1], value)
        history.append(value)
        if len(history) > 1 and history[-1] - history[-2] < tolerance:
            return masses, rewards, history, True
        share *= people[:, None]
        masses = share.sum(axis=0) / people.sum()  # M-step: masses,
        masses /= masses.sum()
        made = choices.counts
        rewards = np.array(  # and DPO weighted by responsibilities, one step uphill
            [_ascend(choices, made(s), r, ridge) for s, r in zip(share.T, rewards, strict=True)]
        )
    return masses, rewards, history, False


def em_dpo(
    annotations: Rankings | Linked | Comparisons | ArrayLike,
    responses: int,
    types: int,
    *,
    reference: ArrayLike | None = None,
    beta: float = 1.0,
    seed: int = 0,
    starts: int = 5,
    ridge: float = 0.1,
    tolerance: float = 1e-7,
    max_steps: int = 5000,
) -> LatentTypes:
    """Find K latent types and a policy for each.

    Generalised EM: responsibilities of the types for each annotator (E-step); their masses, and
    one Newton step of DPO's likelihood for each type, answers weighted by responsibility
    (M-step). Rankings have the Plackett-Luce likelihood, of which DPO's is the case of two.

    Args:
        annotations: Rankings or linked comparisons, as ``Rankings.of`` takes them.
        responses: Number of responses.
        types: Number K of types in the model.
        reference: Reference policy, shape (responses,), full support; uniform if None.
        beta: Weight of the KL term.
        seed: Seed of the random starts.
        starts: Number of starts; the best is kept.
        ridge: Weight of the squared rewards; positive, so that an optimum exists.
        tolerance: Gain in log-likelihood an annotator at which EM stops.
        max_steps: Limit on the EM steps of one start.

    Warns:
        UserWarning: each annotator made one choice between two, and ``types`` exceeds one.

    Raises:
        ValueError: counts that are not positive, or indices that are no response.
        ConvergenceError: the best start had not settled.
    """
    whole = checks.whole
    types, starts, responses = (
        whole("types", types, 1),
        whole("starts", starts, 1),
        whole("responses", responses, 2),
    )
    if responses > MOST_RESPONSES:
        raise ValueError(f"responses is {responses}; at most {MOST_RESPONSES} are allowed")
    seed, max_steps = whole("seed", seed, 0), whole("max_steps", max_steps, 1)
    positive = checks.positive
    ref = checks.distribution("reference", reference, responses, full_support=True)
    b, ridge = positive("beta", beta), positive("ridge", ridge)
    tolerance = positive("tolerance", tolerance)
    if ridge > 1e100:
        raise ValueError(f"ridge is {ridge:g}; at most 1e100 is allowed")
    data = Rankings.of(annotations)
    if types > 1 and data.choices() < 2:
        warnings.warn(UNLINKED.format(types=types), UserWarning, stacklevel=2)
    choices, rng, runs = Choices.of(data, responses), np.random.default_rng(seed), []
    for _ in range(starts):
        start = rng.standard_normal((types, responses))
        start -= start.mean(axis=1, keepdims=True)
        runs.append(_em(choices, start, ridge, tolerance, max_steps))
    runs.sort(key=lambda run: -run[2][-1])
    masses, rewards, history, settled = runs[0]
    if not settled:
        raise ConvergenceError(f"EM still gains more than {tolerance:.0e} after {max_steps} steps")
    order = np.argsort(-masses, kind="stable")  # types have no names
    masses, rewards = masses[order], rewards[order]
    share, total = responsibilities(choices.log_probability(rewards), masses)
    return LatentTypes(
        masses,
        rewards - rewards.mean(axis=1, keepdims=True),
        np.array([optimal_policy(r, ref, b) for r in rewards]),
        share[choices.pattern],
        np.array(history),
        float(choices.people @ total),
        np.array([run[2][-1] for run in runs]),
        ref,
        b,
    )


def match_types(found: ArrayLike, true: ArrayLike) -> Indices:
    """Undo label switching: which found type stands for each true one.

    The assignment with the least squared distance between rewards centred by type.

    Args:
        found: Rewards, shape (found types, responses).
        true: Rewards, shape (true types, responses).

    Returns:
        Row of ``found`` for each row of ``true``; -1 where there are too few, (true types,).
    """
    a, b = checks.array("found", found, 2), checks.array("true", true, 2)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"found has {a.shape[1]} responses and true {b.shape[1]}")
    a, b = (r / max(abs(a).max(), abs(b).max(), 1.0) for r in (a, b))  # squares stay finite
    a, b = (r - r.mean(axis=1, keepdims=True) for r in (a, b))
    rows, columns = linear_sum_assignment(((b[:, None] - a[None]) ** 2).sum(axis=2))
    out = np.full(len(b), -1, dtype=np.int64)
    out[rows] = columns
    return out
