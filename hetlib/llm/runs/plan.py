"""A parameter file as runs: data, settings, cells and seeds.

The files ``params/llm-*.yml`` are flat: fields of :class:`Plan` and of
:class:`hetlib.llm.model.settings.Settings` side by side, under the names of chapter 10's parameters
cell, so that papermill and ``python -m hetlib.llm`` read the same file.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from hetlib.llm.data.pairs import Pair, both_sides, read_pairs, sample, split_by_prompt
from hetlib.llm.data.synthetic import dialogues
from hetlib.llm.data.tokens import TokenPairs, tokenise
from hetlib.llm.model.settings import DECIDED, SETTINGS, Settings, check_names

#: Names that only the chapter uses.
CHAPTER = ("profile", "seed", "results", "run", "quick", "full")
SYNTHETIC = "synthetic"
#: Held-out dialogues come from a seed of their own.
HELD_OUT_SEED = 1_000_000


def changes_of(texts: Sequence[str]) -> dict[str, Any]:
    """Changes to a parameter file from a command line, each as ``NAME=VALUE`` with YAML's values.

    Raises:
        ValueError: a text of another form.
    """
    import yaml

    changes = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--set {text!r} needs the form NAME=VALUE")
        changes[name] = yaml.safe_load(value)
    return changes


def read_values(path: str | Path) -> dict[str, Any]:
    """The content of a parameter file.

    Raises:
        ValueError: no such file, or no mapping in it.
    """
    import yaml

    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist; params/ holds parameter files")
    values = yaml.safe_load(path.read_text())
    if not isinstance(values, dict):
        raise ValueError(f"{path} must hold names and values, one a line")
    return values


#: Words that some fields are one of.
WORDS = {"malformed": ("stop", "skip"), "long": ("drop", "truncate")}
#: No number in a plan reaches it.
LARGEST = 2**31


@dataclass(frozen=True)
class Plan:
    """Everything in a parameter file that is not a setting of a single run.

    Attributes:
        data: "synthetic", "hub:owner/name", or files and folders as in
            :func:`hetlib.llm.data.pairs.read_pairs`.
        train_pairs: Pairs to train on at most; all if None.
        held_out_pairs: Pairs to measure on at most; all if None.
        held_out_share: Hold out this share of prompts of the "train" split; None: use the
            "test" split.
        split: The split to train on.
        data_seed: Of synthetic dialogues and of the split by prompt.
        malformed: "stop" or "skip".
        long: "drop" (the paper's filter) or "truncate" (released code).
        eos: Whether texts end with an end token.
        longest: Leave out pairs with a text of more tokens, if fewer than the settings' limit, to
            which rewards are scaled: for a machine that has no time for long texts.
        world: Further arguments of :func:`hetlib.llm.data.synthetic.dialogues`.
        cells: Names as in :meth:`hetlib.llm.model.settings.Settings.cell`.
        seeds: Seeds of each cell.
        rates: Learning rates to try besides, with the first seed.
        rate_cells: The cells to try them on.
        workers: Processes side by side.
        folder: Where runs are kept.
        settings: What all runs share.
        given: Settings that were given by name; no cell may change one of them.
    """

    data: str | Sequence[str] = "hub:Anthropic/hh-rlhf"
    train_pairs: int | None = None
    held_out_pairs: int | None = None
    held_out_share: float | None = None
    split: str = "train"
    data_seed: int = 0
    malformed: str = "skip"
    long: str = "drop"
    eos: bool = False
    longest: int | None = None
    world: Mapping[str, Any] = field(default_factory=dict)
    cells: Sequence[str] = (
        *("reward-anonymous", "reward-consensus", "reward-homogeneous"),
        *("alignment-anonymous", "alignment-consensus", "alignment-homogeneous"),
    )
    seeds: Sequence[int] = (0, 1, 2, 3, 4)
    rates: Sequence[float] = ()
    rate_cells: Sequence[str] = ()
    workers: int = 1
    folder: str = "_build/llm"
    settings: Settings = field(default_factory=Settings)
    given: frozenset[str] = frozenset()

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Plan:
        """A plan from the content of a parameter file.

        Raises:
            ValueError: an unknown name, or a value that is not allowed.
        """
        if not isinstance(values, Mapping) or not all(isinstance(k, str) for k in values):
            raise ValueError(f"values is {values!r:.60}; names and their values are needed")
        own = [f.name for f in fields(cls) if f.name not in ("settings", "given")]
        check_names(values, [*own, *SETTINGS, *CHAPTER])
        settings = {k: v for k, v in values.items() if k in SETTINGS and k != "seed"}
        plan = cls(
            **{k: v for k, v in values.items() if k in own},
            settings=Settings.from_mapping(settings),
            given=frozenset(settings),
        )
        plan._check()
        plan.runs()  # so that a misspelt cell is found before anything is loaded
        return plan

    def _check(self) -> None:
        """Refuse fields of another type, each by name.

        Raises:
            ValueError: a field that is no list, no number, empty or out of range.
        """
        kinds: dict[str, Any] = {
            "data": str,
            "cells": str,
            "rate_cells": str,
            "seeds": int,
            "rates": (int, float),
        }
        for name, kind in kinds.items():
            value = getattr(self, name)
            if name == "data" and isinstance(value, str) and value:
                continue
            what = f"{name} is {value!r}; a list is needed"
            if isinstance(value, str) or not isinstance(value, Sequence):
                raise ValueError(what)
            if not value and name not in ("rates", "rate_cells"):
                raise ValueError(f"{name} is empty; at least one entry is needed")
            for k, one in enumerate(value):
                if not isinstance(one, kind) or isinstance(one, bool):
                    need = {str: "text", int: "a whole number"}.get(kind, "a number")
                    raise ValueError(f"{name}[{k}] is {one!r}; {need} is needed")
                if one in value[:k]:
                    raise ValueError(f"{name}[{k}] is {one!r} again; each counts once")
                if name == "rates" and not 0 < one < math.inf:
                    raise ValueError(f"rates[{k}] is {one!r}; a positive number is needed")
        numbers = [("seeds", max(self.seeds)), *vars(self.settings).items(), *vars(self).items()]
        for name, value in numbers:
            if isinstance(value, int | float) and not value < LARGEST:
                raise ValueError(f"{name} is {value!r}; numbers below {LARGEST} are needed")
        for name in ("train_pairs", "held_out_pairs", "longest", "workers", "data_seed"):
            value, least = getattr(self, name), 0 if name in ("workers", "data_seed") else 1
            if value is None and least:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f"{name} is {value!r}; a whole number from {least} on is needed")
        for name in ("split", "malformed", "long", "folder"):
            value, allowed = getattr(self, name), WORDS.get(name)
            if not isinstance(value, str) or not value:
                raise ValueError(f"{name} is {value!r}; text is needed")
            if allowed is not None and value not in allowed:
                raise ValueError(f"{name} is {value!r}; allowed are {', '.join(allowed)}")
        if not self.settings.model:
            raise ValueError("model is ''; a name or a folder is needed")
        if not isinstance(self.eos, bool):
            raise ValueError(f"eos is {self.eos!r}; true or false is needed")
        if not isinstance(self.world, Mapping):
            raise ValueError(f"world is {self.world!r}; names and values are needed")
        check_names(self.world, set(inspect.signature(dialogues).parameters) - {"size", "seed"})
        share = self.held_out_share
        if share is not None and not (isinstance(share, int | float) and 0 < share < 1):
            raise ValueError(f"held_out_share is {share!r}; a share between 0 and 1 is needed")

    @classmethod
    def read(cls, path: str | Path, changes: Mapping[str, Any] | None = None) -> Plan:
        """A plan from a YAML file.

        Args:
            path: The file.
            changes: Values that replace the file's.

        Raises:
            ValueError: no such file, no mapping in it, or what :meth:`from_mapping` raises.
        """
        return cls.from_mapping(read_values(path) | dict(changes or {}))

    def runs(self) -> list[Settings]:
        """The settings of every run, cell by cell, then what the sweep has besides.

        Raises:
            ValueError: an unknown cell, or one that would change a setting given by name.
        """
        for cell in (*self.cells, *self.rate_cells):
            self._keeps(cell)
        runs = [self.settings.cell(cell, seed) for cell in self.cells for seed in self.seeds]
        return list(dict.fromkeys(runs + [s for tried in self.sweep().values() for s in tried]))

    def _keeps(self, cell: str) -> None:
        """Refuse a cell that silently overrides what was asked for."""
        made = self.settings.cell(cell)
        for name in sorted(self.given):
            asked, got = getattr(self.settings, name), getattr(made, name)
            if asked != got:
                advice = (
                    'labels that are "given" come with data made in Python (TokenPairs.chance)'
                    if asked == "given"
                    else f"leave {name} out, or name the cell that has it"
                    if name in DECIDED
                    else f"leave {name} out, or take a cell without that variant"
                )
                raise ValueError(f"{name} is {asked!r}, but cell {cell!r} has {got!r}; {advice}")

    def sweep(self) -> dict[str, list[Settings]]:
        """The settings of each cell at each of the learning rates."""
        first = [replace(self.settings, learning_rate=rate) for rate in self.rates]
        cells = self.rate_cells if first else ()
        return {cell: [s.cell(cell, self.seeds[0]) for s in first] for cell in cells}

    def pairs(self) -> tuple[list[Pair], list[Pair]]:
        """Pairs to train on and pairs held out.

        Raises:
            ValueError: as :func:`hetlib.llm.data.pairs.read_pairs`, or synthetic data without
                numbers of pairs.
        """
        train, held_out = self.train_pairs, self.held_out_pairs
        if self.data == SYNTHETIC:
            if train is None or held_out is None:
                raise ValueError(
                    'data is "synthetic"; train_pairs and held_out_pairs must be given'
                )
            limit, seed = self.settings.limit, self.data_seed
            world = {"added": 1 + self.eos} | dict(self.world)
            return (
                dialogues(train, seed, limit, **world),
                dialogues(held_out, HELD_OUT_SEED + seed, limit, **world),
            )
        if self.held_out_share is None:
            sides = (
                read_pairs(self.data, self.split, self.malformed, train),
                read_pairs(self.data, "test", self.malformed, held_out),
            )
            both_sides(*sides)
            return sides
        everything = read_pairs(self.data, self.split, self.malformed)
        one, other = split_by_prompt(everything, self.held_out_share, self.data_seed)
        return sample(one, train), sample(other, held_out)

    def load(self) -> tuple[TokenPairs, TokenPairs]:
        """Tokens of both, with the model's tokenizer; the small model's is trained on the texts.

        Raises:
            ValueError: as :meth:`pairs`, or no tokenizer.
        """
        train, held_out = self.pairs()
        if self.settings.model == "tiny":
            from hetlib.llm.model.pretrain import train_tokenizer

            texts = (p.prompt + text for p in train for text in (p.first, p.second))
            tokenizer = train_tokenizer(texts, self.settings.vocabulary)
        else:
            from hetlib.llm.model.models import load_tokenizer

            tokenizer = load_tokenizer(self.settings.model)
        cache = Path(self.folder) / "tokens"
        limit = min(self.settings.limit, self.longest or self.settings.limit)
        options = (limit, self.long, cache, self.eos)
        return tokenise(train, tokenizer, *options), tokenise(held_out, tokenizer, *options)
