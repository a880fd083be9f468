"""Write the examples of the laboratory, computed from the parameters and rewards of the chapters.

python tools/laboratory.py book/_static/lab/examples.js
"""

from __future__ import annotations

import ast
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import jupytext
import numpy as np

import hetlib

BOOK = Path(__file__).parents[1] / "book"
OFFSETS = (-15, -10, -5, 0, 5, 10)  # the slice of the ring


def parameters(chapter: str) -> dict[str, Any]:
    """The values of a chapter's parameters cell."""
    for cell in jupytext.read(BOOK / f"{chapter}.md").cells:
        if "parameters" in cell.metadata.get("tags", []):
            values = {}
            for line in ast.parse(cell.source).body:
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                    with suppress(ValueError):  # the profile is no literal
                        values[line.target.id] = ast.literal_eval(line.value or line)
            return values
    raise ValueError(f"{chapter} has no cell of parameters")


def examples() -> list[dict[str, Any]]:
    """Name and population of each; rewards have five digits."""
    first, poll = parameters("04-drawbacks"), parameters("05-surveys")
    ring = hetlib.RingEnvironment()
    centred = ring.centred()
    places = [int(np.flatnonzero(ring.offsets == k)[0]) for k in OFFSETS]
    people = {
        "Section 4.3: sampling": (first["rewards"], first["weights"] or None),
        "Section 4.3: mediocrity": ([[0, 1, 4], [4, 1, 0], [0, 1, 0]], None),
        "Appendix A: a third party": ([[6, 1, 2], [3, 9, 2]], None),
        "Appendix A: a mild majority": ([[0.5, 1], [0.5, -10]], [0.9, 0.1]),
        "A slice of the ring": (centred.rewards[:, places], centred.weights),
        "A survey question": (
            hetlib.luce_shepard_rewards(poll["shares"]),
            np.divide(poll["masses"], sum(poll["masses"])),
        ),
    }
    out = []
    for name, (rewards, weights) in people.items():
        w = hetlib.Population(rewards, weights).weights
        population = {
            "rewards": np.round(rewards, 5).tolist(),
            "weights": w.tolist(),
        }
        out.append({"name": name, "population": population})
    return out


def script() -> str:
    """The file."""
    lines = ",\n".join(f"  {json.dumps(example)}" for example in examples())
    return (
        "// Examples of the paper, written by tools/laboratory.py from the chapters.\n"
        f"window.Lab = window.Lab || {{}};\nLab.examples = [\n{lines},\n];\n"
    )


if __name__ == "__main__":
    hetlib.store.write(Path(sys.argv[1]), script())
