"""Methods that follow people over several labels and find their types by EM."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from hetlib import checks
from hetlib.checks import Array
from hetlib.comparison.budgets import LabelSet
from hetlib.comparison.registry import Result, register
from hetlib.comparison.tuning import Tuned, tune
from hetlib.core.labels import Linked
from hetlib.core.newton import ConvergenceError
from hetlib.mixture.em import LatentTypes, em_dpo
from hetlib.mixture.regret import min_max_regret

#: Random starts of EM, and the gain in log-likelihood an annotator at which it stops.
STARTS, TOLERANCE = 3, 1e-4
#: Three methods share one fit; it goes when its labels go.
_FITS: WeakKeyDictionary[LabelSet, Tuned[LatentTypes]] = WeakKeyDictionary()


def find_types(labels: LabelSet) -> Tuned[LatentTypes]:
    """EM-DPO with the number of types that the study believes in."""
    if labels not in _FITS:

        def fit(people: Linked, ridge: float, near: LatentTypes | None) -> LatentTypes:
            return em_dpo(
                people,
                labels.responses,
                labels.types,
                reference=labels.reference,
                beta=labels.beta,
                seed=labels.seed,
                starts=STARTS,
                ridge=ridge,
                tolerance=TOLERANCE,
                begin=None if near is None else near.rewards,
            )

        _FITS[labels] = tune(
            labels, labels.people, fit, lambda types, held: -types.score(held) * len(held)
        )
    return _FITS[labels]


def _result(labels: LabelSet, found: Tuned[LatentTypes], policy: Array) -> Result:
    people, types = labels.people, found.model
    used = int((people.y1 != people.y2).sum())
    size = types.rewards.size + types.types - 1
    return Result(policy, people.votes.size, used, size, types=types.types, ridge=found.ridge)


@register(
    "em average", "EM-DPO + average", form="people", aim="average", source="Chapter 13",
    colour="#332288", mark="X",
)  # fmt: skip
def average(labels: LabelSet) -> Result:
    """EM-DPO, then the optimum for the average of the recovered rewards."""
    found = find_types(labels)
    return _result(labels, found, found.model.average_policy)


@register(
    "em minmax", "EM-DPO + min-max regret", form="people", aim="other", source="Chapter 13",
    colour="#332288", mark="x", line=":",
)  # fmt: skip
def minmax(labels: LabelSet) -> Result:
    """EM-DPO, then the mixture of the types' policies with the least largest regret."""
    found = find_types(labels)
    types = found.model
    mixed = min_max_regret(types.rewards, types.policies, labels.reference, labels.beta)
    return _result(labels, found, mixed.policy)


@register(
    "maxmin", "MaxMin-style", form="people", aim="other",
    source="Chakraborty et al. (2024)", colour="#AA4499", mark="P", line=":",
)  # fmt: skip
def maxmin(labels: LabelSet) -> Result:
    """MaxMin-RLHF (Chakraborty et al., 2024) on the types that EM has found."""
    found = find_types(labels)
    return _result(labels, found, maxmin_policy(found.model.rewards, labels.reference, labels.beta))


def maxmin_policy(
    rewards: ArrayLike, reference: ArrayLike | None = None, beta: float = 1.0
) -> Array:
    """The policy with the largest value for the worst-off type.

    max over pi of min over u of E_pi[r_u] - beta KL(pi; pi_ref). The two change places, since the
    value is concave in pi and linear in the types' weights q: pi is the optimum of the average
    reward with the weights that make log E_ref exp(sum_u q_u r_u) least. A type's reward
    counts from its mean under the reference, for the labels fix it up to a constant only.

    Args:
        rewards: Rewards of the types, shape (types, responses).
        reference: Reference policy, shape (responses,), full support; uniform if None.
        beta: Weight of the KL term.

    Raises:
        ValueError: malformed rewards, reference or beta.
        ConvergenceError: primal and dual value differ.
    """
    r = checks.array("rewards", rewards, 2) / checks.positive("beta", beta)
    ref = checks.distribution("reference", reference, r.shape[1], full_support=True)
    r = r - (r @ ref)[:, None]

    def dual(q: Array) -> tuple[float, Array]:
        logits = np.log(ref) + q @ r
        return float(logsumexp(logits)), r @ softmax(logits)

    out = minimize(
        dual,
        np.full(len(r), 1 / len(r)),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * len(r),
        constraints={"type": "eq", "fun": lambda q: q.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    q = np.maximum(out.x, 0)
    logits = np.log(ref) + q / q.sum() @ r
    policy = np.asarray(softmax(logits))
    worst = float((r @ policy).min() - policy @ (np.log(policy) - np.log(ref)))
    if (gap := dual(q / q.sum())[0] - worst) > 1e-4 * (1 + abs(worst)):
        raise ConvergenceError(f"value of the worst-off type misses its bound by {gap:.1e}")
    return policy
