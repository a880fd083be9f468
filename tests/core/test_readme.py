"""The README's Python runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_blocks_run_as_they_stand(block: str) -> None:
    exec(block, {})  # noqa: S102  (an example of the README)


def test_one_reads_a_table_of_labels() -> None:
    names: dict[str, object] = {}
    exec(next(block for block in BLOCKS if "read_labels" in block), names)  # noqa: S102
    share, table = names["share"], names["labels"]
    assert table.responses == ("milk", "tea", "wine")  # type: ignore[attr-defined]
    # tea beat milk once and lost once; with half a win each way that is 1.5 of 3
    assert share[1, 0] == pytest.approx(0.5)  # type: ignore[index]
    assert names["types"].types == 2  # type: ignore[attr-defined]
