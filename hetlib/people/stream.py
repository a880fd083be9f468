"""Sufficient statistics of many labels in one pass: numbers that do not depend on the order.

Everything that is kept is a count of whole numbers, so sums are the same bit for bit however the
data are cut and whichever part comes first. Joint moments need how often each person chose either
way on each pair; people may be spread over the parts, so parts are kept by person until the end.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hetlib.checks import Array
from hetlib.core.tables import parquet_reader

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class PairCounts:
    """How often each person chose either way on each pair.

    Attributes:
        key: (person · pairs + pair) of each cell that occurs, in order, shape (cells,).
        up: How often the person chose the lower-numbered item, shape (cells,).
        down: How often the other, shape (cells,).
        tie: How often neither, shape (cells,).
        people: Number of people the keys allow.
        items: Number of items.
    """

    key: Counts
    up: Counts
    down: Counts
    tie: Counts
    people: int
    items: int

    @property
    def labels(self) -> int:
        """Number of labels."""
        return int(self.up.sum() + self.down.sum() + self.tie.sum())

    def __add__(self, other: PairCounts) -> PairCounts:
        """Both together; the order does not matter."""
        return total([self, other])

    def _pairs(self) -> tuple[Counts, Counts, Counts]:
        pair = self.key % (self.items**2)
        return pair, pair // self.items, pair % self.items

    def wins(self) -> Array:
        """Twice the wins of i over j, halved at the end; ties half each; (items, items)."""
        pair, _, _ = self._pairs()
        size, n = self.items**2, self.items
        forward = _sum(pair, 2 * self.up + self.tie, size).reshape(n, n)
        back = _sum(pair, 2 * self.down + self.tie, size).reshape(n, n)
        return np.asarray((forward + back.T) / 2)

    def linked(self) -> tuple[Array, Array]:
        """Pairs of labels by one person on one pair: twice the same, and once each way.

        Returns:
            ``both[i, j]``, how often one person preferred i to j twice, and ``mixed``, as
            :func:`hetlib.linked.moments.moments_from_counts` takes them.
        """
        pair, _, _ = self._pairs()
        size, n = self.items**2, self.items
        up = _sum(pair, self.up * (self.up - 1) // 2, size).reshape(n, n)
        down = _sum(pair, self.down * (self.down - 1) // 2, size).reshape(n, n)
        mixed = _sum(pair, self.up * self.down, size).reshape(n, n)
        return (up + down.T).astype(np.float64), (mixed + mixed.T).astype(np.float64)

    def wins_by_type(self, types: ArrayLike, count: int) -> Array:
        """Wins by the type of the person, shape (types, items, items).

        Args:
            types: Type of each person, shape (people,).
            count: Number of types.
        """
        kind = np.asarray(types, dtype=np.int64)[self.key // self.items**2]
        pair, _, _ = self._pairs()
        size, n = self.items**2, self.items
        where = kind * size + pair
        forward = _sum(where, 2 * self.up + self.tie, count * size).reshape(count, n, n)
        back = _sum(where, 2 * self.down + self.tie, count * size).reshape(count, n, n)
        return np.asarray((forward + back.transpose(0, 2, 1)) / 2)


def _sum(where: Counts, what: Counts, size: int) -> Counts:
    """Whole numbers summed by place, exactly."""
    out: Counts = np.zeros(size, dtype=np.int64)
    np.add.at(out, where, what)
    return out


def count_part(
    who: ArrayLike, first: ArrayLike, second: ArrayLike, votes: ArrayLike, people: int, items: int
) -> PairCounts:
    """Counts of one part of the data.

    Args:
        who: Person of each label, from 0, shape (labels,).
        first: Item shown first, shape (labels,).
        second: Item shown second, shape (labels,).
        votes: 0 where the first was chosen, 1 where the second, 2 for a tie; shape (labels,).
        people: Number of people.
        items: Number of items.

    Raises:
        ValueError: a number out of range, or a response against itself, with its row.
    """
    u, a, b, v = (np.asarray(x) for x in (who, first, second, votes))
    for name, x, top in (
        ("who", u, people),
        ("first", a, items),
        ("second", b, items),
        ("votes", v, 3),
    ):
        if x.ndim != 1 or len(x) != len(u) or x.dtype.kind not in "iu":
            raise ValueError(f"{name} must hold {len(u)} whole numbers, not {x.dtype} {x.shape}")
        if len(x) and (x.min() < 0 or x.max() >= top):
            k = int(np.argmax((x < 0) | (x >= top)))
            raise ValueError(f"{name}[{k}] is {x[k]}; 0 … {top - 1} is allowed")
    if (a == b).any():
        k = int((a == b).argmax())
        raise ValueError(f"row {k} compares item {a[k]} with itself")
    low, high = np.minimum(a, b).astype(np.int64), np.maximum(a, b)
    outcome = np.where(v == 2, 2, (a == low) == (v == 1))  # 0: the lower number, 1: the other
    cells = people * items**2
    key = (u.astype(np.int64) * items**2 + low * items + high) * 3 + outcome
    if 3 * cells <= max(4 * len(u), 1 << 20) and 3 * cells < 1 << 27:
        table = np.bincount(key, minlength=3 * cells).reshape(-1, 3)
        there = np.flatnonzero(table.any(axis=1))
        table = table[there]
    else:
        key.sort()
        new = np.flatnonzero(np.diff(key, prepend=-1))
        number = np.diff(new, append=len(key))
        cell = key[new] // 3
        first_of = np.flatnonzero(np.diff(cell, prepend=-1))
        there = cell[first_of]
        table = np.zeros((len(there), 3), dtype=np.int64)
        table[np.searchsorted(there, cell), key[new] % 3] = number
    up, down, tie = table.T.astype(np.int64)
    return PairCounts(there, up, down, tie, people, items)


def total(parts: Iterable[PairCounts]) -> PairCounts:
    """Sum of several parts; the order does not matter.

    Raises:
        ValueError: no parts, or parts with other numbers of people or items.
    """
    some = list(parts)
    if not some:
        raise ValueError("there are no parts")
    if len({(p.people, p.items) for p in some}) > 1:
        raise ValueError("the parts have different numbers of people or items")
    key, place = np.unique(np.concatenate([p.key for p in some]), return_inverse=True)
    sums: dict[str, Counts] = {}
    for name in ("up", "down", "tie"):
        each = np.concatenate([getattr(p, name) for p in some])
        sums[name] = _sum(place.reshape(-1), each, len(key))
    return PairCounts(key, **sums, people=some[0].people, items=some[0].items)


def parquet_batches(path: str | Path, rows: int = 1 << 20) -> Iterator[Mapping[str, Any]]:
    """Columns ``annotator, first, second, choice`` of a Parquet file, some rows at a time.

    Whole numbers: codes of people and items, and a choice of 0, 1 or 2.
    """
    file = parquet_reader().ParquetFile(path)
    columns = ["annotator", "first", "second", "choice"]
    if lacking := set(columns) - set(file.schema_arrow.names):
        raise ValueError(f"{Path(path).name} has no column {', '.join(sorted(lacking))}")
    for batch in file.iter_batches(batch_size=rows, columns=columns):
        yield {name: batch.column(name).to_numpy() for name in columns}


def count_stream(
    batches: Iterable[Mapping[str, Any]], people: int, items: int, hold: int = 8
) -> PairCounts:
    """Counts of data that come in batches, each read once; memory grows with the cells only.

    Args:
        batches: As :func:`parquet_batches` gives them.
        people: Number of people.
        items: Number of items.
        hold: Batches summed at a time.

    Raises:
        ValueError: as :func:`count_part`; or no batches.
    """
    held: list[PairCounts] = []
    for batch in batches:
        who, first, second, choice = (
            batch[name] for name in ("annotator", "first", "second", "choice")
        )
        held.append(count_part(who, first, second, choice, people, items))
        if len(held) >= hold:
            held = [total(held)]
    return total(held)


def count_files(
    paths: Iterable[str | Path], people: int, items: int, client: Any = None
) -> PairCounts:
    """Counts of several Parquet files, each a partition; by Dask's workers if a client is given.

    Counts are fetched and added as they come, so that a worker that is lost costs only the
    partition that it was at, which is counted again elsewhere.

    Args:
        paths: The partitions.
        people: Number of people.
        items: Number of items.
        client: A ``distributed.Client``, or None to count here.
    """
    files = [str(path) for path in paths]
    if client is None:
        return total(count_file(path, people, items) for path in files)
    as_completed = importlib.import_module("distributed").as_completed
    futures = client.map(count_file, files, people=people, items=items, pure=False, retries=3)
    waiting = as_completed(futures, loop=client.loop, with_results=True)
    del futures  # what was fetched is forgotten by the workers
    held: list[PairCounts] = []
    for _, counts in waiting:
        held = [total([*held, counts])]
    return total(held)


def count_file(path: str, people: int, items: int) -> PairCounts:
    """Counts of one Parquet file."""
    return count_stream(parquet_batches(path), people, items)
