"""Geometry: affine maps of the plane, the random ones of ADA, and shifts by whole pixels."""

from __future__ import annotations

import math
from functools import reduce

import torch
from torch import Tensor

from zerosum.augmentations.augmentation import sometimes
from zerosum.augmentations.resampling import Border, mirrored


def scaling(x: Tensor, y: Tensor) -> Tensor:
    """Maps [N, 3, 3] that multiply the coordinates by x and y, each [N]."""
    return _affine(x, 0 * x, 0 * x, y, 0 * x, 0 * x)


def rotation(angle: Tensor) -> Tensor:
    """Maps [N, 3, 3] that turn by angles [N] in radians, from x towards y: clockwise, as y points down."""
    cos, sin = angle.cos(), angle.sin()
    return _affine(cos, -sin, sin, cos, 0 * cos, 0 * cos)


def quarter_turns(count: Tensor) -> Tensor:
    """Maps [N, 3, 3] that turn by 0 .. 3 right angles [N], without the rounding of cos and sin."""
    cos, sin = (1.0 * (count == 0) - 1.0 * (count == 2)), (1.0 * (count == 1) - 1.0 * (count == 3))
    return _affine(cos, -sin, sin, cos, 0 * cos, 0 * cos)


def translation(x: Tensor, y: Tensor) -> Tensor:
    """Maps [N, 3, 3] that add x and y, each [N], in pixels."""
    ones = torch.ones_like(x)
    return _affine(ones, 0 * ones, 0 * ones, ones, x, y)


def _affine(a: Tensor, b: Tensor, c: Tensor, d: Tensor, right: Tensor, down: Tensor) -> Tensor:
    """Maps (x, y) to (a x + b y + right, c x + d y + down)."""
    zero = torch.zeros_like(a)
    return torch.stack([a, b, right, c, d, down, zero, zero, zero + 1], dim=-1).view(-1, 3, 3)


def compose(*maps: Tensor) -> Tensor:
    """Product of maps [N, 3, 3], the last acting first; by hand, since mixed precision would round a matrix product."""
    return reduce(lambda a, b: (a[..., None] * b[:, None]).sum(2), maps)


def blits(images: Tensor, p: Tensor) -> Tensor:
    """Inverses [N, 3, 3] of maps that take pixels to pixels: a mirror, right angles, a shift, each with probability p.

    Karras et al. 2020, appendix B, "pixel blitting". A mirror is drawn uniformly from on and off, a turn from 0 to 3
    right angles; a shift is uniform within an eighth of the side, rounded to pixels.
    """
    count, (height, width) = len(images), images.shape[2:]
    draw = torch.rand(4, count, device=images.device)
    mirror = sometimes(p, (2 * draw[0]).floor())
    turns = sometimes(p, (4 * draw[1]).floor())
    shift = sometimes(p, torch.ones_like(mirror)) * (draw[2:] / 4 - 1 / 8)
    right, down = (shift[0] * width).round(), (shift[1] * height).round()
    # the inverse of "mirror, then turn, then shift" undoes the shift first, and so on
    return compose(scaling(1 - 2 * mirror, torch.ones_like(mirror)), quarter_turns(turns), translation(-right, -down))


def general_maps(images: Tensor, p: Tensor) -> Tensor:
    """Inverses [N, 3, 3] of maps between pixels: scale, turn, stretch, turn, shift, each with probability p.

    Karras et al. 2020, appendix B, "general geometric transformations", n ~ N(0, 1): scale and stretch are 2^(0.2 n),
    angles uniform, shifts n eighths of the side. Either turn or both together happen with probability p.
    """
    count, (height, width) = len(images), images.shape[2:]
    turn = 1 - (1 - p).sqrt()
    normal = torch.randn(4, count, device=images.device)
    angle = (2 * torch.rand(2, count, device=images.device) - 1) * math.pi
    scale, stretch = (0.2 * sometimes(p, n) for n in normal[:2])
    before, after = sometimes(turn, angle[0]), sometimes(turn, angle[1])
    shift = sometimes(p, torch.ones_like(scale)) * normal[2:] / 8
    size = scaling((-scale - stretch).exp2(), (stretch - scale).exp2())
    return compose(rotation(-before), size, rotation(-after), translation(-shift[0] * width, -shift[1] * height))


def translate(images: Tensor, right: Tensor, down: Tensor, border: Border = "fill", fill: float = 0.0) -> Tensor:
    """Move images [N, C, H, W] by whole pixels [N] right and down; new pixels are `fill`, or mirrored."""
    height, width = images.shape[2:]
    rows = torch.arange(height, device=images.device) - down[:, None]
    columns = torch.arange(width, device=images.device) - right[:, None]
    moved = images.gather(2, mirrored(rows, height)[:, None, :, None].expand(images.shape))
    moved = moved.gather(3, mirrored(columns, width)[:, None, None, :].expand(images.shape))
    if border == "reflect":
        return moved
    inside = _within(rows, height)[:, None, :, None] & _within(columns, width)[:, None, None, :]
    return torch.where(inside, moved, fill)


def _within(index: Tensor, size: int) -> Tensor:
    return (index >= 0) & (index < size)


def hole(images: Tensor) -> Tensor:
    """True [N, 1, H, W] inside a box of half the height and half the width; parts of it may lie beyond the border.

    Its middle is uniform over the image (DiffAugment, Zhao et al. 2020).
    """
    sides = []
    for size in images.shape[2:]:
        extent = int(size / 2 + 0.5)
        middle = torch.randint(size + 1 - extent % 2, (len(images), 1), device=images.device)
        index = torch.arange(size, device=images.device) - (middle - extent // 2)
        sides.append(_within(index, extent))
    return (sides[0][:, :, None] & sides[1][:, None, :])[:, None]
