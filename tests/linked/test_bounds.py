# mypy: disable-error-code="arg-type, dict-item"
"""Bounds on the average reward: against random populations, a linear programme, closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import comb, expit, logit

from hetlib import Population
from hetlib.checks import Array
from hetlib.linked import moment_problem
from hetlib.linked.bounds import (
    average_reward_bounds,
    bounds_from_counts,
    certified_from_table,
    certified_ranking,
    choice_moments,
    confidence_box,
    majority_needed,
    tangent_point,
    tighten,
)

LINEAR = Population([[0.0, 1.0, 4.0], [4.0, 1.0, 0.0], [0.0, 1.0, 0.0]])


@st.composite
def pairs(draw: st.DrawFn) -> tuple[float, Array, Array]:
    """A bound, and reward differences within it with their masses."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    bound = draw(st.sampled_from([0.3, 1.0, 2.0, 4.0, 6.0]))
    types = draw(st.integers(1, 9))
    return bound, rng.uniform(-bound, bound, types), rng.dirichlet(np.ones(types))


def moments_of(differences: Array, weights: Array, labels: int) -> Array:
    return weights @ expit(differences)[:, None] ** np.arange(1, labels + 1)


@pytest.mark.slow
@settings(max_examples=80)
@given(pairs())
def test_truth_inside_shrinking_and_witnesses(case: tuple[float, Array, Array]) -> None:
    bound, d, w = case
    last = None
    for m in range(1, 8):
        c = moments_of(d, w, m)
        found = average_reward_bounds(c, bound)
        assert found.lower - 1e-7 <= w @ d <= found.upper + 1e-7
        for witness, end in zip(found.witnesses, (found.lower, found.upper), strict=True):
            assert abs(witness.differences).max() <= bound + 1e-12
            assert witness.weights.min() > 0
            assert_allclose(witness.weights.sum(), 1)
            assert_allclose(witness.moments(found.used), c[: found.used], atol=1e-6)
            assert_allclose(witness.mean(), end, atol=2e-7)
        if last is not None:
            assert found.lower >= last.lower - 1e-6
            assert found.upper <= last.upper + 1e-6
        last = found


@pytest.mark.parametrize("bound", [0.5, 2.0, 5.0])
@pytest.mark.parametrize("m", [1, 2, 3, 4, 5])
def test_against_the_linear_programme(bound: float, m: int) -> None:
    rng = np.random.default_rng([m, int(10 * bound)])
    d, w = rng.uniform(-bound, bound, 9), rng.dirichlet(np.ones(9))
    x, k = expit(d), np.arange(m + 1)
    outcome = np.array([comb(m, j) * (w @ (x**j * (1 - x) ** (m - j))) for j in k])
    found = average_reward_bounds(moments_of(d, w, m), bound)
    top, _, _ = moment_problem.greatest_mean(outcome, outcome, bound)
    bottom, _, _ = moment_problem.greatest_mean(outcome[::-1], outcome[::-1], bound)
    assert_allclose([-bottom, top], [found.lower, found.upper], atol=5e-8)


@pytest.mark.parametrize("bound", [0.5, 3.0, 8.0])
def test_one_moment_is_the_envelope(bound: float) -> None:
    a, b = expit(-bound), expit(bound)
    grid = np.linspace(a, b, 301)
    upper = np.array([average_reward_bounds([p], bound).upper for p in grid])
    assert (upper >= logit(grid) - 1e-9).all()
    assert (np.diff(upper, 2) <= 1e-9).all()  # concave
    t = tangent_point(bound)
    assert_allclose((bound - logit(t)) / (b - t), 1 / (t * (1 - t)))
    for p in np.linspace(a, b, 7)[1:-1]:  # a second way: Radau's rule, best second moment
        c = np.array([1, (p - a) / (b - a)])
        atoms, weights = moment_problem.extreme(c, True, lambda s: a + (b - a) * s)
        value = weights @ logit(a + (b - a) * atoms)
        assert_allclose(value, average_reward_bounds([p], bound).upper, atol=1e-9)


@pytest.mark.parametrize("bound", [0.5, 2.0, 6.0])
def test_majority_needed_is_where_the_sign_is_settled(bound: float) -> None:
    p = majority_needed(bound)
    assert_allclose(average_reward_bounds([p], bound).lower, 0, atol=1e-9)
    assert average_reward_bounds([p + 1e-4], bound).lower > 0 > -bound


@pytest.mark.parametrize("types", [1, 2, 3])
def test_twice_as_many_labels_as_types_identify_the_average(types: int) -> None:
    d = np.array([-1.5, 0.3, 2.0])[:types]
    w = np.array([0.5, 0.3, 0.2])[:types]
    w = w / w.sum()
    inside = average_reward_bounds(moments_of(d, w, 2 * types), 3.0)
    assert inside.width < 1e-6
    assert_allclose(inside.lower, w @ d, atol=1e-6)
    if types > 1:
        assert average_reward_bounds(moments_of(d, w, 2 * types - 1), 3.0).width > 1e-3


def test_divided_difference() -> None:
    assert_allclose(moment_problem.divided_difference([0.3, 0.6]), (logit(0.6) - logit(0.3)) / 0.3)
    third = 2 * (0.4**-3 + 0.6**-3)  # third derivative of the logit at 0.4
    assert_allclose(moment_problem.divided_difference([0.4] * 4), third / 6)


def test_rules_reproduce_moments() -> None:
    rng = np.random.default_rng(1)
    s, w = rng.random(9), rng.dirichlet(np.ones(9))
    for n in range(2, 7):
        c = w @ s[:, None] ** np.arange(n + 1)
        ends = ((True, False), (False, True)) if n % 2 == 0 else ((False, False), (True, True))
        for end in ends:
            atoms, weights = moment_problem.principal(c, *end)
            assert_allclose(weights @ atoms[:, None] ** np.arange(n + 1), c, atol=1e-9)
        low, high = moment_problem.next_range(c)
        assert low < w @ s ** (n + 1) < high


@pytest.mark.parametrize(
    ("moments", "bound", "message"),
    [
        ([0.5], 0.0, "reward_bound"),
        ([0.5], 40.0, "above 30"),
        ([0.99], 1.0, r"moments\[0\] is 0.99.*must lie in \[0.268941421, 0.731058579\]"),
        ([0.5, 0.2], 2.0, r"moments\[1\] is 0.2; given the 1 before it"),
        ([0.5, 0.49], 2.0, r"moments\[1\]"),
        ([0.5, 0.25, 0.2], 2.0, r"moments\[2\] is 0.2; the first 2 fit one population only"),
        ([0.5] * 9, 2.0, "at most 8"),
        ([], 2.0, "empty"),
        ([np.nan], 2.0, "finite"),
    ],
)
def test_bad_moments(moments: list[float], bound: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        average_reward_bounds(moments, bound)


def test_ranking_is_sound_and_sees_more_with_more_labels() -> None:
    rng = np.random.default_rng(2)
    settled = []
    for _ in range(5):
        people = Population(rng.normal(size=(4, 5)))
        r = people.mean_reward()
        bound = abs(people.rewards[:, :, None] - people.rewards[:, None, :]).max()
        truth = np.sign(r[:, None] - r[None, :])
        for m in (1, 2, 3, 4):
            found = certified_ranking(choice_moments(people, m), bound)
            assert (found.order * truth >= 0).all()
            assert (found.order == -found.order.T).all()
            assert (found.lower - 1e-7 <= r[:, None] - r[None, :]).all()
            settled.append(int(abs(found.order).sum()))
    by_labels = np.array(settled).reshape(5, 4)
    assert (np.diff(by_labels, axis=1) >= 0).all()
    assert by_labels[:, -1].sum() > by_labels[:, 0].sum()


def test_verdict_on_dpo_when_the_compromise_wins_the_votes() -> None:
    found = certified_ranking(choice_moments(LINEAR, 3), 4.0)
    scores = LINEAR.pairwise().mean(axis=1)
    assert found.verdict(scores)[1].tolist() == [-1, 0, -1]
    with pytest.raises(ValueError, match="scores has 2"):
        found.verdict([1.0, 2.0])


def test_paths_tighten() -> None:
    found = tighten([[0, 1, 9], [1, 0, 1], [9, 1, 0]])
    assert found.upper[0, 2] == 2
    with pytest.raises(ValueError, match="no average reward fits"):
        tighten([[0, -1, 0], [0, 0, 0], [0, 0, 0]])
    with pytest.raises(ValueError, match="square"):
        tighten([[0.0, 1.0]])


def test_bad_rankings() -> None:
    c = choice_moments(LINEAR, 2)
    c[1, 0, 1] += 0.01
    with pytest.raises(ValueError, match=r"moments\[1\] disagrees between"):
        certified_ranking(c, 4.0)
    with pytest.raises(ValueError, match=r"pair \[\d, \d\]: moments\[0\]"):
        certified_ranking(Population([[0.0, 3.0]]).pairwise(), 0.1)
    with pytest.raises(ValueError, match="labels is 0"):
        choice_moments(LINEAR, 0)
    with pytest.raises(ValueError, match="link is 'probit'"):
        choice_moments(Population([[0.0, 1.0]], link="probit"), 1)


@pytest.mark.parametrize("m", [1, 2, 3])
def test_confidence_intervals_cover_and_shrink(m: int) -> None:
    rng = np.random.default_rng(m)
    d, w = np.array([-1.0, 0.5, 2.0]), np.array([0.5, 0.3, 0.2])
    x = expit(d)[rng.choice(3, size=4000, p=w)]
    wins = (rng.random((4000, m)) < x[:, None]).sum(axis=1)
    exact = average_reward_bounds(moments_of(d, w, m), 2.5)
    widths = []
    for people in (200, 4000):
        found = bounds_from_counts(np.bincount(wins[:people], minlength=m + 1), 2.5)
        assert found.lower <= w @ d <= found.upper
        widths.append(found.width)
        for witness, end in zip(found.witnesses, (found.lower, found.upper), strict=True):
            assert_allclose(witness.mean(), end, atol=1e-6)
    assert widths[0] > widths[1] > exact.width


def test_box_is_clopper_pearson() -> None:
    from scipy.stats import binomtest

    low, high = confidence_box([7, 3], 0.9)
    exact = binomtest(3, 10).proportion_ci(0.9, method="exact")
    assert_allclose([low[1], high[1]], [exact.low, exact.high])
    assert_allclose([low[0], high[0]], [1 - exact.high, 1 - exact.low])
    assert confidence_box([0, 5])[0][0] == 0
    assert confidence_box([0, 5])[1][1] == 1


@pytest.mark.parametrize(
    ("counts", "level", "n", "message"),
    [
        ([1], 0.95, 1, "two or more"),
        ([-1, 2], 0.95, 1, "non-negative"),
        ([0, 0], 0.95, 1, "non-negative"),
        ([1, 2], 1.0, 1, "level"),
        ([1, 2], 0.9, 0, "pairs"),
    ],
)
def test_bad_counts(counts: list[float], level: float, n: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        confidence_box(counts, level, n)


def test_counts_that_no_population_has() -> None:
    for counts in ([0, 1000], [0, 0, 1000]):
        with pytest.raises(ValueError, match="no population"):
            bounds_from_counts(counts, 1.0)


def test_ranking_from_counts() -> None:
    people = Population([[0.0, 2.0, 4.0], [0.0, 2.5, 3.0]])
    p, k = people.pairwise_by_type(), np.arange(3)[:, None, None, None]
    law = comb(2, k) * (p**k * (1 - p) ** (2 - k))
    counts = 1e5 * law.mean(axis=1)
    found = certified_from_table(
        {(i, j): counts[:, i, j] for i in range(3) for j in range(i)}, 3, 4.0
    )
    exact = certified_ranking(choice_moments(people, 2), 4.0)
    assert (found.order * exact.order >= 0).all()
    assert found.order[2, 0] == 1
    assert (found.upper >= exact.upper - 1e-7).all()
    with pytest.raises(ValueError, match="responses is 1"):
        certified_from_table({(0, 1): counts[:, 0, 1]}, 1, 4.0)


@pytest.mark.parametrize("counts", [[3, 0, 7], [1, 4, 0], [0, 0, 9, 1], [1, 9], [10, 0]])
@pytest.mark.parametrize("pairs", [1, 5])
def test_a_box_is_one_interval_a_cell(counts: list[int], pairs: int) -> None:
    """Each of SciPy's exact intervals at its part of the level; two cells are one interval."""
    from scipy.stats import binomtest

    low, high = confidence_box(counts, 0.9, pairs)
    cells = len(counts) if len(counts) > 2 else 1
    level = 1 - 0.1 / pairs / cells
    for k, n in enumerate(counts):
        exact = binomtest(n, sum(counts)).proportion_ci(level, method="exact")
        assert_allclose([low[k], high[k]], [exact.low, exact.high], atol=1e-12)


def test_limits_of_a_box() -> None:
    assert confidence_box([1.0, 0.0])[0][0] == pytest.approx(0.025)  # one person
    assert confidence_box([1, 2], 0.9, 10**9)[1].max() <= 1
    for counts, pairs, message in (
        ([1, 2], 10**9 + 1, "pairs is"), ([1e301, 1], 1, r"counts\[0\] is 1e\+301"),
        ([[1, 2]], 1, "counts"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            confidence_box(counts, 0.9, pairs)


def test_bounds_from_counts_know_their_labels() -> None:
    for counts in ([4, 6], [3, 4, 3], [2, 2, 2, 2]):
        assert bounds_from_counts(counts, 3.0).used == len(counts) - 1
    wide, narrow = (bounds_from_counts([30, 70], 3.0, pairs=n) for n in (4, 1))
    assert wide.width > narrow.width


@pytest.mark.parametrize("B", [0.5, 2.0])
def test_one_label_from_everybody_for_one_side(B: float) -> None:
    """All of few people choose the second: the average is at most B and may be far lower."""
    found = bounds_from_counts([0, 3], B)
    assert found.upper == pytest.approx(B)
    assert found.lower < B / 2
    mirrored = bounds_from_counts([3, 0], B)
    assert (mirrored.lower, mirrored.upper) == pytest.approx((-found.upper, -found.lower))


def test_a_ranking_of_one_moment_is_its_pairs_tightened() -> None:
    rng = np.random.default_rng(4)
    people = Population(rng.uniform(-1, 1, (3, 4)))
    P = people.pairwise()
    upper = np.zeros((4, 4))
    for i in range(4):
        for j in range(4):
            if i != j:
                upper[i, j] = average_reward_bounds([P[i, j]], 2.5).upper
    assert_allclose(certified_ranking(P, 2.5).upper, tighten(upper).upper, atol=1e-9)
    assert_allclose(certified_ranking(P[None], 2.5).upper, tighten(upper).upper, atol=1e-9)
    two = choice_moments(people, 2)
    upper = np.zeros((4, 4))
    for i in range(4):
        for j in range(4):
            if i != j:
                upper[i, j] = average_reward_bounds(two[:, i, j], 2.5).upper
    assert_allclose(certified_ranking(two, 2.5).upper, tighten(upper).upper, atol=1e-8)


@pytest.mark.parametrize(
    ("moments", "message"),
    [
        ([[0.5, 0.6], [0.3, 0.5]], "^moments"),
        ([[[0.5, 0.6], [0.3, 0.5]]], r"^moments\[0\]"),
        ([0.5, 0.5], "moments"),
    ],
)
def test_moments_of_a_ranking_are_named(moments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        certified_ranking(moments, 2.0)


def test_a_verdict_compares_scores_with_what_is_certain() -> None:
    found = tighten([[0, -1, 5], [2, 0, 5], [5, 5, 0]])  # the first is certainly worse
    assert found.order[0, 1] == -1
    assert found.verdict([0.0, 1.0, 2.0]).tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    assert found.verdict([1.0, 0.0, 2.0]).tolist() == [[0, -1, 0], [-1, 0, 0], [0, 0, 0]]
    assert found.verdict([1.0, 1.0, 1.0]).tolist() == [[0, 0, 0]] * 3
    with pytest.raises(ValueError, match="scores"):
        found.verdict([[0.0, 1.0, 2.0]])


def test_a_table_of_nobody_leaves_everything_open() -> None:
    found = certified_from_table({}, 2, 3.0)
    assert found.upper.tolist() == [[0, 3], [3, 0]]
    with pytest.raises(ValueError, match="responses is 2001"):
        certified_from_table({}, 2001, 3.0)
    with pytest.raises(ValueError, match="responses is 2; "):
        certified_from_table({(2, 0): [3, 4]}, 2, 3.0)
    shared = certified_from_table({(1, 0): [30, 70], (2, 0): [30, 70]}, 3, 3.0)
    assert shared.upper[1, 0] == pytest.approx(bounds_from_counts([30, 70], 3.0, pairs=2).upper)
