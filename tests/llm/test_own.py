# mypy: disable-error-code="arg-type, dict-item, list-item"
"""Labels of one's own: reading, refusing, training, going on, and adapters that others can load."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

import hetlib
from hetlib.llm import __main__ as command
from hetlib.llm.data.own import read_labels, support
from hetlib.llm.data.synthetic import dialogues
from hetlib.llm.model import models
from hetlib.llm.runs.own import OwnPlan, run
from hetlib.llm.train import em, variance
from hetlib.llm.train import own as training

PEOPLE, EACH, LONG = 40, 12, 14  # annotators, labels each, how many like long texts
TINY: dict[str, Any] = {
    **{"model": "tiny", "hidden": 32, "layers": 1, "heads": 2, "intermediate": 64},
    **{"vocabulary": 90, "limit": 48, "precision": "float32", "device": "cpu", "dropout": 0.0},
    **{"pretrain_steps": 40, "batch": 32, "learning_rate": 1e-2, "reference": "frozen"},
    **{"presentations": 960, "rounds": 5, "steps": 15, "eval_batch": 64},
}
ROWS = [
    {"prompt": "Q1 ", "a": "yes", "b": "no", "who": "ann", "choice": "A"},
    {"prompt": "Q1 ", "a": "yes", "b": "no", "who": "bob", "choice": "b"},
    {"prompt": "Q2 ", "a": "up", "b": "down", "who": "ann", "choice": "tie"},
    {"prompt": "Q3 ", "a": "in", "b": "out", "who": "bob", "choice": ""},
    {"prompt": "Q4 ", "a": "on", "b": "off", "who": "bob", "choice": "model_b"},
]
NAMES = {"response_a": "a", "response_b": "b", "annotator": "who"}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Rows in the form of the file's ending."""
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        import pandas as pd

        table = pd.DataFrame(rows)
        table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path)
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 annotators of two types, twelve labels each on 160 pairs of made-up texts."""
    rng = np.random.default_rng(0)
    pairs = dialogues(160, 3, 48)
    likes = np.where(np.arange(PEOPLE) < LONG, 1, -1)
    rows = []
    for person in range(PEOPLE):
        for k in rng.choice(160, EACH, replace=False):
            p = pairs[k]
            gap = len(p.second.split()) - len(p.first.split())
            second = rng.random() < 1 / (1 + np.exp(-likes[person] * gap / 2))
            won, lost = (p.second, p.first) if second else (p.first, p.second)
            row = {"prompt": p.prompt, "chosen": won, "rejected": lost, "annotator": person}
            rows.append(row | {"type": "long" if likes[person] > 0 else "short"})
    return write(tmp_path_factory.mktemp("own") / "labels.jsonl", rows)


@pytest.mark.parametrize("name", ["l.jsonl", "l.csv", "l.parquet"])
def test_every_format_says_the_same(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, ROWS)
    own = read_labels(path, NAMES)
    assert own.counts == {"rows": 5, "ties": 1, "missing": 1, "malformed": 0}
    assert own.annotators == ("ann", "bob")
    assert own.annotator is not None
    assert own.annotator.tolist() == [0, 1, 1]
    assert own.type is None
    won = [
        (own.pairs[k].second if second else own.pairs[k].first)
        for k, second in zip(own.pair, own.preferred, strict=True)
    ]
    assert won == ["yes", "no", "off"]
    assert len(own.pairs) == 2  # one pair was labelled twice
    assert len(read_labels(tmp_path, NAMES)) == 3  # a folder
    assert read_labels(path, NAMES, ties="half").weight.tolist() == [1, 1, 0.5, 0.5, 1]


def test_dialogues_messages_and_strings(tmp_path: Path) -> None:
    head = "\n\nHuman: hi\n\nAssistant:"
    talk = [{"role": "user", "content": "hi"}]
    said = [{"role": "assistant", "content": word} for word in ("a", "b")]
    rows: list[dict[str, Any]] = [
        {"chosen": f"{head} a", "rejected": f"{head} b"},
        {"prompt": talk, "chosen": said[:1], "rejected": said[1:]},
        {"chosen": talk + said[:1], "rejected": talk + said[1:]},
        {"prompt": head, "chosen": " a", "rejected": " b"},
    ]
    own = read_labels(write(tmp_path / "l.jsonl", rows))
    assert len(own) == 4
    assert len(own.pairs) == 1
    assert len(set(own.preferred)) == 1


BAD: list[tuple[list[dict[str, Any]], dict[str, Any], str]] = [
    (ROWS, {"columns": {"annotator": "judge"}}, "annotator is 'judge'; the columns are prompt, a"),
    (ROWS, {"columns": {"person": "who"}}, "columns has 'person'; known are"),
    (ROWS, {}, "neither chosen and rejected nor prompt, response_a"),
    ([ROWS[0] | {"choice": "1"}], {"columns": NAMES}, "choice is '1', which is no known word"),
    (ROWS, {"columns": NAMES, "choices": {"left": ["a"]}}, "choices has 'left'"),
    (ROWS, {"columns": NAMES, "ties": "keep"}, "ties is 'keep'"),
    ([ROWS[0] | {"weight": -1}], {"columns": NAMES}, "weight is -1; a positive number"),
    ([*ROWS, ROWS[0] | {"who": ""}], {"columns": NAMES}, "annotator is missing in 1 of 4"),
    ([ROWS[0] | {"b": "yes"}], {"columns": NAMES}, "line 1: the two texts are identical"),
    ([ROWS[2]], {"columns": NAMES}, r"holds no label \(1 rows, 1 ties"),
]


@pytest.mark.parametrize(("rows", "options", "message"), BAD)
def test_reading_refuses(
    rows: list[dict[str, Any]], options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        read_labels(write(tmp_path / "l.jsonl", rows), **options)


def test_numbers_mean_what_the_settings_say(tmp_path: Path) -> None:
    path = write(tmp_path / "l.csv", [ROWS[0] | {"choice": 2}, ROWS[2] | {"choice": 0}])
    own = read_labels(path, NAMES, {"first": [1], "second": [2], "tie": [0]})
    assert own.counts["ties"] == 1
    assert own.pairs[0].second == ("no" if own.preferred[0] else "yes")


NEEDS = [
    ({"estimator": "corrected"}, {"annotator"}, "corrected needs to know who gave each label"),
    ({"estimator": "em", "types": 2}, {"annotator"}, "em needs to know who"),
    ({"estimator": "em"}, set(), "types is None; em needs the number of types"),
    ({"estimator": "em", "types": 99}, set(), "types is 99, and there are 40 annotators"),
    ({"estimator": "types"}, {"type"}, "types needs the type of who gave each label"),
    ({"estimator": "types", "types": ["long", "tall"]}, set(), "type 'tall' has no label"),
    ({"estimator": "types", "types": ["long"]}, set(), "types leaves out short"),
    ({"estimator": "vote"}, set(), "estimator is 'vote'; allowed are dpo"),
    ({"labels": "given"}, set(), "'labels' is no setting"),
    ({"held_out_share": 1}, set(), "held_out_share is 1"),
]


@pytest.mark.parametrize(("changes", "without", "message"), NEEDS)
def test_what_the_labels_cannot_support_is_refused_before_a_model_is_loaded(
    changes: dict[str, Any],
    without: set[str],
    message: str,
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(models, "load_base", lambda *_: pytest.fail("a model was loaded"))
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    kept = [{k: v for k, v in row.items() if k not in without} for row in rows]
    path = write(tmp_path / "l.jsonl", kept)
    with pytest.raises(ValueError, match=message):
        run(OwnPlan.from_mapping(TINY | {"data": str(path), "folder": str(tmp_path)} | changes))


def test_one_label_an_annotator_supports_no_correction(tmp_path: Path) -> None:
    rows = [ROWS[0] | {"who": f"p{k}", "prompt": f"Q{k} "} for k in range(9)]
    own = read_labels(write(tmp_path / "l.jsonl", rows), NAMES)
    with pytest.raises(ValueError, match="each of 9 annotators gave one: ask some of them"):
        support(own, "corrected")
    typed = [row | {"type": "s" if k else "t"} for k, row in enumerate(rows)]
    own = read_labels(write(tmp_path / "t.jsonl", typed), NAMES)
    with pytest.raises(ValueError, match="pairs that all of 2 types labelled, and there is none"):
        support(own, "agreement")


ESTIMATORS: list[dict[str, Any]] = [
    {"estimator": "dpo"},
    {"estimator": "corrected"},
    {"estimator": "types"},
    {"estimator": "agreement"},
    {"estimator": "conditional"},
    {"estimator": "em", "types": 2},
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is:FutureWarning")  # peft asks
@pytest.mark.parametrize("how", ESTIMATORS, ids=lambda how: how["estimator"])
def test_end_to_end(
    how: dict[str, Any], file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command trains, measures on held-out prompts, and saves what peft can load."""
    params = tmp_path / "own.yml"
    params.write_text(
        json.dumps(TINY | {"data": str(file), "folder": str(tmp_path / "runs")} | how)
    )
    assert command.main([str(params)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["estimator"] == how["estimator"]
    assert told["labels"] + told["trained_on"] == PEOPLE * EACH
    assert np.isfinite(told["log_likelihood"])
    if how["estimator"] != "em":  # short texts win 26 of 40 annotators; more is hard
        assert told["label_agreement"] > 0.5
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    folder = Path(told["folder"])
    kinds = json.loads((folder / "adapters.json").read_text())
    assert sum(kinds["masses"]) == pytest.approx(1)
    for k in range(len(kinds["names"])):
        with models.no_bars():
            base = AutoModelForCausalLM.from_pretrained(told["base"])
        loaded = PeftModel.from_pretrained(base, str(folder / "adapters" / str(k)))
        moved = [p for n, p in loaded.named_parameters() if "lora_B" in n]
        assert moved
        assert any((p != 0).any() for p in moved)
    if how["estimator"] == "types":
        assert kinds["names"] == ["long", "short"]
    if how["estimator"] == "corrected":
        assert told["mean_variance"] > 0.3  # the annotators are opposed
    assert not list(folder.glob("progress-*"))
    assert command.main([str(params)]) == 0  # read again
    assert json.loads(capsys.readouterr().out)["log_likelihood"] == told["log_likelihood"]


@pytest.mark.slow
def test_a_stopped_run_goes_on_to_the_last_bit(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = TINY | {"data": str(file), "dropout": 0.1, "presentations": 640, "save_every": 5}
    whole = run(OwnPlan.from_mapping(given | {"folder": str(tmp_path / "a")}))
    plan = OwnPlan.from_mapping(given | {"folder": str(tmp_path / "b")})
    store = training._checkpoint

    def stop(*arguments: Any) -> None:
        store(*arguments)
        if arguments[3] == 10:
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "_checkpoint", stop)
    with pytest.raises(KeyboardInterrupt):
        run(plan)
    monkeypatch.setattr(training, "_checkpoint", store)
    again = run(plan)
    assert again["log_likelihood"] == whole["log_likelihood"]
    one, other = (load_file(Path(m["folder"]) / "adapters/0/adapter_model.safetensors")
                  for m in (whole, again))  # fmt: skip
    assert all((one[k] == other[k]).all() for k in one)


@pytest.mark.slow
def test_stopped_em_goes_on_to_the_last_bit(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adapters, responsibilities and both generators are those of the round that was stored."""
    small = {"estimator": "em", "types": 2, "rounds": 3, "steps": 3, "dropout": 0.1}
    given = TINY | {"data": str(file)} | small
    whole = run(OwnPlan.from_mapping(given | {"folder": str(tmp_path / "a")}))
    plan = OwnPlan.from_mapping(given | {"folder": str(tmp_path / "b")})
    store = em._checkpoint

    def stop(*arguments: Any) -> None:
        store(*arguments)
        if arguments[3]["done"] == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(em, "_checkpoint", stop)
    with pytest.raises(KeyboardInterrupt):
        run(plan)
    monkeypatch.setattr(em, "_checkpoint", store)
    (part,) = tmp_path.glob("b/*/progress-em.safetensors")
    kept = part.read_bytes()
    part.write_bytes(kept[: len(kept) // 2])
    with pytest.raises(ValueError, match=r"progress-em.safetensors is damaged"):
        run(plan)
    part.write_bytes(kept)
    again = run(plan)
    assert again["log_likelihood"] == whole["log_likelihood"]
    assert again["history"] == whole["history"]
    for k in "01":
        one, other = (
            load_file(Path(m["folder"]) / f"adapters/{k}/adapter_model.safetensors")
            for m in (whole, again)
        )
        assert all((one[name] == other[name]).all() for name in one)


def votes(folder: Path) -> Path:
    """MT-Bench's votes of known judges, with made-up answers: their texts may not be shipped."""
    rng, texts = np.random.default_rng(5), dict[tuple[str, str, str], str]()
    rows = []
    with (Path(hetlib.__file__).parent / "data" / "mt_bench_votes.csv").open() as table:
        for vote in csv.DictReader(table):
            asked = (vote["question_id"], vote["turn"])
            said = []
            for model in (vote["model_a"], vote["model_b"]):
                words = rng.choice(["so", "it", "may", "be", "that", "one"], rng.integers(3, 30))
                said.append(texts.setdefault((*asked, model), " ".join(words) + f" {model}"))
            row = {"prompt": f"question {asked[0]} turn {asked[1]} ", "winner": vote["winner"]}
            rows.append(row | {"answer 1": said[0], "answer 2": said[1], "judge": vote["judge"]})
    return write(folder / "votes.csv", rows)


VOTED: dict[str, Any] = {
    "columns": {
        **{"response_a": "answer 1", "response_b": "answer 2"},
        **{"choice": "winner", "annotator": "judge"},
    }
}


@pytest.mark.parametrize("estimator", ["dpo", "corrected"])
@pytest.mark.slow
def test_votes_of_known_judges(estimator: str, tmp_path: Path) -> None:
    """Real votes: ties are counted, better models are found by name, judges are linked."""
    small = {"limit": 64, "presentations": 1_600, "estimator": estimator, "folder": str(tmp_path)}
    plan = OwnPlan.from_mapping(TINY | VOTED | {"data": str(votes(tmp_path))} | small)
    own, held_out = plan.labels()
    assert own.counts["rows"] == 1_751
    assert own.counts["ties"] > 300
    assert len(own) + len(held_out) == 1_751 - own.counts["ties"]
    assert 60 < len(own.annotators) <= 65  # a judge of the 65 may have said "tie" alone
    told = run(plan)
    assert told["too_long"] == 0
    assert told["label_agreement"] > 0.6  # the models' names end the texts
    if estimator == "corrected":
        assert 0 <= told["mean_variance"] < 5
    typed = OwnPlan.from_mapping(
        TINY | VOTED | {"data": plan.data} | small | {"estimator": "types"}
    )
    with pytest.raises(ValueError, match="needs the type of who gave each label"):
        typed.labels()


@pytest.mark.slow
def test_moments_of_a_network_head_against_known_ones() -> None:
    """Two types with opposite slopes along one feature, known J: 500 annotators, 8 labels each."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 3))
    slope = np.array([[1.5, 0.5, 0.0], [-1.0, 0.5, 0.0]])
    p = 1 / (1 + np.exp(-slope @ x.T))  # (types, pairs)
    kind = rng.integers(2, size=500)
    pair = np.concatenate([rng.choice(60, 8, replace=False) for _ in range(500)])
    who = np.repeat(np.arange(500), 8)
    preferred = (rng.random(4000) < p[kind[who], pair]).astype(int)
    linked, answers = variance.linked_pairs(pair, preferred, who)
    assert len(linked) == 500 * 28
    J1, J2 = variance.joint_moments(variance.directions(x), linked, answers)
    exact1, exact2 = (p**2).mean(axis=0), (p * (1 - p)).mean(axis=0)
    assert abs(J1 - exact1).mean() < 0.04
    assert abs(J2 - exact2).mean() < 0.03
    V, known = variance.variance(J1, J2), (slope @ x.T).var(axis=0)
    assert np.corrcoef(V, known)[0, 1] > 0.7
    shuffled = variance.joint_moments(
        variance.directions(x), *variance.linked_pairs(pair, preferred, rng.permutation(who))
    )
    assert variance.variance(*shuffled).mean() < V.mean() / 2  # without links no variance
    with pytest.raises(ValueError, match="no two labels by one annotator"):
        variance.joint_moments(x, linked[:0], answers[:0])


@pytest.mark.parametrize(("features", "kept"), [(3, 3), (16, 16), (17, 16), (40, 16)])
def test_sixteen_directions_of_features_at_most(features: int, kept: int) -> None:
    x = np.random.default_rng(0).normal(size=(60, features))
    found = variance.directions(x)
    assert found.shape == (60, kept)
    assert (found**2).mean(axis=0) == pytest.approx(np.ones(kept))
