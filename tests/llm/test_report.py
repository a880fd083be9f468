"""Runs of a parameter file, from the command line to a stored file and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from hetlib.llm.__main__ import main
from hetlib.llm.analysis import report
from hetlib.llm.runs.plan import Plan

VALUES: dict[str, Any] = {
    **{"data": "synthetic", "train_pairs": 40, "held_out_pairs": 30, "limit": 48},
    **{"model": "tiny", "hidden": 16, "layers": 1, "heads": 2, "intermediate": 16},
    **{"vocabulary": 96, "pretrain_steps": 2, "batch": 8, "presentations": 16},
    **{"precision": "float32", "evaluations": 2, "device": "cpu"},
    **{"cells": ["reward-consensus", "alignment-anonymous-frozen"], "seeds": [0, 1]},
    **{"rates": [0.001, 0.01], "rate_cells": ["reward-consensus"], "learning_rate": 0.001},
}


@pytest.mark.slow
def test_from_runs_to_a_stored_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    params, result = tmp_path / "own.yml", tmp_path / "own.json"
    params.write_text(yaml.safe_dump(VALUES))
    folder = ["--folder", str(tmp_path / "runs")]
    with pytest.raises(SystemExit, match="nothing stored"):
        report.main([str(params), str(result), *folder])
    assert main([str(params), "--cell", "reward-consensus", *folder]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["seed"] for row in told] == [0, 1]  # no sweep where cells are named

    report.main([str(params), str(result), *folder])
    stored = report.load(result, VALUES)
    assert stored is not None
    assert stored["missing"] == ["alignment-anonymous-frozen", "reward-consensus, learning rates"]
    assert report.column(stored, "reward-consensus").round(4).tolist() == [
        round(row["agreement"], 4) for row in told
    ]
    assert stored["environment"]["device"] == "cpu"

    assert main([str(params), *folder]) == 0  # the rest
    assert len(capsys.readouterr().out.splitlines()) == 5  # two cells, two seeds; a rate more
    report.main([str(params), str(result), *folder])
    stored = report.load(result, VALUES)
    assert stored is not None
    assert stored["missing"] == []
    sweep = stored["sweep"]["reward-consensus"]
    assert [rate for rate, _ in sweep] == [0.001, 0.01]
    assert sweep[0][1]["agreement"] == stored["cells"]["reward-consensus"][0]["agreement"]
    assert stored["pairs"]["held_out"] == 30
    assert 0.5 < stored["rules"]["shorter"] == pytest.approx(1 - stored["rules"]["longer"])
    assert str(tmp_path) not in result.read_text()  # no machine's paths


@pytest.mark.slow
def test_changes_are_stored(tmp_path: Path) -> None:
    params, result = tmp_path / "own.yml", tmp_path / "own.json"
    params.write_text(yaml.safe_dump(VALUES))
    folder = ["--folder", str(tmp_path / "runs")]
    change = ["--set", "presentations=8"]
    assert main([str(params), "--cell", "reward-consensus", *change, *folder]) == 0
    with pytest.raises(SystemExit, match="nothing stored"):
        report.main([str(params), str(result), *folder])  # the runs have other settings
    report.main([str(params), str(result), *change, *folder])
    with pytest.raises(ValueError, match="presentations is 8, not 16"):
        report.load(result, VALUES)


def test_content_is_told_by_digests(tmp_path: Path) -> None:
    found = report.collect(Plan.from_mapping(VALUES | {"folder": str(tmp_path)}))
    assert found["cells"] == found["sweep"] == found["environment"] == {}
    assert found["content"]["train"] != found["content"]["held_out"]


def test_another_number_of_pairs_a_step_is_refused(tmp_path: Path) -> None:
    """Eight processes of two pairs are another experiment than one."""
    entry = {"agreement": 0.5, "seed": 0, "processes": 8, "global_batch": 16}
    values = {"model": "tiny", "batch": 2}
    report.save(tmp_path / "r.json", values, {"reward-anonymous": [entry]})
    with pytest.raises(ValueError, match=r"16 pairs a step on 8 processes; .* has 2"):
        report.load(tmp_path / "r.json", values)
    report.save(tmp_path / "s.json", values, {"reward-anonymous": [entry | {"global_batch": 2}]})
    assert report.load(tmp_path / "s.json", values)
