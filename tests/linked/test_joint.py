# mypy: disable-error-code="arg-type, dict-item, list-item"
"""Joint certificates: against the bounds for pairs, a grid written apart, and cases by hand."""

from collections.abc import Callable, Sequence
from itertools import combinations, product

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.special import expit, logit

from hetlib import Population
from hetlib.checks import Array
from hetlib.linked.bounds import average_reward_bounds, bounds_from_counts, choice_moments
from hetlib.linked.joint import Answers, intervals_of_designs, joint_certificates, outcomes

B = 4.0
PAIRS = list(combinations(range(3), 2))
Question = tuple[int, ...]
DESIGNS: dict[str, list[list[Question]]] = {
    "pairs": [[p] for p in PAIRS],
    "again": [[p, p] for p in PAIRS],
    "different": [[p, q] for p, q in combinations(PAIRS, 2)],
    "ranking": [[(0, 1, 2)]],
}


def people(seed: int, types: int = 4, responses: int = 3) -> Population:
    rng = np.random.default_rng(seed)
    return Population(rng.uniform(-B / 2, B / 2, (types, responses)), rng.dirichlet(np.ones(types)))


def chances(r: Array, questions: Sequence[Question]) -> Array:
    """Every outcome's probability by its own multiplication, equal questions not merged."""
    rows = []
    for question in questions:
        if len(question) == 2:
            i, j = question
            rows.append([expit(r[:, i] - r[:, j]), expit(r[:, j] - r[:, i])])
        else:
            i, j, k = question
            e = np.exp(r)
            rows.append(
                [
                    e[:, a] / e[:, [i, j, k]].sum(axis=1) * e[:, b] / (e[:, b] + e[:, c])
                    for a, b, c in [
                        (i, j, k),
                        (i, k, j),
                        (j, i, k),
                        (j, k, i),
                        (k, i, j),
                        (k, j, i),
                    ]
                ]
            )
    return np.array([np.prod(combo, axis=0) for combo in product(*rows)])


def brute(
    population: Population, designs: list[list[Question]], i: int, j: int, size: int
) -> float:
    """The programme on a grid that has the population's own types as well."""
    axis = np.linspace(-B, B, size)
    own = population.rewards - population.rewards[:, [2]]
    r = np.array([(x, y, 0.0) for x in axis for y in axis if abs(x - y) <= B + 1e-9])
    r = np.vstack([r, own])
    rows = np.vstack([chances(r, q) for q in designs])
    target = rows[:, -len(own) :] @ population.weights
    found = linprog(r[:, j] - r[:, i], A_eq=rows, b_eq=target, method="highs-ipm")
    assert found.status == 0
    return float(-found.fun)


@pytest.mark.parametrize("name", DESIGNS)
def test_a_grid_reaches_nearly_as_far_and_never_further(name: str) -> None:
    population = people(3)
    joint = joint_certificates(
        [Answers.expected(population, q) for q in DESIGNS[name]], B, pairs=[(0, 1)]
    )
    grid = brute(population, DESIGNS[name], 0, 1, 81)
    assert grid <= joint.upper[0, 1] + 1e-7
    assert joint.upper[0, 1] - grid < 0.02
    truth = population.mean_reward()
    assert truth[0] - truth[1] <= joint.upper[0, 1]


@pytest.mark.parametrize("labels", [1, 2, 3])
def test_a_pair_alone_is_the_closed_form(labels: int) -> None:
    population = people(5)
    c = choice_moments(population, labels)[:, 0, 1]
    known = average_reward_bounds(c, B)
    answers = [Answers.expected(population, [(0, 1)] * labels)]
    for responses in (2, 3):  # a third response that nobody was asked about changes nothing
        joint = joint_certificates(answers, B, responses, [(0, 1), (1, 0)], 2e-3)
        assert -1e-9 < joint.upper[0, 1] - known.upper < 2e-3
        assert -1e-9 < joint.upper[1, 0] + known.lower < 2e-3


def test_everybody_at_the_bound_leaves_half_the_room() -> None:
    """Exercise 3 of chapter 12: p12 = σ(B) and p23 = 0.4 make the greatest r̄2 - r̄3 a logit."""
    certain = np.array([expit(B), expit(-B)])
    data = [Answers(((0, 1),), certain, certain), Answers(((1, 2),), [0.4, 0.6], [0.4, 0.6])]
    joint = joint_certificates(data, B, pairs=[(1, 2)])
    assert joint.upper[1, 2] == pytest.approx(logit(0.4), abs=5e-3)
    assert joint.upper[1, 2] < average_reward_bounds([0.4], B).upper - 0.2


@pytest.mark.slow
def test_certificates_hold_at_random_points_and_witnesses_have_the_data() -> None:
    population = people(7)
    joint = joint_certificates([Answers.expected(population, q) for q in DESIGNS["again"]], B)
    rng = np.random.default_rng(0)
    r = rng.uniform(-B, B, (200_000, 3))
    r = r[np.ptp(r, axis=1) <= B]
    for pair, witness in joint.witnesses.items():
        assert joint.shortfall(pair, r).min() > -1e-9
        assert witness.missed < 1e-6
        assert np.ptp(witness.rewards, axis=1).max() <= B + 1e-9
        lead = witness.weights @ (witness.rewards[:, pair[0]] - witness.rewards[:, pair[1]])
        assert lead == pytest.approx(joint.attained[pair])
        assert 0 <= joint.upper[pair] - lead <= 2e-3
        moments = [
            witness.weights @ expit(witness.rewards[:, 0] - witness.rewards[:, 1]) ** k
            for k in (1, 2)
        ]
        assert moments == pytest.approx(choice_moments(population, 2)[:, 0, 1], abs=1e-6)
    assert set(np.unique(joint.ranking.order)) <= {-1, 0, 1}


def test_a_lowered_certificate_is_caught() -> None:
    """The verification is not blind: where the bound is tight, a little less fails somewhere."""
    population = people(7)
    joint = joint_certificates(
        [Answers.expected(population, q) for q in DESIGNS["pairs"]], B, pairs=[(0, 1)]
    )
    r = joint.witnesses[0, 1].rewards
    assert joint.shortfall((0, 1), r).min() < 2e-3


@pytest.mark.slow
def test_four_responses() -> None:
    population = people(1, responses=4)
    pairs = list(combinations(range(4), 2))
    ends = [(0, 1), (1, 0)]
    once = joint_certificates([Answers.expected(population, [p]) for p in pairs], B, pairs=ends)
    rank = joint_certificates([Answers.expected(population, [(0, 1, 2, 3)])], B, pairs=ends)
    truth = population.mean_reward()
    for joint in (once, rank):
        assert -joint.upper[1, 0] <= truth[0] - truth[1] <= joint.upper[0, 1]
        assert joint.attained[2, 3] == -B
    assert rank.width(0, 1) < once.width(0, 1)


def test_counts_widen_and_cover() -> None:
    counts = [9, 20, 31]
    pair = bounds_from_counts(counts[::-1], B, 0.9)
    joint = joint_certificates([Answers.counted([(0, 1), (0, 1)], counts, 0.9)], B, tolerance=1e-4)
    assert joint.upper[0, 1] == pytest.approx(pair.upper, abs=3e-4)
    assert joint.upper[1, 0] == pytest.approx(-pair.lower, abs=3e-4)


def test_outcomes_of_equal_questions_are_counted_once() -> None:
    assert outcomes([(0, 1)] * 3) == [((0, 1),) * k + ((1, 0),) * (3 - k) for k in (3, 2, 1, 0)]
    assert len(outcomes([(0, 1, 2)])) == 6
    assert len(outcomes([(0, 1), (1, 0)])) == 3
    assert len(outcomes([(0, 1), (0, 2)])) == 4
    law = Answers.expected(people(2), [(0, 1)] * 2 + [(1, 2)]).low
    assert law.sum() == pytest.approx(1)
    other = chances(people(2).rewards, [(0, 1), (0, 1), (1, 2)]) @ people(2).weights
    assert law == pytest.approx([other[0], other[1], other[2] + other[4], other[3] + other[5],
                                 other[6], other[7]])  # fmt: skip


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: outcomes([]), "questions is empty"),
        (lambda: outcomes([(0, 0)]), r"questions\[0\]"),
        (lambda: Answers(((0, 1),), [0.5], [0.5]), "2 outcomes"),
        (lambda: Answers(((0, 1),), [0.5, 1.5], [0.5, 1.5]), r"low\[1\]"),
        (lambda: Answers(((0, 1),), [0.6, 0.5], [0.5, 0.5]), r"low\[0\].*above high"),
        (lambda: Answers(((0, 1),), [0.2, 0.2], [0.3, 0.3]), "sum to 1"),
        (lambda: joint_certificates([], B), "data is empty"),
        (lambda: joint_certificates([Answers(((0, 4),), [0.5] * 2, [0.5] * 2)], B), "responses"),
        (
            lambda: joint_certificates(
                [Answers(((0, 1),), [0.5] * 2, [0.5] * 2)], B, pairs=[(1, 1)]
            ),
            r"pairs\[0\]",
        ),
        (
            lambda: joint_certificates([Answers(((0, 1),), [0.99, 0.01], [0.99, 0.01])], 1.0),
            "no population",
        ),
    ],
)
def test_what_cannot_be_is_named(made: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        made()


def test_more_questions_never_leave_more_open() -> None:
    designs = {"once": DESIGNS["pairs"], "both": DESIGNS["pairs"] + DESIGNS["again"]}
    exact = intervals_of_designs(designs, people(4), B)
    few = intervals_of_designs({"once": DESIGNS["pairs"]}, people(4), B, people=100)
    truth = people(4).mean_reward()[0] - people(4).mean_reward()[1]
    for low, high in (*exact.values(), *few.values()):
        assert low <= truth <= high
    assert np.ptp(exact["both"]) <= np.ptp(exact["once"]) + 1e-2
    assert np.ptp(few["once"]) > np.ptp(exact["once"])


@pytest.mark.slow
def test_a_wide_bound_on_rankings_has_its_interval() -> None:
    """A programme that the simplex method gives up on; the truth lies within, nothing beyond B."""
    stream = np.random.default_rng([0, 0])
    rho = stream.uniform(-10, 10, (5, 3))
    population = Population(rho[1:], stream.dirichlet(np.ones(4)))
    low, high = intervals_of_designs({"": [[(0, 1, 2)]]}, population, 20, 15_000, 0.999)[""]
    truth = population.mean_reward()[0] - population.mean_reward()[1]
    assert -20 <= low <= truth <= high <= 20
