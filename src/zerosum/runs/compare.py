"""Runs side by side: which of them are repeats of one another, what differs between the others, and their numbers.

Runs that differ by their seed alone are one group: a row with means over seeds and 95 % intervals of Student's t.
Numbers are taken together only where they were measured alike: a metric under two protocols is two columns.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from zerosum.core.errors import RunError, nearest
from zerosum.runs.entry import At, Column, Entry
from zerosum.runs.verdict import direction

STATES = {"training": "still training", "interrupted": "interrupted", "failed": "stopped by a loss that is not finite"}
ARROWS = {True: "↑", False: "↓", None: ""}


@dataclass(frozen=True)
class Estimate:
    """A number over seeds."""

    mean: float
    half_width: float | None  # of the 95 % interval; None with one seed
    values: dict[int, float]  # by seed

    @classmethod
    def of(cls, found: Iterable[tuple[int, float]]) -> Estimate | None:
        """From pairs of seed and value; several of one seed are no further evidence, and count as their mean."""
        by_seed: dict[int, list[float]] = {}
        for seed, value in found:
            by_seed.setdefault(seed, []).append(value)
        values = {seed: fmean(several) for seed, several in sorted(by_seed.items())}
        if not values:
            return None
        finite = all(map(math.isfinite, values.values()))
        return cls(fmean(values.values()) if finite else math.nan, half_width(list(values.values())), values)

    @property
    def low(self) -> float:
        """Lower end of the interval; the mean with one seed."""
        return self.mean - (self.half_width or 0.0)

    @property
    def high(self) -> float:
        """Upper end of the interval; the mean with one seed."""
        return self.mean + (self.half_width or 0.0)


def half_width(values: Sequence[float]) -> float | None:
    """Half the width of the 95 % interval for the mean: t(0.975, n - 1) * s / sqrt(n); None for a single value."""
    if len(values) < 2:
        return None
    if not all(map(math.isfinite, values)):
        return math.nan
    from scipy.special import stdtrit  # type: ignore[import-untyped]  # comes with scikit-learn

    return float(stdtrit(len(values) - 1, 0.975)) * stdev(values) / math.sqrt(len(values))


@dataclass(frozen=True, eq=False)
class Group:
    """Runs that differ by their seed alone."""

    entries: list[Entry]

    @property
    def first(self) -> Entry:
        """Whose settings are those of all."""
        return self.entries[0]

    @property
    def name(self) -> str:
        """The recipe that it started from."""
        return str(self.first.settings.get("recipe", "custom"))

    @property
    def seeds(self) -> list[int]:
        """Seeds, each once."""
        return sorted({entry.seed for entry in self.entries})

    @property
    def columns(self) -> set[Column]:
        """What any of its runs has."""
        return {column for entry in self.entries for column in entry.series}

    @property
    def images(self) -> str:
        """How far the runs came."""
        reached = sorted({entry.images for entry in self.entries})
        return f"{reached[0]:,}" if len(reached) == 1 else f"{reached[0]:,} to {reached[-1]:,}"

    @property
    def hardware(self) -> list[dict[str, Any]]:
        """Machines that the runs were trained on, each once."""
        return list({json.dumps(entry.hardware): entry.hardware for entry in self.entries}.values())

    def estimate(self, column: Column, at: At) -> Estimate | None:
        """A metric over seeds; None where no run has it."""
        found = [(entry.seed, entry.at(column, at)) for entry in self.entries]
        return Estimate.of((seed, point[1]) for seed, point in found if point is not None)

    def reached(self, column: Column, at: At) -> list[int]:
        """Images at which a metric was taken, by run."""
        points = [entry.at(column, at) for entry in self.entries]
        return [point[0] for point in points if point is not None]

    def clock(self, name: str) -> Estimate | None:
        """`seconds` or `speed` over seeds; None where the machines differ."""
        if len(self.hardware) > 1:
            return None
        return Estimate.of((entry.seed, getattr(entry, name)) for entry in self.entries)

    @property
    def notes(self) -> Iterator[str]:
        """What must be known to read its numbers."""
        for entry in self.entries:
            if entry.state != "finished":
                whole = f"{entry.images:,} images of {entry.settings['length']}"
                yield f"{entry.path} is {STATES[entry.state]}: {whole}; it stands alone"
        seeds = [entry.seed for entry in self.entries]
        for seed in self.seeds:
            if seeds.count(seed) > 1:
                yield f"{self.name}: seed {seed} comes {seeds.count(seed)} times; n counts seeds, not runs"
        if len(self.hardware) > 1:
            yield f"{self.name}: trained on {len(self.hardware)} different machines; seconds are not averaged"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Groups of runs, in the order in which they were named, and the columns of their numbers."""

    groups: list[Group]
    columns: list[Column]

    @classmethod
    def of(cls, places: Sequence[str | Path], metrics: Sequence[str] = ()) -> Comparison:
        """Read runs and group them; `metrics` chooses columns, by default all.

        Raises:
            RunError: one of the places is no run, or no run has such a metric.
        """
        paths = {Path(place).resolve(): place for place in places}  # the same run twice is no second run
        by_key: dict[Any, list[Entry]] = {}
        data: dict[Any, list[str]] = {}  # the seed chooses what is held out, so only equal seeds tell changed data
        for entry in map(Entry.read, paths.values()):
            known = data.setdefault((entry.key, entry.seed), [])
            if entry.fingerprint not in known:
                known.append(entry.fingerprint)
            by_key.setdefault((entry.key, known.index(entry.fingerprint)), []).append(entry)
        groups = [Group(entries) for entries in by_key.values()]
        found = list(dict.fromkeys(column for group in groups for entry in group.entries for column in entry.series))
        for metric in metrics:
            if metric not in (measured := {column.metric for column in found}):
                raise RunError(f"--metric {metric}: none of these runs has it; {nearest(metric, measured)}")
        order = list(metrics) or list(dict.fromkeys(column.metric for column in found))
        return cls(groups, [column for metric in order for column in found if column.metric == metric])

    @cached_property
    def differing(self) -> list[str]:
        """Settings that differ, first those between groups of one recipe; of parts that differ the names alone."""
        keys = list(dict.fromkeys(key for group in self.groups for key in group.first.settings if key != "recipe"))
        found = {key for key in keys if len(self._values(key, self.groups)) > 1}
        top = [key for key in keys if key in found and not any(key.startswith(f"{above}.") for above in found)]
        names = dict.fromkeys(group.name for group in self.groups)
        alike = [[group for group in self.groups if group.name == name] for name in names]
        return sorted(top, key=lambda key: all(len(self._values(key, groups)) < 2 for groups in alike))

    @staticmethod
    def _values(key: str, groups: Iterable[Group]) -> set[str]:
        return {json.dumps(group.first.settings.get(key)) for group in groups}

    def differences(self, group: Group) -> dict[str, Any]:
        """Settings in which a group differs from any other."""
        settings = group.first.settings
        return {key: settings[key] for key in self.differing if key in settings}

    def title(self, column: Column) -> str:
        """Name of a column: the metric, and what tells its protocol from others of that metric."""
        others = [json.loads(one.protocol) for one in self.columns if one.metric == column.metric]
        own = json.loads(column.protocol)
        telling = [key for key in own if any(other.get(key) != own[key] for other in others)]
        if "extractor" in telling:  # which says these too
            telling = [key for key in telling if key not in ("rule", "sha256")]
        return f"{column.metric} [{', '.join(f'{key}={own[key]}' for key in telling)}]" if telling else column.metric

    def better(self, column: Column) -> bool | None:
        """As `direction`, by the newest line of the first run that has the column."""
        lines = next(e.series[column] for group in self.groups for e in group.entries if column in e.series)
        return direction(lines[max(lines)])

    # ------------------------------------------------------------------ as text

    def fact(self, group: Group, name: str) -> str:
        """A fact about a group: its recipe, data, machine, seeds, images or state."""
        return {
            "recipe": group.name,
            "data": group.first.data,
            "machine": " and ".join(map(machine, group.hardware)),
            "seeds": f"{' '.join(map(str, group.seeds))} (n={len(group.seeds)})",
            "images": group.images,
            "state": group.first.state,
        }[name]

    @cached_property
    def common(self) -> dict[str, str]:
        """Facts that are the same for all groups."""
        names = ("data", "machine", "state", "images")
        found = {name: {self.fact(group, name) for group in self.groups} for name in names}
        same = {name: values.pop() for name, values in found.items() if len(values) == 1}
        return {name: f"{value} images" if name == "images" else value for name, value in same.items()}

    @property
    def facts(self) -> list[str]:
        """Names of the facts that a row has to say: those that differ, and what tells the groups apart."""
        apart = [name for name in ("data", "machine", "state", "images") if name not in self.common]
        return ["recipe", *(["settings"] if self.differing else []), *apart, "seeds"]

    def clocks(self, group: Group) -> tuple[str, str]:
        """Seconds of training and images per second; a word where they cannot be averaged."""
        seconds, speed = group.clock("seconds"), group.clock("speed")
        return write(seconds) if seconds else "machines differ", write(speed) if speed else "machines differ"

    def quantity(self, group: Group, column: Column, at: At) -> str:
        """A number of a group as text; a dash where it has none."""
        found = group.estimate(column, at)
        if found is None:
            return "-"
        missing = len(found.values) < len(group.seeds)
        return f"{write(found)} (n={len(found.values)})" if missing else write(found)

    @property
    def notes(self) -> list[str]:
        """What must be known to read the numbers."""
        found = [note for group in self.groups for note in group.notes]
        for metric in dict.fromkeys(column.metric for column in self.columns):
            same = [self.title(column) for column in self.columns if column.metric == metric]
            if len(same) > 1:
                apart = "; ".join(same)
                found.append(f"{metric} was measured by {len(same)} protocols, so its numbers stand apart: {apart}")
        return found

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
            "recipe": group.name,
            "differs": self.differences(group),
            "data": group.first.data,
            "seeds": group.seeds,
            "runs": runs,
            "hardware": group.hardware,
            "seconds": plain(group.clock("seconds")),
            "images_per_second": plain(group.clock("speed")),
            "metrics": [self._cell(group, column, at) for column in self.columns if column in group.columns],
        }

    def _cell(self, group: Group, column: Column, at: Sequence[At]) -> dict[str, Any]:
        return {
            "metric": column.metric,
            "protocol": json.loads(column.protocol),
            "higher_is_better": self.better(column),
            **{one: plain(group.estimate(column, one)) | {"images": group.reached(column, one)} for one in at},
        }


def plain(estimate: Estimate | None) -> dict[str, Any]:
    """An estimate as plain values; nothing for none."""
    return {} if estimate is None else {**asdict(estimate), "n": len(estimate.values)}


def write(estimate: Estimate) -> str:
    """An estimate as text: to two digits of its half width, or to four digits of its own."""
    half = estimate.half_width
    if half is None or not math.isfinite(half):
        return f"{estimate.mean:,.0f}" if abs(estimate.mean) >= 1000 else f"{estimate.mean:.4g}"
    places = 4 if half == 0 else max(0, 1 - math.floor(math.log10(half)))
    return f"{estimate.mean:,.{places}f} ± {half:,.{places}f}"


def machine(hardware: dict[str, Any]) -> str:
    """A machine in words."""
    name = hardware["accelerator"] or hardware["processor"]
    threads = "1 thread" if hardware["threads"] == 1 else f"{hardware['threads']} threads"
    return f"{name}, {threads}, {hardware['precision']}, torch {hardware['torch']}"
