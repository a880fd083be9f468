"""A method from a file outside the package: one of all, stored for itself, known to workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from hetlib import store
from hetlib.comparison import registry
from hetlib.comparison.cells import Cell, run_cell

#: Exactly what the recipe in CONTRIBUTING asks for: one file.
MINE = '''
import numpy as np
from hetlib.borda.optima import dpo_loss
from hetlib.comparison.registry import Result, register
from hetlib.comparison.tuning import tune
from hetlib.ring.fits import fit_dpo_tables


@register("median", "median of types", form="typed", aim="other", colour="#117733", mark="*")
def median(labels):
    """One reward a type; each response gets the median of the types."""
    wins = labels.typed
    fit = lambda kept, ridge, near: fit_dpo_tables(kept, ridge).reward
    loss = lambda r, held: dpo_loss(held)(r[:, :, None] - r[:, None, :])[0].sum()
    found = tune(labels, wins, fit, loss)
    return Result(labels.policy(np.median(found.model, axis=0)), labels.size, ridge=found.ridge)
'''


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(registry, "METHODS", dict(registry.known()))
    monkeypatch.setattr(registry, "_LOADED", {})
    file = tmp_path / "mymethod.py"
    file.write_text(MINE)
    return file


def test_one_file_makes_a_method(mine: Path) -> None:
    methods = registry.known([mine])
    assert list(methods)[-1] == "median"
    assert methods["median"].home == str(mine)
    assert (methods["median"].colour, methods["median"].mark) == ("#117733", "*")
    result = run_cell(Cell("random", 1_000, 0, methods=("dpo", "median")))
    assert 0 < result["median"]["regret"] != result["dpo"]["regret"]


@pytest.mark.slow
def test_a_new_method_computes_its_own_results_only(mine: Path, tmp_path: Path) -> None:
    asked: list[tuple[str, ...]] = []

    def count(cell: Cell) -> dict[str, dict[str, float]]:
        asked.append(cell.methods)
        return run_cell(cell)

    count.__module__ = run_cell.__module__
    folder = tmp_path / "cells"

    def compute(*methods: str) -> list[dict[str, dict[str, float]]]:
        asked.clear()
        return store.run(count, [Cell("random", 900, 0, methods=methods)], folder, workers=0)

    before = compute("uniform", "dpo")
    registry.load(mine)
    after = compute("uniform", "dpo", "median")
    assert asked == [("median",)]
    assert after[0]["dpo"] == before[0]["dpo"]
    # A changed method is computed again, and no other; a changed comment changes nothing
    mine.write_text("# a note\n" + MINE)
    registry.load(mine)
    assert compute("uniform", "dpo", "median") == after
    assert asked == []
    mine.write_text(MINE.replace("np.median(found.model", "np.mean(found.model"))
    registry.load(mine)
    changed = compute("uniform", "dpo", "median")
    assert asked == [("median",)]
    assert changed[0]["median"] != after[0]["median"]


@pytest.mark.slow
def test_workers_know_it(mine: Path, tmp_path: Path) -> None:
    registry.load(mine)
    cells = [Cell("random", 900, seed, methods=("dpo", "median")) for seed in (0, 1)]
    there = store.run(run_cell, cells, tmp_path / "there", workers=2)
    assert there == store.run(run_cell, cells, tmp_path / "here", workers=0)


def test_a_method_without_labels_does_not_stop_the_others() -> None:
    from hetlib.comparison.worlds import Conditions

    result = run_cell(Cell("many", 1_000, 0, Conditions(assumed=24), ("dpo", "agreement")))
    assert result["agreement"]["failed"] == 1
    assert "24 groups on a pair" in str(result["agreement"]["why"])
    assert result["dpo"]["failed"] == 0


def test_bad_files_are_named(mine: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("")
    for home, message in (
        (tmp_path / "empty.py", "registers no method"),
        (tmp_path / "gone.py", "there is no such file"),
        ("hetlib.nowhere", "methods are asked for in"),
    ):
        with pytest.raises(ValueError, match=message):
            registry.load(home)
    (tmp_path / "again.py").write_text(MINE)
    registry.load(mine)
    with pytest.raises(ValueError, match="'median', which is 'median of types' already"):
        registry.load(tmp_path / "again.py")
