"""Relabelling: probabilities, independence of order, and the consensus shortcut."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import expit

from hetlib.llm.data import labels, lengths
from hetlib.llm.data.labels import KINDS, label_pairs, label_probability

SNAPSHOT = {
    "anonymous": "00111001",
    "consensus": "01110110",
    "consensus-sampled": "01100111",
    "homogeneous": "01011100",
    "type-1": "01100110",
    "type-2": "01110011",
    "type-3": "00000001",
    "average": "01110111",
}

SHAPE = st.tuples(st.integers(1, 30), st.just(2))
LENGTHS = hnp.arrays(np.int64, SHAPE, elements=st.integers(1, 512))


def keys(n: int) -> list[str]:
    return [f"pair {i}" for i in range(n)]


def sample(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 513, size=(n, 2))


@given(LENGTHS)
def test_probabilities(x: np.ndarray) -> None:
    r = lengths.length_rewards(x)
    d = r[:, :, 1] - r[:, :, 0]
    np.testing.assert_allclose(label_probability(x, "anonymous"), expit(d).mean(axis=0))
    np.testing.assert_allclose(label_probability(x, "homogeneous"), expit(d.mean(axis=0)))
    for u in range(3):
        np.testing.assert_allclose(label_probability(x, f"type-{u + 1}"), expit(d[u]))
    yes, no = expit(d).prod(axis=0), expit(-d).prod(axis=0)  # given that all types agree
    for kind in ("consensus", "consensus-sampled"):
        np.testing.assert_allclose(label_probability(x, kind), yes / (yes + no), rtol=1e-9)
    for kind in set(KINDS) - {"average"}:  # swapping the texts
        p = label_probability(x, kind) + label_probability(x[:, ::-1], kind)
        np.testing.assert_allclose(p, 1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@given(x=LENGTHS, seed=st.integers(0, 9), data=st.data())
def test_neither_order_nor_batches_matter(
    kind: str, x: np.ndarray, seed: int, data: st.DataObject
) -> None:
    n = len(x)
    whole = label_pairs(x, keys(n), kind, seed)
    assert whole.dtype == np.uint8
    order = np.array(data.draw(st.permutations(range(n))))
    shuffled = label_pairs(x[order], [keys(n)[i] for i in order], kind, seed)
    np.testing.assert_array_equal(shuffled, whole[order])
    cut = data.draw(st.integers(0, n))
    parts = [
        label_pairs(x[part], keys(n)[part], kind, seed)
        for part in (slice(0, cut), slice(cut, n))
        if len(x[part])
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"average"}))
def test_frequencies(kind: str) -> None:
    """Over all pairs, at clear preferences, and at middle lengths."""
    x = sample(40_000)
    p = label_probability(x, kind)
    y = label_pairs(x, keys(len(x)), kind)
    for part in (p > 0, p > 0.55, p < 0.45, abs(x[:, 0] - 256) < 40):
        gap = (y[part] - p[part]).sum()
        assert abs(gap) < 4.5 * math.sqrt((p * (1 - p))[part].sum())


def test_sampling_until_agreement_equals_the_shortcut() -> None:
    """Pearson's statistic of the sampled labels at sigma(sum of differences)."""
    x = np.array([[100, 300], [30, 400], [500, 60], [256, 250], [200, 200]])
    n = 8000
    many = np.tile(x, (n, 1))
    y = label_pairs(many, keys(len(many)), "consensus-sampled").reshape(n, -1).sum(axis=0)
    p = label_probability(x, "consensus")
    statistic = (y - n * p) ** 2 / (n * p * (1 - p))
    assert statistic.sum() < 25  # chi-squared with 5 degrees of freedom: below 1.4e-4 above
    assert abs(p - label_probability(x, "anonymous")).max() > 0.1  # the test can tell them apart


def test_streams_are_independent() -> None:
    x, k = np.full((4000, 2), 77), keys(4000)
    draws = [
        label_pairs(x, k, kind, seed, presentation)
        for kind in sorted(set(KINDS) - {"average"})
        for seed in (0, 1)
        for presentation in (0, 1)
    ]
    C = np.corrcoef(np.array(draws, dtype=float))
    assert abs(C - np.eye(len(C))).max() < 5 / math.sqrt(4000)


def test_uniform_numbers() -> None:
    state = labels._states(keys(20_000), "0 0 x")
    u = np.array([labels._uniform(state, k) for k in range(4)])
    assert (u >= 0).all()
    assert (u < 1).all()
    counts = np.array([np.bincount((20 * row).astype(int), minlength=20) for row in u])
    assert (((counts - 1000) ** 2 / 1000).sum(axis=1) < 55).all()  # 19 degrees: 2e-5 above
    assert abs(np.corrcoef(u) - np.eye(4)).max() < 5 / math.sqrt(20_000)


def test_average_labels_and_ties() -> None:
    x = np.array([[20, 100], [100, 20], [50, 50]])
    r = lengths.mean_reward(x)
    expected = [int(r[0, 1] >= r[0, 0]), int(r[1, 1] >= r[1, 0]), 1]
    assert label_pairs(x, keys(3), "average").tolist() == expected
    assert expected[0] != expected[1]


def test_same_bytes_for_ever() -> None:
    """Stored runs were made with these labels; another hash would orphan them."""
    x = np.array([[20, 200], [300, 90], [256, 40], [512, 1]] * 2)
    found = {kind: label_pairs(x, keys(8), kind, seed=3) for kind in KINDS}
    assert {kind: "".join(map(str, y)) for kind, y in found.items()} == SNAPSHOT


def test_speed_at_paper_scale() -> None:
    x, k = sample(160_800), keys(160_800)
    start = time.perf_counter()
    label_pairs(x, k, "consensus-sampled")
    assert time.perf_counter() - start < 10  # a fraction of a second on an idle machine


def test_bad_input() -> None:
    x = [[1, 2]]
    with pytest.raises(ValueError, match="kind is 'type-4'; allowed are anonymous"):
        label_pairs(x, ["a"], "type-4")
    with pytest.raises(ValueError, match="keys has 2 entries; one for each of 1"):
        label_pairs(x, ["a", "b"], "anonymous")
    with pytest.raises(ValueError, match=r"lengths must have shape \(pairs, 2\)"):
        label_probability([1, 2], "anonymous")
    with pytest.raises(ValueError, match=r"lengths\[0, 1\] is 70.0; 1 to 64 tokens"):
        label_probability([[1, 70]], "anonymous", limit=64)
    with pytest.raises(ValueError, match=r"lengths\[0, 0\] is 0.0"):
        label_probability([[0, 70]], "average")
