"""transformers' Trainer on pairs of texts.

The Trainer does the loop, mixed precision, several devices and the state of optimiser and
random numbers. What is ours is the order of pairs, their labels, the loss, the measurement on
held-out pairs, and that a checkpoint counts only when it is whole.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm
from transformers.trainer_callback import PrinterCallback

from hetlib.checks import Array
from hetlib.consistent import losses
from hetlib.llm.data import batches
from hetlib.llm.data.agreement import agreement
from hetlib.llm.data.labels import differences, draw_labels, label_pairs
from hetlib.llm.data.tokens import TokenPairs
from hetlib.llm.model.settings import Settings
from hetlib.llm.train import checkpoints

Points = frozenset[int]


class Presentations(torch.utils.data.Dataset[dict[str, Tensor]]):
    """The micro-batches of one process, laid out and labelled, in the order of training.

    Args:
        settings: Labels, batch, seed and layout.
        data: Training pairs.
        rank: This process.
        processes: How many there are; a step has ``batch * accumulate`` pairs on each.
        hidden: Size of the model's hidden state, to pack rows for; None: no packing.
    """

    def __init__(
        self,
        settings: Settings,
        data: TokenPairs,
        rank: int = 0,
        processes: int = 1,
        hidden: int | None = None,
    ) -> None:
        self.settings, self.data, self.hidden = settings, data, hidden
        n = len(data)
        shown = settings.presentations or n
        step = settings.global_batch * processes
        self.shared = batches.shared_tokens(data) if settings.shared_prompt else None
        rows = batches.row_lengths(data, self.shared)
        parts = settings.accumulate * processes
        plan = batches.schedule(rows, step, shown, settings.seed, parts, settings.length_group)
        self.steps = len(plan)
        self.tokens = int(rows[plan % n].sum())  # of all processes
        micro = plan.reshape(self.steps, settings.accumulate, processes, settings.batch)
        self.plan = micro[:, :, rank].reshape(-1, settings.batch)
        lengths = np.asarray(data.lengths)
        epochs = range(int(plan.max()) // n + 1)
        labelled = [labels(settings, data, e) for e in epochs]  # shown again: a fresh label
        self.preferred = np.concatenate(labelled)
        self.variance = differences(lengths, settings.limit).var(axis=0)  # of Eq. (16), known

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        shown = self.plan[index]
        pairs = shown % len(self.data)
        s = self.settings
        batch = batches.collate(
            *(self.data, pairs, self.shared, s.shift, s.prompt_tokens),
            margins=True,
            hidden=self.hidden,
        )
        batch["preferred"] = torch.from_numpy(self.preferred[shown])
        batch["variance"] = torch.from_numpy(self.variance[pairs]).float()
        return batch


def labels(settings: Settings, data: TokenPairs, presentation: int) -> NDArray[np.uint8]:
    """Labels of all pairs: by their lengths, or, "given", from the data's own probabilities.

    Raises:
        ValueError: labels are to be given, and the data have no probabilities.
    """
    if settings.labels != "given":
        kind, seed = settings.labels, settings.seed
        return label_pairs(data.lengths, data.keys, kind, seed, presentation, settings.limit)
    if data.chance is None:
        raise ValueError('labels is "given", but the data have no probabilities (chance)')
    chance = data.chance[settings.seed % len(data.chance)]
    return draw_labels(chance, data.keys, settings.seed, presentation)


def pair_loss(settings: Settings, h: Tensor, preferred: Tensor, variance: Tensor) -> Tensor:
    """The loss of a batch.

    Args:
        settings: Which loss.
        h: Reward of the second text less that of the first, shape (batch,).
        preferred: 1 where the second was preferred, shape (batch,).
        variance: Variance of the types' reward differences, shape (batch,).

    Returns:
        Mean over the batch, a scalar.
    """
    if settings.loss == "dpo":
        return losses.dpo(h, preferred)  # Eq. (6)
    if settings.loss == "corrected":
        return losses.corrected(h, preferred, variance, settings.correction)  # Eq. (14)
    votes = preferred[:, None].expand(-1, 3)  # a consensus label: all three types agree
    if settings.loss == "agreement":
        return losses.agreement(h, votes)  # Prop. 6.1
    return losses.integral(h, votes)  # Prop. B.3


class PairTrainer(transformers.Trainer):
    """transformers' Trainer on margins between two texts."""

    def __init__(self, settings: Settings, held_out: TokenPairs, **options: Any) -> None:
        super().__init__(**options)
        self.remove_callback(PrinterCallback)
        self.settings, self.held_out = settings, held_out
        self.shared = batches.shared_tokens(held_out) if settings.shared_prompt else None
        self.rows = batches.row_lengths(held_out, self.shared)
        self.truth = differences(held_out.lengths, settings.limit).mean(axis=0)
        self.scores: Array | None = None
        self._right, self._seen = torch.zeros((), device=self.args.device), 0

    def train(self, *args: Any, **options: Any) -> Any:
        """Train with subnormal numbers as zeros: gradients near 1e-40 cost seconds a step.

        The switch is the thread's, NumPy's sums included, so it is off again whatever happens.
        """
        torch.set_flush_denormal(True)
        try:
            return super().train(*args, **options)
        finally:
            torch.set_flush_denormal(False)

    def get_train_dataloader(self) -> Any:
        """Batches as they come: sharding over processes is in their order already."""
        return torch.utils.data.DataLoader(
            self.train_dataset, batch_size=1, collate_fn=_only, pin_memory=_pinned(self.args.device)
        )

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Tensor:
        """Loss of a micro-batch; remembers how many labels the margins agree with."""
        preferred, variance = inputs.pop("preferred"), inputs.pop("variance")
        scores = model(**inputs)
        h = scores[1::2] - scores[0::2]
        with torch.no_grad():
            self._right += ((h > 0) == preferred.bool()).sum()
            self._seen += len(h)
        return pair_loss(self.settings, h, preferred, variance)

    def log(self, logs: dict[str, float], *args: Any, **options: Any) -> None:
        """Add the agreement with the labels since the last entry."""
        if "loss" in logs and self._seen:
            right = self.accelerator.reduce(self._right.clone(), "sum")
            logs["label_agreement"] = float(right) / (self._seen * self.args.world_size)
            self._right.zero_()
            self._seen = 0
        if "train_runtime" not in logs:  # times have their own file
            super().log(logs, *args, **options)

    def _evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        last = self.state.global_step >= self.state.max_steps
        some = None if last else self.settings.eval_pairs
        self.scores = self.score(some)
        found = agreement(self.scores[:, 1] - self.scores[:, 0], self.truth[: len(self.scores)])
        metrics = {"held_out_agreement": found.rate}
        self.log(metrics)
        self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    @torch.no_grad()
    def score(self, some: int | None = None) -> Array:
        """Rewards, learned or induced, of both texts of held-out pairs.

        Args:
            some: Only the first so many pairs.

        Returns:
            Rewards, float64, shape (pairs, 2).
        """
        data, shared = self.held_out, self.shared
        n = min(len(data), some or len(data))
        s, world = self.settings, self.args.world_size
        hidden = self.accelerator.unwrap_model(self.model).config.hidden_size
        order = np.argsort(self.rows[:n], kind="stable")
        parts = [order[i : i + s.eval_batch] for i in range(0, n, s.eval_batch)]
        turns = range(self.args.process_index, self.args.process_index + len(parts), world)
        mine = [parts[k % len(parts)] for k in turns]
        model = self.model_wrapped
        was = model.training
        model.eval()
        found: list[tuple[NDArray[np.int64], Array]] = []
        for part in mine:  # as many on each process, as sharded models need
            batch = self._prepare_inputs(
                batches.collate(data, part, shared, s.shift, s.prompt_tokens, hidden=hidden)
            )
            found.append((part, model(**batch).double().cpu().numpy().reshape(-1, 2)))
        model.train(was)
        if world > 1:
            everyone: list[Any] = [None] * world
            torch.distributed.all_gather_object(everyone, found)
            found = [item for one in everyone for item in one]
        out = np.full((n, 2), np.nan)
        for part, values in found:
            out[part] = values
        return out

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        if self.args.should_save and output_dir is not None:
            state = self.model.state_dict() if state_dict is None else state_dict
            checkpoints.save_trained(state, Path(output_dir))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        where = Path(resume_from_checkpoint)
        checkpoints.load_trained(self.model if model is None else model, where)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
            checkpoints.seal(folder, self.args.world_size)
            checkpoints.prune(folder.parent)


class Rhythm(transformers.TrainerCallback):
    """When to log, measure and save; and a bar on stderr that leaves no trace."""

    def __init__(self, log: Points, measure: Points, save: Points, label: str) -> None:
        self.points = {"should_log": log, "should_evaluate": measure, "should_save": save}
        self.label = label
        self.bar: tqdm[Any] | None = None
        self.shown: dict[str, str] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the bar where the run stands."""
        if state.is_world_process_zero:
            self.bar = tqdm(
                total=state.max_steps,
                initial=state.global_step,
                desc=self.label,
                file=sys.stderr,
                leave=False,
                mininterval=1.0,
            )

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Set what the Trainer does after this step."""
        for name, points in self.points.items():
            setattr(control, name, state.global_step in points)
        if self.bar is not None:
            self.bar.update()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Show loss and agreement."""
        names = {"loss": "loss", "label_agreement": "labels", "held_out_agreement": "held out"}
        self.shown |= {short: f"{logs[n]:.3f}" for n, short in names.items() if n in logs}
        if self.bar is not None:
            self.bar.set_postfix(self.shown, refresh=False)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Erase the bar."""
        if self.bar is not None:
            self.bar.close()


def points(steps: int, many: int) -> Points:
    """So many steps, evenly spaced, the last of them the end."""
    return frozenset(int(k) for k in np.linspace(0, steps, min(many, steps) + 1)[1:].round())


def _only(items: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return items[0]


def _pinned(device: torch.device) -> bool:
    return device.type == "cuda"
