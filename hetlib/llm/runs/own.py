"""A parameter file for labels of one's own: ``python -m hetlib.llm params/llm-own.yml``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from hetlib.llm.data.own import ESTIMATORS, OwnLabels, read_labels, support
from hetlib.llm.data.pairs import split_by_prompt
from hetlib.llm.data.tokens import LONG, TokenPairs, tokenise
from hetlib.llm.model.settings import DECIDED, SETTINGS, Settings, check_names


@dataclass(frozen=True)
class OwnPlan:
    """Everything in the file that is no setting of the model or its training.

    Attributes:
        data: Files, folders or ``hub:owner/name``, as in :func:`hetlib.llm.data.own.read_labels`.
        estimator: One of ``hetlib.llm.data.own.ESTIMATORS``.
        columns: What columns are called.
        choices: Words of the column ``choice``.
        ties: "drop" or "half".
        malformed: "stop" or "skip".
        split: Of a source on the hub.
        types: Names of the types; of "em", their number.
        held_out_share: Share of prompts to measure on.
        split_seed: Of the split by prompt.
        long: "drop" or "truncate".
        eos: Whether texts end with an end token.
        rounds: Of EM.
        steps: Of Adam for each type in a round of EM.
        folder: Where runs are kept.
        settings: Model, LoRA, optimisation.
    """

    data: str | Sequence[str] = ""
    estimator: str = "dpo"
    columns: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    ties: str = "drop"
    malformed: str = "stop"
    split: str = "train"
    types: int | Sequence[str] | None = None
    held_out_share: float = 0.2
    split_seed: int = 0
    long: str = "drop"
    eos: bool = True
    rounds: int = 6
    steps: int = 20
    folder: str = "_build/llm-own"
    settings: Settings = field(default_factory=Settings)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> OwnPlan:
        """A plan from the content of a parameter file.

        Raises:
            ValueError: an unknown name, or a value that is not allowed.
        """
        own = [f.name for f in fields(cls) if f.name != "settings"]
        known = [n for n in SETTINGS if n not in DECIDED]
        check_names(values, [*own, *known])
        plan = cls(
            **{k: v for k, v in values.items() if k in own},
            settings=Settings.from_mapping({k: v for k, v in values.items() if k in known}),
        )
        if plan.estimator not in ESTIMATORS:
            raise ValueError(
                f"estimator is {plan.estimator!r}; allowed are "
                + ", ".join(f"{name} (needs {need})" for name, need in ESTIMATORS.items())
            )
        for name, kind in (("columns", Mapping), ("choices", Mapping)):
            if not isinstance(getattr(plan, name), kind):
                raise ValueError(f"{name} is {getattr(plan, name)!r}; names and values are needed")
        for name in ("rounds", "steps"):
            value = getattr(plan, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} is {value!r}; a whole number from 1 on is needed")
        if not plan.data:
            raise ValueError("data is empty; name a file, a folder or hub:owner/name")
        share = plan.held_out_share
        if not (isinstance(share, int | float) and 0 < share < 1):
            raise ValueError(f"held_out_share is {share!r}; a share between 0 and 1 is needed")
        if plan.long not in LONG or not isinstance(plan.eos, bool):
            raise ValueError(f"long is {plan.long!r} and eos {plan.eos!r}; {LONG} and a flag")
        return plan

    def labels(self) -> tuple[OwnLabels, OwnLabels]:
        """Labels to train on and labels held out, by prompt; what they must support is checked.

        Raises:
            ValueError: as :func:`hetlib.llm.data.own.read_labels` and
                :func:`hetlib.llm.data.own.support`, or a split with an empty side.
        """
        options = (self.columns, self.choices, self.ties, self.malformed, self.split)
        own = read_labels(self.data, *options)
        train, _ = split_by_prompt(own.pairs, self.held_out_share, self.split_seed)
        keys = {pair.key for pair in train}
        inside = np.array([pair.key in keys for pair in own.pairs])[own.pair]
        sides = own.select(inside), own.select(~inside)
        support(sides[0], self.estimator, self.types)
        return sides

    def tokens(self, own: OwnLabels) -> TokenPairs:
        """Tokens of the pairs that have labels."""
        pairs = [own.pairs[k] for k in np.unique(own.pair)]
        s = self.settings
        return tokenise(pairs, self._tokenizer(), s.limit, self.long, None, self.eos)

    def _tokenizer(self) -> Any:
        if self.settings.model != "tiny":
            from hetlib.llm.model.models import load_tokenizer

            return load_tokenizer(self.settings.model)
        from hetlib.llm.model.pretrain import train_tokenizer

        own, _ = self.labels()
        pairs = [own.pairs[k] for k in np.unique(own.pair)]
        texts = (p.prompt + text for p in pairs for text in (p.first, p.second))
        return train_tokenizer(texts, self.settings.vocabulary)

    def digest(self, *parts: str) -> str:
        """Ten hexadecimal digits of settings and data."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "folder"}
        values["settings"] = asdict(self.settings)
        text = json.dumps(values, sort_keys=True, default=list) + "".join(parts)
        return hashlib.blake2b(text.encode(), digest_size=5).hexdigest()


def run(plan: OwnPlan) -> dict[str, Any]:
    """Train, measure, store; the same call goes on after a stop.

    Returns:
        What ``metrics.json`` in the run's folder holds: figures of the held-out labels, how many
        rows of the source were used, and the ``folder``.

    Raises:
        ValueError: what the labels do not support, before a model is loaded.
    """
    own, held_out = plan.labels()
    counts = own.counts
    from hetlib.llm.model import pretrain
    from hetlib.llm.train import checkpoints
    from hetlib.llm.train import own as training

    data, tested = plan.tokens(own), plan.tokens(held_out)
    labels = training.of_tokens(own, data.keys)
    measured = training.of_tokens(held_out, tested.keys)
    support(labels, plan.estimator, plan.types)  # without the texts that are too long
    content = labels.preferred.tobytes() + labels.pair.tobytes()
    mark = plan.digest(data.digest(), hashlib.blake2b(content).hexdigest())
    folder = Path(plan.folder) / f"{plan.estimator}-{plan.settings.seed}-{mark}"
    with suppress(OSError, ValueError, TypeError):  # half of them are none
        if stored := training.read(folder / "metrics.json"):
            return stored | {"folder": str(folder)}
    small = None
    if plan.settings.model == "tiny":
        small = pretrain.pretrained(plan.settings, data, plan.folder)
    count = plan.types if isinstance(plan.types, int) else 1
    options = {"types": count, "rounds": plan.rounds, "steps": plan.steps}
    found = training.fit(plan.settings, data, labels, plan.estimator, folder, small, **options)
    training.save(found, folder)
    metrics = {
        **training.measure(found, tested, measured),
        **{"estimator": plan.estimator, "trained_on": len(labels), "source": counts},
        **{"too_long": data.beyond + tested.beyond, "base": str(small or plan.settings.model)},
        **found.told,
    }
    checkpoints.write_json(folder / "metrics.json", metrics)
    for part in folder.glob("progress-*.safetensors"):
        part.unlink()
    return metrics | {"folder": str(folder)}
