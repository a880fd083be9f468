"""Every knob of a training run, with the place in the paper that its default comes from."""

from __future__ import annotations

import hashlib
import json
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from hetlib.llm.data.labels import KINDS
from hetlib.llm.data.lengths import LIMIT

APPROACHES = ("reward", "alignment")
LOSSES = ("dpo", "corrected", "agreement", "integral")
REFERENCES = ("uniform", "frozen")
PRECISIONS = ("bf16", "float32")
SCHEDULES = ("linear", "constant", "cosine")
DEVICES = ("auto", "cpu", "cuda")

#: Fields that say how a run is carried out, and leave what it computes as it is.
HOW = ("chunk", "save_every")

#: What the rows of Tables 1 and 2 and our controls change in the settings.
CELLS: dict[str, dict[str, Any]] = {
    "anonymous": {"labels": "anonymous", "loss": "dpo"},  # vanilla DPO, or Bradley-Terry rewards
    "consensus": {"labels": "consensus", "loss": "agreement"},  # Proposition 6.1
    "homogeneous": {"labels": "homogeneous", "loss": "dpo"},  # one reward, the average: control
    "average": {"labels": "average", "loss": "dpo"},  # without noise: can it be learned at all?
    "corrected": {"labels": "anonymous", "loss": "corrected"},  # Eq. (14), variance known
    "integral": {"labels": "consensus", "loss": "integral"},  # Proposition B.3
    "type-1": {"labels": "type-1", "loss": "dpo"},  # personalised rewards
    "type-2": {"labels": "type-2", "loss": "dpo"},
    "type-3": {"labels": "type-3", "loss": "dpo"},
}
#: Settings that only a cell decides.
DECIDED = ("method", "labels", "loss")
#: What may follow a cell's name, as in ``alignment-anonymous-unshifted``.
VARIANTS: dict[str, dict[str, Any]] = {
    "unshifted": {"shift": False},  # as the released code scores
    "grouped": {"length_group": 32},  # less padding, and each batch knows one length only
    "frozen": {"reference": "frozen", "beta": 0.1},  # DPO as it is mostly run
    "responses": {"prompt_tokens": False},  # only the tokens of the response count
}


@dataclass(frozen=True)
class Settings:
    """One training run; the defaults are the paper's.

    Where the paper is silent, the comment names the released code, or says "ours".

    Raises:
        ValueError: a value that is not allowed; the message names the field.
    """

    # ---- what is learned ----
    model: str = "meta-llama/Meta-Llama-3-8B"  # App. E: the base model of that size, not Instruct
    method: str = "alignment"  # Section 7.3 has both: a reward model, and direct alignment
    labels: str = "anonymous"  # App. E: one user of a random type for each pair
    loss: str = "dpo"  # App. E: DPO where heterogeneity is ignored, else Prop. 6.1
    correction: float = 1.0  # alpha of Eq. (14), for the loss "corrected"
    reference: str = "uniform"  # App. E: alignment is against a uniform reference policy
    beta: float = 1.0  # released code: the bare difference of log-probabilities
    shift: bool = True  # position t predicts token t + 1; released code: False
    prompt_tokens: bool = True  # released code: every token counts, those of the prompt too
    limit: int = LIMIT  # App. E: prompt and longer response within 512 tokens
    # ---- LoRA ----
    rank: int = 8  # App. E: matrices of rank 8
    lora_alpha: float = 32.0  # App. E: alpha 32
    dropout: float = 0.1  # App. E: dropped with probability 0.1
    lora_targets: str = "default"  # peft's choice, else all linear layers; or names with commas
    # ---- optimisation ----
    batch: int = 2  # App. E: two pairs a batch
    accumulate: int = 1  # released code: a step for each batch
    presentations: int | None = None  # App. E: one epoch; a number shows that many pairs
    learning_rate: float = 3e-5  # App. E: starts at 3e-5
    schedule: str = "linear"  # App. E: falls linearly to zero
    weight_decay: float = 1e-3  # App. E: Adam with weight decay 0.001 (released code: AdamW)
    max_grad_norm: float = 1.0  # released code: the default of transformers
    precision: str = "bf16"  # released code: weights in bfloat16, adapters in float32
    seed: int = 0  # Tables 1 and 2: seeds 0 to 4; labels, order, adapters and dropout
    # ---- how it runs (ours) ----
    device: str = "auto"  # a GPU if there is one; "cuda" insists
    checkpointing: bool = False  # recompute activations in the backward pass: less memory, slower
    length_group: int = 1  # batches whose pairs are sorted by length together; 1: none are
    shared_prompt: bool = True  # read the common prompt of two responses once
    chunk: int = 1024  # positions whose logits are in memory at once
    evaluations: int = 10  # measurements on held-out pairs, evenly spaced; the last is the end's
    eval_batch: int = 16  # pairs
    eval_pairs: int | None = None  # held-out pairs at measurements before the last; None: all
    save_every: int = 0  # steps between checkpoints; 0: as many as there are evaluations
    # ---- the small model that is built from a configuration (ours) ----
    hidden: int = 64
    layers: int = 2
    heads: int = 4
    intermediate: int = 128
    vocabulary: int = 512
    pretrain_steps: int = 300  # next-token prediction on the training texts
    pretrain_batch: int = 64  # texts
    pretrain_learning_rate: float = 3e-3

    def __post_init__(self) -> None:
        """Check every field."""
        for field in fields(self):
            object.__setattr__(self, field.name, _typed(field.name, getattr(self, field.name)))
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; allowed are {', '.join(allowed)}"
                )
        for name, (low, high) in BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                top = "" if high == float("inf") else f" and at most {high:g}"
                raise ValueError(f"{name} is {value}; it must be at least {low:g}{top}")
        if self.hidden % self.heads or self.hidden // self.heads % 2:
            raise ValueError(
                f"hidden is {self.hidden} and heads {self.heads}; each head needs an even number "
                "of dimensions, the same for all"
            )
        if self.method == "reward" and self.reference != "uniform":
            raise ValueError('reference is "frozen"; a reward model has no reference policy')

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Settings:
        """Settings from a dictionary, such as a parameter file's.

        Raises:
            ValueError: an unknown name (the nearest known ones are offered) or a bad value.
        """
        check_names(values, SETTINGS)
        return cls(**values)

    def cell(self, name: str, seed: int | None = None) -> Settings:
        """These settings for one cell of the tables.

        Args:
            name: Method and labels, ``"reward-anonymous"`` or ``"alignment-consensus"``, then
                any number of variants, ``"alignment-anonymous-unshifted-frozen"``.
            seed: Its seed; unchanged if None.

        Raises:
            ValueError: an unknown method, cell or variant.
        """
        method, _, rest = name.partition("-")
        found = [cell for cell in CELLS if rest == cell or rest.startswith(cell + "-")]
        if method not in APPROACHES or not found:
            raise ValueError(
                f"cell is {name!r}; it is one of {', '.join(APPROACHES)}, a hyphen, and one of "
                f"{', '.join(CELLS)}"
            )
        changes: dict[str, Any] = {"method": method} | CELLS[found[0]]
        for variant in filter(None, rest.removeprefix(found[0]).split("-")):
            if variant not in VARIANTS:
                raise ValueError(
                    f"cell {name!r} ends with {variant!r}; allowed are {', '.join(VARIANTS)}"
                )
            changes |= VARIANTS[variant]
        return replace(self, **changes, seed=self.seed if seed is None else seed)

    @property
    def global_batch(self) -> int:
        """Pairs of one optimiser step on one device."""
        return self.batch * self.accumulate

    def base(self) -> dict[str, Any]:
        """The settings on which a pretrained tiny model depends."""
        names = ("hidden", "layers", "heads", "intermediate", "vocabulary", "limit", "length_group")
        found = {name: getattr(self, name) for name in names}
        return found | {n: v for n, v in asdict(self).items() if n.startswith("pretrain_")}

    def digest(self) -> str:
        """Sixteen hexadecimal digits that change with what a run computes."""
        text = json.dumps({k: v for k, v in asdict(self).items() if k not in HOW}, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def check_names(values: Iterable[str], known: Iterable[str]) -> None:
    """Refuse unknown names.

    Raises:
        ValueError: a name that is not known; the message offers near ones.
    """
    import difflib

    known = list(known)
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
            advice = f"; did you mean {' or '.join(near)}?" if near else "."
            raise ValueError(f"{name!r} is no setting{advice} Known are {', '.join(known)}")


def _typed(name: str, value: Any) -> Any:
    """The value in the type of the field; YAML reads 3e-5 as text and 1 as an integer."""
    wanted = TYPES[name]
    if value is None and types.NoneType in wanted:
        return None
    kind = wanted[0]
    good = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    if kind is float and not isinstance(value, bool):
        try:
            value, good = float(value), True
        except (TypeError, ValueError):
            good = False
    if not good:
        raise ValueError(f"{name} is {value!r}; a value of type {kind.__name__} is needed")
    return value


SETTINGS = tuple(field.name for field in fields(Settings))
TYPES: dict[str, tuple[type, ...]] = {
    name: typing.get_args(hint) or (hint,) for name, hint in typing.get_type_hints(Settings).items()
}
CHOICES: dict[str, tuple[str, ...]] = {
    **{"method": APPROACHES, "labels": (*KINDS, "given"), "loss": LOSSES, "reference": REFERENCES},
    **{"precision": PRECISIONS, "schedule": SCHEDULES, "device": DEVICES},
}
_INFINITE, _TINY = float("inf"), 1e-12
BOUNDS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(
        ("rank", "batch", "accumulate", "presentations", "chunk", "length_group"), (1, _INFINITE)
    ),
    **dict.fromkeys(("evaluations", "eval_batch", "eval_pairs", "pretrain_batch"), (1, _INFINITE)),
    **dict.fromkeys(("hidden", "layers", "heads", "intermediate"), (1, _INFINITE)),
    **dict.fromkeys(("beta", "lora_alpha", "pretrain_learning_rate"), (_TINY, _INFINITE)),
    **dict.fromkeys(("learning_rate", "weight_decay", "max_grad_norm", "seed"), (0, _INFINITE)),
    **dict.fromkeys(("correction", "save_every", "pretrain_steps"), (0, _INFINITE)),
    **{"limit": (4, _INFINITE), "vocabulary": (4, _INFINITE), "dropout": (0, 0.999)},
}
