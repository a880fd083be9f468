"""What a call means that leaves a ridge, a prior, a floor, a strength or a number of starts out.

The numbers stand in the texts; here each is typed once more, and a call without it must give what
a call with it gives, to the last bit, and something else than a call with another number.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from hetlib import Population
from hetlib.borda.counts import pairwise_shares
from hetlib.core.labels import Linked
from hetlib.linked.corrected import Correction, corrected_optima
from hetlib.linked.estimators import neural_moments
from hetlib.linked.moments import moments_from_counts, tabular_moments
from hetlib.mixture import em_dpo
from hetlib.mixture.regret import best_min_max_regret, min_max_regret, regret_table
from hetlib.mixture.selection import select_types
from hetlib.people import models, simulated
from hetlib.ring import fits
from hetlib.ring.environment import RingEnvironment
from hetlib.ring.network import Recipe
from hetlib.surveys import questions

TYPES = Population([[1.0, 0.0, -1.0], [-1.0, 0.5, 0.2]])
P = TYPES.pairwise()
LINKED = Linked.of(TYPES.sample_linked(40, np.random.default_rng(0), 3))
TWICE = Linked.of(TYPES.sample_linked(400, np.random.default_rng(1), 2))
COUNTS = np.array([[0.0, 4.0, 2.0], [1.0, 0.0, 3.0], [2.0, 1.0, 0.0]])
MIXED = COUNTS + COUNTS.T
RING = RingEnvironment(n=4, shifts=(-1, 1), scales=(2.0, 1.0), rates=(0.3, 0.2))
SHOWN = RING.sample(200, np.random.default_rng(0), labels=2)
PEOPLE, _ = simulated.people(np.random.default_rng(0), 20, 10, opposed=0.4)
VARIED = 0.03 * (1 - np.eye(3))
WIDE = Correction(4.0, variance=8.0 * (1 - np.eye(3)))  # with several stationary points


def corrected(**given: Any) -> Any:
    return Correction(choice_variance=VARIED, **given).likelihood(np.array(COUNTS))


def drawn(source: Any) -> Callable[..., Any]:
    return lambda **given: source.sample(20, np.random.default_rng(0), **given)


def numbers(result: Any) -> list[np.ndarray]:
    """Everything that can differ."""
    if isinstance(result, Population):
        return [result.rewards]
    if isinstance(result, list | tuple):
        return [part for one in result for part in numbers(one)]
    if isinstance(result, dict):
        return [np.array(list(result.values()))]
    if hasattr(result, "__dict__"):
        return [part for one in vars(result).values() for part in numbers(one)]
    return [np.asarray(result)] if isinstance(result, int | float | np.ndarray) else []


#: A call, its argument, what it means if it is left out, and another number.
CASES: list[tuple[str, Callable[..., Any], str, Any, Any]] = [
    ("correction", corrected, "alpha", 1.0, 1.5),
    ("optima", partial(corrected_optima, P, WIDE), "random_starts", 20, 2),
    ("optima", partial(corrected_optima, P, WIDE), "spread", 1.0, 4.0),
    ("moments", partial(tabular_moments, TWICE, 3), "prior", 0.0, 1.0),
    ("moments", partial(moments_from_counts, COUNTS, MIXED), "prior", 0.0, 1.0),
    ("moments", partial(fits.linked_moments, SHOWN), "prior", 1.0, 2.0),
    ("moments", partial(neural_moments, TWICE, 3, steps=5), "hidden", 64, 32),
    ("moments", partial(neural_moments, TWICE, 3, steps=5), "learning_rate", 0.01, 0.02),
    ("moments", partial(neural_moments, TWICE, 3, hidden=2), "steps", 800, 799),
    ("ring", partial(RING.optimum, "corrected"), "alpha", 1.0, 2.0),
    ("ring", drawn(RING), "labels", 1, 2),
    ("network", partial(Recipe, "corrected"), "alpha", 1.0, 2.0),
    ("people", drawn(TYPES), "labels", 1, 2),
    ("shares", partial(pairwise_shares, MIXED + COUNTS), "prior", 0.0, 1.0),
    ("agreement", partial(fits.fit_agreement, COUNTS[None], 2), "ridge", 0.1, 0.2),
    ("released", partial(fits.fit_shifted_agreement, COUNTS[None], COUNTS.T[None], 2), "ridge",
     0.1, 0.2),
    ("integral", partial(fits.fit_integral, COUNTS[None], 2), "ridge", 0.1, 0.2),
    ("by type", partial(fits.fit_personalised, COUNTS[None, None], [1.0]), "ridge", 0.1, 0.2),
    ("em", partial(em_dpo, LINKED, 3, 2), "ridge", 0.1, 0.2),
    ("em", partial(em_dpo, LINKED, 3, 2), "beta", 1.0, 2.0),
    ("em", partial(em_dpo, LINKED, 3, 2), "starts", 5, 4),
    ("em", partial(em_dpo, LINKED, 3, 2), "tolerance", 1e-7, 1e-3),
    ("folds", partial(select_types, LINKED, 3, (1,), by="held-out"), "folds", 2, 3),
    ("regret", partial(regret_table, TYPES.rewards, [[0.2, 0.3, 0.5]]), "beta", 1.0, 2.0),
    ("regret", partial(min_max_regret, TYPES.rewards), "beta", 1.0, 2.0),
    ("regret", partial(best_min_max_regret, TYPES.rewards), "beta", 1.0, 2.0),
    ("people", partial(models.fit, PEOPLE), "ridge", 0.01, 0.1),
    ("people", partial(models.fit, PEOPLE, models.Kind(types=2)), "starts", 2, 9),
    ("people", partial(models.pair_of_fits, PEOPLE, models.Kind(), models.Kind(True)), "ridge",
     0.01, 0.1),
    ("people", partial(models.held_out, PEOPLE, [models.Kind()]), "folds", 5, 4),
    ("floor", partial(questions.luce_shepard_rewards, [[0.0, 0.4, 0.6]]), "floor", 1e-15, 1e-9),
    ("floor", partial(questions.pairwise, [[0.0, 0.4, 0.6]], [1.0]), "floor", 1e-15, 1e-9),
]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "name", "value", "other"),
    [case[1:] for case in CASES],
    ids=[f"{case[0]}-{case[2]}" for case in CASES],
)
def test_what_is_left_out_has_a_value(
    call: Callable[..., Any], name: str, value: Any, other: Any
) -> None:
    found, named, changed = (numbers(call(**given)) for given in ({}, {name: value}, {name: other}))
    assert len(found) == len(named) > 0
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(found, named, strict=True))
    assert len(found) != len(changed) or any(
        not np.array_equal(a, b, equal_nan=True) for a, b in zip(found, changed, strict=True)
    )
