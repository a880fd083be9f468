"""A reader's own question: what is normalised, what is refused, and the example."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import hetlib
from hetlib.surveys.own import Answers, read_question

EXAMPLE = Path(__file__).parents[2] / "params" / "05-example-question.yml"


def read(**changes: Any) -> Answers:
    arguments: dict[str, Any] = {
        "options": ["yes", "no", "unsure"],
        "types": ["A", "B"],
        "shares": [[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]],
        "masses": [0.4, 0.6],
        **changes,
    }
    return read_question(**arguments)


def test_exact_shares_pass_without_a_message() -> None:
    answers = read()
    assert answers.messages == []
    assert np.allclose(answers.shares.sum(axis=1), 1)


def test_rounding_and_per_cent_are_normalised_with_a_message() -> None:
    answers = read(shares=[[0.2, 0.3, 0.501], [60, 30, 10]], masses=[0.4, 0.601])
    assert np.allclose(answers.shares.sum(axis=1), 1)
    assert np.allclose(answers.shares[1], [0.6, 0.3, 0.1])
    assert np.isclose(answers.masses.sum(), 1)
    assert [m.split(";")[0] for m in answers.messages] == [
        "shares[0] (A) sums to 1.001",
        "shares[1] (B) sums to 100",
        "masses (all types) sums to 1.001",
    ]


def test_a_zero_share_is_announced() -> None:
    (message,) = read(shares=[[0.5, 0.5, 0], [0.6, 0.3, 0.1]]).messages
    assert "shares[0, 2] is 0" in message
    assert "'unsure'" in message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shares": [[0.2, 0.8], [0.5, 0.5]]}, "shares has 2 rows of 2 numbers; .* 2 rows of 3"),
        ({"shares": [[0.2, 0.8], [0.5, 0.4, 0.1]]}, "shares must be a rectangular array"),
        ({"shares": [[0.2, 0.3, 0.5], [0.6, -0.3, 0.7]]}, r"shares\[1, 1\] is -0.3"),
        ({"shares": [[0.2, 0.3, 0.5], [0, 0, 0]]}, r"shares\[1\] \(B\) is all zero"),
        ({"shares": [[0.2, 0.3, float("nan")], [0, 0, 1]]}, r"shares\[0, 2\] is nan"),
        ({"masses": [0.4, 0.3, 0.3]}, "masses has 3 numbers; there are 2 types"),
        ({"masses": [1.4, -0.4]}, r"masses\[1\] is -0.4"),
        ({"masses": [0, 0]}, "masses .* all zero"),
        ({"options": ["yes", False, "unsure"]}, r"options\[1\] is False; .* quotes"),
        ({"options": ["yes", "no", "yes"]}, r"options\[2\] is 'yes' again"),
        ({"options": ["yes"]}, "options must be a list of at least 2"),
        ({"types": "AB"}, "types must be a list"),
        ({"types": ["A", " "]}, r"types\[1\] is ' '"),
    ],
)
def test_refusals_name_the_argument(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(**changes)


def test_the_example_file_is_a_question_where_borda_and_the_average_differ() -> None:
    values = yaml.safe_load(EXAMPLE.read_text())
    assert set(values) == {"question", "options", "types", "shares", "masses"}
    answers = read_question(**{k: v for k, v in values.items() if k != "question"})
    rewards = hetlib.luce_shepard_rewards(answers.shares)
    people = hetlib.Population(rewards, answers.masses)
    borda = hetlib.normalized_borda_count(people.pairwise())
    assert borda.argmax() == 1
    assert people.mean_reward().argmax() == 2


def test_the_page_on_survey_files_says_what_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its Python lines, and its parameters, on the small file of the variants."""
    root = EXAMPLE.parents[1]
    page = (root / "book" / "survey_files.md").read_text("utf-8")
    table = root / "params" / "variants" / "05-surveys-own.csv"
    (tmp_path / "my-survey.csv").write_text(table.read_text("utf-8"), "utf-8")
    monkeypatch.chdir(tmp_path)
    lines = page.split("```python\n")[1].split("```")[0]
    (tmp_path / "page.py").write_text(lines, "utf-8")
    runpy.run_path(str(tmp_path / "page.py"))
    shown = capsys.readouterr().out
    assert "160 respondents" in shown
    assert "2 questions" in shown
    assert "RankingChange" in shown or "None" in shown
    given = yaml.safe_load(page.split("```yaml\n")[1].split("```")[0])
    assert set(given) == {"own_file", "own_types", "own_weight", "own_per_option", "own_small"}
