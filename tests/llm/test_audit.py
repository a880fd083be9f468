"""Figures of a data set's lengths, and the command that stores them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from hetlib import store
from hetlib.llm.analysis import audit
from hetlib.llm.data import labels, synthetic


@pytest.mark.slow
def test_figures() -> None:
    x = synthetic.pair_lengths(3000)
    found = audit.audit(x)
    assert json.loads(json.dumps(found)) == found
    d = labels.differences(x)
    better = np.sign(d.mean(axis=0))
    decided = better != 0
    assert found["pairs"] == 3000
    assert found["decided"] == decided.sum()
    shorter = (np.sign(x[:, 0] - x[:, 1]) == better)[decided].mean()
    falling = found["rules"].pop("falling")
    assert found["rules"] == pytest.approx({"shorter": shorter, "longer": 1 - shorter})
    assert shorter < falling < found["limit"]["anonymous"]
    right = expit(better * d).mean(axis=0)[decided].mean()
    assert found["right"]["anonymous"] == pytest.approx(right)
    assert found["limit"]["consensus"] == found["limit"]["homogeneous"] == 1
    assert found["limit"]["anonymous"] < found["pair"] <= 1
    assert found["types"] < 0.5  # two of three types mostly want the worse text
    rows = np.array(found["by_difference"])
    assert rows[:, 2].sum() == 3000
    assert rows[:, 2] @ rows[:, 3] / 3000 == pytest.approx(found["unanimous"])
    assert rows[0].tolist()[3] == pytest.approx(0.25)
    assert (np.diff(rows[:, 3]) < 0).all()  # the further apart, the rarer is unanimity


def test_scaled_lengths_give_scaled_buckets() -> None:
    x = synthetic.pair_lengths(500)
    small = audit.audit(np.maximum(x // 8, 1), limit=64)
    assert {row[1] for row in small["by_difference"]} <= {1, 2, 4, 8, 16, 32, 64}
    assert sum(row[2] for row in small["by_difference"]) == 500


def write_model(folder: Path, texts: list[str]) -> None:
    pretrain = pytest.importorskip("hetlib.llm.model.pretrain")
    pretrain.train_tokenizer(texts).save_pretrained(folder)
    (folder / "config.json").write_text('{"model_type": "llama"}')


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = synthetic.dialogues(60, limit=64)
    rows = [{"chosen": p.prompt + p.first, "rejected": p.prompt + p.second} for p in made]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_model(tmp_path, [text for row in rows for text in row.values()])
    out = tmp_path / "out.json"
    arguments = [str(tmp_path / "test.jsonl"), str(tmp_path), str(out), "--limit", "64"]
    audit.main(arguments)
    wanted: dict[str, Any] = {"data": "test.jsonl", "split": "test", "limit": 64}
    stored = store.load_result(out, wanted)
    assert stored is not None
    assert stored["results"]["pairs"] == stored["results"]["read"] == 60
    lengths = [[len((p.prompt + r).split()) + 1 for r in (p.first, p.second)] for p in made]
    assert stored["results"]["right"] == audit.audit(lengths, 64)["right"]
    assert not set(synthetic.WORDS) & set(out.read_text().replace('"', " ").split())
    monkeypatch.setattr(sys, "argv", ["audit", str(tmp_path / "none.jsonl"), *arguments[1:]])
    with pytest.raises(SystemExit, match=r"none.jsonl does not exist"):
        audit.main()
