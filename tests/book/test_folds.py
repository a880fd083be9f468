"""What a page folds: verdicts of a section, code of figures; filters and downloads of claims."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import folds
import pytest
import scorecard
from docutils import nodes
from docutils.frontend import get_default_settings
from docutils.parsers.rst import Parser
from docutils.utils import new_document

from hetlib.book.claims import FAILED, GOOD, VERDICTS, Verdict, check, load

ROOT = Path(__file__).parents[2]


def cell(source: str, *outputs: nodes.Node) -> nodes.container:
    """A cell as the reader of notebooks makes it."""
    whole = nodes.container(nb_element="cell_code", classes=["cell"])
    text = nodes.container("", nodes.literal_block(text=source), nb_element="cell_code_source")
    whole += text
    if outputs:
        whole += nodes.container("", *outputs, nb_element="cell_code_output")
    return whole


def verdict(claim: str, value: Any = True) -> nodes.raw:
    return nodes.raw("", check(claim, value)._html(), format="html")


def page(*children: nodes.Node) -> nodes.document:
    document = new_document("page", get_default_settings(Parser()))
    section = nodes.section("", nodes.title(text="One"), *children)
    section += nodes.section("", nodes.title(text="Inside"), nodes.paragraph(text="text"))
    document += section
    return document


def gathered(document: nodes.document, found: set[str] = frozenset()) -> nodes.section:  # type: ignore[assignment]
    transform = folds.Gather(document, startnode=document)
    env = SimpleNamespace(docname="notebooks/x", found_docs=set(found))
    builder = SimpleNamespace(get_relative_uri=lambda a, b: f"../{b}.html")
    transform.env, transform.app = env, SimpleNamespace(builder=builder)
    folds.Gather.run(transform)
    folds.FigureFirst.run(folds.FigureFirst(document, startnode=document))
    return next(iter(document.findall(nodes.section)))


IDS = [c.id for c in load().values() if c.paper is True and c.settings == "all"][:3]


@pytest.fixture(autouse=True)
def _own_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sphinx's transforms find env and app through the document's settings."""
    monkeypatch.setattr(folds.Gather, "env", None, raising=False)
    monkeypatch.setattr(folds.Gather, "app", None, raising=False)


def test_verdicts_stand_folded_at_the_end_of_their_section() -> None:
    first = cell("check()", verdict(IDS[0]), verdict(IDS[1], False))
    last = nodes.paragraph(text="last words")
    section = gathered(page(first, cell("check()", verdict(IDS[2])), last))
    kinds = [type(child).__name__ for child in section.children]
    assert kinds == ["title", "paragraph", "container", "section"]
    text = section.children[2].astext()
    assert text.startswith('<details class="verdicts"><summary>3 claims:')
    assert text.index("1 not reproduced") < text.index("2 reproduced")
    assert all(f'id="claim-{one}"' in text for one in IDS)
    assert text.rstrip().endswith("</details>")


def test_other_outputs_of_a_cell_of_checks_stay() -> None:
    table = nodes.raw("", "<table><tr><td>1</td></tr></table>", format="html")
    section = gathered(page(cell("show()", table, verdict(IDS[0]))))
    stays = section.children[1]
    assert "<table>" in stays.astext()
    assert "verdict-" not in stays.astext()
    assert stays.children[0].get("nb_element") == "cell_code_output"
    assert stays["prompt_show"].lower() == "show the code of this table"


def test_a_figure_stands_before_its_code_and_a_definition_does_not_fold() -> None:
    picture = cell("plot()", nodes.image(uri="x.png"))
    slider = cell("plot()", nodes.raw("", '<div class="frames">', format="html"))
    rows = cell("def f(): ...", nodes.raw("", "<table></table>", format="html"))
    plain = cell("print(1)", nodes.literal_block(text="1"))
    section = gathered(page(picture, slider, rows, plain))
    for one in section.children[1:3]:
        assert one["hide_mode"] == "input"
        assert one.children[0].get("nb_element") == "cell_code_output"
    for one in section.children[3:5]:
        assert "hide_mode" not in one
        assert one.children[0].get("nb_element") == "cell_code_source"


def test_formulas_of_a_verdict_are_set() -> None:
    box = nodes.container("", nodes.raw("", "<em>the sign of $f$ &lt; $g_1$</em>", format="html"))
    folds.set_formulas(box)
    assert "$" not in box.astext()
    assert box.astext().count('<span class="math notranslate nohighlight">\\(') == 2
    assert "\\(f\\)</span> &lt; " in box.astext()


def test_a_table_whose_cell_is_folded_is_named_even_with_a_definition() -> None:
    rows = cell("def f(): ...", nodes.raw("", "<table></table>", format="html"))
    rows["hide_mode"] = "input"
    gathered(page(rows))
    assert rows["prompt_show"] == "Show the code of this table"


def test_a_verdict_leads_to_its_row() -> None:
    section = gathered(page(cell("check()", verdict(IDS[0]))), {"book/scorecard"})
    assert f'<a href="../book/scorecard.html#row-{IDS[0]}"><code>' in section.astext()


@pytest.mark.parametrize("profile", ["quick", "full", None])
def test_only_a_quick_page_says_that_it_is_one(
    profile: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {} if profile is None else {"provenance": {"profile": profile}}
    monkeypatch.setattr(folds, "read_notebook", lambda path: SimpleNamespace(metadata=made))
    (tmp_path / "x.ipynb").touch()
    document = page(nodes.paragraph(text="text"))
    app: Any = SimpleNamespace(env=SimpleNamespace(srcdir=tmp_path, docname="x"))
    folds.banner(app, document)
    assert ("A quick run" in document.astext()) == (profile == "quick")


# ---- the scorecard ----


def test_every_verdict_has_a_colour_and_is_good_bad_or_open() -> None:
    css = (ROOT / "book" / "_static" / "book.css").read_text()
    for one in VERDICTS:
        assert f".verdict-{scorecard.slug(one)}" in css
    assert not {*FAILED} & {*GOOD}


def test_rows_cover_all_claims_and_follow_the_chapters() -> None:
    found = scorecard.rows(ROOT / "notebooks")
    assert {row.claim.id for row in found} == set(load())
    chapters = [row.claim.chapter for row in found]
    assert chapters == sorted(chapters)


def test_downloads_hold_every_claim_with_its_verdict(tmp_path: Path) -> None:
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "scorecard.html").touch()
    app: Any = SimpleNamespace(outdir=tmp_path, srcdir=ROOT)
    scorecard.downloads(app, None)
    table = list(csv.DictReader(io.StringIO((tmp_path / "book" / "scorecard.csv").read_text())))
    records = json.loads((tmp_path / "book" / "scorecard.json").read_text())
    assert [row["id"] for row in table] == [row["id"] for row in records]
    assert {row["id"] for row in table} == set(load())
    assert all(row["verdict"] in VERDICTS for row in table)


def test_a_failure_shows_its_reason() -> None:
    claim = next(c for c in load().values() if c.paper is True)
    import dataclasses

    broken = dataclasses.replace(
        claim, fails="step", weight="cosmetic", repaired="It holds for <two> types."
    )
    page_ = Verdict(broken, "not reproduced", "does not hold")._html()
    assert "Fails: step (cosmetic). It holds for &lt;two&gt; types." in page_
    assert "Fails" not in Verdict(broken, "reproduced", "holds")._html()


def test_a_comma_stays_with_its_formula() -> None:
    pieces = [nodes.Text("a ("), nodes.math(text="x"), nodes.Text("), b "), nodes.math(text="y")]
    document = page(nodes.paragraph("", "", *pieces, nodes.Text(" and c")))
    folds.Together.run(folds.Together(document, startnode=document))
    (box,) = [node for node in document.findall(nodes.inline) if node["classes"] == ["together"]]
    assert box.astext() == "(x),"
    assert box.parent.astext() == "a (x), b y and c"
