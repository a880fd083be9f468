"""Make the packaged data of chapter 16 from the sources' tables.

    python tools/build_people.py FOLDER

FOLDER holds ``gss-panels/``, ``mt-bench-votes/`` and ``star-wars-2014/``; the file
``hetlib/data/README.md`` says where they come from. What is written holds counts of people for
the panels, and for the others the published rows with fewer columns.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

from hetlib import store

OUT = Path(__file__).parent.parent / "hetlib" / "data"
#: Codes that are no answer: the item was not asked.
NO_ANSWER = {"0"}


def rows(path: Path) -> list[dict[str, str]]:
    """A CSV file, row by row."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def panels(folder: Path) -> dict[str, Any]:
    """Counts of people: answers given twice by party, rankings three times, pairs by group."""
    table: dict[str, dict[tuple[str, str, str], int]] = {}
    for row in rows(folder / "repeats.csv"):
        if NO_ANSWER & {row["wave1"], row["wave2"]}:
            continue
        cell = row["party"], row["wave1"], row["wave2"]
        table.setdefault(row["question"], {})[cell] = int(row["people"])
    parties = sorted({cell[0] for t in table.values() for cell in t})
    repeats = []
    for name, t in table.items():
        options = sorted({cell[k] for cell in t for k in (1, 2)})
        counts = [[[t.get((p, a, b), 0) for b in options] for a in options] for p in parties]
        repeats.append({"name": name, "options": options, "counts": counts})
    wins = [
        [r["grouping"], r["group"], r["first"], r["second"]]
        + [int(r[f"first_won_{k}"]) for k in range(4)]
        for r in rows(folder / "wins.csv")
    ]
    ranked = [
        [r["wave1"], r["wave2"], r["wave3"], int(r["people"])]
        for r in rows(folder / "rankings.csv")
    ]
    return {"parties": parties, "repeats": repeats, "wins": wins, "rankings": ranked}


def write_panels(built: dict[str, Any], path: Path) -> None:
    """One row a line, so that a change can be seen."""
    parts = []
    for key, value in built.items():
        if key == "parties":
            parts.append(f'"{key}": {json.dumps(value)}')
        else:
            lines = ",\n ".join(json.dumps(row, separators=(",", ":")) for row in value)
            parts.append(f'"{key}": [\n {lines}\n]')
    store.write(path, "{\n" + ",\n".join(parts) + "\n}\n")


def write_rows(path: Path, head: list[str], table: list[list[str]]) -> None:
    """A CSV file."""
    store.write(path, "\n".join(",".join(row) for row in [head, *table]) + "\n")


def main() -> None:
    """Write the three files."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    source = Path(sys.argv[1])
    write_panels(panels(source / "gss-panels"), OUT / "gss_panels.json")
    votes = rows(source / "mt-bench-votes" / "votes.csv")
    columns = ["question_id", "turn", "model_a", "model_b", "winner", "judge"]
    write_rows(OUT / "mt_bench_votes.csv", columns, [[r[c] for c in columns] for r in votes])
    films = rows(source / "star-wars-2014" / "rankings.csv")
    episodes = ["I", "II", "III", "IV", "V", "VI"]
    write_rows(
        OUT / "star_wars_2014.csv",
        ["ranks", "fan", "sex", "age"],
        [["".join(r[f"rank_{e}"] for e in episodes), r["fan"], r["sex"], r["age"]] for r in films],
    )
    for name in ("gss_panels.json", "mt_bench_votes.csv", "star_wars_2014.csv"):
        print(f"{name}: {(OUT / name).stat().st_size / 1024:.0f} kB")


if __name__ == "__main__":
    main()
