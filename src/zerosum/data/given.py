"""Data given from Python: arrays, tensors, PIL images, torch data sets; kept as files, so that runs find them."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

from zerosum.core.download import cache_folder
from zerosum.core.errors import DataError, ZerosumError, shown
from zerosum.data.classes import by_name, listed
from zerosum.data.counting import counted
from zerosum.data.given_archive import write_images, write_pairs
from zerosum.data.pairs import SIGNALS

FOLDER = "given"  # of the cache
ALLOWED = (
    "a name, a path, an array or tensor of images or points, images and labels as (images, labels), a list of PIL "
    "images, a torch Dataset of images, or of pairs of image and label, or pairs of images as a dictionary of input "
    "and target"
)
_ARRAYS = (np.ndarray, torch.Tensor)
_FLOATS = (torch.float16, torch.float32, torch.float64)  # that NumPy has too
_MANY = (list, *_ARRAYS)
_LABELS = ("label", "labels", "target", "y")
_IMAGES = ("image", "images", "img", "pixel_values", "x")


def kept(data: Any, cache: str | Path | None = None) -> str | Path:
    """A name or path as it is; anything else written into the cache, named by its content: where it lies.

    Equal data give the same file, so that a run that was trained on them finds them again, and takes them again where
    the cache was emptied.

    Raises:
        DataError: it is nothing that zerosum can train on, or the cache cannot be written.
    """
    if isinstance(data, (str, Path)):
        if not str(data).strip():
            raise DataError("the name of the data is empty; give " + ALLOWED)
        return data
    _refuse_others(data)
    folder = cache_folder(cache) / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _keep(folder, data)
    except OSError as error:
        raise DataError(
            f"the cache {folder} cannot be written ({error.strerror}); name another: ZEROSUM_CACHE"
        ) from error


def _refuse_others(data: Any) -> None:
    """Say what is no data at all."""
    if data is None:
        raise DataError("the data are None, as if a variable was never set; give " + ALLOWED)
    if isinstance(data, DataLoader):
        raise DataError("a DataLoader gives batches; give the data set that it loads: loader.dataset")
    if isinstance(data, (bytes, bytearray)) or not (_is_countable(data) or isinstance(data, Iterable)):
        raise DataError(f"the data are {shown(data)}, of type {type(data).__name__!r}; give {ALLOWED}")


def _keep(folder: Path, data: Any) -> Path:
    if isinstance(data, Mapping) and set(SIGNALS) <= set(data):
        return _keep_pairs_of_images(folder, data)
    if isinstance(data, Mapping):
        images, labels = _pair(data, "the dictionary you gave")
        data = images if labels is None else (images, labels)
        _refuse_others(data)
    if _is_array(data):
        return _write(folder, "array", ".npy", lambda file: np.save(file, _array(data), allow_pickle=False))
    if (
        isinstance(data, tuple)
        and len(data) == 2
        and isinstance(data[0], _MANY)
        and isinstance(data[1], (tuple, *_MANY))
    ):
        return _keep_pair(folder, *data)
    return _keep_items(folder, _items(data), _names(data))


def _names(data: Any) -> tuple[str, ...]:
    """Names of classes that a data set says of itself."""
    classes = getattr(data, "classes", None)
    if isinstance(classes, str) or not isinstance(classes, Iterable):
        return ()
    names = tuple(map(str, classes))
    if twice := [name for name, count in Counter(names).items() if count > 1 or not name]:
        raise DataError(f"each class needs a name of its own; {listed(twice)} in data.classes is repeated or empty")
    return names


def _keep_pair(folder: Path, images: Any, labels: Any) -> Path:
    """Images and their labels, each an array or a list."""
    count, label_count = (0 if _is_array(one) and not one.ndim else len(one) for one in (images, labels))
    if count != label_count:
        raise DataError(
            f"{counted(count, 'image')} and {counted(label_count, 'label')} were given; one is needed for each"
        )
    if not _is_array(images):
        return _keep_items(folder, zip(images, labels, strict=True), ())
    if isinstance(labels, torch.Tensor) or (isinstance(labels, np.ndarray) and labels.dtype.kind not in "OUS"):
        return _write_arrays(folder, _array(images), _array(labels), ())
    return _write_arrays(folder, _array(images), *_numbered([_label(label, n) for n, label in enumerate(labels)], ()))


def _keep_pairs_of_images(folder: Path, data: Mapping[str, Any]) -> Path:
    """Inputs and targets, each an array, a tensor or a list."""
    for side in SIGNALS:
        _refuse_others(data[side])
    sides = [
        [one if isinstance(one, Image.Image) else _array(_image(one, place)) for place, one in enumerate(_each(images))]
        for images in (_array(data[side]) if _is_array(data[side]) else data[side] for side in SIGNALS)
    ]
    inputs, targets = map(len, sides)
    if inputs != targets or not inputs:
        told = f"{counted(inputs, 'input')} and {counted(targets, 'target')} were given"
        raise DataError(f"{told}; {'one is needed for each' if inputs or targets else 'give some'}")
    return _write(folder, "pairs", ".zip", lambda file: write_pairs(file, sides))


def _is_array(data: Any) -> bool:
    return isinstance(data, _ARRAYS)


def _array(data: Any) -> np.ndarray:
    """A tensor or array as plain numbers."""
    if isinstance(data, torch.Tensor):
        data = data.detach().cpu().to_dense()
        data = data.float() if data.is_floating_point() and data.dtype not in _FLOATS else data
        data = data.numpy()
    if np.ma.is_masked(data):
        raise DataError("some values of the array you gave are masked; fill them first: array.filled(0)")
    array = np.asarray(data)
    if array.dtype.kind not in "buif":
        raise DataError(f"an array of {array.dtype} cannot be data; numbers and bool can")
    return array


def _is_countable(data: Any) -> bool:
    return isinstance(data, Sized) and hasattr(data, "__getitem__")


def _items(data: Any) -> Iterator[tuple[Any, Any]]:
    """Images with labels, or None for those that have none."""
    items = _each(data)
    place = 0
    while True:
        try:
            item = next(items)
        except StopIteration:
            return
        except ZerosumError:
            raise
        except Exception as error:  # whatever a data set of the user raises is the user's to mend
            what = f"item {place} of the {type(data).__name__} you gave"
            raise DataError(f"{what} cannot be read ({type(error).__name__}: {error})") from error
        yield _pair(item, f"item {place}")
        place += 1


def _each(data: Any) -> Iterator[Any]:
    if _is_countable(data):  # a torch Dataset says how long it is, and does not always end by itself
        for place in range(len(data)):
            yield data[place]
    else:
        yield from data


def _pair(item: Any, what: str) -> tuple[Any, Any]:
    """Image and label, or images and labels; None for a label where there is none."""
    if isinstance(item, Mapping):
        key = next((key for key in _IMAGES if key in item), None)
        if key is None:
            keys = listed([str(key) for key in item]) or "none"
            raise DataError(f"{what} has no images; its keys are {keys}, and one of {listed(_IMAGES)} is needed")
        return item[key], next((item[key] for key in _LABELS if key in item), None)
    if isinstance(item, (tuple, list)) and item and (_is_array(item[0]) or isinstance(item[0], Image.Image)):
        if len(item) > 2:
            raise DataError(f"{what} has {len(item):,} values; give an image, or an image and its label")
        return item[0], item[1] if len(item) == 2 else None
    return item, None


def _keep_items(folder: Path, items: Iterator[tuple[Any, Any]], classes: tuple[str, ...]) -> Path:
    """Arrays of one shape as one array, anything else as a file each in an archive."""
    images: list[Any] = []
    labels: list[Any] = []
    for image, label in items:
        images.append(image if isinstance(image, Image.Image) else _array(_image(image, len(images))))
        labels.append(None if label is None else _label(label, len(labels)))
    if not images:
        raise DataError("there is no image in what you gave; give " + ALLOWED)
    if None in labels and any(label is not None for label in labels):
        raise DataError(f"item {labels.index(None)} has no label, and others have; label all images or none")
    numbers, classes = _numbered([] if None in labels else labels, classes)
    labels = numbers.tolist()
    kinds = {(one.shape, one.dtype) if isinstance(one, np.ndarray) else None for one in images}
    if len(kinds) == 1 and None not in kinds:
        stacked = np.stack(images)
        if not labels:
            return _write(folder, "array", ".npy", lambda file: np.save(file, stacked, allow_pickle=False))
        return _write_arrays(folder, stacked, numbers, classes)
    return _write(folder, "images", ".zip", lambda file: write_images(file, images, labels, classes))


def _image(item: Any, place: int) -> Any:
    if _is_array(item):
        return item
    raise DataError(f"item {place} is a {type(item).__name__} and neither an image nor an array; give {ALLOWED}")


def _label(label: Any, place: int) -> int | str:
    try:
        value = label.item() if hasattr(label, "item") else label
    except (ValueError, RuntimeError):  # an array of several
        value = label
    is_integer = isinstance(value, int) and -(1 << 63) <= value < 1 << 63
    if not is_integer and not (isinstance(value, str) and value):
        raise DataError(
            f"item {place} has the label {shown(value)}; labels are names of classes, or whole numbers from 0"
        )
    return value


def _numbered(labels: list[Any], classes: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels as numbers, and the names of classes: in natural order where labels are names."""
    named = [isinstance(label, str) for label in labels]
    if not any(named):
        _refuse_outside(labels, len(classes))
        return np.array(labels, dtype=np.int64), classes
    if not all(named):
        raise DataError("some labels are names and some are numbers; use one or the other")
    return by_name(labels)


def _refuse_outside(labels: list[int], classes: int) -> None:
    wrong = next((place for place, label in enumerate(labels) if label < 0 or (classes and label >= classes)), None)
    if wrong is not None:
        below = f" to {classes - 1:,}, as data.classes has {classes:,} names" if classes else ""
        raise DataError(f"item {wrong} has the label {labels[wrong]}; labels are whole numbers from 0{below}")


def _write_arrays(folder: Path, images: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> Path:
    arrays = {"images": images, "labels": labels} | ({"classes": np.array(classes)} if classes else {})
    return _write(folder, "array", ".npz", lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]


def _write(folder: Path, kind: str, suffix: str, save: Callable[[BinaryIO], None]) -> Path:
    """Write a file aside, and name it by its content."""
    handle, aside = tempfile.mkstemp(dir=folder, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            save(file)
        with Path(aside).open("rb") as written:
            digest = hashlib.file_digest(written, "sha256").hexdigest()
        return Path(aside).replace(folder / f"{kind}-{digest[:12]}{suffix}")
    finally:
        Path(aside).unlink(missing_ok=True)
