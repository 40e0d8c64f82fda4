"""The small generator of ACGAN for digits: a linear layer to a map, then a few doublings."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from zerosum.core.registry import Part, register
from zerosum.core.signals import Signals
from zerosum.core.values import Count
from zerosum.networks.conditioning import GeneratorLabels, JoinLabel, conditioned_on
from zerosum.networks.layers import network_traits
from zerosum.networks.normalization import conditional_classes, make_norm
from zerosum.networks.sizes import latent_size, plan
from zerosum.networks.space import Space
from zerosum.networks.stack import StackedGenerator

__all__ = ["ACGANGenerator"]

_NARROWEST = 16  # channels


@register("network", "acgan-generator")
@dataclass(frozen=True)
class ACGANGenerator(Part):
    """Small convolutional generator: a linear layer makes a 4 to 7 pixel map, strided convolutions double it.

    After ACGAN, Odena, Olah & Shlens 2017: latent and one-hot class go through a linear layer into 128 maps, and each
    doubling halves their number, down to 16. 28x28: 128 maps of 7x7, 64 of 14x14; 32x32: 128 of 4x4, 64 of 8x8, 32 of
    16x16. Batch norm and ReLU follow each layer but the last, the only one with a bias. For grey 28x28 images, latents
    of 100 and 10 classes, joined: 822,401 parameters.
    """

    channels: Count = 128  # channels of the first map
    labels: GeneratorLabels = "none"  # how the class enters: one-hot or embedding beside the latent, or in each norm

    def build(self, inputs: Signals, outputs: Signals) -> nn.Module:
        """Make the network; its forward takes `[N, latent]` and gives `[N, C, H, W]`."""
        space = Space.of(inputs, outputs)
        halvings, base = plan(self.name, space)
        classes, latent = conditioned_on(self.name, self.labels, space), latent_size(self.name, space)
        conditional = conditional_classes(self.name, self.labels, "batch", classes)
        join = JoinLabel(self.labels, classes, (latent,))
        wide = self.channels * base[0] * base[1]
        body: list[nn.Module] = [join, nn.Linear(latent + join.width, wide, bias=False)]
        body += [nn.Unflatten(1, (self.channels, *base))]
        width = self.channels
        for _ in range(halvings - 1):
            narrow = max(width // 2, min(width, _NARROWEST))
            body += [make_norm("batch", width, 2, conditional), nn.ReLU(inplace=True)]
            body += [nn.ConvTranspose2d(width, narrow, 4, 2, 1, bias=False)]
            width = narrow
        body += [make_norm("batch", width, 2, conditional), nn.ReLU(inplace=True)]
        return StackedGenerator([*body, nn.ConvTranspose2d(width, space.shape[0], 4, 2, 1)])

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        return network_traits("generator", norm="batch", labels=self.labels)
