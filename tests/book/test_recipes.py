"""The recipes of CONTRIBUTING, each carried out as it is written in a copy of the checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
_PART = TEXT[TEXT.index("## Recipes") : TEXT.index("## Dependencies")]
RECIPES = {
    title: re.findall(r"^```\w+\n# (write|add to|then) ?([^\n]*)\n(.*?)^```", body, re.M | re.S)
    for title, body in re.findall(r"^### (.+?)\n(.*?)(?=^### |\Z)", _PART, re.M | re.S)
}
KINDS = ["A method", "A link", "A loss", "A world", "A data set", "A claim"]


def test_there_is_one_for_each_kind_and_each_fits_a_screen() -> None:
    assert list(RECIPES) == [*KINDS, "A chapter, or a note"]
    for body in re.split(r"^### ", _PART, flags=re.M)[1:]:
        assert len(body.splitlines()) <= 50


@pytest.mark.slow
@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_works_as_written(title: str, tmp_path: Path) -> None:
    copy = tmp_path / "checkout"
    skip = shutil.ignore_patterns(".git", ".venv", "_build", "notebooks", "results", "__pycache__")
    shutil.copytree(ROOT, copy, ignore=skip, symlinks=True)
    (copy / "notebooks").mkdir()
    done = 0
    for verb, where, code in RECIPES[title]:
        if verb == "then":
            path = os.pathsep.join([str(copy), str(copy / "tools")])
            run = subprocess.run(
                [sys.executable, "-c", code],
                cwd=copy,
                env=os.environ | {"PYTHONPATH": path},
                capture_output=True,
                text=True,
                check=False,
            )
            assert run.returncode == 0, run.stderr[-3000:]
            done += 1
        else:
            file = copy / where
            before = file.read_text("utf-8") + "\n\n" if verb == "add to" else ""
            file.write_text(before + code)
    assert done == 1
