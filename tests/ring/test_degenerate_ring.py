"""Degenerate calls of the ring: right, or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hetlib import RingEnvironment
from hetlib.ring import curves, fits

INF, NAN = float("inf"), float("nan")
ANY: Any = NAN

pytestmark = pytest.mark.filterwarnings("error")


def one(**changes: Any) -> RingEnvironment:
    return RingEnvironment(
        **(dict[str, Any](n=4, shifts=(0,), scales=(1,), rates=(0.1,)) | changes)
    )


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: one(n=NAN), "n is nan"),
        (lambda: one(n=INF), "n is inf"),
        (lambda: one(n=4.5), "n is 4.5"),
        (lambda: one(n=10**6), "n is 1000000; .* at most 10000"),
        (lambda: one(shifts=(), scales=(), rates=()), "shifts must not be empty"),
        (lambda: one(shifts=(NAN,)), r"shifts\[0\] is nan"),
        (lambda: one(scales=(INF,)), r"scales\[0\] is inf"),
        (lambda: one(rates=(NAN,)), r"rates\[0\] is nan"),
        (lambda: one(noise=NAN), "noise is nan"),
        (lambda: one(temperature=0), "temperature is 0"),
        (lambda: one().optimum("corrected", alpha=-1), "alpha is -1"),
        (lambda: one().sample(10, rng(), labels=0), "labels is 0"),
        (lambda: one().population(ANY), "x is nan"),
        (lambda: fits.fit_dpo_tables(np.ones((1, 2, 2)), NAN), "ridge is nan"),
        (lambda: fits.fit_dpo_tables(np.ones((1, 2, 2)), -1), "ridge is -1"),
        (lambda: fits.fit_ipo(np.full((1, 2, 2), NAN)), r"wins\[0, 0, 0\] is nan"),
        (lambda: fits.fit_agreement(-np.ones((1, 2, 2)), 2), r"unanimous\[0, 0, 0\] is -1"),
        (lambda: fits.distances(np.full((1, 4), NAN), one()), r"policy\[0, 0\] is nan"),
        (lambda: fits.distances(np.full((1, 4), 0.2), one()), r"policy\[0\] does not sum to 1"),
        (lambda: curves.draw_wins(one(), -1, 2, rng()), "size is -1"),
        (lambda: curves.fit_many(one(), "dpo", 5, 0, rng()), "repeats is 0"),
        (lambda: curves.learning_curves(one(), [], 2, 0), "sizes must not be empty"),
    ],
)  # fmt: skip
def test_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_right() -> None:
    assert one(n=4.0).offsets.tolist() == [-2, -1, 0, 1]
    assert len(one(n=4.0).sample(5, rng())) == 5
    assert one(rates=(5e-324,)).best() == pytest.approx(np.full(4, 0.25))
    assert one(scales=(1e308,)).best().tolist() == [0, 0, 1, 0]
    assert np.isfinite(one(scales=(-1e308,), rates=(0.9,)).optimum("ipo")).all()
    flat = RingEnvironment(decay="exponential", rates=(1, 1, 1))
    assert flat.optimum("dpo") == pytest.approx(np.full(40, 1 / 40))
    point = fits.distances(np.eye(4)[:1], one())  # what it never does costs infinitely
    assert point["kl"] == [INF]
    assert np.isfinite(point["regret"]).all()
