"""The list of claims, who checks them, and how values are judged."""

from __future__ import annotations

import ast
import dataclasses
import re
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import numpy as np
import pytest
from execute import chapters
from hypothesis import assume, given
from hypothesis import strategies as st

from hetlib.book import claims
from hetlib.book.claims import (
    AGREES,
    CHECKED,
    DISAGREES,
    FAILS,
    IN_DIRECTION,
    NEEDS_DATA,
    NOT_JUDGED,
    NOT_REPRODUCED,
    NOT_RUN,
    NOT_TRACED,
    REPRODUCED,
    TRACED,
    Claim,
)

ROOT = Path(__file__).parents[2]
ALL = claims.load()
WRITTEN = chapters()  # notes of one's own among them
CHAPTERS = [ROOT / "book" / f"{name}.md" for name in WRITTEN]


FIELDS = ("id", "source", "kind", "place", "chapter", "statement", "check")
WORDS: dict[str, Any] = dict.fromkeys(FIELDS, "") | {
    "source": "paper",
    "evidence": "run",
    "settings": "all",
}


def number(paper: float = 2.0, tolerance: float = 0.5) -> Claim:
    return Claim(**WORDS | {"id": "a-number", "paper": paper, "tolerance": tolerance})


def statement() -> Claim:
    return Claim(**WORDS | {"id": "a-statement", "paper": True})


# ---- the list ----


def test_the_paper_is_covered() -> None:
    assert sum(claim.source == "paper" for claim in ALL.values()) >= 60
    assert {claim.source for claim in ALL.values()} <= {"paper", "notes", "ours"}


@pytest.mark.parametrize("claim", ALL.values(), ids=lambda claim: claim.id)
def test_a_row_is_complete(claim: Claim) -> None:
    assert claim.chapter in WRITTEN
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", claim.id)
    assert claim.place.strip()
    assert claim.statement.strip()
    assert claim.check.strip()
    assert not claim.statement.endswith(" .")
    if claim.tolerance is not None:
        assert claim.tolerance >= 0


def test_an_id_is_used_once(tmp_path: Path) -> None:
    row = (
        "- {id: a, source: paper, kind: k, place: p, chapter: c, statement: s, check: c, "
        "paper: true, evidence: run, settings: all}\n"
    )
    path = tmp_path / "claims.yml"
    path.write_text(row)
    assert list(claims.load(path)) == ["a"]
    other = tmp_path / "twice.yml"
    other.write_text(row * 2)
    with pytest.raises(ValueError, match="id a is used twice"):
        claims.load(other)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"paper": "2.0", "tolerance": 0.1}, "must be a number or true"),
        ({"paper": False}, "state it so that the paper's value is true"),
        ({"paper": 2.0}, "a number needs a tolerance"),
        ({"paper": True, "tolerance": 0.1}, "a statement has none"),
        ({"paper": True, "evidence": "said"}, "evidence is 'said'; it must be one of proved, run"),
        ({"paper": True, "settings": "some"}, "settings is 'some'; it must be one of all, default"),
        ({"paper": True, "fails": "luck"}, "fails is 'luck'; it must be one of"),
        ({"paper": True, "fails": "step"}, "fails, weight and repaired go together"),
    ],
)
def test_a_row_that_cannot_be_judged_is_refused(
    fields: dict[str, float | bool], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Claim(**WORDS | fields)


# ---- who checks what ----


def named(chapter: Path) -> set[str]:
    """Ids written out in a chapter's calls of check and needs_data."""
    found = set()
    for cell in jupytext.read(chapter).cells:
        if cell.cell_type == "code" and re.search(r"\b(check|needs_data|not_run)\(", cell.source):
            code = "\n".join(line for line in cell.source.splitlines() if line[:1] not in "%!")
            for call in ast.walk(ast.parse(code)):
                if isinstance(call, ast.Call) and call.args:
                    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
                    first = call.args[0]
                    if name in ("check", "needs_data", "not_run") and isinstance(
                        first, ast.Constant
                    ):
                        found.add(str(first.value))
    return found


def judged(name: str) -> set[str]:
    """Ids with a verdict in the stored outputs of a chapter."""
    path = ROOT / "notebooks" / f"{name}.ipynb"
    assert path.exists(), f"{name} has no stored outputs: make run/{name}"
    cells = nbformat.read(path, as_version=4).cells
    outputs = [out for c in cells if c.cell_type == "code" for out in c.outputs]
    return {out.data[claims.MIME]["id"] for out in outputs if claims.MIME in out.get("data", {})}


@pytest.mark.parametrize("chapter", CHAPTERS, ids=WRITTEN)
def test_a_chapter_checks_claims_of_its_own(chapter: Path) -> None:
    unknown = named(chapter) - set(ALL)
    assert not unknown, f"{chapter.name} checks {sorted(unknown)}, not in claims.yml"
    name = chapter.relative_to(ROOT / "book").with_suffix("").as_posix()
    strange = {one for one in named(chapter) if ALL[one].chapter != name}
    assert not strange, f"{chapter.name} checks {sorted(strange)}, claims of other chapters"


@pytest.mark.parametrize("name", WRITTEN)
def test_every_claim_of_a_chapter_has_a_verdict(name: str) -> None:
    due = {claim.id for claim in ALL.values() if claim.chapter == name}
    open_, extra = due - judged(name), judged(name) - due
    assert not open_, f"{name} does not check {sorted(open_)}"
    assert not extra, f"{name} judges {sorted(extra)}, not among its claims"


# ---- judging ----

FINITE = st.floats(-1e6, 1e6)


DIRECTION = st.sampled_from([None, False, True])


@given(FINITE, st.floats(0, 1e3), st.floats(allow_nan=False), DIRECTION)
def test_a_miss_is_never_reproduced(
    paper: float, tolerance: float, value: float, direction: bool | None
) -> None:
    assume(abs(value - paper) > tolerance * (1 + 1e-6))
    expected = IN_DIRECTION if direction else NOT_REPRODUCED
    assert claims.judge(number(paper, tolerance), value, direction) == expected


@given(FINITE, st.floats(1e-3, 1e3), st.floats(1.001, 3), st.sampled_from([-1, 1]))
def test_a_near_miss_is_not_reproduced(
    paper: float, tolerance: float, far: float, sign: int
) -> None:
    value = paper + sign * far * tolerance
    assert claims.judge(number(paper, tolerance), value) == NOT_REPRODUCED


@given(FINITE, st.floats(1e-3, 1e3), st.floats(-0.99, 0.99))
def test_a_hit_is_reproduced(paper: float, tolerance: float, share: float) -> None:
    assert claims.judge(number(paper, tolerance), paper + share * tolerance) == REPRODUCED


@pytest.mark.parametrize("direction", [None, False, True])
def test_nan_is_not_reproduced(direction: bool | None) -> None:
    assert claims.judge(number(), float("nan"), direction) == NOT_REPRODUCED


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(1.5, REPRODUCED), (2.5, REPRODUCED), (1.499, NOT_REPRODUCED), (2.501, NOT_REPRODUCED)],
)
def test_the_edge_of_the_tolerance_belongs_to_it(value: float, verdict: str) -> None:
    assert claims.judge(number(), value) == verdict


def test_an_edge_that_binary_numbers_miss_belongs_to_it() -> None:
    assert 0.83 - 0.82 > 0.01  # by rounding
    assert claims.judge(number(0.82, 0.01), 0.83) == REPRODUCED


def test_statements() -> None:
    assert claims.judge(statement(), True) == REPRODUCED
    assert claims.judge(statement(), False) == NOT_REPRODUCED
    assert claims.judge(statement(), False, direction=True) == IN_DIRECTION


@pytest.mark.parametrize(("claim", "value"), [(number(), True), (statement(), 1.0)])
def test_a_value_of_the_wrong_kind_is_refused(claim: Claim, value: float | bool) -> None:
    with pytest.raises(ValueError, match=f"claim {claim.id} is a "):
        claims.judge(claim, value)


@pytest.mark.parametrize(
    ("source", "evidence", "words"),
    [
        ("paper", "proved", (REPRODUCED, NOT_REPRODUCED)),
        ("notes", "data", (REPRODUCED, NOT_REPRODUCED)),
        ("ours", "proved", (CHECKED, FAILS)),
        ("paper", "printed", (AGREES, DISAGREES)),
        ("ours", "traced", (TRACED, NOT_TRACED)),
    ],
)
def test_words_follow_source_and_evidence(
    source: str, evidence: str, words: tuple[str, str]
) -> None:
    claim = dataclasses.replace(statement(), source=source, evidence=evidence)
    assert (claims.judge(claim, True), claims.judge(claim, False)) == words


def test_only_what_was_proved_run_or_computed_is_reproduced() -> None:
    for claim in ALL.values():
        if claim.source == "ours" or claim.evidence in ("printed", "traced"):
            assert REPRODUCED not in claim.words


# ---- check ----

JUDGED = [c for c in ALL.values() if c.words == (REPRODUCED, NOT_REPRODUCED)]
NUMBER = next(claim for claim in JUDGED if not isinstance(claim.paper, bool))
STATEMENT = next(claim for claim in JUDGED if claim.paper is True)


def test_check_takes_values_functions_and_numpy() -> None:
    for value in (NUMBER.paper, np.float64(NUMBER.paper), lambda: NUMBER.paper):
        assert claims.check(NUMBER.id, value).verdict == REPRODUCED
    for good in (True, np.bool_(True), lambda: np.bool_(True)):
        assert claims.check(STATEMENT.id, good).verdict == REPRODUCED


def test_a_function_that_raises_is_not_reproduced_even_in_direction() -> None:
    for claim in (NUMBER, STATEMENT):
        verdict = claims.check(claim.id, lambda: 1 / 0, direction=True)
        assert verdict.verdict == NOT_REPRODUCED
        assert "ZeroDivisionError" in verdict.note
        assert not verdict


@pytest.mark.parametrize("value", [None, "2.0", [1.0]])
def test_check_refuses_what_is_no_value(value: object) -> None:
    with pytest.raises(ValueError, match=f"claim {NUMBER.id}: give a number"):
        claims.check(NUMBER.id, value)


def test_an_unknown_id_gets_a_hint() -> None:
    with pytest.raises(ValueError, match=f"did you mean .*{STATEMENT.id}"):
        claims.check(STATEMENT.id[:-1], True)
    with pytest.raises(ValueError, match=r"no claim 'zzz' in claims.yml$"):
        claims.needs_data("zzz")


def test_needing_data_must_be_declared() -> None:
    with pytest.raises(ValueError, match="does not say in claims"):
        claims.needs_data(next(c.id for c in ALL.values() if not c.needs))
    needy = next(claim for claim in ALL.values() if claim.needs)
    assert claims.needs_data(needy.id).verdict == NEEDS_DATA


@pytest.mark.parametrize("scope", ["all", "default"])
def test_other_parameters_suspend_what_is_about_the_default(
    scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = next(c for c in JUDGED if c.paper is True and c.settings == scope)
    assert claims.check(claim.id, False).verdict == NOT_REPRODUCED
    monkeypatch.setattr("hetlib.book.claims.running.changed", lambda: {"beta": 3.0})
    expected = NOT_JUDGED if scope == "default" else NOT_REPRODUCED
    assert claims.check(claim.id, False).verdict == expected
    assert claims.check(claim.id, lambda: 1 / 0).verdict == expected


@pytest.mark.parametrize(("seeds", "judged"), [(1, False), (4, False), (5, True), (None, True)])
def test_few_seeds_do_not_judge(seeds: int | None, judged: bool) -> None:
    claim = next(c for c in ALL.values() if c.paper is True and c.settings == "all")
    found = claims.check(claim.id, True, n=seeds)
    assert (found.verdict != NOT_JUDGED) == judged
    assert judged or f"{seeds} of 5 seeds" in found.note


def test_what_was_not_run_says_so() -> None:
    verdict = claims.not_run(STATEMENT.id)
    assert verdict.verdict == NOT_RUN
    assert not verdict


def literal_values(source: str) -> list[str]:
    """Ids of checks in a cell whose value is made of literals alone."""
    tree = ast.parse("\n".join(x for x in source.splitlines() if x[:1] not in "%!"))
    constant = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found = []
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and len(call.args) > 1:
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            names = [node.id for node in ast.walk(call.args[1]) if isinstance(node, ast.Name)]
            calls = any(isinstance(node, ast.Call) for node in ast.walk(call.args[1]))
            if name == "check" and not calls and set(names) <= constant:
                found.append(ast.unparse(call.args[0]))
    return found


def test_literal_values_are_seen() -> None:
    for cell in (
        'check("a", False)',
        'check("a", not True)',
        'ok = True\ncheck("a", ok)',
        'check("a", 3 > 2)',
    ):
        assert literal_values(cell), cell
    for cell in ('check("a", x > 2)', 'check("a", len("x") > 2)', 'x = f()\ncheck("a", x)'):
        assert not literal_values(cell), cell


@pytest.mark.parametrize("chapter", CHAPTERS, ids=WRITTEN)
def test_no_verdict_rests_on_literals_alone(chapter: Path) -> None:
    cells = [cell.source for cell in jupytext.read(chapter).cells if cell.cell_type == "code"]
    found = [one for cell in cells if "check(" in cell for one in literal_values(cell)]
    assert not found, f"{chapter.name}: {found} have a value written by hand"


def test_a_verdict_shows_itself_and_escapes_what_it_shows() -> None:
    verdict = claims.check(NUMBER.id, NUMBER.paper, note="<b>")
    bundle = verdict._repr_mimebundle_()
    assert bundle["text/plain"] == f"{NUMBER.id}: {REPRODUCED}"
    assert bundle[claims.MIME]["id"] == NUMBER.id
    assert "&lt;b&gt;" in bundle["text/html"]
    assert f'id="claim-{NUMBER.id}"' in bundle["text/html"]


def test_every_field_of_a_verdict_is_escaped() -> None:
    """Ids, places and needs too: whoever writes a claims.yml writes no markup."""
    hostile = '"><img src=x onerror=alert(1)>$_`|'
    changed = dict.fromkeys(("id", "place", "needs"), hostile)
    claim = dataclasses.replace(NUMBER, **changed)  # type: ignore[arg-type]
    for verdict in (
        claims.Verdict(claim, NEEDS_DATA, ""),
        claims.Verdict(claim, hostile, hostile, hostile),
    ):
        page = verdict._html()
        assert "<img" not in page
        assert page.count("&lt;img") >= 4
        assert page.count('"') == 4  # of class and id


def test_a_claim_of_a_page_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    row = WORDS | {"id": "mine", "paper": True, "chapter": "my-chapter"}
    monkeypatch.setattr("hetlib.book.claims.yaml.safe_load", lambda _: [row])
    claims.load.cache_clear()
    try:
        with pytest.raises(ValueError, match=r"claim mine: there is no page book/my-chapter\.md"):
            claims.load()
    finally:
        claims.load.cache_clear()


@pytest.mark.parametrize("chapter", CHAPTERS, ids=WRITTEN)
def test_the_last_table_takes_its_verdicts_from_the_checks(chapter: Path) -> None:
    table = chapter.read_text().partition("\n## Paper and here\n")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    assert rows or not chapter.stem[0].isdigit()
    for row in rows:
        verdict = row.rstrip(" |").rpartition(" | ")[2]
        typed = [word for word in claims.VERDICTS if word in verdict.lower()]
        assert not typed, f"{typed} is typed in: {row}"
        assert "`v_" in verdict or "{ref}`" in verdict, f"no verdict, and no chapter: {row}"


@pytest.mark.parametrize("chapter", CHAPTERS, ids=WRITTEN)
def test_claims_of_the_summaries_are_introduced(chapter: Path) -> None:
    text = chapter.read_text()
    if re.search(r'check\(\s*"notes-', text):
        assert "two-summaries" in text.partition("\n## Paper and here\n")[0]
