"""Data of a training: opened as the recipe says, and, for a run, wherever they are now, by their content."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zerosum.core.errors import DataError, RunError
from zerosum.data import Dataset, open_data, whole_place
from zerosum.data.pixels import BadImagesError
from zerosum.recipes import Recipe
from zerosum.runs.storage.directory import RunDirectory
from zerosum.runs.training import early, elsewhere, starting
from zerosum.runs.training.progress import Display


def open_for(recipe: Recipe, origin: dict[str, Any], display: Display, *, fitting: bool = False) -> Dataset:
    """Open the data at their origin.

    `fitting`: images of one size keep it as far as the recipe's networks take it.

    Raises:
        DataError: they cannot be read.
    """
    return open_data(
        origin["source"],
        recipe.data,
        seed=recipe.seed,
        data_root=origin.get("root"),
        skip_bad=origin["skip_bad"],
        report=display.work,
        rules=origin.get("rules", 1),
        fits=early.fits(recipe) if fitting else None,
    )


def origin_of(before: dict[str, Any], data: str | Path | None, data_root: str | Path | None) -> dict[str, Any]:
    """Where a run's data are now."""
    origin = dict(before)
    if data is not None:
        origin["source"] = whole_place(data)
    if data_root is not None:
        origin["root"] = absolute(data_root)
    return origin


def open_new(recipe: Recipe, origin: dict[str, Any], display: Display, start_from: str | Path | None) -> Dataset:
    """Open the data of a new training; `start_from` is the run that knows them, None where the user named them."""
    try:
        return open_for(recipe, origin, display, fitting=True)
    except DataError as error:
        if start_from is None or Path(origin["source"]).exists():
            raise
        command = "zerosum", "train", "PLACE", "--from", str(start_from)
        raise elsewhere.gone(error, origin["source"], *command) from error


def reopen(
    run: RunDirectory, recipe: Recipe, origin: dict[str, Any], display: Display, words: Sequence[str]
) -> Dataset:
    """Open a run's data, wherever they are.

    Raises:
        RunError: they are other data.
        DataError: they are not there.
    """
    before = run.environment()["data"]
    moved = origin["source"] != before["source"]
    place = origin["source"] if moved else None
    try:
        dataset = open_for(recipe, origin, display)
    except BadImagesError as error:
        raise DataError(
            f"the data changed since this run began: {error.fault}\n"
            f"mend or remove such files, or {starting.offer(run.path, *words, '--skip-bad', data=place)}"
        ) from error
    except DataError as error:
        if moved or Path(before["source"]).exists():
            raise
        command = "zerosum", "resume", str(run.path), "--data", "PLACE"
        raise elsewhere.gone(error, before["source"], *command) from error
    if dataset.fingerprint != before["fingerprint"]:
        where = f"{origin['source']} holds other data than {before['source']} did" if moved else "restore them"
        raise RunError(
            f"the data changed since this run began (their content, or how recipe.toml prepares them): {where}; or "
            + starting.offer(run.path, *words, data=place)
        )
    return dataset


def absolute(place: str | Path | None) -> str | None:
    """A place as an absolute path; a name that is not a place stays."""
    if place is None:
        return None
    return str(Path(place).absolute()) if Path(place).exists() else str(place)
