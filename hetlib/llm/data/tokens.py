"""Tokenising pairs once, with a cache on disk, and the limit on length."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hetlib.llm.data.lengths import LIMIT
from hetlib.llm.data.pairs import Pair
from hetlib.store import writing

Tokens = NDArray[np.int32]

#: Pairs with a text beyond the limit are left out (Appendix E), or both texts are cut to the
#: limit (released code).
LONG = ("drop", "truncate")

BATCH = 2048  # pairs given to the tokenizer at a time
FORMAT = 2  # of the cache; another number, another file


@dataclass(frozen=True, eq=False)
class TokenPairs:
    """Pairs as tokens.

    Attributes:
        keys: Identity of each pair.
        prompt: How many leading tokens of both texts are prompt, shape (pairs,).
        first: Tokens of each first text, prompt included.
        second: Tokens of each second text.
        beyond: Pairs of the input with a text beyond the limit, dropped or truncated.
        chance: Probability that a label prefers the second text, for labels that are "given":
            one row for each of several seeds, shape (seeds, pairs). None: lengths decide.
    """

    keys: list[str]
    prompt: Tokens
    first: list[Tokens]
    second: list[Tokens]
    beyond: int = 0
    chance: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.keys)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of both texts, shape (pairs, 2)."""
        both = [[len(a), len(b)] for a, b in zip(self.first, self.second, strict=True)]
        return np.array(both, dtype=np.int64).reshape(-1, 2)

    def select(self, rows: ArrayLike) -> TokenPairs:
        """Some of the pairs, by number or by a mask."""
        i = np.arange(len(self))[np.asarray(rows)]
        first, second = [self.first[k] for k in i], [self.second[k] for k in i]
        chance = None if self.chance is None else self.chance[:, i]
        keys = [self.keys[k] for k in i]
        return TokenPairs(keys, self.prompt[i], first, second, chance=chance)

    def digest(self) -> str:
        """32 hexadecimal digits that change with any token, key or the order of pairs."""
        state = hashlib.blake2b(digest_size=16)
        for part in (np.array(self.keys, dtype=np.str_), self.prompt, self.lengths):
            state.update(np.ascontiguousarray(part).tobytes())
        if self.chance is not None:
            state.update(np.ascontiguousarray(self.chance).tobytes())
        for tokens in (*self.first, *self.second):
            state.update(np.ascontiguousarray(tokens, dtype=np.int32).tobytes())
        return state.hexdigest()


def tokenise(
    pairs: Sequence[Pair],
    tokenizer: Any,
    limit: int = LIMIT,
    long: str = "drop",
    cache: str | Path | None = None,
    eos: bool = False,
) -> TokenPairs:
    """Tokens of both texts of each pair.

    Args:
        pairs: What to tokenise.
        tokenizer: One of ``transformers`` or of ``tokenizers``. The special tokens it adds to
            a text by itself are kept, and count.
        limit: Longest text in tokens, prompt and response together.
        long: ``"drop"`` leaves a pair out if either text is longer (Appendix E); ``"truncate"``
            cuts the longer texts (released code), so that both texts of a pair can become the
            same.
        cache: Folder for the result; made if missing. The file's name is a digest of the texts,
            the tokenizer and the options, and it appears only once it is whole.
        eos: Append the tokenizer's end token. A truncated text has none.

    Returns:
        The tokens, in the order of ``pairs``.

    Raises:
        ValueError: no pairs, an unknown option, no pair within the limit, a text without
            tokens, or no end token where one is asked for.
    """
    if long not in LONG:
        raise ValueError(f"long is {long!r}; allowed are {', '.join(LONG)}")
    if limit < 2:
        raise ValueError(f"limit is {limit}; at least 2 tokens are allowed")
    if not len(pairs):
        raise ValueError("pairs is empty")
    end = _end(tokenizer) if eos else None
    file = None
    if cache is not None:
        Path(cache).mkdir(parents=True, exist_ok=True)
        options = [FORMAT, limit, long, end]
        file = Path(cache) / f"tokens-{_digest(pairs, tokenizer, options)}.npz"
        if (stored := _load(file)) is not None:
            return stored
    out = _tokenise(pairs, tokenizer, limit, long, end)
    if file is not None:
        _save(file, out)
    return out


def _tokenise(
    pairs: Sequence[Pair], tokenizer: Any, limit: int, long: str, end: int | None
) -> TokenPairs:
    keys: list[str] = []
    prompts: list[int] = []
    texts: tuple[list[Tokens], list[Tokens]] = ([], [])
    beyond, tail = 0, [] if end is None else [end]
    for start in range(0, len(pairs), BATCH):
        batch = pairs[start : start + BATCH]
        columns = [
            _ids(tokenizer, [p.prompt for p in batch]),
            _ids(tokenizer, [p.prompt + p.first for p in batch]),
            _ids(tokenizer, [p.prompt + p.second for p in batch]),
        ]
        for k, (pair, prompt, *both) in enumerate(zip(batch, *columns, strict=True)):
            ids = [np.array(text + tail, dtype=np.int32) for text in both]
            for side, text in zip(("first", "second"), both, strict=True):
                if not text:
                    raise ValueError(f"pairs[{start + k}].{side} has no tokens")
            if over := max(map(len, ids)) > limit:
                beyond += 1
            if over and long == "drop":
                continue
            keys.append(pair.key)
            n = _shared(np.array(prompt, dtype=np.int32), *(np.array(t, np.int32) for t in both))
            prompts.append(min(n, limit))
            for column, text in zip(texts, ids, strict=True):
                column.append(text[:limit])
    if not keys:
        raise ValueError(
            f"all {len(pairs)} pairs have a text of more than {limit} tokens; "
            "raise the limit or use long='truncate'"
        )
    return TokenPairs(keys, np.array(prompts, dtype=np.int32), *texts, beyond)


def _shared(*texts: Tokens) -> int:
    """Leading tokens that all texts share: a prompt's last token may merge with a response."""
    n = min(map(len, texts))
    same = np.all([t[:n] == texts[0][:n] for t in texts[1:]], axis=0)
    return n if same.all() else int(np.argmin(same))


def _ids(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    if hasattr(tokenizer, "encode_batch"):  # tokenizers.Tokenizer
        return [e.ids for e in tokenizer.encode_batch(texts)]
    return tokenizer(texts, verbose=False)["input_ids"]


def _end(tokenizer: Any) -> int:
    token = getattr(tokenizer, "eos_token_id", None)
    if token is None:
        raise ValueError("eos is asked for, but the tokenizer has no eos_token_id")
    return int(token)


def _digest(pairs: Sequence[Pair], tokenizer: Any, options: list[Any]) -> str:
    state = hashlib.blake2b(json.dumps(options).encode(), digest_size=16)
    state.update(_describe(tokenizer).encode("utf-8", "surrogatepass"))
    for pair in pairs:
        parts = (pair.key, pair.prompt, pair.first, pair.second)
        state.update(json.dumps([len(part) for part in parts]).encode())
        state.update("".join(parts).encode("utf-8", "surrogatepass"))
    return state.hexdigest()


def _describe(tokenizer: Any) -> str:
    """All that decides which tokens a text becomes."""
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if hasattr(backend, "to_str"):
        state = json.loads(backend.to_str())
        state.update(truncation=None, padding=None)  # set by calls in between; not used here
        return json.dumps(state, sort_keys=True)
    special = getattr(tokenizer, "special_tokens_map", {})
    return json.dumps([type(tokenizer).__name__, tokenizer.get_vocab(), special], sort_keys=True)


def _save(file: Path, data: TokenPairs) -> None:
    """Store tokens with a digest of them; the file is whole or not there."""
    arrays = {
        "keys": np.array(data.keys, dtype=np.str_),
        "prompt": data.prompt,
        "lengths": data.lengths,
        "tokens": np.concatenate([*data.first, *data.second]),
        "beyond": np.array(data.beyond),
    }
    with writing(file) as part, part.open("wb") as out:
        np.savez(out, allow_pickle=False, seal=np.array(_seal(arrays)), **arrays)


def _seal(arrays: dict[str, NDArray[Any]]) -> str:
    """Digest of arrays with their names, types and shapes."""
    state = hashlib.blake2b(digest_size=16)
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        state.update(json.dumps([name, array.dtype.str, array.shape]).encode() + array.tobytes())
    return state.hexdigest()


def _load(file: Path) -> TokenPairs | None:
    """The stored tokens; None if there are none or the disk has spoilt them."""
    if not file.exists():
        return None
    try:
        with file.open("rb") as raw, np.load(raw, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
            if str(arrays.pop("seal")) != _seal(arrays):
                return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    keys, prompt, lengths = arrays["keys"], arrays["prompt"], arrays["lengths"]
    tokens, beyond = arrays["tokens"], int(arrays["beyond"])
    stops = np.cumsum(lengths.T.ravel())
    texts = [tokens[a:b] for a, b in zip(stops - lengths.T.ravel(), stops, strict=True)]
    n = len(keys)
    return TokenPairs(keys.tolist(), prompt, texts[:n], texts[n:], beyond)
