"""Every number in a method, by computing the method again: other solvers, numbers typed here.

Ridges, folds, strengths, priors, clips, widths, starts and tolerances are those of the text of
chapter 14. A method with another one fits other policies than the ones found here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import Bounds, minimize
from scipy.special import expit, log_expit, logsumexp

from hetlib.checks import Array
from hetlib.comparison.budgets import LabelSet
from hetlib.comparison.methods import METHODS, direct, distributional
from hetlib.comparison.methods.direct import correction_path
from hetlib.comparison.methods.games import nash_policy
from hetlib.comparison.methods.ideal_points import fit_points, initial_points, unpack
from hetlib.comparison.tuning import split
from hetlib.comparison.worlds import Conditions, make_world
from hetlib.consistent.expected import integral_loss
from hetlib.core.labels import Linked
from hetlib.core.newton import ConvergenceError
from hetlib.linked.corrected import Correction
from hetlib.linked.moments import JointMoments
from hetlib.mixture.em import em_dpo

RIDGES = (0.1, 1.0, 10.0, 100.0)
WORLD = make_world("own", 0, Conditions(rewards=[[1.5, 0.0, -1.0], [-1.0, 0.8, 0.4]], beta=0.7))
LABELS = LabelSet(WORLD, 300, 1)
Value = Callable[[Array, Any], float]


def margins(s: Array) -> Array:
    return s[..., :, None] - s[..., None, :]


def square(x: Array) -> float:
    """Half the square of the rewards, whose mean is zero in each type."""
    return float(((x - x.mean(axis=-1, keepdims=True)) ** 2).sum() / 2)


def folds(data: Any) -> list[tuple[Any, Any]]:
    out = split(data, LABELS.rng(20), 5)
    return list(out)


def by_hand(
    data: Any,
    value: Value,
    start: Sequence[float] | Array,
    penalty: Callable[[Array], float] = square,
    bounds: Bounds | None = None,
    held: Value | None = None,
) -> tuple[float, Array]:
    """The ridge whose fits to four fifths lose least on the fifth, and the fit to all at it."""

    def fit(part: Any, ridge: float) -> Array:
        def total(x: Array) -> float:
            return value(x, part) + ridge * penalty(x)

        return np.asarray(minimize(total, start, method="L-BFGS-B", bounds=bounds,
                                   options={"ftol": 1e-14, "gtol": 1e-9}).x)  # fmt: skip

    lost = {r: sum((held or value)(fit(kept, r), out) for kept, out in folds(data)) for r in RIDGES}
    ridge = min(RIDGES, key=lambda r: lost[r])
    return ridge, fit(data, ridge)


def agrees(key: str, ridge: float, reward: Array) -> None:
    found = METHODS[key].fit(LABELS)
    assert found.ridge == ridge
    assert np.allclose(found.policy, LABELS.policy(reward), atol=2e-4), key


def logistic(s: Array, wins: Array, k: int = 1) -> float:
    return -float((wins * log_expit(k * margins(s))).sum())


def test_ipo() -> None:
    def value(s: Array, wins: Array) -> float:
        return float((wins * (margins(s) - 0.5) ** 2).sum())

    agrees("ipo", *by_hand(LABELS.anonymous, value, np.zeros(3)))


@pytest.mark.parametrize("key", ["agreement", "integral"])
def test_unanimous_votes(key: str) -> None:
    _, seen = LABELS.votes(1)
    unanimous = seen[-1] + seen[0].T

    def value(s: Array, wins: Array) -> float:
        if key == "agreement":
            return logistic(s, wins, 2)
        return float(integral_loss(wins, 2)(margins(s))[0].sum())

    agrees(key, *by_hand(unanimous, value, np.zeros(3)))


@pytest.mark.parametrize("each", [2, 3])
def test_conditional(each: int) -> None:
    quota, seen = LABELS.votes(each)

    def value(s: Array, part: Array) -> float:
        return float(quota.loss(part)(margins(s))[0].sum())

    agrees(f"conditional {each}", *by_hand(seen, value, np.zeros(3)))


def test_personalised() -> None:
    typed = LABELS.typed
    ridge, x = by_hand(
        typed, lambda x, wins: logistic(x.reshape(2, 3), wins), np.zeros(6),
        lambda x: square(x.reshape(2, 3)),
    )  # fmt: skip
    agrees("personalised", ridge, typed.sum(axis=(1, 2)) / typed.sum() @ x.reshape(2, 3))


def test_random_strength_and_its_width() -> None:
    nodes, weights = np.polynomial.hermite.hermgauss(60)
    z, w = np.sqrt(2) * nodes, weights / np.sqrt(np.pi)

    def value(x: Array, wins: Array) -> float:
        B = np.exp(x[-1] * z - x[-1] ** 2 / 2)
        p = np.tensordot(w, expit(B[:, None, None] * margins(x[:-1])), axes=1)
        return -float((wins * np.log(p)).sum())

    widest = Bounds([-np.inf] * 3 + [0], [np.inf] * 3 + [1.5])
    start = [0.2, 0, -0.2, 0.5]
    ridge, x = by_hand(LABELS.anonymous, value, start, lambda x: square(x[:-1]), widest)
    agrees("mixdpo", ridge, x[:-1])


@pytest.mark.parametrize("key", ["nash", "lottery"])
def test_games(key: str) -> None:
    """Shares of wins with the ridge's number of wins added each way, then no better reply."""
    wins = LABELS.anonymous

    def shares(part: Array, ridge: float) -> Array:
        return np.asarray((part + ridge) / (part + part.T + 2 * ridge))

    off = ~np.eye(3, dtype=bool)
    lost = {
        r: -sum((out * np.log(shares(kept, r)))[off].sum() for kept, out in folds(wins))
        for r in RIDGES
    }
    ridge = min(RIDGES, key=lambda r: lost[r])
    found = METHODS[key].fit(LABELS)
    assert found.ridge == ridge
    P, p = shares(wins, ridge), found.policy
    if key == "lottery":
        assert (p @ P).min() >= 0.5 - 1e-9
    else:
        again = np.log(LABELS.reference) + P @ p / LABELS.beta
        assert np.allclose(p, np.exp(again - logsumexp(again)), atol=1e-9)


def test_corrected_with_its_prior_its_strengths_and_its_floor() -> None:
    both, mixed = LABELS.twice

    def moments(b: Array, m: Array) -> JointMoments:
        """One fair-coin pair of labels is added to each pair of responses."""
        total = b + b.T + m + m.T + 1
        J1, J2 = (b + 0.25) / total, ((m + m.T) / 2 + 0.25) / total
        for J in (J1, J2):
            np.fill_diagonal(J, 0.25)
        return JointMoments(J1, J2)

    def wins(b: Array, m: Array) -> Array:
        return np.asarray(2 * b + m + m.T)

    data = (both, np.triu(mixed))
    strengths = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
    lost: dict[tuple[float, float], float] = {}
    for ridge in RIDGES:
        for kept, out in folds(data):
            J = moments(*kept)
            rewards = correction_path(wins(*kept), J, strengths, ridge)
            for alpha in strengths:
                one = np.inf
                if alpha in rewards:
                    term = Correction(alpha, choice_variance=J.choice_variance)
                    p = np.clip(term.likelihood(margins(rewards[alpha])), 0.001, 0.999)
                    one = -float((wins(*out) * np.log(p)).sum())
                lost[ridge, alpha] = lost.get((ridge, alpha), 0.0) + one
    ridge, alpha = min(lost, key=lambda k: lost[k])
    found = METHODS["corrected tuned"].fit(LABELS)
    assert (found.ridge, found.reached) == (ridge, alpha)
    reward = correction_path(wins(*data), moments(*data), strengths, ridge)[alpha]
    assert np.allclose(found.policy, LABELS.policy(reward), atol=1e-9)


def handed(monkeypatch: pytest.MonkeyPatch, module: Any, key: str) -> tuple[Any, Any]:
    """The fit and the loss that a method hands to cross-validation."""
    found = []

    def capture(_labels: Any, _data: Any, fit: Any, loss: Any) -> None:
        found.append((fit, loss))
        raise ConvergenceError("that is all")

    monkeypatch.setattr(module, "tune", capture)
    with pytest.raises(ConvergenceError):
        METHODS[key].fit(LABELS)
    return found[0][0], found[0][1]


@pytest.mark.parametrize(("winner", "likelihood"), [(0, 0.999), (2, 0.001)])
def test_the_floor_of_the_corrected_likelihood(
    winner: int, likelihood: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At margins so large that only the cut is left."""
    _, loss = handed(monkeypatch, direct, "corrected tuned")
    flat = JointMoments(np.full((3, 3), 0.25), np.full((3, 3), 0.25))
    both = np.zeros((3, 3))
    both[winner, 2 - winner] = 1  # two labels
    found = loss(({0.0: np.array([20.0, 0.0, -20.0])}, flat), (both, np.zeros((3, 3))))
    assert found[0] == pytest.approx(-2 * np.log(likelihood), rel=1e-12)


@pytest.mark.parametrize(("key", "spread"), [("mixdpo", 0.0), ("dpl", np.zeros(2))])
def test_the_floor_of_a_random_utility(
    key: str, spread: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A label against an endless margin costs what one in a million millions does."""
    _, loss = handed(monkeypatch, distributional, key)
    found = loss((np.array([1e4, 0.0]), spread), np.array([[0.0, 5.0], [1.0, 0.0]]))
    assert found == pytest.approx(12 * np.log(10), rel=1e-12)


def test_the_corrected_strengths_have_the_prior_too() -> None:
    both, mixed = LABELS.twice
    m = np.triu(mixed)
    total = both + both.T + m + m.T + 1
    J1, J2 = (both + 0.25) / total, ((m + m.T) / 2 + 0.25) / total
    for J in (J1, J2):
        np.fill_diagonal(J, 0.25)
    for alpha in (1.0, 2.0):
        found = METHODS[f"corrected {alpha:g}"].fit(LABELS)
        path = correction_path(2 * both + m + m.T, JointMoments(J1, J2), (alpha,), found.ridge)
        assert found.reached in path
        assert np.allclose(found.policy, LABELS.policy(path[found.reached]), atol=1e-9)


def test_em_with_its_starts_and_its_tolerance() -> None:
    people, near, best = LABELS.people, None, None
    least = np.inf
    for ridge in RIDGES:

        def fit(data: Linked, near: Any, ridge: float = ridge) -> Any:
            return em_dpo(
                data, 3, 2, beta=0.7, seed=1, starts=3, ridge=ridge, tolerance=1e-4,
                begin=None if near is None else near.rewards,
            )  # fmt: skip

        near = fit(people, near)
        lost = -sum(fit(kept, near).score(out) * len(out) for kept, out in folds(people))
        if lost < least:
            least, best = lost, (ridge, near)
    assert best is not None
    found = METHODS["em average"].fit(LABELS)
    assert found.ridge == best[0]
    assert np.allclose(found.policy, best[1].average_policy, atol=1e-12)


def test_ideal_points_of_two_dimensions() -> None:
    """The likelihood of a person is a mixture over prototypes, spelt out label by label."""
    people = LABELS.people
    free = em_dpo(people, 3, 2, beta=0.7, seed=1, starts=3, ridge=10.0, tolerance=1e-4)

    def surprise(x: Array, data: Linked) -> float:
        f, p, log_mass = unpack(x, 3, 2, 2)
        total = 0.0
        for y1, y2, votes in zip(data.y1, data.y2, data.votes, strict=True):
            logs = []
            for u in range(2):
                r = -((f - p[u]) ** 2).sum(axis=1)
                sign = np.where(votes == 1, 1, -1)
                logs.append(log_mass[u] + log_expit(sign * (r[y2] - r[y1])).sum())
            total -= float(logsumexp(logs))
        return total

    start, near, least = initial_points(free.rewards, free.masses, 2), None, np.inf
    best = (0.0, start)
    for ridge in RIDGES:
        near = fit_points(people, 3, start if near is None else near, 2, 2, ridge)
        lost = sum(
            surprise(fit_points(kept, 3, near, 2, 2, ridge), out) for kept, out in folds(people)
        )
        if lost < least:
            least, best = lost, (ridge, near)
    ridge, x = best
    found = METHODS["pal"].fit(LABELS)
    assert (found.ridge, found.parameters) == (ridge, 3 * 2 + 2 * 2 + 1)
    f, p, log_mass = unpack(x, 3, 2, 2)
    r = -((f[None] - p[:, None]) ** 2).sum(axis=2)
    assert np.allclose(found.policy, LABELS.policy(np.exp(log_mass) @ r), atol=1e-6)

    def penalised(x: Array) -> float:
        f, p, _ = unpack(x, 3, 2, 2)
        r = -((f[None] - p[:, None]) ** 2).sum(axis=2)
        return surprise(x, people) + ridge * square(r)

    # The penalised likelihood is stationary at the fit
    step = 1e-5 * np.eye(len(x))
    slopes = [(penalised(x + e) - penalised(x - e)) / 2e-5 for e in step]
    assert np.abs(slopes).max() < 1e-3 * people.votes.size


def test_where_the_search_for_ideal_points_begins() -> None:
    """Types that agree, responses that are alike: only the least spread and the circle are left."""
    x = initial_points(np.zeros((2, 5)), np.array([0.5, 0.5]), 2)
    points, ideals, _ = unpack(x, 5, 2, 2)
    assert np.linalg.norm(ideals, axis=0) == pytest.approx(np.full(2, np.sqrt(5e-4)))
    assert np.linalg.norm(points[2:], axis=1) == pytest.approx(np.full(3, 0.3 * np.sqrt(0.1)))


def test_the_correction_grows_by_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    both, mixed = LABELS.twice
    seen = []

    def noted(correction: Correction, alpha: float) -> Correction:
        seen.append(alpha)
        return Correction(alpha, choice_variance=correction.choice_variance)

    monkeypatch.setattr(direct, "replace", noted)
    J = JointMoments(np.full((3, 3), 0.25), np.full((3, 3), 0.25))
    correction_path(2 * both + mixed, J, (0.0, 1.0, 1.3), 1.0)
    assert seen == [0.5, 1.0, 1.3]


def test_random_utilities_and_their_width() -> None:
    def value(x: Array, wins: Array) -> float:
        v = x[3:]
        z = margins(x[:3]) / np.sqrt(1 + np.pi / 8 * (v[:, None] + v[None, :]))
        return -float((wins * log_expit(z)).sum())

    widest = Bounds([-np.inf] * 3 + [0] * 3, [np.inf] * 3 + [10] * 3)
    start = [0.2, 0, -0.2, 0.5, 0.5, 0.5]
    ridge, x = by_hand(LABELS.anonymous, value, start, lambda x: float(x @ x / 2), widest)
    least = 0.5 + np.pi / 8 * x[3:].min()  # the scale at which it is one half
    agrees("dpl", ridge, x[:3] * np.sqrt(0.5 / least))


def test_the_widest_strength() -> None:
    """Labels of people whose strengths spread more than the limit allows end at the limit."""
    z, w = np.polynomial.hermite_e.hermegauss(80)
    strength = np.exp(2.5 * z - 2.5**2 / 2)[:, None, None]
    law = np.tensordot(w / w.sum(), expit(strength * margins(np.array([4.0, 0.5, 0, -4]))), axes=1)
    assert distributional.random_strength(1e4 * law, 0.1)[1] == pytest.approx(1.5, abs=1e-9)


def test_the_widest_utility() -> None:
    """One response is a coin toss against all the others, which have a plain order."""
    wins = np.array([[0, 900, 905, 500], [100, 0, 900, 500], [95, 100, 0, 500], [500.0] * 4])
    _, variance = distributional.mean_and_variance(wins, 0.1)
    assert variance == pytest.approx([0, 0, 0, 10], abs=1e-6)


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        ("corrected tuned", (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)),
        ("corrected 1", (0.0, 1.0)),
        ("corrected 2", (0.0, 2.0)),
    ],
)
def test_the_strengths_to_choose_from(
    key: str, wanted: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is fitted to labels whose choice hardly varies, so that every strength is reached."""
    fit, _ = handed(monkeypatch, direct, key)
    both = 240 * (np.ones((3, 3)) - np.eye(3))  # with as many mixed pairs: independent coins
    rewards, _ = fit((both, np.triu(2 * both)), 0.1, None)
    assert tuple(rewards) == wanted


@pytest.mark.parametrize("spread", [0.3, 0.8, 1.5])
@pytest.mark.parametrize("margin", [0.2, 1.0, 3.0, 6.0])
def test_a_random_strength_is_averaged_to_four_digits(margin: float, spread: float) -> None:
    def density(z: float) -> float:
        won = expit(np.exp(spread * z - spread**2 / 2) * margin)
        return float(won * np.exp(-z * z / 2) / np.sqrt(2 * np.pi))

    wanted, _ = quad(density, -12, 12, epsabs=1e-13)
    found = distributional.strength_law(np.array([margin]), spread)
    assert found == pytest.approx([wanted], abs=1e-4)


def test_fits_that_name_no_ridge_have_the_first() -> None:
    for fit in (distributional.random_strength, distributional.mean_and_variance):
        for found, again in zip(fit(LABELS.anonymous), fit(LABELS.anonymous, 0.1), strict=True):
            assert np.all(found == again)


def test_an_equilibrium_that_names_no_penalty_has_one() -> None:
    P = WORLD.population.pairwise()
    assert np.all(nash_policy(P) == nash_policy(P, beta=1.0))
    assert abs(nash_policy(P) - nash_policy(P, beta=1.5)).max() > 1e-3
