"""A first look at the files of a set, mostly at their headers: what must be known before the first is decoded."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace
from typing import BinaryIO

import numpy as np

from zerosum.core.download import Report
from zerosum.core.errors import DataError
from zerosum.data import npy
from zerosum.data.contents import Contents
from zerosum.data.halves import half
from zerosum.data.limits import LARGEST_FILE, take
from zerosum.data.metadata import without_metadata
from zerosum.data.pixels import BadImageError, blaming, is_deep, is_grey, open_image, seen_size
from zerosum.data.planes import as_picture
from zerosum.data.preparation import Preparation
from zerosum.data.ranges import Extent, extent

Size = tuple[int, int]  # (height, width)
_HEAD = 1 << 16  # bytes read before it is known whether more are needed


@dataclass
class Survey:
    """What was seen.

    Attributes:
        sizes: (height, width) of images, as they are seen.
        grey: all of them are.
        planes: numbers of channels of images that are arrays.
        extent: of what has more than 8 bits; None where nothing has.
    """

    sizes: set[Size] = field(default_factory=set)
    grey: bool = True
    planes: set[int] = field(default_factory=set)
    extent: Extent | None = None

    @property
    def size(self) -> Size | None:
        """(height, width) of all images; None where they differ."""
        return next(iter(self.sizes)) if len(self.sizes) == 1 else None

    def shape(self, preparation: Preparation) -> tuple[int, int, int]:
        """Shape (H, W, C) that a preparation gives all images."""
        return preparation.shape(self.sizes, self.grey, max(self.planes, default=None))

    def add(self, glance: Glance) -> None:
        """Count one image in."""
        self.sizes.add(glance.size)
        self.grey = self.grey and glance.grey
        if glance.planes is not None:
            self.planes.add(glance.planes)
        if glance.extent is not None:
            self.extent = glance.extent if self.extent is None else self.extent.join(glance.extent)


@dataclass(frozen=True)
class Glance:
    """One image of it."""

    size: Size
    grey: bool
    planes: int | None = None
    extent: Extent | None = None


def survey(contents: Contents, preparation: Preparation, bad: dict[int, str], report: Report) -> Survey:
    """Look at the files as far as it can matter; faults of bad ones go to `bad`, by index."""
    summary, halved = Survey(), "halves" in contents.pairs
    assert contents.files is not None
    for done, (index, file) in enumerate(contents.files()):
        name = contents.name(index)
        try:
            with blaming(name):
                glance = _glance(file, name, preparation)
                summary.add(replace(glance, size=half(glance.size, name, contents.pairs)) if halved else glance)
        except BadImageError as error:
            bad[index] = error.fault
        report("looking at headers", done + 1, len(contents))
        if summary.extent is None and not summary.planes and _settled(summary, preparation):
            break
    return summary


def _settled(summary: Survey, preparation: Preparation) -> bool:
    """True where nothing that follows can change shape or range, or is unlikely to: few sets mix bit depths."""
    mixed = preparation.size != "own" and len(summary.sizes) > 1 and not summary.grey
    return bool(summary.sizes) and (not preparation.needs_survey or mixed)


def _glance(file: BinaryIO, name: str, preparation: Preparation) -> Glance:
    head = file.read(_HEAD)
    if npy.is_npy(head):
        return _glance_at_array(head + take(file, LARGEST_FILE + 1 - len(head)), name)
    file.seek(0)
    try:
        return _glance_at_picture(file, name, preparation)
    except BadImageError:
        file.seek(0)
        bare = without_metadata(take(file, LARGEST_FILE + 1))
        if bare is None:
            raise
    return _glance_at_picture(io.BytesIO(bare), name, preparation)


def _glance_at_picture(file: BinaryIO, name: str, preparation: Preparation) -> Glance:
    with open_image(file, name) as image:
        glance = Glance(seen_size(image), is_grey(image))
        if not is_deep(image) or preparation.range != "auto":
            return glance
        return replace(glance, extent=finite(np.asarray(image), name))


def _glance_at_array(data: bytes, name: str) -> Glance:
    pixels = read_picture(data, name)
    height, width, planes = pixels.shape
    glance = Glance((height, width), planes == 1, planes)
    return glance if pixels.dtype == np.uint8 else replace(glance, extent=finite(pixels, name))


def read_picture(data: bytes, name: str) -> np.ndarray:
    """The image [H, W, C] in the bytes of an .npy file.

    Raises:
        BadImageError: it is damaged, or no image.
    """
    try:
        return as_picture(npy.parse_npy(data, name), name)
    except DataError as error:
        raise BadImageError(name, str(error).removeprefix(f"{name}: ")) from error


def finite(array: np.ndarray, name: str) -> Extent:
    """Smallest and largest of an image's numbers.

    Raises:
        BadImageError: NaN or infinity is among them.
    """
    limits = extent(array)
    if not np.isfinite([limits.low, limits.high]).all():
        raise BadImageError(name, "holds NaN or infinity")
    return limits
