"""Sphinx extension: the API page of a room lists the room's modules, found, not typed.

A line ``{{ room: hetlib.core }}`` of a page becomes, for each module in it, a heading, a table
with a sentence on each public name, and the docstrings.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import sphinx.ext.autosummary
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

ROOT = Path(__file__).parents[1]
MARK = re.compile(r"^\{\{ room: ([\w.]+) \}\}$", re.MULTILINE)
#: A period after these ends no sentence, so a summary goes on.
ABBREVIATIONS = ("App.", "Ch.", "Eq.", "Eqs.", "Fig.", "Prop.", "Props.", "Sec.", "Thm.", "cf.")


def modules(room: str) -> list[str]:
    """The public modules of a package, or the module itself, as dotted names."""
    path = ROOT.joinpath(*room.split("."))
    if path.with_suffix(".py").is_file():
        return [room]
    found = [p.relative_to(ROOT).with_suffix("") for p in sorted(path.rglob("*.py"))]
    return [".".join(p.parts) for p in found if not p.name.startswith("_")]


def names(module: str) -> list[str]:
    """What a module defines for others: functions, classes, and values described by ``#:``."""
    text = ROOT.joinpath(*module.split(".")).with_suffix(".py").read_text()
    lines, found = text.splitlines(), []
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            described = "#:" in lines[node.lineno - 1] or lines[node.lineno - 2].startswith("#:")
            if described and isinstance(target, ast.Name):
                found.append(target.id)
    return [name for name in found if not name.startswith("_")]


def listing(room: str) -> str:
    """The part of a page that a mark stands for."""
    out = []
    for module in modules(room):
        if public := names(module):
            table = "\n".join(f"   ~{module}.{name}" for name in public)
            members = ", ".join(public)
            out.append(
                f"## `{module.removeprefix('hetlib.')}`\n\n```{{eval-rst}}\n"
                ".. py:currentmodule:: None\n\n"  # or names are looked for inside the module before
                f".. autosummary::\n   :nosignatures:\n\n{table}\n\n"
                f".. automodule:: {module}\n   :members: {members}\n```\n"
            )
    return "\n".join(out)


def fill(app: Sphinx, page: str, source: list[str]) -> None:
    """Replace the marks of a page."""
    source[0] = MARK.sub(lambda mark: listing(mark[1]), source[0])


def short_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, text: nodes.TextElement
) -> nodes.reference | None:
    """Resolve a docstring's reference to a name of another module, if one object has it."""
    if node.get("refdomain") != "py":
        return None
    ending = "." + node["reftarget"]
    found = [o for name, o in env.domains["py"].objects.items() if name.endswith(ending)]
    if len(found) != 1:
        return None
    return make_refnode(app.builder, node["refdoc"], found[0].docname, found[0].node_id, text)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the hooks."""
    sphinx.ext.autosummary.WELL_KNOWN_ABBREVIATIONS += ABBREVIATIONS
    app.connect("source-read", fill)
    app.connect("missing-reference", short_name)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
