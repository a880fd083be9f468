"""Run chapters with other parameters, or other seeds, and see what becomes of the verdicts.

    python tools/trials.py variants [CHAPTER ...]   every file of params/variants, at quick
    python tools/trials.py seeds [CHAPTER ...]      every chapter with 20 seeds, at quick

A variant fails if the chapter ends in an error, or if a claim that is made for all settings
gets another verdict than with the chapter's own parameters. Seeds fail if fewer of them than a
claim's level give its stored verdict. Finished runs are kept under ``_build/trials`` and are used
again while the chapter and what it rests on are the same; nothing that is tracked is written but
``results/seeds.json``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml
from digests import provenance
from execute import (
    ROOT,
    chapters,
    check_parameters,
    given_parameters,
    known_parameters,
    read_chapter,
    run,
)
from scorecard import verdicts_of
from tidy import read_notebook

from hetlib import store
from hetlib.book.claims import NOT_JUDGED, load
from hetlib.book.settings import NEUTRAL

SEEDS = 20
VARIANTS = ROOT / "params" / "variants"
FOLDER = ROOT / "_build" / "trials"
TABLE = ROOT / "results" / "seeds.json"
#: Parameters whose other values need what is not here (data, models) or a run of the command.
ELSEWHERE = {
    "10-language-models": {
        *("data", "split", "held_out_share", "model", "rates", "rate_cells"),
    }
}


def variants(names: list[str]) -> list[tuple[str, str, list[str]]]:
    """All variants of these chapters: chapter, name, words for papermill.

    Raises:
        ValueError: a file whose name starts with no chapter's.
    """
    found = []
    for path in sorted(VARIANTS.glob("*.yml")):
        chapter = next((c for c in chapters() if path.stem.startswith(f"{c}-")), None)
        if chapter is None:
            raise ValueError(f"{path.name} starts with no chapter's name, such as 03-borda-probit")
        if chapter in names:
            found.append((chapter, path.stem, ["-f", str(path)]))
    return found


def seeds(names: list[str], count: int) -> list[tuple[str, str, list[str]]]:
    """The chapters that take a seed, with seeds from 1 on."""
    return [
        (n, f"{n}-seed-{k}", ["-p", "seed", str(k)]) for n in names for k in range(1, count + 1)
    ]


def of_seed(name: str) -> bool:
    """Whether a chapter has a parameter called seed."""
    try:
        check_parameters(["seed"], name)
    except ValueError:
        return False
    return True


def outcome(chapter: str, name: str, words: list[str], position: int) -> dict[str, object]:
    """Run one trial unless it is there already; its verdicts, or its error."""
    extra, asked = given_parameters(words)
    check_parameters(asked, chapter)
    made = provenance(read_chapter(chapter), chapter)
    text = json.dumps([made, words, _content(words)], sort_keys=True, default=str)
    key = hashlib.sha256(text.encode()).hexdigest()
    kept = FOLDER / f"{name}.json"
    try:
        known = json.loads(kept.read_text("utf-8"))
        if known["key"] == key:
            return dict(known)
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not there or not whole: run
    out = FOLDER / f"{name}.ipynb"
    error = run(chapter, out, "quick", extra, position, trial=True)
    found = {} if error else {k: v["verdict"] for k, v in verdicts_of(read_notebook(out)).items()}
    result: dict[str, object] = {"key": key, "verdicts": found, "error": error or ""}
    FOLDER.mkdir(parents=True, exist_ok=True)
    store.write(kept, json.dumps(result, indent=1) + "\n")
    return result


def _content(words: list[str]) -> str:
    return "".join(Path(word).read_text("utf-8") for word in words if word.endswith(".yml"))


def stored(chapter: str) -> dict[str, str]:
    """Verdicts with the chapter's own parameters."""
    nb = read_notebook(ROOT / "notebooks" / f"{chapter}.ipynb")
    return {claim: data["verdict"] for claim, data in verdicts_of(nb).items()}


def differences(chapter: str, found: dict[str, str]) -> list[str]:
    """Claims made for all settings whose verdict changed."""
    usual, claims = stored(chapter), load()
    return [
        f"{claim}: {verdict}, with the chapter's own parameters {usual.get(claim)}"
        for claim, verdict in found.items()
        if claims[claim].settings == "all" and verdict not in (usual.get(claim), NOT_JUDGED)
    ]


def untried() -> dict[str, list[str]]:
    """Parameters of each chapter that no variant gives another value."""
    left = {}
    for chapter in chapters():
        tried: set[str] = set()
        for _, _, words in variants([chapter]):
            tried |= set(yaml.safe_load(Path(words[1]).read_text("utf-8")) or {})
        tried |= NEUTRAL | ELSEWHERE.get(chapter, set())
        names = [n for n in known_parameters(read_chapter(chapter)) if n not in tried]
        if names:
            left[chapter] = names
    return left


def tabulate(trials: list[tuple[str, str, list[str]]], results: list[dict[str, object]]) -> int:
    """Store how often each claim got which verdict; the number of claims below their level."""
    made: dict[str, dict[str, object]] = {}
    for chapter in dict.fromkeys(chapter for chapter, _, _ in trials):
        of_it = [r for (c, _, _), r in zip(trials, results, strict=True) if c == chapter]
        counts: dict[str, Counter[str]] = {}
        for result in of_it:
            found = result["verdicts"]
            assert isinstance(found, dict)
            for claim, verdict in found.items():
                counts.setdefault(claim, Counter())[verdict] += 1
        made[chapter] = {
            "made_from": code_of(chapter),
            "seeds": len(of_it),
            "errors": sum(bool(result["error"]) for result in of_it),
            "verdicts": {claim: dict(count) for claim, count in sorted(counts.items())},
        }
    known = json.loads(TABLE.read_text("utf-8")) if TABLE.exists() else {}
    store.write_json(TABLE, dict(sorted({**known, **made}.items())))
    short = 0
    for chapter in made:
        for claim, agree, judged, level in turning(stored(chapter), made[chapter]):
            print(f"{claim}: the stored verdict in {agree} of {judged}, level {level or 1:.0%}")
            short += agree < (level or 1) * judged
    return short


def code_of(chapter: str) -> str:
    """A digest of a chapter and all that its outputs rest on."""
    made = provenance(read_chapter(chapter), chapter)
    return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:16]


def turning(
    usual: dict[str, str], table: dict[str, object]
) -> list[tuple[str, int, int, float | None]]:
    """Claims that some seed judges otherwise: seeds that agree, that judge, level stated."""
    verdicts, claims = table["verdicts"], load()
    assert isinstance(verdicts, dict)
    counted = [
        (c, found.get(usual.get(c, ""), 0), sum(found.values()) - found.get(NOT_JUDGED, 0))
        for c, found in verdicts.items()
    ]
    return [
        (claim, agree, judged, claims[claim].level)
        for claim, agree, judged in counted
        if claim in claims and agree < judged
    ]


def main() -> int:
    """Run what was asked for; 1 if anything failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=["variants", "seeds"])
    parser.add_argument("names", nargs="*", help="chapters; all if none is given")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    options = parser.parse_args()
    names = options.names or chapters()
    if unknown := sorted(set(names) - set(chapters())):
        parser.error(f"no such chapter: {', '.join(unknown)}; there are {', '.join(chapters())}")
    if options.what == "variants":
        trials = variants(names)
    else:
        trials = seeds([name for name in names if of_seed(name)], options.seeds)
    with ThreadPoolExecutor(max(1, options.jobs)) as pool:
        places = range(len(trials))
        results = list(pool.map(lambda at: outcome(*trials[at], at), places))
    wrong = 0
    for (chapter, name, _), result in zip(trials, results, strict=True):
        found = result["verdicts"]
        assert isinstance(found, dict)
        lines = [str(result["error"])[-1500:]] if result["error"] else []
        if options.what == "variants":
            lines += differences(chapter, found)
        wrong += bool(lines)
        print(f"{name:45s} {'WRONG' if lines else 'right'}", *lines, sep="\n    ")
    if options.what == "seeds":
        wrong += tabulate(trials, results)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
