"""Samples of a trained model, written: as arrays, a grid, a file each, or moving."""

from __future__ import annotations

import csv
import io
import warnings
from pathlib import Path

import numpy as np

from zerosum.core.download import Report, silent
from zerosum.core.errors import RunError, ZerosumWarning
from zerosum.runs.storage import outputs
from zerosum.runs.storage.archives import Growing, write_npz
from zerosum.runs.storage.folders import class_folders
from zerosum.runs.view import animation, pictures, video
from zerosum.runs.view.draft import Draft, draft, load_latents

__all__ = ["Draft", "draft", "load_latents", "pictured", "save_latents", "write"]

Array = np.ndarray
MOVING = (*animation.FORMS, ".mp4")


def save_latents(path: str | Path, draft: Draft, *, overwrite: bool = False) -> None:
    """Write an .npz of `latents` float32 [N, K], `seed`, `start` and, where there are any, `labels` int64 [N].

    That is exactly what is used, so the same model makes the same images of it again.

    Raises:
        RunError: the name has another ending, or the place cannot be written or holds what zerosum did not write.
    """
    check_latents(path, overwrite=overwrite)
    numbers = {"seed": np.array(draft.seed), "start": np.array(draft.start)}
    arrays = {"latents": draft.latents.float().numpy(), **numbers, **_labels(draft)}
    with outputs.opened(path, overwrite=overwrite, option="--save-latents") as file:
        write_npz(file, arrays)


def check_latents(path: str | Path, *, overwrite: bool = False) -> None:
    """Refuse a place for latents before any work.

    Raises:
        RunError: as `save_latents`.
    """
    if Path(path).suffix.lower() != ".npz" and not outputs.is_pipe(path):
        raise RunError(f"--save-latents {path}: latents are kept as FILE.npz")
    outputs.check(path, overwrite=overwrite, option="--save-latents")


def write(
    draft: Draft,
    out: str | Path,
    interpolate: int | None = None,
    report: Report = silent,
    *,
    overwrite: bool = False,
) -> Path:
    """Make samples and write them; return where.

    `out` decides the form: `.npz` holds `images` uint8 [N, H, W, C] (or `points` [N, D]) and, where the model
    takes labels, `labels` int64 [N] and `classes`, their names; `.csv` holds points, under the names of the data's
    columns; `.png` is a grid; anything else is a folder with a file for each. A device or pipe whose name has no ending
    gets the bytes of an `.npz`.

    With `interpolate` the samples lie on the way through the latents, so many for each pair: a `.png` shows a pair in
    each row, from end to end; `.gif`, `.webp`, `.apng` and, by ffmpeg, `.mp4` move from latent to latent and back to
    the first.

    `overwrite` replaces files that are there also where zerosum did not write them.

    Raises:
        RunError: a form that cannot be written, too little to interpolate, or a place that cannot be written.
    """
    path, form = Path(out), form_of(out)
    _check_form(draft, form, str(out), interpolate)
    if interpolate is not None:
        draft = draft.walk(interpolate, around=form != ".png")
    if form == "folder":
        _write_files(path, draft, report, overwrite)
        return path
    outputs.check(path, overwrite=overwrite)
    if form == ".npz":
        with outputs.opened(path, overwrite=overwrite) as file:
            write_npz(file, {**_samples(draft, report), **_labels(draft)})
        return path
    if form == ".csv":
        outputs.write(path, _csv(draft, report), overwrite=overwrite)
        return path
    samples = draft.render(report)
    if form == ".mp4":
        content = video.encode(samples)
    elif form in MOVING:
        content = animation.encode(samples, form)
    else:
        content = pictures.encode(_sheet(draft, samples, interpolate))
    outputs.write(path, content, overwrite=overwrite)
    return path


def _sheet(draft: Draft, samples: Array, columns: int | None) -> Array:
    units = draft.model.units
    return pictures.sheet(samples, columns, None if units is None else pictures.around(units))


def pictured(draft: Draft, out: str | Path) -> str:
    """What a form of samples leaves out of them, in words; empty where nothing."""
    signal = draft.model.signal
    if form_of(out) == ".npz" or signal.kind != "image" or signal.shape[0] <= pictures.SEEN:
        return ""
    return f"pictures of the first 3 of {signal.shape[0]} channels (FILE.npz holds all)"


def form_of(out: str | Path) -> str:
    """The form of samples that a place asks for: an ending, or "folder"."""
    if str(out).endswith("/"):
        return "folder"
    return Path(out).suffix.lower() or (".npz" if outputs.is_pipe(out) else "folder")


def _check_form(draft: Draft, form: str, out: str, interpolate: int | None) -> None:
    moving = form in MOVING
    if form == ".csv" and draft.model.signal.kind == "image":
        raise RunError(f"--out {out}: a table holds points, and these are images; use FILE.npz, FILE.png or FOLDER/")
    if form not in (".npz", ".png", ".csv", "folder") and not moving:
        raise RunError(
            f"--out {out}: {form!r} is not a form of samples; use FILE.npz, FILE.png or FOLDER/ "
            f"(with --interpolate also {', '.join(f'FILE{one}' for one in MOVING)})"
        )
    if moving and interpolate is None:
        raise RunError(f"--out {out}: nothing moves without --interpolate; use FILE.npz, FILE.png or FOLDER/")
    if form == ".mp4":
        video.find()
    if interpolate is not None and (interpolate < 2 or len(draft) < 2):
        raise RunError(
            f"--interpolate {interpolate}, {len(draft)} latents: there must be at least 2 frames from each to the next "
            "and 2 latents"
        )
    if (
        draft.model.signal.kind != "image"
        and form not in (".npz", ".csv")
        and (form != ".png" or interpolate is not None)
    ):
        pictured = "FILE.npz or FILE.csv" if interpolate is not None else "FILE.npz, FILE.csv or FILE.png"
        raise RunError(f"points have no files of their own; use --out {pictured}")


def _samples(draft: Draft, report: Report) -> dict[str, Growing]:
    signal = draft.model.signal
    channels, *sides = signal.shape
    shape, name, dtype = (
        ((*sides, channels), "images", np.uint8) if signal.kind == "image" else (signal.shape, "points", draft.dtype)
    )
    return {name: Growing((len(draft), *shape), dtype, draft.chunks(report))}


def _csv(draft: Draft, report: Report) -> bytes:
    """A table of points with the names of its columns, and of their classes where there are any."""
    units, classes = draft.model.units, draft.model.classes
    names = units.names if units is not None and units.names else range(1, draft.model.signal.shape[0] + 1)
    file = io.StringIO()
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow([*names, *(["class"] if draft.labels is not None else [])])
    kinds = [[]] * len(draft) if draft.labels is None else [[classes[kind]] for kind in draft.labels.tolist()]
    for point, kind in zip(draft.render(report), kinds, strict=True):
        rows.writerow([*(f"{number:.9g}" for number in point), *kind])
    return file.getvalue().encode()


def _labels(draft: Draft) -> dict[str, Array]:
    """Classes that were asked for, by number and by name; nothing where there are none."""
    if draft.labels is None:
        return {}
    names = np.array(draft.model.classes, dtype=np.str_)
    return {"labels": draft.labels.numpy().astype(np.int64), "classes": names}


def _write_files(folder: Path, draft: Draft, report: Report, overwrite: bool) -> None:
    names = [""] if draft.labels is None else class_folders(draft.model.classes)
    kinds = [0] * len(draft) if draft.labels is None else draft.labels.tolist()
    paths = [folder / names[kind] / f"{number:06d}.png" for number, kind in enumerate(kinds, draft.start)]
    outputs.check_files(paths, overwrite=overwrite)
    others = {one for place in {folder, *(path.parent for path in paths)} if place.is_dir() for one in place.iterdir()}
    others = {one for one in others.difference(paths) if one.is_file()}
    if others:
        count = "1 other file" if len(others) == 1 else f"{len(others):,} other files"
        text = f"{folder} holds {count} beside these samples, for example {min(others).name!r}"
        warnings.warn(text, ZerosumWarning, stacklevel=2)
    images = (image for chunk in draft.chunks(report) for image in chunk)
    for path, image in zip(paths, images, strict=True):
        outputs.write(path, pictures.encode(image), overwrite=overwrite)
