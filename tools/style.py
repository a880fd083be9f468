"""Tics and slips of type in the pages of the book, named with their lines; part of make check.

python tools/style.py
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

BOOK = Path(__file__).parents[1] / "book"
#: What a line of prose may not hold, and what is said of it. The tics are those of reviews.
RULES = {
    r"\b(whole story|no accident|sobering|not sacred|loud majorit\w+)\b": "a tic",
    r"\b(delve|leverag(e|es|ing)|crucially|it is worth noting|needless to say)\b": "a tic",
    r"(?<![\w.\-/])\d{1,4} ?- ?\d{1,4}(?![\w\-/])": "a range takes an en dash",
    r"(?<=[\w)]) [,;](?=\s)": "an orphaned comma",
    r"\b(\w+ly|very|quite) unique\b": "unique has no degrees",
    r"\*\*[^*]*[.,;]\*\*[.,;]": "a mark inside and behind bold",
    r"\b(the|a|of|in|is|and|to) \1\b": "a word twice",
}
SKIP = re.compile(r"^(```+|:::+|~~~+)\s*(\{code-cell|python|sh|yaml|\{raw|\{math)")


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Numbered lines of a page without code, formulas, roles' targets and addresses."""
    text = re.sub(r"\$\$.*?\$\$", lambda m: "\n" * m[0].count("\n"), text, flags=re.DOTALL)
    fence, head = "", text.startswith("---")
    for number, line in enumerate(text.splitlines(), start=1):
        if head:
            head = number == 1 or line != "---"
        elif fence:
            fence = "" if line.strip() == fence else fence
        elif SKIP.match(line):
            fence = re.match(r"\W+", line)[0].strip("{ ")  # type: ignore[index]
        elif not line.startswith((":", "(", "#|")):
            yield number, re.sub(r"`[^`]*`|\$[^$]*\$|https?://\S+|<[^>]*>", "x", line)


def faults(text: str) -> Iterator[str]:
    """What is wrong with a page, a line each."""
    for number, line in prose(text):
        for rule, why in RULES.items():
            for found in re.finditer(rule, line, flags=re.IGNORECASE):
                yield f"{number}: {why}: {found[0]!r}"
    for found in re.finditer(r"^(:{3,}|`{3,})\{prf:proof\}.*?^\1$", text, re.DOTALL | re.MULTILINE):
        if not re.search(r"□|\\square|\\blacksquare|\\qed", found[0]):
            yield f"{text[: found.start()].count(chr(10)) + 1}: a proof without its end mark"


def main() -> str | None:
    """All pages; what is wrong, or None."""
    told = [f"{p.name}:{f}" for p in sorted(BOOK.glob("**/*.md")) for f in faults(p.read_text())]
    return "\n".join(told) or None


if __name__ == "__main__":
    raise SystemExit(main())
