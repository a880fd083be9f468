"""Sphinx extension: ``{chapter-map}``, a picture of which chapter rests on which.

An arc leads from a chapter back to each earlier one that it needs (``book/path.yml``) or refers
to by a link to one of its sections, statements, equations or figures; the more links, the
thicker. Each name is a link, and
the chapter under the pointer or the keyboard shows its own arcs. The same in words stands folded
below.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from hetlib.book.text import html, svg

DEFINED = (
    r"^\(([\w-]+)\)=",
    r"^:label: ([\w-]+)",
    r"^\$\$ \(([\w-]+)\)",
    r"^ +name: ([\w-]+)",
)
REFERRED = r"\{(?:prf:ref|ref|eq|numref)\}`(?:[^`<]*<)?([\w-]+)>?`"
ROW, LEFT, WIDTH, LETTERS = 30, 132, 400, 33


def chapters(folder: Path) -> dict[int, str]:
    """The text of each chapter by its number."""
    return {int(path.name[:2]): path.read_text() for path in sorted(folder.glob("[0-9][0-9]-*.md"))}


def links(
    texts: dict[int, str], needs: dict[int, list[int]] | None = None
) -> Counter[tuple[int, int]]:
    """How often a chapter, first, needs or refers to an earlier one, second."""
    home = {
        label: number
        for number, text in texts.items()
        for pattern in DEFINED
        for label in re.findall(pattern, text, re.MULTILINE)
    }
    found = Counter(
        (number, home[label])
        for number, text in texts.items()
        for label in re.findall(REFERRED, text)
        if home.get(label, number) < number
    )
    found.update((new, old) for new, some in (needs or {}).items() for old in some)
    return found


def needed(path: Path) -> dict[int, list[int]]:
    """Earlier chapters that one needs to have read before each, from ``book/path.yml``."""
    entries = yaml.safe_load(path.read_text()) if path.is_file() else {}
    return {
        int(name[:2]): list(entry.get("needs", {}))
        for name, entry in entries.items()
        if name[:2].isdigit()
    }


def title(text: str) -> str:
    """A chapter's title."""
    return re.findall(r"^# (.+)$", text, re.MULTILINE)[0]


def short(name: str) -> str:
    """A title that fits its row."""
    if len(name) <= LETTERS:
        return name
    return name[: LETTERS - 1].rsplit(" ", 1)[0].rstrip(",;:") + " …"


def numbers(some: list[int]) -> str:
    """``1, 2 and 3``."""
    *most, last = map(str, some)
    return f"{', '.join(most)} and {last}" if most else last


def says(number: int, arcs: Counter[tuple[int, int]]) -> str:
    """What a chapter rests on, in words."""
    before = sorted(old for new, old in arcs if new == number)
    if not before:
        return "refers to no earlier chapter"
    return f"refers to chapter{'s' * (len(before) > 1)} {numbers(before)}"


def picture(
    texts: dict[int, str], pages: dict[int, str], needs: dict[int, list[int]] | None = None
) -> str:
    """The picture as SVG, and as a list."""
    arcs, names = links(texts, needs), {number: title(text) for number, text in texts.items()}
    y = {number: ROW * k + ROW // 2 for k, number in enumerate(names)}
    most, lines, rules, rows = max([*arcs.values(), 1]), [], [], []
    for (new, old), count in sorted(arcs.items(), key=lambda one: one[1]):
        low, high = y[old], y[new]
        reach = 16 + (LEFT - 24) * ((high - low) / (ROW * len(names))) ** 0.6
        lines.append(
            f'<path class="arc from-{new} to-{old}" style="stroke-width:{1 + 4 * count / most:.1f}"'
            f' d="M{LEFT} {high} C{LEFT - reach * 1.3:.0f} {high} {LEFT - reach * 1.3:.0f} {low}'
            f' {LEFT} {low}"/>'
        )
    for number, name in names.items():
        about = svg(f"Chapter {number}, {name}: {says(number, arcs)}")
        rows.append(
            f'<a class="chapter c{number}" href="{html(pages[number])}" aria-label="{about}">'
            f"<title>{about}</title>"
            f'<rect x="{LEFT}" y="{y[number] - 13}" width="{WIDTH - LEFT}" height="26" rx="5"/>'
            f'<text x="{LEFT + 24}" y="{y[number] + 5}"><tspan class="number">{number}</tspan>'
            f'<tspan x="{LEFT + 31}">{svg(short(name))}</tspan></text></a>'
        )
        own = f".chapter-map svg:has(.c{number}:is(:hover, :focus))"
        rules.append(f"{own} .from-{number} {{ opacity: 1; stroke: var(--map-own) }}")
        rules.append(f"{own} .to-{number} {{ opacity: 1; stroke: var(--map-users) }}")
    items = "".join(
        f'<li><a href="{html(pages[n])}">{n} {html(name)}</a> {says(n, arcs)}.</li>'
        for n, name in names.items()
    )
    return (
        f'<div class="chapter-map"><style>{" ".join(rules)}</style>'
        f'<svg viewBox="0 0 {WIDTH} {ROW * len(names)}" role="group" '
        f'aria-label="Map: which chapter refers to which earlier one">'
        f"<g>{''.join(lines)}</g>{''.join(rows)}</svg>"
        f"<details><summary>The map in words</summary><ul>{items}</ul></details></div>"
    )


class ChapterMap(SphinxDirective):
    """``{chapter-map}``."""

    def run(self) -> list[nodes.Node]:
        """Draw from the sources of this build."""
        folder = Path(self.env.srcdir) / "book"
        pages, texts = {}, {}
        for path in sorted(folder.glob("[0-9][0-9]-*.md")):
            self.env.note_dependency(str(path))
            number, page = int(path.name[:2]), f"notebooks/{path.stem}"
            if page in self.env.found_docs:
                texts[number] = path.read_text()
                pages[number] = self.env.app.builder.get_relative_uri(self.env.docname, page)
        self.env.note_dependency(str(folder / "path.yml"))
        needs = {n: some for n, some in needed(folder / "path.yml").items() if n in texts}
        return [nodes.raw("", picture(texts, pages, needs), format="html")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("chapter-map", ChapterMap)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
