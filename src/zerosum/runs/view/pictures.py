"""Pictures of samples: a grid of images, a histogram or scatter of points, as uint8 arrays and PNG files."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from zerosum.core.writing import write_file
from zerosum.data import Units, to_images
from zerosum.runs.storage.outputs import MARK

Array = np.ndarray
Ranges = list[tuple[float, float]]  # lowest and highest value of each dimension
SEEN = 4  # channels that a picture can have; of more the first three are shown
USUAL = (-2.0, 2.0)  # of points whose data are not known


def grid(images: Array, columns: int | None = None, pad: int = 2, tile: int = 64) -> Array:
    """Lay uint8 images [N, H, W, C] out in rows; small ones are enlarged by a whole factor towards `tile` pixels.

    The result is [rows * (H + pad) + pad, columns * (W + pad) + pad, C] before enlargement.
    """
    images = seen(images)
    count, channels = len(images), images.shape[3]
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    images = enlarge(images, tile)
    height, width = images.shape[1:3]
    sheet = np.full((rows * (height + pad) + pad, columns * (width + pad) + pad, channels), 255, np.uint8)
    for place, image in enumerate(images):
        top, left = pad + place // columns * (height + pad), pad + place % columns * (width + pad)
        sheet[top : top + height, left : left + width] = image
    return sheet


def seen(images: Array) -> Array:
    """Images [N, H, W, C] as a PNG can hold them, C of 1 to 4: of more channels the first three are the colours."""
    return images if images.shape[3] <= SEEN else images[..., :3]


def enlarge(images: Array, side: int) -> Array:
    """Images [N, H, W, C] enlarged by a whole factor towards `side` pixels; larger ones stay."""
    scale = max(1, side // max(images.shape[1:3]))
    return images.repeat(scale, axis=1).repeat(scale, axis=2)


def beside(samples: Array, others: Array, tile: int = 64) -> Array:
    """Each of the images [N, H, W, C] at the left of its own others [N, k, H, W, C], across a gap; [rows, columns, C].

    Many of them stand in several blocks side by side, so that the sheet is about as wide as it is high.
    """
    count, k = others.shape[:2]
    rows = math.ceil(count / max(1, round(math.sqrt(count / (k + 1.5)))))
    parts: list[Array] = []
    for start in range(0, count, rows):
        block = slice(start, start + rows)
        left = grid(samples[block], 1, tile=tile)
        right = grid(others[block].reshape(-1, *others.shape[2:]), k, tile=tile)
        parts += [left, np.full_like(left[:, : tile // 8], 255), right, np.full_like(left[:, : tile // 2], 255)]
    height = parts[0].shape[0]  # the last block may have fewer rows
    parts = [np.pad(one, ((0, height - len(one)), (0, 0), (0, 0)), constant_values=255) for one in parts[:-1]]
    return np.concatenate(parts, axis=1)


def pairs(before: Array, *after: Array) -> Array:
    """Images [N, H, W, C], each at the left of others, [N, H, W, C], such as what became of it; all of one size."""
    sides = before, *after
    channels = max(side.shape[3] for side in sides)
    one, *others = (side if side.shape[3] == channels else seen(side).repeat(channels, 3) for side in sides)
    return beside(one, np.stack(others, 1))


def stack(sheets: Sequence[Array]) -> Array:
    """Sheets [H, W, C] one below the other, the narrower ones filled up with white."""
    channels, width = max(one.shape[2] for one in sheets), max(one.shape[1] for one in sheets)
    even = [np.repeat(one, channels, axis=2) if one.shape[2] == 1 else one for one in sheets]
    filled = [np.pad(one, ((0, 0), (0, width - one.shape[1]), (0, 0)), constant_values=255) for one in even]
    return np.concatenate(filled)


def scatter(points: Array, side: int = 512, ranges: Ranges | None = None) -> Array:
    """Density of points [N, D] in their first two dimensions: dark where many are; [side, side, 1]."""
    across, up = _bins(points[:, :2], ranges, side // 4)
    counts = np.zeros((side // 4, side // 4))
    inside = (across >= 0) & (up >= 0)
    np.add.at(counts, (up[inside], across[inside]), 1)
    return _shades(counts).repeat(4, axis=0).repeat(4, axis=1)[..., None]


def profile(points: Array, side: int = 512, ranges: Ranges | None = None) -> Array:
    """Density of points [N, D], a strip for each dimension, lowest values at the bottom; [side, about side, 1]."""
    height = side // 4
    counts = np.stack(
        [np.bincount(strip[strip >= 0], minlength=height) for strip in _bins(points, ranges, height)], axis=1
    )
    wide = max(1, side // counts.shape[1])
    return _shades(counts).repeat(4, axis=0).repeat(wide, axis=1)[..., None]


def histogram(points: Array, side: int = 512, ranges: Ranges | None = None) -> Array:
    """Bars for points [N, 1], the fullest as high as the picture, over a line at 0; [side, side, 1]."""
    (low, high), *_ = ranges or [USUAL]
    counts = np.bincount((bins := _bins(points[:, :1], ranges, side // 4)[0])[bins >= 0], minlength=side // 4)
    heights = np.round(side * counts / max(counts.max(), 1)).astype(int).repeat(4)
    sheet = np.full((side, side), 255, np.uint8)
    if low < 0 < high:
        sheet[:, int(side * -low / (high - low))] = 192
    sheet[np.arange(side)[::-1, None] < heights] = 0
    return sheet[..., None]


def _bins(points: Array, ranges: Ranges | None, count: int) -> Array:
    """Which of `count` equal parts of its range each number lies in, -1 outside; int64 [D, N]."""
    limits = np.asarray(ranges or [USUAL] * points.shape[1], np.float64)[: points.shape[1]]
    low, width = limits[:, :1], np.maximum(limits[:, 1:] - limits[:, :1], 1e-12)
    place = np.nan_to_num((points.T - low) / width * count, nan=-1.0, posinf=-1.0, neginf=-1.0)
    place = np.where(place == count, count - 1, np.floor(place))
    return np.where((place >= 0) & (place < count), place, -1).astype(np.int64)


def _shades(counts: Array) -> Array:
    """Logarithms of counts as grey, the first row at the bottom."""
    shade = 255 * (1 - np.minimum(1, np.log1p(counts[::-1]) / np.log1p(max(counts.max(), 1))))
    return shade.round().astype(np.uint8)


def around(units: Units) -> Ranges:
    """Ranges to draw points of a data set in: its own, a little wider, and one for all columns that have no names."""
    ranges = units.ranges
    if not units.names and len(ranges) > 2:
        ranges = [(min(units.low), max(units.high))] * len(ranges)
    return [(low - 0.05 * (high - low or 1), high + 0.05 * (high - low or 1)) for low, high in ranges]


def picture(samples: Tensor, columns: int | None = None, units: Units | None = None) -> Array:
    """A grid of images [N, C, H, W], or a picture of points [N, D] in the data's units, on the data's range."""
    ranges = None if units is None else around(units)
    return sheet(to_images(samples) if samples.dim() == 4 else samples.cpu().numpy(), columns, ranges)


def sheet(samples: Array, columns: int | None = None, ranges: Ranges | None = None) -> Array:
    """A grid of images uint8 [N, H, W, C]; of points [N, 1] a histogram, [N, 2] a scatter, [N, D] a profile."""
    if samples.ndim == 4:
        return grid(samples, columns)
    draw = {1: histogram, 2: scatter}.get(samples.shape[1], profile)
    return draw(samples, ranges=ranges)


def to_pillow(image: Array) -> Image.Image:
    """A Pillow image of a uint8 image [H, W, C]: grey, grey with transparency, colour, colour with it; see `seen`."""
    image = seen(image[None])[0]
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def encode(image: Array) -> bytes:
    """PNG bytes of a uint8 image [H, W, C]; equal for equal pixels."""
    file, comment = io.BytesIO(), PngInfo()
    comment.add_text("Comment", MARK.decode())
    to_pillow(image).save(file, "PNG", pnginfo=comment)
    return file.getvalue()


def save(path: Path, image: Array) -> None:
    """Write a PNG file, whole or not at all."""
    write_file(path, encode(image))
