"""What the released labelling does with random numbers: labels drawn inside shards of ``map``."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import random
import numpy as np
from datasets import Dataset, disable_progress_bars

def draw(rows):
    return {"numpy": [float(np.random.rand()) for _ in rows["i"]],
            "python": [random.random() for _ in rows["i"]]}

if __name__ == "__main__":
    disable_progress_bars()
    np.random.seed(0)
    random.seed(0)
    made = Dataset.from_dict({"i": list(range(12))}).map(draw, batched=True, num_proc=3)
    numpy, python = np.reshape(made["numpy"], (3, 4)), np.reshape(made["python"], (3, 4))
    assert (numpy == numpy[0]).all(), "shards drew different numbers"
    assert len(np.unique(python)) == 12, "Python's generator repeated itself"
    print("as described")
"""


@pytest.mark.slow
def test_shards_repeat_numpys_stream_but_not_pythons() -> None:
    """So 24 shards share their labels' luck, and the types are not those of the seed."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.strip() == "as described", done.stderr
