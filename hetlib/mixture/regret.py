"""Min-max regret: one policy for people whose type is unknown.

The regret of type k with a policy is what it loses of Eq. (1) against the policy that is best
for it alone: beta KL(pi; pi_k) with pi_k its optimum. Constants added to a type's rewards
do not change it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog, minimize
from scipy.special import log_softmax, logsumexp, rel_entr

from hetlib import checks
from hetlib.checks import Array
from hetlib.core.newton import ConvergenceError
from hetlib.core.policies import optimal_policy


@dataclass(frozen=True)
class MinMaxRegret:
    """A policy that keeps the largest regret of any type small, and the proof that it does.

    Attributes:
        value: The largest regret; no allowed aggregate has a smaller one.
        weights: How the given policies are mixed, shape (policies,); for the best policy of
            all, the types' weights in the average reward that it optimises.
        policy: The aggregate, shape (responses,).
        regrets: Regret of each type, shape (types,). Under a penalty these are of drawing one of
            the policies for each conversation; mixing their probabilities is no worse.
        prices: Dual prices, a distribution over types, shape (types,): the worst mixture of
            types, against which nothing does better than ``value`` on average.
        gap: Difference of the primal and the dual value.
    """

    value: float
    weights: Array
    policy: Array
    regrets: Array
    prices: Array
    gap: float


def _own(r: Array, ref: Array, beta: float) -> Array:
    """Log-probabilities of each type's own optimum, shape (types, responses)."""
    b = checks.positive("beta", beta)
    if abs(r).max() > 1e300 * min(b, 1.0):
        raise ValueError(f"beta is {b:g}; rewards over beta are too large for a float")
    return np.asarray(log_softmax(np.log(ref) + r / b, axis=1))


def regret_table(
    rewards: ArrayLike,
    policies: ArrayLike,
    reference: ArrayLike | None = None,
    beta: float = 1.0,
    penalty: bool = True,
) -> Array:
    """What each type loses with each policy against its own optimum.

    Args:
        rewards: Rewards of the types, shape (types, responses).
        policies: Shape (policies, responses); rows sum to 1, zeros are allowed.
        reference: Reference policy, shape (responses,), full support; uniform if None.
        beta: Weight of the KL term.
        penalty: Measure by Eq. (1), KL term included; else by the expected reward alone,
            which can be negative since a type's optimum of Eq. (1) does not maximise it.

    Returns:
        Regrets, shape (types, policies).

    Raises:
        ValueError: shapes that do not agree, or a row of ``policies`` that is no distribution.
    """
    r = checks.array("rewards", rewards, 2)
    given = checks.array("policies", policies, 2)
    pi = np.array(
        [checks.distribution(f"policies[{k}]", p, r.shape[1]) for k, p in enumerate(given)]
    )
    ref = checks.distribution("reference", reference, r.shape[1], full_support=True)
    own = _own(r, ref, beta)
    if not penalty:
        return (np.exp(own) * r).sum(axis=1)[:, None] - r @ pi.T
    entropy = -rel_entr(pi, 1.0).sum(axis=1)
    return np.maximum(beta * (-entropy[None, :] - own @ pi.T), 0.0)  # beta KL(pi; own)


def min_max_regret(
    rewards: ArrayLike,
    policies: ArrayLike | None = None,
    reference: ArrayLike | None = None,
    beta: float = 1.0,
    penalty: bool = True,
) -> MinMaxRegret:
    """Mix given policies so that the largest regret of any type is least: a linear programme.

    Minimise t over weights w >= 0 that sum to 1, with ``regret_table @ w <= t`` for each type.
    The multipliers of these constraints are the solution of the dual: the mixture of types
    that is hardest to serve.

    Args:
        rewards: Rewards of the types, shape (types, responses).
        policies: The policies to mix, shape (policies, responses); each type's own if None.
        reference: Reference policy, shape (responses,), full support; uniform if None.
        beta: Weight of the KL term.
        penalty: As in ``regret_table``. Without it the regret of a mixture is exactly
            linear; with it, that of drawing a policy at random for each conversation is.

    Raises:
        ValueError: shapes that do not agree.
        ConvergenceError: HiGHS failed, or its primal and dual values differ.
    """
    r = checks.array("rewards", rewards, 2)
    own = np.array([optimal_policy(row, reference, beta) for row in r])
    pi = own if policies is None else checks.array("policies", policies, 2)
    table = regret_table(r, pi, reference, beta, penalty)
    types, count = table.shape
    # HiGHS answers best to numbers near one
    scale = max(float(abs(table).max()), 1e-300)
    out = linprog(
        np.append(np.zeros(count), 1.0),
        A_ub=np.hstack([table / scale, -np.ones((types, 1))]),
        b_ub=np.zeros(types),
        A_eq=np.append(np.ones(count), 0.0)[None, :],
        b_eq=[1.0],
        bounds=[(0, None)] * count + [(None, None)],
        method="highs",
    )
    if out.status != 0:
        raise ConvergenceError(f"the linear programme of the regrets failed: {out.message}")
    w = np.maximum(out.x[:count], 0.0)
    q = np.maximum(-out.ineqlin.marginals, 0.0)
    w, q = w / w.sum(), q / q.sum()
    regrets = table @ w
    value, dual = float(regrets.max()), float((q @ table).min())
    if value - dual > 1e-7 * scale:
        raise ConvergenceError(f"primal value {value:.9g} and dual value {dual:.9g} differ")
    return MinMaxRegret(value, w, w @ pi, regrets, q, value - dual)


def best_min_max_regret(
    rewards: ArrayLike, reference: ArrayLike | None = None, beta: float = 1.0
) -> MinMaxRegret:
    """The policy with the least largest regret of all policies whatever, under Eq. (1).

    It is the optimum for the average reward with the dual prices as weights. For two types its
    regret is beta times the Chernoff information between their optimal policies.

    Args:
        rewards: Rewards of the types, shape (types, responses).
        reference: Reference policy, shape (responses,), full support; uniform if None.
        beta: Weight of the KL term.

    Raises:
        ValueError: malformed rewards or reference.
        ConvergenceError: the concave dual was not solved.
    """
    r = checks.array("rewards", rewards, 2)
    ref = checks.distribution("reference", reference, r.shape[1], full_support=True)
    b = checks.positive("beta", beta)
    own = _own(r, ref, b)

    def dual(q: Array) -> tuple[float, Array]:
        """Log of the sum of the geometric mean, to be minimised, and its gradient."""
        top = logsumexp(q @ own)
        return float(top), own @ np.exp(q @ own - top)

    types = len(r)
    out = minimize(
        dual,
        np.full(types, 1 / types),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * types,
        constraints={"type": "eq", "fun": lambda q: q.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-15, "maxiter": 1000},
    )
    q = np.maximum(out.x, 0.0)
    q /= q.sum()
    policy = np.exp(log_softmax(q @ own))
    regrets = regret_table(r, policy[None], ref, b)[:, 0]
    value, lower = float(regrets.max()), -b * dual(q)[0]
    if value - lower > 1e-5 * max(1.0, value):
        raise ConvergenceError(f"the largest regret {value:.9g} exceeds its bound {lower:.9g}")
    return MinMaxRegret(value, q, policy, regrets, q, value - lower)
