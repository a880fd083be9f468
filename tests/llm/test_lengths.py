"""Length rewards of Appendix E."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from hetlib.llm.data import lengths


def by_hand(x: float) -> list[float]:
    return [
        min(4.0, math.exp(x / 80) / 100),
        min(4.0, math.exp((512 - x) / 80) / 100),
        math.exp(1 / (((x - 256) / 64) ** 2 + 1)) - 1,
    ]


def test_formulas() -> None:
    x = np.arange(1, 513)
    expected = np.array([by_hand(float(n)) for n in x]).T
    np.testing.assert_allclose(lengths.length_rewards(x), expected, rtol=1e-13)
    np.testing.assert_allclose(lengths.mean_reward(x), expected.mean(axis=0), rtol=1e-13)


def test_types_want_what_their_names_say() -> None:
    r = lengths.length_rewards(np.arange(1, 513))
    assert (np.diff(r[0]) >= 0).all()
    assert (np.diff(r[1]) <= 0).all()
    assert r[2].argmax() == 255
    np.testing.assert_allclose(r[2, 255], math.e - 1)
    assert lengths.TYPES == ("long", "short", "middle")


def test_shapes_and_scaling() -> None:
    x = np.array([[4, 8], [16, 64]])
    assert lengths.length_rewards(x).shape == (3, 2, 2)
    assert lengths.length_rewards(7).shape == (3,)
    np.testing.assert_array_equal(
        lengths.length_rewards(x, limit=64), lengths.length_rewards(8 * x)
    )


@pytest.mark.parametrize("bad", [0, 513, -1, np.nan, [1, 600]])
def test_lengths_out_of_range(bad: float) -> None:
    with pytest.raises(ValueError, match="1 to 512 tokens are allowed"):
        lengths.length_rewards(bad)


def test_bad_limit() -> None:
    with pytest.raises(ValueError, match="limit is 1; a whole number of at least 2"):
        lengths.mean_reward(1, limit=1)
    with pytest.raises(ValueError, match="rectangular"):
        lengths.mean_reward([[1], [2, 3]])


@pytest.mark.slow
def test_data_and_evaluation_need_no_deep_learning() -> None:
    code = """
import sys
from hetlib.llm.analysis import evaluation, limits
from hetlib.llm.data import labels, lengths, pairs, synthetic, tokens
from hetlib.llm.model import settings
from hetlib.llm.runs import estimate
print(*sys.modules)"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    heavy = {"torch", "transformers", "peft", "datasets", "tokenizers", "matplotlib"}
    assert not heavy & set(done.stdout.split())
