"""Chapter 14 follows the registry: a method from a file is in every table, figure and choice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: Runs the code of the chapter in IPython, with figures that only say what they hold.
RUN = """
import json, sys
import jupytext
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
shell.user_ns["display"] = lambda value: values.append(value)
values, figures = [], []


def texts(figure):
    legends = [t.get_text() for legend in figure.legends for t in legend.get_texts()]
    return legends + [t.get_text() for ax in figure.axes for t in ax.texts]


def show():
    figures.append(texts(plt.gcf()))
    plt.close("all")


plt.show = show
given = json.loads(sys.argv[1])
for cell in jupytext.read("../book/14-comparison.md").cells:
    if cell.cell_type != "code":
        continue
    result = shell.run_cell(cell.source)
    result.raise_error()
    if isinstance(result.result, pd.DataFrame):
        values.append(result.result)
    if "parameters" in cell.metadata.get("tags", []):
        shell.user_ns.update(given)
tables = [v.to_csv() for v in values if isinstance(v, pd.DataFrame)]
print("\\n@" + json.dumps({"tables": tables, "figures": figures}))
"""


@pytest.mark.slow
def test_a_method_from_a_file_is_everywhere(tmp_path: Path) -> None:
    given = {
        "profile": "quick",
        "methods": "params/example_method.py",
        "worlds": ["random"],
        "budgets": [400],
        "robust_budget": 400,
        "workers": 0,
        "folder": str(tmp_path),
    }
    run = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(given)],
        cwd=ROOT / "notebooks",
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tools'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    found = json.loads(run.stdout[run.stdout.rindex("\n@") + 2 :])
    with_methods = [t for t in found["tables"] if "DPO" in t and "personalised" in t]
    assert len(with_methods) >= 3  # what there is, side by side, endless data
    for table in with_methods:
        assert "median of types" in table
    lines = [texts for texts in found["figures"] if "DPO" in texts]
    assert len(lines) == 2  # against the number of labels; when something is wrong
    assert all("median of types" in texts for texts in lines)
    side = next(t for t in found["tables"] if "regret ×1000" in t)
    assert next(r for r in side.splitlines() if r.startswith("median")).endswith(",–")
