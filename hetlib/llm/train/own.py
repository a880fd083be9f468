"""Policies from labels of one's own: DPO, its correction, consistent losses, types, EM.

Every estimator ends as adapters on one frozen base. A run that was stopped goes on from its last
whole checkpoint; on a CPU the result is the same to the last bit.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import logsigmoid

from hetlib import store
from hetlib.book import progress
from hetlib.checks import Array
from hetlib.consistent import losses
from hetlib.llm.data import batches
from hetlib.llm.data.own import ESTIMATORS, OwnLabels, complete
from hetlib.llm.data.tokens import TokenPairs
from hetlib.llm.model.settings import Settings
from hetlib.llm.train import checkpoints, em, variance
from hetlib.llm.train.em import AdapterTypes

Index = NDArray[np.int64]
Loss = Callable[[Tensor, Index], Tensor]


@dataclass(frozen=True)
class OwnFit:
    """What was trained.

    Attributes:
        model: Base and adapters.
        masses: Weight of each adapter in the average of their rewards, shape (adapters,).
        names: What the adapters stand for.
        told: Figures of the training by name.
    """

    model: AdapterTypes
    masses: Array
    names: tuple[str, ...]
    told: dict[str, Any]

    def margins(self, data: TokenPairs) -> Array:
        """Margins of the average of the adapters' rewards, shape (pairs,)."""
        return np.asarray(self.masses @ self.model.margins(data))


def fit(
    settings: Settings,
    data: TokenPairs,
    own: OwnLabels,
    estimator: str,
    folder: Path,
    small: Path | None = None,
    types: int = 1,
    rounds: int = 6,
    steps: int = 20,
) -> OwnFit:
    """Train an estimator.

    Args:
        settings: Model, LoRA, reference, beta, optimisation, seed.
        data: The tokens of ``own.pairs``, in their order.
        own: Labels; :func:`hetlib.llm.data.own.support` has passed.
        estimator: One of ``ESTIMATORS``.
        folder: For checkpoints.
        small: Where the pretrained tiny model is, if the model is ``"tiny"``.
        types: Number of types, for "em".
        rounds: Of EM.
        steps: Of Adam for each type in a round of EM.

    Raises:
        ValueError: an unknown estimator, or settings that cannot be used.
    """
    if estimator not in ESTIMATORS:
        raise ValueError(f"estimator is {estimator!r}; allowed are {', '.join(ESTIMATORS)}")
    if estimator == "em":
        assert own.annotator is not None
        present, who = np.unique(own.annotator, return_inverse=True)
        each = data.select(own.pair)
        told = (each, own.preferred, who, types)
        options: dict[str, Any] = {"rounds": rounds, "steps": steps}
        options["place"] = folder / "progress-em.safetensors"
        found = em.em_adapters(settings, *told, folder=small, **options)
        masses, history = found.masses, [float(x) for x in found.history]
        said = {"history": history, "annotators": len(present), "refused": found.refused}
        names = tuple(f"latent {k + 1}" for k in range(types))
        return OwnFit(found.model, masses, names, said)
    every = own.types if estimator == "types" else (estimator,)
    model = AdapterTypes(settings, len(every), small)
    base = model.reference(data)
    numbers: dict[str, Any] = {}
    if estimator == "types":
        assert own.type is not None
        for k in range(len(every)):
            mine = np.flatnonzero(own.type == k)
            _train(model, k, data, own.pair[mine], base, _weighted(own, mine), folder)
        share = np.bincount(own.type, own.weight, len(every))
        return OwnFit(
            model, share / share.sum(), every, {"labels_by_type": np.bincount(own.type).tolist()}
        )
    rows = own.pair
    if estimator == "dpo":
        loss = _weighted(own, np.arange(len(own)))
    elif estimator == "corrected":
        V = label_variance(model, data, own, settings.seed)
        numbers = {"mean_variance": float(V.mean()), "zero_variance": int((V == 0).sum())}
        loss = _corrected(own, V[own.pair], settings.correction)
    else:
        rows, loss = _complete(own, estimator)
        numbers = {"complete_pairs": len(rows)}
    _train(model, 0, data, rows, base, loss, folder)
    return OwnFit(model, np.ones(1), every, numbers)


def label_variance(model: AdapterTypes, data: TokenPairs, own: OwnLabels, seed: int = 0) -> Array:
    """V of Eq. (16) of every pair, shape (pairs,), from labels that share an annotator."""
    assert own.annotator is not None
    features = variance.directions(_features(model, data))
    linked, answers = variance.linked_pairs(own.pair, own.preferred, own.annotator)
    return variance.variance(*variance.joint_moments(features, linked, answers, seed=seed))


@torch.no_grad()
def _features(model: AdapterTypes, data: TokenPairs) -> Array:
    """Difference of the base model's last states of both texts, shape (pairs, hidden)."""
    s, scorer = model.settings, model.scorer
    shared = batches.shared_tokens(data) if s.shared_prompt else None
    was, out = scorer.training, []
    scorer.eval()
    with scorer.adapted.disable_adapter():
        for start in range(0, len(data), s.eval_batch):
            part = np.arange(start, min(start + s.eval_batch, len(data)))
            batch = batches.collate(data, part, shared, hidden=scorer.config.hidden_size)
            batch = {name: value.to(scorer.adapted.device) for name, value in batch.items()}
            states = scorer._hidden(batch).flatten(0, 1)[batch["last"]].double()
            out.append((states[1::2] - states[0::2]).cpu().numpy())
    scorer.train(was)
    return np.concatenate(out)


def _weighted(own: OwnLabels, rows: Index) -> Loss:
    sign = torch.from_numpy(2.0 * own.preferred[rows] - 1)
    weight = torch.from_numpy(own.weight[rows] / own.weight[rows].mean())

    def loss(h: Tensor, which: Index) -> Tensor:
        s, w = (x[which].to(h.device, h.dtype) for x in (sign, weight))
        return -(w * logsigmoid(s * h)).mean()  # Eq. (6)

    return loss


def _corrected(own: OwnLabels, V: Array, alpha: float) -> Loss:
    weight = torch.from_numpy(own.weight / own.weight.mean())
    preferred, known = torch.from_numpy(own.preferred), torch.from_numpy(V)

    def loss(h: Tensor, which: Index) -> Tensor:
        v, w = (x[which].to(h.device, h.dtype) for x in (known, weight))
        won = preferred[which].to(h.device)
        return (w * losses.corrected(h, won, v, alpha, reduction="none")).mean()  # Eq. (14)

    return loss


def _complete(own: OwnLabels, estimator: str) -> tuple[Index, Loss]:
    """Pairs with labels of every type; those asked as often as most are, for "conditional"."""
    pairs, wins, every = complete(own)
    if estimator == "agreement":  # the first label of each type
        assert own.type is not None
        table = np.full((len(own.pairs), len(own.types)), -1)
        backwards = slice(None, None, -1)
        at = (own.pair[backwards], own.type[backwards])
        table[at] = own.preferred[backwards]
        votes = torch.from_numpy(table[pairs])
        return pairs, lambda h, which: losses.agreement(h, votes[which].to(h.device))  # Prop. 6.1
    shapes, which_, count = np.unique(every, axis=0, return_inverse=True, return_counts=True)
    best = int(count.argmax())
    kept = which_.ravel() == best
    labels, counts = tuple(int(n) for n in shapes[best]), torch.from_numpy(wins[kept])
    equal = [1] * len(labels)  # types count alike, however often they were asked
    return pairs[kept], lambda h, which: losses.conditional(
        h, counts[which].to(h.device), labels, equal
    )


def _train(
    model: AdapterTypes,
    k: int,
    data: TokenPairs,
    rows: Index,
    base: Array,
    loss: Loss,
    folder: Path,
) -> None:
    """Adam on one adapter; goes on from a whole checkpoint."""
    s = model.settings
    model.choose(k)
    parameters = model.parameters(k)
    size = min(s.global_batch, len(rows))
    shown = max(s.presentations or len(rows), size)
    plan = batches.schedule(np.ones(len(rows), dtype=np.int64), size, shown, s.seed) % len(rows)
    optimiser = torch.optim.AdamW(parameters, lr=s.learning_rate, weight_decay=s.weight_decay)
    place = folder / f"progress-{k}.safetensors"
    done = _resume(place, parameters, optimiser)
    every = s.save_every or max(len(plan) // 4, 1)
    model.scorer.train()
    falls: dict[str, Callable[[float], Any]] = {
        "linear": lambda x: 1 - x,
        "constant": lambda x: 1.0,
        "cosine": lambda x: (1 + np.cos(np.pi * x)) / 2,
    }
    for step in progress.track(range(done, len(plan)), f"{model.names[k]}"):
        torch.manual_seed(s.seed * 1_000_003 + k * 7_919 + step)  # dropout, whatever came before
        for group in optimiser.param_groups:
            group["lr"] = s.learning_rate * float(falls[s.schedule](step / len(plan)))
        now = plan[step]

        def here(h: Tensor, part: Index, now: Index = now) -> Tensor:
            return loss(h, now[part])

        model.step(k, optimiser, data, rows[now], base, here)
        if (step + 1) % every == 0 or step + 1 == len(plan):
            _checkpoint(place, parameters, optimiser, step + 1)


def _checkpoint(place: Path, parameters: list[Any], optimiser: Any, done: int) -> None:
    """Weights and Adam's moments, written beside and renamed."""
    state = {"done": torch.tensor(done)}
    for i, p in enumerate(parameters):
        state[f"weight.{i}"] = p.detach().cpu().contiguous()
        for name in ("step", "exp_avg", "exp_avg_sq"):
            state[f"{name}.{i}"] = optimiser.state[p][name].cpu().contiguous()
    place.parent.mkdir(parents=True, exist_ok=True)
    with store.writing(place) as part:
        safetensors.torch.save_file(state, part)


def _resume(place: Path, parameters: list[Any], optimiser: Any) -> int:
    """Steps that are done."""
    if not place.exists():
        return 0
    try:
        state = safetensors.torch.load_file(place)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{place} is damaged ({error}); remove it and run again") from error
    with torch.no_grad():
        for i, p in enumerate(parameters):
            p.copy_(state[f"weight.{i}"])
            moments = {n: state[f"{n}.{i}"] for n in ("exp_avg", "exp_avg_sq")}
            optimiser.state[p] = {n: v.to(p.device) for n, v in moments.items()}
            optimiser.state[p]["step"] = state[f"step.{i}"]
    return int(state["done"])


def save(found: OwnFit, folder: Path) -> None:
    """Adapters in peft's format, one folder each, and what they stand for.

    ``PeftModel.from_pretrained(base, folder / "adapters" / "0")`` loads the first;
    ``adapters.json`` has names and masses.
    """
    adapted = found.model.scorer.adapted
    for k, name in enumerate(found.model.names[: len(found.names)]):
        out = folder / "adapters" / str(k)
        adapted.save_pretrained(str(out), selected_adapters=[name], safe_serialization=True)
        inner = out / name  # peft puts all but "default" into a folder of their own
        for file in inner.iterdir() if inner.is_dir() else ():
            file.replace(out / file.name)
        if inner.is_dir():
            inner.rmdir()
    told = {"names": list(found.names), "masses": [float(x) for x in found.masses]}
    checkpoints.write_json(folder / "adapters.json", told)


def measure(found: OwnFit, data: TokenPairs, own: OwnLabels) -> dict[str, float]:
    """How the average of the adapters' rewards predicts labels, on pairs held out.

    Returns:
        ``label_agreement``, the weighted share of labels that the margins agree with, a zero
        margin counting half, and ``log_likelihood`` of a label under Bradley and Terry.
    """
    h = found.margins(data)[own.pair]
    sign, w = 2.0 * own.preferred - 1, own.weight / own.weight.sum()
    right = (1 + np.sign(h * sign)) / 2
    return {
        "label_agreement": float(w @ right),
        "log_likelihood": float(w @ -np.logaddexp(0, -h * sign)),
        "labels": len(own),
    }


def of_tokens(own: OwnLabels, keys: list[str]) -> OwnLabels:
    """Labels of the pairs that were tokenised, in the order of ``keys``."""
    place = {key: k for k, key in enumerate(keys)}
    new = np.array([place.get(pair.key, -1) for pair in own.pairs])
    kept = own.select(new[own.pair] >= 0)
    by_key = {pair.key: pair for pair in own.pairs}
    pairs = [by_key[key] for key in keys]
    return replace(kept, pairs=pairs, pair=new[kept.pair])


def read(file: Path) -> dict[str, Any]:
    """A JSON file of a finished run."""
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return found
