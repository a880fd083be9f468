"""Degenerate calls of mixtures: right, or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hetlib import Population
from hetlib.mixture import (
    adjusted_agreement,
    em_dpo,
    log_probability,
    match_types,
    min_max_regret,
    responsibilities,
    sample_rankings,
    select_types,
)
from hetlib.mixture.identification import AnswerLaw, annotators_needed, design, kl_information

INF, NAN = float("inf"), float("nan")
DATA = np.array([[[0, 1], [1, 2]], [[2, 1], [1, 0]], [[0, 1], [0, 2]]])
LAW = AnswerLaw(design(3, 1), 3)
ANY: Any = NAN

pytestmark = pytest.mark.filterwarnings("error")


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: em_dpo(DATA, 3, 1.5), "types is 1.5"),  # type: ignore[arg-type]
        (lambda: em_dpo(DATA, 3, 2, max_steps=0), "max_steps is 0"),
        (lambda: em_dpo(DATA, 3, 2, tolerance=NAN), "tolerance is nan"),
        (lambda: em_dpo(DATA, 3, 2, ridge=0), "ridge is 0"),
        (lambda: em_dpo(DATA, 3, 2, ridge=5e-324), "ridge is 4.94066e-324"),
        (lambda: em_dpo(DATA, 3, 2, beta=-1), "beta is -1"),
        (lambda: em_dpo(DATA, 3, 2, seed=-1), "seed is -1"),
        (lambda: em_dpo(np.array([[[0, 0]]]), 2, 1), "a response twice"),
        (lambda: em_dpo(np.array([[[-1, -1]]]), 2, 1), "no comparison"),
        (lambda: em_dpo(DATA.astype(float), 3, 2), "orders has shape"),
        (lambda: em_dpo(np.array([[[0, 2**62]]]), 2**62 + 1, 1), "responses"),
        (lambda: responsibilities([[NAN, 0]], [0.5, 0.5]), "log_probability"),
        (lambda: select_types(DATA, 3, []), r"candidates=\[\]"),
        (lambda: select_types(DATA, 3, [1, 1.5]), r"candidates\[1\] is 1.5"),  # type: ignore[list-item]
        (lambda: select_types(DATA, 3, [1], by="held-out", folds=10**9), "folds is 1000000000"),
        (lambda: adjusted_agreement([NAN, NAN], [NAN, NAN]), r"one\[0\] is nan"),
        (lambda: sample_rankings(Population([[1, 0]]), 1, rng(), length=3), "length=3"),
        (
            lambda: sample_rankings(Population([[1, 0]], temperature=5e-324), 1, rng()),
            "temperature are too large",
        ),
        (lambda: min_max_regret([[1, 0]], beta=5e-324), "beta is 4.94066e-324"),
        (lambda: annotators_needed([0.5, 0.5], [0.4, 0.6], error=NAN), "error is nan"),
        (lambda: kl_information([1, 0], [0.5, 0.5]), r"p\[1\] is 0"),
        (lambda: LAW.rank(2, prime=2**20), "prime is 1048576; a prime between"),
        (lambda: LAW.rank(2, prime=ANY), "prime is nan"),
        (lambda: LAW.rank(0), "types is 0"),
        (lambda: design(3, 0), "tasks is 0"),
    ],
)  # fmt: skip
def test_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.slow
def test_right() -> None:
    assert match_types([[1e308, -1e308]], [[1, 0]]).tolist() == [0]
    assert match_types([[0, 1e308], [1e308, 0]], [[1e308, 0], [0, 1e308]]).tolist() == [1, 0]
    assert log_probability([[[0, 1]]], [[1e308, -1e308]]).tolist() == [[0.0]]
    assert log_probability([[[1, 0]]], [[1e308, -1e308]]).tolist() == [[-INF]]
    assert min_max_regret([[1e300, 0], [0, 1e300]], beta=1e300).gap == pytest.approx(0, abs=1e290)
    fit = em_dpo(DATA, 3, 50)  # more types than people
    assert fit.masses.sum() == pytest.approx(1)
    assert np.isfinite(fit.rewards).all()
