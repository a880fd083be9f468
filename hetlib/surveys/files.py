"""Columns of survey files, a few at a time: SPSS .sav through pyreadstat, and CSV.

A file of many columns need not fit into memory: columns are read in batches that do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetlib.checks import Array
from hetlib.extras import require

#: A column is numeric codes (NaN where the answer is empty) or, as objects, text.
Column = Array | NDArray[np.object_]


@dataclass(frozen=True)
class SurveyFile:
    """What a survey file says about itself before its answers are read.

    Attributes:
        path: Where it is.
        columns: Names of its columns, in order.
        rows: Number of respondents.
        labels: Label of each code by column; empty for CSV, which has none.
        texts: What the file calls each column; empty for CSV.
    """

    path: Path
    columns: tuple[str, ...]
    rows: int
    labels: dict[str, dict[float, str]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    @property
    def labelled(self) -> bool:
        """Whether files of this kind carry labels of their codes."""
        return self.path.suffix.lower() == ".sav"

    def read(self, names: Sequence[str], memory: int = 2**28) -> Iterator[tuple[str, Column]]:
        """The columns called ``names``, in the file's order.

        Each batch is one pass over the file, so it is as large as ``memory`` allows.

        Args:
            names: Columns of the file.
            memory: Bytes that a batch of columns may take, 8 a cell.

        Raises:
            ValueError: memory is not positive.
        """
        if memory < 1:
            raise ValueError(f"memory is {memory}; it must be a positive number of bytes")
        wanted = set(names)
        ordered = [name for name in self.columns if name in wanted]
        step = max(1, int(memory // (8 * max(self.rows, 1))))
        for start in range(0, len(ordered), step):
            batch = ordered[start : start + step]
            frame = _read_sav(self.path, batch) if self.labelled else _read_csv(self.path, batch)
            for name in batch:
                yield name, _column(frame[name])


def open_file(path: str | Path) -> SurveyFile:
    """Read a survey file's head.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is neither .sav nor .csv, or not what its name says, or it is empty.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no survey file {path}")
    if path.suffix.lower() == ".sav":
        return _open_sav(path)
    if path.suffix.lower() == ".csv":
        return _open_csv(path)
    raise ValueError(f"{path.name} is not a survey: its name must end in .sav or .csv")


def _open_sav(path: Path) -> SurveyFile:
    require("pyreadstat")
    import pyreadstat

    try:
        _, meta = pyreadstat.read_sav(path, metadataonly=True)
    except pyreadstat.ReadstatError as error:
        raise ValueError(f"{path.name} is not a survey: not a readable SPSS file") from error
    rows = meta.number_rows
    if rows is None or rows < 0:  # some writers leave the count out
        _, counted = pyreadstat.read_sav(path, usecols=meta.column_names[:1])
        rows = counted.number_rows
    if not rows:
        raise ValueError(f"{path.name} has no respondents")
    labels = {
        name: {float(code): str(text) for code, text in codes.items() if _is_number(code)}
        for name, codes in meta.variable_value_labels.items()
    }
    texts = {k: v for k, v in meta.column_names_to_labels.items() if v}
    return SurveyFile(path, tuple(meta.column_names), int(rows), labels, texts)


def _open_csv(path: Path) -> SurveyFile:
    require("pandas")
    import pandas as pd

    try:
        head = pd.read_csv(path, nrows=0)
        rows = len(pd.read_csv(path, usecols=[0])) if len(head.columns) else 0
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} is not a survey: not a readable table ({error})") from error
    if not rows:
        raise ValueError(f"{path.name} has no respondents")
    return SurveyFile(path, tuple(str(name) for name in head.columns), rows)


def _read_sav(path: Path, names: list[str]) -> Any:
    require("pyreadstat")
    import pyreadstat

    # Dates would become objects; as numbers they are just a column without labels.
    return pyreadstat.read_sav(path, usecols=names, disable_datetime_conversion=True)[0]


def _read_csv(path: Path, names: list[str]) -> Any:
    require("pandas")
    import pandas as pd

    return pd.read_csv(path, usecols=names, low_memory=False)


def _column(series: Any) -> Column:
    """Codes as float64, anything else as objects."""
    if series.dtype.kind in "fiub":
        return np.asarray(series.to_numpy(), dtype=np.float64)
    values = series.to_numpy(dtype=object, na_value=None)
    if all(v is None or _is_number(v) for v in values):
        return np.array([np.nan if v is None else float(v) for v in values])
    return np.asarray(values, dtype=object)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
