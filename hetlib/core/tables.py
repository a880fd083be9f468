"""Labels in: from a table of who chose which of two responses to the containers of ``labels``.

Every row is used, counted, or refused. Three shapes: comparisons (``annotator, first, second,
choice``), rankings (``annotator, item, rank``) and ratings (``annotator, item, score``); data
frames, mappings, rows, CSV, JSON lines or Parquet. ``hetlib.people`` reads with the same code.
"""

from __future__ import annotations

import csv
import gzip
import importlib
import io
import json
import math
import unicodedata
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from hetlib.checks import Array
from hetlib.core.labels import NOT_ANSWERED, TIE, Bits, Comparisons, Indices, Linked, TypeLabels

#: What a choice can be called in ``codes``, and the vote that it becomes.
CHOICES = {"first": 0, "second": 1, "tie": TIE, "skip": NOT_ANSWERED}
#: Kinds of files, by how their names end; the texts among them also packed, as ``.csv.gz``.
FILES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet", ".pq")
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
#: From the two responses and the choice of a row to a vote; None if the choice is unknown.
Vote = Callable[[str, str, str], int | None]


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


@dataclass(frozen=True, eq=False)
class LabelTable:
    """Labels as a table gives them, one a row, with the names of people and responses.

    Attributes:
        annotators: Names of the people, in order; empty if the labels are anonymous.
        responses: Names of the responses, in order: what an index means.
        groups: Names of the types of people, in order; empty if none are given.
        annotator: Who gave each label, shape (labels,); all 0 if anonymous.
        group: Type on record of each label's annotator, shape (labels,); all 0 if none.
        y1: Index of the first response of each label, shape (labels,).
        y2: Index of the second response, same shape.
        votes: 1 where the second response was chosen, 0 where the first was, ``TIE`` or
            ``NOT_ANSWERED``, same shape.
        notes: What was met on reading.
    """

    annotators: tuple[str, ...]
    responses: tuple[str, ...]
    groups: tuple[str, ...]
    annotator: Indices
    group: Indices
    y1: Indices
    y2: Indices
    votes: Bits
    notes: tuple[Note, ...] = ()

    def __len__(self) -> int:
        return len(self.votes)

    def __repr__(self) -> str:
        """Sizes; names of people stay in the table."""
        said = self.describe()
        return ", ".join(f"{said[k]} {k}" for k in ("labels", "annotators", "responses"))

    def describe(self) -> dict[str, int]:
        """Numbers of labels, decided ones, ties, skips, responses and annotators.

        "least" and "most" are the decided labels of the annotator who gave fewest and most.
        """
        decided = (self.votes == 0) | (self.votes == 1)
        each = np.bincount(self.annotator[decided], minlength=max(len(self.annotators), 1))
        return {
            "labels": len(self),
            "decided": int(decided.sum()),
            "ties": int((self.votes == TIE).sum()),
            "skipped": int((self.votes == NOT_ANSWERED).sum()),
            "responses": len(self.responses),
            "annotators": len(self.annotators),
            "least": int(each.min()),
            "most": int(each.max()),
        }

    def comparisons(self) -> Comparisons:
        """Every label as a pair of its own, for methods that need no annotator."""
        types = self.group if self.groups else None
        return Comparisons(*_turned(self.y1, self.y2, self.votes[:, None]), types)

    def wins(self) -> Array:
        """How often y_i beat y_j, shape (responses, responses); a tie is half a win each way."""
        return self.comparisons().wins(len(self.responses))

    def wins_by_type(self) -> Array:
        """The same by type on record, shape (types, responses, responses).

        Raises:
            ValueError: the table has no types.
        """
        self._need("groups", "types of people: read the table with group=")
        n = len(self.responses)
        out = np.zeros((len(self.groups), n, n))
        for u in range(len(self.groups)):
            of = self.group == u
            if of.any():
                given = _turned(self.y1[of], self.y2[of], self.votes[of, None])
                out[u] = Comparisons(*given).wins(n)
        return out

    def linked(self) -> Linked:
        """One row a person with all decided labels of theirs.

        Rows of people with fewer labels are filled up with a response beside itself, which
        tells nothing and which no method counts. Ties and skips are left out, and people with
        no decided label; :meth:`describe` counts them.

        Raises:
            ValueError: anonymous labels, or nobody gave two decided labels.
        """
        self._need("annotators", "annotators, which anonymous labels lack")
        decided = np.flatnonzero((self.votes == 0) | (self.votes == 1))
        who = self.annotator[decided]
        order = decided[np.argsort(who, kind="stable")]
        people, counts = np.unique(who, return_counts=True)
        if len(people) == 0 or counts.max() < 2:
            raise ValueError("the table links no labels: nobody gave two decided ones")
        row = np.repeat(np.arange(len(people)), counts)
        column = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
        shape = (len(people), int(counts.max()))
        y1, y2, votes = (np.zeros(shape, dtype=np.int64) for _ in range(3))
        y1[row, column], y2[row, column] = self.y1[order], self.y2[order]
        votes[row, column] = self.votes[order]
        return Linked(y1, y2, votes.astype(np.int8))

    def by_type(self) -> TypeLabels:
        """One row a pair with a label of every type, for the losses of Section 6.

        The k-th label of each type on a pair of responses stands in the k-th row of that pair;
        where a type has fewer labels on it, its entry is ``NOT_ANSWERED``.

        Raises:
            ValueError: the table has no types.
        """
        self._need("groups", "types of people: read the table with group=")
        turned = self.y1 > self.y2
        low, high = np.minimum(self.y1, self.y2), np.maximum(self.y1, self.y2)
        chosen = np.isin(self.votes, (0, 1))
        votes = np.where(chosen & turned, 1 - self.votes, self.votes)
        kinds = np.stack([low, high, self.group], axis=1)
        _, kind, size = np.unique(kinds, axis=0, return_inverse=True, return_counts=True)
        order = np.argsort(kind.ravel(), kind="stable")
        k = np.empty(len(self), dtype=np.int64)
        k[order] = np.arange(len(self)) - np.repeat(np.cumsum(size) - size, size)
        pairs, row = np.unique(np.stack([low, high, k], axis=1), axis=0, return_inverse=True)
        out = np.full((len(pairs), len(self.groups)), NOT_ANSWERED, dtype=np.int8)
        out[row.ravel(), self.group] = votes
        return TypeLabels(*_turned(pairs[:, 0], pairs[:, 1], out))

    def _need(self, name: str, what: str) -> None:
        if not getattr(self, name):
            raise ValueError(f"the table has no {name}; this needs {what}")


def _turned(y1: Indices, y2: Indices, votes: Bits) -> tuple[Indices, Indices, Bits]:
    """The same labels with a 0 among them, for the containers, which doubt votes without one."""
    if not (votes == 0).any() and (votes == 1).any():
        k = int(np.argmax((votes == 1).any(axis=1)))
        y1, y2, votes = y1.copy(), y2.copy(), votes.copy()
        y1[k], y2[k], votes[k] = y2[k], y1[k], np.where(votes[k] == 1, 0, votes[k])
    return y1, y2, votes


def read_labels(
    source: Any,
    *,
    annotator: str | None = "annotator",
    first: str = "first",
    second: str = "second",
    choice: str = "choice",
    group: str | None = None,
    codes: Mapping[Any, str] | None = None,
    responses: Sequence[str] | None = None,
    ties: str = "half",
    repeats: str = "keep",
    bad: str = "refuse",
) -> LabelTable:
    """Read labels from a table with one label a row, or with rankings or ratings.

    Args:
        source: A file (CSV, TSV, JSON lines, Parquet; the texts also ``.gz``), a data frame, a
            mapping from names to columns, or an iterable of one mapping a row.
        annotator: Column with the name of the person; None for anonymous labels.
        first: Column with the response that was shown first.
        second: Column with the other.
        choice: Column with the choice: the name of the winner, a tie in one of the words of
            :data:`TIES`, or nothing, which is a skip; or codes of the table's own.
        group: Column with the type of the person, if there is one.
        codes: What each entry of ``choice`` stands for, "first", "second", "tie" or "skip",
            such as ``{"model_a": "first", "model_b": "second", "tie": "tie"}``. Names and words
            count no longer then.
        responses: Names of all responses in the order that indices have; sorted if None.
        ties: ``"half"`` keeps them as half a win each; ``"drop"`` leaves them out.
        repeats: Rows equal in everything: ``"keep"`` as several occasions, or ``"once"``.
        bad: ``"refuse"`` the table if there is a row that cannot be read, or ``"skip"`` such
            rows and count them in the notes.

    Returns:
        The labels; its methods give the containers that each method takes, its notes say what
        was met in the table.

    Raises:
        ValueError: a kind of file, a column or an entry that is not known, a row without
            annotator, group or response, or a response beside itself. It names the row, from
            1 for the first below the head.
        ImportError: Parquet without pyarrow.
    """
    columns = {"annotator": annotator, "first": first, "second": second, "choice": choice}
    columns |= {"type": group}
    own = None if codes is None else {as_text(k): _code(k, v) for k, v in codes.items()}

    def vote(a: str, b: str, chosen: str) -> int | None:
        return named_vote(a, b, chosen) if own is None else own.get(chosen)

    found = read_table(
        source,
        {ours: theirs for ours, theirs in columns.items() if theirs is not None},
        vote,
        ties=ties,
        repeats=repeats,
        bad=bad,
        anonymous=annotator is None,
        more=("prompt", "occasion") if group is None else ("prompt", "occasion", "type"),
        remedy="name the codes of choices in codes="
        if own is None
        else f"codes= has {', '.join(map(repr, own)) or 'none'}",
    )
    given = found.items
    kept = tuple(str(r) for r in responses) if responses is not None else in_order(given)
    if len(set(kept)) != len(kept):
        raise ValueError(f"responses has a name twice: {list(kept)}")
    if unknown := set(given) - set(kept):
        raise ValueError(f"responses lacks {min(unknown)!r}, which the table has")
    index = {name: k for k, name in enumerate(kept)}
    place = np.array([index[name] for name in given])
    people, who = _sorted(found.annotators, found.who)
    kinds, kind = _sorted(found.types, found.type)
    return LabelTable(
        annotators=() if annotator is None else people,
        responses=kept,
        groups=kinds if group is not None else (),
        annotator=who,
        group=kind,
        y1=place[found.first],
        y2=place[found.second],
        votes=found.votes,
        notes=found.notes,
    )


def _sorted(names: Sequence[str], codes: Indices) -> tuple[tuple[str, ...], Indices]:
    """Names in order, and their codes to it."""
    order = in_order(names)
    index = {name: k for k, name in enumerate(order)}
    return order, np.array([index[name] for name in names], dtype=np.int64)[codes]


def _code(entry: Any, stands_for: str) -> int:
    if stands_for not in CHOICES:
        allowed = ", ".join(map(repr, CHOICES))
        raise ValueError(f"codes[{entry!r}] is {stands_for!r}; allowed are {allowed}")
    return CHOICES[stands_for]


def named_vote(first: str, second: str, chosen: str) -> int | None:
    """The vote where a choice is the name of a response, a word for a tie, or nothing."""
    if chosen in (first, second):
        return int(chosen == second)
    word = chosen.casefold()
    return TIE if word in TIES else NOT_ANSWERED if word in MISSING else None


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Distinct names in order, whole numbers by their size."""
    distinct = set(names)
    if all(n.removeprefix("-").isdecimal() and len(n) < 99 for n in distinct):
        return tuple(sorted(distinct, key=lambda n: (int(n), n)))
    return tuple(sorted(distinct))


@dataclass(frozen=True, eq=False)
class Rows:
    """What a table says, names in the order in which they come.

    Attributes:
        annotators: Names.
        items: Names of what was compared.
        types: Names of types of people.
        who: Annotator of each label, shape (labels,).
        first: Item shown first, same shape; so are the others.
        second: Item shown second.
        votes: 0, 1, ``TIE`` or ``NOT_ANSWERED``.
        weight: Weight.
        prompt: What was answered, by number.
        occasion: When, by number.
        type: Type of the annotator.
        notes: What was met.
        ordered: Whether first and second say what was shown first; not so for rankings.
        features: Difference of each feature, first less second, shape (labels, features).
    """

    annotators: tuple[str, ...]
    items: tuple[str, ...]
    types: tuple[str, ...]
    who: Indices
    first: Indices
    second: Indices
    votes: Bits
    weight: Array
    prompt: Indices
    occasion: Indices
    type: Indices
    notes: tuple[Note, ...]
    ordered: bool
    features: Array


def parquet_reader() -> Any:
    """The module that reads Parquet.

    Raises:
        ImportError: pyarrow is not installed.
    """
    try:
        return importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise ImportError("reading Parquet needs pyarrow: pip install pyarrow") from error


def read_rows(source: str | Path) -> list[dict[str, Any]]:
    """All rows of a file, by name of column.

    Args:
        source: CSV, TSV, JSON lines or Parquet, by how its name ends (:data:`FILES`).

    Raises:
        ValueError: another kind of file, no text in UTF-8, no JSON, a column twice, or a row
            with another number of fields than the head; it names the row, from 1 below the
            head, or the line.
        ImportError: Parquet without pyarrow.
    """
    return [{k: v for k, v in row.items() if k != ROW} for row in _records(Path(source))]


def _records(path: Path) -> list[Any]:
    """All rows of a file, by name of column."""
    packed = path.suffix.lower() == ".gz"
    kind = Path(path.stem).suffix.lower() if packed else path.suffix.lower()
    if kind not in FILES or (packed and kind in (".parquet", ".pq")):
        raise ValueError(f"{path.name} ends in {kind or 'nothing'}; give {', '.join(FILES)}")
    if not path.is_file():
        raise ValueError(f"source is {str(path)!r}; there is no such file")
    if kind in (".parquet", ".pq"):
        parquet = parquet_reader()
        try:
            table = parquet.read_table(path)
        except (ValueError, OSError) as error:  # pyarrow's ArrowInvalid is a ValueError
            raise ValueError(f"{path.name} is no Parquet file: {error}") from None
        _once(path.name, table.column_names)
        return list(table.to_pylist())
    try:
        raw = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path.name} cannot be unpacked: {error}; fetch it again") from None
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ValueError(f"{path.name} is UTF-16, not UTF-8; save it as UTF-8")
    try:
        content = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path.name} is not UTF-8: byte {error.start}; save it as UTF-8"
        ) from None
    if "\0" in content:
        raise ValueError(f"{path.name} holds zero bytes, as no text does; save it as UTF-8")
    if not content.strip():
        raise ValueError(f"{path.name} is empty")
    if kind in (".jsonl", ".ndjson"):
        return _json_lines(path.name, content)
    return _cells(path.name, content, "\t" if kind == ".tsv" else ",")


def _unique(entries: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(entries)
    if len(out) < len(entries):
        twice = next(k for k, n in Counter(key for key, _ in entries).items() if n > 1)
        raise ValueError(f"{twice!r} is given twice")
    return out


def _json_lines(name: str, content: str) -> list[Any]:
    out: list[Any] = []
    # Not splitlines: text in JSON may hold other separators as they are
    for n, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            said = getattr(error, "msg", error)
            raise ValueError(f"{name}, line {n} is no JSON: {said}") from None
        for one in row if isinstance(row, list) else [row]:
            if not isinstance(one, dict):
                raise ValueError(f"{name}, line {n}: an object is needed, not {str(one)[:40]}")
            out.append(one)
    return out


def _cells(name: str, content: str, delimiter: str) -> list[Any]:
    reader = csv.reader(io.StringIO(content, newline=None), delimiter=delimiter, strict=True)
    try:
        lines = list(reader)
    except csv.Error as error:
        raise ValueError(f"{name}, line {reader.line_num}: {error}; is a quote open?") from None
    while lines and not any(map(str.strip, lines[0])):
        del lines[0]
    head = [cell.strip() for cell in lines[0]]
    for mark, called in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars"), (",", "commas")):
        if len(head) == 1 and mark in head[0]:
            needs = "tabs" if delimiter == "\t" else "commas"
            raise ValueError(
                f"{name}: its columns seem to be separated by {called}, not {needs}: the head is "
                f"{head[0][:60]!r}"
            )
    _once(name, head)
    out: list[Any] = []
    for n, fields in enumerate(lines[1:], 1):
        if not any(map(str.strip, fields)):
            continue  # a line without an entry is none
        if len(fields) != len(head):
            raise ValueError(f"{name}, row {n} has {len(fields)} fields; its head has {len(head)}")
        out.append(dict(zip(head, fields, strict=True)) | {ROW: n})
    return out


def _once(name: str, head: Sequence[Any]) -> None:
    if twice := [column for column, k in Counter(map(str, head)).items() if k > 1]:
        raise ValueError(f"{name} has the column {twice[0]!r} twice")


#: Where a row keeps the number that it had in its file.
ROW = "\0row"


def as_text(value: Any) -> str:
    """An entry as text; nothing if it is missing."""
    if isinstance(value, str):
        return value.strip()
    if value is None or str(value) in ("nan", "<NA>", "NaT"):
        return ""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))  # a column of whole numbers with gaps is one of floats
    if isinstance(value, Mapping | list | tuple | set | bytes) or np.ndim(value):
        raise ValueError(f"an entry is {type(value).__name__}; a text or a number is needed")
    return str(value).strip()


def _number(value: Any) -> float:
    try:
        out = float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return out if math.isfinite(out) else math.nan


class _Coder:
    """Names in the order in which they come, as numbers."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}

    def __call__(self, name: str) -> int:
        return self.names.setdefault(name, len(self.names))


def _listed(source: Any) -> list[Any]:
    """A source as rows."""
    if isinstance(source, str | Path):
        return _records(Path(source))
    if not isinstance(source, Mapping) and not hasattr(source, "columns"):
        try:
            return list(source)
        except TypeError:
            raise ValueError(
                f"source is {type(source).__name__}; a file, a data frame, columns by name or "
                "rows are needed"
            ) from None
    names = list(source if isinstance(source, Mapping) else source.columns)
    _once("the table", names)
    columns = [source[name] for name in names]
    for name, column in zip(names, columns, strict=True):
        if isinstance(column, str | bytes) or not hasattr(column, "__len__"):
            raise ValueError(f"column {name!r} is {type(column).__name__}; a list is needed")
    lengths = {str(name): len(column) for name, column in zip(names, columns, strict=True)}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"columns differ in length: {lengths}")
    named = [str(name) for name in names]
    return [dict(zip(named, row, strict=True)) for row in zip(*columns, strict=True)]


def _table(
    source: Any, columns: Mapping[str, str] | None, anonymous: bool
) -> tuple[str, list[dict[str, Any]]]:
    """Kind of table, and its rows with our names of columns."""
    rows = _listed(source)
    if not rows:
        raise ValueError("the table has no rows; at least one label is needed")
    for n, row in enumerate(rows, 1):
        if not isinstance(row, Mapping):
            raise ValueError(f"row {n} is {type(row).__name__}; names and entries are needed")
    names = dict(columns or {})
    allowed = {*OPTIONAL, *(c for needed in NEEDED.values() for c in needed)}
    if odd := sorted(set(names) - allowed):
        raise ValueError(f"columns names {odd[0]!r}; it may name {', '.join(sorted(allowed))}")
    present = dict.fromkeys(str(key) for row in rows for key in row)
    present.pop(ROW, None)
    listed = ", ".join(present) or "none"
    usual = {k for k, v in names.items() if k == v and k not in OPTIONAL}
    for ours, theirs in names.items():
        if theirs not in present and ours not in usual:
            raise ValueError(f"there is no column {theirs!r} for {ours}; there are {listed}")
    if twice := [v for v, n in Counter(names.values()).items() if n > 1]:
        raise ValueError(f"the column {twice[0]!r} is named for two things")
    back = {theirs: ours for ours, theirs in names.items()}
    hidden = set(names) - set(back)  # a column of that name that another one replaces
    rows = [
        {back.get(str(k), str(k)): v for k, v in row.items() if str(k) not in hidden}
        for row in rows
    ]
    present = dict.fromkeys(key for row in rows for key in row)
    for kind, needed in NEEDED.items():
        if set(needed) - ({"annotator"} if anonymous else set()) <= set(present):
            return kind, rows
    lacking = [c for c in NEEDED["comparisons"] if c not in present]
    raise ValueError(
        f"there is no column {', '.join(map(repr, lacking))}; there are {listed}. Say which "
        "columns of the table are annotator, first, second and choice"
    )


def read_table(
    source: Any,
    columns: Mapping[str, str] | None,
    vote: Vote,
    *,
    ties: str,
    repeats: str,
    bad: str,
    anonymous: bool = False,
    more: Sequence[str] = OPTIONAL,
    features: Mapping[str, Sequence[str]] | None = None,
    remedy: str = "",
) -> Rows:
    """Read any of the three shapes; ``read_labels`` has the meaning of each argument.

    Args:
        source: As there.
        columns: The table's name of a column by ours.
        vote: From the responses and the choice of a row to its vote.
        ties: As there.
        repeats: As there.
        bad: As there.
        anonymous: Whether nobody says who labelled.
        more: Which of ``OPTIONAL`` are read where they are; a type must be, unless
            all of them are read.
        features: Columns with a feature of the first response and of the second, by its name,
            such as ``{"length": ["length_a", "length_b"]}``; of comparisons only.
        remedy: What to do about a choice that is not known.

    Raises:
        ValueError: as there.
    """
    for name, value, allowed in (
        ("ties", ties, ("half", "drop")),
        ("repeats", repeats, ("keep", "once")),
        ("bad", bad, ("refuse", "skip")),
    ):
        if value not in allowed:
            raise ValueError(f"{name} is {value!r}; it must be {' or '.join(map(repr, allowed))}")
    kind, rows = _table(source, columns, anonymous)
    typed = "type" in more and more is not OPTIONAL
    pairs = {name: tuple(two) for name, two in (features or {}).items()}
    for name, two in pairs.items():
        lacking = [c for c in two if c not in rows[0]]
        if len(two) != 2 or lacking or kind != "comparisons":
            raise ValueError(
                f"features[{name!r}] is {list(two)}; two columns of a table of comparisons are "
                f"needed, of {', '.join(k for k in rows[0] if k != ROW)}"
            )
    met: dict[str, list[int]] = defaultdict(list)
    wrong: dict[str, list[int]] = defaultdict(list)
    if kind != "comparisons":
        rows = _pairs_of(kind, rows, wrong, met, bad)
    people, items, prompts, times, kinds = (_Coder() for _ in range(5))
    types: dict[int, str] = {}
    seen: set[tuple[str, ...]] = set()
    out: list[tuple[float, ...]] = []
    hint: dict[str, str] = {}
    called: dict[str, dict[str, None]] = {"annotators": {}, "responses": {}}

    def refuse(what: str, row: int, more: str = "") -> None:
        wrong[what].append(row)
        hint.setdefault(what, more)

    for place, row in enumerate(rows, 1):
        n = int(row.get(ROW, place))
        try:
            entry = {k: as_text(row.get(k)) for k in (*NEEDED["comparisons"], *more)}
        except ValueError as error:
            refuse("no text", n, str(error))
            continue
        who, a, b, c = (entry[k] for k in NEEDED["comparisons"])
        called["annotators"].update({who: None} if who else {})
        called["responses"].update({name: None for name in (a, b) if name})
        weight = _number(row["weight"]) if "weight" in entry and "weight" in row else 1.0
        if not who and not anonymous:
            refuse("no annotator", n)
        elif not a or not b:
            refuse("a response is missing", n)
        elif a == b:
            refuse("a response against itself", n)
        elif not weight > 0:
            refuse("a weight that is no positive number", n, repr(row.get("weight")))
        elif any(math.isnan(_number(row.get(c))) for two in pairs.values() for c in two):
            refuse("a feature that is no number", n)
        elif typed and not entry["type"]:
            refuse("no type", n)
        else:
            found = vote(a, b, c)
            if found is None:
                near = next((x for x in (a, b) if x.casefold() == c.casefold()), None)
                case = f"; {near!r} in another case?" if near else ""
                refuse("a choice that is neither response", n, f"{c!r} for {a!r} and {b!r}{case}")
                continue
            if found == TIE:
                met["tie"].append(n)
                if ties == "drop":
                    continue
            key = tuple(entry.values())
            if found == NOT_ANSWERED:
                met["not answered"].append(n)
            elif key in seen and kind == "comparisons" and not (anonymous and repeats == "keep"):
                met["exact repetition of an earlier row"].append(n)
                if repeats == "once":
                    continue
            seen.add(key)
            person = people(who)
            sort = entry.get("type", "")
            if types.setdefault(person, sort) != sort and not anonymous:
                refuse(
                    "an annotator of two types",
                    n,
                    f"{who!r}: {types[person]!r}, {sort!r}",
                )
                continue
            out.append(
                (person, items(a), items(b), found, weight, prompts(entry["prompt"]),
                 times(entry["occasion"]), kinds(sort),
                 *(_number(row[one]) - _number(row[two]) for one, two in pairs.values()))
            )  # fmt: skip
    if wrong and bad == "refuse":
        raise ValueError(
            "; ".join(
                f"{what} (row {', '.join(map(str, which[:5]))}"
                + (f", {len(which)} in all" if len(which) > 5 else "")
                + ")"
                + (f": {hint[what]}" if hint.get(what) else "")
                for what, which in wrong.items()
            )
            + f". Correct the rows{', ' + remedy if remedy else ''}, or leave such rows out with "
            "bad='skip'"
        )
    if not out:
        raise ValueError("no row of the table holds a comparison of two different responses")
    table = np.array(out, dtype=np.float64)
    whole = table[:, :8].astype(np.int64).T
    notes = [Note(what, tuple(which), "left out") for what, which in wrong.items()]
    done = {
        "tie": "half a win each" if ties == "half" else "left out",
        "not answered": "left out",
        "exact repetition of an earlier row": "kept as another occasion"
        if repeats == "keep"
        else "counted once",
    }
    notes += [Note(what, tuple(which), done.get(what, "said")) for what, which in met.items()]
    for what, names in called.items():  # of rows that are left out, too
        folded = defaultdict(list)
        for name in names:
            folded[unicodedata.normalize("NFKC", name).casefold()].append(name)
        for same in folded.values():
            if len(same) > 1:
                notes.append(Note(f"{what} {' and '.join(same)}", (), "taken as different"))
    return Rows(
        tuple(people.names),
        tuple(items.names),
        tuple(kinds.names),
        whole[0],
        whole[1],
        whole[2],
        whole[3].astype(np.int8),
        table[:, 4],
        whole[5],
        whole[6],
        whole[7],
        tuple(notes),
        kind == "comparisons",
        table[:, 8:],
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
    for place, row in enumerate(rows, 1):
        n = int(row.get(ROW, place))
        who, item, number = as_text(row.get("annotator")), as_text(row.get("item")), row.get(value)
        if as_text(number).casefold() in MISSING:
            met["not answered"].append(n)
        elif math.isnan(_number(number)):
            wrong[f"a {value} that is no number"].append(n)
        elif not who:
            wrong["no annotator"].append(n)
        elif not item:
            wrong["a response is missing"].append(n)
        else:
            task = tasks[who, as_text(row.get("prompt")), as_text(row.get("occasion"))]
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
            out.append(pair | more | {"occasion": occasion, ROW: task[a][1]})
    if not out and not (wrong and bad == "refuse"):
        raise ValueError(f"no annotator gave a {value} to two items")
    return out
