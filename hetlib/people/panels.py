"""The packaged data of real people; licences and sources are in ``hetlib/data/README.md``."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from hetlib.checks import Array
from hetlib.core.labels import Indices
from hetlib.mixture.rankings import Rankings
from hetlib.people.tables import PeopleLabels, read_labels

#: The five qualities of a child in the order of the digits of a ranking.
QUALITIES = ("obey", "popular", "thnkself", "workhard", "helpoth")
#: Columns of the votes by our names.
VOTES = {"annotator": "judge", "first": "model_a", "second": "model_b", "choice": "winner"}


@dataclass(frozen=True)
class Repeated:
    """One question that the same people answered twice.

    Attributes:
        name: Of the variable in the survey.
        options: Answers.
        counts: People by party and both answers, shape (parties, options, options).
    """

    name: str
    options: tuple[str, ...]
    counts: Array


@cache
def _panels() -> dict[str, Any]:
    text = (files("hetlib") / "data" / "gss_panels.json").read_text("utf-8")
    return dict(json.loads(text))


def repeated_answers() -> tuple[tuple[str, ...], list[Repeated]]:
    """Names of the parties, and every question asked twice of the same people."""
    built = _panels()
    found = [
        Repeated(row["name"], tuple(row["options"]), np.array(row["counts"], dtype=np.float64))
        for row in built["repeats"]
    ]
    return tuple(built["parties"]), found


def pair_wins(grouping: str = "all") -> dict[str, Array]:
    """Three answers of each person on every pair of qualities of a child.

    Args:
        grouping: ``all``, ``party``, ``degree``, ``fund`` or ``sex``.

    Returns:
        By group, how many people put i above j in k of three rankings, shape (4, 5, 5).

    Raises:
        ValueError: an unknown grouping.
    """
    rows = [row for row in _panels()["wins"] if row[0] == grouping]
    if not rows:
        known = sorted({row[0] for row in _panels()["wins"]})
        raise ValueError(f"grouping is {grouping!r}; it must be one of {', '.join(known)}")
    out: dict[str, Array] = {}
    for _, group, first, second, *counts in rows:
        table = out.setdefault(group, np.zeros((4, 5, 5)))
        i, j = QUALITIES.index(first), QUALITIES.index(second)
        table[:, i, j], table[:, j, i] = counts, counts[::-1]
    return out


def child_rankings() -> Rankings:
    """Three rankings by each of 2,130 people, shape (people, 3, 5)."""
    orders = []
    for *waves, people in _panels()["rankings"]:
        each = [np.argsort([int(digit) for digit in wave]) for wave in waves]
        orders += [each] * int(people)
    return Rankings(np.array(orders))


def _csv(name: str) -> list[dict[str, str]]:
    text = (files("hetlib") / "data" / name).read_text("utf-8")
    return list(csv.DictReader(io.StringIO(text)))


def mt_bench(ties: str = "half") -> PeopleLabels:
    """Votes of 65 judges between answers of six chat models.

    Args:
        ties: ``"half"`` a win each, or ``"drop"``.
    """
    rows: list[dict[str, Any]] = [
        row | {"prompt": f"{row['question_id']} turn {row['turn']}"}
        for row in _csv("mt_bench_votes.csv")
    ]
    codes = {"first_codes": ("model_a",), "second_codes": ("model_b",)}
    return read_labels(rows, VOTES, ties=ties, **codes)  # type: ignore[arg-type]


def turns_agree() -> tuple[int, int, int, int]:
    """How often one judge voted the same on both turns of a question and pair.

    Returns:
        Equal votes and cases, ties counted as a vote; then both among cases without a tie.
    """
    seen: dict[tuple[str, ...], dict[str, str]] = {}
    for row in _csv("mt_bench_votes.csv"):
        key = row["judge"], row["question_id"], row["model_a"], row["model_b"]
        seen.setdefault(key, {})[row["turn"]] = row["winner"]
    both = [votes for votes in seen.values() if len(votes) == 2]
    clear = [votes for votes in both if "tie" not in votes.values()]
    same = [sum(v["1"] == v["2"] for v in some) for some in (both, clear)]
    return same[0], len(both), same[1], len(clear)


def film_rankings() -> tuple[Rankings, dict[str, Indices], dict[str, tuple[str, ...]]]:
    """One ranking of six films by each of 834 people.

    Returns:
        The rankings; by grouping (fan, sex, age) the group of each person, -1 if not said; and
        the names of the groups.
    """
    rows = _csv("star_wars_2014.csv")
    orders = np.array([[np.argsort([int(d) for d in row["ranks"]])] for row in rows])
    groups, names = {}, {}
    for grouping in ("fan", "sex", "age"):
        names[grouping] = tuple(sorted({row[grouping] for row in rows} - {""}))
        place = {name: k for k, name in enumerate(names[grouping])}
        groups[grouping] = np.array([place.get(row[grouping], -1) for row in rows])
    return Rankings(orders), groups, names
