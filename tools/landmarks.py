"""Sphinx extension: names and permanent links for what a page holds, and a short way by keyboard.

In HTML

- statements and proofs are named regions, tables have the name of their section;
- a statement and a verdict have a short permanent link, as headings, figures and equations have
  from Sphinx; such links appear under the pointer; neither they nor links to the paper's numbers
  are stops of the Tab key;
- a solution says of which exercise it is;
- in a table of methods a name leads to its function;
- the line under a chapter's title leads to its first figure with sliders.
"""

from __future__ import annotations

import functools
import re
from typing import Any

from sphinx.application import Sphinx

from hetlib.book.text import html
from hetlib.comparison.methods import METHODS

TAG = re.compile(r"<[^>]*>")
PIECE = re.compile(
    r"(?P<heading><h[1-6]>.*?</h[1-6]>)"
    r'|<div class="proof (?P<kind>[^"]*)"(?P<own> id="(?P<id>[^"]*)")?>\n'
    r'(?P<name><p class="admonition-title"(?: id="(?P<inner>[^"]*)")?>(?P<title>.*?)</p>)?'
    r'|<div class="verdict [^"]*" id="(?P<claim>claim-[\w-]+)">.*?(?=</div>)'
    r"|<table(?P<table>(?: [^>]*)?)>(?P<caption>\s*<caption)?",
    re.DOTALL,
)
IMAGE = "reference internal image-reference"  # of a picture to itself, larger
FRAMES = re.compile(r'<div class="frames"(?! id)')
MATHS = re.compile(r'class="([^"]* )?math\b')
SOLUTION = '<span class="sd-summary-text">Solution</span>'
EXERCISES = re.compile(r'<section id="exercises">.*?</section>', re.DOTALL)
ITEM = re.compile(
    r'<ol class="[^"]*"(?: start="(\d+)")?>|<li>|<p(?: id="[^"]*")?><strong>(\d+)\.|'
    + re.escape(SOLUTION)
)

#: How pandas begins a table with formats of its own, which it does not call a data frame.
STYLED = '<table id="T_'
API = "book/api/comparison"
BOX = re.compile(
    r"(?<=<td>)(?P<best>[^<:]+)(?=: [\d.]+%)(?:(?P<until>: [\d.]+%; not [^<:]+: )(?P<there>[^<]+))?"
)


def words(markup: str) -> str:
    """What a piece of HTML says, in one line."""
    return " ".join(TAG.sub("", markup).replace("#", "").split())


def link(anchor: str, what: str) -> str:
    """A permanent link, seen under the pointer."""
    return f'<a class="headerlink" tabindex="-1" href="#{anchor}" title="Link to this {what}">#</a>'


class Names:
    """What was last named on a page, while it is read from its top."""

    def __init__(self) -> None:
        self.heading = self.statement = ""
        self.used: set[str] = set()

    def unique(self, name: str) -> str:
        """A name that no region or table of the page has yet."""
        number, fresh = 1, name
        while fresh in self.used:
            number += 1
            fresh = f"{name} ({number})"
        self.used.add(fresh)
        return fresh

    def __call__(self, found: re.Match[str]) -> str:
        """The piece with its name."""
        whole = found[0]
        if found["heading"]:
            self.heading, self.statement = words(found["heading"]), ""
            return whole
        if found["claim"]:
            return whole + " " + link(found["claim"], "verdict")
        if found["kind"] is None:
            return self.table(found)
        if not found["title"]:
            of = f"Proof of {self.statement}" if self.statement else "Proof"
            self.statement = ""  # a second proof need not be of the same statement
            name = f' role="region" aria-label="{html(self.unique(of))}">'
            return whole.replace(">", name, 1)
        anchor = found["inner"] or found["id"]
        self.statement = words(found["title"]).partition(" (")[0]
        name = f' role="region" aria-label="{html(self.unique(words(found["title"])))}">'
        titled = found["name"].replace("</p>", f" {link(anchor, 'statement')}</p>")
        return whole.replace(found["name"], titled).replace(">", name, 1)

    def table(self, found: re.Match[str]) -> str:
        """A table's name, where it has neither a caption nor a name of its own."""
        if found["caption"] or "aria-label" in found["table"] or not self.heading:
            return found[0]
        name = html(self.unique(f"Table: {self.heading}"))
        return found[0].replace("<table", f'<table aria-label="{name}"', 1)


def numbered(found: re.Match[str]) -> str:
    """The exercises of a page with solutions that name their exercise."""
    number = 0

    def one(item: re.Match[str]) -> str:
        nonlocal number
        if item[0].startswith("<ol"):
            number = int(item[1] or 1) - 1
        elif item[0] == "<li>":
            number += 1
        elif item[2]:
            number = int(item[2])
        elif number:
            return item[0].replace("Solution", f"Solution of exercise {number}")
        return item[0]

    return ITEM.sub(one, found[0])


def function_of(name: str) -> str:
    """Where the library's pages describe what fits a method."""
    fit = next((m.fit for m in METHODS.values() if html(m.name) == name), None)
    while isinstance(fit, functools.partial):
        fit = fit.func
    return f"{fit.__module__}.{fit.__qualname__}" if fit else ""


def led(body: str, page: str) -> str:
    """The chart's boxes, as "DPO: 2.3%; not ring: IPO", with links to functions."""

    def one(name: str) -> str:
        anchor = function_of(name)
        return f'<a href="{page}#{anchor}">{name}</a>' if anchor else name

    def box(found: re.Match[str]) -> str:
        there = found["until"] + one(found["there"]) if found["there"] else ""
        return one(found["best"]) + there

    return BOX.sub(box, body)


def improve(body: str) -> str:
    """The body of a page, with names and links."""
    body = body.replace(STYLED, f'<table class="dataframe" {STYLED[7:]}')
    body = PIECE.sub(Names(), body)
    for kind in ("headerlink", "of-the-paper reference internal", IMAGE):  # Alt+M: names.js
        body = body.replace(f'class="{kind}" href', f'class="{kind}" tabindex="-1" href')
    body = EXERCISES.sub(numbered, body)
    if FRAMES.search(body):
        body = FRAMES.sub('<div class="frames" id="first-slider" tabindex="-1"', body, count=1)
        way = ' · <a href="#first-slider">to the first figure with sliders</a></p>'
        body = re.sub(r'(<p class="takeaway">.*?)</p>', lambda m: m[1] + way, body, count=1)
    return body


def mend(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Change one page before it is written."""
    if "body" in context and not page.startswith("_modules/"):
        body = improve(context["body"])
        if API in app.env.found_docs:
            body = led(body, app.builder.get_relative_uri(page, API))
        context["body"] = body
        if not MATHS.search(context["body"]):  # Sphinx asks the pages below in the contents, too
            scripts = context["script_files"]
            context["script_files"] = [s for s in scripts if "mathjax/tex" not in str(s)]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the hook."""
    app.connect("html-page-context", mend)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
