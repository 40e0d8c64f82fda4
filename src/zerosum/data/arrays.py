"""Images or points in .npz and .npy files."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from zerosum.core.download import Report
from zerosum.core.errors import DataError
from zerosum.data.contents import Contents, Source
from zerosum.data.digests import digest
from zerosum.data.pixels import narrow

IMAGE_KEYS = ("images", "x_train", "x", "arr_0")
LABEL_KEYS = ("labels", "y_train", "y")
_CHUNK = 4096  # images converted at a time


def arrays(path: Path, cache: Path, report: Report) -> Source:
    """An .npz with `images` (or x_train, x, arr_0, or its only array) and perhaps `labels` (or y_train, y); an .npy."""
    return Source(path.stem, f"arrays {digest(path, {path.name: path}, cache, report)}", lambda: _contents(path))


def _contents(path: Path) -> Contents:
    found = _read(path)
    key = next((key for key in IMAGE_KEYS if key in found), None)
    rest = [name for name in found if name not in LABEL_KEYS]
    if key is None and len(rest) == 1:
        key = rest[0]
    if key is None:
        raise DataError(f"{path}: which array holds the images? Name it 'images'; found {', '.join(found) or 'none'}")
    array = found[key]
    if not len(array) if array.ndim else True:
        raise DataError(f"{path}: array {key!r} is empty")
    where = f"{path}: array {key!r}"
    values = _points(array, where) if _is_points(array) else to_pixels(array, where)
    labels = next((found[key] for key in LABEL_KEYS if key in found), None)
    if labels is None:
        return Contents(array=values)
    return Contents(array=values, labels=_labels(labels, len(values), path), classes=_classes(labels))


def _read(path: Path) -> Mapping[str, np.ndarray]:
    try:
        if path.suffix.lower() == ".npy":
            return {"arr_0": np.load(path, mmap_mode="r", allow_pickle=False)}
        with path.open("rb") as file, np.load(file, allow_pickle=False) as loaded:  # NumPy leaves damaged files open
            return {key: loaded[key] for key in loaded.files}
    except ValueError as error:
        if "pickle" in str(error):
            raise DataError(
                f"{path}: holds Python objects, which could run code; save plain numbers instead"
            ) from error
        raise DataError(f"{path}: is damaged or no NumPy file ({error})") from error
    except (OSError, EOFError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: is damaged or no NumPy file ({error})") from error


def _is_points(array: np.ndarray) -> bool:
    return array.ndim == 2 and array.dtype.kind == "f" and 2 <= array.shape[1] <= 8


def _points(array: np.ndarray, where: str) -> np.ndarray:
    if not np.isfinite(array).all():
        raise DataError(f"{where}: holds NaN or infinity")
    return np.ascontiguousarray(array, dtype=np.float32)


def to_pixels(array: np.ndarray, where: str) -> np.ndarray:
    """Turn [N, H, W], [N, H, W, C] or [N, C, H, W] into uint8 [N, H, W, C] with C of 1, 3 or 4.

    uint8 as it is, bool as 0 and 255, uint16 divided by 257, floats in 0..1 times 255, else in -1..1 likewise.

    Raises:
        DataError: another shape, type or range, or NaN.
    """
    array = _channels_last(array, where)
    if array.dtype == np.uint8:
        return array
    convert = _conversion(array, where)
    pixels = np.empty(array.shape, dtype=np.uint8)
    for start in range(0, len(array), _CHUNK):
        pixels[start : start + _CHUNK] = convert(array[start : start + _CHUNK])
    return pixels


def _channels_last(array: np.ndarray, where: str) -> np.ndarray:
    if array.ndim == 3:
        return array[..., None]
    if array.ndim == 4 and array.shape[3] in (1, 3, 4):
        return array
    if array.ndim == 4 and array.shape[1] in (1, 3, 4):
        return array.transpose(0, 2, 3, 1)
    shape = "x".join(map(str, array.shape))
    raise DataError(
        f"{where}: shape {shape} is no set of images; allowed are [N, H, W], [N, H, W, C] and [N, C, H, W] "
        "with 1, 3 or 4 channels, or float points [N, 2..8]"
    )


def _conversion(array: np.ndarray, where: str) -> Callable[[np.ndarray], np.ndarray]:
    if array.dtype == np.bool_:
        return lambda part: part.astype(np.uint8) * 255
    if array.dtype == np.uint16:
        return narrow
    if array.dtype.kind != "f":
        raise DataError(f"{where}: type {array.dtype} is not allowed; use uint8, bool, uint16 or float")
    low, high = float(array.min()), float(array.max())
    if np.isnan(low) or np.isnan(high):
        raise DataError(f"{where}: holds NaN")
    if low >= 0 and high <= 1:
        return lambda part: np.rint(part.astype(np.float32) * 255).astype(np.uint8)
    if low >= -1 and high <= 1:
        return lambda part: np.rint((part.astype(np.float32) + 1) * 127.5).astype(np.uint8)
    raise DataError(f"{where}: floats from {low:g} to {high:g}; allowed is 0..1 or -1..1 (or uint8 0..255)")


def _labels(labels: np.ndarray, count: int, path: Path) -> np.ndarray:
    if labels.shape == (count, 1):
        labels = labels[:, 0]
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        shape = "x".join(map(str, labels.shape))
        raise DataError(f"{path}: labels must be {count} whole numbers, one an image; found {labels.dtype} {shape}")
    if labels.min() < 0 or labels.max() > 100_000:
        raise DataError(f"{path}: labels from {labels.min()} to {labels.max()}; they must count classes from 0")
    return labels.astype(np.int64)


def _classes(labels: np.ndarray) -> tuple[str, ...]:
    return tuple(str(label) for label in range(int(labels.max()) + 1))
