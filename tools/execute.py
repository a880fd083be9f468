"""Run chapters with papermill, several at a time.

    python tools/execute.py --into notebooks 03-borda          store its outputs
    python tools/execute.py --into _build/quick/notebooks --profile quick --missing
    P="-p link probit" python tools/execute.py --trial 04-drawbacks

A notebook is replaced only by a run that succeeded. With --missing, chapters whose
outputs in the target are fresh are left alone: an interrupted run can be repeated. A trial,
with parameters of one's own, is stored under _build/try by a name that tells them.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import fcntl
import hashlib
import itertools
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jupytext
import nbformat
import one_page
import yaml
from digests import provenance, stale
from nbformat import NotebookNode
from tidy import read_notebook, tidy
from tqdm import tqdm

from hetlib import store

ROOT = Path(__file__).parent.parent
#: Options of papermill that a trial may use, and how many words follow each.
PARAMETERS = {"-p": 2, "-r": 2, "-f": 1, "-y": 1}
#: Papermills that run now.
RUNNING: set[subprocess.Popen[str]] = set()
LONG = {
    "--parameters": "-p",
    "--parameters_raw": "-r",
    "--parameters_file": "-f",
    "--parameters_yaml": "-y",
}


PAGES = ("audit", "minutes", "practice")


def chapters() -> list[str]:
    """Names of all chapters, in order, then pages without a number, then ``notes/mine``."""
    book = ROOT / "book"
    notes = sorted(f"notes/{path.stem}" for path in (book / "notes").glob("*.md"))
    pages = [name for name in PAGES if (book / f"{name}.md").exists()]
    return [*sorted(path.stem for path in book.glob("[0-9]*.md")), *pages, *notes]


def read_chapter(name: str) -> NotebookNode:
    """The chapter as a notebook without outputs."""
    return jupytext.read(ROOT / "book" / f"{name}.md")


def is_fresh(name: str, folder: Path, profile: str) -> bool:
    """Whether ``folder`` holds outputs of the present code at this profile."""
    path = folder / f"{name}.ipynb"
    if not path.exists():
        return False
    try:
        stored = read_notebook(path)
    except ValueError as error:
        tqdm.write(f"{error}; it is made again", file=sys.stderr)
        return False
    made_at = stored.metadata.get("provenance", {}).get("profile")
    return made_at == profile and not stale(stored, read_chapter(name), name)


def known_parameters(nb: NotebookNode) -> list[str]:
    """Names that the chapter's parameters cell assigns, and those of a file that it names."""
    found = []
    for cell in nb.cells:
        if cell.cell_type == "code" and "parameters" in cell.metadata.get("tags", []):
            for node in ast.parse(cell.source).body:
                if isinstance(node, ast.Assign):
                    found += [target.id for target in node.targets if isinstance(target, ast.Name)]
                elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                    found.append(node.target.id)
            for file in re.findall(r"params/[\w-]+\.yml", cell.source):
                found += yaml.safe_load((ROOT / file).read_text())
    return list(dict.fromkeys(found))


def _mapping(text: str, where: str) -> dict[object, object]:
    """Parameters of a YAML text."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{where} is no YAML: {error}") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ValueError(f"{where} must give parameters by name, such as 'seed: 1'")
    return found


def given_parameters(words: list[str]) -> tuple[list[str], list[object]]:
    """Arguments of papermill as it gets them, and the names of the parameters in them.

    Args:
        words: Such as ``["-p", "link", "probit", "-f", "~/my question.yml"]``.

    Returns:
        The same with paths in full, and all names.

    Raises:
        ValueError: another option, a missing value, a file that cannot be read.
    """
    out: list[str] = []
    names: list[object] = []
    rest = []
    for word in words:  # --parameters_file=x as two words
        option, equals, value = word.partition("=")
        rest += [LONG[option], value] if equals and option in LONG else [LONG.get(word, word)]
    while rest:
        option = rest.pop(0)
        if option not in PARAMETERS:
            raise ValueError(
                f"{option!r} is no option of a trial; it takes -p NAME VALUE, -r NAME VALUE, "
                "-f FILE and -y YAML"
            )
        count = PARAMETERS[option]
        if len(rest) < count:
            raise ValueError(f"{option} needs {'a name and a value' if count == 2 else 'a value'}")
        values, rest = rest[:count], rest[count:]
        if option in ("-p", "-r"):
            names.append(values[0])
        elif option == "-y":
            names += _mapping(values[0], "-y")
        else:
            file = Path(values[0]).expanduser().resolve()
            try:
                text = file.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"{values[0]} cannot be read: {error}") from None
            names += _mapping(text, values[0])
            values = [str(file)]
        out += [option, *values]
    return out, names


def check_parameters(names: list[object], chapter: str) -> None:
    """Refuse names that a chapter does not have, before any of them is written into code.

    Raises:
        ValueError: a name that is unknown or no name at all.
    """
    known = known_parameters(read_chapter(chapter))
    for name in names:
        if not isinstance(name, str) or not name.isidentifier():
            raise ValueError(f"parameter {name!r} is no name; {chapter} has {', '.join(known)}")
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise ValueError(
                f"{chapter} has no parameter {name!r}{hint} It has {', '.join(known) or 'none'}"
            )


def trial_name(chapter: str, words: list[str]) -> str:
    """Name of a trial's notebook: what was asked for, readable and different for each."""
    asked = hashlib.sha256("\0".join(words).encode())
    plain = []
    for before, word in itertools.pairwise(["", *words]):
        if before == "-f":
            asked.update(Path(word).read_bytes())
        if word not in PARAMETERS:
            plain.append(Path(word).stem if before == "-f" else word)
    readable = re.sub(r"[^A-Za-z0-9.-]+", "-", "-".join(plain)).strip("-.")[:60]
    return "-".join(part for part in (chapter, readable, asked.hexdigest()[:8]) if part)


@contextlib.contextmanager
def lock(name: str) -> Iterator[None]:
    """One process at a time stores a chapter; the lock goes with the process."""
    folder = ROOT / "_build" / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name.replace("/", "-")).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def watch(process: subprocess.Popen[str], name: str, position: int) -> str:
    """Show papermill's count of cells as a bar; return what else it wrote."""
    log = []
    quiet = not sys.stderr.isatty()
    with tqdm(desc=name, position=position, leave=False, disable=quiet, unit="cell") as bar:
        assert process.stderr is not None
        for line in process.stderr:  # universal newlines: a bar's refresh is a line, too
            if count := re.match(r"Executing:.*?\s(\d+)/(\d+) ", line):
                bar.total, bar.n = int(count[2]), int(count[1])
                bar.refresh()
            else:
                log.append(line)
    return "".join(log)


def warnings_in(log: str) -> list[str]:
    """Lines of papermill's log that warn of something; a kernel that ends may be noisy, too."""
    known = "the file is not specified with any extension : -"  # it reads from a pipe
    lines = [line.strip() for line in log.splitlines()]
    # Not its "unknown parameter", which it says of annotations such as int | None, too; those
    # that are unknown were refused before
    warning = re.compile(r"\w*Warning: ", re.IGNORECASE)
    return [line for line in lines if warning.search(line) and not line.endswith(known)]


def run(
    name: str, out: Path, profile: str, extra: list[str], position: int, trial: bool = False
) -> str | None:
    """Execute one chapter and store the result.

    Args:
        name: The chapter.
        out: The finished notebook.
        profile: ``quick`` or ``full``.
        extra: Further arguments of papermill.
        position: Row of the progress bar.
        trial: Whether it is one: such runs carry no provenance.

    Returns:
        None, or what went wrong.
    """
    nb = read_chapter(name)
    made = None if trial or extra else {"profile": profile, **provenance(nb, name)}
    scratch = ROOT / "_build" / "run" / f"{name}-{os.getpid()}-{position}.ipynb"
    scratch.parent.mkdir(parents=True, exist_ok=True)
    env = os.environ | {"HETLIB_PROFILE": profile, "OMP_WAIT_POLICY": "PASSIVE"}
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        env[variable] = "1"  # sums in the same order on every machine
    command = [sys.executable, "-m", "papermill", "--cwd", "notebooks", "--progress-bar"]
    process = subprocess.Popen(
        [*command, *extra, "-", str(scratch)],
        cwd=ROOT,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended already: its log says why
            process.stdin.write(nbformat.writes(nb))
            process.stdin.close()
        RUNNING.add(process)
        log = watch(process, name, position)
        RUNNING.discard(process)
    if process.returncode:
        return f"{log}\nAs far as it came: {scratch.relative_to(ROOT)}"
    for line in warnings_in(log):
        tqdm.write(f"{name}: {line}", file=sys.stderr)
    done = tidy(read_notebook(scratch), made)
    out.parent.mkdir(parents=True, exist_ok=True)
    with lock(name):
        store.write(out, nbformat.writes(done) + "\n")
    scratch.unlink()
    return None


def sync(name: str) -> None:
    """Copy a chapter's edited prose into its stored notebook; outputs of equal cells stay."""
    path = ROOT / "notebooks" / f"{name}.ipynb"
    with lock(name):
        nb = read_chapter(name)
        if path.exists():
            stored = read_notebook(path)
            nb = jupytext.combine.combine_inputs_with_outputs(nb, stored, fmt={"extension": ".md"})
        path.parent.mkdir(parents=True, exist_ok=True)
        store.write(path, nbformat.writes(tidy(nb)) + "\n")


def main() -> int:
    """Run the chapters that were asked for; 1 if any failed."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="The variables NAME (chapters), P (arguments of papermill) and OUT (the notebook "
        "of a trial) count like arguments: make hands them over without a shell.",
    )
    parser.add_argument("names", nargs="*", help="chapters; all if none is given")
    parser.add_argument("--into", type=Path, default=Path("notebooks"))
    parser.add_argument("--profile", choices=["quick", "full"], default="full")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--missing", action="store_true", help="only what is not there or stale")
    parser.add_argument("--named", action="store_true", help="the chapters are those of NAME")
    parser.add_argument("--trial", action="store_true", help="with parameters, stored elsewhere")
    parser.add_argument("--sync", action="store_true", help="copy edited prose, run nothing")
    parser.add_argument("--papermill", default=None, help="parameters, such as '-p seed 1'")
    options = parser.parse_args()
    names = [os.environ.get("NAME", "")] if options.named else options.names or chapters()
    if unknown := sorted(set(names) - set(chapters())):
        there = ", ".join(chapters())
        parser.error(f"no such chapter: {', '.join(unknown) or 'empty name'}; there are {there}")
    given = options.papermill
    if given is None:
        given = os.environ.get("P", "") if options.trial else ""
    try:
        extra, asked = given_parameters(shlex.split(given))
        if names == ["audit"] and (table := os.environ.get("DATA", "")):
            extra += ["-r", "data", str(Path(table).expanduser().resolve())]
        for name in names:
            check_parameters(asked, name)
    except ValueError as error:
        parser.error(str(error))
    into = ROOT / options.into
    if options.sync:
        return sync_all(names)
    outs = {name: into / f"{name}.ipynb" for name in names}
    trial = options.trial or bool(extra)
    if trial:
        folder = ROOT / "_build" / "try" if options.into == Path("notebooks") else into
        outs = {name: folder / f"{trial_name(name, extra)}.ipynb" for name in names}
        if wanted := os.environ.get("OUT", "") if options.trial else "":
            file = (ROOT / Path(wanted).expanduser()).resolve()
            kept = [ROOT / part for part in ("notebooks", "book")]
            if len(names) != 1 or file.suffix != ".ipynb" or {*file.parents} & {*kept}:
                parser.error(f"OUT={wanted}: name one .ipynb outside of book/ and notebooks/")
            outs = {names[0]: file}
    if options.missing:
        names = [n for n in names if not is_fresh(n, into, options.profile)]
    failed: dict[str, str] = {}

    def one(position: int, name: str) -> None:
        start = time.monotonic()
        try:
            error = run(name, outs[name], options.profile, extra, position, trial)
        except (OSError, ValueError) as problem:  # no room, no right to write, no whole notebook
            error = f"{type(problem).__name__}: {problem}"
        word = "FAILED" if error else f"-> {os.path.relpath(outs[name], ROOT)}"
        tqdm.write(f"{name:24s} {time.monotonic() - start:6.1f} s  {word}", file=sys.stderr)
        if error:
            failed[name] = error
        elif trial and name == "audit":
            tqdm.write(f"one page: {os.path.relpath(one_page.write(outs[name]), ROOT)}")

    try:
        with ThreadPoolExecutor(max(1, options.jobs)) as pool:
            try:
                list(pool.map(one, range(len(names)), names))
            except KeyboardInterrupt:
                pool.shutdown(wait=False, cancel_futures=True)
                for process in tuple(RUNNING):
                    process.terminate()
                raise
    except KeyboardInterrupt:
        print("\nstopped; stored notebooks are as they were", file=sys.stderr)
        return 130
    for name in sorted(failed):
        print(f"\n==== {name} failed; its stored notebook is as it was\n{failed[name]}")
    return 1 if failed else 0


def sync_all(names: list[str]) -> int:
    """Copy prose of all these chapters; 1 if a notebook cannot be read or written."""
    wrong = 0
    for name in names:
        try:
            sync(name)
        except (OSError, ValueError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            wrong = 1
    return wrong


if __name__ == "__main__":
    sys.exit(main())
