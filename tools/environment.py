"""Makes .venv from the pins, if it is not the environment that they describe.

    PYTHON tools/environment.py

Runs on any Python, the wrong ones included (its types are comments for that), and says what it
found. ``.venv/ready`` holds a digest of the pins, of what is wanted, and of the Python, so no
date can hide a change.
"""

import hashlib
import io
import os
import re
import shutil
import subprocess
import sys

try:  # noqa: SIM105
    from typing import Any, Optional, Sequence, Union  # noqa: F401
except ImportError:  # Python 2
    pass

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
EXTRAS = ".[book,llm,dev]"


def read(name):
    # type: (str) -> str
    """A file of the project, as text."""
    with io.open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return file.read()


def too_old(found, project):
    # type: (Sequence[Any], str) -> Optional[str]
    """What to say of a Python that is older than the project's; None if it will do."""
    (wanted,) = re.findall(r'requires-python = ">=([\d.]+)"', project)
    if tuple(found[:2]) >= tuple(int(part) for part in wanted.split(".")):
        return None
    return (
        "hetlib needs Python {} or newer; {} is {}.{}.{}.\n"
        "Name another one: make setup PYTHON=python{}"
    ).format(wanted, sys.executable, found[0], found[1], found[2], wanted)


def digest(*texts):
    # type: (*str) -> str
    """One digest of everything that the environment rests on."""
    told = "\0".join(texts).encode("utf-8", "surrogateescape")  # names of folders may be bytes
    return hashlib.sha256(told).hexdigest()


def main():
    # type: () -> Union[str, int, None]
    """Check the Python, and make the environment anew unless it is ready."""
    project = read("pyproject.toml")
    wrong = too_old(sys.version_info, project)
    if wrong:
        return wrong
    venv = os.path.join(ROOT, ".venv")
    ready = os.path.join(venv, "ready")
    now = digest(project, read("constraints.txt"), sys.version, ROOT)
    if os.path.exists(ready):
        with io.open(ready, encoding="utf-8") as file:
            if file.read() == now:
                return None
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        return (
            "{} cannot make virtual environments: its module ensurepip is missing.\n"
            "On Debian and Ubuntu: apt-get install python{}.{}-venv"
        ).format(sys.executable, *sys.version_info[:2])
    if os.path.islink(venv):
        return (
            ".venv is a link to an environment elsewhere, which is left as it is; remove the link"
        )
    print("making .venv with Python " + sys.version.split()[0])
    sys.stdout.flush()
    shutil.rmtree(venv, ignore_errors=True)
    base = getattr(sys, "_base_executable", sys.executable)  # .venv's own may ask, too
    python = os.path.join(venv, "bin", "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in (
        [base, "-m", "venv", "--clear", venv],
        pip + ["-c", "constraints.txt", "-e", EXTRAS],  # noqa: RUF005
    ):
        code = subprocess.call(command, cwd=ROOT)
        if code:
            return code
    with io.open(ready + ".new", "w", encoding="utf-8") as file:
        file.write(now)
    os.replace(ready + ".new", ready)
    return None


if __name__ == "__main__":
    sys.exit(main())
