"""Scores of texts: chunked against plain, shared prompts against rows of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from transformers import LlamaForCausalLM

from hetlib.llm.data import batches
from hetlib.llm.data.tokens import TokenPairs
from hetlib.llm.model import models, pretrain, scoring
from hetlib.llm.model.settings import Settings

SIZES: dict[str, Any] = {"hidden": 16, "layers": 2, "heads": 2, "intermediate": 24}
LAYOUTS = ("apart", "shared", "packed")
TINY = Settings(model="tiny", vocabulary=31, limit=40, precision="float32", dropout=0.0, **SIZES)


def texts(pairs: int = 5, seed: int = 0) -> TokenPairs:
    """Pairs of random tokens with common prompts."""
    rng = np.random.default_rng(seed)
    prompt, first, second = [], [], []
    for _ in range(pairs):
        p = rng.integers(3, 31, size=rng.integers(1, 9))
        a, b = (rng.integers(3, 31, size=rng.integers(1, 20)) for _ in range(2))
        prompt.append(len(p))
        first.append(np.concatenate([p, a]).astype(np.int32))
        second.append(np.concatenate([p, b]).astype(np.int32))
    keys = [f"{seed}-{k}" for k in range(pairs)]
    return TokenPairs(keys, np.array(prompt, dtype=np.int32), first, second)


def layout(data: TokenPairs, how: str) -> dict[str, Any]:
    """Texts in rows of their own, pairs that share a prompt, or several of these in a row."""
    if how == "apart":
        return {}
    shared = {"shared": batches.shared_tokens(data)}
    return shared | ({"hidden": SIZES["hidden"]} if how == "packed" else {})


def scorer(settings: Settings = TINY, scale: float = 0.3) -> models.Scorer:
    """A scorer of random weights whose adapters do something."""
    torch.manual_seed(0)
    base = LlamaForCausalLM(pretrain.configuration(settings)).requires_grad_(False)
    out = models.Scorer(settings, base)
    for name, parameter in out.named_parameters():
        if "embed_tokens" in name or "lora_B" in name:
            torch.nn.init.normal_(parameter, std=scale)
    return out.eval()


def plain_log_probability(model: models.Scorer, text: Any, shift: bool, start: int) -> torch.Tensor:
    """One text by itself, all logits at once."""
    ids = torch.from_numpy(text.astype(np.int64))[None]
    logp = model.adapted.get_base_model()(input_ids=ids).logits[0].log_softmax(dim=1)
    if shift:
        start = max(start, 1)
        return logp[start - 1 : -1].gather(1, ids[0, start:, None]).sum()
    return logp[start:].gather(1, ids[0, start:, None]).sum()


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_chunks_equal_the_plain_computation_and_gradient(chunk: int) -> None:
    g = torch.Generator().manual_seed(1)
    hidden = torch.randn(17, 8, generator=g, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(23, 8, generator=g, dtype=torch.float64)
    target = torch.randint(23, (17,), generator=g)
    up = torch.randn(17, generator=g)
    ours = scoring.token_log_probability(hidden, weight, target, chunk)
    (slope,) = torch.autograd.grad((ours * up).sum(), hidden)
    plain = (hidden @ weight.T).log_softmax(dim=1).gather(1, target[:, None])[:, 0]
    (wanted,) = torch.autograd.grad((plain * up).sum(), hidden)
    torch.testing.assert_close(ours.double(), plain, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(slope, wanted, atol=1e-5, rtol=1e-5)


def test_output_matrix_must_be_frozen() -> None:
    weight = torch.zeros(3, 2, requires_grad=True)
    with pytest.raises(ValueError, match="weight requires a gradient"):
        scoring.token_log_probability(torch.zeros(1, 2), weight, torch.zeros(1, dtype=torch.int64))


@pytest.mark.parametrize("how", LAYOUTS)
@pytest.mark.parametrize("shift", [True, False])
@pytest.mark.parametrize("prompt", [True, False])
def test_batches_score_as_texts_by_themselves(how: str, shift: bool, prompt: bool) -> None:
    data, model = texts(), scorer()
    laid = layout(data, how)
    batch = batches.collate(data, [3, 0, 4], shift=shift, prompt_tokens=prompt, **laid)
    found = model(**batch)
    wanted = [
        plain_log_probability(model, text, shift, 0 if prompt else int(data.prompt[i]))
        for i in (3, 0, 4)
        for text in (data.first[i], data.second[i])
    ]
    torch.testing.assert_close(found, torch.stack(wanted), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("how", LAYOUTS)
def test_gradients_are_those_of_texts_by_themselves(how: str) -> None:
    data, model = texts(), scorer()
    laid = layout(data, how)
    trained = [p for p in model.parameters() if p.requires_grad]
    found = model(**batches.collate(data, [1, 2], **laid))
    ours = torch.autograd.grad((found[1::2] - found[0::2]).sum(), trained)
    total = torch.zeros(())
    for i in (1, 2):
        one, two = (plain_log_probability(model, t[i], True, 0) for t in (data.first, data.second))
        total = total + two - one
    for a, b in zip(ours, torch.autograd.grad(total, trained), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("how", LAYOUTS)
def test_rewards_are_read_at_the_last_token(how: str) -> None:
    from dataclasses import replace

    data, model = texts(), scorer(replace(TINY, method="reward"))
    laid = layout(data, how)
    found = model(**batches.collate(data, [0, 2], **laid))
    assert model.head is not None
    wanted = []
    for i in (0, 2):
        for text in (data.first[i], data.second[i]):
            ids = torch.from_numpy(text.astype(np.int64))[None]
            hidden = model.adapted.get_base_model().base_model(input_ids=ids).last_hidden_state
            wanted.append(hidden[0, -1] @ model.head.weight[0])
    torch.testing.assert_close(found, torch.stack(wanted), atol=1e-4, rtol=1e-4)


def test_prompt_tokens_cancel_in_the_margin() -> None:
    data, model = texts(), scorer()
    shared = batches.shared_tokens(data)
    with_, without = (
        model(**batches.collate(data, range(5), shared, True, prompt)) for prompt in (True, False)
    )
    assert float((with_ - without).detach().abs().max()) > 1  # the prompts are not nothing
    torch.testing.assert_close(
        with_[1::2] - with_[0::2], without[1::2] - without[0::2], atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("shift", [True, False])
@pytest.mark.parametrize("how", LAYOUTS)
def test_margins_need_no_prompt(shift: bool, how: str) -> None:
    data, model = texts(), scorer()
    laid = layout(data, how)
    trained = [p for p in model.parameters() if p.requires_grad]
    found = []
    for margins in (True, False):
        batch = batches.collate(data, range(5), shift=shift, margins=margins, **laid)
        scores = model(**batch)
        h = scores[1::2] - scores[0::2]
        found.append((h, *torch.autograd.grad(h.square().sum(), trained)))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)


def test_frozen_reference_is_the_model_without_adapters() -> None:
    from dataclasses import replace

    settings = replace(TINY, reference="frozen", beta=0.3)
    data = texts()
    model = scorer(settings)
    batch = batches.collate(data, range(5), batches.shared_tokens(data))
    found = model(**batch)
    with model.adapted.disable_adapter():
        reference = model._log_probability(batch)
    policy = model._log_probability(batch)
    assert float((policy - reference).detach().abs().max()) > 1e-2
    torch.testing.assert_close(found, 0.3 * (policy - reference))
    found.sum().backward()  # the adapters still learn
    grads = [p.grad for p in model.parameters() if p.requires_grad]
    assert all(g is not None and float(g.abs().sum()) > 0 for g in grads)
    assert float(scorer(settings, scale=0.0)(**batch).detach().abs().max()) == 0.0  # at the start


def test_unshifted_scores_tell_what_was_just_read() -> None:
    """With tied embeddings a position finds its own token likely: that is the error."""
    data, model = texts(), scorer()
    shared = batches.shared_tokens(data)
    shifted, own = (
        model(**batches.collate(data, range(5), shared, shift)) for shift in (True, False)
    )
    assert float((shifted - own).detach().abs().max()) > 1


@given(st.lists(st.integers(2, 90), min_size=1, max_size=40).map(np.array), st.integers(1, 4000))
def test_packed_rows_do_not_overlap_and_cost_no_more(rows: NDArray[np.int64], hidden: int) -> None:
    place, start = batches.pack(rows, hidden)
    width, wide = int((start + rows).max()), int(place.max()) + 1
    taken = np.zeros((wide, width), dtype=int)
    for k, first, n in zip(place, start, rows, strict=True):
        taken[k, first : first + n] += 1
    assert taken.max() == 1
    assert taken.any(axis=1).all()  # no row is empty
    apart = len(rows) * rows.max() * (6 * hidden + rows.max())
    assert wide * width * (6 * hidden + width) <= apart


def test_packing_saves_padding() -> None:
    rows = np.random.default_rng(0).integers(10, 100, size=32)
    place, start = batches.pack(rows, 64)
    cells = (place.max() + 1) * (start + rows).max()
    assert cells < 1.2 * rows.sum()
    assert cells < 0.7 * len(rows) * rows.max()
    assert (batches.pack(rows, 100_000)[0] == 0).all()  # where attention is cheap: one row


def test_schedule_shows_every_pair_once_an_epoch() -> None:
    rows = np.random.default_rng(0).integers(5, 60, size=130)
    plan = batches.schedule(rows, batch=8, presentations=260, seed=3, group=32)
    assert plan.shape == (32, 8)  # 260 = 32 * 8 + 4
    assert len(np.unique(plan)) == plan.size
    assert set(plan.ravel() // 130) == {0, 1}
    assert (plan < 130).sum() == 130  # the first epoch is whole before the second starts
    grouped = np.ptp(rows[plan % 130], axis=1).mean()
    assert grouped < 0.5 * np.ptp(rows[np.arange(128).reshape(-1, 8)], axis=1).mean()
    loose = np.ptp(rows[batches.schedule(rows, 8, 260, seed=3) % 130], axis=1).mean()
    assert loose > 2 * grouped  # without groups a batch has pairs of all lengths
    assert (plan == batches.schedule(rows, 8, 260, seed=3, group=32)).all()
    assert (plan != batches.schedule(rows, 8, 260, seed=4, group=32)).any()


def test_schedule_refuses() -> None:
    rows = np.arange(10)
    with pytest.raises(ValueError, match="nothing to train on"):
        batches.schedule(rows, batch=8, presentations=7, seed=0)
    with pytest.raises(ValueError, match="3 equal micro-batches"):
        batches.schedule(rows, batch=8, presentations=10, seed=0, parts=3)


def test_equal_texts_after_truncation_still_have_last_tokens() -> None:
    same = np.arange(3, 10, dtype=np.int32)
    data = TokenPairs(["a"], np.array([9], dtype=np.int32), [same], [same.copy()])
    found = scorer()(**batches.collate(data, [0], batches.shared_tokens(data)))
    torch.testing.assert_close(found[0], found[1])


def test_models_that_cannot_be_loaded(tmp_path: Path) -> None:
    from dataclasses import replace

    for model, message in {
        "gpt-99": "it must be",
        "./nowhere": "it must be",
        str(tmp_path): r"without config\.json",
        str(tmp_path / "x.gguf"): "there is no such file",
    }.items():
        with pytest.raises(ValueError, match=message):
            models.load_base(replace(TINY, model=model))
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ValueError, match="could not be loaded"):
        models.load_base(replace(TINY, model=str(tmp_path)))
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match='device is "cuda", but'):
            models.load_base(replace(TINY, device="cuda"))


def test_limit_beyond_the_model(tmp_path: Path) -> None:
    from dataclasses import replace

    LlamaForCausalLM(pretrain.configuration(TINY)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="limit is 512"):
        models.load_base(replace(TINY, model=str(tmp_path), limit=512))
