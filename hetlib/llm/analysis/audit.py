"""What the lengths of a data set's pairs imply before any model is trained.

``python -m hetlib.llm.analysis.audit SOURCE MODEL results/NAME.json`` reads pairs, tokenises
them with a model's tokenizer and stores the figures. No text leaves the reader: only numbers do.
"""

from __future__ import annotations

import argparse
import sys
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hetlib import store
from hetlib.llm.analysis import limits
from hetlib.llm.analysis.monotone import best_falling
from hetlib.llm.data.agreement import agreement_rate, true_margins
from hetlib.llm.data.labels import KINDS, differences, label_probability
from hetlib.llm.data.lengths import HH_LENGTH_QUANTILES, LIMIT

#: Edges of the buckets of the absolute difference in tokens, for texts of up to 512.
DIFFERENCES = (0, 1, 8, 16, 32, 64, 128, 256, 512)


def audit(lengths: ArrayLike, limit: int = LIMIT) -> dict[str, Any]:
    """Exact figures of a set of pairs, from their lengths alone.

    Args:
        lengths: Tokens of both texts, prompt included, shape (pairs, 2).
        limit: Longest text.

    Returns:
        By name. ``pairs``; ``decided``, those whose average rewards differ; ``quantiles`` of
        length. Rates of agreement with the average reward are ``rules``, of which ``falling``
        is the best reward that never rises with length; ``pair``, the more probable anonymous
        label of each pair on its own; ``types``, what two types of three prefer; and by kind
        of label ``limit``, the best function of length. ``right`` is the probability that one
        label is right. ``unanimous`` is the expected share of unanimous pairs, and
        ``by_difference`` has rows of lower edge, upper edge, pairs and that share.
    """
    x = np.asarray(lengths)
    d, t = differences(x, limit), true_margins(x, limit)
    u, gap = limits.unanimous(x, limit), abs(x[:, 1] - x[:, 0])
    edges = np.unique(np.rint(np.array(DIFFERENCES) * limit / LIMIT).astype(int))
    rows = []
    for low, high in pairwise(edges):
        inside = (gap >= low) & (gap < high)
        if inside.any():
            rows.append([int(low), int(high), int(inside.sum()), float(u[inside].mean())])
    noisy = [kind for kind in KINDS if kind != "average"]
    best = {kind: limits.population_limit(x, kind, limit).margins(x) for kind in noisy}
    rules = {n: agreement_rate(limits.rule(x, n), t) for n in ("shorter", "longer")}
    return {
        "pairs": len(x),
        "decided": int((t != 0).sum()),
        "quantiles": {str(q): float(np.quantile(x, q)) for q in HH_LENGTH_QUANTILES},
        "rules": rules | {"falling": best_falling(x, limit).rate},
        "pair": agreement_rate(label_probability(x, "anonymous", limit) - 0.5, t),
        "types": agreement_rate(np.sign(d).sum(axis=0), t),
        "right": {k: float(np.nanmean(limits.label_right(x, k, limit))) for k in noisy},
        "limit": {kind: agreement_rate(margins, t) for kind, margins in best.items()},
        "unanimous": float(u.mean()),
        "by_difference": rows,
    }


def main(arguments: list[str] | None = None) -> None:
    """Audit a source of pairs and store the figures."""
    from hetlib.llm.data.pairs import read_pairs
    from hetlib.llm.data.tokens import tokenise
    from hetlib.llm.model.models import load_tokenizer

    parser = argparse.ArgumentParser(
        prog="python -m hetlib.llm.analysis.audit", description=__doc__
    )
    parser.add_argument("source", help="hub:owner/name, a .jsonl or .jsonl.gz file, or a folder")
    parser.add_argument("model", help="whose tokenizer counts: a folder, .gguf file or hub name")
    parser.add_argument("result", type=Path, help="JSON file to write")
    parser.add_argument("--split", default="test")
    parser.add_argument("--limit", type=int, default=LIMIT)
    given = parser.parse_args(arguments)
    try:
        pairs = read_pairs(given.source, given.split, malformed="skip")
        data = tokenise(pairs, load_tokenizer(given.model), given.limit)
    except ValueError as error:
        sys.exit(str(error))
    settings = {
        "data": Path(given.source).name,
        "split": given.split,
        "tokenizer": Path(given.model).name,
        "limit": given.limit,
        "versions": {name: metadata.version(name) for name in ("hetlib", "transformers")},
    }
    found = audit(data.lengths, given.limit)
    store.save_result(given.result, settings, {"read": len(pairs), "beyond": data.beyond} | found)


if __name__ == "__main__":
    main()
