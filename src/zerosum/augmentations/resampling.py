"""Affine maps of images without aliasing: double the resolution, sample bilinearly, and halve it again.

Karras et al. 2020 (ADA), appendix B, with one change. They raise and lower the resolution with the orthogonal wavelet
sym6. It is not quite symmetric, which displaces high frequencies, and it needs a margin of mirrored pixels whose size
depends on the maps. Here the filters are the symmetric biorthogonal pair with 6 and 8 vanishing moments (Cohen,
Daubechies & Feauveau 1992; `bior6.8` in wavelet libraries). Raising and then lowering is still the identity, and
filters that are symmetric about a sample are consistent with mirroring at the border pixels: the image continues
without end and needs no margin. Rotated plane waves of up to 0.45 cycles per pixel have a smaller error than with sym6
(a test compares).

The filters act as matrices on rows and columns: no padding, and differentiable any number of times.
"""

from __future__ import annotations

import functools
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from zerosum.augmentations.augmentation import per_image

Border = Literal["fill", "reflect"]

# Each filter from its centre to its end; both are symmetric. Sum 2: every second sample is new.
RAISING = (
    1.1680315044815646, 0.5950958126914435, -0.13301980124971693, -0.10926662736505129, 0.07033294661307628,
    0.016878024079616593, -0.024028393334166967, -0.0027072094060088827, 0.00269949573002531,
)  # fmt: skip
LOWERING = (  # sum 1
    0.5366288017916417, 0.2954639385929493, -0.028544471715179397, -0.05566486077998765, 0.010230070819358547,
    0.01020092218703835,
)  # fmt: skip
_REACH = len(LOWERING) - 1


def resample(images: Tensor, inverse: Tensor, border: Border = "reflect", fill: float = 0.0) -> Tensor:
    """Resample images [N, C, H, W] by affine maps [N, 3, 3] from output to input coordinates.

    Coordinates (x, y, 1) count pixels from the middle of the image, x to the right and y down. Beyond the border the
    image is mirrored about its border pixels, or is `fill`. An image whose map is the identity passes bit for bit.
    """
    height, width = images.shape[2:]
    exact = torch.promote_types(images.dtype, torch.float32)
    with torch.autocast(images.device.type, enabled=False):
        x = images.to(exact) - fill
        finer = _raise(height, images.device, exact) @ (x @ _raise(width, images.device, exact).mT)
        grid = _grid(inverse.to(exact), height, width)
        mode = "reflection" if border == "reflect" else "zeros"
        warped = grid_sample(finer, grid, padding_mode=mode, align_corners=True)
        resampled = (_lower(height, images.device, exact) @ warped) @ _lower(width, images.device, exact).mT + fill
    moved = (inverse != torch.eye(3, device=inverse.device)).flatten(1).any(1)
    return torch.where(per_image(moved), resampled, images)


def mirrored(index: Tensor, size: int) -> Tensor:
    """Fold any indices into 0 .. size - 1 by reflection at the first and the last."""
    period = max(2 * (size - 1), 1)
    index = index % period
    return torch.minimum(index, period - index)


def _grid(inverse: Tensor, height: int, width: int) -> Tensor:
    """Input coordinates of each sample of the finer output, [N, 2H + 9, 2W + 9, 2]; -1 and 1 are the border pixels."""
    x, y = _places(width, inverse), _places(height, inverse)
    a, b, right, c, d, down = inverse[:, :2].flatten(1)[:, :, None].unbind(1)
    # rows and columns are scaled and moved before they are added, while they are short
    from_x = (a * x + right)[:, None] * (2 / max(width - 1, 1)) + (b * y)[:, :, None] * (2 / max(width - 1, 1))
    from_y = (c * x + down)[:, None] * (2 / max(height - 1, 1)) + (d * y)[:, :, None] * (2 / max(height - 1, 1))
    return torch.stack([from_x, from_y], dim=-1)


def _places(size: int, like: Tensor) -> Tensor:
    """Coordinates of the finer output in pixels from the middle, with the margin that lowering needs."""
    index = torch.arange(-_REACH, 2 * size - 1 + _REACH, device=like.device, dtype=like.dtype)
    return (index - (size - 1)) / 2


@functools.cache
def _raise(size: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Matrix [2 size - 1, size] that puts a new sample between any two, mirroring at the border."""
    taps = _both_sides(RAISING)
    reach = len(RAISING) - 1
    source = torch.arange(2 * size - 1)[:, None] - torch.arange(-reach, reach + 1)
    weights = torch.where(source % 2 == 0, taps, torch.zeros_like(taps))
    matrix = torch.zeros(2 * size - 1, size, dtype=torch.float64)
    return matrix.scatter_add_(1, mirrored(source // 2, size), weights).to(device, dtype)


@functools.cache
def _lower(size: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Matrix [size, 2 size + 9] that keeps every second sample after the low-pass."""
    taps = _both_sides(LOWERING)
    matrix = torch.zeros(size, 2 * size - 1 + 2 * _REACH, dtype=torch.float64)
    for row in range(size):
        matrix[row, 2 * row : 2 * row + len(taps)] = taps
    return matrix.to(device, dtype)


def _both_sides(half: tuple[float, ...]) -> Tensor:
    return torch.tensor([*half[:0:-1], *half], dtype=torch.float64)
