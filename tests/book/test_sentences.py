"""Sentences that rest on conditions, and the parameters with which a chapter runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hetlib.book import sentences, settings
from hetlib.book.sentences import MIME, FalseSentenceError, holds, sentence

CHAPTERS = sorted((Path(__file__).parents[2] / "book").glob("[0-9]*.md"))


@pytest.fixture
def glued(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    import myst_nb

    found: dict[str, Any] = {}
    monkeypatch.setattr(myst_nb, "glue", lambda key, value, display: found.update({key: value}))
    return found


def strict(monkeypatch: pytest.MonkeyPatch, value: bool) -> None:
    monkeypatch.setattr(sentences, "_strict", lambda: value)


@pytest.mark.parametrize("full", [True, False])
def test_a_true_sentence_is_shown(
    full: bool, glued: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    strict(monkeypatch, full)
    said = sentence("key", "A is more than B.", np.bool_(True), "No.", n=5)
    assert glued == {"key": said}
    bundle = said._repr_mimebundle_()
    assert bundle["text/markdown"] == "A is more than B."
    assert bundle[MIME] == {"key": "key", "text": "A is more than B.", "condition": True}


@pytest.mark.parametrize(("condition", "n"), [(False, None), (False, 9), (True, 4)])
def test_a_false_sentence_stops_the_full_run(
    condition: bool, n: int | None, glued: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    strict(monkeypatch, True)
    with pytest.raises(FalseSentenceError, match=r"key: .*A is more than B\."):
        sentence("key", "A is more than B.", condition, "No.", n=n)
    assert not glued


@pytest.mark.parametrize(("condition", "n"), [(False, None), (True, 4)])
def test_elsewhere_the_page_says_what_the_run_shows(
    condition: bool, n: int | None, glued: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    strict(monkeypatch, False)
    assert sentence("key", "A is more.", condition, "They are level.", n=n).shown == (
        "They are level."
    )
    assert "A is more" not in sentence("key", "A is more.", condition, n=n).shown


def test_plain_prose_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    strict(monkeypatch, True)
    assert holds("A is more than B.", 2 > 1).condition
    with pytest.raises(FalseSentenceError, match="A is more than B"):
        holds("A is more than B.", np.bool_(False))
    strict(monkeypatch, False)
    assert not holds("A is more than B.", False).condition


@pytest.mark.parametrize("condition", [None, 1.0, "yes", np.array([True, False])])
def test_what_is_no_condition_is_refused(condition: object) -> None:
    with pytest.raises(ValueError, match=r"condition of|can only convert"):
        holds("A.", condition)
    with pytest.raises(ValueError, match="the sentence is empty"):
        holds(" ", True)


@pytest.mark.parametrize("value", [np.float64(0.5), np.array([0.5]), 0.5, 3, np.int64(3), "a"])
def test_numbers_are_glued_as_python_has_them(value: Any, glued: dict[str, Any]) -> None:
    sentences.numbers(one=value)
    assert type(glued["one"]) in (float, int, str)
    assert glued["one"] == value


@pytest.mark.parametrize("value", [None, [1], np.arange(2)])
def test_what_is_no_number_is_not_glued(value: Any, glued: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"one is .*; a number or a text"):
        sentences.numbers(one=value)
    assert not glued


def test_words_of_verdicts_are_glued(glued: dict[str, Any]) -> None:
    from hetlib.book import claims

    claims.check("prop-4-2", True)
    claims.words()
    assert glued["v_prop-4-2"] == "reproduced"
    claims.check("prop-4-2", False)
    claims.words()
    assert glued["v_prop-4-2"] == "not reproduced"


# ---- which parameters were changed ----

HEAD = """import os

profile: str = os.environ.get("P", "full")
beta: float = 0.5
sizes: list = [1, 2]
"""


def injected(text: str) -> dict[str, Any]:
    return settings.changed([HEAD, "# Parameters\n" + text, "beta = 7"])


def test_changed_parameters_are_seen() -> None:
    assert injected("beta = 3.0\n") == {"beta": 3.0}
    assert injected("sizes = [1, 2, 3]\nbeta = 0.5\n") == {"sizes": [1, 2, 3]}


def test_what_changes_no_claim_is_not_counted() -> None:
    assert injected('profile = "quick"\nseed = 9\n') == {}
    assert settings.changed([HEAD, "beta = 7"]) == {}
    assert settings.changed([]) == {}


# ---- values of parameters ----


@pytest.mark.parametrize(
    ("value", "rules"),
    [
        (2, {}),
        (0.5, {"above": 0, "below": 1}),
        (3, {"kind": "whole", "least": 3, "most": 3}),
        ("probit", {"kind": "text", "among": ["logit", "probit"]}),
        (True, {"kind": "flag"}),
        ([1, 2.5], {"kind": "numbers", "length": (2, 2)}),
        ([[1, 2], [3, 4.0]], {"kind": "table", "shape": (2, None)}),
        (["a"], {"kind": "texts"}),
    ],
)
def test_sensible_values_pass(value: Any, rules: dict[str, Any]) -> None:
    settings.require("x", value, **rules)


@pytest.mark.parametrize(
    ("value", "rules", "message"),
    [
        ("2", {}, r"parameter x is '2'; it must be a number"),
        (True, {}, "it must be a number"),
        (float("nan"), {}, "it must be finite"),
        (0, {"above": 0}, "it must be more than 0"),
        (-1, {"least": 0}, "it must be at least 0"),
        (2, {"most": 1}, "it must be at most 1"),
        (1, {"below": 1}, "it must be less than 1"),
        (2.5, {"kind": "whole"}, "it must be a whole number"),
        ("probot", {"kind": "text", "among": ["logit", "probit"]}, "did you mean 'probit'"),
        (1, {"kind": "flag"}, "it must be True or False"),
        (3, {"kind": "numbers"}, "it must be a list of numbers"),
        ([], {"kind": "numbers"}, "it has 0 entries, at least 1 are allowed"),
        ([1], {"kind": "numbers", "length": (2, 2)}, "it has 1 entries, 2 are allowed"),
        ([1, "a"], {"kind": "numbers"}, r"parameter x\[1\] is 'a'; it must be a number"),
        ([[1, 2], [3]], {"kind": "table"}, r"x\[1\] is \[3\]; it has 1 entries, 2 are allowed"),
        ([[1, 2]], {"kind": "table", "shape": (2, None)}, "it has 1 entries, 2 are allowed"),
        ([1, 2], {"kind": "table"}, r"x\[0\] is 1; it must be a table"),
    ],
)
def test_other_values_are_refused_in_words(value: Any, rules: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        settings.require("x", value, **rules)


PEOPLE = [[1, 2.0], [3, 4]]


@pytest.mark.parametrize("more", [{}, {"weights": [0, 1]}, {"reference": [0.1, 0.9], "types": 2}])
def test_populations_pass(more: dict[str, Any]) -> None:
    settings.require_people(PEOPLE, **more)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"rewards": [[1, 200]]}, r"rewards\[0\]\[1\] is 200; it must be at most 100"),
        ({"rewards": []}, "parameter rewards is .*0 entries"),
        ({"types": 3}, "number of types in rewards is 2; it must be at least 3"),
        ({"responses": 3}, "number of responses in rewards is 2; it must be at least 3"),
        ({"weights": [1]}, r"parameter weights is \[1\]; it has 1 entries, 2 are allowed"),
        ({"weights": [1, -1]}, r"weights\[1\] is -1; it must be at least 0"),
        ({"reference": [1, 0]}, r"reference\[1\] is 0; it must be more than 0"),
    ],
)
def test_what_is_no_population_is_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        settings.require_people(**{"rewards": PEOPLE, **more})


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="kind is 'colour'; it must be one of number"):
        settings.require("x", 1, kind="colour")


# ---- sections that compare without a condition ----

WORDS = re.compile(
    r"\b(larger|smaller|better|worse|more often|less often|never|always|in all|hurts|helps|beats|"
    r"much the same|every one|none of|outperforms|the only|nearly all|most of|mostly|rarely|seldom|"
    r"less than|almost always|most often|slower|faster|exceeds?|grows?|falls?|lower|higher)\b"
)
#: A condition, or a proof here or on the page of longer proofs.
BACKED = re.compile(r"\b(sentence|holds|check|assert)\b[( ]|\{prf:proof\}|<longer-proofs")
#: Parts of a chapter that report, describe other works or ask, and have no results of their own.
APART = (
    *("Exercises", "Further reading", "Paper and here", "What you will learn"),
    *("Why it matters", "Policy personalisation", "Open questions"),
    "Games (Nash learning, maximal lotteries)",
)


def sections(text: str) -> dict[str, str]:
    """Sections of a chapter by title, as they are written."""
    parts = re.split(r"^(#{2,3} .*)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def prose(section: str) -> str:
    """A section without code, statements and proofs."""
    text = re.sub(r"^(`{3,}|:{3,})\{.*?^\1$", "", section, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"\$[^$]*\$", "", text)


def unbacked(text: str) -> list[str]:
    """Titles of sections that compare in prose, and neither prove nor compute a condition."""
    return [
        title
        for title, section in sections(text).items()
        if not title.lstrip("# ").startswith(APART)
        and WORDS.search(prose(section))
        and not re.search(BACKED, section)
    ]


def test_a_section_that_compares_is_seen() -> None:
    one, cell = "A is better.\n\n", "```{code-cell}\nholds('A', x)\n```\n"
    text = f"# T\n\n## One\n\n{one}## Two\n\n{one}{cell}"
    assert unbacked(text) == ["## One"]
    assert not unbacked("# T\n\n## One\n\n```{prf:theorem}\nA is better.\n```\n")


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_sections_that_compare_have_a_condition(chapter: Path) -> None:
    assert not unbacked(chapter.read_text("utf-8"))
