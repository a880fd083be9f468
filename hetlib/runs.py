"""How much work a chapter does, and results of runs that a chapter cannot repeat."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

PROFILES = ("quick", "full")


def sizes(profile: str, *, quick: dict[str, Any], full: dict[str, Any]) -> SimpleNamespace:
    """The sizes of a chapter's computations at a profile.

    Args:
        profile: ``"quick"`` (minutes for the whole book) or ``"full"`` (what is stored).
        quick: Sizes by name.
        full: Sizes by name; the same names.

    Returns:
        The chosen sizes as attributes.

    Raises:
        ValueError: an unknown profile, or sizes that only one profile names.
    """
    if profile not in PROFILES:
        raise ValueError(f"profile is {profile!r}; it must be one of {', '.join(PROFILES)}")
    if odd := set(quick) ^ set(full):
        raise ValueError(f"sizes {', '.join(sorted(odd))} must be given for both profiles")
    return SimpleNamespace(**(quick if profile == "quick" else full))


def save_result(path: str | Path, settings: dict[str, Any], results: dict[str, Any]) -> None:
    """Store a run as JSON; the file is whole or not there.

    Args:
        path: File to write; its folder must exist.
        settings: Everything that the results depend on, device and versions included.
        results: The figures.
    """
    path = Path(path)
    text = json.dumps({"settings": settings, "results": results}, indent=1, sort_keys=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(text + "\n")
    Path(file.name).replace(path)


def load_result(path: str | Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """Results of a stored run, if it was made with these settings.

    Args:
        path: File of :func:`save_result`.
        settings: What the chapter asks for; other keys of the file are not compared.

    Returns:
        ``{"settings": ..., "results": ...}``, or None if there is no such file: not run.

    Raises:
        ValueError: the file was made with other settings; it names each difference.
    """
    path = Path(path)
    if not path.exists():
        return None
    stored: dict[str, Any] = json.loads(path.read_text())
    odd = [
        f"{key} is {stored['settings'].get(key)!r}, not {value!r}"
        for key, value in settings.items()
        if stored["settings"].get(key) != value
    ]
    if odd:
        raise ValueError(f"{path.name} was made with other settings: {'; '.join(odd)}")
    return stored
