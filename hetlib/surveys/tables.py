"""Surveys that come with the book: an open poll, two published examples, a textbook sample."""

from __future__ import annotations

import json
from importlib.resources import files

import numpy as np

from hetlib.extras import require
from hetlib.surveys.questions import Question, question

#: Weighted shares by party of two of the paper's examples, and the masses of the types.
#: The question labels are ours; the rows are Republican, Democratic, no lean.
_PEW = {
    "BIDENADM_W83": (
        "New administration and the pandemic response",
        ("a lot better", "a little better", "no different", "a little worse", "a lot worse"),
        [
            [0.056, 0.136, 0.380, 0.120, 0.308],
            [0.537, 0.339, 0.107, 0.010, 0.007],
            [0.292, 0.327, 0.303, 0.013, 0.066],
        ],
        [0.437, 0.499, 0.065],
    ),
    "COVIDEGFP_a_W114": (
        "President's handling of the pandemic",
        ("excellent", "good", "only fair", "poor"),
        [
            [0.013, 0.085, 0.235, 0.667],
            [0.219, 0.473, 0.230, 0.077],
            [0.027, 0.346, 0.354, 0.273],
        ],
        [0.440, 0.510, 0.050],
    ),
}
PARTIES = ("Republican", "Democratic", "no lean")


def nonvoters() -> list[Question]:
    """The 48 questions of the 2020 non-voter survey of FiveThirtyEight and Ipsos.

    Weighted counts by party with leaners, CC BY 4.0; ``hetlib/data/README.md`` has the notice.
    """
    table = json.loads((files("hetlib") / "data" / "nonvoters2020.json").read_text("utf-8"))
    return [
        question(
            row["name"], row["options"], table["types"], row["weights"],
            counts=row["respondents"], squares=row["squares"], text=row["text"],
        )
        for row in table["questions"]
    ]  # fmt: skip


def pew_examples() -> list[Question]:
    """Two examples of Appendix D (Figures 6 and 7) as published shares, to three decimals.

    The shares are divided by their sum, which rounding puts up to 0.002 off 1. Numbers of
    respondents are not among them, so these questions cannot be resampled.
    """
    out = []
    for name, (text, options, rows, mass) in _PEW.items():
        shares, masses = np.array(rows), np.array(mass)
        shares = shares / shares.sum(axis=1, keepdims=True)
        out.append(Question(name, options, shares, masses / masses.sum(), 0, PARTIES, text))
    return out


#: Party identification in anes96, from strong Democrat (0) to strong Republican (6).
STRENGTH = (
    "strong Democrat", "weak Democrat", "leaning Democrat", "independent", "leaning Republican",
    "weak Republican", "strong Republican",
)  # fmt: skip


def anes96(strength: bool = False) -> list[Question]:
    """Four questions of the American National Election Study of 1996, from statsmodels.

    944 respondents without weights.

    Args:
        strength: Seven types by strength of party identification instead of three parties,
            leaners included.
    """
    require("statsmodels")
    from statsmodels.datasets import anes96 as dataset

    data = dataset.load_pandas().data
    party = data["PID"].to_numpy()
    three = np.where(party >= 4, 0, np.where(party <= 2, 1, 2))
    types = STRENGTH if strength else PARTIES
    index = (party if strength else three).astype(np.int64)
    scale = (
        "very liberal", "liberal", "rather liberal", "moderate", "rather conservative",
        "conservative", "very conservative",
    )  # fmt: skip
    asked = {
        "selfLR": ("Own position", 1, scale),
        "ClinLR": ("Position of Clinton", 1, scale),
        "DoleLR": ("Position of Dole", 1, scale),
        "TVnews": ("Days a week with television news", 0, tuple("01234567")),
    }
    out = []
    for name, (text, first, options) in asked.items():
        codes = data[name].to_numpy().astype(np.int64) - first
        size = len(types) * len(options)
        counts = np.bincount(index * len(options) + codes, minlength=size)
        table = counts.reshape(len(types), -1).astype(np.float64)
        out.append(question(name, options, types, table, text=text))
    return out
