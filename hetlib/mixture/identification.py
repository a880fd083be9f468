"""What answers can tell about latent types: laws of answers, their rank, and how soon.

A design says what annotators are asked: a list of equally likely questionnaires, each a tuple
of menus, each a tuple of responses to be ranked. A comparison is a menu of two.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, combinations_with_replacement, permutations, product

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares, minimize_scalar
from scipy.special import logsumexp, softmax

from hetlib import checks
from hetlib.checks import Array
from hetlib.core.modular import check_prime, rank_modulo
from hetlib.mixture.rankings import Choices, Rankings

Menu = tuple[int, ...]
Questionnaire = tuple[Menu, ...]


def design(responses: int, tasks: int, length: int = 2, repeat: bool = True) -> list[Questionnaire]:
    """All questionnaires of ``tasks`` menus of ``length`` responses.

    Args:
        responses: Number of responses.
        tasks: Menus for each annotator.
        length: Responses in a menu.
        repeat: Whether the same menu may come twice.

    Raises:
        ValueError: there is no such questionnaire.
    """
    responses, tasks = checks.whole("responses", responses, 2), checks.whole("tasks", tasks, 1)
    menus = combinations(range(responses), checks.whole("length", length, 2))
    out = list((combinations_with_replacement if repeat else combinations)(menus, tasks))
    if not out:
        raise ValueError(
            f"tasks={tasks}, length={length}: no questionnaire of {responses} responses"
        )
    return out


class AnswerLaw:
    """The law of the answers to a design, as a function of rewards and masses.

    Args:
        questionnaires: What annotators are asked, each equally likely.
        responses: Number of responses.
    """

    def __init__(self, questionnaires: Sequence[Questionnaire], responses: int) -> None:
        self.responses = responses = checks.whole("responses", responses, 2)
        self.questionnaires = list(questionnaires)
        if not self.questionnaires or not all(self.questionnaires):
            raise ValueError("questionnaires must not be empty: tuples of menus are needed")
        answers = [a for q in self.questionnaires for a in product(*map(permutations, q))]
        tasks, length = max(map(len, answers)), max(len(m) for a in answers for m in a)
        orders = np.full((len(answers), tasks, length), -1)
        for i, answer in enumerate(answers):
            for t, ranking in enumerate(answer):
                orders[i, t, : len(ranking)] = ranking
        self.rankings = Rankings(orders)
        self._choices = Choices.of(self.rankings, responses)

    def __len__(self) -> int:
        return len(self.rankings)

    def probabilities(self, rewards: ArrayLike, masses: ArrayLike) -> Array:
        """Probability of each questionnaire with each answer to it, shape (answers,)."""
        r = checks.array("rewards", rewards, 2)
        w = checks.distribution("masses", masses, len(r))
        p = np.exp(self._choices.log_probability(r)[self._choices.pattern])
        return np.asarray(p @ w / len(self.questionnaires))

    def jacobian(self, rewards: ArrayLike, masses: ArrayLike) -> Array:
        """Derivatives of the probabilities.

        Returns:
            Derivatives by the rewards of each type, the first response held fixed, then by each
            mass but the last, at its expense; shape (answers, types * responses - 1).
        """
        r = checks.array("rewards", rewards, 2)
        w = checks.distribution("masses", masses, len(r))
        choices, members = self._choices, self._choices.members
        p = np.exp(choices.log_probability(r)) / len(self.questionnaires)  # (patterns, types)
        made = choices.made.toarray().reshape(-1, *members.shape)
        out = []
        for k, row in enumerate(r):
            slope = made.sum(axis=1) - made.sum(axis=2) @ choices.choice(row)
            out.append((w[k] * p[:, k])[:, None] * slope[:, 1:])
        by_mass = p[:, :-1] - p[:, -1:]
        return np.hstack([*out, by_mass])[choices.pattern]

    def rank(self, types: int, seed: int = 0, prime: int = 2**31 - 1) -> int:
        """Rank of the Jacobian at random odds and masses, exactly, modulo a prime.

        The rank at almost all parameters is at least this number. If it equals the number
        of unknowns, almost all mixtures of so many types are identified locally: only finitely
        many others (besides new names) can have the same law.

        Args:
            types: Number of types.
            seed: Seed of the random whole numbers.
            prime: Modulus, below 2^31.
        """
        types, prime = checks.whole("types", types, 1), check_prime(prime)
        rng = np.random.default_rng(checks.whole("seed", seed, 0))
        odds = rng.integers(1, prime, size=(types, self.responses))
        w = rng.integers(1, prime, size=types)
        w[-1] = (1 - w[:-1].sum()) % prime
        members = self._choices.members
        q = np.zeros((types, *members.shape), dtype=np.int64)
        for k, s in product(range(types), range(len(members))):
            inside = np.flatnonzero(members[s])
            total = pow(int(odds[k, inside].sum() % prime), -1, prime)
            q[k, s, inside] = odds[k, inside] * total % prime
        made = self._choices.made.toarray().astype(np.int64).reshape(-1, *members.shape)
        P = np.ones((types, len(made)), dtype=np.int64)
        for i, s, y in np.argwhere(made):
            for _ in range(made[i, s, y]):
                P[:, i] = P[:, i] * q[:, s, y] % prime
        rows = []
        for k in range(types):
            mass = w[k] * P[k] % prime
            for z in range(1, self.responses):
                slope = made[:, :, z].sum(axis=1) - made.sum(axis=2) @ q[k, :, z] % prime
                rows.append(mass * (slope % prime) % prime)
        rows += [(P[k] - P[-1]) % prime for k in range(types - 1)]
        return rank_modulo(np.array(rows), prime)


def _laws(p: ArrayLike, q: ArrayLike) -> tuple[Array, Array]:
    """Two distributions on the same answers, both of full support."""
    a = checks.array("p", p, 1)
    b = checks.distribution("q", q, len(a), full_support=True)
    return checks.distribution("p", a, len(a), full_support=True), b


def kl_information(p: ArrayLike, q: ArrayLike) -> float:
    """Kullback-Leibler information of p against q, full support, in nats an annotator."""
    a, b = _laws(p, q)
    return float(a @ (np.log(a) - np.log(b)))


def chernoff_information(p: ArrayLike, q: ArrayLike) -> float:
    """Greatest -log sum p^s q^(1 - s) over s in [0, 1], in nats an annotator.

    The rate at which the errors of the best test between two laws fall.

    Args:
        p: A law with full support, shape (answers,).
        q: Another, same shape.

    Raises:
        ValueError: laws of different lengths or without full support.
    """
    la, lb = map(np.log, _laws(p, q))
    best = minimize_scalar(
        lambda s: float(logsumexp(s * la + (1 - s) * lb)),
        bounds=(0, 1),
        method="bounded",
        options={"xatol": 1e-12},
    )
    return max(-float(best.fun), 0.0)


def annotators_needed(p: ArrayLike, q: ArrayLike, error: float = 0.05) -> tuple[float, float]:
    """How many annotators tell two laws of answers apart with both errors at most ``error``.

    Args:
        p: Law of one annotator's answers, full support, shape (answers,).
        q: The other law, same shape.
        error: Largest probability of either mistake, below 1/4.

    Returns:
        A number that no test can do with less of (Bretagnolle and Huber), and one that is
        enough for the likelihood-ratio test (Chernoff); infinity twice if the laws are equal.

    Raises:
        ValueError: error not in (0, 1/4), or laws as in ``chernoff_information``.
    """
    error = checks.between("error", error, 0, 0.25)
    rate = chernoff_information(p, q)
    a, b = np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64)
    if np.abs(a - b).max() < 1e-13:
        return np.inf, np.inf
    least = np.log(1 / (4 * error)) / min(kl_information(a, b), kl_information(b, a))
    return float(np.ceil(least)), float(np.ceil(np.log(1 / error) / rate))


def likelihood_ratio_errors(
    p: ArrayLike, q: ArrayLike, annotators: int, repeats: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Simulated errors of the likelihood-ratio test: says q under p, and p under q."""
    a, b = _laws(p, q)
    many, repeats = checks.whole("annotators", annotators, 1), checks.whole("repeats", repeats, 1)
    ratio = np.log(a) - np.log(b)
    wrong = []
    for law, sign in ((a, 1), (b, -1)):
        score = sign * (rng.multinomial(many, law / law.sum(), size=repeats) @ ratio)
        wrong.append(float(np.mean(score < 0) + np.mean(score == 0) / 2))
    return wrong[0], wrong[1]


def solve_law(
    law: AnswerLaw,
    target: Array,
    types: int,
    starts: int,
    rng: np.random.Generator,
    tolerance: float = 1e-10,
) -> list[tuple[Array, Array]]:
    """All mixtures found, from random starts, that have a given law exactly.

    Args:
        law: The design.
        target: Probability of each answer, shape (answers,).
        types: Number of types.
        starts: Number of random starts of Levenberg-Marquardt.
        rng: Source of randomness.
        tolerance: Largest miss of any probability.

    Returns:
        Rewards, rows of mean zero, and masses, of each solution, types in the order of their
        masses; the same solution once only.

    Raises:
        ValueError: fewer answers than unknowns.
    """
    N, found = law.responses, list[tuple[Array, Array]]()
    if len(target) != len(law) or len(law) < types * N - 1:
        raise ValueError(f"{len(target)} probabilities for {len(law)} answers, {types} types")

    def unpack(v: NDArray[np.float64]) -> tuple[Array, Array]:
        v = np.clip(np.nan_to_num(v), -60, 60)  # starts that run off to infinity fail quietly
        r = np.hstack([np.zeros((types, 1)), v[: types * (N - 1)].reshape(types, N - 1)])
        return r, np.asarray(softmax(np.append(v[types * (N - 1) :], 0.0)))

    def miss(v: Array) -> Array:
        return law.probabilities(*unpack(v)) - target

    def slope(v: Array) -> Array:
        r, w = unpack(v)
        J = law.jacobian(r, w)
        J[:, types * (N - 1) :] = J[:, types * (N - 1) :] @ (np.diag(w) - np.outer(w, w))[:-1, :-1]
        return J

    for _ in range(starts):
        v = np.append(rng.normal(0, 1.5, types * (N - 1)), rng.normal(0, 0.5, types - 1))
        options = dict.fromkeys(("xtol", "ftol", "gtol"), 1e-15)
        fit = least_squares(miss, v, jac=slope, method="lm", max_nfev=500, **options)
        if abs(fit.fun).max() > tolerance:
            continue
        r, w = unpack(fit.x)
        order = np.argsort(-w, kind="stable")
        r, w = (r - r.mean(axis=1, keepdims=True))[order], w[order]
        if not any(abs(r - a).max() < 1e-4 and abs(w - b).max() < 1e-5 for a, b in found):
            found.append((r, w))
    return found
