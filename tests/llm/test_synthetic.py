"""Made-up dialogues: lengths, determinism, predictability."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hetlib.llm.data import synthetic
from hetlib.llm.data.lengths import HH_LENGTH_QUANTILES
from hetlib.llm.data.pairs import Pair
from hetlib.llm.data.synthetic import WORDS, dialogues
from hetlib.llm.data.tokens import tokenise

ADDED = 2


def tokens(pairs: list[Pair]) -> np.ndarray:
    return np.array(
        [[len((p.prompt + r).split()) + ADDED for r in (p.first, p.second)] for p in pairs]
    )


@pytest.mark.slow
def test_quantiles_of_hh_rlhf() -> None:
    q = np.array(list(HH_LENGTH_QUANTILES))
    values = np.array(list(HH_LENGTH_QUANTILES.values()))
    np.testing.assert_array_equal(synthetic.text_lengths(q), values)
    x = tokens(dialogues(8000, seed=1))
    n = x.size / 1.83  # the two lengths of a pair are correlated
    for p, v in HH_LENGTH_QUANTILES.items():
        assert abs((x <= v).mean() - p) < 5 * math.sqrt(p * (1 - p) / n) + 0.01  # whole tokens
    assert x.min() >= synthetic.SHORTEST
    assert x.max() <= 512
    assert np.corrcoef(np.log(x.T))[0, 1] == pytest.approx(0.825, abs=0.03)  # as in HH-RLHF


def test_lengths_alone() -> None:
    x = synthetic.pair_lengths(50_000)
    assert x.shape == (50_000, 2)
    n = x.size / 1.83
    for p, v in HH_LENGTH_QUANTILES.items():
        assert abs((x <= v).mean() - p) < 5 * math.sqrt(p * (1 - p) / n) + 0.01
    assert np.corrcoef(np.log(x.T))[0, 1] == pytest.approx(0.825, abs=0.02)
    np.testing.assert_array_equal(synthetic.pair_lengths(9, 3), synthetic.pair_lengths(9, 3))


def test_limit_scales_lengths() -> None:
    x = tokens(dialogues(4000, limit=128))
    for p, v in HH_LENGTH_QUANTILES.items():
        assert np.quantile(x, p) == pytest.approx(v / 4, abs=3)
    assert x.max() <= 128


@settings(max_examples=25)
@given(
    st.integers(9, 80),
    st.floats(0, 1),
    st.integers(2, 64),
    st.one_of(st.none(), st.floats(0.05, 0.95)),
    st.booleans(),
)
def test_pairs_are_sound(
    limit: int, predictability: float, vocabulary: int, share: float | None, anchored: bool
) -> None:
    for pair in dialogues(40, 0, limit, predictability, vocabulary, share, anchored):
        assert pair.first != pair.second
        for response in (pair.first, pair.second):
            assert response.strip()
            words = (pair.prompt + response).split()
            assert len(words) + ADDED <= limit
            assert set(words) <= {"Human:", "Assistant:", *WORDS[:vocabulary]}
            assert pair.prompt.startswith("\n\nHuman: ")
            assert pair.prompt.endswith("\n\nAssistant:")


def test_first_pairs_are_the_same_for_every_size() -> None:
    assert dialogues(1500, 3)[:40] == dialogues(40, 3)
    assert dialogues(40, 4) != dialogues(40, 3)


def steps(pairs: list[Pair]) -> Counter[bool]:
    """How often a response's word follows on from the one before."""
    found: Counter[bool] = Counter()
    for pair in pairs:
        for response in (pair.first, pair.second):
            at = [WORDS.index(w) for w in response.split()]
            found.update((b - a) % len(WORDS) == 1 for a, b in itertools.pairwise(at))
    return found


@pytest.mark.parametrize("p", [0.0, 0.5, 0.9])
def test_predictability(p: float) -> None:
    found = steps(dialogues(600, predictability=p))
    n, expected = found.total(), p + (1 - p) / len(WORDS)
    # responses of a pair are drawn apart, so that all steps are independent
    assert abs(found[True] / n - expected) < 5 * math.sqrt(expected * (1 - expected) / n)


def test_predictable_text_differs_only_in_where_it_stops() -> None:
    pairs = dialogues(300, predictability=1)
    assert steps(pairs)[False] == 0
    for pair in pairs:
        short, long = sorted((pair.first, pair.second), key=len)
        assert long.startswith(short)


def test_last_word_of_anchored_text_tells_its_length() -> None:
    for pair in dialogues(300, limit=64, anchored=True):
        for response in (pair.first, pair.second):
            words = (pair.prompt + response).split()
            assert WORDS.index(words[-1]) == len(words) - 5  # two speakers, two topics


def test_entropy() -> None:
    assert synthetic.entropy(0) == pytest.approx(math.log(len(WORDS)))
    assert synthetic.entropy(1) == 0
    q = np.full(5, 0.2 / 5)
    q[0] += 0.8
    assert synthetic.entropy(0.8, 5) == pytest.approx(-(q * np.log(q)).sum())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size is 0"),
        ({"limit": 7}, "limit is 7 and added 2; at least 8"),
        ({"predictability": 1.1}, "predictability is 1.1; 0 to 1"),
        ({"vocabulary": 65}, "vocabulary is 65; 2 to 64"),
        ({"prompt_share": 1.0}, "prompt_share is 1.0"),
    ],
)
def test_bad_input(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dialogues(**{"size": 1, **options})


def test_one_word_is_one_token_of_the_small_tokenizer() -> None:
    pretrain = pytest.importorskip("hetlib.llm.model.pretrain")
    made = dialogues(50, limit=64)
    texts = [p.prompt + r for p in made for r in (p.first, p.second)]
    out = tokenise(made, pretrain.train_tokenizer(texts), limit=64, eos=True)
    assert len(out) == 50
    np.testing.assert_array_equal(out.lengths, tokens(made))
    assert [p.prompt.count(" ") + 3 for p in made] == out.prompt.tolist()
