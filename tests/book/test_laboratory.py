"""The laboratory: its formulas against hetlib, and its page by mouse, keyboard and address."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page
from scipy.optimize import linprog
from scipy.special import log_ndtr

import hetlib
from hetlib.borda.counts import maximal_lottery
from hetlib.borda.optima import dpo_reward
from hetlib.comparison.methods.latent import maxmin_policy
from hetlib.core.link import LINKS
from hetlib.core.policies import kl_divergence, optimal_policy
from hetlib.linked.bounds import certified_ranking, choice_moments

ROOT = Path(__file__).parents[2]
LAB = ROOT / "book" / "_static" / "lab"
MATHS = ("links", "population", "optima", "sampling", "certainty", "search")
Array = np.ndarray[Any, np.dtype[np.float64]]

EVERYTHING = """populations => populations.map(p => {
    const byType = Lab.population.pairwiseByType(p), P = Lab.population.pairwise(p);
    const mean = Lab.population.meanReward(p), policy = r => Lab.population.policy(r, p.reference, p.beta);
    const best = policy(mean), dpo = Lab.optima.dpoReward(P, p.sampling), worst = Lab.optima.maxMin(p);
    return {
        P, mean, best, dpo, borda: Lab.population.borda(P, p.sampling), dpoPolicy: policy(dpo),
        ipo: policy(Lab.population.borda(P, p.sampling)), maxmin: worst.policy, prices: worst.weights,
        lottery: Lab.optima.maximalLottery(P).lottery, loss: Lab.population.loss(policy(dpo), best, p.beta),
        here: Lab.sampling.rankingChange(P, p.sampling),
        uniform: Lab.sampling.rankingChange(P, p.sampling.map(() => 1 / p.sampling.length)),
        upper: p.link === 'logistic' ? [1, 2, 3].map(m => Lab.certainty.upperBounds(byType, p.weights, m, p.bound)) : [],
    };
})"""


@dataclass
class Case:
    """A random population, its settings, and what the browser makes of it."""

    people: hetlib.Population
    sampling: Array
    reference: Array
    beta: float
    bound: float
    js: dict[str, Any]

    @property
    def P(self) -> Array:
        return self.people.pairwise()


def settings(rng: np.random.Generator) -> dict[str, Any]:
    types, n = int(rng.integers(2, 5)), int(rng.integers(2, 7))
    spread = float(rng.choice([0.3, 1.0, 3.0]))
    rewards = np.clip(rng.normal(scale=spread, size=(types, n)), -10, 10)
    temperature = float(max(np.exp(rng.uniform(-1, 1)), np.ptp(rewards, axis=1).max() / 6))
    far = np.ptp(rewards, axis=1).max() / temperature
    return {
        "rewards": rewards.tolist(),
        "weights": rng.dirichlet(np.ones(types)).tolist(),
        "link": str(rng.choice(list(LINKS), p=[0.6, 0.2, 0.2])),
        "temperature": temperature,
        "sampling": (0.01 + (1 - 0.01 * n) * rng.dirichlet(np.ones(n))).tolist(),
        "reference": (0.01 + (1 - 0.01 * n) * rng.dirichlet(np.ones(n))).tolist(),
        "beta": float(np.exp(rng.uniform(-1.5, 1.5))),
        "bound": float(far * rng.uniform(1.02, 2)),
    }


@pytest.fixture(scope="module")
def maths(browser: Browser) -> Iterator[Page]:
    with browser.new_page() as page:
        for name in MATHS:
            page.add_script_tag(path=LAB / f"{name}.js")
        yield page


@pytest.fixture(scope="module")
def cases(maths: Page) -> list[Case]:
    rng = np.random.default_rng(0)
    given = [settings(rng) for _ in range(200)]
    found = maths.evaluate(EVERYTHING, given)
    return [
        Case(
            hetlib.Population(p["rewards"], p["weights"], p["link"], p["temperature"]),
            np.array(p["sampling"]),
            np.array(p["reference"]),
            p["beta"],
            p["bound"],
            js,
        )
        for p, js in zip(given, found, strict=True)
    ]


def close(found: Any, expected: Any, within: float = 1e-8) -> None:
    np.testing.assert_allclose(np.array(found, dtype=float), expected, rtol=0, atol=within)


def test_choices_averages_and_counts(cases: list[Case]) -> None:
    for c in cases:
        close(c.js["P"], c.P)
        close(c.js["mean"], c.people.mean_reward())
        close(c.js["borda"], hetlib.normalized_borda_count(c.P, c.sampling))


def test_optima_of_the_average_dpo_and_ipo(cases: list[Case]) -> None:
    for c in cases:
        best = c.people.optimal_policy(c.reference, c.beta)
        dpo = hetlib.dpo_policy(c.P, c.sampling, c.reference, c.beta)
        close(c.js["best"], best)
        close(c.js["dpo"], dpo_reward(c.P, c.sampling))
        close(c.js["dpoPolicy"], dpo)
        close(c.js["ipo"], hetlib.ipo_policy(c.P, c.sampling, c.reference, c.beta))
        close(c.js["loss"], c.beta * kl_divergence(dpo, best))


def polished(c: Case) -> Array:
    """Hetlib's max-min policy, which its solver leaves at 1e-7 or so, after Newton's steps.

    At the optimum the types that are worst off have one value; the policy is that of their
    weights (chapter 14).
    """
    r = c.people.rewards / c.beta
    r = r - (r @ c.reference)[:, None]
    policy = maxmin_policy(c.people.rewards, c.reference, c.beta)
    value = r @ policy
    worst = r[value < value.min() + 1e-4]
    tilt = np.log(policy / c.reference)
    tilted = np.vstack([(worst - worst.mean(axis=1, keepdims=True)).T, np.ones(len(worst))])
    q = np.linalg.lstsq(tilted, np.append(tilt - tilt.mean(), 1.0))[0]
    for step in range(100):
        if step % 20 == 0 and q.min() < -1e-9:  # not one of them after all
            worst, q = np.delete(worst, q.argmin(), 0), np.delete(q, q.argmin())
            q += (1 - q.sum()) / len(q)
        policy = optimal_policy(q @ worst, c.reference)
        value = worst @ policy
        hessian = (worst * policy) @ worst.T - np.outer(value, value)
        ones = np.ones((len(worst), 1))
        system = np.block([[hessian, ones], [ones.T, np.zeros((1, 1))]])
        q = q + np.linalg.lstsq(system, np.append(-value, 0.0), rcond=1e-12)[0][:-1]
    return policy


def test_max_min(cases: list[Case]) -> None:
    for c in cases:
        close(c.js["maxmin"], polished(c))
        found = np.array(c.js["maxmin"])
        np.testing.assert_allclose(
            found, maxmin_policy(c.people.rewards, c.reference, c.beta), atol=1e-3
        )


def test_maximal_lottery(cases: list[Case]) -> None:
    for c in cases:
        close(c.js["lottery"], maximal_lottery(c.P))


def programme(P: Array, D: Array, i: int, j: int) -> float:
    """Appendix D's linear programme, from any distribution instead of the uniform one."""
    n = len(D)
    unit, zero = np.eye(n), np.zeros(n)
    found = linprog(
        np.r_[zero, np.full(n, 0.5)],
        A_ub=np.block([[-unit, -unit], [unit, -unit], [P[i] - P[j], zero]]),
        b_ub=np.r_[-D, D, -1e-5],
        A_eq=np.r_[np.ones(n), zero][None],
        b_eq=[1.0],
        bounds=[(1e-5, None)] * n + [(0, None)] * n,
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    return float(found.fun) if found.status == 0 else np.inf


def test_smallest_change_of_the_sampling(cases: list[Case]) -> None:
    turned = 0
    for k, c in enumerate(cases):
        expected, found = hetlib.ranking_change(c.P), c.js["uniform"]
        assert (found is None) == (expected is None)
        if expected is not None:
            close(found["tv"], expected.tv)
            q, (i, j) = np.array(found["sampling"]), found["pair"]
            close(c.P[j] @ q - c.P[i] @ q, 1e-5)  # ties may be broken another way
            close(abs(q - 1 / len(q)).sum() / 2, expected.tv)
        if k % 5:
            continue
        score = c.P @ c.sampling
        pairs = np.argwhere(score[:, None] > score + 1e-12).tolist()
        least = min(programme(c.P, c.sampling, *pair) for pair in pairs)
        assert (c.js["here"] is None) == np.isinf(least)
        if c.js["here"]:
            turned += 1
            close(c.js["here"]["tv"], least)
            new = c.P @ np.array(c.js["here"]["sampling"])
            i, j = c.js["here"]["pair"]
            close(new[j] - new[i], 1e-5)
    assert turned > 5


def test_what_is_certain(cases: list[Case]) -> None:
    logistic = [c for c in cases if c.people.link == "logistic"]
    assert len(logistic) > 100
    assert sum(c.bound <= 8 for c in logistic) > 80
    for c in logistic:
        # at a large B rounding of the moments moves a bound: hetlib lets it, by 1e-6 at most
        within = 1e-8 if c.bound <= 8 else 1e-6
        for m, upper in zip((1, 2, 3), c.js["upper"], strict=True):
            close(upper, certified_ranking(choice_moments(c.people, m), c.bound).upper, within)


def test_links_keep_their_digits_in_the_tails(maths: Page) -> None:
    z = np.linspace(-8, 8, 401)
    for name, link in LINKS.items():
        found = maths.evaluate(f"z => z.map(Lab.links.{name})", z.tolist())
        np.testing.assert_allclose(found, link(z), rtol=1e-12)
    deep = maths.evaluate("Lab.links.probit(-30)")
    np.testing.assert_allclose(np.log(deep), log_ndtr(-30.0), rtol=1e-12)


def test_lopsided_labels_keep_dpo_exact(maths: Page) -> None:
    """Gaps between groups of responses that hang on very rare wins."""
    for rewards in ([[20.0, 19.0, -20.0, -19.5]], [[9.0, 0.0, -9.0], [9.0, -9.0, 0.0]]):
        people = hetlib.Population(rewards, link="logistic")
        D = np.full(people.responses, 1 / people.responses)
        found = maths.evaluate(
            "([P, D]) => Lab.optima.dpoReward(P, D)", [people.pairwise().tolist(), D.tolist()]
        )
        close(found, dpo_reward(people.pairwise(), D))


def test_no_single_reward_is_changed_more_than_needed(maths: Page) -> None:
    """The search, against a plain one in Python; populations like those above."""
    rng = np.random.default_rng(1)
    searched = 0
    while searched < 8:
        p = settings(rng) | {"link": "logistic"}
        p["rewards"] = np.round(p["rewards"], 1).tolist()
        n = len(p["sampling"])

        def wrong(rewards: Array, p: dict[str, Any] = p) -> bool:
            people = hetlib.Population(rewards, p["weights"], "logistic", p["temperature"])
            tops = []
            for score in (people.pairwise() @ np.array(p["sampling"]), people.mean_reward()):
                ahead = np.sort(score)
                if ahead[-1] - ahead[-2] <= 1e-9:
                    return False
                tops.append(int(score.argmax()))
            return tops[0] != tops[1]

        if wrong(np.array(p["rewards"])):
            continue
        searched += 1
        found = maths.evaluate("p => Lab.search.counterexample(p)", p)
        least = np.inf
        for u, y in np.ndindex(len(p["weights"]), n):
            for k in range(-60, 61):
                if abs(k) * 0.1 >= least - 1e-9:
                    continue
                rewards = np.array(p["rewards"])
                rewards[u, y] += 0.1 * k
                if abs(rewards[u, y]) <= 10 + 1e-9 and wrong(rewards):
                    least = min(least, abs(k) * 0.1)
        if found and len(found["changes"]) == 1:
            ((u, y, value),) = found["changes"]
            move = abs(value - p["rewards"][u][y])
            assert wrong(np.array(found["population"]["rewards"]))
            assert np.isclose(move, least) or (np.isinf(least) and move > 6)
        else:
            assert np.isinf(least)
