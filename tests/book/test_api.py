"""The API pages: every public module is on one, summaries are sentences, examples run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import rooms
import yaml

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "book" / "api").glob("*.md"))
LANDING = (ROOT / "book" / "api.md").read_text()
EXAMPLES = re.findall(r"^## (.+?)\n.*?^```python\n(.*?)^```", LANDING, re.DOTALL | re.MULTILINE)


def test_every_public_module_is_on_one_page() -> None:
    shown = [m for page in PAGES for room in rooms.MARK.findall(page.read_text())
             for m in rooms.modules(room)]  # fmt: skip
    assert sorted(shown) == rooms.modules("hetlib")


def test_every_page_is_listed() -> None:
    parts = yaml.safe_load((ROOT / "_toc.yml").read_text())["parts"]
    listed = [s["file"] for p in parts for c in p["chapters"] for s in c.get("sections", [])]
    assert {f"book/api/{page.stem}" for page in PAGES} <= set(listed)


def test_what_is_internal_is_not_listed() -> None:
    for module in rooms.modules("hetlib"):
        assert not [n for n in [*module.split("."), *rooms.names(module)] if n.startswith("_")]


def test_a_summary_is_a_whole_sentence() -> None:
    from docutils.frontend import get_default_settings
    from docutils.parsers.rst import Parser
    from docutils.utils import new_document
    from sphinx.ext import autosummary

    known = autosummary.WELL_KNOWN_ABBREVIATIONS
    try:
        autosummary.WELL_KNOWN_ABBREVIATIONS = (*known, *rooms.ABBREVIATIONS)
        page = new_document("", get_default_settings(Parser()))
        for short in rooms.ABBREVIATIONS:
            first = f"The policy of {short} 3, exact."
            assert autosummary.extract_summary([f"{first} More."], page) == first
    finally:
        autosummary.WELL_KNOWN_ABBREVIATIONS = known


@pytest.mark.parametrize(("title", "code"), EXAMPLES, ids=[title for title, _ in EXAMPLES])
def test_examples_run(title: str, code: str) -> None:
    if "import torch" in code:
        pytest.importorskip("torch")
    assert len(code.splitlines()) <= 10
    exec(compile(code, title, "exec"), {})  # noqa: S102  (an example of the page)


def test_every_task_has_an_example() -> None:
    assert [title for title, _ in EXAMPLES] == re.findall(r"^## (.+)$", LANDING, re.MULTILINE)
