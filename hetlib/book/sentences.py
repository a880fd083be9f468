"""Sentences that rest on a condition, so that prose cannot drift from what was computed.

The sentences of a chapter were written for its full run with its own parameters. There a false
condition stops the chapter; elsewhere the page says what this run does show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hetlib.book import settings
from hetlib.extras import require

#: Type of the output that carries a sentence and its condition to the tests.
MIME = "application/vnd.hetlib.sentence+json"


class FalseSentenceError(AssertionError):
    """A sentence whose condition fails where it must hold."""


@dataclass(frozen=True)
class Sentence:
    """A sentence as it is shown, with whether its condition held."""

    key: str
    text: str
    condition: bool
    shown: str

    def __repr__(self) -> str:
        """Key and outcome; digits may differ between the profiles."""
        return f"{self.key or self.text}: {'holds' if self.condition else 'does not hold here'}"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        fields = {"key": self.key, "text": self.text, "condition": self.condition}
        return {"text/plain": repr(self), "text/markdown": self.shown, MIME: fields}


def _judge(text: str, condition: Any) -> bool:
    if hasattr(condition, "item"):
        condition = condition.item()
    if not isinstance(condition, bool):
        raise ValueError(f"the condition of {text!r} is {condition!r}; it must be True or False")
    if not text.strip():
        raise ValueError("the sentence is empty")
    return condition


def _strict() -> bool:
    """Whether this is the run that the sentences were written for."""
    return settings.profile() == "full" and not settings.changed()


def sentence(
    key: str,
    text: str,
    condition: Any,
    otherwise: str | None = None,
    n: int | None = None,
    least: int = 5,
) -> Sentence:
    """State a sentence under a name; prose shows it with ``{glue:md}`key:myst```.

    Args:
        key: Name of the glued text, unique in the chapter.
        text: The sentence, in MyST Markdown.
        condition: Whether it is true, by a computation of its own.
        otherwise: What the page says where the condition fails or too few seeds decide.
        n: Number of seeds or draws behind it, if few could mislead.
        least: Fewer seeds than this decide nothing.

    Returns:
        The sentence, also glued.

    Raises:
        FalseSentenceError: the condition fails at the full profile with the chapter's parameters.
        ValueError: no condition, an empty sentence.
    """
    good = _judge(text, condition)
    few = n is not None and n < least
    if (not good or few) and _strict():
        why = f"only {n} seeds" if good else "its condition is false"
        raise FalseSentenceError(f"{key}: {why}: {text}")
    if good and not few:
        shown = text
    elif otherwise is not None:
        shown = otherwise
    else:
        shown = (
            f"*({n} seeds are too few to decide it.)*"
            if few
            else "*(In this run the comparison comes out differently: see the numbers.)*"
        )
    out = Sentence(key, text, good, shown)
    require("myst_nb")
    from myst_nb import glue

    glue(key, out, display=False)
    return out


def holds(text: str, condition: Any) -> Sentence:
    """State that a sentence of the prose is true.

    Args:
        text: The sentence as it stands in the prose, or its gist.
        condition: Whether it is true, by a computation of its own.

    Returns:
        The sentence; an output of a hidden cell that only tests read.

    Raises:
        FalseSentenceError: the condition fails at the full profile with the chapter's parameters.
        ValueError: no condition, an empty sentence.
    """
    good = _judge(text, condition)
    if not good and _strict():
        raise FalseSentenceError(text)
    return Sentence("", text, good, text)


def numbers(**values: Any) -> None:
    """Glue numbers or texts under their names; prose shows them with ``{glue:text}`name:.2f```.

    Args:
        values: Single numbers, of NumPy or Python, and texts.

    Raises:
        ValueError: a value that is neither.
    """
    require("myst_nb")
    from myst_nb import glue

    for name, value in values.items():
        one = value.item() if hasattr(value, "item") and getattr(value, "size", 0) == 1 else value
        if not isinstance(one, int | float | str):
            raise ValueError(f"{name} is {value!r}; a number or a text can be glued")
        glue(name, one, display=False)
