"""Faulty files: nothing is dropped silently, and an error says what was found and what to do."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyreadstat
import pytest

from hetlib import surveys
from hetlib.surveys.reading import Survey

ROWS = 600
K = np.arange(ROWS)


def csv(path: Path, **columns: Any) -> Path:
    """A survey of two parties and three options, with columns changed or added."""
    data: dict[str, Any] = {"PARTY": 1 + K % 2, "Q1": 1 + K % 3, "WEIGHT_W1": np.ones(ROWS)}
    pd.DataFrame(data | columns).to_csv(path, index=False)
    return path


def sav(
    path: Path,
    labels: dict[str, dict[float, str]] | None = None,
    missing: dict[str, Any] | None = None,
    **columns: Any,
) -> Path:
    data = {"PARTY": 1.0 + K % 2, "Q1": 1.0 + K % 3, "WEIGHT_W1": np.ones(ROWS)} | columns
    known = {"PARTY": {1.0: "L", 2.0: "R"}, "Q1": {1.0: "a", 2.0: "b", 3.0: "c"}} | (labels or {})
    pyreadstat.write_sav(
        pd.DataFrame(data), str(path), variable_value_labels=known, missing_ranges=missing
    )
    return path


def read(path: Path, **settings: Any) -> Survey:
    return surveys.read_survey(path, **{"types": "PARTY", **settings})


def everybody_counts(found: Survey) -> None:
    """Each respondent is an answer to Q1, or in one of the numbers of the report."""
    left = found.untyped + found.unweighted + found.weightless + found.others
    answers = found["Q1"].n + sum(found.left_out.get("Q1", {}).values())
    assert left + answers == found.rows == ROWS, found.report()


# ---- words ----


@pytest.mark.parametrize(
    "word",
    [
        "None",
        "NA",
        "null",
        "nan",
        "NaN",
        "N/A",
        "inf",
        "-",
        "True",
        "0x1",
        "1_000",
        "#N/A",
        "1e400",
    ],
)
def test_words_are_words(word: str, tmp_path: Path) -> None:
    party = np.where(K % 3 == 0, word, "Tory")
    found = read(csv(tmp_path / "a.csv", PARTY=party, Q1=1 + K // 3 % 3))
    assert set(found.types) == {word, "Tory"}
    assert found.untyped == 0
    assert found["Q1"].n == ROWS
    for column in ("Q1", "WEIGHT_W1"):
        spoilt: Any = np.where(K == 7, word, "1")
        path = csv(tmp_path / "b.csv", **{column: spoilt})
        if column == "Q1":
            assert read(path).skipped["Q1"] == f"text where codes are expected: Q1[7] is {word!r}"
        else:
            with pytest.raises(ValueError, match=r"WEIGHT_W1\[7\] is "):
                read(path)


@pytest.mark.parametrize("empty", ["", " ", '""', '" "', "\t"])
def test_only_an_empty_field_is_missing(empty: str, tmp_path: Path) -> None:
    rows = [f"{'Whig' if k % 2 else 'Tory'},{1 + k % 3},1" for k in range(400)]
    rows[:5] = [f"{empty},1,1"] * 5
    rows[5:12] = [f"Tory,{empty},1"] * 7
    rows[12:15] = [f"Tory,1,{empty}"] * 3
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["PARTY,Q1,WEIGHT_W1", *rows]))
    found = read(path)
    assert (found.untyped, found.unweighted) == (5, 3)
    assert found.left_out == {"Q1": {"empty": 7}}
    assert "answers left out of Q1: 7 empty" in found.report()


# ---- answers that do not count ----


def test_declared_missing_answers_are_counted(tmp_path: Path) -> None:
    answers = np.where(K < 40, 8.0, np.where(K < 55, -1.0, 1.0 + K % 3))
    labels = {"Q1": {1.0: "a", 2.0: "b", 3.0: "c", 8.0: "Don't know", -1.0: "Inapplicable"}}
    for missing in ([8.0, -1.0], [{"lo": 7, "hi": 9}, -1.0], [{"lo": -99, "hi": 0}, 8]):
        path = sav(tmp_path / "a.sav", labels, {"Q1": missing}, Q1=answers)
        found = read(path)
        assert found["Q1"].options == ("a", "b", "c")
        assert found.left_out == {"Q1": {"declared missing": 55}}
        assert found["Q1"].n == ROWS - 55
        counted = read(path, empty="count")
        assert counted["Q1"].n == ROWS
        assert counted.left_out == {"Q1": {"declared missing but counted in the masses": 55}}
    everything = read(sav(tmp_path / "b.sav", labels, Q1=answers))
    assert everything["Q1"].options == ("Inapplicable", "a", "b", "c", "Don't know")
    assert everything.left_out == {}


def test_declared_missing_types_and_weights_are_counted(tmp_path: Path) -> None:
    party = np.where(K < 30, 8.0, 1.0 + K % 2)
    weight = np.where((K >= 30) & (K < 37), -1.0, 1.0)
    labels = {"PARTY": {1.0: "L", 2.0: "R", 8.0: "Don't know"}}
    path = sav(
        tmp_path / "a.sav", labels, {"PARTY": [8.0], "WEIGHT_W1": [-1.0]},
        PARTY=party, WEIGHT_W1=weight,
    )  # fmt: skip
    found = read(path)
    assert found.types == ("L", "R")
    assert found.absent == ()
    assert (found.untyped, found.unweighted, found["Q1"].n) == (30, 7, ROWS - 37)
    names = np.where(K < 30, "DK", np.where(K % 2, "L", "R"))
    text = sav(tmp_path / "b.sav", missing={"NAME": ["DK"]}, NAME=list(names))
    assert read(text, types="NAME").untyped == 30


@pytest.mark.parametrize("kind", [csv, sav])
@pytest.mark.parametrize("refused", [(99,), (98, 99), [99.0], np.array([99])])
def test_refused_answers_are_counted_by_question(
    kind: Callable[..., Path], refused: Any, tmp_path: Path
) -> None:
    """Of a question that is read, of one that is skipped for it, and in each combination."""
    label = {k: {1.0: "a", 2.0: "b", 3.0: "c", 98.0: "x", 99.0: "y"} for k in ("Q1", "Q2", "Q3")}
    columns = {
        "Q1": np.where(K < 20, 99.0, 1.0 + K % 3),
        "Q2": np.array([1.0, 2.0, 99.0])[K % 3],
        "Q3": np.where(K < 9, np.nan, np.where(K < 20, 98.0, 1.0 + K % 3)),
    }
    path = kind(
        tmp_path / f"a.{kind.__name__}", **columns, **({"labels": label} if kind is sav else {})
    )
    found = read(path, refused=refused, min_per_option=1)
    assert found.left_out["Q1"] == {"refused (99)": 20}
    assert found.left_out["Q2"] == {"refused (99)": 200}
    assert found.skipped["Q2"] == "fewer than 3 options"
    both = {"refused (98)": 11} if 98 in refused else {}
    assert found.left_out["Q3"] == both | {"empty": 9}
    assert "answers left out of Q2: 200 refused (99)" in found.report()
    everybody_counts(found)
    assert read(path, refused=())["Q2"].n == ROWS


def test_refused_types_and_declared_refusals_are_counted_once(tmp_path: Path) -> None:
    """A refused code among types that are words, and one that the file declares missing, too."""
    party = np.where(K < 25, "99", np.where(K % 2, "Tory", "Whig"))
    found = read(csv(tmp_path / "a.csv", PARTY=party))
    assert (found.types, found.untyped) == (("Tory", "Whig"), 25)
    assert read(csv(tmp_path / "b.csv", PARTY=party), refused=(), min_per_option=1).types[0] == "99"
    answers = np.where(K < 40, 99.0, 1.0 + K % 3)
    declared = read(sav(tmp_path / "c.sav", missing={"Q1": [99.0]}, Q1=answers))
    assert declared.left_out == {"Q1": {"declared missing": 40}}
    everybody_counts(declared)


def test_negative_codes_of_a_csv_get_a_note(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", Q1=np.where(K < 120, -9, np.where(K < 240, -1, 1 + K % 3)))
    found = read(path)
    assert found["Q1"].options == ("-9", "-1", "1", "2", "3")
    for code in ("-9", "-1"):
        assert f"code {code} (120 answers) counts as an option" in found.notes["Q1"]
    named = read(path, refused=(-9, -1))
    assert named.notes == {}
    assert named.left_out == {"Q1": {"refused (-9, -1)": 240}}
    party = csv(tmp_path / "b.csv", PARTY=np.where(K < 50, -9, 1 + K % 2))
    note = "code -9 (50 people) counts as a type; if it means no answer, name it in refused"
    assert read(party).notes == {"PARTY": note}
    assert read(party).types == ("-9", "1", "2")
    assert read(party, refused=[-9]).notes == {}
    assert read(party, labels={"PARTY": {-9: "None of these"}}).notes == {}


# ---- people who do not count ----


@pytest.mark.parametrize("kind", [csv, sav])
@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_people_of_weight_zero_and_their_options_are_named(
    zero: float, kind: Callable[..., Path], tmp_path: Path
) -> None:
    weight = np.where(K % 3 == 2, zero, 1.0)
    path = kind(tmp_path / f"a.{kind.__name__}", WEIGHT_W1=weight)
    found = read(path)
    name = "c" if kind is sav else "3"
    assert found.weightless == 200
    assert "left out: 200 respondents of weight 0" in found.report()
    reason = f"option '{name}' left out: only people of weight 0 chose it (200)"
    assert found.skipped["Q1"] == f"fewer than 3 options: {reason}"
    assert f"note on Q1: {reason}" in found.report()
    two = read(path, min_options=2)
    assert two["Q1"].n == 400
    assert two["Q1"].shares.min() > 0
    assert two.notes["Q1"] == reason
    half = kind(tmp_path / f"b.{kind.__name__}", WEIGHT_W1=1.0 * (K % 2))
    one = read(half, min_per_option=1)
    assert one["Q1"].n == 300
    assert len(one.types) == 1
    assert len(one.absent) == 1


@pytest.mark.parametrize("kind", [csv, sav])
@pytest.mark.parametrize(
    "chosen",
    [{3: "all"}, {1: "all"}, {4: "all"}, {3: "L"}, {2: "R", 3: "L"}, {1: "all", 4: "R"}],
    ids=["3", "1", "4", "3L", "2R3L", "1-4R"],
)
def test_options_that_only_people_of_weight_zero_chose(
    kind: Callable[..., Path], chosen: dict[int, str], tmp_path: Path
) -> None:
    """Left out with a note where nobody of weight chose it; empty in a type where one did."""
    party, answer = 1 + K % 2, 1 + K // 2 % 4
    out = np.zeros(ROWS, bool)
    for option, who in chosen.items():
        out |= (answer == option) & ((party == {"L": 1, "R": 2}.get(who, 0)) | (who == "all"))
    labels = {"Q1": {1.0: "a", 2.0: "b", 3.0: "c", 4.0: "d"}}
    path = kind(
        tmp_path / f"a.{kind.__name__}",
        **({"labels": labels} if kind is sav else {}),
        Q1=1.0 * answer, PARTY=1.0 * party, WEIGHT_W1=np.where(out, 0.0, 1.0),
    )  # fmt: skip
    found = read(path, min_per_option=1)
    assert found.weightless == out.sum()
    everybody_counts(found)
    gone = [option for option, who in chosen.items() if who == "all"]
    names = dict(zip(range(1, 5), "abcd" if kind is sav else "1234", strict=True))
    q = found["Q1"]
    assert q.options == tuple(names[k] for k in names if k not in gone)
    assert q.n == ROWS - out.sum()
    for option in gone:
        assert f"option '{names[option]}' left out: only people of weight 0" in found.notes["Q1"]
    empty = {(who, names[option]) for option, who in chosen.items() if who != "all"}
    held = {
        ("LR"[u], o) for u in range(2) for o, s in zip(q.options, q.shares[u], strict=True) if not s
    }
    assert held == empty


def test_options_of_other_people_left_out_are_named(tmp_path: Path) -> None:
    """People without a type, without a weight, and of other types."""
    answer = np.where(K < 30, 7.0, 1.0 + K // 2 % 3)
    labels = {"Q1": {1.0: "a", 2.0: "b", 3.0: "c", 7.0: "d"}}
    note = "option 'd' left out: only people left out chose it (30)"
    changes: list[dict[str, Any]] = [
        {"PARTY": np.where(K < 30, np.nan, 1.0 + K % 2)},
        {"PARTY": np.where(K < 30, 99.0, 1.0 + K % 2)},
        {"WEIGHT_W1": np.where(K < 10, 0, np.where(K < 30, np.nan, 1.0))},
    ]
    for change in changes:
        found = read(sav(tmp_path / "a.sav", labels, Q1=answer, **change))
        assert found["Q1"].options == ("a", "b", "c")
        assert found.notes["Q1"] == note
    third = sav(tmp_path / "b.sav", labels, Q1=answer, PARTY=np.where(K < 30, 3.0, 1.0 + K % 2))
    assert read(third, only=["L", "R"]).notes["Q1"] == note
    assert read(third, min_per_option=1)["Q1"].options == ("a", "b", "c", "d")


@pytest.mark.slow
def test_everybody_is_somewhere(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for k in range(20):
        party = rng.choice([1.0, 2.0, 3.0, 99.0, np.nan], ROWS)
        weight = rng.choice([0.0, 0.5, 2.0, np.nan], ROWS)
        answer = rng.choice([1.0, 2.0, 3.0, 4.0, 99.0, np.nan], ROWS)
        labels = {"Q1": {1.0: "a", 2.0: "b", 3.0: "c", 99.0: "Refused"}, "PARTY": {1.0: "L"}}
        path = sav(tmp_path / f"{k}.sav", labels, PARTY=party, WEIGHT_W1=weight, Q1=answer)
        only = ["L", "2"] if k % 2 else None
        found = read(path, only=only, unlabelled="drop", min_per_option=1)
        everybody_counts(found)
        counts = found["Q1"].counts
        assert counts is not None
        assert counts.sum() == found["Q1"].n
        assert (found.others > 0) == bool(k % 2)


# ---- names ----

PAIRS = {
    "same": ("Other", "Other"),
    "spaces": ("Other", " Other "),
    "inner spaces": ("No  lean", "No lean"),
    "accents": ("Ré", "Re\u0301"),
    "breaks": ("A B", "A\tB"),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
@pytest.mark.parametrize("empty", ["drop", "count"])
def test_two_types_of_one_label_are_refused(
    pair: tuple[str, str], empty: str, tmp_path: Path
) -> None:
    labels = {"PARTY": {1.0: "Left", 3.0: pair[0], 4.0: pair[1]}}
    path = sav(tmp_path / "a.sav", labels, PARTY=np.array([1.0, 3.0, 4.0])[K // 3 % 3])
    with pytest.raises(
        ValueError, match=r"PARTY of a.sav: codes 3, 4 are all called '\w+.*labels="
    ):
        read(path, empty=empty)
    named = {"PARTY": {1: "Left", 3: "Other", 4: "Another"}}
    found = read(path, empty=empty, labels=named)
    assert found.types == ("Left", "Other", "Another")
    assert found["Q1"].shares.shape == (3, 3)
    assert found["Q1"].options == ("a", "b", "c")  # labels of other columns are the file's


def test_a_label_of_nobody_may_be_given_twice(tmp_path: Path) -> None:
    labels = {"PARTY": {1.0: "L", 2.0: "R", 3.0: "R", 98.0: "Refused", 99.0: "Refused"}}
    found = read(sav(tmp_path / "a.sav", labels), refused=(98, 99))
    assert found.types == ("L", "R")
    assert found.absent == ("R (code 3)",)


@pytest.mark.parametrize("blank", [" ", "\t", "\u00a0", "\u2003", " \n"])
def test_a_blank_label_is_none(blank: str, tmp_path: Path) -> None:
    labels = {"PARTY": {1.0: blank, 2.0: "R"}, "Q1": {1.0: "a", 2.0: blank, 3.0: "c"}}
    found = read(sav(tmp_path / "a.sav", labels))
    assert found.types == ("1", "R")
    assert found.skipped["Q1"] == "code without a label: 2"


def test_long_codes_stay_apart(tmp_path: Path) -> None:
    """Six digits would make these types and options one."""
    found = read(csv(tmp_path / "a.csv", PARTY=1234567 + K % 2, Q1=7654321 + K // 2 % 3))
    assert found.types == ("1234567", "1234568")
    assert found["Q1"].options == ("7654321", "7654322", "7654323")


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_two_options_of_one_label_stay_apart(pair: tuple[str, str], tmp_path: Path) -> None:
    found = read(sav(tmp_path / "a.sav", {"Q1": {1.0: "a", 2.0: pair[0], 3.0: pair[1]}}))
    q = found["Q1"]
    assert len(set(q.options)) == 3
    assert q.options[1].endswith(" (code 2)")
    assert q.options[2].endswith(" (code 3)")
    assert "codes 2, 3 share the label" in found.notes["Q1"]


def test_combined_types_that_collide_are_refused(tmp_path: Path) -> None:
    one, two = np.where(K % 2, "A, B", "A"), np.where(K % 2, "C", "B, C")
    path = csv(tmp_path / "a.csv", ONE=one, TWO=two)
    with pytest.raises(ValueError, match="two combinations are both called 'A, B, C'"):
        read(path, types=["ONE", "TWO"])
    with pytest.raises(ValueError, match=r"types\[1\] is 'ONE' again"):
        read(path, types=["ONE", "ONE"])
    assert read(path, types=["TWO", "PARTY"]).types == ("B, C, 1", "C, 2")


# ---- settings ----


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"refused": "99"}, "refused is '99'; a list of codes"),
        ({"refused": "Refused"}, "refused is 'Refused'"),
        ({"refused": ["99"]}, r"refused\[0\] is '99'; codes are numbers"),
        ({"refused": (98, "Refused")}, r"refused\[1\] is 'Refused'"),
        ({"refused": [None]}, r"refused\[0\] is None"),
        ({"refused": [np.nan]}, r"refused\[0\] is nan"),
        ({"refused": [True]}, r"refused\[0\] is True"),
        ({"refused": 99}, "refused is 99; a list"),
        ({"refused": None}, "refused is None; a list"),
        ({"only": "1"}, "only is '1'; a list"),
        ({"only": 1}, "only is 1; a list"),
        ({"only": [1, 2]}, r"only\[0\] is 1; it must be text"),
        ({"types": None}, "types is None; a list"),
        ({"types": [5]}, r"types\[0\] is 5; it must be text"),
        ({"labels": ["Q1"]}, r"labels is \['Q1'\]; it must map"),
        ({"labels": {"Q1": ["a", "b"]}}, r"labels\['Q1'\] is \['a', 'b'\]; it must map"),
        ({"not_questions": "F_*"}, r"not_questions is 'F_\*'; a list"),
        ({"min_per_option": float("nan")}, "min_per_option is nan"),
        ({"min_per_option": "many"}, "min_per_option is 'many'"),
        ({"min_options": 0}, "min_options is 0"),
        ({"labels": {"Q2": {1: "a"}}}, r"no column 'Q2'; it has \['PARTY', 'Q1'"),
        ({"labels": {"Q1": {"1": "a"}}}, r"labels\['Q1'\] has '1': 'a'; a number and a text"),
        ({"labels": {"Q1": {np.nan: "a"}}}, r"labels\['Q1'\] has nan: 'a'"),
        ({"labels": {"Q1": {1: " "}}}, r"labels\['Q1'\] has 1: ' '"),
        ({"labels": {"PARTY": {1: "A", 2: "A"}}}, "PARTY of a.csv: codes 1, 2 are all called 'A'"),
        ({"types": "party"}, r"no type column 'party'; it has \['PARTY', 'Q1', 'WEIGHT_W1'\]"),
        ({"types": "PARTI"}, r"no type column 'PARTI'; it has \['PARTY'\]"),
        ({"weight": "w"}, r"no weight column 'w'; it has \['WEIGHT_W1'\]"),
        ({"encoding": 5}, "encoding is 5"),
        ({"encoding": "klingon"}, "encoding klingon is not known"),
    ],
)
def test_settings_are_named(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        read(csv(tmp_path / "a.csv"), **settings)


def test_huge_weights_are_refused(tmp_path: Path) -> None:
    for value, message in ((1e308, r"\[3\] is 1e\+308; weights are at most"), (-1, r"\[3\] is -1")):
        with pytest.raises(ValueError, match=message):
            read(csv(tmp_path / "a.csv", WEIGHT_W1=np.where(K == 3, value, 1.0)))


# ---- files that are no table ----

GOOD = "PARTY,Q1,WEIGHT_W1"
BODY = [f"{1 + k % 2},{1 + k % 3},1.5" for k in range(300)]
IMPORT = '"{""ImportId"":""QID1""}","{""ImportId"":""QID2""}","{""ImportId"":""w""}"'
TABLES: dict[str, tuple[list[str], str]] = {
    "Qualtrics": ([GOOD, "Which?,How good?,w", IMPORT, *BODY], "first 2 lines .*Qualtrics"),
    "import ids": ([GOOD, IMPORT, *BODY], "first 1 lines .*Qualtrics"),
    "question texts": ([GOOD, "Which?,How good?,w", *BODY], r"first 1 lines .*'Which\?'"),
    "choices as text": (
        ["P,A", 'Which?,How?', IMPORT[: IMPORT.rindex(",")], *(["Tory,yes", "Whig,no"] * 99)],
        "first 2 lines .*Qualtrics",
    ),
    "three lines": ([GOOD, "Which?,How good?,w", IMPORT, BODY[0]], "first 2 lines .*Qualtrics"),
    "units": ([GOOD, ",,kg", *BODY], "first 1 lines .*WEIGHT_W1 is 'kg'"),
    "three headers": ([GOOD, "a,b,c", "d,e,f", "g,h,i", *BODY], "first 3 lines"),
    "header again": ([GOOD, *BODY[:99], GOOD, *BODY], "line 101 repeats the header"),
    "twice": ([GOOD + ",Q1", *(f"{b},1" for b in BODY)], "'Q1' is given twice, as columns 2 and 4"),
    "twice with spaces": ([GOOD + ", Q1", *(f"{b},1" for b in BODY)], "'Q1' is given twice"),
    "type twice": (["PARTY," + GOOD, *(f"1,{b}" for b in BODY)], "'PARTY' is given twice"),
    "weight twice": ([GOOD + ",WEIGHT_W1", *(f"{b},1" for b in BODY)], "'WEIGHT_W1' is given"),
    "semicolons": ([GOOD.replace(",", ";"), *(b.replace(",", ";") for b in BODY)], "by semicolons"),
    "decimal commas": ([GOOD.replace(",", ";"), *(["1,0;2,0;0,5"] * 9)], "by semicolons"),
    "tabs": ([GOOD.replace(",", "\t"), *(b.replace(",", "\t") for b in BODY)], "by tabs"),
    "bars": ([GOOD.replace(",", "|"), *(b.replace(",", "|") for b in BODY)], "by bars"),
    "comma in a semicolon file": (["PARTY;Q1, how good;WEIGHT_W1", *BODY], "by semicolons"),
    "short line": ([GOOD, *BODY[:5], "1,2", *BODY], "line 7 has 2 fields, the header 3"),
    "cut off": ([GOOD, *BODY, "1"], "line 302 has 1 fields"),
    "long line": ([GOOD, *BODY[:5], "1,2,1,5", *BODY], "line 7 has 4 fields"),
    "open quote": ([GOOD, *BODY, '"1,2'], "truncated: line"),
    "no header": (BODY, "first line holds numbers"),
    "nobody": ([GOOD], "no respondents"),
    "blank": (["", ""], "empty"),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLES)
@pytest.mark.parametrize("weight", [False, "WEIGHT_W1"])
def test_tables_that_are_none(case: str, weight: Any, tmp_path: Path) -> None:
    lines, message = TABLES[case]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(lines))
    with pytest.raises(ValueError, match=message) as caught:
        read(path, weight=weight)
    assert "a.csv" in str(caught.value)


def test_blank_lines_marks_and_columns_without_a_name_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    lines = ["\ufeff" + ",PARTY , Q1,WEIGHT_W1", "", *(f"{k},{b}" for k, b in enumerate(BODY)), ""]
    path.write_text("\r\n".join(lines), newline="")
    found = read(path)
    assert found["Q1"].n == found.rows == 300
    assert "(column 1)" in found.skipped


@pytest.mark.parametrize(
    "encoding", ["cp1252", "latin-1", "utf-8", "utf-16", "utf-16-le", "shift_jis"]
)
def test_encodings_of_tables(encoding: str, tmp_path: Path) -> None:
    name = "日本" if encoding == "shift_jis" else "Städter"
    lines = [GOOD, *(b.replace("2,", f"{name},", 1) if b[0] == "2" else b for b in BODY)]
    path = tmp_path / "a.csv"
    path.write_bytes("\n".join(lines).encode(encoding))
    assert read(path, encoding=encoding).types == ("1", name)
    if encoding != "utf-8":
        with pytest.raises(ValueError, match="encoding="):
            read(path)
        with pytest.raises(ValueError, match=r"its text is not ascii|UTF-16"):
            read(path, encoding="ascii")


# ---- files of SPSS ----


@pytest.fixture(scope="module")
def accented(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file that says UTF-8; its label and text can be made Latin-1 of the same length."""
    path = tmp_path_factory.mktemp("spss") / "a.sav"
    sav(path, {"Q1": {1.0: "abcXefg", 2.0: "b", 3.0: "c"}}, OPEN=[f"cafZ{k % 3}" for k in K])
    return path.read_bytes()


@pytest.mark.parametrize("encoding", ["cp1252", "latin1", "latin-1", "ISO-8859-1", "Windows-1252"])
def test_encodings_of_spss(accented: bytes, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.sav"
    path.write_bytes(accented.replace(b"abcX", b"abc\xe9"))
    with pytest.raises(ValueError, match=r"a.sav: its text is not .* encoding='cp1252'"):
        read(path)
    assert read(path, encoding=encoding)["Q1"].options[0] == "abcéefg"
    path.write_bytes(accented.replace(b"cafZ", b"caf\xe9"))
    assert read(path)["Q1"].n == ROWS  # the text is not read
    with pytest.raises(ValueError, match=r"a.sav: its text is not"):
        read(path, types="OPEN")
    assert read(path, types="OPEN", encoding=encoding).types == ("café0", "café1", "café2")
    with pytest.raises(ValueError, match="klingon is not known"):
        read(path, encoding="klingon")


@pytest.mark.parametrize("part", [0.0, 0.001, 0.02, 0.05, 0.1, 0.3, 0.6, 0.9, 0.999])
def test_truncated_files_say_so(accented: bytes, part: float, tmp_path: Path) -> None:
    path = tmp_path / "a.sav"
    path.write_bytes(accented[: int(part * len(accented))])
    with pytest.raises(ValueError, match=r"a.sav is (truncated|not a survey.*truncated)"):
        read(path)


OTHER: dict[str, Callable[[bytes], bytes]] = {
    "packed": lambda _: b"PK\x03\x04" * 99,
    "gzip": gzip.compress,
    "zeros": lambda _: b"\x00" * 999,
    "table": lambda _: b"PARTY,Q1\n1,2\n" * 50,
    "a page": lambda _: b"<!DOCTYPE html><html><body>Sign in</body></html>" * 20,
    "a document": lambda _: b"%PDF-1.7\n" + bytes(range(256)) * 9,
    "a pointer": lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n",
    "only its mark": lambda _: b"$FL2" + b"\xff" * 4000,
    "noise behind its head": lambda file: file[:176] + np.random.default_rng(0).bytes(len(file)),
    "Stata": lambda _: b"<stata_dta><header><release>118</release>" * 20,
}  # fmt: skip


@pytest.mark.parametrize("case", OTHER)
def test_other_files_called_sav_are_refused(case: str, accented: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.sav"
    path.write_bytes(OTHER[case](accented))
    with pytest.raises(ValueError, match=r"a.sav is not a survey"):
        read(path)
    path = path.with_suffix(".csv")
    path.write_bytes(b"PK\x03\x04\x00\x00" * 99)
    with pytest.raises(ValueError, match=r"a.csv"):
        read(path)


def test_columns_in_batches_of_a_table_are_the_same(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", Q2=1 + K // 2 % 4, Q3=np.where(K < 9, np.nan, 1 + K % 3))
    whole, one = read(path, min_per_option=1), read(path, min_per_option=1, memory=1)
    assert whole.report() == one.report()
    for a, b in zip(whole, one, strict=True):
        assert (a.shares == b.shares).all()


# ---- people who could be recognised ----


def few_file(folder: Path, sizes: dict[str, int], answers: int | None = None) -> Path:
    """A question and types of these sizes; of the last type only so many answered."""
    last = list(sizes)[-1]
    rows = [
        {"party": t, "q": "" if t == last and answers is not None and k >= answers else 1 + k % 3}
        for t, size in sizes.items()
        for k in range(size)
    ]
    pd.DataFrame(rows).to_csv(folder / "few.csv", index=False)
    return folder / "few.csv"


def read_few(path: Path, **more: Any) -> surveys.Survey:
    return surveys.read_survey(path, "party", False, min_per_option=1, **more)


@pytest.mark.parametrize("empty", ["drop", "count"])
@pytest.mark.parametrize(
    ("size", "answers", "more", "shown"),
    [
        (9, None, {}, False), (1, None, {}, False), (10, None, {}, True), (30, 9, {}, False),
        (30, 3, {}, False), (30, 10, {}, True), (9, None, {"show_small": True}, True),
        (30, 3, {"show_small": True}, True), (9, None, {"only": ["a", "b", "z"]}, True),
        (30, 3, {"only": ["a", "z"]}, True),
    ],
)  # fmt: skip
def test_types_of_few_people_are_shown_only_if_asked_for(
    tmp_path: Path, size: int, answers: int | None, more: Any, shown: bool, empty: str
) -> None:
    found = read_few(
        few_file(tmp_path, {"a": 40, "b": 50, "z": size}, answers), empty=empty, **more
    )
    q = found["q"]
    assert ("z" in q.types) == shown
    assert len(q.shares) == len(q.masses) == len(q.types)
    assert q.masses.sum() == pytest.approx(1)
    assert q.counts is not None
    assert "show_small=True keeps them" in found.report() or shown
    if not shown:
        assert q.n == q.counts.sum() == 90
        assert found.few == (size if answers is None else 0)
        assert "'z'" not in found.report() or answers is not None  # as a type of 30 it has a name
        told = (
            found.few
            or found.left_out["q"]["of types with fewer than 10 (show_small=True keeps them)"]
        )
        assert told == (size if answers is None else answers)


def test_combined_types_of_few_people_too(tmp_path: Path) -> None:
    path = few_file(tmp_path, {"a": 40, "b": 50})
    table = pd.read_csv(path)
    table["age"] = ["old" if k < 33 or k > 50 else "young" for k in range(len(table))]
    table.to_csv(path, index=False)
    sizes = table.groupby(["party", "age"]).size()
    found = surveys.read_survey(path, ["party", "age"], False, min_per_option=1)
    large = sizes[sizes >= 10].reset_index()
    assert found.types == tuple(large["party"] + ", " + large["age"])
    assert found.few == sizes[sizes < 10].sum() > 0


def test_nothing_but_types_of_few_people_is_refused(tmp_path: Path) -> None:
    path = few_file(tmp_path, {"a": 9, "b": 5})
    with pytest.raises(
        ValueError, match="every type in party has fewer than 10 people; show_small"
    ):
        read_few(path)
    assert read_few(path, show_small=True).types == ("a", "b")
    path = few_file(tmp_path, {"a": 50, "b": 50})
    table = pd.read_csv(path)
    table.loc[[*range(5, 50), *range(54, 100)], "q"] = np.nan
    table.to_csv(path, index=False)
    assert read_few(path).skipped["q"].startswith("no type with 10 answers")
