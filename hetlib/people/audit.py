"""The audit of a table of labels: what was read, what differs, what follows, what to collect.

Each function returns sentences or numbers that rest on the labels alone; the page
``book/audit.md`` puts them together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.special import expit, logit, xlogy
from scipy.stats import chi2, norm

import hetlib
from hetlib import checks
from hetlib.checks import Array
from hetlib.core.labels import TIE
from hetlib.linked.bounds import bounds_from_counts
from hetlib.people.models import (
    DIFFERENCES,
    Answers,
    Diagnosis,
    Fit,
    _is_table,
    careless_interval,
    position_interval,
    posterior,
)
from hetlib.people.repeats import pair_moments
from hetlib.people.tables import PeopleLabels, graph


def _number(count: int, word: str) -> str:
    many = {"person": "people"}.get(word, word + "s")
    return f"{count:,} {word if count == 1 else many}"


def by_person_and_pair(labels: PeopleLabels) -> dict[tuple[int, int], dict[int, list[float]]]:
    """Labels of each person on each pair: 1 where the lower-numbered item won, a tie ½."""
    out: dict[tuple[int, int], dict[int, list[float]]] = {}
    for who, a, b, vote in zip(labels.who, labels.first, labels.second, labels.votes, strict=True):
        low = 0.5 if vote == TIE else float((vote == 0) == (a < b))
        pair = (int(min(a, b)), int(max(a, b)))
        out.setdefault(pair, {}).setdefault(int(who), []).append(low)
    return out


#: Groups of fewer people are not named unless asked.
FEW = 10
#: Subjects of the notes on rows.
_SUBJECTS = {"tie": "ties", "not answered": "rows without an answer"}


def overview(labels: PeopleLabels, show_names: bool = False) -> list[str]:
    """How many annotators, labels, items, repeats; and what was met on reading.

    Args:
        labels: What was read.
        show_names: Whether annotators, and groups of fewer than :data:`FEW` people, are named.
    """
    each = np.bincount(labels.who, minlength=len(labels.annotators))
    told = by_person_and_pair(labels)
    cells = [n for people in told.values() for n in map(len, people.values())]
    twice = sum(n >= 2 for n in cells)
    ties = float((labels.votes == TIE).mean())
    n = len(labels.items)
    spread = (
        f"{each.min()} labels by each"
        if each.min() == each.max()
        else f"from {each.min()} to {each.max()} labels an annotator, half of them at least "
        f"{np.median(each):.0f}"
    )
    out = [
        f"{_number(len(labels), 'label')} by {_number(len(labels.annotators), 'annotator')} "
        f"between {_number(n, 'item')}; {spread}.",
        f"{len(told)} of {n * (n - 1) // 2} pairs occur. In {twice:,} cases an annotator labelled "
        "the same pair of items at least twice"
        + (" (on any prompts)." if labels.prompt.any() else "."),
    ]
    if ties:
        out.append(f"{100 * ties:.0f} % of the labels are ties.")
    if labels.types:
        size = Counter(labels.types)
        shown = [f"{k or 'no group'} ({v})" for k, v in size.items() if v >= FEW or show_names]
        small = sum(v < FEW for v in size.values())
        if small and not show_names:
            shown.append(f"{_number(small, 'group')} of fewer than {FEW} people, not named here")
        out.append(f"Groups and their people: {', '.join(shown)}.")
    for note in labels.notes:
        if note.kind.startswith("annotators ") and not show_names:
            out.append("Annotators whose names differ in case only are taken as different people.")
        elif note.kind == "1 annotators with one label":
            out.append("1 annotator with one label, who cannot be compared.")
        else:
            said = str(replace(note, kind=_SUBJECTS.get(note.kind, note.kind)))
            out.append(f"{said[0].upper()}{said[1:]}.".replace(": said.", "."))
    return list(dict.fromkeys(out))


def turned(labels: PeopleLabels) -> tuple[int, int, int]:
    """Where one person judged a pair, with the same prompt, in both orders: how often it turned.

    Returns:
        Cases in which a different item won, cases, and those of the first in which the response
        shown first won in both orders (in the rest the one shown second did); ties left out.
    """
    seen: dict[tuple[int, ...], dict[bool, set[int]]] = {}
    for k in np.flatnonzero(labels.votes != TIE):
        a, b = int(labels.first[k]), int(labels.second[k])
        winner = a if labels.votes[k] == 0 else b
        key = int(labels.who[k]), min(a, b), max(a, b), int(labels.prompt[k])
        seen.setdefault(key, {}).setdefault(a < b, set()).add(winner)
    both = {
        key: v for key, v in seen.items() if len(v) == 2 and all(len(w) == 1 for w in v.values())
    }
    changed = {key: v for key, v in both.items() if v[True] != v[False]}
    by_first = sum(v[True] == {key[1]} for key, v in changed.items())
    return len(changed), len(both), by_first


def turns(labels: PeopleLabels) -> str:
    """How often a person's choice turned with the order shown, and to which side."""
    changed, cases, by_first = turned(labels)
    if not cases:
        return "Nobody judged a pair with the same prompt in both orders."
    return (
        f"Where one person judged a pair in both orders, {changed} of {cases} "
        f"({100 * changed / cases:.0f} %) turned"
        + (
            f": in {by_first} the first shown won both times, in {changed - by_first} the second; "
            "without an effect of position the two are equal but for chance."
            if changed
            else "."
        )
    )


@dataclass(frozen=True)
class CycleTest:
    """Whether pooled labels fit one table of rewards.

    Attributes:
        deviance: Of the Bradley-Terry fit against free pairs.
        degrees: Pairs that occur, less the rewards.
        p: By the chi-squared law; NaN without degrees of freedom.
    """

    deviance: float
    degrees: int
    p: float


def cycle_test(labels: PeopleLabels, prior: float = 0.0) -> CycleTest:
    """Test of Bradley and Terry on the pooled labels of the comparable items.

    It treats labels as independent, and ties as half a win each way, which makes it cautious.
    A population of several types can pass it, and one with position effects fail.

    Args:
        labels: What was read.
        prior: Wins each way given beforehand to every pair that met, in the fit alone.
    """
    some = labels.only(graph(with_prior(labels, prior)).comparable)
    wins = some.wins()
    r = hetlib.bradley_terry(with_prior(some, prior))
    n = wins + wins.T
    p = expit(r[:, None] - r[None, :])
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(n > 0, wins / n, 0.5)
    deviance = float(2 * (xlogy(wins, share) - xlogy(wins, p)).sum())
    degrees = int((np.triu(n, 1) > 0).sum()) - (len(wins) - 1)
    return CycleTest(deviance, degrees, float(chi2.sf(deviance, degrees)) if degrees else np.nan)


def findings(found: Diagnosis, data: Answers) -> list[str]:
    """What differs between these people, in sentences, with how sure it is."""
    model, needed, out = found.model, set(found.needed), list[str]()
    mixed = data.ordered and position_confounded(data)
    if mixed:
        out.append(
            "These data cannot tell apart an effect of position and the rewards: adding the same "
            "to every first response changes nothing that a difference of rewards could not. "
            "Pairs shown in both orders would tell."
        )
    if not data.ordered:
        out.append("These data do not say what was shown first: no effect of position is asked.")
        if data.lists is not None:
            out.append(
                "Pairs of one ranking or rating depend on each other given the person. So the "
                "tests compare with whole rankings, drawn by Plackett and Luce's rule with as many "
                "items at each place, and m items of one ranking count as fewer labels than pairs, "
                "3/(m + 1) of a label a pair."
            )
            if np.median(np.bincount(data.lists.who, minlength=data.people)) < 2:
                out.append(
                    "Half of the people or more gave one ranking or rating: what differs between "
                    "them is told from chance by Plackett and Luce's rule alone. A second one of "
                    "the same people would tell it without."
                )
    elif "position" in needed and not mixed:
        low, high = position_interval(model, data)
        out.append(
            f"Being shown first adds {model.position:.2f} in log odds (95 % interval {low:.2f} to "
            f"{high:.2f}): an effect of position, which is no taste. The rewards below are with "
            "it taken out." + (balance(data, model) if _is_table(data) else "")
        )
    elif not mixed:
        with_position = next(
            (f for f in found.fits.values() if f.kind.position and not f.kind.by_person), None
        )
        if with_position is not None:
            low, high = position_interval(with_position, data)
            sides = 2 * DIFFERENCES
            least = (norm.ppf(1 - found.level / sides) + norm.ppf(0.8)) * (high - low) / 3.92
            out.append(
                f"No effect of position on all people was found; one of about {least:.2f} in log "
                "odds or more would have been, four times in five."
            )
    if "position by person" in needed:
        out.append(
            f"The pull of the first response differs between people (standard deviation "
            f"{model.spread:.2f} in log odds around {model.position:.2f})"
            + (
                ". Each pair was shown in one order only, so that it is told from a taste for "
                "some items by the model's additivity alone; both orders would tell."
                if _one_order(data)
                else ": this is no taste."
            )
        )
    if "strengths" in needed:
        out.append(
            f"How strongly people feel differs (standard deviation {model.sigma:.2f} of the "
            "logarithm of the strength)."
            + (
                " Within a type everybody's order is the same."
                if "types" in needed
                else " Everybody's order is the same here, so that DPO's order is right; its "
                "margins are too small."
                if "position" not in needed or (_is_table(data) and balanced(data))
                else " Everybody's order is the same, and DPO's margins are too small; the effect "
                "of position can still turn DPO's order, as shown orders are not balanced."
            )
        )
    if "carelessness" in needed:
        low, high = careless_interval(model, data)
        _, coin = posterior(model, data)
        out.append(
            f"About {100 * model.careless:.0f} % of the people answer as if by coin (95 % interval "
            f"of the share {low:.2f} to {high:.2f}), {model.careless * data.people:.0f} of "
            f"{data.people}; of {_number(int((coin > 0.95).sum()), 'person')} it is known with "
            "95 % probability or more. This is no taste. The average over people counts them as "
            "people with zero rewards; without them it is "
            f"{1 / max(1 - model.careless, 1e-9):.2f} times as large, in the same order."
        )
    if "reliability" in needed:
        out.append(
            "People are not equally reliable, but these data cannot tell strengths that differ "
            "from people who answer by coin; neither is a taste. More labels a person would tell: "
            "the two differ in the few people whose labels are pure chance." + _how_slight(found)
        )
    if data.ties != "half" and data.tie.sum() and needed - {"position"}:
        out.append(
            "This model of ties has one parameter for everybody: people who call more or fewer "
            "ties than others look to it as if they felt less or more strongly, or were of "
            "another type. Compare the audit with ties dropped, or as half a win each."
        )
    if data.ties == "half" and data.tie.sum() > 0.1 * data.labels:
        out.append(
            "Ties as half a win each make answers look steadier than choices do, so that strengths "
            "and carelessness are harder to see. Compare the audit with ties dropped."
        )
    if not {"strengths", "carelessness", "reliability"} & needed:
        out.append("No difference in how strongly or how carefully people answer was found.")
    if "types" in needed:
        pooled = found.fits.get("one taste")
        average = model.average_reward
        flat = np.ptp(average) < 0.35 * np.ptp(model.rewards, axis=1).max()
        parts = ", ".join(f"{100 * m:.0f} %" for m in model.masses)
        out.append(
            f"People differ in taste: {model.kind.types} types ({parts}) are needed beyond "
            "position, strengths and carelessness."
            + (
                " Their average is nearly flat, and DPO on the pooled labels is flat for that "
                "reason, not because nobody prefers anything."
                if flat and pooled is not None and np.ptp(pooled.rewards) < np.ptp(model.rewards)
                else ""
            )
        )
    else:
        out.append("No types with a taste of their own were found.")
    broken = sum(step.broken for step in found.steps)
    if broken:
        out.append(
            f"In {_number(broken, 'bootstrap sample')} an item never lost or never won; these "
            "samples are counted in the table, not averaged."
        )
    return out


def _how_slight(found: Diagnosis) -> str:
    """How large differences in reliability are beside types, if there are types."""
    ratios = {step.what: step.ratio for step in found.steps}
    if "types" not in found.needed:
        return ""
    model = found.model
    size = (
        f"as strengths they have a standard deviation of {model.sigma:.2f} in the logarithm"
        if model.kind.strengths
        else f"as answers by coin they are {100 * model.careless:.0f} % of the people"
    )
    return (
        f" Here they are fitted beside types: {size}, with a likelihood ratio of "
        f"{ratios['strengths or carelessness']:.1f} where that of types is {ratios['types']:.1f}."
    )


def power(data: Answers, results: Mapping[str, Mapping[str, Any]]) -> str:
    """How often the audit names what is planted in simulated sets nearest to these data.

    Args:
        data: Counts.
        results: By planted kind, shape and labels a person, as ``tools/kinds.py`` stores them.
    """
    if data.lists is None:
        number, shape, what = data.labels, "", "labels"
    else:
        who, _, votes, _ = replace(data.lists, dropped=False).pairs()
        kind = "ratings" if (votes == TIE).any() else "rankings"
        number, shape = len(who), f", {kind}"
        what = f"pairs from {kind} of five items"
    each, first = number / data.people, f"types{shape}, "
    at = [int(m) for key in results if (m := key.removeprefix(first)) != key and m.isdigit()]
    near = min(at, key=lambda m: abs(np.log(m / each)))
    shares = []
    for difference in ("position", "strengths", "carelessness", "types")[not data.ordered :]:
        found = results[f"{difference}{shape}, {near}"]
        right = found["named"][difference]
        if difference in ("strengths", "carelessness"):
            right += found["named"].get("reliability", 0)
        shares.append(f"{difference} in {100 * right / found['sets']:.0f} %")
    nothing = results[f"nothing{shape}, {near}"]
    wrong = 100 * (1 - nothing["named"]["nothing"] / nothing["sets"])
    return (
        f"For comparison: in simulated sets of 100 people with {near} {what} each (here "
        f"{data.people} with {each:.0f}), the planted difference was named: "
        f"{', '.join(shares)} (chapter 16; strengths and carelessness at least as one of the "
        f"two); with nothing planted something was named in {wrong:.1f} %. They were tested at "
        "level 0.05."
        + (
            " Here there are fewer than half as many people or labels, so that less would be "
            "found: a difference that was not found may be there."
            if min(data.people / 100, each / near) < 0.5
            else ""
        )
    )


def position_confounded(data: Answers) -> bool:
    """Whether rewards or covariates can give every first response the same advantage.

    Then an effect of position is not identified, however many labels there are.
    """
    one = np.ones((len(data.design), 1))
    rest = np.hstack([data.design, data.common.reshape(len(one), -1)])
    rank = np.linalg.matrix_rank
    return bool(rank(np.hstack([rest, one])) == rank(rest))


def _one_order(data: Answers) -> bool:
    """Whether no pair was shown in both orders."""
    shown = {tuple(row) for row in data.design[np.any(data.design != 0, axis=1)]}
    return not any(tuple(-x for x in row) in shown for row in shown)


def _shown_first(data: Answers) -> tuple[float, float]:
    """Of the pair farthest from balance: share with one of the two first, and labels."""
    total = np.asarray((data.first + data.second + data.tie).sum(axis=0)).ravel()
    shown: Counter[tuple[float, ...]] = Counter()
    for row, n in zip(data.design, total, strict=True):
        shown[tuple(row)] += n
    shares = [
        (n / (n + shown[tuple(-x for x in row)]), n + shown[tuple(-x for x in row)])
        for row, n in shown.items()
    ]
    return max(shares, key=lambda s: abs(s[0] - 0.5) * np.sqrt(s[1]))


def balanced(data: Answers) -> bool:
    """Whether no pair was shown in one order more often than three standard errors of chance."""
    worst, count = _shown_first(data)
    return bool(abs(worst - 0.5) < 3 * 0.5 / np.sqrt(count))


def balance(data: Answers, model: Fit) -> str:
    """Whether orders are balanced, and what the position effect would do if they were not."""
    rewards = model.masses @ model.rewards
    gaps = np.abs(np.diff(np.sort(rewards)))
    close = int((gaps < abs(model.position)).sum())
    more = (
        f" Were one response of a pair always shown second, it would need a lead of "
        f"{abs(model.position):.2f} to win half the votes: {close} of {len(gaps)} neighbours in "
        "the order are closer."
    )
    return (
        " Shown orders are balanced here, so that it shrinks margins and turns no pair." + more
        if balanced(data)
        else " Shown orders are not balanced here: pooled labels carry the effect." + more
    )


@dataclass(frozen=True)
class Followed:
    """What DPO on the pooled labels would follow.

    Attributes:
        items: Names of the comparable items, best first.
        rewards: DPO's induced rewards under a uniform sampling, in this order.
        change: Total variation by which sampling must move before the order turns; inf if never.
        turned: Names of the two that change places first, or None.
        missing: Pairs among these that nobody compared; their probability is the fit's.
    """

    items: tuple[str, ...]
    rewards: Array
    change: float
    turned: tuple[str, str] | None
    missing: int


def with_prior(labels: PeopleLabels, prior: float) -> Array:
    """Wins, and ``prior`` of them each way for every pair that met; shape (items, items).

    Symmetric by pair: a pair's odds do not move because of items that it did not meet, directly
    or through others.
    """
    wins = labels.wins()
    return wins + prior * (wins + wins.T > 0)


def followed(labels: PeopleLabels, prior: float = 0.0) -> Followed:
    """DPO's exact optimum on the comparable items, and how little turns its order.

    Args:
        labels: What was read.
        prior: Wins each way given beforehand to every pair that met.
    """
    some = labels.only(graph(with_prior(labels, prior)).comparable)
    wins = with_prior(some, prior)
    fitted = hetlib.bradley_terry(wins)
    n = wins + wins.T
    P = np.where(n > 0, wins / np.where(n > 0, n, 1), expit(fitted[:, None] - fitted[None, :]))
    np.fill_diagonal(P, 0.5)
    # Borda is DPO's order; a pair that somebody always won has no finite logit but a fine optimum
    r = hetlib.borda.optima.dpo_reward(P)
    order = np.argsort(-r)
    change = hetlib.ranking_change(P)
    off = np.triu(np.ones_like(n), 1) > 0
    return Followed(
        tuple(some.items[k] for k in order),
        r[order],
        np.inf if change is None else change.tv,
        None if change is None else (some.items[change.pair[0]], some.items[change.pair[1]]),
        int((n[off] == 0).sum()),
    )


def _largest_change(items: tuple[str, ...], average: Mapping[str, float]) -> float:
    """By how much the average prefers, at most, an item that DPO puts behind another."""
    worth = np.array([average[k] for k in items])
    return float(np.triu(worth[None, :] - worth[:, None]).max())


def what_follows(found: Followed, average: Mapping[str, float]) -> list[str]:
    """DPO's order beside that of the average over people, and how little turns it.

    Args:
        found: What DPO follows.
        average: Fitted average reward by item.
    """
    best = sorted(found.items, key=lambda k: -average[k])
    out = [
        "DPO's order: " + " > ".join(found.items[:40]) + ".",
        "The fitted average over people has the same order."
        if best == list(found.items)
        else "The fitted average over people has another order: "
        + " > ".join(best[:40])
        + f"; of two items that change places its rewards differ by at most "
        f"{_largest_change(found.items, average):.2f}.",
    ]
    if found.turned:
        out.append(
            f"If sampling moved by {found.change:.3f} in total variation from uniform, "
            f"{found.turned[1]} would overtake {found.turned[0]}."
        )
    else:
        out.append("No sampling turns DPO's order.")
    if found.missing:
        out.append(
            f"{_number(found.missing, 'pair')} never compared: the probability is the fit's."
        )
    return out


@dataclass(frozen=True)
class PairCertificate:
    """What is certain about one pair on average, with confidence.

    Attributes:
        first: Name.
        second: Name.
        labels: Labels of each person that were used, 1 or 2.
        people: People who gave so many.
        lower: Least average reward difference, first less second; NaN where no population with
            so small a bound answers like this.
        upper: Greatest.
    """

    first: str
    second: str
    labels: int
    people: int
    lower: float
    upper: float

    @property
    def certain(self) -> bool:
        """Whether the sign is certain."""
        return bool(self.lower > 0 or self.upper < 0)


def certain(
    labels: PeopleLabels, reward_bound: float, level: float = 0.95
) -> list[PairCertificate]:
    """Certificates for every pair, from one or two labels of each person, all together.

    Ties are left out here: the moments are of choices. Of a person's labels on a pair the
    first one or two are used. Where more labels a person narrow the interval, two are shown.

    Args:
        labels: What was read.
        reward_bound: B, the largest difference of rewards that a person may have.
        level: Confidence that all intervals hold.
    """
    checks.positive("reward_bound", reward_bound)
    told = by_person_and_pair(labels)
    out = []
    for (a, b), people in sorted(told.items()):
        clear = [[x for x in votes if x != 0.5] for votes in people.values()]
        best: PairCertificate | None = None
        for m in (1, 2):
            used = [votes[:m] for votes in clear if len(votes) >= m]
            if not used:
                continue
            counts = np.bincount([int(sum(votes)) for votes in used], minlength=m + 1)
            try:
                found = bounds_from_counts(counts, reward_bound, level, 2 * len(told))
                low, high = found.lower, found.upper
            except ValueError:  # refuted
                low = high = np.nan
            new = PairCertificate(labels.items[a], labels.items[b], m, len(used), low, high)
            if best is None or new.upper - new.lower < best.upper - best.lower:
                best = new
        if best is not None:
            out.append(best)
    return out


def method(found: Diagnosis, labels: PeopleLabels, data: Answers | None = None) -> str:
    """Which methods of chapter 14 the data allow, and which of them there is a reason for.

    Args:
        found: What differs.
        labels: What was read.
        data: The counts; with them shown orders are part of the reason.
    """
    each = np.bincount(labels.who, minlength=len(labels.annotators))
    linked = any(len(v) > 1 for p in by_person_and_pair(labels).values() for v in p.values())
    named = bool(labels.types) and len(set(labels.types)) > 1
    can = ["DPO"]
    if linked:
        can.append("first-order correction (a person's labels on the same pair)")
    if np.median(each) >= 2:
        can.append("EM over latent types (several labels a person)")
    if named:
        can.append("consistent losses by named type, where types label the same pairs")
    if "types" not in found.needed:
        why = (
            f"{_number(len(labels.annotators), 'person')} with half of them {np.median(each):.0f} "
            "labels or more show no types, so that tastes give no reason to leave DPO's order"
            if len(labels.annotators) >= 30
            else f"no types were found, but among {_number(len(labels.annotators), 'person')} "
            "they would hardly be seen: this is a reason neither to leave DPO nor to keep it"
        )
        pulled = {"position", "position by person"} & set(found.needed)
        if pulled and data is not None and _is_table(data) and not balanced(data):
            why += "; position does, as shown orders are not balanced: show both, or take it out"
    elif named:
        why = "types are there and named, so that their labels should be used"
    elif np.median(each) >= 10:
        why = "types are there and each person gave many labels: EM over latent types"
    else:
        why = "types are there; with few labels a person prefer the correction to EM"
    return f"These data allow {'; '.join(can)}. What the tests say: {why}."


def _digits(number: float, digits: int) -> str:
    """A number with so many significant digits."""
    return f"{float(f'{number:.{digits}g}'):,.0f}"


def collect(labels: PeopleLabels, found: Diagnosis, level: float = 0.95) -> list[str]:
    """What to collect next, in numbers."""
    out = []
    met = graph(labels.wins())
    if len(met.groups) > 1:
        a, b = met.groups[0][0], met.groups[1][0]
        out.append(
            f"Compare {labels.items[b]} with {labels.items[a]}, or others of their groups: "
            "without one such comparison their rewards have no common scale."
        )
    for k in met.never_lost[:3]:
        out.append(
            f"{labels.items[k]} never lost: until it does, its reward is infinite; pair it with "
            "the best of the others."
        )
    told = by_person_and_pair(labels)
    z = norm.ppf((1 + level) / 2)
    order = followed(labels).items
    for one, other in pairwise(order[:3]):
        pair = sorted((labels.items.index(one), labels.items.index(other)))
        votes = [x for v in told.get((pair[0], pair[1]), {}).values() for x in v]
        share = float(np.mean(votes)) if votes else 0.5
        margin = abs(float(logit(np.clip(share, 0.01, 0.99))))
        if not votes:
            out.append(f"Nobody compared {one} with {other}, neighbours at the top of the order.")
            continue
        need = (z / max(margin, 0.05)) ** 2 / max(share * (1 - share), 0.01)
        if need > len(votes):
            sign = 1 if labels.items.index(one) == pair[0] else -1
            of_one = 0.5 + sign * (share - 0.5)
            many = f"About {_digits(need, 1)}"
            if margin < 0.05:
                many = f"More than {int(need // 1000) * 1000:,}"
            out.append(
                f"{one} and {other} are close: of {len(votes)} labels {100 * of_one:.0f} % are for "
                f"{one}. {many} would tell which of the two most people choose, if these shares "
                "are those of all people."
            )
    linked = {
        pair: [v for v in people.values() if len(v) >= 2 and 0.5 not in v[:2]]
        for pair, people in told.items()
    }
    most = max(linked, key=lambda pair: len(linked[pair]))
    counts = np.bincount([int(sum(v[:2])) for v in linked[most]], minlength=3)[:3]
    one_name, other_name = (labels.items[k] for k in most)
    if counts.sum() < 2:
        out.append(
            "No two people labelled the same pair twice without a tie. Ask 100 people twice "
            "about one close pair: the variance of their choice probabilities is then known to "
            "about ± 0.05 (95 %)."
        )
    else:
        moments = pair_moments(counts)
        half = z * moments.variance_error
        wanted = max(moments.variance / 2, 0.05)
        need = moments.people * (half / wanted) ** 2
        out.append(
            f"On {one_name} and {other_name}, {moments.people:.0f} people answered twice: "
            f"variance of the choice probability {moments.variance:.3f} ± {half:.3f} "
            f"({100 * level:.0f} %"
            + ("; an estimate without bias may be negative)." if moments.variance < 0 else ").")
            + (
                f" About {_digits(need, 2)} people would make that ± {wanted:.2f}."
                if need > moments.people
                else " That is enough to say that it is above zero."
                if moments.variance > half
                else f" That is enough to say that it is at most about "
                f"{max(moments.variance, 0) + half:.2f}."
            )
        )
    each = np.bincount(labels.who)
    if "reliability" in found.needed:
        out.append(
            f"To tell strengths from carelessness, ask some people more than the present "
            f"{np.median(each):.0f} labels each; four times as many is a first step."
        )
    pairs = set(zip(labels.first.tolist(), labels.second.tolist(), strict=True))
    one_way = sum((b, a) not in pairs for a, b in pairs)
    if labels.ordered and one_way:
        out.append(
            f"Shown in one order only: {_number(one_way, 'pair')}. Show both, or position and "
            "reward are told apart by the model alone."
        )
    if len(labels.annotators) < 30:
        out.append("Fewer than 30 people: types and carelessness are hardly to be seen.")
    return out
