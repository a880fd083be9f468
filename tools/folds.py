"""Sphinx extension: what a page shows first, and what it folds.

A chapter is written cell by cell; a reader wants prose, definitions and figures. In HTML

- the verdicts of a section are gathered into one folded line at its end, with their count,
- a figure or a table stands before the code that makes it, which is folded,
- a comma stays on the line of the formula before it,
- a page that was run at the quick profile says so under its title.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from tidy import read_notebook

from hetlib.book.claims import VERDICTS
from hetlib.book.text import html

VERDICT = re.compile(r'<div class="verdict verdict-([\w-]+)" id="claim-([\w-]+)"')
WORDS = {verdict.replace(" ", "-"): verdict for verdict in VERDICTS}
FORMULA = re.compile(r"\$([^$]+)\$")
PICTURE = re.compile(r'<(svg|img|div class="frames)')
QUICK = (
    "This page was run at the quick profile: smaller samples, fewer seeds. Sentences that compare "
    "hold for this run; figures have more noise than those of the full run, which "
)


def is_cell(node: nodes.Node) -> bool:
    """Whether a node is a code cell."""
    return isinstance(node, nodes.container) and node.get("nb_element") == "cell_code"


def part(cell: nodes.Element, name: str) -> nodes.Element | None:
    """The source or the outputs of a cell; None if it has none."""
    for child in cell.children:
        if isinstance(child, nodes.Element) and child.get("nb_element") == f"cell_code_{name}":
            return child
    return None


def claim_of(output: nodes.Node) -> tuple[str, str] | None:
    """Verdict and claim that an output shows, if any."""
    for raw in output.findall(nodes.raw):
        if found := VERDICT.search(raw.astext()):
            return WORDS.get(found[1], found[1]), found[2]
    return None


def shows(output: nodes.Element) -> str:
    """What an output is for a reader: a figure, a table, or nothing to show by itself."""
    if any(output.findall(nodes.image)) or any(output.findall(nodes.figure)):
        return "figure"
    text = " ".join(raw.astext()[:4000] for raw in output.findall(nodes.raw))
    if PICTURE.search(text):
        return "figure"
    return "table" if "<table" in text else ""


def set_formulas(output: nodes.Node) -> None:
    """What stands between dollars in a verdict, as MathJax looks for it."""
    for raw in output.findall(nodes.raw):
        text = FORMULA.sub(
            r'<span class="math notranslate nohighlight">\\(\1\\)</span>', raw.astext()
        )
        raw.children = [nodes.Text(text)]


def fold(cell: nodes.Element, what: str) -> None:
    """Fold the source of a cell under a line that says what it is."""
    cell["hide_mode"] = "input"
    cell["prompt_show"] = f"Show {what}"
    cell["prompt_hide"] = f"Hide {what}"


def section_of(node: nodes.Node) -> nodes.Element:
    """The section that a node stands in."""
    while not isinstance(node, nodes.section | nodes.document):
        node = node.parent
    return node


class Gather(SphinxPostTransform):
    """Verdicts to the end of their section; code of figures folded."""

    default_priority = 150  # outputs are chosen, cells are not folded yet
    formats = ("html",)

    def run(self, **_: Any) -> None:
        """Change one page."""
        docname = self.env.docname
        gathered: dict[int, tuple[nodes.Element, list[nodes.Element], list[str]]] = {}
        for cell in [node for node in self.document.findall(nodes.container) if is_cell(node)]:
            outputs = part(cell, "output")
            code = part(cell, "source")
            if code is not None and "HETLIB_PROFILE" in code.astext():
                fold(cell, "the parameters of this page")
            elif cell.get("hide_mode") == "input" and (outputs is None or not shows(outputs)):
                fold(cell, "the code of the next steps")
            if outputs is None:
                continue
            judged = [(one, claim) for one in outputs.children if (claim := claim_of(one))]
            if judged:
                section = section_of(cell)
                entry = gathered.setdefault(id(section), (section, [], []))
                entry[2].extend(verdict for _one, (verdict, _name) in judged)
                for one, (_word, name) in judged:
                    self.link(one, name, docname)
                    set_formulas(one)
                entry[1].append(self.take(cell, outputs, [one for one, _claim in judged]))
            elif part(cell, "source") is not None and (what := shows(outputs)):
                source = part(cell, "source")
                assert source is not None
                folded = what == "figure" or cell.get("hide_mode") == "input"
                if folded or "def " not in source.astext():
                    fold(cell, f"the code of this {what}")
        for section, cells, verdicts in gathered.values():
            self.place(section, cells, verdicts)

    def take(
        self, cell: nodes.Element, outputs: nodes.Element, judged: list[nodes.Node]
    ) -> nodes.Element:
        """The cell, or only its verdicts where it shows something else, out of its place."""
        if len(judged) == len(outputs.children):
            cell.parent.remove(cell)
            fold(cell, "the code of these checks")
            return cell
        if part(cell, "source") is not None and (what := shows(outputs)):
            fold(cell, f"the code of this {what}")
        box = nodes.container(classes=["cell_output"])
        for one in judged:
            outputs.remove(one)
            box += one
        return box

    def place(
        self, section: nodes.Element, cells: list[nodes.Element], verdicts: list[str]
    ) -> None:
        """Put a folded line before the first subsection of a section."""
        count = Counter(verdicts)
        claims = f"{len(verdicts)} claim{'s' * (len(verdicts) != 1)}"
        badges = " ".join(
            f'<span class="badge-verdict verdict-{html(verdict.replace(" ", "-"))}">'
            f"{count[verdict]} {html(verdict)}</span>"
            for verdict in VERDICTS
            if count[verdict]
        )
        head = f'<details class="verdicts"><summary>{claims}: {badges}</summary>'
        box = nodes.container(classes=["verdicts-of-section"])
        box += nodes.raw("", head, format="html")
        box += cells
        box += nodes.raw("", "</details>", format="html")
        at = next(
            (i for i, child in enumerate(section.children) if isinstance(child, nodes.section)),
            len(section.children),
        )
        section.insert(at, box)

    def link(self, output: nodes.Node, claim: str, docname: str) -> None:
        """From a claim's name to its row on the scorecard."""
        if "book/scorecard" not in self.env.found_docs:
            return
        row = self.app.builder.get_relative_uri(docname, "book/scorecard")
        name = f"<code>{claim}</code>"
        for raw in output.findall(nodes.raw):
            text = raw.astext().replace(name, f'<a href="{row}#row-{claim}">{name}</a>')
            raw.children = [nodes.Text(text)]


class FigureFirst(SphinxPostTransform):
    """A cell's outputs before its folded source, where these are a figure or a table."""

    default_priority = 210  # after cells were folded
    formats = ("html",)

    def run(self, **_: Any) -> None:
        """Change one page."""
        for cell in self.document.findall(nodes.container):
            if is_cell(cell) and cell.get("hide_mode") == "input" and len(cell.children) == 2:
                source, outputs = cell.children
                if shows(outputs) and outputs.get("nb_element") == "cell_code_output":
                    cell.children = [outputs, source]


class Together(SphinxPostTransform):
    """A formula and the mark that follows it, or the bracket before it, on one line."""

    default_priority = 220
    formats = ("html",)

    def run(self, **_: Any) -> None:
        """Change one page."""
        for formula in list(self.document.findall(nodes.math)):
            parent = formula.parent
            at = parent.index(formula)
            before = parent[at - 1] if at else None
            after = parent[at + 1] if at + 1 < len(parent) else None
            mark = re.match(r"[,.;:!?)\]]+", str(after)) if isinstance(after, nodes.Text) else None
            opens = isinstance(before, nodes.Text) and before.endswith(("(", "["))
            if mark is None and not opens:
                continue
            box = nodes.inline(classes=["together"])
            pieces: list[nodes.Node] = [box]
            start, stop = at, at + 1
            if opens:
                start, pieces = at - 1, [nodes.Text(str(before)[:-1]), box]
                box += nodes.Text(str(before)[-1])
            parent.remove(formula)
            parent.insert(at, nodes.Text(""))
            box += formula
            if mark is not None:
                box += nodes.Text(mark[0])
                pieces.append(nodes.Text(str(after)[mark.end() :]))
                stop = at + 2
            parent[start:stop] = pieces


def banner(app: Sphinx, doctree: nodes.document) -> None:
    """Say under the title of a chapter that it was run at the quick profile."""
    path = Path(app.env.srcdir) / f"{app.env.docname}.ipynb"
    if not path.is_file():
        return
    if read_notebook(path).metadata.get("provenance", {}).get("profile") != "quick":
        return
    title = next(iter(doctree.findall(nodes.title)), None)
    if title is None:
        return
    text = nodes.paragraph(text=QUICK)
    text += nodes.literal(text="make run")
    text += nodes.Text(" makes and ")
    text += nodes.literal(text="make book")
    text += nodes.Text(" shows.")
    note = nodes.admonition("", nodes.title(text="A quick run"), text, classes=["quick-run"])
    title.parent.insert(title.parent.index(title) + 1, note)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the transforms."""
    app.add_post_transform(Gather)
    app.add_post_transform(FigureFirst)
    app.add_post_transform(Together)
    app.connect("doctree-read", banner)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
