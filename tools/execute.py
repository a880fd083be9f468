"""Run chapters with papermill, several at a time.

    python tools/execute.py --into notebooks 03-borda          store its outputs
    python tools/execute.py --into _build/quick/notebooks --profile quick --missing

A notebook is replaced only by a run that succeeded. With --missing, chapters whose
outputs in the target are fresh are left alone: an interrupted run can be repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jupytext
import nbformat
from digests import provenance, stale
from nbformat import NotebookNode
from tidy import tidy
from tqdm import tqdm

ROOT = Path(__file__).parent.parent
PROBE = """\
import json, sys
print(json.dumps([name for name in sys.modules if name.split(".")[0] == "hetlib"]))"""


def chapters() -> list[str]:
    """Names of all chapters, in order."""
    return sorted(path.stem for path in (ROOT / "book").glob("[0-9]*.md"))


def read_chapter(name: str) -> NotebookNode:
    """The chapter as a notebook without outputs."""
    return jupytext.read(ROOT / "book" / f"{name}.md")


def is_fresh(name: str, folder: Path, profile: str) -> bool:
    """Whether ``folder`` holds outputs of the present code at this profile."""
    path = folder / f"{name}.ipynb"
    if not path.exists():
        return False
    stored = nbformat.read(path, as_version=4)
    made_at = stored.metadata.get("provenance", {}).get("profile")
    return made_at == profile and not stale(stored, read_chapter(name), name)


def watch(process: subprocess.Popen[str], name: str, position: int) -> str:
    """Show papermill's count of cells as a bar; return what it wrote."""
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


def run(name: str, into: Path, profile: str, extra: list[str], position: int) -> str | None:
    """Execute one chapter and put the result in ``into``.

    Args:
        name: The chapter.
        into: Folder of the finished notebook.
        profile: ``quick`` or ``full``.
        extra: Further arguments of papermill: such runs are trials and carry no provenance.
        position: Row of the progress bar.

    Returns:
        None, or what went wrong.
    """
    nb = read_chapter(name)
    nb.cells.append(nbformat.v4.new_code_cell(PROBE))
    scratch = ROOT / "_build" / "run" / profile / f"{name}.ipynb"
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
        process.stdin.write(nbformat.writes(nb))
        process.stdin.close()
        log = watch(process, name, position)
    if process.returncode:
        return f"{log}\nAs far as it came: {scratch.relative_to(ROOT)}"
    done = nbformat.read(scratch, as_version=4)
    modules = json.loads(done.cells.pop().outputs[-1].text)
    made = None if extra else {"profile": profile, **provenance(read_chapter(name), name, modules)}
    nbformat.write(tidy(done, made), scratch)
    into.mkdir(parents=True, exist_ok=True)
    scratch.replace(into / scratch.name)
    return None


def main() -> int:
    """Run the chapters that were asked for; 1 if any failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="chapters; all if none is given")
    parser.add_argument("--into", type=Path, default=Path("notebooks"))
    parser.add_argument("--profile", choices=["quick", "full"], default="full")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--missing", action="store_true", help="only what is not there or stale")
    parser.add_argument("--papermill", default="", help="further arguments, such as '-p seed 1'")
    options = parser.parse_args()
    into = ROOT / options.into
    names = options.names or chapters()
    if unknown := sorted(set(names) - set(chapters())):
        parser.error(f"no such chapter: {', '.join(unknown)}; there are {', '.join(chapters())}")
    if options.missing:
        names = [n for n in names if not is_fresh(n, into, options.profile)]
    failed: dict[str, str] = {}

    def one(position: int, name: str) -> None:
        start = time.monotonic()
        error = run(name, into, options.profile, shlex.split(options.papermill), position)
        word = "FAILED" if error else f"-> {options.into}/{name}.ipynb"
        tqdm.write(f"{name:24s} {time.monotonic() - start:6.1f} s  {word}", file=sys.stderr)
        if error:
            failed[name] = error

    with ThreadPoolExecutor(max(1, options.jobs)) as pool:
        list(pool.map(one, range(len(names)), names))
    for name in sorted(failed):
        print(f"\n==== {name} failed; its stored notebook is as it was\n{failed[name]}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
