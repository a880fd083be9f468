"""How close methods come to pi* on the ring, against the number of comparisons.

Prompts are pooled: a fit by prompt from N comparisons is like a pooled one from N / n. What
the data say is drawn as one multinomial of counts, so ten million comparisons cost no more
than a thousand; the law is that of :meth:`hetlib.ring.environment.RingEnvironment.sample`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from hetlib import checks
from hetlib.checks import Array
from hetlib.core.labels import draw_counts
from hetlib.core.newton import ConvergenceError
from hetlib.core.policies import total_variation
from hetlib.linked.moments import moments_from_counts
from hetlib.ring.environment import RingEnvironment
from hetlib.ring.fits import (
    distances,
    fit_agreement,
    fit_corrected,
    fit_dpo_tables,
    fit_integral,
    fit_ipo,
    fit_personalised,
)

#: Kinds of methods; "corrected" is followed by its strength, as in "corrected 1.5".
#: What ``distances`` measures.
MEASURES = ("tv", "kl", "regret")
KINDS = ("dpo", "ipo", "corrected", "agreement", "integral", "personalised")
METHODS = (
    "dpo",
    "ipo",
    "corrected 1",
    "corrected 2",
    "agreement",
    "integral",
    "personalised",
)


def _parse(method: str) -> tuple[str, float]:
    """The kind of a method and, for "corrected", its strength.

    Raises:
        ValueError: an unknown method, or a strength that is no number of at least 0.
    """
    kind, _, strength = method.partition(" ")
    try:
        alpha = float(strength or 0)
    except ValueError:
        alpha = -1.0
    if kind not in KINDS or (kind == "corrected") != bool(strength) or not 0 <= alpha < np.inf:
        raise ValueError(
            f"method is {method!r}; known are {', '.join(METHODS)} and other strengths of corrected"
        )
    return kind, alpha


def labels_per_comparison(method: str, types: int) -> int:
    """Labels that a method uses for each comparison: 1, 2 linked, or one of each type.

    Raises:
        ValueError: an unknown method.
    """
    kind, _ = _parse(method)
    return {"dpo": 1, "ipo": 1, "corrected": 2}.get(kind, types)


def _pair_law(environment: RingEnvironment, sampling: ArrayLike | None) -> Array:
    """Twice D_i D_j: times Pr(i beats j), the law of (winner, loser)."""
    D = checks.distribution("sampling", sampling, environment.n)
    law: Array = np.asarray(2 * np.outer(D, D), dtype=np.float64)
    return law


def _sizes(size: int, repeats: int) -> tuple[int, int]:
    return checks.whole("size", size, 0), checks.whole("repeats", repeats, 1)


def draw_wins(
    environment: RingEnvironment,
    size: int,
    repeats: int,
    rng: np.random.Generator,
    sampling: ArrayLike | None = None,
) -> Array:
    """Win counts of anonymous comparisons, shape (repeats, n, n)."""
    size, repeats = _sizes(size, repeats)
    law = _pair_law(environment, sampling) * environment.pairwise()
    return draw_counts(law, size, rng, (repeats,))


def draw_linked(
    environment: RingEnvironment,
    size: int,
    repeats: int,
    rng: np.random.Generator,
    sampling: ArrayLike | None = None,
) -> tuple[Array, Array]:
    """Pairs labelled twice by one person: i over j twice, and once each way (symmetric)."""
    size, repeats = _sizes(size, repeats)
    J = environment.moments()
    law = np.stack([J.J1, J.J2]) * _pair_law(environment, sampling)
    counts = draw_counts(law, size, rng, (repeats,))
    both, mixed = counts[:, 0], counts[:, 1]
    return both, mixed + mixed.transpose(0, 2, 1)


def draw_unanimous(
    environment: RingEnvironment,
    size: int,
    repeats: int,
    rng: np.random.Generator,
    sampling: ArrayLike | None = None,
) -> Array:
    """Of comparisons labelled by every type, those where all agree; shape (repeats, n, n)."""
    size, repeats = _sizes(size, repeats)
    law = (_pair_law(environment, sampling) * environment.unanimous()).ravel()
    n = environment.n
    law = np.append(law, max(1 - law.sum(), 0.0))  # one type always agrees with itself
    return rng.multinomial(size, law, repeats)[:, :-1].reshape(-1, n, n).astype(float)


def draw_wins_by_type(
    environment: RingEnvironment,
    size: int,
    repeats: int,
    rng: np.random.Generator,
    sampling: ArrayLike | None = None,
) -> Array:
    """Win counts by type of comparisons labelled by every type, (types, repeats, n, n)."""
    size, repeats = _sizes(size, repeats)
    n = environment.n
    D = checks.distribution("sampling", sampling, n)
    shown = rng.multinomial(size, np.outer(D, D).ravel(), repeats).reshape(-1, n, n)
    out = []
    for p in environment.pairwise_by_type():
        won = rng.binomial(shown, p)
        out.append(won + (shown - won).transpose(0, 2, 1))
    return np.array(out, dtype=float)


def fit_many(
    environment: RingEnvironment,
    method: str,
    size: int,
    repeats: int,
    rng: np.random.Generator,
    sampling: ArrayLike | None = None,
    ridge: float = 0.1,
) -> Array:
    """Policies of a method from fresh data sets, prompts pooled.

    Args:
        environment: Where the data come from.
        method: As in :data:`METHODS`; J of "corrected" is tabular, from linked labels.
        size: Comparisons in each data set.
        repeats: Number of data sets.
        rng: Source of randomness.
        sampling: Distribution D of each response's offset; uniform if None.
        ridge: Weight of the squared rewards.

    Returns:
        By data set and offset, shape (repeats, n).

    Raises:
        ValueError: malformed arguments.
        ConvergenceError: a fit found no optimum.
    """
    kind, alpha = _parse(method)
    args = (environment, size, repeats, rng, sampling)
    if kind == "corrected":
        both, mixed = draw_linked(*args)
        policies = []
        for b, m in zip(both, mixed, strict=True):
            moments = moments_from_counts(b, m, prior=1.0)
            wins = (2 * b + m)[None]
            policies.append(fit_corrected(wins, moments, alpha, ridge).policy[0])
        return np.array(policies)
    if kind in ("agreement", "integral"):
        fit = fit_agreement if kind == "agreement" else fit_integral
        return fit(draw_unanimous(*args), len(environment.shifts), ridge).policy
    if kind == "personalised":
        return fit_personalised(
            draw_wins_by_type(*args), environment.centred().weights, ridge
        ).policy
    return (fit_dpo_tables if kind == "dpo" else fit_ipo)(draw_wins(*args), ridge).policy


def learning_curves(
    environment: RingEnvironment,
    sizes: Sequence[int],
    repeats: int,
    seed: int,
    methods: Sequence[str] = METHODS,
) -> dict[str, dict[str, Array]]:
    """Distances to pi* for each method and number of comparisons.

    Args:
        environment: Where the data come from.
        sizes: Numbers of comparisons.
        repeats: Data sets of each size.
        seed: Of the data; each method and size has a stream of its own.
        methods: Some of :data:`METHODS`.

    Returns:
        The measures "tv", "kl" and "regret" by name, each of shape (sizes, repeats); NaN for a
        size at which a fit has no solution.

    Raises:
        ValueError: malformed arguments.
    """
    out = {}
    seed = checks.whole("seed", seed, 0)
    checks.array("sizes", sizes, 1)
    for method in methods:
        rows = []
        kind, alpha = _parse(method)
        for size in sizes:
            size = checks.whole("sizes", size, 0)
            stream = [seed, KINDS.index(kind), round(1000 * alpha), size]
            rng = np.random.default_rng(stream)
            try:
                rows.append(
                    distances(fit_many(environment, method, size, repeats, rng), environment)
                )
            except ConvergenceError:
                rows.append(dict.fromkeys(MEASURES, np.full(repeats, np.nan)))
        out[method] = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    return out


def exact_distance(
    environment: RingEnvironment, method: str, sampling: ArrayLike | None = None
) -> float:
    """Total variation of a method's exact optimum to pi*: its bias.

    NaN where the corrected loss has no stationary point on the branch from DPO.
    """
    kind, alpha = _parse(method)
    try:
        return total_variation(environment.optimum(kind, sampling, alpha), environment.best())
    except ConvergenceError:
        return float("nan")


def mean_distance(
    environment: RingEnvironment,
    method: str,
    size: int,
    repeats: int,
    rng: np.random.Generator,
    sampling: ArrayLike | None = None,
) -> float:
    """Mean total variation to pi* of fits to fresh data; NaN where one did not converge."""
    try:
        policies = fit_many(environment, method, size, repeats, rng, sampling)
    except ConvergenceError:
        return float("nan")
    return float(distances(policies, environment)["tv"].mean())
