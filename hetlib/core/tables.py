"""Labels in: from a table of who chose which of two responses to the containers of ``labels``."""

from __future__ import annotations

import csv
import gzip
import importlib
import io
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hetlib.checks import Array
from hetlib.core.labels import NOT_ANSWERED, TIE, Bits, Comparisons, Indices, Linked, TypeLabels
from hetlib.extras import require

#: What a choice can be called in ``codes``, and the vote that it becomes.
CHOICES = {"first": 0, "second": 1, "tie": TIE, "skip": NOT_ANSWERED}
#: Kinds of files, by how their names end; those of text also with .gz after it.
FILES = (".csv", ".txt", ".tsv", ".jsonl", ".ndjson", ".parquet", ".pq")


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
    """

    annotators: tuple[str, ...]
    responses: tuple[str, ...]
    groups: tuple[str, ...]
    annotator: Indices
    group: Indices
    y1: Indices
    y2: Indices
    votes: Bits

    def __len__(self) -> int:
        return len(self.votes)

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
        return Comparisons(self.y1, self.y2, self.votes[:, None], types)

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
                out[u] = Comparisons(self.y1[of], self.y2[of], self.votes[of, None]).wins(n)
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
        return TypeLabels(pairs[:, 0], pairs[:, 1], out)

    def _need(self, name: str, what: str) -> None:
        if not getattr(self, name):
            raise ValueError(f"the table has no {name}; this needs {what}")


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
) -> LabelTable:
    """Read labels from a table with one label a row.

    Args:
        source: A file as :func:`read_rows` takes it, a data frame, a mapping from names to
            columns, or an iterable of one mapping a row.
        annotator: Column with the person; None for anonymous labels.
        first: Column with the name of the first response.
        second: Column with the name of the second response.
        choice: Column with what was chosen: the name of the winner, ``tie``, or nothing, which
            is a skip; or codes of the table's own.
        group: Column with the type of the person, if there is one.
        codes: What each entry of ``choice`` stands for, "first", "second", "tie" or "skip",
            such as ``{"model_a": "first", "model_b": "second", "tie": "tie"}``.
        responses: Names of all responses in the order that indices have; sorted if None.

    Returns:
        The labels; its methods give the containers that each method takes.

    Raises:
        ValueError: a kind of file, a column or an entry that is not known, a row without
            annotator, group or response, or a response beside itself. It names the row, from 1.
        ImportError: Parquet without pyarrow.
    """
    wanted = {"annotator": annotator, "first": first, "second": second}
    wanted |= {"choice": choice, "group": group}
    names = {role: name for role, name in wanted.items() if name is not None}
    columns = _columns(source, list(names.values()))
    text = {role: [as_text(v) for v in columns[name]] for role, name in names.items()}
    lengths = {names[role]: len(values) for role, values in text.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"columns differ in length: {lengths}")
    if not text["first"]:
        raise ValueError("the table has no rows; at least one label is needed")
    for role in text:
        if role != "choice" and "" in text[role]:
            raise ValueError(f"row {text[role].index('') + 1} has nothing under {names[role]!r}")
    given = set(text["first"]) | set(text["second"])
    kept = tuple(str(r) for r in responses) if responses is not None else _sorted(given)
    if len(set(kept)) != len(kept):
        raise ValueError(f"responses has a name twice: {list(kept)}")
    place = {name: k for k, name in enumerate(kept)}
    if unknown := given - set(kept):
        raise ValueError(f"responses lacks {min(unknown)!r}, which the table has")
    own = None if codes is None else {as_text(k): _code(k, v) for k, v in codes.items()}
    votes = np.empty(len(text["first"]), dtype=np.int8)
    for row, (a, b, c) in enumerate(
        zip(text["first"], text["second"], text["choice"], strict=True), 1
    ):
        if a == b:
            raise ValueError(f"row {row} compares {a!r} with itself; two responses are needed")
        votes[row - 1] = _vote(row, a, b, c, own)
    out: dict[str, Any] = {}
    for role in ("annotator", "group"):
        found = _sorted(text[role]) if role in text else ()
        index = {name: k for k, name in enumerate(found)}
        out[role + "s"] = found
        out[role] = np.array([index[t] for t in text.get(role, ())], dtype=np.int64)
        if role not in text:
            out[role] = np.zeros(len(votes), dtype=np.int64)
    y1, y2 = (np.array([place[t] for t in text[k]], dtype=np.int64) for k in ("first", "second"))
    return LabelTable(responses=kept, y1=y1, y2=y2, votes=votes, **out)


def _code(entry: Any, stands_for: str) -> int:
    if stands_for not in CHOICES:
        allowed = ", ".join(map(repr, CHOICES))
        raise ValueError(f"codes[{entry!r}] is {stands_for!r}; allowed are {allowed}")
    return CHOICES[stands_for]


def _vote(row: int, first: str, second: str, chosen: str, codes: dict[str, int] | None) -> int:
    """The vote of one row."""
    if codes is not None:
        if chosen in codes:
            return codes[chosen]
        known = ", ".join(repr(k) for k in codes)
    else:
        if chosen in (first, second):
            return int(chosen == second)
        if chosen in ("", "tie"):
            return TIE if chosen else NOT_ANSWERED
        known = f"{first!r}, {second!r}, 'tie' and nothing; give codes= for codes of your own"
    raise ValueError(f"row {row} has the choice {chosen!r}; allowed are {known}")


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    """Distinct names in order, whole numbers by their size."""
    distinct = set(names)
    if all(n.removeprefix("-").isdecimal() for n in distinct):
        return tuple(sorted(distinct, key=lambda n: (int(n), n)))
    return tuple(sorted(distinct))


def as_text(value: Any) -> str:
    """An entry as text; nothing if it is missing, and a whole number as such."""
    if isinstance(value, str):
        return value.strip()
    if value is None or str(value) in ("nan", "<NA>", "NaT"):
        return ""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))  # a column of whole numbers with gaps is one of floats
    return str(value).strip()


def _columns(source: Any, names: list[str]) -> Mapping[str, Sequence[Any]]:
    """Columns by name, of a file, a frame, a mapping or rows."""
    if isinstance(source, str | Path):
        rows: list[Any] = list(read_rows(source))
    elif isinstance(source, Mapping) or hasattr(source, "columns"):
        have = list(source.keys())
        return {name: list(source[_known(name, have)]) for name in names}
    else:
        rows = list(source)
    for k, row in enumerate(rows, 1):
        if not isinstance(row, Mapping):
            raise ValueError(f"row {k} is {type(row).__name__}; names and entries are needed")
    have = sorted({str(name) for row in rows for name in row})
    return {name: [row.get(_known(name, have)) for row in rows] for name in names}


def _known(name: str, have: Sequence[Any]) -> str:
    if name not in have:
        listed = ", ".join(repr(str(h)) for h in have) or "none"
        raise ValueError(
            f"there is no column {name!r}; the table has {listed}. Name columns by annotator=, "
            "first=, second=, choice= (annotator=None for anonymous labels)"
        )
    return name


def parquet_reader() -> Any:
    """The module that reads Parquet.

    Raises:
        ImportError: pyarrow is not installed.
    """
    require("pyarrow")
    return importlib.import_module("pyarrow.parquet")


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
    path = Path(source)
    packed = path.suffix.lower() == ".gz"
    kind = (Path(path.stem) if packed else path).suffix.lower()
    columnar = kind in (".parquet", ".pq")
    if kind not in FILES or (packed and columnar):
        raise ValueError(f"{path.name} ends in {kind!r}; give {', '.join(FILES)}")
    if columnar:
        try:
            return list(parquet_reader().read_table(path).to_pylist())
        except ValueError as error:  # pyarrow's ArrowInvalid is one
            raise ValueError(f"{path.name} is no Parquet file: {error}") from None
    try:
        text = (gzip.decompress if packed else bytes)(path.read_bytes()).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = f"byte {error.start}; save it as UTF-8"
        raise ValueError(f"{path.name} is not UTF-8: {where}") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path.name} is damaged: {error}") from None
    if kind in (".jsonl", ".ndjson"):
        return [_object(path.name, n, line) for n, line in enumerate(text.splitlines(), 1) if line]
    return _separated(path.name, text, "\t" if kind == ".tsv" else ",")


def _object(name: str, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise ValueError(f"{name}, line {number} is no JSON: {error}") from None
    if not isinstance(row, dict):
        raise ValueError(f"{name}, line {number}: an object is needed, not {line[:40]}")
    return row


def _separated(name: str, text: str, mark: str) -> list[dict[str, Any]]:
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True))
    except csv.Error as error:
        raise ValueError(f"{name} cannot be read: {error}") from None
    if not lines:
        raise ValueError(f"{name} is empty")
    head = [column.strip() for column in lines[0]]
    if twice := [column for column, k in Counter(head).items() if k > 1]:
        raise ValueError(f"{name} has the column {twice[0]!r} twice")
    for n, fields in enumerate(lines[1:], 1):
        if fields and len(fields) != len(head):
            raise ValueError(f"{name}, row {n} has {len(fields)} fields; its head has {len(head)}")
    return [dict(zip(head, fields, strict=True)) for fields in lines[1:] if fields]
