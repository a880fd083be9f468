"""Runs of the small model: they learn, repeat to the byte, and refuse what they cannot do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hetlib.llm.data.agreement import agreement
from hetlib.llm.data.labels import KINDS, differences
from hetlib.llm.data.tokens import TokenPairs
from hetlib.llm.model import pretrain
from hetlib.llm.model.settings import LOSSES
from hetlib.llm.runs import experiment
from hetlib.llm.runs.plan import Plan
from hetlib.llm.train import trainer
from hetlib.llm.train.training import train

WORLD: dict[str, Any] = {
    **{"model": "tiny", "data": "synthetic", "train_pairs": 1200, "held_out_pairs": 600},
    **{"limit": 48, "vocabulary": 90, "eos": True, "hidden": 32, "intermediate": 64},
    **{"precision": "float32", "batch": 32, "learning_rate": 1e-2, "dropout": 0.0},
    **{"pretrain_steps": 40, "evaluations": 2, "presentations": 64},
}
Data = tuple[TokenPairs, TokenPairs]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """As workers have: with more threads sums have another order, and bytes differ."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return Plan.from_mapping(WORLD | {"folder": str(tmp_path_factory.mktemp("runs"))})


@pytest.fixture(scope="module")
def data(plan: Plan) -> Data:
    return plan.load()


@pytest.mark.slow
def test_a_reward_model_learns_what_one_type_wants(plan: Plan, data: Data, tmp_path: Path) -> None:
    s = replace(plan.settings.cell("reward-homogeneous"), labels="average", presentations=2400)
    metrics = train(s, *data, tmp_path / "run", plan.folder)
    lengths = data[1].lengths
    shorter = agreement(lengths[:, 0] - lengths[:, 1], differences(lengths, 48).mean(axis=0))
    assert metrics["agreement"] > shorter.rate + 0.03
    assert metrics["low"] < metrics["agreement"] < metrics["high"]
    first, last = metrics["curve"][0], metrics["curve"][-1]
    assert last["loss"] < first["loss"]
    assert last["label_agreement"] > 0.7
    assert last["step"] == metrics["steps"] == 75
    assert metrics["presentations"] == 2400
    scores = np.load(tmp_path / "run" / "scores.npy")
    assert scores.shape == (600, 2)
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert files == {
        *("settings.json", "environment.json", "metrics.json", "times.json"),
        *("scores.npy", "trained.safetensors"),
    }


@pytest.mark.slow
def test_alignment_leaves_its_reference(plan: Plan, data: Data, tmp_path: Path) -> None:
    s = replace(plan.settings.cell("alignment-homogeneous-frozen"), labels="average")
    still = train(replace(s, learning_rate=0.0), *data, tmp_path / "still", plan.folder)
    assert still["agreement"] == 0.5  # the policy is its reference: every margin is zero
    assert still["curve"][-1]["loss"] == pytest.approx(np.log(2))
    metrics = train(replace(s, presentations=2400), *data, tmp_path / "run", plan.folder)
    assert metrics["curve"][-1]["loss"] < np.log(2) - 0.02
    assert metrics["low"] > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("fails", [False, True])
def test_subnormal_numbers_are_zeros_in_training_alone(
    fails: bool, plan: Plan, data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    loss = trainer.pair_loss

    def watched(*args: Any) -> Any:
        seen.append(float(torch.tensor([5e-324], dtype=torch.float64).add(0.0)))
        if fails:
            raise RuntimeError("stopped here")
        return loss(*args)

    monkeypatch.setattr(trainer, "pair_loss", watched)
    s = replace(plan.settings.cell("reward-homogeneous"), presentations=64)
    if fails:
        with pytest.raises(RuntimeError, match="stopped here"):
            train(s, *data, tmp_path / "run", plan.folder)
    else:
        train(s, *data, tmp_path / "run", plan.folder)
    assert seen
    assert set(seen) == {0.0}
    assert float(torch.tensor([5e-324], dtype=torch.float64).add(0.0)) > 0  # off again
    assert float((np.array([5e-324]) + 0.0)[0]) > 0


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(plan: Plan, data: Data, tmp_path: Path) -> None:
    s = replace(plan.settings.cell("alignment-consensus"), dropout=0.1)
    for name in ("one", "two"):
        train(s, *data, tmp_path / name, plan.folder)
    train(replace(s, seed=1), *data, tmp_path / "three", plan.folder)
    for file in ("metrics.json", "scores.npy", "trained.safetensors"):
        one, two, three = ((tmp_path / n / file).read_bytes() for n in ("one", "two", "three"))
        assert one == two != three


@pytest.mark.slow
def test_a_finished_run_is_read_again(plan: Plan, data: Data, tmp_path: Path) -> None:
    s = plan.settings.cell("reward-anonymous")
    metrics = train(s, *data, tmp_path, plan.folder)
    before = (tmp_path / "metrics.json").stat().st_mtime_ns
    assert train(s, *data, tmp_path, plan.folder) == metrics
    assert (tmp_path / "metrics.json").stat().st_mtime_ns == before
    with pytest.raises(
        ValueError, match=r"another run: learning_rate is 0\.01 there and 0\.5 here"
    ):
        train(replace(s, learning_rate=0.5), *data, tmp_path, plan.folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes", [{"batch": 8, "accumulate": 4}, {"checkpointing": True}, {"chunk": 50}], ids=str
)
def test_how_a_step_is_computed_makes_no_difference(
    changes: dict[str, Any], plan: Plan, data: Data, tmp_path: Path
) -> None:
    s = replace(plan.settings.cell("alignment-anonymous"), reference="frozen", beta=0.1)
    train(s, *data, tmp_path / "plain", plan.folder)
    train(replace(s, **changes), *data, tmp_path / "other", plan.folder)
    plain, other = (np.load(tmp_path / name / "scores.npy") for name in ("plain", "other"))
    assert abs(plain).max() > 0.01  # it has learned something
    np.testing.assert_allclose(other, plain, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_and_half_precision(loss: str, plan: Plan, data: Data, tmp_path: Path) -> None:
    kind = "consensus" if loss in ("agreement", "integral") else "anonymous"
    s = replace(plan.settings, method="reward", loss=loss, labels=kind, precision="bf16")
    metrics = train(s, *data, tmp_path, plan.folder)
    assert all(np.isfinite(row["loss"]) for row in metrics["curve"])


@pytest.mark.slow
def test_many_runs_side_by_side(plan: Plan, data: Data, tmp_path: Path) -> None:
    runs = [plan.settings.cell("reward-anonymous", seed) for seed in (0, 1)]
    jobs = [experiment.Job(run, *data) for run in runs]
    found = experiment.run_all(jobs, tmp_path / "apart", workers=2)
    alone = experiment.run_all(jobs, tmp_path / "alone", workers=0)
    for one, two in zip(found, alone, strict=True):
        assert one["agreement"] == two["agreement"]
        assert (experiment.read_scores(one) == experiment.read_scores(two)).all()
    assert found[0]["agreement"] != found[1]["agreement"]
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "apart").rglob("*.json")}
    assert experiment.run_all(jobs, tmp_path / "apart", workers=2) == found
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    with pytest.raises(ValueError, match="workers is -1"):
        experiment.run_all(jobs, tmp_path, workers=-1)


def test_concurrent_writers_leave_one_small_model(
    plan: Plan, data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process finishes the same model while this one still trains it."""
    settings, slow = replace(plan.settings, pretrain_steps=3), pretrain._train

    def overtaken(*args: Any) -> Any:
        monkeypatch.setattr(pretrain, "_train", slow)
        pretrain.pretrained(settings, data[0], tmp_path)
        return slow(*args)

    monkeypatch.setattr(pretrain, "_train", overtaken)
    found = pretrain.pretrained(settings, data[0], tmp_path)
    assert list(tmp_path.iterdir()) == [found]
    assert json.loads((found / "config.json").read_text())["vocab_size"] == 90


def test_a_small_model_of_other_code_is_not_used(
    plan: Plan, data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Made:
        def save_pretrained(self, folder: Path) -> None:
            (folder / "model.safetensors").touch()

    monkeypatch.setattr(pretrain, "_train", lambda *_: Made())
    first = pretrain.pretrained(plan.settings, data[0], tmp_path)
    assert pretrain.pretrained(plan.settings, data[0], tmp_path) == first
    (tmp_path / "plain").mkdir()
    assert first.stat().st_mode == (tmp_path / "plain").stat().st_mode  # as new folders have
    monkeypatch.setattr(pretrain, "code_digest", lambda *_: "other")
    assert pretrain.pretrained(plan.settings, data[0], tmp_path) != first


@pytest.mark.slow
def test_pretraining_predicts_better_than_chance(plan: Plan, data: Data) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    where = pretrain.pretrained(plan.settings, data[0], plan.folder)
    model = AutoModelForCausalLM.from_pretrained(where)
    ids = torch.from_numpy(data[1].first[0].astype(np.int64))[None]
    with torch.no_grad():
        loss = float(model(input_ids=ids, labels=ids).loss)
    assert loss < 0.8 * np.log(90)


def test_vocabulary_must_hold_the_texts(plan: Plan, data: Data, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="vocabulary is 10, but the texts have token"):
        train(replace(plan.settings, vocabulary=10), *data, tmp_path / "run")


def test_tokenizer_starts_every_text_alike() -> None:
    tokenizer = pretrain.train_tokenizer(["one two three", "two three four"], 7)
    ids = tokenizer("two three nine").input_ids
    assert tokenizer.convert_ids_to_tokens(ids)[0] == "<bos>"
    assert tokenizer.convert_ids_to_tokens(ids)[-1] == "<unk>"
    assert len(tokenizer) == 7
    with pytest.raises(ValueError, match="vocabulary is 4"):
        pretrain.train_tokenizer(["one"], 4)


def test_labels_of_a_run_are_those_of_the_seed(plan: Plan, data: Data) -> None:
    from hetlib.llm.data.labels import label_pairs
    from hetlib.llm.train.trainer import Presentations

    s = replace(plan.settings, presentations=2400, batch=30, seed=5)
    shown = Presentations(s, data[0])
    n = len(data[0])
    for epoch in (0, 1):
        wanted = label_pairs(data[0].lengths, data[0].keys, s.labels, 5, epoch, s.limit)
        assert (shown.preferred[epoch * n : (epoch + 1) * n] == wanted).all()
    batch = shown[3]
    assert (batch["preferred"].numpy() == shown.preferred[shown.plan[3]]).all()
    assert s.labels in KINDS
