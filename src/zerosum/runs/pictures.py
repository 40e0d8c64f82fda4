"""Pictures of samples: a grid of images, a histogram or scatter of points, as uint8 arrays and PNG files."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from zerosum.data import to_images
from zerosum.runs.checkpoint import write_file
from zerosum.runs.outputs import MARK

Array = np.ndarray


def grid(images: Array, columns: int | None = None, pad: int = 2, tile: int = 64) -> Array:
    """Lay uint8 images [N, H, W, C] out in rows; small ones are enlarged by a whole factor towards `tile` pixels.

    The result is [rows * (H + pad) + pad, columns * (W + pad) + pad, C] before enlargement.
    """
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


def scatter(points: Array, side: int = 512) -> Array:
    """Density of points [N, D] in their first two dimensions, over [-2, 2]^2: dark where many are; [side, side, 1]."""
    counts, _, _ = np.histogram2d(points[:, 1], points[:, 0], bins=side // 4, range=[[-2, 2], [-2, 2]])
    shade = 255 * (1 - np.minimum(1, np.log1p(counts[::-1]) / np.log1p(max(counts.max(), 1))))
    return shade.round().astype(np.uint8).repeat(4, axis=0).repeat(4, axis=1)[..., None]


def histogram(points: Array, side: int = 512) -> Array:
    """Bars over [-2, 2] for points [N, 1], the fullest as high as the picture, over a line at 0; [side, side, 1]."""
    counts, _ = np.histogram(points[:, 0], bins=side // 4, range=(-2, 2))
    heights = np.round(side * counts / max(counts.max(), 1)).astype(int).repeat(4)
    sheet = np.full((side, side), 255, np.uint8)
    sheet[:, side // 2] = 192
    sheet[np.arange(side)[::-1, None] < heights] = 0
    return sheet[..., None]


def picture(samples: Tensor, columns: int | None = None) -> Array:
    """A grid of images [N, C, H, W], a histogram of points [N, 1], or a scatter of points [N, D]."""
    return sheet(to_images(samples) if samples.dim() == 4 else samples.float().cpu().numpy(), columns)


def sheet(samples: Array, columns: int | None = None) -> Array:
    """A grid of images uint8 [N, H, W, C], a histogram of points [N, 1], or a scatter of points [N, D]."""
    if samples.ndim == 4:
        return grid(samples, columns)
    return histogram(samples) if samples.shape[1] == 1 else scatter(samples)


def plain(image: Array) -> Image.Image:
    """A Pillow image of a uint8 image [H, W, 1 or 3]."""
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def encode(image: Array) -> bytes:
    """PNG bytes of a uint8 image [H, W, 1 or 3]; equal for equal pixels."""
    file, comment = io.BytesIO(), PngInfo()
    comment.add_text("Comment", MARK.decode())
    plain(image).save(file, "PNG", pnginfo=comment)
    return file.getvalue()


def save(path: Path, image: Array) -> None:
    """Write a PNG file, whole or not at all."""
    write_file(path, encode(image))
