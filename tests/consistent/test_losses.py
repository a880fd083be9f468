"""The losses: stable, differentiable, equal to their formulas and to DPO where they must be."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from torch import Tensor

from hetlib.consistent import losses

F64 = torch.float64
MARGINS = st.lists(
    st.floats(-1e4, 1e4, width=32, allow_nan=False, allow_subnormal=False), min_size=1, max_size=8
)


def unanimous(size: int, types: int) -> Tensor:
    """Votes: all for y2, all for y1, mixed (if types > 1), and again."""
    rows = torch.zeros(size, types)
    rows[0::3] = 1
    rows[2::3, 0] = 1
    return rows


def all_losses(size: int, types: int) -> dict[str, Callable[[Tensor], Tensor]]:
    votes = unanimous(size, types)
    won = votes[:, 0]
    V = torch.linspace(0, 9, size)
    return {
        "dpo": partial(losses.dpo, preferred=won),
        "corrected": partial(losses.corrected, preferred=won, variance=V, alpha=1.5),
        "clamped": partial(losses.corrected, preferred=won, variance=V, alpha=2.0, clamp=0.1),
        "agreement": partial(losses.agreement, votes=votes),
        "released": partial(losses.agreement, votes=votes, as_released=True),
        "integral": partial(losses.integral, votes=votes),
    }


@settings(deadline=None, max_examples=60)
@given(values=MARGINS, types=st.integers(1, 12))
def test_finite_in_float32(values: list[float], types: int) -> None:
    for name, loss in all_losses(len(values), types).items():
        h = torch.tensor(values, dtype=torch.float32, requires_grad=True)
        value = loss(h)
        (gradient,) = torch.autograd.grad(value, h)
        assert value.dtype == torch.float32
        assert torch.isfinite(value), name
        assert torch.isfinite(gradient).all(), name


@pytest.mark.parametrize("types", [1, 2, 3, 6])
def test_gradients_against_finite_differences(types: int) -> None:
    h = torch.tensor([-2.3, -0.7, 0.4, 0.9, 1.8, 3.1], dtype=F64, requires_grad=True)
    for loss in all_losses(6, types).values():
        assert torch.autograd.gradcheck(loss, h)
        assert torch.autograd.gradgradcheck(loss, h)


def test_gradient_through_the_variance() -> None:
    h = torch.tensor([-1.0, 0.5, 1.5], dtype=F64, requires_grad=True)
    won = torch.tensor([1, 0, 1])

    def attached(h: Tensor) -> Tensor:
        slope = torch.sigmoid(h) * torch.sigmoid(-h)
        return losses.corrected(h, won, 0.01 / slope**2)

    def detached(h: Tensor) -> Tensor:
        slope = torch.sigmoid(h) * torch.sigmoid(-h)
        return losses.corrected(h, won, (0.01 / slope**2).detach())

    assert torch.autograd.gradcheck(attached, h)
    assert torch.equal(attached(h), detached(h))
    (a,) = torch.autograd.grad(attached(h), h)
    (b,) = torch.autograd.grad(detached(h), h)
    assert (a - b).abs().min() > 1e-4


def test_dpo_is_the_sigmoid_loss() -> None:
    """TRL's sigmoid DPO loss as published: -logsigmoid(beta * (chosen - rejected ratios))."""
    generator = torch.Generator().manual_seed(0)
    chosen, ref_chosen, rejected, ref_rejected = 5 * torch.randn(
        4, 50, dtype=F64, generator=generator
    )
    won = torch.arange(50) % 2
    for beta in (0.1, 1.0):
        logits = (chosen - rejected) - (ref_chosen - ref_rejected)
        published = -torch.nn.functional.logsigmoid(beta * logits).mean()
        h = beta * torch.where(won == 1, logits, -logits)  # y2 is the chosen one where it won
        assert torch.allclose(losses.dpo(h, won), published, rtol=1e-14)
        assert torch.allclose(losses.agreement(h, won[:, None]), published, rtol=1e-14)
        assert torch.allclose(losses.integral(h, won[:, None]), published - 1, rtol=1e-12)
        assert torch.allclose(
            losses.corrected(h, won, 3.0 + 0 * h, alpha=0.0, eps=1e-30), published, rtol=1e-14
        )


def test_agreement_formula() -> None:
    h = torch.tensor([0.7, 0.7, 0.7], dtype=F64)
    votes = torch.tensor([[1, 1, 1], [0, 0, 0], [1, 0, 1]])
    values = losses.agreement(h, votes, reduction="none")
    assert values[0].item() == pytest.approx(math.log1p(math.exp(-2.1)))
    assert values[1].item() == pytest.approx(math.log1p(math.exp(2.1)))
    assert values[2].item() == 0
    assert losses.agreement(h, votes).item() == pytest.approx(values.sum().item() / 3)
    slip = losses.agreement(h, votes, as_released=True, reduction="none")
    assert slip[0] == values[0]
    assert slip[1].item() == pytest.approx(math.log1p(math.exp(-3 * 0.3)))


@settings(deadline=None, max_examples=80)
@given(h=st.floats(-8, 40), types=st.integers(1, 12))
def test_integral_against_quadrature(h: float, types: int) -> None:
    # log of the integrand's scale is taken out, so that small tails are compared as well
    scale = math.exp(-types * h) if h > 0 else 1.0
    q = math.exp(-h)
    exact = q * quad(lambda v: (v * q) ** types / scale / (1 + v * q) ** 2, 0, 1, epsrel=1e-12)[0]
    got = losses.tail_integral(torch.tensor(h, dtype=F64), types).item() / scale
    assert got == pytest.approx(exact, rel=1e-8)


@settings(deadline=None, max_examples=60)
@given(h=st.floats(-1e3, 1e3), types=st.integers(1, 8))
def test_integral_is_convex_and_decreasing(h: float, types: int) -> None:
    x = torch.tensor([h, h + 0.1], dtype=F64, requires_grad=True)
    value = losses.integral(x, torch.ones(2, types), reduction="none")
    (slope,) = torch.autograd.grad(value.sum(), x)
    assert (slope <= 0).all()
    assert slope[1] >= slope[0]
    assert value[1] <= value[0]


def test_integral_continues_smoothly() -> None:
    limit = (math.log(torch.finfo(F64).max) - 28) / 2
    x = torch.tensor([-limit - 1e-7, -limit + 1e-7], dtype=F64, requires_grad=True)
    value = losses.integral(x, torch.ones(2, 3), reduction="none")
    (slope,) = torch.autograd.grad(value.sum(), x)
    assert value[0].item() == pytest.approx(value[1].item(), rel=1e-6)
    assert slope[0].item() == pytest.approx(slope[1].item(), rel=1e-6)


def test_corrected_formula() -> None:
    h = torch.tensor([0.8, -0.4], dtype=F64)
    V = torch.tensor([0.5, 1.5], dtype=F64)
    s = torch.sigmoid(h)
    z = s + 0.7 / 2 * s * (1 - s) * (1 - 2 * s) * V  # Eq. (14) with alpha = 0.7
    expected = -(torch.log(z[0]) + torch.log(1 - z[1])) / 2  # y2 won the first, y1 the second
    won = torch.tensor([True, False])
    assert losses.corrected(h, won, V, alpha=0.7).item() == pytest.approx(expected.item())


def test_the_strength_of_a_correction_that_names_none() -> None:
    """That of Eq. (14): one."""
    h, won = torch.tensor([0.3, -0.8], dtype=F64), torch.tensor([1, 0])
    V = torch.tensor([0.2, 0.4], dtype=F64)
    s, sign = torch.sigmoid(h), torch.tensor([1.0, -1.0], dtype=F64)
    term = 0.5 * V * s * (1 - s) * (1 - 2 * s)
    expected = -torch.log(torch.sigmoid(sign * h) + sign * term).mean()
    assert losses.corrected(h, won, V).item() == pytest.approx(expected.item())


def test_corrected_clamp_and_floor() -> None:
    h = torch.tensor([1.0], dtype=F64)
    s = torch.sigmoid(h).item()
    one, V = torch.ones(1), torch.full((1,), 50.0, dtype=F64)
    clamped = losses.corrected(h, one, V, alpha=2.0, clamp=0.1).item()
    assert clamped == pytest.approx(-math.log(s - 2 * 0.1))
    assert losses.corrected(h, one, V, alpha=2.0, eps=1e-3).item() == -math.log(1e-3)
    assert losses.corrected(h, one, V, alpha=2.0).item() == pytest.approx(13.815510557964274)


BAD = [
    (lambda: losses.dpo(torch.ones(2, 1), torch.ones(2)), "h must have shape"),
    (lambda: losses.dpo(torch.ones(0), torch.ones(0)), "batch > 0"),
    (lambda: losses.dpo(torch.ones(2, dtype=torch.int64), torch.ones(2)), "int64"),
    (lambda: losses.dpo(torch.ones(2, dtype=torch.float16), torch.ones(2)), "float16"),
    (lambda: losses.dpo([1.0], torch.ones(1)), "list"),  # type: ignore[arg-type]
    (lambda: losses.dpo(torch.ones(2), torch.ones(3)), "preferred must have shape"),
    (lambda: losses.dpo(torch.ones(2), torch.tensor([1, 2])), r"preferred\[1\] is 2"),
    (lambda: losses.dpo(torch.ones(2), [1, 0]), "preferred must be a tensor"),  # type: ignore[arg-type]
    (lambda: losses.dpo(torch.ones(1), torch.ones(1), reduction="sum"), "reduction is 'sum'"),
    (lambda: losses.agreement(torch.ones(2), torch.ones(2)), "votes must have shape"),
    (lambda: losses.agreement(torch.ones(2), torch.ones(2, 0)), "votes must have shape"),
    (
        lambda: losses.integral(torch.ones(2), torch.tensor([[0, 1], [0.5, 1]])),
        r"votes\[1, 0\] is 0.5",
    ),
    (
        lambda: losses.corrected(torch.ones(2), torch.ones(2), torch.tensor([0.0, -1.0])),
        r"variance\[1\] is -1",
    ),
    (
        lambda: losses.corrected(torch.ones(1), torch.ones(1), torch.tensor([math.inf])),
        "finite",
    ),
    (lambda: losses.corrected(torch.ones(2), torch.ones(2), torch.ones(3)), "variance must be"),
    (
        lambda: losses.corrected(torch.ones(1), torch.ones(1), torch.ones(1), alpha=-1),
        "alpha is -1",
    ),
    (lambda: losses.corrected(torch.ones(1), torch.ones(1), torch.ones(1), eps=0), "eps is 0"),
    (
        lambda: losses.corrected(torch.ones(1), torch.ones(1), torch.ones(1), clamp=0),
        "clamp is 0",
    ),
    (lambda: losses.tail_integral(torch.ones(1), 2), "float64"),
    (lambda: losses.tail_integral(torch.ones(1, dtype=F64), 0), "types is 0"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_input(call: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
