"""Training the networks of :mod:`hetlib.ring.network`: all recipes and seeds at once.

Every run is a slice of the same tensors: it has its own parameters, and those of one seed
share data and batches. Training can be stopped and resumed and gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from hetlib.extras import require

require("torch")
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor

from hetlib.book.progress import track
from hetlib.checks import Array
from hetlib.consistent import losses
from hetlib.linked.moments import variance_from_moments
from hetlib.ring.environment import RingEnvironment
from hetlib.ring.network import Batches, Joint, NetworkSettings, Recipe, initial_weights, logits
from hetlib.store import writing


class NetworkTraining:
    """Training runs of several recipes and seeds.

    Args:
        environment: Where the data come from.
        recipes: The methods.
        seeds: One run of each recipe for each.
        settings: How it is trained.
    """

    def __init__(
        self,
        environment: RingEnvironment,
        recipes: Sequence[Recipe],
        seeds: Sequence[int],
        settings: NetworkSettings,
    ):
        if not recipes or not seeds:
            raise ValueError("recipes and seeds must not be empty")
        self.environment, self.recipes = environment, list(recipes)
        self.seeds, self.settings = list(seeds), settings
        n, types = environment.n, len(environment.shifts)
        self.weights = initial_weights(n, settings.hidden, seeds, len(recipes))
        self.adam = torch.optim.Adam(self.weights, lr=settings.rate, foreach=True)
        wide = [r.votes for r in recipes]
        self.sources = {
            votes: [Batches(environment, settings, seed, votes) for seed in seeds]
            for votes in (False, True)
            if votes in wide
        }
        learns = any(r.kind == "corrected" and r.joint == "learned" for r in recipes)
        self.joint = Joint(n, types, seeds, settings.joint_rate) if learns else None
        exact = environment.moments()
        self.exact = [torch.tensor(J.ravel(), dtype=torch.float32) for J in (exact.J1, exact.J2)]
        self.step, self.kept = 0, dict[int, Array]()

    def policies(self) -> Array:
        """Present policies by prompt and offset, shape (recipes, seeds, n, n)."""
        n = self.environment.n
        with torch.no_grad():
            table = torch.softmax(logits(self.weights).double(), dim=2).numpy()
        shift = (np.arange(n)[:, None] + np.arange(n) - n // 2) % n
        out = np.take_along_axis(table, shift[None], axis=2)
        return out.reshape(len(self.recipes), len(self.seeds), n, n)

    def advance(self) -> None:
        """One step of Adam for all runs."""
        n = self.environment.n
        shape = (len(self.recipes), len(self.seeds), n * n)
        flat = logits(self.weights).view(shape)
        total = torch.zeros(())
        for votes, sources in self.sources.items():
            parts = [source.next() for source in sources]
            one, two, d1, d2, x = (
                torch.tensor(np.stack([getattr(p, name) for p in parts]))
                for name in ("y1", "y2", "d1", "d2", "x")
            )
            labels = torch.tensor(np.stack([p.votes for p in parts]) == 1)
            one, two = x * n + one, x * n + two
            chosen = [k for k, r in enumerate(self.recipes) if r.votes == votes]
            spread = (len(chosen), *one.shape)
            part = flat[chosen]
            h = part.gather(2, two.expand(spread)) - part.gather(2, one.expand(spread))  # Eq. (15)
            for k, margin in zip(chosen, h, strict=True):
                total = total + self._loss(self.recipes[k], margin, labels, one, two, d2 * n + d1)
            if not votes and self.joint is not None:
                types = torch.tensor(np.stack([p.types for p in parts if p.types is not None]))
                joint = (one, two, labels[:, :, 0], types)
        self.adam.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        self.adam.step()
        if self.joint is not None:
            self.joint.step(*joint)
        self.step += 1
        if self.step in self.settings.kept:
            self.kept[self.step] = self.policies()

    def _loss(
        self, recipe: Recipe, h: Tensor, labels: Tensor, one: Tensor, two: Tensor, pair: Tensor
    ) -> Tensor:
        """Sum over seeds of the mean loss of a batch; h is (seeds, batch)."""
        flat = h.reshape(-1)
        kind = recipe.kind
        if kind == "corrected":
            late = self.settings.steps if recipe.late is None else recipe.late
            if self.step < self.settings.steps - late:
                kind = "dpo"
        if recipe.votes:
            votes = labels.reshape(len(flat), -1)
            if kind == "integral":
                loss = losses.integral(flat, votes, reduction="none")
            else:
                released = kind == "agreement as released"
                loss = losses.agreement(flat, votes, as_released=released, reduction="none")
        elif kind == "dpo":
            loss = losses.dpo(flat, labels.reshape(-1), reduction="none")
        else:
            if recipe.joint == "exact" or self.joint is None:
                J1, J2 = (J[pair] for J in self.exact)
            else:
                J1, J2 = self.joint.moments(one, two)
            variance = variance_from_moments(J1.reshape(-1), J2.reshape(-1), flat)  # Eq. (16)
            loss = losses.corrected(
                flat,
                labels.reshape(-1),
                variance,
                alpha=recipe.alpha,
                clamp=recipe.clamp,
                reduction="none",
            )
        return loss.view(h.shape).mean(dim=1).sum()

    def digest(self) -> str:
        """Names everything that the result depends on."""
        parts = [asdict(self.environment), asdict(self.settings), *map(asdict, self.recipes)]
        text = json.dumps([parts, self.seeds], sort_keys=True, default=list)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _tensors(self) -> dict[str, Tensor]:
        """What training changes, by name; the tensors themselves."""
        found = {f"weights {k}": w.detach() for k, w in enumerate(self.weights)}
        optimisers = {"adam": self.adam}
        if self.joint is not None:
            found |= {
                "joint rewards": self.joint.rewards.detach(),
                "joint logits": self.joint.logits.detach(),
            }
            optimisers["joint adam"] = self.joint.adam
        for name, adam in optimisers.items():
            for k, moments in adam.state_dict()["state"].items():
                found |= {f"{name} {k} {key}": value for key, value in moments.items()}
        return found

    def save(self, path: Path) -> None:
        """Store the state as tensors and JSON; the file is whole or not there."""
        arrays = {name: tensor.numpy() for name, tensor in self._tensors().items()}
        arrays |= {f"kept {step}": policies for step, policies in self.kept.items()}
        places: dict[str, list[Any]] = {}
        for votes, sources in self.sources.items():
            states = [source.state() for source in sources]
            arrays |= {f"order {votes} {k}": s.pop("order") for k, s in enumerate(states)}
            places[str(votes)] = states
        about = {"digest": self.digest(), "step": self.step, "sources": places}
        path.parent.mkdir(parents=True, exist_ok=True)
        with writing(path) as part:
            save_file(arrays, part, {"about": json.dumps(about)})

    def load(self, path: Path) -> None:
        """Continue from a stored state; nothing in the file is run.

        Raises:
            ValueError: the file belongs to other settings, or is no checkpoint.
        """
        try:
            with safe_open(path, "numpy") as file:
                about = json.loads(file.metadata()["about"])
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if about["digest"] == self.digest():
                self._restore(about, arrays)
                return
        except (SafetensorError, LookupError, TypeError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"{path.name} is no checkpoint of this training ({error}); delete it or move it"
            ) from None
        raise ValueError(f"{path.name} is a checkpoint of other settings; delete it or move it")

    def _restore(self, about: dict[str, Any], arrays: dict[str, Any]) -> None:
        if about["step"] > 0:  # Adam makes its moments in the first step
            self._warm(self.adam)
            if self.joint is not None:
                self._warm(self.joint.adam)
        for name, tensor in self._tensors().items():
            if arrays[name].shape != tuple(tensor.shape):
                raise ValueError(f"{name} has shape {arrays[name].shape}")
            tensor.copy_(torch.tensor(arrays[name]))
        for votes, sources in self.sources.items():
            for k, source in enumerate(sources):
                state = about["sources"][str(votes)][k]
                source.load(state | {"order": arrays[f"order {votes} {k}"]})
        kept = {int(k.split()[1]): a for k, a in arrays.items() if k.startswith("kept ")}
        self.step, self.kept = about["step"], kept

    @staticmethod
    def _warm(adam: torch.optim.Adam) -> None:
        for group in adam.param_groups:
            for weight in group["params"]:
                weight.grad = torch.zeros_like(weight)
        adam.step()


def train_networks(
    environment: RingEnvironment,
    recipes: Sequence[Recipe],
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    settings: NetworkSettings | None = None,
    checkpoint: str | Path | None = None,
    every: int = 500,
) -> tuple[list[int], Array]:
    """Train all recipes with all seeds.

    Args:
        environment: Where the data come from.
        recipes: The methods.
        seeds: One run of each recipe for each.
        settings: How it is trained; the paper's if None.
        checkpoint: File to resume from if it exists, written as training goes on and removed
            at the end. An interrupted run that is resumed gives the same bytes.
        every: Steps between two checkpoints.

    Returns:
        The steps that were recorded, and the policies then by prompt and offset, shape
        (steps, recipes, seeds, n, n).

    Raises:
        ValueError: bad settings, or a checkpoint of others.
    """
    run = NetworkTraining(environment, recipes, seeds, settings or NetworkSettings())
    file = None if checkpoint is None else Path(checkpoint)
    if file is not None and file.exists():
        run.load(file)
    for step in track(range(run.step, run.settings.steps), "training"):
        run.advance()
        if file is not None and (step + 1) % every == 0:
            run.save(file)
    if file is not None:
        file.unlink(missing_ok=True)
    return run.settings.kept, np.stack([run.kept[k] for k in run.settings.kept])
