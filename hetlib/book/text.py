"""Names from data as text, one function for each medium that they appear in.

What cannot be seen but changes what is seen (control characters, marks of direction, halves of
surrogate pairs) is written out, as ⟨U+202E⟩; line breaks and tabs are spaces.
"""

from __future__ import annotations

import re
import textwrap
from html import escape

_MARKS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
#: Control characters but those that are spaces, marks of direction, and what XML forbids.
_UNSEEN = re.compile(f"[\0-\x08\x0e-\x1b\x7f-\x84\x86-\x9f{_MARKS}\ud800-\udfff\ufeff\ufffe\uffff]")
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "-": "-{}",  # or two become a dash
    **{mark: "\\" + mark for mark in "{}$&#%_"},
}


def plain(text: str) -> str:
    """One line that shows every character of ``text``; spaces at the ends go.

    Raises:
        ValueError: ``text`` is not text.
    """
    if not isinstance(text, str):
        raise ValueError(f"text is {text!r}; a string is needed")
    spaced = re.sub("[\t-\r\x1c-\x1f\x85\u2028\u2029 ]+", " ", text).strip()
    return _UNSEEN.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", spaced)


def html(text: str) -> str:
    """For HTML and for attributes in double or single quotes."""
    return escape(plain(text))


def svg(text: str) -> str:
    """For SVG and any XML: HTML's escapes are numbers or known there, too."""
    return html(text)


def latex(text: str) -> str:
    """For LaTeX's running text."""
    return re.sub(r"[\\~^`'<>|{}$&#%_-]", lambda match: _LATEX[match[0]], plain(text))


def mathtext(text: str, width: int | None = None) -> str:
    """For matplotlib's texts, where a pair of dollars would begin a formula.

    Args:
        text: Any text.
        width: Characters a line, if it may take several.
    """
    lines = [plain(text)]
    if width is not None:
        lines = textwrap.wrap(lines[0], width)
    return "\n".join(lines).replace("$", r"\$")


def markdown(text: str) -> str:
    """For Markdown, cells of tables included: CommonMark takes a backslash before each mark."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", plain(text))
