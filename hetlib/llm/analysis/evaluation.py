"""Where learned margins and scores match the ground truth: buckets, calibration, curves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from hetlib import checks
from hetlib.checks import Array
from hetlib.llm.data.agreement import Agreement, agreement


@dataclass(frozen=True, eq=False)
class Calibration:
    """Predicted and observed preference for the second text, by bins of the prediction.

    Attributes:
        predicted: Mean of sigma(margin), shape (bins,).
        observed: Mean of the labels, shape (bins,).
        pairs: Pairs in each bin, shape (bins,).
        error: Mean over pairs of the bin's gap, the expected calibration error.
    """

    predicted: Array
    observed: Array
    pairs: NDArray[np.int64]
    error: float


@dataclass(frozen=True, eq=False)
class Curve:
    """A score as a function of length.

    Attributes:
        tokens: Mean length of each bucket, shape (buckets,).
        score: Score of each bucket; its mean over texts is zero, shape (buckets,).
        texts: Texts in each bucket, shape (buckets,).
    """

    tokens: Array
    score: Array
    texts: NDArray[np.int64]


def edges(values: ArrayLike, buckets: int = 8) -> Array:
    """Edges of buckets that hold about equally many values.

    Returns:
        Increasing edges from the smallest value to the largest, at most buckets + 1.
    """
    x = checks.array("values", values, None, most=1e300).ravel()
    buckets = checks.whole("buckets", buckets, 1)
    return np.unique(np.quantile(x, np.linspace(0, 1, buckets + 1)))


def agreement_by_bucket(
    margins: ArrayLike, truth: ArrayLike, values: ArrayLike, edges: ArrayLike, level: float = 0.95
) -> list[tuple[float, float, Agreement]]:
    """Agreement by buckets of a property of the pairs, such as a length or a difference.

    Args:
        margins: Learned reward of the second text less that of the first, shape (pairs,).
        truth: Average reward of the second text less that of the first, shape (pairs,).
        values: The property, shape (pairs,).
        edges: Increasing edges; a bucket includes its lower edge, the last one both.
        level: Of the confidence intervals.

    Returns:
        Lower edge, upper edge and agreement of each bucket with a pair that counts.
    """
    given = {"margins": margins, "truth": truth, "values": values}
    m, t, x = (checks.array(name, a, 1) for name, a in given.items())
    bounds = checks.array("edges", edges, 1)
    if not len(m) == len(t) == len(x):
        raise ValueError(f"margins, truth, values have {len(m)}, {len(t)}, {len(x)} entries")
    where = _bucket(x, bounds)
    return [
        (float(bounds[b]), float(bounds[b + 1]), agreement(m[inside], t[inside], level=level))
        for b in range(len(bounds) - 1)
        if (inside := (where == b) & (t != 0)).any()
    ]


def calibration(margins: ArrayLike, preferred: ArrayLike, bins: int = 10) -> Calibration:
    """Predicted against observed preference for the second text.

    Args:
        margins: Learned reward of the second text less that of the first, shape (pairs,).
        preferred: Labels, or the exact probabilities of labels, shape (pairs,).
        bins: Number of bins of about equally many pairs.

    Returns:
        Means by bin and the expected calibration error.

    Raises:
        ValueError: shapes that do not fit, or a label outside [0, 1].
    """
    q, p = expit(checks.array("margins", margins, 1)), checks.array("preferred", preferred, 1)
    if len(q) != len(p):
        raise ValueError(f"margins has {len(q)} entries and preferred {len(p)}; one a pair")
    if ((p < 0) | (p > 1)).any():
        raise ValueError("preferred must lie in [0, 1]")
    where = np.unique(_bucket(q, edges(q, checks.whole("bins", bins, 1))), return_inverse=True)[1]
    n = np.bincount(where)
    predicted, observed = np.bincount(where, q) / n, np.bincount(where, p) / n
    return Calibration(predicted, observed, n, float(n @ abs(predicted - observed) / n.sum()))


def margin_curve(margins: ArrayLike, lengths: ArrayLike, edges: ArrayLike) -> Curve:
    """Step function of length whose differences come closest to the margins.

    Least squares on pairs: what the prompt adds to both texts cancels, as it would not in the
    mean score of the texts of a bucket.

    Args:
        margins: Learned reward of the second text less that of the first, shape (pairs,).
        lengths: Tokens of both texts, shape (pairs, 2).
        edges: Increasing edges of the buckets; empty buckets are left out.

    Raises:
        ValueError: shapes that do not fit.
    """
    m, x = checks.array("margins", margins, 1), checks.array("lengths", lengths, 2)
    if x.shape != (len(m), 2):
        raise ValueError(f"lengths have shape {x.shape}; ({len(m)}, 2) is needed")
    bounds = checks.array("edges", edges, 1)
    where = np.unique(_bucket(x.ravel(), bounds), return_inverse=True)[1]
    n = np.bincount(where)
    rows, (i, j) = np.arange(len(m)), where.reshape(x.shape).T
    A = np.zeros((len(m), len(n)))
    A[rows, j] += 1
    A[rows, i] -= 1
    s = np.linalg.lstsq(A, m)[0]
    return Curve(np.bincount(where, x.ravel()) / n, s - n @ s / n.sum(), n)


def _bucket(x: Array, bounds: Array) -> NDArray[np.int64]:
    """Number of the bucket of each value; values beyond the ends go into the nearest."""
    if len(bounds) > 1 and not (np.diff(bounds) > 0).all():
        raise ValueError("edges must increase")
    return np.clip(np.searchsorted(bounds, x, side="right") - 1, 0, max(len(bounds) - 2, 0))
