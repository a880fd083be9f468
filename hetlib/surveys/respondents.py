"""Who answered a survey: the type and the weight of each respondent."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hetlib.checks import Array
from hetlib.surveys.files import Column, SurveyFile


@dataclass(frozen=True, eq=False)
class Respondents:
    """Type and weight of each respondent.

    Attributes:
        index: Type of each respondent, -1 if left out, shape (rows,).
        weights: Survey weights, shape (rows,).
        types: Names of the types.
        absent: Types that the file labels and nobody belongs to.
        weight_column: Name of the weight column, or "".
        untyped: Respondents whose type is empty or refused.
        unweighted: Respondents whose weight is empty.
        others: Respondents of types that were not asked for.
    """

    index: NDArray[np.int64]
    weights: Array
    types: tuple[str, ...]
    absent: tuple[str, ...]
    weight_column: str
    untyped: int
    unweighted: int
    others: int

    @classmethod
    def of(
        cls,
        file: SurveyFile,
        columns: list[str],
        weight: str | Literal[False] | None,
        only: Sequence[str] | None,
        refused: Sequence[float],
    ) -> Respondents:
        """Read the type and weight columns of a file; errors as for ``read_survey``."""
        if not columns:
            raise ValueError("types names no column")
        for name in columns:
            if name not in file.columns:
                raise ValueError(f"{file.path.name} has no type column {name!r}")
        weight_column = _weight_column(file, weight)
        read = dict(file.read([*columns, weight_column]))
        w = np.ones(file.rows) if not weight_column else _weights(file, weight_column, read)
        parts = [_codes(read[name], file.labels.get(name, {}), refused) for name in columns]
        index = parts[0][0]
        names = parts[0][1]
        for codes, labels in parts[1:]:
            index = np.where((index < 0) | (codes < 0), -1, index * len(labels) + codes)
            names = [f"{a}, {b}" for a in names for b in labels]
        untyped = int((index < 0).sum())
        bare = np.isnan(w)
        index = np.where(bare, -1, index)
        used = np.bincount(index[index >= 0], minlength=len(names)) > 0
        absent = tuple(t for t, k in zip(names, used, strict=True) if not k)
        keep = [t for t, k in zip(names, used, strict=True) if k]
        if only is not None:
            for t in only:
                if t not in keep:
                    raise ValueError(f"nobody belongs to type {t!r}; the types are {keep}")
            keep = [t for t in keep if t in only]
        if not keep:
            raise ValueError(f"nobody has a type in {', '.join(columns)}")
        place = np.array([keep.index(t) if t in keep else -1 for t in names] + [-1])
        others = int((place[index[index >= 0]] < 0).sum())
        return cls(
            index=place[index],
            weights=np.where(bare, 0, w),
            types=tuple(keep),
            absent=absent,
            weight_column=weight_column,
            untyped=untyped,
            unweighted=int(bare.sum()),
            others=others,
        )


def _weight_column(file: SurveyFile, weight: str | Literal[False] | None) -> str:
    """Name of the weight column; "" if each respondent counts once."""
    if weight is False:
        return ""
    known = [name for name in file.columns if name.startswith("WEIGHT_")]
    if weight is not None:
        for name in (weight, f"WEIGHT_{weight}"):
            if name in file.columns:
                return name
        raise ValueError(f"{file.path.name} has no weight column {weight!r}; it has {known}")
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
    w = read[name]
    if w.dtype == object:
        raise ValueError(f"weight column {name} of {file.path.name} is text; numbers are needed")
    w = np.asarray(w, dtype=np.float64)
    if (w < 0).any() or np.isinf(w).any():
        k = int(np.argmax((w < 0) | np.isinf(w)))
        raise ValueError(f"{name}[{k}] is {w[k]}; weights must be finite and not negative")
    if not np.nansum(w) > 0:
        raise ValueError(f"{name}: the weights are all zero or empty")
    return w


def _codes(
    column: Column, labels: Mapping[float, str], refused: Sequence[float]
) -> tuple[NDArray[np.int64], list[str]]:
    """Index of each respondent's type (-1: empty or refused) and the types' names."""
    if column.dtype == object:  # names instead of codes
        texts = ["" if v is None else str(v).strip() for v in column]
        names = sorted({t for t in texts if t})
        where = {t: k for k, t in enumerate(names)}
        return np.array([where.get(t, -1) for t in texts], dtype=np.int64), names
    column = np.asarray(column, dtype=np.float64)
    missing = np.isnan(column) | np.isin(column, refused)
    codes = np.unique(np.concatenate([column[~missing], [c for c in labels if c not in refused]]))
    index = np.where(missing, -1, np.searchsorted(codes, column))
    return index.astype(np.int64), [labels.get(c, f"{c:g}") for c in codes]
