"""The laboratory: its formulas against hetlib, and its page by mouse, keyboard and address."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import laboratory
import numpy as np
import pytest
import yaml
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

pytestmark = pytest.mark.slow  # the browser of tests/book/conftest.py

ROOT = Path(__file__).parents[2]
LAB = ROOT / "book" / "_static" / "lab"
MATHS = ("links", "population", "optima", "sampling", "certainty", "search", "results", "state")
Array = np.ndarray[Any, np.dtype[np.float64]]

EVERYTHING = """populations => populations.map(p => {
    const byType = Lab.population.pairwiseByType(p), P = Lab.population.pairwise(p);
    const mean = Lab.population.meanReward(p);
    const policy = r => Lab.population.policy(r, p.reference, p.beta);
    const best = policy(mean), dpo = Lab.optima.dpoReward(P, p.sampling);
    const worst = Lab.optima.maxMin(p);
    return {
        P, mean, best, dpo, borda: Lab.population.borda(P, p.sampling), dpoPolicy: policy(dpo),
        ipo: policy(Lab.population.borda(P, p.sampling)), maxmin: worst.policy,
        lottery: Lab.optima.maximalLottery(P).lottery,
        loss: Lab.population.loss(policy(dpo), best, p.beta),
        here: Lab.sampling.rankingChange(P, p.sampling),
        uniform: Lab.sampling.rankingChange(P, p.sampling.map(() => 1 / p.sampling.length)),
        upper: p.link !== 'logistic' ? [] : [1, 2, 3].map(
            m => Lab.certainty.upperBounds(byType, p.weights, m, p.bound)),
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
    def P(self) -> Array:  # noqa: N802
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
    """The max-min policy of hetlib, which its solver leaves at 1e-7 or so, after Newton's steps.

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
    for step in range(40):
        if step % 10 == 0 and q.min() < -1e-9:  # not one of them after all
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


# ---- words ----


def test_the_reading_is_true_to_the_numbers(maths: Page, cases: list[Case]) -> None:
    kinds = set()
    given = [state(c) for c in cases]
    told = maths.evaluate("ps => ps.map(p => Lab.results.reading(p, Lab.results.all(p)))", given)
    for c, words in zip(cases, told, strict=True):
        mean, dpo = c.people.mean_reward(), dpo_reward(c.P, c.sampling)
        best = c.people.optimal_policy(c.reference, c.beta)
        gain = kl_divergence(c.reference, best)
        lost = kl_divergence(hetlib.dpo_policy(c.P, c.sampling, c.reference, c.beta), best)
        wrong = sum(
            (mean[i] - mean[j]) * (dpo[i] - dpo[j]) < 0 for i in range(len(mean)) for j in range(i)
        )
        want, get = ("y" + "₁₂₃₄₅₆"[int(r.argmax())] for r in (mean, dpo))
        if want != get:
            kinds.add("wrong first")
            assert f"want {want} most on average, but DPO puts {get} first." in words
        elif wrong:
            kinds.add("wrong below")
            pairs = len(mean) * (len(mean) - 1) // 2
            assert f"both put {want} first, but DPO has {wrong} of {pairs} pairs the" in words
        else:
            kinds.add("right")
            assert f"both put {want} first, and disagree on no pair." in words
        if c.beta * gain < 1e-6:
            assert words.endswith("The best policy gains next to nothing over the reference.")
        elif lost > gain:
            kinds.add("harm")
            assert words.endswith("serves them worse than the reference does.")
        else:
            share = float(re.search(r"gains (?:under )?([\d.]+) %", words)[1])  # type: ignore[index]
            assert abs(share - 100 * (1 - lost / gain)) < 0.51
    assert kinds == {"wrong first", "wrong below", "right", "harm"}


def test_ties_are_said(maths: Page) -> None:
    p = {"rewards": [[1, 0, 0], [0, 1, 0]]}
    words = maths.evaluate(
        "p => { p = Lab.state.complete(p); return Lab.results.reading(p, Lab.results.all(p)); }", p
    )
    assert words.startswith("The average reward has y₁ and y₂ level in the first place; DPO has y₁")


def test_the_turning_is_said_as_it_is(maths: Page, cases: list[Case]) -> None:
    for c in cases[::4]:
        change = c.js["here"]
        words = maths.evaluate("([p, c]) => Lab.results.turning(p, c)", [state(c), change])
        if change is None:
            assert words.startswith("No D turns")
            continue
        moved = np.array(change["sampling"]) - c.sampling
        names = "₁₂₃₄₅₆"
        i, j = change["pair"]
        assert f"to y{names[int(moved.argmax())]} puts y{names[j]} above y{names[i]}" in words
        for y in np.flatnonzero(moved < -1e-12):
            assert f"y{names[y]}" in words.partition(" from ")[2].partition(" to ")[0]


def state(c: Case) -> dict[str, Any]:
    return {
        "rewards": c.people.rewards.tolist(),
        "weights": c.people.weights.tolist(),
        "link": c.people.link,
        "temperature": c.people.temperature,
        "sampling": c.sampling.tolist(),
        "reference": c.reference.tolist(),
        "beta": c.beta,
        "bound": c.bound,
    }


# ---- what is taken away ----


def test_the_line_of_hetlib_and_the_parameters_say_the_same(maths: Page, cases: list[Case]) -> None:
    known = laboratory.parameters("04-drawbacks")
    for c in cases[::10]:
        line, parameters = maths.evaluate("p => [Lab.state.python(p), Lab.state.yaml(p)]", state(c))
        ast.parse(line)
        close(eval(line, {"hetlib": hetlib}), c.js["dpoPolicy"])  # noqa: S307
        given = yaml.safe_load(parameters)
        assert set(given) <= set(known)
        people = hetlib.Population(given["rewards"], given["weights"], given["link"])
        reference = given["reference"] or None
        close(people.pairwise(), c.P)
        close(people.optimal_policy(reference, given["beta"]), c.js["best"])


def test_an_address_is_read_back(maths: Page, cases: list[Case]) -> None:
    kept = "p => Lab.state.read(Lab.state.address(p))"
    for c in cases[::10]:
        given = state(c) | {"beta": min(c.beta, 10), "bound": max(c.bound, 1)}
        given["temperature"] = min(max(c.people.temperature, 0.5), 5)
        found = maths.evaluate(kept, given)
        assert found["link"] == given["link"]
        for key in set(given) - {"link"}:
            close(found[key], given[key])


@pytest.mark.parametrize(
    "address",
    ["", "#sec-03", "#r=1", "#r=1,2;3", "#r=1,2;3,4;5,6;7,8;9,0", "#r=1,2;3,99", "#r=1,x;2,3",
     "#r=1,2;3,4&w=1", "#r=1,2;3,4&w=0,0", "#r=1,2;3,4&d=-1,2", "#r=1,2;3,4&link=gompit",
     "#r=1,2;3,4&beta=0", "#r=1,2;3,4&t=", "#r=1,2;3,4&b=1e9", "#r=,;,", "#r=<b>,1;2,3"],
)  # fmt: skip
def test_other_addresses_are_no_state(maths: Page, address: str) -> None:
    assert maths.evaluate("a => Lab.state.read(a)", address) is None


def test_shares_stay_shares(maths: Page) -> None:
    rng = np.random.default_rng(2)
    for _ in range(30):
        n = int(rng.integers(2, 7))
        values = rng.dirichlet(np.ones(n))
        k, value = int(rng.integers(n)), float(rng.choice([0.0, 1.0, rng.random()]))
        found = np.array(
            maths.evaluate(
                "([v, k, x]) => Lab.state.share(v, k, x, 1e-5)", [values.tolist(), k, value]
            )
        )
        close(found.sum(), 1)
        assert found.min() >= 1e-5 - 1e-12
        close(found[k], min(max(value, 1e-5), 1 - (n - 1) * 1e-5))
        others = np.delete(np.arange(n), k)
        if value < 0.9:
            ahead = np.argsort(values[others])
            assert (np.diff(found[others][ahead]) >= -1e-12).all()


def test_examples_are_those_of_the_chapters() -> None:
    assert (LAB / "examples.js").read_text() == laboratory.script()


# ---- the page ----


def raw(name: str) -> str:
    """The HTML that a page of the book holds."""
    text = (ROOT / "book" / f"{name}.md").read_text()
    parts = re.findall(r"```\{raw\} html\n(.*?)```", text, flags=re.DOTALL)
    return "\n".join(part for part in parts if "data-lab" in part)


@pytest.fixture
def opened(browser: Browser, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The laboratory opened from disk, offline; nothing may go wrong meanwhile."""
    name = getattr(request, "param", "laboratory")
    (tmp_path / "book").mkdir()
    (tmp_path / "_static").symlink_to(ROOT / "book" / "_static")
    path = tmp_path / "book" / f"{name}.html"
    path.write_text(f'<!doctype html><html lang="en"><meta charset="utf-8"><body>{raw(name)}')
    with browser.new_page(offline=True, viewport={"width": 1200, "height": 900}) as page:
        heard: list[str] = []
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("console", lambda m: heard.append(m.text) if m.type == "error" else None)
        page.on("requestfailed", lambda r: heard.append(r.url))
        page.goto(path.as_uri())
        yield page
        assert not heard


def shown(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate("document.querySelector('.lab').lab.get()")
    return found


def frame(page: Page) -> None:
    """Wait until what changed is drawn."""
    page.evaluate("new Promise(requestAnimationFrame)")


def settle(page: Page) -> None:
    """Wait for a frame, and for the address."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done, 350)))")


def test_the_first_view_shows_a_conflict(opened: Page) -> None:
    assert opened.locator(".lab-reading.lab-conflict").count() == 1
    assert shown(opened)["rewards"] == laboratory.examples()[0]["population"]["rewards"]


def test_the_keyboard_reaches_and_moves_everything(opened: Page) -> None:
    sliders = opened.locator("[role=slider], input[type=range]").all()
    assert len(sliders) == 2 * 3 + 2 + 3 + 3 + 2 + 1
    for slider in sliders:
        assert slider.get_attribute("aria-label")
        before, said = shown(opened), slider.get_attribute("aria-valuetext")
        slider.focus()
        assert slider.evaluate("e => e === document.activeElement")
        slider.press("ArrowDown")
        frame(opened)
        assert shown(opened) != before
        slider.press("Home")
        frame(opened)
        assert slider.get_attribute("aria-valuetext") != said
    bar = opened.get_by_role("slider", name="Type A, reward of y₂")
    for key, value in (("End", 10), ("PageDown", 9), ("ArrowDown", 8.9), ("ArrowRight", 9.0)):
        bar.press(key)
        assert shown(opened)["rewards"][0][1] == value
    settle(opened)
    assert bar.get_attribute("aria-valuenow") == "9"
    assert bar.get_attribute("aria-valuetext") == "9.00"
    status = opened.get_by_role("status").text_content() or ""
    assert (opened.locator(".lab-reading").text_content() or "?") in status


def test_a_bar_is_dragged(opened: Page) -> None:
    bar = opened.get_by_role("slider", name="Type B, reward of y₁")
    box = bar.bounding_box()
    assert box
    opened.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 2)
    opened.mouse.down()
    opened.mouse.move(box["x"] + box["width"] / 2, box["y"] + 2)
    high = shown(opened)["rewards"][1][0]
    opened.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    opened.mouse.up()
    opened.mouse.move(box["x"], box["y"])
    assert high > 9
    assert abs(shown(opened)["rewards"][1][0] - high / 2) < 0.5


def test_the_table_shows_what_is_computed(opened: Page) -> None:
    p = shown(opened)
    people = hetlib.Population(p["rewards"], p["weights"])
    rows = opened.locator(".lab-table tbody tr").all()
    found = {
        row.locator("th").inner_text(): [
            float(text.replace("−", "-")) for text in row.locator("td").all_inner_texts()[:3]
        ]
        for row in rows
    }
    expected = {
        "Average reward": people.mean_reward(),
        "Borda count": hetlib.normalized_borda_count(people.pairwise()),
        "Best on average, π*": people.optimal_policy(),
        "DPO": hetlib.dpo_policy(people.pairwise()),
        "IPO": hetlib.ipo_policy(people.pairwise()),
        "Max-min": maxmin_policy(people.rewards),
        "Maximal lottery": maximal_lottery(people.pairwise()),
    }
    assert list(found) == list(expected)
    for name, values in expected.items():
        close(found[name], values, 0.0051)


def test_make_dpo_wrong_and_undo(opened: Page) -> None:
    opened.goto(opened.url.partition("#")[0] + "#r=3,0,1;2,1,0")
    opened.reload()
    before = shown(opened)
    assert opened.locator(".lab-conflict").count() == 0
    opened.get_by_role("button", name="Make DPO wrong").click()
    opened.wait_for_selector(".lab-conflict")
    moves = abs(np.array(shown(opened)["rewards"]) - before["rewards"])
    assert np.count_nonzero(moves > 1e-9) == 1
    assert "Changed: type" in (opened.locator(".lab-note").text_content() or "")
    opened.get_by_role("button", name="Undo").click()
    assert shown(opened)["rewards"] == before["rewards"]


def test_using_the_other_d_turns_the_order(opened: Page) -> None:
    before = opened.locator(".lab-reading").text_content()
    opened.get_by_role("button", name="Use that D").click()
    frame(opened)
    assert before != opened.locator(".lab-reading").text_content()
    p = shown(opened)
    score = hetlib.Population(p["rewards"]).pairwise() @ np.array(p["sampling"])
    close(score[1] - score[0], 1e-5)


def test_the_address_shares_the_state(opened: Page) -> None:
    opened.get_by_role("button", name="A survey question").click()
    opened.get_by_role("button", name="one of the types more").click()
    settle(opened)
    p, address = shown(opened), opened.url
    assert len(p["rewards"]) == 4
    opened.goto("about:blank")
    opened.goto(address)
    again = shown(opened)
    assert again.keys() == p.keys()
    for key in set(p) - {"link"}:
        close(again[key], p[key])


def test_an_update_takes_less_than_a_frame(opened: Page) -> None:
    """Four types and six responses; the fastest of many: a machine has other things to do."""
    times = opened.evaluate("""() => {
        const lab = document.querySelector('.lab').lab;
        const rewards = [
            [1, 2, 3, 4, 0, -1], [0, -2, 3, 1, 5, 2], [4, 0, -3, 2, 1, 0], [1, 1, 2, 6, -2, 3]];
        lab.set(Lab.state.complete({rewards}));
        lab.update();
        return Array.from({length: 80}, (_, k) => {
            const from = performance.now();
            lab.set({rewards: rewards.map((row, u) => row.map(r => r + u * k / 100))});
            lab.update();
            document.body.getBoundingClientRect();
            return performance.now() - from;
        });
    }""")
    assert min(times) < 16


def test_the_largest_fits_a_phone(opened: Page) -> None:
    opened.set_viewport_size({"width": 400, "height": 800})
    rows = ";".join(["-10,9.99,-8.88,10,7.77,-6.66"] * 4)
    opened.goto(opened.url.partition("#")[0] + "#r=" + rows)
    opened.reload()
    assert len(shown(opened)["rewards"]) == 4
    assert opened.evaluate("document.documentElement.scrollWidth") <= 400


def test_on_paper_it_is_a_picture(opened: Page) -> None:
    opened.emulate_media(media="print")
    for gone in (".lab-tools", ".lab-take", ".lab button", ".lab input"):
        assert not any(e.is_visible() for e in opened.locator(gone).all())
    for stays in (".lab-reading", ".lab-table", ".lab-intervals", ".lab-fill >> nth=0"):
        assert opened.locator(stays).first.is_visible()


@pytest.mark.parametrize("opened", ["index"], indirect=True)
def test_the_small_one_turns_as_its_text_says(opened: Page) -> None:
    slider = opened.get_by_role("slider", name="how much the tenth prefers the second answer")
    bars = opened.locator(".lab-bar").all()
    seen = []
    for offence in np.arange(0, 10.5, 0.5):
        slider.evaluate(
            "(e, x) => { e.value = x; e.dispatchEvent(new Event('input')); }", float(offence)
        )
        frame(opened)
        people = hetlib.Population([[0.6, 0.0], [0.0, float(offence)]], [0.9, 0.1])
        dpo = np.log(hetlib.dpo_policy(people.pairwise()))
        want = 10 * float(np.subtract(*people.mean_reward()))
        values = [5.4, -offence, want, 10 * (dpo[0] - dpo[1])]
        labels = [bar.get_attribute("aria-label") or "" for bar in bars]
        found = [float(label.rpartition(": ")[2].replace("−", "-")) for label in labels]
        close(found, values, 0.0051)
        words = opened.get_by_role("status").text_content() or ""
        assert (want < 0) == ("DPO prefers the first answer" in words)
        seen.append((want > 0, dpo[0] > dpo[1]))
    assert {*seen} == {(True, True), (False, True)}  # the blue bar turns, the orange one does not
    assert opened.get_by_role("link").get_attribute("href").startswith("laboratory.html#r=0.6,0;")  # type: ignore[union-attr]
