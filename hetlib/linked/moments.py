"""How much user types disagree on a pair: joint likelihoods and Lemma 5.3.

A joint likelihood model says with which probability one person, asked twice, answers o and o'.
On one pair it has two numbers: J1, both times y_i beats y_j; J2, once each way, in a given
order. Here they are matrices over ordered pairs, whatever model they come from: tabular
(:func:`tabular_moments`), a mixture (:func:`hetlib.mixture.em.em_dpo`) or a network
(:mod:`hetlib.linked.estimators`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hetlib import checks
from hetlib.checks import Array
from hetlib.core.labels import NOT_ANSWERED, TIE, Comparisons, Indices, Linked
from hetlib.core.population import Population


def variance_from_moments(J1: Any, J2: Any, margin: Any) -> Any:
    """Lemma 5.3, Eq. (16), clamped at zero.

    Args:
        J1: Probability that one person answers "y2" twice; any shape.
        J2: Probability of "y2", then "y1"; same shape.
        margin: Average reward difference from y1 to y2, or the margin h in its place; same
            shape. A torch tensor gets its gradient.

    Returns:
        V >= 0, an array or tensor of the same shape. It grows like ``exp(2 |margin|)``. A
        choice variance within the rounding error of J1 counts as zero, at every margin.

    Raises:
        ValueError: V is larger than the number type can hold, or an argument is not finite.
    """
    if not hasattr(margin, "cosh"):
        J1, J2, margin = _floats(J1=J1, J2=J2, margin=margin)
    with np.errstate(over="ignore", invalid="ignore"):
        spread = (J1 - (J1 + J2) ** 2).clip(min=0)
    if hasattr(margin, "cosh"):  # a tensor; a masked margin of 0 keeps its gradient finite
        import torch

        some = ~(spread <= 4 * torch.finfo(spread.dtype).eps * J1)  # NaN stays, to be refused
        cosh = (margin * some).cosh()
        spread = spread * some
        V = spread * (2 + 2 * cosh) * (2 + 2 * cosh)
        wrong = (~(V.detach() < float("inf"))).cpu().numpy()
    else:
        some = ~(spread <= 4 * np.finfo(spread.dtype).eps * J1)
        with np.errstate(over="ignore", invalid="ignore"):
            cosh = np.cosh(margin * some)
            V = spread * some * (2 + 2 * cosh) * (2 + 2 * cosh)
        wrong = ~np.isfinite(V)
    if wrong.any():
        at = ", ".join(str(int(k)) for k in np.argwhere(wrong)[0])
        raise ValueError(
            f"margin[{at}] gives no finite variance; J1, J2 and margin must be finite, and "
            f"choice variance * exp(2 |margin|) must fit in {spread.dtype}"
        )
    return V


def _floats(**given: Any) -> list[Any]:
    """Arguments as arrays of floats that broadcast together; float32 stays."""
    out = []
    for name, value in given.items():
        a = np.asarray(value) if isinstance(value, np.ndarray) else checks.array(name, value, None)
        if a.dtype.kind not in "fiu":
            raise ValueError(f"{name} must hold numbers, not {a.dtype}")
        out.append(a if a.dtype.kind == "f" else a.astype(np.float64))
    try:
        np.broadcast_shapes(*(a.shape for a in out))
    except ValueError:
        shapes = ", ".join(f"{n} {a.shape}" for n, a in zip(given, out, strict=True))
        raise ValueError(f"shapes that do not fit: {shapes}") from None
    return out


@dataclass(frozen=True)
class JointMoments:
    """J1 and J2 of every ordered pair.

    Attributes:
        J1: Pr(one person prefers y_i to y_j twice), shape (responses, responses).
        J2: Pr(first y_i, then y_j), same shape, symmetric.
        linked: Number of linked pairs of labels that were used; None if exact.
    """

    J1: Array
    J2: Array
    linked: int | None = None

    def __post_init__(self) -> None:
        """Refuse what is no pair of moments."""
        for name in ("J1", "J2"):
            value = checks.array(name, getattr(self, name), 2)
            if value.shape[0] != value.shape[1] or value.shape != np.shape(self.J1):
                raise ValueError(f"{name} has shape {value.shape}; both must be square and alike")
            if ((value < -1e-9) | (value > 1 + 1e-9)).any():
                i, j = (int(k) for k in np.argwhere((value < -1e-9) | (value > 1 + 1e-9))[0])
                raise ValueError(f"{name}[{i}, {j}] is {value[i, j]}; probabilities lie in [0, 1]")
            object.__setattr__(self, name, value)
        total = self.J1 + self.J1.T + self.J2 + self.J2.T
        if (gap := abs(total - 1)).max() > 1e-6:
            i, j = (int(k) for k in np.unravel_index(gap.argmax(), gap.shape))
            raise ValueError(
                f"the four answers to pair [{i}, {j}] have total probability {total[i, j]:.6g}; "
                "J1[i, j] + J1[j, i] + J2[i, j] + J2[j, i] must be 1"
            )

    @property
    def likelihood(self) -> Array:
        """Pr(y_i beats y_j) = J1 + J2, shape (responses, responses)."""
        return self.J1 + self.J2

    @property
    def raw_choice_variance(self) -> Array:
        """J1 - (J1 + J2)^2, before it is clamped."""
        return self.J1 - self.likelihood**2

    @property
    def choice_variance(self) -> Array:
        """Variance over types of the choice probability, clamped at zero."""
        return np.maximum((self.raw_choice_variance + self.raw_choice_variance.T) / 2, 0.0)

    @property
    def clamped(self) -> int:
        """In how many unordered pairs the estimate was negative and was set to zero."""
        upper = np.triu_indices(len(self.J1), 1)
        return int((self.raw_choice_variance[upper] < -1e-12).sum())

    def variance(self, reward: ArrayLike) -> Array:
        """V of Eq. (16) at the margins of a reward.

        Args:
            reward: The average reward, or a policy's induced reward, shape (responses,).

        Returns:
            V[i, j] >= 0, shape (responses, responses).
        """
        r = checks.array("reward", reward, 1)
        if len(r) != len(self.J1):
            raise ValueError(f"reward has {len(r)} entries; the moments have {len(self.J1)}")
        with np.errstate(over="ignore"):
            gaps = r[:, None] - r[None, :]
        try:
            out: Array = variance_from_moments(self.J1, self.J2, gaps)
        except ValueError as error:
            raise ValueError(f"reward has differences that are too large: {error}") from None
        return (out + out.T) / 2


def exact_moments(population: Population) -> JointMoments:
    """J1 and J2 of a known population (proof of Lemma 5.3)."""
    p = population.pairwise_by_type()
    w = population.weights
    J1 = np.einsum("u,uij->ij", w, p**2)
    return JointMoments(J1, np.einsum("u,uij->ij", w, p * (1 - p)))


def tabular_moments(data: Comparisons | Linked, responses: int, prior: float = 0.0) -> JointMoments:
    """Shares of "twice the same" and "once each way" for each pair: no model at all.

    Only answers that one person gave on *the same pair* count; a tie is half a win each way, as
    if a coin had decided.

    Args:
        data: Linked labels.
        responses: Number of responses.
        prior: Fair-coin linked pairs added to each pair, at least 0; they pull the variance
            towards zero, and stand in for pairs that nobody saw twice.

    Returns:
        The moments; J1 = J2 = 1/4 on the diagonal.

    Raises:
        ValueError: no linked labels for some pair while ``prior`` is 0, or indices that are
            no response.
    """
    linked = Linked.of(data)
    linked.check(responses)
    prior = checks.non_negative("prior", prior)
    both = np.zeros((responses, responses))  # both[i, j]: y_i beat y_j twice
    mixed = np.zeros((responses, responses))
    columns = [_sides(linked, k) for k in range(linked.y1.shape[1])]
    for one, two in combinations(columns, 2):
        for (w1, l1, k1), (w2, l2, k2) in product(one, two):
            weight = k1 * k2
            same = (weight > 0) & (w1 == w2) & (l1 == l2)
            turned = (weight > 0) & (w1 == l2) & (l1 == w2)
            np.add.at(both, (w1[same], l1[same]), weight[same])
            np.add.at(mixed, (w1[turned], l1[turned]), weight[turned])
    return moments_from_counts(both, mixed + mixed.T, prior)


def _sides(data: Linked, k: int) -> list[tuple[Indices, Indices, Array]]:
    """Winners, losers and weights of a column of labels: y2 over y1, then y1 over y2."""
    y1, y2, votes = data.y1[:, k], data.y2[:, k], data.votes[:, k]
    share = np.where(votes == TIE, 0.5, votes == 1)
    answered = votes != NOT_ANSWERED
    return [(y2, y1, share * answered), (y1, y2, (1 - share) * answered)]


def moments_from_counts(both: Array, mixed: Array, prior: float = 0.0) -> JointMoments:
    """:func:`tabular_moments` from how often each pair of answers was given.

    Args:
        both: both[i, j]: how often one person preferred y_i to y_j twice.
        mixed: How often one person answered once each way; symmetric.
        prior: Fair-coin linked pairs added to each pair.

    Returns:
        The moments; J1 = J2 = 1/4 on the diagonal.

    Raises:
        ValueError: malformed counts, or no linked labels for some pair while ``prior`` is 0.
    """
    both = checks.counts("both", both, most=1e300)
    mixed = checks.counts("mixed", mixed, most=1e300)
    if mixed.shape != both.shape or (mixed != mixed.T).any():
        raise ValueError(f"mixed must be symmetric, of shape {both.shape} as both")
    if not checks.non_negative("prior", prior) <= 1e300:
        raise ValueError(f"prior is {prior:g}; at most 1e300 is allowed")
    off = ~np.eye(len(both), dtype=bool)
    used = int((both * off).sum() + np.triu(mixed, 1).sum())
    total = both + both.T + mixed + prior
    if (total[off] < 1e-300).any():
        i, j = (int(k) for k in np.argwhere((total < 1e-300) & off)[0])
        raise ValueError(
            f"nobody labelled the pair of responses {i} and {j} twice; give more data, or a "
            "positive prior"
        )
    total[~off] = 1.0
    J1 = np.where(off, (both + prior / 4) / total, 0.25)
    J2 = np.where(off, (mixed + prior / 2) / 2 / total, 0.25)
    return JointMoments(J1, J2, used)


def choice_variance_error(moments: JointMoments, pairs: float) -> Array:
    """Standard error of the tabular estimate of Var_u[sigma] from linked pairs (delta method).

    Args:
        moments: Exact moments.
        pairs: Linked pairs of labels on each pair of responses.

    Returns:
        Standard error, shape (responses, responses).
    """
    J1, J2, m = moments.J1, moments.J2, moments.likelihood
    # The estimate a - (a + b/2)^2 is smooth in the shares a of two wins and b of one.
    two, one = 1 - 2 * m, -m
    mean = two * J1 + one * 2 * J2
    variance = two**2 * J1 + one**2 * 2 * J2 - mean**2
    return np.sqrt(np.maximum(variance, 0) / checks.positive("pairs", pairs))
