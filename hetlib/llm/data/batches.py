"""Which pairs go into a batch, and how a batch is laid out in memory.

The two texts of a pair share a prompt, and what a causal model computes for the prompt does
not depend on what follows. So a row holds the prompt once, then the first response, then the
second, which may look at the prompt but not at the first:

    row         p p p p a a a b b
    position    0 1 2 3 4 5 6 4 5

Short rows are packed side by side, each blind to the others, so that little of a batch is
padding although its pairs are of any length. The usual remedy, batches of pairs of similar
length, has a price where the reward *is* a function of length: a batch then tells of one length
only. Chapter 10 measures it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetlib.extras import require

require("torch")
import torch
from torch import Tensor

from hetlib.llm.data.tokens import TokenPairs

Indices = NDArray[np.int64]
Batch = dict[str, Tensor]


def shared_tokens(data: TokenPairs) -> Indices:
    """Tokens that both texts of a pair begin with, at most those of the prompt, shape (pairs,).

    One token of each text is always left over, so that each has a last one of its own.
    """
    out = np.zeros(len(data), dtype=np.int64)
    for i, (a, b, prompt) in enumerate(zip(data.first, data.second, data.prompt, strict=True)):
        n = max(min(len(a) - 1, len(b) - 1, int(prompt)), 0)
        differ = np.flatnonzero(a[:n] != b[:n])
        out[i] = differ[0] if len(differ) else n
    return out


def row_lengths(data: TokenPairs, shared: Indices | None) -> Indices:
    """Tokens to be read for each pair, shape (pairs,).

    Args:
        data: The pairs.
        shared: Tokens to read once, shape (pairs,). None: each text has a row of its own, and
            the longer one counts.
    """
    lengths = np.asarray(data.lengths, dtype=np.int64)
    return lengths.max(axis=1) if shared is None else lengths.sum(axis=1) - shared


def schedule(
    rows: Indices, batch: int, presentations: int, seed: int, parts: int = 1, group: int = 1
) -> Indices:
    """The pairs of each optimiser step.

    Epoch after epoch in random order. Within ``group`` batches the pairs are sorted by length,
    cut into batches, and the batches shuffled.

    Args:
        rows: Length of each pair, shape (pairs,).
        batch: Pairs of a step, over all devices.
        presentations: Pairs to show in all; a rest that fills no batch is left out.
        seed: Another seed, another order.
        parts: Micro-batches of a step; neighbours in length share one.
        group: Batches that are sorted together. 1: only pairs of the same batch are.

    Returns:
        Presentation numbers, pair + pairs * epoch, shape (steps, batch).

    Raises:
        ValueError: fewer presentations than one batch, or a batch that parts do not divide.
    """
    if presentations < batch:
        raise ValueError(
            f"presentations is {presentations} and a step has {batch} pairs; nothing to train on"
        )
    if batch % parts:
        raise ValueError(f"batch is {batch}; {parts} equal micro-batches are needed")
    rng = np.random.default_rng([seed, 0x5C4ED])
    n = len(rows)
    epochs = -(-presentations // n)
    order = np.concatenate([rng.permutation(n) + n * e for e in range(epochs)])
    steps = presentations // batch
    order = order[: steps * batch]
    out = np.empty((steps, batch), dtype=np.int64)
    for start in range(0, steps, group):
        part = order[start * batch : (start + group) * batch]
        part = part[np.argsort(rows[part % n], kind="stable")].reshape(-1, batch)
        out[start : start + group] = rng.permutation(part)
    return out


def pack(rows: Indices, hidden: int) -> tuple[Indices, Indices]:
    """Put rows side by side, so that the model computes as little as possible.

    Longest first, each goes where there is room. Wider rows waste less on padding and more on
    attention: a position of a layer takes about 24 hidden^2 operations for its matrices and
    4 hidden width to look at a row, so rows * width * (6 hidden + width) is made small.

    Args:
        rows: Length of each row, shape (rows,).
        hidden: Size of the model's hidden state.

    Returns:
        The wide row of each row, counted from 0, and where in it the row starts, shape (rows,).
    """
    widths = [int(rows.max())]
    while widths[-1] < rows.sum():
        widths.append(2 * widths[-1])

    def cost(packed: tuple[Indices, Indices]) -> int:
        place, start = packed
        width = int((start + rows).max())
        return int(place.max() + 1) * width * (6 * hidden + width)

    return min((_first_fit(rows, width) for width in widths), key=cost)


def _first_fit(rows: Indices, width: int) -> tuple[Indices, Indices]:
    place, start = np.empty_like(rows), np.empty_like(rows)
    room: list[int] = []
    for i in np.argsort(-rows, kind="stable"):
        k = next((k for k, left in enumerate(room) if left >= rows[i]), len(room))
        room.extend([width] * (k == len(room)))
        place[i], start[i] = k, width - room[k]
        room[k] -= int(rows[i])
    return place, start


def collate(
    data: TokenPairs,
    pairs: Sequence[int] | Indices,
    shared: Indices | None = None,
    shift: bool = True,
    prompt_tokens: bool = True,
    pad: int = 0,
    margins: bool = False,
    hidden: int | None = None,
) -> Batch:
    """Lay pairs out for one forward pass.

    Args:
        data: All pairs.
        pairs: Which of them, shape (batch,).
        shared: As in :func:`row_lengths`, shape (all pairs,). None: texts in rows of their
            own, padded on the right, where causal attention never looks.
        shift: Score a token by the position before it. False: by its own position, which has
            already read it, as the released code does.
        prompt_tokens: Score the tokens of the prompt as well.
        pad: Token that fills up rows.
        margins: Leave the tokens of a shared prompt unscored. What they add to the two scores
            of a pair is the same number, so every margin and its gradient stay as they are.
        hidden: Size of the model's hidden state; with ``shared``, rows are packed for it as in
            :func:`pack`. None: each pair has a row of its own.

    Returns:
        ``input_ids`` (rows, width); ``source``, ``target`` and ``owner`` of scored tokens and
        ``last`` as in :mod:`hetlib.llm.model.scoring`, where text 2k is the first of pair k and
        2k + 1 its second; with ``shared`` also ``position_ids`` (rows, width) and
        ``attention_mask`` (rows, 1, width, width), True where a row may look at a column.
    """
    texts = [text for i in pairs for text in (data.first[i], data.second[i])]
    lengths = np.array([len(text) for text in texts])
    n = len(texts)
    if shared is None:
        common = np.zeros(n, dtype=np.int64)  # tokens of a text that stand in its row's prompt
        row, offset = np.arange(n), np.zeros(n, dtype=np.int64)
        start = offset
        width = int(lengths.max())
    else:
        common = np.repeat(shared[np.asarray(pairs)], 2)
        offset = common.copy()  # where the text goes on after the prompt
        offset[1::2] += (lengths - common)[0::2]
        filled = (offset + lengths - common)[1::2]
        apart = np.arange(len(filled)), np.zeros_like(filled)
        row, start = (np.repeat(x, 2) for x in (pack(filled, hidden) if hidden else apart))
        width = int((start[1::2] + filled).max())
    rows = int(row.max()) + 1

    owner = np.repeat(np.arange(n), lengths)
    step = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    token = np.concatenate(texts).astype(np.int64)

    def place(text: Indices, t: Indices) -> Indices:
        inside = np.where(t < common[text], t, offset[text] + t - common[text])
        return np.asarray(row[text] * width + start[text] + inside)

    cell = place(owner, step)
    ids = np.full(rows * width, pad, dtype=np.int64)
    ids[cell] = token
    first = np.repeat(np.asarray(data.prompt)[np.asarray(pairs)], 2)[owner]
    scored = step >= (int(shift) if prompt_tokens else np.maximum(first, int(shift)))
    if margins:
        scored &= step >= common[owner]
    out: dict[str, Any] = {
        "input_ids": ids.reshape(rows, width),
        "source": place(owner[scored], step[scored] - int(shift)),
        "target": token[scored],
        "owner": owner[scored],
        "last": place(np.arange(n), lengths - 1),
    }
    if shared is not None:
        position = np.zeros(rows * width, dtype=np.int64)
        position[cell] = step
        # 3k, 3k + 1 and 3k + 2 for the prompt and the responses of pair k, -1 for padding
        part = np.full(rows * width, -1)
        part[cell] = owner // 2 * 3 + np.where(step < common[owner], 0, 1 + owner % 2)
        seen = part.reshape(rows, 1, width)
        by = part.reshape(rows, width, 1)
        sees = (seen == by) | (seen == by - by % 3)
        out["position_ids"] = position.reshape(rows, width)
        out["attention_mask"] = np.tril(sees)[:, None]
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in out.items()}
