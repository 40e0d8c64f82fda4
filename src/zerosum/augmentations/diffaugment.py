"""DiffAugment: the same kinds of change for all real and generated images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from zerosum.augmentations.augmentation import Augmentation, per_image
from zerosum.augmentations.geometry import hole, translate
from zerosum.core.errors import RecipeError
from zerosum.core.registry import register

Change = Literal["colour", "translation", "cutout"]


@register("augmentation", "diffaugment")
@dataclass(frozen=True)
class DiffAugment(Augmentation):
    """Changes colours, shifts and cuts out parts of all images that the discriminator sees, differentiably.

    Zhao et al. 2020. In the order of the policy:
        colour       brightness + U(-1/2, 1/2); saturation: distance from the mean over channels times U(0, 2);
                     contrast: distance from the mean over the image times U(1/2, 3/2)
        translation  by up to an eighth of each side, whole pixels, uniform; new pixels are zero
        cutout       a box of half the height and half the width becomes zero; its middle is uniform over the image
    Zero is grey. An empty policy changes nothing.

    Raises:
        RecipeError: a change is named twice.
    """

    where: ClassVar[str] = "both"
    policy: tuple[Change, ...] = ("colour", "translation", "cutout")  # changes in this order; none: the identity

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(set(self.policy)) < len(self.policy):
            raise RecipeError(f"augmentation 'diffaugment': policy: {'/'.join(self.policy)} names a change twice")

    def __call__(self, images: Tensor) -> Tensor:
        """Changed images, `[N, C, H, W]`; values may leave [-1, 1]."""
        images = images.to(torch.promote_types(images.dtype, torch.float32))
        for change in self.policy:
            images = _CHANGES[change](images)
        return images


def _colour(x: Tensor) -> Tensor:
    brightness, saturation, contrast = (per_image(u) for u in torch.rand(3, len(x), dtype=x.dtype, device=x.device))
    x = x + (brightness - 0.5)
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * (2 * saturation)
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (x - mean) * (contrast + 0.5)


def _translation(x: Tensor) -> Tensor:
    down, right = (_eighths(x, size) for size in x.shape[2:])
    return translate(x, right, down)


def _eighths(x: Tensor, size: int) -> Tensor:
    reach = int(size / 8 + 0.5)
    return torch.randint(-reach, reach + 1, (len(x),), device=x.device)


def _cutout(x: Tensor) -> Tensor:
    return x.masked_fill(hole(x), 0)


_CHANGES = {"colour": _colour, "translation": _translation, "cutout": _cutout}
