"""Every entry of book/errata.md that a computation can decide, one test each."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations, product
from math import factorial

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.stats import binom

from hetlib import Population, normalized_borda_count
from hetlib.checks import Array


def sigmoid(x: float | Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-np.asarray(x, dtype=float))))


def logit(p: float | Array) -> Array:
    p = np.asarray(p, dtype=float)
    return np.asarray(np.log(p / (1 - p)))


def chi(votes: tuple[int, ...], z: Array) -> float:
    """Probability of the votes ``votes`` (types,) when type u says 1 with chance z[u]."""
    return float(np.prod(np.where(np.array(votes) == 1, z, 1 - z)))


def test_prop_3_1() -> None:
    """exp(mean) passes the ordering test, and its differences change."""
    rng = np.random.default_rng(0)
    rewards = rng.normal(size=(200, 3))
    shifted = rewards + rng.normal(size=3)
    before, after = np.exp(rewards.mean(1)), np.exp(shifted.mean(1))
    assert np.array_equal(np.argsort(before), np.argsort(after))
    assert not np.allclose(before[1:] - before[:-1], after[1:] - after[:-1])


def odds_product(small: float, ones: int, zeros: int, corrected: bool) -> float:
    """(chi_0 / chi_1) over (1 - z')/z', with Eq. (24) as printed or as it must read."""
    near_zero = np.full(zeros, small)
    if corrected:  # the odds of both sets multiply to one
        near_one = sigmoid(np.full(ones, -logit(near_zero).sum() / ones))
    else:
        near_one = np.full(ones, np.prod(1 - near_zero) ** (1 / ones))
        assert np.prod(near_one) == pytest.approx(np.prod(1 - near_zero))
    z = np.concatenate([near_one, near_zero])
    return float(np.prod((1 - z) / z))


def test_eq_24() -> None:
    """The printed condition works for sets of one size only."""
    small = 10.0 ** -np.arange(2, 6)
    assert [odds_product(e, 1, 1, corrected=False) for e in small] == pytest.approx(np.ones(4))
    diverging = [odds_product(e, 1, 2, corrected=False) for e in small]
    assert diverging == pytest.approx(2 / small, rel=0.01)
    for sizes in [(1, 2), (2, 1), (2, 3)]:
        fixed = [odds_product(e, *sizes, corrected=True) for e in small]
        assert fixed == pytest.approx(np.ones(4))


@pytest.mark.parametrize("types", [2, 3, 4])
def test_theorem_6_2(types: int) -> None:
    """At one theta*, the first-order condition leaves weight on unanimous votes alone."""
    votes = list(product([0, 1], repeat=types))
    free = np.random.default_rng(types).normal(size=(4 * len(votes), types - 1))
    log_odds = np.column_stack([free, 0.7 - free.sum(1)])  # their mean, theta*, is fixed
    conditions = np.array([[chi(v, z) for v in votes] for z in sigmoid(log_odds)])
    values, right = np.linalg.svd(conditions)[1:]
    assert np.sum(values > 1e-9) == len(votes) - 1
    support = [v for v, weight in zip(votes, right[-1], strict=True) if abs(weight) > 1e-8]
    assert support == [(0,) * types, (1,) * types]


@pytest.mark.parametrize("types", [2, 4])
def test_theorem_6_2_antisymmetric(types: int) -> None:
    """Terms on mixed votes that change sign under swapping have expectation zero."""
    rng = np.random.default_rng(types)
    rewards, D = rng.normal(size=(types, 4)), rng.dirichlet(np.ones(4))
    z = sigmoid(rewards[:, :, None] - rewards[:, None, :])  # i, shown second, beats j
    p = rng.dirichlet(np.ones(4), size=20)
    margin = np.log(p)[:, :, None] - np.log(p)[:, None, :]
    squares = p[:, :, None] ** 2 - p[:, None, :] ** 2
    mixed = [v for v in product([0, 1], repeat=types) if 0 < sum(v) < types]
    by_votes = [np.where(np.array(v)[:, None, None] == 1, z, 1 - z).prod(axis=0) for v in mixed]
    chance = np.sum(by_votes, axis=0)
    for term in (margin, squares):
        each = np.einsum("kij,ij,i,j->kij", term, chance, D, D)
        assert np.abs(each).max() > 1e-3  # though it depends on the policy, pair by pair
        assert each.sum(axis=(1, 2)) == pytest.approx(np.zeros(20), abs=1e-12)


def test_lemma_c_1_hypothesis() -> None:
    """A term that is no function of h costs nothing if pairs come from the reference."""
    reference = np.array([0.5, 0.3, 0.2])
    policies = np.random.default_rng(1).dirichlet(np.ones(3), size=50)
    ratio = policies / reference
    term = ratio[:, :, None] + ratio[:, None, :]

    def expected(D: Array) -> Array:
        return np.asarray(np.einsum("kij,i,j->k", term, D, D))

    assert expected(reference) == pytest.approx(np.full(50, 2.0))
    assert np.ptp(expected(np.full(3, 1 / 3))) > 0.5


def test_lemma_c_1_mass() -> None:
    """Times 1 + m, the agreement loss has its minimum in h where it was; the policy moves."""
    rewards = np.array([[2.0, 0.0, -1.0], [0.5, 1.5, 0.0]])
    mean = rewards.mean(axis=0)
    best = np.exp(mean) / np.exp(mean).sum()
    z = sigmoid(rewards[:, :, None] - rewards[:, None, :])
    wins = z.prod(axis=0)  # both types prefer i to j

    def loss(policy: Array, mass: float) -> float:
        h = np.log(policy)[:, None] - np.log(policy)[None, :]
        pair = -wins * np.log(sigmoid(2 * h)) - wins.T * np.log(sigmoid(-2 * h))
        return float(((1 + mass * (policy[:, None] + policy[None, :])) * pair).sum())

    def slope(mass: float) -> float:
        """Steepest change of the loss at the optimal policy, over directions that sum to 0."""
        steps = 1e-5 * (np.eye(3) - 1 / 3)
        return max(abs(loss(best + d, mass) - loss(best - d, mass)) / 2e-5 for d in steps)

    assert slope(0.0) < 1e-8
    assert slope(1.0) > 1e-2


def swap(P: Array, i: int, j: int, margin: float) -> Array:
    """Nearest D to uniform with NBC(i) <= NBC(j) + margin (Appendix D's programme)."""
    n, eye = len(P), np.eye(len(P))
    upper = np.vstack([np.hstack([-eye, -eye]), np.hstack([eye, -eye])])
    upper = np.vstack([upper, np.append(P[i] - P[j], np.zeros(n))])
    bound = np.concatenate([np.full(n, -1 / n), np.full(n, 1 / n), [margin]])
    result = linprog(
        np.append(np.zeros(n), np.full(n, 0.5)),
        A_ub=upper,
        b_ub=bound,
        A_eq=np.append(np.ones(n), np.zeros(n))[None],
        b_eq=[1],
        bounds=[(1e-5, None)] * n + [(0, None)] * n,
    )
    assert result.success
    return np.asarray(result.x[:n])


def test_appendix_d_delta() -> None:
    """As printed, the programme stops before the order has changed."""
    P = Population([[6, 1, 4], [3, 9, 4]]).pairwise()
    assert np.argmax(normalized_borda_count(P)) == 0
    printed, meant = (normalized_borda_count(P, swap(P, 0, 1, s * 1e-5)) for s in (1, -1))
    assert printed[0] > printed[1]  # "swapped", yet the order is the old one
    assert meant[1] > meant[0]
    assert np.allclose(swap(P, 0, 1, 0.05), 1 / 3)  # nothing moves at all


TABLE_1 = np.array([[65.61, 67.55, 68.77, 68.70, 66.28], [66.63, 69.55, 75.21, 72.04, 74.95]])
TABLE_2 = np.array([[92.33, 85.38, 88.46, 89.69, 91.94], [95.26, 92.01, 94.60, 93.57, 93.87]])


def test_llm_gain() -> None:
    """The gain is 4.3 percentage points of 8,552 pairs."""
    for table, text in [(TABLE_1, (67.4, 71.7)), (TABLE_2, (89.6, 93.9))]:
        low, high = table.mean(1)
        assert (round(low, 1), round(high, 1)) == text
        assert round(high - low, 1) == 4.3
        assert round(100 * (high / low - 1), 1) != 4.3
    assert round(0.043 * 8552) == 368 != round(0.043 * 17104)
    assert 2 * 8552 == 17104


def test_prop_6_1() -> None:
    """Given agreement, the margin is multiplied by the number of types."""
    differences = np.array([0.8, -0.3, 1.1])
    agree = np.prod(sigmoid(differences))
    given = agree / (agree + np.prod(sigmoid(-differences)))
    assert given == pytest.approx(sigmoid(3 * differences.mean()))
    assert given != pytest.approx(sigmoid(differences.mean()))


def mean_of_eq_20(tau: float) -> float:
    return float(0.5 * np.log((4 / 9 - tau**2) / (1 / 9 - tau**2)))


def test_eq_20() -> None:
    """The logits are swapped; their mean is half a logarithm."""
    for tau in (0.05, 0.2, 0.3):
        a, b = logit(2 / 3 + tau), logit(2 / 3 - tau)
        assert a == pytest.approx(np.log((2 / 3 + tau) / (1 / 3 - tau)))
        assert a != pytest.approx(np.log((2 / 3 - tau) / (1 / 3 + tau)))  # printed
        assert (a + b) / 2 == pytest.approx(mean_of_eq_20(tau))
        assert (a + b) / 2 != pytest.approx(np.log((4 / 3 - tau**2) / (1 / 3 - tau**2)))


@pytest.mark.parametrize("responses", [2, 3, 4])
def test_strategy_3(responses: int) -> None:
    """Average reward over all permutations."""
    first, second = mean_of_eq_20(0.1), mean_of_eq_20(0.2)
    total = np.zeros(responses)
    for order in permutations(range(responses)):
        identity = order == tuple(range(responses))
        total[order[0]] += second if identity else first
    mean = total / factorial(responses)
    assert mean[1:] == pytest.approx(np.full(responses - 1, first / responses))
    assert mean[0] == pytest.approx(first / responses + (second - first) / factorial(responses))
    assert mean[0] > mean[1]
    assert (mean[0] == pytest.approx(second / responses)) == (responses == 2)


def test_lemma_c_1_ratio() -> None:
    """The conditional probability is ratio / (1 + ratio)."""
    policy = np.array([0.2, 0.5, 0.3])
    conditional, ratio = policy[1] / policy[:2].sum(), policy[1] / policy[0]
    assert conditional == pytest.approx(ratio / (1 + ratio))
    assert conditional != pytest.approx(ratio)


def test_lemma_5_3() -> None:
    """The remainder survives a vanishing third moment."""
    mean, sizes = 1.0, np.array([0.2, 0.1, 0.05])
    slope = sigmoid(mean) * (1 - sigmoid(mean))
    error = [np.var(sigmoid(mean + d * np.array([-1, 1]))) - slope**2 * d**2 for d in sizes]
    assert np.all(np.abs(error) > 1e-9)  # though E(D - mean)^3 = 0
    assert error / sizes**4 == pytest.approx(np.full(3, error[-1] / sizes[-1] ** 4), rel=0.01)


def test_prop_b_1() -> None:
    """The printed index runs round the other way."""
    assert [(i + 1) % 3 + 1 for i in (1, 2, 3)] == [3, 1, 2]  # printed: the predecessor
    assert [i % 3 + 1 for i in (1, 2, 3)] == [2, 3, 1]
    rewards = np.array([[1.0, 2, 3], [1, 2, 4]])
    P = Population(rewards).pairwise()
    forward, backward = P[0, 1] * P[1, 2] * P[2, 0], P[0, 2] * P[2, 1] * P[1, 0]
    printed = [
        np.prod([sigmoid(rewards[s[i], i] - rewards[s[i], (i + 2) % 3]) for i in range(3)])
        for s in product([0, 1], repeat=3)
    ]
    assert np.mean(printed) == pytest.approx(backward)
    assert forward != pytest.approx(backward, rel=0.01)


def test_lemma_c_3() -> None:
    """The last product needs a minus sign."""
    p, q = 0.7, 0.2
    odds = (1 - p) * (1 - q) / (p * q)
    total = (1 - p) * q - odds * p * q - (1 - p) * (1 - q) / odds + p * (1 - q)
    assert total == pytest.approx(-(2 * p - 1) * (2 * q - 1))


@pytest.mark.parametrize("gamma", [2.0, 10.0, 1000.0])
def test_strategy_1(gamma: float) -> None:
    """No continuity needed: a step as link keeps within 1 / (2 gamma) of one half."""
    rng = np.random.default_rng(2)
    rewards, weights = rng.normal(size=(3, 4)), rng.dirichlet(np.ones(3))
    scaled = np.vstack([gamma * rewards, np.zeros(4)])
    masses = np.append(weights / gamma, 1 - 1 / gamma)
    assert masses @ scaled == pytest.approx(weights @ rewards)
    difference = scaled[:, :, None] - scaled[:, None, :]
    pairwise = np.einsum("u,uij->ij", masses, (np.sign(difference) + 1) / 2)
    assert np.abs(pairwise - 0.5).max() <= 1 / (2 * gamma) + 1e-12


def test_strategy_2() -> None:
    """A dictator names a given order in a sixth of the profiles; a vote can ruin a learner."""
    orders = list(permutations(range(3)))
    profiles = list(product(orders, repeat=2))
    hits = sum(profile[0] == orders[0] for profile in profiles)
    assert Fraction(hits, len(profiles)) == Fraction(1, 6)
    for K in (1, 2, 10):
        epsilon = Fraction(5, 18 * (K + 1))
        assert 1 - 3 * epsilon == Fraction(1, 6) + 3 * K * epsilon
        assert epsilon < Fraction(1, 3 * (K + 1))  # printed
    right = 1 / 6 + 0.05  # better than chance, with one favourite mistake
    assert binom.sf(50, 101, right) < 1e-6 < right


def test_prop_5_2() -> None:
    """Eq. (20) at two values of tau: equal probabilities, different variances."""
    variances = []
    for tau in (0.1, 0.3):
        rewards = np.array([logit(2 / 3 + tau), logit(2 / 3 - tau)])
        assert sigmoid(rewards).mean() == pytest.approx(2 / 3)
        variances.append(rewards.var())
    assert variances[1] > 1.5 * variances[0]


def test_prop_b_3() -> None:
    """For one type the loss is DPO's minus one."""
    s = np.linspace(0.05, 0.95, 19)
    integral = np.log(s) - s + 1  # of 1/t - 1 from 1 to s: negative below 1, as it should be
    assert np.all(integral < 0)
    assert -s - integral == pytest.approx(-np.log(s) - 1)
