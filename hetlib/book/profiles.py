"""How much work a chapter does."""

from __future__ import annotations

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
