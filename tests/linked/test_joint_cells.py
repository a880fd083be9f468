"""What the verification of a certificate says of a cell holds in the cell; arguments by name."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import linprog

from hetlib.core.population import Population
from hetlib.linked.joint import (
    Answers,
    _Programme,
    intervals_of_designs,
    joint_certificates,
    outcomes,
)

Array = NDArray[np.float64]
B = 2.0
#: Groups of people by the number of responses: pairs, a pair twice, a ranking.
DESIGNS: dict[int, list[tuple[tuple[int, ...], ...]]] = {
    2: [((0, 1), (0, 1), (0, 1))],
    3: [((0, 1), (0, 1)), ((0, 1, 2),), ((1, 2), (0, 2))],
    4: [((0, 1), (2, 3)), ((0, 1, 2, 3),)],
}


def programme(n: int, tolerance: float = 0.05) -> _Programme:
    """That of a population of two types of people."""
    rng = np.random.default_rng(n)
    people = Population(rng.uniform(-B / 2, B / 2, size=(2, n)))
    return _Programme(tuple(Answers.expected(people, q) for q in DESIGNS[n]), B, n, tolerance)


def inside(r: Array) -> NDArray[np.bool_]:
    return np.asarray(np.ptp(r, axis=1) <= B)


def steepest_move(slope: Array, cell: Array, half: float) -> float:
    """Greatest <slope, d> over |d| <= half with all differences of cell + d within B."""
    m = len(slope)
    rows = [np.eye(m)[a] - np.eye(m)[b] for a, b in permutations(range(m), 2)]
    room = [B - (cell[a] - cell[b]) for a, b in permutations(range(m), 2)]
    found = linprog(-slope, rows or None, room or None, bounds=(-half, half))
    return float(-found.fun) if found.status == 0 else -np.inf


@pytest.mark.parametrize("m", [1, 2, 3])
def test_the_linear_part_is_bounded_as_a_linear_programme_would(m: int) -> None:
    """Never below it; with two responses free it is the same wherever the centre is inside."""
    rng, half = np.random.default_rng(m), 0.5
    cells = rng.uniform(-B, B, size=(60, m))
    slopes = rng.normal(size=(60, m)) * rng.choice([0.2, 1, 5], size=(60, 1))
    found = programme(3)._linear(slopes, cells, half)
    exact = np.array([steepest_move(s, c, half) for s, c in zip(slopes, cells, strict=True)])
    loose = half * abs(slopes).sum(axis=1)
    assert (found >= exact - 1e-9).all()
    assert (found <= loose + 1e-9).all()
    centred = np.ptp(np.column_stack([cells, np.zeros(60)]), axis=1) <= B
    if m < 3:
        np.testing.assert_allclose(found[centred], exact[centred], atol=1e-7)
    if m > 1:
        assert (found < loose - 1e-6).any()  # the edge of the domain is made use of


@pytest.mark.parametrize("n", [2, 3, 4])
@pytest.mark.parametrize("half", [0.5, 0.1, 0.02])
def test_a_violation_grows_by_no_more_than_is_said(n: int, half: float) -> None:
    rng, own = np.random.default_rng(10 * n), programme(n)
    size = len(own.low)
    for i, j in ((0, 1), (1, 0), (n - 1, 0)):
        free = [k for k in range(n) if k != j]
        price = rng.normal(size=size) * rng.choice([0.3, 3], size=size)
        r = np.zeros((40, n))
        r[:, free] = rng.uniform(-B, B, size=(40, n - 1))
        r = r[inside(r)]
        chance = own.features(r)
        said = own._ahead(i, price, r, free, chance, half)
        centre = own._gain(i, j, price, r, chance)
        best, edges = np.full(len(r), -np.inf), [-1.0, 1.0]
        for step in range(300):
            move = np.zeros_like(r)
            pick = rng.choice(edges, size=(len(r), n - 1)) if step < 60 else None
            draw = rng.uniform(-1, 1, size=(len(r), n - 1))
            move[:, free] = half * (draw if pick is None else pick)
            there = r + move
            gain = own._gain(i, j, price, there, own.features(there)) - centre
            best = np.maximum(best, np.where(inside(there), gain, -np.inf))
        assert (best <= said + 1e-12).all()
        # The bound is of second order: what it adds to the linear part shrinks with the square
        slope = -own.features.derivatives(price, r, chance)[0]
        slope[:, i] += 1
        more = said - own._linear(slope[:, free], r[:, free], half)
        assert (more >= 0).all()
        assert (more <= 4 * n * abs(price).sum() * half**2).all()


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 3])
def test_the_greatest_violation_is_found_to_the_tolerance(n: int) -> None:
    """On a grid that is finer than the tolerance; a deep inequality is violated nowhere."""
    rng, own = np.random.default_rng(n), programme(n)
    size = len(own.low)
    for i, j in ((0, 1), (1, 0), (n - 1, 0)):
        price = rng.normal(size=size)
        r = np.zeros(((401 if n == 2 else 81) ** (n - 1), n))
        axis = np.linspace(-B, B, 401 if n == 2 else 81)
        r[:, [k for k in range(n) if k != j]] = np.stack(
            np.meshgrid(*[axis] * (n - 1)), axis=-1
        ).reshape(-1, n - 1)
        r = r[inside(r)]
        most = own._gain(i, j, price, r, own.features(r)).max()
        fine = float(axis[1] - axis[0]) * (1 + abs(price).sum())  # between points of the grid
        for depth in (0.0, 0.4):
            found = own._verify(i, j, price, most - depth)
            assert depth - 1e-9 <= found <= depth + own.tolerance / 2 + fine
        assert 0 < own._verify(i, j, price, most + 10.0) < 1e-11
        # Where it is violated, the points that are added say so
        points = own._violations(i, j, price, most - 0.4)
        points = np.asarray(points)
        gains = own._gain(i, j, price, points, own.features(points)) - (most - 0.4)
        assert inside(points).all()
        assert (gains > own.tolerance / 4 - 1e-6).all()
        assert gains.max() >= 0.4 - 1e-6
        assert len(own._violations(i, j, price, most + 0.1)) == 0


def test_bounds_from_intervals_hold_for_what_lies_in_them() -> None:
    """The sharp bound over a grid of laws is between what is attained and what is certified."""
    people = Population([[1.0, 0.0, -0.5], [-0.8, 0.0, 0.4]], weights=[0.6, 0.4])
    exact = Answers.expected(people, [(0, 1, 2)])
    data = Answers(exact.questions, np.maximum(exact.low - 0.03, 0), exact.high + 0.03)
    found = joint_certificates([data], B, pairs=[(0, 1), (1, 0)], tolerance=0.01)
    mean = people.mean_reward()
    for i, j in ((0, 1), (1, 0)):
        witness = found.witnesses[i, j]
        assert witness.weights.sum() == pytest.approx(1, abs=1e-12)
        assert witness.missed < 1e-6
        assert found.attained[i, j] <= found.upper[i, j] <= found.attained[i, j] + 0.01
        assert mean[i] - mean[j] <= found.upper[i, j]
        assert found.certificates[i, j].excess <= 0.01
    assert found.reward_bound == B
    assert found.upper.diagonal().tolist() == found.attained.diagonal().tolist() == [0, 0, 0]
    assert (found.upper[0, 2], found.attained[0, 2]) == (B, -B)  # was not asked for


def test_equal_answers_stand_in_the_order_of_the_question() -> None:
    assert outcomes([(1, 0), (1, 0)]) == [((1, 0), (1, 0)), ((1, 0), (0, 1)), ((0, 1), (0, 1))]
    assert outcomes([(1, 0), (0, 1)]) == outcomes([(1, 0), (1, 0)])


def test_the_temperature_scales_rewards() -> None:
    rewards = np.array([[1.0, 0.0, 3.0], [0.0, 2.0, 0.0]])
    warm = Answers.expected(Population(rewards, temperature=2.0), [(0, 1, 2)])
    np.testing.assert_allclose(warm.low, Answers.expected(Population(rewards / 2), [(0, 1, 2)]).low)


def test_data_sets_share_the_level() -> None:
    counts = [30, 20, 10]
    alone, shared = (Answers.counted([(0, 1), (0, 1)], counts, pairs=k) for k in (1, 4))
    assert (shared.low < alone.low).all()
    assert (shared.high > alone.high).all()
    usual = Answers.counted([(0, 1), (0, 1)], counts, level=0.95)
    np.testing.assert_array_equal(usual.low, alone.low)


PAIR = ((0, 1),)
FAIR = Answers(PAIR, np.array([0.5, 0.5]), np.array([0.5, 0.5]))


def test_limits_may_be_off_by_rounding() -> None:
    """Sums and ends as floats have them are taken."""
    Answers(PAIR, np.array([-1e-13, 1.0]), np.array([0.0, 1 + 1e-13]))
    Answers(PAIR, np.array([0.5, 0.5 + 1e-10]), np.array([0.5, 0.5 + 1e-10]))
    Answers(PAIR, np.array([0.0, 0.0]), np.array([1.0, 1.0]))


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: Answers(PAIR, np.array([[0.5], [0.5]]), np.ones(2)), "low must have 1 axes"),
    (lambda: Answers(PAIR, np.array([0.9, -0.2]), np.ones(2)), r"low\[1\] is -0.2"),
    (lambda: Answers(PAIR, np.array([0.9, 0.0]), np.array([0.8, 0.2])), r"low\[0\] is 0.9, above"),
    (lambda: Answers(PAIR, np.array([0.3, 0.3]), np.array([0.5, 0.1])), r"low\[1\] is 0.3, above"),
    (lambda: Answers(PAIR, np.array([0.6, 0.6]), np.ones(2)), "low sums to 1.2"),
    (lambda: Answers(PAIR, np.zeros(2), np.array([0.4, 0.4])), "high to 0.8"),
    (lambda: Answers.expected(Population([[0.0, 1]]), [(0, 2)]), "responses up to 2; the popul"),
    (lambda: joint_certificates([FAIR], B, pairs=[(0, 2)]), r"pairs\[0\] is \(0, 2\)"),
    (lambda: joint_certificates([FAIR], B, pairs=[(1, 1)]), r"pairs\[0\] is \(1, 1\)"),
    (lambda: joint_certificates([FAIR], B, pairs=[(0, 1), "x"]), r"pairs\[1\] is 'x'"),  # type: ignore[list-item]
    (lambda: joint_certificates([FAIR], B).width(2, 0), r"^i is 2; it must lie in 0\.\.1"),
    (lambda: joint_certificates([FAIR], B).width(0, 2), r"^j is 2; it must lie in 0\.\.1"),
    (lambda: joint_certificates([FAIR], B).width("a", 0), "^i is 'a'"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_arguments_are_refused_by_name(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_responses_that_nobody_was_asked_about_are_known_to_the_bound_only() -> None:
    found = joint_certificates([FAIR], B, responses=3, pairs=[(0, 1), (0, 2)], tolerance=0.05)
    assert found.upper.shape == (3, 3)
    assert found.upper[0, 2] == pytest.approx(B, abs=0.05)


def test_bounds_that_meet_are_no_contradiction() -> None:
    """All people are sure to the bound, so that the data leave nothing open."""
    sure = Answers.expected(Population([[B, 0.0]]), PAIR)
    found = joint_certificates([sure], B)
    assert found.upper[0, 1] == pytest.approx(B, abs=1e-3)
    assert found.width(0, 1) == pytest.approx(0, abs=2e-3)


def test_what_designs_leave_open_is_what_certificates_say() -> None:
    """Groups share the level, responses that nobody asks about count, and the tolerance is used."""
    people = Population([[1.0, 0.0, -0.5], [-0.8, 0.0, 0.4]], weights=[0.6, 0.4])
    groups: list[list[tuple[int, ...]]] = [[(0, 1), (0, 1)], [(0, 1)]]
    designs = {"pairs": groups}
    exact = [Answers.expected(people, g) for g in groups]
    for count, level in ((None, 0.95), (200.0, 0.95), (200.0, 0.5)):
        data = (
            exact
            if count is None
            else [Answers.counted(a.questions, count * a.low, level, 2) for a in exact]
        )
        direct = joint_certificates(data, B, 3, [(0, 1), (1, 0)], 5e-3)
        (found,) = intervals_of_designs(designs, people, B, count, level).values()
        np.testing.assert_allclose(found, (-direct.upper[1, 0], direct.upper[0, 1]), atol=1e-12)
    loose = intervals_of_designs(designs, people, B, tolerance=0.5)["pairs"]
    sharp = intervals_of_designs(designs, people, B, tolerance=1e-3)["pairs"]
    assert loose[0] < sharp[0]
    assert loose[1] > sharp[1]
    for count in (1.0, 1e12):
        low, high = intervals_of_designs(designs, people, B, count)["pairs"]
        assert -B <= low <= people.mean_reward() @ [1, -1, 0] <= high <= B
    for count in (0.5, 2e12):
        with pytest.raises(ValueError, match="1 to 1e12 are allowed"):
            intervals_of_designs(designs, people, B, count)
    with pytest.raises(ValueError, match=r"^pair is 3"):
        intervals_of_designs(designs, people, B, pair=3)  # type: ignore[arg-type]


def test_a_shortfall_is_asked_for_with_points_and_a_pair() -> None:
    found = joint_certificates([FAIR], B, responses=3, pairs=[(0, 1)], tolerance=0.05)
    for rewards, message in (
        (np.zeros(3), "rewards must have 2 axes"),
        (np.zeros((1, 2)), r"rewards has the shape \(1, 2\)"),
        (np.full((1, 3), 1e101), "entries of at most 1e100"),
    ):
        with pytest.raises(ValueError, match=message):
            found.shortfall((0, 1), rewards)
    with pytest.raises(ValueError, match=r"^pair is 5"):
        found.shortfall(5, np.zeros((1, 3)))  # type: ignore[arg-type]
    own = found.certificates[0, 1]
    # At equal rewards either outcome has an even chance
    at_rest = found.shortfall((0, 1), np.zeros((1, 3)))
    assert at_rest == pytest.approx(own.constant + own.prices.sum() / 2)


def test_four_responses_are_bounded_to_a_hundredth_unless_said_otherwise() -> None:
    people = Population([[0.5, 0.0, -0.5, 0.2]])
    data = [Answers.expected(people, [(0, 1)])]
    usual = joint_certificates(data, 0.8, 4, [(0, 1)])
    said = joint_certificates(data, 0.8, 4, [(0, 1)], 0.01)
    assert usual.upper[0, 1] == said.upper[0, 1]
    other = joint_certificates(data, 0.8, 4, [(0, 1)], 0.001)
    assert other.upper[0, 1] < usual.upper[0, 1]
