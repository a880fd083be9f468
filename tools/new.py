"""Begin a note of one's own: a page with one derivation, one cell and one verdict.

    NAME=mine python tools/new.py

It writes book/notes/mine.md, a row of book/claims.yml and an entry of the contents. The page is
run, judged and shown like a chapter from then on: ``make try/notes/mine``, ``make run/notes/mine``.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import yaml

from hetlib import store

ROOT = Path(__file__).parent.parent
#: What every chapter begins with.
HEAD = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
    format_version: 0.13
kernelspec:
  display_name: Python 3 (ipykernel)
  language: python
  name: python3
---
"""
PAGE = (
    HEAD
    + """
(note-{name})=
# {title}

What is claimed, in a sentence.

```{{prf:proposition}} Ours: two types that mirror each other
:label: prop-note-{name}
:class: ours

If half of the people have the reward $r$ and half $-r$, every response wins half of its
comparisons.
```

```{{prf:proof}}
$\\frac12\\sigma(r(y)-r(y'))+\\frac12\\sigma(r(y')-r(y))=\\frac12$,
since $\\sigma(z)+\\sigma(-z)=1$. $\\square$
```

```{{code-cell}} ipython3
:tags: [nbval-check-output]

import numpy as np

import hetlib
from hetlib.book.claims import check

reward = np.array([2.0, 0.5, -1.0])
people = hetlib.Population([reward, -reward])
check("note-{name}", bool(np.allclose(people.pairwise(), 0.5)))
```
"""
)
ROW = """
- id: note-{name}
  source: ours
  kind: remark
  place: Note {title}
  chapter: notes/{name}
  statement: >-
    If half of the people have a reward and half its negative, every response wins half of its
    comparisons.
  check: >-
    The matrix of choice probabilities of such a population.
  paper: true
  evidence: proved
  settings: all
"""
PART = "  - caption: Notes\n    chapters:\n"


def begin(name: str, root: Path = ROOT) -> Path:
    """Write the page, its claim and its entry in the contents.

    Raises:
        ValueError: a name that is no name of a page, or one that is taken.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise ValueError(f"NAME is {name!r}; small letters, digits and hyphens make a name")
    page = root / "book" / "notes" / f"{name}.md"
    if page.exists():
        raise ValueError(f"book/notes/{name}.md is there already")
    fields = {"name": name, "title": name.replace("-", " ").capitalize()}
    page.parent.mkdir(parents=True, exist_ok=True)
    store.write(page, PAGE.format(**fields))
    claims = root / "book" / "claims.yml"
    store.write(claims, claims.read_text("utf-8").rstrip("\n") + "\n" + ROW.format(**fields))
    contents = root / "_toc.yml"
    text = contents.read_text("utf-8")
    text = text if PART in text else text.rstrip("\n") + "\n" + PART
    store.write(contents, text.replace(PART, f"{PART}      - file: notebooks/notes/{name}\n"))
    yaml.safe_load(contents.read_text("utf-8"))
    return page


def main() -> int:
    """Begin the note that NAME names."""
    try:
        page = begin(os.environ.get("NAME", ""))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{page.relative_to(ROOT)} is yours; make try/notes/{page.stem} runs it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
