"""Simulated people: what is planted is there, and the stored study is of this code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from hetlib.people import models, simulated
from hetlib.people.models import Kind
from hetlib.people.simulated import PLANTED, Trial, people


def test_planted_differences_are_there() -> None:
    rng = np.random.default_rng(0)
    data, _ = people(rng, 300, 60, position=0.5, spread=0.8)
    found = models.fit(data, Kind(True, by_person=True))
    assert found.position == pytest.approx(0.5, abs=0.15)
    assert found.spread == pytest.approx(0.8, abs=0.2)
    data, other = people(rng, 200, 60, opposed=0.3)
    assert other.mean() == pytest.approx(0.3, abs=0.1)
    by_type, _ = models.posterior(models.fit(data, Kind(types=2)), data)
    assert (by_type.argmax(axis=1) == other).mean() > 0.95


def test_strengths_of_another_law_are_no_types() -> None:
    """Two strengths look like two types, but as multiples of one taste they fit as well."""
    data, _ = people(np.random.default_rng(1), 100, 60, **PLANTED["two strengths"])
    (_, noisy, free), (_, multiples, _) = models.steps()[2:4]
    one, rich = models.pair_of_fits(data, noisy, free)
    plain, same = models.pair_of_fits(data, multiples, free)
    assert rich.objective - one.objective > 10
    assert same.objective - plain.objective < 8


def test_p_values_are_ranks_among_all_sets() -> None:
    sets = [{"types": (float(k), 0.5)} for k in range(4)]
    assert simulated.p_values(sets)["types"] == pytest.approx([1.0, 0.2, 0.2, 0.2])
    found = simulated.summary(sets, level=1.0)
    assert found["steps"] == {"types": 3}
    assert found["named"] == {
        "nothing": 1, "position": 0, "position by person": 0, "strengths": 0,
        "carelessness": 0, "reliability": 0, "types": 3,
    }  # fmt: skip


def test_ratios_are_those_of_the_steps() -> None:
    found = simulated.ratios(Trial("carelessness", 10, 0, 20))
    assert set(found) == {what for what, *_ in models.steps()} - {"not multiples"}
    assert all(len(pair) == 2 for pair in found.values())


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["rankings", "ratings"])
def test_types_in_rankings_are_found_where_they_are_and_only_there(shape: str) -> None:
    """Twenty sets of one taste and twenty of two; with independent pairs all sets have types."""
    sets = {
        planted: [simulated.ratios(Trial(planted, 20, seed, 50, shape)) for seed in range(20)]
        for planted in ("nothing", "types")
    }
    for what in ("types", "strengths or carelessness"):
        false = (simulated.p_values(sets["nothing"])[what] <= 0.1).sum()
        assert false <= binom.ppf(0.999, 20, 0.1)
    found = simulated.p_values(sets["types"])
    assert sum((found["types"] <= 0.1) & (found["not multiples"] <= 0.1)) >= 16


def test_the_stored_study_is_of_this_code() -> None:
    stored = json.loads((Path(__file__).parents[2] / "results/people-kinds.json").read_text())
    assert stored["settings"]["code"] == simulated.code()


def test_rankings_have_no_first_response() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="have no first response"):
        people(rng, 5, 10, shape="rankings", position=0.5)
    with pytest.raises(ValueError, match="shape is 'lists'"):
        people(rng, 5, 10, shape="lists")


@pytest.mark.parametrize("number", [0, -1])
def test_nobody_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="number is"):
        people(np.random.default_rng(0), number, 5)
