"""Convolutional networks of DCGAN, for every size that halves down to a base of 4 to 7."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from zerosum.core.registry import Part, register
from zerosum.core.signals import Signals
from zerosum.core.values import Count, Natural
from zerosum.networks.conditioning import DiscriminatorLabels, GeneratorLabels, JoinLabel, conditioned_on
from zerosum.networks.discriminator import Discriminator, Head
from zerosum.networks.layers import FlatMaps, FromPixel, network_traits
from zerosum.networks.minibatch import Minibatch, MinibatchDiscrimination, MinibatchStddev
from zerosum.networks.normalization import conditional_classes, make_norm
from zerosum.networks.sizes import latent_size, plan
from zerosum.networks.space import Space
from zerosum.networks.spectral import convolution
from zerosum.networks.stack import StackedDiscriminator, StackedGenerator

__all__ = ["DCGANDiscriminator", "DCGANGenerator"]

Norm = Literal["batch", "layer", "instance", "group", "none"]
_WIDEST = 8  # times `channels`, as in the paper's 512 for 64


def widths(channels: int, halvings: int) -> list[int]:
    """Channels of the stages from the image to the base: 64, 128, 256, 512, 512 ... for `channels` 64."""
    return [channels * min(1 << stage, _WIDEST) for stage in range(halvings)]


def halve(before: int, widths: list[int], norm: str, *, spectral: bool = False) -> list[nn.Module]:
    """Strided convolutions that halve a map once per width; the first has no norm, those before a norm no bias."""
    body: list[nn.Module] = []
    for stage, after in enumerate(widths):
        body += [convolution(before, after, 4, 2, 1, bias=norm == "none", spectral=spectral)]
        body += [make_norm(norm, after, 2)] if stage and norm != "none" else []
        body += [nn.LeakyReLU(0.2, inplace=True)]
        before = after
    return body


@register("network", "dcgan-generator")
@dataclass(frozen=True)
class DCGANGenerator(Part):
    """Convolutional generator: the latent becomes a 4 to 7 pixel map, which strided convolutions double to the image.

    DCGAN, Radford et al. 2016, section 3 and figure 1. Stage widths from the map on for 64x64: 512, 256, 128, 64; for
    32x32: 256, 128, 64; never above 8 times `channels`. With a norm no layer has a bias, as in the reference; with
    norm=none all have. labels=concat joins the one-hot class to the latent, embed a learned vector as wide as the
    latent, norm gives every class a scale and shift of each batch norm. For 64x64 colour images and latents of 100:
    3,576,704 parameters; grey: 3,574,656.
    """

    channels: Count = 64  # channels of the last hidden stage, the one at half the image's size
    norm: Norm = "batch"  # of hidden stages, before the ReLU
    labels: GeneratorLabels = "none"  # how the class enters; norm needs norm=batch

    def build(self, inputs: Signals, outputs: Signals) -> nn.Module:
        """Make the network; its forward takes `[N, latent]` and gives `[N, C, H, W]`."""
        space = Space.of(inputs, outputs)
        halvings, base = plan(self.name, space)
        classes, latent = conditioned_on(self.name, self.labels, space), latent_size(self.name, space)
        conditional = conditional_classes(self.name, self.labels, self.norm, classes)
        join, bias = JoinLabel(self.labels, classes, (latent,)), self.norm == "none"
        body: list[nn.Module] = [join]
        before = latent + join.width
        for stage, after in enumerate(widths(self.channels, halvings)[::-1]):
            up = nn.ConvTranspose2d(before, after, 4, 2, 1, bias=bias)
            body += [up if stage else FromPixel(before, after, base, bias=bias)]
            body += [] if bias else [make_norm(self.norm, after, 2, conditional)]
            body += [nn.ReLU(inplace=True)]
            before = after
        body += [nn.ConvTranspose2d(before, space.shape[0], 4, 2, 1, bias=bias)]
        return StackedGenerator(body)

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        return network_traits("generator", norm=self.norm, labels=self.labels)


@register("network", "dcgan-discriminator")
@dataclass(frozen=True)
class DCGANDiscriminator(Part):
    """Convolutional discriminator: strided convolutions halve the image to a 4 to 7 pixel map, then one logit.

    DCGAN, Radford et al. 2016, section 3. The mirror of the generator's stages; the first has no norm, whatever `norm`
    says, so with images of 8 to 14 pixels there is none at all (the trait follows the setting, not the size). With a
    norm neither stages nor logit have a bias, as in the reference; with norm=none all have. The features are the whole
    last map; labels=projection gives every class a vector as long (Miyato & Koyama 2018), concat and embed join maps to
    the image, classifier adds the second head of Odena et al. 2017. For 64x64 colour images: 2,765,568 parameters;
    grey: 2,763,520.
    """

    channels: Count = 64  # channels of the first stage, the one at half the image's size
    norm: Norm = "batch"  # of all stages but the first, before the LeakyReLU of slope 0.2
    labels: DiscriminatorLabels = "none"  # how the class enters, or classifier: it is predicted
    codes: Natural = 0  # numbers of the latent code that a further head recovers
    spectral: bool = False  # true: divide every weight by its largest singular value
    minibatch: Minibatch = "none"  # statistics of the other samples that the last layer receives
    kernels: Count = 100  # features that minibatch=discrimination adds

    def build(self, inputs: Signals, outputs: Signals) -> Discriminator:
        """Make the network; its forward takes `[N, C, H, W]` and gives `[N]`."""
        space = Space.of(inputs, outputs)
        halvings, base = plan(self.name, space)
        classes, spectral = conditioned_on(self.name, self.labels, space), self.spectral
        join = JoinLabel(self.labels, classes, (1, *space.shape[1:]))
        stages = widths(self.channels, halvings)
        body = [join, *halve(space.shape[0] + join.width, stages, self.norm, spectral=spectral)]
        body += [MinibatchStddev()] if self.minibatch == "stddev" else []
        body += [FlatMaps()]
        features = (stages[-1] + (self.minibatch == "stddev")) * base[0] * base[1]
        if self.minibatch == "discrimination":
            body += [MinibatchDiscrimination(features, self.kernels, spectral=spectral)]
            features += self.kernels
        bias = self.norm == "none"
        head = Head(features, labels=self.labels, classes=classes, codes=self.codes, bias=bias, spectral=spectral)
        return StackedDiscriminator(body, head)

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        return network_traits(
            "discriminator",
            "logits",
            "features",
            norm=self.norm,
            labels=self.labels,
            codes=self.codes,
            minibatch=self.minibatch,
            spectral=self.spectral,
        )
