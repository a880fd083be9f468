"""Relabelling pairs by the length rewards: anonymous, consensus and their controls.

A label depends on the seed, the pair's key, the presentation and the kind of label alone: the
uniform numbers behind it are a hash of these, not the next ones of a sequential generator. So
neither the order of pairs, nor batches, nor the number of workers can change a label.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from hetlib import checks
from hetlib.checks import Array
from hetlib.llm.data.lengths import LIMIT, check_lengths, length_rewards

Words = NDArray[np.uint64]

#: How a pair can be labelled.
KINDS = (
    "anonymous",  # one user of a random type: Appendix E, anonymous dataset
    "consensus",  # drawn at once from sigma(sum of the types' differences): the shortcut
    "consensus-sampled",  # users of all types asked until they agree: Appendix E
    "homogeneous",  # one user whose reward is the average: heterogeneity removed, noise kept
    "type-1",  # one user of the type that prefers long texts
    "type-2",  # ... short texts
    "type-3",  # ... texts of middle length
    "average",  # no noise: the text of larger average reward; equal rewards: the second
)

ROUNDS = 10_000  # of asking all types; 1 token against 512 is worst, with agreement in 1 of 56


def differences(lengths: ArrayLike, limit: int = LIMIT) -> Array:
    """Reward of the second text less that of the first.

    Args:
        lengths: Tokens of both texts, prompt included, shape (pairs, 2).
        limit: Longest text.

    Returns:
        Differences by type, shape (3, pairs).

    Raises:
        ValueError: a wrong shape, or a length outside [1, limit].
    """
    x = check_lengths("lengths", lengths, limit)
    if x.ndim != 2 or x.shape[1] != 2:
        raise ValueError(f"lengths must have shape (pairs, 2), not {x.shape}")
    r = length_rewards(x, limit)
    return np.asarray(r[:, :, 1] - r[:, :, 0])


def label_probability(lengths: ArrayLike, kind: str, limit: int = LIMIT) -> Array:
    """Probability that a label says "the second text is preferred".

    Args:
        lengths: Tokens of both texts, prompt included, shape (pairs, 2).
        kind: One of ``KINDS``.
        limit: Longest text.

    Returns:
        Probabilities, shape (pairs,). ``"average"`` gives 0 or 1, and 1 on equal rewards.

    Raises:
        ValueError: an unknown kind, a wrong shape, or a length outside [1, limit].
    """
    _check(kind)
    d = differences(lengths, limit)
    if kind == "anonymous":
        return np.asarray(expit(d).mean(axis=0))
    if kind in ("consensus", "consensus-sampled"):
        return np.asarray(expit(d.sum(axis=0)))
    if kind == "homogeneous":
        return np.asarray(expit(d.mean(axis=0)))
    if kind == "average":
        return (d.sum(axis=0) >= 0).astype(np.float64)
    return np.asarray(expit(d[int(kind[-1]) - 1]))


def label_pairs(
    lengths: ArrayLike,
    keys: Sequence[str],
    kind: str,
    seed: int = 0,
    presentation: int = 0,
    limit: int = LIMIT,
) -> NDArray[np.uint8]:
    """Labels of pairs.

    Args:
        lengths: Tokens of both texts, prompt included, shape (pairs, 2).
        keys: Identity of each pair, length (pairs,). Equal keys get equal random numbers.
        kind: One of ``KINDS``.
        seed: Another seed, other labels.
        presentation: Which time a pair is shown: 0, 1, ... give independent labels.
        limit: Longest text.

    Returns:
        1 where the second text is preferred, 0 where the first is, shape (pairs,).

    Raises:
        ValueError: an unknown kind, keys that do not fit the lengths, or a bad length.
    """
    p = label_probability(lengths, kind, limit)
    if len(keys) != len(p):
        raise ValueError(f"keys has {len(keys)} entries; one for each of {len(p)} pairs is needed")
    if kind == "average":
        return p.astype(np.uint8)
    state = _states(keys, f"{_stream(seed, presentation)} {kind}")
    if kind == "consensus-sampled":
        return _until_agreement(expit(differences(lengths, limit)), state)
    if kind == "anonymous":  # draw the user, then what that user prefers
        z = expit(differences(lengths, limit))
        user = (3 * _uniform(state, 1)).astype(np.int64)
        p = np.take_along_axis(z, user[None], axis=0)[0]
    return (_uniform(state, 0) < p).astype(np.uint8)


def draw_labels(
    chance: ArrayLike, keys: Sequence[str], seed: int = 0, presentation: int = 0
) -> NDArray[np.uint8]:
    """Labels from given probabilities, for rewards that are no function of length.

    Args:
        chance: Probability that each pair's second text is preferred, shape (pairs,).
        keys: Identity of each pair, length (pairs,).
        seed: Another seed, other labels.
        presentation: Which time a pair is shown.

    Returns:
        1 where the second text is preferred, 0 where the first is, shape (pairs,).

    Raises:
        ValueError: keys that do not fit, or a probability outside [0, 1].
    """
    p = checks.array("chance", chance, 1)
    if p.shape != (len(keys),):
        raise ValueError(f"chance has shape {p.shape}; ({len(keys)},) is needed, one a key")
    if not ((p >= 0) & (p <= 1)).all():
        k = int(np.argmin((p >= 0) & (p <= 1)))
        raise ValueError(f"chance[{k}] is {p[k]}; 0 to 1 is allowed")
    state = _states(keys, f"{_stream(seed, presentation)} given")
    return (_uniform(state, 0) < p).astype(np.uint8)


def _until_agreement(z: Array, state: Words) -> NDArray[np.uint8]:
    """Ask one user of each type, again and again, until all prefer the same text.

    Args:
        z: Probability that each type prefers the second text, shape (types, pairs).
        state: What the random numbers of a pair derive from, shape (pairs,).
    """
    labels = np.zeros(len(state), dtype=np.uint8)
    open_ = np.arange(len(state))
    for turn in range(ROUNDS):
        votes = np.stack(
            [_uniform(state[open_], turn * len(z) + u) < z[u, open_] for u in range(len(z))]
        )
        yes, no = votes.all(axis=0), ~votes.any(axis=0)
        labels[open_[yes]] = 1
        open_ = open_[~(yes | no)]
        if len(open_) == 0:
            return labels
    raise RuntimeError(f"pair {open_[0]}: the types did not agree in {ROUNDS} rounds")


def _stream(seed: int, presentation: int) -> str:
    return f"{checks.whole('seed', seed)} {checks.whole('presentation', presentation)}"


def _check(kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; allowed are {', '.join(KINDS)}")


def _states(keys: Sequence[str], stream: str) -> Words:
    """64 bits for each key in one stream of random numbers."""
    data = b"".join(hashlib.blake2b(k.encode(), digest_size=8).digest() for k in keys)
    salt = hashlib.blake2b(stream.encode(), digest_size=8).digest()
    return _mix(_mix(np.frombuffer(data, "<u8")) ^ np.frombuffer(salt, "<u8"))


def _mix(x: Words) -> Words:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014), a bijection of 64 bits."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _uniform(state: Words, counter: int) -> Array:
    """The ``counter``-th uniform number of each state, in [0, 1)."""
    step = np.uint64((counter + 1) * 0x9E3779B97F4A7C15 % 2**64)
    return np.asarray((_mix(state + step) >> np.uint64(11)) * 2.0**-53)
