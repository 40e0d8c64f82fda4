"""Runs that are repeats of one another: they differ by their seed alone, and count as one."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zerosum.runs.evaluation.estimate import Estimate
from zerosum.runs.storage.record import At, Column, RunRecord

STATES = {"training": "still training", "interrupted": "interrupted", "failed": "ended by an error"}


@dataclass(frozen=True, eq=False)
class Group:
    """Runs that differ by their seed alone."""

    entries: list[RunRecord]

    @property
    def first(self) -> RunRecord:
        """Whose settings are those of all."""
        return self.entries[0]

    @property
    def recipe(self) -> str:
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
        points = [(entry.seed, entry.at(column, at)) for entry in self.entries]
        return Estimate.of((seed, point[1]) for seed, point in points if point is not None)

    def reached(self, column: Column, at: At) -> list[int]:
        """Images at which a metric was taken, by run."""
        points = [entry.at(column, at) for entry in self.entries]
        return [point[0] for point in points if point is not None]

    def clock(self, name: str) -> Estimate | None:
        """`seconds` or `speed` over seeds; None where the machines differ."""
        if len(self.hardware) > 1:
            return None
        return Estimate.of((entry.seed, getattr(entry, name)) for entry in self.entries)

    def fact(self, name: str) -> str:
        """A fact about it: its recipe, data, machine, seeds, images or state."""
        return {
            "recipe": self.recipe,
            "data": self.first.data,
            "machine": " and ".join(map(machine, self.hardware)),
            "seeds": f"{' '.join(map(str, self.seeds))} (n={len(self.seeds)})",
            "images": f"{self.images} images",
            "state": self.first.state,
        }[name]

    @property
    def notes(self) -> Iterator[str]:
        """What must be known to read its numbers."""
        for entry in self.entries:
            yield from (f"{entry.path}: {fault}" for fault in entry.faults)
            if not entry.evaluations:
                yield f"{entry.path}: nothing was measured yet, or its evaluations are lost"
            if entry.state != "finished":
                length = f"{entry.images:,} images of {entry.settings['length']}"
                yield f"{entry.path} is {STATES[entry.state]}: {length}; it stands alone"
        seeds = [entry.seed for entry in self.entries]
        for seed in self.seeds:
            if seeds.count(seed) > 1:
                yield f"{self.recipe}: seed {seed} comes {seeds.count(seed)} times; n counts seeds, not runs"
        if len(self.hardware) > 1:
            yield f"{self.recipe}: trained on {len(self.hardware)} different machines; seconds are not averaged"


def names(groups: Sequence[Group]) -> list[str]:
    """A name for each: the end of its path that no other run shares; of several runs what their names begin with."""
    paths = [entry.path.resolve() for group in groups for entry in group.entries]
    given: list[str] = []
    for group in groups:
        parts = [_short(entry.path.resolve(), paths) for entry in group.entries]
        shared = "".join(
            alike[0] for alike in itertools.takewhile(lambda at: len(set(at)) == 1, zip(*parts, strict=False))
        )
        shared = shared.rstrip("-_. ")
        name = (
            parts[0]
            if len(parts) == 1
            else f"{shared}*"
            if len(shared) > 1
            else f"{parts[0]} and {len(parts) - 1} more"
        )
        twins = given.count(name)
        given.append(f"{name} ({twins + 1})" if twins else name)
    return given


def _short(path: Path, others: Sequence[Path]) -> str:
    """The fewest last parts of a path that tell it from all others."""
    for count in range(1, len(path.parts) + 1):
        end = path.parts[-count:]
        if sum(other.parts[-count:] == end for other in others) == 1:
            return str(Path(*end))
    return str(path)


def machine(hardware: dict[str, Any]) -> str:
    """A machine in words."""
    name = hardware["accelerator"] or hardware["processor"]
    threads = "1 thread" if hardware["threads"] == 1 else f"{hardware['threads']} threads"
    return f"{name}, {threads}, {hardware['precision']}, torch {hardware['torch']}"
