"""Every method of the comparison on a table of labels, as on the labels it came from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hetlib
from hetlib.checks import Array
from hetlib.comparison import registry
from hetlib.comparison.budgets import LabelSet
from hetlib.comparison.own import TableLabels, fit_table
from hetlib.comparison.worlds import Conditions, make_world
from hetlib.core.tables import LabelTable, read_labels

REWARDS = np.array([[1.5, 0.0, -1.0, 0.3], [-1.0, 0.8, 1.0, -0.2]])


def rows(people: int = 60, each: int = 16, seed: int = 0) -> list[dict[str, Any]]:
    """Labels of two types on random pairs of four responses."""
    rng = np.random.default_rng(seed)
    out = []
    for person in range(people):
        r = REWARDS[person % 2]
        for _ in range(each):
            a, b = rng.choice(4, 2, replace=False)
            won = a if rng.random() < 1 / (1 + np.exp(r[b] - r[a])) else b
            row = {"first": str(a), "second": str(b), "choice": str(won)}
            out.append(row | {"annotator": f"p{person}", "party": "uv"[person % 2]})
    return out


@pytest.fixture(scope="module")
def table() -> LabelTable:
    return read_labels(rows(), group="party")


def test_every_method_takes_a_table(table: LabelTable) -> None:
    results, why = fit_table(table)
    assert why == {}
    assert list(results) == list(registry.known())
    for key, result in results.items():
        assert result.policy.shape == (4,), key
        assert result.policy.sum() == pytest.approx(1), key
        assert 0 <= result.labels <= len(table), key
    best = np.exp(REWARDS.mean(axis=0))
    off = {m: abs(r.policy - best / best.sum()).sum() / 2 for m, r in results.items()}
    assert off["personalised"] < off["uniform"]


def test_it_is_what_the_labels_of_a_world_give() -> None:
    """Counts drawn from a world, written out as a table, read, and fitted again."""
    given = Conditions(rewards=REWARDS.tolist(), beta=0.5)
    drawn = LabelSet(make_world("own", 0, given), 900, 0)
    lines = []
    for group, wins in enumerate(drawn.typed.astype(int)):
        for i, j in np.argwhere(wins):
            if i != j:
                one = {"first": str(j), "second": str(i), "choice": str(i), "party": str(group)}
                lines += [one] * wins[i, j]
    read = read_labels(lines, annotator=None, group="party", responses=list("0123"))
    labels = TableLabels(read, beta=0.5)
    off = ~np.eye(4, dtype=bool)
    assert np.array_equal(labels.typed[:, off], drawn.typed[:, off])
    for key in ("dpo", "personalised"):
        ours, theirs = (registry.known()[key].fit(x).policy for x in (labels, drawn))
        assert np.allclose(ours, theirs, atol=0.03), key  # folds, and so the ridge, may differ


def test_forms_by_hand() -> None:
    a, b = {"first": "x", "second": "y"}, {"first": "y", "second": "x"}
    lines = [
        a | {"annotator": "p", "choice": "x"}, b | {"annotator": "p", "choice": "x"},  # both x
        a | {"annotator": "p", "choice": "y"},  # a third label is no pair
        a | {"annotator": "q", "choice": "x"}, b | {"annotator": "q", "choice": "y"},  # mixed
        {"annotator": "q", "first": "x", "second": "z", "choice": "z"},
    ]  # fmt: skip
    both, mixed = TableLabels(read_labels(lines)).twice
    assert both.tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert mixed.tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]


def test_votes_of_every_group_by_hand() -> None:
    lines = [
        {"annotator": f"{g}{k}", "first": "x", "second": "y", "choice": c, "party": g}
        for g, said in (("u", "xxyxyy"), ("v", "xyyyy"))
        for k, c in enumerate(said)
    ]
    quota, seen = TableLabels(read_labels(lines, group="party")).votes(1)
    assert quota.total == 2
    assert seen.sum() == 5  # the sixth of u has no partner
    counts = {tuple(quota.counts[k]): seen[k, 1, 0] for k in range(4)}  # wins of y by type
    assert counts == {(0, 0): 1, (0, 1): 2, (1, 0): 0, (1, 1): 2}


def test_ties_are_decided_by_a_fair_coin_and_skips_are_left_out() -> None:
    line = {"annotator": "p", "first": "x", "second": "y"}
    lines = [line | {"choice": "tie"}] * 400 + [line | {"choice": ""}] * 7
    wins: list[Array] = [TableLabels(read_labels(lines), seed=k).anonymous for k in range(2)]
    assert all(w.sum() == 400 for w in wins)
    assert all(abs(w[0, 1] - 200) < 5 * 10 for w in wins)
    assert not np.array_equal(wins[0], wins[1])


def test_what_a_table_lacks_is_said_by_method(table: LabelTable) -> None:
    plain = read_labels(rows(), annotator=None)
    results, why = fit_table(plain)
    assert set(results) | set(why) == set(registry.known())
    assert "needs who gave each label" in why["em average"]
    assert "read it with group=" in why["agreement"]
    assert "dpo" in results
    _, few = fit_table(read_labels(rows(4, 3), group="party"))
    assert "people gave two labels; 5 are needed" in few["em average"]
    assert "types is None" in fit_table(read_labels(rows(6, 9)))[1]["pal"]


def test_refusals_name_the_argument(table: LabelTable) -> None:
    calls: list[tuple[dict[str, Any], str]] = [
        ({"methods": ["dop"]}, "methods has 'dop'; known are uniform, dpo"),
        ({"types": 0}, "types"),
        ({"types": 1.5}, "types"),
        ({"weights": [1.0]}, "weights"),
        ({"weights": [0.5, np.nan]}, "weights"),
        ({"reference": [0.5, 0.5]}, "reference"),
        ({"reference": [1.0, 0, 0, 0]}, "reference"),
        ({"beta": 0}, "beta"),
        ({"seed": -1}, "seed"),
    ]
    for given, message in calls:
        with pytest.raises(ValueError, match=message):
            fit_table(table, **given)
    nothing = {"annotator": ["p"], "first": ["x"], "second": ["y"], "choice": [""]}
    with pytest.raises(ValueError, match="no label with a choice"):
        fit_table(hetlib.read_labels(nothing))
    with pytest.raises(ValueError, match="the table has no groups"):
        fit_table(read_labels(rows(9, 9)), weights=[1.0])
