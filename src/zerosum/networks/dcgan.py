"""Convolutional networks of DCGAN, for every size that halves down to a base of 4 to 7."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from zerosum.core.errors import RecipeError
from zerosum.core.registry import Part, register
from zerosum.core.space import Space
from zerosum.core.values import Count
from zerosum.networks.layers import (
    FromPixel,
    ToPixel,
    conditioned_on,
    latent_size,
    make_norm,
    network_traits,
    with_label,
)

__all__ = ["DCGANDiscriminator", "DCGANGenerator", "supported_sides"]

Norm = Literal["batch", "layer", "instance", "group", "none"]
_LARGEST = 256  # pixels; beyond it these networks are too shallow to be worth their memory
_WIDEST = 8  # times `channels`, as in the paper's 512 for 64


def supported_sides() -> list[int]:
    """Sides of the square images that these networks take, in pixels: 4, 5, 6 or 7 times 2, 4, 8 ... up to 256."""
    return sorted(base << halvings for base in (4, 5, 6, 7) for halvings in range(1, 7) if base << halvings <= _LARGEST)


def _plan(name: str, space: Space) -> tuple[int, tuple[int, int]]:
    """Halvings from the image to its base, and the base (height, width), the smaller of 4 to 7.

    Raises:
        RecipeError: the data are points, or images of a size that does not halve to such a base.
    """
    if not space.is_image:
        instead = name.replace("dcgan", "mlp")
        raise RecipeError(f"network {name!r} works on images, and these are {space}; use {instead}")
    height, width = space.shape[1:]
    small = min(height, width)
    halvings = next((k for k in range(1, 7) if 4 <= small >> k <= 7), 0)
    step = 1 << halvings
    if not halvings or height % step or width % step or max(height, width) > _LARGEST:
        raise RecipeError(_unsupported(name, space, small))
    return halvings, (height // step, width // step)


def _unsupported(name: str, space: Space, side: int) -> str:
    sides = supported_sides()
    below = max((size for size in sides if size <= side), default=None)
    above = min((size for size in sides if size >= side), default=None)
    near = sorted({size for size in (below, above) if size})
    best = min(near, key=lambda size: abs(size - side))
    return (
        f"network {name!r} does not take {space}: a side must be 4, 5, 6 or 7 times 2, 4, 8, 16, 32 or 64, "
        f"at most {_LARGEST}; nearest: {' and '.join(map(str, near))}; set size={best}"
    )


def _widths(channels: int, halvings: int) -> list[int]:
    """Channels of the stages from the image to the base: 64, 128, 256, 512, 512 ... for `channels` 64."""
    return [channels * min(1 << stage, _WIDEST) for stage in range(halvings)]


class _Generator(nn.Module):
    def __init__(self, body: list[nn.Module], classes: int) -> None:
        super().__init__()
        self.body, self.classes = nn.Sequential(*body), classes

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Latents `[N, latent]` to images `[N, C, H, W]` in [-1, 1]."""
        # bf16 has too few steps near -1 and 1: the discriminator would know fakes by them
        return self.body(with_label(x, label, self.classes)[:, :, None, None]).float().tanh()


class _Discriminator(nn.Module):
    def __init__(self, body: list[nn.Module], classes: int) -> None:
        super().__init__()
        self.body, self.classes = nn.Sequential(*body), classes

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Images `[N, C, H, W]` to logits `[N]`."""
        return self.body(with_label(x, label, self.classes)).flatten()


@register("network", "dcgan-generator")
@dataclass(frozen=True)
class DCGANGenerator(Part):
    """Convolutional generator: the latent becomes a 4 to 7 pixel map, which strided convolutions double to the image.

    DCGAN, Radford et al. 2016, section 3 and figure 1. Stage widths from the map on for 64x64: 512, 256, 128, 64; for
    32x32: 256, 128, 64; never above 8 times `channels`. With a norm no layer has a bias, as in the reference; with
    norm=none all have. For 64x64 colour images and latents of 100: 3,576,704 parameters.
    """

    channels: Count = 64  # channels of the last hidden stage, the one at half the image's size
    norm: Norm = "batch"  # of hidden stages, before the ReLU
    labels: bool = False  # true: also takes the class, one-hot beside the latent

    def build(self, space: Space) -> nn.Module:
        """Make the network; its forward takes `[N, latent]` and gives `[N, C, H, W]`."""
        halvings, base = _plan(self.name, space)
        classes = conditioned_on(self.name, self.labels, space)
        bias = self.norm == "none"
        widths = _widths(self.channels, halvings)[::-1]
        body: list[nn.Module] = []
        before = latent_size(self.name, space) + classes
        for stage, after in enumerate(widths):
            up = nn.ConvTranspose2d(before, after, 4, 2, 1, bias=bias)
            body += [up if stage else FromPixel(before, after, base, bias=bias)]
            body += [] if bias else [make_norm(self.norm, after, 2)]
            body += [nn.ReLU(inplace=True)]
            before = after
        body += [nn.ConvTranspose2d(before, space.shape[0], 4, 2, 1, bias=bias)]
        return _Generator(body, classes)

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        return network_traits("generator", norm=self.norm, labels=self.labels)


@register("network", "dcgan-discriminator")
@dataclass(frozen=True)
class DCGANDiscriminator(Part):
    """Convolutional discriminator: strided convolutions halve the image to a 4 to 7 pixel map, then one logit.

    DCGAN, Radford et al. 2016, section 3. The mirror of the generator's stages; the first has no norm, whatever `norm`
    says. With a norm no layer has a bias, as in the reference; with norm=none all have. For 64x64 colour images:
    2,765,568 parameters.
    """

    channels: Count = 64  # channels of the first stage, the one at half the image's size
    norm: Norm = "batch"  # of all stages but the first, before the LeakyReLU of slope 0.2
    labels: bool = False  # true: also takes the class, one constant map each beside the image

    def build(self, space: Space) -> nn.Module:
        """Make the network; its forward takes `[N, C, H, W]` and gives `[N]`."""
        halvings, base = _plan(self.name, space)
        classes = conditioned_on(self.name, self.labels, space)
        bias = self.norm == "none"
        body: list[nn.Module] = []
        before = space.shape[0] + classes
        for stage, after in enumerate(_widths(self.channels, halvings)):
            body += [nn.Conv2d(before, after, 4, 2, 1, bias=bias)]
            body += [make_norm(self.norm, after, 2)] if stage and not bias else []
            body += [nn.LeakyReLU(0.2, inplace=True)]
            before = after
        body += [ToPixel(before, 1, base, bias=bias)]
        return _Discriminator(body, classes)

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        return network_traits("discriminator", "logits", norm=self.norm, labels=self.labels)
