"""The normalised Borda count, and the voting rules beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

import hetlib
from hetlib.borda import counts
from hetlib.core.link import LINKS
from hetlib.core.population import Population

Array = NDArray[np.float64]

# A beats B beats C beats A, each with probability 2/3.
CYCLE = np.array([[0.5, 2 / 3, 1 / 3], [1 / 3, 0.5, 2 / 3], [2 / 3, 1 / 3, 0.5]])


@st.composite
def elections(draw: st.DrawFn) -> tuple[Array, Array]:
    """Choice probabilities of any kind, and a sampling distribution."""
    k = draw(st.integers(2, 5))
    upper = np.triu(draw(arrays(np.float64, (k, k), elements=st.floats(0, 1))), 1)
    P = upper + np.tril(1 - upper.T, -1) + np.eye(k) / 2
    raw = draw(arrays(np.float64, k, elements=st.floats(0.05, 1)))
    return P, raw / raw.sum()


@given(elections())
def test_nbc_is_a_probability_and_averages_to_one_half(election: tuple[Array, Array]) -> None:
    P, D = election
    nbc = counts.normalized_borda_count(P, D)
    assert (nbc >= D / 2 - 1e-12).all()  # a response draws with itself
    assert (nbc <= 1 - D / 2 + 1e-12).all()
    assert D @ nbc == pytest.approx(0.5, abs=1e-12)


@given(elections(), st.data())
def test_nbc_follows_a_permutation(election: tuple[Array, Array], data: Any) -> None:
    P, D = election
    y = np.array(data.draw(st.permutations(range(len(D)))))
    permuted = counts.normalized_borda_count(P[np.ix_(y, y)], D[y])
    assert np.allclose(permuted, counts.normalized_borda_count(P, D)[y], atol=1e-12)


@given(elections())
def test_nbc_of_reversed_choices_is_the_complement(election: tuple[Array, Array]) -> None:
    P, D = election
    total = counts.normalized_borda_count(P, D) + counts.normalized_borda_count(P.T, D)
    assert np.allclose(total, 1, atol=1e-12)


@given(elections())
def test_nbc_is_the_sum_that_defines_it(election: tuple[Array, Array]) -> None:
    P, D = election
    slow = [sum(D[j] * P[i, j] for j in range(len(D))) for i in range(len(D))]
    assert np.allclose(counts.normalized_borda_count(P, D), slow, atol=1e-12)


@given(arrays(np.float64, 4, elements=st.floats(-3, 3).map(lambda z: round(z, 3))))
def test_with_one_type_nbc_orders_like_the_reward(reward: Array) -> None:
    nbc = counts.normalized_borda_count(Population([reward]).pairwise())
    assert counts.same_order(nbc, reward, tolerance=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pairwise": [[0.5, 0.9], [0.2, 0.5]]}, r"pairwise\[0, 1\] \+ pairwise\[1, 0\] is 1.1"),
        ({"pairwise": [[0.5, 0.5]]}, "pairwise must be square"),
        ({"sampling": [0.0, 1.0]}, r"sampling\[0\] is 0.0; every entry must be positive \(full"),
        ({"sampling": [0.5, 0.4]}, "sampling sums to 0.9; it must sum to 1"),
        ({"sampling": [1.0]}, "sampling has 1 entries; 2 are needed"),
    ],
)
def test_nbc_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        counts.normalized_borda_count(**({"pairwise": [[0.5, 0.9], [0.1, 0.5]]} | arguments))


def test_ranking_groups_ties() -> None:
    assert counts.ranking([1.0, 3.0, 1.0, 2.0]) == [[1], [3], [0, 2]]
    assert counts.ranking([0.0, 1e-14]) == [[0, 1]]
    assert counts.ranking([0.0, 1.0], tolerance=2) == [[0, 1]]
    with pytest.raises(ValueError, match=r"values\[1\] is nan"):
        counts.ranking([0.0, np.nan])


def test_same_order_sees_ties() -> None:
    assert counts.same_order([1, 2, 3], [10, 20, 30])
    assert not counts.same_order([1, 2, 3], [10, 30, 20])
    assert not counts.same_order([1, 2, 2], [1, 2, 3])


def test_condorcet_winner() -> None:
    P = Population([[2.0, 1.0, 0.0]]).pairwise()
    assert counts.condorcet_winner(P) == 0
    assert counts.condorcet_winner(CYCLE) is None
    assert counts.condorcet_winner(np.full((2, 2), 0.5)) is None


def test_copeland_and_kemeny() -> None:
    P = Population([[0.0, 2.0, 1.0]]).pairwise()
    assert counts.copeland(P) == [1]
    assert counts.kemeny(P) == [1]
    assert sorted(counts.copeland(CYCLE)) == [0, 1, 2]
    assert sorted(counts.kemeny(CYCLE)) == [0, 1, 2]


def brute_force_kemeny(P: Array) -> set[int]:
    """First places of the orders with the largest sum of margins."""
    from itertools import permutations

    value = {
        order: sum(P[a, b] - P[b, a] for n, a in enumerate(order) for b in order[n + 1 :])
        for order in permutations(range(len(P)))
    }
    best = max(value.values())
    return {order[0] for order, v in value.items() if v > best - 1e-9}


@given(st.integers(0, 10_000))
def test_kemeny_against_all_orders(seed: int) -> None:
    P = Population(2 * np.random.default_rng(seed).normal(size=(3, 4))).pairwise()
    assert set(counts.kemeny(P)) == brute_force_kemeny(P)


def test_kemeny_refuses_many_responses() -> None:
    with pytest.raises(ValueError, match="pairwise has 9 responses; Kemeny takes at most 8"):
        counts.kemeny(np.full((9, 9), 0.5))


def test_plurality_counts_people() -> None:
    rewards = [[2.0, 1.0, 0.0], [0.0, 1.0, 2.0], [0.0, 2.0, 1.0]]
    assert counts.plurality(Population(rewards, [0.4, 0.35, 0.25])) == [0]
    assert sorted(counts.plurality(Population(rewards[:2]))) == [0, 2]


# ---- voting rules against another library, and at near ties ----


@pytest.mark.slow
def test_rules_agree_with_another_library() -> None:
    """pref_voting is the oracle; margins in whole parts of a million, so that ties are exact."""
    from pref_voting.c1_methods import copeland as copeland_rule
    from pref_voting.margin_based_methods import MarginGraph
    from pref_voting.other_methods import kemeny_young

    rng = np.random.default_rng(0)
    for n in (2, 3, 4, 5):
        for _ in range(15):
            upper = np.triu(rng.integers(-3, 4, size=(n, n)), 1)
            margins = upper - upper.T
            edges = [(int(i), int(j), int(margins[i, j])) for i, j in np.argwhere(margins > 0)]
            graph = MarginGraph(list(range(n)), edges)
            P = 0.5 + margins / 20
            winner = graph.condorcet_winner()
            assert counts.condorcet_winner(P) == (None if winner is None else int(winner))
            assert counts.copeland(P) == sorted(int(y) for y in copeland_rule(graph))
            assert counts.kemeny(P) == sorted(int(y) for y in kemeny_young(graph))


@given(st.integers(0, 10**6))
def test_plurality_is_the_exact_count(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = rng.integers(1, 9, size=6)
    people = Population(rng.permuted(np.tile(np.arange(3.0), (6, 1)), axis=1), parts / parts.sum())
    votes = [
        sum(int(p) for p, r in zip(parts, people.rewards, strict=True) if r[y] == 2)
        for y in range(3)
    ]
    assert counts.plurality(people) == [y for y in range(3) if votes[y] == max(votes)]


def test_sixths_tie_with_a_half() -> None:
    people = Population([[1.0, 0], [1.0, 0], [1.0, 0], [0, 1.0]], [1 / 6, 1 / 6, 1 / 6, 1 / 2])
    assert counts.plurality(people) == [0, 1]
    people = Population([[1.0, 0], [0, 1.0]], [0.5 + 1e-7, 0.5 - 1e-7])
    assert counts.plurality(people) == [0]


def test_small_margins_count() -> None:
    """A lead of one in a million decides; nothing is rounded to hundredths."""
    P = np.full((3, 3), 0.5)
    P[1, 0], P[0, 1] = 0.5 + 1e-6, 0.5 - 1e-6
    P[1, 2], P[2, 1] = 0.5 + 1e-6, 0.5 - 1e-6
    assert counts.condorcet_winner(P) == 1
    assert counts.copeland(P) == [1]
    assert counts.kemeny(P) == [1]


@pytest.mark.parametrize(("lead", "tied"), [(0.0, True), (4e-10, True), (4e-9, False)])
def test_ties_are_within_the_stated_tolerance(lead: float, tied: bool) -> None:
    """Three tenths one by one are not 0.3 in floats; leads above TIE = 1e-9 decide."""
    rewards = np.eye(4)[[0, 0, 0, 1, 2, 3]]
    weights = [0.1, 0.1, 0.1, 0.3 + lead, 0.2 - lead, 0.2]
    assert counts.plurality(Population(rewards, weights)) == ([0, 1] if tied else [1])
    P = np.array([[0.5, 0.5 - lead / 2], [0.5 + lead / 2, 0.5]])
    assert counts.condorcet_winner(P) == (None if tied else 1)
    assert counts.copeland(P) == counts.kemeny(P) == ([0, 1] if tied else [1])


@given(elections())
def test_a_maximal_lottery_loses_to_nobody(election: tuple[Array, Array]) -> None:
    P, _ = election
    lottery = counts.maximal_lottery(P)
    assert lottery.sum() == pytest.approx(1)
    assert (lottery @ P >= 0.5 - 1e-7).all()
    winner = counts.condorcet_winner(P)
    if winner is not None and np.delete(P[winner], winner).min() > 0.5 + 1e-6:
        assert lottery[winner] == pytest.approx(1, abs=1e-6)


def test_the_lottery_of_a_cycle_weighs_each_response_by_the_margin_it_is_not_in() -> None:
    assert counts.maximal_lottery(CYCLE) == pytest.approx(np.full(3, 1 / 3))
    a, b, c = 0.1, 0.2, 0.3  # margins of 0 over 1, 1 over 2, 2 over 0
    M = np.array([[0, a, -c], [-a, 0, b], [c, -b, 0]])
    assert counts.maximal_lottery(0.5 + M / 2) == pytest.approx(np.array([b, c, a]) / (a + b + c))


@pytest.mark.parametrize("link", ["logistic", "probit", "cauchit"])
def test_a_maximal_lottery_keeps_its_guarantee(link: str) -> None:
    """With rewards from 0 to a span: Gölz, Haghtalab and Yang (2025), for any concave link."""
    rng = np.random.default_rng(0)
    worst = 0.0
    for _ in range(200):
        span = float(rng.uniform(0.5, 20))
        shape = int(rng.integers(1, 5)), int(rng.integers(2, 6))
        rewards = span * rng.beta(0.3, 0.3, shape)
        people = Population(rewards, rng.dirichlet(np.ones(shape[0])), link)
        average = people.mean_reward()
        bound = span * LINKS[link].slope / (LINKS[link](np.float64(span)) - 0.5)
        lottery = counts.maximal_lottery(people.pairwise())
        worst = max(worst, average.max() / (lottery @ average) / bound)
    assert 0.1 < worst <= 1 + 1e-6


def test_shares_of_wins() -> None:
    share = hetlib.pairwise_shares([[7, 3, 0], [1, 0, 2], [0, 2, 0]], prior=0.5)
    assert np.allclose(share, [[0.5, 0.7, 0.5], [0.3, 0.5, 0.5], [0.5, 0.5, 0.5]])
    assert np.array_equal(share + share.T, np.ones((3, 3)))
    hetlib.dpo_policy(share)
    with pytest.raises(ValueError, match=r"wins\[0, 2\] and wins\[2, 0\] are 0"):
        hetlib.pairwise_shares([[0, 3, 0], [1, 0, 2], [0, 2, 0]])
    with pytest.raises(ValueError, match="prior"):
        hetlib.pairwise_shares([[0, 3], [1, 0]], prior=-1)
    assert np.array_equal(hetlib.pairwise_shares([[5, 3], [1, 7]]), [[0.5, 0.75], [0.25, 0.5]])
    assert hetlib.pairwise_shares([[0, 0], [0, 0]], prior=1e300)[0, 1] == 0.5
    for prior in (1.1e300, np.inf, np.nan):
        with pytest.raises(ValueError, match="prior"):
            hetlib.pairwise_shares([[0, 3], [1, 0]], prior=prior)
    with pytest.raises(ValueError, match=r"wins\[0, 1\] is 2e\+300"):
        hetlib.pairwise_shares([[0.0, 2e300], [1.0, 0.0]])


def test_scores_have_one_axis_and_kemeny_takes_eight() -> None:
    with pytest.raises(ValueError, match="values must have 1 axes, not 2"):
        counts.ranking([[1.0, 2.0]])
    ahead = np.arange(8)[:, None] < np.arange(8)
    assert counts.kemeny(np.where(ahead, 0.6, np.where(np.eye(8) > 0, 0.5, 0.4))) == [0]
