"""Losses, orders and smallest changes: defaults, tolerances and what each answer says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from hetlib.borda import sensitivity
from hetlib.borda.counts import pairwise_shares, same_order
from hetlib.borda.optima import dpo_loss, ipo_loss, ipo_policy
from hetlib.core.newton import PairLoss
from hetlib.core.population import Population

Array = NDArray[np.float64]


@pytest.mark.parametrize(
    ("made", "by_hand"),
    [
        (ipo_loss, lambda h: (h - 0.5) ** 2),
        (dpo_loss, lambda h: np.log1p(np.exp(-h))),
    ],
)
def test_slopes_and_curvatures_are_those_of_the_values(
    made: Callable[[Array], PairLoss], by_hand: Callable[[Array], Array]
) -> None:
    """Of every pair at many margins, by differences; the losses as the paper prints them."""
    rng = np.random.default_rng(0)
    weight = rng.uniform(0.5, 2, size=(4, 4))
    H, e = rng.normal(scale=2, size=(4, 4)), 1e-4
    value, slope, curve = made(weight)(H)
    up, down = made(weight)(H + e), made(weight)(H - e)
    np.testing.assert_allclose(value, weight * by_hand(H))
    np.testing.assert_allclose(slope, (up[0] - down[0]) / (2 * e), atol=1e-6)
    np.testing.assert_allclose(curve, (up[1] - down[1]) / (2 * e), atol=1e-6)


def test_ipo_has_beta_one_unless_said_otherwise() -> None:
    P = Population([[0.0, 1.0, 3.0]]).pairwise()
    np.testing.assert_allclose(ipo_policy(P), ipo_policy(P, None, None, 1.0))
    assert abs(ipo_policy(P) - ipo_policy(P, beta=2.0)).max() > 0.01


def test_scores_within_the_tolerance_are_ties_on_both_sides() -> None:
    exact, near = [1.0, 1.0, 0.0], [1.0, 1.01, 0.0]
    for a, b in ((exact, near), (near, exact)):
        assert same_order(a, b, tolerance=0.1)
        assert not same_order(a, b)


def test_shares_by_hand() -> None:
    counts = np.array([[7.0, 3, 0], [1, 0, 2], [0, 2, 5]])
    expected = [[0.5, 0.7, 0.5], [0.3, 0.5, 0.5], [0.5, 0.5, 0.5]]
    np.testing.assert_allclose(pairwise_shares(counts, prior=0.5), expected)


def random_matrix(seed: int, n: int = 4) -> Array:
    rng = np.random.default_rng(seed)
    rewards = rng.normal(scale=3, size=(3, n))
    P = expit(rewards[:, :, None] - rewards[:, None, :]).mean(axis=0)
    return np.asarray(P)


@pytest.mark.parametrize("seed", range(12))
def test_every_way_to_a_change_uses_the_settings_that_it_is_given(seed: int) -> None:
    """The default is 1e-5 for both; whoever sets them gets the change of exactly these."""
    P = random_matrix(seed)
    means = P.mean(axis=1)
    i, j = (int(k) for k in np.argsort(-means)[:2])
    for one, other in (
        (sensitivity.pair_change(P, i, j), sensitivity.pair_change(P, i, j, 1e-5, 1e-5)),
        (sensitivity.linear_programme(P, i, j), sensitivity.linear_programme(P, i, j, 1e-5, 1e-5)),
    ):
        assert (one is None) == (other is None)
        assert one is None or other is None or one.tv == other.tv
    plain = sensitivity.distances([P])
    assert plain == sensitivity.distances([P], 1e-5, 1e-5, top=False)
    assert plain <= sensitivity.distances([P], top=True)
    support, margin = 0.01, 0.02
    changes = sensitivity.smallest_changes(P, support, margin)
    # j overtakes i: the first choice falls if the better of a pair is the first
    rows = [changes[i, k] for k in range(len(P)) if k != i]
    found = sensitivity.top_change(P, support, margin)
    best = np.nanmin(np.where(np.isnan(rows), np.inf, rows))
    assert (found is None) == np.isinf(best)
    if found is not None:
        assert found.tv == pytest.approx(best, abs=1e-12)
        assert found.sampling.min() >= support - 1e-12
        scores = P @ found.sampling
        assert scores[found.pair[1]] - scores[found.pair[0]] >= margin - 1e-9


@pytest.mark.parametrize("seed", range(12))
def test_the_linear_programme_says_what_it_found(seed: int) -> None:
    P = random_matrix(seed, 5)
    i, j = (int(k) for k in np.argsort(-P.mean(axis=1))[:2])
    found = sensitivity.linear_programme(P, i, j, 1e-3, 1e-3)
    greedy = sensitivity.pair_change(P, i, j, 1e-3, 1e-3)
    assert (found is None) == (greedy is None)
    if found is not None and greedy is not None:
        assert found.pair == greedy.pair == (i, j)
        assert found.sampling.shape == (5,)
        assert abs(found.sampling - 1 / 5).sum() / 2 == pytest.approx(found.tv, abs=1e-9)
        assert found.sampling.min() >= 1e-3 - 1e-9
        scores = P @ found.sampling
        assert scores[j] - scores[i] >= 1e-3 - 1e-8
        assert found.tv == pytest.approx(greedy.tv, abs=1e-9)


def test_first_places_are_found_question_by_question() -> None:
    """A clear question beside a close one: its first choice stays its own."""
    close, clear = random_matrix(0), random_matrix(3)
    together = sensitivity.distances([close, clear, close], top=True)
    for k, P in enumerate((close, clear, close)):
        found = sensitivity.top_change(P)
        assert together[k] == (np.inf if found is None else pytest.approx(found.tv, abs=1e-12))
