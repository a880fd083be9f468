"""Parameters by formula against published numbers and a model; the dry run."""

from __future__ import annotations

import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest

from hetlib.llm import __main__ as command
from hetlib.llm.model.settings import Settings
from hetlib.llm.runs import estimate

PARAMS = sorted(  # llm-own.yml asks for labels of one's own: tests/llm/test_own.py
    path for path in Path(__file__).parents[2].glob("params/llm-*.yml") if path.stem != "llm-own"
)


@pytest.mark.parametrize(
    ("model", "published"),
    [("meta-llama/Meta-Llama-3-8B", 8_030_261_248), ("HuggingFaceTB/SmolLM2-135M", 134_515_008)],
)
def test_published_numbers(model: str, published: int) -> None:
    assert estimate.architecture(Settings(model=model)).parameters == published


@pytest.mark.parametrize("method", ["reward", "alignment"])
def test_formula_counts_a_models_parameters(method: str) -> None:
    from hetlib.llm.model import models, pretrain

    sizes: dict[str, Any] = {"hidden": 24, "layers": 3, "heads": 3, "intermediate": 40}
    s = Settings(model="tiny", method=method, rank=5, vocabulary=77, precision="float32", **sizes)
    from transformers import LlamaForCausalLM

    base = LlamaForCausalLM(pretrain.configuration(s)).requires_grad_(False)
    a = estimate.architecture(s)
    assert a.parameters == sum(p.numel() for p in base.parameters())
    scorer = models.Scorer(s, base)
    trained = sum(p.numel() for p in scorer.parameters() if p.requires_grad)
    assert a.trained(s.rank, method == "reward") == trained


def test_reads_a_folders_configuration(tmp_path: Path) -> None:
    from hetlib.llm.model import pretrain

    s = Settings(model="tiny", hidden=32, vocabulary=50)
    pretrain.configuration(s).save_pretrained(tmp_path)
    found = estimate.architecture(Settings(model=str(tmp_path)))
    assert found == estimate.architecture(s)


def test_what_saves_memory_and_time() -> None:
    base = estimate.estimate(Settings())
    apart = estimate.estimate(Settings(shared_prompt=False))
    small = estimate.estimate(Settings(checkpointing=True))
    frozen = estimate.estimate(Settings(reference="frozen"))
    assert apart.tokens > base.tokens
    assert small.memory["activations"] < base.memory["activations"] / 4
    assert base.flops < small.flops < 1.6 * base.flops
    assert base.flops < frozen.flops < 1.6 * base.flops
    assert 14 < base.memory["base weights"] / 2**30 < 16  # two bytes for each of 8.03e9


def test_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"needs about .* GiB .* and 8\.0 GiB are free"):
        estimate.check_memory(Settings(), 8 * 2**30)
    estimate.check_memory(Settings(), 80e9)
    estimate.check_memory(Settings(model="some/other"), 1.0)  # unknown sizes: no verdict


def test_refuses_unknown_sizes() -> None:
    with pytest.raises(ValueError, match=r"needs a folder with config\.json"):
        estimate.architecture(Settings(model="some/other"))
    with pytest.raises(ValueError, match="there is no such file"):
        estimate.architecture(Settings(model="none.gguf"))


@pytest.mark.parametrize("path", PARAMS, ids=lambda path: path.stem)
def test_dry_run_needs_no_network_and_no_torch(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("the dry run opened a connection")

    monkeypatch.setattr(socket, "socket", refuse)
    before = set(sys.modules)
    assert command.main([str(path), "--dry-run"]) == 0
    out = capsys.readouterr().out
    for word in ("parameters", "tokens", "FLOPs", "memory", "A100-80GB", "CPU core"):
        assert word in out
    assert not {"torch", "transformers"} & (set(sys.modules) - before)


def test_command_names_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bad.yml"
    file.write_text("model: tiny\nlearning_rat: 1\n")
    assert command.main([str(file)]) == 2
    assert "did you mean learning_rate" in capsys.readouterr().err
    assert command.main([str(tmp_path / "none.yml")]) == 2
    assert "does not exist" in capsys.readouterr().err
    file.write_text("model: tiny\n")
    assert command.main([str(file), "--cell", "reward-x"]) == 2
    assert "cell is 'reward-x'" in capsys.readouterr().err
    assert command.main([str(file), "--set", "limit"]) == 2
    assert "NAME=VALUE" in capsys.readouterr().err
    file.write_text("batch: 4096\ndevice: cpu\n")  # of the 8-billion model
    assert command.main([str(file), "--cell", "alignment-anonymous"]) == 2
    assert "needs about" in capsys.readouterr().err


def test_llama_3_1_has_the_sizes_of_llama_3() -> None:
    known = estimate.KNOWN
    assert known["meta-llama/Llama-3.1-8B"] == known["meta-llama/Meta-Llama-3-8B"]
    assert known["meta-llama/Llama-3.2-1B"].parameters == 1_235_814_400  # published


def test_small_steps_take_as_long_as_their_launches() -> None:
    """16,000 steps of the tiny model are no matter of seconds, on no device."""
    s = Settings(model="tiny", layers=1, batch=2, presentations=32_000, precision="float32")
    e = estimate.estimate(s)
    assert (e.steps, e.launches) == (16_000, 1)
    for device in estimate.DEVICES:
        assert e.hours(device) * 3600 > 16_000 * 0.01
    large = estimate.estimate(Settings(presentations=32_000))
    assert large.hours("H100-80GB") * 3600 / large.steps > 0.034
    two = estimate.estimate(Settings(presentations=32_000, accumulate=2))
    assert two.launches == 2 * large.launches


@pytest.mark.slow
def test_estimate_against_measured_steps(tmp_path: Path) -> None:
    """Within a factor of eight on whatever runs this: one core, other work beside it."""
    import time

    from hetlib.llm.runs.plan import Plan
    from hetlib.llm.train.training import train

    values = {"model": "tiny", "data": "synthetic", "train_pairs": 200, "held_out_pairs": 20}
    more = {"limit": 48, "vocabulary": 96, "hidden": 32, "layers": 2, "intermediate": 64}
    some = {"precision": "float32", "batch": 8, "pretrain_steps": 0, "device": "cpu"}
    plan = Plan.from_mapping(values | more | some | {"folder": str(tmp_path), "evaluations": 1})
    data, held_out = plan.load()
    seconds = []
    for shown in (16, 80, 800):  # the first call waits for imports
        s = replace(plan.settings.cell("alignment-anonymous"), presentations=shown)
        start = time.perf_counter()
        train(s, data, held_out, tmp_path / str(shown))
        seconds.append(time.perf_counter() - start)
    step = (seconds[2] - seconds[1]) / 90
    guess = estimate.estimate(s).hours("CPU core") * 3600 / 100
    assert guess / 8 < step < 8 * guess


def test_the_longest_batch_shares_nothing() -> None:
    """Two texts of 512 tokens can differ from the first word of a short prompt on."""
    one = estimate.estimate(Settings()).memory["activations"]
    apart = estimate.estimate(Settings(shared_prompt=False)).memory["activations"]
    assert one == apart


def test_no_sharding_is_advised_on_a_cpu() -> None:
    text = estimate.dry_run(Settings(batch=64))
    (cpu,) = [line for line in text.splitlines() if "CPU core" in line]
    assert "smaller batch" in cpu
    assert "FSDP" not in cpu
