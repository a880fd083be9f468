"""The scorecard: a directive that turns verdicts in notebooks into a page.

    python tools/scorecard.py _build/quick      print the counts of one folder

A verdict is data in the output of the cell that checks the claim, so a scorecard always
shows what the notebooks of the same build have computed.
"""

from __future__ import annotations

import sys
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from hetlib.book.claims import MIME, NEEDS_DATA, NOT_CHECKED, VERDICTS, Claim, load

COLUMNS = ("Claim", "Place", "Paper", "Here", "Verdict")
WIDTHS = (44, 16, 10, 12, 18)


class Row(NamedTuple):
    """A claim with what the notebooks say of it."""

    claim: Claim
    verdict: str
    value: str
    note: str


def verdicts(notebooks: Path) -> dict[str, dict[str, str]]:
    """Verdicts by claim, with the chapter that stored them.

    Args:
        notebooks: Folder of executed chapters.

    Raises:
        ValueError: two cells judge the same claim, or one judges an unknown claim.
    """
    found: dict[str, dict[str, str]] = {}
    for path in sorted(notebooks.glob("[0-9]*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            for output in cell.get("outputs", []):
                data: Any = output.get("data", {}).get(MIME)
                if data is None:
                    continue
                if data["id"] in found:
                    raise ValueError(f"claim {data['id']} is judged twice: see {path.name}")
                if data["id"] not in load():
                    raise ValueError(f"claim {data['id']} in {path.name} is not in claims.yml")
                found[data["id"]] = {**data, "chapter": path.stem}
    return found


def rows(notebooks: Path, source: str) -> list[Row]:
    """All claims of a source, judged or not, in the order of ``claims.yml``."""
    found = verdicts(notebooks)
    table = []
    for claim in load().values():
        if claim.source != source:
            continue
        default = NEEDS_DATA if claim.needs else NOT_CHECKED
        one = found.get(claim.id, {})
        verdict = one.get("verdict", default)
        table.append(Row(claim, verdict, one.get("value", ""), one.get("note", "")))
    return table


def badge(verdict: str, text: str = "") -> nodes.inline:
    """The verdict as a coloured word."""
    classes = ["badge-verdict", f"verdict-{verdict.replace(' ', '-')}"]
    return nodes.inline("", text or verdict, classes=classes)


class Scorecard(SphinxDirective):
    """``{scorecard} paper``: the table of one source; ``:counts:`` shows only the totals."""

    required_arguments = 1
    option_spec = {"counts": directives.flag}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        """Build the nodes."""
        notebooks = Path(self.env.srcdir) / "notebooks"
        for path in notebooks.glob("*.ipynb"):
            self.env.note_dependency(str(path))
        found = rows(notebooks, self.arguments[0])
        if "counts" in self.options:
            return [self.counts(found)]
        out: list[nodes.Node] = []
        for chapter, group in groupby(found, key=lambda row: row.claim.chapter):
            out += [nodes.rubric(text=self.title(chapter)), self.table(list(group))]
        return out

    def title(self, chapter: str) -> str:
        """The chapter as a heading: its title if this book has it, else its name."""
        number, name = chapter.split("-", 1)
        path = Path(self.env.srcdir) / "notebooks" / f"{chapter}.ipynb"
        if not path.exists():
            return f"{int(number)} {name.replace('-', ' ').capitalize()}"
        lines = nbformat.read(path, as_version=4).cells[0].source.splitlines()
        return f"{int(number)} {next(line[2:] for line in lines if line.startswith('# '))}"

    def counts(self, found: list[Row]) -> nodes.Node:
        """A line of badges with totals."""
        total = Counter(row.verdict for row in found)
        line = nodes.paragraph(classes=["verdict-counts"])
        for verdict in VERDICTS:
            line += badge(verdict, f"{total[verdict]} {verdict}")
            line += nodes.Text(" ")
        return line

    def table(self, found: list[Row]) -> nodes.Node:
        """One row a claim, linked to the cell that judges it."""
        group = nodes.tgroup(cols=len(COLUMNS))
        group += [nodes.colspec(colwidth=width) for width in WIDTHS]
        head = nodes.row()
        for name in COLUMNS:
            head += nodes.entry("", nodes.paragraph(text=name))
        group += nodes.thead("", head)
        body = nodes.tbody()
        group += body
        for row in found:
            body += self.row(row)
        return nodes.table("", group, classes=["scorecard"])

    def row(self, row: Row) -> nodes.row:
        """Statement, place, both values and the verdict."""
        claim = row.claim
        statement, messages = self.parse_inline(claim.statement)
        cell = nodes.paragraph("", "", *statement, *messages)
        known = f"notebooks/{claim.chapter}" in self.env.found_docs and row.value
        if known:
            target = self.env.app.builder.get_relative_uri(
                self.env.docname, f"notebooks/{claim.chapter}"
            )
            link: nodes.Node = nodes.reference(
                "", claim.place, internal=True, refuri=f"{target}#claim-{claim.id}"
            )
        else:
            link = nodes.Text(claim.place)
        paper = "holds" if isinstance(claim.paper, bool) else claim.show(claim.paper)
        tail: list[nodes.Node] = [badge(row.verdict)]
        if row.note:
            tail += [nodes.Text(" "), nodes.emphasis(text=row.note)]
        out = nodes.row(ids=[f"row-{claim.id}"])
        out += nodes.entry("", cell)
        out += nodes.entry("", nodes.paragraph("", "", link))
        out += nodes.entry("", nodes.paragraph(text=paper))
        out += nodes.entry("", nodes.paragraph(text=row.value))
        out += nodes.entry("", nodes.paragraph("", "", *tail))
        return out


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("scorecard", Scorecard)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def main() -> None:
    """Print the counts of one folder."""
    for source in ("paper", "notes", "ours"):
        total = Counter(row.verdict for row in rows(Path(sys.argv[1]) / "notebooks", source))
        if total:
            counts = ", ".join(f"{total[v]} {v}" for v in VERDICTS if total[v])
            print(f"{source:6s} {sum(total.values()):3d} claims: {counts}")


if __name__ == "__main__":
    main()
