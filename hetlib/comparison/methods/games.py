"""Methods that play the labels as a game: a policy that no other one beats.

Nash learning from human feedback (Munos et al., 2024) asks for a policy that is preferred to any
other by at least half of the answers, with a KL penalty of weight beta on both players. Without
the penalty the equilibrium is a maximal lottery (Fishburn, 1984). Neither estimates rewards, so
neither assumes Bradley and Terry; and neither aims at the average reward. Labels give shares of
wins with some wins added each way to every pair, as many as held-out labels choose.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax

from hetlib import checks
from hetlib.borda.counts import maximal_lottery, pairwise_shares
from hetlib.checks import Array
from hetlib.comparison.budgets import LabelSet
from hetlib.comparison.methods.direct import off_diagonal
from hetlib.comparison.registry import Result, register
from hetlib.comparison.tuning import tune
from hetlib.core.newton import ConvergenceError


def nash_policy(
    pairwise: ArrayLike,
    reference: ArrayLike | None = None,
    beta: float = 1.0,
    tolerance: float = 1e-12,
    max_steps: int = 100_000,
) -> Array:
    """The equilibrium under a KL penalty: pi is proportional to pi_ref exp(P pi / beta).

    Each side gets its share of wins less beta KL to the reference, and the penalty of the other
    side is added. The fixed point is found by damped iteration: the derivative of the plain one
    is at most lambda = 1 / (2 beta) in size, and a step of 1 / (1 + lambda^2) shrinks distances.

    Args:
        pairwise: Pr(y_i beats y_j), shape (responses, responses).
        reference: Reference policy, shape (responses,), full support; uniform if None.
        beta: Weight of the KL term.
        tolerance: Largest change of a log-probability at the end.
        max_steps: Limit on the steps.

    Raises:
        ConvergenceError: it still moves after ``max_steps``.
    """
    P = checks.pairwise(pairwise)
    ref = checks.distribution("reference", reference, len(P), full_support=True)
    b = checks.positive("beta", beta)
    logits, step = np.log(ref), 1 / (1 + 1 / (2 * b) ** 2)
    for _ in range(max_steps):
        target = np.log(ref) + P @ softmax(logits) / b
        move = target - logits
        move -= move.mean()
        if abs(move).max() <= tolerance:
            return np.asarray(softmax(target))
        logits = logits + step * move
    raise ConvergenceError(f"the equilibrium still moves after {max_steps} steps")


def _play(labels: LabelSet, equilibrium: Callable[[Array], Array]) -> Result:
    """Shares of wins with as many wins added as held-out labels choose, and their equilibrium."""
    wins = labels.anonymous

    def loss(share: Array, held: Array) -> float:
        return -float((held * np.log(np.where(np.eye(len(share)), 1.0, share))).sum())

    found = tune(labels, wins, lambda kept, ridge, _: pairwise_shares(kept, ridge), loss)
    pairs = labels.responses * (labels.responses - 1) // 2
    policy = equilibrium(found.model)
    return Result(policy, labels.size, off_diagonal(wins), pairs, ridge=found.ridge)


@register(
    "nash", "Nash learning (KL)", form="anonymous", aim="other",
    source="Munos et al. (2024)", colour="#661100", mark="h", line="-.",
)  # fmt: skip
def nash(labels: LabelSet) -> Result:
    """Nash learning from human feedback: the equilibrium under a KL penalty."""
    return _play(labels, lambda P: nash_policy(P, labels.reference, labels.beta))


@register(
    "lottery", "maximal lottery", form="anonymous", aim="other",
    source="Fishburn (1984)", colour="#661100", mark="H", line=":",
)  # fmt: skip
def lottery(labels: LabelSet) -> Result:
    """The maximal lottery: the same game without a penalty."""
    return _play(labels, maximal_lottery)
