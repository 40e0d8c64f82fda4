"""Text that grows with a run: metrics.jsonl, evaluations.jsonl and loss.txt.

A checkpoint remembers how long each file was; a resumed run cuts them there, so no line is lost and none is doubled.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from zerosum.core.errors import DamagedError, ZerosumWarning
from zerosum.core.game import role
from zerosum.core.reading import parse_json, read_bytes
from zerosum.core.values import Natural
from zerosum.runs.storage import former
from zerosum.runs.storage.directory import RunDirectory

LARGEST = 1 << 30  # bytes of a log
Say = Callable[[str], None]
SHORT = {"discriminator": "d", "generator": "g"}  # names of losses, as tutorials print them
TIMES = ("seconds", "images_per_second")  # fields of a line that differ between equal runs


class Logs:
    """The growing files of a run.

    Attributes:
        reports: lines of metrics.jsonl.
        evaluations: lines of evaluations.jsonl.
    """

    def __init__(self, run: RunDirectory) -> None:
        self.run = run
        self.files = (run.metrics, run.evaluations, run.losses)
        self._read()

    def _read(self) -> None:
        self.reports, self.evaluations = read_reports(self.run.metrics), read_evaluations(self.run.evaluations)

    def metrics(self, line: dict[str, Any]) -> None:
        """Append one report, or an event."""
        self.reports.append(line)
        self.write(line)

    def write(self, line: dict[str, Any]) -> None:
        """Bring a line that is among the reports into metrics.jsonl."""
        _append(self.run.metrics, json.dumps(line))

    def evaluation(self, line: dict[str, Any]) -> None:
        """Append one metric with its protocol."""
        _append(self.run.evaluations, json.dumps(line))
        self.evaluations.append(line)

    def epoch(self, number: int, epochs: int, losses: dict[str, float]) -> str:
        """Append the mean loss of each role in an epoch, in the tutorial's format; return the line."""
        by_role: dict[str, list[float]] = {}
        for player, loss in losses.items():
            by_role.setdefault(SHORT.get(role(player), role(player)), []).append(loss)
        means = ", ".join(f"loss_{name}: {sum(several) / len(several):.3f}" for name, several in by_role.items())
        line = f"[{number}/{epochs}]: {means}"
        _append(self.run.losses, line)
        return line

    def flush(self) -> dict[str, int]:
        """Bring the files to disk and return how long each is."""
        sizes = {}
        for path in self.files:
            with path.open("ab") as file:
                os.fsync(file.fileno())
                sizes[path.name] = file.tell()
        return sizes

    def cut(self, sizes: dict[str, int]) -> None:
        """Forget every line written after `flush` gave these sizes."""
        for path in self.files:
            with path.open("ab") as file:
                file.truncate(min(sizes.get(path.name, 0), file.tell()))  # a file that lost its end gets no zeros
        self._read()


def _append(path: Path, line: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


class Report(TypedDict):
    """A line of metrics.jsonl; beside these, numbers by name."""

    images: Natural
    epoch: NotRequired[float]
    seconds: NotRequired[float]
    images_per_second: NotRequired[float]
    findings: NotRequired[dict[str, str]]
    ended: NotRequired[str]
    not_finite: NotRequired[str]
    error: NotRequired[str]


class Evaluation(TypedDict):
    """A line of evaluations.jsonl."""

    images: Natural
    metric: str
    value: float
    protocol: dict[str, Any]
    higher_is_better: NotRequired[bool | None]
    spread: NotRequired[float | None]
    floor: NotRequired[float | None]
    baseline: NotRequired[float | None]
    warning: NotRequired[str | None]


def read_reports(path: Path, say: Say | None = None) -> list[dict[str, Any]]:
    """Lines of metrics.jsonl; see `read_lines`."""
    return [former.report(line) for line in read_lines(path, Report, say)]


def read_evaluations(path: Path, say: Say | None = None) -> list[dict[str, Any]]:
    """Lines of evaluations.jsonl; see `read_lines`."""
    return read_lines(path, Evaluation, say)


def read_lines(path: Path, shape: Any, say: Say | None = None) -> list[dict[str, Any]]:
    """Lines of a .jsonl file that are of a shape; of others `say` hears, by default as a warning.

    A last line that a killed process did not finish is left out, and is no fault.
    """
    say = say or (lambda text: warnings.warn(text, ZerosumWarning, stacklevel=4))
    try:
        *lines, unfinished = read_bytes(path, LARGEST).split(b"\n")
    except DamagedError as error:
        say(f"{error}; going on without it")
        return []
    rows, damaged = [], 0
    for line in filter(bytes.strip, lines):
        try:
            rows.append(parse_json(line, shape))
        except DamagedError:
            damaged += 1
    if unfinished:
        with suppress(DamagedError):
            rows.append(parse_json(unfinished, shape))
    if damaged:
        say(f"{path.name}: {damaged:,} of {damaged + len(rows):,} lines are damaged, and left out")
    return rows
