"""Labels of one's own: files as the field writes them, with who labelled what.

Two forms of rows are read, and nothing is guessed about what a column means:

* ``chosen`` and ``rejected``, with or without ``prompt``: texts, lists of messages, or dialogues
  as in HH-RLHF;
* ``prompt``, ``response_a``, ``response_b`` and ``choice``.

Optional columns are ``annotator``, ``type`` and ``weight``. Files are JSON lines, CSV, Parquet,
or a folder of these; ``hub:owner/name`` is read through ``datasets``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetlib.checks import Array
from hetlib.core.tables import read_rows
from hetlib.llm.data import pairs as reading
from hetlib.llm.data.pairs import Pair

Index = NDArray[np.int64]

#: Names that a column can have, by what it means.
COLUMNS = (
    *("prompt", "chosen", "rejected", "response_a", "response_b", "choice"),
    *("annotator", "type", "weight"),
)
#: Words of ``choice``, in lower case, by what they mean.
CHOICES: dict[str, tuple[str, ...]] = {
    "first": ("a", "response_a", "model_a", "first"),
    "second": ("b", "response_b", "model_b", "second"),
    "tie": ("tie", "both", "equal", "draw"),
    "missing": ("", "na", "n/a", "nan", "none", "null"),
}
TIES = ("drop", "half")
#: Estimators, and what they need besides pairs and choices.
ESTIMATORS = {
    "dpo": "nothing",
    "corrected": "annotators who labelled at least two pairs",
    "agreement": "pairs labelled by every type",
    "conditional": "pairs labelled by every type, as often each",
    "types": "the type of every label",
    "em": "annotators who labelled several pairs",
}
FORMATS = (".jsonl", ".jsonl.gz", ".csv", ".parquet")


@dataclass(frozen=True, eq=False)
class OwnLabels:
    """Labels of distinct pairs.

    Attributes:
        pairs: The distinct pairs.
        pair: Which pair each label is of, shape (labels,).
        preferred: 1 where the pair's second text won, 0 where its first did, shape (labels,).
        weight: What each label counts, positive, shape (labels,).
        annotator: Who gave each label, shape (labels,), and ``annotators``, their names; None
            where no column says so.
        type: The type of who gave it, shape (labels,), and ``types``, their names; or None.
        counts: ``rows``, ``ties``, ``missing``, ``malformed`` rows of the source.
    """

    pairs: list[Pair]
    pair: Index
    preferred: Index
    weight: Array
    annotator: Index | None
    annotators: tuple[str, ...]
    type: Index | None
    types: tuple[str, ...]
    counts: dict[str, int]

    def __len__(self) -> int:
        """Number of labels."""
        return len(self.pair)

    def select(self, rows: Any) -> OwnLabels:
        """Some of the labels, by number or mask; pairs and names stay."""
        who = None if self.annotator is None else self.annotator[rows]
        kind = None if self.type is None else self.type[rows]
        told = (self.pair[rows], self.preferred[rows], self.weight[rows])
        return OwnLabels(
            self.pairs, *told, who, self.annotators, kind, self.types, dict(self.counts)
        )


def read_labels(
    source: str | Path | Sequence[str | Path],
    columns: Mapping[str, str] | None = None,
    choices: Mapping[str, Sequence[str]] | None = None,
    ties: str = "drop",
    malformed: str = "stop",
    split: str = "train",
) -> OwnLabels:
    """Read labels of one's own.

    Args:
        source: Files, folders, or ``"hub:owner/name"``.
        columns: What a column is called where it is not called by its meaning, as
            ``{"annotator": "judge"}``; a name given here must be there.
        choices: Words of ``choice`` besides the usual ones, as ``{"tie": ["same"]}``, for
            "first", "second", "tie" and "missing". Numbers have no usual meaning.
        ties: ``"drop"``, or ``"half"``: half a label for each side.
        malformed: ``"stop"`` at a row that is no label, or ``"skip"`` and count it.
        split: Of a source on the hub.

    Returns:
        The labels. Ties, missing votes and malformed rows are counted, never silently lost.

    Raises:
        ValueError: unknown options or columns, a choice that is no known word, a weight that is
            not positive, a type or annotator that is missing in some rows only, or no label.
    """
    names = _columns(columns)
    words = _words(choices)
    if ties not in TIES or malformed not in reading.MALFORMED:
        raise ValueError(f"ties is {ties!r} and malformed {malformed!r}; allowed are {TIES} "
                         f"and {reading.MALFORMED}")  # fmt: skip
    place: dict[str, int] = {}
    pairs: list[Pair] = []
    rows: list[tuple[int, int, float, Any, Any]] = []
    counts = dict.fromkeys(("rows", "ties", "missing", "malformed"), 0)
    for where, row in _rows(source, split):
        counts["rows"] += 1
        try:
            if counts["rows"] == 1:
                _known(row, names, columns or {})
            outcome, pair, second = _label(row, names, words)
            weight = _weight(row.get(names["weight"]))
        except _ColumnError as error:
            raise ValueError(f"{where}: {error}") from None
        except ValueError as error:
            if malformed == "stop":
                raise ValueError(f"{where}: {error}") from None
            counts["malformed"] += 1
            continue
        if outcome in ("tie", "missing"):
            counts["ties" if outcome == "tie" else "missing"] += 1
        if pair is None or outcome == "missing" or (outcome == "tie" and ties == "drop"):
            continue
        k = place.setdefault(pair.key, len(pairs))
        if k == len(pairs):
            pairs.append(pair)
        who, kind = (row.get(names[name]) for name in ("annotator", "type"))
        for won, share in ((0, 0.5), (1, 0.5)) if outcome == "tie" else ((second, 1.0),):
            rows.append((k, won, weight * share, who, kind))
    if not rows:
        raise ValueError(f"{source} holds no label ({_told(counts)})")
    pair_, won_, weight_, who_, kind_ = zip(*rows, strict=True)
    annotator, annotators = _names("annotator", who_)
    kind, types = _names("type", kind_)
    told = (np.array(pair_), np.array(won_), np.array(weight_, dtype=np.float64))
    return OwnLabels(pairs, *told, annotator, annotators, kind, types, counts)


class _ColumnError(ValueError):
    """The columns do not fit, which no row of the source can mend."""


def _columns(columns: Mapping[str, str] | None) -> dict[str, str]:
    given = dict(columns or {})
    for name, called in given.items():
        if name not in COLUMNS:
            raise ValueError(f"columns has {name!r}; known are {', '.join(COLUMNS)}")
        if not isinstance(called, str):
            raise ValueError(f"columns[{name!r}] is {called!r}; the name of a column is needed")
    return {name: name for name in COLUMNS} | given


def _words(choices: Mapping[str, Sequence[str]] | None) -> dict[str, str]:
    found = {word: what for what, every in CHOICES.items() for word in every}
    own: dict[str, str] = {}
    for what, every in (choices or {}).items():
        if what not in CHOICES or isinstance(every, str):
            raise ValueError(f"choices has {what!r}: {every!r}; lists of words are needed, for "
                             f"{', '.join(CHOICES)}")  # fmt: skip
        for word in every:
            text = str(word).strip().lower()
            if own.setdefault(text, what) != what:
                raise ValueError(f"choices has {text!r} under {own[text]!r} and under {what!r}")
    return found | own


def _known(row: Mapping[str, Any], names: Mapping[str, str], given: Mapping[str, str]) -> None:
    has = ", ".join(map(str, row)) or "none"
    for name, called in given.items():
        if called not in row:
            raise _ColumnError(f"columns says that {name} is {called!r}; the columns are {has}")
    two = all(names[n] in row for n in ("chosen", "rejected"))
    three = all(names[n] in row for n in ("prompt", "response_a", "response_b", "choice"))
    if not two and not three:
        raise _ColumnError(
            "neither chosen and rejected nor prompt, response_a, response_b and choice are "
            f"there; the columns are {has}; `columns` says what they are called"
        )


def _label(
    row: Mapping[str, Any], names: Mapping[str, str], words: Mapping[str, str]
) -> tuple[str, Pair | None, int]:
    """What was chosen, of which pair, and whether the pair's second text won."""
    if row.get(names["response_a"]) is not None and names["choice"] in row:
        said = row[names["choice"]]
        text = "" if said is None or said != said else str(said).strip().lower()
        if text not in words:
            raise _ColumnError(
                f"choice is {text!r}, which is no known word; `choices` says what it means "
                f"(known are {', '.join(w for w in words if w)})"
            )
        outcome = words[text]
        if outcome == "missing":
            return outcome, None, 0
        sides = [row.get(names["response_a"]), row.get(names["response_b"])]
        won, lost = sides if outcome != "second" else sides[::-1]
    else:
        outcome = "chosen"
        won, lost = row.get(names["chosen"]), row.get(names["rejected"])
    given = {"prompt": row.get(names["prompt"]), "chosen": won, "rejected": lost}
    one, other, head = reading.texts_of({k: v for k, v in given.items() if v is not None})
    pair = reading.make_pair(one, other, head)
    return outcome, pair, int(pair.prompt + pair.second == one)


def _weight(value: Any) -> float:
    if value is None or value == "":
        return 1.0
    try:
        weight = float(value)
    except (TypeError, ValueError):
        weight = math.nan
    if not (math.isfinite(weight) and weight > 0):
        raise ValueError(f"weight is {value!r}; a positive number is needed")
    return weight


def _names(name: str, values: Sequence[Any]) -> tuple[Index | None, tuple[str, ...]]:
    """Names as numbers, in alphabetical order; None where there are none at all."""
    texts = ["" if v is None or v != v else str(v).strip() for v in values]
    empty = texts.count("")
    if empty == len(texts):
        return None, ()
    if empty:
        raise ValueError(
            f"{name} is missing in {empty} of {len(texts)} labels; it is needed in all or in none"
        )
    found = sorted(set(texts))
    place = {text: k for k, text in enumerate(found)}
    return np.array([place[text] for text in texts]), tuple(found)


def _told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items())


def _rows(source: Any, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows with the place that they come from."""
    for one in [source] if isinstance(source, str | Path) else source:
        if str(one).startswith("hub:"):
            name = str(one).removeprefix("hub:")
            for k, row in enumerate(reading.hub_rows(name, split), 1):
                yield f"{name}, row {k}", row
            continue
        path = Path(one)
        if not path.exists():
            raise ValueError(f"{path} does not exist; name a file, a folder or hub:owner/name")
        every = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        files = [p for p in every if p.name.endswith(FORMATS)]
        if not files:
            raise ValueError(f"{path} holds no {', '.join(FORMATS)} file")
        for file in files:
            yield from _file(file)


def _file(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if path.suffix in (".csv", ".parquet"):
        for k, row in enumerate(read_rows(path), 1):
            yield f"{path}, row {k}", row
    else:
        for k, line in enumerate(reading.file_rows(path), 1):
            for row in reading.objects(line):
                yield f"{path}, line {k}", row


def support(own: OwnLabels, estimator: str, types: Sequence[str] | int | None = None) -> None:
    """Refuse what the labels cannot support, before a model is loaded.

    Args:
        own: The labels to train on.
        estimator: One of ``ESTIMATORS``.
        types: Names that the types must have, or their number for "em".

    Raises:
        ValueError: the labels lack what the estimator needs; it says what would do.
    """
    if estimator in ("corrected", "em"):
        if own.annotator is None:
            raise ValueError(f"{estimator} needs to know who gave each label: a column annotator")
        most = Counter(own.annotator.tolist()).most_common(1)[0][1]
        if most < 2:
            raise ValueError(
                f"{estimator} needs linked labels, and each of {len(own.annotators)} annotators "
                "gave one: ask some of them at least twice, or take estimator: dpo"
            )
    if estimator == "em":
        if not isinstance(types, int) or isinstance(types, bool) or types < 1:
            raise ValueError(f"types is {types!r}; em needs the number of types")
        if types > len(own.annotators):
            raise ValueError(f"types is {types}, and there are {len(own.annotators)} annotators")
    if estimator in ("agreement", "conditional", "types"):
        if own.type is None:
            raise ValueError(f"{estimator} needs the type of who gave each label: a column type")
        wanted = own.types if types is None else types
        if isinstance(wanted, int):
            raise ValueError(f"types is {wanted}; {estimator} needs their names, or null for all")
        for name in wanted:
            if str(name) not in own.types or not (own.type == own.types.index(str(name))).any():
                raise ValueError(
                    f"type {name!r} has no label to train on; types with labels are "
                    f"{', '.join(own.types)}"
                )
        if set(map(str, wanted)) != set(own.types):
            extra = sorted(set(own.types) - set(map(str, wanted)))
            raise ValueError(f"types leaves out {', '.join(extra)}, of which there are labels")
    if estimator in ("agreement", "conditional") and (own.weight != 1).any():
        raise ValueError(f"{estimator} counts whole labels; leave weights out and drop ties")
    if estimator in ("agreement", "conditional") and not len(complete(own)[0]):
        raise ValueError(
            f"{estimator} needs pairs that all of {len(own.types)} types labelled, and there is "
            "none: have the same pairs labelled by every type, or take estimator: types"
        )


def complete(own: OwnLabels) -> tuple[Index, Index, Index]:
    """Pairs that every type labelled.

    Returns:
        Their numbers, shape (found,); how many labels preferred the second text, (found, types);
        how many labels there are, (found, types).
    """
    assert own.type is not None
    shape = (len(own.pairs), len(own.types))
    wins, every = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    np.add.at(every, (own.pair, own.type), 1)
    np.add.at(wins, (own.pair, own.type), own.preferred)
    whole = np.flatnonzero((every > 0).all(axis=1))
    return whole, wins[whole], every[whole]
