"""Sphinx extension: a term of the glossary is explained on its first use on a page.

The first time a page uses a term of ``book/terms.md`` in its text, the word leads to the glossary
and says under the pointer what stands there (``book.css``). Titles, links, formulas, code and what
is set in italics (a work, or a word that the text itself explains) stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

from hetlib.book.text import html

GLOSSARY = "book/terms"
PAGES = re.compile(r"notebooks/|book/(index|errata|released_code|longer_proofs)$")
CLOSED = (
    *(nodes.title, nodes.reference, nodes.literal, nodes.literal_block, nodes.raw, nodes.math),
    *(nodes.caption, nodes.emphasis, nodes.term, nodes.thead, addnodes.pending_xref),
)
Term = tuple[str, str]  # anchor and definition


def pattern(term: str) -> re.Pattern[str]:
    """How a text may write a term: as a plural, and with a capital unless it is an acronym."""
    acronym = sum(letter.isupper() for letter in term) > 1
    first = term[0] if acronym or term[0].isupper() else f"(?i:{term[0]})"
    rest = re.escape(term[1:]).replace(r"\ ", r"\s")
    return re.compile(rf"(?<![\w*–-]){first}{rest}s?(?![\w–-])")


def glossary(doctree: nodes.document) -> dict[str, Term]:
    """Anchor and definition of each term, longest terms first."""
    found: dict[str, Term] = {}
    for item in doctree.findall(nodes.definition_list_item):
        definition = " ".join(item.next_node(nodes.definition).astext().split())
        definition = re.sub(r" \(sec-\d+\)", "", definition)  # a link, not resolved yet
        for term in item.findall(nodes.term):
            found[term.astext()] = (term["ids"][0], definition)
    return dict(sorted(found.items(), key=lambda one: -len(one[0])))


def texts(document: nodes.document) -> Iterator[nodes.Text]:
    """Texts of a page in which a term may be explained."""
    for text in document.findall(nodes.Text):
        above, open_ = text.parent, text.parent is not None  # what is glued in may have none
        while above is not None and open_:
            open_ = not isinstance(above, CLOSED) and "cell" not in above.get("classes", [])
            open_ &= above.tagname not in ("dropdown_title", "admonition_title")
            above = above.parent
        if open_:
            yield text


def explain(document: nodes.document, terms: dict[str, Term], page: str) -> None:
    """Mark the first use of each definition on a page."""
    done: set[str] = set()
    patterns = {term: pattern(term) for term in terms}
    for text in list(texts(document)):
        parts: list[nodes.Node] = [text]
        for term, (anchor, definition) in terms.items():
            for k, part in enumerate(parts):
                if definition in done or not isinstance(part, nodes.Text):
                    continue
                if match := patterns[term].search(part):
                    link = (
                        f'<a class="term" tabindex="-1" href="{page}#{anchor}" '
                        f'data-says="{html(definition)}">{html(match[0])}</a>'
                    )
                    ends = part[: match.start()], part[match.end() :]
                    middle = nodes.raw("", link, format="html")
                    parts[k : k + 1] = [nodes.Text(ends[0]), middle, nodes.Text(ends[1])]
                    done.add(definition)
        if len(parts) > 1:
            text.parent.replace(text, [part for part in parts if part.astext()])


class Terms(SphinxPostTransform):
    """Explain the terms on a page."""

    default_priority = 810  # after the paper's numbers are linked
    formats = ("html",)

    def run(self, **_: Any) -> None:
        """Change one page."""
        if GLOSSARY not in self.env.found_docs or not PAGES.match(self.env.docname):
            return
        page = self.app.builder.get_relative_uri(self.env.docname, GLOSSARY)
        explain(self.document, glossary(self.env.get_doctree(GLOSSARY)), page)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the transform."""
    app.add_post_transform(Terms)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
