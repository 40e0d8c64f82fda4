"""Pictures of samples: a grid of images, a histogram or scatter of points, as uint8 arrays and PNG files."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from zerosum.data import to_images
from zerosum.runs.checkpoint import write_file

Array = np.ndarray


def grid(images: Array, columns: int | None = None, pad: int = 2, tile: int = 64) -> Array:
    """Lay uint8 images [N, H, W, C] out in rows; small ones are enlarged by a whole factor towards `tile` pixels.

    The result is [rows * (H + pad) + pad, columns * (W + pad) + pad, C] before enlargement.
    """
    count, height, width, channels = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    scale = max(1, tile // max(height, width))
    images = images.repeat(scale, axis=1).repeat(scale, axis=2)
    height, width = height * scale, width * scale
    sheet = np.full((rows * (height + pad) + pad, columns * (width + pad) + pad, channels), 255, np.uint8)
    for place, image in enumerate(images):
        top, left = pad + place // columns * (height + pad), pad + place % columns * (width + pad)
        sheet[top : top + height, left : left + width] = image
    return sheet


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
    if samples.dim() == 4:
        return grid(to_images(samples), columns)
    points = samples.float().cpu().numpy()
    return histogram(points) if points.shape[1] == 1 else scatter(points)


def encode(image: Array) -> bytes:
    """PNG bytes of a uint8 image [H, W, 1 or 3]; equal for equal pixels."""
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file, "PNG")
    return file.getvalue()


def save(path: Path, image: Array) -> None:
    """Write a PNG file, whole or not at all."""
    write_file(path, encode(image))
