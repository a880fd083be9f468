"""Labels from tables: files, frames, codes, and what each container gets."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hetlib
from hetlib.core.labels import NOT_ANSWERED, TIE, Linked
from hetlib.core.population import Population
from hetlib.core.tables import LabelTable, read_labels
from hetlib.linked.moments import tabular_moments
from hetlib.mixture.em import em_dpo

ROWS: dict[str, list[Any]] = {
    "annotator": ["bo", "ann", "ann", "ann", "bo", "cy"],
    "first": ["x", "y", "x", "z", "z", "x"],
    "second": ["y", "x", "z", "y", "x", "y"],
    "choice": ["x", "x", "z", "tie", None, "y"],
    "party": ["p", "q", "q", "q", "p", "p"],
}
#: What the rows say, counted by hand.
WINS: list[list[float]] = [[0, 2, 0], [1, 0, 0.5], [1, 0.5, 0]]


def same(a: LabelTable, b: LabelTable) -> bool:
    return all(
        np.array_equal(getattr(a, k), getattr(b, k))
        for k in ("annotators", "responses", "groups", "annotator", "group", "y1", "y2", "votes")
    )


def test_counts_by_hand() -> None:
    table = read_labels(ROWS, group="party")
    assert table.annotators == ("ann", "bo", "cy")
    assert table.responses == ("x", "y", "z")
    assert table.votes.tolist() == [0, 1, 1, TIE, NOT_ANSWERED, 1]
    assert table.wins().tolist() == WINS
    assert table.wins_by_type().sum(axis=0).tolist() == WINS
    assert table.wins_by_type()[1].tolist() == [[0, 1, 0], [0, 0, 0.5], [1, 0.5, 0]]
    assert table.describe() == {
        "labels": 6, "decided": 4, "ties": 1, "skipped": 1, "responses": 3, "annotators": 3,
        "least": 1, "most": 2,
    }  # fmt: skip
    assert table.comparisons().types is not None
    assert read_labels(ROWS).comparisons().types is None


def test_every_kind_of_file_gives_the_same(tmp_path: Path) -> None:
    frame = pd.DataFrame(ROWS)
    shuffled = frame[["choice", "second", "party", "first", "annotator"]]
    shuffled.to_csv(tmp_path / "a.csv", index=False)
    shuffled.to_csv(tmp_path / "a.tsv", index=False, sep="\t")
    shuffled.to_parquet(tmp_path / "a.parquet")
    lines = "\n".join(json.dumps(row) for row in frame.to_dict("records"))
    (tmp_path / "a.jsonl").write_text(lines.replace("NaN", "null"))
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    expected = read_labels(ROWS, group="party")
    assert same(read_labels(frame, group="party"), expected)
    assert same(read_labels(frame.to_dict("records"), group="party"), expected)
    for name in ("a.csv", "a.tsv", "a.parquet", "a.jsonl", "a.csv.gz"):
        assert same(read_labels(tmp_path / name, group="party"), expected), name
        assert same(read_labels(str(tmp_path / name), group="party"), expected), name


def test_columns_and_codes_of_ones_own() -> None:
    data = {"a": [10, 9, 10], "b": [9, 2, 2], "who": [1.0, 2.0, 1.0], "w": ["L", "R", "="]}
    names = {"first": "a", "second": "b", "annotator": "who", "choice": "w"}
    table = read_labels(data, codes={"L": "first", "R": "second", "=": "tie"}, **names)
    assert table.responses == ("2", "9", "10")  # numbers by their size
    assert table.annotators == ("1", "2")
    assert table.votes.tolist() == [0, 1, TIE]
    with pytest.raises(
        ValueError, match=r"neither response \(row 3\): '=' for '10' and '2'.*codes= has 'L', 'R'"
    ):
        read_labels(data, codes={"L": "first", "R": "second"}, **names)
    with pytest.raises(ValueError, match=r"codes\['L'\] is 'left'; allowed are 'first'"):
        read_labels(data, codes={"L": "left"}, **names)
    numbers = read_labels(data | {"w": [0, 1, 0]}, codes={0: "first", 1: "second"}, **names)
    assert numbers.votes.tolist() == [0, 1, 0]
    order = read_labels(ROWS, responses=["z", "y", "x", "never seen"])
    assert order.wins()[2, 1] == WINS[0][1]
    assert order.wins().shape == (4, 4)


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (
            {"choice": ["x", "x", "z", "tie", None, "w"]},
            {},
            r"neither response \(row 6\): 'w' for 'x' and 'y'",
        ),
        ({"annotator": ["bo", "", "a", "a", "b", "c"]}, {}, r"no annotator \(row 2\)"),
        ({"second": ["x"] * 6}, {}, r"a response against itself \(row 1, 3, 6\)"),
        ({}, {"first": "left"}, "no column 'left' for first; there are annotator, first, second"),
        ({}, {"responses": ["x", "y"]}, "responses lacks 'z', which the table has"),
        ({}, {"responses": ["x", "x", "y", "z"]}, "responses has a name twice"),
        ({"first": ["x"]}, {}, "columns differ in length"),
        ({name: [] for name in ROWS}, {}, "no rows"),
    ],
)
def test_errors_name_the_row(change: Any, arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_labels(ROWS | change, **arguments)


def test_bad_files(tmp_path: Path) -> None:
    for name, content, message in (
        ("a.xls", "", "a.xls ends in .xls; give .csv"),
        ("a.csv", "annotator,first,second,choice\n1,x,y\n", "row 1 has 3 fields; its head has 4"),
        ("a.jsonl", '{"first": 1}\nnonsense\n', "line 2 is no JSON"),
        ("b.jsonl", "3\n", "line 1: an object is needed, not 3"),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(ValueError, match=message):
            read_labels(tmp_path / name)


def test_anonymous_labels_cannot_be_linked() -> None:
    table = read_labels(ROWS, annotator=None)
    assert table.wins().tolist() == WINS
    with pytest.raises(ValueError, match="no annotators; this needs"):
        table.linked()
    with pytest.raises(ValueError, match="group="):
        table.by_type()
    with pytest.raises(ValueError, match="nobody gave two"):
        read_labels({k: v[:2] for k, v in ROWS.items()}).linked()


def test_uneven_people_are_filled_up_with_what_tells_nothing() -> None:
    linked = read_labels(ROWS).linked()
    assert linked.votes.shape == (3, 2)  # ann has two decided labels, the others one
    assert linked.linked == 1


def test_labels_by_type() -> None:
    data = read_labels(ROWS, group="party").by_type()
    assert len(data) == 4  # x-y twice for p, once for q; x-z; y-z
    assert data.wins(3).tolist() == WINS


def test_the_table_of_a_population_gives_its_containers_back() -> None:
    people = Population([[0.0, 1.0, -1.0], [2.0, 0.0, 0.5]], [0.3, 0.7])
    drawn = people.sample_linked(300, np.random.default_rng(0), labels=5)
    some = (drawn.y1 != drawn.y2).any(axis=1)  # the others told nothing
    direct = Linked(drawn.y1[some], drawn.y2[some], drawn.votes[some])
    real = direct.y1 != direct.y2
    who = np.broadcast_to(np.arange(len(direct))[:, None], real.shape)[real]
    chosen = np.where(direct.votes == 1, direct.y2, direct.y1)
    table = read_labels(
        {"annotator": who, "first": direct.y1[real], "second": direct.y2[real],
         "choice": chosen[real]}
    )  # fmt: skip
    again = table.linked()
    assert again.linked == direct.linked
    a, b = (em_dpo(data, 3, 2, seed=1) for data in (direct, again))
    assert np.allclose(a.rewards, b.rewards, atol=1e-5)
    for name in ("J1", "J2"):
        J, K = (getattr(tabular_moments(data, 3, prior=1.0), name) for data in (direct, again))
        off = ~np.eye(3, dtype=bool)
        assert np.allclose(J[off], K[off]), name


def test_shares_of_wins() -> None:
    share = hetlib.pairwise_shares([[7, 3, 0], [1, 0, 2], [0, 2, 0]], prior=0.5)
    assert np.allclose(share, [[0.5, 0.7, 0.5], [0.3, 0.5, 0.5], [0.5, 0.5, 0.5]])
    assert np.array_equal(share + share.T, np.ones((3, 3)))
    hetlib.dpo_policy(share)
    with pytest.raises(ValueError, match=r"wins\[0, 2\] and wins\[2, 0\] are 0"):
        hetlib.pairwise_shares([[0, 3, 0], [1, 0, 2], [0, 2, 0]])
    with pytest.raises(ValueError, match="prior"):
        hetlib.pairwise_shares([[0, 3], [1, 0]], prior=-1)
