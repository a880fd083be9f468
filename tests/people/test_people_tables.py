"""Tables of labels as people have them: used, counted, or refused with the row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hetlib.people.tables import graph, read_labels

HEAD = "annotator,first,second,choice\n"
MESSY = """a1,A,B,A
a1,A,B,A
a1,A,A,A
a2,A,B,tie
a2,B,A,both bad
a2,B,C,
a3,A,C,0.5
a3,C,A,model_a
a3,B,A,left
a4,D,A,D
a4,D,B,D
a5,E,F,E
a5,F,E,F
,A,B,B
a6,A,B,Z
A1,B,A,b
a7,A,B,NA
a8,,B,B
"""


def row(annotator: str = "p", first: str = "A", second: str = "B", choice: Any = "A") -> Any:
    return {"annotator": annotator, "first": first, "second": second, "choice": choice}


def write(folder: Path, text: str, name: str = "labels.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_messy_table_is_counted_row_by_row(tmp_path: Path) -> None:
    labels = read_labels(write(tmp_path, HEAD + MESSY), bad="skip")
    found = {note.kind: note.rows for note in labels.notes}
    assert found["a response against itself"] == (3,)
    assert found["a choice that is neither response"] == (8, 9, 15, 16)
    assert found["no annotator"] == (14,)
    assert found["a response is missing"] == (18,)
    assert found["exact repetition of an earlier row"] == (2,)
    assert found["tie"] == (4, 5, 7)
    assert found["not answered"] == (6, 17)
    assert "annotators a1 and A1" in found  # though the only row of A1 is left out
    rows = sum(
        len(r)
        for kind, r in found.items()
        if kind not in ("tie", "exact repetition of an earlier row")
    )
    assert len(labels) + rows == 18
    said = " / ".join(graph(labels.wins()).sentences(labels.items))
    assert "E, F: never compared with A, B, C, D" in said
    assert "D: never lost" in said
    assert graph(labels.wins()).comparable == (0, 1, 2)


def test_codes_and_ties_are_parameters(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + MESSY)
    more = read_labels(
        path, bad="skip", first_codes=("model_a", "left"), repeats="once", ties="drop"
    )
    kinds = {note.kind: note for note in more.notes}
    assert kinds["a choice that is neither response"].rows == (15, 16)
    assert kinds["exact repetition of an earlier row"].done == "counted once"
    assert kinds["tie"].done == "left out"
    assert not (more.votes == 2).any()


def test_names_that_differ_by_case_are_said() -> None:
    labels = read_labels([row("a1"), row("A1"), row("b")])
    assert len(labels.annotators) == 3
    assert any("a1 and A1" in str(note) for note in labels.notes)


BAD_ROWS = {
    "self": (row(second="A"), "against itself"),
    "unknown code": (row(choice="Z"), "neither response.*row 2.*'Z'"),
    "case": (row(choice="b"), "'B' in another case"),
    "nobody": (row(annotator=" "), "no annotator"),
    "missing response": (row(first=""), "a response is missing"),
    "weight": (row() | {"weight": "-1"}, "weight that is no positive number"),
    "two types": (row() | {"type": "y"}, "an annotator of two types"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_bad_rows_are_refused_with_their_number(name: str) -> None:
    bad, message = BAD_ROWS[name]
    good = row() | {k: "1" if k == "weight" else "x" for k in bad if k in ("weight", "type")}
    with pytest.raises(ValueError, match=message) as error:
        read_labels([good, bad])
    assert "row 2" in str(error.value)
    assert len(read_labels([good, bad], bad="skip")) == 1


BAD_FILES = {
    "empty": ("labels.csv", "", "is empty"),
    "no rows": ("labels.csv", HEAD, "has no rows"),
    "no column": ("labels.csv", "annotator,first,second,vote\np,A,B,A\n", "no column 'choice'"),
    "column twice": ("labels.csv", "annotator,first,first,choice\np,A,B,A\n", "'first' twice"),
    "ragged": ("labels.csv", HEAD + "p,A,B\n", "row 1 has 3 fields"),
    "json": ("labels.jsonl", '{"annotator": "p"\n', "line 1 is no JSON"),
    "json value": ("labels.jsonl", "[1, 2]\n", "an object is needed"),
    "suffix": ("labels.xlsx", "x", "ends in .xlsx; give .csv"),
    "only skips": ("labels.csv", HEAD + "p,A,B,\n", "no row of the table holds"),
    "rank": ("r.csv", "annotator,item,rank\np,A,first\np,B,2\n", "rank that is no number"),
    "item twice": ("r.csv", "annotator,item,rank\np,A,1\np,A,2\n", "an item twice"),
    "one item": (
        "r.csv",
        "annotator,item,score\np,A,1\nq,B,2\n",
        "no annotator gave a score to two",
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_are_refused(name: str, tmp_path: Path) -> None:
    file, text, message = BAD_FILES[name]
    with pytest.raises(ValueError, match=message):
        read_labels(write(tmp_path, text, file))


def test_bytes_that_are_not_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(HEAD.encode() + b"p,A,B,\xff\n")
    with pytest.raises(ValueError, match="not UTF-8"):
        read_labels(path)


@pytest.mark.parametrize("option", ["ties", "repeats", "bad"])
def test_unknown_options_are_refused(option: str) -> None:
    options: dict[str, Any] = {option: "x"}
    with pytest.raises(ValueError, match=f"{option} is 'x'"):
        read_labels([row()], **options)


def test_columns_are_named() -> None:
    rows = [{"judge": "p", "one": "A", "two": "B", "winner": "B"}]
    names = {"annotator": "judge", "first": "one", "second": "two", "choice": "winner"}
    assert read_labels(rows, names).votes.tolist() == [1]
    with pytest.raises(ValueError, match="no column 'vote' for choice; there are judge, one"):
        read_labels(rows, names | {"choice": "vote"})
    with pytest.raises(ValueError, match="columns names 'chosen'"):
        read_labels(rows, {"chosen": "winner"})


def test_the_same_labels_from_three_kinds_of_file(tmp_path: Path) -> None:
    rows = [row("p", choice="B"), row("q", "B", "C", "C"), row("q", "C", "A", "tie")]
    text = HEAD + "".join(",".join(r.values()) + "\n" for r in rows)
    csv = read_labels(write(tmp_path, text))
    lines = read_labels(write(tmp_path, "\n".join(map(json.dumps, rows)), "labels.jsonl"))
    pytest.importorskip("pyarrow")
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "labels.parquet")
    parquet = read_labels(tmp_path / "labels.parquet")
    for other in (lines, parquet):
        assert np.array_equal(csv.wins(), other.wins())
        assert csv.items == other.items


def test_rankings_and_ratings_are_all_their_pairs() -> None:
    items = "BAC"
    ranks = read_labels([{"annotator": "p", "item": i, "rank": k} for k, i in enumerate(items, 1)])
    scores = read_labels([{"annotator": "p", "item": i, "score": -k} for k, i in enumerate(items)])
    assert not ranks.ordered
    A, B, C = (ranks.items.index(i) for i in "ABC")
    assert ranks.wins()[B, A] == ranks.wins()[A, C] == ranks.wins()[B, C] == 1
    assert ranks.wins().sum() == 3
    assert np.array_equal(ranks.wins(), scores.wins())


def test_comparable_items_are_kept_and_renumbered() -> None:
    labels = read_labels([row("p"), row("q", choice="B"), row("r", "C", "A", "C")])
    kept = labels.only(graph(labels.wins()).comparable)
    assert kept.items == ("A", "B")
    assert kept.annotators == ("p", "q")
    assert kept.wins().tolist() == [[0, 1], [1, 0]]
