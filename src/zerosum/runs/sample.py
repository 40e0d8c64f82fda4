"""Samples of a trained generator: which latents they start from, and the files that they are written to."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zerosum.core.download import Report, silent
from zerosum.core.errors import RunError
from zerosum.data import to_images
from zerosum.runs import animation, pictures
from zerosum.runs.checkpoint import write_file
from zerosum.runs.generator import Generator, find_generator, find_label, load_generator, with_latent

Array = np.ndarray
USUAL = 64  # samples where nobody says how many


@dataclass(frozen=True, eq=False)
class Draft:
    """Samples before they are made: a generator and what it starts from."""

    generator: Generator
    latents: Tensor  # [N, K]
    labels: Tensor | None  # int64 [N]; None where the generator takes none
    psi: float | None = None  # share of a style's distance from the average that stays; None: all

    def __len__(self) -> int:
        return len(self.latents)

    @property
    def spherical(self) -> int:
        """How many of a latent's numbers, from the first on, are normal: these lie about a sphere."""
        latent = self.generator.recipe.game.latent
        known = {"normal": latent.size, "truncated": latent.size, "infogan": getattr(latent, "noise", 0)}
        return known.get(latent.name, 0)

    @property
    def notes(self) -> str:
        """What was done to the latents or styles, in words; empty where nothing was."""
        if self.psi is not None:
            return f"styles moved towards their average, psi {self.psi:g}"
        latent = self.generator.recipe.game.latent
        return f"latents cut at {latent.threshold:g}" if latent.name == "truncated" else ""

    def walk(self, frames: int, *, around: bool) -> Draft:
        """Samples on the way through the latents, `frames` for each pair; `around`: and back to the first."""
        latents, labels = animation.walk(self.latents, self.labels, self.spherical, frames, around=around)
        return replace(self, latents=latents, labels=labels)

    def render(self, report: Report = silent) -> Array:
        """Make them: uint8 images [N, H, W, C], or float32 points [N, D]."""
        made: list[Array] = []
        for chunk in self.generator.chunks(self.latents, self.labels, psi=self.psi):
            made.append(to_images(chunk) if self.generator.space.is_image else chunk.numpy())
            report("sampling", sum(map(len, made)), len(self))
        return np.concatenate(made)


def write_samples(
    place: str | Path,
    out: str | Path,
    *,
    count: int | None = None,
    seed: int | None = None,
    label: str | None = None,
    latent: str | None = None,
    truncation: float | None = None,
    latents: str | Path | None = None,
    interpolate: int | None = None,
    report: Report = silent,
) -> Path:
    """Draw samples from a run or generator file and write them; return where. See `draft` and `write`.

    Raises:
        RunError: no generator, options that do not fit it or each other, or a form that cannot be written.
        RecipeError: there is no such latent.
    """
    drawn = draft(place, count=count, seed=seed, label=label, latent=latent, truncation=truncation, latents=latents)
    return write(drawn, out, interpolate, report)


def draft(
    place: str | Path,
    *,
    count: int | None = None,
    seed: int | None = None,
    label: str | None = None,
    latent: str | None = None,
    truncation: float | None = None,
    latents: str | Path | None = None,
) -> Draft:
    """Choose a generator and what it starts from.

    Args:
        place: a run or a generator file.
        count: how many samples; 64 by default, or as many as `latents` holds.
        seed: equal seeds give equal latents; 0 by default.
        label: one class, by number or name; all in turn by default.
        latent: other latents of that size, for example `"truncated:threshold=0.7"`.
        truncation: trades variety for quality: psi of a style-based generator (styles move towards their average), the
            threshold of truncated latents for any other.
        latents: a file of `save_latents` to start from.

    Raises:
        RunError: no generator, or an option that does not fit it or another option.
        RecipeError: there is no such latent.
    """
    generator = load_generator(find_generator(place))
    psi = truncation if generator.styled else None
    threshold = None if generator.styled else truncation
    if latents is not None:
        _refuse_beside_latents(seed=seed, latent=latent, truncation=threshold)
        start, labels = load_latents(latents, generator)
        if count is not None and count > len(start):
            raise RunError(f"--count {count}: {latents} holds {len(start)} latents; leave --count out, or save more")
        start, labels = start[:count], None if labels is None else labels[:count]
    else:
        chosen = latent if threshold is None else truncated(generator, threshold, latent)
        generator = generator if chosen is None else with_latent(generator, chosen)
        start, labels = generator.latents(USUAL if count is None else count, seed or 0), None
    if label is not None or labels is None:
        labels = generator.labels(len(start), None if label is None else find_label(generator, label))
    return Draft(generator, start, labels, psi)


def _refuse_beside_latents(**options: Any) -> None:
    for name, value in options.items():
        if value is not None:
            raise RunError(f"--{name} and --latents exclude each other: the file says what the samples start from")


def truncated(generator: Generator, threshold: float, latent: str | None) -> str:
    """Text of truncated latents for a generator without styles.

    Raises:
        RunError: its latents are not normal, or were named beside.
    """
    own = generator.recipe.game.latent.name
    if latent is not None:
        raise RunError("--truncation and --latent exclude each other: here both say which latents; give one")
    if own not in ("normal", "truncated"):
        raise RunError(
            f"--truncation cuts the tails of normal latents, and this generator was trained on {own!r} ones; leave it "
            "out, or ask for --latent truncated:threshold=... all the same"
        )
    if not threshold > 0:
        raise RunError(f"--truncation {threshold:g}: a threshold of latents must be above 0, for example 0.7")
    return f"truncated:threshold={threshold}"


# ---------------------------------------------------------------------- latents, kept


def save_latents(path: str | Path, drawn: Draft) -> None:
    """Write an .npz of `latents` float32 [N, K] and, where there are any, `labels` int64 [N]: exactly what is used.

    Raises:
        RunError: the name has another ending, or the place cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".npz":
        raise RunError(f"--save-latents {path}: latents are kept as FILE.npz")
    with writing(path):
        write_arrays(path, {"latents": drawn.latents.float().numpy()}, drawn.labels)


def load_latents(path: str | Path, generator: Generator) -> tuple[Tensor, Tensor | None]:
    """Read latents [N, K] and labels [N] of a file; labels are left aside where the generator takes none.

    Raises:
        RunError: the file is missing, is none of latents, or does not fit the generator.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: torch.from_numpy(file[name]) for name in ("latents", "labels") if name in file.files}
    except FileNotFoundError:
        raise RunError(f"--latents {path}: there is no such file; `zerosum sample --save-latents` writes one") from None
    except (OSError, ValueError, AttributeError) as error:  # AttributeError: one array instead of an archive
        raise RunError(f"--latents {path} is no .npz of latents ({error})") from error
    found, labels, wanted = arrays.get("latents"), arrays.get("labels"), generator.space.latent
    if found is None or found.dim() != 2 or not len(found):
        raise RunError(f"--latents {path} has no array `latents` [N, K]; `zerosum sample --save-latents` writes one")
    if found.shape[1] != wanted:
        raise RunError(f"--latents {path}: latents of {found.shape[1]} numbers, and this generator takes {wanted}")
    if not generator.conditional or labels is None:
        return found.float(), None
    if labels.shape != found.shape[:1] or not 0 <= int(labels.min()) <= int(labels.max()) < len(generator.classes):
        raise RunError(
            f"--latents {path}: its labels do not fit this generator's {len(generator.classes)} classes; "
            "name one class with --label"
        )
    return found.float(), labels.long()


# ---------------------------------------------------------------------- files


def write(drawn: Draft, out: str | Path, interpolate: int | None = None, report: Report = silent) -> Path:
    """Make samples and write them; return where.

    `out` decides the form: `.npz` holds `images` uint8 [N, H, W, C] (or `points` float32 [N, D]) and, where the
    generator takes labels, `labels` int64 [N]; `.png` is a grid; anything else is a folder with a file for each.

    With `interpolate` the samples lie on the way through the latents, so many for each pair: a `.png` shows a pair in
    each row, from end to end; `.gif`, `.webp` and `.apng` move from latent to latent and back to the first.

    Raises:
        RunError: a form that cannot be written, or too little to interpolate.
    """
    path, form = Path(out), "folder" if str(out).endswith("/") else Path(out).suffix.lower() or "folder"
    moving = form in animation.FORMS
    _check_form(drawn, form, str(out), interpolate)
    if interpolate is not None:
        drawn = drawn.walk(interpolate, around=form != ".png")
    samples = drawn.render(report)
    with writing(path):
        if form == ".npz":
            write_arrays(path, {"images" if samples.ndim == 4 else "points": samples}, drawn.labels)
        elif moving:
            write_file(path, animation.encode(samples, form))
        elif form == ".png":
            pictures.save(path, pictures.sheet(samples, interpolate))
        else:
            _write_files(path, drawn, samples)
    return path


def _check_form(drawn: Draft, form: str, out: str, interpolate: int | None) -> None:
    moving = form in animation.FORMS
    if form not in (".npz", ".png", "folder") and not moving:
        raise RunError(
            f"--out {out}: {form!r} is no form of samples; use FILE.npz, FILE.png or FOLDER/ "
            f"(with --interpolate also {', '.join(f'FILE{one}' for one in animation.FORMS)})"
        )
    if moving and interpolate is None:
        raise RunError(f"--out {out}: nothing moves without --interpolate; use FILE.npz, FILE.png or FOLDER/")
    if interpolate is not None and (interpolate < 2 or len(drawn) < 2):
        raise RunError(
            f"--interpolate {interpolate}, {len(drawn)} latents: there must be at least 2 frames from each to the next "
            "and 2 latents"
        )
    if not drawn.generator.space.is_image and form != ".npz" and (form != ".png" or interpolate is not None):
        pictured = "FILE.npz" if interpolate is not None else "FILE.npz or FILE.png"
        raise RunError(f"points have no files of their own; use --out {pictured}")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Make the folder of a file, and say where and why a place cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise RunError(f"cannot write {error.filename or path}: {error.strerror}; choose another --out") from error


def write_arrays(path: Path, arrays: dict[str, Array], labels: Tensor | None) -> None:
    """Write an .npz, whole or not at all; labels as int64 [N] where there are any."""
    if labels is not None:
        arrays = {**arrays, "labels": labels.numpy().astype(np.int64)}
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # no array is called allow_pickle
    write_file(path, file.getvalue())


def _write_files(folder: Path, drawn: Draft, images: Array) -> None:
    for number, image in enumerate(images):
        name = "" if drawn.labels is None else drawn.generator.classes[int(drawn.labels[number])].replace("/", "-")
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / f"{number:06d}.png").write_bytes(pictures.encode(image))
