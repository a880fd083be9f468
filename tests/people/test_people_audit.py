"""The audit says what was planted: in small tables, sentence by sentence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from hetlib.people import audit
from hetlib.people.models import Diagnosis, Kind, answers, diagnose, fit
from hetlib.people.repeats import pair_moments
from hetlib.people.tables import PeopleLabels, read_labels

REWARD = dict(zip("ABCD", (1.5, 0.5, -0.5, -1.5), strict=True))


def table(
    people: int = 60,
    each: int = 40,
    seed: int = 0,
    b: float = 0.0,
    turn: float = 0.0,
    c: float = 0.0,
    scale: float = 0.0,
) -> PeopleLabels:
    """People who differ in one way; ``turn`` is the share with rewards turned round."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for u in range(people):
        sign = (-1.0 if rng.random() < turn else 1.0) * (rng.random() >= c)
        sign *= np.exp(scale * rng.standard_normal()) if scale else 1.0
        for t in range(each):
            first, second = rng.choice(list(REWARD), 2, replace=False)
            p = expit(sign * (REWARD[first] - REWARD[second]) + b * (sign != 0))
            choice = first if rng.random() < p else second
            rows.append(
                {
                    "annotator": f"p{u}",
                    "first": first,
                    "second": second,
                    "choice": choice,
                    "prompt": t % 3,
                }
            )
    return read_labels(rows)


def said(labels: PeopleLabels) -> str:
    data = answers(labels)
    found = diagnose(data, draws=24, level=0.2)
    return " ".join([*audit.findings(found, data), audit.method(found, labels, data)])


@pytest.mark.slow
def test_position_is_said_to_be_no_taste() -> None:
    text = said(table(b=0.8))
    assert "effect of position, which is no taste" in text
    assert "Shown orders are balanced here" in text
    assert "No types with a taste of their own" in text


@pytest.mark.slow
def test_opposite_tastes_have_a_flat_average() -> None:
    text = said(table(turn=0.5, seed=1))
    assert "People differ in taste: 2 types" in text
    assert "average is nearly flat" in text
    assert "EM over latent types" in text


@pytest.mark.slow
def test_careless_people_count_as_zero() -> None:
    text = said(table(each=60, c=0.4, seed=3))
    assert "answer as if by coin" in text
    assert "people with zero rewards" in text
    assert "No types with a taste" in text


@pytest.mark.slow
def test_strengths_keep_the_order_and_shrink_the_margins() -> None:
    labels = table(scale=1.0, seed=4)
    text = said(labels)
    assert "How strongly people feel differs" in text
    assert "DPO's order is right; its margins are too small" in text
    assert "No types with a taste" in text
    assert audit.followed(labels).items == tuple("ABCD")


def test_overview_counts() -> None:
    rows = [
        {"annotator": "p", "first": "A", "second": "B", "choice": "A"},
        {"annotator": "p", "first": "B", "second": "A", "choice": "tie"},
        {"annotator": "q", "first": "A", "second": "C", "choice": "C"},
    ]
    text = " ".join(audit.overview(read_labels(rows)))
    assert "3 labels by 2 annotators between 3 items" in text
    assert "2 of 3 pairs occur" in text
    assert "In 1 cases an annotator labelled the same pair" in text
    assert "33 % of the labels are ties" in text


def test_turned_answers_are_counted() -> None:
    row = {"annotator": "p", "first": "A", "second": "B", "choice": "A"}
    back = {"annotator": "p", "first": "B", "second": "A", "choice": "B"}
    other = {"annotator": "q", "first": "B", "second": "A", "choice": "A"}
    assert audit.turned(read_labels([row, back])) == (1, 1, 1)
    assert audit.turned(read_labels([row, back | {"choice": "A"}, other])) == (0, 1, 0)


def test_turns_are_said_by_side() -> None:
    shown = [("A", "B"), ("B", "A")]
    rows = [
        {"annotator": who, "first": a, "second": b, "choice": (a, b)[side]}
        for who, side in (("p", 0), ("q", 0), ("r", 1))
        for a, b in shown
    ]
    text = audit.turns(read_labels(rows))
    assert "3 of 3 (100 %) turned" in text
    assert "in 2 the first shown won both times, in 1 the second" in text
    assert "Nobody judged a pair" in audit.turns(read_labels(rows[::2]))


def test_a_pull_by_person_in_one_order_is_not_said_to_be_no_taste() -> None:
    labels = table(people=20, each=20)
    for one_order in (False, True):
        if one_order:  # the same votes, the lower name first
            back = labels.first > labels.second
            first = np.where(back, labels.second, labels.first)
            second = np.where(back, labels.first, labels.second)
            votes = np.where(back, 1 - labels.votes, labels.votes)
            labels = replace(labels, first=first, second=second, votes=votes)
        data = answers(labels)
        model = fit(data, Kind(position=True, by_person=True))
        found = Diagnosis((), model, {}, ("position by person",), 0.05)
        text = " ".join(audit.findings(found, data))
        assert ("shown in one order only" in text) == one_order
        assert (": this is no taste" in text) != one_order


def test_a_cycle_is_found_and_its_absence_too() -> None:
    def labels(p: dict[tuple[str, str], float]) -> PeopleLabels:
        rows = [
            {"annotator": f"p{k}", "first": a, "second": b, "choice": a if k < 100 * share else b}
            for (a, b), share in p.items()
            for k in range(100)
        ]
        return read_labels(rows)

    cycle = audit.cycle_test(labels({("A", "B"): 0.7, ("B", "C"): 0.7, ("C", "A"): 0.7}))
    assert cycle.degrees == 1
    assert cycle.p < 1e-6
    odds = expit(2 * np.log(0.7 / 0.3))
    line = audit.cycle_test(labels({("A", "B"): 0.7, ("B", "C"): 0.7, ("A", "C"): odds}))
    assert line.p > 0.5


@pytest.mark.slow
def test_certificates_hold_the_average() -> None:
    labels = table(people=200, each=20)
    for found in audit.certain(labels, 4.0):
        true = REWARD[found.first] - REWARD[found.second]
        assert found.lower <= true <= found.upper
    assert any(found.certain for found in audit.certain(labels, 4.0))


@pytest.mark.slow
def test_what_dpo_follows() -> None:
    found = audit.followed(table())
    assert found.items == ("A", "B", "C", "D")
    assert (np.diff(found.rewards) < 0).all()
    assert found.missing == 0


@pytest.mark.slow
def test_what_to_collect_is_said() -> None:
    labels = read_labels(
        [
            {"annotator": "p", "first": "A", "second": "B", "choice": "A"},
            {"annotator": "q", "first": "A", "second": "B", "choice": "B"},
            {"annotator": "q", "first": "C", "second": "D", "choice": "C"},
            {"annotator": "q", "first": "E", "second": "B", "choice": "E"},
        ]
    )
    text = " ".join(audit.collect(labels, diagnose(answers(labels), draws=24, level=0.2)))
    assert "Compare C with A" in text
    assert "E never lost" in text
    assert "No two people labelled the same pair twice" in text
    assert "Shown in one order only: 3 pairs." in text
    assert "Fewer than 30 people" in text


def two(share: int, twice: str = "") -> PeopleLabels:
    """One pair and 200 people, so many of whom choose A; a second label where asked for."""
    rows = [
        {"annotator": f"p{k}", "first": "B", "second": "A", "choice": choice}
        for k in range(200)
        for choice in ["AB"[k >= share], *([twice or "AB"[k >= share]] if twice != "" else [])]
    ]
    return read_labels(rows)


@pytest.mark.parametrize(
    ("share", "says"),
    [
        (100, "of 200 labels 50 % are for B. More than 6,000 would"),
        (97, "of 200 labels 52 % are for B. About 4,000 would"),
        (104, "of 200 labels 52 % are for A. About 2,000 would"),
    ],
)
def test_a_close_pair_has_no_more_digits_than_it_is_known_to(share: int, says: str) -> None:
    labels = two(share)
    assert says in " ".join(audit.collect(labels, diagnose(answers(labels), draws=24, level=0.2)))


@pytest.mark.slow
def test_a_variance_is_told_with_its_interval() -> None:
    labels = two(100, twice="A")
    counts = np.bincount([1] * 100 + [2] * 100, minlength=3)
    moments = pair_moments(counts)
    text = " ".join(audit.collect(labels, diagnose(answers(labels), draws=24, level=0.2)))
    half = 1.959964 * moments.variance_error
    assert f"{moments.variance:.3f} ± {half:.3f} (95 %" in text
    assert moments.variance < 0
    assert "may be negative" in text
    assert "at most about" in text


def test_a_prior_moves_no_pair_that_others_do_not_meet() -> None:
    """Odds of A over B stay, whatever C and D do among themselves; without it nobody is added."""

    def rows(*pairs: str) -> list[dict[str, Any]]:
        return [
            {
                "annotator": f"p{k % 3}",
                **dict(zip(("first", "second", "choice"), pair, strict=True)),
            }
            for k, pair in enumerate(pairs)
        ]

    pair = ["ABA"] * 4 + ["ABB"]
    alone = read_labels(rows(*pair))
    more = read_labels(rows(*pair, "CDC", "DCC", "CDC"))
    never = read_labels(rows(*["ABA"] * 4))
    for prior in (0.5, 2.0):
        one, other = audit.followed(alone, prior), audit.followed(more, prior)
        assert one.rewards[0] - one.rewards[1] == pytest.approx(np.log((4 + prior) / (1 + prior)))
        assert set(other.items) == {"C", "D"} or other.rewards == pytest.approx(one.rewards)
        both = audit.with_prior(more, prior)
        assert np.array_equal(both[:2, :2], audit.with_prior(alone, prior))
        assert (both[:2, 2:] == 0).all()
        lead = audit.followed(never, prior).rewards
        assert lead[0] - lead[1] == pytest.approx(np.log((4 + prior) / prior))
    with pytest.raises(ValueError, match="no two items are comparable"):
        answers(never)
    with pytest.raises(ValueError, match="prior is -1"):
        answers(alone, prior=-1)


def test_the_prior_of_the_models_is_by_pair() -> None:
    """With one taste the likelihood with a prior is Bradley and Terry's of the wins with it."""
    import hetlib
    from hetlib.people.models import fit

    labels = table(10, 10)
    found = fit(answers(labels, prior=1.5), ridge=1e-9)
    assert found.rewards[0] == pytest.approx(
        hetlib.bradley_terry(audit.with_prior(labels, 1.5)), abs=1e-3
    )


def test_few_people_are_not_named() -> None:
    rows = [
        {"annotator": name, "first": "A", "second": "B", "choice": "A", "type": kind}
        for name, kind in [
            *((f"m{k}", "crowd") for k in range(10)),
            ("Zoë", "rare"),
            ("zoë", "rare"),
        ]
    ]
    labels = read_labels(rows)
    hidden, shown = (" ".join(audit.overview(labels, names)) for names in (False, True))
    assert "crowd (10), 1 group of fewer than 10 people, not named here" in hidden
    assert "rare" not in hidden
    assert "zoë" not in hidden.casefold()
    assert "names differ in case only" in hidden
    assert "rare (2)" in shown
    assert "Zoë and zoë" in shown


def test_ties_are_the_subject_of_their_note() -> None:
    row = {"annotator": "p", "first": "A", "second": "B"}
    labels = read_labels([row | {"choice": "tie"}, row | {"choice": "A"}, row | {"choice": ""}])
    text = audit.overview(labels)
    assert "Ties (row 1): half a win each." in text
    assert "Rows without an answer (row 3): left out." in text


def test_features_are_covariates_or_the_rewards() -> None:
    from hetlib.people.models import fit

    rng = np.random.default_rng(0)
    rows = []
    for k in range(3000):
        a, b = rng.choice(list(REWARD), 2, replace=False)
        x, y = rng.uniform(0, 2, 2)
        won = rng.random() < expit(REWARD[a] - REWARD[b] + 0.7 * (x - y))
        row = {"annotator": k % 60, "first": a, "second": b, "choice": a if won else b}
        rows.append(row | {"x": x, "y": y})
    labels = read_labels(rows, features={"length": ["x", "y"]})
    both = fit(answers(labels, covariates=labels.features, names=["length"]))
    assert both.effects[0] == pytest.approx(0.7, abs=0.25)
    assert both.rewards[0] == pytest.approx([REWARD[k] for k in both.items], abs=0.25)
    alone = fit(answers(labels, features=labels.features, names=["length"]))
    assert alone.items == ("length",)
    with pytest.raises(ValueError, match="features\\['length'\\] is \\['x'\\]"):
        read_labels(rows, features={"length": ["x"]})
    with pytest.raises(ValueError, match=r"a feature that is no number \(row 1\)"):
        read_labels([rows[0] | {"x": "long"}], features={"length": ["x", "y"]})


def test_power_is_that_of_the_nearest_sets() -> None:
    data = answers(table(60, 50))
    results = {
        f"{what}, {m}": {"named": {what: n, "nothing": 3}, "sets": 4}
        for what in ("nothing", "position", "strengths", "carelessness", "types")
        for m, n in ((10, 1), (40, 2))
    }
    results["types, ratings, 10"] = {"named": {}, "sets": 1}
    text = audit.power(data, results)
    assert "40 labels each (here 60 with 50)" in text
    assert "types in 50 %" in text
    assert "something was named in 25.0 %" in text
    assert "fewer than half" not in text
    assert "fewer than half as many people or labels" in audit.power(answers(table(5, 50)), results)


def lists(ratings: bool, number: int = 30, seed: int = 0) -> PeopleLabels:
    """One list of four items a person: a ranking, or a rating from 0 to 2."""
    rng, rows = np.random.default_rng(seed), []
    for u in range(number):
        worth = dict(zip(REWARD, rng.gumbel(size=4) + np.array(list(REWARD.values())), strict=True))
        rank = {item: k for k, item in enumerate(sorted(worth, key=lambda i: -worth[i]))}
        for item in REWARD:
            value = {"score": int(worth[item] > -1) + int(worth[item] > 1)}
            rows.append(
                {"annotator": u, "item": item} | (value if ratings else {"rank": rank[item]})
            )
    return read_labels(rows)


@pytest.mark.parametrize("kind", ["rankings", "ratings"])
def test_what_is_said_of_rankings_and_ratings(kind: str) -> None:
    data = answers(lists(kind == "ratings"))
    text = " ".join(audit.findings(diagnose(data, draws=5, level=0.9), data))
    assert "tests compare with whole rankings" in text
    assert "Half of the people or more gave one ranking or rating" in text
    results = {
        f"{what}, {kind}, 10": {"named": {what: 1, "nothing": 2}, "sets": 2}
        for what in ("nothing", "strengths", "carelessness", "types")
    }
    said = audit.power(data, results)
    assert f"10 pairs from {kind} of five items each (here 30 with 6)" in said
    assert "position" not in said


@pytest.mark.parametrize("bound", [0.0, -1.0, float("nan")])
def test_a_bound_must_be_positive(bound: float) -> None:
    with pytest.raises(ValueError, match="reward_bound"):
        audit.certain(table(5, 5), bound)


@pytest.mark.slow
def test_the_page_stands_alone() -> None:
    """Prose, outputs and pictures in one file: no code, no role, no address to fetch."""
    import nbformat
    from one_page import page

    new = nbformat.v4
    warned = "/home/me/book.py:12: UserWarning: no font for 'x: 1'\n  draw()\n"
    seen = "See {ref}`sec-04-table`, {ref}`there <sec-16>` ({ref}`sec-16`). <b>x</b>"
    cells = [
        new.new_markdown_cell(f"(a-target)=\n# Title\n\n{seen}"),
        new.new_code_cell(
            "secret = 1",
            outputs=[
                new.new_output("display_data", {"image/png": "AAAA"}),
                new.new_output("stream", text="<script>"),
                new.new_output("stream", name="stderr", text=warned),
            ],
        ),
    ]
    html = page(new.new_notebook(cells=cells))
    assert "secret" not in html
    assert "{ref}" not in html
    assert "a-target" not in html
    assert "See chapter 4, there." in html
    assert "<pre>UserWarning: no font for &#x27;x: 1&#x27;\n</pre>" in html
    assert "&lt;script&gt;" in html
    assert "&lt;b&gt;" in html
    assert "data:image/png;base64,AAAA" in html
    assert "http" not in html


def rows_of(shown: dict[tuple[str, str], tuple[int, int]]) -> PeopleLabels:
    """Labels by ten people: how often the first and the second of each shown pair was chosen."""
    votes = [(a, b, c) for (a, b), n in shown.items() for c, k in zip((a, b), n, strict=True)
             for _ in range(k)]  # fmt: skip
    return read_labels(
        [
            {"annotator": f"p{k % 10}", "first": a, "second": b, "choice": c}
            for k, (a, b, c) in enumerate(votes)
        ]
    )


@pytest.mark.slow
def test_position_and_rewards_may_not_be_told_apart() -> None:
    one_way = rows_of({("A", "B"): (40, 20)})
    both = rows_of({("A", "B"): (40, 20), ("B", "A"): (25, 35)})
    chain = rows_of({("A", "B"): (40, 20), ("B", "C"): (40, 20)})
    additive = rows_of({("A", "B"): (40, 20), ("B", "C"): (40, 20), ("A", "C"): (40, 20)})
    told = [audit.position_confounded(answers(x)) for x in (one_way, both, chain, additive)]
    assert told == [True, False, True, False]
    for labels, words in ((one_way, True), (both, False)):
        data = answers(labels)
        text = " ".join(audit.findings(diagnose(data, draws=24, level=0.2), data))
        assert ("cannot tell apart an effect of position and the rewards" in text) == words
        assert ("No effect of position" in text or "Being shown first" in text) != words


def test_balance_is_of_every_pair() -> None:
    even = {("A", "B"): (40, 20), ("B", "A"): (25, 35)}
    uneven = {("A", "C"): (30, 20), ("C", "A"): (2, 3)}
    assert audit.balanced(answers(rows_of(even)))
    assert not audit.balanced(answers(rows_of(even | uneven)))


def test_the_average_and_dpo_differ_by_so_much() -> None:
    found = audit.Followed(("A", "B", "C"), np.array([1.0, 0.0, -1.0]), np.inf, None, 0)
    same, other = ({"A": 1.0, "B": b, "C": -0.5} for b in (0.0, -0.75))
    assert "the same order" in audit.what_follows(found, same)[1]
    assert "differ by at most 0.25" in audit.what_follows(found, other)[1]
