"""With which parameters a chapter runs: what was changed, and what a value may be.

A chapter's parameters cell states the defaults; papermill puts a cell with other values
behind it. Both are read from the kernel's own record of its cells.
"""

from __future__ import annotations

import ast
import difflib
import itertools
import math
from collections.abc import Collection
from typing import Any

from hetlib.book.text import plain

#: Parameters that change no result that a claim is about, or that claims must hold for.
NEUTRAL = frozenset(
    {"profile", "seed", "pew_folder", "networks", "workers", "folder", "scheduler", "device"}
    | {"own_file", "own_types", "own_weight", "own_per_option"}  # a survey beside the others
)


def _kernel() -> dict[str, Any]:
    """Names of the notebook that runs; empty outside of one."""
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return {}
    shell = get_ipython()
    return {} if shell is None else dict(shell.user_ns)


def _literals(source: str) -> dict[str, Any]:
    """Names that a cell assigns, with their values where those are literals."""
    found = {}
    try:
        body = ast.parse(source).body
    except SyntaxError:  # a cell with a magic
        return {}
    for node in body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, value = node.targets[0].id, node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            name, value = node.target.id, node.value
        else:
            continue
        try:
            found[name] = ast.literal_eval(value)
        except ValueError:
            found[name] = ast.unparse(value)
    return found


def changed(cells: list[str] | None = None) -> dict[str, Any]:
    """Parameters with another value than the chapter's own, those of :data:`NEUTRAL` left out.

    Args:
        cells: Sources of the cells that ran, in order; those of the running kernel if None.
    """
    ran = _kernel().get("In", []) if cells is None else cells
    ran = [cell for cell in ran if cell]
    for first, second in itertools.pairwise(ran):
        if second.lstrip().startswith("# Parameters"):
            defaults, given = _literals(first), _literals(second)
            return {
                name: value
                for name, value in given.items()
                if name not in NEUTRAL and (name not in defaults or value != defaults[name])
            }
    return {}


def profile() -> str:
    """The profile of the chapter that runs: its parameter, or ``"full"`` outside of a chapter."""
    return str(_kernel().get("profile", "full"))


def require(
    name: str,
    value: Any,
    *,
    kind: str = "number",
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    among: Collection[str] | None = None,
    shape: tuple[int | None, ...] | None = None,
    length: tuple[int, int | None] | None = None,
) -> None:
    """Check one parameter at the head of a chapter.

    Args:
        name: The parameter.
        value: What was given.
        kind: ``"number"``, ``"whole"``, ``"text"``, ``"numbers"``, ``"wholes"``, ``"texts"``
            (lists), ``"table"`` (rows of numbers, all of one length) or ``"flag"``.
        least: Smallest value allowed, of each number in a list or table.
        most: Largest.
        above: The value must exceed this.
        below: The value must stay under this.
        among: Texts that are known; each text must be one of them.
        shape: Of a table: rows and columns; None where any number will do.
        length: Of a list: fewest and most entries; None for no limit.

    Raises:
        ValueError: the value is of another kind or outside; it names parameter, entry and what
            is allowed.
    """
    words = {
        "number": "a number",
        "whole": "a whole number",
        "text": "a text",
        "flag": "True or False",
        "numbers": "a list of numbers",
        "wholes": "a list of whole numbers",
        "texts": "a list of texts",
        "table": "a table: a list of rows of numbers, all of one length",
    }
    if kind not in words:
        raise ValueError(f"kind is {kind!r}; it must be one of {', '.join(words)}")

    def refuse(what: str, at: str = "", one: Any = None) -> None:
        got = value if not at else one
        text = plain(repr(got))
        text = text if len(text) <= 80 else text[:77] + "..."
        raise ValueError(f"parameter {name}{at} is {text}; {what}")

    def single(one: Any, at: str, kind: str) -> None:
        if kind == "flag":
            if not isinstance(one, bool):
                refuse("it must be True or False", at, one)
            return
        if kind == "text":
            if not isinstance(one, str):
                refuse(f"it must be {words['text']}", at, one)
            if among is not None and one not in among:
                near = difflib.get_close_matches(one, among, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                refuse(f"it must be one of {', '.join(among)}{hint}", at, one)
            return
        whole = kind == "whole"
        if isinstance(one, bool) or not isinstance(one, int if whole else int | float):
            refuse(f"it must be {words[kind]}", at, one)
        if not math.isfinite(one):
            refuse("it must be finite", at, one)
        if least is not None and one < least:
            refuse(f"it must be at least {least:g}", at, one)
        if most is not None and one > most:
            refuse(f"it must be at most {most:g}", at, one)
        if above is not None and one <= above:
            refuse(f"it must be more than {above:g}", at, one)
        if below is not None and one >= below:
            refuse(f"it must be less than {below:g}", at, one)

    def entries(found: Any, at: str, bounds: tuple[int, int | None]) -> None:
        fewest, largest = bounds
        if not isinstance(found, list | tuple):
            refuse(f"it must be {words[kind]}", at, found)
        if len(found) < fewest or (largest is not None and len(found) > largest):
            allowed = f"at least {fewest}" if largest is None else f"{fewest} to {largest}"
            allowed = str(fewest) if fewest == largest else allowed
            refuse(f"it has {len(found)} entries, {allowed} are allowed", at, found)

    if kind in ("number", "whole", "text", "flag"):
        single(value, "", kind)
        return
    if kind == "table":
        rows, columns = shape or (None, None)
        entries(value, "", (rows or 1, rows))
        for i, row in enumerate(value):
            wanted = columns or (len(value[0]) if isinstance(value[0], list | tuple) else 1)
            entries(row, f"[{i}]", (max(wanted, 1), wanted))
            for j, one in enumerate(row):
                single(one, f"[{i}][{j}]", "number")
        return
    entries(value, "", length or (1, None))
    for i, one in enumerate(value):
        single(one, f"[{i}]", kind.removesuffix("s"))


def require_people(
    rewards: Any,
    weights: Any = (),
    reference: Any = (),
    *,
    types: int = 1,
    responses: int = 2,
    most: float = 100,
) -> None:
    """Refuse parameters that describe no population.

    Args:
        rewards: A row of rewards for each type, from -most to most.
        weights: A share for each type; empty for equal shares.
        reference: A probability for each response; empty for uniform.
        types: Fewest types.
        responses: Fewest responses.
        most: Largest size of a reward.

    Raises:
        ValueError: it names the parameter, the entry and what is allowed.
    """
    require("rewards", rewards, kind="table", least=-most, most=most)
    require("number of types in rewards", len(rewards), kind="whole", least=types)
    require("number of responses in rewards", len(rewards[0]), kind="whole", least=responses)
    for name, values, n, more in (
        ("weights", weights, len(rewards), {"least": 0}),
        ("reference", reference, len(rewards[0]), {"above": 0}),
    ):
        if len(values):
            require(name, values, kind="numbers", length=(n, n), **more)  # type: ignore[arg-type]
