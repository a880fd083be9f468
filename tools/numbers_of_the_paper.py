"""Sphinx extension: numbers of the paper are told from the book's, and linked.

The book counts its statements by chapter, so that "Proposition 6.1" in plain text, which is the
paper's, would be taken for one of ours. Each such number leads to its place in "The paper,
statement by statement" and shows as P-6.1 (by ``book.css``, so that search and copied text keep
the paper's own number). On the notation page names of the library lead to their documentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from scorecard import NUMBER, anchor_of, names_of_paper
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

STATEMENTS = "book/statements"
NOTATION = "book/notation"
# one number, or several after "Eqs.", "Propositions", "Figures"
SINGULAR = {
    "Proposition": "Proposition",
    "Propositions": "Proposition",
    "Prop.": "Proposition",
    "Lemma": "Lemma",
    "Lemmas": "Lemma",
    "Theorem": "Theorem",
    "Eq.": "Eq.",
    "Eqs.": "Eq.",
    "Equation": "Eq.",
    "Figure": "Figure",
    "Figures": "Figure",
    "Table": "Table",
    "Tables": "Table",
}
KIND = re.compile(
    rf"\b({'|'.join(re.escape(k) for k in sorted(SINGULAR, key=len, reverse=True))})"
    rf"[ \u00a0]((?:{NUMBER})(?:(?:, | and | or |, and )(?:{NUMBER}))*)"
)
# these hold text that is linked already, or none that is prose
# Titles are links already, or unfold what is below
TITLES = ("title", "dropdown_title")
CLOSED = (nodes.reference, nodes.literal, nodes.literal_block, nodes.raw, nodes.math)


def pieces(text: str, known: set[str]) -> Iterator[str | tuple[str, str]]:
    """The text in order: plain parts, and pairs of a name in the list with what is shown of it."""
    done = 0
    for match in KIND.finditer(text):
        kind = SINGULAR[match[1]]
        for number in re.finditer(NUMBER, match[2]):
            shown = number[0]
            name = f"{kind} {shown}"
            if kind == "Eq." and not shown.startswith("("):
                name = f"Eq. ({shown})"
            if name not in known and shown.endswith(")") and "(" in shown:
                name = f"{kind} {shown[: shown.index('(')]}"  # a panel of a figure listed whole
            if name not in known:
                continue
            start = match.start(2) + number.start()
            yield text[done:start]
            yield name, shown
            done = start + len(shown)
    yield text[done:]


class Numbers(SphinxPostTransform):
    """Link the paper's numbers in the text of a page."""

    default_priority = 800  # after references are resolved
    builders = ("html", "singlehtml", "dirhtml")

    def run(self, **kwargs: Any) -> None:
        """Replace texts."""
        if STATEMENTS not in self.env.found_docs:
            return
        known = names_of_paper(str(self.env.srcdir))
        for text in list(self.document.findall(nodes.Text)):
            around = list(ancestors(text))
            if not around or any(isinstance(above, CLOSED) for above in around):
                continue
            titled = any(above.tagname in TITLES for above in around)
            if titled and self.env.docname == STATEMENTS:  # these are all of the paper
                continue
            parts = list(pieces(text.astext(), known))
            if len(parts) > 1:
                fresh = [self.node(part, not titled) for part in parts if part]
                text.parent.replace(text, fresh)
        if self.env.docname in (NOTATION, STATEMENTS):
            self.names()

    def node(self, part: str | tuple[str, str], linked: bool) -> nodes.Node:
        """A plain part, or a number that is marked and, outside titles, linked."""
        if isinstance(part, str):
            return nodes.Text(part)
        name, shown = part
        link: nodes.TextElement = nodes.inline("", "", classes=["of-the-paper"])
        if linked:
            page = self.app.builder.get_relative_uri(self.env.docname, STATEMENTS)
            uri = f"{page}#{anchor_of(name)}"
            link = nodes.reference("", "", internal=True, refuri=uri, classes=["of-the-paper"])
            link["reftitle"] = f"{name} of the paper"
        bare = shown.strip("()") if shown.startswith("(") else shown
        number = nodes.inline("", bare, classes=["number"])
        link += [nodes.Text("("), number, nodes.Text(")")] if bare != shown else [number]
        return link

    def names(self) -> None:
        """Lead from names of the library to their documentation, where there is just one."""
        found: dict[str, list[tuple[str, str, str]]] = {}
        for name, entry in self.env.domaindata["py"]["objects"].items():
            if entry.objtype == "attribute":  # x, labels: a parameter is meant
                continue
            for called in endings(name, method=entry.objtype in ("method", "property")):
                found.setdefault(called, []).append((name, entry.docname, entry.node_id))
        for literal in list(self.document.findall(nodes.literal)):
            places = found.get(re.sub(r"\(.*\)$", "", literal.astext()), [])
            if len(places) == 1 and not isinstance(literal.parent, nodes.reference):
                name, page, anchor = places[0]
                uri = self.app.builder.get_relative_uri(self.env.docname, page)
                link = nodes.reference(
                    "", "", internal=True, refuri=f"{uri}#{anchor}", reftitle=name
                )
                literal.parent.replace(literal, link)
                link += literal


def endings(name: str, method: bool = False) -> set[str]:
    """How a page may call a function: whole, by its last parts, or as ``hetlib`` hands it on."""
    parts = name.split(".")
    last, two = parts[-1], ".".join(parts[-2:])
    return {name, last, two, f"hetlib.{two if method else last}"}


def ancestors(node: nodes.Node) -> Iterator[nodes.Node]:
    """What holds a node, from the inside out."""
    above = node.parent
    while above is not None:
        yield above
        above = above.parent


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the transform."""
    app.add_post_transform(Numbers)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
