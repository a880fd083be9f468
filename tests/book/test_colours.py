"""One colour a method through the whole book: what a chapter's code says of labels and colours."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import jupytext
import pytest
from execute import chapters

from hetlib.book.plots import COLOURS, NAMES
from hetlib.comparison.methods import METHODS

ROOT = Path(__file__).parents[2]
#: The role of each name that a figure may show.
ROLES = (
    {name: role for role, name in NAMES.items()}
    | {m.name: m.colour for m in METHODS.values() if m.colour in COLOURS}
    | {"π*": "average", r"$\\pi^*$": "average", "personalised": "average", "DPO's bias": "dpo"}
)


def named(source: str) -> Iterator[tuple[str, str]]:
    """Labels with the role that a cell draws them in, where both are written out."""
    lines = [line for line in source.splitlines() if line[:1] not in "%!"]
    for node in ast.walk(ast.parse("\n".join(lines))):
        if isinstance(node, ast.Call):
            given = {k.arg: k.value for k in node.keywords}
            label, colour = given.get("label"), given.get("color")
            if (
                isinstance(label, ast.Constant)
                and isinstance(colour, ast.Subscript)
                and isinstance(colour.slice, ast.Constant)
                and ast.unparse(colour.value) == "COLOURS"
            ):
                yield str(label.value), str(colour.slice.value)
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                first = value.elts[0] if isinstance(value, ast.Tuple) and value.elts else value
                if isinstance(key, ast.Constant) and isinstance(first, ast.Constant):
                    yield str(key.value), str(first.value)


@pytest.mark.parametrize("chapter", chapters())
def test_a_method_has_its_colour(chapter: str) -> None:
    wrong = []
    for cell in jupytext.read(ROOT / "book" / f"{chapter}.md").cells:
        if cell.cell_type == "code":
            for label, role in named(cell.source):
                if role in COLOURS and ROLES.get(label, role) != role:
                    wrong.append(f"{label!r} in {role!r}, not {ROLES[label]!r}")
    assert not wrong


def test_a_wrong_colour_is_seen() -> None:
    found = dict(named('ax.plot(x, color=COLOURS["ipo"], label="DPO")\nd = {"IPO": ("dpo", "-")}'))
    assert found == {"DPO": "ipo", "IPO": "dpo"}
    assert (ROLES["DPO"], ROLES["IPO"]) == ("dpo", "ipo")


def test_methods_differ_to_the_eye() -> None:
    looks = [(m.colour, m.mark, m.line) for m in METHODS.values()]
    assert len(set(looks)) == len(looks)
