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
