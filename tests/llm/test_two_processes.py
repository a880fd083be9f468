"""Two processes train what one does: data in parallel, and the model in shards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from transformers import LlamaForCausalLM

from hetlib.llm import __main__ as command
from hetlib.llm.data import batches
from hetlib.llm.model import models, pretrain
from hetlib.llm.runs.plan import Plan
from hetlib.llm.train import checkpoints

PARAMS = {
    **{"model": "tiny", "data": "synthetic", "train_pairs": 400, "held_out_pairs": 41},
    **{"limit": 48, "vocabulary": 90, "eos": True, "hidden": 16, "intermediate": 32, "heads": 2},
    **{"precision": "float32", "dropout": 0.0, "learning_rate": 1e-2, "pretrain_steps": 5},
    **{"evaluations": 2, "eval_batch": 4, "presentations": 160, "device": "cpu"},
    **{"cells": ["alignment-consensus-frozen"], "seeds": [0]},
}
SHARDED = ("alignment-consensus-frozen", "reward-anonymous")
LAUNCH = (
    *("-m", "torch.distributed.run", "--nnodes", "1", "--rdzv_backend", "c10d"),
    *("--rdzv_endpoint", "localhost:0", "--nproc_per_node", "2"),
)


def python(*arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run Python on one thread, without the network."""
    env = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"} | extra
    return subprocess.run(
        [sys.executable, *arguments],
        env=env,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def run(folder: Path, processes: int, batch: int) -> Path:
    """Train in one process or in two; the folder of the run."""
    folder.mkdir()
    file = folder / "params.yml"
    file.write_text(yaml.safe_dump(PARAMS | {"batch": batch, "folder": str(folder / "runs")}))
    if processes == 1:
        assert command.main([str(file)]) == 0
    else:
        done = python(*LAUNCH, "-m", "hetlib.llm", str(file))
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == 1  # one process speaks
    (settings,) = (folder / "runs").glob("*/settings.json")
    return settings.parent


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path) -> None:
    alone, both = run(tmp_path / "alone", 1, 8), run(tmp_path / "both", 2, 4)
    assert json.loads((both / "settings.json").read_text())["processes"] == 2
    one, two = (np.load(path / "scores.npy") for path in (alone, both))
    assert abs(one).max() > 0.01  # the policy has left its reference
    np.testing.assert_allclose(two, one, atol=2e-5)
    one, two = (json.loads((path / "metrics.json").read_text()) for path in (alone, both))
    assert two["steps"] == one["steps"] == 20
    assert two["presentations"] == one["presentations"] == 160
    assert two["agreement"] == one["agreement"]
    for a, b in zip(one["curve"], two["curve"], strict=True):
        assert b == pytest.approx(a, abs=1e-4)


@pytest.mark.slow
def test_a_sharded_model_has_the_same_gradients(tmp_path: Path) -> None:
    done = python(*LAUNCH, __file__, str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("same") == 2 * len(SHARDED)


def test_shards_need_more_than_a_cpu(tmp_path: Path) -> None:
    """Accelerate would ignore the wish in silence."""
    from hetlib.llm.train.training import train

    plan = Plan.from_mapping(PARAMS | {"folder": str(tmp_path)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCELERATE_USE_FSDP", "true")
        with pytest.raises(ValueError, match="FSDP is asked for"):
            train(plan.runs()[0], *plan.load(), tmp_path / "run")


def sharded(cell: str, folder: Path) -> None:
    """Shard a scorer as FSDP 2 does, each process with half of a batch, and compare."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
    from torch.distributed.fsdp import fully_shard

    rank = torch.distributed.get_rank()
    plan = Plan.from_mapping(PARAMS | {"train_pairs": 4, "folder": str(folder / str(rank))})
    settings, data = plan.settings.cell(cell), plan.load()[0]

    def scorer() -> models.Scorer:
        torch.manual_seed(0)
        base = LlamaForCausalLM(pretrain.configuration(settings)).requires_grad_(False)
        made = models.Scorer(settings, base)
        for name, parameter in made.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.3)
        return made.eval()

    plain, model = scorer(), scorer()
    for module in list(model.modules()):
        if type(module).__name__ in model._no_split_modules:
            fully_shard(module)
    fully_shard(model)
    shared = batches.shared_tokens(data)
    for one, pairs in ((model, [2 * rank, 2 * rank + 1]), (plain, [0, 1, 2, 3])):
        scores = one(**batches.collate(data, pairs, shared))
        (scores[1::2] - scores[0::2]).mean().backward()
    trained = [(p, q) for p, q in zip(model.parameters(), plain.parameters(), strict=True)]
    trained = [(p, q) for p, q in trained if q.requires_grad]
    for p, q in trained:
        assert p.grad is not None
        torch.testing.assert_close(p.grad.full_tensor(), q.grad, atol=1e-5, rtol=1e-4)  # type: ignore[attr-defined]
    whole = StateDictOptions(full_state_dict=True, cpu_offload=True)
    state: dict[str, Any] = dict(get_model_state_dict(model, options=whole))
    if rank == 0:
        checkpoints.save_trained({name: value + 1 for name, value in state.items()}, folder)
    torch.distributed.barrier()
    checkpoints.load_trained(model, folder)
    for p, q in trained:
        torch.testing.assert_close(p.detach().full_tensor(), q.detach() + 1)  # type: ignore[attr-defined]
    print("same", flush=True)


if __name__ == "__main__":
    torch.distributed.init_process_group("gloo")
    for name in SHARDED:
        sharded(name, Path(sys.argv[1]) / name)
    torch.distributed.destroy_process_group()
