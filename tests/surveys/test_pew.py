"""The path that needs Pew's files, on synthetic waves of the same schema."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hetlib
from hetlib import surveys
from hetlib.book import claims as book
from hetlib.borda.counts import same_order
from hetlib.surveys import pew
from hetlib.surveys.synthetic import make_wave, write_wave


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All 19 waves, small, with the example questions, in folders like Pew's."""
    root = tmp_path_factory.mktemp("waves")
    for k, wave in enumerate(pew.WAVES):
        names = {
            question: 4 if question.startswith("COVID") else 5
            for question in pew.EXAMPLES.values()
            if question.endswith(f"_{wave}")
        }
        (root / f"{wave}_May").mkdir()
        made = make_wave(wave, 900, 8, np.random.default_rng(k), names)
        write_wave(made, root / f"{wave}_May" / f"ATP {wave}.sav")
    return root


@pytest.mark.slow
def test_every_claim_that_needs_the_files_gets_a_value(folder: Path) -> None:
    values = pew.claims(folder)
    needed = {
        c.id for c in book.load().values() if c.chapter == "05-surveys" and c.needs is not None
    }
    assert set(values) == needed
    for claim, value in values.items():
        assert isinstance(value, bool) == isinstance(book.load()[claim].paper, bool), claim
        book.check(claim, value)


def test_study_counts_as_the_released_code_does(folder: Path) -> None:
    paths = pew.find_waves(folder)
    study = pew.study(paths)
    assert set(study.surveys) == set(pew.WAVES)
    assert len(study.questions) == sum(len(s) for s in study.surveys.values())
    assert np.isinf(study.tv[~study.attempted]).all()
    assert (study.top >= study.tv).all()
    assert (np.isfinite(study.tv) | ~study.moved).all()
    strict = pew.study(paths, min_per_option=250, empty="drop")
    assert 0 < strict.attempted.sum() < len(strict.questions)
    assert study.changed > 0
    assert 0 < study.median < 1
    one = surveys.read_survey(paths["W83"], empty="count", min_per_option=0)
    assert study["BIDENADM_W83"].shares == pytest.approx(one["BIDENADM_W83"].shares)


def _empty(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def test_some_waves_give_the_claims_about_their_questions(folder: Path, tmp_path: Path) -> None:
    whole = pew.claims(folder)
    for wave in ("W128", "W130", "W35"):
        (tmp_path / wave).mkdir()
        for other in {wave, "W35"}:
            (tmp_path / wave / f"{other}.sav").symlink_to(pew.find_waves(folder)[other])
    car = pew.claims(tmp_path / "W128")
    assert {"num-ev-respondents", "fig-1-flip", "fig-8-discrepancy"} < set(car)
    assert set(pew.claims(tmp_path / "W130")) == {"fig-9-discrepancy", "fig-10-discrepancy"}
    assert pew.claims(tmp_path / "W35") == {}
    assert car == {claim: whole[claim] for claim in car}
    with pytest.raises(ValueError, match=r"no \.sav file of W35, W52"):
        pew.find_waves(_empty(tmp_path), partial=True)


def test_missing_and_double_files_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder"):
        pew.find_waves(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"no \.sav file of W35, W52"):
        pew.find_waves(tmp_path)
    (tmp_path / "ATP W35.sav").touch()
    (tmp_path / "W35 again.sav").touch()
    with pytest.raises(ValueError, match=r"several \.sav files of W35"):
        pew.find_waves(tmp_path, ["W35"])
    assert pew.find_waves(folder, ["W128"])["W128"].name == "ATP W128.sav"


def test_the_summary_names_missing_waves_and_counts_three_readings(folder: Path) -> None:
    paths = {wave: path for wave, path in pew.find_waves(folder).items() if wave in ("W83", "W114")}
    missing, *ways = pew.summary(paths)
    assert "W35" in missing
    assert "W83" not in missing
    assert [way.partition(":")[0] for way in ways] == [
        "as released",
        "empty dropped",
        "thin ones too",
    ]
    n = len(pew.study(paths).questions)
    assert f"{n} questions, {n} attempted" in ways[2]


def test_a_tally_counts_what_one_question_shows() -> None:
    """Against the definitions, question by question, with other settings than the defaults."""
    questions = surveys.pew_examples() + surveys.anes96()
    settings = {"support": 0.01, "margin": 0.001}
    tally = pew.tally(questions, 1e-6, **settings)
    for k, q in enumerate(questions):
        people = q.population(1e-6)
        P = people.pairwise()
        change = hetlib.ranking_change(P, **settings)
        assert np.isfinite(tally.tv[k]) == (change is not None)
        assert tally.top[k] >= tally.tv[k]
        assert tally.agree[k] == same_order(P.mean(axis=1), people.mean_reward())
        if change is None:
            assert not tally.moved[k]
            continue
        assert tally.tv[k] == pytest.approx(change.tv)
        first = P.mean(axis=1).argmax()
        assert tally.moved[k] == ((P @ change.sampling).argmax() != first)
    assert tally.changed == np.isfinite(tally.tv).sum() > 0
    assert tally.median == np.median(tally.tv[np.isfinite(tally.tv)])


def test_a_tally_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="questions is empty"):
        pew.tally([])


def made_of(tv: list[float], top: list[float], agree: list[bool], gaps: list[float]) -> pew.Study:
    """A study of questions with two types that are so far apart, and distances given."""
    questions = []
    for k, gap in enumerate(gaps):
        shares = np.array([[0.5 + gap / 2, 0.5 - gap / 2], [0.5 - gap / 2, 0.5 + gap / 2]])
        questions.append(
            surveys.Question(f"Q{k}", ("a", "b"), shares, np.array([0.5, 0.5]), 0, ("u", "v"))
        )
    attempted = np.ones(len(tv), dtype=bool)
    return pew.Study(
        np.array(tv), np.array(top), ~attempted, np.array(agree), {}, tuple(questions), attempted
    )


def test_claims_about_all_questions_by_hand() -> None:
    inf = np.inf
    whole = made_of([0.1, 0.232, 0.3, inf], [0.3, inf, inf, inf], [True, True, True, False],
                    [0.1, 0.2, 0.1, 0.6])  # fmt: skip
    values = pew._study_claims(whole, whole)
    assert values == {
        "num-questions": 4.0, "num-ranking-changed": 3.0, "num-ranking-changed-share-data": 75.0,
        "num-top-changed": 1.0, "num-tv-median": 0.232, "fig-2-cdf": True, "rem-refused": True,
        "rem-aligned-mostly": True, "rem-aligned-similar-types": True, "notes-experiment-2": True,
    }  # fmt: skip
    assert isinstance(values["num-questions"], float)
    far = made_of([0.1, 0.24, 0.3, inf], [0.3, 0.4, inf, inf], [True, False, False, False],
                  [0.6, 0.1, 0.2, 0.1])  # fmt: skip
    other = pew._study_claims(far, whole)
    for claim in ("fig-2-cdf", "rem-refused", "rem-aligned-mostly", "notes-experiment-2"):
        assert other[claim] is False, claim
    assert other["rem-aligned-similar-types"] is False
    assert other["num-top-changed"] == 2.0
    fewer = made_of([0.1, 0.232, inf, inf], [inf] * 4, [True] * 4, [0.1] * 4)
    third = pew._study_claims(fewer, whole)
    assert third["rem-refused"] is False  # 50 and 75 %
    assert third["rem-aligned-similar-types"] is False  # nobody to compare with
    assert pew._study_claims(whole, fewer)["rem-refused"] is False
    half = made_of([0.1, 0.232, 0.3, inf], [inf] * 4, [True, True, False, False],
                   [0.1, 0.2, 0.2, 0.1])  # fmt: skip
    fourth = pew._study_claims(half, half)
    assert fourth["rem-aligned-mostly"] is False
    assert fourth["rem-aligned-similar-types"] is False  # equally far apart on average


def test_edges_of_the_printed_median() -> None:
    for median, as_printed, at_most in (
        (0.2251, True, True), (0.2249, False, True), (0.2349, True, True), (0.2351, False, False),
    ):  # fmt: skip
        whole = made_of([median] * 3, [np.inf] * 3, [True] * 3, [0.1] * 3)
        values = pew._study_claims(whole, whole)
        assert (values["fig-2-cdf"], values["notes-experiment-2"]) == (as_printed, at_most)
    near, off = (made_of([x] * 3, [np.inf] * 3, [True] * 3, [0.1] * 3) for x in (0.234, 0.24))
    base = made_of([0.23] * 3, [np.inf] * 3, [True] * 3, [0.1] * 3)
    assert pew._study_claims(base, near)["rem-refused"] is True
    assert pew._study_claims(base, off)["rem-refused"] is False


@pytest.mark.slow
def test_claims_about_the_car_by_hand(folder: Path) -> None:
    paths = {"W128": pew.find_waves(folder)["W128"]}
    whole = pew.study(paths)
    values = pew._car_claims(whole, paths)
    car = surveys.read_survey(paths["W128"], weight="W128")[pew.CAR]
    assert values["num-ev-respondents"] == car.n
    parties = ("republican", "democratic", "no-lean")
    masses = [values[f"num-ev-mass-{name}"] for name in parties]
    assert masses == pytest.approx(100 * car.masses)
    assert sum(masses) == pytest.approx(100)
    P = whole[pew.CAR].population().pairwise()
    average = whole[pew.CAR].population().mean_reward()
    order, other = np.argsort(-P.mean(axis=1)), np.argsort(-average)
    assert values["fig-1-ranking-differs"] == (order.tolist() != other.tolist())
    assert values["fig-1-borda-top"] == (order[0] == 2)
    assert values["fig-1-average-top"] == (other[0] == 3)
    top = hetlib.borda.sensitivity.top_change(P)
    assert values["fig-1-flip"] == (top is not None and top.tv <= 0.205)
    ranks = [sorted(row, reverse=True) for row in car.shares]
    place = [[row.index(x) for x in shares] for row, shares in zip(ranks, car.shares, strict=True)]
    assert values["eg-ev-c-mediocre"] == all(row[2] in (1, 2) for row in place)
    assert values["eg-ev-d-favoured"] == (place[0][3] == 0 and place[2][3] == 1)


def test_a_study_finds_its_questions_and_names_others(folder: Path) -> None:
    paths = {"W83": pew.find_waves(folder)["W83"]}
    study = pew.study(paths)
    assert study[study.questions[0].name] is study.questions[0]
    with pytest.raises(KeyError, match=f"no question nobody among {len(study.questions)}"):
        study["nobody"]
    with pytest.raises(ValueError, match="empty is 'keep'; it must be 'drop' or 'count'"):
        pew.study(paths, empty="keep")
    missing, *ways = pew.summary(paths)
    assert missing.startswith("waves not in the folder: W35, W52")
    change, first = study.changed, int(np.isfinite(study.top).sum())
    assert ways[0] == (
        f"as released: {len(study.questions)} questions, {study.attempted.sum()} attempted, "
        f"{change} change, first choice {first} (at the closest {study.moved.sum()}), "
        f"median {study.median:.3f}"
    )
    assert np.isnan(made_of([np.inf], [np.inf], [True], [0.1]).median)
