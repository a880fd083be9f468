"""Policies as points of a triangle."""

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")
import matplotlib.pyplot as plt

from hetlib.book.plots import note, triangle


def test_a_policy_is_the_mean_of_the_corners_that_it_mixes() -> None:
    fig, ax = plt.subplots()
    place = triangle(ax)
    corners = place(np.eye(3))
    sides = [np.linalg.norm(corners[i] - corners[j]) for i, j in ((0, 1), (1, 2), (2, 0))]
    np.testing.assert_allclose(sides, 1)
    policies = np.random.default_rng(0).dirichlet(np.ones(3), size=(4, 5))
    np.testing.assert_allclose(place(policies), np.einsum("abk,kx->abx", policies, corners))
    heights = place(policies)[..., 1] / corners[2, 1]  # share of the way from the opposite side
    np.testing.assert_allclose(heights, policies[..., 2])
    note(ax, "here", corners[0])
    assert [text.get_text() for text in ax.texts] == ["$y_1$", "$y_2$", "$y_3$", "here"]
    plt.close(fig)


def test_other_numbers_of_responses_are_refused() -> None:
    fig, ax = plt.subplots()
    place = triangle(ax)
    for wrong in ([0.5, 0.5], 1.0, np.ones((3, 4)) / 4):
        with pytest.raises(ValueError, match="three responses"):
            place(wrong)
    plt.close(fig)
