"""Made-up conversations whose lengths are distributed as HH-RLHF's: plain words, no meaning.

Text is a walk on a ring of words: the next word is the ring's next one, or, with probability
1 - predictability, any word at all. At predictability 1 a reader who knows the ring is unsure
of nothing but where a text stops; at 0 every word carries log(vocabulary) nats, and the
log-probability of a text is little more than minus a multiple of its length.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from hetlib import checks
from hetlib.checks import Array
from hetlib.llm.data.lengths import HH_LENGTH_QUANTILES, LIMIT
from hetlib.llm.data.pairs import ASSISTANT, Pair, make_pair

_RING = (
    "acorn amber apple aspen autumn basil birch bloom brook canyon cedar "
    "cherry cloud clover coral dawn delta ember fern field flint forest "
    "garden ginger grove harbour hazel hill honey island ivy jasmine juniper "
    "lagoon lake lantern laurel leaf lemon lilac maple meadow mint moss "
    "oak olive orchard pebble pine plum pond poppy quartz rain reed "
    "river rose sage shore spruce thyme tulip valley willow"
)

#: The ring of words.
WORDS = tuple(_RING.split())

HUMAN = "\n\nHuman:"
TOPICS = 2  # random words that open a prompt, so that few prompts occur twice
CHUNK = 1024  # pairs that share a generator

# Measured on HH-RLHF like HH_LENGTH_QUANTILES: the shortest text; the prompt's share of the
# shorter text; the correlation of the two lengths' normal scores.
SHORTEST = 12
PROMPT_SHARE_QUANTILES = {0.0: 0.1, 0.05: 0.36, 0.25: 0.63, 0.5: 0.80, 0.75: 0.90, 1.0: 1.0}
CORRELATION = 0.83


def text_lengths(uniform: ArrayLike, limit: int = LIMIT) -> NDArray[np.int64]:
    """Lengths of texts at given ranks in HH-RLHF's distribution, scaled to a limit.

    The logarithm of length is interpolated between the quantiles. At small limits the lower
    quantiles fall below the shortest dialogue, which then stands for them.

    Args:
        uniform: Ranks in [0, 1], any shape.
        limit: Longest text in tokens.

    Returns:
        Tokens, the shape of ``uniform``.
    """
    ranks = [0.0, *HH_LENGTH_QUANTILES, 1.0]
    values = np.log([SHORTEST, *HH_LENGTH_QUANTILES.values(), LIMIT])
    u = checks.array("uniform", uniform, None)
    limit = checks.whole("limit", limit, 1)
    if limit > 2**31:
        raise ValueError(f"limit is {limit}; at most 2^31 tokens are allowed")
    x = np.exp(np.interp(u, ranks, values))
    return np.rint(x * limit / LIMIT).astype(np.int64)


def pair_lengths(size: int, seed: int = 0, limit: int = LIMIT) -> NDArray[np.int64]:
    """Lengths of pairs of texts alone, of HH-RLHF's joint distribution, at any size.

    Args:
        size: Number of pairs.
        seed: Another seed, other lengths.
        limit: Longest text in tokens.

    Returns:
        Tokens of both texts, shape (size, 2).
    """
    rng = np.random.default_rng(checks.whole("seed", seed, 0))
    return text_lengths(_ranks(rng, checks.whole("size", size, 1)), limit)


def entropy(predictability: float, vocabulary: int = len(WORDS)) -> float:
    """Uncertainty of a word given the one before, in nats, for a reader who knows the ring."""
    _check(predictability, vocabulary)
    other = (1 - predictability) / vocabulary
    next_ = predictability + other
    rest = -(vocabulary - 1) * other * math.log(other) if other > 0 else 0.0
    return rest - next_ * math.log(next_)


def dialogues(
    size: int,
    seed: int = 0,
    limit: int = LIMIT,
    predictability: float = 1.0,
    vocabulary: int = len(WORDS),
    prompt_share: float | None = None,
    anchored: bool = False,
    added: int = 2,
) -> list[Pair]:
    """Prompts with two responses each, of HH-RLHF's joint distribution of lengths.

    One word is one token, and so are "Human:" and "Assistant:". The first n pairs of a seed
    are the same for every size.

    Args:
        size: Number of pairs.
        seed: Another seed, other pairs.
        limit: Longest text in tokens.
        predictability: Probability that a word simply follows on from the one before.
        vocabulary: Words on the ring, 2 to 64.
        prompt_share: Share of the shorter text that is prompt, in (0, 1); distributed as in
            HH-RLHF if None.
        anchored: Whether the walk of every text starts at the ring's first word, so that
            with a ring longer than the texts the last word tells the length; otherwise it
            follows on from the prompt's topic.
        added: Tokens that the tokenizer adds to a text, such as a start and an end.

    Returns:
        Pairs of two different texts, each of at most ``limit`` tokens.

    Raises:
        ValueError: a size, limit or share that is out of range.
    """
    _check(predictability, vocabulary)
    if checks.whole("size", size) < 1:
        raise ValueError(f"size is {size}; a positive number of pairs is allowed")
    seed, limit = checks.whole("seed", seed, 0), checks.whole("limit", limit)
    added = checks.whole("added", added)
    shortest = 2 + TOPICS + 1 + added  # two speakers, a topic, one word of response
    if added < 0 or limit < shortest + 1:
        raise ValueError(f"limit is {limit} and added {added}; at least {shortest + 1} are needed")
    if prompt_share is not None and not 0 < checks.real("prompt_share", prompt_share) < 1:
        raise ValueError(f"prompt_share is {prompt_share}; between 0 and 1 is allowed")
    pairs: list[Pair] = []
    for chunk in range(-(-size // CHUNK)):
        rng = np.random.default_rng([seed, chunk])
        total = np.clip(text_lengths(_ranks(rng, CHUNK), limit), shortest, limit) - added
        share = rng.random(CHUNK)
        if prompt_share is None:
            share = np.interp(
                share, list(PROMPT_SHARE_QUANTILES), list(PROMPT_SHARE_QUANTILES.values())
            )
        else:
            share[:] = prompt_share
        least = total.min(axis=1)
        prompt = np.clip(np.rint(share * least).astype(np.int64), 2 + TOPICS, least - 1)
        topics, walks = _walks(rng, prompt, total.max() + 1, predictability, vocabulary, anchored)
        for i in range(min(CHUNK, size - len(pairs))):
            p, n = prompt[i] - 2 - TOPICS, total[i] - 2 - TOPICS
            one, other = walks[i, 0, : n[0]], walks[i, 1, : n[1]]
            if np.array_equal(one, other):  # they must differ: one word more, or less
                n[1] += 1 if n[1] + 2 + TOPICS + added < limit else -1
                p = min(p, n[1] - 1)
                other = walks[i, 1, : n[1]]
            head = f"{HUMAN} {_join([*topics[i], *one[:p]])}{ASSISTANT} "
            pairs.append(make_pair(head + _join(one[p:]), head + _join(other[p:])))
    return pairs


def _ranks(rng: np.random.Generator, size: int) -> Array:
    """Ranks of the two lengths of each pair, correlated as in HH-RLHF, shape (size, 2)."""
    common = rng.standard_normal((size, 1))
    own = rng.standard_normal((size, 2))
    return np.asarray(ndtr(math.sqrt(CORRELATION) * common + math.sqrt(1 - CORRELATION) * own))


def _walks(
    rng: np.random.Generator,
    prompt: NDArray[np.int64],
    steps: int,
    predictability: float,
    vocabulary: int,
    anchored: bool,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Topics, shape (CHUNK, TOPICS), and both texts' walks, shape (CHUNK, 2, steps)."""
    topics = rng.integers(vocabulary, size=(CHUNK, TOPICS))
    shape, t = (CHUNK, 2, steps), np.arange(steps)
    jump = rng.random(shape) >= predictability
    word = rng.integers(vocabulary, size=shape)
    shared = t < (prompt - 2 - TOPICS)[:, None]  # the prompt is the same for both
    for draw in (jump, word):
        draw[:, 1] = np.where(shared, draw[:, 0], draw[:, 1])
    word[:, :, 0] = np.where(jump[:, :, 0], word[:, :, 0], topics[:, -1:] + 1)
    if anchored:
        word[:, :, 0] = 0
    jump[:, :, 0] = True
    last = np.maximum.accumulate(np.where(jump, t, 0), axis=-1)  # where it jumped last
    return topics, (np.take_along_axis(word, last, axis=-1) + t - last) % vocabulary


def _join(words: ArrayLike) -> str:
    return " ".join(WORDS[w] for w in np.asarray(words))


def _check(predictability: float, vocabulary: int) -> None:
    if not 0 <= checks.real("predictability", predictability) <= 1:
        raise ValueError(f"predictability is {predictability}; 0 to 1 is allowed")
    if not 2 <= checks.whole("vocabulary", vocabulary) <= len(WORDS):
        raise ValueError(f"vocabulary is {vocabulary}; 2 to {len(WORDS)} words are allowed")
