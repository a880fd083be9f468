"""The paper's claims and the verdicts of the book.

``book/claims.yml`` lists the claims. A chapter calls :func:`check`; the verdict is shown in
the chapter and stored with its outputs, where the scorecard finds it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hetlib.book.text import html
from hetlib.extras import require

require("yaml")
import yaml

REPRODUCED = "reproduced"
IN_DIRECTION = "reproduced in direction"
NOT_REPRODUCED = "not reproduced"
NEEDS_DATA = "needs data we may not ship"
NOT_CHECKED = "not yet checked"
VERDICTS = (REPRODUCED, IN_DIRECTION, NOT_REPRODUCED, NEEDS_DATA, NOT_CHECKED)

#: Type of the output that carries a verdict to the scorecard.
MIME = "application/vnd.hetlib.verdict+json"


@dataclass(frozen=True)
class Claim:
    """One row of ``claims.yml``; the file's head says what the fields mean."""

    id: str
    source: str
    kind: str
    place: str
    chapter: str
    statement: str
    check: str
    paper: float | bool
    tolerance: float | None = None
    format: str = ".3g"
    needs: str | None = None

    def __post_init__(self) -> None:
        """Refuse rows that could not be judged."""
        if not isinstance(self.paper, bool | int | float):
            raise ValueError(f"claim {self.id}: paper must be a number or true, not {self.paper!r}")
        if self.paper is False:
            raise ValueError(f"claim {self.id}: state it so that the paper's value is true")
        if isinstance(self.paper, bool) != (self.tolerance is None):
            raise ValueError(f"claim {self.id}: a number needs a tolerance, a statement has none")

    def show(self, value: float | bool) -> str:
        """A value as the book prints it."""
        if isinstance(self.paper, bool):
            return "holds" if value is True else "does not hold"
        return format(float(value), self.format)


@cache
def load(path: str | Path | None = None) -> dict[str, Claim]:
    """All claims by id.

    Args:
        path: The file; ``book/claims.yml`` beside the package if None.

    Raises:
        FileNotFoundError: the file is not there: hetlib was installed without its book.
        ValueError: an id is used twice, or a row cannot be judged.
    """
    file = Path(path or Path(__file__).parents[2] / "book" / "claims.yml")
    if not file.is_file():
        raise FileNotFoundError(
            f"there is no {file}: claims belong to the book's checkout, not to the package; "
            "work in a checkout, or name a file: hetlib.book.claims.load('…/book/claims.yml')"
        )
    claims: dict[str, Claim] = {}
    for row in yaml.safe_load(file.read_text()):
        claim = Claim(**row)
        if claim.id in claims:
            raise ValueError(f"claim id {claim.id} is used twice in {file.name}")
        claims[claim.id] = claim
    return claims


@dataclass(frozen=True)
class Verdict:
    """The outcome of a check; displays itself in a notebook."""

    claim: Claim
    verdict: str
    value: str
    note: str = ""

    def __bool__(self) -> bool:
        """Whether the claim was reproduced, at least in direction."""
        return self.verdict in (REPRODUCED, IN_DIRECTION)

    def __repr__(self) -> str:
        """What CI compares: the verdict, not the digits."""
        return f"{self.claim.id}: {self.verdict}"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        fields = {"id": self.claim.id, "verdict": self.verdict, "value": self.value}
        return {
            "text/plain": repr(self),
            "text/html": self._html(),
            MIME: fields | ({"note": self.note} if self.note else {}),
        }

    def _html(self) -> str:
        kind = self.verdict.replace(" ", "-")
        word = "paper" if self.claim.source == "paper" else "stated"
        stated = "" if isinstance(self.claim.paper, bool) else f"{word} {_number(self.claim)}, "
        detail = f"{stated}here {self.value}" if self.value else self.claim.needs or ""
        return (
            f'<div class="verdict verdict-{html(kind)}" id="claim-{html(self.claim.id)}">'
            f"<strong>{html(self.verdict)}</strong> "
            f"<span>{html(self.claim.place)}</span> "
            f"<code>{html(self.claim.id)}</code> "
            f"<span>{html(detail)}</span>"
            f"{' <em>' + html(self.note) + '</em>' if self.note else ''}</div>"
        )


def _number(claim: Claim) -> str:
    return format(float(claim.paper), claim.format)


def judge(claim: Claim, value: float | bool, direction: bool | None = None) -> str:
    """The verdict on a value.

    A statement is reproduced if it holds. A number is reproduced if it is within the claim's
    tolerance. Whatever misses is reproduced in direction if ``direction`` is True. NaN
    never counts.
    """
    if isinstance(claim.paper, bool):
        if not isinstance(value, bool):
            raise ValueError(f"claim {claim.id} is a statement: give True or False, not {value!r}")
        good = value
    else:
        if isinstance(value, bool):
            raise ValueError(f"claim {claim.id} is a number: give a number, not {value!r}")
        if math.isnan(value):
            return NOT_REPRODUCED
        assert claim.tolerance is not None
        good = abs(value - claim.paper) <= claim.tolerance * (1 + 1e-9)
    if good:
        return REPRODUCED
    return IN_DIRECTION if direction is True else NOT_REPRODUCED


def check(
    claim_id: str,
    value: Any,
    direction: bool | None = None,
    note: str = "",
) -> Verdict:
    """Judge a claim of the paper; the last line of a cell shows the verdict.

    Args:
        claim_id: An id of ``claims.yml``.
        value: What was computed here: a number, or True or False for a statement, or a
            function without arguments that returns it; if that raises, the claim is not
            reproduced and the error is shown.
        direction: Whether the claim holds in direction even where its number does not.
        note: A few words shown beside the verdict.

    Returns:
        The verdict, stored with the cell's output for the scorecard.

    Raises:
        ValueError: an unknown id, or a value of the wrong kind.
    """
    claim = _find(claim_id)
    if callable(value):
        compute: Callable[[], Any] = value
        try:
            value = compute()
        except Exception as error:
            return Verdict(claim, NOT_REPRODUCED, "error", f"{type(error).__name__}: {error}")
    if hasattr(value, "item"):
        value = value.item()
    if not isinstance(value, bool | int | float):
        raise ValueError(f"claim {claim_id}: give a number or True or False, not {value!r}")
    return Verdict(claim, judge(claim, value, direction), claim.show(value), note)


def needs_data(claim_id: str) -> Verdict:
    """Say that a claim cannot be checked without data that the book may not contain.

    Raises:
        ValueError: an unknown id, or a claim whose row does not say what it needs.
    """
    claim = _find(claim_id)
    if not claim.needs:
        raise ValueError(f"claim {claim_id} does not say in claims.yml which data it needs")
    return Verdict(claim, NEEDS_DATA, "")


def _find(claim_id: str) -> Claim:
    claims = load()
    if claim_id not in claims:
        from difflib import get_close_matches

        near = get_close_matches(claim_id, claims, n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"no claim {claim_id!r} in claims.yml{hint}")
    return claims[claim_id]


def show(*verdicts: Verdict) -> None:
    """Display several verdicts from one cell."""
    require("IPython")
    from IPython.display import display

    for verdict in verdicts:
        display(verdict)
