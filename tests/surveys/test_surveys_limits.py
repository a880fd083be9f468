"""Claims from questions made by hand, and resampling against drawing the respondents themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hetlib import surveys
from hetlib.borda import sensitivity
from hetlib.surveys import pew
from hetlib.surveys.questions import Question, question


def made_car(shares: Any, masses: Any) -> Question:
    return Question(pew.CAR, tuple("abcd"), np.array(shares), np.array(masses), 1234, tuple("rdn"))


@pytest.mark.parametrize("seed", range(20))
def test_claims_about_any_car_question(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Places and winners by counting; the weight is that of the wave."""
    rng = np.random.default_rng(seed)
    asked: list[dict[str, Any]] = []
    spread = (4.0, 1.0)[seed % 2]
    car = made_car(rng.dirichlet(np.full(4, spread), size=3), rng.dirichlet(np.full(3, 5.0)))

    def read(path: Path, **settings: Any) -> dict[str, Question]:
        asked.append({"path": path, **settings})
        return {pew.CAR: car}

    monkeypatch.setattr(pew, "read_survey", read)
    path = Path("of W128")
    values = pew._car_claims({pew.CAR: car}, {"W128": path})  # type: ignore[arg-type]
    assert asked == [{"path": path, "weight": "W128"}]
    s, m = car.shares, car.masses
    assert values["num-ev-respondents"] == 1234
    for k, name in enumerate(("republican", "democratic", "no-lean")):
        assert values[f"num-ev-mass-{name}"] == pytest.approx(100 * m[k])
    P = np.einsum("u,uij->ij", m, s[:, :, None] / (s[:, :, None] + s[:, None, :]))
    borda = sorted(range(4), key=lambda y: -P[y].mean())
    reward = np.log(s) - np.log(s).mean(axis=1, keepdims=True)
    average = sorted(range(4), key=lambda y: -float(m @ reward[:, y]))
    assert values["fig-1-ranking-differs"] is (borda != average)
    assert values["fig-1-borda-top"] is (borda[0] == 2)
    assert values["fig-1-average-top"] is (average[0] == 3)
    ahead_of_c = [(row > row[2]).sum() for row in s]
    ahead_of_d = [(row > row[3]).sum() for row in s]
    assert values["eg-ev-c-mediocre"] is all(k in (1, 2) for k in ahead_of_c)
    assert values["eg-ev-d-favoured"] is bool(ahead_of_d[0] == 0 and ahead_of_d[2] == 1)
    (distance,) = sensitivity.distances([P], top=True)
    assert values["fig-1-flip"] is bool(distance <= 0.205)


#: Places of c and of d for each type, and what the paper says of them.
PLACES = [
    ([[0.2, 0.1, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1], [0.4, 0.1, 0.2, 0.3]], True, True),
    ([[0.2, 0.1, 0.3, 0.4], [0.4, 0.3, 0.1, 0.2], [0.4, 0.1, 0.2, 0.3]], False, True),
    ([[0.2, 0.1, 0.3, 0.4], [0.1, 0.2, 0.4, 0.3], [0.4, 0.1, 0.2, 0.3]], False, True),
    ([[0.1, 0.4, 0.2, 0.3], [0.4, 0.1, 0.3, 0.2], [0.4, 0.1, 0.2, 0.3]], True, False),
    ([[0.2, 0.1, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1], [0.2, 0.1, 0.3, 0.4]], True, False),
    ([[0.2, 0.1, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1], [0.4, 0.3, 0.2, 0.1]], True, False),
    ([[0.4, 0.1, 0.2, 0.3], [0.1, 0.2, 0.3, 0.4], [0.2, 0.1, 0.3, 0.4]], True, False),
]


@pytest.mark.parametrize(("shares", "mediocre", "favoured"), PLACES)
def test_places_of_the_options(
    shares: Any, mediocre: bool, favoured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    car = made_car(shares, [0.4, 0.4, 0.2])
    monkeypatch.setattr(pew, "read_survey", lambda path, weight: {pew.CAR: car})
    values = pew._car_claims({pew.CAR: car}, {"W128": Path()})  # type: ignore[arg-type]
    assert values["eg-ev-c-mediocre"] is mediocre
    assert values["eg-ev-d-favoured"] is favoured


def test_a_close_first_place_is_turned(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first option leads by little, thanks to the third; the fourth speaks for the second."""
    shares = [[0.6, 0.2, 0.19, 0.01], [0.2, 0.6, 0.01, 0.19], [0.25, 0.25, 0.25, 0.25]]
    car = made_car(shares, [0.5, 0.49, 0.01])
    monkeypatch.setattr(pew, "read_survey", lambda path, weight: {pew.CAR: car})
    values = pew._car_claims({pew.CAR: car}, {"W128": Path()})  # type: ignore[arg-type]
    assert values["fig-1-flip"] is True


def test_a_resample_has_the_moments_of_respondents_drawn_anew() -> None:
    """Respondents with their weights, drawn with replacement within each type."""
    rng = np.random.default_rng(0)
    people = [  # of each type: the option of each and the weight of each
        (rng.choice(3, p=[0.5, 0.3, 0.2], size=120), rng.gamma(4.0, 0.3, size=120)),
        (rng.choice(3, p=[0.2, 0.2, 0.6], size=80), np.full(80, 1.5)),
    ]
    C, W, S = (
        np.array([[(w[y == k] ** power).sum() for k in range(3)] for y, w in people])
        for power in (0, 1, 2)
    )
    asked = question("Q", "abc", ["u", "v"], W, C, S)
    shares, masses = asked.resample(20_000, np.random.default_rng(1))
    assert shares.shape == (20_000, 2, 3)
    assert masses.shape == (20_000, 2)
    np.testing.assert_allclose(shares.sum(axis=2), 1)
    np.testing.assert_allclose(masses.sum(axis=1), 1)
    drawn = np.zeros((4000, 2, 3))
    for u, (y, w) in enumerate(people):
        for b in range(4000):
            again = rng.integers(len(y), size=len(y))
            drawn[b, u] = np.bincount(y[again], weights=w[again], minlength=3)
    by_hand = drawn / drawn.sum(axis=2, keepdims=True)
    mass = drawn.sum(axis=2) / drawn.sum(axis=(1, 2))[:, None]
    for found, direct in ((shares, by_hand), (masses, mass)):
        error = direct.std(axis=0) / np.sqrt(4000)
        assert (abs(found.mean(axis=0) - direct.mean(axis=0)) < 6 * error).all()
        np.testing.assert_allclose(found.std(axis=0), direct.std(axis=0), rtol=0.08)


def test_options_that_nobody_chose_stay_empty_and_equal_weights_vary_by_counts_alone() -> None:
    asked = question("Q", "abc", ["u"], [[2.0, 6.0, 0.0]], [[1.0, 3.0, 0.0]], [[4.0, 12.0, 0.0]])
    shares, _ = asked.resample(500, np.random.default_rng(0))
    assert (shares[:, 0, 2] == 0).all()
    # Four respondents of weight 2: shares are fourths
    np.testing.assert_allclose(4 * shares, np.rint(4 * shares), atol=1e-9)
    assert len(np.unique(shares[:, 0, 0].round(9))) == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shares": np.full((2, 2), 0.5), "masses": [0.5]}, "masses has shape"),
        ({"shares": [0.5, 0.5], "masses": 1.0}, "shares must have 2 axes"),
        ({"shares": [[0.5, 0.5], [1.2, -0.2]], "masses": [0.5, 0.5]}, r"shares\[1, 0\] is 1\.2"),
        ({"shares": [[0.5, 0.5]], "masses": [-0.5]}, r"masses\[0\] is -0\.5"),
    ],
)
def test_shares_are_refused_by_name(change: dict[str, Any], message: str) -> None:
    assert surveys.questions.pairwise([[0.25, 0.75]], [1.0])[0, 1] == pytest.approx(0.25)
    with pytest.raises(ValueError, match=message):
        surveys.questions.pairwise(**change)


def test_shares_of_one_to_rounding_are_taken() -> None:
    P = surveys.questions.pairwise([[1 + 1e-12, 0.0]], [1 + 1e-12])
    assert P[0, 1] == pytest.approx(1)
