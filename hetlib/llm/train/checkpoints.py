"""Checkpoints that count only when they are whole, and the files of a run's folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from hetlib.store import write_json as write_json
from hetlib.store import writing

WEIGHTS = "trained.safetensors"
SEAL = "complete.json"


def save_trained(state: dict[str, Any], folder: Path) -> None:
    """Store what is trained, adapters and reward head, and nothing of the base model.

    Args:
        state: State of a :class:`hetlib.llm.model.models.Scorer`, whole.
        folder: Where to; made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trained = {k: v.contiguous().cpu() for k, v in state.items() if is_trained(k)}
    with writing(folder / WEIGHTS) as part:
        safetensors.torch.save_file(trained, part)


def is_trained(name: str) -> bool:
    """Whether a parameter of a scorer is trained."""
    return ".lora_" in name or name.startswith("head.")


def load_trained(model: Any, folder: Path) -> None:
    """Put stored adapters and head into a scorer, whether it is sharded or not."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict

    try:
        state = safetensors.torch.load_file(folder / WEIGHTS)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{folder / WEIGHTS} is damaged ({error}); remove {folder}") from error
    if torch.distributed.is_initialized():
        options = StateDictOptions(full_state_dict=True, strict=False)
        set_model_state_dict(model, state, options=options)
    else:
        missing = model.load_state_dict(state, strict=False)
        if missing.unexpected_keys:
            raise ValueError(f"{folder} holds weights of another model: {missing.unexpected_keys}")


def seal(folder: Path, processes: int) -> None:
    """Mark a checkpoint as whole: the list of its files and sizes, written last and at once."""
    sizes = {p.name: p.stat().st_size for p in sorted(folder.iterdir()) if p.is_file()}
    write_json(folder / SEAL, {"processes": processes, "files": sizes})


def newest(folder: Path, processes: int = 1) -> Path | None:
    """The checkpoint to go on from.

    Args:
        folder: A run's folder.
        processes: How many processes the run has; others' checkpoints do not fit.

    Returns:
        The latest whole checkpoint, or None.
    """
    found = [path for path in _numbered(folder) if _whole(path, processes)]
    return found[-1] if found else None


def prune(folder: Path) -> None:
    """Remove all checkpoints but the last two."""
    for path in _numbered(folder)[:-2]:
        shutil.rmtree(path)


def _numbered(folder: Path) -> list[Path]:
    """Folders of checkpoints by their step; others, such as ``checkpoint-abc``, are none."""
    found = {path: path.name.removeprefix("checkpoint-") for path in folder.glob("checkpoint-*")}
    steps = {path: int(step) for path, step in found.items() if step.isdecimal()}
    return sorted(steps, key=lambda path: steps[path])


def _whole(path: Path, processes: int) -> bool:
    try:
        stored = json.loads((path / SEAL).read_text())
        sizes = {name: (path / name).stat().st_size for name in stored["files"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False  # half written
    return bool(sizes == stored["files"] and stored.get("processes") == processes)
