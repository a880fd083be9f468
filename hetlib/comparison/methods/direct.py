"""Direct methods: one policy at once, from losses of earlier chapters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from hetlib.borda.optima import dpo_loss, ipo_loss
from hetlib.checks import Array
from hetlib.comparison.budgets import LabelSet
from hetlib.comparison.registry import Result, register
from hetlib.comparison.tuning import Tuned, tune
from hetlib.consistent.expected import agreement_loss, integral_loss
from hetlib.core import newton
from hetlib.core.newton import ConvergenceError, PairLoss
from hetlib.linked.corrected import Correction
from hetlib.linked.moments import JointMoments, moments_from_counts
from hetlib.ring import fits

#: Strengths among which held-out labels choose.
STRENGTHS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
#: Wins that are added each way when J of a pair is estimated.
PRIOR = 1.0
#: Where the corrected likelihood of held-out labels is cut off.
FLOOR = 1e-3


def off_diagonal(counts: Array) -> int:
    """Labels on pairs of two different responses; the others say nothing."""
    return round(float(counts.sum() - np.trace(counts, axis1=-2, axis2=-1).sum()))


def total(loss: PairLoss, reward: Array) -> float:
    """Loss of all pairs at a reward."""
    return float(loss(reward[:, None] - reward[None, :])[0].sum())


@register("uniform", "do nothing", form="none", aim="none", mark="", line=":")
def uniform(labels: LabelSet) -> Result:
    """The reference policy: what doing nothing costs."""
    return Result(labels.reference, 0, 0, 0)


def _anonymous(
    labels: LabelSet, fit: Callable[[Array, float], fits.Fit], loss: Callable[[Array], PairLoss]
) -> Result:
    """A fit to win counts at the ridge that its own loss of held-out labels likes best."""
    wins = labels.anonymous
    found = tune(
        labels,
        wins,
        lambda kept, ridge, _: fit(kept[None], ridge).reward[0],
        lambda reward, held: total(loss(held), reward),
    )
    policy = labels.policy(found.model)
    return Result(policy, labels.size, off_diagonal(wins), ridge=found.ridge)


@register("dpo", "DPO", form="anonymous", aim="biased", source="Chapter 3", colour="dpo", mark="o")
def dpo(labels: LabelSet) -> Result:
    """DPO on anonymous labels, Eq. (6)."""
    return _anonymous(labels, fits.fit_dpo_tables, dpo_loss)


@register(
    "ipo", "IPO", form="anonymous", aim="biased", source="Azar et al. (2024)",
    colour="ipo", mark="s",
)  # fmt: skip
def ipo(labels: LabelSet) -> Result:
    """IPO on anonymous labels (Azar et al., 2024) with tau = 1."""
    return _anonymous(labels, fits.fit_ipo, ipo_loss)


def correction_path(
    wins: Array, moments: JointMoments, strengths: tuple[float, ...], ridge: float
) -> dict[float, Array]:
    """Rewards of corrected DPO along growing strengths, from DPO on.

    Where the loss has no stationary point near the last one, the path ends: the strengths
    beyond are left out.

    Args:
        wins: Win counts, shape (n, n).
        moments: J.
        strengths: Strengths in growing order.
        ridge: Weight of the squared rewards.

    Returns:
        Rewards, shape (n,), by strength; 0 is always among them.
    """
    correction = Correction(1.0, choice_variance=moments.choice_variance)
    reward = fits.fit_dpo_tables(wins[None], ridge).reward
    found, last = {0.0: reward[0]}, 0.0
    for strength in strengths:
        try:
            # Steps of at most one half, as everywhere in the book.
            for alpha in np.linspace(last, strength, 1 + int(np.ceil(2 * (strength - last))))[1:]:
                loss = replace(correction, alpha=float(alpha)).weighted(wins[None])
                reward = newton.minimise(loss, reward, ridge, 1e-8, 100)
        except ConvergenceError:
            break
        found[strength], last = reward[0], strength
    return found


#: Fits along the strengths, and the moments that they rest on.
Path = tuple[dict[float, Array], JointMoments]


def _corrected(labels: LabelSet, strengths: tuple[float, ...]) -> tuple[Tuned[Path], Result]:
    """Corrected DPO at the ridge, and of several strengths at the one, that labels choose."""
    both, mixed = labels.twice

    def wins(data: tuple[Array, ...]) -> Array:
        b, m = data
        return 2 * b + m + m.T

    def fit(data: tuple[Array, ...], ridge: float, _: Path | None) -> Path:
        b, m = data
        moments = moments_from_counts(b, m + m.T, PRIOR)
        return correction_path(wins(data), moments, strengths, ridge), moments

    def loss(path: Path, held: tuple[Array, ...]) -> list[float]:
        rewards, moments = path
        out = []
        for alpha in strengths:
            # One strength goes as far as it gets; of several, those not reached are not chosen
            if alpha not in rewards and len(strengths) > 1:
                out.append(np.inf)
                continue
            at = min(alpha, max(rewards))
            H = rewards[at][:, None] - rewards[at][None, :]
            term = Correction(at, choice_variance=moments.choice_variance)
            p = np.clip(term.likelihood(H), FLOOR, 1 - FLOOR)
            out.append(-float((wins(held) * np.log(p)).sum()))
        return out

    data = (both, mixed / 2 if labels.budget is None else np.triu(mixed))
    found = tune(labels, data, fit, loss)
    rewards, _ = found.model
    reached = min(strengths[found.option], max(rewards))
    n = labels.responses
    result = Result(
        labels.policy(rewards[reached]),
        2 * (labels.size // 2),
        off_diagonal(wins(data)),
        n + n * (n - 1),  # J1 and J2 of every unordered pair have two free numbers
        reached,
        ridge=found.ridge,
    )
    return found, result


def corrected(labels: LabelSet, alpha: float) -> Result:
    """First-order corrected DPO (Section 5) with J from pairs that people labelled twice."""
    return _corrected(labels, (alpha,))[1]


for _alpha, _mark in ((1.0, "<"), (2.0, ">")):
    register(
        f"corrected {_alpha:g}", f"corrected, α = {_alpha:g}", form="twice", aim="biased",
        source="Chapter 7", colour="corrected", mark=_mark, line="--",
    )(partial(corrected, alpha=_alpha))  # fmt: skip


@register(
    "corrected tuned", "corrected, α tuned", form="twice", aim="biased",
    source="Chapter 7", colour="corrected", mark="^",
)  # fmt: skip
def corrected_tuned(labels: LabelSet) -> Result:
    """The same with the strength, and the ridge, that predict held-out labels best.

    The labels of each fold are predicted by sigma(h) + alpha c(h) fitted to the other folds.
    Nothing but linked labels is used, and pi* is never looked at.
    """
    return _corrected(labels, STRENGTHS)[1]


@register(
    "agreement", "Prop. 6.1", form="votes", aim="average", source="Chapter 8",
    colour="consistent", mark="v", line="--",
)  # fmt: skip
def agreement(labels: LabelSet, integral: bool = False) -> Result:
    """The consistent loss of Proposition 6.1, or that of Proposition B.3, on unanimous votes."""
    quota, seen = labels.votes(1)
    unanimous, types = seen[-1] + seen[0].T, len(quota.step)
    fit = fits.fit_integral if integral else fits.fit_agreement
    loss = integral_loss if integral else agreement_loss
    found = tune(
        labels,
        unanimous,
        lambda kept, ridge, _: fit(kept[None], types, ridge).reward[0],
        lambda reward, held: total(loss(held, types), reward),
    )
    used = off_diagonal(unanimous) * quota.total
    collected = round(seen.sum()) * quota.total
    return Result(labels.policy(found.model), collected, used, ridge=found.ridge)


register(
    "integral", "Prop. B.3", form="votes", aim="average", source="Chapter 8",
    colour="consistent", mark="^", line=":",
)(partial(agreement, integral=True))  # fmt: skip


def conditional(labels: LabelSet, each: int) -> Result:
    """The conditional loss of chapter 11 with ``each`` labels of every type on a pair."""
    quota, seen = labels.votes(each)
    found = tune(
        labels,
        seen,
        lambda kept, ridge, near: newton.minimise(
            quota.loss(kept), np.zeros(labels.responses) if near is None else near, ridge
        ),
        lambda reward, held: total(quota.loss(held), reward),
    )
    used = off_diagonal(seen[quota.speaks].sum(axis=0)) * quota.total
    collected = round(seen.sum()) * quota.total
    return Result(labels.policy(found.model), collected, used, ridge=found.ridge)


for _each, _word, _mark in ((2, "two", "D"), (3, "three", "d")):
    register(
        f"conditional {_each}", f"conditional, n = {_each}", form="votes", aim="average",
        needs=f"{_word} labels of every type on each pair", source="Chapter 11",
        colour="consistent", mark=_mark,
    )(partial(conditional, each=_each))  # fmt: skip


@register(
    "personalised", "personalised, averaged", form="typed", aim="average",
    source="Chapter 8", colour="average", mark="o",
)  # fmt: skip
def personalised(labels: LabelSet) -> Result:
    """One Bradley-Terry reward a type, averaged by the types' shares of the labels."""
    wins = labels.typed
    share = wins.sum(axis=(1, 2)) / wins.sum()
    found = tune(
        labels,
        wins,
        lambda kept, ridge, _: fits.fit_dpo_tables(kept, ridge).reward,
        lambda rewards, held: float(
            dpo_loss(held)(rewards[:, :, None] - rewards[:, None, :])[0].sum()
        ),
    )
    size = found.model.size + len(wins) - 1
    policy = labels.policy(share @ found.model)
    return Result(policy, labels.size, off_diagonal(wins), size, types=len(wins), ridge=found.ridge)
