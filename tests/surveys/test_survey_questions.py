"""Rewards from shares, resampling, and the tables that come with the book."""

from __future__ import annotations

from pathlib import Path

import build_nonvoters
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import hetlib
from hetlib import surveys
from hetlib.checks import Array
from hetlib.core.labels import Indices


@settings(max_examples=100, deadline=None)
@given(hnp.arrays(np.float64, (3, 5), elements=st.floats(-8, 8)))
def test_shares_identify_rewards_up_to_a_constant(rewards: Array) -> None:
    shares = np.exp(rewards) / np.exp(rewards).sum(axis=1, keepdims=True)
    found = hetlib.luce_shepard_rewards(shares)
    centred = rewards - rewards.mean(axis=1, keepdims=True)
    assert found == pytest.approx(centred, abs=1e-9)
    again = np.exp(found) / np.exp(found).sum(axis=1, keepdims=True)
    assert again == pytest.approx(shares, abs=1e-12)


def test_floor_decides_the_reward_of_an_empty_option() -> None:
    raw = np.log([0.5, 0.5, 1e-15])
    assert hetlib.luce_shepard_rewards([[0.5, 0.5, 0.0]])[0] == pytest.approx(raw - raw.mean())
    assert hetlib.luce_shepard_rewards([[5, 5, 0]], 1e-3)[0, 2] == pytest.approx(
        np.log(1e-3) - (2 * np.log(0.5) + np.log(1e-3)) / 3
    )


@pytest.mark.parametrize(
    ("shares", "floor", "message"),
    [
        ([[0.5, -0.1]], 1e-15, r"shares\[0, 1\] is -0.1"),
        ([[0.5, 0.5], [0, 0]], 1e-15, r"shares\[1\] sums to 0"),
        ([[0.5, np.nan]], 1e-15, "finite"),
        ([0.5, 0.5], 1e-15, "2 axes"),
        ([[0.5, 0.5]], 0.0, "positive"),
        ([[0.5, 0.5]], 1.0, "below 1"),
    ],
)
def test_bad_shares(shares: list[list[float]], floor: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hetlib.luce_shepard_rewards(shares, floor)


def test_pairwise_from_shares_is_bradley_terry_of_the_rewards() -> None:
    for q in surveys.nonvoters() + surveys.pew_examples() + surveys.anes96():
        assert surveys.pairwise(q.shares, q.masses) == pytest.approx(
            q.population().pairwise(), abs=1e-9
        )


def test_bootstrap_agrees_with_drawing_respondents() -> None:
    """Same spread of shares and masses as resampling the people themselves."""
    rng = np.random.default_rng(0)
    people = 300, 400
    answers = [rng.choice(3, n, p=[0.7, 0.28, 0.02]) for n in people]
    weights = [rng.gamma(3, 0.4, n) for n in people]

    def table(power: int, draws: list[Indices] | None = None) -> Array:
        rows = []
        for u, (a, w) in enumerate(zip(answers, weights, strict=True)):
            k = np.arange(len(a)) if draws is None else draws[u]
            rows.append(np.bincount(a[k], weights=w[k] ** power, minlength=3))
        return np.array(rows)

    q = surveys.question("q", "abc", ("u", "v"), table(1), table(0), table(2))
    shares, masses = q.resample(4000, np.random.default_rng(1))
    exact = np.array([table(1, [rng.integers(n, size=n) for n in people]) for _ in range(4000)])
    other = exact / exact.sum(axis=2, keepdims=True)
    assert shares.mean(axis=0) == pytest.approx(other.mean(axis=0), abs=3e-3)
    assert shares.std(axis=0) == pytest.approx(other.std(axis=0), rel=0.08)
    low, high = (np.quantile(s, [0.05, 0.95], axis=0) for s in (shares, other))
    assert low == pytest.approx(high, abs=5e-3)
    mass = exact.sum(axis=2) / exact.sum(axis=(1, 2))[:, None]
    assert masses.std(axis=0) == pytest.approx(mass.std(axis=0), rel=0.08)


def test_bootstrap_is_reproducible_and_needs_counts() -> None:
    q = surveys.nonvoters()[0]
    a, b = (q.resample(5, np.random.default_rng(3)) for _ in range(2))
    assert (a[0] == b[0]).all()
    assert a[0].sum(axis=2) == pytest.approx(1)
    assert a[1].sum(axis=1) == pytest.approx(1)
    with pytest.raises(ValueError, match="shares only"):
        surveys.pew_examples()[0].resample(5, np.random.default_rng(3))
    with pytest.raises(ValueError, match="size is 0"):
        q.resample(0, np.random.default_rng(3))
    with pytest.raises(ValueError, match="shares only"):
        surveys.pew_examples()[0].smooth(0.5)


def test_smoothing_and_selecting() -> None:
    q = surveys.question("q", "abc", ("u", "v"), [[5, 5, 0], [2, 4, 4]])
    assert q.smooth(1).shares[0] == pytest.approx(np.array([6, 6, 1]) / 13)
    with pytest.raises(ValueError, match="nobody belongs to type 'w'"):
        q.select(["u", "w"])
    assert q.select(["v"]).masses == pytest.approx([1.0])
    assert q.disagreement() == pytest.approx(0.4)


def test_tables_of_questions_refuse_nonsense() -> None:
    with pytest.raises(ValueError, match=r"shape \(1, 2\), not \(1, 3\)"):
        surveys.question("q", "abc", ["u"], [[1, 2]])
    with pytest.raises(ValueError, match="0 for a whole type"):
        surveys.question("q", "ab", ["u", "v"], [[1, 2], [0, 0]])
    with pytest.raises(ValueError, match="counts of q has shape"):
        surveys.question("q", "ab", ["u"], [[1, 2]], counts=[[1, 2, 3]])


def test_nonvoter_table() -> None:
    table = surveys.nonvoters()
    assert len(table) == 48
    assert all(len(q.options) >= 3 for q in table)
    assert {q.types for q in table} == {("Republican", "Democratic", "no lean")}
    assert max(q.n for q in table) <= 5836
    for q in table:
        assert q.counts is not None
        assert q.weights is not None
        assert q.squares is not None
        # Cauchy-Schwarz, in both directions that a table of weights must obey
        assert (q.weights**2 <= q.counts * q.squares * (1 + 1e-6) + 1e-3).all()
        assert (q.squares <= q.weights**2 + 1e-3).all()
    candidate = next(q for q in table if q.name == "Q23")
    assert candidate.options == ("Trump", "Biden", "unsure")
    assert candidate.shares[0, 0] > 0.7
    assert candidate.shares[1, 1] > 0.8


def test_published_shares_of_pew() -> None:
    """The two examples carry the published figures; rounding is all that differs."""
    first, second = surveys.pew_examples()
    assert first.shares[0] == pytest.approx([0.056, 0.136, 0.380, 0.120, 0.308], abs=1e-3)
    assert first.masses == pytest.approx([0.437, 0.499, 0.065], abs=1e-3)
    assert second.shares[2] == pytest.approx([0.027, 0.346, 0.354, 0.273], abs=1e-3)
    assert second.masses == pytest.approx([0.440, 0.510, 0.050], abs=1e-3)


def test_election_study() -> None:
    for q in surveys.anes96():
        assert q.n == 944
        assert q.counts is not None
        assert q.counts.sum(axis=1).tolist() == [419, 488, 37]
    for q, fine in zip(surveys.anes96(), surveys.anes96(strength=True), strict=True):
        assert fine.counts is not None
        assert q.counts is not None
        assert len(fine.types) == 7
        assert (fine.counts[4:].sum(axis=0) == q.counts[0]).all()
        assert (fine.counts[3] == q.counts[2]).all()


def test_table_is_built_from_respondents(tmp_path: Path) -> None:
    """The script's sums, on made-up respondents with the survey's columns."""
    rng = np.random.default_rng(4)
    n = 3000
    party = rng.choice(list(build_nonvoters.PARTIES), n)
    weight = rng.gamma(2, 0.5, n)
    known = build_nonvoters.labels()
    codes = {k: rng.choice([-1, *range(1, len(v[1]) + 1)], n) for k, v in known.items()}
    columns = [weight, party, *codes.values()]
    rows = [",".join(map(str, row)) for row in zip(*columns, strict=True)]
    path = tmp_path / "people.csv"
    path.write_text("\n".join([",".join(["weight", "party", *codes]), *rows]))
    built = build_nonvoters.build(path)
    assert built["types"] == ["Republican", "Democratic", "no lean"]
    questions = built["questions"]
    assert isinstance(questions, list)
    assert [q["name"] for q in questions] == list(known)
    there = (party == "Dem/Lean Dem") & (codes["Q23"] == 2)
    q = next(q for q in questions if q["name"] == "Q23")
    assert q["respondents"][1][1] == there.sum()
    assert q["weights"][1][1] == pytest.approx(weight[there].sum(), abs=1e-3)
    assert q["squares"][1][1] == pytest.approx((weight[there] ** 2).sum(), abs=1e-3)
    head = ",".join(["weight", "party", *codes, "Q99"])
    lines = [head, *(f"{row},{i % 3}" for i, row in enumerate(rows))]
    path.write_text("\n".join(lines))
    with pytest.raises(ValueError, match="questions and labels differ"):
        build_nonvoters.build(path)


def test_what_comes_with_the_book_is_called_what_it_is() -> None:
    """Options against the codebooks: seven steps from liberal to conservative, days of a week."""
    first, second = surveys.pew_examples()
    assert (first.name, second.name) == ("BIDENADM_W83", "COVIDEGFP_a_W114")
    assert first.text == "New administration and the pandemic response"
    assert first.options[::4] == ("a lot better", "a lot worse")
    assert second.options == ("excellent", "good", "only fair", "poor")
    for q in (first, second):
        assert (q.types, q.n, q.counts) == (("Republican", "Democratic", "no lean"), 0, None)
        assert q.shares.sum(axis=1) == pytest.approx(1)
        assert q.masses.sum() == pytest.approx(1)
    # rounded to three figures, democrats' shares of the second question sum to 0.999
    assert second.shares[1, 0] == pytest.approx(0.219 / 0.999)
    own, clinton, dole, days = surveys.anes96()
    steps = ("very liberal", "liberal", "rather liberal", "moderate")
    right = ("rather conservative", "conservative", "very conservative")
    assert own.options == clinton.options == dole.options == steps + right
    assert [q.name for q in (own, clinton, dole, days)] == ["selfLR", "ClinLR", "DoleLR", "TVnews"]
    assert [q.text for q in (own, clinton, dole, days)] == [
        "Own position", "Position of Clinton", "Position of Dole",
        "Days a week with television news",
    ]  # fmt: skip
    assert days.options == tuple("01234567")
    # far more people call Dole conservative than liberal, and Clinton the other way round
    assert dole.counts is not None
    assert clinton.counts is not None
    assert dole.counts[:, 4:].sum() > 5 * dole.counts[:, :3].sum()
    assert clinton.counts[:, :3].sum() > 3 * clinton.counts[:, 4:].sum()
    one = surveys.nonvoters()[0]
    assert one.text
    assert one.name


@pytest.mark.parametrize("strength", [False, True])
def test_every_cell_of_the_textbook_sample(strength: bool) -> None:
    """Counted person by person."""
    from statsmodels.datasets import anes96

    data = anes96.load_pandas().data
    for q in surveys.anes96(strength):
        assert q.counts is not None
        assert q.n == len(data) == q.counts.sum()
        assert q.counts.shape == (7 if strength else 3, len(q.options))
        first = 0 if q.name == "TVnews" else 1
        for u in range(len(q.types)):
            party = {0: (4, 5, 6), 1: (0, 1, 2), 2: (3,)}[u] if not strength else (u,)
            codes = data[q.name][data["PID"].isin(party)]
            assert q.counts[u].tolist() == [
                (codes == first + k).sum() for k in range(len(q.options))
            ]


def weighted() -> surveys.Question:
    """Two types; an empty cell, equal weights in one cell and different ones in another."""
    return surveys.question(
        "w", ["a", "b", "c"], ["u", "v"], [[6.0, 5.0, 0.0], [2.0, 0.5, 3.0]],
        counts=[[3, 10, 0], [2, 1, 6]], squares=[[14.0, 2.5, 0.0], [2.0, 0.25, 1.5]],
    )  # fmt: skip


def test_a_bootstrap_has_the_mean_and_the_variance_of_drawing_people() -> None:
    q, rng = weighted(), np.random.default_rng(5)
    shares, masses = q.resample(40_000, rng)
    assert shares.shape == (40_000, 2, 3)
    assert masses.shape == (40_000, 2)
    # the same by drawing the people: three with weights 1, 2, 3, ten of one half
    people = np.array([1, 2, 3] + [0.5] * 10)
    first = np.arange(13) < 3
    drawn = rng.integers(0, 13, (40_000, 13))
    direct = (people[drawn] * first[drawn]).sum(axis=1) / people[drawn].sum(axis=1)
    assert shares[:, 0, 0].mean() == pytest.approx(direct.mean(), abs=5e-3)
    assert shares[:, 0, 0].std() == pytest.approx(direct.std(), rel=0.03)
    assert (shares[:, 0, 2] == 0).all()
    np.testing.assert_allclose(shares.sum(axis=2), 1)
    np.testing.assert_allclose(masses.sum(axis=1), 1)
    # nobody's weight varies in the second type: shares are of counts times fixed weights
    some = shares[:, 1] / [1.0, 0.5, 0.5]
    counted = 9 * some / some.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(counted, np.rint(counted), atol=1e-9)
    # masses move with the weights drawn, around 11 to 5.5
    assert masses[:, 0].mean() == pytest.approx(2 / 3, abs=0.01)
    assert masses[:, 0].std() > 0.01
    one_shares, one_masses = q.resample(1, np.random.default_rng(0))
    assert (one_shares.shape, one_masses.shape) == ((1, 2, 3), (1, 2))


def test_selecting_keeps_what_belongs_to_the_types() -> None:
    q = weighted()
    both, turned, only = q.select(["u", "v"]), q.select(["v", "u"]), q.select(["v"])
    assert (only.types, only.n, only.name, only.options) == (("v",), 9, "w", ("a", "b", "c"))
    assert (both.n, turned.n, turned.types) == (22, 22, ("v", "u"))
    for name in ("shares", "counts", "weights", "squares", "masses"):
        here, there = getattr(q, name), getattr(turned, name)
        np.testing.assert_allclose(there, here[::-1])
        wanted = here[1:] if name != "masses" else [1.0]
        np.testing.assert_allclose(getattr(only, name), wanted)
    bare = surveys.pew_examples()[0].select(["Democratic", "no lean"])
    assert (bare.n, bare.counts, bare.weights, bare.squares) == (0, None, None, None)
    with pytest.raises(ValueError, match="w: no type is named; its types are"):
        q.select([])
