"""The normalised Borda count, and the voting rules that it is compared with."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numpy.typing import ArrayLike

from hetlib import checks
from hetlib.checks import Array
from hetlib.core.newton import ConvergenceError
from hetlib.core.population import Population


def normalized_borda_count(pairwise: ArrayLike, sampling: ArrayLike | None = None) -> Array:
    """Normalised Borda count, Eq. (13).

    Args:
        pairwise: Pr(y_i beats y_j), shape (responses, responses), 1/2 on the diagonal.
        sampling: Distribution D of the opponent, shape (responses,), full support; uniform
            if None.

    Returns:
        Probability that y_i beats an opponent drawn from D, shape (responses,).

    Raises:
        ValueError: pairwise is not square or not complementary, or D lacks full support.
    """
    P = checks.pairwise(pairwise)
    D = checks.distribution("sampling", sampling, len(P), full_support=True)
    return P @ D  # Eq. (13)


def ranking(values: ArrayLike, tolerance: float = 1e-12) -> list[list[int]]:
    """Responses from best to worst; those within ``tolerance`` of a neighbour share a place.

    Args:
        values: A score for each response, shape (responses,).
        tolerance: Scores closer than this count as equal.

    Returns:
        Groups of indices, best first.

    Raises:
        ValueError: values are not finite, or tolerance is NaN or negative.
    """
    v = checks.array("values", values, 1)
    if not checks.real("tolerance", tolerance) >= 0:
        raise ValueError(f"tolerance is {tolerance}; it must not be negative")
    order = np.argsort(-v, kind="stable")
    with np.errstate(over="ignore"):
        new = np.flatnonzero(v[order][:-1] - v[order][1:] > tolerance) + 1
    return [sorted(group.tolist()) for group in np.split(order, new)]


def same_order(a: ArrayLike, b: ArrayLike, tolerance: float = 1e-9) -> bool:
    """Whether two scores put every pair in the same order, ties included."""
    return ranking(a, tolerance) == ranking(b, tolerance)


#: Margins and shares closer than this are ties.
TIE = 1e-9


def _margins(pairwise: ArrayLike) -> Array:
    P = checks.pairwise(pairwise)
    margins = P - P.T
    return np.where(abs(margins) <= TIE, 0.0, margins)


def condorcet_winner(pairwise: ArrayLike) -> int | None:
    """The response that beats every other with probability above 1/2, or None."""
    M = _margins(pairwise)
    won = (M > 0).sum(axis=1) == len(M) - 1
    return int(np.argmax(won)) if won.any() else None


def copeland(pairwise: ArrayLike) -> list[int]:
    """Responses with the most pairwise majority wins less losses."""
    score = np.sign(_margins(pairwise)).sum(axis=1)
    return np.flatnonzero(score == score.max()).tolist()


def kemeny(pairwise: ArrayLike) -> list[int]:
    """Responses, at most 8, that come first in some ranking with the largest total margin."""
    M = _margins(pairwise)
    n = len(M)
    if n > 8:
        raise ValueError(f"pairwise has {n} responses; Kemeny takes at most 8")
    orders = np.array(list(permutations(range(n))))
    first, second = np.triu_indices(n, 1)
    total = M[orders[:, first], orders[:, second]].sum(axis=1)
    return np.unique(orders[total >= total.max() - TIE * n * n, 0]).tolist()


def maximal_lottery(pairwise: ArrayLike) -> Array:
    """The lottery over responses that loses to none: an equilibrium of the majority game.

    Two players name a response each, and one wins what the other loses: the margin
    P[i, j] - P[j, i]. Optimal play is the *maximal lottery* of Kreweras (1965) and Fishburn
    (1984), the von Neumann or minimax winner, and what Nash learning from human feedback
    aims at without its KL term. A Condorcet winner gets all the mass.

    Returns:
        Probabilities, shape (responses,); one of the lotteries if several are optimal.

    Raises:
        ConvergenceError: HiGHS does not solve the programme.
    """
    from scipy.optimize import linprog

    M = _margins(pairwise)
    n = len(M)
    result = linprog(  # the largest t such that the lottery wins at least t from everyone
        np.r_[np.zeros(n), -1.0],
        A_ub=np.c_[-M.T, np.ones(n)],
        b_ub=np.zeros(n),
        A_eq=np.r_[np.ones(n), 0.0][None],
        b_eq=[1.0],
        bounds=[(0, None)] * n + [(None, None)],
        method="highs",
    )
    if result.status != 0:
        raise ConvergenceError(f"HiGHS stopped without an answer: {result.message}")
    lottery = np.maximum(result.x[:n], 0)
    return np.asarray(lottery / lottery.sum())


def plurality(population: Population) -> list[int]:
    """Responses that are the favourite of the largest share of people.

    A type's vote goes to the response with its largest reward (the first, if several).
    """
    favourites = population.rewards.argmax(axis=1)
    share = np.bincount(favourites, population.weights, population.responses)
    return np.flatnonzero(share >= share.max() - TIE).tolist()


def pairwise_shares(wins: ArrayLike, prior: float = 0.0) -> Array:
    """Shares of wins: from counts to the probabilities that other functions take.

    Args:
        wins: How often y_i beat y_j, shape (responses, responses); the diagonal is not read.
        prior: Wins that are added each way to every pair; positive to allow for pairs that
            were never compared, whose share is then 1/2.

    Returns:
        Estimates of Pr(y_i beats y_j), shape (responses, responses), 1/2 on the diagonal.

    Raises:
        ValueError: malformed counts, a negative prior, or a pair without labels or prior.
    """
    if checks.non_negative("prior", prior) > 1e300:
        raise ValueError(f"prior is {prior:g}; at most 1e300 is allowed")
    W = checks.counts("wins", wins, most=1e300) + prior
    np.fill_diagonal(W, 1.0)
    total = W + W.T
    if (total == 0).any():
        i, j = (int(k) for k in np.argwhere(total == 0)[0])
        raise ValueError(
            f"wins[{i}, {j}] and wins[{j}, {i}] are 0: the pair was never compared; a positive "
            "prior allows for that"
        )
    share = W / total
    return np.asarray((share + 1 - share.T) / 2)  # exact complements
