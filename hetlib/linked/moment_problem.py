"""Populations with given moments: what the bounds of :mod:`hetlib.linked.bounds` rest on.

Two independent ways to the extremes of E f(x), f the logit, over all distributions on an
interval [a, b] of (0, 1) with given moments: quadrature rules (Gauss, Radau, Lobatto), which are
exact because every odd derivative of the logit is positive; and a linear programme with a
polynomial bound as its certificate, which also takes intervals instead of exact moments.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq, linprog
from scipy.special import comb, expit, logit

from hetlib.checks import Array
from hetlib.core.newton import ConvergenceError

#: Most moments that double precision can use.
MOST = 8
#: Of the linear programmes; HiGHS allows no less.
EXACT = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


def principal(c: Array, low: bool, high: bool) -> tuple[Array, Array]:
    """The distribution on [0, 1] with moments c and the fewest atoms, ends included as asked.

    Args:
        c: Moments of order 0 to n, shape (n + 1,), inside the moment space; n + 1 less the
            number of ends must be even.
        low: Whether 0 is an atom.
        high: Whether 1 is an atom.

    Returns:
        Atoms (increasing) and weights. Without ends this is Gauss's rule, with one Radau's,
        with both Lobatto's: the free atoms are the zeros of the polynomial orthogonal
        under s^low (1 - s)^high times the distribution.
    """
    atoms = _atoms(c, low, high)
    powers = np.vander(atoms, len(c), increasing=True).T
    weights = np.maximum(np.linalg.lstsq(powers, c, rcond=None)[0], 0)
    if len(atoms) > low + high and abs(powers @ weights - c).max() > 1e-14:
        atoms, weights = _polish(c, atoms, weights, low, high)
    return atoms, weights / weights.sum()


def _polish(c: Array, atoms: Array, weights: Array, low: bool, high: bool) -> tuple[Array, Array]:
    """Newton's steps on the moment equations, as long as they help."""
    order = np.arange(len(c))[:, None]
    free = slice(int(low), len(atoms) - high)

    def miss(z: Array, v: Array) -> Array:
        return z**order @ v - c

    best = abs(miss(atoms, weights)).max()
    for _ in range(20):
        slopes = weights[free] * order * atoms[free] ** np.maximum(order - 1, 0)
        step = np.linalg.lstsq(
            np.hstack([slopes, atoms**order]), -miss(atoms, weights), rcond=1e-15
        )[0]
        z = atoms.copy()
        moved = len(slopes[0])
        z[free] = np.clip(z[free] + step[:moved], 0, 1)
        v = np.maximum(weights + step[moved:], 0)
        now = abs(miss(z, v)).max()
        if not now < best:
            break
        atoms, weights, best = z, v, now
    return atoms, weights


def _atoms(c: Array, low: bool, high: bool) -> Array:
    d = c[1:] if low else c
    d = d[:-1] - d[1:] if high else d
    k = len(d) // 2
    free = np.empty(0)
    if k == 1:
        free = np.array([d[1] / d[0]]) if d[0] > 0 else np.array([c[1]])
    elif k == 2:  # Cramer's rule for z² = e z + f
        det = d[0] * d[2] - d[1] ** 2
        e, f = d[0] * d[3] - d[1] * d[2], d[1] * d[3] - d[2] ** 2
        if det > 0:
            half, root = e / det / 2, np.sqrt(max((e / det / 2) ** 2 - f / det, 0.0))
            free = np.array([half - root, half + root])
        else:
            free = np.full(2, d[1] / d[0])
    elif k:
        H = np.array([d[i : i + k] for i in range(k)])
        coefficients = np.linalg.lstsq(H, -d[k : 2 * k], rcond=None)[0]
        free = np.sort(np.roots([1.0, *coefficients[::-1]]).real)
    return np.concatenate([[0.0] * low, np.clip(free, 0, 1), [1.0] * high])


def next_range(c: Array) -> tuple[float, float]:
    """Least and greatest moment of order n + 1 on [0, 1] given those of order 0 to n.

    The next power has a positive derivative of order n + 1, so that Markov's theorem puts its
    extremes at the lower and upper principal representations.
    """
    even = len(c) % 2 == 1  # n is even
    ends = ((True, False), (False, True)) if even else ((False, False), (True, True))
    rules = (principal(c, *end) for end in ends)
    low, high = (float(weights @ atoms ** len(c)) for atoms, weights in rules)
    return low, high


def divided_difference(points: ArrayLike) -> float:
    """Divided difference of the logit, at n >= 2 points of (0, 1) that may coincide.

    With log x = ∫ (1/(1+s) - 1/(x+s)) ds it is the integral over s > 0 of
    (-1)^n / Π(x_i + s) + 1 / Π(1 - x_i + s). The trapezoidal rule in log s is exact to rounding,
    where quotients of differences would cancel.
    """
    x = np.asarray(points, dtype=np.float64)
    start = np.log(min(x.min(), (1 - x).min())) - 40
    s = np.exp(np.arange(start, 20.0 + 20.0 * (len(x) == 2), 0.5))
    left = np.prod(s[:, None] + x, axis=1)
    right = np.prod(s[:, None] + (1 - x), axis=1)
    return float(0.5 * np.sum(s * ((-1) ** len(x) / left + 1 / right)))


def extreme(c: Array, upper: bool, at: Callable[[Array], Array]) -> tuple[Array, Array]:
    """The distribution on [0, 1] with moments c that has the greatest (or least) E logit.

    For an even number of moments it is Radau's rule. For an odd number the next moment is free;
    the value is concave in it (convex for the least) with the divided difference of the logit
    at the rule's atoms as its slope, and one root gives the optimum.

    Args:
        c: Moments of order 0 to m, shape (m + 1,), in the interior of the moment space.
        upper: Greatest or least.
        at: Map of [0, 1] onto the interval of choice probabilities.

    Returns:
        Atoms and weights.
    """
    if len(c) % 2 == 1:
        return principal(c, not upper, upper)
    end = np.array([1.0 if upper else 0.0])
    side = 1 if upper else -1

    def slope(free: Array) -> float:
        return side * divided_difference(at(np.concatenate([free, free, end])))

    def rule(t: float) -> tuple[Array, Array]:
        return principal(np.append(c, t), not upper, upper)

    def slope_at(t: float) -> float:
        atoms = _atoms(np.append(c, t), not upper, upper)
        return slope(atoms[:-1] if upper else atoms[1:])

    gauss = principal(c, False, False)
    lobatto = principal(c, True, True)
    if slope(gauss[0]) <= 0:
        return gauss
    if slope(lobatto[0][:-1] if upper else lobatto[0][1:]) >= 0:
        return lobatto
    low, high = next_range(c)
    # a rule at the very end of the range has a weight that rounding can turn; step inside
    inside = (low + 1e-9 * (high - low), high - 1e-9 * (high - low))
    if slope_at(inside[0]) <= 0:
        return gauss
    if slope_at(inside[1]) >= 0:
        return lobatto
    return rule(brentq(slope_at, *inside, xtol=1e-13, rtol=1e-10))


def _worst(coefficients: Array, bound: float) -> tuple[Array, Array]:
    """Where logit - q can be greatest on the interval, and its values there.

    The slope of the logit is 1/(x(1 - x)): stationary points are the roots of a polynomial.
    """
    q = np.polynomial.Polynomial(coefficients)
    roots = (q.deriv() * np.polynomial.Polynomial([0, 1, -1]) - 1).roots()
    real = roots.real[abs(roots.imag) < 1e-4]
    a, b = expit(-bound), expit(bound)
    x = np.concatenate([[a], real[(real > a) & (real < b)], [b]])
    return x, logit(x) - q(x)


def programme(
    gain: Array, chance: Array, low: Array, high: Array, penalty: float
) -> tuple[Array, Array, float, float, float]:
    """Greatest mean of a gain over laws on given points with probabilities in a box.

    Args:
        gain: At each point, shape (points,).
        chance: Of each outcome at each point, shape (outcomes, points).
        low: Least mean of each chance, shape (outcomes,).
        high: Greatest.
        penalty: On leaving the box, so that every programme has a solution.

    Returns:
        Weights of the points; prices and a constant with gain <= constant + prices · chance at
        all of them; the greatest mean; by how much the box was left.

    Raises:
        ConvergenceError: HiGHS did not end.
    """
    rows, points = chance.shape
    cost = np.concatenate([-gain, np.full(rows, penalty)])
    slack = -np.eye(rows)
    inside = np.block([[chance, slack], [-chance, slack]])
    box = np.concatenate([high, -low])
    total = np.concatenate([np.ones(points), np.zeros(rows)])[None]
    for method in ("highs-ds", "highs-ipm"):  # the simplex method gives up on some
        found = linprog(cost, inside, box, total, [1.0], method=method, options=EXACT)
        if not found.status:
            break
    else:
        raise ConvergenceError(f"the linear programme did not end: {found.message}")
    price = -found.ineqlin.marginals
    net = np.asarray(price[:rows] - price[rows:], dtype=np.float64)
    constant = -float(found.eqlin.marginals[0])
    left = float(found.x[points:].sum())
    return found.x[:points], net, constant, -float(found.fun), left


def greatest_mean(
    low: ArrayLike, high: ArrayLike, bound: float, tolerance: float = 1e-8
) -> tuple[float, Array, Array]:
    """Greatest E logit(x) over distributions whose label counts have probabilities in a box.

    Args:
        low: Least probability of k wins in m labels of one person, k = 0..m, shape (m + 1,).
        high: Greatest, shape (m + 1,).
        bound: ``|logit x|`` is at most this.
        tolerance: Stop when no distribution can be better by more.

    Returns:
        A value that no distribution exceeds (its certificate is a polynomial above the logit on
        the whole interval), and the atoms and weights of one that comes within the tolerance.

    Raises:
        ValueError: no distribution is in the box.
        ConvergenceError: no convergence.
    """
    low, high = np.asarray(low, float), np.asarray(high, float)
    m = len(low) - 1
    k = np.arange(m + 1)
    # column j: coefficients of C(m, j) x^j (1 - x)^(m - j) by powers of x
    basis = np.array([[comb(m, i) * comb(i, j) * (-1.0) ** (i - j) for j in k] for i in k])
    x = expit(np.linspace(-bound, bound, 33))
    penalty = 1e5  # on leaving the box, so that every programme has a solution
    for _ in range(60):
        B = comb(m, k)[:, None] * x ** k[:, None] * (1 - x) ** (m - k)[:, None]
        weights, price, constant, value, left = programme(logit(x), B, low, high, penalty)
        q = basis @ price
        q[0] += constant
        where, excess = _worst(q, bound)
        if excess.max() <= tolerance:
            break
        x = np.union1d(x, where[excess > tolerance / 2])
    else:
        raise ConvergenceError("the grid did not settle in 60 rounds")
    if left > 1e-7:
        raise ValueError(
            f"no population with |Δr| <= {bound:g} has label counts with these probabilities"
        )
    keep = weights > 1e-12
    return value + max(float(excess.max()), 0.0), x[keep], weights[keep]
