"""The built book: every link leads somewhere, and every page works in a browser, offline.

``HETLIB_HTML`` names another build than ``_build/html``.
"""

from __future__ import annotations

import os
from contextlib import suppress
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

ROOT = Path(__file__).parents[2]
HTML = Path(os.environ.get("HETLIB_HTML", ROOT / "_build" / "html")).resolve()
NAMES = sorted(
    str(path.relative_to(HTML))
    for path in HTML.rglob("*.html")
    if "_static" not in path.relative_to(HTML).parts
)
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


def in_book(path: Path) -> str:
    return str(path.relative_to(HTML))


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
    known = not anchor or target.suffix != ".html" or anchor in source(in_book(target)).ids
    return None if known else f"{link}: no such anchor"


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

# Whatever a reader can unfold must be as good as the rest
UNFOLD = """() => {
    for (const e of document.querySelectorAll('details')) e.open = true;
    for (const e of document.querySelectorAll('.toggle-hidden'))
        e.classList.remove('toggle-hidden');
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
WIDE = """() => {
    const reachable = e => e && e !== document.body && (
        ['auto', 'scroll'].includes(getComputedStyle(e).overflowX) || reachable(e.parentElement));
    const shown = e => e.offsetWidth > 1 && !e.closest('mjx-assistive-mml') &&
        e.checkVisibility({visibilityProperty: true, opacityProperty: true});
    const out = [...document.querySelectorAll('article *')].filter(
        e => e.getBoundingClientRect().right > innerWidth + 1 && shown(e) && !reachable(e));
    const selector = e => [e.tagName, ...e.classList].join('.') + (e.id && '#' + e.id) +
        ' ' + e.textContent.slice(0, 60);
    const wide = document.documentElement.scrollWidth;
    return [...(wide > innerWidth ? [`scrolls sideways, ${wide} px`] : []),
        ...out.slice(0, 5).map(e => 'sticks out of the page: ' + selector(e))];
}"""
# After a change of width the theme makes what now scrolls reachable by keyboard, a little later
SETTLED = """() => [...document.querySelectorAll('pre')].every(
    e => e.scrollWidth <= e.clientWidth || e.tabIndex >= 0)"""
# axe-core looks at every node: leave one span of each kind of code, and the text of each formula
THIN = """() => {
    const kinds = new Set();
    for (const e of document.querySelectorAll('.highlight span'))
        if (kinds.has(e.className)) e.replaceWith(e.textContent); else kinds.add(e.className);
    for (const e of document.querySelectorAll('mjx-container')) e.replaceChildren(e.textContent);
}"""


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


def open_page(browser: Browser, theme: str, width: int, **more: Any) -> Page:
    page = browser.new_page(
        viewport={"width": width, "height": 1000},
        color_scheme="dark" if theme == "dark" else "light",
        offline=True,
        **more,
    )
    page.add_init_script(
        f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')"
    )
    return page


def load(page: Page, name: str) -> list[str]:
    """Open a page from disk and unfold it; what went wrong so far and will from now on."""
    heard = listen(page)
    page.goto((HTML / name).as_uri())
    if "math" in source(name).classes:
        try:
            page.wait_for_function("window.MathJax?.startup?.promise", timeout=30_000)
            page.evaluate("MathJax.startup.promise.then(() => true)")
        except BrowserError as error:
            heard.append(f"MathJax did not run: {error.message.splitlines()[0]}")
    page.evaluate(UNFOLD)
    return heard


def resize(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 1000})
    with suppress(BrowserError):  # if it never comes about, axe-core will say so
        page.wait_for_function(SETTLED, timeout=2000)


def accessibility(page: Page, contrast: bool) -> list[str]:
    """The serious and critical violations that axe-core finds."""
    options = {
        "resultTypes": ["violations"],
        "preload": False,  # would fetch style sheets, which a page opened from disk must not
        "rules": {"color-contrast": {"enabled": contrast}},
    }
    page.evaluate(AXE)
    found: dict[str, Any] = page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{rule['id']}, {rule['impact']}: {node['target']} {node['failureSummary'].splitlines()[1]}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"][:5]
    ]


#: Listings of source code have one template and no prose: axe looks at the first of them.
LISTINGS = [name for name in NAMES if name.startswith("_modules/hetlib/")]


@pytest.mark.parametrize("name", [name for name in NAMES if not source(name).moved])
def test_page_in_the_browser(browser: Browser, name: str) -> None:
    """Each theme at each width; loaded on a desktop in light and on a phone in dark."""
    problems: list[str] = []

    def note(complaints: list[str]) -> None:
        problems.extend(f"{name}, {theme}, {width} px: {complaint}" for complaint in complaints)

    for theme, widths in {"light": (1400, 400), "dark": (400, 1400)}.items():
        width = widths[0]
        with open_page(browser, theme, width) as page:
            heard = load(page, name)
            for width in widths:
                resize(page, width)
                note(heard + page.evaluate(TEX) + page.evaluate(WIDE))
                heard.clear()
                if page.locator("html").get_attribute("data-theme") != theme:
                    note(["the theme did not take"])
            if name in LISTINGS[1:]:
                continue
            page.evaluate(THIN)
            for width in (400, 1400) if theme == "light" else (1400,):
                resize(page, width)
                # contrast is slow, and colours do not depend on the width
                note(accessibility(page, contrast=width == 1400))
            note(heard)
    assert not problems, "\n" + "\n".join(problems)


WITH_FRAMES = [name for name in NAMES if "frames" in source(name).classes]
STATE = "e => [...e.querySelectorAll('svg, output, .frames-values')].map(x => x.innerHTML).join()"


def test_there_are_figures_with_sliders() -> None:
    assert WITH_FRAMES or "notebooks/04-drawbacks.html" not in NAMES


@pytest.mark.parametrize("name", WITH_FRAMES)
def test_sliders_change_their_figure(browser: Browser, name: str) -> None:
    with open_page(browser, "light", 400) as page:
        heard = load(page, name)
        for number, figure in enumerate(page.locator(".frames").all()):
            sliders = figure.locator("input[type=range]").all()
            assert sliders, f"{name}: figure {number} with frames has no slider"
            for slider in sliders:
                before = figure.evaluate(STATE)
                key = "Home" if slider.input_value() == slider.get_attribute("max") else "End"
                slider.press(key)
                label = slider.get_attribute("aria-valuetext")
                assert figure.evaluate(STATE) != before, f"{name}: {label} changes nothing"
                assert label, f"{name}: a slider of figure {number} does not say its value"
        assert not heard, f"{name}: {heard}"


@pytest.mark.parametrize("name", WITH_FRAMES)
def test_without_scripts_a_picture_stands_in(browser: Browser, name: str) -> None:
    with open_page(browser, "light", 1400, java_script_enabled=False) as page:
        page.goto((HTML / name).as_uri())
        for picture in page.locator(".frames img").all():
            assert picture.is_visible(), f"{name}: no static picture"
