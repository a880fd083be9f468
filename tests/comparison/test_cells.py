"""Cells of the comparison, their scores and intervals."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from hetlib.comparison.cells import Cell, collect, interval, run_cell, score
from hetlib.comparison.methods import METHODS
from hetlib.comparison.worlds import Conditions, make_world
from hetlib.core.newton import ConvergenceError
from hetlib.core.policies import objective

QUICK = ("uniform", "dpo", "agreement", "personalised")


def test_scores_are_what_they_are_called() -> None:
    world = make_world("random", 0)
    rng = np.random.default_rng(0)
    policy = rng.dirichlet(np.ones(8))
    found = score(policy, world)
    people = world.population
    reward = people.mean_reward()
    regret = objective(world.best(), reward) - objective(policy, reward)
    assert found["regret"] == pytest.approx(regret)
    worst = max(
        objective(own, r) - objective(policy, r)
        for own, r in zip(world.best_by_type(), people.rewards, strict=True)
    )
    assert found["worst"] == pytest.approx(worst)
    assert found["order"] == pytest.approx((stats.kendalltau(policy, reward).statistic + 1) / 2)
    assert score(world.best(), world)["regret"] == pytest.approx(0, abs=1e-12)
    assert score(np.full(8, 1 / 8), world)["order"] == 0.5


def test_cells_give_the_same_numbers_again() -> None:
    cell = Cell("random", 900, 4, Conditions(flips=0.1), QUICK)
    first = run_cell(cell)
    assert first == run_cell(cell)
    assert set(first) == set(QUICK)
    json.dumps(first, allow_nan=False)
    # A method's numbers do not depend on its company.
    assert run_cell(Cell("random", 900, 4, Conditions(flips=0.1), ("dpo",)))["dpo"] == first["dpo"]


def test_failures_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise ConvergenceError("no")

    broken = replace(METHODS["dpo"], fit=fail)  # type: ignore[arg-type]
    monkeypatch.setitem(METHODS, "dpo", broken)
    out = run_cell(Cell("random", 900, 0, methods=("dpo", "uniform")))
    assert out["dpo"]["failed"] == 1
    assert out["dpo"]["tv"] == out["uniform"]["tv"]


def test_interval() -> None:
    x = np.random.default_rng(0).normal(size=30)
    mean, half = interval(x)
    expected = stats.ttest_1samp(x, 0).confidence_interval(0.95)
    assert (mean - half, mean + half) == pytest.approx(tuple(expected))
    with pytest.raises(ValueError, match="at least 2"):
        interval([1.0])
    for values in ([1.0, np.nan], [np.inf, 1.0], [], [1.0, None], ["x", 1.0]):
        with pytest.raises(ValueError, match="values"):
            interval(values)  # type: ignore[arg-type]


def test_collect() -> None:
    cells = [Cell("random", b, s, methods=("dpo",)) for b in (900, 1800) for s in (0, 1)]
    results = [run_cell(cell) for cell in cells]
    tv = collect(cells, results, "tv", budget=1800)
    assert tv["dpo"].tolist() == [r["dpo"]["tv"] for r in results[2:]]
    with pytest.raises(ValueError, match="no cell has"):
        collect(cells, results, "tv", world="ring")


def test_bad_cells() -> None:
    with pytest.raises(ValueError, match="methods has 'dop'"):
        Cell("ring", 1000, 0, methods=("dop",))
    with pytest.raises(ValueError, match="needs a budget"):
        Cell("ring", None, 0)
