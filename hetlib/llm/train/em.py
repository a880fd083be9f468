"""EM-DPO with language models: one LoRA adapter a type, on one shared base.

The E-step is ``hetlib.mixture.responsibilities``; only the log-probabilities of answers
come from a network. The M-step is DPO on all pairs, weighted by the responsibility of the type
for the annotator, a few steps of Adam. Such steps can lower the likelihood; one that does is
undone and tried again with half the step size, so the likelihood never falls here either.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn.functional import logsigmoid

from hetlib import store
from hetlib.book import progress
from hetlib.checks import Array
from hetlib.llm.data import batches
from hetlib.llm.data.tokens import TokenPairs
from hetlib.llm.model import models
from hetlib.llm.model.settings import Settings
from hetlib.mixture import require_rise, responsibilities
from hetlib.mixture.em import UNLINKED

State = list[Tensor]


class AdapterTypes:
    """A frozen base model and an adapter for each type.

    Args:
        settings: Model, LoRA, reference and beta; the method must be ``"alignment"``.
        types: Number of types.
        folder: Where the pretrained tiny model is, if the model is ``"tiny"``.

    Raises:
        ValueError: another method, fewer than one type, or a model that cannot be loaded.
    """

    def __init__(self, settings: Settings, types: int, folder: Path | None = None) -> None:
        if settings.method != "alignment" or types < 1:
            raise ValueError(
                f"method={settings.method!r}, types={types}: EM-DPO trains policies of at least "
                'one type; "alignment" is needed'
            )
        self.settings, self.types = settings, types
        torch.manual_seed(settings.seed)
        # the reference is subtracted here, once and for all; the scorer needs none
        bare = replace(settings, reference="uniform")
        self.scorer = models.Scorer(bare, models.load_base(settings, folder))
        adapted = self.scorer.adapted
        self.names = ["default", *(f"type-{k}" for k in range(1, types))]
        for name in self.names[1:]:
            adapted.add_adapter(name, adapted.peft_config["default"])
        self._shared: tuple[TokenPairs | None, NDArray[np.int64] | None] = (None, None)

    def choose(self, k: int) -> None:
        """Make type k the one that scores and trains."""
        self.scorer.adapted.set_adapter(self.names[k])

    def parameters(self, k: int) -> list[torch.nn.Parameter]:
        """What type k trains."""
        mark = f".{self.names[k]}."
        return [p for name, p in self.scorer.adapted.named_parameters() if mark in name]

    def state(self) -> list[State]:
        """A copy of all adapters."""
        return [[p.detach().clone() for p in self.parameters(k)] for k in range(self.types)]

    def restore(self, state: list[State]) -> None:
        """Put a copy back."""
        with torch.no_grad():
            for k, old in enumerate(state):
                for p, value in zip(self.parameters(k), old, strict=True):
                    p.copy_(value)

    def margins(self, data: TokenPairs) -> Array:
        """Induced reward of the second text less that of the first, Eq. (15), by type.

        Returns:
            Margins against the settings' reference, shape (types, pairs).
        """
        base = self.reference(data)
        out = []
        for k in range(self.types):
            self.choose(k)
            out.append(self._all(data) - base)
        return np.array(out)

    def reference(self, data: TokenPairs) -> Array:
        """Margins of the reference policy times beta, shape (pairs,); 0 if it is uniform."""
        if self.settings.reference == "uniform":
            return np.zeros(len(data))
        with self.scorer.adapted.disable_adapter():
            return self._all(data)

    @torch.no_grad()
    def _all(self, data: TokenPairs) -> Array:
        was = self.scorer.training
        self.scorer.eval()
        order, size = np.arange(len(data)), self.settings.eval_batch
        out = [self.score(data, order[i : i + size]) for i in range(0, len(order), size)]
        self.scorer.train(was)
        return torch.cat(out).double().cpu().numpy()

    def score(self, data: TokenPairs, pairs: NDArray[np.int64]) -> Tensor:
        """Margins of some pairs under the chosen type, without the reference, shape (pairs,)."""
        s = self.settings
        if s.shared_prompt and self._shared[0] is not data:  # of all pairs: once, not a batch
            self._shared = (data, batches.shared_tokens(data))
        shared = self._shared[1] if s.shared_prompt else None
        hidden = self.scorer.config.hidden_size
        batch = batches.collate(data, pairs, shared, s.shift, s.prompt_tokens, hidden=hidden)
        where = self.scorer.adapted.device
        batch = {name: value.to(where) for name, value in batch.items()}
        with torch.autocast(where.type, torch.bfloat16, enabled=s.precision == "bf16"):
            scores: Tensor = self.scorer(**batch)
        return scores[1::2] - scores[0::2]

    def step(
        self,
        k: int,
        optimiser: torch.optim.Optimizer,
        data: TokenPairs,
        pairs: NDArray[np.int64],
        base: Array,
        loss: Callable[[Tensor, NDArray[np.int64]], Tensor],
    ) -> None:
        """One step of type k on a batch, micro-batch by micro-batch.

        Args:
            k: The type, chosen.
            optimiser: Of its parameters.
            data: Pairs of texts.
            pairs: The batch, by number, shape (batch,).
            base: Margins of the reference, shape (all pairs,).
            loss: Mean loss of margins h, given with their places in the batch.
        """
        optimiser.zero_grad()
        places = np.arange(len(pairs))
        for part in np.array_split(places, min(self.settings.accumulate, len(pairs))):
            h = self.score(data, pairs[part])
            h = h - torch.as_tensor(base[pairs[part]], dtype=h.dtype, device=h.device)
            (loss(h, part) * (len(part) / len(pairs))).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.parameters(k), self.settings.max_grad_norm)
        optimiser.step()


@dataclass(frozen=True)
class AdapterFit:
    """What EM found.

    Attributes:
        model: Base and adapters, trained.
        masses: Mass of each type, shape (types,).
        responsibilities: Probability of each type for each annotator, (annotators, types).
        history: Log-likelihood an annotator after each accepted round; never falls.
        refused: Rounds that were undone.
    """

    model: AdapterTypes
    masses: Array
    responsibilities: Array
    history: Array
    refused: int


def answer_log_probability(
    margins: ArrayLike, preferred: ArrayLike, annotators: ArrayLike, count: int
) -> Array:
    """Log-probability of all answers of each annotator, by type.

    Args:
        margins: Margins of the pairs by type, shape (types, pairs).
        preferred: 1 where the second text was preferred, shape (pairs,).
        annotators: Who answered each pair, 0 … count - 1, shape (pairs,).
        count: Number of annotators.

    Returns:
        Shape (annotators, types).
    """
    signed = np.asarray(margins) * (2.0 * np.asarray(preferred) - 1)
    logs = -np.logaddexp(0, -signed)
    out = np.zeros((count, len(logs)))
    np.add.at(out, np.asarray(annotators), logs.T)
    return out


def em_adapters(
    settings: Settings,
    data: TokenPairs,
    preferred: ArrayLike,
    annotators: ArrayLike,
    types: int,
    *,
    folder: Path | None = None,
    rounds: int = 6,
    steps: int = 20,
    place: Path | None = None,
) -> AdapterFit:
    """Find latent types and train an adapter for each.

    Types start alike, so annotators start with random responsibilities.

    Args:
        settings: Model, LoRA, reference, beta, batch, learning rate and seed.
        data: Pairs of texts.
        preferred: 1 where the second text was preferred, shape (pairs,).
        annotators: Who answered each pair, 0, 1, ..., shape (pairs,).
        types: Number of types.
        folder: Where the pretrained tiny model is, if the model is ``"tiny"``.
        rounds: Rounds of an M-step and an E-step.
        steps: Steps of Adam for each type in a round.
        place: A file that holds the state after each round; if it is there, its rounds are not
            done again, and on a CPU the result is the same to the last bit. None: no file.

    Warns:
        UserWarning: one answer by each annotator, and ``types`` exceeds one.

    Raises:
        ValueError: answers or annotators that do not fit the data, unusable settings, or a
            damaged file.
    """
    labels, who = np.asarray(preferred), np.asarray(annotators)
    if labels.shape != (len(data),) or not np.isin(labels, (0, 1)).all():
        raise ValueError(f"preferred must be 0 or 1 for each of {len(data)} pairs")
    if who.shape != (len(data),) or not np.issubdtype(who.dtype, np.integer) or who.min() < 0:
        raise ValueError(f"annotators must be an index from 0 for each of {len(data)} pairs")
    if rounds < 1 or steps < 1:
        raise ValueError(f"rounds={rounds}, steps={steps}: both must be at least 1")
    count, answers = int(who.max()) + 1, np.bincount(who)
    if (answers == 0).any():
        raise ValueError(f"annotator {int(answers.argmin())} answered no pair; number from 0 on")
    if types > 1 and answers.max() < 2:
        warnings.warn(UNLINKED.format(types=types), UserWarning, stacklevel=2)
    model = AdapterTypes(settings, types, folder)
    rng, base = np.random.default_rng(settings.seed), model.reference(data)

    def e_step(masses: Array) -> tuple[Array, float]:
        logs = answer_log_probability(model.margins(data), labels, who, count)
        found, total = responsibilities(logs, masses)
        return found, float(total.mean())

    masses = np.full(types, 1 / types)
    share, value = rng.dirichlet(np.ones(types), size=count), -np.inf
    rate, refused, history, done = settings.learning_rate, 0, list[float](), 0
    if place is not None and place.exists():
        told, share = _resume(place, model, rng)
        masses, history = np.array(told["masses"]), told["history"]
        rate, refused, done, value = (told[n] for n in ("rate", "refused", "done", "value"))
    for k_round in progress.track(range(done, rounds), "EM rounds"):
        before = model.state()
        new = share.mean(axis=0) if history else masses
        for k in range(types):
            _improve(model, k, data, labels, share[who, k], base, steps, rate, rng)
        found, reached = e_step(new)
        if reached < value:  # too long a step: undo it
            model.restore(before)
            rate, refused = rate / 2, refused + 1
        else:
            require_rise(value, reached)
            share, value, masses = found, reached, new
            history.append(value)
        if place is not None:
            told = {"masses": masses.tolist(), "history": history, "rate": rate}
            told |= {"refused": refused, "done": k_round + 1, "value": value}
            _checkpoint(place, model, rng, told, share)
    return AdapterFit(model, masses, share, np.array(history), refused)


def _checkpoint(
    place: Path, model: AdapterTypes, rng: np.random.Generator, told: dict[str, Any], share: Array
) -> None:
    """Adapters, responsibilities, numbers and generators after a round, beside and renamed."""
    state = {"torch": torch.get_rng_state(), "share": torch.from_numpy(share)}
    for k, adapter in enumerate(model.state()):
        state |= {f"{k}.{i}": p.cpu().contiguous() for i, p in enumerate(adapter)}
    place.parent.mkdir(parents=True, exist_ok=True)
    kept = json.dumps(told | {"numpy": rng.bit_generator.state})
    with store.writing(place) as part:
        safetensors.torch.save_file(state, part, metadata={"told": kept})


def _resume(
    place: Path, model: AdapterTypes, rng: np.random.Generator
) -> tuple[dict[str, Any], Array]:
    """Put back what :func:`_checkpoint` stored; its numbers and the responsibilities."""
    try:
        with safetensors.safe_open(place, "pt") as file:
            told: dict[str, Any] = json.loads(file.metadata()["told"])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{place} is damaged ({error}); remove it and run again") from error
    counts = [len(model.parameters(k)) for k in range(model.types)]
    model.restore([[state[f"{k}.{i}"] for i in range(n)] for k, n in enumerate(counts)])
    torch.set_rng_state(state["torch"])
    rng.bit_generator.state = told["numpy"]
    return told, state["share"].numpy()


def _improve(
    model: AdapterTypes,
    k: int,
    data: TokenPairs,
    labels: NDArray[np.int64],
    weight: Array,
    base: Array,
    steps: int,
    rate: float,
    rng: np.random.Generator,
) -> None:
    """A few steps of DPO for one type, pairs weighted by responsibility."""
    s = model.settings
    model.choose(k)
    model.scorer.train()
    optimiser = torch.optim.AdamW(model.parameters(k), lr=rate, weight_decay=s.weight_decay)
    size = min(s.global_batch, len(data))
    for _ in range(steps):
        chosen = rng.choice(len(data), size=size, replace=False)

        def loss(h: Tensor, part: NDArray[np.int64], chosen: NDArray[np.int64] = chosen) -> Tensor:
            pairs = chosen[part]
            sign = torch.as_tensor(2.0 * labels[pairs] - 1, dtype=h.dtype, device=h.device)
            share = torch.as_tensor(weight[pairs], dtype=h.dtype, device=h.device)
            return -(share * logsigmoid(sign * h)).mean()

        model.step(k, optimiser, data, chosen, base, loss)
