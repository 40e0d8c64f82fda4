"""Files through a model: what is read becomes the input of a task, and its output is written."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from zerosum.core.download import Report, silent
from zerosum.core.errors import DamagedError, DataError, RunError
from zerosum.core.signals import Signal, Signals
from zerosum.data.attributes import CONDITIONS, KIND
from zerosum.data.layout import is_image
from zerosum.data.pixels import BadImagesError, fit_array, name_bad
from zerosum.data.preparation import Preparation
from zerosum.runs.storage import outputs
from zerosum.runs.storage.archives import write_npz
from zerosum.runs.storage.asking import find_attributes, find_label
from zerosum.runs.storage.saved import find_model, load_model
from zerosum.runs.storage.trained import TrainedModel
from zerosum.runs.view import pictures
from zerosum.runs.view.media import medium_of

AT_ONCE = 64  # files of the training's size that are in memory together; of larger ones as many as have the pixels
SHEET = "beside.png"  # each input beside its output
SHOWN = 64  # in that sheet


class Transformed(NamedTuple):
    """What was written."""

    task: str  # that was asked
    files: list[Path]  # in the order of the inputs
    sheet: Path
    attributes: str = ""  # all of them, as they were asked for


def transform(
    place: str | Path,
    verb: str,
    files: Sequence[str | Path],
    out: str | Path,
    *,
    task: str | None = None,
    label: str | None = None,
    size: Literal["own", "training"] = "own",
    device: torch.device | str = "cpu",
    overwrite: bool = False,
    trust: bool = False,
    report: Report = silent,
) -> Transformed:
    """Read files, ask a task of a model for each, and write the outputs as OUT/NAME.png, and a sheet of both.

    Outputs of sub-folders go into sub-folders of the same names.

    Args:
        place: a run or a model file.
        verb: what the task must do, such as `translate`.
        files: images, and folders of them; they are brought to channels as those of the training were.
        out: a folder.
        task: its name, where several do that.
        label: the class of all of them, where the task takes one; or attributes, as `find_attributes` reads them.
        size: of the outputs: that of each file, where the network allows it, or that of the training's images.
        device: where the networks compute.
        overwrite: replace files that are there also where zerosum did not write them.
        trust: run the Python files that the run keeps, whoever wrote them.
        report: hears (what, done, total).

    Raises:
        RunError: no model, no such task, or a place that cannot be written.
        DataError: some files are missing or no images; the others are done.
    """
    trained = load_model(find_model(place), trust=trust).to(device)
    name = trained.choose(verb, task)
    chosen = trained.model.task(name)
    signal, result = _port(chosen.asked, verb), next(iter(chosen.outputs.values()))
    conditions = _label(trained, chosen.inputs, label)
    listed = _listed(files, Path(out))
    _refuse_doubles(listed)
    target, sheet = {path: Path(out) / place for path, place in listed}, Path(out) / SHEET
    outputs.check_files([*target.values(), sheet], overwrite=overwrite)
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    done: list[Path] = []
    bad: list[str] = []
    for some, inputs in _batches([*target], bad, signal, trained, as_it_is=size == "own" and chosen.step > 0):
        labels = {key: value.expand(len(inputs), *value.shape[1:]) for key, value in conditions.items()}
        results = medium_of(result).values(trained.apply(verb, inputs, name, labels), trained.units)
        for path, image in zip(some, results, strict=True):
            outputs.write(target[path], pictures.encode(image), overwrite=overwrite)
        shown = medium_of(signal).values(inputs)[: SHOWN - len(pairs)]
        pairs += [(small(a, signal.shape), small(b, signal.shape)) for a, b in zip(shown, results, strict=False)]
        done += [target[path] for path in some]
        report(verb, len(done) + len(bad), len(listed))
    if done:
        before, after = (np.stack(side) for side in zip(*pairs, strict=True))
        outputs.write(sheet, pictures.encode(pictures.pairs(before, after)), overwrite=overwrite)
    _refuse(bad, len(listed), out)
    return Transformed(name, done, sheet, _attributes(trained, chosen.inputs, conditions))


class Encoded(NamedTuple):
    """What was written."""

    task: str  # that was asked
    files: list[Path]  # whose latents these are, in their order
    size: int  # numbers of each


def encode(
    place: str | Path,
    files: Sequence[str | Path],
    out: str | Path,
    *,
    task: str | None = None,
    label: str | None = None,
    device: torch.device | str = "cpu",
    overwrite: bool = False,
    trust: bool = False,
    report: Report = silent,
) -> Encoded:
    """Read files, encode each, and write `latents` float32 [N, K] and `files`, their paths, as one .npz.

    Where the task takes a class, `labels` int64 [N] are beside them. `zerosum sample --latents` starts from such a
    file. Arguments are those of `transform`.

    Raises:
        RunError: no model, no such task, or a place that cannot be written.
        DataError: some files are missing or no images; the latents of the others are written.
    """
    if Path(out).suffix.lower() != ".npz" and not outputs.is_pipe(out):
        raise RunError(f"--out {out}: latents are kept as FILE.npz")
    outputs.check(out, overwrite=overwrite)
    trained = load_model(find_model(place), trust=trust).to(device)
    name = trained.choose("encode", task)
    asked = trained.model.task(name).asked
    signal, others = _port(asked, "encode"), _label(trained, asked, label)
    paths = [path for path, _ in _listed(files, Path(out))]
    latents: list[Tensor] = []
    done: list[Path] = []
    bad: list[str] = []
    for some, inputs in _batches(paths, bad, signal, trained, as_it_is=False):
        given = {key: value.expand(len(inputs), *value.shape[1:]) for key, value in others.items()}
        latents.append(trained.encode(inputs, name, **given))
        done += some
        report("encoding", len(done) + len(bad), len(paths))
    if done:
        arrays = {"latents": torch.cat(latents).numpy(), "files": np.array([str(path) for path in done])}
        for labels in others.values():
            arrays["labels"] = labels.expand(len(done), *labels.shape[1:]).numpy()
        with outputs.opened(out, overwrite=overwrite) as file:
            write_npz(file, arrays)
    _refuse(bad, len(paths), out)
    return Encoded(name, done, latents[0].shape[1])


def _batches(
    paths: Sequence[Path], bad: list[str], signal: Signal, trained: TrainedModel, *, as_it_is: bool
) -> Iterator[tuple[list[Path], Tensor]]:
    """Files that follow one another and whose images have one size, and these, [N, C, H, W]; others go to `bad`."""
    batch: list[Tensor] = []
    some: list[Path] = []
    most = AT_ONCE * math.prod(signal.shape)  # numbers in memory together
    for path in paths:
        try:
            x = medium_of(signal).read(path, signal, trained.recipe.data, as_it_is=as_it_is)
        except (BadImagesError, DamagedError) as error:
            bad.append(error.fault if isinstance(error, BadImagesError) else str(error))  # there is no --skip-bad here
            continue
        if batch and (x.shape != batch[0].shape or x.numel() * len(batch) >= most):
            yield some, torch.stack(batch)
            some, batch = [], []
        some.append(path)
        batch.append(x)
    if batch:
        yield some, torch.stack(batch)


def _refuse(bad: Sequence[str], count: int, out: str | Path) -> None:
    """Say which of so many files were left out.

    Raises:
        DataError: there are some.
    """
    if count == 1 and bad:
        raise DataError(bad[0])
    if bad:
        rest = "" if len(bad) == count else f"; the others are in {out}"
        raise DataError(name_bad(bad, count, "images", f"missing or bad{rest}"))


def small(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """An image [H, W, C] within the size of a signal of images, with bars where its own shape is another."""
    _, height, width = shape
    return fit_array(image, "", (height, width, image.shape[2]), Preparation(fit="pad"))


def _port(inputs: dict[str, Signal], verb: str) -> Signal:
    """The one input that files hold.

    Raises:
        RunError: it is no image, or there are several.
    """
    images = [(name, signal) for name, signal in inputs.items() if signal.kind not in CONDITIONS]
    if len(images) != 1 or images[0][1].kind != "image":
        takes = ", ".join(f"{name} ({medium_of(signal).noun})" for name, signal in images) or "nothing"
        raise RunError(f"this model takes {takes} to {verb}, and only images are read from files; call it from Python")
    return images[0][1]


def _label(trained: TrainedModel, inputs: Signals, label: str | None) -> dict[str, Tensor]:
    """The class, or the attributes, [1, ...], where the task takes them.

    Raises:
        RunError: it takes one and none was given, or the other way round, or there is no such class.
    """
    kinds = {name: signal.kind for name, signal in inputs.items() if signal.kind in CONDITIONS}
    if label is not None and not kinds:
        raise RunError("--label: this task takes no class; leave it out")
    if kinds and label is None:
        what, how = "a class", ""
        if KIND in kinds.values():
            what, how = "attributes", f", as {trained.classes[0]}, or {trained.classes[0]}=0"
        raise RunError(f"this task needs {what}, the same for all images; name it with --label{how}")
    return {
        name: find_attributes(trained.classes, str(label))[None]
        if kind == KIND
        else torch.tensor([find_label(trained, str(label), told=True)])
        for name, kind in kinds.items()
    }


def _attributes(trained: TrainedModel, inputs: Signals, conditions: dict[str, Tensor]) -> str:
    """Attributes that are asked for, in words; "" where a class is, or nothing."""
    flags = [one[0].tolist() for name, one in conditions.items() if inputs[name].kind == KIND]
    named = zip(trained.classes, flags[0] if flags else (), strict=False)
    return ", ".join(f"{name}={flag:.0f}" for name, flag in named)


def _listed(files: Sequence[str | Path], out: Path) -> list[tuple[Path, Path]]:
    """The files, those of folders and their sub-folders in order; beside each, the place of its output in `out`.

    Raises:
        DataError: a folder holds no images, or nothing is named.
    """
    listed: list[tuple[Path, Path]] = []
    for given in map(Path, files):
        folder = given if given.is_dir() else given.parent
        inside = _inside(folder, out) if given.is_dir() else [given]
        if not inside:
            raise DataError(f"{given}: this folder holds no images")
        listed += [(path, path.relative_to(folder).with_suffix(".png")) for path in inside]
    if not listed:
        raise DataError("no images are named; give files, or folders of them")
    return listed


def _refuse_doubles(listed: Sequence[tuple[Path, Path]]) -> None:
    """Every output has a place of its own.

    Raises:
        DataError: two have one.
    """
    taken = {Path(SHEET): Path(SHEET)}
    for path, place in listed:
        if place in taken:
            raise DataError(f"{path} and {taken[place]} would both become {place}; rename one of them")
        taken[place] = path


def _inside(folder: Path, out: Path) -> list[Path]:
    """Images of a folder and its sub-folders, in order; not those of `out`, which are outputs of another time."""
    images = (path for path in folder.rglob("*") if is_image(path.relative_to(folder).as_posix()))
    return sorted(path for path in images if not path.is_dir() and out.resolve() not in path.resolve().parents)
