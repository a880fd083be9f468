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

from hetlib.book import settings as running
from hetlib.book.text import html
from hetlib.extras import require

require("yaml")
import yaml

REPRODUCED = "reproduced"
IN_DIRECTION = "reproduced in direction"
NOT_REPRODUCED = "not reproduced"
CHECKED = "checked"  # our own statements: nobody has stated them before
FAILS = "does not hold"
AGREES = "agrees with the printed figures"
DISAGREES = "disagrees with the printed figures"
TRACED = "traced"
NOT_TRACED = "not so in its source"
NEEDS_DATA = "needs data we may not ship"
NOT_RUN = "not run"
NOT_JUDGED = "not judged at these settings"
NOT_CHECKED = "not yet checked"
VERDICTS = (
    *(NOT_REPRODUCED, FAILS, DISAGREES, NOT_TRACED, IN_DIRECTION),  # failures first
    *(REPRODUCED, CHECKED, AGREES, TRACED),
    *(NEEDS_DATA, NOT_RUN, NOT_JUDGED, NOT_CHECKED),
)
FAILED = (NOT_REPRODUCED, FAILS, DISAGREES, NOT_TRACED)
GOOD = (REPRODUCED, IN_DIRECTION, CHECKED, AGREES, TRACED)

#: Kinds of evidence, and what each means.
EVIDENCE = {
    "proved": "a proof in the text and a computation by another route",
    "run": "simulated or trained here",
    "data": "computed from data that are here",
    "printed": "arithmetic on figures that the paper prints",
    "traced": "read off a source that is named",
}
SETTINGS = ("all", "default")
#: Seeds below which a small difference is not judged.
FEWEST = 5
#: What fails in a statement that is not reproduced, and how much hangs on it.
FAULTS = ("statement", "step", "hypothesis", "number", "caption", "experiment")
WEIGHTS = {
    "conclusion": "changes a conclusion",
    "narrows": "narrows it",
    "cosmetic": "cosmetic",
}

#: The word for every claim that was judged in this session, by id.
_FOUND: dict[str, str] = {}

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
    evidence: str
    settings: str
    tolerance: float | None = None
    format: str = ".3g"
    needs: str | None = None
    fails: str | None = None
    weight: str | None = None
    repaired: str | None = None
    erratum: str | None = None
    level: float | None = None

    def __post_init__(self) -> None:
        """Refuse rows that could not be judged."""
        if not isinstance(self.paper, bool | int | float):
            raise ValueError(f"claim {self.id}: paper must be a number or true, not {self.paper!r}")
        if self.paper is False:
            raise ValueError(f"claim {self.id}: state it so that the paper's value is true")
        if isinstance(self.paper, bool) != (self.tolerance is None):
            raise ValueError(f"claim {self.id}: a number needs a tolerance, a statement has none")
        for field, known in (
            ("evidence", EVIDENCE),
            ("settings", SETTINGS),
            ("fails", (None, *FAULTS)),
            ("weight", (None, *WEIGHTS)),
        ):
            if getattr(self, field) not in known:
                given, allowed = getattr(self, field), ", ".join(str(one) for one in known)
                raise ValueError(
                    f"claim {self.id}: {field} is {given!r}; it must be one of {allowed}"
                )
        if self.level is not None and not 0.5 <= self.level < 1:
            raise ValueError(f"claim {self.id}: level is {self.level}; it must be in [0.5, 1)")
        reason = self.fails, self.weight, self.repaired
        if any(reason) != all(reason):
            raise ValueError(f"claim {self.id}: fails, weight and repaired go together")

    @property
    def reason(self) -> str:
        """What fails, how much hangs on it, and what holds instead; empty if nothing is known."""
        if not (self.fails and self.weight and self.repaired):
            return ""
        return f"Fails: {self.fails} ({WEIGHTS[self.weight]}). {self.repaired.strip()}"

    @property
    def words(self) -> tuple[str, str]:
        """What it is called when the claim holds, and when it does not."""
        if self.evidence == "printed":
            return AGREES, DISAGREES
        if self.evidence == "traced":
            return TRACED, NOT_TRACED
        return (CHECKED, FAILS) if self.source == "ours" else (REPRODUCED, NOT_REPRODUCED)

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
        if path is None and not (file.parent / f"{claim.chapter}.md").is_file():
            raise ValueError(f"claim {claim.id}: there is no page book/{claim.chapter}.md")
        claims[claim.id] = claim
    return claims


@dataclass(frozen=True)
class Verdict:
    """The outcome of a check; displays itself in a notebook."""

    claim: Claim
    verdict: str
    value: str
    note: str = ""

    def __post_init__(self) -> None:
        """Keep the word for :func:`words`."""
        _FOUND[self.claim.id] = self.verdict

    def __bool__(self) -> bool:
        """Whether the claim holds, at least in direction."""
        return self.verdict in GOOD

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
        failed = self.verdict in (*FAILED, IN_DIRECTION) and self.claim.repaired
        stated = "" if isinstance(self.claim.paper, bool) else f"{word} {_number(self.claim)}, "
        detail = f"{stated}here {self.value}" if self.value else self.claim.needs or ""
        return (
            f'<div class="verdict verdict-{html(kind)}" id="claim-{html(self.claim.id)}">'
            f"<strong>{html(self.verdict)}</strong> "
            f"<span>{html(self.claim.place)}</span> "
            f"<code>{html(self.claim.id)}</code> "
            f"<span>{html(self.claim.evidence)}: {html(detail)}</span>"
            f"{' <em>' + html(self.note) + '</em>' if self.note else ''}"
            f"{' <span>' + html(self.claim.reason) + '</span>' if failed else ''}</div>"
        )


def _number(claim: Claim) -> str:
    return format(float(claim.paper), claim.format)


def judge(claim: Claim, value: float | bool, direction: bool | None = None) -> str:
    """The verdict on a value.

    A statement is good if it holds, a number if it is within the claim's tolerance; what that
    is called follows from its source and its evidence (:attr:`Claim.words`). What misses is
    reproduced in direction if ``direction`` is True. NaN never counts.
    """
    good_word, bad_word = claim.words
    if isinstance(claim.paper, bool):
        if not isinstance(value, bool):
            raise ValueError(f"claim {claim.id} is a statement: give True or False, not {value!r}")
        good = value
    else:
        if isinstance(value, bool):
            raise ValueError(f"claim {claim.id} is a number: give a number, not {value!r}")
        if math.isnan(value):
            return bad_word
        assert claim.tolerance is not None
        good = abs(value - claim.paper) <= claim.tolerance * (1 + 1e-9)
    if good:
        return good_word
    return IN_DIRECTION if direction is True else bad_word


def check(
    claim_id: str,
    value: Any,
    direction: bool | None = None,
    note: str = "",
    n: int | None = None,
    least: int = FEWEST,
) -> Verdict:
    """Judge a claim; the last line of a cell shows the verdict.

    A claim about the chapter's own example is not judged where parameters have other values.

    Args:
        claim_id: An id of ``claims.yml``.
        value: What was computed here: a number, or True or False for a statement, or a
            function without arguments that returns it; if that raises, the claim is not
            reproduced and the error is shown.
        direction: Whether the claim holds in direction even where its number does not.
        note: A few words shown beside the verdict.
        n: On how many seeds or random draws the value rests, if few could mislead.
        least: The claim is not judged on fewer of them.

    Returns:
        The verdict, stored with the cell's output for the scorecard.

    Raises:
        ValueError: an unknown id, or a value of the wrong kind.
    """
    claim = _find(claim_id)
    other = running.changed() if claim.settings == "default" else {}
    if callable(value):
        compute: Callable[[], Any] = value
        try:
            value = compute()
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            return Verdict(claim, NOT_JUDGED if other else claim.words[1], "error", said)
    if hasattr(value, "item"):
        value = value.item()
    if not isinstance(value, bool | int | float):
        raise ValueError(f"claim {claim_id}: give a number or True or False, not {value!r}")
    if n is not None and n < least:
        note = f"{n} of {least} seeds or draws that could decide; {note}".rstrip("; ")
        return Verdict(claim, NOT_JUDGED, claim.show(value), note)
    if other and isinstance(value, bool) == isinstance(claim.paper, bool):
        return Verdict(claim, NOT_JUDGED, claim.show(value), note)
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


def not_run(claim_id: str) -> Verdict:
    """Say that nothing but a run is missing, such as one on a larger machine.

    Raises:
        ValueError: an unknown id.
    """
    return Verdict(_find(claim_id), NOT_RUN, "")


def words() -> None:
    """Glue the word of every verdict so far, for the last table: ``{glue:text}`v_ID:s```."""
    from hetlib.book.sentences import numbers

    numbers(**{f"v_{claim}": verdict for claim, verdict in _FOUND.items()})


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
