"""The study of Section 7.1 on a folder of Pew's respondent files, claim by claim.

The files need a free registration with Pew and may not be redistributed, so the book runs
this only where a reader has them; tests run it on synthetic waves of the same schema.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetlib.book import progress
from hetlib.borda import counts, sensitivity
from hetlib.checks import Array
from hetlib.surveys.questions import Question, pairwise
from hetlib.surveys.reading import Survey, read_survey

Bools = NDArray[np.bool_]

#: Waves of the American Trends Panel that Appendix D lists.
WAVES = (
    "W35", "W52", "W79", "W83", "W99", "W109", "W111", "W112", "W114", "W119", "W120", "W121",
    "W126", "W127", "W128", "W129", "W130", "W131", "W132",
)  # fmt: skip
EXAMPLES = {
    "fig-6-discrepancy": "BIDENADM_W83",
    "fig-7-discrepancy": "COVIDEGFP_a_W114",
    "fig-8-discrepancy": "EVCAR2_W128",
    "fig-9-discrepancy": "FAVPOL_HARRIS_W130",
    "fig-10-discrepancy": "FAVPOL_BIDEN_W130",
}
CAR = "EVCAR2_W128"


def find_waves(
    folder: str | Path, waves: Sequence[str] = WAVES, partial: bool = False
) -> dict[str, Path]:
    """The file of each wave in a folder or below it, by the wave's name in the file's name.

    Args:
        folder: Where to look.
        waves: Names of the waves.
        partial: Whether some of the waves are enough; the others are then left out.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: a wave has no .sav file there (with ``partial``, none has), or several.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    found: dict[str, list[Path]] = {wave: [] for wave in waves}
    for path in sorted(folder.rglob("*.sav")):
        name = re.search(r"(?<![A-Za-z])W\d+(?!\d)", path.stem)
        if name and name[0] in found:
            found[name[0]].append(path)
    missing = [wave for wave, paths in found.items() if not paths]
    if missing and not (partial and len(missing) < len(found)):
        raise ValueError(f"{folder} has no .sav file of {', '.join(missing)}")
    if double := [wave for wave, paths in found.items() if len(paths) > 1]:
        raise ValueError(f"{folder} has several .sav files of {', '.join(double)}")
    return {wave: paths[0] for wave, paths in found.items() if paths}


@dataclass(frozen=True, eq=False)
class Tally:
    """The smallest changes of the rankings of some questions.

    Attributes:
        tv: Smallest distance that changes the ranking; inf if none does.
        top: The same for the first choice.
        moved: Whether the first choice differs at the distribution that ``tv`` belongs to.
        agree: Whether Borda count and average reward rank alike.
    """

    tv: Array
    top: Array
    moved: Bools
    agree: Bools

    @property
    def changed(self) -> int:
        """Questions whose ranking can be changed."""
        return int(np.isfinite(self.tv).sum())

    @property
    def median(self) -> float:
        """Median distance of the questions that can be changed; NaN if there are none."""
        finite = self.tv[np.isfinite(self.tv)]
        return float(np.median(finite)) if len(finite) else float("nan")


def tally(
    questions: Sequence[Question],
    floor: float = 1e-15,
    support: float = 1e-5,
    margin: float = 1e-5,
) -> Tally:
    """Find the smallest change of each ranking, as in Section 7.1 and Appendix D.

    Args:
        questions: At least one.
        floor: Least share of an option, as in ``luce_shepard_rewards``.
        support: Least probability of an option under the sampling distribution.
        margin: By how much the overtaking option must lead.

    Raises:
        ValueError: no questions, or settings that do not fit their numbers of options.
    """
    if not len(questions):
        raise ValueError("questions is empty; at least one is needed")
    P = [pairwise(q.shares, q.masses, floor) for q in questions]
    tv, top = (sensitivity.distances(P, support, margin, first) for first in (False, True))
    moved = [_moved(p, support, margin) for p in P]
    agree = [
        counts.same_order(p.mean(axis=1), q.population(floor).mean_reward())
        for p, q in zip(P, questions, strict=True)
    ]
    return Tally(tv, top, np.array(moved), np.array(agree))


@dataclass(frozen=True, eq=False)
class Study(Tally):
    """Questions of many files and the smallest changes of their rankings.

    Questions that are not attempted have infinite distances and have not moved.

    Attributes:
        surveys: What was read, by wave.
        questions: The questions of all waves.
        attempted: Whether a question has enough respondents an option to be attempted.
    """

    surveys: dict[str, Survey]
    questions: tuple[Question, ...]
    attempted: Bools

    def __getitem__(self, name: str) -> Question:
        """The question called ``name``."""
        for q in self.questions:
            if q.name == name:
                return q
        raise KeyError(f"no question {name} among {len(self.questions)}")


def study(
    paths: dict[str, Path],
    refused: Sequence[float] = (99,),
    min_per_option: float = 100,
    empty: str = "count",
) -> Study:
    """Read the waves and find the smallest change of each ranking, as the released code does.

    That code counts every question with three options or more, attempts those with at least
    ``min_per_option`` respondents an option, and calls the others unchanged.

    Args:
        paths: Files by wave, as :func:`find_waves` gives them.
        refused: Codes that mean "refused".
        min_per_option: Respondents an option that a question needs to be attempted.
        empty: What people with an empty answer count for, see ``read_survey``.

    Raises:
        ValueError: as for ``read_survey``, or no questions at all.
    """
    if empty not in ("drop", "count"):
        raise ValueError(f"empty is {empty!r}; it must be 'drop' or 'count'")
    read = {
        wave: read_survey(
            path,
            weight=f"WEIGHT_{wave}",
            refused=refused,
            min_per_option=0,
            show_small=True,  # as the released code: every type counts
            empty="count" if empty == "count" else "drop",
        )
        for wave, path in progress.track(paths.items(), "waves")
    }
    questions = tuple(q for survey in read.values() for q in survey)
    if not questions:
        raise ValueError("the files have no question with three options or more")
    attempted = np.array([q.n >= min_per_option * len(q.options) for q in questions])
    of = tally(questions)
    tv, top = (np.where(attempted, x, np.inf) for x in (of.tv, of.top))
    return Study(tv, top, of.moved & attempted, of.agree, read, questions, attempted)


def summary(paths: dict[str, Path]) -> list[str]:
    """Which waves are missing, and the counts of three ways to read the others, a line each.

    The ways are that of the released code; with empty answers dropped; and with questions
    attempted that few people answered.

    Args:
        paths: Files by wave, as :func:`find_waves` gives them.

    Raises:
        ValueError: as for :func:`study`.
    """
    missing = ", ".join(wave for wave in WAVES if wave not in paths)
    lines = [f"waves not in the folder: {missing or 'none'}"]
    ways: dict[str, dict[str, Any]] = {
        "as released": {},
        "empty dropped": {"empty": "drop"},
        "thin ones too": {"min_per_option": 0},
    }
    for name, given in ways.items():
        found = study(paths, **given)
        lines.append(
            f"{name}: {len(found.questions)} questions, {found.attempted.sum()} attempted, "
            f"{found.changed} change, first choice {np.isfinite(found.top).sum()} (at the closest "
            f"{found.moved.sum()}), median {found.median:.3f}"
        )
    return lines


def _moved(P: Array, support: float, margin: float) -> bool:
    change = sensitivity.ranking_change(P, support, margin)
    return change is not None and int((P @ change.sampling).argmax()) != int(
        P.mean(axis=1).argmax()
    )


def claims(folder: str | Path) -> dict[str, float | bool]:
    """Values of the claims of Sections 4.3, 7.1 and Appendix D that need Pew's files.

    Claims about one question need the file of its wave, the others all 19. Claims whose files
    are not there are left out.

    Args:
        folder: Has the files, under any names that contain the names of the waves.

    Returns:
        Values by claim, in the manner of :func:`hetlib.book.claims.check`.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it has no file of any wave, or several of one.
    """
    paths = find_waves(folder, partial=True)
    whole = study(paths)
    values = _car_claims(whole, paths) if "W128" in paths else {}
    for claim, name in list(EXAMPLES.items())[2:]:  # the first two have published shares
        if name.rsplit("_", 1)[1] in paths:
            q = whole[name].population()
            values[claim] = not counts.same_order(q.pairwise().mean(axis=1), q.mean_reward())
    if len(paths) == len(WAVES):
        values |= _study_claims(whole, study(paths, refused=()))
    return values


def _car_claims(whole: Study, paths: dict[str, Path]) -> dict[str, float | bool]:
    car = read_survey(paths["W128"], weight="W128")[CAR]  # empty answers dropped
    pop = whole[CAR].population()
    P = pop.pairwise()
    count, average = P.mean(axis=1), pop.mean_reward()
    top = sensitivity.top_change(P)
    place = (-car.shares).argsort(axis=1).argsort(axis=1)  # 0 is a type's favourite
    return {
        "num-ev-respondents": float(car.n),
        "num-ev-mass-republican": 100 * float(car.masses[0]),
        "num-ev-mass-democratic": 100 * float(car.masses[1]),
        "num-ev-mass-no-lean": 100 * float(car.masses[2]),
        "fig-1-ranking-differs": not counts.same_order(count, average),
        "fig-1-borda-top": int(count.argmax()) == 2,
        "fig-1-average-top": int(average.argmax()) == 3,
        "fig-1-flip": top is not None and top.tv <= 0.205,  # 0.2 as printed
        "eg-ev-c-mediocre": bool(np.isin(place[:, 2], (1, 2)).all()),
        "eg-ev-d-favoured": bool(place[0, 3] == 0 and place[2, 3] == 1),
    }


def _study_claims(whole: Study, with_refused: Study) -> dict[str, float | bool]:
    share = 100 * whole.changed / len(whole.questions)
    share_refused = 100 * with_refused.changed / len(with_refused.questions)
    gap = np.array([q.disagreement() for q in whole.questions])
    both = whole.agree.any() and not whole.agree.all()
    return {
        "num-questions": float(len(whole.questions)),
        "num-ranking-changed": float(whole.changed),
        "num-ranking-changed-share-data": share,
        "num-top-changed": float(np.isfinite(whole.top).sum()),
        "num-tv-median": whole.median,
        "fig-2-cdf": bool(abs(whole.median - 0.23) <= 0.005),
        "rem-refused": bool(
            round(share) == round(share_refused)
            and abs(whole.median - with_refused.median) <= 0.005
        ),
        "rem-aligned-mostly": bool(whole.agree.mean() > 0.5),
        "rem-aligned-similar-types": bool(
            both and gap[whole.agree].mean() < gap[~whole.agree].mean()
        ),
        "notes-experiment-2": bool(whole.median <= 0.235),
    }
