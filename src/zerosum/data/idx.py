"""The idx format of MNIST: two zero bytes, type, number of dimensions, their big-endian sizes, bytes."""

from __future__ import annotations

import lzma
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from zerosum.core.download import Report
from zerosum.core.errors import DataError
from zerosum.data.contents import Contents, Source
from zerosum.data.counting import counted
from zerosum.data.digests import digest
from zerosum.data.limits import Metered, take

_UBYTE = 0x08
_DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError)


def is_idx(path: Path) -> bool:
    """True for an idx file of unsigned bytes, plain or gzipped."""
    try:
        with Metered(path) as file:
            head = file.read(4)
    except _DAMAGE:
        return False
    return len(head) == 4 and head[:3] == b"\0\0\x08" and 1 <= head[3] <= 4


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Read uint8 of this many dimensions.

    Raises:
        DataError: the file is damaged, shortened, a bomb, or of another type or number of dimensions.
    """
    try:
        with Metered(path) as file:
            head = file.read(4 + 4 * dimensions)
            if len(head) < 4 + 4 * dimensions or head[:4] != bytes((0, 0, _UBYTE, dimensions)):
                raise DataError(f"{path}: is not an idx file of bytes with {dimensions} dimensions")
            sizes = struct.unpack_from(f">{dimensions}I", head, 4)
            expected = math.prod(sizes)
            file.expect(expected)
            data = take(file, expected + 1)
    except _DAMAGE as error:
        raise DataError(f"{path}: is damaged ({error}); fetch it again") from error
    if len(data) != expected:
        available = f"{len(data):,} are there" if len(data) < expected else "more are there"
        raise DataError(f"{path}: is truncated or damaged; {expected:,} bytes are announced, {available}")
    return np.frombuffer(data, dtype=np.uint8).reshape(sizes)


def pairs(name: str, train: Path, test: Path | None, classes: tuple[str, ...], cache: Path, report: Report) -> Source:
    """A set of idx images with labels beside them; the test file, where given, is held out."""
    images = [path for path in (train, test) if path is not None]
    labels = [labels_file for path in images if (labels_file := labels_beside(path)) is not None]
    if bare := [path.name for path in images if labels and labels_beside(path) is None]:
        raise DataError(f"{name}: {bare[0]} has no labels file beside it, and the other has; add it or remove both")
    key = digest(train, {path.name: path for path in images + labels}, cache, report)
    return Source(name, f"idx {key}", lambda: _contents(images, labels, classes))


def labels_beside(images: Path) -> Path | None:
    """The labels file that belongs to an images file, plain or gzipped; None where there is none."""
    name = images.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
    options = (images.with_name(name), images.with_name(name + ".gz"))
    return next((path for path in options if path.is_file() and path.name != images.name), None)


def _contents(image_files: list[Path], label_files: list[Path], classes: tuple[str, ...]) -> Contents:
    images = [read_idx(path, 3) for path in image_files]
    labels = [read_idx(path, 1) for path in label_files]
    for path, some, their in zip(image_files, images, labels, strict=bool(labels)):
        if len(some) != len(their):
            raise DataError(f"{path}: {counted(len(some), 'image')} but {counted(len(their), 'label')} beside them")
    sizes = {array.shape[1:] for array in images}
    if len(sizes) > 1:
        raise DataError(f"{image_files[0]}: its images and those of {image_files[1].name} differ in size")
    array = np.concatenate(images)[..., None]
    if not len(array):
        raise DataError(f"{image_files[0]}: holds no images")
    held_out = np.arange(len(images[0]), len(array), dtype=np.int64) if len(images) > 1 else None
    if not labels:
        return Contents(array=array, held_out=held_out)
    joined = np.concatenate(labels).astype(np.int64)
    names = classes or tuple(str(label) for label in range(int(joined.max()) + 1))
    return Contents(array=array, labels=joined, classes=names, held_out=held_out)
