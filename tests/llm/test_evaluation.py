"""Agreement, intervals, calibration and curves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from hetlib.llm.analysis import evaluation
from hetlib.llm.data.agreement import agreement, wilson


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_against_statsmodels(numbers: tuple[int, int]) -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    for level in (0.8, 0.95):
        expected = proportion.proportion_confint(*numbers, alpha=1 - level, method="wilson")
        np.testing.assert_allclose(wilson(*numbers, level), expected, atol=1e-12)


def test_agreement() -> None:
    margins, truth = [2.0, -1.0, 0.0, -3.0, 4.0], [0.1, 0.2, 0.3, -0.4, 0.0]
    found = agreement(margins, truth)
    assert found.pairs == 4
    assert found.rate == pytest.approx(2.5 / 4)
    assert (found.low, found.high) == wilson(2.5, 4)


def test_interval_covers() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(400):
        margins = np.where(rng.random(200) < 0.7, 1, -1)
        found = agreement(margins, np.ones(200))
        inside += found.low <= 0.7 <= found.high
    assert 0.91 <= inside / 400 <= 0.985


def test_groups_widen_the_interval() -> None:
    """Each answer twenty times over is no more than one answer."""
    rng = np.random.default_rng(1)
    once = np.where(rng.random(100) < 0.7, 1, -1)
    margins, groups = np.repeat(once, 20), np.repeat(np.arange(100), 20)
    many = agreement(margins, np.ones(2000))
    grouped = agreement(margins, np.ones(2000), groups=groups.tolist())
    single = agreement(once, np.ones(100))
    assert grouped.rate == many.rate == single.rate
    assert grouped.high - grouped.low == pytest.approx(single.high - single.low, rel=0.15)
    assert many.high - many.low < 0.3 * (grouped.high - grouped.low)
    again = agreement(margins, np.ones(2000), groups=groups.tolist())
    assert again == grouped


def test_buckets() -> None:
    values = np.arange(100)
    bounds = evaluation.edges(values, 4)
    np.testing.assert_allclose(bounds, [0, 24.75, 49.5, 74.25, 99])
    margins = np.where(values < 50, 1.0, -1.0)
    found = evaluation.agreement_by_bucket(margins, np.ones(100), values, bounds)
    assert [a.rate for _, _, a in found] == [1, 1, 0, 0]
    assert sum(a.pairs for _, _, a in found) == 100
    assert [low for low, _, _ in found] == bounds[:-1].tolist()
    truth = np.where(values < 25, 0.0, 1.0)  # a bucket without a decided pair is left out
    assert len(evaluation.agreement_by_bucket(margins, truth, values, bounds)) == 3
    assert len(evaluation.edges([5, 5, 5], 4)) == 1


def test_calibration() -> None:
    rng = np.random.default_rng(2)
    margins = rng.normal(size=50_000)
    labels = rng.random(50_000) < expit(margins)
    honest = evaluation.calibration(margins, labels)
    assert honest.pairs.tolist() == [5000] * 10
    assert honest.error < 0.01
    loud = evaluation.calibration(3 * margins, labels)
    assert loud.error > 0.1
    assert loud.predicted[-1] > loud.observed[-1]
    assert evaluation.calibration(margins, expit(margins)).error == pytest.approx(0, abs=1e-12)
    assert evaluation.calibration(np.zeros(4), [0, 1, 1, 1]).error == pytest.approx(0.25)


def test_curves() -> None:
    rng = np.random.default_rng(3)
    lengths = rng.integers(1, 61, size=(5000, 2))
    bounds = np.arange(1, 62, 10)
    step = np.array([0.0, 2, 1, 5, 3, -1])[(lengths - 1) // 10]
    prompt = lengths.sum(axis=1, keepdims=True) / 10  # what both texts of a prompt share
    scores = step + prompt
    margins = scores[:, 1] - scores[:, 0]
    found = evaluation.margin_curve(margins, lengths, bounds)
    np.testing.assert_allclose(np.diff(found.score), [2, -1, 4, -2, -4])
    assert found.score @ found.texts == pytest.approx(0, abs=1e-8)
    np.testing.assert_allclose(found.tokens, np.arange(5.5, 60, 10), atol=0.3)


def test_empty_buckets_are_left_out() -> None:
    pair = evaluation.margin_curve([2.0], [[5, 45]], [0, 10, 20, 50])
    assert pair.texts.tolist() == [1, 1]
    np.testing.assert_allclose(pair.score, [-1, 1])


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="successes is 3 and trials 2"):
        wilson(3, 2)
    with pytest.raises(ValueError, match="level is 1"):
        wilson(1, 2, 1)
    with pytest.raises(ValueError, match="groups has 1 entries; one for each of 2"):
        agreement([1, 1], [1, 1], groups=["a"])
    with pytest.raises(ValueError, match="margins, truth, values have 1, 1, 2"):
        evaluation.agreement_by_bucket([1], [1], [1, 2], [0, 3])
    with pytest.raises(ValueError, match="edges must increase"):
        evaluation.margin_curve([1.0], [[1, 2]], [2, 1])
    with pytest.raises(ValueError, match=r"preferred must lie in \[0, 1\]"):
        evaluation.calibration([0.0], [2.0])
    with pytest.raises(ValueError, match="margins has 1 entries and preferred 2"):
        evaluation.calibration([0.0], [1.0, 1.0])
    with pytest.raises(ValueError, match=r"lengths have shape .* \(1, 2\) is needed"):
        evaluation.margin_curve([1.0], [[1, 2], [3, 4]], [0, 5])
    with pytest.raises(ValueError, match="buckets is 0"):
        evaluation.edges([1.0], 0)
