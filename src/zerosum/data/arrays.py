"""Images or points in .npz and .npy files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from zerosum.core.download import Report
from zerosum.core.errors import DataError
from zerosum.data.classes import by_name, listed
from zerosum.data.contents import Contents, Source
from zerosum.data.digests import digest
from zerosum.data.limits import MOST_CLASSES
from zerosum.data.npy import NUMBERS, TEXT, Npz, is_npy, open_npy

IMAGE_KEYS = ("images", "x_train", "x", "arr_0")
LABEL_KEYS = ("labels", "y_train", "y")
CLASS_KEY = "classes"


def arrays(path: Path, cache: Path, report: Report, *, given: bool = False) -> Source:
    """An .npz with `images` (or x_train, x, arr_0, or its only array) and perhaps `labels` (or y_train, y); an .npy.

    `given`: it keeps an array that was given from Python, which is what messages name.
    """
    name = "the array you gave" if given else path.stem
    key = f"arrays {digest(path, {path.name: path}, cache, report)}"
    return Source(name, key, lambda: _contents(path, given=given))


def _contents(path: Path, *, given: bool) -> Contents:
    arrays = _read(path)
    names = list(arrays)
    key = next((key for key in IMAGE_KEYS if key in names), None)
    rest = [name for name in names if name not in (*LABEL_KEYS, CLASS_KEY)]
    if key is None and len(rest) == 1:
        key = rest[0]
    if key is None:
        raise DataError(f"{path}: which array holds the images? Name it 'images'; found {', '.join(names) or 'none'}")
    array = arrays[key]
    place = _in_words(array) if given else str(path)
    where = place if given else f"{path}: array {key!r}"
    if not (array.ndim and array.size):
        raise DataError(f"{where} is {'empty' if array.ndim else 'a single number'}")
    label_key = next((key for key in LABEL_KEYS if key in names), None)
    unused = [name for name in names if name not in (key, label_key, CLASS_KEY if label_key else None)]
    ignored = f"arrays {listed(unused)}" if len(unused) > 1 else f"array {listed(unused)}"
    notes = (f"left out: {ignored} beside {key!r}",) if unused else ()
    if label_key is None:
        return Contents(array=array, notes=notes, where=where)
    assert isinstance(arrays, Npz)  # an .npy holds one array
    labels = _labels(arrays.read(label_key, NUMBERS + TEXT), len(array), place)
    named = arrays.read(CLASS_KEY, "iu" + TEXT) if CLASS_KEY in names else None
    labels, classes = (_attributes if labels.ndim == 2 else _numbered)(labels, named, place)
    return Contents(array=array, labels=labels, classes=classes, notes=notes, where=where)


def _in_words(array: np.ndarray) -> str:
    shape = "x".join(map(str, array.shape))
    return f"the array you gave ({array.dtype}{shape and ', '}{shape})"


def _read(path: Path) -> Mapping[str, np.ndarray] | Npz:
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if is_npy(head) or path.suffix.lower() == ".npy":
        return {"arr_0": open_npy(path)}
    return Npz(path)


def _labels(labels: np.ndarray, count: int, place: str) -> np.ndarray:
    if labels.shape == (count, 1):
        labels = labels[:, 0]
    if labels.ndim == 2 and len(labels) == count and labels.dtype.kind in "iu" and np.isin(labels, (0, 1)).all():
        return labels  # attributes
    if labels.shape != (count,) or labels.dtype.kind not in "iu" + TEXT:
        shape = "x".join(map(str, labels.shape))
        raise DataError(
            f"{place}: labels must be {count:,} whole numbers or names, one per image; found {labels.dtype} {shape}"
        )
    return labels


def _attributes(labels: np.ndarray, named: np.ndarray | None, place: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Attributes uint8 [N, K] and their names, by default their numbers."""
    names = tuple(map(str, range(labels.shape[1]) if named is None else named.tolist()))
    if len(set(names)) != labels.shape[1]:
        raise DataError(f"{place}: {CLASS_KEY!r} must name each of the {labels.shape[1]:,} attributes once")
    return labels.astype(np.uint8), names


def _numbered(labels: np.ndarray, named: np.ndarray | None, place: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels int64 [N] and the names of the classes; `named` are those that the file gives, in their order."""
    spoken: tuple[str, ...] = ()
    if labels.dtype.kind == TEXT:
        labels, spoken = by_name(labels.tolist())
        if "" in spoken:
            raise DataError(f"{place}: some labels are empty; each must name a class")
    if labels.min() < 0 or labels.max() >= MOST_CLASSES:
        raise DataError(f"{place}: labels from {labels.min()} to {labels.max()}; they must count classes from 0")
    count = int(labels.max()) + 1
    if named is None:
        return labels.astype(np.int64), spoken or tuple(map(str, range(count)))
    classes = tuple(map(str, named.tolist())) if named.ndim == 1 else ()
    number = {name: index for index, name in enumerate(classes)}
    if lacking := [name for name in spoken if name not in number]:
        raise DataError(f"{place}: labels name {listed(lacking)}, which {CLASS_KEY!r} lacks")
    if len(number) != len(classes) or len(classes) < count:
        raise DataError(f"{place}: {CLASS_KEY!r} must name each class once, {count:,} in all; found {len(classes):,}")
    if spoken:
        labels = np.array([number[name] for name in spoken], dtype=np.int64)[labels]
    return labels.astype(np.int64), classes
