"""Chapter 14 follows the registry: methods of others are in every table, figure and choice."""

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


#: A distribution with a module that registers a method, as pip would lay it out.
INSTALLED = {
    "acme_methods.py": """
from hetlib.comparison.registry import Result, register


@register("first", "first type only", form="typed", aim="biased", colour="#882255", mark="h")
def first(labels):
    wins = labels.typed[0] + 1.0
    return Result(labels.policy((wins / (wins + wins.T)).mean(axis=1)), labels.size)


@register("oracle", "knows better", form="anonymous", aim="other", colour="#AA4499", mark="8")
def oracle(labels):
    best = labels.world.best()
    return Result(0.999 * best + 0.001 * labels.reference, labels.size)
""",
    "acme_methods-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n",
    "acme_methods-1.0.dist-info/entry_points.txt": "[hetlib.methods]\nacme = acme_methods\n",
}
MORE = ("median of types", "first type only", "knows better")


@pytest.mark.slow
def test_methods_from_a_file_and_from_a_package_are_everywhere(tmp_path: Path) -> None:
    for name, content in INSTALLED.items():
        (tmp_path / "site" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "site" / name).write_text(content)
    given = {
        "profile": "quick",
        "methods": "params/example_method.py",
        "worlds": ["random"],
        "budgets": [400],
        "types": 2,
        "responses": 4,
        "robust_budget": 400,
        "workers": 0,
        "folder": str(tmp_path / "cells"),
    }
    run = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(given)],
        cwd=ROOT / "notebooks",
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tools'}:{tmp_path / 'site'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    found = json.loads(run.stdout[run.stdout.rindex("\n@") + 2 :])
    worlds, *tables = found["tables"]
    assert "masses" in worlds  # the one table that is not of methods
    [chart] = [t for t in tables if t.startswith("known,")]
    tables.remove(chart)
    assert len(tables) == 5  # what there is, what each wants, side by side, endless data, wrong
    for table in tables:
        assert all(name in table for name in MORE), table
    boxes = chart.splitlines()[1:]
    assert boxes
    assert all(box.split(",")[1].startswith("knows better:") for box in boxes)
    lines = [texts for texts in found["figures"] if "DPO" in texts]
    assert len(lines) == len(found["figures"]) == 2  # by labels; when something is wrong
    assert all(name in texts for texts in lines for name in MORE)
    side = next(t for t in found["tables"] if "regret ×1000" in t)
    for name in MORE:
        assert next(r for r in side.splitlines() if r.startswith(name)).endswith(",–")
    cells = [p.name for p in (tmp_path / "cells").rglob("*.json")]
    assert cells
