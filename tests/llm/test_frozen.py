"""Linear rewards on stored states: exact, and refused when the states are others."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm
import yaml
from scipy.special import expit

from hetlib import store
from hetlib.llm.analysis import frozen
from hetlib.llm.data.tokens import TokenPairs

ROOT = Path(__file__).parent.parent.parent


def pairs(n: int) -> TokenPairs:
    """Pairs of made-up tokens; every second one has the prompt of the one before."""
    rng = np.random.default_rng(0)
    first = [np.array([k // 2, 7, *rng.integers(9, 50, k % 5 + 1)], np.int32) for k in range(n)]
    second = [np.array([k // 2, 7, *rng.integers(9, 50, k % 3 + 2)], np.int32) for k in range(n)]
    return TokenPairs([str(k) for k in range(n)], np.full(n, 2, np.int32), first, second)


def test_fit_is_the_likeliest() -> None:
    """Against another library's, without and with many labels a pair."""
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(300, 5)), rng.normal(size=5)
    p = rng.binomial(20, expit(x @ w)) / 20
    other = sm.GLM(p, x, sm.families.Binomial(), freq_weights=np.full(300, 20)).fit(tol=1e-12)
    assert frozen.fit_linear(x, p, 20) == pytest.approx(other.params, abs=1e-6)
    small = frozen.fit_linear(x, p, 20, ridge=300.0)
    pull = x.T @ (20 * (p - expit(x @ small)))
    assert pull == pytest.approx(300 * small, abs=1e-3)
    with pytest.raises(ValueError, match="no single maximum"):
        frozen.fit_linear([[1.0], [-1.0]], [1.0, 0.0])
    with pytest.raises(ValueError, match=r"preferred\[1\] is 1.5"):
        frozen.fit_linear([[1.0], [-1.0]], [1.0, 1.5])


def test_reduced_keeps_what_all_directions_say(tmp_path: Path) -> None:
    data, rng = pairs(40), np.random.default_rng(2)
    gaps = rng.normal(size=(40, 3)) @ rng.normal(size=(3, 12))  # of rank three
    states = np.stack([np.zeros_like(gaps), gaps], axis=1)
    found = frozen.reduced(states, data, 3)
    assert found.kept == pytest.approx(1)
    assert (found.differences**2).mean(axis=0) == pytest.approx(np.ones(3))
    back = np.linalg.lstsq(found.differences, gaps, rcond=None)[0]
    assert found.differences @ back == pytest.approx(gaps)
    assert (found.lengths == data.lengths).all()
    assert (found.prompts[::2] == found.prompts[1::2]).all()
    assert len(set(found.prompts.tolist())) == 20
    path = tmp_path / "states.npz"
    frozen.write(path, found)
    again = frozen.read(path, frozen.file_digest(path))
    assert again.differences == pytest.approx(found.differences, abs=5e-3, rel=1e-3)
    with pytest.raises(ValueError, match="digest is on record"):
        frozen.read(path, "0" * 32)
    with pytest.raises(ValueError, match="1 to 12 are allowed"):
        frozen.reduced(states, data, 13)
    with pytest.raises(ValueError, match="40, 2, hidden"):
        frozen.reduced(states[:5], data, 2)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="holds no states"):
        frozen.read(path)
    with pytest.raises(ValueError, match="does not exist"):
        frozen.read(tmp_path / "none.npz")


def test_labels_choose_a_ridge_between_none_and_all() -> None:
    """Few noisy labels in many directions: shrinkage helps on pairs that nobody labelled."""
    rng, right = np.random.default_rng(3), []
    for _ in range(5):
        x, prompts = rng.normal(size=(900, 120)), rng.integers(2**32, size=900)
        states = frozen.States(x, np.ones((900, 2), np.int64), prompts, 1.0)
        rows = np.arange(900) < 400
        p = (rng.random(900) < expit(0.5 * x[:, 0])).astype(float)
        fits = frozen.fit_linear(x[rows], p[rows], ridge=1e-3), frozen.fit_chosen(states, rows, p)
        right.append([np.corrcoef(x[~rows] @ w, x[~rows, 0])[0, 1] for w in fits])
        assert np.linalg.norm(fits[1]) < np.linalg.norm(fits[0])
    loose, chosen = np.mean(right, axis=0)
    assert chosen > loose + 0.02


def test_what_is_stored_was_made_with_the_parameter_file() -> None:
    asked = yaml.safe_load((ROOT / "params" / "llm-features.yml").read_text())
    asked.pop("data")
    path = ROOT / "results" / "llm-features.json"
    stored = store.load_result(path, asked)
    assert stored is not None
    assert "MIT" in json.loads(path.read_text())["settings"]["source"]
    states = frozen.read(path.with_suffix(".npz"), stored["results"]["file"])
    assert states.lengths.max() <= asked["longest"]
    assert states.differences.shape == (stored["results"]["pairs"], stored["results"]["directions"])
    assert path.with_suffix(".npz").stat().st_size < 2e6


def test_the_ridges_to_choose_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """Powers of ten from one to ten thousand, each fitted once to four fifths."""
    asked = []

    def fit(x: np.ndarray, p: np.ndarray, labels: float, ridge: float) -> np.ndarray:
        asked.append((len(x), ridge))
        return np.full(x.shape[1], 1 / ridge)  # the last is nearest to nothing

    monkeypatch.setattr(frozen, "fit_linear", fit)
    x = -np.ones((50, 2))
    states = frozen.States(x, np.ones((50, 2), np.int64), 7 * np.arange(50), 1.0)
    found = frozen.fit_chosen(states, np.ones(50, bool), np.ones(50))
    assert asked == [*((40, ridge) for ridge in (1, 10, 100, 1000, 10_000)), (50, 10_000)]
    assert found == pytest.approx(1e-4)
