"""One run: train a reward model or a policy, measure it on held-out pairs, survive a kill."""

from __future__ import annotations

import json
import os
import platform
import shutil
import time
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from hetlib.llm.data.agreement import agreement
from hetlib.llm.data.tokens import TokenPairs
from hetlib.llm.model import models, pretrain
from hetlib.llm.model.settings import Settings
from hetlib.llm.runs import estimate
from hetlib.llm.train import checkpoints
from hetlib.llm.train.trainer import PairTrainer, Presentations, Rhythm, points
from hetlib.store import writing

PACKAGES = ("hetlib", "torch", "transformers", "peft", "accelerate", "numpy")


def train(
    settings: Settings,
    data: TokenPairs,
    held_out: TokenPairs,
    folder: str | Path,
    cache: str | Path | None = None,
) -> dict[str, Any]:
    """Train, measure, store. The same call goes on after a kill, and returns what is done.

    The folder gets settings.json, environment.json (versions and device), checkpoints while
    it runs, and in the end metrics.json, scores.npy (the rewards of both texts of each
    held-out pair), trained.safetensors (adapters and head) and times.json. On a CPU a run
    that was killed and went on has the same metrics, to the last bit, as one that was not.

    Args:
        settings: What to train.
        data: Training pairs.
        held_out: Pairs to measure on.
        folder: The run's own folder.
        cache: Folder of pretrained small models; the one above ``folder`` if None.

    Returns:
        The content of metrics.json, which is ``agreement`` with the true average reward on
        held-out pairs and its 95 % interval from ``low`` to ``high``, ``steps``,
        ``presentations``, ``tokens`` read, ``processes``, ``global_batch``, the pairs of a step
        over all of them, and ``curve``, a list of measurements by step.

    Raises:
        ValueError: unusable settings or data, a model that cannot be loaded, or a folder that
            belongs to another run.
    """
    folder = Path(folder)
    args = _arguments(settings, folder)
    first = args.process_index == 0
    identity = describe(settings, data, held_out, args.world_size)
    if first:
        _claim(folder, identity)
    with args.main_process_first(desc="folder"):
        if (folder / "metrics.json").exists():
            return _stored(folder / "metrics.json")
    with args.main_process_first(desc="small model"):
        small = None
        if settings.model == "tiny":
            small = pretrain.pretrained(settings, data, cache or folder.parent)
    start = time.perf_counter()
    if os.environ.get("ACCELERATE_USE_FSDP", "false") != "true":
        estimate.check_memory(settings, models.free_memory(settings.device), _copies(args))
    elif args.device.type == "cpu":  # accelerate would train unsharded without a word
        raise ValueError("FSDP is asked for, but accelerate shards only over GPUs and the like")
    base = models.load_base(settings, small)
    known = base.get_input_embeddings().num_embeddings
    most = max(int(t.max()) for d in (data, held_out) for t in (*d.first, *d.second))
    if most >= known:
        raise ValueError(
            f"model {settings.model!r} knows {known} tokens, but its tokenizer gives token {most}"
        )
    rank, processes, hidden = args.process_index, args.world_size, base.config.hidden_size
    shown = Presentations(settings, data, rank, processes, hidden)
    torch.manual_seed(settings.seed)
    scorer = models.Scorer(settings, base)
    # with few steps, every few; a checkpoint right after a log loses nothing of it
    measure = points(shown.steps, settings.evaluations)
    save = measure
    if settings.save_every:
        save = frozenset(range(settings.save_every, shown.steps, settings.save_every))
    save -= {shown.steps}
    log = points(shown.steps, 5 * settings.evaluations) | measure | save
    args.max_steps = shown.steps
    trainer = PairTrainer(
        settings,
        held_out,
        model=scorer,
        args=args,
        train_dataset=shown,
        callbacks=[Rhythm(log, measure, save, f"{settings.method}, {settings.labels}")],
    )
    resume = checkpoints.newest(folder, args.world_size)
    trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    assert trainer.scores is not None  # measured at the last step
    found = agreement(trainer.scores[:, 1] - trainer.scores[:, 0], trainer.truth)
    metrics = {
        "agreement": found.rate,
        "low": found.low,
        "high": found.high,
        "steps": shown.steps,
        "presentations": int(shown.steps * settings.global_batch * args.world_size),
        "tokens": shown.tokens,
        "processes": args.world_size,
        "global_batch": settings.global_batch * args.world_size,
        "curve": curve(trainer.state.log_history),
    }
    trainer.save_model(str(folder))
    if first:
        done = trainer.state.global_step - (int(resume.name.rpartition("-")[2]) if resume else 0)
        seconds = {"seconds": time.perf_counter() - start, "steps_of_this_call": done}
        if args.device.type == "cuda":
            seconds["peak_gib"] = torch.cuda.max_memory_allocated(args.device) / estimate.GIB
        checkpoints.write_json(folder / "times.json", seconds)
        checkpoints.write_json(folder / "environment.json", environment(args.device))
        with writing(folder / "scores.npy") as part, part.open("wb") as out:
            np.save(out, trainer.scores, allow_pickle=False)
        checkpoints.write_json(folder / "metrics.json", metrics)
        for old in folder.glob("checkpoint-*"):
            shutil.rmtree(old)
    trainer.accelerator.wait_for_everyone()
    return metrics


def describe(
    settings: Settings, data: TokenPairs, held_out: TokenPairs, processes: int = 1
) -> dict[str, Any]:
    """Everything that a run's metrics depend on."""
    found = asdict(settings) | {"data": data.digest(), "held_out": held_out.digest()}
    return found | ({"processes": processes} if processes > 1 else {})


def curve(history: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Entries of the Trainer's log, one a step, without what does not belong to it."""
    rows: dict[int, dict[str, float]] = {}
    for entry in history:
        kept = {k: v for k, v in entry.items() if k not in ("epoch", "total_flos")}
        rows.setdefault(int(entry["step"]), {}).update(kept)
    return [rows[step] for step in sorted(rows)]


def environment(device: torch.device) -> dict[str, Any]:
    """Versions and the device, for the record."""
    found = {name: metadata.version(name) for name in PACKAGES} | {
        "python": platform.python_version()
    }
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        return found | {"device": name, "cuda": torch.version.cuda}
    return found | {"device": "cpu", "machine": platform.machine()}


def _arguments(settings: Settings, folder: Path) -> transformers.TrainingArguments:
    where = models.device(settings.device)
    args = transformers.TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=settings.batch,
        gradient_accumulation_steps=settings.accumulate,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        optim="adamw_torch_fused",
        bf16=settings.precision == "bf16",
        seed=settings.seed,
        max_steps=1,  # set once the pairs are counted
        use_cpu=where.type == "cpu",
        logging_strategy="no",  # the rhythm is ours
        save_strategy="no",
        eval_strategy="no",
        logging_nan_inf_filter=False,  # a loss that breaks is to be seen
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to="none",
        ddp_find_unused_parameters=False,
    )
    args._n_gpu = min(args._n_gpu, 1)  # several GPUs need a launcher: nn.DataParallel is slow
    return args


def _stored(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is damaged ({error}); remove it and run again") from error
    if not isinstance(found, dict):
        raise ValueError(f"{file} is damaged (no names and values); remove it and run again")
    return found


def _claim(folder: Path, identity: dict[str, Any]) -> None:
    """Take a folder for this run, or find that it is this run's."""
    file = folder / "settings.json"
    wanted = json.loads(json.dumps(identity))
    if file.exists():
        stored = _stored(file)
        odd = [
            f"{name} is {stored.get(name)!r} there and {wanted.get(name)!r} here"
            for name in sorted(stored.keys() | wanted.keys())
            if stored.get(name) != wanted.get(name)
        ]
        if odd:
            raise ValueError(f"{folder} belongs to another run: {'; '.join(odd)}")
        return
    folder.mkdir(parents=True, exist_ok=True)
    checkpoints.write_json(file, wanted)


def _copies(args: transformers.TrainingArguments) -> int:
    """Copies of the model on one device: on a CPU all processes share the memory."""
    return args.world_size if args.device.type == "cpu" else 1
