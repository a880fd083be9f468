"""What a language model says of a text: its log-probability, or a reward at its last token.

Direct alignment needs log pi(text), a sum over tokens of log-softmax entries. The logits of a
batch, positions times vocabulary, are by far its largest array, and most of it is never asked
for: padding is not scored, and of a row of logits one entry and the normaliser are. So only
the scored positions are looked at, a chunk at a time.

The output matrix is frozen under LoRA. The gradient of one token's log-probability by its
hidden state is then a vector that is known as soon as the logits are,

    d log p(v) / dh = W[v] - sum_w p(w) W[w],

and it is kept in place of the logits: hidden size instead of vocabulary size a position, and
nothing is computed twice.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _TokenLogProbability(torch.autograd.Function):
    """log softmax(h W^T)[target], with W constant."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, target: Tensor, chunk: int) -> Tensor:
        out = hidden.new_empty(len(hidden), dtype=torch.float32)
        slope = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        for start in range(0, len(hidden), chunk):
            part = slice(start, start + chunk)
            wanted = target[part]
            logits = (hidden[part] @ weight.T).float()
            norm = logits.logsumexp(dim=1)
            out[part] = logits.gather(1, wanted[:, None])[:, 0] - norm
            if slope is not None:
                p = logits.sub_(norm[:, None]).exp_().to(weight.dtype)
                slope[part] = weight[wanted] - p @ weight
        if slope is not None:
            ctx.save_for_backward(slope)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        (slope,) = ctx.saved_tensors
        return grads[0][:, None].to(slope.dtype) * slope, None, None, None


def token_log_probability(
    hidden: Tensor, weight: Tensor, target: Tensor, chunk: int = 1024
) -> Tensor:
    """Log-probability of given tokens.

    Args:
        hidden: Last hidden states, shape (positions, hidden).
        weight: Output matrix, shape (vocabulary, hidden); no gradient reaches it.
        target: Tokens, shape (positions,).
        chunk: Positions whose logits are in memory at once.

    Returns:
        Natural logarithms, float32, shape (positions,).

    Raises:
        ValueError: the output matrix is to be trained.
    """
    if weight.requires_grad:
        raise ValueError("weight requires a gradient; the output matrix must be frozen")
    hidden = hidden.to(weight.dtype)
    with torch.autocast(hidden.device.type, enabled=False):
        return _TokenLogProbability.apply(hidden, weight, target, chunk)  # type: ignore[no-untyped-call]


def sequence_log_probability(
    hidden: Tensor,
    weight: Tensor,
    source: Tensor,
    target: Tensor,
    owner: Tensor,
    texts: int,
    chunk: int = 1024,
) -> Tensor:
    """Log-probability of whole texts, the sum over their scored tokens.

    Args:
        hidden: Last hidden states, shape (rows, positions, hidden).
        weight: Output matrix, shape (vocabulary, hidden).
        source: Which position predicts a scored token, counted through all rows, shape
            (scored,). :func:`hetlib.llm.data.batches.collate` puts the shift in here.
        target: The scored tokens, shape (scored,).
        owner: Which text a scored token belongs to, shape (scored,).
        texts: Number of texts.
        chunk: Positions whose logits are in memory at once.

    Returns:
        log pi of each text, float32, shape (texts,).
    """
    states = hidden.reshape(-1, hidden.shape[-1])[source]
    scores = token_log_probability(states, weight, target, chunk)
    return scores.new_zeros(texts).index_add(0, owner, scores)


def reward_score(hidden: Tensor, head: Tensor, last: Tensor) -> Tensor:
    """A linear reward of the hidden state at each text's last token.

    Args:
        hidden: Last hidden states, shape (rows, positions, hidden).
        head: Shape (hidden,).
        last: Position of each text's last token, counted through all rows, shape (texts,).

    Returns:
        Rewards, float32, shape (texts,).
    """
    states = hidden.reshape(-1, hidden.shape[-1])[last]
    with torch.autocast(hidden.device.type, enabled=False):
        return states.float() @ head.float()
