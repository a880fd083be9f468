"""Degenerate calls of losses, votes and label counts: right, or a clear error; never NaN."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hetlib.consistent import expected, losses
from hetlib.consistent.label_counts import Quota, quota

inf, nan = math.inf, math.nan
F64 = torch.float64
HUGE: Any = 10**400
H = torch.tensor([0.5, -1.0])
ONE = torch.tensor([1, 0])
BOTH = torch.tensor([[1, 1], [0, 0]])

#: Makes every import of torch fail, as where it is not installed.
BLOCK = """
class Block:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Block())
"""

pytestmark = pytest.mark.filterwarnings("error")


def every_loss(h: Tensor) -> dict[str, Callable[[], Tensor]]:
    """Each loss on margins of shape (2,), y2 being preferred by all at the first."""
    return {
        "dpo": lambda: losses.dpo(h, ONE, "none"),
        "corrected": lambda: losses.corrected(h, ONE, torch.ones(2), reduction="none"),
        "clamped": lambda: losses.corrected(h, ONE, torch.ones(2), clamp=0.1, reduction="none"),
        "agreement": lambda: losses.agreement(h, BOTH, reduction="none"),
        "released": lambda: losses.agreement(h, BOTH, True, "none"),
        "integral": lambda: losses.integral(h, BOTH, "none"),
        "one type": lambda: losses.integral(h, BOTH[:, :1], "none"),
        "conditional": lambda: losses.conditional(h, BOTH, [1, 1], reduction="none"),
    }


FINITE_ONLY = ("integral", "one type", "conditional")


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("name", every_loss(H))
def test_nan_is_refused(name: str, place: int, dtype: torch.dtype) -> None:
    h = H.to(dtype, copy=True)
    h[place] = nan
    with pytest.raises(ValueError, match=rf"h\[{place}\] is nan; "):
        every_loss(h)[name]()


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", every_loss(H))
def test_infinite_margins(name: str, sign: int) -> None:
    """Their limit, with a gradient that is a number, or refused."""
    h = torch.tensor([sign * inf, 0.3], requires_grad=True)
    if name in FINITE_ONLY:
        with pytest.raises(ValueError, match=r"h\[0\] is -?inf; only finite numbers are allowed"):
            every_loss(h)[name]()
        return
    value = every_loss(h)[name]()
    floor = -math.log(1e-6)
    limit = 0.0 if sign > 0 else floor if name in ("corrected", "clamped") else inf
    assert value[0].item() == pytest.approx(limit, abs=1e-6)
    (slope,) = torch.autograd.grad(value.sum(), h)
    assert torch.isfinite(slope).all()
    assert (slope[0] <= 0).all()


def test_a_batch_with_an_infinite_margin_has_a_mean() -> None:
    assert losses.dpo(torch.tensor([inf, 0.0]), ONE).item() == pytest.approx(math.log(2) / 2)


@given(
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.floats(0, width=32, allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, 1.0, 10.0, 1e30]),
)
def test_any_finite_margin_has_a_loss(h: float, variance: float, alpha: float) -> None:
    """float32 to its ends: the value may overflow to infinity, but is never NaN."""
    x, V = torch.tensor([h, -h]), torch.tensor([variance, variance])
    values = [loss() for loss in every_loss(x).values()]
    values += [losses.corrected(x, ONE, V, alpha, reduction="none")]
    values += [losses.integral(x, torch.ones(2, 3), "none")]
    for value in values:
        assert not torch.isnan(value).any()


RIGHT: list[tuple[Callable[[], Any], Any]] = [
    (lambda: losses.corrected(H, ONE, torch.tensor([1e38, 1e38]), 10.0), -math.log(1e-6)),
    (lambda: losses.conditional(H, torch.tensor([[1, 1], [2, 0]]), [2, 2], [1, 3]), 0),
    (lambda: losses.conditional(H, torch.tensor([[1], [0]]), [1], [10**30]), losses.dpo(H, ONE)),
    (lambda: expected.patterns(True), [[0], [1]]),
    (lambda: len(expected.patterns(np.int64(3))), 8),  # type: ignore[arg-type]
    (lambda: expected.probabilities([5e-324, 1.0])[:, None].sum(), 1),
    (lambda: Quota([1], [10**30]).weights, (1,)),
    (lambda: Quota([2.0, 4.0]).weights, (1, 2)),  # type: ignore[list-item]
    (lambda: Quota([1, 1], [1, 2**31 - 1]).speaks, [False] * 4),
    (lambda: Quota([2, 1]).information_bound([0.0, 0.5]), 0),
    (lambda: Quota([2, 1]).information([0.0, 1.0]), 0),
    (lambda: expected.tail_integral(np.array([1e308, 800.0]), 3), [0, 0]),
]


@pytest.mark.parametrize(("call", "answer"), RIGHT)
def test_right(call: Callable[[], Any], answer: Any) -> None:
    np.testing.assert_allclose(np.asarray(call()), np.asarray(answer), rtol=1e-6)


WRONG: list[tuple[Callable[[], Any], str]] = [
    (lambda: losses.dpo(H, torch.tensor([2, 0])), r"preferred\[0\] is 2"),
    (lambda: losses.dpo(H, torch.tensor([nan, 0])), r"preferred\[0\] is nan"),
    (lambda: losses.dpo(torch.tensor([]), torch.tensor([])), "batch > 0"),
    (lambda: losses.corrected(H, ONE, torch.ones(2), alpha=nan), "alpha is nan"),
    (lambda: losses.corrected(H, ONE, torch.ones(2), alpha=inf), "alpha is inf"),
    (lambda: losses.corrected(H, ONE, torch.ones(2), alpha="x"), "alpha must be a number"),  # type: ignore[arg-type]
    (lambda: losses.corrected(H, ONE, torch.ones(2), alpha=HUGE), "alpha must be a number"),
    (lambda: losses.corrected(H, ONE, torch.ones(2), eps=nan), "eps is nan"),
    (lambda: losses.corrected(H, ONE, torch.ones(2), eps=1), "eps is 1"),
    (lambda: losses.corrected(H, ONE, torch.ones(2), clamp=nan), "clamp is nan"),
    (lambda: losses.corrected(H, ONE, torch.tensor([1.0, nan])), r"variance\[1\] is nan"),
    (lambda: losses.agreement(H, torch.tensor([[nan], [1]])), r"votes\[0, 0\] is nan"),
    (lambda: losses.conditional(H, torch.tensor([[1], [2]]), [2.5]), r"labels\[0\] is 2.5"),  # type: ignore[list-item]
    (lambda: losses.conditional(H, torch.tensor([[1], [2]]), [inf]), r"labels\[0\] is inf"),  # type: ignore[list-item]
    (lambda: losses.conditional(H, torch.tensor([[1], [nan]]), [2]), r"counts\[1, 0\] is nan"),
    (lambda: losses.conditional(H, torch.tensor([[1], [2]]), 2), "labels is 2; one entry a type"),  # type: ignore[arg-type]
    (lambda: losses.tail_integral(torch.tensor([0.0], dtype=F64), 0), "types is 0"),
    (lambda: losses.tail_integral(torch.tensor([0.0], dtype=F64), 1.5), "types is 1.5"),  # type: ignore[arg-type]
    (lambda: expected.patterns(17), "types is 17"),
    (lambda: expected.patterns(nan), "types is nan; it must be a whole number"),  # type: ignore[arg-type]
    (lambda: expected.probabilities([]), "z must have shape"),
    (lambda: expected.probabilities(0.5), "z must have shape"),
    (lambda: expected.probabilities([0.5, nan]), r"z\[1\] is nan"),
    (lambda: expected.probabilities([[0.5], [0.5, 0.5]]), "z must hold numbers"),
    (lambda: expected.probabilities([HUGE]), "z must hold numbers"),
    (lambda: expected.probabilities([0.5], [[2]]), "votes must be 0 or 1"),
    (lambda: expected.agreement_loss(np.eye(2), 0), "types is 0"),
    (lambda: expected.integral_loss(np.eye(2), -1), "types is -1"),
    (lambda: expected.expected_loss(losses.dpo, np.full((1, 2, 2), nan), [[1]]), r"probability\[0"),
    (lambda: Quota([2**21]), "labels allow more than 1048576"),
    (lambda: Quota([inf]), r"labels\[0\] is inf"),  # type: ignore[list-item]
    (lambda: Quota([None]), r"labels\[0\] is None"),  # type: ignore[list-item]
    (lambda: Quota(["2"]), r"labels\[0\] is '2'"),  # type: ignore[list-item]
    (lambda: Quota([]), "labels is empty"),
    (lambda: Quota(5), "labels is 5; one entry a type"),  # type: ignore[arg-type]
    (lambda: Quota([1, 1], [1, 10**30]), "weights holds 1000000000000000000000000000000"),
    (lambda: quota([2**31]), "labels holds 2147483648"),
    (lambda: Quota([1, 1]).information([0.5, 1.5]), r"z\[1\] is 1.5"),
    (lambda: Quota([1, 1]).information_bound([0.5, nan]), r"z\[1\] is nan"),
    (lambda: Quota([1, 1]).information_bound([0.5]), r"z must have shape \(2, ...\)"),
]


@pytest.mark.parametrize(("call", "message"), WRONG)
def test_refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("types", [1, 2, 3, 7])
def test_tail_integral_is_the_same_in_both_libraries(types: int) -> None:
    h = np.linspace(-30, 60, 500)
    ours = expected.tail_integral(h, types)
    theirs = losses.tail_integral(torch.from_numpy(h), types).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-300)


@pytest.mark.slow
def test_the_integral_optimum_needs_no_torch() -> None:
    code = f"""
import sys
{BLOCK}
from hetlib.ring.environment import RingEnvironment
ring = RingEnvironment(n=8)
print(abs(ring.optimum("integral") - ring.best()).max() < 1e-7)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "True\n", done.stderr
