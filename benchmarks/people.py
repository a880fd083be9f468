"""Counting and fitting labels of known people, beside pandas and choix, in one run.

    python benchmarks/people.py [labels]

Ten million labels of 100,000 people over 50 items are written to a Parquet file of whole
numbers and counted in one pass: wins by pair, and pairs of labels by one person on one pair.
A plain pandas version groups the same rows. Then both ways fit rewards; and on four shapes of
data errors are compared of rewards, position, the share of careless people and types, where a
peer has such a thing. Peers that are not installed are named.
"""

from __future__ import annotations

import importlib.util
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import expit

import hetlib
from hetlib.people import models, stream
from hetlib.people.models import Kind

PEERS = ("pandas", "choix", "evalica", "crowdkit", "statsmodels")


def timed(job: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds and result."""
    start = time.perf_counter()
    result = job()
    return time.perf_counter() - start, result


def write(path: Path, labels: int, people: int, items: int) -> None:
    """Random labels as Parquet, a million at a time."""
    pa: Any = importlib.import_module("pyarrow")
    pq: Any = importlib.import_module("pyarrow.parquet")
    rng, reward = np.random.default_rng(0), np.linspace(1, -1, items)
    writer = None
    for done in range(0, labels, 1_000_000):
        n = min(1_000_000, labels - done)
        first = rng.integers(items, size=n)
        second = (first + rng.integers(1, items, size=n)) % items
        choice = (rng.random(n) > expit(reward[first] - reward[second])).astype(np.int8)
        part = {"annotator": rng.integers(people, size=n, dtype=np.int32), "choice": choice}
        part |= {"first": first.astype(np.int16), "second": second.astype(np.int16)}
        table = pa.table(part)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def plain_pandas(path: Path, items: int) -> tuple[np.ndarray, np.ndarray]:
    """The same sums by groupby: wins, and pairs of labels that agree."""
    pd: Any = importlib.import_module("pandas")
    t = pd.read_parquet(path)
    low, high = np.minimum(t["first"], t["second"]), np.maximum(t["first"], t["second"])
    up = ((t["first"] == low) == (t["choice"] == 0)).astype(int)
    cells = pd.DataFrame({"who": t["annotator"], "low": low, "high": high, "up": up})
    g = cells.groupby(["who", "low", "high"])["up"].agg(["sum", "count"]).reset_index()
    wins, both = np.zeros((items, items)), np.zeros((items, items))
    a, b = g["low"].to_numpy(), g["high"].to_numpy()
    k, n = g["sum"].to_numpy(), g["count"].to_numpy()
    np.add.at(wins, (a, b), k)
    np.add.at(wins, (b, a), n - k)
    np.add.at(both, (a, b), k * (k - 1) // 2)
    np.add.at(both, (b, a), (n - k) * (n - k - 1) // 2)
    return wins, both


REWARD = np.array([1.2, 0.5, 0.0, -0.4, -1.3])
SHOWN = np.array([(i, j) for i in range(5) for j in range(5) if i != j])


def shape_of(name: str, people: int = 200, labels: int = 40) -> tuple[models.Answers, np.ndarray]:
    """Answers of people who differ in one way, and their types."""
    rng = np.random.default_rng(1)
    pick = rng.integers(len(SHOWN), size=(people, labels))
    design = np.eye(5)[SHOWN[:, 0]] - np.eye(5)[SHOWN[:, 1]]
    s: np.ndarray = np.ones(people)
    b = 0.6 * (name == "position")
    sure, kind = np.ones(people), np.zeros(people, dtype=int)
    if name == "strengths":
        s = np.exp(0.7 * rng.standard_normal(people))
    if name == "carelessness":
        sure = (rng.random(people) > 0.25).astype(float)
    if name == "types":
        kind = rng.integers(2, size=people)
        s = 1.0 - 2 * kind
    won = rng.random(pick.shape) < expit((s * sure)[:, None] * (design @ REWARD)[pick] + b)

    def count(which: np.ndarray) -> csr_matrix:
        u, k = np.nonzero(which)
        return csr_matrix((np.ones(len(u)), (u, pick[u, k])), (people, len(SHOWN)))

    nothing = np.zeros_like(won)
    found = models.Answers(design, count(won), count(~won), count(nothing), tuple("ABCDE"))
    return found, kind


KINDS = {
    "position": Kind(position=True),
    "strengths": Kind(strengths=True),
    "carelessness": Kind(careless=True),
    "types": Kind(types=2),
}


def error(found: np.ndarray) -> float:
    """Root mean square error of rewards of mean zero."""
    true = REWARD - REWARD.mean()
    return float(np.sqrt(((found - found.mean() - true) ** 2).mean()))


def fitted(model: Any) -> Any:
    """Coefficients of a model of statsmodels."""
    return model.fit().params


def quality() -> None:
    """Errors on the four shapes."""
    for name, kind in KINDS.items():
        data, label = shape_of(name)
        seconds, fit = timed(partial(models.fit, data, kind))
        said = f"rewards {error(fit.rewards[0]):.3f}"
        if name == "position":
            said += f", position {abs(fit.position - 0.6):.3f}"
        if name == "strengths":
            said += f", sigma {abs(fit.sigma - 0.7):.3f}"
        if name == "carelessness":
            said += f", share {abs(fit.careless - 0.25):.3f}"
        if name == "types":
            best = min(error(r) for r in fit.rewards)
            right = (models.posterior(fit, data)[0].argmax(axis=1) == label).mean()
            said = f"rewards of a type {best:.3f}, people right {max(right, 1 - right):.3f}"
        print(f"{name:13s} hetlib       {said}   {1e3 * seconds:.0f} ms")
        first = np.asarray(data.first.sum(axis=0)).ravel().astype(int)
        second = np.asarray(data.second.sum(axis=0)).ravel().astype(int)
        if importlib.util.find_spec("choix"):
            choix = importlib.import_module("choix")
            pairs = [(i, j) for (i, j), n in zip(SHOWN, first, strict=True) for _ in range(n)]
            pairs += [(j, i) for (i, j), n in zip(SHOWN, second, strict=True) for _ in range(n)]
            seconds, r = timed(partial(choix.opt_pairwise, 5, pairs))
            print(f"{'':13s} choix        rewards {error(r):.3f}   {1e3 * seconds:.0f} ms")
        if importlib.util.find_spec("statsmodels"):
            api: Any = importlib.import_module("statsmodels.api")
            X = np.hstack([data.design[:, :-1], np.ones((len(SHOWN), 1))])
            counts = np.column_stack([first, second])
            logit = api.GLM(counts, X, family=api.families.Binomial())
            seconds, r = timed(partial(fitted, logit))
            said = f"rewards {error(np.append(r[:-1], 0)):.3f}"
            said += f", position {abs(r[-1] - 0.6):.3f}" if name == "position" else ""
            print(f"{'':13s} statsmodels  {said}   {1e3 * seconds:.0f} ms")


def main() -> None:
    """Print times, memory and errors."""
    labels = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    people, items = 100_000, 50
    missing = [name for name in PEERS if importlib.util.find_spec(name) is None]
    print(f"not installed, not compared: {', '.join(missing) or 'none'}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.parquet"
        write(path, labels, people, items)
        seconds, found = timed(lambda: stream.count_file(str(path), people, items))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"{labels:,} labels: hetlib {seconds:.1f} s, peak memory of the process {peak:.1f} GiB"
        )
        if "pandas" not in missing:
            other, (wins, both) = timed(lambda: plain_pandas(path, items))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            equal = np.array_equal(wins, found.wins()) and np.array_equal(both, found.linked()[0])
            print(f"pandas {other:.1f} s ({other / seconds:.1f} times as long), {peak:.1f} GiB")
            print(f"the same numbers: {equal}")
        seconds, ours = timed(lambda: hetlib.bradley_terry(found.wins()))
        print(f"rewards from the counts: hetlib {1e3 * seconds:.1f} ms")
        if "choix" not in missing:
            choix: Any = importlib.import_module("choix")
            seconds, r = timed(lambda: choix.ilsr_pairwise_dense(found.wins()))
            print(f"choix {1e3 * seconds:.1f} ms; difference {abs(r - r.mean() - ours).max():.1e}")
    quality()


if __name__ == "__main__":
    main()
