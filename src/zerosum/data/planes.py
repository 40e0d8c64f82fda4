"""Which axis of an array counts what: images, rows, columns, channels; or points and their numbers."""

from __future__ import annotations

import numpy as np

from zerosum.core.errors import DataError
from zerosum.data.preparation import Preparation

USUAL = (1, 3, 4)  # channels that are taken for channels wherever they stand
NARROW, LONG = 4, 16  # floats [N, 128, 2] are no images: one side is at most NARROW, the other at least LONG


def is_table(array: np.ndarray, preparation: Preparation) -> bool:
    """True where an array is read as points: by `arrays`, else by rank (1 and 2, and series of floats of rank 3)."""
    if preparation.arrays != "auto":
        return preparation.arrays == "points"
    if array.ndim != 3 or array.dtype.kind != "f":
        return array.ndim < 3
    return min(array.shape[1:]) <= NARROW and max(array.shape[1:]) >= LONG


def as_images(array: np.ndarray, where: str) -> tuple[np.ndarray, str]:
    """A view [N, H, W, C] of [N, H, W], [N, H, W, C] or [N, C, H, W], and a note where that was not plain.

    Raises:
        DataError: another number of axes, or an axis of length 0.
    """
    shape = "x".join(map(str, array.shape))
    if array.ndim not in (3, 4) or not all(array.shape):
        raise DataError(
            f"{where}: shape {shape} is not a set of images; allowed are [N, H, W], [N, H, W, C] and [N, C, H, W] "
            "with any number of channels; points are [N, D]"
        )
    if array.ndim == 3:
        return array[..., None], ""
    if array.shape[3] in USUAL:
        return array, ""
    if array.shape[1] in USUAL:
        return array.transpose(0, 2, 3, 1), ""
    first = array.shape[1] < array.shape[3]
    place, count = ("second", array.shape[1]) if first else ("last", array.shape[3])
    note = f"channels: the {place} axis of {shape} is taken for {count} channels"
    return (array.transpose(0, 2, 3, 1) if first else array), note


def as_picture(array: np.ndarray, where: str) -> np.ndarray:
    """A view [H, W, C] of one image [H, W], [H, W, C] or [C, H, W].

    Raises:
        DataError: another number of axes, or an axis of length 0.
    """
    if array.ndim not in (2, 3):
        shape = "x".join(map(str, array.shape))
        raise DataError(f"{where}: shape {shape} is not an image; allowed are [H, W], [H, W, C] and [C, H, W]")
    return as_images(array[None], where)[0][0]
