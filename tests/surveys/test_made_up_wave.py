"""The made-up wave: what is drawn, and every column of the file that is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyreadstat
import pytest

from hetlib.surveys.synthetic import PARTY, Wave, make_wave, write_wave

ROWS = 20_000


def wave(**given: Any) -> Wave:
    settings: dict[str, Any] = {"name": "W1", "rows": ROWS, "questions": 11}
    return make_wave(**(settings | given), rng=np.random.default_rng(3))


def test_people_and_weights_have_the_laws_that_are_said() -> None:
    made = wave()
    shares = [(made.party == code).mean() for code in PARTY]
    assert shares == pytest.approx([0.44, 0.5, 0.06], abs=0.01)
    assert (made.weights.mean(), made.weights.var()) == pytest.approx((1, 0.5), rel=0.04)
    assert made.name == "W1"
    assert len(made.party) == len(made.weights) == ROWS


def test_questions_are_named_asked_and_refused() -> None:
    made = wave(names={"CAR": 6, "VOTE": 2})
    assert list(made.options)[:3] == ["CAR", "VOTE", "Q0_W1"]
    assert list(made.options) == list(made.codes)
    assert len(made.options) == 11
    assert (made.options["CAR"], made.options["VOTE"]) == (6, 2)
    many = make_wave("W1", 10, 80, np.random.default_rng(3)).options
    assert {2, 6} <= set(many.values()) <= {2, 3, 4, 5, 6}
    for k, (column, count) in enumerate(made.options.items()):
        codes = made.codes[column]
        asked = codes[np.isfinite(codes)]
        assert len(asked) / ROWS == pytest.approx(0.5 if k in (4, 9) else 1, abs=0.02)
        assert (asked == 99).mean() == pytest.approx(0.01, abs=0.004)
        assert set(asked) <= {*range(1, count + 1), 99.0}


def test_types_differ_from_question_to_question() -> None:
    """Of two parties with opposite tilts; the third, with a fifth of one, lies between them."""
    made = wave(questions=60)
    apart, between = [], []
    for column, count in made.options.items():
        shares = [
            np.bincount(
                made.codes[column][(made.party == code) & (made.codes[column] < 99)].astype(int),
                minlength=count + 1,
            )[1:]
            for code in PARTY
        ]
        logs = [np.log((s + 0.5) / (s + 0.5).sum()) for s in shares]
        centred = [x - x.mean() for x in logs]
        apart.append(abs(centred[0] - centred[1]).max())
        between.append(
            abs(centred[2] - 0.6 * centred[0] - 0.4 * centred[1]).max() < 0.5 * apart[-1] + 0.3
        )
    assert max(apart) > 2
    assert min(apart) < 0.6
    assert np.mean(between) > 0.9


@pytest.mark.parametrize(("rows", "questions"), [(0, 3), (5, 0), (5, 1)])
def test_waves_that_cannot_be_made(rows: int, questions: int) -> None:
    with pytest.raises(ValueError, match=f"a wave of {rows} rows and {questions} questions"):
        make_wave("W1", rows, questions, np.random.default_rng(0), {"A": 2, "B": 3})
    assert len(make_wave("W1", 1, 2, np.random.default_rng(0), {"A": 2, "B": 3}).party) == 1
    assert len(make_wave("W1", 1, 1, np.random.default_rng(0)).options) == 1


def test_every_column_of_the_file(tmp_path: Path) -> None:
    made = wave(rows=400, questions=3)
    write_wave(made, tmp_path / "a.sav")
    data, meta = pyreadstat.read_sav(tmp_path / "a.sav")
    number = np.arange(400)
    cycle = 1 + number % 3
    wanted: dict[str, Any] = {
        "QKEY": 100_000 + number, "INTERVIEW_START_W1": number / 7, "DEVICE_TYPE_W1": cycle,
        "LANG_W1": 1 + number % 2, "FORM_W1": 1 + number % 2, **made.codes,
        "ODDCODE_W1": np.where(number % 50 == 0, 7, cycle), "BARE_W1": cycle,
        "FEW_W1": np.where(number < 150, cycle, np.nan),
        "REPONLY_W1": np.where(made.party == 1, cycle, np.nan),
        "F_PARTYSUM_FINAL": made.party, "F_GENDER": 1 + number % 2, "WEIGHT_W1": made.weights,
    }  # fmt: skip
    assert set(data) == {*wanted, "OPEN_W1"}
    for column, values in wanted.items():
        np.testing.assert_allclose(data[column], values, err_msg=column)
    assert data["OPEN_W1"].tolist() == [f"answer {k % 11}" for k in number]
    three = {1.0: "one", 2.0: "two", 3.0: "three", 99.0: "Refused"}
    labels: dict[str, dict[float, str]] = {
        column: {k + 1.0: f"option {k + 1}" for k in range(count)} | {99.0: "Refused"}
        for column, count in made.options.items()
    }
    labels |= {f"{stem}_W1": three for stem in ("ODDCODE", "FEW", "REPONLY")}
    labels["DEVICE_TYPE_W1"] = {1.0: "phone", 2.0: "tablet", 3.0: "desktop"}
    labels["F_PARTYSUM_FINAL"] = {1.0: "Rep/Lean Rep", 2.0: "Dem/Lean Dem"}
    labels["F_PARTYSUM_FINAL"][9.0] = "DK/Refused/No lean"
    labels["F_GENDER"] = {1.0: "A man", 2.0: "A woman"}
    assert meta.variable_value_labels == labels
    texts = {k: v for k, v in meta.column_names_to_labels.items() if v}
    assert texts == {column: f"Question {column}" for column in made.options}
    assert list(tmp_path.iterdir()) == [tmp_path / "a.sav"]
    write_wave(made, tmp_path / "b.sav", spoil=False)
    plain, _ = pyreadstat.read_sav(tmp_path / "b.sav")
    assert not {c for c in plain if c.startswith(("OPEN", "ODDCODE", "BARE", "FEW", "REPONLY"))}
    assert set(made.codes) < set(plain)
    small = wave(rows=100, questions=1)
    write_wave(small, tmp_path / "c.sav")
    assert pyreadstat.read_sav(tmp_path / "c.sav")[0]["FEW_W1"].notna().all()
