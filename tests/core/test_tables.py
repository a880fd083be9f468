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
from hetlib.core import tables
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


# ---- tables as people have them ----

HEAD = "annotator,first,second,choice"
BODY = ["ann,x,y,x", "ann,y,x,x", "bo,x,y,y"]
#: What these three rows say.
THREE = [[0, 2], [1, 0]]


def csv(*lines: str, end: str = "\n") -> bytes:
    return (end.join(lines) + end).encode()


def lines(*rows: str) -> bytes:
    return csv(*(json.dumps(dict(zip(HEAD.split(","), r.split(","), strict=True))) for r in rows))


#: The same three labels in other files: name, content.
SAME: dict[str, tuple[str, bytes]] = {
    "Windows line ends": ("a.csv", csv(HEAD, *BODY, end="\r\n")),
    "old Macintosh line ends": ("a.csv", csv(HEAD, *BODY, end="\r")),
    "no line end at the end": ("a.csv", csv(HEAD, *BODY)[:-1]),
    "byte order mark": ("a.csv", b"\xef\xbb\xbf" + csv(HEAD, *BODY)),
    "blank lines": ("a.csv", csv("", HEAD, "", BODY[0], ",,,", *BODY[1:], "", " ")),
    "spaces": (
        "a.csv",
        csv(" annotator , first,second ,choice", *(f" {b.replace(',', ' , ')} " for b in BODY)),
    ),
    "quoted": ("a.csv", csv(*('"' + b.replace(",", '","') + '"' for b in (HEAD, *BODY)))),
    "more columns": ("a.csv", csv("id," + HEAD + ",note", *(f"7,{b},\u2028" for b in BODY))),
    "another order": (
        "a.csv",
        csv("choice,second,first,annotator", *(",".join(b.split(",")[::-1]) for b in BODY)),
    ),
    "capital ending": ("A.CSV", csv(HEAD, *BODY)),
    "tabs": ("a.tsv", csv(*(b.replace(",", "\t") for b in (HEAD, *BODY)))),
    "text": ("a.txt", csv(HEAD, *BODY)),
    "packed": ("a.csv.gz", gzip.compress(csv(HEAD, *BODY))),
    "JSON lines": ("a.jsonl", lines(*BODY)),
    "JSON lines of Windows": ("a.ndjson", b"\xef\xbb\xbf" + lines(*BODY).replace(b"\n", b"\r\n")),
    "one JSON list": ("a.jsonl", b"[" + b",".join(lines(*BODY).splitlines()) + b"]"),
    "packed JSON": ("a.jsonl.gz", gzip.compress(lines(*BODY))),
}


@pytest.mark.parametrize("case", SAME)
def test_the_same_labels_in_other_files(case: str, tmp_path: Path) -> None:
    name, content = SAME[case]
    (tmp_path / name).write_bytes(content)
    table = read_labels(tmp_path / name)
    assert table.wins().tolist() == THREE
    assert (table.annotators, table.responses) == (("ann", "bo"), ("x", "y"))


#: Files that are refused: name, content, message.
SPOILT: dict[str, tuple[str, bytes, str]] = {
    "empty": ("a.csv", b"", "a.csv is empty"),
    "blank": ("a.csv", b"\r\n \n", "a.csv is empty"),
    "only a mark": ("a.csv", b"\xef\xbb\xbf", "a.csv is empty"),
    "only a head": ("a.csv", csv(HEAD), "no rows"),
    "no head": ("a.csv", csv("ann,x,y,z", *BODY), "no column 'annotator'.*there are ann, x, y"),
    "semicolons": (
        "a.csv",
        csv(*(b.replace(",", ";") for b in (HEAD, *BODY))),
        "semicolons, not commas",
    ),
    "tabs in CSV": (
        "a.csv",
        csv(*(b.replace(",", "\t") for b in (HEAD, *BODY))),
        "tabs, not commas",
    ),
    "bars": ("a.csv", csv(*(b.replace(",", "|") for b in (HEAD, *BODY))), "bars, not commas"),
    "commas in TSV": ("a.tsv", csv(HEAD, *BODY), "commas, not tabs"),
    "UTF-16": ("a.csv", csv(HEAD, *BODY).decode().encode("utf-16"), "UTF-16.*save it as UTF-8"),
    "UTF-16 without a mark": ("a.csv", csv(HEAD, *BODY).decode().encode("utf-16-le"), "zero bytes"),
    "Latin-1": ("a.csv", csv(HEAD, "é,x,y,x").decode().encode("latin-1"), "not UTF-8: byte 30"),
    "short row": ("a.csv", csv(HEAD, BODY[0], "bo,x,y"), "row 2 has 3 fields; its head has 4"),
    "long row": ("a.csv", csv(HEAD, "bo,x,y,x,"), "row 1 has 5 fields"),
    "cut off": ("a.csv", csv(HEAD, *BODY)[:-4], "row 3 has 3 fields"),
    "open quote": ("a.csv", csv(HEAD, *BODY, '"ann,x,y,x'), "is a quote open"),
    "column twice": ("a.csv", csv(HEAD + ",first", "ann,x,y,x,x"), "the column 'first' twice"),
    "header again": ("a.csv", csv(HEAD, *BODY, HEAD), r"neither response \(row 4\): 'choice'"),
    "zeros": ("a.csv", b"\0" * 99, "zero bytes"),
    "no archive": ("a.csv.gz", csv(HEAD, *BODY), "cannot be unpacked"),
    "half an archive": ("a.csv.gz", gzip.compress(csv(HEAD, *BODY))[:-9], "cannot be unpacked"),
    "no Parquet": ("a.parquet", csv(HEAD, *BODY), "is no Parquet file"),
    "empty Parquet": ("a.parquet", b"", "is no Parquet file"),
    "packed Parquet": ("a.parquet.gz", b"", "ends in .parquet"),
    "a workbook": ("a.xlsx", b"PK", "ends in .xlsx; give .csv"),
    "no ending": ("labels", csv(HEAD, *BODY), "ends in nothing"),
    "half a line": ("a.jsonl", lines(*BODY)[:-9], "line 3 is no JSON"),
    "a number": ("a.jsonl", lines(*BODY) + b"3\n", "line 4: an object is needed"),
    "a key twice": ("a.jsonl", b'{"first": "x", "first": "y"}', "line 1 .*'first' is given twice"),
    "nested": (
        "a.jsonl",
        b'{"annotator":"a","first":["x"],"second":"y","choice":"y"}',
        r"no text \(row 1\): an entry is list",
    ),
    "deep": ("a.jsonl", b"[" * 100_000, "line 1 is no JSON"),
    "other keys": (
        "a.jsonl",
        b'{"a": 1}',
        "no column 'annotator', 'first', 'second', 'choice'; there are a",
    ),
}


@pytest.mark.parametrize("case", SPOILT)
def test_spoilt_files_are_named(case: str, tmp_path: Path) -> None:
    name, content, message = SPOILT[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_labels(tmp_path / name)


def label(annotator: Any = "p", first: Any = "A", second: Any = "B", choice: Any = "A") -> Any:
    return {"annotator": annotator, "first": first, "second": second, "choice": choice}


#: Choices as tables have them, with the vote that each is for A (first) against B.
WORDS = {
    **{"A": 0, " A ": 0, "B": 1, "": NOT_ANSWERED, "skip": NOT_ANSWERED, "NA": NOT_ANSWERED},
    **{"tie": TIE, "Tie": TIE, "both bad": TIE, "draw": TIE, "0.5": TIE, "tie (bothbad)": TIE},
}


@pytest.mark.parametrize("word", WORDS)
def test_a_choice_in_a_word(word: str) -> None:
    table = read_labels([label(choice=word), label()])
    assert table.votes.tolist() == [WORDS[word], 0]
    noted = {note.kind: note.rows for note in table.notes}
    assert noted.get("tie") == ((1,) if WORDS[word] == TIE else None)
    assert noted.get("not answered") == ((1,) if WORDS[word] == NOT_ANSWERED else None)


@pytest.mark.parametrize("missing", [None, float("nan"), np.nan, pd.NA, pd.NaT])
def test_nothing_in_any_form_is_a_skip(missing: Any) -> None:
    assert read_labels([label(choice=missing), label()]).votes[0] == NOT_ANSWERED
    for place in ("annotator", "first", "second"):
        with pytest.raises(ValueError, match=r"no annotator|a response is missing"):
            read_labels([label(), label() | {place: missing}])


@pytest.mark.parametrize(
    "name", ["None", "NA", "null", "nan", "tie", "skip", "0.5", "1", "-1", "é"]
)
def test_a_response_may_be_called_anything(name: str) -> None:
    """A name that is a response of the row is no word for a tie or a skip there."""
    table = read_labels([label(first=name, choice=name), label(second=name, choice=name)])
    assert table.votes.tolist() == [0, 1]
    assert name in table.responses


BAD_CHOICES = [
    "Z",
    "b",
    "a",
    "model_a",
    "left",
    "1",
    "0",
    "-1",
    "2",
    "first",
    "A;B",
    "AB",
    "true",
    3,
]


@pytest.mark.parametrize("choice", BAD_CHOICES)
def test_other_choices_are_refused_with_the_row(choice: Any) -> None:
    with pytest.raises(
        ValueError, match=rf"neither response \(row 2\): '{choice}' for 'A' and 'B'"
    ):
        read_labels([label(), label(choice=choice)])
    kept = read_labels([label(), label(choice=choice)], bad="skip")
    assert len(kept) == 1
    assert kept.notes[0].rows == (2,)


@pytest.mark.parametrize(
    ("codes", "choices"),
    [
        ({1: "first", 2: "second"}, [1, 2, 2]),
        ({1: "first", -1: "second", 0: "tie"}, ["1", -1, -1.0]),
        ({"model_a": "first", "model_b": "second"}, ["model_a", "model_b", "model_b "]),
        ({True: "first", False: "second"}, [True, False, False]),
        ({"B": "first", "A": "second"}, ["B", "A", "A"]),  # codes, not names
    ],
)
def test_codes_of_all_sorts(codes: Any, choices: list[Any]) -> None:
    table = read_labels([label(choice=c) for c in choices], codes=codes)
    assert table.votes.tolist() == [0, 1, 1]
    with pytest.raises(ValueError, match=r"\(row 1\): 'C' for"):
        read_labels([label(choice="C")], codes=codes)


MESSY = [
    label("a1"),
    label("a1"),
    label("a1", second="A"),
    label("a2", choice="tie"),
    label("a2", "B", "A", "both bad"),
    label("a2", "B", "C", ""),
    label("a3", "A", "C", 0.5),
    label("a3", "C", "A", "model_a"),
    label("a3", "B", "A", "left"),
    label("a4", "D", "A", "D"),
    label("a4", "D", "B", "D"),
    label("a5", "E", "F", "E"),
    label("a5", "F", "E", "F"),
    label("", choice="B"),
    label("a6", choice="Z"),
    label("A1", "B", "A", "b"),
    label("a8", "", "B", "B"),
]


def test_rows_as_people_have_them() -> None:
    with pytest.raises(
        ValueError, match=r"itself \(row 3\).*row 8, 9, 15, 16.*annotator \(row 14\)"
    ):
        read_labels(MESSY)
    table = read_labels(MESSY, bad="skip")
    found = {note.kind: note.rows for note in table.notes}
    assert found["a response against itself"] == (3,)
    assert found["a choice that is neither response"] == (8, 9, 15, 16)
    assert found["no annotator"] == (14,)
    assert found["a response is missing"] == (17,)
    assert found["exact repetition of an earlier row"] == (2,)
    assert found["tie"] == (4, 5, 7)
    assert len(read_labels(MESSY, bad="skip", repeats="once")) == len(table) - 1
    assert len(read_labels(MESSY, bad="skip", ties="drop")) == len(table) - 3
    with pytest.raises(
        ValueError, match=r"responses \[4, 5\] were compared with none of the others"
    ):
        hetlib.bradley_terry(table.wins())


@pytest.mark.parametrize(
    ("one", "other"), [("a1", "A1"), ("ß", "SS"), ("é", "e\u0301"), ("ﬁ", "fi"), ("x", "X")]
)
def test_names_that_look_alike_are_told(one: str, other: str) -> None:
    table = read_labels([label(one), label(other), label("z", one, other, one)])
    assert len(table.annotators) == 3
    told = [str(note) for note in table.notes]
    assert f"annotators {one} and {other}: taken as different" in told
    assert f"responses {one} and {other}: taken as different" in told


@pytest.mark.parametrize("option", ["ties", "repeats", "bad"])
@pytest.mark.parametrize("value", ["x", None, 1, ""])
def test_options_are_named(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{option} is {value!r}; it must be"):
        read_labels([label()], **{option: value})


SOURCES: dict[str, tuple[Any, str]] = {
    "a number": (5, "source is int"),
    "nothing": (None, "source is NoneType"),
    "no file": ("nowhere.csv", "there is no such file"),
    "no rows": ([], "no rows"),
    "lists": ([["p", "A", "B", "A"]], "row 1 is list"),
    "ragged": (
        {"annotator": ["p"], "first": [], "second": ["B"], "choice": ["A"]},
        "differ in length",
    ),
    "scalars": (label(), "column 'annotator' is str"),
    "column twice": (
        pd.DataFrame([["p", "A", "B", "A", "C"]], columns=[*HEAD.split(","), "first"]),
        "'first' twice",
    ),
    "swapped column": ([label() | {"first": {"x": 1}}], r"no text \(row 1\): an entry is dict"),
}


@pytest.mark.parametrize("case", SOURCES)
def test_sources_that_are_none(case: str) -> None:
    source, message = SOURCES[case]
    with pytest.raises(ValueError, match=message):
        read_labels(source)


def test_columns_named_for_each_other_and_missing_ones() -> None:
    swapped = read_labels([label(choice="B")], first="second", second="first")
    assert swapped.votes.tolist() == [0]
    with pytest.raises(ValueError, match="no column 'type' for type"):
        read_labels([label()], group="type")
    with pytest.raises(ValueError, match="'first' is named for two things"):
        read_labels([label()], second="first")
    with pytest.raises(ValueError, match=r"no type \(row 2\)"):
        read_labels([label() | {"g": "x"}, label() | {"g": ""}], group="g")
    with pytest.raises(ValueError, match=r"an annotator of two types \(row 2\): 'p': 'x', 'y'"):
        read_labels([label() | {"g": "x"}, label() | {"g": "y"}], group="g")


def test_names_of_people_are_not_shown_unasked() -> None:
    """Neither where a table is displayed, nor in what a container shows."""
    from hetlib.people.tables import read_labels as read_people

    rows = [label("Ann Smith"), label("Bo Jones"), label("Bo Jones", choice="B")]
    table = read_labels(rows)
    shown = [repr(table), str(table.linked()), str(table.comparisons()), str(table.describe())]
    shown += [repr(read_people(rows)), *map(str, table.notes)]
    assert not [text for text in shown if "Smith" in text or "Jones" in text]
    assert repr(table) == "3 labels, 2 annotators, 2 responses"
    assert table.annotators == ("Ann Smith", "Bo Jones")  # asked for


def test_one_row_and_many_names() -> None:
    one = read_labels([label()])
    assert one.wins().tolist() == [[0, 1], [0, 0]]
    assert len(one.comparisons()) == 1
    long = "9" * 5000  # more digits than a whole number is read from
    assert long in read_labels([label(first=long, choice=long)]).responses
    assert (
        read_labels([label(first=1e300, choice=1e300), label(first=2**70, choice=2**70)])
        .wins()
        .sum()
        == 2
    )


def test_rankings_and_ratings() -> None:
    ranks = [{"annotator": "p", "item": i, "rank": k} for k, i in enumerate("BAC", 1)]
    assert read_labels(ranks).wins().tolist() == [[0, 0, 1], [1, 0, 1], [0, 0, 0]]
    scores = [
        {"annotator": "p", "item": i, "score": s} for i, s in zip("ABC", (1, 5, 1), strict=True)
    ]
    assert read_labels(scores).wins().tolist() == [[0, 0, 0.5], [1, 0, 1], [0.5, 0, 0]]
    for change, message in (
        ({"rank": "first"}, r"a rank that is no number \(row 1\)"),
        ({"rank": float("inf")}, "no number"), ({"item": ""}, "missing"),
        ({"annotator": None}, "no annotator"), ({"item": "A"}, "an item twice"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            read_labels([ranks[0] | change, *ranks[1:]])


@pytest.mark.parametrize("other", ["tie", ""])
def test_winners_that_all_stand_second_are_taken(other: str) -> None:
    """A table says what won by name; containers need not guess how it was coded."""
    row = {"first": "A", "second": "B", "choice": "B"}
    rows = [{"annotator": f"p{k % 4}", "kind": "xy"[k % 2], **row} for k in range(16)]
    rows[8:] = [each | {"choice": other} for each in rows[8:]]
    table = read_labels(rows, group="kind")
    ties = 8 * (other == "tie")
    assert table.wins().tolist() == [[0, ties / 2], [8 + ties / 2, 0]]
    assert table.wins_by_type().sum(axis=0).tolist() == table.wins().tolist()
    assert table.by_type().wins(2).tolist() == table.wins().tolist()
    assert len(table.comparisons()) == 16


def rows_of(text: str) -> list[dict[str, Any]]:
    """A table written down: names of columns, then rows."""
    head, *lines = (line.split() for line in text.strip().splitlines())
    return [{k: None if v == "-" else v for k, v in zip(head, line, strict=True)} for line in lines]


COLUMNS = ("annotator", "first", "second", "choice")
HALVES: dict[str, Any] = {"ties": "half", "repeats": "keep", "bad": "refuse"}


def read(text: str, **options: Any) -> tables.Rows:
    return tables.read_table(rows_of(text), None, tables.named_vote, **(HALVES | options))


def test_everything_that_a_row_says() -> None:
    found = read(
        """
        annotator first second choice type weight prompt occasion la lb
        ann       x     y      y      p    0.5    one    may      10 7
        bo        z     x      tie    q    2      two    may      1  4
        ann       y     z      y      p    1      one    june     0  0.5
        """,
        features={"length": ["la", "lb"]},
    )
    assert found.annotators == ("ann", "bo")
    assert found.items == ("x", "y", "z")
    assert found.types == ("p", "q")
    assert found.who.tolist() == [0, 1, 0]
    assert found.first.tolist() == [0, 2, 1]
    assert found.second.tolist() == [1, 0, 2]
    assert found.votes.tolist() == [1, TIE, 0]
    assert found.votes.dtype == np.int8
    assert found.weight.tolist() == [0.5, 2, 1]
    assert found.prompt.tolist() == [0, 1, 0]
    assert found.occasion.tolist() == [0, 0, 1]
    assert found.type.tolist() == [0, 1, 0]
    assert found.features.tolist() == [[3], [-3], [-0.5]]
    assert found.ordered
    assert [str(note) for note in found.notes] == ["tie (row 2): half a win each"]


def test_a_weight_is_one_unless_it_is_said_and_asked_for() -> None:
    text = "annotator first second choice weight\nann x y y 3"
    assert read(text).weight.tolist() == [3]
    assert read(text, more=("prompt", "occasion")).weight.tolist() == [1]
    assert read("annotator first second choice\nann x y y").weight.tolist() == [1]
    anonymous = read("first second choice\nx y y\nx y y", anonymous=True)
    assert len(anonymous.votes) == 2
    assert anonymous.notes == ()


WRONG_ROWS = [
    ("weight", "0", r"a weight that is no positive number \(row 2\): '0'\. Correct"),
    ("weight", "-1", r"a weight that is no positive number \(row 2\): '-1'"),
    ("weight", "many", r"a weight that is no positive number \(row 2\): 'many'"),
    ("la", "-", r"a feature that is no number \(row 2\)\. Correct"),
    ("lb", "long", r"a feature that is no number \(row 2\)"),
    ("annotator", "-", r"^no annotator \(row 2\)\. Correct the rows, or leave"),
    ("second", "-", r"^a response is missing \(row 2\)"),
    ("first", "-", r"^a response is missing \(row 2\)"),
    ("second", "x", r"^a response against itself \(row 2\)\. Correct"),
    ("choice", "Y", r"neither response \(row 2\): 'Y' for 'x' and 'y'; 'y' in another case\?\. C"),
    ("choice", "q", r"neither response \(row 2\): 'q' for 'x' and 'y'\. Correct the rows"),
    ("type", "q", r"an annotator of two types \(row 2\): 'ann': 'p', 'q'\. Correct"),
]


@pytest.mark.parametrize(("column", "entry", "message"), WRONG_ROWS)
def test_a_wrong_row_is_named_or_left_out(column: str, entry: str, message: str) -> None:
    """And the rows after it are read, whatever is wrong with it."""
    rows = rows_of(
        """
        annotator first second choice type weight prompt la lb
        ann       x     y      y      p    1      one    1  2
        ann       x     y      x      p    1      two    1  2
        ann       x     y      y      p    1      three  1  2
        """
    )
    rows[1][column] = None if entry == "-" else entry
    features = {"length": ["la", "lb"]}
    with pytest.raises(ValueError, match=message):
        tables.read_table(rows, None, tables.named_vote, features=features, **HALVES)
    left = tables.read_table(
        rows, None, tables.named_vote, features=features, **(HALVES | {"bad": "skip"})
    )
    assert left.votes.tolist() == [1, 1]
    assert [str(note).partition(": ")[2] for note in left.notes] == ["left out"]
    assert left.notes[0].rows == (2,)


def test_many_wrong_rows_are_counted() -> None:
    rows = [{**label(), "annotator": ""} for _ in range(7)]
    with pytest.raises(ValueError, match=r"no annotator \(row 1, 2, 3, 4, 5, 7 in all\)\. Correct"):
        tables.read_table(rows, None, tables.named_vote, **HALVES)
    with pytest.raises(ValueError, match=r"no annotator \(row 1, 2, 3, 4, 5\)\. Correct"):
        tables.read_table(rows[:5], None, tables.named_vote, **HALVES)
    with pytest.raises(ValueError, match=r"rows, do so, or leave such rows out with bad='skip'"):
        tables.read_table(rows, None, tables.named_vote, remedy="do so", **HALVES)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"length": ["la"]}, r"features\['length'\] is \['la'\]; two columns"),
        ({"length": ["la", "lb", "la"]}, "two columns of a table of comparisons"),
        ({"length": ["la", "lc"]}, "needed, of annotator, first, second, choice, la, lb"),
    ],
)
def test_features_that_are_none(features: dict[str, list[str]], message: str) -> None:
    text = "annotator first second choice la lb\nann x y y 1 2\nbo x y x 3 4"
    with pytest.raises(ValueError, match=message):
        read(text, features=features)
    with pytest.raises(ValueError, match="two columns of a table of comparisons"):
        read("annotator item rank la lb\nann x 1 1 2\nann y 2 3 4", features={"l": ["la", "lb"]})


def test_what_happens_twice() -> None:
    text = (
        "annotator first second choice\nann x y y\nbo x y y\nann x y y\nann x y tie\nann x y skip"
    )
    kept = read(text)
    assert kept.votes.tolist() == [1, 1, 1, TIE, NOT_ANSWERED]
    assert sorted(map(str, kept.notes)) == [
        "exact repetition of an earlier row (row 3): kept as another occasion",
        "not answered (row 5): left out",
        "tie (row 4): half a win each",
    ]
    once = read(text, repeats="once", ties="drop")
    assert once.votes.tolist() == [1, 1, NOT_ANSWERED]
    assert sorted(map(str, once.notes)) == [
        "exact repetition of an earlier row (row 3): counted once",
        "not answered (row 5): left out",
        "tie (row 4): left out",
    ]
    nameless = "first second choice\nx y y\nx y y"
    assert len(read(nameless, anonymous=True, repeats="once").votes) == 1
    odd = "annotator first second choice\nann x y tie\nann x y tie"
    with pytest.raises(ValueError, match="no row of the table holds a comparison"):
        read(odd, ties="drop")


RANKED = """
annotator item rank prompt occasion type weight
ann       b    1    one    may      p    2
ann       a    2    one    may      p    2
ann       c    2    one    may      p    2
ann       a    1    two    may      p    2
ann       b    2    two    may      p    2
bo        a    1    one    may      q    1
bo        b    na   one    may      q    1
bo        c    3    one    may      q    1
ann       a    9    one    june     p    2
ann       c    1    one    june     p    2
"""


def test_rankings_become_pairs_within_an_occasion() -> None:
    found = read(RANKED)
    pairs = [
        (found.annotators[w], found.items[a], found.items[b], int(v), float(m), int(q), int(t))
        for w, a, b, v, m, q, t in zip(
            found.who, found.first, found.second, found.votes, found.weight,
            found.prompt, found.occasion, strict=True,
        )
    ]  # fmt: skip
    assert pairs == [
        ("ann", "a", "b", 1, 2.0, 0, 0),
        ("ann", "a", "c", TIE, 2.0, 0, 0),
        ("ann", "b", "c", 0, 2.0, 0, 0),
        ("ann", "a", "b", 0, 2.0, 1, 0),
        ("bo", "a", "c", 0, 1.0, 0, 0),
        ("ann", "a", "c", 1, 2.0, 0, 1),
    ]
    assert [found.types[k] for k in found.type] == ["p"] * 4 + ["q", "p"]
    assert not found.ordered
    assert sorted(map(str, found.notes)) == [
        "not answered (row 7): left out",
        "pairs read from rankings, dependent given the person: said",
        "tie (row 2): half a win each",
    ]


@pytest.mark.parametrize(
    ("column", "entry", "what"),
    [
        ("rank", "best", "a rank that is no number"),
        ("annotator", None, "no annotator"),
        ("item", None, "a response is missing"),
        ("item", "b", "an item twice by one annotator on one occasion"),
    ],
)
def test_a_wrong_row_of_a_ranking(column: str, entry: str | None, what: str) -> None:
    rows = rows_of(RANKED)[:3]
    rows[1][column] = entry
    with pytest.raises(ValueError, match=rf"^{what} \(row 2\)\. Correct"):
        tables.read_table(rows, None, tables.named_vote, **HALVES)
    left = tables.read_table(rows, None, tables.named_vote, **(HALVES | {"bad": "skip"}))
    assert left.items == ("b", "c")
    assert left.votes.tolist() == [0]
    assert f"{what} (row 2): left out" in map(str, left.notes)


def test_a_ranking_of_one_item() -> None:
    text = "annotator item score\nann a 1\nbo b 2"
    for bad in ("skip", "refuse"):
        with pytest.raises(ValueError, match="no annotator gave a score to two items"):
            read(text, bad=bad)
    with pytest.raises(ValueError, match=r"a score that is no number \(row 1\)"):
        read("annotator item score\nann a best\nbo b 2")
    with pytest.raises(ValueError, match="no annotator gave a score to two items"):
        read("annotator item score\nann a best\nbo b 2", bad="skip")
    assert read("annotator item score\nann a 1\nann b 2").votes.tolist() == [1]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ((), "a: b"), ((4,), "a (row 4): b"), ((1, 2), "a (rows 1, 2): b"),
        ((1, 2, 3, 4, 5), "a (rows 1, 2, 3, 4, 5): b"),
        ((1, 2, 3, 4, 5, 6), "a (rows 1, 2, 3, 4, 5, …): b"),
    ],
)  # fmt: skip
def test_a_note_names_five_rows(rows: tuple[int, ...], says: str) -> None:
    assert str(tables.Note("a", rows, "b")) == says


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (3, "^source is int; a file, a data frame, columns by name or rows are needed"),
        ({"first": "xy", "second": ["y", "x"]}, "column 'first' is str; a list"),
        ({"first": b"xy", "second": ["y", "x"]}, "column 'first' is bytes; a list"),
        ({"first": iter("xy")}, "column 'first' is str_.*iterator; a list"),
        ({"first": ["x"], "second": ["y", "z"]}, r"differ in length: {'first': 1, 'second': 2}"),
        ({1: ["x"], "1": ["y"]}, "the table has the column '1' twice"),
        ([["x", "y"]], "row 1 is list; names and entries are needed"),
        ([], "the table has no rows"),
    ],
)
def test_sources_of_other_shapes(source: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_labels(source)


def test_rows_of_a_file_as_they_stand(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("annotator,first\nann,x\n\nbo,y\n")
    assert tables.read_rows(tmp_path / "a.csv") == [
        {"annotator": "ann", "first": "x"},
        {"annotator": "bo", "first": "y"},
    ]
    assert tables.read_rows(str(tmp_path / "a.csv"))[1]["first"] == "y"
    pd.DataFrame({"a": [1, 2]}).to_parquet(tmp_path / "a.pq")
    assert tables.read_rows(tmp_path / "a.pq") == [{"a": 1}, {"a": 2}]
    packed = gzip.compress((tmp_path / "a.pq").read_bytes())
    (tmp_path / "a.pq.gz").write_bytes(packed)
    with pytest.raises(ValueError, match=r"ends in \.pq; give"):
        tables.read_rows(tmp_path / "a.pq.gz")
    (tmp_path / "b.csv").write_bytes("annotator\nx".encode("utf-16-be"))
    (tmp_path / "c.csv").write_bytes(b"\xfe\xff" + "annotator\nx".encode("utf-16-be"))
    for name, message in (("b", "zero bytes|not UTF-8"), ("c", r"c\.csv is UTF-16, not UTF-8")):
        with pytest.raises(ValueError, match=message):
            tables.read_rows(tmp_path / f"{name}.csv")
    (tmp_path / "d.csv").write_text("a,a\n1,2\n")
    with pytest.raises(ValueError, match=r"d\.csv has the column 'a' twice"):
        tables.read_rows(tmp_path / "d.csv")
    (tmp_path / "d.jsonl").write_text("{\n")
    with pytest.raises(ValueError, match=r"d\.jsonl, line 1 is no JSON"):
        tables.read_rows(tmp_path / "d.jsonl")


def test_what_a_table_lacks_is_said() -> None:
    table = read_labels(ROWS)
    with pytest.raises(ValueError, match=r"^the table has no groups; this needs types of people:"):
        table.wins_by_type()
    with pytest.raises(ValueError, match=r"^the table has no groups; this needs types of people:"):
        table.by_type()
    nameless = read_labels(ROWS, annotator=None)
    with pytest.raises(ValueError, match=r"^the table has no annotators; this needs annotators, w"):
        nameless.linked()


def test_one_person_can_be_linked() -> None:
    rows = [label(), label(first="z", choice="z")]
    linked = read_labels(rows).linked()
    assert linked.votes.shape == (1, 2)
    assert linked.votes.dtype == np.int8
    one_each = [label(annotator="p"), label(annotator="q")]
    with pytest.raises(ValueError, match="links no labels: nobody gave two decided ones"):
        read_labels(one_each).linked()


def test_counts_of_nobody_are_zero() -> None:
    rows = [label(annotator="p", choice="tie"), label(annotator="q"), label(annotator="q")]
    assert read_labels(rows).describe() | {"least": 0, "most": 2} == read_labels(rows).describe()
