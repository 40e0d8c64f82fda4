"""Files that show both images of a pair side by side, cut in the middle before anything else happens to them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from zerosum.data.pixels import BadImageError, Shape, blaming, flat, shaped
from zerosum.data.preparation import Preparation
from zerosum.data.ranges import Span

Size = tuple[int, int]  # (height, width)


def half(size: Size, name: str, pairs: str) -> Size:
    """(height, width) of each of the images that a file of some size holds, as `Contents.pairs` says.

    Raises:
        BadImageError: it cannot be cut into such halves.
    """
    height, width = size
    if width % 2 or (pairs == "square halves" and width != 2 * height):
        rule = "twice as wide as high" if pairs == "square halves" else "of an even width"
        other = "; layout=halves takes any even width, and folders A and B hold pairs of images under one name"
        hint = other if pairs == "square halves" else ""
        raise BadImageError(name, f"is {height}x{width} (height x width), and a pair side by side is {rule}{hint}")
    return height, width // 2


def prepare(
    image: Image.Image, name: str, shape: Shape, preparation: Preparation, span: Span | None, pairs: str
) -> Sequence[np.ndarray]:
    """Turn an image into uint8 [H, W, C] of this shape, or, where it holds a pair, each of its halves.

    Raises:
        BadImageError: it cannot be decoded or cut, or its pixels lie outside their range.
    """
    with blaming(name):
        whole = flat(image, name, shape[2], preparation, span)
        if not pairs:
            return [shaped(whole, shape, preparation)]
        height, width = half((whole.height, whole.width), name, pairs)
        boxes = (0, 0, width, height), (width, 0, 2 * width, height)
        return [shaped(whole.crop(box), shape, preparation) for box in boxes]


def cut(pixels: np.ndarray, name: str, pairs: str) -> Sequence[np.ndarray]:
    """Views of images [..., H, W, C], or, where these hold pairs, of their halves.

    Raises:
        BadImageError: they cannot be cut.
    """
    if not pairs:
        return [pixels]
    _, width = half((pixels.shape[-3], pixels.shape[-2]), name, pairs)
    return pixels[..., :width, :], pixels[..., width:, :]
