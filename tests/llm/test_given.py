"""Labels drawn from given probabilities, and the rows of a report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hetlib.llm.analysis import report
from hetlib.llm.data.labels import draw_labels
from hetlib.llm.data.lengths import mean_reward
from hetlib.llm.data.tokens import TokenPairs
from hetlib.llm.model.settings import Settings

KEYS = [str(k) for k in range(4000)]


def pairs(n: int = 60) -> TokenPairs:
    rng = np.random.default_rng(0)
    first, second = (
        [np.arange(size, dtype=np.int32) for size in sizes] for sizes in rng.integers(3, 60, (2, n))
    )
    return TokenPairs(KEYS[:n], np.ones(n, dtype=np.int32), first, second)


def test_labels_have_the_given_probability_and_do_not_depend_on_order() -> None:
    chance = np.where(np.arange(4000) % 2 == 0, 0.2, 0.9)
    labels = draw_labels(chance, KEYS, seed=3)
    assert abs(labels[0::2].mean() - 0.2) < 0.04
    assert abs(labels[1::2].mean() - 0.9) < 0.04
    back = draw_labels(chance[::-1], KEYS[::-1], seed=3)
    assert (back[::-1] == labels).all()
    assert (draw_labels(chance, KEYS, seed=3, presentation=1) != labels).any()


def test_bad_probabilities_are_named() -> None:
    with pytest.raises(ValueError, match=r"chance\[1\] is 1.5"):
        draw_labels([0.5, 1.5], ["a", "b"])
    with pytest.raises(ValueError, match="one a key"):
        draw_labels([0.5], ["a", "b"])


def test_training_uses_the_row_of_its_seed() -> None:
    torch = pytest.importorskip("torch")
    from hetlib.llm.train.trainer import Presentations

    data = pairs()
    chance = np.stack([np.zeros(60), np.ones(60)])
    for seed in (0, 1):
        settings = Settings(labels="given", seed=seed, batch=4, limit=64, presentations=60)
        shown = Presentations(settings, replace(data, chance=chance))
        assert torch.equal(shown[0]["preferred"], torch.full((4,), seed, dtype=torch.uint8))
    with pytest.raises(ValueError, match="no probabilities"):
        Presentations(Settings(labels="given", limit=64), data)
    assert replace(data, chance=chance).digest() != data.digest()


def test_a_row_of_the_average_reward_is_perfect() -> None:
    data = pairs()
    scores = mean_reward(data.lengths, 64)
    row = report.row(scores, data, "homogeneous", 64, curve=[{"step": 3, "loss": 0.5}, {"step": 4}])
    assert row["agreement"] == 1
    assert row["calibration"] == pytest.approx(0, abs=1e-9)
    assert row["training"] == [[3, 0.5, None]]
    assert all(rate == 1 for _, _, rate in row["buckets"])
    consensus = report.row(scores, data, "consensus", 64, factor=3)
    assert consensus["calibration"] == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError, match="scores have shape"):
        report.row(scores[:3], data, "homogeneous", 64)


def test_stored_rows_are_read_only_with_the_same_settings(tmp_path: Path) -> None:
    file = tmp_path / "llm.json"
    assert report.load(file, {"limit": 64}) is None
    cells = {"reward-anonymous": [{"agreement": 0.9}, {"agreement": 0.8}]}
    report.save(file, {"limit": 64, "workers": 1}, cells, pairs={"held_out": 5})
    found = report.load(file, {"limit": 64, "workers": 7})
    assert found is not None
    assert report.column(found, "reward-anonymous").tolist() == [0.9, 0.8]
    assert report.column(found, "other").size == 0 == report.column(None, "other").size
    with pytest.raises(ValueError, match="limit is 64, not 512"):
        report.load(file, {"limit": 512})
