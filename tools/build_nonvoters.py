"""Build the table of the 2020 non-voter survey that hetlib carries.

Usage: python tools/build_nonvoters.py nonvoters.csv

The input is the respondent file of the survey with the columns ``weight``, ``party`` (with
leaners) and one column of codes a question, 1 for the first option and -1 for no answer. The
output, ``hetlib/data/nonvoters2020.json``, has the figures that the book needs: respondents,
sums of weights and sums of squared weights by question, party and option. The labels are
short ones of our own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from hetlib import store, surveys

OUT = Path(__file__).parent.parent / "hetlib" / "data" / "nonvoters2020.json"

SOURCE = {
    "title": "Why many Americans don't vote (survey of September 2020)",
    "creators": "FiveThirtyEight and Ipsos",
    "url": "https://github.com/fivethirtyeight/data/tree/master/non-voters",
    "licence": "Creative Commons Attribution 4.0 International (CC BY 4.0)",
    "licence_url": "https://creativecommons.org/licenses/by/4.0/",
    "changes": (
        "Respondents were summed into counts, weights and squared weights by party; questions "
        "with two options or fewer and unanswered ones were left out; labels are new and short."
    ),
}
PARTIES = {
    "Rep/Lean Rep": "Republican",
    "Dem/Lean Dem": "Democratic",
    "No lean/Refused": "no lean",
}

IMPORTANT = ("very important", "fairly important", "hardly important", "unimportant")
AGREE = ("agree", "rather agree", "rather disagree", "disagree")
IMPACT = ("large", "medium", "small", "none")
TRUST = ("much", "some", "little", "no trust")
GOOD = ("very good", "rather good", "rather bad", "very bad")
SAFE = ("very safe", "rather safe", "rather unsafe", "unsafe")
PARTY = (
    "wants my vote, works for it",
    "wants my vote, does little",
    "indifferent",
    "would rather I stayed away",
    "works to keep me away",
)

#: Prefix of the columns -> what is asked, options, items in the order of their numbers.
GRIDS = {
    "Q2": ("Being a good American", IMPORTANT, (
        "voting", "jury duty", "following politics", "showing the flag", "the census",
        "the Pledge of Allegiance", "backing the military", "respecting other opinions",
        "faith in God", "protest against wrongs")),
    "Q3": ("Agreement", AGREE, (
        "racism is systemic", "police racism is worse than riots", "society is too soft",
        "media want money, not truth", "parties ignore people like me",
        "speech should become more sensitive")),
    "Q4": ("Impact on my life", IMPACT, (
        "politicians in Washington", "state politicians", "local politicians", "news media",
        "Wall Street", "police and courts")),
    "Q8": ("Trust", TRUST, (
        "the presidency", "Congress", "the Supreme Court", "the disease control centre",
        "election officials", "intelligence services", "news media", "the police",
        "the postal service")),
    "Q9": ("Way to govern", GOOD, (
        "elected politicians", "experts decide", "a leader without checks", "the army")),
    "Q17": ("Security of votes", SAFE, (
        "machines", "paper in person", "paper by mail", "electronic")),
}  # fmt: skip
SINGLE = {
    "Q6": ("Officials who are like me", ("many", "some", "few", "none")),
    "Q14": ("Republicans about my vote", PARTY),
    "Q15": ("Democrats about my vote", PARTY),
    "Q16": ("Voting is", ("very easy", "rather easy", "rather hard", "very hard")),
    "Q21": ("Will vote in 2020", ("yes", "no", "unsure")),
    "Q23": ("Candidate", ("Trump", "Biden", "unsure")),
    "Q24": ("Way of voting", ("by mail", "early in person", "on election day", "other")),
    "Q25": ("Follows the race", ("very closely", "fairly closely", "little", "not at all")),
    "Q26": ("Votes", ("nearly always", "sometimes", "rarely", "never")),
}


def labels() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Text and options of each column."""
    grid = {
        f"{prefix}_{k}": (f"{topic}: {item}", options)
        for prefix, (topic, options, items) in GRIDS.items()
        for k, item in enumerate(items, 1)
    }
    return grid | SINGLE


def build(path: Path) -> dict[str, object]:
    """The table of figures from the respondents' file.

    Raises:
        ValueError: a question of the file has no label here, or a label has no question.
    """
    known = labels()
    codes = {k: {float(c): o for c, o in enumerate(v[1], 1)} for k, v in known.items()}
    read = surveys.read_survey(path, types="party", weight="weight", refused=(-1,), labels=codes)
    if odd := {q.name for q in read} ^ set(known):
        raise ValueError(f"questions and labels differ in {sorted(odd)}")
    order = [read.types.index(t) for t in PARTIES]

    def table(values: np.ndarray, digits: int) -> list[list[float]]:
        rows: list[list[float]] = values[order].round(digits).tolist()
        return [[int(v) if digits == 0 else v for v in row] for row in rows]

    rows = []
    for q in read:
        assert q.counts is not None
        assert q.weights is not None
        assert q.squares is not None
        rows.append(
            {
                "name": q.name,
                "text": known[q.name][0],
                "options": list(q.options),
                "respondents": table(q.counts, 0),
                "weights": table(q.weights, 4),
                "squares": table(q.squares, 4),
            }
        )
    return {"source": SOURCE, "types": list(PARTIES.values()), "questions": rows}


def main() -> None:
    """Write the table."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    built = build(Path(sys.argv[1]))
    questions = built.pop("questions")
    assert isinstance(questions, list)
    lines = ",\n ".join(json.dumps(row, ensure_ascii=False) for row in questions)
    head = json.dumps(built, indent=1, ensure_ascii=False).rstrip("}\n")
    store.write(OUT, f'{head},\n "questions": [\n {lines}\n]}}\n')
    print(f"{OUT.name}: {len(questions)} questions, {OUT.stat().st_size / 1024:.0f} kB")


if __name__ == "__main__":
    main()
