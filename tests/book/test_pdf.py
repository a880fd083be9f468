"""The printed book: two short pages of it, with tags, outline, links and nothing cut off."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pdf
import pikepdf
import pytest
import yaml
from playwright.sync_api import Browser

pytestmark = pytest.mark.pages

ROOT = Path(__file__).parents[2]
HTML = Path(os.environ.get("HETLIB_HTML", ROOT / "_build" / "html")).resolve()


@pytest.mark.parametrize("wide", [False, True])
def test_two_pages_are_printed(browser: Browser, tmp_path: Path, wide: bool) -> None:
    html = tmp_path / "html" / "book"
    html.mkdir(parents=True)
    line = f'<p><svg width="{2000 if wide else 20}" height="9" style="max-width:none"></svg></p>'
    for name, other in (("one", "two"), ("two", "one")):
        (html / f"{name}.html").write_text(
            f'<!doctype html><html lang="en"><body><article class="bd-article"><h1>Page {name}</h1>'
            f'<h2 id="here">Section</h2><p><a href="{other}.html#here">other</a>, '
            f'<a href="#here">own</a>, <a href="gone.txt">file</a></p>{line}</article>'
            "</body></html>"
        )
    out = tmp_path / "book.pdf"
    parts = [("", ["book/one"]), ("Part", ["book/two"])]
    cut = pdf.write(browser, html.parent, parts, "A title", out)
    assert [place.partition(":")[0] for place in cut] == (
        ["page-book-one", "page-book-two"] if wide else []
    )
    whole = out.with_suffix(".html").read_text()
    places = re.findall(r' id="([^"]+)"', whole)
    assert len(places) == len(set(places))
    links = re.findall(r'<a href="#([^"]+)"', whole)
    assert len(links) == 4
    assert set(links) == {"page-book-one--here", "page-book-two--here"} <= set(places)
    with pikepdf.open(out) as file:
        assert file.Root.MarkInfo.Marked
        assert "/StructTreeRoot" in file.Root
        links = [link for sheet in file.pages for link in sheet.get("/Annots", [])]
        assert [link.Subtype for link in links] == ["/Link"] * 4
        with file.open_outline() as outline:
            told = [item.title for item in pdf.entries(outline.root)]
    assert told == ["Page one", "Section", "Part", "Page two", "Section"]
    assert out.stat().st_size < 60_000


def test_every_page_of_the_contents_but_the_rooms_is_printed() -> None:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    listed = re.findall(r"(?:file|root): (?!book/api/)(\S+)", (ROOT / "_toc.yml").read_text())
    assert [name for _part, names in pdf.contents(toc) for name in names] == listed


PAGES = sorted((HTML / "notebooks").glob("*.html"))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_chapter_weighs_less_than_two_and_a_half_megabytes(path: Path) -> None:
    """The page and its own pictures; what all pages share is loaded once."""
    pictures = {
        path.parent / src for src in re.findall(r'src="(\.\./_images/[^"]+)"', path.read_text())
    }
    weight = path.stat().st_size + sum(picture.stat().st_size for picture in pictures)
    assert weight < 2.5e6


def test_mathjax_is_loaded_where_there_is_maths() -> None:
    for path in HTML.rglob("*.html"):
        text = path.read_text()
        if "mathjax/tex-svg" in text:
            assert re.search(r'class="([^"]* )?math\b', text), path.name


def test_the_largest_chapter_is_painted_soon(browser: Browser) -> None:
    """From disk, the fastest of three: a machine has other things to do."""
    largest = max(PAGES, key=lambda path: path.stat().st_size)
    times = []
    for _ in range(3):
        with browser.new_page(viewport={"width": 1400, "height": 1000}, offline=True) as page:
            page.goto(largest.as_uri())
            times.append(
                page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
            )
    assert min(times) < 1500
