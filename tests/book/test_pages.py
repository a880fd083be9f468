"""The built book: every link leads somewhere, and every page works in a browser, offline.

Read from the HTML, for every page: links and anchors lead somewhere, nothing is loaded from
elsewhere or missing, every picture is described, addresses of other sites are addresses; proofs,
statements and tables have names, toggles say what they open, headings are in order, and fewer than
30 stops of the Tab key come before the first slider.

In the browser, for every page, everything unfolded:

- loaded on a desktop in light: no script error, no request to the network, no file missing; the
  theme takes; every formula is typeset; pages that move are loaded on a phone in dark, too;
- in both themes at both widths: nothing sticks out sideways unless it scrolls;
- formulas and code are whole at 1400 and 1200 px and on paper, and nothing scrolls on paper; what
  scrolls elsewhere fades at its edge and is reached by the keyboard;
- on paper figures with sliders show several settings, and no page breaks inside code and figures;
- by axe-core, no serious or critical violation: all rules at both widths, and those that look
  at colours in both themes;
- figures with sliders: each slider changes its figure and says its value; without scripts a
  picture stands in.

To save time, listings of source code that have the same outline are looked at once for each
outline, axe-core is shown a page without what it has three times already (THIN), and judges the
colours of one text of each kind (KINDS): same tag, font, colour and grounds and parent.
``test_faults_are_found`` plants each fault in a small page.

``HETLIB_HTML`` names another build than ``_build/html``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from functools import cache
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

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
# Seconds that what a page does by itself may take; test_faults_are_found, on small pages, has less
PATIENCE = {"settle": 2.0, "sheets": 4.0, "theme": 8.0}


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
        self.faults: list[str] = []  # what a screen reader or the keyboard would stumble over
        self.names: set[str] = set()  # of regions
        self.stops: int | None = 0  # of the Tab key in the article so far; None after a slider
        self.shut = 0  # folds around that are closed
        self.folds: list[bool] = []
        self.level = 0
        self.summary: str | None = None
        self.nameless_table = False
        self.most = 0  # stops on the shortest way to the first slider
        self.in_article = False
        self.outline = ""  # all tags but those inside code, with their classes and scripts
        self.in_code = False
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        if not self.in_code:
            self.outline += f"{tag}.{given.get('class')}.{Path(given.get('src', '')).name} "
        self.in_code |= tag == "pre"
        self.hear(tag, given)
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

    def hear(self, tag: str, given: dict[str, str]) -> None:
        """What the keyboard reaches, and what a screen reader is told."""
        self.in_article |= tag == "article"
        if self.nameless_table and tag != "caption":
            self.faults.append("a table without a name")
        named = given.get("aria-label") or given.get("aria-labelledby")
        laid_out = "indextable" in given.get("class", "")  # columns of an index
        self.nameless_table = tag == "table" and self.in_article and not (named or laid_out)
        if tag == "details":
            self.folds.append("open" not in given)
            self.shut += self.folds[-1]
        if tag == "summary" and self.in_article:
            self.summary = given.get("aria-label", "")
        if "proof" in given.get("class", "").split() and not (given.get("role") and named):
            self.faults.append(f"a statement or proof that is no named region: {given}")
        if given.get("role") == "region" and named:
            if named in self.names:
                self.faults.append(f"two regions named {named}")
            self.names.add(named)
        if re.fullmatch("h[1-6]", tag) and self.in_article:
            if int(tag[1]) > self.level + 1:
                self.faults.append(f"{tag} after h{self.level}")
            self.level = int(tag[1])
        stop = (tag == "a" and "href" in given) or tag in ("button", "input", "select", "summary")
        reached = self.shut == 0 or (self.shut == 1 and self.summary is not None)
        if self.stops is not None and self.in_article:
            if "frames" in given.get("class", "").split():
                self.most, self.stops = min(self.most or self.stops, self.stops), None
            elif stop and reached and given.get("tabindex") != "-1":
                self.stops += 1
                if given.get("href") == "#first-slider":  # the short way, and the slider
                    self.most = self.stops + 1

    def handle_data(self, data: str) -> None:
        if self.summary is not None:
            self.summary += data

    def handle_endtag(self, tag: str) -> None:
        self.in_code &= tag != "pre"
        self.in_article &= tag != "article"
        if tag == "details" and self.folds:
            self.shut -= self.folds.pop()
        if tag == "summary" and self.summary is not None:
            if not self.summary.strip() or "Toggle" in self.summary:
                self.faults.append(f"a fold that does not say what it opens: {self.summary!r}")
            self.summary = None


@cache
def source(path: Path) -> Source:
    return Source(path)


def fault(page: Path, link: str) -> str | None:
    """What is wrong with a link from a page to a place in the book."""
    parts = urlsplit(link)
    if parts.scheme:
        return None
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not target.is_file():
        return f"{link}: no such file"
    anchor = unquote(parts.fragment)
    if target.name == "scorecard.html" and anchor.startswith("verdict="):
        return None  # a filter, not a place
    known = not anchor or target.suffix != ".html" or anchor in source(target).ids
    return None if known else f"{link}: no such anchor"


def broken_links(page: Path) -> list[str]:
    return [wrong for link in source(page).links if (wrong := fault(page, link))]


def wrong_loads(page: Path) -> list[str]:
    loads = [load for load in source(page).loads if not load.startswith("data:")]
    remote = [load for load in loads if urlsplit(load).netloc]
    return remote + [wrong for load in loads if (wrong := fault(page, load))]


def bare_images(page: Path) -> list[str]:
    # an image without alt text gets its file's name from Sphinx
    return [src for src, alt in source(page).images if not alt.strip() or alt == src]


def test_book_is_built() -> None:
    assert NAMES, f"there are no pages in {HTML}: run make book"
    toc = yaml.safe_load((HTML.parent.parent / "_toc.yml").read_text())
    chapters = [chapter for part in toc["parts"] for chapter in part["chapters"]]
    below = [section for chapter in chapters for section in chapter.get("sections", [])]
    listed = [toc["root"], *(page["file"] for page in chapters + below)]
    missing = [name for name in listed if f"{name}.html" not in NAMES]
    assert not missing, f"{missing} of _toc.yml are not in the build: run make book"


@pytest.mark.parametrize("name", NAMES)
def test_links(name: str) -> None:
    broken = broken_links(HTML / name)
    assert not broken, f"{name} links to\n" + "\n".join(broken)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_loaded_from_elsewhere(name: str) -> None:
    wrong = wrong_loads(HTML / name)
    assert not wrong, f"{name} loads {wrong}"


@pytest.mark.parametrize("name", NAMES)
def test_images_are_described(name: str) -> None:
    bare = bare_images(HTML / name)
    assert not bare, f"{name}: no alt text for {bare}"


def stumbles(page: Path) -> list[str]:
    found = source(page)
    far = [f"{found.most} stops before the first slider"] if found.most >= 30 else []
    return found.faults + far


@pytest.mark.parametrize("name", NAMES)
def test_ear_and_keyboard(name: str) -> None:
    found = stumbles(HTML / name)
    assert not found, f"{name}\n" + "\n".join(found)


UNREAD = re.compile(
    r"<(pre|code|script|style|title|option)\b.*?</\1>|<(span|div) class=\"math.*?</\2>|<[^>]*>",
    re.DOTALL,
)


def bare_formulas(page: Path) -> list[str]:
    """What stands between dollars in the text of a page, where it should be a formula."""
    return re.findall(r"\$[^$]{1,80}\$", UNREAD.sub("", page.read_text("utf-8")))


@pytest.mark.parametrize("name", NAMES)
def test_formulas_are_not_left_as_they_are_typed(name: str) -> None:
    assert not bare_formulas(HTML / name), name


def test_external_links_are_addresses() -> None:
    """Lists them (pytest -rP shows the list); whether they answer is not for CI to find out."""
    linked = {link: name for name in NAMES for link in source(HTML / name).links if "//" in link}
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
    const still = document.createElement('style');  // colours and sizes change at once
    still.textContent = '*, ::before, ::after { transition: none !important }';
    document.head.append(still);
}"""
STATE = "e => [...e.querySelectorAll('svg, output, .frames-values')].map(x => x.innerHTML).join()"
# MathJax marks errors, sets unknown macros in red, and must have replaced every formula
TEX = """() => [
    ...[...document.querySelectorAll('[data-mml-node=merror]')].map(
        e => 'TeX error: ' + (e.getAttribute('data-mjx-error') ?? e.textContent)),
    ...[...document.querySelectorAll('[data-mml-node=mtext][fill=red]')].map(
        e => 'unknown TeX macro in ' + e.closest('mjx-container')?.textContent.slice(0, 80)),
    ...[...document.querySelectorAll('.math')].filter(e => !e.querySelector('mjx-container')).map(
        e => 'formula not typeset: ' + e.textContent.slice(0, 80))]"""
# Two thirds of a page's elements stand in its formulas; each keeps a frame of the same size
FRAMES = """() => {
    for (const e of document.querySelectorAll('mjx-container')) {
        e.dataset.text = e.textContent;
        for (const inner of e.children) inner.replaceChildren();
    }
}"""
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
# Formulas and lines of code that are wider than their place
CUT = """() => [...document.querySelectorAll('article :is(mjx-container[display=true] > svg, pre)')]
    .filter(e => {
        const place = e.closest('div.math') ?? e.parentElement;
        const wide = e.matches('pre') ? e.scrollWidth : e.getBoundingClientRect().width;
        return place.clientWidth && wide > place.clientWidth + 1;
    }).concat([...document.querySelectorAll('article :is(p, dd, li) mjx-container > svg')].filter(
        e => e.getBoundingClientRect().right >
            e.closest('p, dd, li').getBoundingClientRect().right + 1)
    ).map(e => `cut off at ${innerWidth} px: ` +
        e.parentElement.textContent.trim().slice(0, 60))"""
# What scrolls sideways without a hint or out of the keyboard's reach
HIDDEN = """() => [...document.querySelectorAll(`article :is(.pst-scrollable-table-container,
        .output, pre, mjx-container[display=true], p, dd)`)]
    .filter(e => e.scrollWidth > e.clientWidth + 2 && e.clientWidth &&
        ['auto', 'scroll'].includes(getComputedStyle(e).overflowX) &&
        !(e.classList.contains('more') && e.tabIndex >= 0))
    .map(e => 'scrolls without a hint: ' + e.textContent.trim().slice(0, 60))"""
# A sheet of A4 with margins of 1 cm
PAPER_WIDTH = 718
PAPER = """() => {
    const all = [...document.querySelectorAll('article *')], out = [];
    const say = e => e.tagName + '.' + e.className + ' ' + e.textContent.trim().slice(0, 60);
    for (const e of all) {
        if (!e.offsetWidth || e.offsetWidth < 2 || e.closest('mjx-assistive-mml')) continue;
        const scrolls = e.scrollWidth > e.clientWidth + 2 &&
            ['auto', 'scroll', 'hidden'].includes(getComputedStyle(e).overflowX);
        if (scrolls || e.getBoundingClientRect().right > innerWidth + 1) out.push('cut: ' + say(e));
    }
    for (const e of document.querySelectorAll('article details:not([open])'))
        out.push('folded: ' + say(e));
    for (const e of document.querySelectorAll('article .frames-live'))
        if (e.querySelectorAll('.frames-one svg > *').length < 20)
            out.push('one setting: ' + say(e));
    for (const e of document.querySelectorAll('article :is(figure, pre, .cell_input, .frames-one)'))
        if (getComputedStyle(e).breakInside !== 'avoid') out.push('breaks: ' + say(e));
    for (const e of document.querySelectorAll('article :is(.frames-key i, .badge-verdict)'))
        if (getComputedStyle(e).printColorAdjust !== 'exact')
            out.push('loses its ground: ' + say(e));
    return out.slice(0, 8);
}"""
# The settings of figures with sliders are drawn once a page turns to paper
SHEETS = """() => [...document.querySelectorAll('article .frames-live')].every(
    e => e.querySelectorAll('.frames-one svg > *').length >= 20)"""
# After a change of width, what now scrolls becomes reachable by keyboard a little later
SETTLED = """() => [...document.querySelectorAll(
    '.pst-scrollable-table-container, .output, pre, mjx-container[display="true"]')].every(
    e => e.scrollWidth <= e.clientWidth || e.tabIndex >= 0 ||
        getComputedStyle(e).overflowX === 'visible')"""
# axe-core looks at every node, several times. Left are one span of each kind of code, the text of
# each formula, and what shows something new: an element goes if it and all that it holds stand
# elsewhere at least three times in the same way, which is with the same tag, classes, styles, roles
# and states, the same attributes and texts empty, scrolling or not, in parents that are so, too.
# What another element names by its id stays, and so does the one text of each kind (KINDS).
THIN = """() => {
    const kinds = new Set();
    for (const e of document.querySelectorAll('.highlight span, code span, .sig span, .sig em')) {
        const kind = e.closest('.highlight, code, .sig').className + e.className;
        const again = kinds.has(kind) && !e.children.length && !('kind' in e.dataset);
        if (again) e.replaceWith(e.textContent); else kinds.add(kind);
    }
    for (const e of document.querySelectorAll('mjx-container')) e.replaceChildren(e.dataset.text);
    const named = new Set();
    for (const what of ['for', 'aria-labelledby', 'aria-describedby', 'aria-controls', 'aria-owns'])
        for (const e of document.querySelectorAll(`[${what}]`))
            for (const id of e.getAttribute(what).split(/\\s+/)) named.add(id);
    const said = /^(class|style|role|type|for|lang|tabindex|scope|aria-(?!label$|valuetext$).*)$/;
    const own = e => [...e.attributes].map(a => a.name +
        (said.test(a.name) ? '=' + a.value : a.value.trim() ? '' : '=')).sort().join() +
        (named.has(e.id) ? '#' + e.id : '') +
        (e.scrollWidth > e.clientWidth && getComputedStyle(e).overflowX !== 'visible' ? '<>' : '');
    const kind = new Map(), seen = new Map();
    for (const e of document.querySelectorAll('body, body *'))
        kind.set(e, e.tagName + own(e) + (e.textContent.trim() ? '' : ' empty') +
            (e.closest('[aria-hidden="true"], [inert]') ? ' hidden' : '') +
            e.closest('a, button, summary, label, [role], [tabindex]')?.tagName);
    const ordered = /^(DL|UL|OL|TABLE)$/, counted = /^(LI|TR|DT|DD|DL|P|DIV|SECTION)$/;
    const place = e => kind.get(e.parentElement.parentElement) + '>' +
        kind.get(e.parentElement) + '>' + kind.get(e) +
        (ordered.test(e.parentElement.tagName) ? e.previousElementSibling?.tagName : '');
    const known = e => seen.get(place(e)) >= 3 && !('kind' in e.dataset);
    const visit = e => {
        for (const child of [...e.children]) {
            if (child !== e.firstElementChild && e.tagName !== 'SUMMARY' && known(child) &&
                [...child.querySelectorAll('*')].every(known)) {
                child.replaceWith(...(counted.test(child.tagName)  // so that nth-child is as it was
                    ? [document.createElement(child.tagName)] : []));
                continue;
            }
            seen.set(place(child), (seen.get(place(child)) ?? 0) + 1);
            visit(child);
        }
    };
    visit(document.body);
}"""
# One text of each kind, by all that decides its contrast: its colour and font, and the grounds,
# opacities and layers of what it stands in
KINDS = """() => {
    const grounds = new Map(), kinds = new Map();
    const read = new Map();  // asked anew by each child, of which some have thousands
    const texts = e => {
        if (!read.has(e)) read.set(e, [...e.childNodes].some(
            n => n.nodeType === Node.TEXT_NODE && n.data.trim()));
        return read.get(e);
    };
    const ground = e => {
        if (!e) return '';
        if (!grounds.has(e)) {
            const s = getComputedStyle(e);
            const own = [s.backgroundColor, s.backgroundImage, s.opacity, s.filter, s.mixBlendMode,
                ['static', 'relative'].includes(s.position) ? '' : s.position].join();
            const plain = 'rgba(0, 0, 0, 0),none,1,none,normal,';
            grounds.set(e, ground(e.parentElement) + (own === plain ? '' : '|' + own));
        }
        return grounds.get(e);
    };
    for (const e of document.body.querySelectorAll('*')) {
        if (!texts(e)) continue;
        if (!e.checkVisibility({visibilityProperty: true, opacityProperty: true})) continue;
        const s = getComputedStyle(e);
        const kind = [e.tagName, ground(e), s.color, s.fontSize, s.fontWeight, s.textShadow,
            s.textDecorationLine, getComputedStyle(e.parentElement).color, e.parentElement.tagName,
            texts(e.parentElement)].join(';');
        if (!kinds.has(kind)) kinds.set(kind, e);
    }
    return [...kinds.values()];
}"""
MARK = f"() => {{ for (const e of ({KINDS})()) e.dataset.kind = '' }}"
COLOURS = ["color-contrast", "link-in-text-block"]


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


def open_page(browser: Browser, theme: str, width: int, mode: str = "auto", **more: Any) -> Page:
    """An empty page for a reader whose system has this theme, and who chose this mode."""
    page = browser.new_page(
        viewport={"width": width, "height": 1000},
        color_scheme="dark" if theme == "dark" else "light",
        offline=True,
        **more,
    )
    page.add_init_script(
        f"localStorage.setItem('mode', '{mode}'); localStorage.setItem('theme', '{theme}')"
    )
    return page


def load(page: Page, path: Path) -> list[str]:
    """Open a page from disk and unfold it; what is wrong, formulas too, and will go wrong."""
    heard = listen(page)
    page.goto(path.as_uri())
    if "math" in source(path).classes:
        try:
            page.wait_for_function("window.MathJax?.startup?.promise", timeout=30_000)
            page.evaluate("MathJax.startup.promise.then(() => true)")
        except BrowserError as error:
            heard.append(f"MathJax did not run: {error.message.splitlines()[0]}")
    page.evaluate(UNFOLD)
    heard += page.evaluate(TEX)
    page.evaluate(FRAMES)
    return heard


def resize(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 1000})
    with suppress(BrowserError):  # if it never comes about, axe-core will say so
        page.wait_for_function(SETTLED, timeout=1000 * PATIENCE["settle"])


def turn(page: Page, theme: str) -> list[str]:
    """Turn the reader's system to a theme; the page follows."""
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    try:
        shown = f"document.documentElement.dataset.theme === '{theme}'"
        page.wait_for_function(shown, polling=50, timeout=1000 * PATIENCE["theme"])
    except BrowserError:
        return [f"the theme {theme} did not take"]
    return []


def paper(page: Page) -> list[str]:
    """What is wrong on a sheet of paper."""
    page.set_viewport_size({"width": PAPER_WIDTH, "height": 1000})
    page.emulate_media(media="print")
    with suppress(BrowserError):  # if they never come about, PAPER says so
        page.wait_for_function(SHEETS, timeout=1000 * PATIENCE["sheets"])
    found = [*page.evaluate(PAPER), *page.evaluate(CUT)]
    page.emulate_media(media="screen")
    return [f"on paper: {complaint}" for complaint in found]


def accessibility(page: Page, *, colours: bool = False) -> list[str]:
    """The serious and critical violations that axe-core finds: of colours, or all others."""
    options = {
        "resultTypes": ["violations"],
        "preload": False,  # would fetch style sheets, which a page opened from disk must not
        **({"runOnly": COLOURS} if colours else {"rules": {"color-contrast": {"enabled": False}}}),
    }
    where = f"{{include: ({KINDS})()}}" if colours else "document"
    found: dict[str, Any] = page.evaluate(f"options => axe.run({where}, options)", options)
    return [
        f"{rule['id']}, {rule['impact']}: {node['target']} {node['failureSummary'].splitlines()[1]}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"][:5]
    ]


def on_desktop(browser: Browser, path: Path) -> Iterator[str]:
    """Loaded in light at 1400 px: both themes at both widths and paper, then axe-core.

    In the order of the fewest changes of width and theme, each of which lays the page out anew.
    """

    def wide(width: int, themes: tuple[str, str]) -> Iterator[str]:
        for theme in themes:
            complaints = turn(page, theme) + page.evaluate(WIDE)
            yield from (f"{theme}, {width} px: {complaint}" for complaint in complaints)
            if width == 1400:  # where colours are judged
                page.evaluate(MARK)
        yield from page.evaluate(HIDDEN)

    with open_page(browser, "light", 1400) as page:
        heard = load(page, path)
        yield from wide(1400, ("light", "dark"))
        yield from page.evaluate(CUT)
        resize(page, 1200)
        yield from page.evaluate(CUT)
        resize(page, 400)
        yield from wide(400, ("dark", "light"))
        yield from paper(page)
        page.evaluate(THIN)
        page.evaluate(AXE)
        for width in (400, 1400):
            resize(page, width)
            yield from (f"{width} px: {complaint}" for complaint in accessibility(page))
        for theme in ("light", "dark"):
            complaints = turn(page, theme) + accessibility(page, colours=True)
            yield from (f"{theme}: {complaint}" for complaint in complaints)
        yield from heard


def on_phone(browser: Browser, path: Path) -> Iterator[str]:
    """Loaded in dark, by choice, at 400 px; every slider is moved."""
    with open_page(browser, "dark", 400, mode="dark") as page:
        heard = load(page, path)
        complaints = turn(page, "dark") + page.evaluate(WIDE)
        for number, figure in enumerate(page.locator(".frames").all()):
            sliders = figure.locator("input[type=range]").all()
            if not sliders:
                complaints.append(f"figure {number} with frames has no slider")
            for slider in sliders:
                before = figure.evaluate(STATE)
                key = "Home" if slider.input_value() == slider.get_attribute("max") else "End"
                slider.press(key)
                label = slider.get_attribute("aria-valuetext")
                if figure.evaluate(STATE) == before:
                    complaints.append(f"slider {label} of figure {number} changes nothing")
                if not label:
                    complaints.append(f"a slider of figure {number} does not say its value")
        yield from (f"loaded on a phone in dark: {complaint}" for complaint in complaints + heard)


def problems(browser: Browser, path: Path) -> Generator[str]:
    yield from on_desktop(browser, path)
    if not source(path).classes.isdisjoint({"frames", "lab", "lab-small", "scorecard"}):
        yield from on_phone(browser, path)


def chosen(names: list[str]) -> list[str]:
    """The pages to open: of the listings with one outline, the first and the longest title."""
    pages = [name for name in names if not source(HTML / name).moved]
    alike: dict[str, list[str]] = {}
    for name in pages:
        if name.startswith("_modules/hetlib/"):
            alike.setdefault(source(HTML / name).outline, []).append(name)
    listings = {name for some in alike.values() for name in (some[0], max(some, key=len))}
    return [n for n in pages if not n.startswith("_modules/hetlib/") or n in listings]


@pytest.mark.parametrize("name", chosen(NAMES))
def test_page_in_the_browser(browser: Browser, name: str) -> None:
    found = list(problems(browser, HTML / name))
    assert not found, f"{name}\n" + "\n".join(found)


WITH_FRAMES = [name for name in NAMES if "frames" in source(HTML / name).classes]


def test_there_are_figures_with_sliders() -> None:
    assert WITH_FRAMES or "notebooks/04-drawbacks.html" not in NAMES


@pytest.mark.parametrize("name", WITH_FRAMES)
def test_without_scripts_a_picture_stands_in(browser: Browser, name: str) -> None:
    with open_page(browser, "light", 1400, java_script_enabled=False) as page:
        page.goto((HTML / name).as_uri())
        for picture in page.locator(".frames img").all():
            assert picture.is_visible(), f"{name}: no static picture"


def test_paper_unfolds_and_screens_fold_again(browser: Browser) -> None:
    """In the dark, too, a page is printed dark on white."""
    with open_page(browser, "dark", 1400, mode="dark") as page:
        page.goto((HTML / WITH_FRAMES[0]).as_uri())
        state = """() => [document.querySelectorAll('article details:not([open])').length,
            document.documentElement.dataset.theme]"""
        before = page.evaluate(state)
        page.emulate_media(media="print")
        page.wait_for_function(f"() => ({state})().join() === '0,light'", timeout=8000)
        page.emulate_media(media="screen")
        page.wait_for_function(f"() => ({state})().join() === '{before[0]},dark'", timeout=8000)
        assert before[0] > 0


FIRST = {
    "Proposition 6.1": "book/statements.html#paper-proposition-6-1",
    "Eq. (16)": "book/statements.html#paper-eq-16",
    "Eq. 16": "book/statements.html#paper-eq-16",
    "Figure 4(b)": "book/statements.html#paper-figure-4-b",
    "Figure 4b": "book/statements.html#paper-figure-4-b",
    "not reproduced": "book/scorecard.html",
}


@pytest.mark.parametrize("asked", FIRST)
def test_search_finds_what_the_paper_numbers_first(browser: Browser, asked: str) -> None:
    with open_page(browser, "light", 1400) as page:
        page.goto(f"{(HTML / 'search.html').as_uri()}?q={quote(asked)}")
        first = page.locator("#search-results li > a").first
        first.wait_for()
        assert (first.get_attribute("href") or "").endswith(FIRST[asked])


# ---- the tests find what they should ----

SOUND = """<!doctype html><html lang="en"><head><title>A page</title><style>
    body { color: #222; background: #fff } a { color: inherit }
    html[data-theme=dark] body { color: #eee; background: #111 }
    .note { background: #eee } html[data-theme=dark] .note { background: #333 }
</style><script>
    const dark = matchMedia('(prefers-color-scheme: dark)');
    const paint = () => document.documentElement.dataset.theme = dark.matches ? 'dark' : 'light';
    dark.addEventListener('change', paint); paint();
    window.MathJax = {startup: {promise: Promise.resolve()}};
</script></head><body><main><article><h1>A page</h1>
<p id="here">A text, <a href="#here">a link to it</a>, and a formula:
    <span class="math"><mjx-container>x</mjx-container></span>.</p>
<p class="note">A note.</p><p class="note">A second note.</p>
<ul><li><a href="#here">One</a></li><li><a href="#here">Two</a></li><li><a href="#here">Three</a>
</li><li><a href="#here">Four</a></li><li><a href="#here">Five</a></li><li><a href="#here">Six</a>
</li></ul><details><summary>More</summary><p>Folded.</p></details>
<div class="frames"><label>n <input type="range" max="1" value="0" aria-valuetext="n = 0"
    oninput="this.closest('div').lastChild.value = this.value"></label><output>0</output></div>
<img alt="A dot" src="data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=">
</article></main></body></html>"""
WIDE_BOX = '<div style="width: {}px">A box</div>'
CODE = f'<pre style="width: 20em; overflow: auto">{200 * "x"}</pre><details>'
FAULTS = {
    "bare formula": ("Folded.", "Folded, $x_1$."),
    "no such anchor": ('href="#here"', 'href="#nowhere"'),
    "no such file": ('href="#here"', 'href="nowhere.html"'),
    "no alt text": ('alt="A dot"', 'alt=""'),
    "https://example.org/x.js": ("</body>", '<script src="https://example.org/x.js"></script>'),
    "request: https://example.org/y": ("paint();", "paint(); fetch('https://example.org/y');"),
    "not loaded": ("paint();", "paint(); new Image().src = 'gone.png';"),
    "script: ": ("Promise.resolve()}};", "Promise.resolve()}}; nothing.is.here();"),
    "console: ": ("paint();", "paint(); console.error('wrong');"),
    "the theme dark did not take": ("dark.matches ? 'dark' : ", ""),
    "formula not typeset": ("<mjx-container>x</mjx-container>", "x"),
    "TeX error": ("<mjx-container>", '<mjx-container data-mml-node="merror">'),
    "unknown TeX macro": (">x<", '><b data-mml-node="mtext" fill="red">x</b><'),
    "light, 400 px: sticks out": ("Folded.", WIDE_BOX.format(700)),
    "light, 1400 px: sticks out": ("Folded.", WIDE_BOX.format(1700)),
    "dark, 400 px: sticks out": (
        ".note {",
        "html[data-theme=dark] h1 { width: 700px } .note {",
    ),
    "cut off at 1400 px": ("<details>", CODE),
    "scrolls without a hint": ("<details>", CODE),
    "on paper: cut": ("<details>", CODE),
    "on paper: breaks": ("<details>", CODE),
    "on paper: one setting": ('class="frames"', 'class="frames frames-live"'),
    "a table without a name": ("<details>", "<table><tr><td>1</td></tr></table><details>"),
    "no named region": ("<details>", '<div class="proof"><p>By hand.</p></div><details>'),
    "does not say what it opens": ("<summary>More</summary>", "<summary></summary>"),
    "h3 after h1": ("<details>", "<h3>Third</h3><details>"),
    "stops before the first slider": ("<details>", 30 * '<a href="#here">x</a>' + "<details>"),
    "light: color-contrast": (".note { background: #eee }", ".note { color: #ccc }"),
    "light: color-contrast, serious": (".note {", "li:nth-child(6) { color: #ccc } .note {"),
    "400 px: link-name": (">Six<", "><"),
    "dark: color-contrast": (".note { background: #333 }", ".note + .note { background: #ddd }"),
    "light: link-in-text-block": (
        '<a href="#here"',
        '<a style="text-decoration: none; color: #00e" href="#here"',
    ),
    "1400 px: label": ("<label>n <input", "<label></label><label><input"),
    "400 px: button-name": (
        "Folded.",
        "<style>@media (width > 500px) { button { display: none } }</style><button></button>",
    ),
    "changes nothing": ("oninput", "data-oninput"),
    "does not say its value": ('aria-valuetext="n = 0"', ""),
    "has no slider": ('type="range"', 'type="text"'),
}


def in_the_source(path: Path) -> str:
    bare = [f"no alt text: {src}" for src in bare_images(path)]
    bare += [f"bare formula: {formula}" for formula in bare_formulas(path)]
    return "\n".join(broken_links(path) + wrong_loads(path) + stumbles(path) + bare)


def test_a_sound_page_has_no_fault(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(SOUND)
    assert in_the_source(page) == ""
    assert list(problems(browser, page)) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_found(
    browser: Browser, tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wait in PATIENCE:
        monkeypatch.setitem(PATIENCE, wait, 0.5)
    old, new = FAULTS[fault]
    assert SOUND.count(old) >= 1
    page = tmp_path / "page.html"
    page.write_text(SOUND.replace(old, new, 1))
    if fault not in in_the_source(page):
        with closing(problems(browser, page)) as found:
            assert any(fault in complaint for complaint in found)
