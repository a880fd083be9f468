"""Pairs of responses to one prompt: HH-RLHF from the hub or from files, and how to split them.

Which of the two texts was chosen by the data set's annotators plays no part here: the order
of a pair follows from the texts alone, so that no label can leak through it.
"""

from __future__ import annotations

import gzip
import hashlib
import heapq
import json
import warnings
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hetlib.extras import require

#: What starts each answer of the assistant in HH-RLHF.
ASSISTANT = "\n\nAssistant:"

SUFFIXES = (".jsonl", ".jsonl.gz")
MALFORMED = ("stop", "skip")


@dataclass(frozen=True)
class Pair:
    """Two responses to one prompt.

    Attributes:
        key: Digest of the two texts, whatever their order.
        prompt: What both texts begin with, up to and including the last common "Assistant:".
        first: One response.
        second: The other one.
    """

    key: str
    prompt: str
    first: str
    second: str


def make_pair(one: str, other: str) -> Pair:
    """The pair of two texts that share a prompt; swapping the texts gives the same pair.

    Args:
        one: Prompt and response.
        other: The same prompt and another response.

    Raises:
        ValueError: the texts are identical, share no prompt up to an "Assistant:", or one
            response is empty.
    """
    if one == other:
        raise ValueError("the two texts are identical; a pair needs two different responses")
    shared = bisect_left(range(1, len(one) + 1), True, key=lambda n: one[:n] != other[:n])
    cut = one.rfind(ASSISTANT, 0, shared) + len(ASSISTANT)
    if cut < len(ASSISTANT):
        raise ValueError(f"the two texts share no prompt that ends with {ASSISTANT!r}")
    responses = sorted((one[cut:], other[cut:]))
    if not all(response.strip() for response in responses):
        raise ValueError("one response is empty; both need text")
    sizes = f"{cut} {len(responses[0])} ".encode()  # so that no two pairs give the same bytes
    text = (one[:cut] + responses[0] + responses[1]).encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(sizes + text, digest_size=16)
    first, second = responses if digest.digest()[0] % 2 else responses[::-1]
    return Pair(digest.hexdigest(), one[:cut], first, second)


def read_pairs(
    source: str | Path | Sequence[str | Path],
    split: str = "test",
    malformed: str = "stop",
    limit: int | None = None,
) -> list[Pair]:
    """Read pairs of texts with fields ``chosen`` and ``rejected``.

    Args:
        source: ``"hub:Anthropic/hh-rlhf"``, read through ``datasets``, or one folder of it,
            ``"hub:Anthropic/hh-rlhf:helpful-base"``; or a .jsonl or .jsonl.gz file; or a
            folder, of which every such file with ``split`` in its name is read; or several
            of these.
        split: ``"train"`` or ``"test"``, or any other split of the source.
        malformed: What to do with a line that is no pair (not JSON, a field is missing,
            identical texts, no common prompt, an empty response): ``"stop"`` with its number,
            or ``"skip"`` it and warn once a file, with the numbers.
        limit: Keep this many pairs, as :func:`hetlib.llm.data.pairs.sample`. All if None.

    Returns:
        The pairs in the order of the source.

    Raises:
        ValueError: nothing to read, a malformed line, a file that ends too early, or a
            download that failed.
    """
    if malformed not in MALFORMED:
        raise ValueError(f"malformed is {malformed!r}; allowed are {', '.join(MALFORMED)}")
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}; a positive number of pairs or None is allowed")
    pairs: list[Pair] = []
    for one in [source] if isinstance(source, str | Path) else source:
        if str(one).startswith("hub:"):
            name = str(one).removeprefix("hub:")
            pairs += _checked(_hub_rows(name, split), f"{name} ({split})", "row", malformed)
        else:
            for path in _files(Path(one), split):
                pairs += _checked(_file_rows(path), str(path), "line", malformed)
    if not pairs:
        raise ValueError(f"{source} holds no pairs")
    return sample(pairs, limit)


def sample(pairs: Sequence[Pair], size: int | None) -> list[Pair]:
    """So many of the pairs, chosen by a hash of their keys.

    Which ones does not depend on the order of the source, where files follow one another.

    Args:
        pairs: What to choose from.
        size: How many; all if None or if there are not more.

    Returns:
        The chosen pairs, in the given order.
    """
    if size is None or size >= len(pairs):
        return list(pairs)

    def rank(i: int) -> bytes:
        return hashlib.blake2b(f"sample {pairs[i].key}".encode(), digest_size=8).digest()

    return [pairs[i] for i in sorted(heapq.nsmallest(size, range(len(pairs)), key=rank))]


def split_by_prompt(
    pairs: Sequence[Pair], held_out: float = 0.2, seed: int = 0
) -> tuple[list[Pair], list[Pair]]:
    """Split pairs so that no prompt occurs on both sides.

    Each prompt is placed by its own hash: where a pair goes does not depend on the others.

    Args:
        pairs: What to split.
        held_out: Expected share of prompts on the second side, in (0, 1).
        seed: Another seed, another split.

    Returns:
        Pairs to train on and pairs held out, each in the given order.

    Raises:
        ValueError: a share outside (0, 1), or a side that stays empty.
    """
    if not 0 < held_out < 1:
        raise ValueError(f"held_out is {held_out}; a share between 0 and 1 is allowed")
    sides: tuple[list[Pair], list[Pair]] = ([], [])
    for pair in pairs:
        text = f"{seed} {pair.prompt}".encode("utf-8", "surrogatepass")
        place = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") / 2**64
        sides[place < held_out].append(pair)
    if not all(sides):
        raise ValueError(
            f"pairs ({len(pairs)}) leave one side of the split empty; more prompts are needed"
        )
    return sides


def _files(path: Path, split: str) -> list[Path]:
    if path.is_dir():
        every = sorted(p for p in path.rglob("*") if p.name.endswith(SUFFIXES))
        found = [p for p in every if split in p.name]
        if not found:
            raise ValueError(
                f"{path} holds no {' or '.join(SUFFIXES)} file with {split!r} in its name; "
                f"it holds {', '.join(p.name for p in every) or 'none at all'}"
            )
        return found
    if not path.exists():
        raise ValueError(f"{path} does not exist; name a file, a folder or hub:owner/name")
    if not path.name.endswith(SUFFIXES):
        raise ValueError(f"{path} is not a {' or '.join(SUFFIXES)} file")
    return [path]


def _file_rows(path: Path) -> Iterator[str]:
    number = 0
    opener = gzip.open if path.name.endswith(".gz") else open
    try:
        with opener(path, "rb") as file:
            for number, line in enumerate(file, start=1):  # noqa: B007
                yield line.decode("utf-8", "surrogateescape")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(
            f"{path} is damaged or was not downloaded to its end (it stops after line "
            f"{number}); fetch it again"
        ) from error


def _hub_rows(name: str, split: str) -> Iterator[dict[str, Any]]:
    try:
        require("datasets")
        import datasets
    except ImportError as error:
        raise ValueError(
            f"hub:{name} needs the package datasets: pip install 'hetlib[llm]'"
        ) from error
    repository, _, part = name.partition(":")
    try:
        rows = datasets.load_dataset(repository, data_dir=part or None, split=split)
    except Exception as error:  # whatever breaks in a download has the same remedies
        raise ValueError(
            f"hub:{name}, split {split!r}, could not be downloaded "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}). "
            "Check the name and the connection and run the same command again: files that "
            "arrived whole are kept. Or download the .jsonl.gz files by other means and name "
            "their folder."
        ) from error
    yield from rows


def _checked(
    rows: Iterable[str | dict[str, Any]], name: str, unit: str, malformed: str
) -> Iterator[Pair]:
    """Pairs of the rows; a malformed one stops or is counted."""
    skipped: list[str] = []
    for number, row in enumerate(rows, start=1):
        try:
            yield _pair(row)
        except ValueError as error:
            if malformed == "stop":
                raise ValueError(
                    f"{name}, {unit} {number}: {error} (malformed='skip' leaves it out)"
                ) from error
            skipped.append(f"{number} ({error})")
    if skipped:
        more = f" and {len(skipped) - 5} more" if len(skipped) > 5 else ""
        warnings.warn(f"{name}: skipped {unit} {', '.join(skipped[:5])}{more}", stacklevel=3)


def _pair(row: str | dict[str, Any]) -> Pair:
    if isinstance(row, str):
        try:
            row = json.loads(row)
        except json.JSONDecodeError as error:  # without the text: it may be offensive
            raise ValueError(f"not JSON (column {error.colno})") from None
    if not isinstance(row, dict):
        raise ValueError("not a JSON object")
    texts = []
    for field in ("chosen", "rejected"):
        if not isinstance(row.get(field), str):
            raise ValueError(f"no text under {field!r}")
        texts.append(row[field])
    return make_pair(*texts)
