"""Counting and fitting labels of known people, beside pandas and choix, in one run.

    python benchmarks/people.py [labels] [results/benchmark-people.json]

Ten million labels of 100,000 people over 50 items are written to a Parquet file of whole
numbers and counted in one pass: wins by pair, and pairs of labels by one person on one pair.
A plain pandas version groups the same rows. Then both ways fit rewards; and on four shapes of
data errors are compared of rewards (of the median strength, the careless apart), of the average
over people, position, the share of careless people and types, where a
peer has such a thing. Peers that are not installed are named; none is a requirement.

Where one taste is fitted (choix, evalica, statsmodels) its margins shrink with what differs. With
lognormal strengths they come near those of the median strength, and with opposite tastes in equal
parts near zero, so that such fits can have the smaller error of these rewards; they can also be
faster. With strengths their rewards are too small as an average over people, and of strengths and
types themselves they say nothing.
"""

from __future__ import annotations

import importlib.metadata
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
from scipy.special import expit, logit

import hetlib
from hetlib import store
from hetlib.people import models, simulated, stream
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


#: Shapes of data, and the model that has the difference planted in them.
KINDS = {
    "position": Kind(position=True),
    "strengths": Kind(strengths=True),
    "carelessness": Kind(careless=True),
    "types": Kind(types=2),
}
TRUE = np.array(simulated.TASTE)
#: What multiplies the taste in the average over people, by shape.
MEAN_STRENGTH = {
    "position": 1.0,
    "strengths": float(np.exp(simulated.PLANTED["strengths"]["sigma"] ** 2 / 2)),
    "carelessness": 1 - simulated.PLANTED["carelessness"]["careless"],
    "types": 1 - 2 * simulated.PLANTED["types"]["opposed"],
}


def error(found: np.ndarray, true: np.ndarray = TRUE) -> float:
    """Root mean square error of rewards of mean zero."""
    return float(np.sqrt(((found - found.mean() - true + true.mean()) ** 2).mean()))


def found_right(score: np.ndarray, truth: np.ndarray) -> float:
    """Probability that one of the people sought has a higher score than one of the others."""
    above = score[truth == 1][:, None] - score[truth == 0][None, :]
    return float((above > 0).mean() + (above == 0).mean() / 2)


def table_of(data: models.Answers) -> Any:
    """The answers as a data frame, a row a label, shuffled."""
    pd: Any = importlib.import_module("pandas")
    rows = []
    left, right = data.design.argmax(axis=1), data.design.argmin(axis=1)
    for counts, winner in ((data.first, left), (data.second, right)):
        n = counts.tocoo()
        u, k = (np.repeat(x, n.data.astype(int)) for x in (n.row, n.col))
        rows.append(
            pd.DataFrame({"worker": u, "left": left[k], "right": right[k], "label": winner[k]})
        )
    return pd.concat(rows).sample(frac=1, random_state=0).reset_index(drop=True)


def by_choix(t: Any) -> dict[str, Any]:
    choix: Any = importlib.import_module("choix")
    lost = np.where(t.label == t.left, t.right, t.left)
    return {"rewards": choix.opt_pairwise(5, list(zip(t.label, lost, strict=True)))}


def by_evalica(t: Any) -> dict[str, Any]:
    evalica: Any = importlib.import_module("evalica")
    winners = [evalica.Winner.X if x else evalica.Winner.Y for x in t.label == t.left]
    names = [str(k) for k in t.left], [str(k) for k in t.right]
    scores = evalica.bradley_terry(*names, winners).scores
    return {"rewards": np.log(scores.loc[[str(k) for k in range(5)]].to_numpy())}


def by_statsmodels(t: Any) -> dict[str, Any]:
    api: Any = importlib.import_module("statsmodels.api")
    X = (np.eye(5)[t.left] - np.eye(5)[t.right])[:, :-1]
    X = np.hstack([X, np.ones((len(t), 1))])
    b = api.Logit((t.label == t.left).astype(float), X).fit(disp=0).params.to_numpy()
    return {"rewards": np.append(b[:-1], 0), "position": b[-1]}


def by_noisy_bt(t: Any) -> dict[str, Any]:
    """crowd-kit's Bradley and Terry model with a skill and a bias of each person."""
    kit: Any = importlib.import_module("crowdkit.aggregation")
    model = kit.NoisyBradleyTerry(n_iter=100).fit(t)
    scores = model.scores_.loc[list(range(5))].to_numpy()
    skill = model.skills_.sort_index().to_numpy()
    return {"rewards": logit(scores), "coins": -skill, "careless": float((skill < 0.5).mean())}


def by_dawid_skene(t: Any) -> dict[str, Any]:
    """Dawid and Skene, with pairs as tasks: people who contradict often are careless."""
    pd: Any = importlib.import_module("pandas")
    kit: Any = importlib.import_module("crowdkit.aggregation")
    low, high = np.minimum(t.left, t.right), np.maximum(t.left, t.right)
    tasks = pd.DataFrame({"task": low * 5 + high, "worker": t.worker, "label": (t.label == low)})
    errors = kit.DawidSkene(n_iter=100).fit(tasks.astype({"label": int})).errors_.fillna(0.0)
    right = errors.reset_index().melt(["worker", "label"], var_name="true")
    right = right[right.label == right.true].groupby("worker").value.mean().sort_index().to_numpy()
    return {"coins": -right, "careless": float((right < 0.6).mean())}


PEERS_OF_FITS: dict[str, tuple[str, Callable[[Any], dict[str, Any]]]] = {
    "choix": ("choix", by_choix),
    "evalica": ("evalica", by_evalica),
    "statsmodels": ("statsmodels", by_statsmodels),
    "crowd-kit, noisy Bradley-Terry": ("crowdkit", by_noisy_bt),
    "crowd-kit, Dawid-Skene": ("crowdkit", by_dawid_skene),
}


def judged(name: str, seconds: float, got: dict[str, Any], other: np.ndarray) -> dict[str, float]:
    """Time and errors of one fit to one shape; ``other`` marks the people sought."""
    planted, row = simulated.PLANTED[name], {"ms": 1e3 * seconds}
    if "rewards" in got:
        row["rewards"] = error(np.asarray(got["rewards"]), 0 * TRUE if name == "types" else TRUE)
        average = np.asarray(got.get("average", got["rewards"]))
        row["average"] = error(average, MEAN_STRENGTH[name] * TRUE)
    if name == "position" and "position" in got:
        row["position"] = abs(got["position"] - planted["position"])
    if name == "carelessness" and "careless" in got:
        row["share"] = abs(got["careless"] - planted["careless"])
        row["who"] = found_right(got["coins"], other)
    if name == "types" and "type" in got:
        who = found_right(got["type"], other)
        row["who"] = max(who, 1 - who)
    if name == "strengths" and "sigma" in got:
        row["sigma"] = abs(got["sigma"] - planted["sigma"])
    return row


def quality(seeds: int = 5) -> dict[str, dict[str, dict[str, float]]]:
    """Mean errors and times on the four shapes: 200 people with 40 labels each."""
    out: dict[str, dict[str, dict[str, float]]] = {}
    for name, kind in KINDS.items():
        sums: dict[str, list[dict[str, float]]] = {}
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            planted = simulated.PLANTED[name]
            data, other = simulated.people(rng, 200, 40, **planted)
            if name == "carelessness":  # who answers by coin: the same draws again
                again = np.random.default_rng(seed)
                again.integers(20, size=(200, 40))
                other = (again.random(200) < planted["careless"]).astype(np.int64)

            seconds, fit = timed(partial(models.fit, data, kind))
            kinds, coins = models.posterior(fit, data)
            rewards = fit.average_reward if name == "types" else fit.rewards[0]
            got: dict[str, Any] = {
                "rewards": rewards,
                "average": fit.average_reward,
                "position": fit.position,
                "careless": fit.careless,
            }
            got |= {"coins": coins, "type": kinds[:, 0], "sigma": fit.sigma}
            sums.setdefault("hetlib", []).append(judged(name, seconds, got, other))
            table = table_of(data)
            for who, (module, run) in PEERS_OF_FITS.items():
                if importlib.util.find_spec(module):
                    sums.setdefault(who, []).append(
                        judged(name, *timed(partial(run, table)), other)
                    )
        out[name] = {
            who: {key: float(np.mean([r[key] for r in rows])) for key in rows[0]}
            for who, rows in sums.items()
        }
    return out


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
        scale = {"hetlib": {"s": seconds, "GiB": peak}}
        print(
            f"{labels:,} labels: hetlib {seconds:.1f} s, peak memory of the process {peak:.1f} GiB"
        )
        if "pandas" not in missing:
            other, (wins, both) = timed(lambda: plain_pandas(path, items))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            equal = np.array_equal(wins, found.wins()) and np.array_equal(both, found.linked()[0])
            scale["pandas"] = {"s": other, "GiB": peak}
            print(f"pandas {other:.1f} s ({other / seconds:.1f} times as long), {peak:.1f} GiB")
            print(f"the same numbers: {equal}")
        seconds, ours = timed(lambda: hetlib.bradley_terry(found.wins()))
        print(f"rewards from the counts: hetlib {1e3 * seconds:.1f} ms")
        if "choix" not in missing:
            choix: Any = importlib.import_module("choix")
            seconds, r = timed(lambda: choix.ilsr_pairwise_dense(found.wins()))
            print(f"choix {1e3 * seconds:.1f} ms; difference {abs(r - r.mean() - ours).max():.1e}")
    found_errors = quality()
    for name, rows in found_errors.items():
        for who, row in rows.items():
            said = ", ".join(f"{key} {value:.3f}" for key, value in row.items() if key != "ms")
            print(f"{name:13s} {who:31s} {said or 'nothing of this'}   {row['ms']:.0f} ms")
    if len(sys.argv) > 2:
        versions = {
            p: importlib.metadata.version(p)
            for p in ("choix", "evalica", "crowd-kit", "statsmodels", "pandas")
            if p not in missing and not (p == "crowd-kit" and "crowdkit" in missing)
        }
        store.save_result(
            sys.argv[2],
            {"labels": labels, "versions": versions} | store.device(),
            {"scale": scale, "quality": found_errors},
        )


if __name__ == "__main__":
    main()
