"""The conditional likelihood: against brute force, exact fractions, and its special cases."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from math import prod

import numpy as np
import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from hetlib import Population
from hetlib.consistent import expected, losses
from hetlib.consistent.label_counts import Quota, quota
from hetlib.core import newton, policies

F64 = torch.float64
QUOTAS = [
    ([1, 1, 1], None),
    ([2, 2, 2], None),
    ([4, 2], None),
    ([3, 2, 1], None),
    ([3, 5], [2, 1]),
    ([4], None),
]


@pytest.mark.parametrize(("labels", "weights"), QUOTAS)
def test_class_law_in_fractions(labels: list[int], weights: list[int] | None) -> None:
    """Pr(k | class) from all single votes, in exact arithmetic, is what the loss scores."""
    q = Quota(labels, weights)
    odds = [Fraction(3, 2), Fraction(2, 7), Fraction(5)][: len(labels)]
    z = [x / (1 + x) for x in odds]
    law: dict[tuple[int, ...], Fraction] = {}
    for o in product(*(product((0, 1), repeat=n) for n in labels)):
        k = tuple(sum(part) for part in o)
        chance = prod(
            p ** sum(part) * (1 - p) ** (len(part) - sum(part))
            for p, part in zip(z, o, strict=True)
        )
        law[k] = law.get(k, Fraction(0)) + chance
    assert sum(law.values()) == 1
    m = [int(x) for x in q.step]
    theta = float(np.array(m) / sum(m) @ np.log([float(x) for x in odds]))
    h = torch.full((len(q.counts),), theta, dtype=F64)
    scores = losses.conditional(h, torch.tensor(q.counts), labels, weights, "none")
    for index, row in enumerate(q.counts):
        k = tuple(int(x) for x in row)
        mates = [tuple(a + s * b for a, b in zip(k, m, strict=True)) for s in range(-9, 10)]
        total = sum((law[x] for x in mates if x in law), Fraction(0))
        assert np.exp(-scores[index].item()) == pytest.approx(float(law[k] / total), rel=1e-12)
    for c in range(q.group.max() + 1):  # the classes are the lines k + Z m
        members = q.counts[q.group == c]
        assert all((np.diff(members, axis=0) == q.step).all(axis=1))
        assert (q.place[q.group == c] == np.arange(len(members))).all()


@pytest.mark.parametrize(("labels", "weights"), QUOTAS)
def test_exact_rank_is_the_number_of_classes(labels: list[int], weights: list[int] | None) -> None:
    q = Quota(labels, weights)
    if len(labels) > 1:
        assert q.silent_rank() == q.group.max() + 1


def test_rank_over_the_rationals() -> None:
    """The same rank by sympy's exact elimination, for weights 2 : 1."""
    for labels, rank in (([1, 1], 4), ([2, 1], 5), ([4, 2], 9)):
        q = Quota(labels, [2, 1])
        points = [(sympy.Rational(t), sympy.Rational(7, t**2)) for t in range(2, 22)]
        M = sympy.Matrix([[x ** int(a) * y ** int(b) for a, b in q.counts] for x, y in points])
        assert M.rank() == rank == q.group.max() + 1 == q.silent_rank()


@pytest.mark.parametrize(("labels", "weights"), QUOTAS)
@pytest.mark.parametrize("seed", [0, 1])
def test_population_optimum(labels: list[int], weights: list[int] | None, seed: int) -> None:
    """The minimiser is pi*, by hand-made derivatives and by differentiating the torch loss."""
    q, rng = Quota(labels, weights), np.random.default_rng(seed)
    p = Population(rng.normal(scale=1.5, size=(len(labels), 4)), q.step / q.step.sum())
    D, reference = rng.dirichlet(np.full(4, 3.0), size=2)
    chance = q.probabilities(p.pairwise_by_type())
    assert np.allclose(chance.sum(axis=0), 1)

    def torch_loss(h: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        return losses.conditional(h, k, labels, weights, "none")

    best = p.optimal_policy(reference, 0.7)
    by_torch = expected.expected_loss(torch_loss, chance, q.counts)
    H = rng.normal(size=(4, 4))
    for ours, theirs in zip(q.loss(chance)(H), by_torch(H), strict=True):
        assert np.allclose(ours, theirs, atol=1e-12)
    s = newton.minimise_pairwise(q.loss(chance), D, tolerance=1e-11)
    found = policies.optimal_policy(s, reference, 0.7)
    assert policies.total_variation(found, best) < 1e-8


def test_unequal_weights_need_a_quota() -> None:
    """Taking equal weights for unequal ones finds another policy."""
    rng = np.random.default_rng(3)
    p = Population(rng.normal(size=(2, 4)), [2 / 3, 1 / 3])
    q = Quota([2, 2])
    s = newton.minimise_pairwise(q.loss(q.probabilities(p.pairwise_by_type())), np.full(4, 0.25))
    assert policies.total_variation(policies.optimal_policy(s), p.optimal_policy()) > 1e-2


@pytest.mark.parametrize("types", [1, 2, 3, 5])
def test_one_label_is_proposition_6_1(types: int) -> None:
    o = torch.tensor(expected.patterns(types))
    h = torch.linspace(-3, 3, len(o), dtype=F64)
    ours = losses.conditional(h, o, [1] * types)
    assert torch.allclose(ours, losses.agreement(h, o), atol=1e-14)


def test_one_type_is_dpo() -> None:
    h = torch.linspace(-4, 4, 8, dtype=F64)
    won = torch.tensor([0, 1, 1, 0, 0, 1, 0, 1])
    assert torch.allclose(losses.conditional(h, won[:, None], [1]), losses.dpo(h, won))
    # n labels of one type: n DPO losses, up to log binom(n, k)
    k = torch.tensor([0, 1, 2, 3, 3, 2, 1, 0])
    both = k * losses.dpo(h, 0 * k + 1, "none") + (3 - k) * losses.dpo(h, 0 * k, "none")
    shift = torch.log(torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=F64))[k]
    assert torch.allclose(losses.conditional(h, k[:, None], [3], reduction="none"), both - shift)


@settings(deadline=None, max_examples=60)
@given(
    values=st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=6),
    labels=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    proportional=st.booleans(),
    seed=st.integers(0, 100),
)
def test_finite_in_float32(
    values: list[float], labels: list[int], proportional: bool, seed: int
) -> None:
    k = torch.from_numpy(
        np.random.default_rng(seed).integers(0, np.array(labels) + 1, (len(values), len(labels)))
    )
    h = torch.tensor(values, dtype=torch.float32, requires_grad=True)
    weights = None if proportional else [1] * len(labels)
    value = losses.conditional(h, k, labels, weights)
    (gradient,) = torch.autograd.grad(value, h)
    assert value.dtype == torch.float32
    assert torch.isfinite(value)
    assert value >= 0
    assert torch.isfinite(gradient).all()


def test_gradients() -> None:
    h = torch.tensor([-2.0, 0.3, 1.1, 4.0], dtype=F64, requires_grad=True)
    k = torch.tensor([[0, 1, 1], [2, 1, 0], [2, 2, 2], [1, 2, 1]])
    assert torch.autograd.gradcheck(lambda x: losses.conditional(x, k, [2, 2, 2]), h)
    assert torch.autograd.gradcheck(lambda x: losses.conditional(x, k, [3, 2, 2], [1, 1, 1]), h)


@pytest.mark.parametrize(("labels", "weights"), QUOTAS)
def test_information(labels: list[int], weights: list[int] | None) -> None:
    """It is the mean squared score, the mean curvature, and at most the bound."""
    q, rng = Quota(labels, weights), np.random.default_rng(5)
    for a in rng.normal(scale=1.5, size=(5, len(labels))):
        z, theta = expit(a), float(q.step / q.step.sum() @ a)
        h = torch.full((len(q.counts),), theta, dtype=F64, requires_grad=True)
        total = losses.conditional(h, torch.tensor(q.counts), labels, weights, "none").sum()
        (slope,) = torch.autograd.grad(total, h, create_graph=True)
        (curve,) = torch.autograd.grad(slope.sum(), h)
        p = q.probabilities(z)
        assert p @ slope.detach().numpy() == pytest.approx(0, abs=1e-12)
        assert q.information(z) == pytest.approx(p @ slope.detach().numpy() ** 2)
        assert q.information(z) == pytest.approx(p @ curve.numpy())
        assert q.information(z) <= q.information_bound(z) * (1 + 1e-12)


@pytest.mark.parametrize(("labels", "weights"), [*QUOTAS, ([3, 5], [5, 3]), ([1, 4], [1, 1])])
def test_information_bound_is_that_of_all_labels(
    labels: list[int], weights: list[int] | None
) -> None:
    """1 / (w' F^-1 w): F from the scores of every count vector, w the masses, not the labels."""
    q, rng, e = Quota(labels, weights), np.random.default_rng(2), 1e-5
    mass = np.array(weights or labels) / sum(weights or labels)
    for a in rng.normal(size=(3, len(labels))):
        p = q.probabilities(expit(a))
        up, down = (
            np.log([q.probabilities(expit(b)) for b in a + sign * e * np.eye(len(a))])
            for sign in (1, -1)
        )
        score = (up - down) / (2 * e)
        inverse = np.linalg.inv((p * score) @ score.T)
        assert q.information_bound(expit(a)) == pytest.approx(1 / (mass @ inverse @ mass), rel=1e-6)


@pytest.mark.parametrize("step", [[1, 1], [1, 1, 1], [2, 1]])
def test_information_per_label_grows(step: list[int]) -> None:
    a = np.random.default_rng(7).normal(scale=1.5, size=(len(step), 20))
    shares = []
    for n in range(1, 7):
        q = Quota([n * m for m in step])
        shares.append(q.information(expit(a)) / q.information_bound(expit(a)))
    assert (np.diff(shares, axis=0) > 0).all()
    assert (np.array(shares) < 1 + 1e-12).all()


def test_errors() -> None:
    h, k = torch.zeros(2), torch.tensor([[0, 1], [1, 2]])
    with pytest.raises(ValueError, match=r"counts\[1, 1\] is 2; whole numbers from 0"):
        losses.conditional(h, k, [2, 1])
    with pytest.raises(ValueError, match=r"shape \(batch, types\) = \(2, 3\)"):
        losses.conditional(h, k, [2, 1, 1])
    with pytest.raises(ValueError, match=r"labels\[1\] is 0"):
        losses.conditional(h, k, [2, 0])
    with pytest.raises(ValueError, match=r"weights\[0\] is 0.5"):
        quota([2, 2], [0.5, 1])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="2 entries and weights 3"):
        quota([2, 2], [1, 1, 1])
    with pytest.raises(ValueError, match="reduction"):
        losses.conditional(h, torch.zeros(2, 2), [1, 1], reduction="sum")
    with pytest.raises(ValueError, match="count vectors"):
        Quota([9] * 10)
    with pytest.raises(ValueError, match="z must have shape"):
        Quota([1, 1]).probabilities([0.5, 0.5, 0.5])


def test_as_many_vectors_as_are_allowed() -> None:
    assert len(Quota([1] * 20).counts) == 2**20
    with pytest.raises(ValueError, match="more than 1048576 count vectors"):
        Quota([1] * 18 + [4])


def test_a_quota_keeps_what_it_was_given() -> None:
    q = Quota([4, 2], [6, 3])
    assert q.labels == (4, 2)
    assert q.weights == (2, 1)
    with pytest.raises(ValueError, match=r"labels\[0\] is None; positive"):
        Quota([None])  # type: ignore[list-item]


@pytest.mark.parametrize("seed", [-1, 0.5])
def test_seeds_that_are_none(seed: float) -> None:
    with pytest.raises(ValueError, match="seed is"):
        Quota([2, 2]).silent_rank(seed=seed)  # type: ignore[arg-type]


@pytest.mark.parametrize("labels", [[1, 1], [3, 1, 2]])
def test_information_is_a_variance_within_classes(labels: list[int]) -> None:
    """Sum over classes of Pr(class) Var(sum(k) | class), one vector after the other."""
    q, z = Quota(labels, [1] * len(labels)), np.array([0.3, 0.6, 0.8])[: len(labels)]
    p = q.probabilities(z)
    total = 0.0
    for c in set(q.group):
        inside = q.group == c
        weight, k = p[inside].sum(), q.counts[inside].sum(axis=1)
        mean = p[inside] @ k / weight
        total += p[inside] @ (k - mean) ** 2
    assert q.information(z) == pytest.approx(total)
