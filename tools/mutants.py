"""Change the code a little, thousands of times, and see whether a test notices.

    python tools/mutants.py                  the rooms of ROOMS; stopped runs go on where they were
    python tools/mutants.py hetlib/borda     some folders or files
    python tools/mutants.py --again          also what survived, with the tests as they are now
    python tools/mutants.py --sample 400     so many of what is left, drawn at random

mutmut makes the mutants and runs the tests that reach them, in a copy of the tree under
``_build``. A surviving mutant that differs only in the text of an error, a docstring or a type
changes no behaviour. The others must be named in ``tests/harmless-mutants.yml`` with the reason
why they do no harm; what is not named there is a gap in the tests, and is listed.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).parent.parent
TREE = ROOT / "_build" / "mutants"
COPIED = ("hetlib", "tests", "tools", "params", "book", "results", "benchmarks")
FILES = ("pyproject.toml", "constraints.txt", "environment.yml", "Makefile", "README.md")
#: What is mutated unless something else is asked for, and the tests that must notice.
ROOMS = ("core", "borda", "linked", "consistent", "surveys")
HARMLESS = ROOT / "tests" / "harmless-mutants.yml"
#: Exit codes of mutmut's test runs: no failure, and no test that reaches the code.
SURVIVED, UNREACHED = 0, 33
#: Share of the mutants that change behaviour which the tests must notice.
WANTED = 0.9


class Mutant(NamedTuple):
    """A change that no test noticed."""

    name: str
    function: str
    change: str


def prepare(targets: list[str]) -> None:
    """Copy the tree, unchanged files left alone, with mutmut told what to mutate."""
    TREE.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, TREE / name, dirs_exist_ok=True)
    for name in FILES:
        shutil.copy2(ROOT / name, TREE / name)
    tests = sorted({f"tests/{target.split('/')[1]}" for target in targets})
    settings = {
        "source_paths": ["hetlib"],
        "only_mutate": [t if t.endswith(".py") else f"{t}/*" for t in targets],
        "pytest_add_cli_args_test_selection": tests,
        "pytest_add_cli_args": ["-p", "no:cacheprovider", "-m", "not pages"],
        "also_copy": [*(name for name in COPIED if (ROOT / name).is_dir()), *FILES],
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    with (TREE / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write("\n".join(["", "[tool.mutmut]", *lines, ""]))


def functions(path: Path) -> dict[str, ast.AST]:
    """Functions of a mutated file by the name that mutmut gave them."""
    tree = ast.parse(path.read_text("utf-8"))
    return {
        node.name: node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


class Quiet(ast.NodeTransformer):
    """Code without what only says something: texts of errors, docstrings, annotations, casts."""

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        """Which error, not what it says."""
        if isinstance(node.exc, ast.Call):
            node.exc = node.exc.func
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Casts, names in errors, the case of some letters and warnings off do not count."""
        self.generic_visit(node)
        called = ast.unparse(node.func)
        if called == "cast" and len(node.args) == 2:
            return node.args[1]
        if called == "np.errstate":
            node.keywords = []
        if called.startswith(("checks.", "_symmetric")) and len(node.args) > 1:
            node.args[0] = ast.Constant("name")
        for keyword in node.keywords:  # names that are read without regard to case
            if keyword.arg in ("encoding", "kind") and isinstance(keyword.value, ast.Constant):
                keyword.value = ast.Constant(str(keyword.value.value).lower())
        if called == "np.einsum" and isinstance(node.args[0], ast.Constant):
            node.args[0] = ast.Constant(str(node.args[0].value).lower())
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Only the body, without a docstring."""
        self.generic_visit(node)
        node.name, node.returns, node.decorator_list = "f", None, []
        for arg in ast.walk(node.args):
            if isinstance(arg, ast.arg):
                arg.annotation = None
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return node


def behaviour(function: ast.AST) -> str:
    """What a function does, as text."""
    return ast.unparse(Quiet().visit(ast.parse(ast.unparse(function))))


def survivors(path: Path, codes: dict[str, int | None]) -> list[Mutant]:
    """Mutants of a file that no test noticed and that change what it does."""
    found = []
    bodies = functions(path)
    for name, code in codes.items():
        if code not in (SURVIVED, UNREACHED):
            continue
        module, _, local = name.rpartition(".")
        original = bodies[local.rpartition("__mutmut_")[0] + "__mutmut_orig"]
        before, after = behaviour(original).splitlines(), behaviour(bodies[local]).splitlines()
        if before == after:
            continue
        changed = [
            f"{a.strip()} -> {b.strip()}" for a, b in zip(before, after, strict=False) if a != b
        ]
        function = local.rpartition("__mutmut_")[0].removeprefix("x_").removeprefix("xǁ")
        found.append(Mutant(name, f"{module}.{function.replace('ǁ', '.')}", "; ".join(changed)))
    return found


def forget() -> None:
    """Let the next run try once more what survived."""
    for meta in (TREE / "mutants" / "hetlib").rglob("*.meta"):
        known = json.loads(meta.read_text("utf-8"))
        codes = known["exit_code_by_key"]
        alive = {m.name for m in survivors(meta.with_suffix(""), codes)}
        known["exit_code_by_key"] = {k: None if k in alive else c for k, c in codes.items()}
        meta.write_text(json.dumps(known, indent=4), "utf-8")


def untried(sample: int | None) -> list[str]:
    """Names of mutants that no test was run on; so many of them, drawn at random."""
    names = [
        name
        for meta in sorted((TREE / "mutants" / "hetlib").rglob("*.meta"))
        for name, code in json.loads(meta.read_text("utf-8"))["exit_code_by_key"].items()
        if code is None
    ]
    some = random.Random(0)  # noqa: S311
    return names if sample is None else some.sample(names, min(sample, len(names)))


def explained() -> dict[tuple[str, str], str]:
    """Reasons by function and change."""
    if not HARMLESS.exists():
        return {}
    rows = yaml.safe_load(HARMLESS.read_text("utf-8")) or []
    return {(row["function"], row["change"]): row["why"] for row in rows}


def report(drawn: Sequence[str] = ()) -> int:
    """Print the table of files and the mutants that nobody has explained; 1 if too many live."""
    reasons, open_ones = explained(), list[Mutant]()
    total = Counter[str]()
    heads = f"{'mutants':>8s} {'killed':>7s} {'text':>5s} {'harmless':>9s} {'open':>5s}"
    print(f"{'file':44s} {heads} {'to run':>7s}")
    for meta in sorted((TREE / "mutants" / "hetlib").rglob("*.meta")):
        codes = json.loads(meta.read_text("utf-8"))["exit_code_by_key"]
        if not codes:
            continue
        path = meta.with_suffix("")
        alive = survivors(path, codes)
        named = [m for m in alive if (m.function, m.change) in reasons]
        left = [m for m in alive if m not in named]
        quiet = sum(code in (SURVIVED, UNREACHED) for code in codes.values()) - len(alive)
        waiting = sum(code is None for code in codes.values())
        row = Counter(
            mutants=len(codes),
            killed=len(codes) - len(alive) - quiet - waiting,
            text=quiet,
            harmless=len(named),
            open=len(left),
            waiting=waiting,
        )
        total += row
        open_ones += left
        name = str(path.relative_to(TREE / "mutants"))
        print(f"{name:44s} " + _cells(row))
    print(f"{'in all':44s} " + _cells(total))
    changing = total["killed"] + total["open"]
    share = total["killed"] / changing if changing else 1.0
    print(f"killed of those that change behaviour: {100 * share:.1f} %")
    if drawn:
        living = {mutant.name for mutant in open_ones} & set(drawn)
        print(f"of {len(drawn)} drawn at random {len(living)} are open")
    for mutant in open_ones:
        print(f"\n{mutant.name}\n  function: {mutant.function}\n  change: {mutant.change}")
    return int(share < WANTED)


def _cells(row: Counter[str]) -> str:
    widths = {"mutants": 8, "killed": 7, "text": 5, "harmless": 9, "open": 5, "waiting": 7}
    return " ".join(f"{row[name]:{width}d}" for name, width in widths.items())


def main() -> int:
    """Mutate, test, report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("targets", nargs="*", help="folders or files of hetlib")
    parser.add_argument("--report", action="store_true", help="only the table of what was run")
    parser.add_argument("--again", action="store_true", help="try once more what survived")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--sample", type=int, help="only so many of those left, at random")
    options = parser.parse_args()
    drawn: list[str] = []
    if not options.report:
        prepare(options.targets or [f"hetlib/{room}" for room in ROOMS])
        if options.again:
            forget()
        env = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        env["PYTHONPATH"] = os.pathsep.join(["tools"])
        drawn = untried(options.sample) if options.sample else []
        command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(options.jobs)]
        command += drawn
        done = subprocess.run(command, cwd=TREE, env=env, check=False)
        if done.returncode:
            return done.returncode
    return report(drawn)


if __name__ == "__main__":
    sys.exit(main())
