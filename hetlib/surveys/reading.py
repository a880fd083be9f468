"""Reading surveys: questions by type from .sav and .csv files, nothing dropped silently.

The steps are those of Appendix D and of the code released with the paper; each exclusion is
a parameter, and whatever is left out is named and counted.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hetlib.checks import Array
from hetlib.surveys.files import Column, SurveyFile, number, open_file
from hetlib.surveys.questions import Question, question, same

#: Shell patterns of columns that are no questions, as in the released code.
NOT_QUESTIONS = (
    "QKEY", "F_*", "*WEIGHT_*", "INTERVIEW_START_W*", "INTERVIEW_END_W*", "DEVICE_TYPE_W*",
    "LANG_W*", "FORM_W*", "XTABLET_W*", "TECHHELP_W*", "SMARTPHONE_W*", "SNSUSE_W*",
    "DIGCONF_W*",
)  # fmt: skip

#: Types of fewer people are not shown unless they are asked for.
FEW = 10


@dataclass(frozen=True, eq=False)
class Survey:
    """Questions read from one file; iterate over it to get them.

    Every respondent of the file is counted in one of ``untyped``, ``unweighted``,
    ``weightless``, ``others`` and ``few``, or belongs to a type.

    Attributes:
        questions: The questions.
        skipped: Why each other column is not among them, by name.
        types: Names of the types, in the order of their codes.
        rows: Respondents in the file.
        untyped: Respondents left out because their type is empty, refused or declared missing.
        unweighted: Respondents of a type left out because their weight is empty.
        weightless: Respondents of a type left out because their weight is 0.
        others: Respondents of types that were not asked for.
        few: Respondents left out because their type has fewer than :data:`FEW`.
        left_out: Answers of the respondents of a type that do not count, by column and reason.
        notes: What else to know about a question, by name.
        absent: Types that the file labels, or has, and nobody who counts belongs to.
        weight: The weight column, or "" if each respondent counts once.
    """

    questions: tuple[Question, ...]
    skipped: dict[str, str]
    types: tuple[str, ...]
    rows: int
    untyped: int = 0
    unweighted: int = 0
    weightless: int = 0
    others: int = 0
    few: int = 0
    left_out: dict[str, dict[str, int]] = field(default_factory=dict)
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
        for size, what in (
            (self.untyped, "respondents without a type"),
            (self.unweighted, "respondents without a weight"),
            (self.weightless, "respondents of weight 0"),
            (self.others, "respondents of other types"),
            (self.few, f"respondents of types of fewer than {FEW} (show_small=True keeps them)"),
            (len(self.absent), f"types that nobody who counts belongs to: {self.absent}"),
        ):
            lines += [f"left out: {size} {what}"] if size else []
        lines.append(f"{len(self.questions)} questions; {len(self.skipped)} columns skipped")
        lines += [f"  {count:5d} {reason}" for reason, count in sorted(self.reasons().items())]
        for name, numbers in self.left_out.items():
            counted = ", ".join(f"{size} {reason}" for reason, size in numbers.items())
            lines.append(f"  answers left out of {name}: {counted}")
        for name, reason in self.skipped.items():
            if " left out: only people " in reason:
                lines.append(f"  note on {name}: {reason.partition(': ')[2]}")
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
    encoding: str | None = None,
    memory: int = 2**28,
    show_small: bool = False,
) -> Survey:
    """Read the questions of a survey with the shares of each type.

    Only an empty field is missing, and what an SPSS file declares missing: "None", "NA" and
    "null" are words. People of weight 0 are left out, and with them options that only they
    chose. So are types of fewer than :data:`FEW` people, of whom shares could tell what one
    person answered, unless they are asked for.

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
        labels: Labels of codes by column, in place of the file's for these columns. Without
            labels a .sav column is skipped; in a CSV file, which has none, a code is its own
            label.
        encoding: What the file's text is written in; if None, what a .sav file says of
            itself, and UTF-8 for CSV.
        memory: Bytes that a batch of columns may take.
        show_small: Whether types of fewer than :data:`FEW` respondents are kept, and in a
            question those with fewer answers. Types named in ``only`` are asked for.

    Returns:
        The questions in the file's order; iterate over it. It also names each column that
        was skipped, and why, and counts each answer that was left out.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not a survey, truncated, or in another encoding; a column given twice, or
            further lines of header; a type or weight column that is missing or of the wrong
            kind; two types of one name; negative weights or all zero; nobody of a type in
            ``only``; types of fewer than :data:`FEW` people alone; a bad setting.
    """
    few = 0 if show_small or only is not None else FEW
    rules = _Rules(_codes_refused(refused), min_options, min_per_option, empty, unlabelled, few)
    type_columns = _texts("types", [types] if isinstance(types, str) else types)
    only = None if only is None else _texts("only", only)
    not_questions = _texts("not_questions", not_questions)
    file = open_file(path, encoding)
    if labels is not None:
        file = replace(file, labels=file.labels | _labels(file, labels))
    people = _Respondents.of(file, type_columns, weight, only, rules)
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
    found, notes, left_out = [], dict(people.notes), {}
    for name, column in file.read(names, memory):
        result, remark, numbers = _question(name, column, file, people, rules)
        if numbers:
            left_out[name] = numbers
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
        weightless=people.weightless,
        others=people.others,
        few=people.few,
        left_out=left_out,
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
    few: int

    def __post_init__(self) -> None:
        for name, allowed in (("empty", ("drop", "count")), ("unlabelled", ("skip", "drop"))):
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(
                    f"{name} is {value!r}; it must be {' or '.join(map(repr, allowed))}"
                )
        for name, least in (("min_options", 1), ("min_per_option", 0)):
            value = getattr(self, name)
            if not isinstance(value, int | float | np.number) or not least <= value < math.inf:
                raise ValueError(f"{name} is {value!r}; it must be a number, at least {least}")


def _texts(argument: str, values: Any) -> list[str]:
    if isinstance(values, str) or not np.iterable(values):
        raise ValueError(f"{argument} is {values!r}; a list is needed, such as [{str(values)!r}]")
    for k, value in enumerate(values):
        if not isinstance(value, str):
            raise ValueError(f"{argument}[{k}] is {value!r}; it must be text")
    return list(values)


def _codes_refused(refused: Any) -> tuple[float, ...]:
    if isinstance(refused, str) or not np.iterable(refused):
        raise ValueError(
            f"refused is {refused!r}; a list of codes is needed, such as (98, 99), or () for none"
        )
    for k, code in enumerate(refused):
        real = isinstance(code, int | float | np.number) and not isinstance(code, bool)
        if not real or not math.isfinite(code):
            raise ValueError(
                f"refused[{k}] is {code!r}; codes are numbers, as 99 without quotes (types that "
                "are words are chosen with only)"
            )
    return tuple(float(code) for code in refused)


def _labels(file: SurveyFile, labels: Any) -> dict[str, dict[float, str]]:
    out: dict[str, dict[float, str]] = {}
    if not isinstance(labels, Mapping):
        raise ValueError(f"labels is {labels!r}; it must map columns to labels by code")
    for column, codes in labels.items():
        if column not in file.columns:
            raise ValueError(f"labels: {_no_column(file, column)}")
        if not isinstance(codes, Mapping):
            raise ValueError(f"labels[{column!r}] is {codes!r}; it must map codes to labels")
        out[column] = {}
        for code, label in codes.items():
            real = isinstance(code, int | float | np.number) and math.isfinite(code)
            if not real or not isinstance(label, str) or not label.strip():
                raise ValueError(
                    f"labels[{column!r}] has {code!r}: {label!r}; a number and a text are needed"
                )
            out[column][float(code)] = " ".join(label.split())
    return out


def _no_column(file: SurveyFile, name: object, kind: str = "", known: Sequence[str] = ()) -> str:
    near = get_close_matches(str(name), file.columns, n=3)
    known = known or near or file.columns
    listed = f"{list(known[:8])}{' and others' if len(known) > 8 else ''}"
    return f"{file.path.name} has no {kind}column {name!r}; it has {listed}"


@dataclass(frozen=True, eq=False)
class _Respondents:
    """Type and weight of each respondent.

    Attributes:
        index: Type of each respondent, -1 if left out, shape (rows,).
        weights: Survey weights, 0 where left out, shape (rows,).
        nobody: Who was left out for a weight of 0 only, shape (rows,).
        notes: Negative codes that count as types though nothing names them, by column.
    """

    index: NDArray[np.int64]
    weights: Array
    types: tuple[str, ...]
    absent: tuple[str, ...]
    weight_column: str
    untyped: int
    unweighted: int
    nobody: NDArray[np.bool_]
    others: int
    few: int
    notes: dict[str, str]

    @property
    def weightless(self) -> int:
        return int(self.nobody.sum())

    @classmethod
    def of(
        cls,
        file: SurveyFile,
        columns: list[str],
        weight: str | Literal[False] | None,
        only: Sequence[str] | None,
        rules: _Rules,
    ) -> _Respondents:
        """Read the type and weight columns of a file; errors as for ``read_survey``."""
        if not columns:
            raise ValueError("types names no column")
        for k, name in enumerate(columns):
            if name not in file.columns:
                raise ValueError(_no_column(file, name, "type "))
            if name in columns[:k]:
                raise ValueError(f"types[{k}] is {name!r} again; every column counts once")
        weight_column = _weight_column(file, weight)
        read = dict(file.read([*columns, weight_column]))
        w = np.ones(file.rows) if not weight_column else _weights(file, weight_column, read)
        parts = [_type_codes(file, name, read[name], rules.refused) for name in columns]
        index, names = parts[0]
        for codes, labels in parts[1:]:
            index = np.where((index < 0) | (codes < 0), -1, index * len(labels) + codes)
            names = [f"{a}, {b}" for a in names for b in labels]
        untyped = index < 0
        bare = ~untyped & np.isnan(w)
        nobody = ~untyped & (w == 0)
        index = np.where(bare | nobody, -1, index)
        sizes = np.bincount(index[index >= 0], minlength=len(names))
        used = sizes > 0
        absent = tuple(t for t, k in zip(names, used, strict=True) if not k)
        keep = [t for t, k in zip(names, used, strict=True) if k]
        if twice := [t for t, count in Counter(keep).items() if count > 1]:
            raise ValueError(
                f"types {columns}: two combinations are both called {twice[0]!r}; give one "
                "column's codes other labels"
            )
        if only is not None:
            for t in only:
                if t not in keep:
                    raise ValueError(f"nobody belongs to type {t!r}; the types are {keep}")
            keep = [t for t in keep if t in only]
        if not keep:
            raise ValueError(f"nobody has a type in {', '.join(columns)}")
        size = dict(zip(names, sizes.tolist(), strict=True))
        small = [t for t in keep if size[t] < rules.few]
        keep = [t for t in keep if t not in small]
        if not keep:
            raise ValueError(
                f"every type in {', '.join(columns)} has fewer than {rules.few} people; "
                "show_small=True shows them"
            )
        place = np.array(
            [keep.index(t) if k and t in keep else -1 for t, k in zip(names, used, strict=True)]
            + [-1]
        )
        return cls(
            index=place[index],
            weights=np.where(np.isnan(w), 0, w),
            types=tuple(keep),
            absent=absent,
            weight_column=weight_column,
            untyped=int(untyped.sum()),
            unweighted=int(bare.sum()),
            nobody=nobody,
            others=int((place[index[index >= 0]] < 0).sum()) - (few := sum(size[t] for t in small)),
            few=few,
            notes={
                name: "; ".join(
                    f"code {_plain(c)} ({(read[name] == c).sum()} people) counts as a type; if it "
                    "means no answer, name it in refused"
                    for c in _negative(read[name], rules.refused)
                )
                for name in columns
                if name not in file.labels and not file.labelled
                if _negative(read[name], rules.refused)
            },
        )


def _negative(column: Column, refused: tuple[float, ...]) -> list[float]:
    codes = column[column < 0] if column.dtype != object else ()
    return [float(c) for c in np.unique(codes) if c not in refused]


def _weight_column(file: SurveyFile, weight: str | Literal[False] | None) -> str:
    """Name of the weight column; "" if each respondent counts once."""
    if weight is False:
        return ""
    known = [name for name in file.columns if name.startswith("WEIGHT_")]
    if weight is not None:
        for name in (weight, f"WEIGHT_{weight}"):
            if name in file.columns:
                return str(name)
        raise ValueError(_no_column(file, weight, "weight ", known))
    if len(known) == 1:
        return known[0]
    wave = re.search(r"W\d+", file.path.stem)
    if wave and f"WEIGHT_{wave[0]}" in known:
        return f"WEIGHT_{wave[0]}"
    raise ValueError(
        f"weight must name the weight column of {file.path.name}, or be False to count each "
        f"respondent once; columns WEIGHT_*: {known or 'none'}"
    )


def _weights(file: SurveyFile, name: str, read: Mapping[str, Column]) -> Array:
    column = read[name]
    if column.dtype == object:
        k, word = _first_word(column)
        raise ValueError(
            f"weight column {name} of {file.path.name} is text; numbers are needed, but "
            f"{name}[{k}] is {word!r} (an empty field where there is none)"
        )
    w = np.where(file.declared(name, column), np.nan, np.asarray(column, dtype=np.float64))
    if (w < 0).any() or np.isinf(w).any():
        k = int(np.argmax((w < 0) | np.isinf(w)))
        raise ValueError(f"{name}[{k}] is {w[k]}; weights must be finite and not negative")
    if not np.nansum(w) > 0:
        raise ValueError(f"{name}: the weights are all zero or empty")
    if np.nanmax(w) > 1e100:  # squares are summed
        k = int(np.nanargmax(w))
        raise ValueError(f"{name}[{k}] is {w[k]}; weights are at most 1e100")
    return w


def _first_word(column: Column) -> tuple[int, str]:
    """Place and text of the first entry that is no number."""
    for k, value in enumerate(column):
        if value is not None and number(value) is None:
            return k, str(value)
    return 0, str(column[0])


def _type_codes(
    file: SurveyFile, name: str, column: Column, refused: tuple[float, ...]
) -> tuple[NDArray[np.int64], list[str]]:
    """Index of each respondent's type (-1: empty, refused, declared missing), the types' names."""
    declared = file.declared(name, column)
    if column.dtype == object:  # names instead of codes
        texts = [
            None if v is None or m or number(v) in refused else same(v)
            for v, m in zip(column, declared, strict=True)
        ]
        names = sorted({t for t in texts if t is not None})
        where = {t: k for k, t in enumerate(names)}
        return np.array([-1 if t is None else where[t] for t in texts], dtype=np.int64), names
    column = np.asarray(column, dtype=np.float64)
    labels = file.labels.get(name, {})
    missing = np.isnan(column) | np.isin(column, refused) | declared
    there = np.unique(column[~missing])
    known = np.array([c for c in labels if c not in refused])
    known = known[~file.declared(name, known)]
    codes = np.union1d(there, known)
    names = [labels.get(float(c), _plain(c)) for c in codes]
    for label, count in Counter(map(same, names)).items():
        both = [c for c, n in zip(codes, names, strict=True) if same(n) == label]
        if count > 1 and np.isin(both, there).sum() > 1:
            listed = ", ".join(map(_plain, both))
            raise ValueError(
                f"type column {name} of {file.path.name}: codes {listed} are all called "
                f"{label!r}; give them different names, as labels={{{name!r}: {{…}}}}, or join "
                "them in the file"
            )
        for c in both if count > 1 else ():  # at most one of these codes has people
            if c not in there:
                names[list(codes).index(c)] = f"{label} (code {_plain(c)})"
    index = np.where(missing, -1, np.searchsorted(codes, np.where(missing, 0, column)))
    return index.astype(np.int64), names


def _plain(code: float) -> str:
    return f"{code:.15g}"


def _question(
    name: str, column: Column, file: SurveyFile, people: _Respondents, rules: _Rules
) -> tuple[Question | None, str, dict[str, int]]:
    """The question in a column and a note, or None and why not; what was left out, counted."""
    if column.dtype == object:
        k, word = _first_word(column)
        return None, f"text where codes are expected: {name}[{k}] is {word!r}", {}
    values = np.asarray(column, dtype=np.float64)
    labels = file.labels.get(name, {})
    member = people.index >= 0
    no_answer, declared = np.isnan(values), file.declared(name, values)
    refusal = np.isin(values, rules.refused) & ~declared
    asked = member & ~refusal
    answered = asked & ~no_answer & ~declared
    kept = " but counted in the masses" if rules.empty == "count" else ""
    numbers = {
        f"refused ({', '.join(map(_plain, np.unique(values[member & refusal])))})": refusal,
        f"declared missing{kept}": declared,
        f"empty{kept}": no_answer,
    }
    left_out = {k: int((v & member).sum()) for k, v in numbers.items() if (v & member).any()}
    notes = []
    codes, index = _distinct(values[answered])
    if not labels and not file.labelled:
        labels = {float(c): _plain(c) for c in codes}
        for c in codes[codes < 0]:
            notes.append(
                f"code {_plain(c)} ({(values[answered] == c).sum()} answers) counts as an option; "
                "if it means no answer, name it in refused"
            )
    if strange := [float(c) for c in codes if c not in labels]:
        if rules.unlabelled == "skip":
            return None, f"code without a label: {', '.join(map(_plain, strange))}", left_out
        without = answered & np.isin(values, strange)
        left_out["codes without a label"] = int(without.sum())
        answered &= ~without
        codes, index = _distinct(values[answered])
    each = np.bincount(people.index[answered], minlength=len(people.types))
    small = (each > 0) & (each < rules.few)
    if small.any():
        hidden = member & small[people.index]
        left_out[f"of types with fewer than {rules.few} (show_small=True keeps them)"] = int(
            (hidden & answered).sum()
        )
        member, asked, answered = member & ~hidden, asked & ~hidden, answered & ~hidden
        codes, index = _distinct(values[answered])
    shadow = ~member & ~np.isin(values, [*codes, *rules.refused]) & ~no_answer & ~declared
    for c in np.unique(values[shadow]):
        who = shadow & (values == c)
        left = "of weight 0" if people.nobody[who].all() else "left out"
        label = labels.get(float(c), _plain(c))
        notes.append(f"option {label!r} left out: only people {left} chose it ({who.sum()})")

    def no(reason: str) -> tuple[None, str, dict[str, int]]:
        return None, ": ".join([reason, *(["; ".join(notes)] if notes else [])]), left_out

    n = int(asked.sum() if rules.empty == "count" else len(index))
    if not len(index):
        return no(f"no type with {rules.few} answers" if small.any() else "no answers")
    if len(codes) < rules.min_options:
        return no(f"fewer than {rules.min_options} options")
    if n < rules.min_per_option * len(codes):
        return no(f"fewer than {rules.min_per_option:g} respondents an option")
    options = [labels[float(c)] for c in codes]
    for label, count in Counter(map(same, options)).items():
        if count > 1:
            both = [k for k, o in enumerate(options) if same(o) == label]
            for k in both:
                options[k] = f"{label} (code {_plain(codes[k])})"
            listed = ", ".join(_plain(codes[k]) for k in both)
            notes.append(f"codes {listed} share the label {label!r} and stay apart")
    shape = (len(people.types), len(codes))
    cell = people.index[answered] * shape[1] + index
    w = people.weights[answered]

    def table(each: Array | None) -> Array:
        sums = np.bincount(cell, weights=each, minlength=shape[0] * shape[1])
        return sums.reshape(shape).astype(np.float64)

    C, W, S = table(None), table(w), table(w * w)
    text = file.texts.get(name, "")
    total = W.sum(axis=1, keepdims=True)
    present = total[:, 0] > 0
    silent = [people.types[k] for k in np.flatnonzero(~present & ~small)]
    if rules.empty == "count":  # as the released code: everybody has a mass, and some shares
        shares = np.where(total > 0, W / np.where(total > 0, total, 1), 1 / shape[1])
        mass = np.bincount(people.index[asked], people.weights[asked], minlength=shape[0])
        if silent:
            notes.append(f"equal shares for {silent}, who gave no answer")
        shown = ~small
        who = tuple(people.types[k] for k in np.flatnonzero(shown))
        found = Question(
            name, tuple(options), shares[shown], np.asarray(mass / mass.sum())[shown], n, who,
            text, C[shown], W[shown], S[shown],
        )  # fmt: skip
    else:
        if silent:
            notes.append(f"no answer from {silent}")
        found_types = [people.types[k] for k in np.flatnonzero(present)]
        found = question(name, options, found_types, W[present], C[present], S[present], text)
    return found, "; ".join(notes), left_out


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
