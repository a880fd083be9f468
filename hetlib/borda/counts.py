"""The normalised Borda count, and the voting rules that it is compared with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hetlib import checks
from hetlib.checks import Array
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
    """
    v = checks.array("values", values, 1)
    groups: list[list[int]] = []
    for i in np.argsort(-v, kind="stable"):
        if groups and v[groups[-1][-1]] - v[i] <= tolerance:
            groups[-1].append(int(i))
        else:
            groups.append([int(i)])
    return [sorted(group) for group in groups]


def same_order(a: ArrayLike, b: ArrayLike, tolerance: float = 1e-9) -> bool:
    """Whether two scores put every pair in the same order, ties included."""
    return ranking(a, tolerance) == ranking(b, tolerance)


def _margins(pairwise: ArrayLike) -> Any:
    from pref_voting.margin_based_methods import MarginGraph  # loads numba: only when used

    P = checks.pairwise(pairwise)
    margins = np.rint((P - P.T) * 1e12).astype(np.int64)  # integers, so that ties are exact
    edges = [(int(i), int(j), int(margins[i, j])) for i, j in np.argwhere(margins > 0)]
    return MarginGraph(list(range(len(P))), edges)


def condorcet_winner(pairwise: ArrayLike) -> int | None:
    """The response that beats every other with probability above 1/2, or None."""
    winner = _margins(pairwise).condorcet_winner()
    return None if winner is None else int(winner)


def copeland(pairwise: ArrayLike) -> list[int]:
    """Responses with the most pairwise majority wins less losses."""
    from pref_voting.c1_methods import copeland as rule

    return [int(y) for y in rule(_margins(pairwise))]


def kemeny(pairwise: ArrayLike) -> list[int]:
    """Responses that come first in some ranking with the largest total margin.

    Raises:
        ValueError: there are more than 8 responses: all orders are compared.
    """
    from pref_voting.other_methods import kemeny_young as rule

    graph = _margins(pairwise)
    if len(graph.candidates) > 8:
        raise ValueError(f"pairwise has {len(graph.candidates)} responses; Kemeny takes at most 8")
    return [int(y) for y in rule(graph)]


def plurality(population: Population) -> list[int]:
    """Responses that are the favourite of the largest share of people.

    A type's vote goes to the response with its largest reward (the first, if several).
    """
    from pref_voting.profiles import Profile
    from pref_voting.scoring_methods import plurality as rule

    orders = np.argsort(-population.rewards, axis=1, kind="stable")
    counts = np.rint(population.weights * 1_000_000).astype(int)
    return [int(y) for y in rule(Profile(orders.tolist(), rcounts=counts.tolist()))]
