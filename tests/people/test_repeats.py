"""Repeated answers against planted propensities, and the panels that are packaged."""

from __future__ import annotations

import numpy as np
import pytest

from hetlib.linked.moments import moments_from_counts
from hetlib.people import panels
from hetlib.people.repeats import (
    bootstrap_parts,
    drift,
    fewer_labels,
    pair_moments,
    pair_parts,
    variance_parts,
)


def table(p: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Exact counts of two answers: p (groups, people kinds, options), mass (groups, kinds)."""
    return np.einsum("gu,guk,gul->gkl", mass, p, p)


def test_parts_of_the_variance_are_those_planted() -> None:
    rng = np.random.default_rng(0)
    p, mass = rng.dirichlet(np.ones(3), (2, 4)), rng.dirichlet(np.ones(8)).reshape(2, 4)
    parts = variance_parts(1e9 * table(p, mass))
    mean = np.einsum("gu,guk->k", mass, p)
    by_group = np.einsum("gu,guk->gk", mass, p) / mass.sum(axis=1)[:, None]
    assert parts.total == pytest.approx(1 - mean @ mean)
    assert parts.person == pytest.approx(((p - mean) ** 2).sum(axis=2).ravel() @ mass.ravel())
    assert parts.group == pytest.approx(((by_group - mean) ** 2).sum(axis=1) @ mass.sum(axis=1))


def test_where_people_are_alike_nothing_is_found_on_average() -> None:
    """Groups at random: the shares scatter around zero, small groups included."""
    rng = np.random.default_rng(1)
    law = np.einsum("k,l->kl", [0.5, 0.3, 0.2], [0.5, 0.3, 0.2]) / 6
    drawn = rng.multinomial(30, np.tile(law, (6, 1, 1)).ravel(), size=4000).reshape(4000, 6, 3, 3)
    parts = variance_parts(drawn)
    assert abs(parts.person.mean()) < 3 * parts.person.std() / 60
    assert abs(parts.group.mean()) < 3 * parts.group.std() / 60


def test_intervals_cover() -> None:
    rng = np.random.default_rng(2)
    p, mass = rng.dirichlet(np.ones(3), (2, 4)), np.full((2, 4), 1 / 8)
    law = table(p, mass)
    truth = variance_parts(1e9 * law)
    covered = np.zeros(2)
    for _ in range(60):
        counts = rng.multinomial(800, law.ravel()).reshape(law.shape)
        for k, (found, true) in enumerate(
            zip(
                bootstrap_parts(counts, rng, 150),
                (truth.person_share, truth.group_share),
                strict=True,
            )
        ):
            covered[k] += found.lower <= true <= found.upper
    assert (covered >= 50).all()  # a level of .95 falls below with probability 1e-3


def test_moments_of_three_answers() -> None:
    z, w = np.array([0.1, 0.6, 0.9]), np.array([0.5, 0.2, 0.3])
    k = np.arange(4)
    law = w @ (np.array([1, 3, 3, 1]) * z[:, None] ** k * (1 - z[:, None]) ** (3 - k))
    found = pair_moments(1e8 * law)
    assert found.moments == pytest.approx([w @ z, w @ z**2, w @ z**3])
    assert found.variance == pytest.approx(w @ z**2 - (w @ z) ** 2)
    rng = np.random.default_rng(3)
    drawn = [pair_moments(c).variance for c in rng.multinomial(300, law, size=1000)]
    assert np.mean(drawn) == pytest.approx(found.variance, abs=4 * np.std(drawn) / 1000**0.5)
    assert np.std(drawn) == pytest.approx(pair_moments(300 * law).variance_error, rel=0.1)


def test_two_answers_are_the_moments_of_lemma_5_3() -> None:
    n = np.array([30.0, 24.0, 46.0])
    both, mixed = np.array([[0, 46.0], [30, 0]]), np.array([[0, 24.0], [24, 0]])
    J = moments_from_counts(both, mixed)
    found = pair_moments(n)
    assert found.moments == pytest.approx([J.likelihood[0, 1], J.J1[0, 1]])


def test_fewer_labels_have_the_same_moments() -> None:
    n = np.array([10.0, 20, 30, 40])
    assert pair_moments(fewer_labels(n, 2)).moments == pytest.approx(pair_moments(n).moments[:2])
    with pytest.raises(ValueError, match="from 1 to 3"):
        fewer_labels(n, 4)


def test_drift_is_extrapolated() -> None:
    c1, c2, V = drift([0.5 + 0.2 * 0.8, 0.5 + 0.2 * 0.64], [0.5, 0.5])
    assert (c1, c2, V) == pytest.approx((0.16, 0.128, 0.2))
    assert np.isnan(drift([0.5, 0.6], [0.5, 0.5])[2])


@pytest.mark.parametrize("bad", [np.ones((2, 3)), -np.ones((1, 2, 2)), np.zeros((1, 2, 2))])
def test_bad_counts_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"counts has shape|fewer than two"):
        variance_parts(bad)


def test_packaged_panels_agree_with_each_other() -> None:
    """Pairs counted from the rankings are the pairs that were counted before."""
    orders = panels.child_rankings().orders
    place = np.argsort(orders, axis=2)
    first = (place[:, :, :, None] < place[:, :, None, :]).sum(axis=1)
    counted = np.array([(first == k).sum(axis=0) for k in range(4)])
    given = panels.pair_wins()["all"]
    off = ~np.eye(5, dtype=bool)
    assert np.array_equal(counted[:, off], given[:, off])
    with pytest.raises(ValueError, match="it must be one of all, degree"):
        panels.pair_wins("age")


def test_codes_that_are_no_answer_are_out() -> None:
    _, questions = panels.repeated_answers()
    assert len(questions) == 125
    assert all("0" not in q.options for q in questions)


def test_packaged_votes_and_films_are_read() -> None:
    votes = panels.mt_bench()
    assert (len(votes), len(votes.annotators), len(votes.items)) == (1751, 65, 6)
    rankings, groups, names = panels.film_rankings()
    assert len(rankings) == 834 == len(groups["age"])
    assert names["fan"] == ("No", "Yes")


def test_parts_of_a_pair_are_those_planted() -> None:
    z, w = np.array([[0.2, 0.7], [0.4, 0.9]]), np.array([[0.3, 0.2], [0.1, 0.4]])
    k = np.arange(4)
    law = np.array([1, 3, 3, 1]) * z[..., None] ** k * (1 - z[..., None]) ** (3 - k)
    parts = pair_parts(1e8 * np.einsum("gu,guk->gk", w, law))
    mean, by_group = (w * z).sum(), (w * z).sum(axis=1) / w.sum(axis=1)
    assert parts.total == pytest.approx(mean * (1 - mean))
    assert parts.person == pytest.approx((w * (z - mean) ** 2).sum())
    assert parts.group == pytest.approx(w.sum(axis=1) @ (by_group - mean) ** 2)
    with pytest.raises(ValueError, match="m >= 2"):
        pair_parts(np.ones((2, 2)))
