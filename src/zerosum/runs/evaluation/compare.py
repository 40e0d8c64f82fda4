"""Runs side by side: which of them are repeats of one another, what differs between the others, and their numbers.

Runs that differ by their seed alone are one group: a row with means over seeds and 95 % intervals of Student's t.
Numbers stand in one table only where they were measured alike: each protocol has a table of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from zerosum.core.errors import DamagedError, RunError, nearest
from zerosum.runs.evaluation.estimate import entries, write
from zerosum.runs.evaluation.group import Group, names
from zerosum.runs.evaluation.verdict import direction, method
from zerosum.runs.storage.record import At, Column, RunRecord

ARROWS = {True: "↑", False: "↓", None: ""}
FACTS = ("recipe", "data", "state", "images", "machine")  # that all runs may share
FIRST = ("size", "classes", "labels")  # settings that change what is made, or told; they are said first
SAID = ("extractor", "count", "real", "count_real", "size", "weights")  # what `method` says of a protocol
IMPLIED = ("rule", "sha256")  # by the extractor
LONG = 40  # characters of a value in a heading


@dataclass(frozen=True, eq=False)
class Comparison:
    """Groups of runs, in the order in which they were named, and the columns of their numbers."""

    groups: list[Group]
    columns: list[Column]
    left_out: tuple[str, ...] = ()  # a sentence for each run that cannot be read

    @classmethod
    def of(cls, places: Sequence[str | Path], metrics: Sequence[str] = ()) -> Comparison:
        """Read runs and group them; `metrics` chooses columns, by default all.

        Raises:
            RunError: one of the places is no run, none can be read, or no run has such a metric.
        """
        entries, left_out = _read(places)
        by_key: dict[Any, list[RunRecord]] = {}
        data: dict[Any, list[str]] = {}  # the seed chooses what is held out, so only equal seeds tell changed data
        for entry in entries:
            prints = data.setdefault((entry.key, entry.seed), [])
            if entry.fingerprint not in prints:
                prints.append(entry.fingerprint)
            by_key.setdefault((entry.key, prints.index(entry.fingerprint)), []).append(entry)
        groups = [Group(entries) for entries in by_key.values()]
        columns = list(dict.fromkeys(column for group in groups for entry in group.entries for column in entry.series))
        for metric in metrics:
            if metric not in (measured := {column.metric for column in columns}):
                raise RunError(f"--metric {metric}: none of these runs has it; {nearest(metric, measured)}")
        order = list(metrics) or list(dict.fromkeys(column.metric for column in columns))
        chosen = [column for metric in order for column in columns if column.metric == metric]
        return cls(groups, chosen, tuple(left_out))

    @cached_property
    def names(self) -> dict[Group, str]:
        """Name of each group, after its runs."""
        return dict(zip(self.groups, names(self.groups), strict=True))

    # ------------------------------------------------------------------ what differs

    @cached_property
    def differing(self) -> list[str]:
        """Settings that differ: sizes and labels first, then those between groups of one recipe.

        Of parts that differ the names alone, with their sizes and labels.
        """
        keys = list(dict.fromkeys(key for group in self.groups for key in group.first.settings if key != "recipe"))
        unequal = {key for key in keys if len(self._values(key, self.groups)) > 1}
        top = [key for key in keys if key in unequal and (_rank(key) == 0 or not _within(key, unequal))]
        recipes = dict.fromkeys(group.recipe for group in self.groups)
        alike = [[group for group in self.groups if group.recipe == recipe] for recipe in recipes]

        def foreign(key: str) -> bool:
            return all(len(self._values(key, groups)) < 2 for groups in alike)

        return sorted(top, key=lambda key: (_rank(key), foreign(key)))

    @staticmethod
    def _values(key: str, groups: Iterable[Group]) -> set[str]:
        return {json.dumps(group.first.settings.get(key)) for group in groups}

    def differences(self, group: Group) -> dict[str, Any]:
        """Settings in which a group differs from any other."""
        settings = group.first.settings
        return {key: settings[key] for key in self.differing if key in settings}

    @cached_property
    def common(self) -> dict[str, str]:
        """Facts that are the same for all groups."""
        values = {name: {group.fact(name) for group in self.groups} for name in FACTS}
        return {name: same.pop() for name, same in values.items() if len(same) == 1}

    def apart(self, group: Group) -> list[str]:
        """All that tells a group from the others, in words: size and labels, facts, then the other settings."""
        settings = [(key, f"{key}={value}") for key, value in self.differences(group).items()]
        first = [text for key, text in settings if _rank(key) == 0]
        facts = [group.fact(name) for name in FACTS if name not in self.common]
        return [*first, *facts, *(text for key, text in settings if _rank(key))]

    # ------------------------------------------------------------------ numbers

    @cached_property
    def tables(self) -> list[tuple[str, list[Column]]]:
        """Columns that were measured alike, with how that was in words."""
        alike: dict[str, list[Column]] = {}
        for column in self.columns:
            alike.setdefault(column.how, []).append(column)
        protocols = [json.loads(how) for how in alike]
        return [
            (_heading(protocol, protocols), list(columns))
            for protocol, columns in zip(protocols, alike.values(), strict=True)
        ]

    def title(self, column: Column) -> str:
        """Name of a column: the metric, and its part where others of that protocol have the same name."""
        twins = [one for one in self.columns if one.metric == column.metric and one.how == column.how]
        return f"{column.metric} [{json.loads(column.protocol).get('part')}]" if len(twins) > 1 else column.metric

    def better(self, column: Column) -> bool | None:
        """As `direction`, by the newest line of the first run that has the column."""
        lines = next(e.series[column] for group in self.groups for e in group.entries if column in e.series)
        return direction(lines[max(lines)])

    def clocks(self, group: Group) -> tuple[str, str]:
        """Seconds of training and images per second; a word where they cannot be averaged."""
        seconds, speed = group.clock("seconds"), group.clock("speed")
        return write(seconds) if seconds else "machines differ", write(speed) if speed else "machines differ"

    def quantity(self, group: Group, column: Column, at: At) -> str:
        """A number of a group as text; a dash where it has none."""
        estimate = group.estimate(column, at)
        if estimate is None:
            return "-"
        missing = len(estimate.values) < len(group.seeds)
        return f"{write(estimate)} (n={len(estimate.values)})" if missing else write(estimate)

    @property
    def notes(self) -> list[str]:
        """What must be known to read the numbers."""
        notes = [*self.left_out, *(note for group in self.groups for note in group.notes)]
        if len(self.tables) > 1:
            notes.append(f"{len(self.tables)} protocols measured these runs; numbers of two tables do not compare")
        return notes

    def table(self, at: Sequence[At] = ("last", "best")) -> dict[str, Any]:
        """All of it as plain values."""
        return {"groups": [self._row(group, at) for group in self.groups], "notes": self.notes}

    def _row(self, group: Group, at: Sequence[At]) -> dict[str, Any]:
        runs = [
            {name: getattr(entry, name) for name in ("seed", "state", "images", "seconds", "speed")}
            | {"run": str(entry.path)}
            for entry in group.entries
        ]
        return {
            "name": self.names[group],
            "recipe": group.recipe,
            "differs": self.differences(group),
            "data": group.first.data,
            "seeds": group.seeds,
            "runs": runs,
            "hardware": group.hardware,
            "seconds": entries(group.clock("seconds")),
            "images_per_second": entries(group.clock("speed")),
            "metrics": [self._cell(group, column, at) for column in self.columns if column in group.columns],
        }

    def _cell(self, group: Group, column: Column, at: Sequence[At]) -> dict[str, Any]:
        return {
            "metric": column.metric,
            "protocol": json.loads(column.protocol),
            "higher_is_better": self.better(column),
            **{one: entries(group.estimate(column, one)) | {"images": group.reached(column, one)} for one in at},
        }


def _read(places: Sequence[str | Path]) -> tuple[list[RunRecord], list[str]]:
    """The runs, and a sentence for each that cannot be read.

    Raises:
        RunError: a place is no run, or none of them can be read.
    """
    paths = {Path(place).resolve(): place for place in places}  # the same run twice is no second run
    entries, left_out = [], []
    for place in paths.values():
        try:
            entries.append(RunRecord.read(place))
        except DamagedError as error:
            left_out.append(error)
    if left_out and not entries:
        raise left_out[0]
    return entries, [f"{error}; it is left out" for error in left_out]


def _rank(key: str) -> int:
    return 0 if key.rpartition(".")[2] in FIRST else 1


def _within(key: str, others: Iterable[str]) -> bool:
    """True for a field of a part that differs itself."""
    return any(key.startswith(f"{above}.") for above in others)


def _heading(protocol: dict[str, Any], protocols: Sequence[dict[str, Any]]) -> str:
    """A protocol in words, with all that tells it from the others."""
    telling = [
        key for key in protocol if key not in SAID and any(other.get(key) != protocol[key] for other in protocols)
    ]
    if any(other.get("extractor") != protocol.get("extractor") for other in protocols):
        telling = [key for key in telling if key not in IMPLIED]
    return ", ".join(filter(None, [method(protocol), *(f"{key}={_cut(protocol[key])}" for key in telling)]))


def _cut(value: Any) -> str:
    return str(value) if len(str(value)) <= LONG else f"{str(value)[: LONG - 3]}..."
