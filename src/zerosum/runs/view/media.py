"""Media: how what a model takes and gives is shown, read and measured, by the kind of its signal."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zerosum.core.errors import RunError
from zerosum.core.reading import read_bytes
from zerosum.core.signals import Signal
from zerosum.data import Preparation, Units, to_images
from zerosum.data.limits import LARGEST_FILE
from zerosum.data.pixels import calm_pillow, open_image, prepare, seen_size
from zerosum.runs.view import pictures

Array = np.ndarray


class Medium:
    """What is known of one kind of signal; of this one, as of latents, no more than its numbers.

    Attributes:
        noun: several samples, in words.
        sheet: samples in a picture.
        card: samples in a small one.
        metrics: names of the usual ones by verb; an evaluator leaves out those that do not apply.
    """

    noun = "rows of numbers"
    sheet, card = 64, 16
    metrics: Mapping[str, tuple[str, ...]] = MappingProxyType({})

    def inside(self, x: Tensor) -> Tensor:
        """What a network gives, [N, ...], within the range of such samples."""
        return x

    def tensors(self, values: Array) -> Tensor:
        """Samples of data [N, ...] as networks take them."""
        return torch.from_numpy(np.ascontiguousarray(values))

    def values(self, x: Tensor, units: Units | None = None) -> Array:
        """Samples [N, ...] as files hold them."""
        return x.numpy() if units is None else units.outward(x.numpy())

    def picture(self, values: Array, columns: int | None = None, units: Units | None = None) -> Array:
        """Samples as files hold them in one picture, uint8 [H, W, C]."""
        return pictures.sheet(values, columns, None if units is None else pictures.around(units))

    def words(self, signal: Signal) -> str:
        """Samples of a signal in words."""
        return f"{self.noun} {list(signal.shape)}"

    def read(self, path: Path, signal: Signal, preparation: Preparation, *, as_it_is: bool = False) -> Tensor:  # noqa: ARG002
        """A sample of a file, [...], as networks take it; `as_it_is`: of its own size.

        Raises:
            RunError: it cannot be read, or such samples have no files.
        """
        raise RunError(f"{path}: {self.noun} are not read from files of their own; give them from Python")


class Images(Medium):
    """Images [N, C, H, W] in [-1, 1]; uint8 [N, H, W, C] in files."""

    noun = "images"
    metrics: Mapping[str, tuple[str, ...]] = MappingProxyType(
        dict.fromkeys(("generate", "translate", "reconstruct"), ("fd", "kid", "prdc", "sliced-wasserstein"))
        | {
            "translate": ("domain-accuracy", "fd", "kid", "prdc", "sliced-wasserstein", "cycle-error"),
            "pairs": ("similarity", "fd", "kid", "sliced-wasserstein"),
        }
    )

    def inside(self, x: Tensor) -> Tensor:
        """Pixels within [-1, 1]: the output of some networks is linear."""
        return x.clamp(-1, 1)

    def tensors(self, values: Array) -> Tensor:
        """Pixels, uint8 [N, H, W, C], in [-1, 1], [N, C, H, W]."""
        return torch.from_numpy(np.ascontiguousarray(values)).float().div(127.5).sub(1).permute(0, 3, 1, 2)

    def values(self, x: Tensor, units: Units | None = None) -> Array:  # noqa: ARG002
        """Pixels, uint8 [N, H, W, C]."""
        return to_images(x)

    def words(self, signal: Signal) -> str:
        """Size and channels."""
        channels, height, width = signal.shape
        return f"{height}x{width} images with {channels} channel{'s' if channels > 1 else ''}"

    def read(self, path: Path, signal: Signal, preparation: Preparation, *, as_it_is: bool = False) -> Tensor:
        """A picture in the channels of a signal, [C, H, W], and in its size or its own, as the training's were made.

        Raises:
            DataError: it cannot be read, or is no picture.
        """
        channels, height, width = signal.shape
        content = io.BytesIO(read_bytes(path, LARGEST_FILE))
        with calm_pillow(), open_image(content, str(path)) as image:
            height, width = seen_size(image) if as_it_is else (height, width)
            pixels = prepare(image, str(path), (height, width, channels), preparation)
        return self.tensors(np.array(pixels[None]))[0]


class Points(Medium):
    """Points [N, D], standardised inside, in the data's units in files."""

    noun = "points"
    sheet, card = 10_000, 2_500
    metrics: Mapping[str, tuple[str, ...]] = MappingProxyType(
        dict.fromkeys(("generate", "translate", "reconstruct"), ("sliced-wasserstein", "modes"))
    )

    def words(self, signal: Signal) -> str:
        """Dimensions."""
        return f"points of {signal.shape[0]} dimension{'s' if signal.shape[0] > 1 else ''}"


MEDIA: dict[str, Medium] = {"image": Images(), "points": Points()}
OTHER = Medium()


def medium_of(signal: Signal) -> Medium:
    """The medium of a signal."""
    return MEDIA.get(signal.kind, OTHER)


def many(count: int, signal: Signal) -> str:
    """So many samples of a signal, in words."""
    words: Any = medium_of(signal).words(signal)
    return f"{count:,} {'x ' if signal.kind == 'image' else ''}{words}"
