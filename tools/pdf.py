"""The built book as one PDF, printed by a Chromium; make pdf.

    python tools/pdf.py _build/html _build/book.pdf

Each page is opened as it is seen on paper, with its formulas set and its proofs and solutions
unfolded, and put behind the pages before it in one document, whose places and links carry the
page's name. Chromium makes tags, outline and links from that document. Code that a page folds
away is left out: the notebooks have it. What would stick out of the paper is named. pikepdf packs
the tags, which would be a third of the file, and gives the outline the titles as they are:
Chromium says some of them twice.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from html import escape
from io import BytesIO
from pathlib import Path

import pikepdf
import yaml
from playwright.sync_api import Browser, Page, sync_playwright
from tqdm import tqdm

from hetlib import store

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
ADVICE = "no Chromium found; on Debian: apt-get install chromium"
WIDTH = 680  # CSS pixels between the margins of A4

# The article of a page as HTML, with names of its own and links within the book. Headings go down
# one level, below the parts of the book.
TAKE = """async ([name, known]) => {
    await window.MathJax?.startup?.promise;
    const inside = name => 'page-' + name.replace(/[^\\w-]+/g, '-');
    const article = document.querySelector('article.bd-article'), own = inside(name);
    for (const input of article.querySelectorAll('input'))
        input.setAttribute('value', input.value);
    for (const chosen of article.querySelectorAll('option:checked'))
        chosen.setAttribute('selected', '');
    const gone = 'script, noscript, button, details.hide, .headerlink, .takeaway, [hidden], ' +
        '#scorecard-filter, .viewcode-link, .frames img, .frames details';
    for (const e of article.querySelectorAll(gone)) e.remove();
    for (const {math, typesetRoot} of window.MathJax?.startup?.document?.math ?? []) {
        typesetRoot.querySelector('mjx-assistive-mml')?.remove();  // many times the formula's size
        typesetRoot.setAttribute('role', 'img');
        typesetRoot.setAttribute('aria-label', math.trim());
    }
    for (const e of article.querySelectorAll('details')) e.open = true;
    // each span is an element of the tags: those of code stay for keywords, strings and comments
    for (const e of article.querySelectorAll(
        '.highlight span, code span, .sig span, a > span, span[title]:not([class])')) {
        if (!e.id && !/^(k|s|c)[a-z\\d]?$/.test(e.className)) e.replaceWith(...e.childNodes);
    }
    article.normalize();
    const here = place => own + '--' + place;
    for (const e of article.querySelectorAll('*')) {
        if (e.id) e.id = here(e.id);
        for (const key of ['for', 'aria-labelledby', 'aria-describedby', 'aria-controls'])
            if (e.hasAttribute(key))
                e.setAttribute(key, e.getAttribute(key).split(/\\s+/).map(here).join(' '));
        for (const {name: key, value} of [...e.attributes])
            if (value.includes('url(#'))
                e.setAttribute(key, value.replaceAll('url(#', `url(#${own}--`));
            else if (/href$/.test(key) && e.namespaceURI.endsWith('svg') && value.startsWith('#'))
                e.setAttribute(key, '#' + here(value.slice(1)));
    }
    for (const link of article.querySelectorAll('a[href]')) {
        const to = new URL(link.getAttribute('href'), location), path = to.href.split(/[?#]/)[0];
        const target = path === location.href.split(/[?#]/)[0] ? name : known[path];
        const place = decodeURIComponent(to.hash.slice(1));
        if (target) link.setAttribute('href',
            '#' + inside(target) + (place && !place.includes('=') ? '--' + place : ''));
        else if (to.protocol === 'file:') link.removeAttribute('href');
    }
    for (const e of article.querySelectorAll('[src]')) e.setAttribute('src', e.src);
    for (const e of article.querySelectorAll('link[href]')) e.setAttribute('href', e.href);
    for (const old of [...article.querySelectorAll('h1, h2, h3, h4, h5')]) {
        const next = document.createElement('h' + (Number(old.tagName[1]) + 1));
        for (const {name: key, value} of old.attributes) next.setAttribute(key, value);
        next.append(...old.childNodes);
        old.replaceWith(next);
    }
    const styles = document.getElementById('MJX-SVG-styles')?.textContent ?? '';
    return [styles, `<div class="page" id="${own}">${article.innerHTML}</div>`];
}"""
# A table or a piece of code that is wider than the paper is set smaller
FIT = """width => {
    for (const e of document.querySelectorAll('table, code, pre')) {
        const box = e.getBoundingClientRect();
        if (box.right > width) e.style.zoom = (width - 3 - box.left) / (box.right - box.left + 8);
    }
}"""
# Formulas, figures, tables and lines that would be cut at the edge of the paper
CUT = """width => {
    const hides = e => e && (getComputedStyle(e).clipPath !== 'none' || hides(e.parentElement));
    const kinds = 'mjx-container > svg, img, svg, table, pre, p, li, code';
    return [...document.querySelectorAll(kinds)]
        .filter(e => e.getBoundingClientRect().right > width + 3 && !hides(e))
        .map(e => e.closest('.page')?.id + ': ' + e.tagName + ' ' +
            Math.round(e.getBoundingClientRect().right) + ' ' + e.textContent.trim().slice(0, 50));
}"""
TITLES = """() => [...document.querySelectorAll('h1, h2, h3, h4, h5, h6')]
    .map(e => e.textContent.replace(/\\s+/g, ' ').trim())"""
STYLE = """
@page { size: A4; margin: 20mm 15mm 18mm;
    @bottom-center { content: counter(page); font: 9pt sans-serif; } }
@page :first { @bottom-center { content: none; } }
html, body { background: #fff; margin: 0; padding: 0; height: auto; overflow: visible; }
html { font-size: 13.5px; }
.title { margin-top: 35%; text-align: center; font-size: 2.4em; }
.page { break-before: page; }
.part { font-size: 1.1em; font-weight: 400; letter-spacing: 0.04em; margin: 0 0 1.5em; }
.page h2 { font-size: 2em; }
.page h3 { font-size: 1.4em; margin-top: 1.6em; }
.page h4 { font-size: 1.15em; }
h1, h2, h3, h4, h5 { break-after: avoid; }
figure, .cell_output img, .frames, div.math, tr, .lab-panel, pre { break-inside: avoid; }
/* Chromium draws a blurred shadow as a picture */
* { box-shadow: none !important; text-shadow: none !important; }
details > summary { list-style: none; }
.frames-controls input { display: none; }
img, svg { max-width: 100%; }
pre, code, code .pre { white-space: pre-wrap !important; overflow-wrap: anywhere; }
table, .sig { max-width: 100%; overflow-wrap: break-word; }
mjx-container[display=true] { overflow: visible !important; }
mjx-container[display=true] > svg { max-width: 100%; height: auto; }
.output, .pst-scrollable-table-container, .lab-scroll { overflow: visible !important; }
aside.margin.sidebar { float: none; width: auto; margin: 1rem 0; }
"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """The Chromium of the system.

    Raises:
        FileNotFoundError: none is installed.
    """
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        raise FileNotFoundError(ADVICE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(QUIET))
        yield browser
        browser.close()


def contents(toc: dict[str, object]) -> list[tuple[str, list[str]]]:
    """The parts of the book, each with its pages, from _toc.yml; the first is the title's.

    Pages below a page, which are those of the library's rooms, are left out.
    """
    parts = [("", [str(toc["root"])])]
    for part in toc["parts"]:  # type: ignore[attr-defined]
        parts.append((part["caption"], [entry["file"] for entry in part["chapters"]]))
    return parts


def taken(page: Page, html: Path, name: str, known: dict[str, str]) -> tuple[str, str]:
    """One page of the book, as a piece of the document; before it, MathJax's own style."""
    page.goto((html / f"{name}.html").as_uri(), wait_until="load")
    style, piece = page.evaluate(TAKE, [name, known])
    return style, piece


def document(page: Page, html: Path, parts: Iterable[tuple[str, list[str]]], title: str) -> str:
    """The whole book as one HTML document."""
    parts = list(parts)
    names = [name for _part, files in parts for name in files]
    known = {(html / f"{name}.html").as_uri(): name for name in names}
    pieces = {name: taken(page, html, name, known) for name in tqdm(names, desc="pages")}
    page.goto((html / f"{names[0]}.html").as_uri())
    head = page.evaluate(
        "[...document.querySelectorAll('head link[rel=stylesheet]')].map(e => e.href)"
    )
    links = "".join(f'<link rel="stylesheet" href="{escape(href)}">' for href in head)
    body = [f'<p class="title">{escape(title)}</p>']
    for part, files in parts:
        heading = f'<h1 class="part">{escape(part)}</h1>' if part else ""
        for name in files:
            body.append(pieces[name][1].replace(">", f">{heading}", 1))
            heading = ""
    styles = max((style for style, _piece in pieces.values()), key=len)
    return (
        f'<!doctype html><html lang="en" data-theme="light"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title>{links}<style>{styles}{STYLE}</style></head>"
        f'<body><main><article class="bd-article bd-content">{"".join(body)}</article></main>'
        "</body></html>"
    )


def entries(items: Iterable[pikepdf.OutlineItem]) -> Iterator[pikepdf.OutlineItem]:
    """All items of an outline, from the first to the last."""
    for item in items:
        yield item
        yield from entries(item.children)


def packed(printed: bytes, titles: list[str]) -> bytes:
    """A PDF with its objects in streams and these titles in its outline.

    Raises:
        ValueError: the outline has another number of entries.
    """
    out = BytesIO()
    with pikepdf.open(BytesIO(printed)) as file:
        with file.open_outline() as outline:
            for item, title in zip(entries(outline.root), titles, strict=True):
                item.title = title
        file.save(out, object_stream_mode=pikepdf.ObjectStreamMode.generate, recompress_flate=True)
    return out.getvalue()


def write(
    browser: Browser, html: Path, parts: Iterable[tuple[str, list[str]]], title: str, out: Path
) -> list[str]:
    """Write the PDF, and beside it the document that was printed; return what is cut off."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with browser.new_page(viewport={"width": WIDTH, "height": 1000}, offline=True) as page:
        page.emulate_media(media="print", color_scheme="light")
        page.set_default_timeout(600_000)
        whole = out.with_suffix(".html")
        store.write(whole, document(page, html, parts, title))
        page.goto(whole.as_uri(), wait_until="load")
        page.evaluate(FIT, WIDTH)
        cut: list[str] = page.evaluate(CUT, WIDTH)
        printed = page.pdf(
            tagged=True, outline=True, prefer_css_page_size=True, print_background=True
        )
        store.write(out, packed(printed, page.evaluate(TITLES)))
    return cut


def main(html: Path, out: Path) -> str | None:
    """Print the book of a build; return what is wrong with it."""
    root = Path(__file__).parents[1]
    toc = yaml.safe_load((root / "_toc.yml").read_text())
    title = yaml.safe_load((root / "_config.yml").read_text())["title"]
    with chromium() as browser:
        cut = write(browser, html, contents(toc), title, out)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")
    return "cut off at the edge of the paper:\n" + "\n".join(cut) if cut else None


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    raise SystemExit(main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()))
