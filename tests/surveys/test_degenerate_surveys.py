"""Extreme and malformed numbers and names in questions: refused by name, or exact."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hetlib
from hetlib import surveys
from hetlib.surveys.own import read_question

NAN, INF, HUGE, TINY = float("nan"), float("inf"), 1e308, 5e-324


def q(**changes: Any) -> surveys.Question:
    given: dict[str, Any] = {"options": ["a", "b"], "types": ["t", "u"]}
    given |= {"weights": [[1, 2], [2, 1]], **changes}
    return surveys.question("q", **given)


def own(**changes: Any) -> Any:
    given: dict[str, Any] = {
        "options": ["a", "b"],
        "types": ["t"],
        "shares": [[1, 2]],
        "masses": [1],
    }
    return read_question(**{**given, **changes})


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: hetlib.luce_shepard_rewards([[0, 0]]), r"shares\[0\] sums to 0"),
    (lambda: hetlib.luce_shepard_rewards([[0.5, INF]]), r"shares\[0, 1\] is inf"),
    (lambda: hetlib.luce_shepard_rewards([[10**400, 1]]), "too large"),
    (lambda: hetlib.luce_shepard_rewards([[0.5, 0.5j]]), "shares"),
    (lambda: hetlib.luce_shepard_rewards([[0.5, 0.5]], 1), "floor is 1"),
    (lambda: hetlib.luce_shepard_rewards([[0.5, 0.5]], NAN), "floor is nan"),
    (lambda: hetlib.luce_shepard_rewards([[0.2, 0.8]], 0.9), r"floor is 0.9; .* 1 / options = 0.5"),
    (lambda: hetlib.luce_shepard_rewards([[0.2, 0.3, 0.5]], 0.34), r"1 / options = 0.333"),
    (lambda: own(options=["a", "a"]), r"options\[1\] is 'a' again"),
    (lambda: own(options=["a", "a "]), r"options\[1\] is 'a ' again"),
    (lambda: own(options=["a  b", "a b"]), r"options\[1\] is 'a b' again"),
    (lambda: own(options=["é", "e\u0301"]), r"options\[1\] is .* again"),
    (lambda: own(types=[], shares=[], masses=[]), "types must be a list of at least 1"),
    (lambda: own(options=5), "options must be a list of at least 2, not 5"),
    (lambda: own(options=None), "options must be a list of at least 2, not None"),
    (lambda: own(types={}), "types must be a list"),
    (lambda: own(options=["a", 5]), r"options\[1\] is 5; it must be text"),
    (lambda: own(shares=[[0.5, -1e-300]]), r"shares\[0, 1\] is -1e-300"),
    (lambda: own(masses=[INF]), r"masses\[0\] is inf"),
    (lambda: own(masses=None), "masses"),
    (lambda: q(weights=[[HUGE, HUGE], [1, 1]]), r"weights of q\[0, 0\] is 1e\+308"),
    (lambda: q(weights=[[1e19, 1], [1, 1]]), r"counts of q\[0, 0\] is 1e\+19"),
    (lambda: q(weights=[[-1, 2], [1, 1]]), r"weights of q\[0, 0\] is -1"),
    (lambda: q(weights=[[0, 0], [1, 1]]), "0 for a whole type, as for 't'"),
    (lambda: q(counts=[[-5, 5], [1, 1]]), r"counts of q\[0, 0\] is -5"),
    (lambda: q(squares=[[1, -5], [1, 1]]), r"squares of q\[0, 1\] is -5"),
    (lambda: q(counts=[[NAN, 5], [1, 1]]), r"counts of q\[0, 0\] is nan"),
    (lambda: q(options=["a", "a"]), r"options of q\[1\] is 'a' again"),
    (lambda: q(types=["t", "t "]), r"types of q\[1\] is 't ' again"),
    (lambda: q(types=["t", 3]), r"types of q\[1\] is 3; it must be text"),
    (lambda: surveys.pairwise([[NAN, 1]], [1.0]), r"shares\[0, 0\] is nan"),
    (lambda: surveys.pairwise([[HUGE, HUGE]], [1.0]), r"shares\[0, 0\] is 1e\+308"),
    (lambda: surveys.pairwise([[-0.1, 1]], [1.0]), r"shares\[0, 0\] is -0.1"),
    (lambda: surveys.pairwise([[0.5, 0.5]], [NAN]), r"masses\[0\] is nan"),
    (lambda: surveys.pairwise([[0.5, 0.5]], [0.5, 0.5]), r"masses has shape \(2,\)"),
    (lambda: surveys.pairwise([[0.5, 0.5]], [1.0], floor=0), "floor is 0"),
    (lambda: q(weights=[[0.4, 0.4], [1, 1]]).resample(2, rng()), r"counts of q\[0, 0\] is 0.4"),
    (lambda: q(weights=[[1.5, 1.5], [1, 1]]).resample(2, rng()), r"counts of q\[0, 0\] is 1.5"),
    (lambda: q().resample(0, rng()), "size is 0"),
    (lambda: q().resample(2.5, rng()), "size is 2.5; it must be a whole number"),  # type: ignore[arg-type]
    (lambda: surveys.questions.luce_shepard_rewards([[1, 2], [3]]), "shares must be a rectangular"),
    (lambda: surveys.questions.luce_shepard_rewards([1, 2]), "shares must have 2 axes, not 1"),
    (lambda: surveys.questions.pairwise([[1, 2], [3]], [1]), "shares must be a rectangular"),
    (lambda: q().smooth(INF), "pseudo is inf"),
    (lambda: q().smooth(-1), "pseudo is -1"),
    (lambda: q().select([]), "no type is named"),
    (lambda: q().select(["t", "t"]), r"types\[1\] is 't' again"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_nonsense_is_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_huge_and_tiny_numbers_are_exact() -> None:
    rewards = hetlib.luce_shepard_rewards([[HUGE, 1.7 * HUGE, 1.0], [1.0, 1.0, 1.0]])
    assert rewards[0, 1] - rewards[0, 0] == pytest.approx(np.log(1.7))
    assert rewards[0, 0] - rewards[0, 2] == pytest.approx(np.log(10 / 27) - np.log(1e-15))
    assert (rewards[1] == 0).all()
    assert (hetlib.luce_shepard_rewards([[TINY, TINY]]) == 0).all()
    answers = own(types=["t", "u"], shares=[[1, 2], [HUGE, HUGE]], masses=[HUGE, HUGE])
    assert answers.masses == pytest.approx([0.5, 0.5])
    assert answers.shares[1] == pytest.approx([0.5, 0.5])
    assert sum("divided by its greatest" in m for m in answers.messages) == 2
    assert own(masses=[TINY]).masses == [1.0]
    apart = q(weights=[[1, 1e-300], [1e-300, 1]])
    assert apart.disagreement() == pytest.approx(1)
    assert (surveys.pairwise([[0.5, 0.5]], [1.0]) == 0.5).all()
    assert (surveys.pairwise([[0.0, 0.0]], [1.0]) == 0.5).all()


def test_a_sum_that_is_almost_one_shows_its_digits() -> None:
    (message,) = own(shares=[[0.5, 0.5 + 1e-7]]).messages
    assert "sums to 1.0000001; it was divided" in message


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0, 1.7e308), min_size=2, max_size=6).filter(any))
def test_any_finite_answers_have_finite_rewards(answers: list[float]) -> None:
    rewards = hetlib.luce_shepard_rewards([answers])[0]
    assert np.isfinite(rewards).all()
    assert rewards.sum() == pytest.approx(0, abs=1e-9)
    assert (np.diff(rewards[np.argsort(answers)]) >= -1e-9).all()


@pytest.mark.slow
def test_surveys_need_no_matplotlib(tmp_path: Any) -> None:
    """Nor pandas, for a table of text."""
    path = tmp_path / "a.csv"
    path.write_text("P,Q,W\n" + "".join(f"{k % 2},{k % 3},1\n" for k in range(600)))
    code = (
        "import sys; sys.modules['matplotlib'] = sys.modules['pandas'] = None; "
        "from hetlib import surveys; "
        "import hetlib.surveys.own, hetlib.surveys.pew, hetlib.surveys.synthetic; "
        f"print(len(surveys.read_survey({str(path)!r}, types='P', weight='W')), "
        "len(surveys.nonvoters()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "48"]
