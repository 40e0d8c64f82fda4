"""Single augmentations, by default of real images alone.

With where=real the generator learns the changed images: trained on shifted digits, it makes shifted digits. That is
useful for mirroring where left and right do not matter, and seldom for the others. With where=both the discriminator
sees real and generated images changed alike, and the generator learns the original images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor

from zerosum.augmentations.augmentation import Augmentation, keep_some, sometimes
from zerosum.augmentations.geometry import compose, rotation, scaling, translate, translation
from zerosum.augmentations.resampling import Border, resample
from zerosum.core.registry import register
from zerosum.core.values import Count, Fraction, Range

Place = Literal["real", "both"]
Value = Annotated[float, Range(-1, 1)]
Factor = Annotated[float, Range(1)]
Side = Annotated[float, Range(0, 1, open_low=True)]


@register("augmentation", "flip")
@dataclass(frozen=True)
class Flip(Augmentation):
    """Mirrors images left to right."""

    probability: Fraction = 0.5  # of being mirrored, for each image independently
    where: Place = "real"  # real: only real images (the generator learns it); both: all that the discriminator sees

    def __call__(self, images: Tensor) -> Tensor:
        """Mirrored or unchanged images, `[N, C, H, W]`."""
        return keep_some(self.probability, images.flip(3), images)


@register("augmentation", "shift")
@dataclass(frozen=True)
class Shift(Augmentation):
    """Moves images by whole pixels, uniformly within a square."""

    pixels: Count = 2  # farthest in each direction: right and down are uniform in -pixels .. pixels
    probability: Fraction = 1.0  # of being moved, for each image independently
    border: Border = "fill"  # new pixels: the value `fill`, or the image mirrored
    fill: Value = 0.0  # value of new pixels, -1 .. 1; 0 is grey
    where: Place = "real"  # real: only real images (the generator learns it); both: all that the discriminator sees

    def __call__(self, images: Tensor) -> Tensor:
        """Moved images, `[N, C, H, W]`."""
        offsets = torch.randint(-self.pixels, self.pixels + 1, (2, len(images)), device=images.device)
        moved = translate(images, offsets[0], offsets[1], self.border, self.fill)
        return keep_some(self.probability, moved, images)


@register("augmentation", "crop")
@dataclass(frozen=True)
class Crop(Augmentation):
    """Enlarges a random part of the same proportions to the whole image."""

    least: Side = 0.8  # side of the smallest part, as a share of the image's; the side is uniform in least .. 1
    probability: Fraction = 1.0  # of being cropped, for each image independently
    where: Place = "real"  # real: only real images (the generator learns it); both: all that the discriminator sees

    def __call__(self, images: Tensor) -> Tensor:
        """Enlarged parts, `[N, C, H, W]`."""
        height, width = images.shape[2:]
        lost, right, down = torch.rand(3, len(images), device=images.device)
        lost = sometimes(self.probability, lost * (1 - self.least))
        # the part is (1 - lost) of the side between the centres of the border pixels, so nothing outside is seen
        middle = translation(lost * (right - 0.5) * (width - 1), lost * (down - 0.5) * (height - 1))
        return resample(images, compose(middle, scaling(1 - lost, 1 - lost)))


@register("augmentation", "rotation")
@dataclass(frozen=True)
class Rotation(Augmentation):
    """Turns images about their middle by an angle that is uniform to both sides."""

    degrees: Annotated[float, Range(0, 180)] = 15.0  # largest angle to either side
    probability: Fraction = 1.0  # of being turned, for each image independently
    border: Border = "fill"  # new pixels: the value `fill`, or the image mirrored
    fill: Value = 0.0  # value of new pixels, -1 .. 1; 0 is grey
    where: Place = "real"  # real: only real images (the generator learns it); both: all that the discriminator sees

    def __call__(self, images: Tensor) -> Tensor:
        """Turned images, `[N, C, H, W]`."""
        angle = (2 * torch.rand(len(images), device=images.device) - 1) * math.radians(self.degrees)
        return resample(images, rotation(-sometimes(self.probability, angle)), self.border, self.fill)


@register("augmentation", "scale")
@dataclass(frozen=True)
class Scale(Augmentation):
    """Enlarges or shrinks images about their middle; the logarithm of the factor is uniform."""

    factor: Factor = 1.2  # largest enlargement; the smallest is one over it
    probability: Fraction = 1.0  # of being scaled, for each image independently
    border: Border = "fill"  # new pixels: the value `fill`, or the image mirrored
    fill: Value = 0.0  # value of new pixels, -1 .. 1; 0 is grey
    where: Place = "real"  # real: only real images (the generator learns it); both: all that the discriminator sees

    def __call__(self, images: Tensor) -> Tensor:
        """Scaled images, `[N, C, H, W]`."""
        size = (2 * torch.rand(len(images), device=images.device) - 1) * math.log(self.factor)
        inverse = (-sometimes(self.probability, size)).exp()
        return resample(images, scaling(inverse, inverse), self.border, self.fill)
