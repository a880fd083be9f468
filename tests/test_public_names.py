# mypy: disable-error-code="arg-type, dict-item, list-item"
"""Every public name with degenerate input: a right answer or a refusal that names the argument.

A name that is new needs nothing if its parameters have the names used elsewhere (:data:`VALUES`);
else it needs an entry here, and until it has one the first test fails.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import math
import numbers
import signal
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hetlib import Population
from hetlib.consistent.label_counts import Quota
from hetlib.core.labels import Comparisons, Linked
from hetlib.linked.bounds import CertifiedRanking, Witness
from hetlib.linked.corrected import Correction
from hetlib.linked.joint import Answers, joint_certificates
from hetlib.linked.moments import exact_moments
from hetlib.llm.analysis.limits import LengthFunction
from hetlib.mixture import AnswerLaw, Rankings, design, em_dpo
from hetlib.ring.environment import RingEnvironment
from hetlib.ring.fits import unanimous_counts, win_counts, win_counts_by_type

ROOT = Path(__file__).parent.parent
TYPES = Population([[1.0, 0.0, 2.0], [0.0, 2.0, 1.0]], [0.25, 0.75])
P3 = TYPES.pairwise()
WINS = np.array([[0, 3, 1], [2, 0, 4], [5, 1, 0.5]])
MANY = Comparisons(
    np.tile([0, 1, 2], 4), np.tile([1, 2, 0], 4), np.arange(24).reshape(12, 2) * 5 % 7 % 2
)
PAIRS = Linked(MANY.y1.reshape(6, 2), MANY.y2.reshape(6, 2), MANY.votes[:6])
RING = RingEnvironment(n=6, shifts=(-1, 1), scales=(2.0, 1.0), rates=(0.3, 0.2))
SHOWN = RING.sample(50, np.random.default_rng(0), labels=2)
FULL = RING.sample_types(50, np.random.default_rng(0))
H3 = torch.tensor([0.5, -1.0, 0.0], dtype=torch.float64)
LENGTHS = [[20, 90], [90, 20], [40, 300], [300, 90], [90, 300], [20, 40], [40, 20]]
JOINT = joint_certificates([Answers(((0, 1),), [0.4, 0.6], [0.4, 0.6])], 2.0, tolerance=0.1)


class Fresh:
    """A generator that is new for each call."""


#: Calls of each name; the same ones in every run.
EXAMPLES = 25

#: A sensible value of each parameter, by its name.
VALUES: dict[str, Any] = {
    "pairwise": P3, "sampling": [0.2, 0.3, 0.5], "reference": [0.5, 0.25, 0.25], "beta": 0.5,
    "wins": WINS, "reward": [1.0, 0.0, 0.5], "policy": [0.2, 0.3, 0.5], "p": [0.2, 0.3, 0.5],
    "q": [0.25, 0.25, 0.5], "values": [1.0, 3.0, 2.0], "tolerance": 1e-9, "support": 1e-3,
    "margin": 1e-3, "slack": 0.0, "i": 1, "j": 0, "top": True, "rewards": TYPES.rewards,
    "weights": [0.25, 0.75], "masses": [0.25, 0.75], "temperature": 0.5, "link": "probit",
    "population": TYPES, "size": 20, "rng": Fresh, "labels": 2, "people": 5, "seed": 3,
    "responses": 3, "types": 2, "prior": 0.5, "moments": exact_moments(TYPES), "alpha": 0.5,
    "correction": Correction(0.5, choice_variance=0.02 * (1 - np.eye(3))), "ridge": 0.2,
    "reward_bound": 2.0, "level": 0.9, "pairs": 2, "scores": [3.0, 1.0, 2.0], "eps": 1e-6,
    "difference": [0.5, -2.0], "h": H3, "preferred": torch.tensor([1, 0, 1]), "unanimous": WINS,
    "votes": torch.tensor([[1, 1], [0, 1], [0, 0]]), "reduction": "mean", "steps": 3,
    "environment": RING, "repeats": 2, "method": "dpo", "annotations": MANY, "starts": 2,
    "max_steps": 400, "max_rounds": 400, "z": [0.2, 0.6], "lengths": LENGTHS, "limit": 400,
    "smoothness": 0.1, "kind": "anonymous", "buckets": 3, "edges": [1.0, 50.0, 400.0],
    "data": MANY, "pool": True, "matrix": np.array([[1, 2], [3, 4]]), "prime": 2**31 - 1,
    "one": [0, 0, 1], "other": [1, 1, 0], "errors": [0.1, 0.2], "shares": [[1.0, 2, 3], [3, 2, 1]],
    "flips": 0.1, "begin": TYPES.rewards, "floor": 1e-3,
    "tokens": [20, 300], "keys": list("abcdefg"), "presentation": 1, "draws": 20,
}  # fmt: skip
#: What a call takes where the value of the name is another, by dotted name.
CALLS: dict[str, dict[str, Any]] = {
    "borda.counts.same_order": {"a": [1.0, 2.0], "b": [3.0, 3.5]},
    "borda.sensitivity.distances": {"pairwise": [P3, [[0.5, 0.7], [0.3, 0.5]]]},
    "borda.sensitivity.pair_change": {"i": 2, "j": 0},
    "borda.sensitivity.linear_programme": {"i": 2, "j": 0},
    "core.labels.Comparisons": {
        "y1": [0, 1], "y2": [1, 2], "votes": [[0, 1], [2, -1]], "types": np.array([0, 1]),
    },
    "core.labels.TypeLabels": {"y1": [0, 1], "y2": [1, 2], "votes": [[0, 1], [2, -1]]},
    "core.labels.Comparisons.wins": {"self": MANY},
    "core.labels.TypeLabels.wins": {"self": MANY},
    "core.labels.Linked": {"y1": [[0, 1]], "y2": [[1, 2]], "votes": [[0, 1]]},
    "core.labels.Linked.of": {"data": MANY},
    "core.labels.Linked.check": {"self": PAIRS},
    "core.population.Population.choice": {"self": TYPES},
    "core.population.Population.answer": {
        "self": TYPES, "types": [0, 1, 1], "y1": [0, 1, 2], "y2": [1, 2, 0],
    },
    "linked.bounds.average_reward_bounds": {"moments": [0.6, 0.4]},
    "linked.bounds.certified_ranking": {"moments": P3},
    "linked.bounds.tighten": {"upper": [[0, 1, 2], [1, 0, 1], [2, 1, 0]]},
    "linked.bounds.confidence_box": {"counts": [4, 3, 9]},
    "linked.bounds.bounds_from_counts": {"counts": [4, 3, 9]},
    "linked.bounds.read_counts": {"source": [["a", "b", 3, 4], ["b", "c", 5, 2, 1]]},
    "linked.bounds.certified_from_table": {"table": {(0, 1): np.array([40.0, 9.0])}},
    "linked.bounds.next_label": {"counts": [4, 3, 9]},
    "linked.joint.Answers": {"questions": ((0, 1),), "low": [0.4, 0.6], "high": [0.4, 0.6]},
    "linked.joint.Answers.expected": {"questions": ((0, 1), (1, 2))},
    "linked.joint.Answers.counted": {
        "questions": ((0, 1), (0, 1)), "counts": [4, 3, 9],
    },
    "linked.joint.outcomes": {"questions": ((0, 1), (0, 1, 2))},
    "linked.joint.JointCertificates.width": {"self": JOINT},
    "linked.joint.JointCertificates.shortfall": {
        "self": JOINT, "pair": (0, 1), "rewards": [[1.0, 0.0], [0.0, 0.5]],
    },
    "linked.joint.joint_certificates": {
        "data": [Answers(((0, 1),), [0.4, 0.6], [0.4, 0.6])], "responses": 2, "pairs": [(0, 1)],
        "tolerance": 0.1,
    },
    "linked.joint.intervals_of_designs": {
        "designs": {"once": [[(0, 1)]]}, "people": 50, "pair": (0, 1), "tolerance": 0.1,
    },
    "linked.bounds.CertifiedRanking.verdict": {
        "self": CertifiedRanking(-np.ones((3, 3)), np.ones((3, 3))),
    },
    "linked.bounds.Witness.moments": {"self": Witness(np.array([1.0, 2.0]), np.array([0.5, 0.5]))},
    "linked.corrected.Correction": {
        "variance": None, "choice_variance": [[0, 0.1], [0.1, 0]], "clamp": 0.1,
    },
    "linked.corrected.Correction.likelihood": {"self": VALUES["correction"], "H": np.zeros((3, 3))},
    "linked.corrected.Correction.loss": {"self": VALUES["correction"]},
    "linked.corrected.corrected_reward": {"start": [0.0, 0.1, -0.1]},
    "linked.corrected.corrected_optima": {
        "starts": [[0.0, 0.1, -0.1]], "random_starts": 1, "spread": 0.5,
    },
    "linked.corrected.detached_reward": {"choice_variance": 0.02 * (1 - np.eye(3))},
    "linked.estimators.tabular_cross_covariance": {"data": PAIRS},
    "linked.estimators.triangle_variance": {"covariance": np.zeros((3,) * 4), "asked": None},
    "linked.estimators.neural_moments": {
        "features": np.eye(3), "hidden": 2, "learning_rate": 0.01, "batch": 8,
    },
    "linked.moments.variance_from_moments": {
        "J1": np.array([0.375]), "J2": np.array([0.125]), "margin": np.array([1.0]),
    },
    "linked.moments.JointMoments": {"J1": np.full((3, 3), 0.3), "J2": np.full((3, 3), 0.2),
                                    "linked": None},
    "linked.moments.JointMoments.variance": {"self": exact_moments(TYPES)},
    "linked.moments.moments_from_counts": {"both": WINS, "mixed": WINS + WINS.T},
    "mixture.em.responsibilities": {"log_probability": [[-1.0, -2.0], [-3.0, -1.0]]},
    "mixture.em.require_rise": {"before": 1.0, "after": 2.0},
    "mixture.em.match_types": {"found": TYPES.rewards, "true": TYPES.rewards[::-1]},
    "mixture.em.LatentTypes.score": {"self": em_dpo(MANY, 3, 2, starts=1)},
    "mixture.identification.design": {"tasks": 2, "length": 2, "repeat": True},
    "mixture.identification.AnswerLaw": {"questionnaires": [((0, 1), (1, 2))]},
    "mixture.identification.annotators_needed": {"error": 0.05},
    "mixture.identification.likelihood_ratio_errors": {"annotators": 5},
    "mixture.rankings.Rankings": {"orders": [[[0, 1, -1]], [[2, 0, 1]]], "types": None,
                                  "weights": [[0.5], [1.0]]},
    "mixture.rankings.Rankings.of": {},
    "mixture.rankings.Rankings.take": {"self": Rankings([[[0, 1]], [[1, 0]]]), "which": [1]},
    "mixture.rankings.sample_rankings": {"annotators": 4, "tasks": 2, "length": 3},
    "mixture.regret.regret_table": {"policies": [[0.2, 0.3, 0.5]], "penalty": True},
    "mixture.regret.min_max_regret": {
        "policies": [[0.2, 0.3, 0.5], [0.5, 0.3, 0.2]], "penalty": True,
    },
    "mixture.selection.select_types": {"candidates": [1, 2], "by": "held-out", "folds": 2},
    "consistent.expected.patterns": {},
    "consistent.expected.chances": {},
    "consistent.expected.probabilities": {"votes": None},
    "consistent.losses.corrected": {
        "variance": torch.tensor([0.1, 0.2, 0.0], dtype=torch.float64), "clamp": 0.1,
    },
    "consistent.losses.agreement": {"as_released": True},
    "consistent.losses.conditional": {
        "counts": torch.tensor([[1, 0], [2, 1], [0, 0]]), "labels": [2, 1], "weights": [1, 2],
    },
    "consistent.label_counts.quota": {"labels": [2, 1], "weights": [1, 2]},
    "consistent.label_counts.Quota": {"labels": [2, 1], "weights": [1, 2]},
    "consistent.label_counts.Quota.probabilities": {"self": Quota([2, 1])},
    "consistent.label_counts.Quota.information": {"self": Quota([2, 1])},
    "consistent.label_counts.Quota.information_bound": {"self": Quota([2, 1])},
    "consistent.label_counts.Quota.silent_rank": {"self": Quota([2, 1])},
    "ring.curves.labels_per_comparison": {},
    "ring.environment.RingEnvironment": {
        "n": 4, "shifts": (0,), "scales": (1.5,), "rates": (0.2,), "decay": "exponential",
        "weights": None, "noise": 0.1,
    },
    "ring.environment.RingEnvironment.population": {"self": RING, "x": 2},
    "ring.fits.win_counts": {"data": SHOWN},
    "ring.fits.win_counts_by_type": {"data": SHOWN},
    "ring.fits.unanimous_counts": {"data": FULL},
    "ring.fits.linked_moments": {"data": SHOWN},
    "ring.fits.fit_dpo_tables": {"wins": win_counts(SHOWN, True)},
    "ring.fits.fit_ipo": {"wins": win_counts(SHOWN, True)},
    "ring.fits.fit_corrected": {"wins": win_counts(SHOWN, True), "moments": RING.moments()},
    "ring.fits.fit_agreement": {"unanimous": unanimous_counts(FULL, True)[0]},
    "ring.fits.fit_shifted_agreement": dict(
        zip(("second", "first"), unanimous_counts(FULL, True), strict=True)
    ),
    "ring.fits.fit_integral": {"unanimous": unanimous_counts(FULL, True)[0]},
    "ring.fits.fit_personalised": {"wins_by_type": win_counts_by_type(SHOWN, 2, True)},
    "ring.fits.counted_borda": {"wins": 1 + win_counts(SHOWN, True)},
    "ring.fits.distances": {"policy": np.full((2, 6), 1 / 6)},
    "ring.environment.by_offset": {"table": [[1.0, 2], [2, 3]]},
    "ring.curves.at_beta": {"policy": [0.2, 0.3, 0.5]},
    "ring.curves.fit_by_prompt": {"comparisons": 30},
    "ring.curves.stress_tests": {"points": 3},
    "ring.curves.fit_many": {"method": "corrected 0.5"},
    "ring.curves.mean_distance": {"method": "integral"},
    "ring.curves.learning_curves": {
        "sizes": [20], "methods": ["ipo"], "reference": [0.1, 0.1, 0.2, 0.2, 0.2, 0.2],
    },
    "surveys.questions.luce_shepard_rewards": {},
    "surveys.questions.pairwise": {"shares": [[0.2, 0.3, 0.5], [0.5, 0.4, 0.1]]},
    "surveys.questions.question": {
        "name": "q", "options": ["a", "b"], "types": ["t", "u"], "weights": [[1.0, 2], [2, 1]],
        "counts": [[3, 4], [5, 6]], "squares": [[1.0, 2], [2, 1]], "text": "",
    },
    "surveys.own.read_question": {"options": ["a", "b", "c"], "types": ["t", "u"]},
    "surveys.files.number": {"text": "3.5"},
    "llm.analysis.audit.audit": {},
    "llm.analysis.evaluation.agreement_by_bucket": {
        "margins": [1.0, -1, 2], "truth": [1.0, 1, 0], "values": [5.0, 60, 90],
    },
    "llm.analysis.evaluation.calibration": {
        "margins": [1.0, -1, 2], "preferred": [1.0, 0, 0.5], "bins": 2,
    },
    "llm.analysis.evaluation.margin_curve": {"margins": [1.0, -1, 2], "lengths": LENGTHS[:3]},
    "llm.analysis.limits.fit_lengths": {"preferred": [0.3, 0.2, 0.7, 0.4, 0.5, 0.9, 0.2]},
    "llm.analysis.limits.rule": {"name": "shorter"},
    "llm.analysis.limits.LengthFunction.margins": {
        "self": LengthFunction(np.array([20.0, 90.0]), np.array([-1.0, 1.0]), np.zeros(2, int)),
    },
    "llm.data.agreement.agreement_rate": {"margins": [1.0, -1, 2], "truth": [1.0, 1, 0]},
    "llm.data.agreement.wilson": {"successes": 3.5, "trials": 9},
    "llm.data.agreement.agreement": {
        "margins": [1.0, -1, 2], "truth": [1.0, 1, 0], "groups": ["a", "b", "a"],
    },
    "llm.data.labels.draw_labels": {"chance": [0.5] * 7},
    "llm.data.synthetic.text_lengths": {"uniform": [0.2, 0.9]},
    "llm.data.synthetic.dialogues": {
        "predictability": 0.5, "vocabulary": 20, "prompt_share": 0.5, "anchored": True, "added": 2,
    },
    "llm.data.synthetic.entropy": {"predictability": 0.5, "vocabulary": 20},
}  # fmt: skip
for name in ("sample", "sample_wins", "sample_types", "sample_linked", "optimal_policy"):
    CALLS[f"core.population.Population.{name}"] = {"self": TYPES}
for name in ("borda", "optimum", "sample", "sample_types"):
    CALLS[f"ring.environment.RingEnvironment.{name}"] = {"self": RING, "sampling": None}
for name in ("draw_wins", "draw_linked", "draw_unanimous", "draw_wins_by_type", "exact_distance",
             "fit_many", "mean_distance"):  # fmt: skip
    CALLS.setdefault(f"ring.curves.{name}", {}).setdefault(
        "sampling", [0.1, 0.2, 0.3, 0.2, 0.1, 0.1]
    )
_LAW = AnswerLaw(design(3, 1), 3)
for name in ("probabilities", "jacobian", "rank"):
    CALLS[f"mixture.identification.AnswerLaw.{name}"] = {"self": _LAW}
_QUESTION = importlib.import_module("hetlib.surveys.questions").question(
    **CALLS["surveys.questions.question"]
)
MORE: dict[str, dict[str, Any]] = {
    "rewards": {}, "population": {}, "select": {"types": ["u"]},
    "smooth": {"pseudo": 0.5}, "resample": {},
}  # fmt: skip
for name, more in MORE.items():
    CALLS[f"surveys.questions.Question.{name}"] = {"self": _QUESTION, **more}

#: Names that are left out, or whole modules, each with the reason.
_REASONS = {
    "imports": "extras", "reads our own code": "provenance", "files: test_store.py": "store",
    "the checks themselves: core/test_checks.py": "checks llm.data.lengths.check_lengths",
    "figures and texts: book/test_text.py, test_sliders.py, test_claims.py": "book",
    "worlds and fits of a grid, by name: comparison/": "comparison",
    "models, tokens and runs by settings, which are checked: llm/test_settings.py": "llm",
    "networks: ring/test_fits.py": "ring.network ring.training linked.estimators.descend",
    "files: ring/, surveys/test_faults.py":
        "ring.runs surveys.files surveys.pew surveys.reading surveys.synthetic",
    "no input": "surveys.tables", "text": "surveys.questions.same surveys.questions.distinct_names",
    "tables of labels and models of them: people/, core/test_tables.py": "people core.tables",
    "functions and whole numbers of our own": "core.link core.modular",
    "minimises a function that callers make: core/test_newton.py": "core.newton",
    "a loss for core.newton, or takes one":
        "borda.optima.ipo_loss borda.optima.dpo_loss linked.corrected.Correction.weighted "
        "consistent.expected.agreement_loss consistent.expected.shifted_agreement_loss "
        "consistent.expected.integral_loss consistent.expected.expected_loss "
        "consistent.expected.covariance consistent.direct consistent.label_counts.Quota.loss "
        "consistent.label_counts.Quota.joint",
    "an inner step, of checked arguments":
        "core.labels.draw core.labels.draw_counts linked.moment_problem "
        "linked.corrected.Correction.term linked.bounds.witness_of linked.bounds.mirror "
        "consistent.expected.tail_integral consistent.losses.tail_integral "
        "mixture.rankings.Choices mixture.identification.solve_law",
}  # fmt: skip
ELSEWHERE = {name for names in _REASONS.values() for name in names.split()}
#: Of modules left out, names that take numbers and are tried all the same.
TRIED = (
    "surveys.files.number",
    "llm.analysis.audit.audit", "llm.analysis.evaluation", "llm.analysis.limits",
    "llm.analysis.monotone.best_falling", "llm.data.agreement", "llm.data.labels",
    "llm.data.lengths", "llm.data.synthetic",
)  # fmt: skip
#: Records that the library makes and nobody else: their fields are results.
RESULTS = {
    "RankingChange", "Certificate", "JointWitness", "JointCertificates",
    "Witness", "Bounds", "CertifiedRanking", "Optimum", "LatentTypes",
    "MinMaxRegret", "Fit", "RingComparisons", "Answers", "Question", "Calibration", "Curve",
    "LengthFunction", "FallingRule", "Agreement",
}  # fmt: skip
#: NaN says something in these results, as their docstrings tell.
NAN = {
    "borda.sensitivity.smallest_changes", "ring.curves.exact_distance",
    "ring.curves.mean_distance", "ring.curves.fit_by_prompt", "llm.analysis.limits.label_right",
}  # fmt: skip


def under(name: str, listed: Any) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:k]) in listed for k in range(1, len(parts) + 1))


def public() -> Iterator[str]:
    """Dotted names below hetlib of all functions, classes, and methods that take something."""
    for path in sorted((ROOT / "hetlib").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT / "hetlib").with_suffix("").parts)
        body = ast.parse(path.read_text("utf-8")).body
        classes = {node.name: node for node in body if isinstance(node, ast.ClassDef)}
        for node in body:
            if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
                continue
            if isinstance(node, ast.FunctionDef):
                if node.args.args or node.args.kwonlyargs:
                    yield f"{module}.{node.name}"
                continue
            bases = {ast.unparse(base) for base in node.bases}
            if node.name not in RESULTS and not bases & {"RuntimeError", "Protocol", "NamedTuple"}:
                yield f"{module}.{node.name}"
            inherited = [line for base in bases & set(classes) for line in classes[base].body]
            for inner in [*node.body, *inherited]:
                if not isinstance(inner, ast.FunctionDef) or inner.name.startswith("_"):
                    continue
                if len(inner.args.args) + len(inner.args.kwonlyargs) > 1:
                    yield f"{module}.{node.name}.{inner.name}"


NAMES = [
    name
    for name in public()
    if (under(name, TRIED) and name not in ELSEWHERE) or not under(name, ELSEWHERE)
]


def find(name: str) -> Callable[..., Any]:
    parts = name.split(".")
    for k in range(len(parts) - 1, 0, -1):
        try:
            found: Any = importlib.import_module(".".join(["hetlib", *parts[:k]]))
        except ModuleNotFoundError:
            continue
        for part in parts[k:]:
            found = getattr(found, part)
        return found
    raise AssertionError(name)


def arguments(name: str) -> dict[str, Any]:
    """A sensible call, by parameter; KeyError names a parameter without a value."""
    given = CALLS.get(name, {})
    out = {}
    for parameter in inspect.signature(find(name)).parameters.values():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        if parameter.name in given:
            out[parameter.name] = given[parameter.name]
        elif parameter.name == "self" and parameter.default is parameter.empty:
            raise KeyError("self")
        else:
            out[parameter.name] = VALUES[parameter.name]
    return out


def test_every_public_name_has_a_call() -> None:
    missing = []
    for name in NAMES:
        try:
            arguments(name)
        except KeyError as error:
            missing.append(f"{name}: no value for {error.args[0]!r}")
    assert not missing, "enter these in CALLS, VALUES, or ELSEWHERE with a reason: " + str(missing)


def call(name: str, given: dict[str, Any]) -> Any:
    made = {k: np.random.default_rng(0) if v is Fresh else v for k, v in given.items()}
    return find(name)(**made)


# ---- degenerate calls ----

NUMBERS: list[Any] = [
    math.nan, math.inf, -math.inf, 0, -1, 1, 0.5, -0.0, 2.5, 1e308, -1e308, 5e-324, 1e-300, 1e-9,
    1 - 1e-16, 1e17, 800.0, 10**400, None, "x", 1j,
]  # fmt: skip
FLOATS = st.one_of(st.sampled_from(NUMBERS), st.floats())
WHOLE = st.sampled_from([0, -1, 1, 2, 2.5, math.nan, math.inf, -math.inf, 1e308, None, "x", 1j])


@st.composite
def spoilt(draw: st.DrawFn, value: Any) -> Any:
    """Another value in its place: a strange number, or an array that is strange somewhere."""
    if value is Fresh or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return draw(st.sampled_from(["", "x", value + " "]))
    if isinstance(value, numbers.Integral):
        return draw(WHOLE)
    if isinstance(value, numbers.Real):
        return draw(FLOATS)
    if isinstance(value, Population):
        return draw(st.sampled_from(STRANGE))
    if isinstance(value, torch.Tensor):
        odd = draw(st.sampled_from(["entry", "empty", "axis", "none"]))
        if odd == "entry":
            out = value.double().clone()
            out.view(-1)[draw(st.integers(0, out.numel() - 1))] = draw(st.floats())
            return out
        return {"empty": value[:0], "axis": value[None], "none": None}[odd]
    if isinstance(value, np.ndarray | list | tuple) and not holds_words(value):
        if not is_rectangular(value):
            k = draw(st.integers(0, len(value) - 1))
            return [*value[:k], draw(spoilt(value[k])), *value[k + 1 :]]
        array = np.array(value, dtype=object)
        odd = draw(
            st.sampled_from(["entry"] * 6 + ["all", "scale", "empty", "axis", "less", "odd"])
        )
        if odd == "entry" and array.size:
            array.reshape(-1)[draw(st.integers(0, array.size - 1))] = draw(FLOATS)
            return array.tolist()
        if odd == "all":
            return np.full(array.shape, draw(st.sampled_from([0.0, 1.0, math.nan, 1e308, 5e-324])))
        if odd == "scale":
            with np.errstate(over="ignore"):
                return array.astype(float) * draw(st.sampled_from([1e-300, 1e300, -1.0, 1e17]))
        if odd == "odd":
            return draw(st.sampled_from([None, 5, "x", [[1], [1, 2]], []]))
        return {"empty": array[:0], "axis": array[None], "less": array[:-1]}.get(
            odd, array
        ).tolist()
    return value


def is_rectangular(value: Any) -> bool:
    try:
        np.array(value, dtype=float)
    except (TypeError, ValueError):
        return False
    return True


def holds_words(value: Any) -> bool:
    return any(isinstance(entry, str) for entry in value) or any(
        isinstance(entry, tuple) for entry in value
    )


STRANGE = [
    Population([[1e308, -1e308, 0.0], [0.0, 5e-324, 1.0]], [0.5, 0.5]),
    Population([[0.0, 0.0, 0.0]]),
    Population([[1.0, 0.0, 2.0], [2.0, 0.0, 1.0]], [1.0, 0.0], temperature=5e-324),
    Population([[1.0, 0.0, 2.0]], link="cauchit", temperature=1e308),
    Population([[0.0]]),
    TYPES,
]


@st.composite
def degenerate(draw: st.DrawFn, name: str) -> dict[str, Any]:
    given = arguments(name)
    for parameter in draw(
        st.lists(st.sampled_from(sorted(given)), min_size=1, max_size=2, unique=True)
    ):
        if parameter != "self":
            given[parameter] = draw(spoilt(given[parameter]))
    return given


def holes(result: Any) -> bool:
    """Whether a result holds NaN anywhere."""
    if isinstance(result, torch.Tensor):
        return bool(torch.isnan(result).any())
    if isinstance(result, np.ndarray | np.generic | float | complex):
        return bool(np.isnan(result).any()) if np.asarray(result).dtype.kind in "fc" else False
    if isinstance(result, dict):
        return any(map(holes, result.values()))
    if isinstance(result, list | tuple):
        return any(map(holes, result))
    if dataclasses.is_dataclass(result):
        return any(holes(getattr(result, f.name)) for f in dataclasses.fields(result))
    return False


class Endless(BaseException):
    """The call does not come back."""


def late(*_: object) -> None:
    raise Endless


def judge(name: str, given: dict[str, Any]) -> str | None:
    """What is wrong with the outcome of a call; None if it is right."""
    function = find(name)
    owner = find(name.rpartition(".")[0]) if name.split(".")[-2][:1].isupper() else None
    about = f"{function.__doc__} {getattr(owner, '__doc__', '')}"
    signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, 5)  # of the processor's time
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings(
                "default" if "Warns:" in about else "error", category=UserWarning
            )
            result = call(name, given)
    except ValueError as error:
        named = any(parameter in str(error) for parameter in arguments(name))
        return None if named else f"names no argument: {error}"
    except Endless:
        return "it does not come back"
    except Exception as error:
        documented = type(error).__name__ in about and isinstance(
            error, RuntimeError | ArithmeticError
        )
        return None if documented else f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return "it answers NaN" if holes(result) and name not in NAN else None


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_degenerate_calls_are_right_or_refused(name: str) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(degenerate(name))
    def check(given: dict[str, Any]) -> None:
        assert judge(name, given) is None

    assert name in NAN or not holes(call(name, arguments(name))), "the sensible call is wrong"
    check()
