"""The built book: every link leads somewhere, and every page works in a browser, offline.

``HETLIB_HTML`` names another build than ``_build/html``.
"""

from __future__ import annotations

import os
from functools import cache
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from playwright.sync_api import Browser, ConsoleMessage, Page
from playwright.sync_api import Error as BrowserError

pytestmark = pytest.mark.pages

ROOT = Path(__file__).parent.parent
HTML = Path(os.environ.get("HETLIB_HTML", ROOT / "_build" / "html")).resolve()
NAMES = sorted(
    str(path.relative_to(HTML))
    for path in HTML.rglob("*.html")
    if "_static" not in path.relative_to(HTML).parts
)
THEMES = ("light", "dark")
WIDTHS = (1400, 400)
AXE = (files("axe_playwright_python") / "axe.min.js").read_text()


class Source(HTMLParser):
    """What a page's HTML refers to and can be referred to by."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []  # what the browser fetches by itself
        self.images: list[tuple[str, str]] = []
        self.classes: set[str] = set()
        self.moved = False
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        self.ids.update(given[key] for key in ("id", "name") if key in given)
        self.classes.update(given.get("class", "").split())
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload"):
            self.loads.append(given["href"])
        if "src" in given:
            self.loads.append(given["src"])
        if tag == "img":
            self.images.append((given.get("src", ""), given.get("alt", "")))
        if given.get("http-equiv", "").lower() == "refresh":
            self.moved = True
            self.links.append(given["content"].partition("url=")[2])


@cache
def source(name: str) -> Source:
    return Source(HTML / name)


def fault(name: str, link: str) -> str | None:
    """What is wrong with a link from page ``name`` to a place in the book."""
    parts = urlsplit(link)
    if parts.scheme:
        return None
    target = (HTML / name).parent / unquote(parts.path) if parts.path else HTML / name
    target = target.resolve()
    if not target.is_file():
        return f"{link}: no such file"
    anchor = unquote(parts.fragment)
    if anchor and target.suffix == ".html":
        if anchor not in source(str(target.relative_to(HTML))).ids:
            return f"{link}: no such anchor"
    return None


def test_book_is_built() -> None:
    assert NAMES, f"there are no pages in {HTML}: run make book"
    toc = yaml.safe_load((HTML.parent.parent / "_toc.yml").read_text())
    listed = [toc["root"]] + [c["file"] for part in toc["parts"] for c in part["chapters"]]
    missing = [name for name in listed if f"{name}.html" not in NAMES]
    assert not missing, f"{missing} of _toc.yml are not in the build: run make book"


@pytest.mark.parametrize("name", NAMES)
def test_links(name: str) -> None:
    broken = [wrong for link in source(name).links if (wrong := fault(name, link))]
    assert not broken, f"{name} links to\n" + "\n".join(broken)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_loaded_from_elsewhere(name: str) -> None:
    loads = [load for load in source(name).loads if not load.startswith("data:")]
    remote = [load for load in loads if urlsplit(load).netloc]
    missing = [wrong for load in loads if (wrong := fault(name, load))]
    assert not remote + missing, f"{name} loads {remote + missing}"


@pytest.mark.parametrize("name", NAMES)
def test_images_are_described(name: str) -> None:
    # an image without alt text gets its file's name from Sphinx
    bare = [src for src, alt in source(name).images if not alt.strip() or alt == src]
    assert not bare, f"{name}: no alt text for {bare}"


def test_external_links_are_addresses() -> None:
    """Lists them (pytest -rP shows the list); whether they answer is not for CI to find out."""
    linked = {link: name for name in NAMES for link in source(name).links if "//" in link}
    for link, name in sorted(linked.items()):
        print(link, "in", name)
    odd = {link for link in linked if urlsplit(link).scheme not in ("http", "https")}
    odd |= {link for link in linked if "." not in urlsplit(link).netloc or " " in link}
    assert not odd, {link: linked[link] for link in odd}


# ---- in the browser ----

SELECTOR = """e => e.tagName.toLowerCase() + (e.id && '#' + e.id) +
    [...e.classList].slice(0, 3).map(c => '.' + c).join('')"""
# Whatever a reader can unfold must be as good as the rest
UNFOLD = """() => {
    for (const e of document.querySelectorAll('details')) e.open = true;
    for (const e of document.querySelectorAll('.toggle-hidden')) e.classList.remove('toggle-hidden');
}"""
# MathJax marks errors, sets unknown macros in red, and must have replaced every formula
TEX = """() => [
    ...[...document.querySelectorAll('[data-mml-node=merror]')].map(
        e => 'TeX error: ' + (e.getAttribute('data-mjx-error') ?? e.textContent)),
    ...[...document.querySelectorAll('[data-mml-node=mtext][fill=red]')].map(
        e => 'unknown TeX macro in ' + e.closest('mjx-container')?.textContent.slice(0, 80)),
    ...[...document.querySelectorAll('.math')].filter(e => !e.querySelector('mjx-container')).map(
        e => 'formula not typeset: ' + e.textContent.slice(0, 80))]"""
# Elements that stick out on the right and that no scroll bar of their own gives access to
WIDE = (
    """() => {
    const reachable = e => e && e !== document.body && (
        ['auto', 'scroll'].includes(getComputedStyle(e).overflowX) || reachable(e.parentElement));
    const out = [...document.querySelectorAll('article *')].filter(
        e => e.getBoundingClientRect().right > innerWidth + 1 && e.offsetWidth > 1 &&
             e.checkVisibility({visibilityProperty: true, opacityProperty: true}) && !reachable(e));
    const wide = document.documentElement.scrollWidth;
    const lines = out.slice(0, 5).map(e => 'sticks out of the page: ' + (%s)(e));
    return wide > innerWidth ? [`scrolls sideways, ${wide} px`, ...lines] : lines;
}"""
    % SELECTOR
)


def listen(page: Page) -> list[str]:
    """A list that grows with everything that goes wrong while the page is open."""
    heard: list[str] = []

    def console(message: ConsoleMessage) -> None:
        if message.type == "error":
            heard.append(f"console: {message.text}")

    page.on("console", console)
    page.on("pageerror", lambda error: heard.append(f"script: {error}"))
    page.on("requestfailed", lambda request: heard.append(f"not loaded: {request.url}"))
    page.on(
        "request",
        lambda request: (
            None
            if urlsplit(request.url).scheme in ("file", "data", "blob")
            else heard.append(f"request: {request.url}")
        ),
    )
    return heard


def open_page(browser: Browser, name: str, theme: str, width: int) -> tuple[Page, list[str]]:
    """A page opened from disk, its mathematics typeset, and its list of complaints."""
    page = browser.new_page(
        viewport={"width": width, "height": 1000},
        color_scheme="dark" if theme == "dark" else "light",
        offline=True,
    )
    page.add_init_script(
        f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')"
    )
    heard = listen(page)
    page.goto((HTML / name).as_uri())
    if "math" in source(name).classes:
        try:
            page.wait_for_function("window.MathJax?.startup?.promise", timeout=10_000)
            page.evaluate("MathJax.startup.promise.then(() => true)")
        except BrowserError as error:
            heard.append(f"MathJax did not run: {error.message.splitlines()[0]}")
    page.evaluate(UNFOLD)
    return page, heard


def accessibility(page: Page) -> list[str]:
    """The serious and critical violations that axe-core finds."""
    page.evaluate(AXE)
    # preload would fetch the style sheets, which a page opened from disk must not
    found: dict[str, Any] = page.evaluate(
        "axe.run(document, {resultTypes: ['violations'], preload: false})"
    )
    return [
        f"{rule['id']} ({rule['impact']}): {node['target']} {node['failureSummary'].splitlines()[1]}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"][:5]
    ]


@pytest.mark.parametrize("name", [name for name in NAMES if not source(name).moved])
def test_page_in_the_browser(browser: Browser, name: str) -> None:
    problems = []
    for theme in THEMES:
        for width in WIDTHS:
            page, heard = open_page(browser, name, theme, width)
            with page:
                heard += page.evaluate(TEX) + page.evaluate(WIDE)
                if page.locator("html").get_attribute("data-theme") != theme:
                    heard.append("the theme did not take")
                heard += accessibility(page)
            problems += [f"{name}, {theme}, {width} px: {complaint}" for complaint in heard]
    assert not problems, "\n" + "\n".join(problems)
