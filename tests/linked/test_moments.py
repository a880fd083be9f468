"""Joint likelihood models and Lemma 5.3: exact against brute force, estimates against exact."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose
from scipy.special import expit

from hetlib import Population
from hetlib.checks import Array
from hetlib.core.labels import Comparisons, Linked
from hetlib.linked.estimators import (
    cross_covariance,
    neural_moments,
    tabular_cross_covariance,
    triangle_variance,
)
from hetlib.linked.moments import (
    JointMoments,
    choice_variance_error,
    exact_moments,
    tabular_moments,
    variance_from_moments,
)
from hetlib.mixture.em import em_dpo
from hetlib.mixture.rankings import log_probability


@pytest.fixture
def people() -> Population:
    rng = np.random.default_rng(0)
    return Population(1.5 * rng.normal(size=(3, 4)), [0.5, 0.3, 0.2])


def true_variance(people: Population) -> Array:
    d = people.rewards[:, :, None] - people.rewards[:, None, :]
    mean = np.einsum("u,uij->ij", people.weights, d)
    return np.asarray(np.einsum("u,uij->ij", people.weights, (d - mean) ** 2))


def test_exact_moments_by_enumeration(people: Population) -> None:
    exact = exact_moments(people)
    for i, j in product(range(4), repeat=2):
        both = once = 0.0
        for w, r in zip(people.weights, people.rewards, strict=True):
            p = 1 / (1 + np.exp(r[j] - r[i]))
            both, once = both + w * p * p, once + w * p * (1 - p)
        assert_allclose((exact.J1[i, j], exact.J2[i, j]), (both, once), atol=1e-14)
    assert exact.linked is None
    assert exact.clamped == 0
    assert_allclose(exact.likelihood, people.pairwise())


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(
    arrays(np.float64, (3,), elements=st.floats(-6, 6)),
    arrays(np.float64, (3,), elements=st.floats(0.05, 1)),
    st.floats(-4, 4),
)
def test_lemma_5_3_within_its_bound(d: Array, w: Array, x: float) -> None:
    w = w / w.sum()
    d = d - w @ d
    p = expit(x + d)
    spread = w @ (p - w @ p) ** 2
    slope = expit(x) * expit(-x)
    assert abs(spread - slope**2 * (w @ d**2)) <= w @ abs(d) ** 3 / (16 * np.sqrt(3)) + 1e-12


def test_tabular_counts_by_hand() -> None:
    # Two people on the pair (0, 1): once the same twice, once each way; one backwards.
    data = Linked(
        np.array([[0, 0], [0, 1], [1, 1]]),
        np.array([[1, 1], [1, 0], [0, 0]]),
        np.array([[1, 1], [1, 1], [1, 1]], dtype=np.int8),
    )
    m = tabular_moments(data, 2)
    assert m.linked == 3
    assert_allclose(m.J1, [[0.25, 1 / 3], [1 / 3, 0.25]])
    assert_allclose(m.J2[0, 1], 1 / 6)
    flat = tabular_moments(data, 2, prior=1e9)
    assert_allclose(flat.choice_variance, 0, atol=1e-8)


def test_negative_estimate_is_clamped_and_counted() -> None:
    once_each_way = Comparisons(
        np.zeros(2, dtype=np.int64), np.ones(2, dtype=np.int64), np.array([[0, 1], [1, 0]], np.int8)
    )
    m = tabular_moments(once_each_way, 2)
    assert m.clamped == 1
    assert m.raw_choice_variance[0, 1] < 0
    assert m.choice_variance[0, 1] == 0
    assert (m.variance([0.0, 1.0]) == 0).all()


@pytest.mark.slow
def test_tabular_error_is_as_predicted(people: Population) -> None:
    rng = np.random.default_rng(1)
    exact = exact_moments(people)
    estimates = np.array(
        [
            tabular_moments(people.sample(8000, rng, labels=2), 4).raw_choice_variance
            for _ in range(200)
        ]
    )
    off = ~np.eye(4, dtype=bool)
    predicted = choice_variance_error(exact, 8000 * 2 / 16)[off]
    assert_allclose(estimates.std(axis=0)[off], predicted, rtol=0.25)
    bias = estimates.mean(axis=0)[off] - exact.choice_variance[off]
    assert abs(bias / predicted).max() < 0.5


@pytest.mark.slow
def test_mixture_never_loses_likelihood_and_finds_the_moments(people: Population) -> None:
    rng = np.random.default_rng(2)
    exact = exact_moments(people)
    for data in (people.sample(20_000, rng, labels=2), people.sample_linked(20_000, rng)):
        fit = em_dpo(data, 4, 3, seed=0, starts=2)
        assert np.diff(fit.history).min() > -1e-12
        assert fit.finals[0] == fit.history[-1] == fit.finals.max()
        assert abs(fit.moments().choice_variance - exact.choice_variance).max() < 0.02
        assert fit.moments().clamped == 0


def test_one_type_mixture_is_bradley_terry(people: Population) -> None:
    data = people.sample(5000, np.random.default_rng(3), labels=2)
    fit = em_dpo(data, 4, 1, starts=1, ridge=1e-6, tolerance=1e-13)
    wins = data.wins(4)
    p = expit(fit.rewards[0][:, None] - fit.rewards[0][None, :])
    off = ~np.eye(4, dtype=bool)
    score = ((wins - (wins + wins.T) * p) * off).sum(axis=1)  # first-order condition
    assert abs(score).max() < 1e-2


@pytest.mark.slow
def test_network_on_repeated_pairs_is_the_table(people: Population) -> None:
    data = people.sample(20_000, np.random.default_rng(4), labels=2)
    network, table = neural_moments(data, 4, steps=600), tabular_moments(data, 4)
    assert abs(network.J1 - table.J1).max() < 0.01
    again = neural_moments(data, 4, steps=50, seed=1)
    assert (again.J1 == neural_moments(data, 4, steps=50, seed=1).J1).all()


def test_triangles_give_the_variance_to_third_order() -> None:
    rng = np.random.default_rng(5)
    mean, d = rng.normal(size=4), rng.normal(size=(3, 4))
    d -= d.mean(axis=0)
    gaps = []
    for t in (0.02, 0.01):
        near = Population(mean + t * d)
        V = triangle_variance(cross_covariance(near), mean)
        gaps.append(abs(V - true_variance(near)).max())
    assert np.log2(gaps[0] / gaps[1]) == pytest.approx(3, abs=0.1)


@pytest.mark.slow
def test_cross_covariance_from_labels(people: Population) -> None:
    data = people.sample_linked(100_000, np.random.default_rng(6))
    C, asked = tabular_cross_covariance(data, 4)
    exact = cross_covariance(people)
    distinct = np.ones((4,) * 4, dtype=bool)
    distinct[np.arange(4), np.arange(4)] = distinct[:, :, np.arange(4), np.arange(4)] = False
    assert (abs(C - exact) < 5 * 0.5 / np.sqrt(asked))[distinct].all()
    assert asked[0, 1, 2, 3] == asked[2, 3, 0, 1] == asked[1, 0, 2, 3]


def test_equation_16_in_torch_keeps_the_gradient() -> None:
    import torch

    h = torch.linspace(-3, 3, 7, dtype=torch.float64, requires_grad=True)
    J1, J2 = torch.full_like(h, 0.4), torch.full_like(h, 0.1)
    V = variance_from_moments(J1, J2, h)
    slope = torch.sigmoid(h) * torch.sigmoid(-h)
    assert torch.allclose(V, (0.4 - 0.25) / slope**2)
    assert_allclose(
        variance_from_moments(np.full(7, 0.4), np.full(7, 0.1), h.detach().numpy()),
        V.detach().numpy(),
    )
    assert torch.autograd.gradcheck(lambda x: variance_from_moments(J1, J2, x), h)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tabular_moments(_once(), 3), "responses 0 and 2 twice"),
        (lambda: tabular_moments(_once(), 1), "response 1 occurs"),
        (lambda: tabular_moments(_once(), 2, prior=-1), "prior is -1"),
        (lambda: em_dpo(_once(), 2, 0), "types is 0"),
        (lambda: em_dpo(_once(), 2, 1, ridge=0), "ridge"),
        (lambda: neural_moments(_once(), 2, features=[[1.0]]), "features has 1 rows"),
        (lambda: _linked(np.zeros((2, 1)), np.zeros((2, 1)), np.zeros((2, 1))), "at least 2"),
        (lambda: _linked(np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((2, 3))), "y1 has shape"),
        (
            lambda: _linked(np.zeros((2, 2)), np.ones((2, 2)), np.full((2, 2), 3)),
            "votes",
        ),
        (lambda: JointMoments(np.eye(2), np.eye(2)), "total probability"),
        (lambda: exact_moments(Population([[0.0, 1.0]])).variance([0.0]), "reward has 1"),
        (lambda: triangle_variance(np.zeros((2,) * 4), [0.0, 1.0]), "3 responses"),
        (lambda: Population([[0.0, 1.0]]).sample_linked(5, np.random.default_rng(), 1), "labels"),
    ],
)
def test_bad_input(call: object, message: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=message):
        call()


def _linked(one: Any, two: Any, votes: Any) -> Linked:
    return Linked(one, two, votes)


def _once() -> Linked:
    return Linked(np.array([[0, 0]]), np.array([[1, 1]]), np.array([[1, 1]], dtype=np.int8))


def test_labels_of_every_type_are_not_linked(people: Population) -> None:
    """Columns of TypeLabels are different people; as one person's they show no variance."""
    data = people.sample_types(1000, np.random.default_rng(0))
    for call in (
        lambda: tabular_moments(data, 4),  # type: ignore[arg-type]
        lambda: neural_moments(data, 4, steps=1),  # type: ignore[arg-type]
        lambda: em_dpo(data, 4, 2),  # type: ignore[arg-type]
        lambda: log_probability(data, people.rewards),  # type: ignore[arg-type]
    ):
        with pytest.raises(ValueError, match="TypeLabels"):
            call()
