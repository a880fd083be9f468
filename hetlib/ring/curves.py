"""How close methods come to pi* on the ring, against the number of comparisons.

Prompts are pooled: a fit by prompt from N comparisons is like a pooled one from N / n. What
the data say is drawn as one multinomial of counts, so ten million comparisons cost no more
than a thousand; the law is that of :meth:`hetlib.ring.environment.RingEnvironment.sample`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import rel_entr, softmax

from hetlib import checks
from hetlib.checks import Array
from hetlib.core.newton import ConvergenceError
from hetlib.core.policies import total_variation
from hetlib.linked.moments import moments_from_counts
from hetlib.ring.environment import RingEnvironment
from hetlib.ring.fits import (
    fit_agreement,
    fit_corrected,
    fit_dpo_tables,
    fit_integral,
    fit_ipo,
    fit_personalised,
    fit_shifted_agreement,
    unanimous_counts,
    win_counts,
    win_counts_by_type,
)

#: What :func:`learning_curves` measures.
MEASURES = ("tv", "kl", "regret")
#: Kinds of methods; "corrected" is followed by its strength, as in "corrected 1.5".
KINDS = ("dpo", "ipo", "corrected", "agreement", "integral", "personalised")
#: Methods of :func:`learning_curves` where none are named.
CURVES = (
    "dpo",
    "ipo",
    "corrected 1",
    "corrected 2",
    "agreement",
    "integral",
    "personalised",
)


def at_beta(policy: ArrayLike, beta: float, reference: ArrayLike | None = None) -> Array:
    """The policy of the same induced rewards with another KL penalty and reference.

    Args:
        policy: Probabilities with beta = 1 and a uniform reference, along the last axis.
        beta: Strength, 1e-3 to 1e3; below 1 the policy is sharper.
        reference: The other reference, shape (n,), full support; uniform if None.

    Returns:
        Probabilities in proportion to reference * policy^(1 / beta), shape as given.

    Raises:
        ValueError: a beta out of range, a probability that is not positive, a malformed
            reference.
    """
    pi = checks.array("policy", policy, None)
    if (pi <= 0).any():
        where = [int(k) for k in np.argwhere(pi <= 0)[0]]
        raise ValueError(f"policy{where} is {pi[tuple(where)]}; every entry must be positive")
    scores = np.log(pi) / _strength(beta)
    if reference is not None:
        scores = scores + np.log(
            checks.distribution("reference", reference, pi.shape[-1], full_support=True)
        )
    out: Array = softmax(scores, axis=-1)
    return out


def _strength(beta: float) -> float:
    if not 1e-3 <= checks.real("beta", beta) <= 1e3:
        raise ValueError(f"beta is {beta}; 1e-3 to 1e3 are allowed")
    return float(beta)


def _target(environment: RingEnvironment, beta: float, reference: ArrayLike | None) -> Array:
    """pi* of Eq. (10), by offset, shape (n,)."""
    return environment.centred().optimal_policy(reference, _strength(beta))


def _measures(policies: Array, best: Array, beta: float) -> dict[str, Array]:
    """The measures of :func:`learning_curves`, each of shape (tables,)."""
    return {
        "tv": abs(policies - best).sum(axis=1) / 2,
        "kl": rel_entr(best, policies).sum(axis=1),
        "regret": beta * rel_entr(policies, best).sum(axis=1),
    }


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
            f"method is {method!r}; known are {', '.join(CURVES)} and other strengths of corrected"
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
    law = (_pair_law(environment, sampling) * environment.pairwise()).ravel()
    n = environment.n
    return rng.multinomial(size, law / law.sum(), repeats).reshape(-1, n, n).astype(float)


def draw_linked(
    environment: RingEnvironment,
    size: int,
    repeats: int,
    rng: np.random.Generator,
    sampling: ArrayLike | None = None,
) -> tuple[Array, Array]:
    """Pairs labelled twice by one person: i over j twice, and once each way (symmetric)."""
    size, repeats = _sizes(size, repeats)
    J, n = environment.moments(), environment.n
    law = np.stack([J.J1, J.J2]) * _pair_law(environment, sampling)
    counts = rng.multinomial(size, law.ravel() / law.sum(), repeats).reshape(-1, 2, n, n)
    both, mixed = counts[:, 0].astype(float), counts[:, 1].astype(float)
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
        method: As in :data:`CURVES`; J of "corrected" is tabular, from linked labels.
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
    methods: Sequence[str] = CURVES,
    beta: float = 1.0,
    reference: ArrayLike | None = None,
) -> dict[str, dict[str, Array]]:
    """Distances to pi* for each method and number of comparisons.

    Args:
        environment: Where the data come from.
        sizes: Numbers of comparisons.
        repeats: Data sets of each size.
        seed: Of the data; each method and size has a stream of its own.
        methods: Some of :data:`CURVES`.
        beta: Strength of the KL penalty, in pi* and in the methods.
        reference: Of both, by offset, shape (n,); uniform if None.

    Returns:
        The measures "tv", "kl" (of pi* from the fit) and "regret" of Eq. (9) by name, each of
        shape (sizes, repeats); NaN for a size at which a fit has no solution.

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
                found = fit_many(environment, method, size, repeats, rng)
                policies = at_beta(found, beta, reference)
                rows.append(_measures(policies, _target(environment, beta, reference), beta))
            except ConvergenceError:
                rows.append(dict.fromkeys(MEASURES, np.full(repeats, np.nan)))
        out[method] = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    return out


def exact_distance(
    environment: RingEnvironment,
    method: str,
    sampling: ArrayLike | None = None,
    beta: float = 1.0,
    reference: ArrayLike | None = None,
) -> float:
    """Total variation of a method's exact optimum to pi*: its bias.

    NaN where the corrected loss has no stationary point on the branch from DPO.
    """
    kind, alpha = _parse(method)
    try:
        found = at_beta(environment.optimum(kind, sampling, alpha), beta, reference)
        return total_variation(found, _target(environment, beta, reference))
    except ConvergenceError:
        return float("nan")


def mean_distance(
    environment: RingEnvironment,
    method: str,
    size: int,
    repeats: int,
    rng: np.random.Generator,
    sampling: ArrayLike | None = None,
    beta: float = 1.0,
    reference: ArrayLike | None = None,
) -> float:
    """Mean total variation to pi* of fits to fresh data; NaN where one did not converge."""
    try:
        found = fit_many(environment, method, size, repeats, rng, sampling)
    except ConvergenceError:
        return float("nan")
    policies = at_beta(found, beta, reference)
    best = _target(environment, beta, reference)
    return float(_measures(policies, best, beta)["tv"].mean())


def fit_by_prompt(
    environment: RingEnvironment,
    comparisons: int,
    seed: int,
    beta: float = 1.0,
    reference: ArrayLike | None = None,
) -> tuple[dict[str, Array], Array]:
    """Every method on one data set of Section 7.2, each prompt on its own.

    Args:
        environment: Where the data come from; J of "corrected" is its own, exact.
        comparisons: Number of anonymous comparisons, and of those labelled by every type. The
            corrected fit cannot be relied on below one comparison a pair and prompt.
        seed: Of the data.
        beta: Strength of the KL penalty.
        reference: By offset, shape (n,); uniform if None.

    Returns:
        Policies by prompt and offset, shape (n, n), by method; NaN without a solution. And the
        Borda count by counting, of the same shape, NaN where a response was not shown.

    Raises:
        ValueError: malformed arguments.
    """
    seed, types = checks.whole("seed", seed, 0), len(environment.shifts)
    comparisons = checks.whole("comparisons", comparisons, 1)
    anonymous = environment.sample(comparisons, np.random.default_rng([seed, 0]))
    votes = environment.sample_types(comparisons, np.random.default_rng([seed, 1]))
    wins, (second, first) = win_counts(anonymous), unanimous_counts(votes)
    by_type, J = win_counts_by_type(anonymous, types), environment.moments()
    routes: dict[str, Any] = {
        "dpo": lambda: fit_dpo_tables(wins),
        "corrected 1": lambda: fit_corrected(wins, J, 1.0),
        "corrected 2": lambda: fit_corrected(wins, J, 2.0),
        "agreement": lambda: fit_agreement(second + first, types),
        "agreement as released": lambda: fit_shifted_agreement(second, first, types),
        "integral": lambda: fit_integral(second + first, types),
        "personalised": lambda: fit_personalised(by_type, environment.centred().weights),
    }
    found = {}
    for name, fit in routes.items():
        found[name] = np.full((environment.n,) * 2, np.nan)
        if not name.startswith("corrected") or comparisons >= environment.n**3:
            try:
                found[name] = at_beta(fit().policy, beta, reference)
            except ConvergenceError:
                continue
    won, shown = wins.sum(axis=2), wins.sum(axis=1) + wins.sum(axis=2)
    return found, np.where(shown > 0, won / np.maximum(shown, 1), np.nan)


#: Environments with the distribution of the responses shown, None for the uniform one.
Case = tuple[RingEnvironment, Array | None]


def stress_tests(environment: RingEnvironment, points: int) -> dict[str, tuple[Array, list[Case]]]:
    """One thing at a time changed: shifts, scales, types, weights, sampling and labels.

    The outer types are those with the largest shift in size, the middle one has the smallest.

    Args:
        environment: The starting point.
        points: Number of values of each, 2 to 100; of types, 1 to at most 7.

    Returns:
        By name of what changes, its values and a case for each.

    Raises:
        ValueError: points is no whole number from 2 to 100.
    """
    if not 2 <= checks.whole("points", points) <= 100:
        raise ValueError(f"points is {points}; 2 to 100 are allowed")
    shifts = np.asarray(environment.shifts, dtype=np.float64)
    k, far = len(shifts), float(abs(shifts).max()) or 1.0
    outermost, inner = abs(shifts) == abs(shifts).max(), int(abs(shifts).argmin())
    around = np.cos(2 * np.pi * environment.offsets / environment.n)

    def changed(**fields: Any) -> Case:
        return replace(environment, **fields), None

    def scaled(v: float) -> Case:
        return changed(scales=tuple(np.where(outermost, v, environment.scales)))

    def even(v: float) -> Case:
        spots = tuple(np.linspace(-far, far, int(v))) if v > 1 else (0.0,)
        same = {"scales": environment.scales[:1], "rates": environment.rates[:1]}
        each = {name: tuple(value) * int(v) for name, value in same.items()}
        return changed(shifts=spots, weights=None, **each)

    def weighted(v: float) -> Case:
        share = np.where(np.arange(k) == inner, v, (1 - v) / max(k - 1, 1))
        return changed(weights=tuple(share) if k > 1 else None)

    def sampled(v: float) -> Case:
        law = np.exp(v * around)
        return environment, law / law.sum()

    makers: dict[str, tuple[Array, Any]] = {
        "shift of the outer types": (
            np.linspace(0, 20, points),
            lambda v: changed(shifts=tuple(v * shifts / far)),
        ),
        "scale of the outer types": (np.linspace(0.5, 8, points), scaled),
        "number of types": (np.linspace(1, min(points, 7), min(points, 7)), even),
        "weight of the middle type": (np.linspace(0.05, 0.9, points), weighted),
        "sampling: peak at 0 (κ)": (np.linspace(-2, 2, points), sampled),
        "share of labels flipped": (np.linspace(0, 0.3, points), lambda v: changed(noise=v)),
        "temperature of the labels": (
            np.geomspace(0.5, 2, points),
            lambda v: changed(temperature=v),
        ),
    }
    return {name: (v, [make(float(x)) for x in v]) for name, (v, make) in makers.items()}
