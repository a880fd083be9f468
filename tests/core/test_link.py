"""Every preference model, by what makes it one; and a model of one's own is one of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.differentiate import derivative

from hetlib.borda.optima import bradley_terry, dpo_policy
from hetlib.core.link import LINKS, find
from hetlib.core.policies import total_variation
from hetlib.core.population import Population

HERE = Path(__file__).parent


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
@given(z=st.floats(-8, 8))
def test_likelihood_and_derivatives_belong_together(name: str, z: float) -> None:
    link, x = LINKS[name], np.array([z])
    assert np.exp(link.log_cdf(x)) == pytest.approx(link(x), rel=1e-9, abs=1e-15)
    for function, slope in ((link.log_cdf, link.score), (link.score, link.curvature)):
        assert slope(x) == pytest.approx(derivative(function, x).df, rel=1e-5, abs=1e-7)
    assert link.density(x) == pytest.approx(derivative(link, x).df, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("name", sorted(LINKS))
def test_slope_at_zero(name: str) -> None:
    h, link = 1e-5, LINKS[name]
    found = np.diff(link(np.array([-h, h])))[0] / (2 * h)
    assert found == pytest.approx(link.slope, rel=1e-8)


@pytest.mark.parametrize("name", sorted(LINKS))
def test_a_fit_with_the_link_of_the_labels_finds_one_type(name: str) -> None:
    reward = np.array([0.9, 0.1, -0.2, -0.8])
    people = Population([reward], link=name)
    assert np.allclose(bradley_terry(1e6 * people.pairwise(), link=name), reward, atol=1e-7)
    D = [0.4, 0.3, 0.2, 0.1]
    found = dpo_policy(people.pairwise(), D, beta=0.5, link=name)
    assert total_variation(found, people.optimal_policy(beta=0.5)) < 1e-7


def test_the_wrong_link_has_another_scale() -> None:
    people = Population([[0.9, 0.1, -0.2, -0.8]], link="probit")
    wrong = bradley_terry(1e6 * people.pairwise())
    assert wrong[0] == pytest.approx(0.9 * 4 / np.sqrt(2 * np.pi), rel=0.1)


def test_unknown_links_are_named() -> None:
    for call in (
        lambda: find("logit"),
        lambda: Population([[0.0, 1.0]], link="logit"),
        lambda: bradley_terry([[0, 1], [1, 0]], link="logit"),
    ):
        with pytest.raises(ValueError, match="link is 'logit'; known links are cauchit, logistic"):
            call()


#: A link as someone else would write it: people who choose a little more surely.
OWN = """
import numpy as np
from hetlib.core.link import LINKS, Link

A = 1.5


def cdf(z):
    return 1 / (1 + np.exp(-A * np.asarray(z)))


LINKS["steep"] = Link(
    "steep",
    cdf,
    lambda p: np.log(p / (1 - p)) / A,
    lambda z: -np.logaddexp(0, -A * z),
    lambda z: A * cdf(-np.asarray(z)),
    lambda z: -(A**2) * cdf(z) * cdf(-np.asarray(z)),
)
"""


@pytest.mark.slow
def test_a_link_of_ones_own_meets_every_property_test(tmp_path: Path) -> None:
    """One file adds a link; nothing else changes, and every test of links and people runs it."""
    (tmp_path / "own_link.py").write_text(OWN)
    files = [str(HERE / name) for name in ("test_link.py", "test_population.py")]
    command = [sys.executable, "-m", "pytest", "-p", "own_link", "-p", "no:cacheprovider"]
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*command, "-v", "-m", "not slow", *files],
        env=os.environ | {"PYTHONPATH": path},
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    ran = [line for line in done.stdout.splitlines() if "[steep]" in line and "PASSED" in line]
    by_link = [line for line in done.stdout.splitlines() if "[probit]" in line]
    assert len(ran) == len(by_link) >= 4
