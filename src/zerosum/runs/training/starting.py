"""Weights that a training starts with: those of another run, or of a model file. `zerosum train --from`."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zerosum.core.engine import Engine
from zerosum.core.errors import DamagedError, RunError
from zerosum.core.signals import Signals, build
from zerosum.data.classes import listed
from zerosum.recipes import Recipe
from zerosum.runs.storage import checkpoint, code, model, remains
from zerosum.runs.storage.directory import RunDirectory
from zerosum.runs.storage.place import is_run, no_run
from zerosum.runs.storage.saved import in_run, load_model

NAMED = 4  # tensors that begin anew, of a player, are named
Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Start:
    """Weights by player, and where they are from."""

    path: Path
    sha256: str  # of a checkpoint's manifest, which holds those of its files; or of the model file
    images: int  # that these weights were trained on
    weights: dict[str, Tensors]
    averages: dict[str, Tensors] = field(default_factory=dict)
    classes: tuple[str, ...] = ()  # that they were trained on; empty also where that is not known

    def record(self) -> dict[str, Any]:
        """What a new run remembers of it."""
        return {"path": str(self.path.absolute()), "sha256": self.sha256, "images": self.images}

    def recipe(self, warn: Callable[[str], None]) -> Recipe:
        """The recipe that these weights were trained by; `warn` hears of Python files of the run that may not run.

        Raises:
            RecipeError: it needs parts that are not loaded.
        """
        run = _run_of(self.path)
        if run is None:
            return load_model(self.path, whole=True).recipe
        code.load(self.path)
        recipe = run.recipe()
        if reason := code.withheld(self.path):
            warn(reason)
        return recipe

    def data(self) -> dict[str, Any] | None:
        """Where the data were that they were trained on, as a run remembers it; None where that is not known."""
        run = _run_of(self.path)
        return None if run is None else run.environment()["data"]

    def plan(self, recipe: Recipe, signals: Signals, classes: Sequence[str]) -> str:
        """What a new training on data of these classes takes, and what begins anew, in words.

        Raises:
            RunError: no matrix or kernel fits, so there is nothing to start from.
        """
        lines, fits = [], False
        players = recipe.game.players()
        for name, wiring in recipe.game.networks(signals).items():
            with torch.device("meta"):
                tensors = build(players[wiring.players[0]].network, wiring).state_dict()
            matching, anew = _match(tensors, self.weights.get(name, {}))
            widest = max((one.dim() for one in tensors.values()), default=0)
            fits |= any(tensors[key].dim() >= min(2, widest) for key in matching)
            lines.append(_line(name, matching, anew, self.path, known=name in self.weights))
        if not fits:
            raise RunError(
                f"--from {self.path}: none of its weights fit this recipe on these data:\n  "
                + "\n  ".join(lines)
                + "\nchoose its recipe, size and channels, or start without --from"
            )
        traits = {trait for player in recipe.game.players().values() for trait in player.network.traits()}
        if self.classes and traits & {"labels", "classifier"} and self.classes != tuple(classes):
            theirs, ours = listed(self.classes), listed(classes)
            lines.append(f"the classes differ, and weights belong to their numbers: there {theirs}, here {ours}")
        told = "\n  ".join(lines)
        return f"starting from {self.path} at {self.images:,} images; optimizers and the clock begin anew\n  {told}"

    @torch.no_grad()
    def take(self, engine: Engine) -> None:
        """Put the weights into an engine before its first turn, as `plan` says."""
        for name, live in engine.modules.items():
            weights = self.weights.get(name, {})
            average = engine.averages.get(name)
            for module, source in ((live, weights), (average, self.averages.get(name, weights))):
                if module is not None:
                    tensors = module.state_dict()
                    module.load_state_dict({**tensors, **{key: source[key] for key in _match(tensors, source)[0]}})


def _run_of(path: Path) -> RunDirectory | None:
    """The run that a place is, or lies in."""
    folder = path if path.is_dir() else path.parent
    return RunDirectory(folder) if is_run(folder) else None


def _match(tensors: Tensors, source: Tensors) -> tuple[list[str], list[str]]:
    """Names of tensors that fit by name and shape; and of the others, with their shapes."""
    matching = [key for key, value in tensors.items() if key in source and source[key].shape == value.shape]
    anew = [f"{key} {_shapes(tensors[key], source.get(key))}" for key in tensors if key not in matching]
    return matching, anew


def _shapes(tensors: Tensor, other: Tensor | None) -> str:
    return f"{list(tensors.shape)}" + ("" if other is None else f" (there {list(other.shape)})")


def _line(name: str, matching: Sequence[str], anew: Sequence[str], path: Path, *, known: bool) -> str:
    if not known:
        return f"{name} begins anew: {path} holds none"
    if not anew:
        return f"{name}: all {len(matching)} tensors"
    more = f" and {len(anew) - NAMED} more" if len(anew) > NAMED else ""
    return f"{name}: {len(matching)} of {len(matching) + len(anew)} tensors; anew: {', '.join(anew[:NAMED])}{more}"


def find_start(place: str | Path, warn: Callable[[str], None], *, trust: bool = False) -> Start:
    """Read the newest whole checkpoint of a run, or a model file; with `trust` run the Python files beside it.

    Raises:
        RunError: there is none, or it is damaged.
        RecipeError: one of these Python files fails.
    """
    path = Path(place)
    if is_run(path):
        run = RunDirectory(path)
        if trust:
            code.load(path, trust=True)
        saved = newest(run, warn)
        if saved is None:
            raise RunError(f"--from {place}: this run has no checkpoint yet")
        manifest = (run.checkpoints / saved.name / "manifest.json").read_bytes()
        weights, averages = (dict(_groups(saved.tensors, kind)) for kind in ("weights", "average"))
        digest = hashlib.sha256(manifest).hexdigest()
        return Start(path, digest, int(saved.name), weights, averages, _classes(run))
    if not path.exists():
        raise RunError(f"--from {place}: there is no such run or model file")
    if path.is_dir():
        raise RunError(f"--from {place} is neither a run directory nor a model file: {no_run(path)}")
    trained = load_model(path, trust=trust)
    weights = {name: network.state_dict() for name, network in trained.model.networks.items()}
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Start(path, digest, trained.images, weights, classes=trained.classes)


def newest(run: RunDirectory, warn: Callable[[str], None]) -> checkpoint.Checkpoint | None:
    """The newest checkpoint of a run that is whole; damaged ones are named to `warn`. None if there is none at all.

    Raises:
        DamagedError: all are damaged; the message says what is left.
    """
    try:
        return checkpoint.load_latest(run.checkpoints, warn)
    except DamagedError as error:
        raise DamagedError(f"{error}; {without_checkpoints(run)}") from error


def without_checkpoints(run: RunDirectory) -> str:
    """What to do with a run that has no checkpoint to go on from."""
    for file in (in_run(run.path), run.best_model):
        if remains.is_whole(file):
            return f"{file} can still make samples, or {offer(file)}"
    return "start the training again"


def _classes(run: RunDirectory) -> tuple[str, ...]:
    """Names of the classes of a run, by its model file; empty where that is missing or damaged."""
    try:
        return tuple(model.read(in_run(run.path))[0]["classes"])
    except RunError:
        return ()


def _groups(tensors: checkpoint.Groups, kind: str) -> Iterator[tuple[str, Tensors]]:
    for name, group in tensors.items():
        if name.endswith(f".{kind}"):
            yield name.removesuffix(f".{kind}"), group


def offer(run: Path, *words: str, data: str | Path | None = None, images: str | int | None = None) -> str:
    """What to do where a run cannot be resumed as asked: the command that starts a new one with its weights."""
    parts = ["zerosum", "train", *([] if data is None else [str(data)]), "--from", str(run), *words]
    parts += [] if images is None else ["--images", str(images)]
    for file in code.files(run):
        parts += ["--use", str(file)]
    return f"start a new run with its weights: {shlex.join(parts)}"
