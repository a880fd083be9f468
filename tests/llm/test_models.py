"""Models of other designs: scored right, or refused by name before training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from hetlib.llm.data.tokens import TokenPairs
from hetlib.llm.model import models, pretrain, scoring
from hetlib.llm.model.settings import Settings
from hetlib.llm.runs import estimate
from hetlib.llm.train import checkpoints, training

SIZES: dict[str, Any] = {
    **{"vocab_size": 60, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1},
    **{"num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 64},
}
HEADS: dict[str, Any] = {"vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 1}
END: dict[str, Any] = {"pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0}
GOOD: dict[str, Any] = {
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
    "qwen3": lambda: transformers.Qwen3Config(**SIZES, head_dim=16, **END),
    "gemma3": lambda: transformers.Gemma3TextConfig(**SIZES, head_dim=16, **END),
    "smollm3": lambda: transformers.SmolLM3Config(**SIZES, **END),
    "stablelm": lambda: transformers.StableLmConfig(**SIZES, **END),
    "tied": lambda: transformers.LlamaConfig(**SIZES, tie_word_embeddings=True, **END),
}
BAD: dict[str, Any] = {
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
    "cohere": (
        lambda: transformers.CohereConfig(**SIZES, logit_scale=0.5, **END),
        "changes its logits",
    ),
    "phi": (lambda: transformers.PhiConfig(**SIZES, **END), "changes its logits"),
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
    model: Any = transformers.AutoModelForCausalLM.from_config(config)
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
    for method in ("alignment", "reward"):
        chosen = replace(s, method=method)
        scorer = models.Scorer(chosen, models.load_base(chosen))
        assert any(p.requires_grad for p in scorer.parameters())
        assert (scorer.head is not None) == (method == "reward")


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


def test_short_windows_and_no_targets_are_named(tmp_path: Path) -> None:
    short = transformers.GPT2Config(
        vocab_size=60, n_embd=32, n_layer=1, n_head=2, n_positions=16, **END
    )
    with pytest.raises(ValueError, match=r"limit is 40; model .* reads 16 tokens"):
        models.load_base(settings(made(tmp_path / "short", short)))
    experts = transformers.Qwen3MoeConfig(
        **SIZES, head_dim=16, num_experts=2, num_experts_per_tok=1, moe_intermediate_size=16, **END
    )
    s = settings(made(tmp_path / "experts", experts))
    with pytest.raises(ValueError, match="takes no LoRA with lora_targets 'default'"):
        models.Scorer(s, models.load_base(s))


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


#: What becomes of the bytes of a file of weights.
HALVES: dict[str, Any] = {
    "half": lambda content: content[: len(content) // 2],
    "its head": lambda content: content[:40],
    "all but the last byte": lambda content: content[:-1],
    "nothing": lambda _: b"",
    "zeros": lambda content: bytes(len(content)),
    "noise": lambda content: np.random.default_rng(0).bytes(len(content)),
    "a page": lambda _: b"<!DOCTYPE html><html>Sign in</html>",
}


@pytest.mark.parametrize("case", HALVES)
def test_half_of_a_models_weights_is_named(case: str, tmp_path: Path) -> None:
    s, file = settings(llama(tmp_path)), tmp_path / "model.safetensors"
    file.write_bytes(HALVES[case](file.read_bytes()))
    with pytest.raises(ValueError, match=f"{tmp_path.name}.*could not be loaded .SafetensorError"):
        models.load_base(s)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("content", ["", "{", "[]", "5", "null"])
def test_a_spoilt_file_of_a_model_is_named(content: str, name: str, tmp_path: Path) -> None:
    s = settings(llama(tmp_path))
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=tmp_path.name):
        models.load_base(s)


@pytest.mark.parametrize("tokens", [60, 61, 400, 2**31 - 1, 10**6])
def test_tokens_that_the_model_does_not_know_are_named(tokens: int, tmp_path: Path) -> None:
    texts = [np.array([0, 1, tokens], np.int32), np.array([0, 2, 3], np.int32)]
    data = TokenPairs(["a"], np.full(1, 1, np.int32), texts[:1], texts[1:])
    s = settings(llama(tmp_path / "m"), batch=1, presentations=1, evaluations=1)
    with pytest.raises(
        ValueError, match=f"knows 60 tokens, but its tokenizer gives token {tokens}"
    ):
        training.train(s, data, data, tmp_path / "run")


def test_incomplete_weights(tmp_path: Path) -> None:
    s, file = settings(llama(tmp_path)), tmp_path / "model.safetensors"
    whole = load_file(file)
    missing = {k: v for k, v in whole.items() if "q_proj" not in k}
    for state, message in (
        (missing, "has missing weights: .*q_proj"),
        (whole | {"other.weight": torch.zeros(2)}, "has unexpected weights: other.weight"),
    ):
        save_file(state, file, metadata={"format": "pt"})
        with pytest.raises(ValueError, match=message):
            models.load_base(s)
    file.rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"pytorch_model\.bin is a pickle"):
        models.load_base(s)


def test_a_models_own_code_is_not_run(tmp_path: Path) -> None:
    s, file = settings(llama(tmp_path)), tmp_path / "config.json"
    own = json.loads(file.read_text()) | {"auto_map": {"AutoModelForCausalLM": "evil.Model"}}
    file.write_text(json.dumps(own))
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    loads: tuple[Any, ...] = (models.load_base, lambda s: models.load_tokenizer(s.model))
    for load in loads:
        with pytest.raises(ValueError, match=r"config.json asks for code of the model's own"):
            load(s)
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
    for text in ("{", "[1]", "", "null", '{"a": 1'):
        (tmp_path / "settings.json").write_text(text)
        with pytest.raises(ValueError, match=r"settings.json is damaged"):
            training._claim(tmp_path, {})


def test_no_pickle_in_the_room() -> None:
    root = Path(models.__file__).parents[1]
    for file in root.rglob("*.py"):
        for form in (
            " torch.load(",
            "import pickle",
            "allow_pickle=True",
            "trust_remote_code=True",
        ):
            assert form not in file.read_text(), file


FAMILIES: dict[str, Any] = {
    "gpt2": GOOD["gpt2"],  # its Conv1D holds weights the other way round
    "gpt_neox": lambda: transformers.GPTNeoXConfig(
        **HEADS, intermediate_size=32, num_attention_heads=2, max_position_embeddings=64, **END
    ),
    "qwen2": lambda: transformers.Qwen2Config(**SIZES, **END),
    "llama": lambda: transformers.LlamaConfig(**SIZES, **END),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_two_steps_of_every_family(name: str, tmp_path: Path) -> None:
    """Training moves adapters and nothing else."""
    s = settings(made(tmp_path / "base", FAMILIES[name]()), batch=3, presentations=6, evaluations=1)
    texts = [np.arange(1, n, dtype=np.int32) for n in (9, 14, 20, 26, 31, 37)]
    half = TokenPairs([str(k) for k in range(6)], np.full(6, 4, np.int32), texts, texts[::-1])
    before = load_file(tmp_path / "base" / "model.safetensors")
    metrics = training.train(s, half, half, tmp_path / "run")
    assert (metrics["steps"], metrics["processes"], metrics["global_batch"]) == (2, 1, 3)
    found = load_file(tmp_path / "run" / checkpoints.WEIGHTS)
    assert any((v != 0).any() for k, v in found.items() if "lora_B" in k)  # these start at zero
    after = load_file(tmp_path / "base" / "model.safetensors")
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_attention_is_pinned(tmp_path: Path) -> None:
    s = settings(llama(tmp_path))
    base = models.load_base(s)
    assert base.config._attn_implementation == models.ATTENTION
    base.set_attn_implementation("eager")  # adds a mask of True and False
    with pytest.raises(ValueError, match="scores our layout otherwise"):
        models._check_layout(s, base)


def test_memory_is_asked_of_ones_own_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what PyTorch keeps from an earlier run is given back before."""
    calls: list[Any] = []

    def info(device: Any) -> tuple[int, int]:
        calls.append(device)
        return 7, 9

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: calls.append("empty"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", info)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert models.free_memory("cuda") == 7
    assert calls == ["empty", 3]


def test_what_half_precision_costs() -> None:
    """Logits rounded to bfloat16 before the log-softmax move a token by hundredths of a nat."""
    torch.manual_seed(0)
    hidden, weight = torch.randn(400, 576), torch.randn(2000, 576) / 576**0.5
    half = hidden.bfloat16(), weight.bfloat16()
    target = torch.randint(2000, (400,))
    rounded = scoring.token_log_probability(*half, target)
    exact = scoring.token_log_probability(half[0].float(), half[1].float(), target)
    error = (rounded - exact).abs()
    assert 0 < error.mean() < 0.01
    assert error.max() < 2**-8 * 8  # half a unit in the last place of logits up to 8
