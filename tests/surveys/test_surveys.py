"""Reading surveys: what was written comes back, and whatever is left out has a name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyreadstat
import pytest

from hetlib import surveys
from hetlib.checks import Array
from hetlib.surveys.files import open_file
from hetlib.surveys.synthetic import Wave, make_wave, write_wave

PARTIES = ("Rep/Lean Rep", "Dem/Lean Dem", "DK/Refused/No lean")


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> tuple[Wave, Path]:
    """One wave of the size of Pew's."""
    wave = make_wave("W83", 10_000, 150, np.random.default_rng(0))
    path = tmp_path_factory.mktemp("pew") / "ATP W83.sav"
    write_wave(wave, path)
    return wave, path


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Wave, Path]:
    wave = make_wave("W114", 2_000, 12, np.random.default_rng(1))
    path = tmp_path_factory.mktemp("pew") / "ATP W114.sav"
    write_wave(wave, path)
    return wave, path


def write(path: Path, data: dict[str, Any], labels: dict[str, dict[float, str]]) -> Path:
    pyreadstat.write_sav(pd.DataFrame(data), str(path), variable_value_labels=labels)
    return path


def plain(rows: int = 900) -> tuple[dict[str, Any], dict[str, dict[float, str]]]:
    """A small good survey: one question of three options, two types."""
    k = np.arange(rows)
    data = {
        "Q_W1": 1.0 + k % 3,
        "F_PARTYSUM_FINAL": 1.0 + k % 2,
        "WEIGHT_W1": np.ones(rows),
    }
    labels = {
        "Q_W1": {1.0: "a", 2.0: "b", 3.0: "c"},
        "F_PARTYSUM_FINAL": {1.0: "Rep", 2.0: "Dem"},
    }
    return data, labels


def by_hand(wave: Wave, column: str) -> tuple[Array, Array, int]:
    """Shares, masses and respondents from the arrays, one cell at a time."""
    answers = wave.codes[column]
    options = wave.options[column]
    totals = np.array([
        [wave.weights[(wave.party == u) & (answers == k + 1)].sum() for k in range(options)]
        for u in (1, 2, 9)
    ])  # fmt: skip
    mass = totals.sum(axis=1)
    n = int(((answers >= 1) & (answers <= options)).sum())
    return totals / mass[:, None], mass / mass.sum(), n


def test_wave_comes_back_as_written(big: tuple[Wave, Path]) -> None:
    wave, path = big
    read = surveys.read_survey(path)
    expected = [c for c, k in wave.options.items() if k >= 3]
    assert [q.name for q in read if q.name.startswith("Q")] == expected
    for q in read:
        if q.name in wave.codes:
            shares, masses, n = by_hand(wave, q.name)
            assert q.types == PARTIES
            assert q.options == tuple(f"option {k + 1}" for k in range(shares.shape[1]))
            assert q.shares == pytest.approx(shares, abs=1e-12)
            assert q.masses == pytest.approx(masses, abs=1e-12)
            assert q.n == n
            assert q.text == f"Question {q.name}"
    assert read.weight == "WEIGHT_W83"
    assert read.rows == 10_000


def test_every_other_column_is_named(big: tuple[Wave, Path]) -> None:
    wave, path = big
    read = surveys.read_survey(path)
    names = {q.name for q in read}
    assert names | set(read.skipped) == set(open_file(path).columns)
    assert names & set(read.skipped) == set()
    two = {c: "fewer than 3 options" for c, k in wave.options.items() if k == 2}
    assert {c: r for c, r in read.skipped.items() if c.startswith("Q") and c != "QKEY"} == two
    assert read.skipped["OPEN_W83"] == "no value labels"
    assert read.skipped["BARE_W83"] == "no value labels"
    assert read.skipped["ODDCODE_W83"] == "code without a label: 7"
    assert read.skipped["FEW_W83"] == "fewer than 100 respondents an option"
    assert read.skipped["F_GENDER"] == "not a question"
    assert read.skipped["WEIGHT_W83"] == "type or weight column"
    assert read["REPONLY_W83"].types == ("Rep/Lean Rep",)
    assert "no answer from" in read.notes["REPONLY_W83"]
    assert sum(read.reasons().values()) == len(read.skipped)
    assert f"{len(read)} questions; {len(read.skipped)} columns skipped" in read.report()
    with pytest.raises(KeyError, match="fewer than 100"):
        read["FEW_W83"]


def test_columns_in_batches_are_the_same(small: tuple[Wave, Path]) -> None:
    _, path = small
    whole, one = surveys.read_survey(path), surveys.read_survey(path, memory=1)
    assert [q.name for q in whole] == [q.name for q in one]
    for a, b in zip(whole, one, strict=True):
        assert (a.shares == b.shares).all()


def test_exclusions_are_parameters(small: tuple[Wave, Path]) -> None:
    wave, path = small
    default = surveys.read_survey(path)
    assert len(surveys.read_survey(path, min_options=2)) > len(default)
    assert "FEW_W114" in {
        q.name for q in surveys.read_survey(path, min_per_option=50, show_small=True)
    }
    loose = surveys.read_survey(path, not_questions=())
    assert "DEVICE_TYPE_W114" in {q.name for q in loose}
    dropped = surveys.read_survey(path, unlabelled="drop")
    assert dropped["ODDCODE_W114"].options == ("one", "two", "three")
    assert dropped.left_out["ODDCODE_W114"] == {"codes without a label": 40}
    name = next(q.name for q in default if q.name in wave.codes)
    kept = surveys.read_survey(path, refused=())[name]
    assert kept.options == (*default[name].options, "Refused")
    assert kept.n == default[name].n + int((wave.codes[name] == 99).sum())


def test_empty_answers_as_in_the_released_code(small: tuple[Wave, Path]) -> None:
    """There, people who were not asked count in the masses and towards the 100 an option."""
    wave, path = small
    read = surveys.read_survey(path, empty="count", show_small=True)
    assert read["FEW_W114"].n == 2_000
    everybody = [wave.weights[wave.party == u].sum() for u in (1, 2, 9)]
    assert read["FEW_W114"].masses == pytest.approx(np.array(everybody) / sum(everybody))
    assert read["REPONLY_W114"].shares[1:] == pytest.approx(1 / 3)
    assert "equal shares" in read.notes["REPONLY_W114"]
    assert read["FEW_W114"].shares == pytest.approx(
        surveys.read_survey(path, min_per_option=0, show_small=True)["FEW_W114"].shares
    )


def test_types_from_several_columns(small: tuple[Wave, Path]) -> None:
    wave, path = small
    read = surveys.read_survey(path, types=["F_PARTYSUM_FINAL", "F_GENDER"])
    assert read.types[:2] == ("Rep/Lean Rep, A man", "Rep/Lean Rep, A woman")
    assert len(read.types) == 6
    q = next(q for q in read if q.name in wave.codes)
    man = np.arange(2_000) % 2 == 0
    answers = wave.codes[q.name]
    there = (wave.party == 2) & man & (answers < 99)
    share = wave.weights[there & (answers == 1)].sum() / wave.weights[there].sum()
    assert q.shares[2, 0] == pytest.approx(share)


def test_some_types_only(small: tuple[Wave, Path]) -> None:
    _, path = small
    two = surveys.read_survey(path, only=PARTIES[:2])
    three = surveys.read_survey(path)
    assert two.types == PARTIES[:2]
    assert f"{two.others} respondents of other types" in two.report()
    for q in two:
        if len(three[q.name].types) == 3:
            chosen = three[q.name].select(PARTIES[:2])
            assert chosen.shares == pytest.approx(q.shares)
            assert chosen.masses == pytest.approx(q.masses)
            assert chosen.n == q.n


def test_weight_column_by_wave(tmp_path: Path) -> None:
    data, labels = plain()
    data["WEIGHT_W2"] = np.where(np.arange(900) % 3 == 0, 3.0, 1.0)
    path = write(tmp_path / "ATP W2.sav", data, labels)
    assert surveys.read_survey(path).weight == "WEIGHT_W2"
    assert surveys.read_survey(path, weight="W1").weight == "WEIGHT_W1"
    assert surveys.read_survey(path)["Q_W1"].shares[0] == pytest.approx([0.6, 0.2, 0.2])
    assert surveys.read_survey(path, weight=False)["Q_W1"].shares[0] == pytest.approx(1 / 3)
    path = write(tmp_path / "combined.sav", data, labels)
    with pytest.raises(ValueError, match=r"WEIGHT_\*: \['WEIGHT_W1', 'WEIGHT_W2'\]"):
        surveys.read_survey(path)


def test_people_without_type_or_weight_are_counted(tmp_path: Path) -> None:
    data, labels = plain()
    data["F_PARTYSUM_FINAL"][:30] = np.nan
    data["F_PARTYSUM_FINAL"][30:40] = 99
    data["WEIGHT_W1"][40:47] = np.nan
    labels["F_PARTYSUM_FINAL"] |= {3.0: "Green", 99.0: "Refused"}
    read = surveys.read_survey(write(tmp_path / "a.sav", data, labels))
    assert (read.untyped, read.unweighted, read.absent) == (40, 7, ("Green",))
    assert read["Q_W1"].n == 900 - 47
    for words in ("40 respondents without a type", "7 respondents without a weight", "Green"):
        assert words in read.report()


def test_csv_equals_sav(small: tuple[Wave, Path], tmp_path: Path) -> None:
    wave, sav = small
    table: dict[str, Any] = dict(wave.codes)
    table["party"] = [{1: "R", 2: "D", 9: "N"}[int(u)] for u in wave.party]
    table["w"] = wave.weights
    table["remark"] = ["x", "y"] * 1_000
    pd.DataFrame(table).to_csv(tmp_path / "w.csv", index=False)
    read = surveys.read_survey(tmp_path / "w.csv", types="party", weight="w")
    assert read.types == ("D", "N", "R")
    assert read.skipped["remark"] == "text where codes are expected: remark[0] is 'x'"
    asked = [q for q in surveys.read_survey(sav) if q.name in wave.codes]
    for q in asked:
        assert read[q.name].shares[[2, 0, 1]] == pytest.approx(q.shares, abs=1e-9)
        assert read[q.name].options == tuple(str(k + 1) for k in range(len(q.options)))
    named = surveys.read_survey(
        tmp_path / "w.csv", types="party", weight="w", labels={q.name: {1: "only"}}
    )
    assert named.skipped[q.name].startswith("code without a label: 2")


def broken(change: dict[str, Any], tmp_path: Path, name: str = "a.sav") -> Path:
    data, labels = plain()
    for column, values in change.items():
        if values is None:
            del data[column]
            labels.pop(column, None)
        else:
            data[column] = values
            if isinstance(values[0], str):
                labels.pop(column, None)
    return write(tmp_path / name, data, labels)


BROKEN: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"F_PARTYSUM_FINAL": None}, {}, "no type column 'F_PARTYSUM_FINAL'"),
    ({}, {"types": []}, "names no column"),
    ({"WEIGHT_W1": None}, {}, r"columns WEIGHT_\*: none"),
    ({}, {"weight": "W9"}, r"no weight column 'W9'; it has \['WEIGHT_W1'\]"),
    ({"WEIGHT_W1": np.full(900, -1.0)}, {}, r"WEIGHT_W1\[0\] is -1.0"),
    ({"WEIGHT_W1": np.zeros(900)}, {}, "all zero or empty"),
    ({"WEIGHT_W1": np.full(900, np.nan)}, {}, "all zero or empty"),
    ({"WEIGHT_W1": ["heavy"] * 900}, {}, "is text; numbers are needed"),
    ({}, {"only": ["Rep", "Green"]}, "nobody belongs to type 'Green'"),
    ({"F_PARTYSUM_FINAL": np.full(900, 99.0)}, {}, "nobody has a type"),
    ({}, {"empty": "keep"}, "empty is 'keep'"),
    ({}, {"unlabelled": "keep"}, "unlabelled is 'keep'"),
    ({}, {"memory": 0}, "memory is 0"),
]


@pytest.mark.parametrize(("change", "options", "message"), BROKEN)
def test_bad_surveys(
    change: dict[str, Any], options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = broken(change, tmp_path)
    with pytest.raises(ValueError, match=message):
        surveys.read_survey(path, **options)


def test_text_and_silence_are_skipped_by_name(tmp_path: Path) -> None:
    data, labels = plain()
    data["T_W1"] = ["yes", "no", ""] * 300
    data["NONE_W1"] = np.full(900, np.nan)
    data["ALLREF_W1"] = np.full(900, 99.0)
    labels |= {k: {1.0: "a", 99.0: "Refused"} for k in ("NONE_W1", "ALLREF_W1")}
    read = surveys.read_survey(write(tmp_path / "a.sav", data, labels))
    assert read.skipped["NONE_W1"] == "no answers"
    assert read.skipped["ALLREF_W1"] == "no answers"
    assert read.skipped["T_W1"] == "no value labels"
    labelled = surveys.read_survey(
        tmp_path / "a.sav", labels={"T_W1": {1.0: "yes"}, "Q_W1": {1: "a", 2: "b", 3: "c"}}
    )
    assert labelled.skipped["T_W1"] == "text where codes are expected: T_W1[0] is 'yes'"
    assert [q.name for q in labelled] == ["Q_W1"]


def test_not_a_survey(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no survey file"):
        surveys.read_survey(tmp_path / "none.sav")
    for name, content in (("a.sav", b"not SPSS" * 50), ("b.sav", b""), ("c.csv", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="not a survey"):
            surveys.read_survey(tmp_path / name)
    (tmp_path / "d.txt").write_text("1,2")
    with pytest.raises(ValueError, match=r"must end in \.sav or \.csv"):
        surveys.read_survey(tmp_path / "d.txt")
    (tmp_path / "e.csv").write_text("party,w,q\n")
    with pytest.raises(ValueError, match="no respondents"):
        surveys.read_survey(tmp_path / "e.csv")
