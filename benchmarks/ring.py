"""Figure 4 of the paper: ours against the released code, run as it is.

    python benchmarks/ring.py                           ours alone
    python benchmarks/ring.py path/to/dahp              both; tens of minutes
    python benchmarks/ring.py path/to/dahp --part 0.02  of the released code's methods that
                                                        never ran to the end, a fiftieth

The path is a checkout of https://github.com/arashne/dahp; it needs tensorboardX. Only what
its README says to edit is edited, in a copy: the method, and alpha. Each method is its own
process on one thread, five in all: DPO, corrected with alpha = 1 and 2, consistent, NBC,
with 500,000 comparisons each. Time counts from the start of Python to the trained policy,
data included. Methods of the released code that were done before a stop are not run again.

The processor time is what is compared: on a busy machine wall time says how busy it was.
Results go to results/benchmark-ring.json, the policies of whole runs of the released code to
results/ring-released.json. A part of a run is stored as a part: it shows what
so much of the work cost, and nothing is scaled up.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
DONE = ROOT / "_build" / "bench-ring"
SIZE, STEPS, BORDA_STEPS = 500_000, 10_000, 100_000
#: Class of the released code and alpha, by method.
RELEASED = {
    "dpo": ("DPO", 1),
    "corrected_1": ("EstVarCorrectedDPO", 1),
    "corrected_2": ("EstVarCorrectedDPO", 2),
    "consistent": ("ShiraliEtAl", 1),
    "nbc": ("NBC", 1),
}


def timed(command: list[str], **options: Any) -> dict[str, Any]:
    """Run a process; its wall and processor time in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **options)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    today = datetime.date.today().isoformat()
    return {"wall_s": wall, "cpu_s": cpu, "date": today, "output": done.stdout}


def released(checkout: Path, method: str, part: float) -> dict[str, Any]:
    """One method of the released code: times and its policy by prompt and response."""
    solver, alpha = RELEASED[method]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(checkout / "first-order-correction-of-dpo", copy)
        (copy / "data").mkdir(exist_ok=True)
        script = copy / "scripts" / "run_offline_simulator_trainer.py"
        text = script.read_text()
        changes = {
            "solver_class = ShiraliEtAl": f"solver_class = {solver}",
            "var_multiplier=1.,": f"var_multiplier={alpha}.,",
        }
        if part != 1:
            changes |= {
                "dataset_size=500000": f"dataset_size={round(SIZE * part)}",
                "n_step = 100000": f"n_step = {round(BORDA_STEPS * part)}",
                "n_step = 10000\n": f"n_step = {round(STEPS * part)}\n",
            }
        for old, new in changes.items():
            if old not in text:
                raise ValueError(f"{script.name} has no line with {old!r}; another version?")
            text = text.replace(old, new)
        script.write_text(text)
        path = os.pathsep.join([str(copy), os.environ.get("PYTHONPATH", "")])
        env = os.environ | {"PYTHONPATH": path, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"}
        found = timed([sys.executable, script.name], cwd=script.parent, env=env)
        del found["output"]
        return found | {"table": stored_policy(copy / "data").tolist()}


def measured(checkout: Path, method: str, part: float) -> tuple[float, dict[str, Any]]:
    """A run to the end, if there is one or it is asked for; else a part of one."""
    file = DONE / f"{method}.json"
    if file.exists():
        return 1.0, json.loads(file.read_text())
    there = released(checkout, method, part)
    if part == 1:
        from hetlib.store import write

        DONE.mkdir(parents=True, exist_ok=True)
        write(file, json.dumps(there))
    return part, there


def stored_policy(folder: Path) -> np.ndarray:
    """The policy, or the scores of NBC, that the released code has saved."""
    import torch

    file = next(f for f in folder.rglob("policies.*") if "ref_policy" not in f.name)
    stored = torch.load(file, weights_only=True)  # tensors, no code
    if "scores_sa" in stored:
        return stored["scores_sa"].double().numpy()
    w = {key: value.double().numpy() for key, value in stored["logits_na_state_dict"].items()}
    out = np.tanh(w["0.weight"].T + w["0.bias"])  # a one-hot prompt picks a row
    out = np.tanh(out @ w["2.weight"].T + w["2.bias"])
    out = np.exp(out @ w["4.weight"].T + w["4.bias"])
    return out / out.sum(axis=1, keepdims=True)


def ours(method: str, size: int, seed: int) -> list[list[float]]:
    """The same with hetlib's direct route, every prompt on its own."""
    from hetlib.ring import fits
    from hetlib.ring.environment import RingEnvironment

    ring = RingEnvironment()
    rng = np.random.default_rng(seed)
    if method == "consistent":
        second, first = fits.unanimous_counts(ring.sample_types(size, rng))
        return fits.fit_agreement(second + first, 3).policy.tolist()
    if method.startswith("corrected"):
        linked = ring.sample(size, rng, labels=2)
        moments = fits.linked_moments(linked)
        wins = fits.win_counts(replace(linked, votes=linked.votes[:, :1]))
        return fits.fit_corrected(wins, moments, float(method[-1])).policy.tolist()
    wins = fits.win_counts(ring.sample(size, rng))
    table = fits.counted_borda(wins) if method == "nbc" else fits.fit_dpo_tables(wins).policy
    return table.tolist()


def measure_ours(method: str) -> dict[str, Any]:
    """Median over five processes, each with another seed."""
    runs = []
    for seed in range(5):
        command = [sys.executable, __file__, "--ours", method]
        env = os.environ | {"OMP_NUM_THREADS": "1", "HETLIB_BENCH_SEED": str(seed)}
        runs.append(timed(command, env=env))
    tables = [json.loads(run.pop("output")) for run in runs]
    middle = {key: float(np.median([run[key] for run in runs])) for key in ("wall_s", "cpu_s")}
    return middle | {"date": runs[0]["date"], "tables": tables}


def judge(method: str, table: Any, offsets: bool) -> float:
    """TV of the 1-D policy to pi*; for NBC the mean error of the 1-D counts."""
    from hetlib.ring.environment import RingEnvironment, by_offset

    ring = RingEnvironment()
    line = (np.asarray(table) if offsets else by_offset(table)).mean(axis=0)
    if method == "nbc":
        return float(abs(line - ring.borda()).mean())
    return float(abs(line - ring.best()).sum() / 2)


def source(checkout: Path) -> dict[str, Any]:
    """Which released code it was, and the seed that it sets when it is imported."""
    command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    commit = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    return {"code": "https://github.com/arashne/dahp", "commit": commit, "seed": 42}


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", nargs="?", type=Path, help="a checkout of the released code")
    parser.add_argument("--part", type=float, default=1.0, help="share of the released runs")
    parser.add_argument("--ours", choices=RELEASED, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ours:
        seed = int(os.environ["HETLIB_BENCH_SEED"])
        print(json.dumps(ours(options.ours, SIZE, seed)))
        return
    from hetlib.ring.environment import by_offset
    from hetlib.store import device, save_result

    rows: dict[str, Any] = {}
    curves: dict[str, list[float]] = {}  # 1-D policies of whole released runs
    for method in RELEASED:
        here = measure_ours(method)
        rows[method] = {
            "ours": {key: here[key] for key in ("wall_s", "cpu_s", "date")}
            | {"error": [judge(method, table, True) for table in here["tables"]]}
        }
        line = f"{method:12s} ours {here['cpu_s']:6.2f} s"
        if options.checkout:
            part, there = measured(options.checkout, method, options.part)
            key = "released" if part == 1 else "released_part"
            rows[method][key] = {name: there[name] for name in ("wall_s", "cpu_s", "date")}
            if part == 1:
                rows[method][key]["error"] = judge(method, there["table"], False)
                curves[method] = by_offset(there["table"]).mean(axis=0).tolist()
            else:
                rows[method][key]["part"] = part
            what = "released" if part == 1 else f"{part:g} of released"
            ratio = there["cpu_s"] / here["cpu_s"]
            line += f", {what} {there['cpu_s']:7.1f} s of processor time: {ratio:6.0f} times"
        print(line, flush=True)
    if options.checkout:
        settings = {"comparisons": SIZE, "steps": STEPS, "threads": 1} | device()
        save_result(ROOT / "results" / "benchmark-ring.json", settings, rows)
        if curves:
            save_result(
                ROOT / "results" / "ring-released.json", settings | source(options.checkout), curves
            )


if __name__ == "__main__":
    main()
