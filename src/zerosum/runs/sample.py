"""Samples of a trained generator, written as arrays, as a grid, or as one file each."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from zerosum.core import registry
from zerosum.core.errors import RunError, nearest
from zerosum.data import to_images
from zerosum.runs import pictures
from zerosum.runs.checkpoint import write_file
from zerosum.runs.generator import Generator, find_generator, load_generator


def write_samples(
    place: str | Path,
    out: str | Path,
    *,
    count: int = 64,
    seed: int = 0,
    label: str | None = None,
    latent: str | None = None,
) -> Path:
    """Draw samples from a run or generator file and write them; return where.

    `out` decides the form: `.npz` holds `images` uint8 [N, H, W, C] (or `points` float32 [N, D]) and, where the
    generator takes labels, `labels` int64 [N]; `.png` is a grid; anything else is a folder with a file for each.
    `latent` names another latent of the same size, for example `truncated:threshold=0.7`.

    Raises:
        RunError: no generator, no such class, a latent of another size, or a form that cannot be written.
    """
    generator = load_generator(find_generator(place))
    if latent is not None:
        generator = with_latent(generator, latent)
    chosen = None if label is None else find_label(generator, label)
    samples, labels = generator.sample(count, seed=seed, label=chosen), generator.labels(count, chosen)
    path, form = Path(out), Path(out).suffix.lower()
    try:
        if form == ".npz":
            _write_arrays(path, samples, labels)
        elif form == ".png":
            path.parent.mkdir(parents=True, exist_ok=True)
            pictures.save(path, pictures.picture(samples))
        elif form == "" or str(out).endswith("/"):
            _write_files(path, generator, samples, labels)
        else:
            raise RunError(f"--out {out}: {form!r} is no form of samples; use FILE.npz, FILE.png or FOLDER/")
    except OSError as error:
        raise RunError(f"cannot write {error.filename or path}: {error.strerror}; choose another --out") from error
    return path


def with_latent(generator: Generator, text: str) -> Generator:
    """The generator with other latents, which have its own's size unless they say another.

    Raises:
        RunError: the size is another than the generator was trained with.
        RecipeError: there is no such latent.
    """
    wanted, game = generator.space.latent, generator.recipe.game
    latent = registry.parse("latent", text)
    if "size" in registry.field_types(type(latent)) and "size=" not in text:
        latent = latent.replace(size=wanted)
    if latent.size != wanted:
        raise RunError(f"--latent {text}: latents of {latent.size} numbers, and this generator takes {wanted}")
    return replace(generator, recipe=generator.recipe.replace(game=game.replace(latent=latent)))


def find_label(generator: Generator, label: str) -> int:
    """Number of a class given by number or name.

    Raises:
        RunError: the generator takes no labels, or has no such class.
    """
    if not generator.conditional:
        raise RunError(
            "this generator takes no labels; train one with generator.labels=concat discriminator.labels=concat"
        )
    if label in generator.classes:
        return generator.classes.index(label)
    if label.isdecimal() and int(label) < len(generator.classes):
        return int(label)
    raise RunError(f"there is no class {label!r}; {nearest(label, generator.classes)}")


def _write_arrays(path: Path, samples: Tensor, labels: Tensor | None) -> None:
    arrays: dict[str, Any] = {"images": to_images(samples)} if samples.dim() == 4 else {"points": samples.numpy()}
    if labels is not None:
        arrays["labels"] = labels.numpy().astype(np.int64)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    write_file(path, file.getvalue())


def _write_files(folder: Path, generator: Generator, samples: Tensor, labels: Tensor | None) -> None:
    if samples.dim() != 4:
        raise RunError("points have no files of their own; use --out FILE.npz or FILE.png")
    images = to_images(samples)
    for number, image in enumerate(images):
        name = "" if labels is None else generator.classes[int(labels[number])].replace("/", "-")
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / f"{number:06d}.png").write_bytes(pictures.encode(image))
