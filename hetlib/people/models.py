"""What differs between people: one likelihood for taste, position, strength and carelessness.

logit Pr(first chosen) = s_u · x'θ_k + z'γ + b_u, where x is the difference of the two items (or
of their features), θ_k the rewards of the person's type, s_u how strongly the person feels, z
the difference of covariates such as length, and b_u the effect of being shown first, of all or
of the person. A careless person answers by coin. People's classes are not known: the likelihood
of a person is a mixture, as in ``hetlib.mixture``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.special import expit, log_expit

from hetlib import checks
from hetlib.checks import Array
from hetlib.core.labels import TIE, Indices
from hetlib.mixture.em import responsibilities
from hetlib.people.tables import PeopleLabels, graph

#: How a tie is treated, as half a win each, or by the model of Davidson or of Rao and Kupper.
TIE_MODELS = ("half", "davidson", "rao-kupper")


@dataclass(frozen=True)
class Kind:
    """Which differences a model has.

    Attributes:
        position: Whether being shown first has an effect.
        strengths: Whether people feel more or less strongly.
        careless: Whether a share of them answers by coin.
        types: Number of types.
        by_person: Whether the effect of position differs between people.
        proportional: Whether types differ in strength only, by a factor each.

    Raises:
        ValueError: no types, or positions by person without a position.
    """

    position: bool = False
    strengths: bool = False
    careless: bool = False
    types: int = 1
    by_person: bool = False
    proportional: bool = False

    def __post_init__(self) -> None:
        """Check the arguments."""
        if checks.whole("types", self.types) < 1:
            raise ValueError(f"types is {self.types}; at least 1 is needed")
        if self.by_person and not self.position:
            raise ValueError("by_person is True; position must be, too")

    def __str__(self) -> str:
        taste = "one taste" if self.types == 1 else f"{self.types} tastes"
        if self.proportional:
            taste = f"one taste, {self.types} strengths"
        position = "position by person" if self.by_person else "position"
        parts = [(position, self.position), ("strengths", self.strengths)]
        parts.append(("carelessness", self.careless))
        return " + ".join([taste, *(name for name, there in parts if there)])


#: The nested models, each with one difference more than the one before.
LADDER = (
    Kind(),
    Kind(position=True),
    Kind(position=True, strengths=True),
    Kind(position=True, strengths=True, careless=True),
    Kind(position=True, strengths=True, careless=True, types=2),
)


@dataclass(frozen=True)
class Lists:
    """Rankings or ratings as wholes, filled up to one length.

    Attributes:
        who: Person of each list, shape (lists,).
        items: Its items, -1 beyond its end, shape (lists, longest).
        place: Place of each item, equal where they tie, same shape.
        weight: Of the list, shape (lists,).
        dropped: Whether its ties are left out.
    """

    who: Indices
    items: Indices
    place: Indices
    weight: Array
    dropped: bool = False

    def pairs(self) -> tuple[Indices, Indices, Indices, Array]:
        """All pairs: person, two items in order, vote and weight of each; (pairs,), (pairs, 2), ….

        The m(m - 1)/2 pairs of a list of m items depend on each other. Each gets weight
        3/(m + 1), with which their score has the variance that the same weight of independent
        labels would give it, if the ranking is random: the rank of an item has variance
        (m² - 1)/12, as in Friedman's test, where m - 1 coins have (m - 1)/4.
        """
        one, other = np.triu_indices(self.items.shape[1], 1)
        a, b = self.items[:, one], self.items[:, other]
        ahead = np.sign(self.place[:, other] - self.place[:, one]) * np.where(a < b, 1, -1)
        vote = np.where(ahead == 0, TIE, (ahead < 0).astype(np.int64))
        there = (a >= 0) & (b >= 0) & ~((vote == TIE) & self.dropped)
        each = self.weight * 3 / ((self.items >= 0).sum(axis=1) + 1)
        who, weight = (np.broadcast_to(x[:, None], a.shape)[there] for x in (self.who, each))
        both = np.stack([np.minimum(a, b)[there], np.maximum(a, b)[there]], axis=1)
        return who, both, vote[there], weight

    def ranked_by(self, worth: Array, rng: np.random.Generator) -> Lists:
        """Other lists of the same items, with the same places given: Plackett and Luce's law.

        Args:
            worth: Of each item to the person, shape (lists, longest).
            rng: Source of randomness.
        """
        there = self.items >= 0
        drawn = np.where(there, worth + rng.gumbel(size=worth.shape), -np.inf)
        rank = np.argsort(np.argsort(-drawn, axis=1), axis=1)
        far = np.iinfo(self.place.dtype).max
        places = np.sort(np.where(there, self.place, far), axis=1)
        return replace(self, place=np.take_along_axis(places, rank, axis=1))

    def take(self, people: Indices, number: int) -> Lists:
        """The lists of some of ``number`` people, in their order."""
        if len(set(people.tolist())) < len(people):
            raise ValueError("people holds somebody twice")
        new = np.full(number, -1)
        new[people] = np.arange(len(people))
        keep = new[self.who] >= 0
        some = {name: getattr(self, name)[keep] for name in ("items", "place", "weight")}
        return replace(self, who=new[self.who[keep]], **some)


def lists_of(labels: PeopleLabels) -> Lists:
    """The rankings or ratings from which pairs were read.

    Args:
        labels: Read from a table of rankings or ratings.

    Raises:
        ValueError: labels of comparisons.
    """
    if labels.ordered:
        raise ValueError("labels are comparisons; rankings or ratings are needed")
    keys = np.stack([labels.who, labels.prompt, labels.occasion], axis=1)
    kind, row = np.unique(keys, axis=0, return_inverse=True)
    row, n = row.reshape(-1), len(labels.items)
    won = (labels.votes == 0).astype(int) - (labels.votes == 1)
    entry = np.concatenate([row * n + labels.first, row * n + labels.second])
    cell, at = np.unique(entry, return_inverse=True)
    lead = np.bincount(at.reshape(-1), np.concatenate([won, -won]))  # equal exactly in ties
    owner = cell // n
    start = np.searchsorted(owner, np.arange(len(kind)))
    column = np.arange(len(cell)) - start[owner]
    items = np.full((len(kind), int(column.max()) + 1), -1)
    place = np.zeros_like(items)
    items[owner, column], place[owner, column] = cell % n, -lead
    weight = np.bincount(row, labels.weight) / np.bincount(row)
    dropped = not (labels.votes == TIE).any()
    return Lists(kind[:, 0], items, place, weight, dropped)


@dataclass(frozen=True)
class Answers:
    """Labels as counts by person and shown pair, in the form that the likelihood needs.

    Attributes:
        design: Difference of features, first less second, shape (shown pairs, features).
        first: How often each person chose the first, sparse, shape (people, shown pairs).
        second: Likewise the second.
        tie: Likewise neither.
        items: Names of the features: of the items, if rewards are a table.
        ties: How ties are treated.
        ordered: Whether the order of a pair is the order shown.
        left_out: Why items, if any, are not estimated.
        common: Differences of covariates, whose effects all people share, shape (shown pairs,
            covariates).
        covariates: Their names.
        prior: Wins each way that every pair of items that met is given beforehand.
        lists: The rankings or ratings that the pairs are from, if they are.
    """

    design: Array
    first: csr_matrix
    second: csr_matrix
    tie: csr_matrix
    items: tuple[str, ...]
    ties: str = "half"
    ordered: bool = True
    left_out: tuple[str, ...] = ()
    common: Array = field(default_factory=lambda: np.zeros((0, 0)))
    covariates: tuple[str, ...] = ()
    prior: float = 0.0
    lists: Lists | None = None

    @property
    def people(self) -> int:
        """Number of people."""
        return int(self.first.shape[0])

    @property
    def labels(self) -> float:
        """Number of labels."""
        return float(self.first.sum() + self.second.sum() + self.tie.sum())

    @cached_property
    def met(self) -> Array:
        """Rows of the design, one of each pair in two orders."""
        seen = {tuple(row) for row in self.design if tuple(row) > tuple(-row)}
        seen |= {tuple(-row) for row in self.design if tuple(row) < tuple(-row)}
        return np.array(sorted(seen)).reshape(-1, self.design.shape[1])

    @cached_property
    def nodes(self) -> tuple[Array, Array]:
        """Points and weights for a standard normal, closer where people gave more labels.

        A person's labels fix the logarithm of a strength to about 2 / sqrt(labels); points further
        apart than that would look like types.
        """
        each = np.asarray((self.first + self.second + self.tie).sum(axis=1))
        step = np.clip(4.5 / np.sqrt(max(np.quantile(each, 0.9), 1.0)), 0.25, 0.75)
        z = step * np.arange(-np.ceil(3.5 / step), np.ceil(3.5 / step) + 1)
        weight = np.exp(-(z**2) / 2)
        return z, weight / weight.sum()

    def take(self, people: ArrayLike) -> Answers:
        """Some of the people."""
        index = np.arange(self.people)[np.asarray(people)]
        lists = None if self.lists is None else self.lists.take(index, self.people)
        first, second, tie = (m[index] for m in (self.first, self.second, self.tie))
        return replace(self, first=first, second=second, tie=tie, lists=lists)


def answers(
    labels: PeopleLabels,
    ties: str = "half",
    features: ArrayLike | None = None,
    *,
    covariates: ArrayLike | None = None,
    names: Sequence[str] = (),
    prior: float = 0.0,
) -> Answers:
    """Count labels by person and shown pair.

    Rewards are a table by item, of the items that are comparable without a prior (the others
    are named in ``left_out``); or linear in features of the two responses of each row, for
    data in which every pair is new.

    Args:
        labels: What was read.
        ties: One of :data:`TIE_MODELS`.
        features: Difference of the features of the first and the second response in each row,
            shape (rows, features); None for a table of rewards.
        covariates: Differences of what has the same effect on everybody, such as length, beside
            the rewards; shape (rows, covariates).
        names: Names of the features, or of the covariates.
        prior: Wins, each way, that every pair of items that met is given beforehand: symmetric
            by pair, so that other items do not move a pair that does not meet them.

    Raises:
        ValueError: an unknown treatment of ties; features or covariates of another shape, or
            all zero; a negative prior; or no two items that each lost to the other, directly
            or through others.
    """
    if not 0 <= prior < np.inf:
        raise ValueError(f"prior is {prior}; a number of wins, 0 or more, is needed")
    if ties not in TIE_MODELS:
        raise ValueError(f"ties is {ties!r}; it must be one of {', '.join(TIE_MODELS)}")
    left_out: tuple[str, ...] = ()

    def differences(name: str, values: ArrayLike) -> Array:
        table = checks.array(name, values, 2)
        if len(table) != len(labels):
            raise ValueError(f"{name} has {len(table)} rows; there are {len(labels)} labels")
        if (table == 0).all(axis=0).any():
            k = int((table == 0).all(axis=0).argmax())
            raise ValueError(f"{name}[:, {k}] is 0 in all rows: both responses are always equal")
        return table

    common = np.zeros((len(labels), 0))
    if covariates is not None:
        common = differences("covariates", covariates)
    called = tuple(names) or tuple(
        f"feature {k}" for k in range(np.shape(common if features is None else features)[1])
    )
    if features is None:
        wins = labels.wins()
        met = graph(wins + prior * (wins + wins.T > 0))
        left_out = tuple(met.sentences(labels.items))
        if not met.comparable:
            raise ValueError(
                "no two items are comparable: " + ("; ".join(left_out) or "nobody met anybody")
            )
        keep = np.isin(labels.first, met.comparable) & np.isin(labels.second, met.comparable)
        labels, common = labels.only(met.comparable), common[keep]
        n = len(labels.items)
        if not labels.ordered:
            return from_lists(
                lists_of(labels), len(labels.annotators), labels.items, ties, left_out, prior
            )
        table = np.column_stack([labels.first, labels.second, common])
        pair, row = np.unique(table, axis=0, return_inverse=True)
        unit, index = np.eye(n), pair[:, :2].astype(int)
        design, items = unit[index[:, 0]] - unit[index[:, 1]], labels.items
        common = pair[:, 2:]
    else:
        design, row = np.unique(differences("features", features), axis=0, return_inverse=True)
        items, common, prior = called, np.zeros((len(design), 0)), 0.0
    shape = (len(labels.annotators), len(design))

    def count(vote: int) -> csr_matrix:
        rows = labels.votes == vote
        entry = (labels.weight[rows], (labels.who[rows], row.reshape(-1)[rows]))
        return csr_matrix(entry, shape)

    return Answers(
        design,
        count(0),
        count(1),
        count(TIE),
        items,
        ties,
        labels.ordered,
        left_out,
        common,
        called if common.shape[1] else (),
        prior,
    )


def from_lists(
    lists: Lists,
    people: int,
    items: tuple[str, ...],
    ties: str = "half",
    left_out: tuple[str, ...] = (),
    prior: float = 0.0,
) -> Answers:
    """Answers that are all pairs of rankings or ratings, with these kept beside them.

    Args:
        lists: Rankings or ratings.
        people: Number of people.
        items: Names of the items.
        ties: As for :func:`answers`.
        left_out: Likewise.
        prior: Likewise.
    """
    _, every, _, _ = replace(lists, dropped=False).pairs()
    pair = np.unique(every, axis=0)
    unit = np.eye(len(items))
    empty = csr_matrix((people, len(pair)))
    data = Answers(
        unit[pair[:, 0]] - unit[pair[:, 1]],
        first=empty,
        second=empty,
        tie=empty,
        items=items,
        ties=ties,
        ordered=False,
        left_out=left_out,
        common=np.zeros((len(pair), 0)),
        prior=prior,
        lists=lists,
    )
    return _recounted(data, lists)


def _recounted(data: Answers, lists: Lists) -> Answers:
    """The same questions with other rankings or ratings."""
    n = len(data.items)
    known = data.design.argmax(axis=1) * n + data.design.argmin(axis=1)  # ascending
    who, both, vote, weight = lists.pairs()
    column = np.searchsorted(known, both[:, 0] * n + both[:, 1])

    def count(k: int) -> csr_matrix:
        rows = vote == k
        return csr_matrix((weight[rows], (who[rows], column[rows])), data.first.shape)

    return replace(data, first=count(0), second=count(1), tie=count(TIE), lists=lists)


def _outcomes(eta: Array, tie: float, ties: str) -> tuple[Array, Array]:
    """Log-probabilities of first, second and tie, and their slopes in eta; (3, ...) each.

    ``tie`` is the logarithm of Davidson's nu, or of Rao and Kupper's threshold.
    """
    if ties == "half":
        up = log_expit(eta)
        p, logs = np.exp(up), np.stack([up, up - eta, up - eta / 2])
        return logs, np.stack([1 - p, -p, 0.5 - p])
    if ties == "davidson":
        table = np.stack([eta / 2, -eta / 2, np.full_like(eta, tie)])
        logs = table - np.logaddexp(np.logaddexp(table[0], table[1]), table[2])
        p = np.exp(logs)
        mean = (p[0] - p[1]) / 2
        return logs, np.stack([0.5 - mean, -0.5 - mean, -mean])
    t = np.exp(tie)
    up, down = expit(eta - t), expit(-eta - t)
    # both ways: 1 - up - down = up · down · (exp(2t) - 1)
    logs = np.stack([log_expit(eta - t), log_expit(-eta - t)])
    logs = np.concatenate([logs, (logs.sum(axis=0) + np.log(np.expm1(2 * t)))[None]])
    return logs, np.stack([1 - up, down - 1, down - up])


def _tie_slopes(eta: Array, tie: float, ties: str) -> Array:
    """Slopes of the three log-probabilities in the parameter of ties, by central differences."""
    step = 1e-5
    high, low = (_outcomes(eta, tie + d, ties)[0] for d in (step, -step))
    return np.asarray((high - low) / (2 * step))


@dataclass(frozen=True)
class Fit:
    """A fitted model.

    Attributes:
        kind: Its differences.
        rewards: Rewards, or weights of the features, by type; (types, items).
        masses: Masses of the types among those who are not careless, shape (types,).
        position: Effect of being shown first, in log odds.
        spread: Standard deviation over people of the effect of position.
        sigma: Standard deviation of the logarithm of the strengths; their median is 1.
        careless: Share of people who answer by coin.
        tie: Parameter of the model of ties.
        effects: Of the covariates, shape (covariates,).
        log_likelihood: Of all people, without the penalty.
        items: Names.
        objective: Penalised log-likelihood, which is what nested models are compared by.
    """

    kind: Kind
    rewards: Array
    masses: Array
    position: float
    spread: float
    sigma: float
    careless: float
    tie: float
    effects: Array
    log_likelihood: float
    items: tuple[str, ...]
    objective: float
    _theta: Array = field(repr=False)

    @property
    def mean_strength(self) -> float:
        """Mean over people of what multiplies the rewards, the careless counted as zero."""
        return float((1 - self.careless) * np.exp(self.sigma**2 / 2))

    @property
    def average_reward(self) -> Array:
        """The paper's average over people, with types by mass, strengths, the careless as zero."""
        return np.asarray(self.mean_strength * (self.masses @ self.rewards))


#: Points for the positions of people.
_PLACES, _PLACE_WEIGHTS = np.polynomial.hermite_e.hermegauss(7)
_PLACE_WEIGHTS = _PLACE_WEIGHTS / _PLACE_WEIGHTS.sum()


def _layout(kind: Kind, data: Answers) -> dict[str, slice]:
    """Where each parameter stands in theta."""
    K, F = kind.types, data.design.shape[1]
    sizes = {
        "r": F if kind.proportional else K * F,
        "factor": (K - 1) * kind.proportional,
        "effects": data.common.shape[1],
        "b": int(kind.position),
        "spread": int(kind.by_person),
        "sigma": int(kind.strengths),
        "c": int(kind.careless),
        "tie": int(data.ties != "half"),
        "mass": K - 1,
    }
    ends = np.cumsum(list(sizes.values())).tolist()
    return {name: slice(end - n, end) for (name, n), end in zip(sizes.items(), ends, strict=True)}


def _unpack(theta: Array, kind: Kind, data: Answers) -> dict[str, Any]:
    at = _layout(kind, data)
    out: dict[str, Any] = {name: theta[place] for name, place in at.items()}
    out["r"] = out["r"].reshape(-1, data.design.shape[1])
    if kind.proportional:
        out["base"], out["factor"] = out["r"][0], np.exp(np.append(0.0, out["factor"]))
        out["r"] = out["factor"][:, None] * out["base"]
    for name, default in (("b", 0.0), ("spread", 0.0), ("sigma", 0.0), ("c", -np.inf), ("tie", 0)):
        out[name] = float(out[name][0]) if len(out[name]) else default
    out["mass"] = np.append(out["mass"], 0.0)
    return out


def _masses(p: dict[str, Any]) -> Array:
    mass = np.exp(p["mass"] - p["mass"].max())
    return np.asarray(mass / mass.sum())


def _classes(p: dict[str, Any], kind: Kind, data: Answers) -> tuple[Array, Array, Array]:
    """Points of strength and of position, and masses: types by these, then the careless."""
    z, weight = data.nodes if kind.strengths else (np.zeros(1), np.ones(1))
    y, other = (_PLACES, _PLACE_WEIGHTS) if kind.by_person else (np.zeros(1), np.ones(1))
    share = float(expit(p["c"]))
    table = (1 - share) * np.einsum("k,s,b->ksb", _masses(p), weight, other).ravel()
    return z, y, np.append(table, share) if kind.careless else table


#: Counts of first, second and tie, as (outcome, table, its transpose); empty ones left out.
_Tables = list[tuple[int, Any, Any]]


def _tables(data: Answers) -> _Tables:
    """The counts as the likelihood multiplies by them: plain arrays unless they are large."""
    out: _Tables = []
    for k, m in enumerate((data.first, data.second, data.tie)):
        if m.nnz:
            table = m.toarray() if m.shape[0] * m.shape[1] <= 1_000_000 else m
            out.append((k, table, table.T if isinstance(table, np.ndarray) else m.T.tocsr()))
    return out


def _margins(p: dict[str, Any], data: Answers, kind: Kind, z: Array, y: Array) -> Array:
    """Log odds by class and shown pair."""
    margin = p["r"] @ data.design.T
    place = p["b"] + p["spread"] * y
    eta = np.exp(p["sigma"] * z)[:, None, None] * margin[:, None, None, :] + place[:, None]
    eta = eta.reshape(-1, len(data.design))
    if data.common.shape[1]:
        eta = eta + data.common @ p["effects"]
    return np.vstack([eta, np.zeros(eta.shape[1])]) if kind.careless else eta


def _log_probability(
    p: dict[str, Any], data: Answers, kind: Kind, tables: _Tables | None = None
) -> tuple[Array, Array, Array, Array]:
    """Of each person's answers by class; with masses, log odds and outcomes' slopes by class."""
    z, y, masses = _classes(p, kind, data)
    eta = _margins(p, data, kind, z, y)
    logs, slopes = _outcomes(eta, p["tie"], data.ties)
    out = np.zeros((data.people, len(eta)))
    for k, table, _ in _tables(data) if tables is None else tables:
        out += table @ logs[k].T
    return out, masses, eta, slopes


def _objective(
    theta: Array, data: Answers, kind: Kind, ridge: float, tables: _Tables | None = None
) -> tuple[float, Array]:
    """Minus the penalised log-likelihood and its gradient, which the E-step gives."""
    tables = _tables(data) if tables is None else tables
    K, at = kind.types, _layout(kind, data)
    p = _unpack(theta, kind, data)
    z, y, _ = _classes(p, kind, data)
    table, masses, eta, slopes = _log_probability(p, data, kind, tables)
    with np.errstate(divide="ignore"):  # the E-step, as in mixture.responsibilities
        table = table + np.log(masses)
    top = table.max(axis=1, keepdims=True)
    share = np.exp(table - top)
    total = share.sum(axis=1, keepdims=True)
    share /= total
    made = [(k, np.asarray((back @ share).T)) for k, _, back in tables]
    d_eta = np.asarray(sum(n * slopes[k] for k, n in made))
    sure = d_eta[: K * len(z) * len(y)].reshape(K, len(z), len(y), -1)
    strength = np.exp(p["sigma"] * z)
    by_strength = sure.sum(axis=2)
    slope = np.einsum("ksp,s->kp", by_strength, strength) @ data.design - ridge * p["r"]
    value = float((np.log(total) + top).sum()) - ridge / 2 * float((p["r"] ** 2).sum())
    if data.prior:
        lead = p["r"] @ data.met.T
        each = data.prior / K  # so that equal types have the prior of one
        value += each * float((log_expit(lead) + log_expit(-lead)).sum())
        slope += each * (1 - 2 * expit(lead)) @ data.met
    grad = np.zeros(len(theta))
    if kind.proportional:
        grad[at["r"]] = p["factor"] @ slope
        grad[at["factor"]] = (slope * p["r"]).sum(axis=1)[1:]
    else:
        grad[at["r"]] = slope.ravel()
    if data.common.shape[1]:
        grad[at["effects"]] = sure.sum(axis=(0, 1, 2)) @ data.common
    if kind.position:
        grad[at["b"]] = sure.sum()
    if kind.by_person:
        grad[at["spread"]] = sure.sum(axis=(0, 1, 3)) @ y
    if kind.strengths:
        margin = p["r"] @ data.design.T
        per_node = (by_strength * margin[:, None, :]).sum(axis=(0, 2))
        grad[at["sigma"]] = per_node @ (strength * z)
    mass = share.sum(axis=0)
    if kind.careless:
        c = expit(p["c"])
        grad[at["c"]] = mass[-1] * (1 - c) - mass[:-1].sum() * c
    if data.ties != "half":
        d = _tie_slopes(eta, p["tie"], data.ties)
        grad[at["tie"]] = sum(float((n * d[k]).sum()) for k, n in made)
    if K > 1:
        by_type = mass[: K * len(z) * len(y)].reshape(K, -1).sum(axis=1)
        grad[at["mass"]] = (by_type - by_type.sum() * _masses(p))[:-1]
    return -value, -grad


def fit(
    data: Answers,
    kind: Kind = LADDER[0],
    *,
    start: Fit | None = None,
    ridge: float = 1e-2,
    starts: int = 2,
    seed: int = 0,
) -> Fit:
    """Maximise the likelihood of the people, by quasi-Newton with the E-step's gradient.

    Args:
        data: Counts.
        kind: Which differences the model has.
        start: A fit of a simpler model to start from; made here if None.
        ridge: Weight of the squared rewards, so that an optimum exists.
        starts: Further starts for models with several types, from random tastes.
        seed: Seed of these.

    Raises:
        ValueError: a position effect is asked of data without an order.
    """
    if kind.position and not data.ordered:
        raise ValueError("the data do not say which response was shown first; position=False")
    F, K, at = data.design.shape[1], kind.types, _layout(kind, data)
    rng = np.random.default_rng(seed)
    if start is None and kind != Kind():
        start = fit(data, Kind(), ridge=ridge)
    even = np.full(K, 1 / K)
    # Strengths can pass for carelessness and back: both likelihoods have several optima.
    noise = [(0.5, 0.05), (0.1, 0.3)] if kind.strengths and kind.careless else [(0.5, 0.1)]
    own = []
    if start is not None:
        own = [(max(start.sigma, 1e-3), float(np.clip(start.careless, 1e-3, 0.9)))]
    firsts: list[tuple[Array, Array, tuple[float, float]]] = []
    if start is not None and start.kind == kind:
        firsts = [(start.rewards, start.masses, own[0])]
    elif K == 1 or kind.proportional:
        table = np.zeros((1, F)) if start is None else start.rewards[:1]
        firsts = [(table, even, n) for n in noise + own]
    elif not (kind.strengths or kind.careless):
        base = fit(data, Kind(), ridge=ridge).rewards[0]
        size = max(1.0, float(base.std()))
        firsts = [(base + _split(data, base, K), even, noise[0])]
        for _ in range(max(starts, 1) - 1):
            firsts.append((base + size * rng.standard_normal((K, F)), even, noise[0]))
    else:  # tastes first: noise must not hide one of them
        plain = fit(data, Kind(kind.position, types=K), ridge=ridge, starts=starts, seed=seed)
        firsts = [(plain.rewards, plain.masses, n) for n in (own + noise)[:2]]
        if start is not None and len(start.rewards) == K:
            firsts.append((start.rewards, start.masses, own[0]))
        elif start is not None:
            one = start.rewards[0]
            firsts.append((one + _split(data, one, K), even, own[0]))
    found, tables = [], _tables(data)
    limits = {"b": (-10, 10), "spread": (0, 5), "sigma": (0, 3), "c": (-12, 6), "tie": (-8, 4)}
    limits |= {"factor": (-4, 4), "mass": (-8, 8)}
    bounds: list[tuple[float | None, float | None]] = [(None, None)] * at["mass"].stop
    for name, (low, high) in limits.items():
        bounds[at[name]] = [(low, high)] * (at[name].stop - at[name].start)
    for table, mass, (sigma, share) in firsts:
        theta = np.zeros(at["mass"].stop)
        theta[at["r"]] = table[0] if kind.proportional else table.ravel()
        if kind.proportional:
            theta[at["factor"]] = np.linspace(0, -1.5, K)[1:]
        theta[at["spread"]], theta[at["sigma"]] = 0.3, sigma
        theta[at["c"]], theta[at["tie"]] = np.log(share / (1 - share)), -1.0
        theta[at["mass"]] = np.log(mass[:-1] / mass[-1])
        if start is not None:
            theta[at["b"]], theta[at["tie"]] = start.position, start.tie
            theta[at["effects"]] = start.effects
            if start.kind.by_person:
                theta[at["spread"]] = max(start.spread, 1e-2)
            if start.kind == kind:
                theta = start._theta.copy()
        found.append(
            minimize(
                _objective,
                theta,
                args=(data, kind, ridge, tables),
                jac=True,
                method="L-BFGS-B",
                bounds=bounds,
                options={"maxiter": 500, "ftol": 1e-10, "gtol": 1e-6 * max(1.0, data.labels)},
            )
        )
    best = min(found, key=lambda f: f.fun)
    return _fit_of(best.x, float(-best.fun), data, kind, ridge)


def _fit_of(theta: Array, objective: float, data: Answers, kind: Kind, ridge: float) -> Fit:
    p = _unpack(theta, kind, data)
    mass = _masses(p)
    order = np.argsort(-mass, kind="stable")
    rewards = p["r"][order]
    total = objective + ridge / 2 * float((p["r"] ** 2).sum())
    if data.prior:
        lead = p["r"] @ data.met.T
        total -= data.prior / kind.types * float((log_expit(lead) + log_expit(-lead)).sum())
    return Fit(
        kind,
        rewards - rewards.mean(axis=1, keepdims=True) if _is_table(data) else rewards,
        mass[order],
        p["b"],
        p["spread"],
        p["sigma"],
        float(expit(p["c"])),
        p["tie"],
        p["effects"],
        float(total),
        data.items,
        objective,
        theta,
    )


def _is_table(data: Answers) -> bool:
    return bool((data.design.sum(axis=1) == 0).all())


def _split(data: Answers, reward: Array, types: int) -> Array:
    """Directions in which people differ most: scores of the one-taste model, split by sign."""
    p = expit(data.design @ reward)
    n = np.asarray((data.first + data.second + data.tie).todense())
    score = (np.asarray((data.first + data.tie / 2).todense()) - n * p) @ data.design
    score -= score.mean(axis=0)
    _, _, axes = np.linalg.svd(score, full_matrices=False)
    out = np.zeros((types, len(reward)))
    for k in range(types):
        out[k] = axes[(k // 2) % len(axes)] * (1 if k % 2 == 0 else -1)
    return out * max(1.0, float(np.abs(reward).max()))


def score(model: Fit, data: Answers) -> float:
    """Log-likelihood a person of other people, for instance held out."""
    p = _unpack(model._theta, model.kind, data)
    table, masses, *_ = _log_probability(p, data, model.kind)
    return float(responsibilities(table, masses)[1].mean())


def posterior(model: Fit, data: Answers) -> tuple[Array, Array]:
    """Of each person: probability of each type, in the order of the fit, and of answering by coin.

    Returns:
        Shapes (people, types), given that the person is not careless, and (people,).
    """
    p = _unpack(model._theta, model.kind, data)
    table, masses, *_ = _log_probability(p, data, model.kind)
    share, _ = responsibilities(table, masses)
    coin = share[:, -1] if model.kind.careless else np.zeros(len(share))
    sure = share[:, :-1] if model.kind.careless else share
    by_type = sure.reshape(len(share), model.kind.types, -1).sum(axis=2)
    by_type = by_type[:, np.argsort(-p["mass"], kind="stable")]
    return by_type / np.maximum(by_type.sum(axis=1, keepdims=True), 1e-300), coin


def simulate(model: Fit, data: Answers, rng: np.random.Generator) -> Answers:
    """Other people with the same questions, who answer as the model says.

    Strengths and positions are drawn from their laws, not from the points of the fit.

    With ties as half wins, ties come at their overall rate, as far as the margin allows.
    Rankings and ratings are drawn as wholes, by Plackett and Luce's law with the person's
    rewards, with as many items at each place as there were.
    """
    kind = model.kind
    p = _unpack(model._theta, kind, data)
    strength = np.exp(p["sigma"] * rng.standard_normal(data.people))
    place = p["b"] + p["spread"] * rng.standard_normal(data.people)
    taste = rng.choice(kind.types, size=data.people, p=_masses(p))
    sure = rng.random(data.people) >= expit(p["c"])
    if data.lists is not None:
        who, items = data.lists.who, data.lists.items
        worth = (strength * sure)[who][:, None] * p["r"][taste[who][:, None], items]
        return _recounted(data, data.lists.ranked_by(worth, rng))
    n = (data.first + data.second + data.tie).tocoo()
    margin = p["r"] @ data.design.T
    eta = strength[n.row] * margin[taste[n.row], n.col] + place[n.row]
    if data.common.shape[1]:
        eta = eta + (data.common @ p["effects"])[n.col]
    law = np.exp(_outcomes(np.where(sure[n.row], eta, 0.0), p["tie"], data.ties)[0])
    if data.ties == "half":
        tied = np.minimum(float(data.tie.sum() / data.labels), 2 * np.minimum(law[0], law[1]))
        law = np.stack([law[0] - tied / 2, law[1] - tied / 2, tied])
    each = np.clip(law.T, 0, None)
    drawn = rng.multinomial(
        np.rint(n.data).astype(np.int64), each / each.sum(axis=1, keepdims=True)
    )

    def table(k: int) -> csr_matrix:
        return csr_matrix((drawn[:, k].astype(float), (n.row, n.col)), data.first.shape)

    return replace(data, first=table(0), second=table(1), tie=table(2))


#: So many simulated ratios above the observed one end a test, which will not reject.
ENOUGH = 5


@dataclass(frozen=True)
class Step:
    """A test of one model within a larger one.

    Attributes:
        what: The difference tested.
        given: What the smaller model has.
        ratio: Twice the gain in penalised log-likelihood.
        p: p-value by parametric bootstrap.
        draws: Bootstrap samples that count.
        broken: Samples in which some item never lost or never won; they do not count.
    """

    what: str
    given: str
    ratio: float
    p: float
    draws: int
    broken: int


def _pooled_finite(data: Answers) -> bool:
    """Whether pooled counts of a table leave every reward finite."""
    if not _is_table(data) or not np.isin(data.design, (-1.0, 0.0, 1.0)).all():
        return True
    F = data.design.shape[1]
    a, b = data.design.argmax(axis=1), data.design.argmin(axis=1)
    tied = np.asarray(data.tie.sum(axis=0)).ravel() / 2
    w = np.zeros((F, F))
    np.add.at(w, (a, b), np.asarray(data.first.sum(axis=0)).ravel() + tied)
    np.add.at(w, (b, a), np.asarray(data.second.sum(axis=0)).ravel() + tied)
    w += data.prior * (w + w.T > 0)
    return len(graph(w).comparable) == F


def ratio_test(
    data: Answers,
    smaller: Kind,
    larger: Kind,
    *,
    what: str,
    draws: int = 99,
    seed: int = 0,
    ridge: float = 1e-2,
    fits: tuple[Fit, Fit] | None = None,
) -> Step:
    """Likelihood-ratio test of nested models, with its level by parametric bootstrap.

    People are simulated from the smaller model, and both models are fitted to them; the
    p-value is the rank of the observed ratio among the simulated ones.

    Args:
        data: Counts.
        smaller: The model under which data are simulated.
        larger: The model with one difference more.
        what: Name of that difference.
        draws: Bootstrap samples, at least 1.
        seed: Seed of the samples.
        ridge: As for :func:`fit`.
        fits: Both fits to the data, if they are there.

    Raises:
        ValueError: draws < 1.
    """
    if checks.whole("draws", draws) < 1:
        raise ValueError(f"draws is {draws}; at least 1 is needed")
    small, large = fits or pair_of_fits(data, smaller, larger, ridge)
    ratio = 2 * (large.objective - small.objective)
    rng = np.random.default_rng(seed)
    above, count, broken = 0, 0, 0
    for _ in range(draws):
        drawn = simulate(small, data, rng)
        if not _pooled_finite(drawn):
            broken += 1
            continue
        one, other = pair_of_fits(drawn, smaller, larger, ridge, start=small)
        above += 2 * (other.objective - one.objective) >= ratio - 1e-9
        count += 1
        if above == ENOUGH:  # Besag and Clifford: the p-value is exact all the same
            return Step(what, str(smaller), ratio, above / count, count, broken)
    return Step(what, str(smaller), ratio, (1 + above) / (1 + count), count, broken)


def pair_of_fits(
    data: Answers, smaller: Kind, larger: Kind, ridge: float = 1e-2, start: Fit | None = None
) -> tuple[Fit, Fit]:
    """Fits of two nested models, the larger started from the smaller."""
    one = fit(data, smaller, ridge=ridge, start=start)
    other = fit(data, larger, ridge=ridge, start=one)
    if other.objective < one.objective:  # the larger holds the smaller
        other = replace(other, objective=one.objective)
    return one, other


def held_out(data: Answers, kinds: Sequence[Kind] = LADDER, folds: int = 5, seed: int = 0) -> Array:
    """Log-likelihood a label of people left out of the fit, shape (kinds, folds).

    Raises:
        ValueError: folds that people do not fill.
    """
    if not 2 <= folds <= data.people:
        raise ValueError(f"folds is {folds}; from 2 to {data.people}, the number of people")
    part = np.random.default_rng(seed).permutation(data.people) % folds
    out = np.zeros((len(kinds), folds))
    for f in range(folds):
        train, test = data.take(part != f), data.take(part == f)
        before: Fit | None = None
        for k, kind in enumerate(kinds):
            before = fit(train, kind, start=before)
            out[k, f] = score(before, test) * test.people / test.labels
    return out


def position_interval(model: Fit, data: Answers, level: float = 0.95) -> tuple[float, float]:
    """Wald interval for the effect of position, from the curvature along its profile.

    Args:
        model: A fit with a position effect.
        data: What it was fitted to.
        level: Confidence.
    """
    from scipy.stats import norm

    at = _layout(model.kind, data)["b"].start
    H = _information(model, data)
    error = float(np.sqrt(np.linalg.pinv(H)[at, at]))
    z = norm.ppf((1 + level) / 2)
    return model.position - z * error, model.position + z * error


def careless_interval(model: Fit, data: Answers, level: float = 0.95) -> tuple[float, float]:
    """Wald interval for the share of people who answer by coin, on the log-odds scale.

    Args:
        model: A fit with carelessness.
        data: What it was fitted to.
        level: Confidence.
    """
    from scipy.stats import norm

    at = _layout(model.kind, data)["c"].start
    error = float(np.sqrt(np.linalg.pinv(_information(model, data))[at, at]))
    odds, z = float(model._theta[at]), norm.ppf((1 + level) / 2)
    return float(expit(odds - z * error)), float(expit(odds + z * error))


def _information(model: Fit, data: Answers, step: float = 1e-4) -> Array:
    """Observed information, by differences of the gradient."""
    theta, kind = model._theta, model.kind
    out = np.zeros((len(theta), len(theta)))
    for k in range(len(theta)):
        e = np.zeros(len(theta))
        e[k] = step
        high = _objective(theta + e, data, kind, 1e-2)[1]
        low = _objective(theta - e, data, kind, 1e-2)[1]
        out[k] = (high - low) / (2 * step)
    return (out + out.T) / 2


@dataclass(frozen=True)
class Diagnosis:
    """Which differences the data show.

    Attributes:
        steps: The tests, in the order in which they were made.
        model: The fit with what is needed and nothing else.
        fits: Fits of the ladder, by the name of the kind.
        needed: What :func:`named` says.
        level: Level of all tests together.
    """

    steps: tuple[Step, ...]
    model: Fit
    fits: dict[str, Fit]
    needed: tuple[str, ...]
    level: float


#: Differences that are tested, each at an equal part of the level.
DIFFERENCES = 5


def steps(
    types: int = 1, position: bool = True, by_person: bool = False, tried: int = 2
) -> list[tuple[str, Kind, Kind]]:
    """The tests of :func:`diagnose`: what is tested, the smaller model and the larger.

    Args:
        types: Types in the models in which strengths and carelessness are tested.
        position: Whether the order shown is known.
        by_person: Whether positions differ between people in the models of the later tests.
        tried: Types in the alternative to one taste.
    """
    noisy = Kind(position, True, True, 1, by_person)
    free, rich = replace(noisy, types=tried), replace(noisy, types=types)
    alone = Kind(position, True, True)
    return [
        *([("position", Kind(), Kind(True))] if position else []),
        *([("position by person", alone, replace(alone, by_person=True))] if position else []),
        ("types", noisy, free),
        ("not multiples", replace(free, proportional=True), free),
        ("strengths or carelessness", replace(rich, strengths=False, careless=False), rich),
        ("strengths", replace(rich, strengths=False), rich),
        ("carelessness", replace(rich, careless=False), rich),
    ]


def named(p: Mapping[str, float], level: float) -> tuple[str, ...]:
    """Differences that the tests name.

    Args:
        p: p-values by what was tested; a test that was not made found nothing.
        level: Of each test.

    Returns:
        Names among position, position by person, strengths, carelessness, reliability and
        types; ``reliability`` where strengths and carelessness cannot be told apart.
    """
    found = {what for what, value in p.items() if value <= level + 1e-12}
    out: list[str] = [what for what in ("position", "position by person") if what in found]
    if "strengths or carelessness" in found:
        out += [what for what in ("strengths", "carelessness") if what in found] or ["reliability"]
    if {"types", "not multiples"} <= found:
        out.append("types")
    return tuple(out)


def diagnose(
    data: Answers,
    *,
    draws: int = 99,
    level: float = 0.05,
    seed: int = 0,
    types: int = 2,
) -> Diagnosis:
    """Which of position, strengths, carelessness and types the data need.

    Position is tested in the model of one taste; whether it differs between people, and types,
    in the model that already has position, strengths and carelessness, so that none of these is
    taken for a taste. Types must also be more than strengths of another law: the model in which
    they are multiples of one taste must fail. Strengths and carelessness are tested together,
    then each given the other, in the model with as many types as were found: for types, too,
    make people look unequally reliable.

    Args:
        data: Counts.
        draws: Bootstrap samples of each test, at most; a test that will not reject ends early.
        level: Probability that anything is found where there is one taste and nothing else;
            each of the five differences is tested at a fifth of it.
        seed: Seed.
        types: Number of types in the alternative.

    Raises:
        ValueError: a level that so few draws cannot reach.
    """
    each = level / DIFFERENCES
    if not 0 < level < 1 or (draws + 1) * each < 1 - 1e-9:
        raise ValueError(
            f"{draws} draws cannot reach the level {level}; {DIFFERENCES / level - 1:.0f} can"
        )
    tests: list[Step] = []
    fits: dict[Kind, Fit] = {}

    def differ(what: str, smaller: Kind, larger: Kind) -> bool:
        for kind in (smaller, larger):
            if kind not in fits:
                fits[kind] = fit(data, kind, start=fits.get(smaller))
        one, other = fits[smaller], fits[larger]
        if other.objective < one.objective:
            other = max(other, fit(data, larger, start=one), key=lambda f: f.objective)
            other = replace(other, objective=max(one.objective, other.objective))
            fits[larger] = other  # the larger holds the smaller
        seed_here, pair = seed + len(tests), (one, other)
        tests.append(
            ratio_test(data, smaller, larger, what=what, draws=draws, seed=seed_here, fits=pair)
        )
        return tests[-1].p <= each + 1e-12

    P = data.ordered
    whole = {what: kinds for what, *kinds in steps(1, P, False, types)}
    if P:
        differ("position", *whole["position"])
    who = P and differ("position by person", *whole["position by person"])
    whole = {what: kinds for what, *kinds in steps(1, P, who, types)}
    many = types > 1 and differ("types", *whole["types"])
    many = many and differ("not multiples", *whole["not multiples"])
    whole = {what: kinds for what, *kinds in steps(types if many else 1, P, who, types)}
    if differ("strengths or carelessness", *whole["strengths or carelessness"]):
        differ("strengths", *whole["strengths"])
        differ("carelessness", *whole["carelessness"])
    needed = named({step.what: step.p for step in tests}, each)
    strong, coin = whole["carelessness"][0], whole["strengths"][0]
    strengths, careless = "strengths" in needed, "carelessness" in needed
    if "reliability" in needed:
        better = max((strong, coin), key=lambda kind: fits[kind].objective)
        strengths, careless = better.strengths, better.careless
    chosen = Kind(
        bool({"position", "position by person"} & set(needed)),
        strengths,
        careless,
        types if many else 1,
        who,
    )
    model = fits.get(chosen) or fit(data, chosen)
    by_name = {str(kind): found for kind, found in fits.items()}
    return Diagnosis(tuple(tests), model, by_name, needed, level)
