"""Every method on labels of one's own: a table in the forms that methods ask for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from hetlib import checks
from hetlib.checks import Array
from hetlib.comparison import registry
from hetlib.comparison.budgets import FEWEST, ImpossibleError, LabelSet, nearest_masses
from hetlib.comparison.registry import Result
from hetlib.consistent.label_counts import LIMIT, Quota
from hetlib.core.labels import NOT_ANSWERED, TIE, Linked
from hetlib.core.newton import ConvergenceError
from hetlib.core.tables import LabelTable


class TableLabels(LabelSet):
    """Labels of a table, for any method of the comparison.

    Labels that were not given are left out, and a tie is decided by a fair coin, since
    cross-validation divides labels one by one.

    Args:
        table: What ``hetlib.read_labels`` returns.
        types: Number of types to look for; that of the table's groups if None.
        weights: Masses of the groups, in their order; their shares of the people, or of the
            labels if nobody is named, if None.
        reference: Reference policy, one probability a response; uniform if None.
        beta: Weight of the KL term.
        seed: Of coins, folds and random starts.

    Raises:
        ValueError: no label with a choice, or malformed masses, reference, beta or types.
    """

    def __init__(
        self,
        table: LabelTable,
        types: int | None = None,
        weights: ArrayLike | None = None,
        reference: ArrayLike | None = None,
        beta: float = 1.0,
        seed: int = 0,
    ) -> None:
        """Check the arguments and toss the coins."""
        rows = table.votes != NOT_ANSWERED
        if not rows.any():
            raise ValueError("table has no label with a choice; at least one is needed")
        put = object.__setattr__  # the class above is frozen
        put(self, "budget", int(rows.sum()))
        put(self, "seed", checks.whole("seed", seed, 0))
        votes = table.votes[rows]
        coins = np.random.default_rng([seed, 0]).integers(0, 2, len(votes))
        votes = np.where(votes == TIE, coins, votes).astype(np.int8)
        codes = {k: getattr(table, k)[rows] for k in ("annotator", "group", "y1", "y2")}
        put(self, "_table", replace(table, votes=votes, **codes))
        n = len(table.responses)
        put(self, "_reference", checks.distribution("reference", reference, n, full_support=True))
        put(self, "_beta", checks.positive("beta", beta))
        if types is not None:
            types = checks.whole("types", types, 1)
        put(self, "_types", types)
        groups = len(table.groups)
        if weights is not None and not groups:
            raise ValueError("weights has masses of groups, and the table has no groups")
        given = None if weights is None else checks.distribution("weights", weights, groups)
        put(self, "_weights", given)

    _table: LabelTable
    _reference: Array
    _beta: float
    _types: int | None
    _weights: Array | None

    @property
    def responses(self) -> int:
        """Number of responses."""
        return len(self._table.responses)

    @property
    def types(self) -> int:
        """Number of types to look for."""
        if self._types is None and not self._table.groups:
            raise ImpossibleError("types is None, and the table has no groups: say how many types")
        return len(self._table.groups) if self._types is None else self._types

    @property
    def reference(self) -> Array:
        """Reference policy, shape (responses,)."""
        return self._reference

    @property
    def beta(self) -> float:
        """Weight of the KL term."""
        return self._beta

    @cached_property
    def anonymous(self) -> Array:
        """How often y_i beat y_j, shape (responses, responses)."""
        return self._table.wins()

    @cached_property
    def typed(self) -> Array:
        """The same by group, shape (groups, responses, responses)."""
        self._need("groups", "the type of each label's annotator: read it with group=")
        return self._table.wins_by_type()

    @cached_property
    def twice(self) -> tuple[Array, Array]:
        """Pairs of labels that one person gave on one pair of responses; none counts twice."""
        self._need("annotators", "who gave each label: read it with annotator=")
        t, n = self._table, self.responses
        low, high = np.minimum(t.y1, t.y2), np.maximum(t.y1, t.y2)
        won = (np.where(t.votes == 1, t.y2, t.y1) == low).astype(np.int64)
        kind = np.stack([t.annotator, low, high], axis=1)
        cells, place = np.unique(kind, axis=0, return_inverse=True)
        order = np.argsort(place.ravel(), kind="stable")
        sizes = np.bincount(place.ravel(), minlength=len(cells))
        rank = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        first = (rank % 2 == 0) & (rank + 1 < np.repeat(sizes, sizes))
        at = np.flatnonzero(first)
        if not len(at):
            raise ImpossibleError("nobody labelled a pair of responses twice")
        i, j = low[order[at]], high[order[at]]
        wins = won[order[at]] + won[order[at + 1]]
        both, mixed = np.zeros((n, n)), np.zeros((n, n))
        np.add.at(both, (i[wins == 2], j[wins == 2]), 1)
        np.add.at(both, (j[wins == 0], i[wins == 0]), 1)
        np.add.at(mixed, (i[wins == 1], j[wins == 1]), 1)
        return both, mixed + mixed.T

    def votes(self, labels: int) -> tuple[Quota, Array]:
        """Pairs of responses that ``labels`` people of every group labelled."""
        self._need("groups", "the type of each label's annotator: read it with group=")
        t, n, k = self._table, self.responses, len(self._table.groups)
        if (labels + 1) ** k > LIMIT:
            raise ImpossibleError(f"{labels} labels of each of {k} groups have too many outcomes")
        quota = Quota([labels] * k, nearest_masses(self._masses(), labels))
        seen = np.zeros((len(quota.counts), n, n))
        low, high = np.minimum(t.y1, t.y2), np.maximum(t.y1, t.y2)
        won = np.where(t.votes == 1, t.y2, t.y1) == high  # y2 is the higher-numbered one
        for a, b in np.unique(np.stack([low, high], axis=1), axis=0):
            here = (low == a) & (high == b)
            each = [won[here & (t.group == u)] for u in range(k)]
            for r in range(min(len(x) for x in each) // labels):
                counts = [int(x[r * labels : (r + 1) * labels].sum()) for x in each]
                seen[np.ravel_multi_index(counts, (labels + 1,) * k), b, a] += 1
        if seen.sum() < FEWEST:
            raise ImpossibleError(
                f"{seen.sum():.0f} pairs have {labels} labels of each of {k} groups; at least "
                f"{FEWEST} are needed"
            )
        return quota, seen

    @cached_property
    def people(self) -> Linked:
        """The labels of each person, those who gave one left out."""
        self._need("annotators", "who gave each label: read it with annotator=")
        linked = self._table.linked()
        some = (linked.y1 != linked.y2).sum(axis=1) > 1
        if some.sum() < FEWEST:
            raise ImpossibleError(f"{some.sum()} people gave two labels; {FEWEST} are needed")
        return Linked(linked.y1[some], linked.y2[some], linked.votes[some])

    def _masses(self) -> Array:
        if self._weights is not None:
            return self._weights
        t, k = self._table, len(self._table.groups)
        counted = t.group
        if t.annotators:
            counted = t.group[np.unique(t.annotator, return_index=True)[1]]
        return np.bincount(counted, minlength=k) / len(counted)

    def _need(self, name: str, what: str) -> None:
        if not getattr(self._table, name):
            raise ImpossibleError(f"the table has no {name}; this method needs {what}")


def fit_table(
    table: LabelTable,
    methods: Sequence[str] = (),
    *,
    types: int | None = None,
    weights: ArrayLike | None = None,
    reference: ArrayLike | None = None,
    beta: float = 1.0,
    seed: int = 0,
    more: Iterable[str] = (),
) -> tuple[dict[str, Result], dict[str, str]]:
    """What methods make of a table of labels.

    Args:
        table: What ``hetlib.read_labels`` returns.
        methods: Keys of registered methods; all of them if empty.
        types: As for :class:`TableLabels`; so are the next four.
        weights: Masses of the groups.
        reference: Reference policy.
        beta: Weight of the KL term.
        seed: Seed.
        more: Modules or files that register more methods.

    Returns:
        By method its result, with a policy over ``table.responses``; and why others have none.

    Raises:
        ValueError: an unknown method, or what :class:`TableLabels` refuses.
    """
    found = registry.known(more)
    asked = tuple(methods) or tuple(found)
    if odd := [m for m in asked if m not in found]:
        raise ValueError(f"methods has {odd[0]!r}; known are {', '.join(found)}")
    labels = TableLabels(table, types, weights, reference, beta, seed)
    results, why = {}, {}
    for key in asked:
        try:
            results[key] = found[key].fit(labels)
        except (ConvergenceError, ImpossibleError) as error:
            why[key] = str(error)
    return results, why
