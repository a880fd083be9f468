"""Planted differences are found, and none where there is none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.special import expit

from hetlib.core.labels import TIE
from hetlib.people import models
from hetlib.people.models import Answers, Fit, Kind, answers, diagnose, fit, held_out, posterior
from hetlib.people.tables import read_labels

REWARD = np.array([1.2, 0.5, 0.0, -0.6, -1.1])
PAIRS = np.array([(i, j) for i in range(5) for j in range(5) if i != j])


def planted(
    people: int = 100,
    labels: int = 40,
    seed: int = 0,
    b: float = 0.0,
    sigma: float = 0.0,
    careless: float = 0.0,
    types: tuple[np.ndarray, ...] = (REWARD,),
    ties: str = "half",
    tie: float = 0.0,
) -> Answers:
    rng = np.random.default_rng(seed)
    shown = rng.integers(len(PAIRS), size=(people, labels))
    kind = rng.integers(len(types), size=people)
    strength = np.exp(sigma * rng.standard_normal(people)) * (rng.random(people) >= careless)
    table = np.array(types)[kind]
    rows = np.arange(people)[:, None]
    eta = strength[:, None] * (table[rows, PAIRS[shown, 0]] - table[rows, PAIRS[shown, 1]])
    eta += b * (strength[:, None] > 0)
    law = np.exp(models._outcomes(eta, tie, ties)[0])[: 2 if ties == "half" else 3]
    outcome = (rng.random(eta.shape)[None] > np.cumsum(law, axis=0)[:-1]).sum(axis=0)

    def count(k: int) -> csr_matrix:
        u, p = np.nonzero(outcome == k)
        return csr_matrix((np.ones(len(u)), (u, shown[u, p])), (people, len(PAIRS)))

    unit = np.eye(5)
    design = unit[PAIRS[:, 0]] - unit[PAIRS[:, 1]]
    return Answers(design, count(0), count(1), count(2), tuple("ABCDE"), ties)


@pytest.mark.parametrize("proportional", [False, True])
@pytest.mark.parametrize("ties", models.TIE_MODELS)
def test_gradient(ties: str, proportional: bool) -> None:
    data = planted(20, 10, ties=ties, tie=-0.5)
    kind = Kind(True, True, True, 2, True, proportional)
    data = replace(data, common=np.random.default_rng(1).normal(size=(20, 2)), prior=0.5)
    size = models._layout(kind, data)["mass"].stop
    theta = 0.3 + 0.2 * np.random.default_rng(0).standard_normal(size)
    _, found = models._objective(theta, data, kind, 0.01)
    steps = 1e-6 * np.eye(size)

    def value(t: np.ndarray) -> float:
        return models._objective(t, data, kind, 0.01)[0]

    assert found == pytest.approx(
        [(value(theta + e) - value(theta - e)) / 2e-6 for e in steps], rel=1e-4, abs=1e-4
    )


@pytest.mark.parametrize("ties", models.TIE_MODELS)
def test_outcomes_are_a_law(ties: str) -> None:
    eta = np.linspace(-4, 4, 9)
    logs, slopes = models._outcomes(eta, -0.3, ties)
    law = np.exp(logs)
    assert (law[:2].sum(axis=0) if ties == "half" else law.sum(axis=0)) == pytest.approx(np.ones(9))
    ahead = models._outcomes(eta + 1e-6, -0.3, ties)[0]
    assert (ahead - logs) / 1e-6 == pytest.approx(slopes, abs=1e-5)


def test_one_taste_is_the_bradley_terry_fit() -> None:
    import hetlib

    data = planted()
    w = np.zeros((5, 5))
    np.add.at(w, (PAIRS[:, 0], PAIRS[:, 1]), np.asarray(data.first.sum(axis=0)).ravel())
    np.add.at(w, (PAIRS[:, 1], PAIRS[:, 0]), np.asarray(data.second.sum(axis=0)).ravel())
    assert fit(data, ridge=1e-9).rewards[0] == pytest.approx(hetlib.bradley_terry(w), abs=1e-3)


OPPOSED = (REWARD, -REWARD)
PLANTED: dict[str, tuple[dict[str, Any], set[str]]] = {
    "nothing": ({}, set()),
    "position": ({"b": 0.6}, {"position"}),
    "strengths": ({"sigma": 0.9}, {"strengths"}),
    "carelessness": ({"careless": 0.35}, {"carelessness"}),
    "types": ({"types": OPPOSED}, {"types"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANTED)
def test_the_kind_of_difference_is_told(name: str) -> None:
    options, expected = PLANTED[name]
    found = diagnose(planted(80, 60, seed=5, **options), draws=14, level=1 / 3)
    assert expected <= set(found.needed)
    assert ("types" in found.needed) == (name == "types")
    assert ("position" in found.needed) == (name == "position")
    model = found.model
    assert model.position == pytest.approx(options.get("b", 0.0), abs=0.15)
    if name == "strengths":
        assert model.sigma == pytest.approx(0.9, abs=0.2)
    if name == "carelessness":
        assert model.careless == pytest.approx(0.35, abs=0.1)
    if name == "types":
        assert abs(model.average_reward).max() < 0.35
        assert abs(model.rewards).max() > 0.8


OTHER = np.array([0.0, 1.2, -0.5, 0.4, -1.1])
MANY: dict[str, list[dict[str, Any]]] = {
    "nothing": [{"seed": k} for k in range(5)],
    "position": [{"b": b} for b in (-1.2, -0.6, 0.4, 0.8, 1.5)],
    "strengths": [{"sigma": s} for s in (0.6, 0.7, 0.9, 1.1, 1.3)],
    "carelessness": [{"careless": c} for c in (0.15, 0.25, 0.4, 0.5, 0.6)],
    "types": [
        {"types": t}
        for t in (
            OPPOSED, (REWARD, REWARD, -REWARD), (2 * REWARD, -2 * REWARD), (REWARD, OTHER),
            (*OPPOSED, OTHER),
        )
    ],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), [(n, o) for n, many in MANY.items() for o in many])
def test_the_likelihood_tells_what_was_planted(name: str, options: dict[str, Any]) -> None:
    """By more than 15 in the logarithm, of which chance gives fewer than one in 60,000."""
    data = planted(80, 40, **({"seed": 7} | options))
    gain = {}
    for what, smaller, larger in models.steps():
        one, other = models.pair_of_fits(data, smaller, larger)
        gain[what] = other.objective - one.objective
    for what in ("position", "types", "not multiples"):
        planted_here = name == what or (name == "types" and what == "not multiples")
        assert (gain[what] > 15) == planted_here, what
    assert gain["position by person"] < 15
    if name in ("strengths", "carelessness"):
        assert gain["strengths or carelessness"] > 15
        assert max(("strengths", "carelessness"), key=gain.__getitem__) == name
    elif name != "types":
        assert gain["strengths or carelessness"] < 15


@pytest.mark.slow
def test_tests_keep_their_level_where_there_is_one_taste() -> None:
    """Of 20 samples at level 1/5, more than 10 rejections have probability 6e-4."""
    model = fit(planted(40, 20))
    rng, rejected = np.random.default_rng(3), 0
    for seed in range(20):
        drawn = models.simulate(model, planted(40, 20), rng)
        step = models.ratio_test(drawn, Kind(), Kind(careless=True), what="x", draws=4, seed=seed)
        rejected += step.p <= 0.2
    assert rejected <= 10


def test_interval_of_position_covers() -> None:
    covered = 0
    for seed in range(12):
        data = planted(40, 30, seed=seed, b=0.4)
        low, high = models.position_interval(fit(data, Kind(position=True)), data)
        covered += low <= 0.4 <= high
    assert covered >= 8  # fewer have probability 2e-4


def test_interval_of_the_careless_share_covers() -> None:
    covered = 0
    for seed in range(12):
        data = planted(80, 40, seed=seed, careless=0.3)
        low, high = models.careless_interval(fit(data, Kind(careless=True)), data)
        covered += low <= 0.3 <= high
        assert high - low < 0.35
    assert covered >= 8  # fewer have probability 2e-4


def test_careless_people_are_named() -> None:
    data = planted(60, 80, careless=0.3, seed=2)
    strong = np.random.default_rng(2)
    strong.integers(len(PAIRS), size=(60, 80)), strong.integers(1, size=60)
    strong.standard_normal(60)
    coin = strong.random(60) < 0.3
    _, found = posterior(fit(data, Kind(careless=True)), data)
    assert ((found > 0.5) == coin).mean() > 0.9


def test_held_out_prefers_the_types_that_are_there() -> None:
    kinds = (Kind(), Kind(types=2))
    two = held_out(planted(60, 40, types=OPPOSED), kinds, folds=3)
    assert two[1].mean() > two[0].mean() + 0.05


@pytest.mark.parametrize("ties", ["davidson", "rao-kupper"])
def test_ties_are_modelled(ties: str) -> None:
    data = planted(200, 40, ties=ties, tie=-0.4)
    model = fit(data)
    assert model.tie == pytest.approx(-0.4, abs=0.1)
    assert model.rewards[0] == pytest.approx(REWARD - REWARD.mean(), abs=0.15)


def test_simulated_people_have_the_same_questions() -> None:
    data = planted(30, 20)
    drawn = models.simulate(fit(data), data, np.random.default_rng(0))
    assert np.array_equal(
        (drawn.first + drawn.second + drawn.tie).toarray(), (data.first + data.second).toarray()
    )


def test_features_in_place_of_items() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1000, 2))
    first = rng.random(1000) < expit(x @ [1.0, -0.5])
    rows = [
        {
            "annotator": f"p{k % 50}",
            "first": f"{k}a",
            "second": f"{k}b",
            "choice": f"{k}{'a' if f else 'b'}",
        }
        for k, f in enumerate(first)
    ]
    labels = read_labels(rows)
    model = fit(answers(labels, features=x))
    assert model.rewards[0] == pytest.approx([1.0, -0.5], abs=0.3)
    with pytest.raises(ValueError, match="no two items are comparable"):
        answers(labels)
    with pytest.raises(ValueError, match="there are 1000 labels"):
        answers(labels, features=x[:5])


def test_bad_arguments_are_named() -> None:
    data = planted(10, 5)
    for call, message in (
        (lambda: Kind(types=0), "types is 0"),
        (lambda: fit(replace(data, ordered=False), Kind(position=True)), "shown first"),
        (lambda: diagnose(data, draws=19), "cannot reach the level"),
        (lambda: held_out(data, folds=11), "the number of people"),
        (lambda: models.ratio_test(data, Kind(), Kind(True), what="x", draws=0), "draws is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_average_counts_the_careless_as_zero() -> None:
    model: Fit = fit(planted(careless=0.5, people=150, labels=60), Kind(careless=True))
    assert model.average_reward == pytest.approx((1 - model.careless) * model.rewards[0])


def test_five_larger_ratios_end_a_test() -> None:
    """A model against itself: every simulated ratio is as large as the observed one, zero."""
    data = planted(people=20, labels=10)
    step = models.ratio_test(data, Kind(), Kind(), what="x", draws=30)
    assert (step.draws, step.p) == (5, 1.0)
    few = models.ratio_test(data, Kind(), Kind(), what="x", draws=4)
    assert (few.draws, few.p) == (4, 1.0)


@pytest.mark.parametrize(("level", "least"), [(0.05, 99), (0.1, 49), (0.25, 19), (0.5, 9)])
def test_five_differences_share_the_level(level: float, least: int) -> None:
    """So many draws that a p-value of a fifth of the level can be reached, and one fewer."""
    data = planted(people=20, labels=10)
    with pytest.raises(ValueError, match=f"cannot reach the level {level}; {least} can"):
        diagnose(data, draws=least - 1, level=level)
    assert 1 / (least + 1) <= level / 5 + 1e-12


def rated(ties: str = "half", longest: int = 5) -> tuple[Any, Answers]:
    """Ratings of two to five items, on two prompts, by twelve people."""
    rng, rows = np.random.default_rng(3), []
    for u in range(12):
        for prompt in range(2):
            for item in rng.permutation(list("ABCDE"))[: 2 + (u + prompt) % (longest - 1)]:
                row = {"annotator": u, "item": item, "score": int(rng.integers(3))}
                rows.append(row | {"prompt": prompt})
    labels = read_labels(rows, ties=ties)
    return labels, answers(labels)


@pytest.mark.parametrize("ties", ["half", "drop"])
def test_lists_are_read_back_from_their_pairs(ties: str) -> None:
    labels, data = rated(ties)
    assert data.lists is not None
    who, both, vote, weight = data.lists.pairs()
    expected = set()
    for u, a, b, v in zip(labels.who, labels.first, labels.second, labels.votes, strict=True):
        won = int(v) if a < b or v == TIE else 1 - int(v)
        expected.add((int(u), int(min(a, b)), int(max(a, b)), won))
    found = set(zip(who.tolist(), *both.T.tolist(), vote.tolist(), strict=True))
    assert found == expected
    assert set(np.round(weight, 9)) == {round(3 / (m + 1), 9) for m in (2, 3, 4, 5)}


def test_whole_lists_are_simulated() -> None:
    """Transitive, of the same items, with as many at each place, and by Plackett and Luce's law."""
    _, data = rated()
    drawn = models.simulate(fit(data), data, np.random.default_rng(0))
    assert drawn.labels == pytest.approx(data.labels)
    assert drawn.tie.sum() == pytest.approx(data.tie.sum())
    assert data.lists is not None
    assert drawn.lists is not None
    assert np.array_equal(drawn.lists.items, data.lists.items)
    assert not np.array_equal(drawn.lists.place, data.lists.place)
    for there, one, other in zip(
        data.lists.items >= 0, data.lists.place, drawn.lists.place, strict=True
    ):
        assert sorted(one[there]) == sorted(other[there])
    some = data.take([4, 2])
    assert some.lists is not None
    assert set(some.lists.who) == {0, 1}
    assert np.array_equal(some.lists.items[some.lists.who == 0],
                          data.lists.items[data.lists.who == 4])  # fmt: skip
    whole = models.Lists(
        np.arange(4000), np.tile(np.arange(3), (4000, 1)), np.tile(np.arange(3), (4000, 1)),
        np.ones(4000),
    )  # fmt: skip
    ranked = whole.ranked_by(np.tile([1.0, 0.0, -1.0], (4000, 1)), np.random.default_rng(1))
    worth = np.exp([1.0, 0.0, -1.0])
    first = [(ranked.place[:, k] == 0).mean() for k in range(3)]
    assert first == pytest.approx(worth / worth.sum(), abs=0.03)
    order = worth[0] / worth.sum() * worth[1] / (worth[1] + worth[2])
    assert (ranked.place == [0, 1, 2]).all(axis=1).mean() == pytest.approx(order, abs=0.03)


def test_comparisons_are_no_lists() -> None:
    labels = read_labels([{"annotator": "p", "first": "A", "second": "B", "choice": "A"}])
    with pytest.raises(ValueError, match="labels are comparisons"):
        models.lists_of(labels)
    with pytest.raises(ValueError, match="somebody twice"):
        rated()[1].take([0, 0])
