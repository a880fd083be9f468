"""Labels by known annotators: what the audit works on, and which rewards they can estimate.

Tables are read by :func:`hetlib.core.tables.read_table`, like those of ``hetlib.read_labels``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from hetlib.checks import Array
from hetlib.core.labels import NOT_ANSWERED, TIE, Bits, Indices
from hetlib.core.tables import MISSING, TIES, Row, read_table
from hetlib.core.tables import Note as Note


@dataclass(frozen=True)
class PeopleLabels:
    """Comparisons by known annotators, a row each.

    Attributes:
        annotators: Names.
        items: Names of what was compared.
        who: Annotator of each row, shape (rows,).
        first: Item shown first, shape (rows,).
        second: Item shown second, shape (rows,).
        votes: 0 where the first was chosen, 1 where the second, ``TIE``; shape (rows,).
        weight: Weight of each row, shape (rows,).
        prompt: What was answered, by number, shape (rows,); zeros if no column says it.
        occasion: When, by number, shape (rows,); zeros if no column says it.
        types: Name of each annotator's type, or empty.
        notes: What was met on reading.
        ordered: Whether first and second say what was shown first; not so for rankings.
        features: Difference of each feature, first less second, shape (rows, features).
    """

    annotators: tuple[str, ...]
    items: tuple[str, ...]
    who: Indices
    first: Indices
    second: Indices
    votes: Bits
    weight: Array
    prompt: Indices
    occasion: Indices
    types: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    ordered: bool = True
    features: Array = field(default_factory=lambda: np.zeros((0, 0)))

    def __len__(self) -> int:
        return len(self.who)

    def __repr__(self) -> str:
        """Sizes; names of people stay in the table."""
        people, items = len(self.annotators), len(self.items)
        return f"{len(self)} labels, {people} annotators, {items} items"

    def wins(self) -> Array:
        """Weighted wins of i over j, a tie half each; shape (items, items)."""
        n = len(self.items)
        out = np.zeros((n, n))
        for vote, a, b, share in (
            (0, self.first, self.second, 1.0),
            (1, self.second, self.first, 1.0),
            (TIE, self.first, self.second, 0.5),
            (TIE, self.second, self.first, 0.5),
        ):
            rows = self.votes == vote
            np.add.at(out, (a[rows], b[rows]), share * self.weight[rows])
        return out

    def take(self, rows: ArrayLike) -> PeopleLabels:
        """Some of the rows, by mask or number; names of annotators and items stay."""
        index = np.asarray(rows)
        names = ["who", "first", "second", "votes", "weight", "prompt", "occasion"]
        names += ["features"] if self.features.size else []
        return replace(self, **{name: getattr(self, name)[index] for name in names})

    def only(self, items: Iterable[int]) -> PeopleLabels:
        """The rows that compare two of some items; other items and idle annotators go."""
        keep = sorted(set(items))
        place = np.full(len(self.items), -1)
        place[keep] = np.arange(len(keep))
        rows = (place[self.first] >= 0) & (place[self.second] >= 0)
        some = self.take(rows)
        there = np.unique(some.who)
        new = np.full(len(self.annotators), -1)
        new[there] = np.arange(len(there))
        return replace(
            some,
            items=tuple(self.items[k] for k in keep),
            annotators=tuple(self.annotators[k] for k in there),
            types=tuple(self.types[k] for k in there) if self.types else (),
            who=new[some.who],
            first=place[some.first],
            second=place[some.second],
        )


@dataclass(frozen=True)
class Graph:
    """Which items met, and which rewards data without a prior can estimate.

    Attributes:
        groups: Sets of items that met, directly or through others; largest first.
        comparable: The largest set of items in which each lost to another, directly or
            through others: their rewards are finite.
        never_lost: Items with comparisons but without a loss, even half.
        never_won: Likewise without a win.
    """

    groups: tuple[tuple[int, ...], ...]
    comparable: tuple[int, ...]
    never_lost: tuple[int, ...]
    never_won: tuple[int, ...]

    def sentences(self, items: Sequence[str]) -> list[str]:
        """What is not estimated, by name, and why."""

        def named(which: Iterable[int]) -> str:
            return ", ".join(items[k] for k in which)

        out = []
        for other in self.groups[1:]:
            out.append(
                f"{named(other)}: never compared with {named(self.groups[0])}, so their rewards "
                "have no common scale"
            )
        main = set(self.groups[0])
        for words, which in (("lost", self.never_lost), ("won", self.never_won)):
            if some := sorted(main & set(which)):
                out.append(f"{named(some)}: never {words}, so the estimate would be infinite")
        known = {*self.comparable, *self.never_lost, *self.never_won}
        if rest := sorted(main - known):
            out.append(f"{named(rest)}: not comparable with the others in both directions")
        return out


def graph(wins: ArrayLike) -> Graph:
    """Connected and strongly connected parts of a matrix of wins.

    Args:
        wins: How often i beat j, shape (items, items).
    """
    w = np.asarray(wins, dtype=np.float64)
    there = csr_matrix(w > 0)

    def parts(strong: bool) -> list[tuple[int, ...]]:
        kind = "strong" if strong else "weak"
        count, label = connected_components(there, directed=True, connection=kind)
        found = [tuple(np.flatnonzero(label == k).tolist()) for k in range(count)]
        mass = [float(w[np.ix_(f, f)].sum()) for f in found]
        order = sorted(range(count), key=lambda k: (-len(found[k]), -mass[k], found[k]))
        return [found[k] for k in order]

    met = (w + w.T).sum(axis=1) > 0
    groups = [g for g in parts(False) if met[list(g)].any()]
    strong = next((g for g in parts(True) if set(g) <= set(groups[0])), ()) if groups else ()
    lost, won = w.sum(axis=0) > 0, w.sum(axis=1) > 0
    return Graph(
        tuple(groups),
        strong if len(strong) > 1 else (),
        tuple(np.flatnonzero(met & ~lost).tolist()),
        tuple(np.flatnonzero(met & ~won).tolist()),
    )


def read_labels(
    source: str | Path | Iterable[Row],
    columns: Mapping[str, str] | None = None,
    *,
    first_codes: Sequence[str] = (),
    second_codes: Sequence[str] = (),
    tie_codes: Sequence[str] = TIES,
    ties: str = "half",
    repeats: str = "keep",
    bad: str = "refuse",
    features: Mapping[str, Sequence[str]] | None = None,
) -> PeopleLabels:
    """Read comparisons, rankings or ratings by known annotators.

    A ranking is read as all its pairs, a rating as all pairs of one annotator's scores for one
    prompt on one occasion; such pairs are not independent given the person, and a note says so.

    Args:
        source: A file (.csv, .tsv, .jsonl, .parquet), or rows as mappings.
        columns: The table's name of a column by ours, such as ``{"annotator": "judge"}``.
        first_codes: What a choice of the first response is called, beside its name.
        second_codes: Likewise for the second.
        tie_codes: What a tie is called, in any case.
        ties: ``"half"`` keeps them as half a win each; ``"drop"`` leaves them out.
        repeats: Rows equal in everything: ``"keep"`` as several occasions, or ``"once"``.
        bad: ``"refuse"`` the table at the first kind of row that cannot be read, or
            ``"skip"`` such rows and count them in the notes.
        features: Columns with a feature of the first response and of the second, by its name,
            such as ``{"length": ["length_a", "length_b"]}``; of comparisons only.

    Returns:
        The labels, with a note on whatever was met.

    Raises:
        ValueError: no such columns; an unreadable file; a parameter that is not one of those
            named; with ``bad="refuse"`` a choice that is neither response, a missing
            annotator or response, a response against itself, a weight that is no positive
            number, an annotator of two types, an item twice in a ranking; or nothing left.
    """
    codes = {
        **dict.fromkeys(MISSING, NOT_ANSWERED),
        **{c.casefold(): TIE for c in tie_codes},
        **{c.casefold(): 0 for c in first_codes},
        **{c.casefold(): 1 for c in second_codes},
    }

    def vote(a: str, b: str, chosen: str) -> int | None:
        return int(chosen == b) if chosen in (a, b) else codes.get(chosen.casefold())

    found = read_table(
        source,
        columns,
        vote,
        ties=ties,
        repeats=repeats,
        bad=bad,
        features=features,
        remedy="name the codes in first_codes and second_codes",
    )
    rows = found.votes != NOT_ANSWERED
    if not rows.any():
        raise ValueError("no row of the table holds a comparison of two different responses")
    people, who = _seen(found.annotators, found.who[rows])
    items, both = _seen(found.items, np.stack([found.first[rows], found.second[rows]], axis=1))
    notes = list(found.notes)
    if single := int((np.bincount(who) == 1).sum()):
        notes.append(Note(f"{single} annotators with one label", (), "they cannot be compared"))
    kind = np.zeros(len(people), dtype=np.int64)
    kind[who] = found.type[rows]
    return PeopleLabels(
        people,
        items,
        who,
        both[:, 0],
        both[:, 1],
        found.votes[rows],
        found.weight[rows],
        _seen(range(found.prompt.max() + 1), found.prompt[rows])[1],
        _seen(range(found.occasion.max() + 1), found.occasion[rows])[1],
        tuple(found.types[k] for k in kind) if found.types != ("",) else (),
        tuple(notes),
        found.ordered,
        found.features[rows],
    )


def _seen(names: Sequence[Any], codes: Indices) -> tuple[tuple[Any, ...], Indices]:
    """Names that occur, in the order in which they do, and codes to them."""
    distinct, at = np.unique(codes, return_index=True)
    order = distinct[np.argsort(at)]
    place = np.zeros(len(names), dtype=np.int64)
    place[order] = np.arange(len(order))
    return tuple(names[k] for k in order), place[codes]
