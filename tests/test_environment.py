"""One environment, said in several files; and a library that is light to import."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import jupytext
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONDA: dict[str, Any] = yaml.safe_load((ROOT / "environment.yml").read_text())
EXTRAS = ("book", "llm", "dev")
PARAMS = sorted((ROOT / "params").glob("*.y*ml"))
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (ROOT / "hetlib").rglob("*.py")
}
# A room imports only rooms that stand before it; those of the book none but checks.
ORDER = [
    *("checks", "core", "borda", "surveys", "linked", "consistent", "mixture", "ring"),
    *("comparison", "llm"),
]
BOOK = {"book", "provenance", "store"}


def direct(*extras: str) -> dict[str, Requirement]:
    """Requirements of pyproject.toml by name."""
    lines = [*PROJECT["project"]["dependencies"]]
    for extra in extras:
        lines += PROJECT["project"]["optional-dependencies"][extra]
    return {canonicalize_name(r.name): r for r in map(Requirement, lines)}


def pins() -> dict[str, Requirement]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    found = [Requirement(line) for line in lines if line and line[0] not in "#-"]
    assert len({canonicalize_name(r.name) for r in found}) == len(found), "pinned twice"
    return {canonicalize_name(r.name): r for r in found}


# ---- environment.yml, constraints.txt, params/ ----


def test_conda_installs_what_pip_does() -> None:
    (listed,) = (entry["pip"] for entry in CONDA["dependencies"] if isinstance(entry, dict))
    options = {line for line in listed if line.startswith("-")}
    assert options == {"-c constraints.txt", "-e ."}
    conda = {str(Requirement(line)) for line in listed if line not in options}
    assert conda == {str(requirement) for requirement in direct(*EXTRAS).values()}


def test_conda_has_the_same_python() -> None:
    (line,) = (e for e in CONDA["dependencies"] if isinstance(e, str) and e.startswith("python"))
    version = line.removeprefix("python=")
    tool = PROJECT["tool"]
    assert PROJECT["project"]["requires-python"] == f">={version}"
    assert tool["mypy"]["python_version"] == version
    assert tool["ruff"]["target-version"] == "py" + version.replace(".", "")


def test_constraints_are_exact() -> None:
    loose = [str(r) for r in pins().values() if [s.operator for s in r.specifier] != ["=="]]
    assert not loose


@pytest.mark.parametrize(("name", "wanted"), direct(*EXTRAS).items())
def test_each_dependency_is_pinned_within_its_range(name: str, wanted: Requirement) -> None:
    assert name in pins(), f"constraints.txt does not pin {name}"
    (pin,) = pins()[name].specifier
    assert wanted.specifier.contains(pin.version, prereleases=True), f"{pin} is not in {wanted}"


def test_dependencies_of_dependencies_are_pinned() -> None:
    waiting = [(requirement, "") for requirement in direct(*EXTRAS).values()]
    seen: set[tuple[str, str]] = set()
    while waiting:
        wanted, extra = waiting.pop()
        if wanted.marker and not wanted.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(wanted.name)
        for key in {(name, inner) for inner in ("", *wanted.extras)} - seen:
            seen.add(key)
            needs = metadata.requires(name) or []
            waiting += [(Requirement(line), key[1]) for line in needs]
    missing = {name for name, _ in seen} - set(pins())
    assert not missing, f"constraints.txt does not pin {sorted(missing)}"


def parameters(chapter: Path) -> set[str]:
    """Names assigned in a chapter's parameters cell."""
    cells = [c for c in jupytext.read(chapter).cells if "parameters" in c.metadata.get("tags", [])]
    targets = [
        target
        for cell in cells
        for node in ast.walk(ast.parse(cell.source))
        for target in (
            [node.target]
            if isinstance(node, ast.AnnAssign)
            else node.targets
            if isinstance(node, ast.Assign)
            else []
        )
    ]
    return {target.id for target in targets if isinstance(target, ast.Name)}


@pytest.mark.parametrize("path", PARAMS, ids=lambda path: path.name)
def test_parameter_files_set_parameters_of_their_chapter(path: Path) -> None:
    """The chapter is that of the file's number, or the one its first comment names."""
    number = re.match(r"\d\d-", path.name) or re.search(r"\b\d\d-(?=\w)", path.read_text())
    assert number, f"{path.name} does not say whose parameters these are"
    (chapter,) = (ROOT / "book").glob(f"{number[0]}*.md")
    unknown = set(yaml.safe_load(path.read_text())) - parameters(chapter)
    assert not unknown, f"{path.name} sets {sorted(unknown)}, unknown to {chapter.name}"


# ---- what importing the library loads ----

TIMED = """
import sys, time
start = time.perf_counter()
import hetlib
print(time.perf_counter() - start)
print(*{name.partition(".")[0] for name in sys.modules})"""


def test_import_is_quick_and_light() -> None:
    runs = []
    for _ in range(3):
        command = [sys.executable, "-c", TIMED]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds, loaded = done.stdout.splitlines()
        runs.append(float(seconds))
        heavy = {"torch", "transformers", "scipy", "matplotlib", "pandas"} & set(loaded.split())
        assert not heavy, f"import hetlib loads {heavy}"
    assert min(runs) < 0.5


def imported(path: Path) -> set[str]:
    """Full names that a file imports anywhere, members of packages included."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports inside hetlib are written out"
            names |= {node.module or ""} | {f"{node.module}.{a.name}" for a in node.names}
    return names


def part(module: str) -> str:
    return module.split(".")[1]


GRAPH = {
    name: imported(path) & set(MODULES) - {"hetlib"}
    for name, path in MODULES.items()
    if name != "hetlib"
}


def test_imports_go_one_way() -> None:
    list(graphlib.TopologicalSorter(GRAPH).static_order())  # names a cycle if there is one
    for module, needs in GRAPH.items():
        for other in needs:
            assert part(module) not in BOOK or part(other) in {*BOOK, "checks"}, (
                f"{module} imports {other}, which is not for the book"
            )
            if {part(module), part(other)} <= set(ORDER):
                assert ORDER.index(part(other)) <= ORDER.index(part(module)), (
                    f"{module} imports {other}, which comes later"
                )


def test_only_llm_needs_transformers() -> None:
    for module, path in MODULES.items():
        roots = {name.partition(".")[0] for name in imported(path)}
        if not module.startswith("hetlib.llm"):
            assert not roots & {"transformers", "peft", "accelerate", "datasets"}, module


def test_public_names_exist() -> None:
    """Every line of the stub, which lazy loading trusts, names something."""
    stub = ast.parse((ROOT / "hetlib" / "__init__.pyi").read_text())
    for node in ast.walk(stub):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = {alias.name for alias in node.names}
            if {f"hetlib.{node.module}.{name}" for name in names} <= set(MODULES):
                continue
            source = ast.parse(MODULES[f"hetlib.{node.module}"].read_text())
            bound = {
                name
                for part in ast.walk(source)
                for name in (
                    [getattr(part, "name", None), getattr(part, "asname", None)]
                    + ([part.id] if isinstance(part, ast.Name) else [])
                )
            }
            assert {alias.name for alias in node.names} <= bound, ast.unparse(node)
        elif isinstance(node, ast.ImportFrom):
            assert {f"hetlib.{alias.name}" for alias in node.names} <= set(MODULES)
