"""Images of any size through a network that keeps sizes: padded to what it takes, in tiles where they are large."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

TILE = 1024  # pixels of a side that are computed at once
OVERLAP = 256  # pixels that neighbouring tiles share


def spread(
    network: Callable[[Tensor], Tensor], x: Tensor, step: int, tile: int = TILE, overlap: int = OVERLAP
) -> Tensor:
    """What a network makes of images of one size.

    Sides are mirrored at their ends up to a multiple of `step`. A larger image is cut into tiles of one size that begin
    at multiples of `step`; where they overlap each counts the less the nearer its border is.

    Args:
        network: takes images [N, C, H, W] whose sides are multiples of `step`, and gives as many of that size.
        x: images [N, C, H, W].
        step: pixels.
        tile: pixels of a tile's side, at most; never less than one step.
        overlap: pixels that neighbouring tiles share, to within a step; at most half a tile.

    Returns:
        Images [N, C', H, W].
    """
    height, width = x.shape[-2:]
    filled = x[..., mirrored(height, step), :][..., mirrored(width, step)]
    (high, rows), (wide, columns) = (_tiles(side, step, tile, overlap) for side in filled.shape[-2:])
    if len(rows) == len(columns) == 1:
        return network(filled)[..., :height, :width]
    corners = [(top, left) for top in rows for left in columns]
    pieces = [network(filled[..., top : top + high, left : left + wide]) for top, left in corners]
    weight = _ramp(high, len(rows))[:, None] * _ramp(wide, len(columns))
    total = pieces[0].new_zeros(*pieces[0].shape[:2], *filled.shape[-2:])
    shares = weight.new_zeros(filled.shape[-2:])
    for (top, left), piece in zip(corners, pieces, strict=True):
        total[..., top : top + high, left : left + wide] += piece * weight
        shares[top : top + high, left : left + wide] += weight
    return (total / shares)[..., :height, :width]


def mirrored(side: int, step: int) -> Tensor:
    """Indices of the pixels of a side, which goes on mirrored up to a multiple of a step, int64 [M]."""
    period = max(1, 2 * side - 2)
    places = torch.arange(-(-side // step) * step) % period
    return torch.minimum(places, period - places)


def _tiles(side: int, step: int, tile: int, overlap: int) -> tuple[int, list[int]]:
    """Pixels of a tile's side, and where tiles begin: the fewest that there can be, and as small as they can be."""
    most = max(1, tile // step) * step
    if side <= most:
        return side, [0]
    shared = min(overlap, most // 2)
    last = math.ceil((side - shared) / (most - shared)) - 1
    size = math.ceil((side + last * shared) / (last + 1) / step) * step
    return size, sorted({round((side - size) / step * number / last) * step for number in range(last + 1)})


def _ramp(size: int, tiles: int) -> Tensor:
    """Weights of a tile's pixels along a side with so many tiles, which fall towards its ends, float32 [size]."""
    if tiles == 1:
        return torch.ones(size)
    place = torch.arange(1, size + 1, dtype=torch.float32)
    return torch.minimum(place, place.flip(0))
