"""What all augmentations share: they need images, and they change each image independently."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from zerosum.core.registry import Part


class Augmentation(Part):
    """Base of all augmentations."""

    needs: ClassVar[dict[str, str]] = {
        "images": "points have neither pixels nor colours to change; leave the game's augmentations empty"
    }


def sometimes(p: Tensor | float, values: Tensor) -> Tensor:
    """Keep each of the values [N] with probability p and set the others to 0."""
    return values * (torch.rand(values.shape, device=values.device) < p)


def per_image(values: Tensor) -> Tensor:
    """[N] as [N, 1, 1, 1]."""
    return values[:, None, None, None]


def keep_some(p: Tensor | float, changed: Tensor, images: Tensor) -> Tensor:
    """Each changed image with probability p, else the original image."""
    chosen = torch.rand(len(images), device=images.device) < p
    return torch.where(per_image(chosen), changed, images)
