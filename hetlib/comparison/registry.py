"""What a method is, what it returns, and the one list of all methods.

A method is one object: a function from labels to a result, with what it needs and aims at and
how figures show it, registered beside its definition. A method of one's own needs one file::

    from hetlib.comparison.registry import Result, register

    @register("mine", "My method", form="anonymous", aim="biased", mark="*")
    def mine(labels):
        reward = ...  # from labels.anonymous, counts of shape (responses, responses)
        return Result(labels.policy(reward), labels=labels.size)

:func:`load` reads such a file (chapter 14: ``-p methods mine.py``); an installed package names its
module under the entry point ``hetlib.methods``. The file counts in the digest of its results, and
worker processes read it as well. Tables and figures follow the order of registration.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from hetlib.checks import Array
from hetlib.comparison.budgets import LabelSet

#: Forms of labels, with what must be known about annotators, in a sentence and in a word.
FORMS = {
    "none": ("nothing, not even labels", "–"),
    "anonymous": ("nothing: anonymous labels", "nothing"),
    "twice": ("who gave the same two labels", "person, 2×"),
    "votes": ("a label of every type on each pair", "all types"),
    "typed": ("the type of each label's annotator", "type"),
    "people": ("who gave the same ten labels", "person, 10×"),
}
#: What a method aims at.
AIMS = {
    "none": "nothing",
    "average": "the average reward, reached with endless data and equal masses",
    "other": "something else, by design",
    "biased": "the average reward, missed",
}
#: Where installed packages name modules that register methods.
ENTRY_POINTS = "hetlib.methods"


@dataclass(frozen=True, eq=False)
class Result:
    """What a method makes of labels.

    Attributes:
        policy: Probabilities, shape (responses,).
        labels: Labels that were collected for it.
        used: Labels that had any influence; all of them if None.
        parameters: Numbers that are fitted, the estimates it rests on included; one a response
            if None.
        reached: Strength of the correction that was chosen and reached; 0 if there is none.
        types: Number of types that the fit ended with; 1 if it has none.
        ridge: What cross-validation chose; 0 if the method has nothing to choose.
    """

    policy: Array
    labels: int
    used: int | None = None
    parameters: int | None = None
    reached: float = 0.0
    types: int = 1
    ridge: float = 0.0


Fit = Callable[[LabelSet], Result]
F = TypeVar("F", bound=Callable[..., Result])


@dataclass(frozen=True)
class Method:
    """A method of the comparison.

    Attributes:
        key: Short name by which cells ask for it.
        name: What it is called in figures and tables.
        form: Kind of labels, a key of :data:`FORMS`: a field of
            :class:`hetlib.comparison.budgets.LabelSet`.
        aim: What it would reach with endless data, a key of :data:`AIMS`.
        fit: From labels to a result.
        needs: What must be known about annotators, in words.
        source: Where it is from.
        colour: For figures: a role of ``hetlib.book.plots.COLOURS`` or ``#rrggbb``.
        mark: Marker of matplotlib.
        line: Line style of matplotlib.
        home: Module or file that registers it.
    """

    key: str
    name: str
    form: str
    aim: str
    fit: Fit
    needs: str
    source: str
    colour: str
    mark: str
    line: str
    home: str


#: All methods that are registered, by key.
METHODS: dict[str, Method] = {}
#: Files that were loaded, by their digest, so that the same one is not run twice.
_LOADED: dict[str, str] = {}
_reading: list[str] = []  # the file that is being loaded


def register(
    key: str,
    name: str,
    *,
    form: str,
    aim: str,
    needs: str | None = None,
    source: str = "",
    colour: str = "reference",
    mark: str = "o",
    line: str = "-",
) -> Callable[[F], F]:
    """Decorator: enter a function as a method.

    Args:
        key: Short name by which cells ask for it.
        name: As in :class:`Method`, like the rest.
        form: Kind of labels.
        aim: What it would reach with endless data.
        needs: What must be known about annotators; what the form says if None.
        source: Where it is from.
        colour: For figures.
        mark: For figures.
        line: For figures.

    Raises:
        ValueError: a key that another method has, or an unknown form or aim.
    """
    for what, value, known in (("form", form, FORMS), ("aim", aim, AIMS)):
        if value not in known:
            raise ValueError(f"{what} is {value!r}; it must be one of {', '.join(known)}")

    def enter(fit: F) -> F:
        home = _reading[-1] if _reading else _module(fit)
        if key in METHODS and METHODS[key].home != home:
            taken = METHODS[key]
            raise ValueError(f"key is {key!r}, which is {taken.name!r} already; choose another")
        said = FORMS[form][0] if needs is None else needs
        METHODS[key] = Method(key, name, form, aim, fit, said, source, colour, mark, line, home)
        return fit

    return enter


def _module(fit: Any) -> str:
    """Module in which a function, or what a ``partial`` holds, is defined."""
    return str(getattr(getattr(fit, "func", fit), "__module__", __name__))


def load(home: str | Path) -> str:
    """Import what registers methods: a module by its name, or a file by its path.

    Args:
        home: Such as ``hetlib.comparison.methods.direct`` or ``mymethod.py``.

    Returns:
        The home as methods and digests name it, the module, or the whole path.

    Raises:
        ValueError: no such file or module, or one that registers nothing.
    """
    name = str(home)
    if not name.endswith(".py"):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise ValueError(f"methods are asked for in {name!r}: {error}") from None
        return name
    path = Path(name).expanduser().resolve()
    if not path.is_file():
        raise ValueError(f"methods are asked for in {name!r}; there is no such file")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if _LOADED.get(str(path)) == digest:
        return str(path)
    # Another version of the file takes the place of the one before
    for key in [key for key, method in METHODS.items() if method.home == str(path)]:
        del METHODS[key]
    spec = importlib.util.spec_from_file_location(f"hetlib_methods_{digest[:12]}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    _reading.append(str(path))
    try:
        spec.loader.exec_module(module)
    finally:
        _reading.pop()
    if not any(method.home == str(path) for method in METHODS.values()):
        raise ValueError(
            f"{path.name} registers no method; see hetlib.comparison.registry.register"
        )
    _LOADED[str(path)] = digest
    return str(path)


def known(more: Iterable[str | Path] = ()) -> dict[str, Method]:
    """All methods: ours, those of installed packages, and those of given modules or files.

    Args:
        more: Modules or files as :func:`load` takes them.
    """
    load(f"{__package__}.methods")  # no name in the text: a cell rests on its own methods only
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda p: (p.name, p.value)):
        load(point.value.partition(":")[0])
    for home in more:
        load(home)
    return METHODS
