"""The smallest change of a ranking: greedy against HiGHS, brute force and hand-made cases."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import hetlib
from hetlib.borda import sensitivity
from hetlib.checks import Array
from hetlib.core.population import Population

#: Section 4.3's example, whose ranking turns on the third response.
EXAMPLE = hetlib.Population([[6, 1, 4], [3, 9, 4]])
CYCLE = [[0.5, 0.9, 0.2], [0.1, 0.5, 0.8], [0.8, 0.2, 0.5]]


@st.composite
def populations(draw: st.DrawFn, least: int = 2) -> Array:
    """Choice matrices of two to four types over up to six responses."""
    shape = (draw(st.integers(1, 4)), draw(st.integers(least, 6)))
    rewards = draw(hnp.arrays(np.float64, shape, elements=st.floats(-6, 6, width=16)))
    mass = draw(hnp.arrays(np.float64, shape[0], elements=st.floats(0.125, 1, width=16)))
    return hetlib.Population(rewards, mass / mass.sum()).pairwise()


def ranked_pairs(P: Array) -> list[tuple[int, int]]:
    return [(int(i), int(j)) for i, j in np.argwhere(~np.isnan(sensitivity.smallest_changes(P)))]


def check_witness(P: Array, change: sensitivity.RankingChange, support: float) -> None:
    i, j = change.pair
    q = change.sampling
    assert abs(q.sum() - 1) < 1e-12
    assert q.min() >= support * (1 - 1e-9)
    assert 0.5 * abs(q - 1 / len(P)).sum() == pytest.approx(change.tv, abs=1e-12)
    assert (P[i] - P[j]).mean() > 0
    assert (P[j] - P[i]) @ q >= 1e-5 - 1e-11


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(populations(), st.sampled_from([0.0, 1e-5, 0.02]), st.sampled_from([0.0, 1e-5, 0.01]))
def test_greedy_and_linear_programme_agree(P: Array, support: float, margin: float) -> None:
    tv = sensitivity.smallest_changes(P, support, margin)
    for i, j in ranked_pairs(P):
        d = P[i] - P[j]
        best = support * d.sum() + (1 - len(d) * support) * d.min()
        assume(abs(best + margin) > 1e-7)  # at the edge HiGHS's own tolerance decides
        reference = sensitivity.linear_programme(P, i, j, support, margin)
        if reference is None:
            assert np.isinf(tv[i, j])
            assert sensitivity.pair_change(P, i, j, support, margin) is None
        else:
            assert tv[i, j] == pytest.approx(reference.tv, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(populations())
def test_witness_turns_the_pair_at_the_stated_distance(P: Array) -> None:
    for i, j in ranked_pairs(P):
        change = sensitivity.pair_change(P, i, j)
        if change is not None:
            check_witness(P, change, 1e-5)


@settings(max_examples=100, deadline=None)
@given(populations(least=3))
def test_nothing_closer_changes_the_ranking(P: Array) -> None:
    """Random distributions inside the distance keep every ranked pair."""
    change = sensitivity.ranking_change(P, 0.0, 0.0)
    radius = 1.0 if change is None else change.tv * (1 - 1e-9)
    rng = np.random.default_rng(0)
    q = rng.dirichlet(np.full(len(P), 0.3), 200)
    u = np.full(len(P), 1 / len(P))
    far = 0.5 * abs(q - u).sum(axis=1)
    q = u + (q - u) * np.minimum(1, radius / far)[:, None]
    for i, j in ranked_pairs(P):
        assert ((P[i] - P[j]) @ q.T >= -1e-9).all()


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(populations(least=3))
def test_without_margin_neighbours_decide(P: Array) -> None:
    """The first pair to change places is a neighbouring one."""
    change = sensitivity.ranking_change(P, 0.0, 0.0)
    score = P.mean(axis=1)
    gaps = abs(score[:, None] - score)[~np.eye(len(P), dtype=bool)]
    assume(gaps.min() > 1e-9)
    order = np.argsort(-score)
    tv = sensitivity.smallest_changes(P, 0.0, 0.0)
    nearest = min(tv[i, j] for i, j in itertools.pairwise(order))
    assert nearest == pytest.approx(np.inf if change is None else change.tv, abs=1e-9)


def test_agreement_on_a_pair_fixes_it() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        pop = hetlib.Population(rng.normal(0, 3, (3, 5)), rng.dirichlet(np.ones(3)))
        tv = sensitivity.smallest_changes(pop.pairwise(), 0.0, 0.0)
        r = pop.rewards
        unanimous = (r[:, :, None] > r[:, None, :]).all(axis=0)
        assert np.isinf(tv[unanimous]).all()


def test_one_type_never_changes() -> None:
    assert hetlib.ranking_change(hetlib.Population([[3.0, 1.0, 2.0, 0.0]]).pairwise()) is None
    assert hetlib.top_change(hetlib.Population([[3.0, 1.0, 2.0, 0.0]]).pairwise()) is None


def test_cycle_by_hand() -> None:
    """Uniform scores are 8/15, 7/15, 1/2; all of it by hand for the pair (0, 2)."""
    d = np.array([0.5 - 0.8, 0.9 - 0.2, 0.2 - 0.5])  # mean 1/30
    change = sensitivity.pair_change(CYCLE, 0, 2, support=0.0, margin=0.0)
    assert change is not None
    assert change.tv == pytest.approx(d.mean() / (0.7 + 0.3))
    assert change.sampling == pytest.approx([1 / 3 + 1 / 30, 1 / 3 - 1 / 30, 1 / 3])


def test_top_and_whole_ranking() -> None:
    P = EXAMPLE.pairwise()
    whole, top = hetlib.ranking_change(P), hetlib.top_change(P)
    assert whole is not None
    assert top is not None
    first = int(P.mean(axis=1).argmax())
    assert top.pair[0] == first
    assert int((P @ top.sampling).argmax()) != first
    assert whole.tv <= top.tv
    assert not hetlib.borda.counts.same_order(P.mean(axis=1), P @ whole.sampling)


def test_shared_first_place_counts_as_first() -> None:
    P = hetlib.Population([[2.0, 2.0, 0.0, 1.0], [0.0, 0.0, 3.0, 1.5]]).pairwise()
    assert P[0].mean() == pytest.approx(P[1].mean())
    tv = sensitivity.smallest_changes(P)
    assert np.isnan(tv[0, 1])
    assert np.isnan(tv[1, 0])


def test_stack_equals_one_at_a_time() -> None:
    rng = np.random.default_rng(2)
    matrices = [
        hetlib.Population(rng.normal(0, 2, (3, n)), rng.dirichlet(np.ones(3))).pairwise()
        for n in rng.integers(2, 7, 40)
    ]
    for top in (False, True):
        find = hetlib.top_change if top else hetlib.ranking_change
        alone = [np.inf if (c := find(P)) is None else c.tv for P in matrices]
        assert sensitivity.distances(matrices, top=top) == pytest.approx(alone, abs=1e-14)
    assert np.isfinite(alone).any()
    assert len(sensitivity.distances([])) == 0


def test_bound_on_the_slacks_adds_little() -> None:
    P = EXAMPLE.pairwise()
    for i, j in ranked_pairs(P):
        free = sensitivity.linear_programme(P, i, j)
        bounded = sensitivity.linear_programme(P, i, j, slack=1e-5)
        if free is not None:
            assert bounded is not None
            assert free.tv - 1e-12 <= bounded.tv <= free.tv + len(P) * 1e-5 / 2 + 1e-12


def test_as_printed_the_programme_accepts_distributions_that_keep_the_order() -> None:
    """With delta on the other side, P_i q < P_j q + delta, i may stay ahead."""
    P = EXAMPLE.pairwise()
    i, j = ranked_pairs(P)[0]
    change = sensitivity.pair_change(P, i, j, margin=0.0)
    assert change is not None
    u = np.full(3, 1 / 3)
    step = 1e-5 / ((P[i] - P[j]) @ (u - change.sampling))
    q = change.sampling + 0.5 * step * (u - change.sampling)
    assert (P[i] - P[j]) @ q < 1e-5
    assert (P[i] - P[j]) @ q > 0


BAD = [
    ({"pairwise": [[0.5, 0.7], [0.4, 0.5]]}, r"pairwise\[0, 1\]"),
    ({"pairwise": [[0.5]]}, "at least 2"),
    ({"support": 0.5}, "support is 0.5"),
    ({"support": -1e-3}, "support is -0.001"),
    ({"margin": -1.0}, "margin is -1.0"),
    ({"margin": float("nan")}, "margin is nan"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input(change: dict[str, object], message: str) -> None:
    good: dict[str, object] = {"pairwise": CYCLE}
    with pytest.raises(ValueError, match=message):
        hetlib.ranking_change(**(good | change))  # type: ignore[arg-type]


def test_bad_pairs_and_stacks() -> None:
    with pytest.raises(ValueError, match="j is 3; responses are numbered 0 to 2"):
        sensitivity.pair_change(CYCLE, 0, 3)
    with pytest.raises(ValueError, match="response 1 is not ahead of 0"):
        sensitivity.linear_programme(CYCLE, 1, 0)
    stack = np.stack([CYCLE, CYCLE])
    stack[1, 0, 2] = 0.4
    with pytest.raises(ValueError, match=r"pairwise\[1, 0, 2\]"):
        sensitivity.smallest_changes(stack)
    with pytest.raises(ValueError, match="shape"):
        sensitivity.smallest_changes(np.zeros((2, 3, 4)))


def test_the_interior_point_method_answers_where_the_simplex_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """HiGHS can end with "unknown" on matrices that differ from others by one rounding."""
    import scipy.optimize

    solve, asked = scipy.optimize.linprog, []

    def moody(*args: Any, method: str, **others: Any) -> Any:
        asked.append(method)
        result = solve(*args, method=method, **others)
        if method == "highs":
            result.status = 4
        return result

    P = Population([[2.0, 0, -1, -1], [-1.0, 2, 0, -1]], [0.6, 0.4]).pairwise()
    pairs = ranked_pairs(P)
    plain = [sensitivity.linear_programme(P, i, j, 0.0, 0.01) for i, j in pairs]
    monkeypatch.setattr(scipy.optimize, "linprog", moody)
    again = [sensitivity.linear_programme(P, i, j, 0.0, 0.01) for i, j in pairs]
    assert asked == ["highs", "highs-ipm"] * len(pairs)
    assert None in plain
    for one, other in zip(plain, again, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert other.tv == pytest.approx(one.tv, abs=1e-6)
