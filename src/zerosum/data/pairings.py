"""Where the input of a pair comes from: it lies in the data, or is made of the image that it belongs to.

A pairing is called with images [N, C, H, W], uint8, and gives the input of each, uint8 of the same height and width.
It is a function of the image alone, so that equal images have equal inputs, in whatever order they come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from zerosum.core.registry import Part, register


class Pairing(Part):
    """Base of the parts of kind `pairing`."""

    def channels(self, of: int) -> int:
        """Channels of the input that is made of an image with so many."""
        return of

    def __call__(self, images: Tensor) -> Tensor:
        """Inputs [N, C, H, W], uint8, of images of the same height and width."""
        raise NotImplementedError


@register("pairing", "files")
@dataclass(frozen=True)
class Files(Pairing):
    """Both images of a pair lie in the data: in folders A and B under one name, or side by side in one file."""

    layout: Literal["auto", "folders", "halves"] = "auto"  # auto: folders A and B where there are, else square halves


@register("pairing", "grey")
@dataclass(frozen=True)
class Grey(Pairing):
    """The image without its colours, to learn colourisation: luma by ITU-R BT.601."""

    def channels(self, of: int) -> int:  # noqa: ARG002
        """One."""
        return 1

    def __call__(self, images: Tensor) -> Tensor:
        """Grey levels [N, 1, H, W]."""
        return to_bytes(luma(images))


def luma(images: Tensor) -> Tensor:
    """Grey levels [N, 1, H, W], float32 in 0..255; transparency and channels beyond the third are left aside."""
    levels = images.float()
    if images.shape[1] < 3:
        return levels[:, :1]
    weights = torch.tensor([0.299, 0.587, 0.114], device=images.device)
    return (levels[:, :3] * weights[:, None, None]).sum(1, keepdim=True)


def to_bytes(levels: Tensor) -> Tensor:
    """Rounded to uint8; what lies outside 0..255 is clamped."""
    return levels.round().clamp(0, 255).to(torch.uint8)
