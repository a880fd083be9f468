"""Reading surveys: questions by type from .sav and .csv files, nothing dropped silently.

The steps are those of Appendix D and of the code released with the paper; each exclusion is
a parameter, and whatever is left out is named and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hetlib.checks import Array
from hetlib.surveys.files import Column, SurveyFile, open_file
from hetlib.surveys.questions import Question, question
from hetlib.surveys.respondents import Respondents

#: Shell patterns of columns that are no questions, as in the released code.
NOT_QUESTIONS = (
    "QKEY", "F_*", "*WEIGHT_*", "INTERVIEW_START_W*", "INTERVIEW_END_W*", "DEVICE_TYPE_W*",
    "LANG_W*", "FORM_W*", "XTABLET_W*", "TECHHELP_W*", "SMARTPHONE_W*", "SNSUSE_W*",
    "DIGCONF_W*",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Survey:
    """Questions read from one file; iterate over it to get them.

    Attributes:
        questions: The questions.
        skipped: Why each other column is not among them, by name.
        types: Names of the types, in the order of their codes.
        rows: Respondents in the file.
        untyped: Respondents left out because their type is empty or refused.
        unweighted: Respondents left out because their weight is empty.
        others: Respondents of types that were not asked for.
        notes: What was left out of a question, by name.
        absent: Types that the file labels and nobody belongs to.
        weight: The weight column, or "" if each respondent counts once.
    """

    questions: tuple[Question, ...]
    skipped: dict[str, str]
    types: tuple[str, ...]
    rows: int
    untyped: int = 0
    unweighted: int = 0
    others: int = 0
    notes: dict[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    weight: str = ""

    def __iter__(self) -> Iterator[Question]:
        return iter(self.questions)

    def __len__(self) -> int:
        return len(self.questions)

    def __getitem__(self, name: str) -> Question:
        """The question called ``name``; a KeyError says why it was skipped, if it was."""
        for q in self.questions:
            if q.name == name:
                return q
        raise KeyError(f"{name}: {self.skipped.get(name, 'no such column')}")

    def reasons(self) -> dict[str, int]:
        """How many columns were skipped for each reason, the codes in it left out."""
        return dict(Counter(reason.split(":")[0] for reason in self.skipped.values()))

    def report(self) -> str:
        """What was read and what was left out, with counts."""
        lines = [f"{self.rows} respondents, weight {self.weight or 'none'}; types {self.types}"]
        for number, what in (
            (self.untyped, "respondents without a type"),
            (self.unweighted, "respondents without a weight"),
            (self.others, "respondents of other types"),
            (len(self.absent), f"labelled types that nobody belongs to: {self.absent}"),
        ):
            lines += [f"left out: {number} {what}"] if number else []
        lines.append(f"{len(self.questions)} questions; {len(self.skipped)} columns skipped")
        lines += [f"  {count:5d} {reason}" for reason, count in sorted(self.reasons().items())]
        lines += [f"  note on {name}: {note}" for name, note in self.notes.items()]
        return "\n".join(lines)


def read_survey(
    path: str | Path,
    types: str | Sequence[str] = "F_PARTYSUM_FINAL",
    weight: str | Literal[False] | None = None,
    *,
    only: Sequence[str] | None = None,
    refused: Sequence[float] = (99,),
    min_options: int = 3,
    min_per_option: float = 100,
    not_questions: Sequence[str] = NOT_QUESTIONS,
    empty: Literal["drop", "count"] = "drop",
    unlabelled: Literal["skip", "drop"] = "skip",
    labels: Mapping[str, Mapping[float, str]] | None = None,
    memory: int = 2**28,
) -> Survey:
    """Read the questions of a survey with the shares of each type.

    Args:
        path: A .sav or .csv file.
        types: Column whose codes are the user types, or several: their combinations.
        weight: Weight column, or a wave name such as "W83" for WEIGHT_W83. None finds the
            file's one column WEIGHT_*, or among several the one of the wave in the file's
            name. False counts each respondent once.
        only: Types to keep, by name; all if None.
        refused: Codes that mean "refused", in answers and in types.
        min_options: A question needs as many options that somebody chose.
        min_per_option: ... and on average as many respondents an option.
        not_questions: Shell patterns of columns that are no questions.
        empty: Whether people with an empty answer are dropped, as the paper says, or still
            count in the masses and respondents of the question, as in the released code;
            then a type without any answer gets equal shares.
        unlabelled: What a code without a label does: skip the question, as the released code
            does, or drop those answers.
        labels: Labels of codes by column, instead of the file's. Without labels a .sav
            column is skipped; in a CSV file, which has none, a code is its own label.
        memory: Bytes that a batch of columns may take.

    Returns:
        The questions in the file's order; iterate over it. It also names each column that
        was skipped, and why.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not a survey; a type or weight column that is missing or of the wrong
            kind; negative weights or all zero; nobody of a type in ``only``; a bad setting.
    """
    if empty not in ("drop", "count"):
        raise ValueError(f"empty is {empty!r}; it must be 'drop' or 'count'")
    if unlabelled not in ("skip", "drop"):
        raise ValueError(f"unlabelled is {unlabelled!r}; it must be 'skip' or 'drop'")
    file = open_file(path)
    if labels is not None:
        file = replace(file, labels={k: dict(v) for k, v in labels.items()})
    type_columns = [types] if isinstance(types, str) else list(types)
    people = Respondents.of(file, type_columns, weight, only, refused)
    aside = {*type_columns, people.weight_column}
    skipped: dict[str, str] = {}
    names = []
    for name in file.columns:
        if name in aside:
            skipped[name] = "type or weight column"
        elif any(fnmatchcase(name, pattern) for pattern in not_questions):
            skipped[name] = "not a question"
        elif file.labelled and not file.labels.get(name):
            skipped[name] = "no value labels"
        else:
            names.append(name)
    rules = _Rules(tuple(refused), min_options, min_per_option, empty, unlabelled)
    found, notes = [], {}
    for name, column in file.read(names, memory):
        result, remark = _question(name, column, file, people, rules)
        if result is None:
            skipped[name] = remark
            continue
        found.append(result)
        if remark:
            notes[name] = remark
    return Survey(
        questions=tuple(found),
        skipped={name: skipped[name] for name in file.columns if name in skipped},
        types=people.types,
        rows=file.rows,
        untyped=people.untyped,
        unweighted=people.unweighted,
        others=people.others,
        notes=notes,
        absent=people.absent,
        weight=people.weight_column,
    )


@dataclass(frozen=True)
class _Rules:
    """What makes a column a question."""

    refused: tuple[float, ...]
    min_options: int
    min_per_option: float
    empty: str
    unlabelled: str


def _question(
    name: str, column: Column, file: SurveyFile, people: Respondents, rules: _Rules
) -> tuple[Question | None, str]:
    """The question in a column and a note, or None and why there is no question."""
    if column.dtype == object:
        return None, "text where codes are expected"
    values = np.asarray(column, dtype=np.float64)
    asked = (people.index >= 0) & ~np.isin(values, rules.refused)
    answered = asked & ~np.isnan(values)
    codes, index = _distinct(values[answered])
    labels = file.labels.get(name) or ({} if file.labelled else {c: f"{c:g}" for c in codes})
    note = ""
    if strange := [float(c) for c in codes if c not in labels]:
        if rules.unlabelled == "skip":
            return None, f"code without a label: {strange[0]:g}"
        without = np.isin(values, strange)
        note = f"{(answered & without).sum()} answers dropped: codes without a label"
        answered &= ~without
        codes, index = _distinct(values[answered])
    n = int(asked.sum() if rules.empty == "count" else len(index))
    if not people.weights[answered].sum() > 0:
        return None, "no answers"
    if len(codes) < rules.min_options:
        return None, f"fewer than {rules.min_options} options"
    if n < rules.min_per_option * len(codes):
        return None, f"fewer than {rules.min_per_option:g} respondents an option"
    shape = (len(people.types), len(codes))
    cell = people.index[answered] * shape[1] + index
    w = people.weights[answered]

    def table(each: Array | None) -> Array:
        sums = np.bincount(cell, weights=each, minlength=shape[0] * shape[1])
        return sums.reshape(shape).astype(np.float64)

    C, W, S = table(None), table(w), table(w * w)
    options = [labels[float(c)] for c in codes]
    text = file.texts.get(name, "")
    total = W.sum(axis=1, keepdims=True)
    present = total[:, 0] > 0
    silent = [t for t, k in zip(people.types, present, strict=True) if not k]
    if rules.empty == "count":  # as the released code: everybody has a mass, and some shares
        shares = np.where(total > 0, W / np.where(total > 0, total, 1), 1 / shape[1])
        mass = np.bincount(people.index[asked], people.weights[asked], minlength=shape[0])
        if silent:
            note = f"{note}; equal shares for {silent}, who gave no answer".lstrip("; ")
        masses = np.asarray(mass / mass.sum())
        return Question(
            name, tuple(options), shares, masses, n, people.types, text, C, W, S
        ), note  # fmt: skip
    if silent:
        note = f"{note}; no answer from {silent}".lstrip("; ")
    kept = [t for t in people.types if t not in silent]
    return question(name, options, kept, W[present], C[present], S[present], text), note


def _distinct(values: Array) -> tuple[Array, NDArray[np.int64]]:
    """Sorted distinct codes and the place of each value among them; fast for small codes."""
    if len(values) and values.min() >= -1000 and values.max() <= 1000:
        whole = values.astype(np.int64)
        if (whole == values).all():
            there = np.bincount(whole + 1000) > 0
            index = (np.cumsum(there) - 1)[whole + 1000]
            return np.flatnonzero(there).astype(np.float64) - 1000, index.astype(np.int64)
    codes, index = np.unique(values, return_inverse=True)
    return codes.astype(np.float64), index.astype(np.int64)
