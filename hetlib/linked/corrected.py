"""Population optimum of first-order corrected DPO, Eq. (14) (Section 5.1).

The same loss on labels, in torch, is :func:`hetlib.consistent.losses.corrected`; here it is taken
on choice probabilities and solved exactly.

The corrected likelihood of a pair with margin h is sigma(h) + alpha c(h), where
c(h) = V sigma''(h) / 2. Two readings of V are in use:

* ``variance``: a matrix V that does not depend on the policy;
* ``choice_variance``: v = Var_u[sigma], from which Eq. (16) makes V = v / sigma'(h)^2 with the
  unknown average margin replaced by h. Then c(h) = -v sinh(h) exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import expit

from hetlib import checks
from hetlib.borda.optima import dpo_reward
from hetlib.checks import Array
from hetlib.core.newton import ConvergenceError, PairLoss, minimise_pairwise

#: Floor of the stabilised logarithm, log max(z, EPS).
EPS = 1e-6
#: The branch from DPO is followed in steps of 1/4 in alpha, up to here.
MOST_ALPHA = 1000.0
#: Margins are cut here before exponentials; sinh stays finite.
LARGEST = 300.0


@dataclass(frozen=True)
class Correction:
    """The corrected likelihood of Section 5.1 as a function of the margins.

    Args:
        alpha: Strength; 0 is DPO, 1 what the expansion suggests.
        variance: V, shape (responses, responses), held fixed.
        choice_variance: v = J1 - (J1 + J2)^2, same shape; V is then v / sigma'(h)^2, and its
            dependence on h is part of the loss ("attached"). Exactly one of the two is given.
        clamp: Bound on c(h) before it is multiplied by alpha (the released code: 0.1).
        eps: Floor of the stabilised logarithm.

    Raises:
        ValueError: a negative variance or alpha, both or none of the two variances, a clamp
            or eps that is not positive.
    """

    alpha: float = 1.0
    variance: Array | None = None
    choice_variance: Array | None = None
    clamp: float | None = None
    eps: float = EPS

    def __post_init__(self) -> None:
        """Check and copy the arguments."""
        checks.non_negative("alpha", self.alpha)
        if self.alpha > MOST_ALPHA:
            raise ValueError(f"alpha is {self.alpha:g}; at most {MOST_ALPHA:g} is allowed")
        if (self.variance is None) == (self.choice_variance is None):
            raise ValueError("give exactly one of variance and choice_variance")
        for name in ("variance", "choice_variance"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _symmetric(name, getattr(self, name)))
        if self.clamp is not None:
            checks.positive("clamp", self.clamp)
        checks.between("eps", self.eps, 0, 0.5)

    @property
    def responses(self) -> int:
        """Number of responses."""
        given = self.variance if self.variance is not None else self.choice_variance
        assert given is not None
        return len(given)

    def term(self, H: Array) -> tuple[Array, Array, Array]:
        """The correction c(h) and its first two derivatives; all of the shape of ``H``."""
        if self.variance is not None:
            s = expit(H)
            flat = s * expit(-H)  # sigma'
            tilt = -np.tanh(H / 2)  # 1 - 2 sigma
            c = self.variance / 2 * flat * tilt  # sigma'' V / 2
            c1 = self.variance / 2 * flat * (1 - 6 * flat)
            c2 = self.variance / 2 * flat * tilt * (1 - 12 * flat)
        else:
            assert self.choice_variance is not None
            h = np.clip(H, -LARGEST, LARGEST)
            # sigma'' / sigma'^2 = -2 sinh
            c = c2 = -self.choice_variance * np.sinh(h)
            c1 = -self.choice_variance * np.cosh(h)
        if self.clamp is not None:
            cut = abs(c) > self.clamp
            c1, c2 = np.where(cut, 0.0, c1), np.where(cut, 0.0, c2)
            c = np.clip(c, -self.clamp, self.clamp)
        return c, c1, c2

    def likelihood(self, H: ArrayLike) -> Array:
        """sigma(h) + alpha c(h); it can leave [0, 1]. Margins of any shape that fits V."""
        h = checks.array("H", H, None)
        n = self.responses
        if h.shape != (n, n)[: h.ndim] and h.shape[-2:] != (n, n):
            raise ValueError(f"H has shape {h.shape}; it must end in {(n, n)}, or be one number")
        out: Array = expit(h) + self.alpha * self.term(h)[0]
        return out

    def loss(self, pairwise: ArrayLike) -> PairLoss:
        """Expected loss of each ordered pair, for :func:`hetlib.core.newton.minimise_pairwise`."""
        P = checks.pairwise(pairwise)
        if len(P) != self.responses:
            raise ValueError(f"pairwise has {len(P)} responses; the variance has {self.responses}")
        return self.weighted(P)

    def weighted(self, wins: Array) -> PairLoss:
        """The same with any weights of the wins, such as counts: (..., responses, responses)."""

        def loss(H: Array) -> tuple[Array, Array, Array]:
            s = expit(H)
            s1 = s * expit(-H)
            s2 = -s1 * np.tanh(H / 2)
            c, c1, c2 = self.term(H)
            p, p1, p2 = s + self.alpha * c, s1 + self.alpha * c1, s2 + self.alpha * c2
            above = p > self.eps  # below, the stabilised logarithm is flat
            p = np.where(above, p, self.eps)
            slope = np.where(above, p1 / p, 0.0)
            curve = np.where(above, p2 / p - (p1 / p) ** 2, 0.0)
            return -wins * np.log(p), -wins * slope, -wins * curve

        return loss


@dataclass(frozen=True)
class Optimum:
    """A local minimum: the induced rewards, mean zero, and the expected loss there."""

    reward: Array
    loss: float


def _symmetric(name: str, value: ArrayLike) -> Array:
    V = checks.array(name, value, 2)
    if V.shape[0] != V.shape[1]:
        raise ValueError(f"{name} must be square, not of shape {V.shape}")
    if (V < 0).any():
        i, j = np.argwhere(V < 0)[0]
        raise ValueError(f"{name}[{i}, {j}] is {V[i, j]}; a variance is not negative")
    if (gap := abs(V - V.T)).max() > 1e-9 * (1 + V.max()):
        i, j = np.unravel_index(gap.argmax(), gap.shape)
        raise ValueError(f"{name}[{i}, {j}] differs from {name}[{j}, {i}]; it must be symmetric")
    return V


def _descend(loss: PairLoss, D: Array, start: Array) -> Array:
    """Newton's method; where a kink stops it, quasi-Newton to the other side and again."""
    with np.errstate(all="ignore"):  # far from the optimum the Hessian may vanish
        try:
            return minimise_pairwise(loss, D, start, tolerance=1e-9)
        except (ConvergenceError, np.linalg.LinAlgError):
            pass

        def value(s: Array) -> tuple[float, Array]:
            parts = loss(s[:, None] - s[None, :])
            slope = np.outer(D, D) * parts[1]
            return float(D @ parts[0] @ D), slope.sum(axis=1) - slope.sum(axis=0)

        options = {"maxiter": 3000, "ftol": 1e-15, "gtol": 1e-10, "maxcor": 30}
        found = minimize(value, start, jac=True, method="L-BFGS-B", options=options)
        try:
            return minimise_pairwise(loss, D, found.x, tolerance=1e-9)
        except np.linalg.LinAlgError as error:
            raise ConvergenceError("the Hessian is not finite") from error


def corrected_reward(
    pairwise: ArrayLike,
    correction: Correction,
    sampling: ArrayLike | None = None,
    start: ArrayLike | None = None,
) -> Array:
    """The reward that corrected DPO induces on an infinite sample: the branch from DPO.

    The loss is not convex in the margins. Alpha is raised in steps from 0, where the optimum
    is that of DPO, so that a training run started at DPO is what is followed.

    Args:
        pairwise: Pr(y_i beats y_j), shape (responses, responses).
        correction: Strength, variance, clamp and floor.
        sampling: Distribution D of each response, shape (responses,), full support.
        start: Rewards to descend from at once, instead of the steps.

    Returns:
        Induced rewards, mean zero, shape (responses,).

    Raises:
        ValueError: malformed arguments, or no finite optimum at alpha = 0.
        ConvergenceError: no stationary point was reached.
    """
    from dataclasses import replace

    P = checks.pairwise(pairwise)
    D = checks.distribution("sampling", sampling, len(P), full_support=True)
    if start is not None:
        first = checks.array("start", start, 1)
        if len(first) != len(P):
            raise ValueError(f"start has {len(first)} entries; {len(P)} are needed")
        return _descend(correction.loss(P), D, first)
    s = dpo_reward(P, D)
    for alpha in np.linspace(0, correction.alpha, 1 + int(np.ceil(4 * correction.alpha)))[1:]:
        s = _descend(replace(correction, alpha=float(alpha)).loss(P), D, s)
    return s


def corrected_optima(
    pairwise: ArrayLike,
    correction: Correction,
    sampling: ArrayLike | None = None,
    starts: Sequence[ArrayLike] = (),
    random_starts: int = 20,
    spread: float = 1.0,
    seed: int = 0,
) -> list[Optimum]:
    """Local minima found from the DPO branch, zero, given and random starts; best first.

    Args:
        pairwise: Pr(y_i beats y_j), shape (responses, responses).
        correction: Strength, variance, clamp and floor.
        sampling: Distribution D of each response, shape (responses,), full support.
        starts: More starts, each of shape (responses,).
        random_starts: Number of normal starts.
        spread: Their standard deviation.
        seed: Seed of the random starts.

    Returns:
        Distinct stationary points (1e-6 apart); a start that reaches none is left out.
    """
    P = checks.pairwise(pairwise)
    D = checks.distribution("sampling", sampling, len(P), full_support=True)
    rng = np.random.default_rng(checks.whole("seed", seed, 0))
    many = checks.whole("random_starts", random_starts, 0)
    given = [checks.array(f"starts[{k}]", start, 1, most=1e100) for k, start in enumerate(starts)]
    if not 0 <= checks.real("spread", spread) <= 1e100:
        raise ValueError(f"spread is {spread}; from 0 to 1e100 is allowed")
    points = [None, np.zeros(len(P)), *given]
    points += list(spread * rng.standard_normal((many, len(P))))
    loss = correction.loss(P)
    found: list[Optimum] = []
    for point in points:
        try:
            s = corrected_reward(P, correction, D, point)
        except ConvergenceError:
            continue
        if all(abs(s - other.reward).max() > 1e-6 for other in found):
            found.append(Optimum(s, float(D @ loss(s[:, None] - s[None, :])[0] @ D)))
    return sorted(found, key=lambda optimum: optimum.loss)


def detached_reward(
    pairwise: ArrayLike,
    alpha: float,
    choice_variance: ArrayLike,
    sampling: ArrayLike | None = None,
    eps: float = EPS,
    max_steps: int = 200,
) -> Array:
    """Fixed point of corrected DPO when no gradient flows through V(h) = v / sigma'(h)^2.

    V is computed at the current margins and the loss minimised with it held fixed, again and
    again: at the end the gradient with V detached is zero.

    Args:
        pairwise: Pr(y_i beats y_j), shape (responses, responses).
        alpha: Strength of the correction.
        choice_variance: v = J1 - (J1 + J2)^2, shape (responses, responses).
        sampling: Distribution D of each response, shape (responses,), full support.
        eps: Floor of the stabilised logarithm.
        max_steps: Limit on the repetitions.

    Returns:
        Induced rewards, mean zero, shape (responses,).

    Raises:
        ValueError: malformed arguments.
        ConvergenceError: the repetition does not settle.
    """
    P = checks.pairwise(pairwise)
    v = _symmetric("choice_variance", choice_variance)
    checks.whole("max_steps", max_steps, 1)
    s = corrected_reward(P, Correction(alpha, choice_variance=v, eps=eps), sampling)
    for _ in range(max_steps):
        H = np.clip(s[:, None] - s[None, :], -20, 20)
        V = v / (expit(H) * expit(-H)) ** 2  # Eq. (16) with h for the average margin
        new = corrected_reward(P, Correction(alpha, variance=V, eps=eps), sampling, start=s)
        if abs(new - s).max() < 1e-9:
            return new
        s = new
    raise ConvergenceError(f"V and the margins still change after {max_steps} repetitions")
