"""Files through a model: what is read becomes the input of a task, and what the task makes of it is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from zerosum.core.download import Report, silent
from zerosum.core.errors import DataError, RunError
from zerosum.core.signals import Signal
from zerosum.data.layout import is_image
from zerosum.data.pixels import BadImagesError
from zerosum.runs.storage import outputs
from zerosum.runs.storage.saved import find_model, load_model
from zerosum.runs.storage.trained import TrainedModel, find_label
from zerosum.runs.view import pictures
from zerosum.runs.view.media import medium_of

AT_ONCE = 64  # files that are in memory together
SHEET = "beside.png"  # each input beside its output
SHOWN = 64  # in that sheet


class Transformed(NamedTuple):
    """What was written."""

    task: str  # that was asked
    files: list[Path]  # in the order of the inputs
    sheet: Path


def transform(
    place: str | Path,
    verb: str,
    files: Sequence[str | Path],
    out: str | Path,
    *,
    task: str | None = None,
    label: str | None = None,
    device: torch.device | str = "cpu",
    overwrite: bool = False,
    trust: bool = False,
    report: Report = silent,
) -> Transformed:
    """Read files, ask a task of a model for each, and write the outputs as OUT/NAME.png, and a sheet of both.

    Args:
        place: a run or a model file.
        verb: what the task must do, such as `translate`.
        files: images, and folders of them; they are brought to size and channels as those of the training were.
        out: a folder.
        task: its name, where several do that.
        label: the class of all of them, where the task takes one.
        device: where the networks compute.
        overwrite: replace files that are there also where zerosum did not write them.
        trust: run the Python files that the run keeps, whoever wrote them.
        report: hears (what, done, total).

    Raises:
        RunError: no model, no such task, or a place that cannot be written.
        DataError: a file is missing, or no image.
    """
    trained = load_model(find_model(place), trust=trust).to(device)
    name = trained.choose(verb, task)
    chosen = trained.model.task(name)
    (given, signal), (made, result) = _ports(chosen.asked, verb), next(iter(chosen.outputs.items()))
    others = _label(trained, chosen.asked, label)
    paths = _listed(files)
    targets = [Path(out) / f"{path.stem}.png" for path in paths]
    _refuse_doubles(paths)
    sheet = Path(out) / SHEET
    outputs.check_files([*targets, sheet], overwrite=overwrite)
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    for start in range(0, len(paths), AT_ONCE):
        part = paths[start : start + AT_ONCE]
        inputs = torch.stack([_read(path, signal, trained) for path in part])
        batch = {given: inputs, **{key: value.expand(len(part)) for key, value in others.items()}}
        images = medium_of(result).values(trained.run(batch, name)[made], trained.units)
        for target, image in zip(targets[start:], images, strict=False):
            outputs.write(target, pictures.encode(image), overwrite=overwrite)
        pairs += zip(medium_of(signal).values(inputs), images, strict=True) if len(pairs) < SHOWN else []
        report(verb, start + len(part), len(paths))
    before, after = (np.stack(side) for side in zip(*pairs[:SHOWN], strict=True))
    outputs.write(sheet, pictures.encode(pictures.pairs(before, after)), overwrite=overwrite)
    return Transformed(name, targets, sheet)


def _ports(asked: dict[str, Signal], verb: str) -> tuple[str, Signal]:
    """The one input that files hold.

    Raises:
        RunError: it is no image, or there are several.
    """
    found = [(name, signal) for name, signal in asked.items() if signal.kind != "label"]
    if len(found) != 1 or found[0][1].kind != "image":
        takes = ", ".join(f"{name} ({medium_of(signal).noun})" for name, signal in found) or "nothing"
        raise RunError(f"this model takes {takes} to {verb}, and only images are read from files; call it from Python")
    return found[0]


def _label(trained: TrainedModel, asked: dict[str, Signal], label: str | None) -> dict[str, Any]:
    """The class, where the task takes one.

    Raises:
        RunError: it takes one and none was given, or the other way round, or there is no such class.
    """
    names = [name for name, signal in asked.items() if signal.kind == "label"]
    if names and label is None:
        raise RunError("this task is told the class of what it is given; name it with --label")
    if label is not None and not names:
        raise RunError("--label: this task takes no class; leave it out")
    return {name: torch.tensor([find_label(trained, str(label), told=True)]) for name in names}


def _listed(files: Sequence[str | Path]) -> list[Path]:
    """The files, those of folders in their order.

    Raises:
        DataError: a folder holds no images, or nothing is named.
    """
    paths: list[Path] = []
    for path in map(Path, files):
        inside = sorted(one for one in path.iterdir() if is_image(one.name)) if path.is_dir() else [path]
        if not inside:
            raise DataError(f"{path}: this folder holds no images")
        paths += inside
    if not paths:
        raise DataError("no images are named; give files, or folders of them")
    return paths


def _refuse_doubles(paths: Sequence[Path]) -> None:
    """Two files of one name would become one.

    Raises:
        DataError: there are two.
    """
    seen: dict[str, Path] = {Path(SHEET).stem: Path(SHEET)}
    for path in paths:
        if path.stem in seen:
            raise DataError(f"{path} and {seen[path.stem]} would both become {path.stem}.png; rename one of them")
        seen[path.stem] = path


def _read(path: Path, signal: Signal, trained: TrainedModel) -> torch.Tensor:
    try:
        return medium_of(signal).read(path, signal, trained.recipe.data)
    except BadImagesError as error:
        raise DataError(error.fault) from error  # there is no --skip-bad here
