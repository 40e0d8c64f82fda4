"""Room for decoded images: one array, and for pairs one of inputs before it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np

from zerosum.data.contents import Contents
from zerosum.data.pixels import BadImageError, Shape

Size = tuple[int, int]  # (height, width)
Allocate = Callable[[tuple[int, ...], str], np.ndarray]  # room for uint8 of a shape, in memory or in a file of a name

CHUNK = 4096  # images copied at a time


class Room:
    """Where images go as they are decoded.

    Args:
        contents: whose images; they say whether two files are a sample.
        shape: of every image.
        allocate: gives the room.

    Attributes:
        images: uint8 [N, H, W, C]: of samples, or inputs and targets of pairs.
    """

    def __init__(self, contents: Contents, shape: Shape, allocate: Allocate) -> None:
        self._contents, self._apart = contents, contents.pairs == "files"
        whole = (self.row(len(contents)), *shape)
        self.images = [allocate(whole, name) for name in (("inputs", "values") if contents.pairs else ("values",))]
        self._sizes: dict[int, Size] = {}  # of images whose partners are still to come

    def row(self, index: int) -> int:
        """The sample that an image is of."""
        return index // 2 if self._apart else index

    def put(self, index: int, images: Sequence[np.ndarray], size: Size) -> None:
        """Take in what a file held; `size` is what it had before it was prepared.

        Raises:
            BadImageError: its partner had another size.
        """
        if self._apart:
            self._hold_against_partner(index, size)
            self.images[index % 2][index // 2] = images[0]
            return
        for room, image in zip(self.images, images, strict=True):
            room[index] = image

    def _hold_against_partner(self, index: int, size: Size) -> None:
        partner = index ^ 1
        other = self._sizes.pop(partner, None)
        if other is None:
            self._sizes[index] = size
        elif size != other:
            name, its = self._contents.name(index), self._contents.name(partner)
            sizes = f"is {size[0]}x{size[1]} (height x width), and its partner {its} {other[0]}x{other[1]}"
            raise BadImageError(name, f"{sizes}; both images of a pair have one size")

    def leave_out(self, bad: Collection[int]) -> np.ndarray:
        """Drop the samples that some images are of; which ones are left, int64 [N], ascending."""
        kept = np.setdiff1d(np.arange(len(self.images[0])), [self.row(index) for index in bad])
        self.images = [_compact(images, kept) for images in self.images]
        return kept


def _compact(values: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Move the kept rows to the front, in place; `kept` ascends, so no row is overwritten before it moves."""
    for to in range(0, len(kept), CHUNK):
        rows = kept[to : to + CHUNK]
        values[to : to + len(rows)] = values[rows]
    return values[: len(kept)]
