"""The ring: rewards by hand, samples against probabilities, optima against other solvers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, softmax

from hetlib.borda.optima import dpo_policy, ipo_loss
from hetlib.checks import Array
from hetlib.consistent.expected import agreement_loss, integral_loss, shifted_agreement_loss
from hetlib.core.newton import PairLoss
from hetlib.core.policies import objective
from hetlib.linked.moments import exact_moments
from hetlib.ring.environment import RingEnvironment, by_offset

RING = RingEnvironment()
SMALL = RingEnvironment(n=8, shifts=(-2, 0, 2), scales=(2.0, 1.0, 2.0), rates=(0.4, 0.5, 0.4))


def test_rewards_are_those_of_the_paper() -> None:
    for x in (0, 3, 39):
        population = RING.population(x)
        for u, (shift, scale, rate) in enumerate(((-10, 4, 0.075), (0, 1.5, 0.1), (10, 4, 0.075))):
            for y in range(40):
                d = min((x + shift - y) % 40, (y - x - shift) % 40)
                assert population.rewards[u, y] == pytest.approx(scale * max(0.0, 1 - rate * d))


@pytest.mark.parametrize("decay", ["linear", "quadratic", "exponential", "gaussian"])
def test_prompts_are_shifts_of_one_another(decay: str) -> None:
    ring = replace(SMALL, decay=decay)
    policies = by_offset(np.array([ring.population(x).optimal_policy() for x in range(8)]))
    rewards = ring.centred().rewards
    assert np.ptp(policies, axis=0).max() < 1e-12
    assert abs(policies[0] - ring.best()).max() < 1e-12
    np.testing.assert_array_equal(ring.offsets[rewards.argmax(axis=1)], [-2, 0, 2])
    for row, shift in zip(rewards, (-2, 0, 2), strict=True):  # symmetric about the peak, falling
        peak = int(shift) + 4
        ahead = [row[(peak + k) % 8] for k in range(5)]
        assert ahead == pytest.approx([row[(peak - k) % 8] for k in range(5)])
        assert (np.diff(ahead) <= 1e-15).all()


def test_one_dimensional_form() -> None:
    table = np.random.default_rng(0).random((5, 5))
    mean = by_offset(table).mean(axis=0)
    for k, delta in enumerate(range(-2, 3)):
        values = [table[x, (x + delta) % 5] for x in range(5)]
        assert mean[k] == pytest.approx(np.mean(values))


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.1, 0.2, 0.45])
def test_noise_turns_that_share_of_the_labels(noise: float) -> None:
    """What a type answers is turned around with exactly this probability."""
    ring = replace(SMALL, noise=noise, weights=(0.5, 0.2, 0.3))
    rewards, p = SMALL.centred().rewards, 0.0
    for w, r in zip((0.5, 0.2, 0.3), rewards, strict=True):
        p = p + w * expit(r[:, None] - r[None, :])
    assert ring.pairwise() == pytest.approx((1 - noise) * p + noise * (1 - p), abs=1e-12)
    assert np.allclose(ring.population(3).pairwise() + ring.population(3).pairwise().T, 1)


def test_samples_follow_the_probabilities() -> None:
    ring = replace(SMALL, weights=(0.5, 0.2, 0.3), noise=0.1)
    D = np.array([0.3, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
    data = ring.sample(400_000, np.random.default_rng(1), sampling=D, labels=2)
    assert np.bincount(data.d1, minlength=8) / len(data) == pytest.approx(D, abs=0.004)
    assert data.types is not None
    assert np.bincount(data.types) / len(data) == pytest.approx(ring.centred().weights, abs=0.004)
    assert ((data.y2 - data.x + 4) % 8 == data.d2).all()
    J = ring.moments()
    for i, j in ((0, 4), (2, 6), (4, 1)):
        of = (data.d2 == i) & (data.d1 == j)
        se = 0.5 / of.sum() ** 0.5
        votes = data.votes[of]
        assert votes[:, 0].mean() == pytest.approx(ring.pairwise()[i, j], abs=4 * se)
        assert (votes == 1).all(axis=1).mean() == pytest.approx(J.J1[i, j], abs=4 * se)
    full = ring.sample_types(400_000, np.random.default_rng(2))
    of = (full.d2 == 6) & (full.d1 == 2)
    expected = ring.pairwise_by_type()[:, 6, 2]
    assert full.votes[of].mean(axis=0) == pytest.approx(expected, abs=4 * 0.5 / of.sum() ** 0.5)
    alike = full.votes.all(axis=1) | ~full.votes.any(axis=1)
    assert alike.mean() == pytest.approx(2 * ring.unanimous().mean(), abs=0.003)


def test_same_seed_same_bytes() -> None:
    one, two = (RING.sample(1000, np.random.default_rng(3), labels=2) for _ in range(2))
    assert one.votes.tobytes() == two.votes.tobytes()
    assert one.d1.tobytes() == two.d1.tobytes()


def test_moments_agree_with_the_population() -> None:
    ours, theirs = RING.moments(), exact_moments(RING.centred())
    assert abs(ours.J1 - theirs.J1).max() < 1e-15
    assert abs(ours.J2 - theirs.J2).max() < 1e-15


def _by_gradient(losses: list[PairLoss], n: int) -> Array:
    """The minimiser of a sum of pair losses by a general-purpose solver, values only."""

    def value(s: Array) -> float:
        H = s[:, None] - s[None, :]
        return float(sum(loss(H)[0].mean() for loss in losses) + s.mean() ** 2)

    tight = {"gtol": 1e-8}
    return np.asarray(softmax(minimize(value, np.zeros(n), method="BFGS", options=tight).x))


def test_optima_agree_with_a_general_solver() -> None:
    A, P = SMALL.unanimous(), SMALL.pairwise()
    k = 3
    cases: dict[str, PairLoss] = {
        "agreement": agreement_loss(A, k),
        "agreement as released": shifted_agreement_loss(A / 2, A / 2, k),
        "integral": integral_loss(A, k),
        "ipo": ipo_loss(P),
    }
    for method, loss in cases.items():
        assert SMALL.optimum(method) == pytest.approx(_by_gradient([loss], 8), abs=2e-6), method
    assert SMALL.optimum("dpo") == pytest.approx(dpo_policy(P), abs=1e-12)
    best = SMALL.best()
    for method in ("agreement", "integral", "personalised", "best"):
        assert SMALL.optimum(method) == pytest.approx(best, abs=1e-9)
    # the slip moves the optimum; its own first-order condition by hand for one pair
    assert abs(SMALL.optimum("agreement as released") - best).max() > 1e-3
    assert SMALL.optimum("corrected", alpha=0.0) == pytest.approx(dpo_policy(P), abs=1e-9)


def test_slip_of_one_pair_by_hand() -> None:
    a, b, h = 0.3, 0.1, 0.17

    def score(h: float) -> float:  # derivative of the released loss for one pair in its margin
        wins = a * (expit(-3 * h) + expit(-3 * (1 + h)))
        return float(-3 * wins + 3 * b * (expit(3 * h) + expit(3 * (h - 1))))

    counts = np.array([[0.0, a], [b, 0.0]])
    loss = shifted_agreement_loss(counts, counts, 3)
    margins = np.array([[0.0, h], [-h, 0.0]])
    slope = loss(margins)[1]
    assert slope[0, 1] - slope[1, 0] == pytest.approx(score(h))


@settings(max_examples=25, deadline=None)
@given(st.floats(-4, 4), st.integers(1, 5))
def test_derivatives_of_pair_losses(h: float, types: int) -> None:
    one = np.ones((1, 1))
    cases = [agreement_loss(one, types), integral_loss(one, types), ipo_loss(one)]
    cases.append(shifted_agreement_loss(one, one, types))
    for loss in cases:
        H = np.array([[h]])
        e = 1e-5
        value, slope, curve = (float(part[0, 0]) for part in loss(H))
        up, down = loss(H + e), loss(H - e)
        size = 1 + abs(value) + abs(slope) + abs(curve)
        assert (up[0] - down[0])[0, 0] / (2 * e) == pytest.approx(slope, abs=1e-5 * size)
        assert (up[1] - down[1])[0, 0] / (2 * e) == pytest.approx(curve, abs=1e-5 * size)


def test_best_policy_maximises_the_objective() -> None:
    reward, best = RING.centred().mean_reward(), RING.best()
    rng = np.random.default_rng(0)
    for _ in range(20):
        other = softmax(np.log(best) + 0.1 * rng.standard_normal(40))
        assert objective(other, reward) < objective(best, reward)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n": 1}, "n is 1"),
        ({"shifts": (0, 1)}, "one entry a type"),
        ({"decay": "cubic"}, "decay is 'cubic'"),
        ({"rates": (0.1, -1.0, 0.1)}, "rates\\[1\\]"),
        ({"decay": "gaussian", "rates": (0.5, 2.0, 0.5)}, "rates\\[1\\]"),
        ({"noise": 0.5}, "noise is 0.5"),
        ({"weights": (0.5, 0.6, 0.1)}, "weights"),
        ({"link": "cubic"}, "link"),
    ],
)
def test_bad_environments(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(RING, **change)  # type: ignore[arg-type]


def test_bad_questions() -> None:
    with pytest.raises(ValueError, match="x is 40"):
        RING.population(40)
    with pytest.raises(ValueError, match="size is 0"):
        RING.sample(0, np.random.default_rng(0))
    with pytest.raises(ValueError, match="method is 'ppo'"):
        RING.optimum("ppo")
    with pytest.raises(ValueError, match="types is 0"):
        agreement_loss(np.ones((2, 2)), 0)
    with pytest.raises(ValueError, match="square"):
        by_offset(np.ones((2, 4)))


def test_a_size_without_a_solution_is_nan_and_the_others_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from hetlib.core.newton import ConvergenceError
    from hetlib.ring import curves

    fit = curves.fit_many

    def failing(
        environment: RingEnvironment, method: str, size: int, *rest: Any, **options: Any
    ) -> Array:
        if size == 1000:
            raise ConvergenceError("no minimum")
        return fit(environment, method, size, *rest, **options)

    monkeypatch.setattr(curves, "fit_many", failing)
    found = curves.learning_curves(RingEnvironment(n=8), [1000, 2000], 2, 0, ["dpo"])["dpo"]
    assert np.isnan(found["tv"][0]).all()
    assert np.isfinite(found["tv"][1]).all()


@pytest.mark.parametrize(
    ("decay", "fallen"),
    [
        ("linear", (1, 0.7, 0.4, 0.1, 0)),
        ("quadratic", (1, 0.7, 0, 0, 0)),
        ("exponential", (1, 0.3, 0.09, 0.027, 0.0081)),
        ("gaussian", (1, 0.3, 0.0081, 0.3**9, 0.3**16)),
    ],
)
def test_how_a_reward_falls_with_the_distance(decay: str, fallen: tuple[float, ...]) -> None:
    """At the offsets -4 to 3, for a type at its peak at 0 and one shifted by a step."""
    ring = RingEnvironment(n=8, shifts=(0, 1), scales=(2.0, -3.0), rates=(0.3, 0.3), decay=decay)
    by_offset = np.array([fallen[abs(k)] for k in range(-4, 4)])
    found = ring.centred().rewards
    assert found[0] == pytest.approx(2 * by_offset, abs=1e-15)
    assert found[1] == pytest.approx(-3 * np.roll(by_offset, 1), abs=1e-15)


@pytest.mark.parametrize("vote", [np.nan, 0.5, 2, -1, np.inf, 1e308])
@pytest.mark.parametrize("kind", ["one", "all"])
def test_votes_on_the_ring_are_0_or_1(kind: str, vote: float) -> None:
    data = RingEnvironment(n=6).sample(20, np.random.default_rng(0))
    votes = data.votes.astype(float)
    votes[np.arange(20) == 3 if kind == "one" else data.votes[:, 0] == 0] = vote
    with pytest.raises(ValueError, match=r"votes\[\d+, 0\] is .*; allowed are 1"):
        replace(data, votes=votes)


@pytest.mark.parametrize("name", ["x", "d1", "d2"])
@pytest.mark.parametrize("index", [-1, 6, 10**9])
def test_places_on_the_ring_are_its_own(name: str, index: int) -> None:
    data = RingEnvironment(n=6).sample(20, np.random.default_rng(0))
    changed = getattr(data, name).copy()
    changed[4] = index
    with pytest.raises(ValueError, match=rf"{name}\[4\] is {index}; from 0 to 5"):
        replace(data, **{name: changed})
