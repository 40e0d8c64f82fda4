"""Converts images to the channels and the size that a network was trained on."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, the grey of Pillow's mode L before it rounds
GREY = "colour to grey by 0.299 R + 0.587 G + 0.114 B"
BILINEAR = "bilinear with half-pixel centres, antialiased where it shrinks, neither rounded nor clipped"


def to_channels(levels: Tensor, channels: int) -> Tensor:
    """Convert `[N, 1 or 3, H, W]` to 1 channel (by luma) or to 3 (by repeating)."""
    if levels.shape[1] == channels:
        return levels
    if channels == 3:
        return levels.expand(-1, 3, -1, -1)
    return torch.einsum("nchw,c->nhw", levels, levels.new_tensor(LUMA)).unsqueeze(1)


def to_sides(levels: Tensor, height: int, width: int, mode: str = "bilinear") -> Tensor:
    """Resize `[N, C, H, W]`; the same tensor where the size fits."""
    if levels.shape[2:] == (height, width):
        return levels
    return F.interpolate(levels, (height, width), mode=mode, align_corners=False, antialias=True)
