"""Fits on finite data: against single fits, exact optima, and the network route."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_expit

from hetlib.borda.optima import bradley_terry as fit_one
from hetlib.borda.optima import ipo_policy
from hetlib.core.labels import Linked
from hetlib.linked.corrected import Correction, corrected_reward
from hetlib.linked.moments import JointMoments, tabular_moments
from hetlib.ring import runs
from hetlib.ring.curves import (
    CURVES,
    draw_linked,
    draw_unanimous,
    draw_wins,
    draw_wins_by_type,
    exact_distance,
    fit_many,
    labels_per_comparison,
    learning_curves,
    mean_distance,
)
from hetlib.ring.environment import RingComparisons, RingEnvironment
from hetlib.ring.fits import (
    counted_borda,
    distances,
    fit_agreement,
    fit_corrected,
    fit_dpo_tables,
    fit_integral,
    fit_ipo,
    fit_personalised,
    fit_shifted_agreement,
    linked_moments,
    unanimous_counts,
    win_counts,
    win_counts_by_type,
)
from hetlib.ring.network import NetworkSettings, Recipe
from hetlib.ring.training import NetworkTraining, train_networks

RING = RingEnvironment(n=8, shifts=(-2, 0, 2), scales=(2.0, 1.0, 2.0), rates=(0.4, 0.5, 0.4))
RECIPES = (
    Recipe("dpo"),
    Recipe("corrected", 1.0, joint="exact"),
    Recipe("corrected", 2.0, clamp=0.1, late=5),
    Recipe("agreement"),
    Recipe("agreement as released"),
    Recipe("integral"),
)


def _sample(labels: int = 1) -> RingComparisons:
    return RING.sample(40_000, np.random.default_rng(0), labels=labels)


def test_counts_by_hand() -> None:
    data = RingComparisons(
        x=np.array([0, 1, 1]),
        d1=np.array([2, 3, 3]),
        d2=np.array([5, 4, 4]),
        votes=np.array([[1, 1], [0, 0], [1, 0]], dtype=np.int8),
        types=np.array([0, 1, 1]),
        n=8,
    )
    wins = win_counts(data)
    assert (wins[0, 5, 2], wins[1, 3, 4], wins[1, 4, 3], wins.sum()) == (2, 3, 1, 6)
    assert win_counts(data, pool=True)[0].sum() == 6
    second, first = unanimous_counts(replace(data, types=None))
    assert (second[0, 5, 2], first[1, 3, 4], second.sum(), first.sum()) == (1, 1, 1, 1)
    by_type = win_counts_by_type(data, 2)
    assert (by_type[0].sum(), by_type[1].sum()) == (2, 4)
    with pytest.raises(ValueError, match="one label of every type"):
        unanimous_counts(data)
    with pytest.raises(ValueError, match="one label a type"):
        linked_moments(replace(data, types=None))
    assert by_type.sum(axis=0) == pytest.approx(wins)


def test_linked_moments_are_those_of_variance() -> None:
    data = _sample(labels=2)
    ours = linked_moments(data, prior=1.0)
    theirs = tabular_moments(Linked.of(_as_pairs(data)), 8, prior=1.0)
    assert abs(ours.J1 - theirs.J1).max() < 1e-15
    assert abs(ours.J2 - theirs.J2).max() < 1e-15
    with pytest.raises(ValueError, match="one column"):
        linked_moments(_sample())


def _as_pairs(data: RingComparisons) -> Linked:
    y1, y2 = (np.repeat(d[:, None], 2, axis=1) for d in (data.d1, data.d2))
    return Linked(y1, y2, data.votes)


def test_all_prompts_at_once_agree_with_one_at_a_time() -> None:
    wins = win_counts(_sample())
    together = fit_dpo_tables(wins, ridge=0.0).reward
    for x in range(8):
        assert together[x] == pytest.approx(fit_one(wins[x]), abs=1e-7)


def test_exact_counts_give_the_exact_optimum() -> None:
    size = 1e9  # as good as infinite: the ridge vanishes beside it
    P, A = RING.pairwise()[None] * size, RING.unanimous()[None] * size
    cases = {
        "dpo": fit_dpo_tables(P),
        "agreement": fit_agreement(A, 3),
        "agreement as released": fit_shifted_agreement(A / 2, A / 2, 3),
        "integral": fit_integral(A, 3),
        "personalised": fit_personalised(RING.pairwise_by_type()[:, None] * size, [1 / 3] * 3),
    }
    for method, fit in cases.items():
        assert fit.policy[0] == pytest.approx(RING.optimum(method), abs=1e-7), method
    assert fit_ipo(P).policy[0] == pytest.approx(ipo_policy(RING.pairwise()), abs=1e-7)
    moments = RING.moments()
    for alpha in (1.0, 2.0):
        exact = corrected_reward(
            RING.pairwise(), Correction(alpha, choice_variance=moments.choice_variance)
        )
        assert fit_corrected(P, moments, alpha).reward[0] == pytest.approx(exact, abs=1e-6)
    assert counted_borda(P)[0] == pytest.approx(RING.borda(), abs=1e-12)


def test_error_falls_with_the_root_of_the_data() -> None:
    curves = learning_curves(RING, [1000, 100_000], 30, 0, ["agreement", "personalised"])
    for curve in curves.values():
        ratio = curve["tv"].mean(axis=1)
        assert 6 < ratio[0] / ratio[1] < 20  # the square root of 100, and a little bias


def test_multinomial_counts_follow_the_law_of_samples() -> None:
    size, rng = 200_000, np.random.default_rng(5)
    D = np.array([0.3, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
    noisy = replace(RING, noise=0.05, weights=(0.6, 0.2, 0.2))
    data = noisy.sample(size, rng, sampling=D, labels=2)
    full = noisy.sample_types(size, rng, sampling=D)
    both, mixed = draw_linked(noisy, size, 1, rng, D)
    pairs = {
        "wins": (win_counts(replace(data, votes=data.votes[:, :1]), True), None),
        "linked": (win_counts(data, True), 2 * both + mixed),
        "unanimous": (sum(unanimous_counts(full, True)), draw_unanimous(noisy, size, 1, rng, D)),
        "types": (win_counts_by_type(full, 3, True), draw_wins_by_type(noisy, size, 1, rng, D)),
    }
    pairs["wins"] = (pairs["wins"][0], draw_wins(noisy, size, 1, rng, D))
    for name, (sampled, drawn) in pairs.items():
        gap = np.asarray(sampled) - np.asarray(drawn)
        # a linked label counts twice, a response against itself as well
        spread = np.sqrt(4 * (np.asarray(sampled) + np.asarray(drawn)) + 10)
        assert abs(gap / spread).max() < 4, name
        assert abs((gap / spread).mean()) < 0.3, name


def test_labels_are_counted() -> None:
    assert [labels_per_comparison(m, 3) for m in CURVES] == [1, 1, 2, 2, 3, 3, 3]
    for wrong in ("ppo", "corrected", "corrected x", "corrected -1", "dpo 2"):
        with pytest.raises(ValueError, match=f"method is '{wrong}'"):
            fit_many(RING, wrong, 10, 1, np.random.default_rng(0))


def test_bias_and_error() -> None:
    rng = np.random.default_rng(0)
    bias = exact_distance(RING, "corrected 0")
    assert bias == pytest.approx(distances(RING.optimum("dpo")[None], RING)["tv"][0])
    assert exact_distance(RING, "agreement") < 1e-8
    assert mean_distance(RING, "corrected 0", 10**8, 2, rng) == pytest.approx(bias, abs=1e-3)


def test_distances() -> None:
    best = RING.best()
    found = distances(np.stack([best, np.full(8, 1 / 8)]), RING)
    assert [found[key][0] for key in ("tv", "kl", "regret")] == pytest.approx([0, 0, 0], abs=1e-15)
    assert found["tv"][1] == pytest.approx(abs(best - 1 / 8).sum() / 2)
    assert found["kl"][1] == pytest.approx((best * np.log(8 * best)).sum())
    assert found["regret"][1] == pytest.approx(-np.log(8 * best).mean())


def test_a_response_that_was_never_compared() -> None:
    wins = np.zeros((1, 3, 3))
    wins[0, 0, 1] = 1
    with pytest.raises(ValueError, match="response 2 of table 0"):
        counted_borda(wins)


@pytest.mark.slow
def test_network_and_direct_route_agree() -> None:
    settings = NetworkSettings(steps=600, batch=500, size=20_000, hidden=16, rate=1e-2)
    recipes = [Recipe("dpo"), Recipe("agreement"), Recipe("corrected", 1.0, joint="exact")]
    _, policies = train_networks(RING, recipes, [0], settings)
    run = NetworkTraining(RING, recipes, [0], settings)
    anonymous, votes = (run.sources[wide][0].data for wide in (False, True))
    assert anonymous is not None
    assert votes is not None
    wins = win_counts(anonymous)
    direct = [
        fit_dpo_tables(wins),
        fit_agreement(sum(unanimous_counts(votes)), 3),  # type: ignore[arg-type]
        fit_corrected(wins, RING.moments(), 1.0),
    ]
    for policy, fit in zip(policies[-1, :, 0], direct, strict=True):
        trained, exact = policy.mean(axis=0), fit.policy.mean(axis=0)
        assert abs(trained - exact).sum() / 2 < 0.015


def test_networks_stop_and_resume(tmp_path: Path) -> None:
    settings = NetworkSettings(steps=12, batch=64, size=512, record=(4,))
    steps, whole = train_networks(RING, RECIPES, [0, 1], settings)
    assert steps == [4, 12]
    assert whole.shape == (2, len(RECIPES), 2, 8, 8)
    assert whole.sum(axis=-1) == pytest.approx(np.ones(whole.shape[:-1]))
    again = train_networks(RING, RECIPES, [0, 1], settings)[1]
    assert again.tobytes() == whole.tobytes()
    file = tmp_path / "checkpoint.safetensors"
    first = NetworkTraining(RING, RECIPES, [0, 1], settings)
    for _ in range(9):  # in the middle of a pass, after a record, while a correction is on
        first.advance()
    first.save(file)
    resumed = train_networks(RING, RECIPES, [0, 1], settings, checkpoint=file)[1]
    assert resumed.tobytes() == whole.tobytes()
    assert not file.exists()
    first.save(file)
    with pytest.raises(ValueError, match="other settings"):
        train_networks(RING, RECIPES, [0, 2], settings, checkpoint=file)
    stored = file.read_bytes()
    marker = tmp_path / "ran"
    crafted = f"cposix\nsystem\n(S'touch {marker}'\ntR.".encode()  # a pickle that runs a command
    for content in (b"", stored[:100], stored[:-5], crafted):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"checkpoint\.safetensors is no checkpoint"):
            train_networks(RING, RECIPES, [0, 1], settings, checkpoint=file)
    assert not marker.exists()


def test_runs_do_not_disturb_each_other() -> None:
    settings = NetworkSettings(steps=6, batch=64, size=512)
    together = train_networks(RING, RECIPES, [0, 1], settings)[1]
    for k in (0, 3):
        alone = train_networks(RING, [RECIPES[k]], [1], settings)[1]
        assert together[0, k, 1] == pytest.approx(alone[0, 0, 0], abs=1e-6)


def test_late_correction_is_dpo_until_then() -> None:
    settings = NetworkSettings(steps=12, batch=64, size=512, record=(7, 8))
    _, policies = train_networks(RING, RECIPES[:1] + RECIPES[2:3], [0], settings)
    assert policies[0, 0].tobytes() == policies[0, 1].tobytes()
    assert abs(policies[1, 0] - policies[1, 1]).max() > 1e-7


def test_bad_recipes() -> None:
    with pytest.raises(ValueError, match="kind is 'ppo'"):
        Recipe("ppo")
    with pytest.raises(ValueError, match="joint is 'guess'"):
        Recipe("corrected", joint="guess")
    with pytest.raises(ValueError, match="steps is 0"):
        NetworkSettings(steps=0)
    with pytest.raises(ValueError, match="a batch alone"):
        NetworkSettings(size=10)
    with pytest.raises(ValueError, match="must not be empty"):
        NetworkTraining(RING, [], [0], NetworkSettings())


def test_stored_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = {
        "small": ({"one": RECIPES[0]}, NetworkSettings(steps=3, batch=64, size=512, record=(2,)))
    }
    monkeypatch.setattr(runs, "GROUPS", groups)
    monkeypatch.setattr(runs, "SEEDS", (0, 1))
    file = tmp_path / "ring.json"
    with pytest.raises(FileNotFoundError, match="not there"):
        runs.load_or_compute(RING, file, tmp_path / "scratch", run=False)
    made = runs.load_or_compute(RING, file, tmp_path / "scratch", run=True)
    stored = made["results"]["small"]["one"]
    assert set(stored) == {"2", "3"}
    _, policies = train_networks(RING, RECIPES[:1], [0, 1], groups["small"][1])
    curves = runs.one_dimensional_policies(stored["3"])
    assert curves == pytest.approx(policies[-1, 0].mean(axis=1), abs=1e-6)
    tv = abs(policies[-1, 0].mean(axis=1) - RING.best()).sum(axis=1) / 2
    assert stored["3"]["tv"] == pytest.approx(tv, abs=1e-6)
    again = runs.load_or_compute(RING, file, tmp_path / "scratch", run=False)
    assert again["results"] == made["results"]
    other = replace(RING, scales=(1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="other settings"):
        runs.load_or_compute(other, file, tmp_path / "scratch", run=False)


@pytest.mark.parametrize("fit", ["dpo", "ipo", "corrected", "many"])
def test_the_ridge_of_a_fit_that_names_none(fit: str) -> None:
    """One tenth of half the sum of squared rewards, found again by a general solver."""
    wins = np.array([[0.0, 4.0, 2.0], [1.0, 0.0, 3.0], [2.0, 1.0, 0.0]])
    if fit == "many":
        found = fit_many(RING, "dpo", 300, 2, np.random.default_rng(0))
        again = fit_many(RING, "dpo", 300, 2, np.random.default_rng(0), ridge=0.1)
        assert (found == again).all()
        assert abs(found - fit_many(RING, "dpo", 300, 2, np.random.default_rng(0), None, 0.2)).any()
        return
    if fit == "corrected":
        flat = JointMoments(np.full((3, 3), 0.25), np.full((3, 3), 0.25))
        reward = fit_corrected(wins[None], flat, 0.0).reward[0]
    else:
        reward = {"dpo": fit_dpo_tables, "ipo": fit_ipo}[fit](wins[None]).reward[0]

    def value(s: np.ndarray) -> float:
        h = s[:, None] - s[None, :]
        each = (h - 0.5) ** 2 if fit == "ipo" else -log_expit(h)
        return float((wins * each).sum() + 0.1 / 2 * ((s - s.mean()) ** 2).sum())

    best = minimize(value, np.zeros(3), method="BFGS", options={"gtol": 1e-9}).x
    assert reward == pytest.approx(best - best.mean(), abs=1e-5)


def test_networks_are_trained_as_in_the_released_code() -> None:
    """The settings of the released code; the paper prints none."""
    assert NetworkSettings() == NetworkSettings(
        steps=10_000, batch=1024, size=500_000, hidden=15, rate=0.001, joint_rate=0.01
    )
