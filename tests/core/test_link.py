"""Every preference model, by what makes it one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetlib.core.link import LINKS


@pytest.mark.parametrize("name", sorted(LINKS))
@given(z=st.floats(-4, 4))
def test_a_link_is_a_symmetric_increasing_law(name: str, z: float) -> None:
    link, x = LINKS[name], np.array([z, -z, z + 0.1])
    p = link(x)
    assert link.name == name
    assert p[0] + p[1] == pytest.approx(1, abs=1e-12)
    assert p[2] > p[0]
    assert np.allclose(link.inverse(p), x, atol=1e-8)


@pytest.mark.parametrize("name", sorted(LINKS))
def test_slope_at_zero(name: str) -> None:
    h, link = 1e-5, LINKS[name]
    found = np.diff(link(np.array([-h, h])))[0] / (2 * h)
    assert found == pytest.approx(link.slope, rel=1e-8)
