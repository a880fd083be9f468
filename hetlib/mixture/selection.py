"""How many types, and how well they were found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import comb

from hetlib import checks
from hetlib.core.labels import Comparisons, Linked
from hetlib.mixture.em import em_dpo
from hetlib.mixture.rankings import Rankings


def select_types(
    annotations: Rankings | Linked | Comparisons | ArrayLike,
    responses: int,
    candidates: Sequence[int],
    *,
    by: str = "bic",
    folds: int = 2,
    seed: int = 0,
    **options: Any,
) -> tuple[int, dict[int, float]]:
    """Choose the number of types.

    Args:
        annotations: As ``hetlib.mixture.em_dpo`` takes them.
        responses: Number of responses.
        candidates: Numbers of types to try.
        by: ``"bic"``, or ``"held-out"`` for the likelihood of annotators left out of the fit.
        folds: Parts into which annotators are split for ``"held-out"``, at least 2.
        seed: Seed of the split and of the starts.
        options: Passed on to ``hetlib.mixture.em_dpo``.

    Returns:
        The best number, and the score of each, smaller is better; a held-out score is the
        negative log-likelihood of one annotator.

    Raises:
        ValueError: no candidates, an unknown criterion, or folds that annotators do not fill.
    """
    data, scores = Rankings.of(annotations), dict[int, float]()
    candidates = [checks.whole(f"candidates[{k}]", n, 1) for k, n in enumerate(candidates)]
    folds, seed = checks.whole("folds", folds), checks.whole("seed", seed, 0)
    if not candidates or by not in ("bic", "held-out"):
        raise ValueError(f"candidates={candidates}, by={by!r}: give numbers; 'bic' or 'held-out'")
    if not 2 <= folds <= len(data):
        raise ValueError(f"folds is {folds}; from 2 to {len(data)}, the number of annotators")
    part = np.random.default_rng(seed).permutation(len(data)) % folds
    for types in candidates:
        if by == "bic":
            scores[types] = em_dpo(data, responses, types, seed=seed, **options).bic
            continue
        out = []
        for k in range(folds):
            fit = em_dpo(data.take(part != k), responses, types, seed=seed, **options)
            out.append(-fit.score(data.take(part == k)) * (part == k).mean())
        scores[types] = float(sum(out))
    return min(scores, key=lambda types: scores[types]), scores


def adjusted_agreement(one: ArrayLike, other: ArrayLike) -> float:
    """Adjusted Rand index of two labellings: 1 if they agree up to names, 0 as by chance.

    Args:
        one: Label of each annotator, shape (annotators,).
        other: Another label of each, same shape.

    Raises:
        ValueError: different lengths, or fewer than two annotators.
    """
    groups = []
    for name, given in (("one", one), ("other", other)):
        try:
            values = np.asarray(given)
            groups.append(np.unique(values, return_inverse=True)[1].reshape(values.shape))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name} must be a list of labels of one kind") from error
        if values.dtype.kind in "fc" and np.isnan(values).any():
            raise ValueError(f"{name}[{int(np.isnan(values).argmax())}] is nan; a label is needed")
    a, b = groups
    if a.shape != b.shape or a.ndim != 1 or len(a) < 2:
        raise ValueError(
            f"one has shape {a.shape} and other {b.shape}: one label each, of two or more"
        )
    table = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(table, (a, b), 1)
    both, rows, columns = (comb(t, 2).sum() for t in (table, table.sum(1), table.sum(0)))
    chance = rows * columns / comb(len(a), 2)
    top = (rows + columns) / 2
    return float((both - chance) / (top - chance)) if top > chance else 1.0
