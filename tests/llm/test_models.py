"""Models of other designs: scored right, or refused by name before training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from hetlib.llm.model import models, pretrain
from hetlib.llm.model.settings import Settings
from hetlib.llm.runs import estimate
from hetlib.llm.train import checkpoints, training

SIZES: dict[str, Any] = {
    **{"vocab_size": 60, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1},
    **{"num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 64},
}
HEADS: dict[str, Any] = {"vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 1}
END: dict[str, Any] = {"pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0}
GOOD = {
    "gpt2": lambda: transformers.GPT2Config(
        vocab_size=60, n_embd=32, n_layer=1, n_head=2, n_positions=64, **END
    ),
    "opt": lambda: transformers.OPTConfig(
        **HEADS,
        ffn_dim=32,
        num_attention_heads=2,
        max_position_embeddings=64,
        word_embed_proj_dim=32,
        **END,
    ),
    "falcon": lambda: transformers.FalconConfig(**HEADS, num_attention_heads=2, **END),
    "phi3": lambda: transformers.Phi3Config(**SIZES, **END),
    "olmo2": lambda: transformers.Olmo2Config(**SIZES, **END),
}
BAD = {
    "bloom": (
        lambda: transformers.BloomConfig(vocab_size=60, hidden_size=32, n_layer=1, n_head=2, **END),
        "shared_prompt: false",
    ),
    "mamba": (
        lambda: transformers.MambaConfig(**HEADS, state_size=4, **END),
        "shared_prompt: false",
    ),
    "granite": (
        lambda: transformers.GraniteConfig(**SIZES, logits_scaling=4.0, **END),
        "scores our",
    ),
    "mistral": (
        lambda: transformers.MistralConfig(**SIZES, sliding_window=16, **END),
        "looks back 16 tokens, limit is 40",
    ),
    "gemma2": (
        lambda: transformers.Gemma2Config(**SIZES, head_dim=16, **END),
        "changes its logits",
    ),
}


def settings(folder: Path, **changes: Any) -> Settings:
    """Of a model in a folder, on a CPU."""
    given: dict[str, Any] = {"limit": 40, "precision": "float32", "device": "cpu"}
    return Settings(**{"model": str(folder), **given, **changes})


def made(folder: Path, config: Any) -> Path:
    """A model with random weights, stored."""
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config)
    with models.no_bars():
        model.save_pretrained(folder)
    return folder


def llama(folder: Path) -> Path:
    """The smallest Llama, stored."""
    sizes: dict[str, Any] = {"hidden": 16, "layers": 1, "heads": 2, "intermediate": 16}
    tiny = Settings(model="tiny", vocabulary=60, limit=40, **sizes)
    return made(folder, pretrain.configuration(tiny))


@pytest.mark.parametrize("name", GOOD)
def test_other_designs(name: str, tmp_path: Path) -> None:
    s = settings(made(tmp_path, GOOD[name]()))
    assert estimate.architecture(s).hidden == 32
    scorer = models.Scorer(s, models.load_base(s))
    assert any(p.requires_grad for p in scorer.parameters())


@pytest.mark.parametrize("name", BAD)
def test_designs_that_score_otherwise(name: str, tmp_path: Path) -> None:
    config, message = BAD[name]
    s = settings(made(tmp_path, config()))
    assert estimate.architecture(s).hidden == 32
    with pytest.raises(ValueError, match=message):
        models.load_base(s)
    alone = settings(tmp_path, shared_prompt=False)
    if name in ("bloom", "mamba", "mistral"):
        models.load_base(alone)
    else:
        with pytest.raises(ValueError, match="model"):
            models.load_base(alone)


def test_lora_targets(tmp_path: Path) -> None:
    llama(tmp_path)

    def trained(targets: str) -> set[str]:
        s = settings(tmp_path, lora_targets=targets)
        names = dict(models.Scorer(s, models.load_base(s)).named_parameters())
        return {n.split(".lora_")[0].rpartition(".")[2] for n in names if ".lora_" in n}

    assert trained("default") == {"q_proj", "v_proj"}  # Appendix E's, and peft's for Llama
    assert trained("up_proj, k_proj") == {"up_proj", "k_proj"}
    assert trained("all-linear") > {"q_proj", "k_proj", "v_proj", "o_proj", "up_proj"}
    with pytest.raises(ValueError, match="lora_targets has 'x_proj'"):
        trained("q_proj,x_proj")


def test_damaged_or_incomplete_weights(tmp_path: Path) -> None:
    s, file = settings(llama(tmp_path)), tmp_path / "model.safetensors"
    whole, bytes_ = load_file(file), file.read_bytes()
    missing = {k: v for k, v in whole.items() if "q_proj" not in k}
    for state, message in (
        (missing, "has missing weights: .*q_proj"),
        (whole | {"other.weight": torch.zeros(2)}, "has unexpected weights: other.weight"),
    ):
        save_file(state, file, metadata={"format": "pt"})
        with pytest.raises(ValueError, match=message):
            models.load_base(s)
    file.write_bytes(bytes_[: len(bytes_) // 2])
    with pytest.raises(ValueError, match=f"{tmp_path.name}.*could not be loaded .SafetensorError"):
        models.load_base(s)
    file.rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="pytorch_model.bin is a pickle"):
        models.load_base(s)


def test_a_models_own_code_is_not_run(tmp_path: Path) -> None:
    s, file = settings(llama(tmp_path)), tmp_path / "config.json"
    own = json.loads(file.read_text()) | {"auto_map": {"AutoModelForCausalLM": "evil.Model"}}
    file.write_text(json.dumps(own))
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    for load in (lambda: models.load_base(s), lambda: models.load_tokenizer(s.model)):
        with pytest.raises(ValueError, match=r"config.json asks for code of the model's own"):
            load()
    assert not (tmp_path / "ran").exists()
    file.write_text("{")
    with pytest.raises(ValueError, match=r"config.json is damaged"):
        models.load_base(s)


def test_damaged_files_of_a_run_are_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-abc").mkdir()
    assert checkpoints.newest(tmp_path) is None
    (tmp_path / checkpoints.WEIGHTS).write_bytes(b"half")
    with pytest.raises(ValueError, match=rf"{checkpoints.WEIGHTS} is damaged"):
        checkpoints.load_trained(torch.nn.Linear(1, 1), tmp_path)
    for text in ("{", "[1]", ""):
        (tmp_path / "settings.json").write_text(text)
        with pytest.raises(ValueError, match=r"settings.json is damaged"):
            training._claim(tmp_path, {})


def test_no_pickle_in_the_room() -> None:
    root = Path(models.__file__).parents[1]
    for file in root.rglob("*.py"):
        for form in ("torch.load", "import pickle", "allow_pickle=True", "trust_remote_code=True"):
            assert form not in file.read_text(), file
