"""Model files: one holds a trained model, and is enough to use it."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from pathlib import Path

from zerosum.core import settings
from zerosum.core.errors import DamagedError, RecipeError, RunError, ZerosumWarning
from zerosum.core.model import outline
from zerosum.core.writing import write_file
from zerosum.data import Units
from zerosum.recipes import Recipe
from zerosum.runs.storage import code, legacy, model, remains, sealed
from zerosum.runs.storage.place import is_run, no_run
from zerosum.runs.storage.trained import TrainedModel

NAME = "model.safetensors"  # of the file in a run


def save_model(path: Path, trained: TrainedModel) -> None:
    """Write a model file, whole or not at all."""
    about = {
        "format": model.FORMAT,
        "recipe": settings.to_toml(trained.recipe),
        "signals": {name: asdict(signal) for name, signal in trained.signals.items()},
        "classes": trained.classes,
        "images": trained.images,
        "shares": trained.shares,
        "rules": trained.rules,
        "units": None if trained.units is None else trained.units.facts(),
    }
    weights = {
        f"{name}.{key}": value.detach().cpu().contiguous()
        for name, network in trained.model.networks.items()
        for key, value in network.state_dict().items()
    }
    write_file(path, sealed.pack(weights, about))


def load_model(path: str | Path, *, trust: bool = False, whole: bool = False) -> TrainedModel:
    """Read a model file; one of an earlier version, without a checksum, is warned of.

    Parts that only a training needs (losses, regularizers, optimizers) need not be loaded.

    Args:
        path: the file.
        trust: run the Python files of the run that it lies in, whoever wrote them.
        whole: refuse it where any part of its recipe is not loaded.

    Raises:
        RunError: it is missing, damaged, or no model file.
        RecipeError: it was made with a network of the user's own that is not loaded; `--use` or `--trust` load it.
    """
    path = Path(path)
    try:
        about, weights = model.read(path)
    except DamagedError as error:
        raise DamagedError(f"{error}{remains.beside(path)}") from error
    code.load(path, trust=trust)
    recipe, absent = _recipe(about["recipe"])
    held = code.withheld(path)
    hint = held or f"{path} needs parts that are not loaded; give their file with --use"
    if absent and whole:
        raise RecipeError([*absent, hint])
    try:
        filled = model.fill(path, recipe, about, weights)
    except (DamagedError, RecipeError) as error:
        if not absent:
            raise
        raise RecipeError([*absent, hint]) from error
    if text := held or "; ".join(absent):
        warnings.warn(text, ZerosumWarning, stacklevel=2)
    shares, units = tuple(about.get("shares", ())), _units(path, about)
    classes, rules = tuple(about["classes"]), about.get("rules", 1)
    signals = model.signals_of(about)
    return TrainedModel(filled, recipe, signals, classes, about["images"], shares, rules, units)


def _recipe(text: str) -> tuple[Recipe, list[str]]:
    """The recipe, and sentences about parts that are not loaded: something else stands for them.

    Raises:
        RecipeError: something else is wrong with it.
    """
    try:
        return settings.from_toml(Recipe, text), []
    except RecipeError as error:
        return settings.from_toml(Recipe, text, partly=True), error.faults


def _units(path: Path, about: model.About) -> Units | None:
    facts, shapes = about.get("units"), [one["shape"] for one in about["signals"].values()]
    if facts is None:
        return None
    try:
        units = Units.read(facts)
        if [len(units.mean)] not in shapes:
            raise ValueError(f"they are of {len(units.mean)} columns")
        return units
    except (TypeError, ValueError, KeyError) as error:
        raise DamagedError(f"{path}: what it says of the units of its points is damaged ({error})") from error


def find_model(place: str | Path) -> Path:
    """The model file of a run directory, or the file itself; of a run of an earlier version, that version's.

    Raises:
        RunError: there is none.
    """
    place = Path(place)
    if not place.exists():
        raise RunError(f"{place}: there is no such run or model file")
    path = in_run(place) if place.is_dir() else place
    if not path.is_file():
        if not is_run(place):
            raise RunError(f"{place} is neither a run directory nor a model file: {no_run(place)}")
        raise RunError(f"{place} has no {NAME} yet; it is written with the first checkpoint")
    return path


def in_run(run: Path) -> Path:
    """Where a run's model file is: that of an earlier version where there is no other."""
    return run / (legacy.NAME if legacy.is_old(run) else NAME)


def verbs_in(path: Path) -> tuple[str, ...]:
    """What the model of a file can do, as its recipe says; nothing of the user's own is run for that."""
    try:
        about, _ = model.read(path)
        recipe = settings.from_toml(Recipe, about["recipe"], partly=True)
        tasks = outline(recipe.game, model.signals_of(about)).tasks.values()
    except Exception:  # damaged, or of parts that are not loaded; most models generate
        return ("generate",)
    return tuple(dict.fromkeys(task.verb for task in tasks))
