"""Settings of a run and parameter files: defaults, types, and what is refused."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hetlib.llm.model.settings import APPROACHES, CELLS, VARIANTS, Settings
from hetlib.llm.runs.plan import Plan


def test_defaults_are_the_papers() -> None:
    s = Settings()
    assert (s.rank, s.lora_alpha, s.dropout) == (8, 32.0, 0.1)
    assert (s.batch, s.accumulate, s.learning_rate, s.schedule) == (2, 1, 3e-5, "linear")
    assert (s.weight_decay, s.limit, s.precision, s.reference) == (1e-3, 512, "bf16", "uniform")
    assert s.presentations is None  # one epoch


def test_reads_what_yaml_makes_of_numbers() -> None:
    s = Settings.from_mapping({"learning_rate": "3e-5", "beta": 1, "presentations": None})
    assert s.learning_rate == 3e-5
    assert isinstance(s.beta, float)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"learning_rat": 1.0}, "'learning_rat' is no setting; did you mean learning_rate"),
    ({"x": 1}, r"'x' is no setting\. Known are"),
    ({"method": "dpo"}, "method is 'dpo'; allowed are reward, alignment"),
    ({"labels": "nobody"}, "labels is 'nobody'; allowed are anonymous"),
    ({"loss": "hinge"}, "loss is 'hinge'"),
    ({"precision": "fp8"}, "precision is 'fp8'; allowed are bf16, float32"),
    ({"batch": 0}, "batch is 0; it must be at least 1"),
    ({"batch": 2.5}, "batch is 2.5; a value of type int is needed"),
    ({"batch": True}, "batch is True; a value of type int is needed"),
    ({"shift": 1}, "shift is 1; a value of type bool is needed"),
    ({"learning_rate": "fast"}, "learning_rate is 'fast'; a value of type float is needed"),
    ({"dropout": 1.0}, "dropout is 1.0; it must be at least 0 and at most 0.999"),
    ({"beta": 0}, "beta is 0.0; it must be at least"),
    ({"hidden": 30, "heads": 4}, "hidden is 30 and heads 4"),
    ({"method": "reward", "reference": "frozen"}, "a reward model has no reference"),
]


@pytest.mark.parametrize(("values", "message"), BAD)
def test_refuses(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Settings.from_mapping(values)


def test_cells() -> None:
    s = Settings().cell("alignment-consensus", seed=3)
    assert (s.method, s.labels, s.loss, s.seed) == ("alignment", "consensus", "agreement", 3)
    s = Settings().cell("alignment-anonymous-unshifted-frozen")
    assert (s.loss, s.shift, s.reference, s.beta) == ("dpo", False, "frozen", 0.1)
    assert Settings().cell("reward-type-2-responses").labels == "type-2"
    names = [f"{method}-{cell}" for method in APPROACHES for cell in CELLS]
    assert len({Settings().cell(name).digest() for name in names}) == len(names)


@pytest.mark.parametrize("name", ["reward", "reward-nobody", "dpo-anonymous", "reward-type-4"])
def test_refuses_cells(name: str) -> None:
    with pytest.raises(ValueError, match="cell is"):
        Settings().cell(name)


def test_refuses_variants() -> None:
    with pytest.raises(ValueError, match=f"allowed are {', '.join(VARIANTS)}"):
        Settings().cell("reward-anonymous-twice")


def test_digest_changes_with_what_is_computed() -> None:
    s = Settings()
    assert s.digest() == Settings().digest()
    assert s.digest() != replace(s, seed=1).digest()
    assert s.digest() == replace(s, chunk=7, save_every=5).digest()


PLAN = {"data": "synthetic", "train_pairs": 20, "held_out_pairs": 8, "limit": 64, "model": "tiny"}


def test_plan() -> None:
    plan = Plan.from_mapping(PLAN | {"cells": ["reward-anonymous"], "seeds": [4, 5], "seed": 0})
    assert [run.seed for run in plan.runs()] == [4, 5]
    train, held_out = plan.pairs()
    assert (len(train), len(held_out)) == (20, 8)
    assert not {pair.key for pair in train} & {pair.key for pair in held_out}


def test_a_sweep_shares_runs_with_the_cells() -> None:
    sweep = {"rates": [1e-5, 3e-5], "rate_cells": ["reward-anonymous", "reward-consensus"]}
    plan = Plan.from_mapping(PLAN | {"cells": ["reward-anonymous"], "seeds": [4, 5]} | sweep)
    runs = plan.runs()  # two of the cell, at 3e-5; three more of the sweep
    assert len(runs) == 5
    assert [s.learning_rate for s in plan.sweep()["reward-consensus"]] == [1e-5, 3e-5]
    assert {s.seed for tried in plan.sweep().values() for s in tried} == {4}


def test_only_short_texts(tmp_path: Path) -> None:
    plan = Plan.from_mapping(PLAN | {"longest": 20, "folder": str(tmp_path)})
    for pairs in plan.load():
        assert 0 < len(pairs) < 20
        assert pairs.lengths.max() <= 20
    assert plan.settings.limit == 64  # rewards keep their scale
    with pytest.raises(ValueError, match="longest is 0"):
        Plan.from_mapping(PLAN | {"longest": 0})


def test_plan_refuses(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="did you mean train_pairs"):
        Plan.from_mapping(PLAN | {"train_pair": 3})
    with pytest.raises(ValueError, match="cell is 'reward-x'"):
        Plan.from_mapping(PLAN | {"cells": ["reward-x"]})
    with pytest.raises(ValueError, match="train_pairs and held_out_pairs must be given"):
        Plan.from_mapping(PLAN | {"train_pairs": None}).pairs()
    with pytest.raises(ValueError, match="does not exist"):
        Plan.read(tmp_path / "none.yml")
    (tmp_path / "list.yml").write_text("- 1\n")
    with pytest.raises(ValueError, match="must hold names and values"):
        Plan.read(tmp_path / "list.yml")


PLAN_BAD = [
    ({"seeds": 3}, "seeds is 3; a list is needed"),
    ({"seeds": []}, "seeds is empty"),
    ({"seeds": ["0"]}, r"seeds\[0\] is '0'; a whole number"),
    ({"seeds": [True]}, r"seeds\[0\] is True"),
    ({"cells": "reward-anonymous"}, "cells is 'reward-anonymous'; a list is needed"),
    ({"cells": []}, "cells is empty"),
    ({"cells": [3]}, r"cells\[0\] is 3; text"),
    ({"rates": 0.1}, "rates is 0.1"),
    ({"data": None}, "data is None"),
    ({"data": []}, "data is empty"),
    ({"workers": -1}, "workers is -1"),
    ({"world": 3}, "world is 3"),
    ({"world": {"anchord": True}}, "did you mean anchored"),
    ({"train_pairs": "all"}, "train_pairs is 'all'"),
    ({"held_out_share": 1}, "held_out_share is 1"),
    ({"eos": "yes"}, "eos is 'yes'"),
    ({"split": 3}, "split is 3"),
    ({"seeds": {"a": 1}}, "seeds is {'a': 1}; a list"),
    ({"seeds": [1.5]}, r"seeds\[0\] is 1.5; a whole number"),
    ({"seeds": [True]}, r"seeds\[0\] is True"),
    ({"seeds": [None]}, r"seeds\[0\] is None"),
    ({"seeds": [-1]}, "seed is -1"),
    ({"seeds": [1, 2, 1]}, r"seeds\[2\] is 1 again"),
    ({"seeds": [10**20]}, "seeds is 100000000000000000000; numbers below"),
    ({"cells": ["reward-anonymous"] * 2}, r"cells\[1\] is 'reward-anonymous' again"),
    ({"cells": [["reward-anonymous"]]}, r"cells\[0\] is \['reward-anonymous'\]; text"),
    ({"cells": ["reward-anonymous "]}, "cell is 'reward-anonymous '"),
    ({"cells": None}, "cells is None"),
    ({"cells": {}}, "cells is {}; a list"),
    ({"rates": [0]}, r"rates\[0\] is 0; a positive number"),
    ({"rates": [float("nan")]}, r"rates\[0\] is nan"),
    ({"rate_cells": "reward-anonymous"}, "rate_cells is 'reward-anonymous'; a list"),
    ({"data": ""}, "data is ''"),
    ({"data": ["a", None]}, r"data\[1\] is None; text"),
    ({"limit": 10**20}, "limit is 1"),
    ({"learning_rate": float("inf")}, "learning_rate is inf"),
    ({"learning_rate": float("nan")}, "learning_rate is nan"),
    ({"workers": 1.5}, "workers is 1.5"),
    ({"workers": None}, "workers is None"),
    ({"malformed": "ignore"}, "malformed is 'ignore'; allowed are stop, skip"),
    ({"long": "cut"}, "long is 'cut'; allowed are drop, truncate"),
    ({"folder": ""}, "folder is ''"),
    ({"model": ""}, "model is ''"),
    ({"held_out_pairs": 0}, "held_out_pairs is 0"),
    ({3: 1}, "values is .*names and their values"),
]


@pytest.mark.parametrize("values", [None, [], 3, "x", {1: 2}])
def test_a_plan_is_names_and_values(values: Any) -> None:
    with pytest.raises(ValueError, match=r"values is .*; names and their values are needed"):
        Plan.from_mapping(values)


@pytest.mark.parametrize(("values", "message"), PLAN_BAD)
def test_plan_names_a_field_of_another_type(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Plan.from_mapping(PLAN | values)


HEAD = "\n\nHuman: a\n\nAssistant:"
ROWS = [{"chosen": f"{HEAD} {k}", "rejected": f"{HEAD} x{k}"} for k in range(9)]
TURNED = [{"chosen": r["rejected"], "rejected": r["chosen"]} for r in ROWS]
APART = [{"prompt": HEAD, "chosen": f" {k}", "rejected": f" x{k}"} for k in range(9)]
NEW = [{"chosen": f"{HEAD} y{k}", "rejected": f"{HEAD} z{k}"} for k in range(9)]


@pytest.mark.parametrize(
    ("files", "data", "twice"),
    [
        ({"single.jsonl": ROWS}, "single.jsonl", 8),
        ({"single.jsonl.gz": ROWS}, "single.jsonl.gz", 8),
        ({"test-train.jsonl": ROWS}, "", 8),  # a name with both words
        ({"train.jsonl": ROWS, "test.jsonl": ROWS}, "", 8),
        ({"train.jsonl": ROWS, "test.jsonl": TURNED}, "", 8),  # the other one chosen
        ({"train.jsonl": ROWS, "test.jsonl": APART}, "", 8),  # with the prompt by itself
        ({"train/train.jsonl": ROWS, "test/test.jsonl.gz": NEW[:4] + ROWS[:1]}, "", 1),
        ({"train.jsonl": ROWS, "test.jsonl": NEW}, "", 0),
    ],
)
def test_what_is_trained_on_is_not_measured_on(
    files: dict[str, list[dict[str, str]]], data: str, twice: int, tmp_path: Path
) -> None:
    """Refused where a pair is on both sides, and said where a prompt is; a share mends it."""
    for name, rows in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        opener = gzip.open if name.endswith(".gz") else open
        with opener(tmp_path / name, "wt") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    given = PLAN | {"data": str(tmp_path / data), "train_pairs": None}
    plan = Plan.from_mapping(given)
    if twice:
        with pytest.raises(ValueError, match=rf" {twice} are trained on too.*set held_out_share"):
            plan.pairs()
    else:
        with pytest.warns(UserWarning, match="none is trained on, but 8 have a prompt"):
            assert [len(side) for side in plan.pairs()] == [9, 8]
    if len(files) == 1 and data:
        with pytest.raises(ValueError, match="more prompts are needed"):  # one prompt in all
            Plan.from_mapping(given | {"held_out_share": 0.3}).pairs()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"labels": "given"}, r"labels is 'given', but cell .* has 'anonymous'; .* in Python"),
        ({"loss": "integral"}, r"loss is 'integral', but cell 'reward-.*leave loss out, or name"),
        ({"shift": True, "cells": ["alignment-anonymous-unshifted"]}, "a cell without that"),
        ({"beta": 0.5, "cells": ["alignment-anonymous-frozen"]}, r"beta is 0\.5"),
    ],
)
def test_a_cell_changes_no_setting_that_was_given(values: dict[str, Any], message: str) -> None:
    cells = {"cells": ["reward-anonymous"]}
    with pytest.raises(ValueError, match=message):
        Plan.from_mapping(PLAN | cells | values)
    Plan.from_mapping(PLAN | {"cells": ["reward-integral"], "loss": "integral"})


def test_the_command_refuses_it_too(capsys: pytest.CaptureFixture[str]) -> None:
    from hetlib.llm.__main__ import main

    file = str(Path(__file__).parents[2] / "params" / "llm-tiny.yml")
    chosen = ["--set", "labels=given", "--set", "cells=[reward-anonymous]"]
    assert main([file, *chosen, "--dry-run"]) == 2
    assert "labels is 'given', but cell" in capsys.readouterr().err
