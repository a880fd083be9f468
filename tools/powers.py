"""Sphinx extension: numbers that code wrote with an exponent stand as a person writes them.

``1e-08`` is 10⁻⁸, ``3e-09`` is 3 × 10⁻⁹, ``2.0e-03`` is 0.0020, ``2e+04`` is 20,000. Code, formulas
and the pages of the library stay as they are.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from sphinx.application import Sphinx

SMALLEST, LARGEST = -4, 5  # exponents that are written out
PIECE = re.compile(
    r"<(?P<kept>pre|code|script|style|svg)\b.*?</(?P=kept)>"
    r'|<(?P<maths>span|div) class="[^"]*\bmath\b.*?</(?P=maths)>'
    r"|<[^>]*>"
    r"|(?<![\w.])(?P<lead>\d(?:\.\d+)?)e(?P<power>[+-]\d{2,3})(?!\w)",
    re.DOTALL,
)
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
OTHERS = ("_modules/", "book/api", "genindex", "py-modindex", "search")


def written(found: re.Match[str]) -> str:
    """A number as a person writes it; anything else as it was."""
    if not found["lead"]:
        return found[0]
    power = int(found["power"])
    if SMALLEST <= power <= LARGEST:
        return f"{Decimal(found[0]):,f}"
    ten = "10" + str(power).translate(RAISED)
    return ten if Decimal(found["lead"]) == 1 else f"{found['lead']} × {ten}"


def readable(body: str) -> str:
    """The body of a page with such numbers."""
    return PIECE.sub(written, body)


def mend(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Change one page before it is written."""
    if "body" in context and not page.startswith(OTHERS):
        context["body"] = readable(context["body"])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the hook."""
    app.connect("html-page-context", mend)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
