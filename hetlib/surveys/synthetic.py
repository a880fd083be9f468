"""A made-up survey wave with the schema of Pew's files, for tests, timing and demonstration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hetlib.checks import Array
from hetlib.extras import require
from hetlib.store import writing

PARTY = {1.0: "Rep/Lean Rep", 2.0: "Dem/Lean Dem", 9.0: "DK/Refused/No lean"}
REFUSED = 99.0


@dataclass(frozen=True, eq=False)
class Wave:
    """What a synthetic wave was written from.

    Attributes:
        name: Such as "W83".
        codes: Answers of each question, NaN where it was not asked, by column.
        options: Number of options by column.
        party: Code of each respondent's party, shape (rows,).
        weights: Survey weights, shape (rows,).
    """

    name: str
    codes: dict[str, Array]
    options: dict[str, int]
    party: Array
    weights: Array


def make_wave(
    name: str,
    rows: int,
    questions: int,
    rng: np.random.Generator,
    names: dict[str, int] | None = None,
) -> Wave:
    """Answers of three types whose shares differ more or less from question to question.

    Args:
        name: Name of the wave, such as "W83".
        rows: Respondents.
        questions: Number of questions, with 2 to 6 options; every fifth is put to half of
            the respondents, and one answer in a hundred is refused.
        rng: Source of randomness.
        names: Names of the first questions and how many options they have.

    Raises:
        ValueError: fewer than 1 respondent, or fewer questions than names.
    """
    chosen = dict(names or {})
    if rows < 1 or questions < max(1, len(chosen)):
        raise ValueError(f"a wave of {rows} rows and {questions} questions cannot be made")
    party = rng.choice(list(PARTY), size=rows, p=[0.44, 0.5, 0.06])
    weights = rng.gamma(2.0, 0.5, rows)
    options = {f"Q{k}_{name}": int(rng.integers(2, 7)) for k in range(questions - len(chosen))}
    options = chosen | options
    codes = {}
    for k, (column, count) in enumerate(options.items()):
        base, tilt = rng.normal(0, 0.8, count), rng.normal(0, 1, count) * rng.gamma(1.0, 0.8)
        answers = np.empty(rows)
        for code, sign in zip(PARTY, (1.0, -1.0, 0.2), strict=True):
            there = party == code
            p = np.exp(base + sign * tilt)
            answers[there] = 1 + rng.choice(count, size=there.sum(), p=p / p.sum())
        answers[rng.random(rows) < 0.01] = REFUSED
        if k % 5 == 4:
            answers[rng.random(rows) < 0.5] = np.nan
        codes[column] = answers
    return Wave(name, codes, options, party, weights)


def write_wave(wave: Wave, path: str | Path, spoil: bool = True) -> None:
    """Write a wave as a .sav file with the columns of Pew's files.

    Args:
        wave: What to write.
        path: File to write.
        spoil: Add columns that a reader must notice: free text, a question with a code that
            has no label, one without labels, one that few were asked, one for a single type.
    """
    require("pandas", "pyreadstat")
    import pandas as pd
    import pyreadstat

    rows = len(wave.party)
    number: NDArray[np.int64] = np.arange(rows)
    data: dict[str, object] = {
        "QKEY": 100000.0 + number,
        f"INTERVIEW_START_{wave.name}": number / 7.0,
        f"DEVICE_TYPE_{wave.name}": 1.0 + number % 3,
        f"LANG_{wave.name}": 1.0 + number % 2,
        f"FORM_{wave.name}": 1.0 + number % 2,
    }
    labels: dict[str, dict[float, str]] = {
        f"DEVICE_TYPE_{wave.name}": {1.0: "phone", 2.0: "tablet", 3.0: "desktop"}
    }
    texts = {}
    for column, answers in wave.codes.items():
        data[column] = answers
        known = {k + 1.0: f"option {k + 1}" for k in range(wave.options[column])}
        labels[column] = known | {REFUSED: "Refused"}
        texts[column] = f"Question {column}"
    if spoil:
        three = {1.0: "one", 2.0: "two", 3.0: "three", REFUSED: "Refused"}
        cycle = 1.0 + number % 3
        data[f"OPEN_{wave.name}"] = [f"answer {k % 11}" for k in range(rows)]
        data[f"ODDCODE_{wave.name}"] = np.where(number % 50 == 0, 7.0, cycle)
        data[f"BARE_{wave.name}"] = cycle
        data[f"FEW_{wave.name}"] = np.where(number < min(rows, 150), cycle, np.nan)
        data[f"REPONLY_{wave.name}"] = np.where(wave.party == 1, cycle, np.nan)
        for stem in ("ODDCODE", "FEW", "REPONLY"):
            labels[f"{stem}_{wave.name}"] = three
    data["F_PARTYSUM_FINAL"] = wave.party
    data["F_GENDER"] = 1.0 + number % 2
    data[f"WEIGHT_{wave.name}"] = wave.weights
    labels |= {"F_PARTYSUM_FINAL": PARTY, "F_GENDER": {1.0: "A man", 2.0: "A woman"}}
    with writing(path) as part:
        pyreadstat.write_sav(
            pd.DataFrame(data), str(part), variable_value_labels=labels, column_labels=texts,
            row_compress=True,
        )  # fmt: skip
