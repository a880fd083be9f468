"""Columns of survey files, a few at a time: SPSS .sav through pyreadstat, and CSV.

A file of many columns need not fit into memory: columns are read in batches that do.
"""

from __future__ import annotations

import codecs
import csv
import math
import re
from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetlib.checks import Array
from hetlib.extras import require

#: A column is numeric codes (NaN where the answer is empty) or, as objects, text.
Column = Array | NDArray[np.object_]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_TRY = "name the file's encoding, often encoding='cp1252' (Windows) or 'latin-1'"


@dataclass(frozen=True)
class SurveyFile:
    """What a survey file says about itself before its answers are read.

    Attributes:
        path: Where it is.
        columns: Names of its columns, in order.
        rows: Number of respondents.
        labels: Label of each code by column; empty for CSV, which has none.
        texts: What the file calls each column; empty for CSV.
        missing: Ranges (least, greatest) of answers declared missing, by column.
        encoding: What its text is written in; None if the file says so, and for UTF-8.
    """

    path: Path
    columns: tuple[str, ...]
    rows: int
    labels: dict[str, dict[float, str]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    missing: dict[str, list[tuple[Any, Any]]] = field(default_factory=dict)
    encoding: str | None = None

    @property
    def labelled(self) -> bool:
        """Whether files of this kind carry labels of their codes."""
        return self.path.suffix.lower() == ".sav"

    def read(self, names: Sequence[str], memory: int = 2**28) -> Iterator[tuple[str, Column]]:
        """The columns called ``names``, in the file's order; declared missing codes stay.

        Each batch is one pass over the file, so it is as large as ``memory`` allows.

        Args:
            names: Columns of the file.
            memory: Bytes that a batch of columns may take, 8 a cell.

        Raises:
            ValueError: memory is not positive, or the file breaks off or is not in its encoding.
        """
        if memory < 1:
            raise ValueError(f"memory is {memory}; it must be a positive number of bytes")
        wanted = set(names)
        ordered = [name for name in self.columns if name in wanted]
        step = max(1, int(memory // (8 * max(self.rows, 1))))
        for start in range(0, len(ordered), step):
            batch = ordered[start : start + step]
            yield from (self._sav(batch) if self.labelled else self._csv(batch))

    def declared(self, name: str, column: Column) -> NDArray[np.bool_]:
        """Where the file declares an answer missing, shape (rows,)."""
        out = np.zeros(len(column), dtype=bool)
        for low, high in self.missing.get(name, ()):
            if column.dtype == object:
                out |= np.array([v is not None and low <= v <= high for v in column])
            elif not isinstance(low, str):
                out |= (column >= low) & (column <= high)
        return out

    def _sav(self, names: list[str]) -> Iterator[tuple[str, Column]]:
        # Dates would become objects; as numbers they are just a column without labels.
        frame, _ = _spss(
            self.path, self.encoding, usecols=names, disable_datetime_conversion=True
        )  # fmt: skip
        for name in names:
            series = frame[name]
            if series.dtype.kind in "fiub":
                yield name, np.asarray(series.to_numpy(), dtype=np.float64)
            else:
                values = series.to_numpy(dtype=object, na_value=None)
                texts = ("" if v is None else str(v).strip() for v in values)
                yield name, np.array([t or None for t in texts], dtype=object)

    def _csv(self, names: list[str]) -> Iterator[tuple[str, Column]]:
        places = [self.columns.index(name) for name in names]
        # Answers repeat: each different text is kept and looked at once.
        texts: list[dict[str, int]] = [{} for _ in names]
        index = [array("q") for _ in names]
        lines = _lines(self.path, self.encoding)
        next(lines)
        for _, row in lines:
            for seen, places_of, k in zip(texts, index, places, strict=True):
                places_of.append(seen.setdefault(row[k].strip(), len(seen)))
        for name, seen, where in zip(names, texts, index, strict=True):
            words = [t for t in seen if t and number(t) is None]
            values = np.array(
                [t or None for t in seen] if words else [float(t or "nan") for t in seen],
                dtype=object if words else np.float64,
            )
            yield name, values[np.frombuffer(where, dtype=np.int64)]


def open_file(path: str | Path, encoding: str | None = None) -> SurveyFile:
    """Read a survey file's head.

    Args:
        path: A .sav or .csv file.
        encoding: What its text is written in; what a .sav file says, and UTF-8 for CSV, if None.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is neither .sav nor .csv, or not what its name says, it is empty or
            breaks off, its encoding is another, or its lines are no table with one header.
    """
    path = Path(path)
    if encoding is not None and not isinstance(encoding, str):
        raise ValueError(f"encoding is {encoding!r}; it must be a name such as 'cp1252'")
    if not path.is_file():
        raise FileNotFoundError(f"there is no survey file {path}")
    if path.suffix.lower() == ".sav":
        return _open_sav(path, encoding)
    if path.suffix.lower() == ".csv":
        return _open_csv(path, encoding)
    raise ValueError(f"{path.name} is not a survey: its name must end in .sav or .csv")


def _spss(path: Path, encoding: str | None, **options: Any) -> Any:
    """Table and head of an SPSS file, its errors in words."""
    require("pandas", "pyreadstat")
    import pyreadstat

    known = encoding
    with suppress(LookupError):  # the reader knows fewer names than Python, such as latin-1
        known = codecs.lookup(encoding).name if encoding else None
    try:
        return pyreadstat.read_sav(path, encoding=known, user_missing=True, **options)
    except (pyreadstat.ReadstatError, pyreadstat.PyreadstatError, UnicodeError) as error:
        said = str(error)
        if "convert string" in said or isinstance(error, UnicodeError):
            raise ValueError(
                f"{path.name}: its text is not {encoding or 'in the encoding it states'}; {_TRY}"
            ) from error
        if "character set" in said:
            raise ValueError(
                f"{path.name}: its encoding {encoding or ''} is not known; {_TRY}"
            ) from error
        if "expected number of rows" in said:
            raise ValueError(
                f"{path.name} is truncated: it has fewer respondents than it says; fetch it again"
            ) from error
        raise ValueError(
            f"{path.name} is not a survey: not a readable SPSS file, or truncated ({said})"
        ) from error


def _open_sav(path: Path, encoding: str | None) -> SurveyFile:
    _, meta = _spss(path, encoding, metadataonly=True)
    names = tuple(meta.column_names)
    rows = meta.number_rows
    if rows is None or rows < 0:  # some writers leave the count out
        rows = len(_spss(path, encoding, usecols=list(names[:1]))[0])
    if not rows:
        raise ValueError(f"{path.name} has no respondents")
    _once(path, names)
    labels = {
        name: {
            float(c): " ".join(str(t).split())
            for c, t in codes.items()
            if _is_number(c) and str(t).strip()  # what is called nothing has no label
        }
        for name, codes in meta.variable_value_labels.items()
    }
    texts = {k: v for k, v in meta.column_names_to_labels.items() if v}
    missing = {k: [(r["lo"], r["hi"]) for r in v] for k, v in meta.missing_ranges.items()}
    return SurveyFile(path, names, int(rows), labels, texts, missing, encoding)


def _open_csv(path: Path, encoding: str | None) -> SurveyFile:
    lines = _lines(path, encoding)
    _, names = next(lines, (0, []))
    if not names or any("\0" in name for name in names):
        what = "not text, or text in UTF-16 (encoding='utf-16')" if names else "it is empty"
        raise ValueError(f"{path.name} is not a survey: {what}")
    if all(_NUMBER.fullmatch(name) for name in names):
        raise ValueError(
            f"{path.name}: its first line holds numbers ({', '.join(names[:4])}); it must name "
            "the columns"
        )
    _once(path, names)
    first: list[list[str]] = []
    numeric = [True] * len(names)  # columns of numbers only, below the first three lines
    rows = 0
    for number, row in lines:
        rows += 1
        values = [value.strip() for value in row]
        if values == names:
            raise ValueError(f"{path.name}: line {number} repeats the header; remove it")
        if rows <= 3:
            first.append(values)
            continue
        for k, value in enumerate(values):
            if numeric[k] and value and not _NUMBER.fullmatch(value):
                numeric[k] = False
    if not rows:
        raise ValueError(f"{path.name} has no respondents")
    _headers(path, names, first, numeric if rows > 3 else [False] * len(names))
    return SurveyFile(path, tuple(names), rows, encoding=encoding)


def _headers(path: Path, names: list[str], first: list[list[str]], numeric: list[bool]) -> None:
    """Refuse further header lines: words above columns of numbers, and no number beside them."""
    extra, example = 0, ""
    for k, row in enumerate(first):
        words = [bool(value) and number(value) is None for value in row]
        above = [j for j, word in enumerate(words) if word and numeric[j]]
        above = above if all(w or not v for w, v in zip(words, row, strict=True)) else []
        if above := above or [j for j, value in enumerate(row) if '"ImportId"' in value]:
            extra, example = k + 1, f"{names[above[0]]} is {row[above[0]]!r}"
    if extra:
        qualtrics = any('"ImportId"' in value for row in first for value in row)
        raise ValueError(
            f"{path.name}: the first {extra} lines after the header are no answers ({example}) "
            f"but further headers{', as Qualtrics writes them' if qualtrics else ''}; remove "
            "them, and leave empty what is missing"
        )


def _lines(path: Path, encoding: str | None) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of each line that is not blank, all of one length, the header first."""
    try:
        with path.open(encoding=encoding or "utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            width = 0
            for row in reader:
                if not row or row == [""]:
                    continue
                if not width:
                    _separator(path, row)
                    width = len(row)
                    named = [" ".join(name.split()) for name in row]
                    row = [name or f"(column {k + 1})" for k, name in enumerate(named)]
                elif len(row) != width:
                    raise ValueError(
                        f"{path.name}: line {reader.line_num} has {len(row)} fields, the header "
                        f"{width}; the file is truncated, or a comma lacks its quotes"
                    )
                yield reader.line_num, row
    except LookupError as error:
        raise ValueError(f"{path.name}: its encoding {encoding} is not known; {_TRY}") from error
    except UnicodeError as error:
        with path.open("rb") as raw:
            wide = raw.read(2) in (b"\xff\xfe", b"\xfe\xff")
        hint = "give encoding='utf-16'" if wide and encoding != "utf-16" else _TRY
        raise ValueError(
            f"{path.name}: its text is not {encoding or 'UTF-8'} ({error}); {hint}"
        ) from error
    except csv.Error as error:
        raise ValueError(
            f"{path.name} is not a survey: not a readable table, or truncated: line "
            f"{reader.line_num}: {error}"
        ) from error


def _separator(path: Path, header: list[str]) -> None:
    text = ",".join(header)
    for mark, called in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(next(csv.reader([text], delimiter=mark))) > len(header):
            raise ValueError(
                f"{path.name}: its columns seem to be separated by {called}, not commas: the "
                f"header is {text[:80]!r}; save it with commas, and points in numbers"
            )


def _once(path: Path, names: Sequence[str]) -> None:
    where: dict[str, int] = {}
    for k, name in enumerate(names):
        if where.setdefault(name, k) != k:
            raise ValueError(
                f"{path.name}: column {name!r} is given twice, as "
                f"columns {where[name] + 1} and {k + 1}; rename or remove one"
            )


def number(text: str) -> float | None:
    """The number that a field holds, or None if it is a word, or too large to be a number."""
    value = float(text) if _NUMBER.fullmatch(text) else math.inf
    return value if math.isfinite(value) else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
