"""One environment, said in several files; and a library that is light to import."""

from __future__ import annotations

import ast
import graphlib
import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import environment
import jupytext
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from hetlib import extras
from hetlib.book import claims
from hetlib.llm.runs.own import OwnPlan
from hetlib.llm.runs.plan import Plan

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONDA: dict[str, Any] = yaml.safe_load((ROOT / "environment.yml").read_text())
EXTRAS = ("book", "llm", "dev")
PYTHONS = ("3.11.0", "3.11.2", "3.12.0", "3.13.0", "3.14.0")
PARAMS = sorted((ROOT / "params").glob("*.y*ml"))
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (ROOT / "hetlib").rglob("*.py")
}
# A room imports only rooms that stand before it; those of the book none but these two.
ORDER = [
    *("extras", "checks", "core", "borda", "surveys", "linked", "consistent", "mixture", "ring"),
    *("people", "comparison", "llm"),
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


@pytest.mark.parametrize("python", PYTHONS)
def test_pins_accept_every_python_promised(python: str) -> None:
    assert SpecifierSet(PROJECT["project"]["requires-python"]).contains(python)
    refused = []
    for name, pin in pins().items():
        try:
            found = dict(metadata.metadata(name).json)
        except metadata.PackageNotFoundError:
            continue  # for another system or Python than this one
        ours = {s.version for s in pin.specifier} == {str(found["version"]).partition("+")[0]}
        if ours and not SpecifierSet(str(found.get("requires_python", ""))).contains(python):
            refused.append(f"{pin} needs Python {found['requires_python']}")
    assert not refused


def test_ruff_is_one_version() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (rev,) = {repo["rev"] for repo in hooks["repos"] if "ruff" in repo["repo"]}
    (pin,) = pins()["ruff"].specifier
    assert rev == f"v{pin.version}"


@pytest.mark.slow
def test_extras_named_in_errors_bring_the_package() -> None:
    distributions = metadata.packages_distributions()
    for path in MODULES.values():
        tree = ast.parse(path.read_text())
        if any(getattr(node, "name", "") == "require" for node in tree.body):
            continue  # book.settings.require is about values of parameters
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "require":
                for package in map(ast.literal_eval, call.args):
                    extra = extras.EXTRAS.get(package, "book")
                    names = {canonicalize_name(name) for name in distributions[package]}
                    brought = set(direct(extra)) | {"distributed"}  # dask[distributed]
                    assert names & brought, f"{path.name}: {package} is not in {extra}"


# ---- making .venv ----


@pytest.mark.parametrize("found", [(3, 10, 13), (3, 9, 0), (3, 8, 19), (3, 6, 15), (2, 7, 18)])
def test_an_old_python_is_named(found: tuple[int, int, int]) -> None:
    told = environment.too_old(found, (ROOT / "pyproject.toml").read_text())
    assert told is not None
    assert "needs Python 3.11 or newer" in told
    assert "{}.{}.{}".format(*found) in told
    assert environment.too_old((3, 11, 0), (ROOT / "pyproject.toml").read_text()) is None


def test_the_check_is_read_by_any_python() -> None:
    """Python 2 knows no annotations, no f-strings, and no stars in lists."""
    new = (ast.AnnAssign, ast.JoinedStr, ast.NamedExpr, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse((ROOT / "tools" / "environment.py").read_text("ascii"))):
        if isinstance(node, ast.arg):
            assert node.annotation is None
        elif isinstance(node, ast.FunctionDef):
            assert node.returns is None
            assert not node.args.kwonlyargs
        elif isinstance(node, ast.List):
            assert not any(isinstance(each, ast.Starred) for each in node.elts)
        else:
            assert not isinstance(node, new)


def test_environment_is_ready_by_digest_not_by_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made once; made anew for other pins or another Python, whatever the dates say."""
    root = tmp_path / "é x"
    root.mkdir()
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, root)
    commands: list[list[str]] = []

    def call(command: list[str], cwd: str) -> int:
        commands.append(command)
        (root / ".venv").mkdir(exist_ok=True)
        return 0

    monkeypatch.setattr(environment, "ROOT", str(root))
    monkeypatch.setattr("environment.subprocess.call", call)

    def made() -> bool:
        commands.clear()
        assert environment.main() is None
        return bool(commands)

    assert made()
    assert not made()
    (root / "constraints.txt").write_text("numpy==2.3.5\n")
    os.utime(root / ".venv" / "ready", (4e9, 4e9))
    assert made()
    assert "--clear" in commands[0]
    monkeypatch.setattr(sys, "version", "3.11.99")
    assert made()
    assert not made()


#: What a Python reads at its start: commands are told instead of run.
TELLS = """
import os, subprocess
def call(command, cwd):
    print(ascii(command), ascii(cwd))
    os.makedirs(os.path.join(cwd, ".venv"), exist_ok=True)
    return 0
subprocess.call = call
"""


@pytest.mark.parametrize(
    "locale", ["C", "POSIX", "C.UTF-8", "en_US.ISO-8859-1", "de_DE@euro", "nowhere.UTF-8"]
)
def test_setup_works_in_any_folder_and_locale(locale: str, tmp_path: Path) -> None:
    """In a process of its own, without the help that Python offers in the C locale."""
    root = tmp_path / "é x 'y' $HOME"
    (root / "tools").mkdir(parents=True)
    for name in ("pyproject.toml", "constraints.txt", "tools/environment.py", "Makefile"):
        shutil.copy(ROOT / name, root / name)
    (tmp_path / "sitecustomize.py").write_text(TELLS)
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "LC_", "PYTHON"))}
    environ |= {"LC_ALL": locale, "PYTHONPATH": str(tmp_path)}
    environ |= {"PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    command = ["make", "setup", f"PYTHON={sys.executable}"]
    for said in (["'-m', 'venv'", "'-c', 'constraints.txt', '-e'"], []):
        done = subprocess.run(command, cwd=root, env=environ, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
        told = [line for line in done.stdout.decode("ascii").splitlines() if line[0] == "["]
        assert len(told) == len(said)
        assert all(part in line for part, line in zip(said, told, strict=True))
        assert all("\\xe9 x" in line or "\\udcc3\\udca9 x" in line for line in told)


def test_help_is_plain_in_the_c_locale() -> None:
    environ = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(["make", "-C", ROOT], capture_output=True, check=True, env=environ)  # noqa: S607
    assert b"make check T=borda" in done.stdout


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
    values = yaml.safe_load(path.read_text())
    if "estimator" in values:  # labels of one's own are no chapter's
        OwnPlan.from_mapping(values)
        return
    if "longest" in values:  # a plan for the features of a frozen model
        Plan.from_mapping(values)
        return
    number = re.match(r"\d\d-", path.name) or re.search(r"\b\d\d-(?=\w)", path.read_text())
    assert number, f"{path.name} does not say whose parameters these are"
    (chapter,) = (ROOT / "book").glob(f"{number[0]}*.md")
    unknown = set(values) - parameters(chapter)
    for more in re.findall(r"has a line in (params/[\w-]+\.yml)", chapter.read_text()):
        unknown -= set(yaml.safe_load((ROOT / more).read_text()))
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


EXAMPLE = """
import importlib, pkgutil, sys
import hetlib
assert hetlib.__file__.startswith(sys.argv[1]), hetlib.__file__
print(hetlib.__version__)
assert len(hetlib.surveys.nonvoters()) == 48
missing = []
for module in pkgutil.walk_packages(hetlib.__path__, "hetlib.", onerror=lambda name: None):
    if module.name.endswith("__main__"):
        continue
    try:
        importlib.import_module(module.name)
    except ImportError as error:
        assert "pip install 'hetlib[" in str(error), f"{module.name}: {error!r}"
        missing.append(module.name)
assert {"hetlib.consistent.losses", "hetlib.book.claims", "hetlib.llm.train"} <= set(missing)
try:
    hetlib.book.plots.style()
except ImportError as error:
    assert str(error).endswith("needs matplotlib: pip install 'hetlib[book]'"), error
try:
    hetlib.losses
except ImportError as error:
    assert str(error).endswith("needs PyTorch: pip install 'hetlib[torch]'"), error
else:
    raise AssertionError("torch was found")
"""


@pytest.mark.slow
def test_wheel_works_where_there_is_only_numpy_and_scipy(tmp_path: Path) -> None:
    """Built from a copy, unpacked beside NumPy and SciPy alone; the README's example runs."""
    source, bare = tmp_path / "source", tmp_path / "bare"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "hetlib", source / "hetlib")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "-w",
        str(tmp_path),
        str(source),
    ]
    subprocess.run([*pip, *build], check=True)
    (wheel,) = tmp_path.glob("hetlib-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(bare)
    packed = {p.relative_to(bare).as_posix() for p in bare.rglob("*") if p.is_file()}
    ours = {
        p.relative_to(ROOT).as_posix()
        for p in (ROOT / "hetlib").rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }
    assert ours <= packed
    for name in ("numpy", "scipy"):
        folder = Path(importlib.import_module(name).__path__[0])
        for part_of in (folder, folder.with_name(f"{name}.libs")):
            if part_of.exists():
                (bare / part_of.name).symlink_to(part_of)
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(examples) == 2
    example = "\n".join(examples)
    code = f"import sys; sys.path.append({str(bare)!r})\n{EXAMPLE}\n{example}"
    command = [sys.executable, "-I", "-S", "-c", code, str(bare)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == PROJECT["project"]["version"]


def test_claims_say_where_they_belong(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="claims belong to the book's checkout"):
        claims.load(tmp_path / "claims.yml")


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
    name: imported(path) & set(MODULES) - {"hetlib", name}
    for name, path in MODULES.items()
    if name != "hetlib"
}


def test_imports_go_one_way() -> None:
    list(graphlib.TopologicalSorter(GRAPH).static_order())  # names a cycle if there is one
    for module, needs in GRAPH.items():
        for other in needs:
            assert part(module) not in BOOK or part(other) in {*BOOK, "checks", "extras"}, (
                f"{module} imports {other}, which is not for the book"
            )
            assert {part(module), part(other)} <= {*ORDER, *BOOK}, f"{module}: no place in ORDER"
            if {part(module), part(other)} <= set(ORDER):
                assert ORDER.index(part(other)) <= ORDER.index(part(module)), (
                    f"{module} imports {other}, which comes later"
                )


def test_only_llm_needs_transformers() -> None:
    for module, path in MODULES.items():
        roots = {name.partition(".")[0] for name in imported(path)}
        if not module.startswith("hetlib.llm"):
            assert not roots & {"transformers", "peft", "accelerate", "datasets"}, module


def test_one_sitting_reads_the_core() -> None:
    """Populations and labels, links, policies, the solver, Borda counts, exact optima, losses."""
    core = [f"core.{name}" for name in ("labels", "link", "newton", "policies", "population")]
    core += ["borda.counts", "borda.optima", "consistent.losses", "core", "borda"]
    assert sum(len(MODULES[f"hetlib.{name}"].read_text().splitlines()) for name in core) <= 1500


STUBS = sorted((ROOT / "hetlib").rglob("*.pyi"))
#: Loads what others made, once, and then each package of hetlib in a process without hetlib.
LOADS = """
import importlib, os, sys
import scipy.optimize, matplotlib.pyplot, pandas, torch, transformers, peft, accelerate
assert not [name for name in sys.modules if name.split(".")[0] == "hetlib"]
for package in sys.argv[1:]:
    if (child := os.fork()) == 0:
        module = importlib.import_module(package)
        for name in module.__all__:
            getattr(module, name)
        os._exit(0 if module.__all__ else 1)
    assert os.waitpid(child, 0)[1] == 0, package
"""


@pytest.mark.slow
def test_every_name_of_a_stub_loads() -> None:
    """Lazy loading trusts the stubs: in a fresh process each line of one gives something."""
    packages = [".".join(stub.relative_to(ROOT).parent.parts) for stub in STUBS]
    assert len(packages) > 10
    command = [sys.executable, "-c", LOADS, *packages]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
