"""One run as its files tell it, without its recipe's parts: what it was, how far it came, what was measured."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypedDict

from filelock import Timeout

from zerosum.core.errors import DamagedError, RunError, ZerosumError
from zerosum.core.reading import parse_toml, read_bytes, read_json, read_text
from zerosum.core.values import Length
from zerosum.runs.evaluation.verdict import direction, is_number
from zerosum.runs.storage import code, former
from zerosum.runs.storage.containment import is_regular
from zerosum.runs.storage.directory import RunDirectory
from zerosum.runs.storage.logs import read_evaluations, read_reports
from zerosum.runs.storage.place import is_run, no_run

DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RecursionError,
    ZerosumError,
)  # shows as one of these
LEVELS = ("floor", "baseline", "spread", "equal", "floor_spread")
HARDWARE = ("processor", "accelerator", "device", "threads", "torch", "precision")
At = Literal["last", "best"]
_PART = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*:(?=\w+=)")  # a part with fields, as text


Line = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """A metric under one protocol; `protocol` leaves out what a seed changes."""

    metric: str
    protocol: str  # JSON

    @property
    def how(self) -> str:
        """The protocol without the metric's own part: metrics that share it were measured alike."""
        return json.dumps({key: value for key, value in json.loads(self.protocol).items() if key != "part"})


@dataclass(frozen=True, eq=False)
class RunRecord:
    """One run, as its files tell it."""

    path: Path
    settings: dict[str, Any]  # by dotted name, all but the seed; before them size and classes of the data
    seed: int
    environment: dict[str, Any]
    metrics: list[dict[str, Any]]
    evaluations: list[dict[str, Any]]
    state: str  # "finished", "training", "interrupted" or "failed"
    code: str  # sha256 of the user's own files
    faults: tuple[str, ...] = ()  # what is damaged, in sentences

    @classmethod
    def read(cls, path: str | Path) -> RunRecord:
        """Read a run directory; damaged lines of its logs are left out, and said.

        Raises:
            RunError: it is none.
            DamagedError: its recipe.toml or environment.json is damaged.
        """
        run = RunDirectory(path)
        if not is_run(run.path):
            raise RunError(f"{path} is not a run directory: {no_run(run.path)}")
        faults: list[str] = []
        metrics, evaluations = read_reports(run.metrics, faults.append), sound(run, faults)
        try:
            environment = run.environment()
            settings = _made(environment["data"]) | recipe_settings(run)
            seed = int(settings.pop("seed"))
            state = state_of(run, settings, environment, metrics)
        except DAMAGE as error:
            raise DamagedError(f"{path}: recipe.toml or environment.json is damaged ({error})") from error
        files = [file for file in code.files(run.path) if file.is_file()]
        digest = hashlib.sha256(b"\n".join(map(read_bytes, files))).hexdigest()
        return cls(run.path, settings, seed, environment, metrics, evaluations, state, digest, tuple(faults))

    @property
    def images(self) -> int:
        """How far it came, by its log."""
        return max((line["images"] for line in [*self.metrics, *self.evaluations]), default=0)

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of training, with its evaluations and samples."""
        return max((line["seconds"] for line in self.metrics if is_number(line.get("seconds"))), default=0.0)

    @property
    def speed(self) -> float:
        """Images per second of wall-clock; NaN before the first report."""
        return self.images / self.seconds if self.seconds else math.nan

    @property
    def data(self) -> str:
        """What it was trained on, whatever the seed held out."""
        origin = self.environment["data"]
        return f"{Path(origin['source']).name} ({origin['train']:,} training samples)"

    @property
    def fingerprint(self) -> str:
        """Of the data, with what the seed holds out."""
        return str(self.environment["data"]["fingerprint"])

    @property
    def hardware(self) -> dict[str, Any]:
        """What its speed depends on."""
        return {name: self.environment.get(name) for name in HARDWARE}

    @property
    def key(self) -> str:
        """Equal for runs that differ by their seed alone; a run that is not finished is like no other."""
        origin = self.environment["data"]
        data = origin["source"], origin["train"], origin.get("skip_bad")
        identity = self.state if self.state == "finished" else str(self.path.resolve())
        return json.dumps([self.settings, *data, self.environment.get("precision"), self.code, identity])

    @cached_property
    def series(self) -> dict[Column, dict[int, dict[str, Any]]]:
        """Lines of evaluations.jsonl by column and images; of two at once the later counts."""
        curves: dict[Column, dict[int, dict[str, Any]]] = {}
        for line in self.evaluations:
            column = Column(line["metric"], json.dumps(self._protocol(line), sort_keys=True))
            curves.setdefault(column, {})[line["images"]] = line
        return curves

    def _protocol(self, line: dict[str, Any]) -> dict[str, Any]:
        """The protocol without the seed; the run's own data by their name, as the seed chooses what is held out."""
        protocol = {name: value for name, value in line["protocol"].items() if name != "seed"}
        if protocol.get("data") == self.fingerprint:
            protocol["data"] = self.data
        return protocol

    def at(self, column: Column, at: At) -> tuple[int, float] | None:
        """Images and value where a metric stands, or where it was best; None where that means nothing."""
        lines = self.series.get(column, {})
        if not lines:
            return None
        points = [(images, float(line["value"])) for images, line in sorted(lines.items())]
        if at == "last":
            return points[-1]
        better, points = direction(lines[points[-1][0]]), [point for point in points if math.isfinite(point[1])]
        if better is None or not points:
            return None
        return (max if better else min)(points, key=lambda point: point[1])


def state_of(run: RunDirectory, settings: dict[str, Any], environment: dict[str, Any], metrics: list[Any]) -> str:
    """Whether a training is over: "finished", "training", "interrupted", or "failed" by an error or a loss."""
    if _held(run):
        return "training"
    length = Length.read(str(settings["length"]))
    total, latest = length.samples(environment["data"]["train"]), run.pointed("latest")
    if any("ended" in line for line in metrics[-2:]):  # by a rule of the recipe
        return "finished"
    if metrics and ("not_finite" in metrics[-1] or "error" in metrics[-1]):
        return "failed"
    reached, target = (_seconds(run, latest), length.amount) if total is None else (int(latest or 0), total)
    return "finished" if reached >= target else "interrupted"


def _seconds(run: RunDirectory, latest: str | None) -> float:
    """Seconds of training at the latest checkpoint; 0 before the first."""
    file = run.checkpoints / (latest or "") / "manifest.json"
    return float(read_json(file, Sealed)["manifest"]["seconds"]) if latest and file.is_file() else 0.0


class Clock(TypedDict):
    """What is read of a manifest here."""

    seconds: float


class Sealed(TypedDict):
    """A manifest with its checksum."""

    manifest: Clock


def _held(run: RunDirectory) -> bool:
    """True where another process writes."""
    if not is_regular(run.path / ".lock"):  # a link might lead to a file of the user's, which a lock would empty
        return False
    try:
        run.lock.acquire()
    except Timeout:
        return True
    except OSError:  # a run that may not be written has no writer
        return False
    run.lock.release()
    return False


def recipe_settings(run: RunDirectory) -> Line:
    """Settings of recipe.toml by dotted name, without a look at the parts that they name."""
    return {former.setting(name): value for name, value in flat(parse_toml(read_text(run.path / "recipe.toml")))}


def _made(data: Line) -> Line:
    """Size and classes of the samples, where they were noted; and a KeyError where the data were not."""
    facts = data.get("facts", {})
    Path(data["source"]), int(data["train"]), str(data["fingerprint"])
    shape = {"size": "x".join(map(str, facts["shape"]))} if facts.get("shape") else {}
    return shape | ({"classes": facts["classes"]} if facts.get("classes") else {})


def sound(run: RunDirectory, faults: list[str]) -> list[Line]:
    """Evaluations of a run without damaged lines, which is said, and without levels that are not numbers."""
    lines = read_evaluations(run.evaluations, faults.append)
    return [{key: value for key, value in one.items() if key not in LEVELS or is_number(value)} for one in lines]


def flat(table: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Settings of a recipe's table by dotted name; the fields of a part follow its name: `objective.real_target`."""
    for name, value in table.items():
        key = f"{path}{name}"
        if isinstance(value, dict):
            yield from flat(value, "" if key == "game" else f"{key}.")
        elif isinstance(value, list):
            yield key, "+".join(str(one).partition(":")[0] for one in value) or "none"
            yield from (row for one in map(str, value) for row in _fields(f"{key}.{one.partition(':')[0]}", one))
        elif isinstance(value, str) and _PART.match(value):
            yield key, value.partition(":")[0]
            yield from _fields(key, value)
        else:
            yield key, value if isinstance(value, (str, int, float)) else str(value)  # a date is no setting


def _fields(key: str, text: str) -> Iterator[tuple[str, str]]:
    for word in text.partition(":")[2].split(","):
        field, equals, value = word.partition("=")
        if equals:
            yield f"{key}.{field}", value
