"""Sphinx extension: under the pointer a formula says what its symbols mean.

Meanings are those of the notation page. A symbol that stands there once means the same in the whole
book; one that stands there several times, or is a plain letter, is explained in the chapter of its
row only, and not at all where two rows of a chapter claim it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from docutils import nodes
from docutils.utils.math import tex2unichar
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

from hetlib.book.text import html

NOTATION = "book/notation"
TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\S")
GROUPED = r"(?<!_\{)\\(?:text|operatorname|label|tag|begin|end)\{[^}]*\}"
ACCENTS = {"bar": "\u0304", "hat": "\u0302", "tilde": "\u0303", "widetilde": "\u0303"}
FONTS = ("mathbf", "mathcal", "boldsymbol", "operatorname", "text", "mathrm")
MACROS = {"E": "E", "Var": "Var", "KL": "KL", "TV": "TV", "NBC": "NBC", "R": "ℝ", "D": "D"}
MACROS |= {"U": "U", "Y": "Y", "ldots": "…", "dots": "…", "lvert": "|", "rvert": "|", "log": "log"}
MACROS |= {"tanh": "tanh", "max": "max", "Pr": "Pr", "star": "*"}
CHARACTERS = {
    name: character
    for table in ("mathalpha", "mathbin", "mathopen", "mathclose", "mathord", "mathrel", "mathop")
    for name, character in getattr(tex2unichar, table).items()
} | MACROS

Token = tuple[str, ...]
Rows = dict[Token, list[tuple[str, str]]]  # per symbol, the chapter and the meaning of each row


def tokens(tex: str) -> Token:
    """A formula as TeX reads it, without braces around one token and without spaces."""
    tex = tex.replace(r"\mathcal Y", r"\Y").replace(r"\mathcal D", r"\D")
    tex = tex.replace(r"\mathcal U", r"\U").replace(r"\mathrm{", r"\text{")
    tex = tex.replace(r"\,", " ").replace("{}", "")
    return tuple(TOKEN.findall(re.sub(r"\{(\\[A-Za-z]+|[^\\{}])\}", r" \1 ", tex)))


def plain(tex: str) -> str | None:
    """A short formula in letters; None if it takes more than letters, marks and indices."""
    tex = re.sub(r"\\[td]?frac\s*(\d)\s*(\d)", r"\1/\2", tex)
    tex = re.sub(r"\\[td]?frac\s*([A-Za-z\d])\s*\{([^}]*)\}", r"\1/(\2)", tex)
    for accent, mark in ACCENTS.items():
        tex = re.sub(rf"\\{accent}\s*\{{?\\?([A-Za-z])\b\}}?", rf"\1{mark}", tex)
    tex = re.sub(rf"(?<=[A-Za-z])\\({'|'.join(FONTS)})\b\s*", " ", tex)
    tex = re.sub(rf"\\({'|'.join(FONTS)})\b\s*", "", tex)
    tex = re.sub(r"\\[,;:! ]|\\(left|right)\b|[{}]", " ", tex)
    tex = re.sub(r"\\([A-Za-z]+)\s?", lambda m: CHARACTERS.get(m[1], m[0]), tex)
    return None if "\\" in tex else " ".join(tex.split())


def says(cell: nodes.Element) -> str | None:
    """The text of a cell, formulas in letters."""
    parts = []
    for node in cell.findall(lambda n: isinstance(n, nodes.Text | nodes.math)):
        if isinstance(node.parent, nodes.math):
            continue
        parts.append(plain(node.astext()) if isinstance(node, nodes.math) else str(node))
    return None if None in parts else " ".join("".join(map(str, parts)).split())


def notation(doctree: nodes.document) -> Rows:
    """The rows of the notation page; those with several symbols count for each."""
    found: Rows = defaultdict(list)
    for row in doctree.findall(nodes.row):
        cells = [entry for entry in row.children if isinstance(entry, nodes.entry)]
        if len(cells) != 5 or (meaning := says(cells[1])) is None:
            continue
        chapter = re.match(r"\d+", cells[4].astext())
        for formula in cells[0].findall(nodes.math):
            for tex in re.split(r",\\?\s|;", formula.astext()):
                if symbol := tokens(tex.partition("(")[0]):
                    found[symbol].append((chapter[0] if chapter else "", meaning))
    return dict(found)


def meaning(symbol: Token, rows: Rows, chapter: str) -> str | None:
    """What a symbol means in a chapter; None if that is not certain."""
    known = rows.get(symbol, [])
    letter = len(symbol) == 1 and len(symbol[0]) == 1
    own = {said for where, said in known if where == chapter}
    if len(own) == 1:
        return own.pop()
    return known[0][1] if len(known) == 1 and not letter and not own else None


def explained(tex: str, rows: Rows, chapter: str) -> str:
    """The meanings of the symbols in a formula, each once; empty if there are none."""
    told: dict[str, str] = {}
    some, k = tokens(re.sub(GROUPED, " . ", tex)), 0
    longest = max(map(len, rows), default=1)
    while k < len(some):
        for length in range(min(longest, len(some) - k), 0, -1):
            symbol = some[k : k + length]
            goes_on = k + length < len(some) and some[k + length] in ("_", "^", "'")
            shown = plain(" ".join(symbol))
            if shown and not goes_on and (said := meaning(symbol, rows, chapter)):
                told[re.sub(r"\s", "", shown)] = said
                k += length
                break
        else:
            k += 2 if some[k][1:] in (*ACCENTS, *FONTS) or some[k] in ("_", "^") else 1
    return "; ".join(f"{symbol}: {said}" for symbol, said in told.items())


class Symbols(SphinxPostTransform):
    """Explain the formulas in the text of a chapter."""

    default_priority = 820  # after formulas and their marks were put together
    formats = ("html",)

    def run(self, **_: Any) -> None:
        """Change one page."""
        number = re.match(r"notebooks/(\d\d)-", self.env.docname)
        if number is None or NOTATION not in self.env.found_docs:
            return
        rows = notation(self.env.get_doctree(NOTATION))
        for formula in list(self.document.findall(nodes.math)):
            said = explained(formula.astext(), rows, str(int(number[1])))
            if said and not isinstance(formula.parent, nodes.title | nodes.reference):
                ends = f'<span title="{html(said)}">', "</span>"
                first, last = (nodes.raw("", end, format="html") for end in ends)
                formula.parent.replace(formula, [first, formula, last])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the transform."""
    app.add_post_transform(Symbols)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
