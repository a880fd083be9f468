"""Torch losses at the ends of their ranges, against quadrature and binomials by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hetlib.consistent import losses

F32, F64 = torch.float32, torch.float64


def gradient(loss: Callable[[Tensor], Tensor], h: Tensor) -> Tensor:
    h = h.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(h).sum(), h)
    return slope


def for_y2(types: int) -> Callable[[Tensor], Tensor]:
    """The integral loss where everybody prefers y2."""
    return lambda h: losses.integral(h, torch.ones(len(h), types), "none")


def tail(top: float, types: int) -> float:
    """int_0^q v^K / (1 + v)^2 dv for q = exp(top), with v = exp(x), in short pieces of x."""
    x, weights = np.polynomial.legendre.leggauss(20)
    edges = np.linspace(-40, top, 1 + math.ceil(top + 40))
    half = np.diff(edges)[:, None] / 2
    at = edges[:-1, None] + half * (1 + x)
    return float((np.exp((types + 1) * at - 2 * np.logaddexp(0, at)) * weights * half).sum())


@pytest.mark.parametrize("types", [1, 2, 3, 9])
@pytest.mark.parametrize(("dtype", "reach"), [(F32, 60.0), (F64, 680.0)])
def test_the_integral_loss_is_exact_as_far_as_it_says(
    types: int, dtype: torch.dtype, reach: float
) -> None:
    """Value by quadrature and gradient in logarithms, on either side of equal rewards."""
    low = reach / max(types - 1, 1)
    h = torch.tensor([-low, -low / 2, 0.0, 0.7], dtype=dtype)
    value, slope = for_y2(types)(h), gradient(for_y2(types), h)
    close = 1e-4 if dtype == F32 else 1e-9
    for at, found, falls in zip(h.tolist(), value.tolist(), slope.tolist(), strict=True):
        sigma = 1 / (1 + math.exp(-at))
        assert found == pytest.approx(tail(-at, types) - sigma, rel=close)
        log_flat = -abs(at) - 2 * math.log1p(math.exp(-abs(at)))  # of sigma (1 - sigma)
        wanted = -math.exp(log_flat) - math.exp(log_flat - types * at)
        assert falls == pytest.approx(wanted, rel=close)


@pytest.mark.parametrize("types", [1, 2, 12, 41, 120])
@pytest.mark.parametrize(("dtype", "reach"), [(F32, 60.7), (F64, 681.8)])
def test_the_integral_loss_goes_on_by_its_tangent(
    types: int, dtype: torch.dtype, reach: float
) -> None:
    """No jump of the slope where the tangent takes over, and no change of it from there on."""
    unit = 1 / max(types - 1, 1)
    h = torch.linspace(-reach - 3, -reach + 3, 1201, dtype=F64) * unit
    slope = gradient(for_y2(types), h.to(dtype)).to(F64)
    assert (slope < 0).all()
    assert (slope.diff() >= -1e-6 * abs(slope[1:])).all()
    assert (slope[1:] / slope[:-1]).min() > 0.98
    far = gradient(for_y2(types), torch.tensor([-1e4, -2 * reach * unit], dtype=dtype)).to(F64)
    torch.testing.assert_close(far, slope[:1].expand(2), rtol=1e-6, atol=0)
    value = for_y2(types)(h.to(dtype)).to(F64)
    trapezoid = ((slope[1:] + slope[:-1]) / 2 * h.diff()).sum()
    assert (value[-1] - value[0]).item() == pytest.approx(trapezoid.item(), rel=2e-3)


def test_the_integral_loss_of_votes_for_y1_is_that_of_y2_turned_round() -> None:
    h = torch.tensor([-900.0, -3.0, 0.0, 2.0, 900.0], dtype=F64)
    for types in (1, 2, 5):
        none = losses.integral(h, torch.zeros(5, types), "none")
        torch.testing.assert_close(none, for_y2(types)(-h), rtol=1e-14, atol=0)


def corrected(h: Tensor, **given: Any) -> Tensor:
    given = {"variance": torch.ones(len(h)), **given}
    return losses.corrected(h, torch.ones(len(h)), reduction="none", **given)


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("h", [0.5, 1.0, 2.0, 3.0, 5.0])
def test_the_gradient_where_the_corrected_likelihood_vanishes(h: float, dtype: torch.dtype) -> None:
    """At the variance that takes all of it, and at all near ones: the floor, which is flat."""
    s = 1 / (1 + math.exp(-h))
    taking_all = 2 / ((1 - s) * (2 * s - 1))  # sigma = sigma (1 - sigma)(2 sigma - 1) V / 2
    steps = torch.arange(-40, 41) * torch.finfo(dtype).eps
    V = (taking_all * (1 + steps.to(F64))).to(dtype).requires_grad_()
    x = torch.full_like(V, h).detach().requires_grad_()
    value = corrected(x, variance=V, eps=1e-3)
    assert (value == torch.tensor(-math.log(1e-3), dtype=dtype)).all()
    for slope in torch.autograd.grad(value.sum(), (x, V)):
        assert (slope == 0).all()


@pytest.mark.parametrize("clamp", [None, 0.05, 0.3])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 2.0])
def test_the_corrected_likelihood_with_its_limit_and_floor(
    alpha: float, clamp: float | None
) -> None:
    eps = 0.01
    for h, V, won in product((-6.0, -1.0, 0.0, 0.4, 3.0), (0.0, 1.5, 40.0), (0, 1)):
        t = h if won else -h
        s = 1 / (1 + math.exp(-t))
        change = s * (1 - s) * (1 - 2 * s) * V / 2
        if clamp is not None:
            change = min(max(change, -clamp), clamp)
        found = losses.corrected(
            torch.tensor([h], dtype=F64),
            torch.tensor([won]),
            torch.tensor([V], dtype=F64),
            alpha,
            eps,
            clamp,
        )
        assert found.item() == pytest.approx(-math.log(max(s + alpha * change, eps)))


def brute_force(h: float, k: list[int], labels: list[int], m: list[int]) -> float:
    """-log of the share of k among all count vectors k + s m."""
    shares = {}
    for other in product(*(range(n + 1) for n in labels)):
        s, rest = divmod(other[0] - k[0], m[0])
        if rest == 0 and all(a + s * b == c for a, b, c in zip(k, m, other, strict=True)):
            ways = math.prod(math.comb(n, c) for n, c in zip(labels, other, strict=True))
            shares[other] = ways * math.exp(sum(other) * h)
    return -math.log(shares[tuple(k)] / sum(shares.values()))


@pytest.mark.parametrize(
    ("labels", "weights"),
    [([1], None), ([3], [7]), ([2, 4], None), ([3, 5], [4, 2]), ([2, 2, 3], [1, 1, 2])],
)
def test_conditional_likelihood_of_every_vector(
    labels: list[int], weights: list[int] | None
) -> None:
    given = weights or labels
    m = [w // math.gcd(*given) for w in given]
    counts = list(product(*(range(n + 1) for n in labels)))
    h = torch.linspace(-2.5, 2.0, len(counts), dtype=F64)
    found = losses.conditional(h, torch.tensor(counts), labels, weights, "none")
    wanted = [brute_force(x, list(k), labels, m) for x, k in zip(h.tolist(), counts, strict=True)]
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-12, atol=1e-13)
    assert losses.conditional(h, torch.tensor(counts), labels, weights).item() == pytest.approx(
        float(np.mean(wanted))
    )


BOTH = torch.tensor([[1, 1], [0, 0], [1, 0]])
WON = torch.tensor([1, 0, 1])
EVERY: dict[str, Callable[[Tensor], Tensor]] = {
    "dpo": lambda h: losses.dpo(h, WON, "none"),
    "corrected": lambda h: losses.corrected(h, WON, h.new_ones(3), clamp=0.1, reduction="none"),
    "agreement": lambda h: losses.agreement(h, BOTH, reduction="none"),
    "released": lambda h: losses.agreement(h, BOTH, True, "none"),
    "integral": lambda h: losses.integral(h, BOTH, "none"),
    "conditional": lambda h: losses.conditional(h, BOTH, [1, 1], reduction="none"),
}


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("name", EVERY)
def test_a_loss_lives_where_its_margins_do(name: str, dtype: torch.dtype) -> None:
    """Whatever device new tensors would go to, and in the precision of the margins."""
    h = torch.tensor([0.5, -1.0, 2.0], dtype=dtype)
    wanted = EVERY[name](h)
    with torch.device("meta"):
        found = EVERY[name](h)
    assert found.device == h.device
    assert found.dtype == dtype
    assert found.shape == (3,)
    assert torch.equal(found, wanted)


def test_the_released_loss_is_shifted_by_one_where_all_chose_y1() -> None:
    h = torch.tensor([0.3, 0.3, 0.3], dtype=F64)
    votes = torch.tensor([[1, 1], [0, 0], [0, 1]])
    found = losses.agreement(h, votes, as_released=True, reduction="none").tolist()
    wanted = [math.log1p(math.exp(-0.6)), math.log1p(math.exp(-1.4)), 0]
    assert found == pytest.approx(wanted)
    assert losses.agreement(h, votes, as_released=True).item() == pytest.approx(sum(wanted) / 3)


TWO = torch.zeros(2)
REFUSED: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: corrected(TWO, variance=torch.ones(3)),
        r"variance must be a tensor of shape \(2,\), not \(3,\)",
    ),
    (
        lambda: corrected(TWO, variance=torch.ones(2, 1)),
        r"variance must be a tensor of shape \(2,\), not \(2, 1\)",
    ),
    (
        lambda: corrected(TWO, variance=[1.0, 1.0]),
        r"variance must be a tensor of shape \(2,\), not list",
    ),
    (lambda: corrected(TWO, variance=np.ones(2)), r"shape \(2,\), not ndarray"),
    (
        lambda: corrected(TWO, variance=torch.tensor([1.0, -0.5])),
        r"variance\[1\] is -0.5; it must be non-negative and finite",
    ),
    (lambda: corrected(TWO, alpha=-0.1), "alpha is -0.1; it must be finite and not negative"),
    (lambda: corrected(TWO, eps=1.0), "eps is 1.0; it must lie strictly between 0 and 1"),
    (lambda: corrected(TWO, eps=0.0), "eps is 0.0; it must be positive"),
    (lambda: corrected(TWO, clamp=0.0), "clamp is 0.0; it must be positive"),
    (lambda: losses.tail_integral(TWO, 2), "h must be float64, not torch.float32"),
    (lambda: losses.agreement(TWO, torch.ones(3, 2)), r"votes must have shape \(batch, types\)"),
    (lambda: losses.integral(TWO, torch.ones(2, 2), "sum"), "reduction is 'sum'"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_refusals_that_name_the_argument(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
