"""Counts in one pass: the same numbers however the data are cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hetlib.core.labels import Linked
from hetlib.linked.moments import moments_from_counts, tabular_moments
from hetlib.people.stream import count_files, count_part, count_stream, total

Rows = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def labels(n: int = 3000, people: int = 40, items: int = 6, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    first = rng.integers(items, size=n)
    second = (first + rng.integers(1, items, size=n)) % items
    return rng.integers(people, size=n), first, second, rng.integers(3, size=n)


def test_any_cut_and_any_order_give_the_same() -> None:
    rows = labels()
    whole = count_part(*rows, 40, 6)
    rng = np.random.default_rng(1)
    order = rng.permutation(3000)
    who, first, second, votes = rows
    parts = [
        count_part(who[part], first[part], second[part], votes[part], 40, 6)
        for part in np.array_split(order, 7)
    ]
    again = total(reversed(parts))
    for name in ("key", "up", "down", "tie"):
        assert np.array_equal(getattr(whole, name), getattr(again, name))
    assert whole.labels == 3000


def test_the_sorted_way_counts_as_the_dense_way() -> None:
    """A large number of people takes the other branch."""
    rows = labels()
    few, many = count_part(*rows, 40, 6), count_part(*rows, 10**6, 6)
    for name in ("key", "up", "down", "tie"):
        assert np.array_equal(getattr(few, name), getattr(many, name))


def test_wins_and_types() -> None:
    who, first, second, votes = labels()
    counts = count_part(who, first, second, votes, 40, 6)
    w = np.zeros((6, 6))
    for a, b, v in zip(first, second, votes, strict=True):
        w[a, b] += (v == 0) + (v == 2) / 2
        w[b, a] += (v == 1) + (v == 2) / 2
    assert np.array_equal(counts.wins(), w)
    by_type = counts.wins_by_type(np.arange(40) % 3, 3)
    assert np.array_equal(by_type.sum(axis=0), w)


def test_linked_pairs_are_those_of_the_moments() -> None:
    rng = np.random.default_rng(0)
    pairs = np.array([(i, j) for i in range(3) for j in range(i)])
    pick = np.repeat(rng.integers(3, size=(500, 1)), 2, axis=1)
    y1, y2 = pairs[pick, 0], pairs[pick, 1]
    votes = rng.integers(2, size=(500, 2))
    expected = tabular_moments(Linked(y1, y2, votes.astype(np.int8)), 3)
    who = np.repeat(np.arange(500), 2)
    counts = count_part(who, y1.ravel(), y2.ravel(), votes.ravel(), 500, 3)
    found = moments_from_counts(*counts.linked())
    assert np.allclose(found.J1, expected.J1)
    assert np.allclose(found.J2, expected.J2)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (([0], [0], [0], [1]), "row 0 compares item 0 with itself"),
        (([9], [0], [1], [1]), r"who\[0\] is 9"),
        (([0], [0], [7], [1]), r"second\[0\] is 7"),
        (([0], [0], [1], [3]), r"votes\[0\] is 3"),
        (([0], [0], [1], [0.5]), "votes must hold 1 whole numbers"),
    ],
)
def test_bad_rows_are_named(
    rows: tuple[list[int], list[int], list[int], list[float]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        count_part(*rows, 5, 3)


def test_parquet_in_batches_and_by_workers(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    rows = labels()
    paths = []
    for k, part in enumerate(np.array_split(np.arange(3000), 3)):
        names = ("annotator", "first", "second", "choice")
        paths.append(tmp_path / f"{k}.parquet")
        pq.write_table(pa.table({n: x[part] for n, x in zip(names, rows, strict=True)}), paths[-1])
    whole = count_part(*rows, 40, 6)
    assert np.array_equal(count_files(paths, 40, 6).up, whole.up)
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, processes=False, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        found = count_files(paths, 40, 6, client)
    for name in ("key", "up", "down", "tie"):
        assert np.array_equal(getattr(found, name), getattr(whole, name))


@pytest.mark.slow
def test_a_lost_worker_costs_its_partition_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One worker's process is killed in the middle of a partition; the others are counted once."""
    pa = pytest.importorskip("pyarrow")
    distributed = pytest.importorskip("distributed")
    import pyarrow.parquet as pq

    from hetlib.people import stream

    rows, names = labels(), ("annotator", "first", "second", "choice")
    paths = []
    for k, part in enumerate(np.array_split(np.arange(3000), 6)):
        paths.append(tmp_path / f"{k}.parquet")
        pq.write_table(pa.table({n: x[part] for n, x in zip(names, rows, strict=True)}), paths[-1])
    folder = str(tmp_path)

    def dies_once(path: str, people: int, items: int) -> stream.PairCounts:
        import os
        import signal
        from pathlib import Path

        from hetlib.people.stream import count_stream, parquet_batches

        with (Path(folder) / "counted").open("a") as file:
            file.write(Path(path).stem)
        if Path(path).stem == "3" and not (Path(folder) / "died").exists():
            (Path(folder) / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return count_stream(parquet_batches(path), people, items)

    monkeypatch.setattr(stream, "count_file", dies_once)
    with (
        distributed.LocalCluster(
            n_workers=2, processes=True, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        found = count_files(paths, 40, 6, client)
    whole = count_part(*rows, 40, 6)
    for name in ("key", "up", "down", "tie"):
        assert np.array_equal(getattr(found, name), getattr(whole, name))
    counted = (tmp_path / "counted").read_text()
    assert (tmp_path / "died").exists()
    assert counted.count("3") == 2
    assert len(counted) <= 8  # the six, the lost one again, and at most one that was on its way


def test_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no parts"):
        count_stream([], 3, 3)
