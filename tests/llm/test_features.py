"""States of a frozen model: those of texts by themselves, stored in parts that count when whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hetlib.llm.analysis import features
from hetlib.llm.model import models, pretrain
from hetlib.llm.runs.plan import Plan


def test_states_are_those_of_texts_alone_and_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"model": "tiny", "data": "synthetic", "train_pairs": 40, "held_out_pairs": 5}
    sizes = {"limit": 40, "vocabulary": 90, "hidden": 32, "layers": 2, "precision": "float32"}
    more = {"folder": str(tmp_path), "pretrain_steps": 5, "device": "cpu", "eval_batch": 7}
    plan = Plan.from_mapping(values | sizes | more)
    data, _ = plan.load()
    small = pretrain.pretrained(plan.settings, data, tmp_path)
    monkeypatch.setattr(features, "CHUNK", 16)
    found = features.store_states(plan.settings, data, tmp_path / "states", small)
    assert found.shape == (40, 2, 32)
    base = models.load_base(plan.settings, small).eval()
    with torch.no_grad():
        for k in (0, 17, 39):
            for side, text in enumerate((data.first[k], data.second[k])):
                ids = torch.from_numpy(text.astype(np.int64))[None]
                alone = base.base_model(input_ids=ids).last_hidden_state[0, -1].numpy()
                assert found[k, side] == pytest.approx(alone, abs=5e-3, rel=5e-3)
    parts = sorted((tmp_path / "states").rglob("*.npy"))
    assert len(parts) == 3
    parts[1].write_bytes(parts[1].read_bytes()[:50])  # half written
    done: list[int] = []
    compute = features._states

    def counting(*arguments: Any) -> Any:
        done.append(len(arguments[3]))
        return compute(*arguments)

    monkeypatch.setattr(features, "_states", counting)
    assert (features.store_states(plan.settings, data, tmp_path / "states", small) == found).all()
    assert done == [16]
