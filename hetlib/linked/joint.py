"""Sharp joint bounds for several responses, each with a certificate that can be checked.

People have reward vectors r with ``|r_i - r_j| <= B``. A person answers *questions*: a pair, the
same pair again, several pairs, a ranking. The frequencies of the answers confine the law of r, and
so every average difference r̄_i - r̄_j. Its greatest value is a linear programme over laws of r,
solved by column generation. The dual solution is a certificate: an inequality

    r_i - r_j <= constant + Σ price · Pr(answer | r)    for all admissible r,

whose mean is a bound whoever the people are. It is verified over the whole domain by subdivision
with a second-order bound in each cell, and raised by what is left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, permutations, product

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import maximum_filter

from hetlib import checks
from hetlib.checks import Array
from hetlib.core.population import Population
from hetlib.linked import moment_problem
from hetlib.linked.bounds import CertifiedRanking, confidence_box, limit

Question = tuple[int, ...]
Outcome = tuple[Question, ...]

#: Most responses, since cells of the verification are cubes of one dimension less.
MOST = 4


@dataclass(frozen=True)
class Answers:
    """What is known of the answers that one person gives to some questions.

    Attributes:
        questions: Each a tuple of responses: two are a pair, more are ranked, best first. A
            question that occurs twice is asked twice.
        low: Least probability of each outcome, in the order of :func:`outcomes`, shape (outcomes,).
        high: Greatest, shape (outcomes,); equal to ``low`` where it is known exactly.

    Raises:
        ValueError: questions that name no two different responses, limits of the wrong number or
            outside [0, 1], or a low limit above its high one.
    """

    questions: tuple[Question, ...]
    low: Array
    high: Array

    def __post_init__(self) -> None:
        """Check the arguments."""
        size = len(outcomes(self.questions))
        object.__setattr__(
            self, "questions", tuple(tuple(int(i) for i in q) for q in self.questions)
        )
        for name in ("low", "high"):
            value = checks.array(name, getattr(self, name), 1)
            if value.shape != (size,):
                raise ValueError(
                    f"{name} has {len(value)} entries; {size} outcomes are possible"
                    f" for the questions {self.questions}"
                )
            if (value < -1e-12).any() or (value > 1 + 1e-12).any():
                k = int(np.argmax(abs(value - 0.5)))
                raise ValueError(f"{name}[{k}] is {value[k]:.6g}; it must lie in [0, 1]")
            object.__setattr__(self, name, value)
        if (self.low > self.high).any():
            k = int(np.argmax(self.low - self.high))
            raise ValueError(f"low[{k}] is {self.low[k]:.6g}, above high[{k}], {self.high[k]:.6g}")
        if self.low.sum() > 1 + 1e-9 or self.high.sum() < 1 - 1e-9:
            raise ValueError(
                f"the probabilities of all outcomes must be able to sum to 1; low sums to"
                f" {self.low.sum():.6g} and high to {self.high.sum():.6g}"
            )

    @classmethod
    def expected(cls, population: Population, questions: Sequence[Sequence[int]]) -> Answers:
        """What infinitely many people of a population would answer.

        Raises:
            ValueError: a link that is not logistic, or questions as for the class.
        """
        if population.link != "logistic":
            raise ValueError(
                f"population has the link {population.link!r}; the bounds are for the logistic one"
            )
        if not abs(population.rewards).max() < 1e100 * min(population.temperature, 1.0):
            raise ValueError("population has rewards above 1e100 in units of its temperature")
        rewards = population.rewards / population.temperature
        asked = tuple(tuple(q) for q in questions)
        outcomes(asked)
        if max(i for q in asked for i in q) >= population.responses:
            raise ValueError(
                f"questions name responses up to {max(i for q in asked for i in q)}; the population"
                f" has {population.responses}"
            )
        law = _Features([asked], rewards.shape[1])(rewards) @ population.weights
        return cls(asked, law, law)

    @classmethod
    def counted(
        cls,
        questions: Sequence[Sequence[int]],
        counts: ArrayLike,
        level: float = 0.95,
        pairs: int = 1,
    ) -> Answers:
        """Simultaneous Clopper-Pearson intervals from finitely many people.

        Args:
            questions: What each of these people was asked.
            counts: How many gave each outcome, in the order of :func:`outcomes`.
            level: Confidence that all intervals hold together (Bonferroni).
            pairs: How many such data sets share the level.

        Raises:
            ValueError: as :func:`hetlib.linked.bounds.confidence_box` and the class.
        """
        asked = tuple(tuple(q) for q in questions)
        low, high = confidence_box(counts, level, pairs)
        return cls(asked, low, high)


def outcomes(questions: Sequence[Sequence[int]]) -> list[Outcome]:
    """The different outcomes of questions: for each question the responses, best first.

    Outcomes that differ only in which of two equal questions got which answer are one, so m
    labels on the pair (i, j) have m + 1: i wins m times, ..., never.

    Raises:
        ValueError: no question, or one that does not name two or more different responses.
    """
    if not len(questions):
        raise ValueError("questions is empty; at least one pair or ranking is needed")
    for k, q in enumerate(questions):
        if len(q) < 2 or len(set(q)) < len(q) or min(q) < 0:
            raise ValueError(
                f"questions[{k}] is {tuple(q)}; it must name two or more different responses"
            )
    return list(_multiplicities(tuple(tuple(q) for q in questions)))


def _multiplicities(questions: tuple[Question, ...]) -> dict[Outcome, int]:
    """Outcomes, in order, with the number of ways to each."""
    asked = Counter(frozenset(q) for q in questions)
    first = {frozenset(q): q for q in reversed(questions)}
    found: Counter[Outcome] = Counter()
    for answer in product(*(list(permutations(first[frozenset(q)])) for q in questions)):
        key: list[Question] = []
        for q in asked:
            key += sorted(
                (a for a in answer if frozenset(a) == q),
                key=lambda a, q=q: [first[q].index(i) for i in a],  # type: ignore[misc]
            )
        found[tuple(key)] += 1
    return dict(found)


class _Features:
    """Probabilities of all outcomes given r, with slopes and bounds on their curvature."""

    def __init__(self, designs: Sequence[tuple[Question, ...]], responses: int) -> None:
        self.responses = responses
        stages: dict[tuple[int, Question], int] = {}
        rows: list[Counter[int]] = []
        ways: list[int] = []
        for questions in designs:
            for outcome, count in _multiplicities(questions).items():
                row: Counter[int] = Counter()
                for ranking in outcome:
                    for k in range(len(ranking) - 1):
                        stage = (ranking[k], tuple(sorted(ranking[k + 1 :])))
                        row[stages.setdefault(stage, len(stages))] += 1
                rows.append(row)
                ways.append(count)
        self.winner = np.array([w for w, _ in stages])
        self.losers = [list(s) for _, s in stages]
        self.binary = np.array([len(s) == 1 for s in self.losers])
        self.power = np.zeros((len(rows), len(stages)))
        for o, row in enumerate(rows):
            for s, times in row.items():
                self.power[o, s] = times
        self.log_ways = np.log(ways)[:, None]

    def _log_stage(self, r: Array, slack: Array | float = 0.0) -> Array:
        """Log Pr(the winner of each stage | r), all differences lowered by the slack."""
        out = np.empty((len(self.losers), len(r)))
        slack = np.broadcast_to(slack, out.shape)
        for s, (w, others) in enumerate(zip(self.winner, self.losers, strict=True)):
            ahead = r[:, others] - r[:, [w]] - slack[s][:, None]
            out[s] = -np.logaddexp.reduce(np.column_stack([np.zeros(len(r)), ahead]), axis=1)
        return out

    def __call__(self, r: Array) -> Array:
        """Pr(outcome | r) for points r of shape (points, responses): (outcomes, points)."""
        return np.asarray(np.exp(self.power @ self._log_stage(r) + self.log_ways))

    def derivatives(self, price: Array, r: Array, chance: Array) -> tuple[Array, Array]:
        """Gradient and Hessian of Σ price Pr(outcome | r): (points, n), (points, n, n)."""
        n, points = self.responses, len(r)
        weight = self.power.T @ (price[:, None] * chance)
        score = np.zeros((len(self.losers), points, n))  # slopes of log Pr(winner of a stage)
        hessian = np.zeros((points, n, n))
        for s, (w, others) in enumerate(zip(self.winner, self.losers, strict=True)):
            ahead = np.column_stack([np.zeros(points), r[:, others] - r[:, [w]]])
            p = np.exp(ahead - np.logaddexp.reduce(ahead, axis=1)[:, None])
            members = [w, *others]
            score[s][:, members] -= p
            score[s][:, w] += 1
            covariance = p[:, :, None] * (np.eye(len(members)) - p[:, None, :])
            rows, columns = np.meshgrid(members, members, indexing="ij")
            hessian[:, rows, columns] -= weight[s][:, None, None] * covariance
        gradient = np.einsum("sp,spa->pa", weight, score)
        for o, row in enumerate(self.power):
            total = np.tensordot(row, score, 1)
            c = price[o] * chance[o]
            hessian += c[:, None, None] * total[:, :, None] * total[:, None, :]
        return gradient, hessian

    def remainders(self, price: Array, r: Array, half: float, fixed: int) -> tuple[Array, Array]:
        """Bounds on the second and third derivative of -Σ price Pr(outcome | ·) within a cell.

        Along a move δ, with f a product of stages and L = log f: D²f = f((DL)² + D²L) with
        D²L <= 0, and D³f = f((DL)³ + 3 DL D²L + D³L). For a stage -D²L and -D³L are the variance
        and the third cumulant of δ under its probabilities, so at most a quarter of the squared
        range and 1/(6√3) of the cubed range.

        Args:
            price: One an outcome.
            r: Centres of the cells, shape (points, responses).
            half: Half-width in every response but the fixed one.
            fixed: A response that does not move.

        Returns:
            Greatest D² (from above) and greatest absolute D³, shape (points,) each.
        """
        width = np.array(
            [
                half * (1 if len(o) == 1 and fixed in (w, o[0]) else 2)
                for w, o in zip(self.winner, self.losers, strict=True)
            ]
        )[:, None]
        top = self._log_stage(r, width)
        p_low, p_high = np.exp(self._log_stage(r, -width)), np.exp(top)
        near = np.clip(0.5, p_low, p_high)
        stage = np.where(self.binary[:, None], near * (1 - near), 0.25) * width**2
        slope, bend = self.power @ ((1 - p_low) * width), self.power @ stage
        f = np.exp(self.power @ top + self.log_ways)
        up, down = np.maximum(-price, 0)[:, None], np.maximum(price, 0)[:, None]
        second = (f * (up * slope**2 + down * bend)).sum(axis=0)
        twist = self.power @ (width**3 / (6 * 3**0.5))
        third = abs(price) @ (f * (slope**3 + 3 * slope * bend + twist))
        return second, third


@dataclass(frozen=True)
class Certificate:
    """r_better - r_worse <= constant + Σ price Pr(outcome given r), for all r within B.

    Attributes:
        better: Index of the response whose lead is bounded.
        worse: Of the other.
        constant: Already raised by the greatest violation that the verification left possible.
        prices: One an outcome of all data, in their order.
        excess: By how much it was raised.
    """

    better: int
    worse: int
    constant: float
    prices: Array
    excess: float


@dataclass(frozen=True)
class JointWitness:
    """A population that comes within the tolerance of a bound.

    Attributes:
        rewards: Shape (types, responses); the last response has 0.
        weights: Shape (types,).
        missed: Greatest distance of an outcome's probability from its interval.
    """

    rewards: Array
    weights: Array
    missed: float


@dataclass(frozen=True)
class JointCertificates:
    """Joint bounds on all differences of average rewards.

    Attributes:
        upper: r̄_i - r̄_j is at most this for every population, shape (responses, responses);
            B where it was not asked for.
        attained: What the witness has; ``upper - attained`` is the gap. -B if not asked for.
        certificates: By pair (i, j).
        witnesses: By pair (i, j).
        data: The answers that they rest on.
        reward_bound: B.
    """

    upper: Array
    attained: Array
    certificates: dict[tuple[int, int], Certificate]
    witnesses: dict[tuple[int, int], JointWitness]
    data: tuple[Answers, ...]
    reward_bound: float

    @cached_property
    def ranking(self) -> CertifiedRanking:
        """Intervals and certified orders of all pairs."""
        return CertifiedRanking(-self.upper.T, self.upper)

    def width(self, i: int, j: int) -> float:
        """How much is left open of r̄_i - r̄_j."""
        n = len(self.upper)
        for name, index in (("i", i), ("j", j)):
            if not 0 <= checks.whole(name, index) < n:
                raise ValueError(f"{name} is {index}; it must lie in 0..{n - 1}")
        return float(self.upper[i, j] + self.upper[j, i])

    def shortfall(self, pair: tuple[int, int], rewards: ArrayLike) -> Array:
        """Right-hand side less left-hand side of a certificate at reward vectors.

        Not negative wherever all differences are within the bound, up to rounding.

        Args:
            pair: (better, worse).
            rewards: Shape (points, responses).

        Returns:
            Shape (points,).
        """
        r = checks.array("rewards", rewards, 2)
        pair = _pair("pair", pair)
        if pair not in self.certificates:
            raise ValueError(
                f"pair is {pair}; certificates are there for {list(self.certificates)}"
            )
        if r.shape[1] != len(self.upper) or abs(r).max(initial=0) > 1e100:
            raise ValueError(
                f"rewards has the shape {r.shape}; {len(self.upper)} responses and entries of at"
                " most 1e100 are needed"
            )
        own, n = self.certificates[pair], len(self.upper)
        chance = _Features([a.questions for a in self.data], n)(r)
        return own.constant + own.prices @ chance - (r[:, own.better] - r[:, own.worse])


def _pair(name: str, pair: object) -> tuple[int, int]:
    """Two whole numbers.

    Raises:
        ValueError: it is something else.
    """
    try:
        i, j = (checks.whole(name, value) for value in pair)  # type: ignore[attr-defined]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is {pair!r}; two responses are needed") from error
    return i, j


def joint_certificates(
    data: Iterable[Answers],
    reward_bound: float,
    responses: int | None = None,
    pairs: Iterable[tuple[int, int]] | None = None,
    tolerance: float | None = None,
) -> JointCertificates:
    """Sharp bounds on differences of average rewards, from all answers together.

    Args:
        data: What is known of the answers; each item is about one group of people, all drawn
            from the same population.
        reward_bound: B, with ``|r_i - r_j| <= B`` for every pair and person.
        responses: Number of responses, 2 to 4; one more than the greatest named if None.
        pairs: Ordered pairs (i, j) whose r̄_i - r̄_j is bounded from above; all if None.
        tolerance: How far a bound should be above the greatest value at most, in units of reward;
            0.001 if None, and 0.01 for four responses. A certificate is valid whatever this
            is; where prices are so large that the verification stops before, the gap to what
            the witness attains is larger.

    Returns:
        Bounds, with a certificate and a population that comes close for each.

    Raises:
        ValueError: no data, responses out of range, a tolerance that is not positive, or data that
            no population within the bound can give.
        ConvergenceError: HiGHS did not end.
    """
    given = tuple(data)
    if not given:
        raise ValueError("data is empty; at least one set of answers is needed")
    B = limit(reward_bound)
    named = 1 + max(i for a in given for q in a.questions for i in q)
    n = named if responses is None else checks.whole("responses", responses)
    if not max(named, 2) <= n <= MOST:
        raise ValueError(f"responses is {n}; {max(named, 2)} to {MOST} are allowed with these data")
    usual = 1e-2 if n == MOST else 1e-3
    tolerance = usual if tolerance is None else checks.positive("tolerance", tolerance)
    wanted = list(permutations(range(n), 2))
    if pairs is not None:
        wanted = [_pair(f"pairs[{k}]", p) for k, p in enumerate(pairs)]
    for k, p in enumerate(wanted):
        if p[0] == p[1] or not all(0 <= i < n for i in p):
            raise ValueError(f"pairs[{k}] is {p}; two different responses below {n} are needed")
    problem = _Programme(given, B, n, tolerance)
    upper = np.full((n, n), B)
    np.fill_diagonal(upper, 0)
    attained = np.full((n, n), -B)
    np.fill_diagonal(attained, 0)
    certificates, witnesses = {}, {}
    for i, j in wanted:
        upper[i, j], attained[i, j], certificates[i, j], witnesses[i, j] = problem.solve(i, j)
    for i, j in wanted:
        if upper[i, j] + upper[j, i] < 0:
            raise ValueError(
                f"no population with |r_i - r_j| <= {B:g} gives these data: r̄[{i}] - r̄[{j}] would"
                f" be at most {upper[i, j]:.6g} and at least {-upper[j, i]:.6g}"
            )
    return JointCertificates(upper, attained, certificates, witnesses, given, B)


def intervals_of_designs(
    designs: Mapping[str, Sequence[Sequence[Question]]],
    population: Population,
    reward_bound: float,
    people: float | None = None,
    level: float = 0.95,
    pair: tuple[int, int] = (0, 1),
    tolerance: float = 5e-3,
) -> dict[str, tuple[float, float]]:
    """What each of several ways to ask would leave open: an answer to what to buy.

    Args:
        designs: By name, the groups of people: for each group, the questions one of them gets.
            Groups are of equal size.
        population: Whose answers are to be expected.
        reward_bound: B.
        people: People in each group; None for infinitely many.
        level: Confidence of the intervals from finitely many, all groups together.
        pair: The responses whose difference is asked for.
        tolerance: Of each bound.

    Returns:
        Lower and upper end of the joint interval by name of the design, in units of reward.

    Raises:
        ValueError: as :func:`joint_certificates`.
    """
    i, j = _pair("pair", pair)
    if people is not None and not 1 <= checks.positive("people", people) <= 1e12:
        raise ValueError(f"people is {people}; 1 to 1e12 are allowed")
    out = {}
    for name, groups in designs.items():
        exact = [Answers.expected(population, questions) for questions in groups]
        data = (
            exact
            if people is None
            else [Answers.counted(a.questions, people * a.low, level, len(exact)) for a in exact]
        )
        found = joint_certificates(
            data, reward_bound, population.responses, [(i, j), (j, i)], tolerance
        )
        out[name] = (-float(found.upper[j, i]), float(found.upper[i, j]))
    return out


class _Programme:
    """The linear programmes of one set of data; columns found for one serve the others."""

    PENALTY = 1e3  # on leaving the data, so that every programme has a solution

    def __init__(self, data: tuple[Answers, ...], B: float, n: int, tolerance: float) -> None:
        self.B, self.n, self.tolerance = B, n, tolerance
        self.low = np.concatenate([a.low for a in data])
        self.high = np.concatenate([a.high for a in data])
        self.features = _Features([a.questions for a in data], n)
        coarse, fine = {2: (33, 1025), 3: (13, 61), 4: (7, 21)}[n]
        self.points = self._grid(coarse)[0]
        self.chance = self.features(self.points)
        self.grid, self.inside, self.shape = self._grid(fine)
        self.grid_chance = self.features(self.grid)
        moves = np.array(list(product((0, 1), repeat=n - 1))[1:])
        self.moves = np.column_stack([np.vstack([moves, -moves]), np.zeros(2 * len(moves))])

    def _grid(self, size: int) -> tuple[Array, NDArray[np.bool_], tuple[int, ...]]:
        axis = np.linspace(-self.B, self.B, size)
        cube = np.array(np.meshgrid(*[axis] * (self.n - 1), indexing="ij")).reshape(self.n - 1, -1)
        r = np.vstack([cube, np.zeros(cube.shape[1])]).T
        inside = np.ptp(r, axis=1) <= self.B * (1 + 1e-12)
        return r[inside], inside, (size,) * (self.n - 1)

    def solve(self, i: int, j: int) -> tuple[float, float, Certificate, JointWitness]:
        """Bound on r̄_i - r̄_j, what is attained, certificate and witness."""
        for _ in range(60):
            gain = self.points[:, i] - self.points[:, j]
            weights, price, constant, _, _ = moment_problem.programme(
                gain, self.chance, self.low, self.high, self.PENALTY
            )
            fresh = self._violations(i, j, price, constant)
            if not len(fresh):
                break
            self.points = np.vstack([self.points, fresh])
            self.chance = np.hstack([self.chance, self.features(fresh)])
        excess = self._verify(i, j, price, constant)
        known = np.where(price > 0, self.high, self.low)
        bound = min(float(constant + excess + price @ known), self.B)
        keep = weights > 1e-10
        r, w = self.points[keep], weights[keep] / weights[keep].sum()
        law = self.features(r) @ w
        missed = float(np.maximum(np.maximum(self.low - law, law - self.high), 0).max())
        return (
            bound,
            float(w @ (r[:, i] - r[:, j])),
            Certificate(i, j, float(constant + excess), price, float(excess)),
            JointWitness(r, w, missed),
        )

    def _gain(self, i: int, j: int, price: Array, r: Array, chance: Array) -> Array:
        return np.asarray(r[:, i] - r[:, j] - price @ chance)

    def _violations(self, i: int, j: int, price: Array, constant: float) -> Array:
        """Points at which the inequality fails by more than a quarter of the tolerance."""
        gain = self._gain(i, j, price, self.grid, self.grid_chance) - constant
        cube = np.full(self.inside.shape, -np.inf)
        cube[self.inside] = gain
        tops = maximum_filter(cube.reshape(self.shape), 3, mode="constant", cval=-np.inf).ravel()
        starts = np.flatnonzero(gain >= tops[self.inside])
        starts = starts[np.argsort(-gain[starts])][:60]
        r, best = self.grid[starts].copy(), gain[starts].copy()
        step = 2 * self.B / (self.shape[0] - 1)
        while step > 1e-4 * self.B:
            step /= 2
            for _ in range(3):
                tried = r[:, None, :] + step * self.moves
                flat = tried.reshape(-1, self.n)
                value = self._gain(i, j, price, flat, self.features(flat)) - constant
                value[np.ptp(flat, axis=1) > self.B] = -np.inf
                value = value.reshape(len(r), -1)
                k = value.argmax(axis=1)
                here = np.arange(len(r))
                up = value[here, k] > best
                r[up], best[up] = tried[here, k][up], value[here, k][up]
        found = r[best > self.tolerance / 4]
        return np.unique(found.round(9), axis=0)

    def _verify(self, i: int, j: int, price: Array, constant: float) -> float:
        """A number that r_i - r_j - Σ price f(r) - constant exceeds nowhere on the domain.

        Cells are cubes in the gauge r_j = 0, so that r_i <= B is one of their faces. In each, the
        value at the centre, the greatest linear term within the domain (Lagrange multipliers for
        the differences of other responses) and a bound on the rest of Taylor's formula are added.
        """
        free = [k for k in range(self.n) if k != j]
        half = self.B / 4
        axis = np.linspace(-self.B + half, self.B - half, 4)
        cells = np.array(np.meshgrid(*[axis] * len(free))).reshape(len(free), -1).T
        corners = np.array(list(product((-1, 1), repeat=len(free)))) / 2
        worst = -np.inf
        rounding = 1e-13 * (1 + self.B + abs(constant) + abs(price).sum())
        target = self.tolerance / 2
        for _ in range(40):
            r = np.zeros((len(cells), self.n))
            r[:, free] = cells
            chance = self.features(r)
            value = self._gain(i, j, price, r, chance) - constant
            bound = value + self._ahead(i, price, r, free, chance, half)
            done = bound <= target
            worst = max(worst, bound[done].max(initial=-np.inf))
            if done.all():
                break
            if len(cells) > 60_000 or half < 1e-6 * self.B:
                worst = max(worst, float(bound.max()))
                break
            half /= 2
            cells = (cells[~done][:, None, :] + 2 * half * corners).reshape(-1, len(free))
            apart = [abs(cells[:, a] - cells[:, b]) for a, b in combinations(range(len(free)), 2)]
            if apart:
                cells = cells[np.max(apart, axis=0) - 2 * half <= self.B]
        return max(worst, 0.0) + rounding

    def _ahead(
        self, i: int, price: Array, r: Array, free: list[int], chance: Array, half: float
    ) -> Array:
        """By how much the violation can grow from the centres r within their cells."""
        (j,) = set(range(self.n)) - set(free)
        slope, hessian = self.features.derivatives(price, r, chance)
        slope = -slope
        slope[:, i] += 1
        second, third = self.features.remainders(price, r, half, j)
        steepest = np.linalg.eigvalsh(-hessian[:, free][:, :, free])[:, -1]
        taylor = np.maximum(steepest, 0) * len(free) * half**2 / 2 + third / 6
        return self._linear(slope[:, free], r[:, free], half) + np.minimum(second / 2, taylor)

    def _linear(self, slope: Array, cells: Array, half: float) -> Array:
        """Upper bound on <slope, δ> over |δ_k| <= half with all differences of r within B."""
        price = np.zeros(len(cells))
        slope = slope.copy()
        for a, b in permutations(range(slope.shape[1]), 2):
            room = self.B - (cells[:, a] - cells[:, b])
            now = half * (abs(slope[:, a]) + abs(slope[:, b]))
            best, multiplier = now.copy(), np.zeros(len(cells))
            for mu in (slope[:, a], -slope[:, b]):
                mu = np.maximum(mu, 0)
                cost = half * (abs(slope[:, a] - mu) + abs(slope[:, b] + mu)) + mu * room
                better = cost < best
                best, multiplier = np.where(better, cost, best), np.where(better, mu, multiplier)
            slope[:, a] -= multiplier
            slope[:, b] += multiplier
            price += multiplier * room
        return np.asarray(price + half * abs(slope).sum(axis=1))
