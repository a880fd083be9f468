"""The scorecard: a directive that turns verdicts in notebooks into a page.

    python tools/scorecard.py _build/quick      print the counts of one folder

A verdict is data in the output of the cell that checks the claim, so a scorecard always
shows what the notebooks of the same build have computed.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from docutils import nodes
from nbformat import NotebookNode
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from tidy import read_notebook

from hetlib import store
from hetlib.book.claims import (
    EVIDENCE,
    FAILED,
    GOOD,
    IN_DIRECTION,
    MIME,
    NEEDS_DATA,
    NOT_CHECKED,
    NOT_JUDGED,
    VERDICTS,
    WEIGHTS,
    Claim,
    load,
)

SOURCES = {"paper": "The paper", "notes": "Two summaries", "ours": "This book"}
COLUMNS = ("Claim", "Place", "Stated", "Here", "Verdict")
RECORD = (
    *("id", "source", "kind", "place", "chapter", "statement", "check", "paper", "tolerance"),
    *("evidence", "settings", "fails", "weight", "repaired", "erratum"),
)
WIDTHS = (44, 16, 10, 12, 18)


class Row(NamedTuple):
    """A claim with what the notebooks say of it."""

    claim: Claim
    verdict: str
    value: str
    note: str
    found: bool


def slug(verdict: str) -> str:
    """A verdict as a class of HTML."""
    return verdict.replace(" ", "-")


EQUATION = re.compile(r"eq-\d+$")
KINDS = ("Proposition", "Lemma", "Theorem", "Eq.", "Figure", "Table")


def numbered(place: str) -> list[str]:
    """What the paper numbers and a place names, as ``Proposition 6.1`` or ``Figure 4(b)``."""
    found = [" ".join(part) for part in re.findall(PLACE, place)]
    if plural := re.search(r"Tables (\d) and (\d)", place):
        found += [f"Table {number}" for number in plural.groups()]
    return list(dict.fromkeys(found))


NUMBER = r"\(\d+\)|(?:[A-Z]\.)?\d+(?:\.\d+)?(?:\([a-z]\))?"
PLACE = rf"({'|'.join(re.escape(kind) for kind in KINDS)}) ({NUMBER})"


def anchor_of(name: str) -> str:
    """Where the page of statements has a numbered thing of the paper."""
    return "paper-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


@cache
def names_of_paper(source: str) -> set[str]:
    """What the page of statements lists: what claims name, and the equations that chapters show."""
    claimed = {n for c in load().values() if c.source == "paper" for n in numbered(c.place)}
    shown = (label for label in labels(Path(source) / "notebooks") if EQUATION.match(label))
    return {*claimed, *(f"Eq. ({label[3:]})" for label in shown)}


def labels(notebooks: Path) -> set[str]:
    """Labels of equations and statements that chapters define."""
    found: set[str] = set()
    for path in notebooks.rglob("*.ipynb"):
        for cell in read_notebook(path).cells:
            if cell.cell_type == "markdown":
                found |= set(re.findall(r"^\$\$ \((eq-[\w-]+)\)", cell.source, re.M))
                found |= set(re.findall(r"^:label: ([\w-]+)", cell.source, re.M))
    return found


@cache
def code_of_paper(source: str) -> dict[str, str]:
    """Code of what the paper numbers, in Markdown, as the notation page's last table has it."""
    table = (Path(source) / "book" / "notation.md").read_text("utf-8").split("\n## Equations")[-1]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    return {row[0]: row[-1] for row in rows if len(row) == 4 and "`" in row[-1]}


def spellings(name: str) -> Iterator[str]:
    """How a reader may look for a numbered thing: ``Eq. (16)``, ``Eq. 16``, ``Figure 4b``."""
    yield name
    kind, number = name.split(" ")
    words = {"Eq.": ("Eq.", "Equation"), "Proposition": ("Proposition", "Prop.")}.get(kind, (kind,))
    for word in words:
        for form in {number, re.sub(r"[()]", "", number)}:
            if f"{word} {form}" != name:
                yield f"{word} {form}"


def index_of(words: list[str], anchor: str) -> addnodes.index:
    """Entries of the index, which search shows first."""
    return addnodes.index(entries=[("single", word, anchor, "main", None) for word in words])


def in_order(name: str) -> tuple[int, int, int, int, str]:
    """Where a numbered thing stands in the list: by kind, appendices after sections."""
    kind, number = name.split(" ")
    parts = re.findall(r"\d+", number)
    appendix = ord(number[0]) if number[0].isalpha() else 0
    first, second = int(parts[0]), int(parts[1]) if len(parts) > 1 else 0
    return KINDS.index(kind), appendix, first, second, number


def verdicts(notebooks: Path) -> dict[str, dict[str, str]]:
    """Verdicts by claim, with the chapter that stored them.

    Args:
        notebooks: Folder of executed chapters.

    Raises:
        ValueError: two cells judge the same claim, or one judges an unknown claim.
    """
    found: dict[str, dict[str, str]] = {}
    notes = sorted(notebooks.glob("notes/*.ipynb"))
    for path in [*sorted(notebooks.glob("[0-9]*.ipynb")), *notes]:
        for claim, data in verdicts_of(read_notebook(path)).items():
            if claim in found:
                raise ValueError(f"claim {claim} is judged twice: see {path.name}")
            if claim not in load():
                raise ValueError(f"claim {claim} in {path.name} is not in claims.yml")
            name = path.relative_to(notebooks).with_suffix("").as_posix()
            found[claim] = {**data, "chapter": name}
    return found


def verdicts_of(nb: NotebookNode) -> dict[str, dict[str, str]]:
    """Verdicts of one notebook by claim.

    Raises:
        ValueError: two cells judge the same claim.
    """
    found: dict[str, dict[str, str]] = {}
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            data: Any = output.get("data", {}).get(MIME)
            if data is None:
                continue
            if data["id"] in found:
                raise ValueError(f"claim {data['id']} is judged twice in one chapter")
            found[data["id"]] = data
    return found


def rows(notebooks: Path) -> list[Row]:
    """All claims, judged or not, by chapter and then in the order of ``claims.yml``."""
    found = verdicts(notebooks)
    table = []
    for claim in sorted(load().values(), key=lambda claim: claim.chapter):
        default = NEEDS_DATA if claim.needs else NOT_CHECKED
        one = found.get(claim.id, {})
        verdict = one.get("verdict", default)
        note, value = one.get("note", ""), one.get("value", "")
        table.append(Row(claim, verdict, value, note, claim.id in found))
    return table


def badge(verdict: str, text: str = "") -> nodes.inline:
    """The verdict as a coloured word."""
    classes = ["badge-verdict", f"verdict-{verdict.replace(' ', '-')}"]
    return nodes.inline("", text or verdict, classes=classes)


def title_of(source: Path, chapter: str) -> str:
    """A chapter as a heading: its title if this book has it, else its name."""
    number, _, name = chapter.partition("-")
    path = source / "notebooks" / f"{chapter}.ipynb"
    plain = name.replace("-", " ").capitalize() or chapter
    if path.exists():
        lines = read_notebook(path).cells[0].source.splitlines()
        plain = next((line[2:] for line in lines if line.startswith("# ")), plain)
    return f"{int(number)} {plain}" if number.isdigit() else plain


PARTS = ("counts", "evidence", "failures", "chapters", "statements", "notes", "seeds")


class Scorecard(SphinxDirective):
    """``{scorecard}`` and one of its ``PARTS``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Build the nodes."""
        notebooks = Path(self.env.srcdir) / "notebooks"
        for path in notebooks.rglob("*.ipynb"):
            self.env.note_dependency(str(path))
        self.rows = rows(notebooks)
        part = self.arguments[0]
        if part not in PARTS:
            raise self.error(f"{part!r} is no part of the scorecard")
        return list(getattr(self, part)())

    def counts(self) -> Iterator[nodes.Node]:
        """A line of badges a source; each leads to its claims."""
        page = self.env.app.builder.get_relative_uri(self.env.docname, "book/scorecard")
        for source, words in SOURCES.items():
            total = Counter(row.verdict for row in self.rows if row.claim.source == source)
            line = nodes.paragraph(classes=["verdict-counts"])
            line += nodes.strong(text=f"{words}: ")
            for verdict in VERDICTS:
                if total[verdict]:
                    uri = f"{page}#verdict={quote(verdict)}&source={source}"
                    link = nodes.reference("", "", internal=True, refuri=uri)
                    link += badge(verdict, f"{total[verdict]} {verdict}")
                    line += [link, nodes.Text(" ")]
            yield line

    def evidence(self) -> Iterator[nodes.Node]:
        """A table: kinds of evidence by source, with how many claims hold."""
        head = ["Evidence", "What it is", *SOURCES.values()]
        body = []
        for kind, words in EVIDENCE.items():
            cells = []
            for source in SOURCES:
                found = [
                    r for r in self.rows if (r.claim.evidence, r.claim.source) == (kind, source)
                ]
                good = sum(row.verdict in GOOD for row in found)
                cells.append(f"{good} of {len(found)}" if found else "–")
            body.append([kind, words, *cells])
        yield self.plain_table(head, body)

    def plain_table(self, head: list[str], body: list[list[str]]) -> nodes.table:
        """A table of texts."""
        group = nodes.tgroup(cols=len(head))
        group += [nodes.colspec(colwidth=1) for _ in head]
        for holder, lines in ((nodes.thead(), [head]), (nodes.tbody(), body)):
            for line in lines:
                row = nodes.row()
                row += [nodes.entry("", nodes.paragraph(text=text)) for text in line]
                holder += row
            group += holder
        return nodes.table("", group)

    def failures(self) -> Iterator[nodes.Node]:
        """What does not hold as it is stated, the heaviest first."""
        order = [*WEIGHTS, None]
        found = [row for row in self.rows if row.verdict in (*FAILED, IN_DIRECTION)]
        found.sort(key=lambda row: order.index(row.claim.weight))
        yield index_of([verdict for verdict in VERDICTS if " " in verdict], "")
        yield self.table(found, "Claims that do not hold as stated", ids=False)

    def chapters(self) -> Iterator[nodes.Node]:
        """A section a chapter, with all its claims."""
        for chapter, group in groupby(self.rows, key=lambda row: row.claim.chapter):
            title = title_of(Path(self.env.srcdir), chapter)
            section = nodes.section(
                ids=[nodes.make_id(f"scorecard-{chapter}")], names=[f"scorecard-{chapter}"]
            )
            section += nodes.title(text=title)
            section += self.table(list(group), f"Claims checked in {title}")
            yield section

    def statements(self) -> Iterator[nodes.Node]:
        """A section for each numbered statement, equation, figure and table of the paper."""
        known = labels(Path(self.env.srcdir) / "notebooks")
        claims: dict[str, list[Row]] = {}
        for row in self.rows:
            if row.claim.source == "paper":
                for name in numbered(row.claim.place):
                    claims.setdefault(name, []).append(row)
        for name in sorted(names_of_paper(str(self.env.srcdir)), key=in_order):
            kind, number = name.split(" ")
            anchor = anchor_of(name)
            section = nodes.section(ids=[anchor], names=[anchor])
            section += [nodes.title(text=name), index_of(list(spellings(name)), anchor)]
            short = number.strip("()").replace(".", "-").lower()
            label = {"Eq.": "eq", "Proposition": "prop", "Lemma": "lem", "Theorem": "thm"}.get(kind)
            if f"{label}-{short}" in known:
                role = "eq" if label == "eq" else "prf:ref"
                inline, messages = self.parse_inline(f"In this book: {{{role}}}`{label}-{short}`.")
                section += nodes.paragraph("", "", *inline, *messages)
            if code := code_of_paper(str(self.env.srcdir)).get(name):
                inline, messages = self.parse_inline(f"Code: {code}.")
                section += nodes.paragraph("", "", *inline, *messages)
            listing = nodes.bullet_list()
            for row in claims.get(name, []):
                inline, messages = self.parse_inline(row.claim.statement)
                text = nodes.paragraph("", "", badge(row.verdict), nodes.Text(" "), *inline)
                text += [*messages, nodes.Text(" ")]
                if f"notebooks/{row.claim.chapter}" in self.env.found_docs and row.found:
                    page = f"notebooks/{row.claim.chapter}"
                    text += [
                        self.reference(page, f"claim-{row.claim.id}", "Check"),
                        nodes.Text(", "),
                    ]
                text += self.reference("book/scorecard", f"row-{row.claim.id}", "row")
                listing += nodes.list_item("", text)
            if listing.children:
                section += listing
            yield section

    def seeds(self) -> Iterator[nodes.Node]:
        """Which verdicts another seed changes."""
        import trials

        if not trials.TABLE.exists():
            yield nodes.paragraph(text="No run with other seeds is stored here.")
            return
        made: dict[str, Any] = json.loads(trials.TABLE.read_text("utf-8"))
        found = [row for table in made.values() for row in table["verdicts"].values()]
        judged = sum(set(row) != {NOT_JUDGED} for row in found)
        body = []
        for chapter, table in made.items():
            for claim, agree, of, level in trials.turning(trials.stored(chapter), table):
                stated = "–" if level is None else f"{level:.0%}"
                short = load()[claim].statement.strip()
                body.append([chapter, short, f"{agree} of {of}", stated])
        fewest = min(table["seeds"] for table in made.values())
        text = f"{judged} claims of {len(made)} chapters, each with {fewest} seeds or more: "
        text += f"{judged - len(body)} get the same verdict with all of them."
        if left := len(found) - judged:
            text += f" Besides, {left} take more than a quick run, which does not judge them."
        if older := [name for name in made if made[name]["made_from"] != trials.code_of(name)]:
            text += f" Since changed, and not run again with all seeds: {', '.join(older)}."
        yield nodes.paragraph(text=text)
        if body:
            yield self.plain_table(["Chapter", "Claim", "Seeds that agree", "Level"], body)

    def notes(self) -> Iterator[nodes.Node]:
        """A section for each of the two summaries: what it says, in its order of chapters."""
        found = [row for row in self.rows if row.claim.source == "notes"]
        found.sort(key=lambda row: row.claim.place.partition(":")[0], reverse=True)
        for name, group in groupby(found, key=lambda row: row.claim.place.partition(":")[0]):
            section = nodes.section(ids=[nodes.make_id(name)], names=[nodes.make_id(name)])
            section += nodes.title(text=name)
            section += self.table(list(group), f"{name}: its claims", ids=False)
            yield section

    def table(self, found: list[Row], name: str, ids: bool = True) -> nodes.table:
        """One row a claim, linked to the cell that judges it."""
        group = nodes.tgroup(cols=len(COLUMNS))
        group += [nodes.colspec(colwidth=width) for width in WIDTHS]
        head = nodes.row()
        for column in COLUMNS:
            head += nodes.entry("", nodes.paragraph(text=column))
        group += nodes.thead("", head)
        body = nodes.tbody()
        group += body
        for row in found:
            body += self.row(row, ids)
        return nodes.table("", nodes.title(text=name), group, classes=["scorecard"])

    def row(self, row: Row, ids: bool) -> nodes.row:
        """Statement with what was checked, place, both values, the verdict with its reason."""
        claim = row.claim
        cell = nodes.entry("")
        for text, classes in ((claim.statement, []), (claim.check, ["how"])):
            inline, messages = self.parse_inline(text)
            cell += nodes.paragraph("", "", *inline, *messages, classes=classes)
        known = f"notebooks/{claim.chapter}" in self.env.found_docs and (row.value or row.found)
        place: nodes.Node = nodes.Text(claim.place)
        if known:
            place = self.reference(f"notebooks/{claim.chapter}", f"claim-{claim.id}", claim.place)
        paper = "holds" if isinstance(claim.paper, bool) else claim.show(claim.paper)
        tail = nodes.entry("", nodes.paragraph("", "", badge(row.verdict)))
        tail += nodes.paragraph(text=claim.evidence, classes=["how"])
        if row.note:
            tail += nodes.paragraph("", "", nodes.emphasis(text=row.note))
        if row.verdict in (*FAILED, IN_DIRECTION) and claim.reason:
            inline, messages = self.parse_inline(claim.reason)
            reason = nodes.paragraph("", "", *inline, *messages)
            if claim.erratum:
                reason += [nodes.Text(" "), self.reference("book/errata", claim.erratum, "Erratum")]
            tail += reason
        marks = [
            f"v--{slug(row.verdict)}",
            f"e--{claim.evidence}",
            f"c--{claim.chapter}",
            f"s--{claim.source}",
        ]
        out = nodes.row(ids=[f"row-{claim.id}"] if ids else [], classes=["claim", *marks])
        out += cell
        out += nodes.entry("", nodes.paragraph("", "", place))
        out += nodes.entry("", nodes.paragraph(text=paper))
        out += nodes.entry("", nodes.paragraph(text=row.value))
        out += tail
        return out

    def reference(self, page: str, anchor: str, text: str) -> nodes.reference:
        """A link to a place in another page."""
        target = self.env.app.builder.get_relative_uri(self.env.docname, page)
        return nodes.reference("", text, internal=True, refuri=f"{target}#{anchor}")


def records(notebooks: Path) -> list[dict[str, Any]]:
    """The scorecard as plain records, for a table of one's own."""
    return [
        {
            **{name: getattr(row.claim, name) for name in RECORD},
            "value": row.value,
            "verdict": row.verdict,
            "note": row.note,
        }
        for row in rows(notebooks)
    ]


def downloads(app: Sphinx, error: Exception | None) -> None:
    """Write ``scorecard.csv`` and ``scorecard.json`` beside the page."""
    folder = Path(app.outdir) / "book"
    if error or not (folder / "scorecard.html").exists():
        return
    found = records(Path(app.srcdir) / "notebooks")
    text = io.StringIO()
    writer = csv.DictWriter(text, [*RECORD, "value", "verdict", "note"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    store.write(folder / "scorecard.csv", text.getvalue())
    store.write(folder / "scorecard.json", json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive and the downloads."""
    app.add_directive("scorecard", Scorecard)
    app.connect("build-finished", downloads)
    return {"version": "2", "parallel_read_safe": True, "parallel_write_safe": True}


def main() -> None:
    """Print the counts of one folder."""
    found = rows(Path(sys.argv[1]) / "notebooks")
    for source in SOURCES:
        total = Counter(row.verdict for row in found if row.claim.source == source)
        if total:
            counts = ", ".join(f"{total[v]} {v}" for v in VERDICTS if total[v])
            print(f"{source:6s} {sum(total.values()):3d} claims: {counts}")
    kinds = Counter((row.claim.evidence, row.verdict in GOOD) for row in found)
    for kind, words in EVIDENCE.items():
        good = kinds[kind, True]
        print(f"{kind:8s} {good + kinds[kind, False]:3d}, of which {good} hold ({words})")


if __name__ == "__main__":
    main()
