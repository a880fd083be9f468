"""The small model: its tokenizer, and a short next-token pretraining.

LoRA adapts a model that already reads; on random weights it has nothing to adapt. So the
small base first learns to predict the next token of the training texts, all of its weights,
for a few hundred steps. The result is kept in a folder whose name is a digest of everything
it depends on, so all runs on the same texts share it.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from hetlib.book.progress import track
from hetlib.llm.data import batches
from hetlib.llm.data.tokens import TokenPairs
from hetlib.llm.model import models
from hetlib.llm.model.settings import Settings
from hetlib.store import code_digest

PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"
UNKNOWN = "<unk>"


def train_tokenizer(texts: Iterable[str], vocabulary: int = 512) -> Any:
    """A word-level tokenizer: words, speakers, single marks and line breaks are tokens.

    Every text starts with ``<bos>``: rotary positions are relative, and a first token that is
    always the same is what makes the length of a text readable. ``tokens.tokenise(...,
    eos=True)`` ends each with ``<eos>``.

    Args:
        texts: The corpus.
        vocabulary: Most tokens; rarer words become ``<unk>``.

    Returns:
        A ``transformers.PreTrainedTokenizerFast``.

    Raises:
        ValueError: a vocabulary with no room for words.
    """
    from tokenizers import Regex, Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Split
    from tokenizers.processors import TemplateProcessing
    from tokenizers.trainers import WordLevelTrainer
    from transformers import PreTrainedTokenizerFast

    special = [PAD, BOS, EOS, UNKNOWN]
    if vocabulary <= len(special):
        raise ValueError(f"vocabulary is {vocabulary}; more than {len(special)} are needed")
    tokenizer = Tokenizer(WordLevel(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = Split(Regex(r"\n\n\w+:|\n| ?\w+| ?[^\w\s]"), "isolated")
    trainer = WordLevelTrainer(vocab_size=vocabulary, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    start = [(BOS, tokenizer.token_to_id(BOS))]
    tokenizer.post_processor = TemplateProcessing(single=f"{BOS} $A", special_tokens=start)
    names = {"pad_token": PAD, "bos_token": BOS, "eos_token": EOS, "unk_token": UNKNOWN}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def configuration(settings: Settings) -> Any:
    """The small model's LlamaConfig."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=settings.vocabulary,
        hidden_size=settings.hidden,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads,
        intermediate_size=settings.intermediate,
        max_position_embeddings=settings.limit,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )


def pretrained(settings: Settings, data: TokenPairs, cache: str | Path) -> Path:
    """The folder of the small base model; it is trained if it is not there.

    Safe against several processes at once: each writes a folder of its own and moves it into
    place whole. The same settings and texts give the same bytes, so whoever is first is right.

    Args:
        settings: Its architecture and ``pretrain_...`` settings.
        data: The texts.
        cache: Folder that holds such models.

    Returns:
        A folder with config.json and model.safetensors.

    Raises:
        ValueError: a token that the vocabulary does not have.
    """
    most = max(int(text.max()) for text in (*data.first, *data.second))
    if most >= settings.vocabulary:
        raise ValueError(f"vocabulary is {settings.vocabulary}, but the texts have token {most}")
    texts = replace(data, chance=None)  # labels do not matter here
    code = code_digest(__name__, ("numpy", "torch", "transformers"))
    key = json.dumps(settings.base(), sort_keys=True) + texts.digest() + code
    cache = Path(cache)
    out = cache / f"base-{hashlib.blake2b(key.encode(), digest_size=8).hexdigest()}"
    if (out / "model.safetensors").exists():
        return out
    cache.mkdir(parents=True, exist_ok=True)
    own = cache / f".{out.name}.{os.getpid()}-{secrets.token_hex(4)}.part"
    own.mkdir()  # with the mode that new folders have
    try:
        with models.no_bars():
            _train(settings, data).save_pretrained(own)
        own.rename(out)
    except OSError:
        if not (out / "model.safetensors").exists():
            raise
    finally:
        shutil.rmtree(own, ignore_errors=True)
    return out


def _train(settings: Settings, data: TokenPairs) -> Any:
    """Next-token prediction with Adam, all weights, warm-up and then a fall to zero."""
    from transformers import LlamaForCausalLM

    where = models.device(settings.device)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(configuration(settings)).to(where)
    steps, batch = settings.pretrain_steps, min(max(settings.pretrain_batch // 2, 1), len(data))
    if not steps:
        return model
    shared = batches.shared_tokens(data)
    rows = batches.row_lengths(data, shared)
    plan = batches.schedule(rows, batch, steps * batch, seed=0, group=settings.length_group)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, weight_decay=0.01, fused=True)
    for step, pairs in enumerate(track(plan % len(data), "pretraining")):
        laid = batches.collate(data, pairs, shared, hidden=settings.hidden)
        laid = {name: value.to(where) for name, value in laid.items()}
        rate = min((step + 1) / (0.1 * steps), (steps - step) / (0.9 * steps))
        optimizer.param_groups[0]["lr"] = settings.pretrain_learning_rate * rate
        inputs = {name: laid[name] for name in ("input_ids", "position_ids", "attention_mask")}
        hidden = model.model(**inputs, use_cache=False).last_hidden_state.flatten(0, 1)
        logits = model.lm_head(hidden[laid["source"]])
        loss = cross_entropy(logits.float(), laid["target"])
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return model
