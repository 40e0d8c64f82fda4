"""Where the input of a pair comes from: it lies in the data, or is computed from its image.

A pairing is called with images [N, C, H, W], uint8, and gives the input of each, uint8 of the same height and width.
It is a function of the image alone, so that equal images have equal inputs, in whatever order they come.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from zerosum.core.registry import Part, register
from zerosum.core.values import NonNegative, Positive, Range

Share = Annotated[float, Range(0, 0.9, open_low=True)]
Factor = Annotated[int, Range(2)]
GREY = 128  # level of what is hidden
_AHEAD = ((0, 1), (1, 1), (1, 0), (1, -1))  # (down, right) of the next pixel along a gradient, by eighths of a turn


class Pairing(Part):
    """Base of the parts of kind `pairing`."""

    def channels(self, of: int) -> int:
        """Channels of the input of an image with so many."""
        return of

    def fault(self, of: int) -> str:  # noqa: ARG002
        """Why nothing can be learnt from inputs of images with so many channels; "" where something can."""
        return ""

    def __call__(self, images: Tensor) -> Tensor:
        """Inputs [N, C, H, W], uint8, of images of the same height and width."""
        raise NotImplementedError


@register("pairing", "files")
@dataclass(frozen=True)
class Files(Pairing):
    """Both images of a pair lie in the data: in folders A and B under one name, or side by side in one file."""

    layout: Literal["auto", "folders", "halves"] = "auto"  # auto: folders A and B where there are, else square halves


@register("pairing", "edges")
@dataclass(frozen=True)
class Edges(Pairing):
    """Black lines on white where grey levels change fastest, as by hand: Canny's edges without hysteresis."""

    threshold: Positive = 8.0  # grey levels a pixel, of 255; slower changes are no lines
    deviation: NonNegative = 1.0  # pixels, of the Gaussian that is applied first; 0 applies none

    def channels(self, of: int) -> int:  # noqa: ARG002
        """One."""
        return 1

    def __call__(self, images: Tensor) -> Tensor:
        """Lines [N, 1, H, W], 0 on 255."""
        right, down = gradient(blurred(luma(images), self.deviation))
        speed = torch.hypot(right, down)
        eighth = (torch.atan2(down, right) / (math.pi / 4)).round().long() % 4
        edge = torch.zeros_like(speed, dtype=torch.bool)
        for sector, (dy, dx) in enumerate(_AHEAD):
            highest = (speed >= moved(speed, dy, dx)) & (speed > moved(speed, -dy, -dx))
            edge |= (eighth == sector) & highest
        return 255 - 255 * (edge & (speed >= self.threshold)).to(torch.uint8)


@register("pairing", "grey")
@dataclass(frozen=True)
class Grey(Pairing):
    """The image without its colours, to learn colourisation: luma by ITU-R BT.601."""

    def channels(self, of: int) -> int:  # noqa: ARG002
        """One."""
        return 1

    def fault(self, of: int) -> str:
        """Images that are grey have no colours to learn."""
        return "the images are grey already" if of < 3 else ""

    def __call__(self, images: Tensor) -> Tensor:
        """Grey levels [N, 1, H, W]."""
        return to_bytes(luma(images))


@register("pairing", "inpaint")
@dataclass(frozen=True)
class Inpaint(Pairing):
    """The image with a grey rectangle of its own proportions over some part of it, to learn to fill holes."""

    share: Share = 0.25  # of the area that is hidden
    place: Literal["random", "centre"] = "random"  # where; random: elsewhere in each image, by its own pixels

    def __call__(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] with holes."""
        height, width = images.shape[2:]
        hole = [max(1, round(math.sqrt(self.share) * side)) for side in (height, width)]
        holed = images.clone()
        for image, generator in zip(holed, generators(images), strict=True):
            free = height - hole[0] + 1, width - hole[1] + 1
            shares = torch.rand(2, generator=generator) if self.place == "random" else torch.full((2,), 0.5)
            top, left = (min(int(share * side), side - 1) for share, side in zip(shares.tolist(), free, strict=True))
            image[:, top : top + hole[0], left : left + hole[1]] = GREY
        return holed


@register("pairing", "superres")
@dataclass(frozen=True)
class SuperResolution(Pairing):
    """The image made small by means of areas and large again by bicubic interpolation, to learn its details."""

    factor: Factor = 4  # by which either side is made smaller

    def __call__(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] without details."""
        height, width = images.shape[2:]
        small = max(1, round(height / self.factor)), max(1, round(width / self.factor))
        return to_bytes(interpolate(interpolate(images.float(), small, mode="area"), (height, width), mode="bicubic"))


@register("pairing", "noise")
@dataclass(frozen=True)
class Noise(Pairing):
    """The image with Gaussian noise, to learn to remove it; the noise of an image is always the same."""

    deviation: Positive = 25.0  # grey levels, of 255

    def __call__(self, images: Tensor) -> Tensor:
        """Noisy images [N, C, H, W]."""
        noise = torch.stack([torch.randn(images.shape[1:], generator=one) for one in generators(images)])
        return to_bytes(images.float() + self.deviation * noise)


@register("pairing", "blur")
@dataclass(frozen=True)
class Blur(Pairing):
    """The image out of focus, by a Gaussian, to learn to sharpen it."""

    deviation: Positive = 2.0  # pixels

    def __call__(self, images: Tensor) -> Tensor:
        """Blurred images [N, C, H, W]."""
        return to_bytes(blurred(images.float(), self.deviation))


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


def blurred(levels: Tensor, deviation: float) -> Tensor:
    """Gaussian blur of [N, C, H, W] with a deviation in pixels; the border pixels go on without end."""
    reach = math.ceil(3 * deviation)
    if not reach:
        return levels
    weights = [math.exp(-((place / deviation) ** 2) / 2) for place in range(-reach, reach + 1)]
    kernel = [weight / sum(weights) for weight in weights]
    return filtered(filtered(levels, kernel, 2), kernel, 3)


def gradient(levels: Tensor) -> tuple[Tensor, Tensor]:
    """Change a pixel to the right and downwards, by Sobel's filters, of [N, C, H, W]."""
    smooth, change = (0.25, 0.5, 0.25), (-0.5, 0.0, 0.5)
    return filtered(filtered(levels, smooth, 2), change, 3), filtered(filtered(levels, smooth, 3), change, 2)


def filtered(levels: Tensor, kernel: Sequence[float], along: int) -> Tensor:
    """Correlation of [N, C, H, W] with a kernel of an odd length along rows (2) or columns (3)."""
    reach, length = len(kernel) // 2, levels.shape[along]
    padded = pad(levels, (0, 0, reach, reach) if along == 2 else (reach, reach, 0, 0), mode="replicate")
    sums = torch.zeros_like(levels)
    for place, weight in enumerate(kernel):  # many times as fast as a convolution of one channel
        sums.add_(padded.narrow(along, place, length), alpha=weight)
    return sums


def moved(levels: Tensor, down: int, right: int) -> Tensor:
    """For each pixel the one so far down and right of it, at most 1; border pixels go on."""
    height, width = levels.shape[2:]
    padded = pad(levels, (1, 1, 1, 1), mode="replicate")
    return padded[:, :, 1 + down : 1 + down + height, 1 + right : 1 + right + width]


def generators(images: Tensor) -> Iterator[torch.Generator]:
    """A generator of random numbers for each image, by its pixels."""
    pixels = images.flatten(1).long()
    weights = torch.randint(1, 1 << 31, (pixels.shape[1],), generator=torch.Generator().manual_seed(0))
    for number in (pixels * weights).sum(1).tolist():
        yield torch.Generator().manual_seed(number)
