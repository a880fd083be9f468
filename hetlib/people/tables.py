"""Reading a table of labels by known annotators: every row is used, counted, or refused.

Three shapes: comparisons (``annotator, first, second, choice``), rankings (``annotator, item,
rank``) and ratings (``annotator, item, score``); CSV, JSON lines or Parquet.
"""

from __future__ import annotations

import csv
import importlib
import io
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from hetlib.checks import Array
from hetlib.core.labels import TIE, Bits, Indices

#: What a choice may be called when neither response won; compared without regard to case.
TIES = ("tie", "tie (bothbad)", "both bad", "both good", "draw", "equal", "0.5", ".5")
#: What stands where no answer was given.
MISSING = ("", "na", "nan", "n/a", "none", "null", "skip", "skipped")
#: Columns by shape of table, those needed, and those read if they are there.
NEEDED = {
    "comparisons": ("annotator", "first", "second", "choice"),
    "rankings": ("annotator", "item", "rank"),
    "ratings": ("annotator", "item", "score"),
}
OPTIONAL = ("prompt", "type", "weight", "occasion")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Note:
    """Something that was met in a table.

    Attributes:
        kind: What, in a few words.
        rows: Numbers of the rows, from 1 for the first row below the head.
        done: What was done about it.
    """

    kind: str
    rows: tuple[int, ...]
    done: str

    def __str__(self) -> str:
        shown = ", ".join(map(str, self.rows[:5])) + (", …" if len(self.rows) > 5 else "")
        where = f" (row{'s' if len(self.rows) > 1 else ''} {shown})" if self.rows else ""
        return f"{self.kind}{where}: {self.done}"


@dataclass(frozen=True)
class PeopleLabels:
    """Comparisons by known annotators, a row each.

    Attributes:
        annotators: Names.
        items: Names of what was compared.
        who: Annotator of each row, shape (rows,).
        first: Item shown first, shape (rows,).
        second: Item shown second, shape (rows,).
        votes: 0 where the first was chosen, 1 where the second, ``TIE``; shape (rows,).
        weight: Weight of each row, shape (rows,).
        prompt: What was answered, by number, shape (rows,); zeros if no column says it.
        occasion: When, by number, shape (rows,); zeros if no column says it.
        types: Name of each annotator's type, or empty.
        notes: What was met on reading.
        ordered: Whether first and second say what was shown first; not so for rankings.
        features: Difference of each feature, first less second, shape (rows, features).
    """

    annotators: tuple[str, ...]
    items: tuple[str, ...]
    who: Indices
    first: Indices
    second: Indices
    votes: Bits
    weight: Array
    prompt: Indices
    occasion: Indices
    types: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    ordered: bool = True
    features: Array = field(default_factory=lambda: np.zeros((0, 0)))

    def __len__(self) -> int:
        return len(self.who)

    def wins(self) -> Array:
        """Weighted wins of i over j, a tie half each; shape (items, items)."""
        n = len(self.items)
        out = np.zeros((n, n))
        for vote, a, b, share in (
            (0, self.first, self.second, 1.0),
            (1, self.second, self.first, 1.0),
            (TIE, self.first, self.second, 0.5),
            (TIE, self.second, self.first, 0.5),
        ):
            rows = self.votes == vote
            np.add.at(out, (a[rows], b[rows]), share * self.weight[rows])
        return out

    def take(self, rows: ArrayLike) -> PeopleLabels:
        """Some of the rows, by mask or number; names of annotators and items stay."""
        index = np.asarray(rows)
        names = ["who", "first", "second", "votes", "weight", "prompt", "occasion"]
        names += ["features"] if self.features.size else []
        return replace(self, **{name: getattr(self, name)[index] for name in names})

    def only(self, items: Iterable[int]) -> PeopleLabels:
        """The rows that compare two of some items; other items and idle annotators go."""
        keep = sorted(set(items))
        place = np.full(len(self.items), -1)
        place[keep] = np.arange(len(keep))
        rows = (place[self.first] >= 0) & (place[self.second] >= 0)
        some = self.take(rows)
        there = np.unique(some.who)
        new = np.full(len(self.annotators), -1)
        new[there] = np.arange(len(there))
        return replace(
            some,
            items=tuple(self.items[k] for k in keep),
            annotators=tuple(self.annotators[k] for k in there),
            types=tuple(self.types[k] for k in there) if self.types else (),
            who=new[some.who],
            first=place[some.first],
            second=place[some.second],
        )


@dataclass(frozen=True)
class Graph:
    """Which items met, and which rewards data without a prior can estimate.

    Attributes:
        groups: Sets of items that met, directly or through others; largest first.
        comparable: The largest set of items in which each lost to another, directly or
            through others: their rewards are finite.
        never_lost: Items with comparisons but without a loss, even half.
        never_won: Likewise without a win.
    """

    groups: tuple[tuple[int, ...], ...]
    comparable: tuple[int, ...]
    never_lost: tuple[int, ...]
    never_won: tuple[int, ...]

    def sentences(self, items: Sequence[str]) -> list[str]:
        """What is not estimated, by name, and why."""

        def named(which: Iterable[int]) -> str:
            return ", ".join(items[k] for k in which)

        out = []
        for other in self.groups[1:]:
            out.append(
                f"{named(other)}: never compared with {named(self.groups[0])}, so their rewards "
                "have no common scale"
            )
        main = set(self.groups[0])
        for words, which in (("lost", self.never_lost), ("won", self.never_won)):
            if some := sorted(main & set(which)):
                out.append(f"{named(some)}: never {words}, so the estimate would be infinite")
        known = {*self.comparable, *self.never_lost, *self.never_won}
        if rest := sorted(main - known):
            out.append(f"{named(rest)}: not comparable with the others in both directions")
        return out


def graph(wins: ArrayLike) -> Graph:
    """Connected and strongly connected parts of a matrix of wins.

    Args:
        wins: How often i beat j, shape (items, items).
    """
    w = np.asarray(wins, dtype=np.float64)
    there = csr_matrix(w > 0)

    def parts(strong: bool) -> list[tuple[int, ...]]:
        kind = "strong" if strong else "weak"
        count, label = connected_components(there, directed=True, connection=kind)
        found = [tuple(np.flatnonzero(label == k).tolist()) for k in range(count)]
        mass = [float(w[np.ix_(f, f)].sum()) for f in found]
        order = sorted(range(count), key=lambda k: (-len(found[k]), -mass[k], found[k]))
        return [found[k] for k in order]

    met = (w + w.T).sum(axis=1) > 0
    groups = [g for g in parts(False) if met[list(g)].any()]
    strong = next((g for g in parts(True) if set(g) <= set(groups[0])), ()) if groups else ()
    lost, won = w.sum(axis=0) > 0, w.sum(axis=1) > 0
    return Graph(
        tuple(groups),
        strong if len(strong) > 1 else (),
        tuple(np.flatnonzero(met & ~lost).tolist()),
        tuple(np.flatnonzero(met & ~won).tolist()),
    )


def parquet_reader() -> Any:
    """The module that reads Parquet.

    Raises:
        ImportError: pyarrow is not installed.
    """
    try:
        return importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise ImportError("reading Parquet needs pyarrow: pip install pyarrow") from error


def _rows(path: Path) -> list[dict[str, Any]]:
    """All rows of a file, by name of column."""
    suffix = path.suffix.lower()
    if suffix in (".parquet", ".pq"):
        parquet = parquet_reader()
        try:
            return list(parquet.read_table(path).to_pylist())
        except ValueError as error:  # pyarrow's ArrowInvalid is one
            raise ValueError(f"{path.name} is no Parquet file: {error}") from None
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path.name} is not UTF-8: byte {error.start}; save it as UTF-8"
        ) from None
    if suffix in (".jsonl", ".ndjson"):
        out = []
        for n, line in enumerate(text.splitlines(), 1):
            if line.strip():
                try:
                    row = json.loads(line)
                except json.JSONDecodeError as error:
                    raise ValueError(f"{path.name}, line {n} is no JSON: {error.msg}") from None
                if not isinstance(row, dict):
                    raise ValueError(f"{path.name}, line {n}: an object is needed, not {line[:40]}")
                out.append(row)
        return out
    if suffix not in (".csv", ".tsv", ".txt"):
        raise ValueError(f"{path.name}: give .csv, .tsv, .jsonl or .parquet")
    lines = list(csv.reader(io.StringIO(text), delimiter="\t" if suffix == ".tsv" else ","))
    if not lines:
        raise ValueError(f"{path.name} is empty")
    head = [name.strip() for name in lines[0]]
    if twice := [name for name, k in Counter(head).items() if k > 1]:
        raise ValueError(f"{path.name} has the column {twice[0]!r} twice")
    out = []
    for n, fields in enumerate(lines[1:], 1):
        if not fields:
            continue
        if len(fields) != len(head):
            raise ValueError(
                f"{path.name}, row {n} has {len(fields)} fields; its head has {len(head)}"
            )
        out.append(dict(zip(head, fields, strict=True)))
    return out


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(value).strip()


def _number(value: Any) -> float:
    try:
        out = float(value)
    except (TypeError, ValueError):
        return math.nan
    return out if math.isfinite(out) else math.nan


class _Coder:
    """Names in the order in which they come, as numbers."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}

    def __call__(self, name: str) -> int:
        return self.names.setdefault(name, len(self.names))


def _table(
    source: str | Path | Iterable[Row], columns: Mapping[str, str] | None
) -> tuple[str, list[dict[str, Any]]]:
    """Kind of table, and its rows with our names of columns."""
    rows = _rows(Path(source)) if isinstance(source, str | Path) else [dict(row) for row in source]
    if not rows:
        raise ValueError("the table has no rows")
    names = dict(columns or {})
    allowed = {*OPTIONAL, *(c for needed in NEEDED.values() for c in needed)}
    if odd := sorted(set(names) - allowed):
        raise ValueError(f"columns names {odd[0]!r}; it may name {', '.join(sorted(allowed))}")
    present = dict.fromkeys(key for row in rows for key in row)
    for ours, theirs in names.items():
        if theirs not in present:
            raise ValueError(f"columns[{ours!r}] is {theirs!r}; there are {', '.join(present)}")
    back = {theirs: ours for ours, theirs in names.items()}
    hidden = set(names) - set(back)  # a column of that name that another one replaces
    rows = [{back.get(k, k): v for k, v in row.items() if k not in hidden} for row in rows]
    present = dict.fromkeys(key for row in rows for key in row)
    for kind, needed in NEEDED.items():
        if set(needed) <= set(present):
            return kind, rows
    lacking = [c for c in NEEDED["comparisons"] if c not in present]
    raise ValueError(
        f"no column {', '.join(map(repr, lacking))}; there are {', '.join(sorted(present))}. "
        "Name the columns in the parameter columns, as in {'annotator': 'judge'}"
    )


def read_labels(
    source: str | Path | Iterable[Row],
    columns: Mapping[str, str] | None = None,
    *,
    first_codes: Sequence[str] = (),
    second_codes: Sequence[str] = (),
    tie_codes: Sequence[str] = TIES,
    ties: str = "half",
    repeats: str = "keep",
    bad: str = "refuse",
    features: Mapping[str, Sequence[str]] | None = None,
) -> PeopleLabels:
    """Read comparisons, rankings or ratings by known annotators.

    A ranking is read as all its pairs, a rating as all pairs of one annotator's scores for one
    prompt on one occasion; such pairs are not independent given the person, and a note says so.

    Args:
        source: A file (.csv, .tsv, .jsonl, .parquet), or rows as mappings.
        columns: The table's name of a column by ours, such as ``{"annotator": "judge"}``.
        first_codes: What a choice of the first response is called, beside its name.
        second_codes: Likewise for the second.
        tie_codes: What a tie is called, in any case.
        ties: ``"half"`` keeps them as half a win each; ``"drop"`` leaves them out.
        repeats: Rows equal in everything: ``"keep"`` as several occasions, or ``"once"``.
        bad: ``"refuse"`` the table at the first kind of row that cannot be read, or
            ``"skip"`` such rows and count them in the notes.
        features: Columns with a feature of the first response and of the second, by its name,
            such as ``{"length": ["length_a", "length_b"]}``; of comparisons only.

    Returns:
        The labels, with a note on whatever was met.

    Raises:
        ValueError: no such columns; an unreadable file; a parameter that is not one of those
            named; with ``bad="refuse"`` a choice that is neither response, a missing
            annotator or response, a response against itself, a weight that is no positive
            number, an annotator of two types, an item twice in a ranking; or nothing left.
    """
    for name, value, allowed in (
        ("ties", ties, ("half", "drop")),
        ("repeats", repeats, ("keep", "once")),
        ("bad", bad, ("refuse", "skip")),
    ):
        if value not in allowed:
            raise ValueError(f"{name} is {value!r}; it must be {' or '.join(map(repr, allowed))}")
    kind, rows = _table(source, columns)
    pairs = {name: tuple(two) for name, two in (features or {}).items()}
    for name, two in pairs.items():
        lacking = [c for c in two if c not in rows[0]]
        if len(two) != 2 or lacking or kind != "comparisons":
            raise ValueError(
                f"features[{name!r}] is {list(two)}; two columns of a table of comparisons are "
                f"needed, of {', '.join(rows[0])}"
            )
    met: dict[str, list[int]] = defaultdict(list)
    wrong: dict[str, list[int]] = defaultdict(list)
    if kind != "comparisons":
        rows = _pairs_of(kind, rows, wrong, met, bad)
    codes = {
        **{c.casefold(): TIE for c in tie_codes},
        **{c.casefold(): 0 for c in first_codes},
        **{c.casefold(): 1 for c in second_codes},
    }
    people, items, prompts, times = _Coder(), _Coder(), _Coder(), _Coder()
    types: dict[int, str] = {}
    seen: set[tuple[str, ...]] = set()
    out: list[tuple[float, ...]] = []
    hint: dict[str, str] = {}

    def refuse(what: str, row: int, more: str = "") -> None:
        wrong[what].append(row)
        hint.setdefault(what, more)

    for place, row in enumerate(rows, 1):
        n = int(row.get("_row", place))
        who, a, b, c = (_text(row.get(k)) for k in NEEDED["comparisons"])
        weight = 1.0
        if "weight" in row:
            weight = _number(row["weight"])
        if not who:
            refuse("no annotator", n)
        elif not a or not b:
            refuse("a response is missing", n)
        elif a == b:
            refuse("a response against itself", n)
        elif not weight > 0:
            refuse("a weight that is no positive number", n, repr(row.get("weight")))
        elif any(math.isnan(_number(row.get(c))) for two in pairs.values() for c in two):
            refuse("a feature that is no number", n)
        else:
            vote = 0 if c == a else 1 if c == b else codes.get(c.casefold())
            if vote is None and c.casefold() in MISSING:
                met["not answered"].append(n)
                continue
            if vote is None:
                near = next((x for x in (a, b) if x.casefold() == c.casefold()), None)
                more = f"{c!r} for {a!r} and {b!r}" + (
                    f"; {near!r} in another case?" if near else ""
                )
                refuse("a choice that is neither response", n, more)
                continue
            if vote == TIE:
                met["tie"].append(n)
                if ties == "drop":
                    continue
            key = (who, a, b, c, *(_text(row.get(k)) for k in OPTIONAL))
            if key in seen and kind == "comparisons":
                met["exact repetition of an earlier row"].append(n)
                if repeats == "once":
                    continue
            seen.add(key)
            person = people(who)
            if "type" in row:
                name = _text(row["type"])
                if types.setdefault(person, name) != name:
                    refuse("an annotator of two types", n, f"{who!r}: {types[person]!r}, {name!r}")
                    continue
            prompt, time = prompts(_text(row.get("prompt"))), times(_text(row.get("occasion")))
            extra = [_number(row[one]) - _number(row[two]) for one, two in pairs.values()]
            out.append((person, items(a), items(b), vote, weight, prompt, time, *extra))
    if wrong and bad == "refuse":
        raise ValueError(
            "; ".join(
                f"{what} (row {', '.join(map(str, which[:5]))}"
                + (f", {len(which)} in all" if len(which) > 5 else "")
                + ")"
                + (f": {hint[what]}" if hint.get(what) else "")
                for what, which in wrong.items()
            )
            + ". Correct the rows, name the codes in first_codes and second_codes, or leave such "
            "rows out with bad='skip'"
        )
    if not out:
        raise ValueError("no row of the table holds a comparison of two different responses")
    table = np.array(out, dtype=np.float64)
    whole = table[:, [0, 1, 2, 3, 5, 6]].astype(np.int64).T
    notes = [Note(what, tuple(which), "left out") for what, which in wrong.items()]
    done = {
        "tie": "half a win each" if ties == "half" else "left out",
        "not answered": "left out",
        "exact repetition of an earlier row": "kept as another occasion"
        if repeats == "keep"
        else "counted once",
    }
    notes += [Note(what, tuple(which), done.get(what, "said")) for what, which in met.items()]
    folded = defaultdict(list)
    for name in people.names:
        folded[name.casefold()].append(name)
    for same in folded.values():
        if len(same) > 1:
            notes.append(Note(f"annotators {' and '.join(same)}", (), "taken as different people"))
    single = int((np.bincount(whole[0]) == 1).sum())
    if single:
        notes.append(Note(f"{single} annotators with one label", (), "they cannot be compared"))
    return PeopleLabels(
        tuple(people.names),
        tuple(items.names),
        whole[0],
        whole[1],
        whole[2],
        whole[3].astype(np.int8),
        table[:, 4],
        whole[4],
        whole[5],
        tuple(types.get(k, "") for k in range(len(people.names))) if types else (),
        tuple(notes),
        kind == "comparisons",
        table[:, 7:],
    )


def _pairs_of(
    kind: str,
    rows: Sequence[Row],
    wrong: dict[str, list[int]],
    met: dict[str, list[int]],
    bad: str,
) -> list[dict[str, Any]]:
    """Rankings or ratings as comparisons; the better of two wins, equals tie."""
    value = "rank" if kind == "rankings" else "score"
    tasks: dict[tuple[str, ...], dict[str, tuple[float, int, Row]]] = defaultdict(dict)
    for n, row in enumerate(rows, 1):
        who, item, number = _text(row.get("annotator")), _text(row.get("item")), row.get(value)
        if _text(number).casefold() in MISSING:
            met["not answered"].append(n)
        elif math.isnan(_number(number)):
            wrong[f"a {value} that is no number"].append(n)
        elif not who:
            wrong["no annotator"].append(n)
        elif not item:
            wrong["a response is missing"].append(n)
        else:
            task = tasks[who, _text(row.get("prompt")), _text(row.get("occasion"))]
            if item in task:
                wrong["an item twice by one annotator on one occasion"].append(n)
                continue
            task[item] = (_number(number), n, row)
    met[f"pairs read from {kind}, dependent given the person"] = []
    out = []
    for (who, prompt, occasion), task in tasks.items():
        for a, b in combinations(sorted(task), 2):
            x, y = task[a][0], task[b][0]
            if kind == "ratings":
                x, y = -x, -y
            choice = "tie" if x == y else a if x < y else b
            more = {k: task[a][2][k] for k in ("type", "weight") if k in task[a][2]}
            pair = {"annotator": who, "first": a, "second": b, "choice": choice, "prompt": prompt}
            out.append(pair | more | {"occasion": occasion, "_row": task[a][1]})
    if not out and not (wrong and bad == "refuse"):
        raise ValueError(f"no annotator gave a {value} to two items")
    return out
