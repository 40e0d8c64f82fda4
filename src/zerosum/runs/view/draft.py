"""What samples of a trained model start from: its latents and labels, and what was done to them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from zerosum.core.download import Report, silent
from zerosum.core.errors import DataError, RunError, ZerosumWarning
from zerosum.data.npy import Npz
from zerosum.runs.storage.saved import find_model, load_model
from zerosum.runs.storage.trained import TrainedModel, with_latent
from zerosum.runs.view import animation
from zerosum.runs.view.media import medium_of

Array = np.ndarray
USUAL = 64  # samples where nobody says how many


@dataclass(frozen=True, eq=False)
class Draft:
    """Samples before they are made: a model and what it starts from."""

    model: TrainedModel
    latents: Tensor  # [N, K]
    labels: Tensor | None  # int64 [N]; None where the model takes none
    psi: float | None = None  # share of a style's distance from the average that stays; None: all
    start: int = 0  # number of the first sample
    shares: Tensor | None = None  # of classes, [N, classes], in place of labels
    source: Tensor | None = None  # images [N, C, H, W] that samples start from; None: the model chooses
    seed: int = 0  # of noise that the network draws by itself

    def __len__(self) -> int:
        return len(self.latents)

    @property
    def spherical(self) -> int:
        """How many of a latent's numbers, from the first on, are normal: these lie about a sphere."""
        latent = self.model.latent
        sizes = {"normal": latent.size, "truncated": latent.size, "infogan": getattr(latent, "noise", 0)}
        return sizes.get(latent.name, 0)

    @property
    def notes(self) -> str:
        """What was done to the latents or styles, in words; empty where nothing was."""
        if self.psi is not None:
            return f"styles moved towards their average, psi {self.psi:g}"
        latent = self.model.latent
        return f"latents cut at {latent.threshold:g}" if latent.name == "truncated" else ""

    def walk(self, frames: int, *, around: bool) -> Draft:
        """Samples on the way through the latents, `frames` for each pair; `around`: and back to the first.

        From class to class a model that blends them goes gradually, labels being those of the nearer end; so it
        goes from image to image where it starts from images. Any other stays in the class of the first latent all
        around, or from end to end in that of a pair's first.
        """
        latents, labels = animation.walk(self.latents, self.labels, self.spherical, frames, around=around)
        shares, source, sample_labels = None, None, self.labels
        if (corners := self.model.sources(self.latents, sample_labels)) is not None:
            source = animation.straight(corners, frames, around=around)
        elif sample_labels is not None and self.model.blends:
            corners = one_hot(sample_labels, len(self.model.classes)).float()
            shares = animation.straight(corners, frames, around=around)
        elif sample_labels is not None and len(sample_labels.unique()) > 1:
            labels = (
                torch.full((len(latents),), int(sample_labels[0]))
                if around
                else sample_labels[:-1].repeat_interleave(frames)
            )
            warnings.warn("the network cannot blend classes, so each walk stays in its first class", ZerosumWarning, 2)
        return replace(self, latents=latents, labels=labels, start=0, shares=shares, source=source)

    def chunks(self, report: Report = silent) -> Iterator[Array]:
        """Make them, some at a time: uint8 images [n, H, W, C], or points [n, D] in the data's units."""
        done, classes, medium = 0, self.labels if self.shares is None else self.shares, medium_of(self.model.signal)
        for chunk in self.model.chunks(self.latents, classes, self.psi, self.start, self.source, self.seed):
            yield medium.values(chunk, self.model.units)
            done += len(chunk)
            report("sampling", done, len(self))

    def on(self, device: torch.device) -> Draft:
        """The same samples, made on a device."""
        self.model.to(device)
        return self

    @property
    def dtype(self) -> type[np.generic]:
        """Of the numbers of samples."""
        units = self.model.units
        return np.uint8 if self.model.signal.kind == "image" else np.float32 if units is None else units.dtype

    def render(self, report: Report = silent) -> Array:
        """Make them all: uint8 images [N, H, W, C], or points [N, D] in the data's units."""
        return np.concatenate(list(self.chunks(report)))


def draft(
    place: str | Path,
    *,
    count: int | None = None,
    seed: int | None = None,
    label: str | None = None,
    latent: str | None = None,
    truncation: float | None = None,
    latents: str | Path | None = None,
    start: int = 0,
    trust: bool = False,
) -> Draft:
    """Choose a model and what it starts from.

    Args:
        place: a run or a model file.
        count: how many samples; 64 by default, or as many as `latents` holds.
        seed: sample i of a seed is always the same; 0 by default.
        label: one class as `find_label` reads it; all in turn by default.
        latent: other latents of that size, for example `"truncated:threshold=0.7"`.
        truncation: trades variety for quality: psi of a style-based generator (styles move towards their average), the
            threshold of truncated latents for any other.
        latents: a file of `save_latents` to start from.
        start: number of the first sample: 1,000 samples from 5,000 on are the 5,001st to the 6,000th of all.
        trust: run the Python files that the run keeps, whoever wrote them.

    Raises:
        RunError: no model, or an option that does not fit it or another option.
        RecipeError: there is no such latent.
    """
    trained = load_model(find_model(place), trust=trust)
    psi = truncation if trained.styled else None
    threshold = None if trained.styled else truncation
    if latents is not None:
        _refuse_beside_latents(seed=seed, latent=latent, truncation=threshold)
        saved = load_latents(latents, trained)
        available = len(saved.latents)
        requested = max(0, available - start) if count is None else count
        if start + max(1, requested) > available:
            options = (
                f"--start {start}" if count is None else f"--count {count}" + (f" --start {start}" if start else "")
            )
            raise RunError(f"{options}: {latents} holds {available} latents; ask for fewer, or save more")
        part = slice(start, start + requested)
        z, labels = saved.latents[part], None if saved.labels is None else saved.labels[part]
        start, seed = saved.start + start, saved.seed
    else:
        chosen = latent if threshold is None else truncated(trained, threshold, latent)
        trained = trained if chosen is None else with_latent(trained, chosen)
        z, labels = trained.latents(USUAL if count is None else count, seed or 0, start), None
    if label is not None or labels is None:
        labels = trained.labels(len(z), label, start)
    return Draft(trained, z, labels, psi, start, seed=seed or 0)


def _refuse_beside_latents(**options: Any) -> None:
    for name, value in options.items():
        if value is not None:
            raise RunError(f"--{name} and --latents exclude each other: the file says what the samples start from")


def truncated(trained: TrainedModel, threshold: float, latent: str | None) -> str:
    """Text of truncated latents for a model without styles.

    Raises:
        RunError: its latents are not normal, or were named beside.
    """
    kind = None if trained.latent is None else trained.latent.name
    if latent is not None:
        raise RunError("--truncation and --latent exclude each other: here both say which latents; give one")
    if kind not in ("normal", "truncated"):
        raise RunError(
            f"--truncation cuts the tails of normal latents, and this model was trained on {kind!r} ones; leave it "
            "out, or ask for --latent truncated:threshold=... all the same"
        )
    if not threshold > 0:
        raise RunError(f"--truncation {threshold:g}: a threshold of latents must be above 0, for example 0.7")
    return f"truncated:threshold={threshold}"


class KeptLatents(NamedTuple):
    """What a file of latents holds: all that the same images need again."""

    latents: Tensor  # [N, K]
    labels: Tensor | None  # [N]; None where there are none, or the model takes none
    seed: int = 0  # of noise that a network draws by itself
    start: int = 0  # number of the first sample


def load_latents(path: str | Path, trained: TrainedModel) -> KeptLatents:
    """Read a file of `save_latents`, or another .npz with latents [N, K] and, perhaps, labels [N].

    Raises:
        RunError: the file is missing, is none of latents, or does not fit the model.
    """
    if not Path(path).exists():
        raise RunError(f"--latents {path}: there is no such file; `zerosum sample --save-latents` writes one")
    try:
        file = Npz(Path(path))
        arrays = {name: file[name] for name in ("latents", "labels", "seed", "start") if name in file.members}
    except DataError as error:
        raise RunError(f"--latents {path} is not an .npz of latents ({error})") from error
    latents, labels, width = (
        arrays.get("latents"),
        arrays.get("labels"),
        0 if trained.latent is None else trained.latent.size,
    )
    if latents is None or latents.ndim != 2 or not len(latents):
        raise RunError(f"--latents {path} has no array `latents` [N, K]; `zerosum sample --save-latents` writes one")
    if latents.shape[1] != width:
        raise RunError(f"--latents {path}: latents of {latents.shape[1]} numbers, and this model takes {width}")
    if not np.isfinite(latents).all():
        raise RunError(f"--latents {path}: some of its latents are not finite")
    numbers = [arrays.get(name, np.array(0)) for name in ("seed", "start")]
    if any(one.shape or one.dtype.kind not in "iu" for one in numbers):
        raise RunError(f"--latents {path}: seed and start must be whole numbers")
    seed, start = map(int, numbers)
    z = torch.from_numpy(latents.astype(np.float32))
    if not trained.conditional or labels is None:
        return KeptLatents(z, None, seed, start)
    valid = labels.shape == latents.shape[:1] and labels.dtype.kind in "iu"
    if not valid or not 0 <= labels.min() <= labels.max() < len(trained.classes):
        raise RunError(
            f"--latents {path}: its labels do not fit this model's {len(trained.classes)} classes; "
            "name one class with --label"
        )
    return KeptLatents(z, torch.from_numpy(labels.astype(np.int64)), seed, start)
