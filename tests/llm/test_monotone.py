"""The best reward that never rises with length, against brute force."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from hetlib.llm.analysis import limits
from hetlib.llm.analysis.monotone import best_falling
from hetlib.llm.data.agreement import agreement_rate, true_margins


@pytest.mark.parametrize("seed", range(5))
def test_brute_force_over_all_falling_functions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.sort(rng.choice(np.arange(1, 513), size=7, replace=False))
    lengths = rng.choice(values, size=(60, 2))
    truth = true_margins(lengths)
    best = 0.0
    for steps in product((0, 1), repeat=len(values) - 1):
        score = -np.concatenate([[0], np.cumsum(steps)])
        s = score[np.searchsorted(values, lengths)]
        best = max(best, agreement_rate(s[:, 1] - s[:, 0], truth))
    assert best_falling(lengths).rate == pytest.approx(best, abs=1e-12)


def test_flat_stretches_reach_the_rate() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 65, size=(500, 2))
    found = best_falling(lengths, limit=64)
    level = np.arange(65.0)
    for first, last in found.flat:
        level[int(first) : int(last) + 1] = first
    margins = -(level[lengths[:, 1]] - level[lengths[:, 0]])
    truth = true_margins(lengths, 64)
    assert agreement_rate(margins, truth) == pytest.approx(found.rate, abs=1e-12)
    shorter = agreement_rate(limits.rule(lengths, "shorter"), truth)
    assert shorter < found.rate < 1


def test_refuses_pairs_without_a_truth() -> None:
    with pytest.raises(ValueError, match="no pair"):
        best_falling([[5, 5], [9, 9]])
