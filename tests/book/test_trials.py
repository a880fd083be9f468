"""Variants of parameters and of seeds: what is run, and what counts as a change."""

from __future__ import annotations

from pathlib import Path

import pytest
import trials
import yaml
from execute import chapters, check_parameters, given_parameters, known_parameters, read_chapter

from hetlib.book.claims import NOT_JUDGED, load

FILES = sorted(trials.VARIANTS.glob("*.yml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_variant_gives_parameters_that_its_chapter_has(path: Path) -> None:
    [(chapter, name, words)] = [t for t in trials.variants(chapters()) if t[1] == path.stem]
    assert name.startswith(chapter)
    check_parameters(given_parameters(words)[1], chapter)
    text = path.read_text()
    assert yaml.safe_load(text)
    assert "/home" not in text


@pytest.mark.parametrize("chapter", chapters())
def test_a_chapter_has_three_variants(chapter: str) -> None:
    if known_parameters(read_chapter(chapter)):
        assert len(trials.variants([chapter])) >= 3


def test_every_parameter_has_another_value_somewhere() -> None:
    assert not trials.untried()


def test_a_file_of_no_chapter_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my-variant.yml").write_text("seed: 1\n")
    monkeypatch.setattr(trials, "VARIANTS", tmp_path)
    with pytest.raises(ValueError, match=r"my-variant\.yml starts with no chapter's name"):
        trials.variants(chapters())


def test_only_claims_for_all_settings_count(monkeypatch: pytest.MonkeyPatch) -> None:
    claims = list(load().values())
    general = next(c.id for c in claims if c.settings == "all")
    default = next(c.id for c in claims if c.settings == "default")
    usual = {general: "reproduced", default: "reproduced"}
    monkeypatch.setattr(trials, "stored", lambda chapter: usual)
    changed = {general: "not reproduced", default: "not reproduced"}
    assert [line.split(":")[0] for line in trials.differences("x", changed)] == [general]
    assert not trials.differences("x", {general: NOT_JUDGED, default: "reproduced"})


def test_seeds_that_do_not_judge_are_left_out() -> None:
    claims = [claim.id for claim in load().values()][:3]
    usual = dict.fromkeys(claims, "reproduced")
    counts = [{"reproduced": 20}, {NOT_JUDGED: 20}, {"reproduced": 14, NOT_JUDGED: 5, "checked": 1}]
    table = {"seeds": 20, "verdicts": dict(zip(claims, counts, strict=True))}
    [(claim, agree, judged, _level)] = trials.turning(usual, table)
    assert (claim, agree, judged) == (claims[2], 14, 15)


def test_seeds_are_tried_where_there_is_one() -> None:
    named = [name for name in chapters() if trials.of_seed(name)]
    assert named
    assert [words for _, _, words in trials.seeds(named[:1], 2)] == [
        ["-p", "seed", "1"],
        ["-p", "seed", "2"],
    ]
