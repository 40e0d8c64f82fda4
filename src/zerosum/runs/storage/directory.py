"""The directory that a training writes: where each file is, who may write, and how it comes into being.

recipe.toml           complete: every default spelt out
environment.json      versions, hardware, where the data came from and their fingerprint
metrics.jsonl         one object per report
evaluations.jsonl     every metric with its protocol
loss.txt              one line per epoch
samples/real.png      real samples, for comparison
samples/000050000.png fixed latents, named by the clock
checkpoints/          000050000/ each; `latest` and `best` beside it hold names
model.safetensors averaged weights with all that using them needs
best.safetensors      the same, as it was at the best checkpoint
report.html           one file that opens offline
code/                 copies of the user's own files
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict, cast

from filelock import FileLock, Timeout

from zerosum.core import settings
from zerosum.core.errors import DamagedError, RecipeError, RunError, ZerosumWarning, shown
from zerosum.core.reading import read_json, read_text
from zerosum.core.values import Count, Natural, Range
from zerosum.core.writing import write_file
from zerosum.recipes import Recipe
from zerosum.runs.storage import checkpoint, code
from zerosum.runs.storage.containment import check_contained
from zerosum.runs.storage.place import is_run, no_run, resume_command


class Facts(TypedDict):
    """What is known of the data."""

    shape: NotRequired[list[Count]]
    classes: NotRequired[Natural]
    looked_at: NotRequired[Natural]
    distinct: NotRequired[Natural]
    spread: NotRequired[float]


class Origin(TypedDict):
    """Where the data came from."""

    source: str
    root: NotRequired[str | None]
    skip_bad: bool
    rules: NotRequired[Natural]
    fingerprint: str
    train: Count
    facts: NotRequired[Facts]


class Beginning(TypedDict):
    """Where a run took its first weights from."""

    path: str
    sha256: str
    images: Natural


_Begun = TypedDict("_Begun", {"from": NotRequired[Beginning]})  # a word of Python's, so no attribute


class Environment(_Begun):
    """What environment.json must say; versions and hardware beside it are texts and numbers."""

    threads: Annotated[int, Range(1, 4096)]
    ranks: NotRequired[Annotated[int, Range(1, 4096)]]
    device: str
    precision: Literal["fp32", "bf16"]
    processor: NotRequired[str | None]
    accelerator: NotRequired[str | None]
    torch: NotRequired[str | None]
    measured: NotRequired[dict[str, Any] | None]
    decisions: NotRequired[list[str]]
    continuations: NotRequired[list[dict[str, Any]]]
    data: Origin


FILES = (  # that a training writes at the top
    *("recipe.toml", "environment.json", "metrics.jsonl", "evaluations.jsonl", "loss.txt", "latest", "best"),
    *("model.safetensors", "generator.safetensors", "best.safetensors", "report.html", ".lock", ".holder"),
)
INTACT = "`zerosum sample`, `report` and `doctor` work without it"


class RunDirectory:
    """Paths of a run."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.samples = self.path / "samples"
        self.real = self.samples / "real.png"
        self.metrics = self.path / "metrics.jsonl"
        self.evaluations = self.path / "evaluations.jsonl"
        self.losses = self.path / "loss.txt"
        self.model = self.path / "model.safetensors"
        self.best_model = self.path / "best.safetensors"
        self.report = self.path / "report.html"
        self.lock = FileLock(self.path / ".lock", timeout=0)
        self.holder = self.path / ".holder"

    @classmethod
    def create(
        cls, path: str | Path, recipe: Recipe, environment: dict[str, Any], files: Sequence[str | Path]
    ) -> RunDirectory:
        """Make a new run directory, whole or not at all.

        Raises:
            RunError: something is there already (`refuse_existing`).
            OSError: the place cannot be written.
        """
        path = Path(path)
        refuse_existing(path)
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            (aside / "samples").mkdir(parents=True)
            (aside / "checkpoints").mkdir()
            (aside / "recipe.toml").write_text(settings.to_toml(recipe), encoding="utf-8")
            (aside / "environment.json").write_text(json.dumps(environment, indent=1), encoding="utf-8")
            for name in ("metrics.jsonl", "evaluations.jsonl", "loss.txt"):
                (aside / name).touch()
            code.keep(aside, files)
            if path.exists():
                path.rmdir()
            aside.rename(path)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        return cls(path)

    @classmethod
    def open(cls, path: str | Path) -> RunDirectory:
        """Open an existing run directory; the user's files it keeps are not run by that.

        Raises:
            RunError: it is not a run directory.
        """
        if not is_run(Path(path)):
            raise RunError(f"{path} is not a run directory: {no_run(Path(path))}")
        return cls(path)

    def hold(self) -> None:
        """Keep other processes from writing here until this one ends.

        Raises:
            RunError: another process writes here, or a link leads out of it, or the like (`check_contained`).
            OSError: the place cannot be written.
        """
        files = [*(self.path / name for name in FILES), self.real, *self.pictures().values()]
        check_contained(self.path, files, (self.samples, self.checkpoints))
        try:
            self.lock.acquire()
        except Timeout:
            raise RunError(
                f"{self.path} is in use by another training{self._holder()}; wait until it ends, or stop it by Ctrl-C "
                "or SIGTERM, at which it saves everything"
            ) from None
        try:
            self.holder.write_text(f"pid {os.getpid()} on {platform.node()}", encoding="utf-8")
        except OSError:
            self.lock.release()
            raise

    def _holder(self) -> str:
        """Which process holds the run, in brackets; empty where it has not said so."""
        try:
            holder = read_text(self.holder, 1_000)
        except DamagedError:
            return ""
        return f" ({holder})" if re.fullmatch(r"pid \d+ on [\w.-]*", holder) else ""

    def release(self) -> None:
        """Let others write again."""
        if self.lock.is_locked:
            self.holder.unlink(missing_ok=True)
        self.lock.release()

    def recipe(self, *, partly: bool = False) -> Recipe:
        """Read the recipe; with `partly` also where parts of it are not loaded.

        Raises:
            RecipeError: recipe.toml is damaged, or needs parts that are not loaded.
        """
        path = self.path / "recipe.toml"
        try:
            return settings.from_toml(Recipe, read_text(path), partly=partly)
        except DamagedError as error:
            raise RecipeError(f"{error}; {INTACT}") from error
        except RecipeError as error:
            reason = code.withheld(self.path)
            raise RecipeError([*(f"{path}: {fault}" for fault in error.faults), reason or INTACT]) from error

    def write_recipe(self, recipe: Recipe) -> None:
        """Replace the recipe."""
        write_file(self.path / "recipe.toml", settings.to_toml(recipe).encode())

    def environment(self) -> dict[str, Any]:
        """Read versions, hardware and the origin of the data.

        Raises:
            DamagedError: it is missing, or not what a training writes.
        """
        try:
            return cast("dict[str, Any]", read_json(self.path / "environment.json", Environment))
        except DamagedError as error:
            raise DamagedError(f"{error}; {INTACT}") from error

    def write_environment(self, environment: dict[str, Any]) -> None:
        """Replace what is known of the machine and the origin of the data."""
        write_file(self.path / "environment.json", json.dumps(environment, indent=1).encode())

    def picture(self, images: int) -> Path:
        """Where samples are drawn at a clock."""
        return self.samples / f"{images:09d}.png"

    def pictures(self) -> dict[int, Path]:
        """Drawn samples by the clock, in its order."""
        numbered = ((int(path.stem), path) for path in self.samples.glob("*.png") if path.stem.isdecimal())
        return dict(sorted(numbered))

    def point(self, name: str, saved: str) -> None:
        """Let `latest` or `best` name a checkpoint."""
        write_file(self.path / name, f"{saved}\n".encode())

    def pointed(self, name: str) -> str | None:
        """Checkpoint that `latest` or `best` names; None without such a file, or where it is damaged: a warning."""
        file = self.path / name
        if not file.exists():
            return None
        try:
            text = read_text(file, 1_000).strip()
            if not re.fullmatch(checkpoint.NAME, text):
                raise DamagedError(f"{file} is damaged: {shown(text)} is not the name of a checkpoint")
        except DamagedError as error:
            warnings.warn(f"{error}; going on without it", ZerosumWarning, stacklevel=2)
            return None
        return text


def refuse_existing(path: Path) -> None:
    """Let a new run take a place only where there is nothing.

    Raises:
        RunError: there is a run, a file, or a folder that is not empty.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        hint = f"; continue it with: {resume_command(path)}, or" if is_run(path) else " and is not a run;"
        raise RunError(f"{path} exists{hint} choose another place with --out")


def free_name(data: str, recipe: str, root: str | Path = "runs") -> Path:
    """First path `runs/DATA-RECIPE`, `-2`, `-3`, ... that does not exist."""
    stem = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in Path(data).name or "data")
    path, number = Path(root) / f"{stem}-{recipe}", 1
    while path.exists():
        number += 1
        path = Path(root) / f"{stem}-{recipe}-{number}"
    return path
