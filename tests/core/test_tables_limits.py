"""Tables at their limits: blank lines, gaps, one-sided votes, many rows a person, odd names."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hetlib.core import tables
from hetlib.core.labels import NOT_ANSWERED, TIE, Linked, draw_counts
from hetlib.core.tables import in_order, read_labels, read_table


def mixed(rows: int, people: int, seed: int = 0) -> dict[str, list[Any]]:
    """Labels of several people, their rows in no order, with ties and skips."""
    rng = np.random.default_rng(seed)
    pairs = [rng.choice(list("abcd"), 2, replace=False).tolist() for _ in range(rows)]
    who, which = rng.integers(people, size=rows).tolist(), rng.integers(4, size=rows)
    return {
        "annotator": [f"p{k}" for k in who],
        "first": [a for a, _ in pairs],
        "second": [b for _, b in pairs],
        "choice": [(a, b, "tie", "")[k] for (a, b), k in zip(pairs, which, strict=True)],
        "party": ["xy"[k % 2] for k in who],
    }


def wide(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def test_a_person_keeps_the_order_of_the_labels() -> None:
    given = mixed(300, 3)
    table = read_labels(given)
    kept: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for row in wide(given):
        if row["choice"] in (row["first"], row["second"]):
            kept[row["annotator"]].append((row["first"], row["second"], row["choice"]))
    linked = table.linked()
    for k, name in enumerate(table.annotators):
        length = len(kept[name])
        found = [
            (table.responses[a], table.responses[b], table.responses[b if v else a])
            for a, b, v in zip(linked.y1[k], linked.y2[k], linked.votes[k], strict=True)
        ]
        assert found[:length] == kept[name]


def test_the_kth_label_of_a_type_is_in_the_kth_row_of_its_pair() -> None:
    given = mixed(400, 6, seed=1)
    table = read_labels(given, group="party")
    kept: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in wide(given):
        low, high = sorted((row["first"], row["second"]))
        kept[low, high][row["party"]].append(row["choice"])
    rows = table.by_type()
    found: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    names = table.responses
    for a, b, votes in zip(rows.y1, rows.y2, rows.votes, strict=True):
        low, high = sorted((names[a], names[b]))
        for kind, vote in zip(table.groups, votes, strict=True):
            word = {0: names[a], 1: names[b], TIE: "tie", NOT_ANSWERED: ""}[int(vote)]
            found[low, high][kind].append(word)
    assert found.keys() == kept.keys()
    for pair, kinds in kept.items():
        for kind, choices in kinds.items():
            assert found[pair][kind][: len(choices)] == choices


def test_labels_stay_as_shown_unless_none_chose_the_first() -> None:
    """The containers doubt votes without a 0; one row of such a table is turned, no other."""
    both = {"annotator": ["k"] * 2, "first": ["a", "b"], "second": ["b", "a"], "choice": ["a"] * 2}
    shown = read_labels(both)
    assert shown.comparisons().y1.tolist() == [0, 1]
    columns: dict[str, Any] = {"annotator": ["k"] * 3, "first": ["b", "b", "c"]}
    columns |= {"second": ["a", "a", "a"], "choice": ["tie", "a", "a"]}
    table = read_labels(columns)
    data = table.comparisons()
    assert table.votes.tolist() == [TIE, 1, 1]
    assert data.votes.ravel().tolist() == [TIE, 0, 1]
    assert table.wins().tolist() == [[0, 1.5, 1], [0.5, 0, 0], [0, 0, 0]]
    alone = read_labels({k: v[1:] for k, v in columns.items()})
    assert alone.wins().tolist() == [[0, 1, 1], [0, 0, 0], [0, 0, 0]]


def test_a_type_that_was_not_asked_stays_so_in_the_row_that_is_turned() -> None:
    """Everybody chose the later response, so a row is turned, in which one type is missing."""
    columns = {"annotator": ["k", "l"], "t": ["x", "y"], "first": ["a", "a"], "second": ["b", "c"]}
    rows = read_labels(columns | {"choice": ["b", "c"]}, group="t").by_type()
    assert rows.wins(3).tolist() == [[0, 0, 0], [1, 0, 0], [1, 0, 0]]
    assert sorted(rows.votes.ravel().tolist()) == [NOT_ANSWERED, NOT_ANSWERED, 0, 1]


def test_people_without_a_decided_label_count_as_zero() -> None:
    columns = {"annotator": ["a", "a", "b"], "first": ["x"] * 3, "second": ["y"] * 3}
    said = read_labels(columns | {"choice": ["x", "y", ""]}).describe()
    assert (said["least"], said["most"]) == (0, 2)
    named = columns | {"choice": ["x", "y", "x"]}
    del named["annotator"]
    table = read_labels(named, annotator=None)
    assert table.annotators == ()
    assert table.notes == ()  # anonymous rows that are equal are of several people
    assert (table.describe()["least"], table.describe()["most"]) == (3, 3)


def test_occasions_and_prompts_tell_rows_apart() -> None:
    columns = {"annotator": ["a"] * 4, "first": ["x"] * 4, "second": ["y"] * 4}
    columns |= {"choice": ["x"] * 4, "prompt": list("ppqp"), "occasion": list("1211")}
    for group in (None, "party"):
        table = read_labels(columns | {"party": ["l"] * 4}, group=group, repeats="once")
        assert len(table) == 3
        assert [note.rows for note in table.notes] == [(4,)]


def test_names_that_are_whole_numbers_are_in_their_order() -> None:
    assert in_order(["10", "-3", "9", "-12"]) == ("-12", "-3", "9", "10")
    assert in_order(["10", "9", "3-"]) == ("10", "3-", "9")


CSV = "annotator,first,second,choice\n\na,x,y,x\n,,,\n\na,x,y,z\n"
RANKS = "annotator,item,rank\n\na,x,1\n\na,y,best\n"


@pytest.mark.parametrize(("content", "row"), [(CSV, 5), (RANKS, 4)])
def test_rows_are_numbered_as_in_the_file(tmp_path: Path, content: str, row: int) -> None:
    """Counted from 1 below the head, empty lines included, as an editor shows them."""
    (tmp_path / "labels.csv").write_text(content)
    lines = content.splitlines()
    assert lines[row] in ("a,x,y,z", "a,y,best")
    with pytest.raises(ValueError, match=rf"\(row {row}\)"):
        read_labels(tmp_path / "labels.csv")


def test_a_row_that_is_no_text_does_not_end_the_reading() -> None:
    good = {"annotator": "a", "first": "x", "second": "y", "choice": "x"}
    for odd in ([1], np.zeros(2), {"x": 1}, b"x"):
        with pytest.raises(ValueError, match="a text or a number is needed"):
            tables.as_text(odd)
        table = read_labels([good, good | {"choice": odd}, good], bad="skip")
        assert len(table) == 2
        assert table.notes[0].rows == (2,)


def test_json_lines_may_be_apart(tmp_path: Path) -> None:
    row = {"annotator": "a", "first": "x", "second": "y", "choice": "x"}
    path = tmp_path / "labels.jsonl"
    path.write_text(f"{json.dumps(row)}\n\n{json.dumps(row)}\n")
    assert len(read_labels(path)) == 2
    path.write_text('{"annotator": "a", "first": 1, "first": 2}')
    with pytest.raises(ValueError, match="'first' is given twice"):
        read_labels(path)
    path.write_text('{"annotator": ')
    with pytest.raises(ValueError, match=r"line 1 is no JSON: Expecting value$"):
        read_labels(path)


def test_what_there_is_is_said_where_a_column_lacks(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("first,second\nx,y\n")
    # The mark of a row's number is not a column
    with pytest.raises(ValueError, match=r"'annotator', 'choice'; there are first, second\. Say"):
        read_labels(path)
    with pytest.raises(ValueError, match="there are none"):
        read_labels([{}])
    columns = {"first": ["x"], "second": ["y"], "choice": ["x"]}
    with pytest.raises(ValueError, match="no column 'annotator'; there are first, second, choice"):
        read_labels(columns)
    named = {"annotator": ["a"]} | columns
    with pytest.raises(ValueError, match="or leave such rows") as caught:
        read_labels(named | {"choice": ["?"]})
    assert "rows, name the codes of choices in codes=, or" in str(caught.value)
    with pytest.raises(ValueError, match=r"codes= has none, or leave"):
        read_labels(named, codes={})
    with pytest.raises(ValueError, match="allowed are 'first', 'second', 'tie', 'skip'"):
        read_labels(named, codes={"x": "left"})


def test_a_column_that_another_one_replaces_is_not_read() -> None:
    columns = {"annotator": ["k"], "shown": ["x"], "first": ["junk"], "second": ["y"]}
    table = read_labels(columns | {"choice": ["x"]}, first="shown")
    assert table.responses == ("x", "y")
    assert table.wins().tolist() == [[0, 1], [0, 0]]


def test_frames_of_any_kind_are_read_by_their_columns() -> None:
    """A frame has ``columns`` and gives each by name; what iterating over it gives is its own."""

    class Frame:
        columns = ("annotator", "first", "second", "choice")

        def __getitem__(self, name: str) -> list[str]:
            return {"annotator": ["a"], "first": ["x"], "second": ["y"], "choice": ["y"]}[name]

        def __iter__(self) -> Iterator[list[str]]:
            return (self[name] for name in self.columns)

    assert read_labels(Frame()).wins().tolist() == [[0, 0], [1, 0]]


def test_one_row_with_features_is_read() -> None:
    row = {"annotator": "a", "first": "x", "second": "y", "choice": "x", "la": 3, "lb": 1}
    found = read_table(
        [row],
        None,
        tables.named_vote,
        ties="half",
        repeats="keep",
        bad="refuse",
        features={"length": ["la", "lb"]},
    )
    assert found.features.tolist() == [[2]]


def test_counts_of_a_law_of_any_size_and_shape() -> None:
    law = np.array([[3.0, 0], [6, 0]])
    counts = draw_counts(law, 9000, np.random.default_rng(0), repeats=(4, 2))
    assert counts.shape == (4, 2, 2, 2)
    assert (counts.sum(axis=(2, 3)) == 9000).all()
    assert not counts[..., 1].any()
    assert abs(counts[..., 0, 0] / 9000 - 1 / 3).max() < 0.03  # six standard errors
    assert len(np.unique(counts[..., 0, 0])) > 2  # each repeat is drawn anew


@pytest.mark.parametrize("odd", [TIE, NOT_ANSWERED])
def test_what_is_not_decided_is_named(odd: int) -> None:
    pair = np.array([[0, 0]])
    assert Linked(pair, pair + 1, np.array([[0, 1]])).decided().votes.tolist() == [[0, 1]]
    with pytest.raises(ValueError, match=rf"votes\[0, 1\] is {odd}"):
        Linked(pair, pair + 1, np.array([[0, odd]])).decided()
