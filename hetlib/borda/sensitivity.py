"""The smallest change of the sampling distribution that changes a Borda ranking.

Notation of Appendix D: under the uniform distribution response i is ranked above j, so the
gap d = P_i - P_j has a positive mean. A sampling distribution q turns the pair round if
d @ q <= -margin. Among those with q >= support we want the one closest to uniform in total
variation. :func:`linear_programme` is the programme of Appendix D; everything else here uses
an exact greedy solution of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hetlib import checks
from hetlib.checks import Array
from hetlib.core.newton import ConvergenceError

#: Pairs whose mean gap is below this are tied and ranked neither way.
TIE = 1e-12


@dataclass(frozen=True, eq=False)
class RankingChange:
    """A sampling distribution that turns a pair round.

    Attributes:
        tv: Its total variation distance from uniform.
        pair: (i, j): i is ahead under the uniform distribution, j under ``sampling``.
        sampling: The distribution, shape (responses,).
    """

    tv: float
    pair: tuple[int, int]
    sampling: Array


def _settings(responses: int, support: float, margin: float) -> None:
    if responses < 2:
        raise ValueError("pairwise has 1 response; a ranking needs at least 2")
    if not checks.non_negative("support", support) < 1 / responses:
        raise ValueError(
            f"support is {support}; it must be at least 0 and below 1/{responses}, the uniform mass"
        )
    checks.non_negative("margin", margin)


def _stack(pairwise: ArrayLike) -> Array:
    try:
        axes = np.ndim(pairwise)
    except ValueError:  # ragged, which the check says in words
        axes = 2
    P = checks.array("pairwise", pairwise, axes)
    if axes == 2:
        return checks.pairwise(P)
    if axes < 2 or P.shape[-1] != P.shape[-2]:
        raise ValueError(f"pairwise must have shape (..., n, n), not {P.shape}")
    bad = ~((P >= 0) & (abs(P + P.swapaxes(-1, -2) - 1) <= 1e-9))
    if bad.any():
        where = [int(k) for k in np.argwhere(bad)[0]]
        raise ValueError(
            f"pairwise{where} breaks P[i, j] + P[j, i] = 1 with entries in [0, 1] "
            "(1/2 on the diagonal)"
        )
    return P


def _greedy(d: Array, support: float, margin: float) -> Array:
    """Smallest total variation for gaps ``d`` (..., responses); inf where none suffices.

    Mass leaves the responses with the largest gap first, each down to ``support``, and all of
    it goes to the response with the smallest gap: a fractional knapsack.
    """
    room = 1 / d.shape[-1] - support  # what one donor can give
    gain = -np.sort(-(d - d.min(axis=-1, keepdims=True)), axis=-1)  # per unit moved
    reach = room * np.cumsum(gain, axis=-1)  # fall of d @ q once k donors are empty
    need = d.mean(axis=-1) + margin
    emptied = (reach < need[..., None]).sum(axis=-1)
    possible = emptied < d.shape[-1]
    k = np.minimum(emptied, d.shape[-1] - 1)[..., None]
    before = np.take_along_axis(reach - room * gain, k, -1)[..., 0]
    rate = np.take_along_axis(gain, k, -1)[..., 0]
    part = np.divide(need - before, rate, out=np.zeros_like(rate), where=rate > 0)
    return np.where(possible, k[..., 0] * room + part, np.inf)


def _witness(d: Array, tv: float, support: float) -> Array:
    """The greedy distribution at distance ``tv`` for one gap ``d`` (responses,)."""
    q = np.full(len(d), 1 / len(d))
    left = tv
    receiver = int(np.argmin(d))
    for k in np.argsort(-d, kind="stable"):
        moved = min(left, q[k] - support)
        if k == receiver or moved <= 0:
            break
        q[k] -= moved
        q[receiver] += moved
        left -= moved
    return q


def smallest_changes(pairwise: ArrayLike, support: float = 1e-5, margin: float = 1e-5) -> Array:
    """Smallest total variation at which each pair changes places, for many questions at once.

    Args:
        pairwise: Pr(y_i beats y_j), shape (..., responses, responses): any number of
            questions with equally many responses.
        support: Least mass of each response (epsilon of Appendix D).
        margin: By how much the loser must then be ahead (delta of Appendix D).

    Returns:
        Distances of shape (..., responses, responses). Entry (i, j) belongs to the pair in
        which i is ahead under the uniform distribution; it is inf if no distribution turns
        the pair round, and NaN if i is not ahead of j.

    Raises:
        ValueError: pairwise is not a stack of choice matrices, support is outside
            [0, 1/responses), or margin is negative.
    """
    P = _stack(pairwise)
    _settings(P.shape[-1], support, margin)
    d = P[..., :, None, :] - P[..., None, :, :]
    ahead = d.mean(axis=-1) > TIE
    return np.where(ahead, _greedy(d, support, margin), np.nan)


def pair_change(
    pairwise: ArrayLike, i: int, j: int, support: float = 1e-5, margin: float = 1e-5
) -> RankingChange | None:
    """Smallest change at which j overtakes i; None if no distribution does it.

    Args:
        pairwise: Pr(y_i beats y_j), shape (responses, responses).
        i: The response that is ahead under the uniform distribution.
        j: The other one.
        support: As for :func:`smallest_changes`.
        margin: The same.

    Raises:
        ValueError: as there, an index out of range, or i is not ahead of j.
    """
    P, d = _pair(pairwise, i, j, support, margin)
    tv = np.full(P.shape, np.inf)
    tv[i, j] = _greedy(d, support, margin)
    return _best(P, tv, support)


def _pair(P: ArrayLike, i: int, j: int, support: float, margin: float) -> tuple[Array, Array]:
    """The matrix, and the gap of a pair in which i is ahead, shape (responses,)."""
    P = checks.pairwise(P)
    _settings(len(P), support, margin)
    for name, k in (("i", i), ("j", j)):
        if not 0 <= checks.whole(name, k) < len(P):
            raise ValueError(f"{name} is {k}; responses are numbered 0 to {len(P) - 1}")
    if not (d := P[i] - P[j]).mean() > TIE:
        raise ValueError(f"response {i} is not ahead of {j} under the uniform distribution")
    return P, d


def ranking_change(
    pairwise: ArrayLike, support: float = 1e-5, margin: float = 1e-5
) -> RankingChange | None:
    """The smallest change of the ranking: over all pairs ranked one way under uniform.

    Args:
        pairwise: Pr(y_i beats y_j), shape (responses, responses).
        support: As for :func:`smallest_changes`, of which the errors are, too.
        margin: The same.

    Returns:
        The change with its witness, or None if the ranking is the same under every
        distribution that gives each response ``support``.
    """
    P = checks.pairwise(pairwise)
    return _best(P, smallest_changes(P, support, margin), support)


def top_change(
    pairwise: ArrayLike, support: float = 1e-5, margin: float = 1e-5
) -> RankingChange | None:
    """The smallest change after which the first choice is no longer first.

    If several responses share the first place under the uniform distribution, one of the
    others has to overtake one of them. Arguments and errors as for :func:`ranking_change`.
    """
    P = checks.pairwise(pairwise)
    return _best(P, _top_rows(P, smallest_changes(P, support, margin)), support)


def _top_rows(P: Array, tv: Array) -> Array:
    score = P.mean(axis=-1)
    first = score >= score.max(axis=-1, keepdims=True) - TIE
    return np.where(first[..., None], tv, np.nan)


def _best(P: Array, tv: Array, support: float) -> RankingChange | None:
    tv = np.where(np.isnan(tv), np.inf, tv)
    i, j = (int(k) for k in np.unravel_index(int(tv.argmin()), tv.shape))
    if np.isinf(tv[i, j]):
        return None
    return RankingChange(float(tv[i, j]), (i, j), _witness(P[i] - P[j], tv[i, j], support))


def distances(
    pairwise: Sequence[ArrayLike], support: float = 1e-5, margin: float = 1e-5, top: bool = False
) -> Array:
    """Smallest total variations that change the rankings of many questions.

    Args:
        pairwise: One choice matrix a question; their sizes may differ.
        support: As for :func:`smallest_changes`, of which the errors are, too.
        margin: The same.
        top: Only changes that unseat the first choice count.

    Returns:
        A distance for each question, inf where no distribution changes it, shape (questions,).
    """
    matrices = []
    for k, P in enumerate(pairwise):
        try:
            matrices.append(checks.pairwise(P))
            _settings(len(matrices[k]), support, margin)
        except ValueError as error:
            raise ValueError(f"question {k}: {error}") from None
    sizes: NDArray[np.int64] = np.array([len(P) for P in matrices], dtype=np.int64)
    out = np.full(len(matrices), np.inf)
    for n in np.unique(sizes):
        where = np.flatnonzero(sizes == n)
        P = np.stack([matrices[k] for k in where])
        tv = smallest_changes(P, support, margin)
        tv = _top_rows(P, tv) if top else tv
        out[where] = np.where(np.isnan(tv), np.inf, tv).min(axis=(-1, -2))
    return out


def linear_programme(
    pairwise: ArrayLike,
    i: int,
    j: int,
    support: float = 1e-5,
    margin: float = 1e-5,
    slack: float = 0.0,
) -> RankingChange | None:
    """The linear programme of Appendix D for one pair, by SciPy's HiGHS: the reference.

    Args:
        pairwise: As for :func:`pair_change`.
        i: The same.
        j: The same.
        support: The same.
        margin: The same.
        slack: Lower bound of the variables s, 0 in the paper. The released code bounds them
            by ``support``, which adds at most responses * support / 2 to the distance.

    Returns:
        The change, or None if the programme is infeasible. ``tv`` is the objective.

    Raises:
        ValueError: as for :func:`pair_change`.
        ConvergenceError: HiGHS neither solves the programme nor proves it infeasible.
    """
    from scipy.optimize import linprog

    P, d = _pair(pairwise, i, j, support, margin)
    n = len(P)
    checks.non_negative("slack", slack)
    unit, zero = np.eye(n), np.zeros(n)
    programme: dict[str, Any] = {
        "c": np.concatenate([zero, np.full(n, 0.5)]),  # total variation from the slacks s
        "A_ub": np.block([[-unit, -unit], [unit, -unit], [d, zero]]),
        "b_ub": np.concatenate([np.full(n, -1 / n), np.full(n, 1 / n), [-margin]]),
        "A_eq": np.concatenate([np.ones(n), zero])[None],
        "b_eq": [1.0],
        "bounds": [(support, None)] * n + [(slack, None)] * n,
    }
    tight = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
    result = linprog(**programme, method="highs", options=tight)
    if result.status == 4:  # the simplex sometimes ends with "unknown" where nothing is feasible
        result = linprog(**programme, method="highs-ipm")
    if result.status == 2:
        return None
    if result.status != 0:
        raise ConvergenceError(f"HiGHS stopped without an answer: {result.message}")
    return RankingChange(float(result.fun), (int(i), int(j)), np.asarray(result.x[:n]))
