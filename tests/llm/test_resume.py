"""A run that is killed goes on, and ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from hetlib.llm.__main__ import main
from hetlib.llm.runs import experiment
from hetlib.llm.train import checkpoints

PARAMS = {
    **{"model": "tiny", "data": "synthetic", "train_pairs": 600, "held_out_pairs": 40},
    **{"limit": 48, "vocabulary": 90, "eos": True, "hidden": 16, "intermediate": 32, "heads": 2},
    **{"precision": "float32", "batch": 8, "learning_rate": 1e-2, "pretrain_steps": 5},
    **{"evaluations": 6, "save_every": 4, "cells": ["alignment-consensus"], "seeds": [0]},
}
ENV = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def command(folder: Path, name: str) -> list[str]:
    file = folder / "params.yml"
    file.write_text(yaml.safe_dump(PARAMS))
    return [sys.executable, "-m", "hetlib.llm", str(file), "--folder", str(folder / name)]


@pytest.mark.slow
def test_killed_and_started_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    killed = subprocess.Popen(
        command(tmp_path, "killed"), env=ENV, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    end = time.monotonic() + 120
    while not list((tmp_path / "killed").glob("*/checkpoint-*/complete.json")):
        assert killed.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < end
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    (folder,) = (path.parent for path in (tmp_path / "killed").glob("*/settings.json"))
    assert not (folder / "metrics.json").exists()
    newest = checkpoints.newest(folder)
    assert newest is not None
    half = folder / "checkpoint-9999"  # as a kill in the middle of writing leaves it
    half.mkdir()
    (half / "trained.safetensors").write_bytes(b"half")

    again = subprocess.run(
        command(tmp_path, "killed"),
        check=False,
        env=ENV,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert again.returncode == 0, again.stderr
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the others; another number may round otherwise
    assert main(command(tmp_path, "whole")[3:]) == 0
    torch.set_num_threads(threads)
    assert again.stdout == capsys.readouterr().out
    (other,) = (path.parent for path in (tmp_path / "whole").glob("*/settings.json"))
    assert folder.name == other.name
    for file in ("metrics.json", "scores.npy", "trained.safetensors"):
        assert (folder / file).read_bytes() == (other / file).read_bytes(), file
    steps = json.loads((other / "metrics.json").read_text())["steps"]
    done = json.loads((folder / "times.json").read_text())["steps_of_this_call"]
    assert steps == 75
    assert 0 < done < steps  # it went on; it did not start anew
    assert not list(folder.glob("checkpoint-*"))


def test_only_whole_checkpoints_count(tmp_path: Path) -> None:
    for step in (5, 10, 20):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "optimizer.pt").write_bytes(b"12345")
        checkpoints.seal(folder, processes=1)
    assert checkpoints.newest(tmp_path) == tmp_path / "checkpoint-20"
    (tmp_path / "checkpoint-20" / "optimizer.pt").write_bytes(b"123")
    assert checkpoints.newest(tmp_path) == tmp_path / "checkpoint-10"
    (tmp_path / "checkpoint-10" / "complete.json").write_text('{"files": ')
    assert checkpoints.newest(tmp_path) == tmp_path / "checkpoint-5"
    assert checkpoints.newest(tmp_path, processes=2) is None
    checkpoints.prune(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-20"]


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 2)
    checkpoints.save_trained({"x.lora_A.weight": torch.zeros(1), "bias": torch.zeros(2)}, tmp_path)
    with pytest.raises(ValueError, match="weights of another model"):
        checkpoints.load_trained(model, tmp_path)


@pytest.mark.parametrize(
    "name", ["checkpoint-abc", "checkpoint-", "checkpoint-1.5", "checkpoint--1"]
)
def test_other_folders_are_no_checkpoints(name: str, tmp_path: Path) -> None:
    for folder in (tmp_path / "checkpoint-5", tmp_path / name):
        folder.mkdir()
        checkpoints.seal(folder, processes=1)
    assert checkpoints.newest(tmp_path) == tmp_path / "checkpoint-5"
    checkpoints.prune(tmp_path)
    assert (tmp_path / name).exists()


@pytest.mark.parametrize("content", ["", "{", "[1]", "5", "{}", '{"files": [1]}', '{"files": {}}'])
def test_a_spoilt_seal_is_none(content: str, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint-5"
    folder.mkdir()
    (folder / checkpoints.SEAL).write_text(content)
    assert checkpoints.newest(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"{}", b"\x08\0\0\0\0\0\0\0{}", b"\xff" * 40, bytes(40)])
def test_half_of_the_weights_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / checkpoints.WEIGHTS).write_bytes(content)
    with pytest.raises(ValueError, match=r"trained\.safetensors"):
        checkpoints.load_trained(torch.nn.Linear(1, 1), tmp_path)


def test_runs_of_other_code_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs: Any = SimpleNamespace(digest=lambda: "data")
    settings: Any = SimpleNamespace(digest=lambda: "s", method="dpo", labels="pairs", seed=0)
    before = experiment.run_folder(settings, pairs, pairs, tmp_path)
    assert before == experiment.run_folder(settings, pairs, pairs, tmp_path)
    monkeypatch.setattr(experiment, "_code", lambda: "another")
    assert experiment.run_folder(settings, pairs, pairs, tmp_path) != before


#: What becomes of a file of a checkpoint, of as many bytes as before.
SAME_SIZE: dict[str, Any] = {
    "noise": lambda content: np.random.default_rng(0).bytes(len(content)),
    "zeros": lambda content: bytes(len(content)),
    "turned": lambda content: content[::-1],
    "half zeros": lambda content: content[: len(content) // 2].ljust(len(content), b"\0"),
    "one bit": lambda content: content[:60] + bytes([content[60] ^ 1]) + content[61:],
}


@pytest.mark.parametrize("damage", SAME_SIZE)
@pytest.mark.parametrize("name", ["optimizer.pt", "rng_state.pth", "trainer_state.json"])
def test_a_checkpoint_of_the_right_size_but_damaged_is_left_out(
    name: str, damage: str, tmp_path: Path
) -> None:
    """The run goes on from the one before, and is told which file it was."""
    for step in (5, 10):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        for packed in ("optimizer.pt", "rng_state.pth"):
            torch.save({"a": torch.arange(50.0)}, folder / packed)
        (folder / "trainer_state.json").write_text(json.dumps({"global_step": list(range(30))}))
        checkpoints.save_trained({"head.weight": torch.zeros(9)}, folder)
        checkpoints.seal(folder, processes=1)
    experiment.leave_out_damaged(tmp_path)
    assert checkpoints.newest(tmp_path) == tmp_path / "checkpoint-10"
    file = tmp_path / "checkpoint-10" / name
    content = file.read_bytes()
    spoilt = content[:60] + b"\xff" + content[61:] if name.endswith(".json") else content
    file.write_bytes(SAME_SIZE[damage](content) if damage != "one bit" else spoilt)
    if file.read_bytes() == content:  # in what is packed, a bit of the numbers
        at = content.index(torch.arange(50.0).numpy().tobytes()[8:16])
        file.write_bytes(content[:at] + b"\x01" + content[at + 1 :])
    with pytest.warns(UserWarning, match=rf"checkpoint-10/{name} is damaged .*left out"):
        experiment.leave_out_damaged(tmp_path)
    assert checkpoints.newest(tmp_path) == tmp_path / "checkpoint-5"


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"{}", b"PK\x03\x04", b"\xff" * 200])
def test_damaged_scores_are_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "scores.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"scores\.npy is damaged"):
        experiment.read_scores({"folder": str(tmp_path)})


@pytest.mark.parametrize("content", ["", "{", "[1]", "5", "{}", "null", '{"agreement": 0.5}'])
def test_spoilt_metrics_are_no_finished_run(content: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(ValueError, match=r"metrics\.json holds no metrics"):
        experiment.read_metrics(tmp_path)
    experiment.leave_out_damaged(tmp_path)
    assert not (tmp_path / "metrics.json").exists()
