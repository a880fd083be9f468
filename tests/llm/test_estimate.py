"""Parameters by formula against published numbers and a model; the dry run."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest

from hetlib.llm import __main__ as command
from hetlib.llm.model.settings import Settings
from hetlib.llm.runs import estimate

PARAMS = sorted(Path(__file__).parents[2].glob("params/llm-*.yml"))


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
