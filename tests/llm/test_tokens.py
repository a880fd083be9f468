"""Tokenising once, the limit on length, and the cache."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hetlib.llm.data import tokens as module
from hetlib.llm.data.pairs import Pair, make_pair, read_pairs
from hetlib.llm.data.synthetic import WORDS, dialogues
from hetlib.llm.data.tokens import TokenPairs, tokenise

END = 1


class Tokenizer:
    """A tokenizer of words that counts the texts it is given."""

    eos_token_id = END

    def __init__(self, merge: bool = False) -> None:
        self.words = {w: i + 10 for i, w in enumerate(["Human:", "Assistant:", *WORDS])}
        self.merge, self.calls = merge, 0

    def get_vocab(self) -> dict[str, int]:
        return self.words | {"merge": self.merge}

    def __call__(self, texts: list[str], verbose: bool) -> dict[str, list[list[int]]]:
        self.calls += len(texts)
        if self.merge:  # "Assistant:" and the next word become one token
            texts = [t.replace("Assistant: ", "Assistant:") for t in texts]
        ids = [[0, *(self.words.setdefault(w, 10**6) for w in t.split())] for t in texts]
        return {"input_ids": ids}


def same(a: TokenPairs, b: TokenPairs) -> bool:
    texts = zip(a.first + a.second, b.first + b.second, strict=True)
    return (
        a.keys == b.keys
        and np.array_equal(a.prompt, b.prompt)
        and all(x.dtype == y.dtype == np.int32 and np.array_equal(x, y) for x, y in texts)
        and a.beyond == b.beyond
    )


PAIRS = dialogues(50, limit=60)


def test_tokens() -> None:
    out = tokenise(PAIRS, Tokenizer(), limit=60, eos=True)
    assert len(out) == 50
    assert out.beyond == 0
    for k, pair in enumerate(PAIRS):
        words = (pair.prompt + pair.second).split()
        assert out.keys[k] == pair.key
        assert len(out.second[k]) == out.lengths[k, 1] == len(words) + 2
        assert out.prompt[k] == len(pair.prompt.split()) + 1
        assert out.first[k][0] == 0
        assert out.first[k][-1] == END
        a, b, n = out.first[k], out.second[k], out.prompt[k]
        assert np.array_equal(a[:n], b[:n])


def test_a_merged_token_is_not_prompt() -> None:
    pair = make_pair("\n\nHuman: moss\n\nAssistant: oak", "\n\nHuman: moss\n\nAssistant: ivy fern")
    assert tokenise([pair], Tokenizer()).prompt.tolist() == [4]
    merged = tokenise([pair], Tokenizer(merge=True))
    assert merged.prompt.tolist() == [3]


def test_drop_and_truncate() -> None:
    full = tokenise(PAIRS, Tokenizer(), limit=60, eos=True)
    cut = int(np.median(full.lengths))
    fits = (full.lengths <= cut).all(axis=1)
    dropped = tokenise(PAIRS, Tokenizer(), limit=cut, eos=True)
    assert dropped.keys == [full.keys[k] for k in np.flatnonzero(fits)]
    assert dropped.beyond == (~fits).sum() > 0
    short = tokenise(PAIRS, Tokenizer(), limit=cut, long="truncate", eos=True)
    assert short.keys == full.keys
    assert short.beyond == dropped.beyond
    assert (short.prompt == np.minimum(full.prompt, cut)).all()
    for a, b in zip(full.first, short.first, strict=True):
        assert np.array_equal(a[:cut], b)
        assert (b[-1] == END) == (len(a) <= cut)  # a text that was cut has no end


def test_cache(tmp_path: Path) -> None:
    tokenizer = Tokenizer()
    out = tokenise(PAIRS, tokenizer, limit=40, cache=tmp_path / "new")
    calls = tokenizer.calls
    assert same(tokenise(PAIRS, tokenizer, limit=40, cache=tmp_path / "new"), out)
    assert tokenizer.calls == calls
    (file,) = (tmp_path / "new").iterdir()
    others: list[tuple[list[Pair], Any, dict[str, Any]]] = [
        (PAIRS[1:], Tokenizer(), {}),
        (PAIRS[::-1], Tokenizer(), {}),
        (PAIRS, Tokenizer(merge=True), {}),
        (PAIRS, Tokenizer(), {"limit": 41}),
        (PAIRS, Tokenizer(), {"eos": True}),
        (PAIRS, Tokenizer(), {"long": "truncate"}),
    ]
    for k, (pairs, other, options) in enumerate(others):
        tokenise(pairs, other, **{"limit": 40, "cache": file.parent, **options})
        assert other.calls > 0
        assert len(list(file.parent.iterdir())) == k + 2


@pytest.mark.parametrize("name", ["keys", "prompt", "lengths", "tokens", "beyond", "seal"])
def test_a_cache_whose_parts_do_not_fit_is_made_again(tmp_path: Path, name: str) -> None:
    """Whole as a file, but with another content in one of its arrays."""
    out = tokenise(PAIRS, Tokenizer(), limit=60, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    raw = file.read_bytes()
    with np.load(file) as stored:
        arrays = dict(stored)
    old = arrays[name]
    arrays[name] = np.char.add(old, "x") if old.dtype.kind == "U" else old + 1
    np.savez(file, **arrays)
    assert same(tokenise(PAIRS, Tokenizer(), limit=60, cache=tmp_path), out)
    assert file.read_bytes() == raw


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text"])
def test_a_damaged_cache_is_made_again(tmp_path: Path, damage: str) -> None:
    out = tokenise(PAIRS, Tokenizer(), limit=60, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    raw = file.read_bytes()
    middle = raw.rfind(np.ascontiguousarray(out.second[-1]).tobytes())
    assert middle > 0
    flipped = raw[:middle] + bytes([raw[middle] ^ 1]) + raw[middle + 1 :]
    file.write_bytes({"cut": raw[:-50], "flip": flipped, "empty": b"", "text": b"no"}[damage])
    assert same(tokenise(PAIRS, Tokenizer(), limit=60, cache=tmp_path), out)
    assert file.read_bytes() == raw


def test_an_interrupted_write_leaves_no_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(file: Any, **arrays: Any) -> None:
        file.write(b"PK half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", stop)
        with pytest.raises(KeyboardInterrupt):
            tokenise(PAIRS, Tokenizer(), limit=60, cache=tmp_path)
    assert not list(tmp_path.iterdir())
    tokenise(PAIRS, Tokenizer(), limit=60, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


def test_select_and_digest() -> None:
    out = tokenise(PAIRS, Tokenizer(), limit=60)
    some = out.select([4, 2])
    assert some.keys == [out.keys[4], out.keys[2]]
    assert some.lengths.tolist() == out.lengths[[4, 2]].tolist()
    mask = np.arange(50) < 3
    assert out.select(mask).digest() == out.select([0, 1, 2]).digest()
    digests = {d.digest() for d in (out, some, out.select([2, 4]), out.select([4]))}
    assert len(digests) == 4
    swapped = TokenPairs(some.keys, some.prompt, some.second, some.first)
    assert swapped.digest() not in digests


def test_real_tokenizers(tmp_path: Path) -> None:
    """Both kinds give the same tokens; a padding setting changes nothing."""
    tokenizers = pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")
    vocabulary = {w: i for i, w in enumerate(["?", "Human:", "Assistant:", *WORDS])}
    plain = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="?"))
    plain.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="?")
    out = tokenise(PAIRS, plain, limit=60, cache=tmp_path)
    assert same(tokenise(PAIRS, fast, limit=60), out)
    before = module._describe(fast)
    fast(["moss oak", "ivy"], padding=True)
    assert module._describe(fast) == before


@pytest.mark.parametrize(
    ("pairs", "options", "message"),
    [
        ([], {}, "pairs is empty"),
        (PAIRS, {"long": "cut"}, "long is 'cut'; allowed are drop, truncate"),
        (PAIRS, {"limit": 1}, "limit is 1"),
        (PAIRS, {"limit": 3}, "all 50 pairs have a text of more than 3 tokens"),
    ],
)
def test_bad_input(pairs: list[Pair], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tokenise(pairs, Tokenizer(), **options)


def test_no_end_token() -> None:
    tokenizer = Tokenizer()
    tokenizer.eos_token_id = None  # type: ignore[assignment]
    with pytest.raises(ValueError, match="no eos_token_id"):
        tokenise(PAIRS, tokenizer, eos=True)


@pytest.mark.skipif(
    not os.environ.get("HETLIB_HH_RLHF"), reason="HETLIB_HH_RLHF names no folder of HH-RLHF"
)
@pytest.mark.filterwarnings("ignore:.*skipped line")
def test_hh_rlhf() -> None:
    pairs = read_pairs(os.environ["HETLIB_HH_RLHF"], malformed="skip")
    assert len(pairs) > 1000
    assert len({p.key for p in pairs}) > 0.99 * len(pairs)
    assert abs(np.mean([len(p.first) > len(p.second) for p in pairs]) - 0.5) < 0.04
