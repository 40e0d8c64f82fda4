"""A discriminator of patches: one logit for each of many overlapping squares of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from zerosum.core.errors import RecipeError
from zerosum.core.registry import Part, register
from zerosum.core.signals import Signals
from zerosum.core.values import Count
from zerosum.networks.dcgan import widths
from zerosum.networks.layers import network_traits
from zerosum.networks.normalization import make_norm
from zerosum.networks.space import Space
from zerosum.networks.spectral import convolution


@register("network", "patch-discriminator")
@dataclass(frozen=True)
class PatchDiscriminator(Part):
    """PatchGAN: strided convolutions, one more without stride, and a logit for each position of the last map.

    Isola et al. 2017, section 3.2.2; CycleGAN, Zhu et al. 2017, appendix 7.2: C64-C128-C256-C512, that is 3 `layers`,
    of which the last convolution keeps the size, all 4x4, LeakyReLU of 0.2, no norm in the first. A logit sees a square
    of 16, 34, 70, 142 or 286 pixels with 1 to 5 layers; 256x256 pixels give 30x30 logits with 3. With a norm its
    convolution has no bias. For colour images and 3 layers: 2,765,633 parameters.
    """

    channels: Count = 64  # channels of the first stage
    layers: Count = 3  # stages that halve the map
    norm: Literal["instance", "batch", "layer", "group", "none"] = "instance"  # of all stages but the first
    spectral: bool = False  # true: divide every weight by its largest singular value

    def build(self, inputs: Signals, outputs: Signals) -> nn.Module:
        """Make the network; its forward takes `[N, C, H, W]` and gives `[N, 1, h, w]`.

        Raises:
            RecipeError: these are not images, or they are too small for so many layers.
        """
        space = Space.of(inputs, outputs)
        self._fit(space)
        body: list[nn.Module] = []
        before = space.shape[0]
        for stage, after in enumerate(widths(self.channels, self.layers + 1)):
            norm, stride = self.norm if stage else "none", 2 if stage < self.layers else 1
            body += [convolution(before, after, 4, stride, 1, bias=norm == "none", spectral=self.spectral)]
            body += [make_norm(norm, after, 2), nn.LeakyReLU(0.2, inplace=True)]
            before = after
        return _Patches(*body, convolution(before, 1, 4, 1, 1, spectral=self.spectral))

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        return network_traits("discriminator", "logits", norm=self.norm, spectral=self.spectral)

    def _fit(self, space: Space) -> None:
        if not space.is_image:
            raise RecipeError(f"network {self.name!r} works on images, and these are {space}; use mlp-discriminator")
        side, least = min(space.shape[1:]), 3 << self.layers
        if side < least:
            fitting = max((k for k in range(1, self.layers) if side >= 3 << k), default=0)
            mend = f"give it layers={fitting}" if fitting else f"set size={least}"
            raise RecipeError(
                f"network {self.name!r} with layers={self.layers} needs sides of at least {least} pixels, and these "
                f"are {space}; {mend}"
            )


class _Patches(nn.Sequential):
    """Sequential layers."""

    def forward(self, input: Tensor, label: Tensor | None = None) -> Tensor:  # noqa: A002, ARG002  (torch's name)
        """Images `[N, C, H, W]` to logits `[N, 1, h, w]`."""
        return super().forward(input)
