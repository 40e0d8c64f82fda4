"""Data given from Python: arrays, tensors, PIL images, torch data sets; kept as files, so that runs find them."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sized
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from PIL import Image

from zerosum.core.download import cache_folder
from zerosum.core.errors import DataError, shown
from zerosum.data.classes import natural

ALLOWED = (
    "a name, a path, an array or tensor of images or points, images and labels as (images, labels), a list of PIL "
    "images, or a torch Dataset of images, or of pairs of image and label"
)
_ARRAYS = (np.ndarray, torch.Tensor)
_MANY = (list, *_ARRAYS)
_LABELS = ("label", "labels", "target", "y")
_IMAGES = ("image", "images", "img", "pixel_values", "x")
_PNG = {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}  # modes that a PNG keeps


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
    folder = cache_folder(cache) / "given"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if isinstance(data, dict):
            images, labels = _pair(data)
            data = images if labels is None else (images, labels)
        if _is_array(data):
            return _write(folder, "array", ".npy", lambda file: np.save(file, _array(data), allow_pickle=False))
        if (
            isinstance(data, tuple)
            and len(data) == 2
            and isinstance(data[0], _MANY)
            and isinstance(data[1], (tuple, *_MANY))
        ):
            return _keep_pair(folder, *data)
        return _keep_items(folder, _items(data), tuple(map(str, getattr(data, "classes", None) or ())))
    except OSError as error:
        raise DataError(
            f"the cache {folder} cannot be written ({error.strerror}); name another: ZEROSUM_CACHE"
        ) from error


def _keep_pair(folder: Path, images: Any, labels: Any) -> Path:
    """Images and their labels, each an array or a list."""
    count, others = (0 if _is_array(one) and not one.ndim else len(one) for one in (images, labels))
    if count != others:
        raise DataError(f"there are {count:,} images and {others:,} labels; one is needed for each")
    if not _is_array(images):
        return _keep_items(folder, zip(images, labels, strict=True), ())
    if isinstance(labels, torch.Tensor) or (isinstance(labels, np.ndarray) and labels.dtype.kind not in "OUS"):
        return _write_arrays(folder, _array(images), _array(labels), ())
    return _write_arrays(folder, _array(images), *_numbered([_label(label, n) for n, label in enumerate(labels)], ()))


def _is_array(data: Any) -> bool:
    return isinstance(data, _ARRAYS)


def _array(data: Any) -> np.ndarray:
    """A tensor or array as plain numbers."""
    if isinstance(data, torch.Tensor):
        data = data.detach().cpu().to_dense()
        data = data.float() if data.dtype == torch.bfloat16 else data
        data = data.numpy()
    found = np.asarray(data)
    if found.dtype.kind not in "buif":
        raise DataError(f"an array of {found.dtype} cannot be data; numbers and bool can")
    return found


def _items(data: Any) -> Iterator[tuple[Any, Any]]:
    """Images with labels, or None for those that have none."""
    countable = isinstance(data, Sized) and hasattr(data, "__getitem__") and not isinstance(data, bytes)
    if not countable and not isinstance(data, Iterable):
        raise DataError(f"{type(data).__name__!r} is nothing to train on; give {ALLOWED}")
    # a torch Dataset says how long it is, and does not always end by itself
    source: Iterable[Any] = (data[place] for place in range(len(data))) if countable else data
    for item in source:
        yield _pair(item)


def _pair(item: Any) -> tuple[Any, Any]:
    if isinstance(item, dict):
        image = next((item[key] for key in _IMAGES if key in item), None)
        return image, next((item[key] for key in _LABELS if key in item), None)
    if isinstance(item, (tuple, list)) and item and (_is_array(item[0]) or isinstance(item[0], Image.Image)):
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
        raise DataError("there is no image in what was given; give " + ALLOWED)
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
    return _write(folder, "images", ".zip", lambda file: _write_zip(file, images, labels, classes))


def _image(item: Any, place: int) -> Any:
    if _is_array(item):
        return item
    raise DataError(f"item {place} is a {type(item).__name__}, and no image or array; give {ALLOWED}")


def _label(label: Any, place: int) -> int | str:
    value = label.item() if hasattr(label, "item") else label
    if not isinstance(value, (int, str)) or (isinstance(value, int) and not -(1 << 63) <= value < 1 << 63):
        raise DataError(
            f"item {place} has the label {shown(value)}; labels are names of classes, or whole numbers from 0"
        )
    return value


def _numbered(labels: list[Any], classes: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels as numbers, and the names of classes: in natural order where labels are names."""
    named = [isinstance(label, str) for label in labels]
    if not any(named):
        return np.array(labels, dtype=np.int64), classes
    if not all(named):
        raise DataError("some labels are names and some are numbers; take one or the other")
    classes = tuple(sorted(set(labels), key=natural))
    number = {name: index for index, name in enumerate(classes)}
    return np.array([number[label] for label in labels], dtype=np.int64), classes


def _write_arrays(folder: Path, images: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> Path:
    arrays = {"images": images, "labels": labels} | ({"classes": np.array(classes)} if classes else {})
    return _write(folder, "array", ".npz", lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]


def _write_zip(file: BinaryIO, images: list[Any], labels: list[Any], classes: tuple[str, ...]) -> None:
    """One file for each image, in a folder for each class; equal bytes for equal images."""
    with zipfile.ZipFile(file, "w") as archive:
        for place, image in enumerate(images):
            kind = "" if not labels else f"{_class(classes, labels[place])}/"
            suffix, data = _encoded(image)
            archive.writestr(zipfile.ZipInfo(f"{kind}{place:09d}{suffix}"), data)  # dated 1980


def _class(classes: tuple[str, ...], label: int) -> str:
    name = classes[label] if 0 <= label < len(classes) else str(label)
    return name.replace("/", "_").lstrip(".") or str(label)


def _encoded(image: Any) -> tuple[str, bytes]:
    file = io.BytesIO()
    if isinstance(image, np.ndarray):
        np.save(file, image, allow_pickle=False)
        return ".npy", file.getvalue()
    form = "PNG" if image.mode in _PNG else "TIFF"
    try:
        image.save(file, form)
    except (OSError, ValueError) as error:
        raise DataError(f"a PIL image of mode {image.mode} cannot be kept ({error}); convert it to RGB") from error
    return f".{form.lower()}", file.getvalue()


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
