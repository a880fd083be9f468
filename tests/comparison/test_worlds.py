# mypy: disable-error-code="arg-type, dict-item, list-item"
"""Worlds, what goes wrong in them, and their labels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, ndtr

from hetlib.comparison.budgets import ImpossibleError, LabelSet, nearest_masses
from hetlib.comparison.methods import METHODS
from hetlib.comparison.worlds import WORLDS, Conditions, make_world
from hetlib.consistent.label_counts import Quota
from hetlib.core.policies import total_variation


@pytest.mark.parametrize("name", WORLDS)
def test_nothing_wrong_is_the_population_itself(name: str) -> None:
    own = Conditions(rewards=[[0.0, 1.0, 2.0], [1.0, 0.0, -1.0]], weights=[0.8, 0.2])
    world = make_world(name, 3, own if name == "own" else None)
    assert np.allclose(world.recorded, world.population.pairwise_by_type())
    assert np.allclose(world.best(), world.population.optimal_policy())
    assert np.allclose(world.groups.sum(axis=0), world.population.weights)
    assert np.allclose(world.sampling, 1 / world.responses)


@pytest.mark.parametrize(
    "bad",
    [
        Conditions(link="probit", temperature=0.7, jitter=1.0),
        Conditions(flips=0.1, mixed=0.4),
        Conditions(jitter=2.0, skew=1.0, mass=0.6),
    ],
)
def test_records_are_probabilities_whatever_goes_wrong(bad: Conditions) -> None:
    p = make_world("random", 0, bad).recorded
    assert p.min() > 0
    assert np.allclose(p + p.transpose(0, 2, 1), 1)


def test_links_share_their_slope_at_zero() -> None:
    gaps = make_world("random", 0).population.rewards
    small = gaps[:, :, None] - gaps[:, None, :]
    for link in ("logistic", "probit", "cauchit"):
        p = make_world("random", 0, Conditions(link=link, temperature=1e4)).recorded
        assert np.allclose((p - 0.5) * 1e4, small / 4, atol=1e-3)


def test_jitter_is_added_logistic_noise() -> None:
    world = make_world("random", 0, Conditions(jitter=1.5))
    rng = np.random.default_rng(0)
    noise = rng.logistic(scale=1.5, size=400_000)
    r = world.population.rewards
    for u, i, j in ((0, 0, 1), (1, 2, 5), (2, 3, 4)):
        simulated = expit(r[u, i] - r[u, j] + noise).mean()
        assert world.recorded[u, i, j] == pytest.approx(simulated, abs=0.003)


def test_probit_with_jitter_keeps_its_scale() -> None:
    world = make_world("random", 0, Conditions(link="probit", jitter=0.5, temperature=2.0))
    noise = np.random.default_rng(0).logistic(scale=0.5, size=400_000)
    r = world.population.rewards[0]
    simulated = ndtr(np.sqrt(2 * np.pi) / 4 * (r[0] - r[1] + noise) / 2).mean()
    assert world.recorded[0, 0, 1] == pytest.approx(simulated, abs=0.003)


def test_mixed_up_people_look_alike() -> None:
    clean, mixed = make_world("random", 0), make_world("random", 0, Conditions(mixed=1.0))
    average = clean.population.pairwise()
    assert np.allclose(mixed.recorded, average)
    half = make_world("random", 0, Conditions(mixed=0.5)).recorded
    assert np.allclose(half, (clean.recorded + average) / 2)


@pytest.mark.parametrize("assumed", range(1, 7))
def test_groups_merge_or_split_types(assumed: int) -> None:
    world = make_world("ring", 0, Conditions(assumed=assumed))
    assert world.groups.shape == (assumed, 3)
    assert np.allclose(world.groups.sum(axis=0), world.population.weights)
    mixture = np.einsum("g,gij->ij", world.groups.sum(axis=1), world.recorded_by_group)
    assert np.allclose(mixture, world.population.pairwise())


def test_masses_and_tilts() -> None:
    world = make_world("ring", 0, Conditions(mass=0.6, skew=1.0))
    assert np.allclose(world.population.weights, [0.2, 0.6, 0.2])
    assert world.sampling.sum() == pytest.approx(1)
    assert np.ptp(world.sampling) > 0.01


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"link": "tobit"}, "link is 'tobit'"),
        ({"temperature": 0}, "temperature"),
        ({"flips": 0.7}, "flips is 0.7"),
        ({"mixed": -0.1}, "mixed is -0.1"),
        ({"mass": 1.0}, "mass is 1.0"),
        ({"assumed": 0}, "assumed is 0"),
    ],
)
def test_conditions_refuse_nonsense(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Conditions(**wrong)


def test_worlds_refuse_what_they_cannot_have() -> None:
    with pytest.raises(ValueError, match="known worlds are ring"):
        make_world("moon", 0)
    with pytest.raises(ValueError, match="at most 6"):
        make_world("ring", 0, Conditions(assumed=7))
    with pytest.raises(ValueError, match="at least 50"):
        LabelSet(make_world("ring", 0), 19, 0)


# ---- labels ----


def test_forms_of_labels_follow_their_laws() -> None:
    """Frequencies of a large budget against the expected counts of endless data."""
    world = make_world("survey", 1, Conditions(assumed=4, mixed=0.2))
    many, endless = LabelSet(world, 2_000_000, 0), LabelSet(world, None, 0)
    for form in ("anonymous", "typed"):
        a, b = getattr(many, form), getattr(endless, form)
        assert np.allclose(a / a.sum(), b / b.sum(), atol=2e-3)
    assert np.allclose(many.typed.sum(axis=0), many.anonymous)
    for a, b in zip(many.twice, endless.twice, strict=True):
        assert np.allclose(a / 1e6, b / (endless.size // 2), atol=2e-3)
    for n in (1, 2):
        quota, seen = many.votes(n)
        _, law = endless.votes(n)
        assert quota.total == 4 * n
        assert np.allclose(seen / seen.sum(), law / law.sum(), atol=2e-3)


def test_people_answer_like_their_types() -> None:
    world = make_world("random", 0)
    people = LabelSet(world, 200_000, 0).people
    assert people.votes.shape == (20_000, 10)
    won = np.where(people.votes == 1, people.y2, people.y1)
    lost = np.where(people.votes == 1, people.y1, people.y2)
    counts = np.zeros((8, 8))
    np.add.at(counts, (won.ravel(), lost.ravel()), 1)
    share = counts / (counts + counts.T)
    assert np.allclose(share, world.population.pairwise(), atol=0.04)


def test_methods_that_ask_alike_see_the_same_labels() -> None:
    world = make_world("random", 0)
    one, two = LabelSet(world, 1000, 5), LabelSet(world, 1000, 5)
    _ = one.typed, one.people, one.votes(2)  # what else is asked for does not matter
    assert (one.anonymous == two.anonymous).all()
    assert (one.people.votes == two.people.votes).all()
    assert (one.anonymous != LabelSet(world, 1000, 6).anonymous).any()


def test_nobody_can_be_followed_through_endless_data() -> None:
    with pytest.raises(ValueError, match="people can only be followed"):
        _ = LabelSet(make_world("random", 0), None, 0).people


@pytest.mark.parametrize(
    ("masses", "labels", "whole"),
    [
        ([1 / 3, 1 / 3, 1 / 3], 3, (1, 1, 1)),
        ([0.2, 0.6, 0.2], 3, (1, 3, 1)),
        ([0.5, 0.25, 0.25], 2, (2, 1, 1)),
        ([0.45, 0.5, 0.05], 1, (1, 1, 1)),
        ([0.45, 0.5, 0.05], 3, (3, 3, 1)),
    ],
)
def test_nearest_masses(masses: list[float], labels: int, whole: tuple[int, ...]) -> None:
    assert nearest_masses(np.array(masses), labels) == whole
    assert Quota([labels] * 3, whole).speaks.any()


# ---- other people ----


@pytest.mark.parametrize("name", ["ring", "random"])
@pytest.mark.parametrize(
    "people",
    [
        Conditions(types=4),
        Conditions(types=4, weights=[0.4, 0.3, 0.2, 0.1], responses=6, beta=0.5),
        Conditions(types=2, responses=12, reference=np.arange(1, 13) / 78),
        Conditions(types=1, responses=3),
    ],
)
def test_a_consistent_method_is_right_for_any_people(name: str, people: Conditions) -> None:
    """The target by hand, and personalised rewards with endless data, whatever is set."""
    world = make_world(name, 2, people)
    r, w = world.population.rewards, world.population.weights
    ref = np.full(r.shape[1], 1 / r.shape[1]) if people.reference is None else people.reference
    lifted = np.array(ref) * np.exp((w @ r - (w @ r).max()) / people.beta)
    assert np.allclose(world.best(), lifted / lifted.sum())
    assert world.believed == people.types
    found = METHODS["personalised"].fit(LabelSet(world, None, 0)).policy
    assert total_variation(found, world.best()) < 1e-4
    if people.weights is None and people.types in (2, 4):  # equal masses
        for method in ("agreement", "conditional 2"):
            found = METHODS[method].fit(LabelSet(world, None, 0)).policy
            assert total_variation(found, world.best()) < 1e-3, method


def test_groups_on_record_are_those_of_the_world() -> None:
    world = make_world("groups", 0)
    assert world.population.types == 18
    assert np.array_equal((world.groups > 0).sum(axis=1), [6, 6, 6])
    r = world.population.rewards.reshape(3, 6, -1)
    assert r.std(axis=1).mean() < r.mean(axis=1).std(axis=0).mean()
    assert np.allclose(make_world("many", 0).groups.sum(axis=1), 1 / 3)


def test_what_a_world_cannot_have_is_said() -> None:
    for name, conditions, message in (
        ("survey", Conditions(types=4), "types is 4; it can be set for ring, random, not for"),
        ("own", Conditions(), "needs one row of rewards a type"),
        ("random", Conditions(weights=[0.5, 0.5]), "weights has 2 entries; 3 are needed"),
        ("random", Conditions(reference=[0.5, 0.5]), "reference has 2 entries; 8 are needed"),
        ("random", Conditions(types=1, mass=0.5), "needs at least two types"),
    ):
        with pytest.raises(ValueError, match=message):
            make_world(name, 0, conditions)
    with pytest.raises(ValueError, match="mass and weights both say"):
        Conditions(mass=0.5, weights=[0.5, 0.5])
    labels = LabelSet(make_world("many", 0, Conditions(assumed=24)), 1_000, 0)
    with pytest.raises(ImpossibleError, match="2 labels of each of 24 groups"):
        labels.votes(2)


def test_kinds_within_a_group_differ_half_as_much_as_groups() -> None:
    """Standard deviations of 0.75 and 1.5 at the scale of 1.5, in proportion at others."""
    for scale in (1.5, 3.0):
        r = np.array(
            [
                make_world("groups", seed, Conditions(scale=scale)).population.rewards
                for seed in range(200)
            ]
        ).reshape(200, 3, 6, -1)
        within = r.std(axis=2, ddof=1)
        assert np.sqrt((within**2).mean()) == pytest.approx(0.5 * scale, rel=0.02)
        between = r.mean(axis=2).var()
        assert between == pytest.approx(scale**2 * (1 + 0.25 / 6), rel=0.06)
