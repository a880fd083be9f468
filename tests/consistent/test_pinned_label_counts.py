"""Counts of labels vector by vector, and the points behind the exact rank."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

from hetlib.consistent.label_counts import LARGEST, LIMIT, Quota, quota
from hetlib.core.modular import rank_modulo

QUOTAS: list[tuple[list[int], list[int] | None]] = [
    ([3], None),
    ([2, 1], None),
    ([4, 2], [1, 1]),
    ([3, 5], [2, 1]),
    ([1, 2, 3], [2, 2, 4]),
]


@pytest.mark.parametrize(("labels", "weights"), QUOTAS)
def test_every_vector_with_its_class(labels: list[int], weights: list[int] | None) -> None:
    q = Quota(labels, weights)
    given = weights or labels
    m = [w // math.gcd(*given) for w in given]
    assert q.labels == tuple(labels)
    assert q.weights == tuple(m)
    assert q.step.tolist() == m
    assert q.total == sum(labels)
    vectors = list(product(*(range(n + 1) for n in labels)))
    assert [tuple(k) for k in q.counts] == vectors
    first = []
    for k in vectors:
        while min(a - b for a, b in zip(k, m, strict=True)) >= 0:
            k = tuple(a - b for a, b in zip(k, m, strict=True))
        first.append(k)
    number = {k: c for c, k in enumerate(sorted(set(first)))}
    for row, (k, start) in enumerate(zip(vectors, first, strict=True)):
        assert q.group[row] == number[start]
        assert [a + q.place[row] * b for a, b in zip(start, m, strict=True)] == list(k)
        assert q.speaks[row] == (first.count(start) > 1)
        ways = math.prod(math.comb(n, a) for n, a in zip(labels, k, strict=True))
        assert q.log_binomial[row] == pytest.approx(math.log(ways), abs=1e-12)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_probabilities_and_information_entry_by_entry(shape: tuple[int, ...]) -> None:
    """Certain types among them, whose classes partly never occur."""
    q = Quota([2, 3], [1, 1])
    z = np.random.default_rng(1).uniform(size=(2, *shape))
    z[0].flat[0] = 1.0
    p, information, bound = q.probabilities(z), q.information(z), q.information_bound(z)
    assert p.shape == (12, *shape)
    assert information.shape == bound.shape == shape
    for at in np.ndindex(shape):
        a, b = (float(z[(u, *at)]) for u in range(2))
        chance = {
            (i, j): math.comb(2, i) * a**i * (1 - a) ** (2 - i)
            * math.comb(3, j) * b**j * (1 - b) ** (3 - j)
            for i, j in product(range(3), range(4))
        }  # fmt: skip
        np.testing.assert_allclose(p[(slice(None), *at)], list(chance.values()), atol=1e-15)
        total = 0.0
        for difference in range(-3, 3):  # a class holds the vectors of one difference
            members = [(k, x) for k, x in chance.items() if k[0] - k[1] == difference]
            if (mass := sum(x for _, x in members)) > 0:
                mean = sum(sum(k) * x for k, x in members) / mass
                total += sum((sum(k) - mean) ** 2 * x for k, x in members)
        assert information[at] == pytest.approx(total, abs=1e-14)
        if 0 < a < 1:
            spread = 0.25 / (2 * a * (1 - a)) + 0.25 / (3 * b * (1 - b))
            assert bound[at] == pytest.approx(1 / spread)
        else:
            assert bound[at] == 0


def test_joint_is_the_product_of_any_laws() -> None:
    q = Quota([1, 2])
    first, second = np.array([[0.1, 0.5], [0.9, 0.5]]), np.array([[0.2, 1], [0.3, 0], [0.5, 0]])
    joint = q.joint([first, second])
    for row, (i, j) in enumerate(q.counts):
        np.testing.assert_allclose(joint[row], first[i] * second[j])


@pytest.mark.parametrize("labels", [[2, 2], [3], [2, 1, 3]])
@pytest.mark.parametrize("tables", [(), (2,)])
def test_the_loss_is_minus_the_log_of_each_share_in_its_class(
    labels: list[int], tables: tuple[int, ...]
) -> None:
    q = Quota(labels, [1] * len(labels))
    rng = np.random.default_rng(3)
    seen = rng.integers(0, 5, (len(q.counts), *tables, 2, 2)).astype(float)
    H = rng.normal(scale=2, size=(*tables, 2, 2))
    value, slope, curve = q.loss(seen)(H)
    assert value.shape == slope.shape == curve.shape == H.shape
    for at in np.ndindex(H.shape):
        wanted = np.zeros(3)
        for row, often in enumerate(seen[(slice(None), *at)]):
            mates = q.counts[q.group == q.group[row]]
            total = mates.sum(axis=1)
            ways = [
                math.prod(math.comb(n, int(a)) for n, a in zip(labels, k, strict=True))
                for k in mates
            ]
            share = ways * np.exp(total * H[at])
            share /= share.sum()
            mean = share @ total
            own = int(q.place[row])
            wanted += often * np.array(
                [-np.log(share[own]), mean - total[own], share @ (total - mean) ** 2]
            )
        np.testing.assert_allclose([value[at], slope[at], curve[at]], wanted, atol=1e-7)


@pytest.mark.parametrize(
    ("labels", "weights"), [([2, 1], None), ([2, 4], [1, 3]), ([2, 1, 2], [1, 1, 2])]
)
def test_the_rank_is_that_of_monomials_on_the_surface(
    labels: list[int], weights: list[int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row holds prod x_u^{k_u} at a point with prod x_u^{m_u} = 2^M, modulo the prime."""
    taken: list[tuple[list[list[int]], int]] = []

    def watched(rows: Any, modulus: int) -> int:
        taken.append((rows.tolist(), modulus))
        return rank_modulo(rows, modulus)

    monkeypatch.setattr("hetlib.consistent.label_counts.rank_modulo", watched)
    q, prime = Quota(labels, weights), 2**31 - 1
    vectors = [tuple(map(int, k)) for k in q.counts]
    ranks = [q.silent_rank(), q.silent_rank(0, prime), q.silent_rank(seed=1)]
    assert ranks == [len(set(q.group))] * 3
    assert taken[0] == taken[1]
    assert taken[0] != taken[2]
    for rows, modulus in taken:
        assert modulus == prime
        assert len(rows) >= 2 * len(vectors)
        assert len(set(map(tuple, rows))) == len(rows)
        for row in rows:
            at = dict(zip(vectors, row, strict=True))
            x = [at[tuple(map(int, e))] for e in np.eye(len(labels))]
            on_surface = math.prod(pow(a, int(b), prime) for a, b in zip(x, q.step, strict=True))
            assert on_surface % prime == pow(2, int(q.step.sum()), prime)
            for k, entry in at.items():
                assert entry == math.prod(a**b for a, b in zip(x, k, strict=True)) % prime


@pytest.mark.parametrize("prime", [2**20 + 7, 2**31 - 1])
def test_the_rank_does_not_hang_on_the_prime(prime: int) -> None:
    assert Quota([2, 2], [1, 1]).silent_rank(prime=prime) == 5


def test_the_largest_numbers_that_are_allowed() -> None:
    assert quota([LARGEST], [LARGEST]) == ((2**31 - 1,), (1,))
    assert quota([1, 1], [LARGEST, 1]) == ((1, 1), (LARGEST, 1))
    assert quota([4, 6]) == ((4, 6), (2, 3))
    assert len(Quota([LIMIT - 1]).counts) == LIMIT


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: Quota([1 + 0j]), r"labels\[0\] is \(1\+0j\); positive whole numbers are allowed"),  # type: ignore[list-item]
    (lambda: Quota([2, 0]), r"labels\[1\] is 0; positive whole numbers are allowed"),
    (lambda: Quota([-1]), r"labels\[0\] is -1"),
    (lambda: Quota([1, 1], [1, 1.5]), r"weights\[1\] is 1.5; positive whole numbers"),  # type: ignore[list-item]
    (lambda: Quota([1], 3), "weights is 3; one entry a type is needed"),  # type: ignore[arg-type]
    (lambda: Quota([1], []), "weights is empty; one entry a type is needed"),
    (lambda: Quota([1, 1], [1]), "labels has 2 entries and weights 1; one a type is needed"),
    (lambda: quota([LARGEST + 1], [1]), r"labels holds 2147483648; at most 2147483647 is allowed"),
    (lambda: quota([1, 1], [1, LARGEST + 1]), "weights holds 2147483648; at most 2147483647"),
    (lambda: Quota([LIMIT]), "labels allow more than 1048576 count vectors; use fewer"),
    (lambda: Quota([1, 1]).probabilities([[0.5], [1.5]]), r"z\[1, 0\] is 1.5; entries in \[0, 1"),
    (lambda: Quota([1, 1]).silent_rank(prime=2**31 - 3), "prime is 2147483645"),
    (lambda: Quota([1, 1]).silent_rank(seed=-1), "seed is -1; it must be at least 0"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_refusals_that_name_the_argument(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
