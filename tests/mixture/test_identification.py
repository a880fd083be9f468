"""What answers can tell about latent types."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest

from hetlib import Population
from hetlib.mixture import (
    AnswerLaw,
    annotators_needed,
    chernoff_information,
    design,
    kl_information,
    likelihood_ratio_errors,
    sample_rankings,
    solve_law,
)

ODDS, MASSES = [[4.0, 1, 1], [2 / 3, 1, 1]], [0.25, 0.75]
HIDDEN = np.log(ODDS)  # fair coins, one label each; its mirror image is -HIDDEN


def random_mixture(seed: int, types: int, responses: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(types, responses)), rng.dirichlet(np.full(types, 4.0))


def test_law_by_hand() -> None:
    law = AnswerLaw(design(3, 1, 3), 3)
    got = dict(
        zip(map(tuple, law.rankings.orders[:, 0]), law.probabilities(HIDDEN, MASSES), strict=True)
    )
    for order in permutations(range(3)):
        exact = Fraction(0)
        for odds, w in (((4, 1, 1), Fraction(1, 4)), ((Fraction(2, 3), 1, 1), Fraction(3, 4))):
            a, b, c = (Fraction(odds[y]) for y in order)
            exact += w * a / (a + b + c) * b / (b + c)
        assert got[order] == pytest.approx(float(exact), abs=1e-15)


@pytest.mark.parametrize(("tasks", "length"), [(1, 2), (2, 2), (3, 2), (1, 3), (2, 3)])
def test_law_sums_to_one_and_has_its_derivative(tasks: int, length: int) -> None:
    law = AnswerLaw(design(4, tasks, length), 4)
    r, w = random_mixture(0, 3, 4)
    p, J = law.probabilities(r, w), law.jacobian(r, w)
    assert p.sum() == pytest.approx(1)
    step = 1e-6
    for k, y in ((0, 1), (2, 3)):
        up, down = r.copy(), r.copy()
        up[k, y] += step
        down[k, y] -= step
        slope = (law.probabilities(up, w) - law.probabilities(down, w)) / (2 * step)
        assert J[:, 3 * k + y - 1] == pytest.approx(slope, abs=1e-8)
    move = step * np.array([1, 0, -1])
    slope = (law.probabilities(r, w + move) - law.probabilities(r, w - move)) / (2 * step)
    assert J[:, -2] == pytest.approx(slope, abs=1e-8)


@pytest.mark.parametrize("types", [2, 3, 4])
@pytest.mark.parametrize(("responses", "tasks", "length"), [(3, 1, 3), (3, 2, 2), (4, 1, 3)])
def test_exact_rank_is_the_numerical_rank(
    types: int, responses: int, tasks: int, length: int
) -> None:
    law = AnswerLaw(design(responses, tasks, length), responses)
    s = np.linalg.svd(law.jacobian(*random_mixture(1, types, responses)), compute_uv=False)
    assert law.rank(types) == (s > 1e-10 * s[0]).sum()


def test_two_linked_comparisons_see_what_a_ranking_of_three_does_not() -> None:
    assert AnswerLaw(design(3, 1, 3), 3).rank(3) == 5  # of 8 unknowns
    assert AnswerLaw(design(3, 2, 2), 3).rank(3) == 8
    assert AnswerLaw(design(4, 1, 3), 4).rank(4) == 14  # of 15
    assert AnswerLaw(design(4, 2, 2), 4).rank(4) == 15


def test_mirror_images_on_fair_coins() -> None:
    for tasks in (1, 2):
        law = AnswerLaw(design(3, tasks, 2), 3)
        p, q = law.probabilities(HIDDEN, MASSES), law.probabilities(-HIDDEN, MASSES)
        assert p == pytest.approx(q, abs=1e-15)
        assert annotators_needed(p, q) == (np.inf, np.inf)
    for tasks, length in ((3, 2), (1, 3)):
        law = AnswerLaw(design(3, tasks, length), 3)
        assert (
            abs(law.probabilities(HIDDEN, MASSES) - law.probabilities(-HIDDEN, MASSES)).max() > 1e-4
        )


def test_numbers_of_annotators_bracket_the_simulation() -> None:
    law = AnswerLaw(design(3, 3, 2), 3)
    p, q = law.probabilities(HIDDEN, MASSES), law.probabilities(-HIDDEN, MASSES)
    least, enough = annotators_needed(p, q)
    rng = np.random.default_rng(0)
    assert max(likelihood_ratio_errors(p, q, int(enough), 4000, rng)) < 0.05
    assert max(likelihood_ratio_errors(p, q, int(least), 4000, rng)) > 0.05
    assert 0 < chernoff_information(p, q) < min(kl_information(p, q), kl_information(q, p))
    with pytest.raises(ValueError, match=r"error is 0\.3"):
        annotators_needed(p, q, 0.3)
    with pytest.raises(ValueError, match="entries"):
        chernoff_information(p, q[1:])


def test_chernoff_of_coins() -> None:
    """Opposite coins: the best exponent is one half."""
    p = np.array([0.8, 0.2])
    assert chernoff_information(p, p[::-1]) == pytest.approx(-np.log(2 * np.sqrt(0.16)))


def test_solving_finds_the_truth() -> None:
    law = AnswerLaw(design(3, 2, 2), 3)
    r, w = random_mixture(3, 2, 3)
    found = solve_law(law, law.probabilities(r, w), 2, 20, np.random.default_rng(0))
    order = np.argsort(-w)
    assert len(found) == 1
    assert found[0][0] == pytest.approx((r - r.mean(axis=1, keepdims=True))[order], abs=1e-5)
    assert found[0][1] == pytest.approx(w[order], abs=1e-6)
    with pytest.raises(ValueError, match="3 types"):
        solve_law(AnswerLaw(design(3, 1, 2), 3), np.full(6, 1 / 6), 3, 1, np.random.default_rng(0))


def test_law_is_what_the_sampler_draws() -> None:
    law = AnswerLaw(design(3, 1, 3), 3)
    draws = sample_rankings(Population(HIDDEN, MASSES), 40_000, np.random.default_rng(0), 1, 3)
    p = law.probabilities(HIDDEN, MASSES)
    for order, chance in zip(law.rankings.orders[:, 0], p, strict=True):
        assert (draws.orders[:, 0] == order).all(axis=1).mean() == pytest.approx(chance, abs=0.01)


def test_bad_designs() -> None:
    with pytest.raises(ValueError, match="no questionnaire"):
        design(3, 1, 4)
    with pytest.raises(ValueError, match="no questionnaire"):
        design(2, 2, 2, repeat=False)
    with pytest.raises(ValueError, match="tasks is 0"):
        design(3, 0)
