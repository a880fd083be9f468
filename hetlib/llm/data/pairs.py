"""Pairs of responses to one prompt: HH-RLHF from the hub or from files, and how to split them.

Which of the two texts was chosen by the data set's annotators plays no part here: the order
of a pair follows from the texts alone, so that no label can leak through it.
"""

from __future__ import annotations

import gzip
import hashlib
import heapq
import json
import re
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
LONGEST_LINE = 2**26  # bytes; HH-RLHF's longest has some 40,000

#: How the roles of message lists are written in a text.
ROLES = {"system": "\n\nSystem:", "user": "\n\nHuman:", "assistant": ASSISTANT}


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


def make_pair(one: str, other: str, prompt: str | None = None) -> Pair:
    """The pair of two texts that share a prompt; swapping the texts gives the same pair.

    Args:
        one: Prompt and response.
        other: The same prompt and another response.
        prompt: What both begin with; up to their last common "Assistant:" if None.

    Raises:
        ValueError: the texts are identical, share no prompt up to an "Assistant:", one
            response is empty, or a text holds half of a character (a lone surrogate).
    """
    try:
        (one + other).encode()
    except UnicodeEncodeError:  # without the text: it may be offensive
        raise ValueError("not Unicode: a lone surrogate, or bytes that are no UTF-8") from None
    if one == other:
        raise ValueError("the two texts are identical; a pair needs two different responses")
    if prompt is None:
        shared = bisect_left(range(1, len(one) + 1), True, key=lambda n: one[:n] != other[:n])
        cut = one.rfind(ASSISTANT, 0, shared) + len(ASSISTANT)
        if cut < len(ASSISTANT):
            raise ValueError(f"the two texts share no prompt that ends with {ASSISTANT!r}")
    else:
        cut = len(prompt)
    responses = sorted((one[cut:], other[cut:]))
    if not all(response.strip() for response in responses):
        raise ValueError("one response is empty; both need text")
    sizes = f"{cut} {len(responses[0])} ".encode()  # so that no two pairs give the same bytes
    text = (one[:cut] + responses[0] + responses[1]).encode()
    digest = hashlib.blake2b(sizes + text, digest_size=16)
    first, second = responses if digest.digest()[0] % 2 else responses[::-1]
    return Pair(digest.hexdigest(), one[:cut], first, second)


def read_pairs(
    source: str | Path | Sequence[str | Path],
    split: str = "test",
    malformed: str = "stop",
    limit: int | None = None,
) -> list[Pair]:
    """Read pairs of texts: ``chosen`` and ``rejected``, with or without a ``prompt``.

    Without it both are whole texts, as in HH-RLHF; with it they may be responses alone. Each
    of the three may also be a list of messages with ``role`` and ``content``. A line is one
    such object or a list of them; a byte order mark and the line ends of Windows are no part
    of a text.

    Args:
        source: ``"hub:Anthropic/hh-rlhf"``, read through ``datasets``, or one folder of it,
            ``"hub:Anthropic/hh-rlhf:helpful-base"``; or a .jsonl or .jsonl.gz file; or a
            folder, of which every such file with ``split`` as a whole word of its name is
            read; or several of these.
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
            pairs += _checked(hub_rows(name, split), f"{name} ({split})", "row", malformed)
        else:
            for path in _files(Path(one), split):
                pairs += _checked(file_rows(path), str(path), "line", malformed)
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
        text = f"{seed} {pair.prompt}".encode()
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
        word = re.compile(rf"(?<![^\W_]){re.escape(split)}(?![^\W_])", re.IGNORECASE)
        found = [p for p in every if word.search(p.name)]
        if not found:
            raise ValueError(
                f"{path} holds no {' or '.join(SUFFIXES)} file with the word {split!r} in its "
                f"name; it holds {', '.join(p.name for p in every) or 'none at all'}"
            )
        return found
    if not path.exists():
        raise ValueError(f"{path} does not exist; name a file, a folder or hub:owner/name")
    if not path.name.endswith(SUFFIXES):
        raise ValueError(f"{path} is not a {' or '.join(SUFFIXES)} file")
    return [path]


def both_sides(train: Sequence[Pair], held_out: Sequence[Pair]) -> None:
    """Refuse pairs that are trained on and measured on; warn of prompts that are.

    Raises:
        ValueError: a pair occurs on both sides; the message counts pairs and prompts.

    Warns:
        UserWarning: prompts occur on both sides, with other responses.
    """
    keys, prompts = {p.key for p in train}, {p.prompt for p in train}
    twice = sum(p.key in keys for p in held_out)
    met = sum(p.prompt in prompts for p in held_out)
    told = f"of {len(held_out)} held-out pairs {{}} {met} have a prompt of the training pairs"
    if twice:
        raise ValueError(
            told.format(f"{twice} are trained on too,")
            + "; set held_out_share, or name a folder with files of a train and of a test split"
        )
    if met:
        warnings.warn(told.format("none is trained on, but"), stacklevel=3)


def file_rows(path: Path) -> Iterator[str]:
    """Lines of a .jsonl or .jsonl.gz file.

    Raises:
        ValueError: a line that is too long, or a file that ends too early.
    """
    number = 0
    opener = gzip.open if path.name.endswith(".gz") else open
    try:
        with opener(path, "rb") as file:
            while line := file.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    raise ValueError(
                        f"{path}, line {number} is longer than {LONGEST_LINE} bytes; one pair a "
                        "line is needed"
                    )
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                yield line.decode("utf-8", "surrogateescape")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(
            f"{path} is damaged or was not downloaded to its end (it stops after line "
            f"{number}); fetch it again"
        ) from error


def hub_rows(name: str, split: str) -> Iterator[dict[str, Any]]:
    """Rows of a data set on the hub.

    Raises:
        ValueError: it could not be downloaded.
    """
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
        if isinstance(row, str) and not row.strip():  # an empty line, as files end with
            continue
        try:
            made = [make_pair(*texts_of(one)) for one in objects(row)]
        except ValueError as error:
            if malformed == "stop":
                raise ValueError(
                    f"{name}, {unit} {number}: {error} (malformed='skip' leaves it out)"
                ) from error
            skipped.append(f"{number} ({error})")
            continue
        yield from made
    if skipped:
        more = f" and {len(skipped) - 5} more" if len(skipped) > 5 else ""
        warnings.warn(f"{name}: skipped {unit} {', '.join(skipped[:5])}{more}", stacklevel=3)


def objects(row: str | dict[str, Any]) -> list[dict[str, Any]]:
    """The objects of a row: a line of JSON, one object or a list of them.

    Raises:
        ValueError: no JSON, or something else in it.
    """
    found: Any = row
    if isinstance(row, str):
        try:
            found = json.loads(row)
        except json.JSONDecodeError as error:  # without the text: it may be offensive
            raise ValueError(f"not JSON (column {error.colno})") from None
        except RecursionError:
            raise ValueError("JSON that is nested too deeply") from None
    every = found if isinstance(found, list) else [found]
    if not all(isinstance(one, dict) for one in every):
        raise ValueError("not a JSON object")
    return every


def texts_of(row: dict[str, Any]) -> tuple[str, str, str | None]:
    """Both whole texts of a row, the chosen one first, and their prompt where it is given.

    Raises:
        ValueError: a field that is no text and no list of messages.
    """
    prompt = row.get("prompt")
    head = "" if prompt is None else _text(prompt, "prompt")
    if isinstance(prompt, list) and prompt[-1].get("role") != "assistant":
        head += ASSISTANT  # whose turn it is
    texts = [_text(row.get(field), field) for field in ("chosen", "rejected")]
    if not head:
        return texts[0], texts[1], None
    if not all(text.startswith(head) for text in texts):
        if all(isinstance(row[field], list) for field in ("chosen", "rejected")):
            texts = [text.removeprefix(head[-len(ASSISTANT) :]) for text in texts]
        texts = [head + text for text in texts]
    return texts[0], texts[1], head


def _text(value: Any, field: str) -> str:
    """A text, or a list of messages written as one."""
    if isinstance(value, str):
        return value.replace("\r\n", "\n")
    if not isinstance(value, list) or not value:
        raise ValueError(f"no text under {field!r}, and no list of messages")
    parts = []
    for k, message in enumerate(value):
        role, content = (
            (message.get("role"), message.get("content")) if isinstance(message, dict) else (0, 0)
        )
        if not isinstance(role, str) or role not in ROLES or not isinstance(content, str):
            raise ValueError(
                f"message {k} under {field!r} needs a role of {', '.join(ROLES)} and a content"
            )
        parts.append(f"{ROLES[role]} {_text(content, field)}")
    return "".join(parts)
