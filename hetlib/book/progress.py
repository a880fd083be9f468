"""Progress bars that leave no trace in stored outputs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from hetlib.extras import require

require("tqdm")
from tqdm import tqdm

T = TypeVar("T")


def track(items: Iterable[T], label: str) -> Iterator[T]:
    """Iterate with a bar on stderr that erases itself at the end.

    Args:
        items: What to iterate over; a length gives the bar its end.
        label: Text before the bar.

    Returns:
        An iterator over ``items``.
    """
    return iter(tqdm(items, desc=label, file=sys.stderr, leave=False, mininterval=1.0))
