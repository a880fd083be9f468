"""Populations: invariances of the choice probabilities, and the laws of sampled data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.special import expit, ndtr

from hetlib.core.labels import Comparisons, TypeLabels
from hetlib.core.link import LINKS
from hetlib.core.population import Population

Array = NDArray[np.float64]
links = st.sampled_from(sorted(LINKS))


@st.composite
def populations(draw: st.DrawFn, link: st.SearchStrategy[str] = links) -> Population:
    """Up to four types and five responses, moderate rewards, any weights."""
    shape = (draw(st.integers(1, 4)), draw(st.integers(1, 5)))
    rewards = draw(arrays(np.float64, shape, elements=st.floats(-5, 5)))
    raw = draw(arrays(np.float64, shape[0], elements=st.floats(0.01, 1)))
    temperature = draw(st.floats(0.2, 5))
    return Population(rewards, raw / raw.sum(), draw(link), temperature)


@given(populations(), st.data())
def test_a_constant_for_each_type_changes_nothing(population: Population, data: Any) -> None:
    shift = data.draw(arrays(np.float64, (population.types, 1), elements=st.floats(-5, 5)))
    moved = Population(
        population.rewards + shift, population.weights, population.link, population.temperature
    )
    assert np.allclose(moved.pairwise_by_type(), population.pairwise_by_type(), atol=1e-12)
    assert np.allclose(moved.pairwise(), population.pairwise(), atol=1e-12)


@given(populations(), st.data())
def test_order_of_types_and_responses_does_not_matter(population: Population, data: Any) -> None:
    u = np.array(data.draw(st.permutations(range(population.types))))
    y = np.array(data.draw(st.permutations(range(population.responses))))
    other = Population(
        population.rewards[np.ix_(u, y)],
        population.weights[u],
        population.link,
        population.temperature,
    )
    assert np.allclose(other.pairwise(), population.pairwise()[np.ix_(y, y)], atol=1e-12)
    assert np.allclose(other.mean_reward(), population.mean_reward()[y], atol=1e-12)


@given(populations())
def test_one_of_two_responses_wins(population: Population) -> None:
    P = population.pairwise()
    assert np.allclose(P + P.T, 1, atol=1e-12)
    assert np.allclose(np.diag(P), 0.5, atol=1e-12)
    assert ((P >= 0) & (P <= 1)).all()


@given(populations())
def test_reversed_rewards_reverse_choices(population: Population) -> None:
    mirrored = Population(
        -population.rewards, population.weights, population.link, population.temperature
    )
    assert np.allclose(mirrored.pairwise(), population.pairwise().T, atol=1e-12)


@given(arrays(np.float64, 4, elements=st.floats(-5, 5)), st.integers(1, 3))
def test_equal_types_are_one_bradley_terry_model(reward: Array, types: int) -> None:
    P = Population(np.tile(reward, (types, 1))).pairwise()
    weight = np.exp(reward)
    expected = weight[:, None] / (weight[:, None] + weight[None, :])
    assert np.allclose(P, expected, atol=1e-12)


def test_equations_7_and_8_by_hand() -> None:
    population = Population([[0.0, 2.0], [1.0, 0.0]], [0.75, 0.25])
    expected = 0.75 / (1 + np.exp(-2)) + 0.25 / (1 + np.exp(1))
    assert population.pairwise()[1, 0] == pytest.approx(expected, abs=1e-15)
    assert population.mean_reward().tolist() == [0.25, 1.5]


def test_links_and_temperature() -> None:
    z = np.array([-1.0, 0.0, 3.0])
    assert np.allclose(Population([[0.0]], temperature=2).choice(z), expit(z / 2))
    assert np.allclose(Population([[0.0]], link="probit").choice(z), ndtr(z))
    cauchit = Population([[0.0]], link="cauchit").choice(z)
    assert np.allclose(cauchit, [0.25, 0.5, 0.5 + np.arctan(3) / np.pi])


def test_optimal_policy_uses_the_average_reward() -> None:
    population = Population([[0.0, 2.0], [1.0, 0.0]], [0.75, 0.25])
    policy = population.optimal_policy([0.5, 0.5], beta=2.0)
    assert np.log(policy[1] / policy[0]) == pytest.approx(1.25 / 2)


def test_a_population_cannot_be_changed() -> None:
    rewards = np.zeros((1, 2))
    population = Population(rewards)
    rewards[0, 0] = 5
    assert population.rewards[0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        population.rewards[0, 0] = 1
    with pytest.raises(AttributeError):
        population.link = "probit"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rewards": [[0.0, 1.0], [2.0]]}, "rewards must be a rectangular array"),
        ({"rewards": [[0.0, np.nan]]}, r"rewards\[0, 1\] is nan"),
        ({"rewards": [0.0, 1.0]}, "rewards must have 2 axes"),
        ({"rewards": np.zeros((0, 2))}, "rewards must not be empty"),
        ({"weights": [0.5, 0.6]}, "weights sums to 1.1; it must sum to 1"),
        ({"weights": [1.5, -0.5]}, r"weights\[1\] is -0.5; every entry must be non-negative"),
        ({"weights": [1.0]}, "weights has 1 entries; 2 are needed"),
        ({"weights": [np.inf, 0.0]}, r"weights\[0\] is inf"),
        ({"link": "logit"}, "link is 'logit'; known links are cauchit, logistic, probit"),
        ({"temperature": 0.0}, "temperature is 0.0; it must be positive and finite"),
    ],
)
def test_population_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Population(**({"rewards": [[0.0, 1.0], [1.0, 0.0]]} | arguments))


SAMPLERS = ["sample", "sample_types", "sample_wins"]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samplers_refuse(sampler: str) -> None:
    draw = getattr(Population([[0.0, 1.0]]), sampler)
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="size is 0; it must be at least 1"):
        draw(0, rng)
    with pytest.raises(ValueError, match=r"sampling\[0\] is -1.0; every entry must be non-neg"):
        draw(5, rng, sampling=[-1.0, 2.0])
    with pytest.raises(ValueError, match="sampling has 3 entries; 2 are needed"):
        draw(5, rng, sampling=[0.2, 0.3, 0.5])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_seed_gives_the_same_data(sampler: str) -> None:
    population = Population([[0.0, 1.0], [1.0, 0.0]])
    twice = [getattr(population, sampler)(50, np.random.default_rng(3)) for _ in range(2)]
    if sampler == "sample_wins":
        assert np.array_equal(*twice)
    else:
        assert np.array_equal(twice[0].votes, twice[1].votes)
        assert np.array_equal(twice[0].y1, twice[1].y1)


def test_wins_by_hand() -> None:
    votes = np.array([[1, 1], [0, 1], [0, 0]], dtype=np.int8)
    data = Comparisons(np.array([0, 0, 1]), np.array([1, 1, 2]), votes)
    assert data.wins(3).tolist() == [[0, 1, 0], [3, 0, 2], [0, 0, 0]]
    assert len(data) == 3


POPULATION = Population([[0.0, 1.0, -1.0], [2.0, 0.0, 0.5]], [0.3, 0.7])
D = np.array([0.5, 0.3, 0.2])


def standard_scores(wins: Array) -> Array:
    """How far counts are from 2 D_i D_j P_ij n, in standard errors."""
    n, p = wins.sum(), 2 * np.outer(D, D) * POPULATION.pairwise()
    scores: Array = (wins - n * p) / np.sqrt(n * p * (1 - p))
    return scores


@pytest.mark.parametrize("labels", [1, 2])
def test_sampled_counts_follow_equation_8(labels: int) -> None:
    data = POPULATION.sample(200_000, np.random.default_rng(1), D, labels)
    assert data.votes.shape == (200_000, labels)
    # The first label alone: two labels of one person are not independent.
    first = Comparisons(data.y1, data.y2, data.votes[:, :1]).wins(3)
    off = ~np.eye(3, dtype=bool)
    assert abs(standard_scores(first)[off]).max() < 5


def test_sample_wins_has_the_law_of_counted_samples() -> None:
    rng = np.random.default_rng(2)
    direct = POPULATION.sample_wins(200_000, rng, D)
    assert direct.sum() == 200_000
    assert abs(standard_scores(direct)).max() < 5
    # Mean and covariance of the two ways agree, to Monte-Carlo error.
    a = np.array([POPULATION.sample_wins(20, rng, D).ravel() for _ in range(4000)])
    b = np.array([POPULATION.sample(20, rng, D).wins(3).ravel() for _ in range(4000)])
    assert abs(a.mean(0) - b.mean(0)).max() < 5 * np.sqrt(2 * 5 / 4000)
    assert abs(np.cov(a.T) - np.cov(b.T)).max() < 0.5


def test_two_labels_of_one_person_agree_more_often_than_of_two() -> None:
    split = Population([[0.0, 6.0], [6.0, 0.0]])
    data = split.sample(20_000, np.random.default_rng(4), labels=2)
    different = data.y1 != data.y2
    agree = (data.votes[different, 0] == data.votes[different, 1]).mean()
    p = expit(6.0)
    assert agree == pytest.approx(p**2 + (1 - p) ** 2, abs=0.02)  # strangers: 1/2
    assert data.types is not None
    assert data.types.mean() == pytest.approx(0.5, abs=0.02)


def test_votes_have_one_column_for_each_type() -> None:
    data = POPULATION.sample_types(100_000, np.random.default_rng(5), D)
    assert data.votes.shape == (100_000, 2)
    assert isinstance(data, TypeLabels)
    pair = (data.y1 == 0) & (data.y2 == 1)
    by_type = POPULATION.pairwise_by_type()[:, 1, 0]
    assert np.allclose(data.votes[pair].mean(0), by_type, atol=0.02)


@settings(max_examples=25)
@given(populations(), st.integers(1, 200), st.integers(0, 10))
def test_every_comparison_is_counted_once(population: Population, size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert population.sample(size, rng).wins(population.responses).sum() == size
    assert population.sample_wins(size, rng).sum() == size


def test_flipped_labels_are_those_of_the_law() -> None:
    rewards, weights = [[0.0, 1.0, -1.0], [2.0, 0.0, 0.5]], [0.3, 0.7]
    plain, flipped = Population(rewards, weights), Population(rewards, weights, flips=0.2)
    assert np.allclose(flipped.pairwise(), 0.8 * plain.pairwise() + 0.2 * plain.pairwise().T)
    assert np.array_equal(flipped.optimal_policy(), plain.optimal_policy())
    rng = np.random.default_rng(0)
    wins = flipped.sample(200_000, rng).wins(3)
    assert wins[0, 1] / (wins[0, 1] + wins[1, 0]) == pytest.approx(
        flipped.pairwise()[0, 1], abs=0.01
    )
    votes = flipped.answer([0, 1], [[0]] * 50_000, [[1]] * 50_000, rng)
    assert np.allclose(votes.mean(axis=0), flipped.pairwise_by_type()[:, 1, 0], atol=0.01)
    with pytest.raises(ValueError, match=r"flips is 0\.7"):
        Population(rewards, flips=0.7)
