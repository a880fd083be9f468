"""EM-DPO with adapters: two types of annotators, found by a small language model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hetlib.llm.data import batches
from hetlib.llm.data.tokens import TokenPairs
from hetlib.llm.model import pretrain
from hetlib.llm.model.settings import Settings
from hetlib.llm.runs.plan import Plan
from hetlib.llm.train import em
from hetlib.llm.train.em import AdapterTypes, answer_log_probability, em_adapters
from hetlib.mixture import adjusted_agreement, match_types

WORLD: dict[str, Any] = {
    **{"model": "tiny", "data": "synthetic", "train_pairs": 480, "held_out_pairs": 100},
    **{"limit": 48, "vocabulary": 90, "eos": True, "hidden": 32, "intermediate": 64},
    **{"precision": "float32", "batch": 32, "learning_rate": 1e-2, "dropout": 0.0},
    **{"pretrain_steps": 40, "evaluations": 1},
}
ANNOTATORS = 40
World = tuple[Settings, TokenPairs, TokenPairs, Path]
Answers = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("em")
    plan = Plan.from_mapping(WORLD | {"folder": str(folder)})
    data, held_out = plan.load()
    settings = replace(plan.settings.cell("alignment-anonymous"), reference="frozen")
    return settings, data, held_out, pretrain.pretrained(settings, data, folder)


@pytest.fixture(scope="module")
def answers(world: World) -> Answers:
    """Annotators who like long texts, or short ones; who answered which pair; their answers."""
    data, rng = world[1], np.random.default_rng(0)
    types = (np.arange(ANNOTATORS) < 14).astype(np.int64)
    who = np.arange(len(data)) % ANNOTATORS
    gap = np.where(types[who] == 1, 1, -1) * np.diff(data.lengths, axis=1)[:, 0]
    return types, who, (rng.random(len(data)) < 1 / (1 + np.exp(-gap / 2))).astype(np.int64)


@pytest.mark.slow
def test_two_types_are_recovered(world: World, answers: Answers) -> None:
    settings, data, held_out, small = world
    types, who, preferred = answers
    fit = em_adapters(settings, data, preferred, who, 2, folder=small, rounds=6, steps=15)
    assert np.diff(fit.history).min() >= 0
    assert fit.history[-1] > -12 * np.log(2) + 1  # 12 answers each, by chance
    assert adjusted_agreement(fit.responsibilities.argmax(axis=1), types) > 0.8
    gap = np.diff(held_out.lengths, axis=1)[:, 0].astype(float)
    margins = fit.model.margins(held_out)
    short, long = match_types(margins, np.array([-gap, gap]))
    clear = abs(gap) > 3
    assert ((margins[long] - margins[short]) * gap > 0)[clear].mean() > 0.8
    assert (margins[long] * gap > 0)[clear].mean() > 0.6  # 14 annotators are few to learn from
    assert (margins[short] * gap < 0)[clear].mean() > 0.7
    assert abs(fit.masses[long] - 14 / ANNOTATORS) < 0.1


@pytest.mark.slow
def test_adapters_start_at_the_reference_and_are_apart(world: World) -> None:
    settings, _, held_out, small = world
    model = AdapterTypes(settings, 2, small)
    assert abs(model.margins(held_out)).max() < 1e-5  # LoRA starts at zero
    before = model.state()
    for p in model.parameters(1):
        p.data += 0.05
    moved = model.margins(held_out)
    assert abs(moved[0]).max() < 1e-5 < abs(moved[1]).max()
    model.restore(before)
    assert abs(model.margins(held_out)).max() < 1e-5
    uniform = AdapterTypes(replace(settings, reference="uniform"), 1, small)
    assert uniform.margins(held_out)[0] == pytest.approx(model.reference(held_out), abs=1e-4)


@pytest.mark.slow
def test_steps_that_lower_the_likelihood_are_undone(
    world: World, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second round of three is replaced by a step up the loss."""
    settings, data, _, small = world
    _, who, preferred = answers
    rates: list[float] = []

    def step(model: AdapterTypes, k: int, *arguments: Any) -> None:
        rates.append(arguments[5])
        target = preferred if len(rates) != 2 else 1 - preferred  # learns the opposite
        improve(model, k, arguments[0], target, *arguments[2:])

    improve = em._improve
    monkeypatch.setattr(em, "_improve", step)
    fit = em_adapters(settings, data, preferred, who, 1, folder=small, rounds=3, steps=30)
    assert fit.refused == 1
    assert rates == [settings.learning_rate, settings.learning_rate, settings.learning_rate / 2]
    assert len(fit.history) == 2
    assert np.diff(fit.history).min() >= 0
    logs = answer_log_probability(fit.model.margins(data), preferred, who, ANNOTATORS)
    assert logs.mean() == pytest.approx(fit.history[-1], abs=1e-3)  # the state is the accepted one


@pytest.mark.slow
def test_answers_by_hand() -> None:
    margins = np.array([[1.0, -2.0, 0.5], [0.0, 0.0, 0.0]])
    logs = answer_log_probability(margins, [1, 0, 0], [0, 0, 1], 2)
    first = -np.log1p(np.exp(-np.array([1.0, 2.0, -0.5])))
    assert logs[:, 0] == pytest.approx([first[0] + first[1], first[2]])
    assert logs[:, 1] == pytest.approx([-2 * np.log(2), -np.log(2)])


@pytest.mark.slow
def test_bad_input(world: World, answers: Answers) -> None:
    settings, data, _, small = world
    _, who, preferred = answers
    with pytest.raises(ValueError, match="preferred must be 0 or 1"):
        em_adapters(settings, data, preferred + 1, who, 2, folder=small)
    with pytest.raises(ValueError, match="annotators must be an index"):
        em_adapters(settings, data, preferred, who - 1, 2, folder=small)
    with pytest.raises(ValueError, match="annotator 0 answered no pair"):
        em_adapters(settings, data, preferred, who + 1, 2, folder=small)
    with pytest.raises(ValueError, match="rounds=0"):
        em_adapters(settings, data, preferred, who, 2, folder=small, rounds=0)
    with pytest.raises(ValueError, match="alignment"):
        AdapterTypes(replace(settings, reference="uniform", method="reward"), 2, small)
    lone = np.arange(len(data))
    with pytest.warns(UserWarning, match="cannot be learned"):
        em_adapters(settings, data, preferred, lone, 2, folder=small, rounds=1, steps=1)


@pytest.mark.slow
def test_accumulated_batches_are_one(world: World, answers: Answers) -> None:
    settings, data, held_out, small = world
    _, who, preferred = answers

    def moved(**changes: Any) -> Any:
        s = replace(settings, **changes)
        fit = em_adapters(s, data, preferred, who, 1, folder=small, rounds=1, steps=2)
        return fit.model.margins(held_out)

    assert moved(batch=8, accumulate=4) == pytest.approx(moved(batch=32), abs=1e-4)


@pytest.mark.slow
def test_shared_tokens_are_counted_once(
    world: World, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, data, _, small = world
    _, who, preferred = answers
    count, calls = batches.shared_tokens, []

    def counting(tokens: TokenPairs) -> Any:
        calls.append(len(tokens))
        return count(tokens)

    monkeypatch.setattr(batches, "shared_tokens", counting)
    em_adapters(settings, data, preferred, who, 2, folder=small, rounds=1, steps=3)
    assert calls.count(len(data)) == 1
