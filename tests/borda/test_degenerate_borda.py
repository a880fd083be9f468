"""Degenerate calls of counts, optima, policies, sensitivity: right, or a clear error."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import hetlib
from hetlib import Population
from hetlib.borda import counts, optima, sensitivity
from hetlib.core import policies

inf, nan = np.inf, np.nan
P2 = [[0.5, 0.7], [0.3, 0.5]]
P3 = Population([[1, 0, 2], [0, 2, 1]]).pairwise()
STACK = np.array([P2, P2])
HUGE: Any = 10**400
FINITE = st.floats(allow_nan=False, allow_infinity=False)

pytestmark = pytest.mark.filterwarnings("error")

RIGHT: list[tuple[Callable[[], Any], Any]] = [
    (lambda: hetlib.normalized_borda_count([[0.5]]), [0.5]),
    (lambda: hetlib.normalized_borda_count([[0.5, 1.0], [-0.0, 0.5]]), [0.75, 0.25]),
    (lambda: hetlib.normalized_borda_count(P2, [1 - 5e-324, 5e-324]), [0.5, 0.3]),
    (lambda: len(hetlib.ranking([1e308, -1e308])), 2),
    (lambda: counts.plurality(Population(np.eye(2), [0.5000001, 0.4999999])), [0]),
    (lambda: counts.plurality(Population([[0, 1, 0], [1, 0, 0]], [1 - 4e-7, 4e-7])), [1]),
    (lambda: counts.plurality(Population(np.eye(2).repeat(1_500_000, 0)[:-1])), [0]),
    (lambda: counts.condorcet_winner([[0.5]]), 0),
    (lambda: counts.copeland([[0.5]]), [0]),
    (lambda: counts.kemeny([[0.5]]), [0]),
    (lambda: hetlib.optimal_policy([1, 2], beta=1e-320), [0, 1]),
    (lambda: hetlib.optimal_policy([1e308, -1e308], beta=0.1), [1, 0]),
    (lambda: hetlib.optimal_policy([1e308, 1e308], beta=5e-324), [0.5, 0.5]),
    (lambda: hetlib.optimal_policy([1, 2], [1 - 5e-324, 5e-324], beta=1e-3), [0, 1]),
    (lambda: hetlib.induced_reward([0.5, 0.5], beta=1e308), [0, 0]),
    (lambda: policies.kl_divergence([0.5, 0.5], [1 - 5e-324, 5e-324]), 371.5268887801307),
    (lambda: policies.total_variation([1, -0.0], [-0.0, 1]), 1),
    (lambda: hetlib.bradley_terry([[0]]), [0]),
    (lambda: np.diff(hetlib.bradley_terry([[0, 1.5e308], [1e308, 0]])), [-np.log(1.5)]),
    (lambda: np.diff(hetlib.bradley_terry([[0, 1.5e-320], [1e-320, 0]])), [-np.log(3036 / 2024)]),
    (lambda: np.diff(hetlib.bradley_terry([[0.0, 1e15], [1.0, 0.0]])), [-15 * np.log(10)]),
    (lambda: np.diff(hetlib.bradley_terry([[0, 5e-324], [5e-324, 0]])), [0]),
    (
        lambda: np.diff(np.log(hetlib.dpo_policy([[0.5, 1 - 1e-15], [1e-15, 0.5]]))),
        [np.log(1e-15 / (1 - 1e-15))],
    ),
    (lambda: np.diff(optima.dpo_reward(P2, [1 - 1e-12, 1e-12])), [-np.log(7 / 3)]),
    (lambda: np.isfinite(optima.dpo_reward(P3, [1 - 2e-300, 1e-300, 1e-300])).all(), True),
    (lambda: optima.dpo_reward([[0.5]]), [0]),
    (lambda: hetlib.ranking_change(P2, margin=1e308), None),
    (lambda: sensitivity.distances([]), []),
]


@pytest.mark.parametrize(("call", "answer"), RIGHT)
def test_right(call: Callable[[], Any], answer: Any) -> None:
    got = call()
    if answer is None:
        assert got is None
    else:
        np.testing.assert_allclose(got, answer, rtol=1e-9, atol=1e-6)


WRONG: list[tuple[Callable[[], Any], str]] = [
    (lambda: hetlib.normalized_borda_count([]), "pairwise must have 2 axes"),
    (lambda: hetlib.normalized_borda_count([[0.5, nan], [nan, 0.5]]), r"pairwise\[0, 1\] is nan"),
    (lambda: hetlib.normalized_borda_count(P2, [1.5, -0.5]), r"sampling\[1\] is -0.5"),
    (lambda: hetlib.normalized_borda_count([[HUGE, 0.5], [0.5, 0.5]]), "pairwise holds a number"),
    (lambda: hetlib.normalized_borda_count(np.array(P2) + 0j), "pairwise must be a rect"),
    (lambda: hetlib.ranking([1, nan]), r"values\[1\] is nan"),
    (lambda: hetlib.ranking([3.0, 1.0, 2.0], tolerance=nan), "tolerance is nan"),
    (lambda: hetlib.ranking([3.0, 1.0, 2.0], tolerance=-1), "tolerance is -1"),
    (lambda: counts.same_order([1], [1], tolerance=nan), "tolerance is nan"),
    (lambda: counts.kemeny(np.full((9, 9), 0.5)), "Kemeny takes at most 8"),
    (lambda: counts.copeland([[0.5, nan], [nan, 0.5]]), r"pairwise\[0, 1\] is nan"),
    (lambda: counts.condorcet_winner([[0.5, 2], [-1, 0.5]]), r"pairwise\[0, 1\] is 2"),
    (lambda: hetlib.optimal_policy([1, 2], beta=-1), "beta is -1"),
    (lambda: hetlib.optimal_policy([1, 2], beta=inf), "beta is inf"),
    (lambda: hetlib.optimal_policy([1, 2], [0, 1]), r"reference\[0\] is 0"),
    (lambda: hetlib.optimal_policy([]), "reward must not be empty"),
    (lambda: hetlib.optimal_policy([HUGE, 0]), "reward holds a number too large"),
    (lambda: hetlib.induced_reward([1.0, 0.0]), r"policy\[1\] is 0"),
    (lambda: hetlib.induced_reward([0.999, 0.001], beta=1e308), "beta is 1e.308; the reward"),
    (lambda: policies.objective([1, 0], [1, 2], beta=1.7e308, reference=[0.1, 0.9]), "the value"),
    (lambda: policies.kl_divergence([0.5, 0.5, 0], [0.5, 0.5]), "q has 2 entries"),
    (lambda: hetlib.bradley_terry([[0, 0], [0, 0]]), "wins has no finite optimum"),
    (lambda: hetlib.bradley_terry([[0.0, inf], [1.0, 0.0]]), r"wins\[0, 1\] is inf"),
    (lambda: hetlib.bradley_terry([[0, HUGE], [1, 0]]), "wins holds a number too large"),
    (lambda: hetlib.bradley_terry([[0, 1e300], [1e-300, 0]]), "wins holds counts that differ"),
    (lambda: hetlib.dpo_policy([[0.5, 1], [0, 0.5]]), "pairwise has no finite optimum"),
    (lambda: hetlib.ipo_policy(P2, beta=-1), "beta is -1"),
    (lambda: optima.has_finite_optimum([]), "wins must have 2 axes"),
    (lambda: hetlib.ranking_change(P2, margin=nan), "margin is nan"),
    (lambda: hetlib.ranking_change(P2, margin=inf), "margin is inf"),
    (lambda: hetlib.ranking_change(P2, support=0.5), "support is 0.5"),
    (lambda: hetlib.ranking_change(P2, support=nan), "support is nan"),
    (lambda: hetlib.top_change([[0.5]]), "a ranking needs at least 2"),
    (lambda: sensitivity.smallest_changes(np.full((1, 2, 2), nan)), r"pairwise\[0, 0, 0\] is nan"),
    (lambda: sensitivity.smallest_changes(np.empty((2, 0, 0))), "pairwise must not be empty"),
    (lambda: sensitivity.smallest_changes([[0.5], [0.5, 0.5]]), "pairwise must be a rect"),
    (lambda: sensitivity.smallest_changes(STACK + 0j), "pairwise must be a rect"),
    (lambda: sensitivity.smallest_changes(0.5), "pairwise must have shape"),
    (lambda: sensitivity.distances([P2, [[0.5, 0.6], [0.6, 0.5]]]), r"question 1: pairwise\[0, 1"),
    (lambda: sensitivity.distances([P2, P3[:2], P2]), "question 1: pairwise must be square"),
    (lambda: sensitivity.distances([0.5]), "question 0: pairwise must have 2 axes"),
    (lambda: sensitivity.pair_change(P2, 0, -1), "j is -1; responses are numbered 0 to 1"),
    (lambda: sensitivity.pair_change(P2, 0.5, 1), "i is 0.5; it must be a whole number"),  # type: ignore[arg-type]
    (lambda: sensitivity.pair_change(P2, 0, nan), "j is nan; it must be a whole number"),  # type: ignore[arg-type]
    (lambda: sensitivity.linear_programme(P2, 0, 1, slack=nan), "slack is nan"),
]


@pytest.mark.parametrize(("call", "message"), WRONG)
def test_refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@given(arrays(np.float64, 3, elements=FINITE), st.floats(5e-324, allow_infinity=False))
def test_any_reward_has_a_policy(reward: np.ndarray, beta: float) -> None:
    policy = hetlib.optimal_policy(reward, None, beta)
    assert policy.sum() == pytest.approx(1)
    assert policy.argmax() in np.flatnonzero(policy == policy[reward.argmax()])
    assert (policy[np.argsort(reward)] == np.sort(policy)).all()


@given(arrays(np.float64, 4, elements=FINITE), st.floats(0, allow_nan=False))
def test_any_scores_are_ranked(values: np.ndarray, tolerance: float) -> None:
    """Groups hold every response once, and neighbouring groups are more than tolerance apart."""
    groups = hetlib.ranking(values, tolerance)
    assert sorted(y for group in groups for y in group) == [0, 1, 2, 3]
    with np.errstate(over="ignore"):
        for better, worse in pairwise(groups):
            assert values[better].min() - values[worse].max() > tolerance


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_any_margins_have_winners(a: float, b: float, c: float) -> None:
    """The rules by their definitions, with margins within 1e-9 of zero as ties."""
    P = np.array([[0.5, a, b], [1 - a, 0.5, c], [1 - b, 1 - c, 0.5]])
    beats = P - P.T > counts.TIE
    best = [i for i in range(3) if beats[i].sum() == 2]
    assert counts.condorcet_winner(P) == (best[0] if best else None)
    score = beats.sum(axis=1) - beats.sum(axis=0)
    assert counts.copeland(P) == [i for i in range(3) if score[i] == score.max()]
    if best:
        assert counts.kemeny(P) == best
