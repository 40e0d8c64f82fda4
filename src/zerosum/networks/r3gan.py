"""The plain residual networks of R3GAN: no normalization, no styles, grouped convolutions, Fixup initialization.

Huang et al. 2024, section 4 (configuration E). A stage is some residual blocks at one size; between stages maps double
or halve by the filter [1, 3, 3, 1]. Generator and discriminator are mirror images. The first weights are normal with
standard deviation gain / sqrt(fan-in), and each block begins as the identity, its last weights 0 (Fixup, Zhang et al.
2019); the recipes leave them with initialization=default.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from zerosum.core.errors import RecipeError
from zerosum.core.registry import Part, register
from zerosum.core.signals import Signals
from zerosum.core.values import Count, Repeats
from zerosum.networks.conditioning import conditioned_on, required, rows
from zerosum.networks.discriminator import Discriminator, Head
from zerosum.networks.layers import Output, end, network_traits
from zerosum.networks.precision import at_least_float32, no_autocast
from zerosum.networks.pyramid import pyramid
from zerosum.networks.resampling import Down, Up
from zerosum.networks.sizes import latent_size, plan
from zerosum.networks.space import Space

__all__ = ["R3GANDiscriminator", "R3GANGenerator"]

_SLOPE = 0.2  # of leaky ReLUs


@dataclass(frozen=True)
class Stages:
    """Sizes of all blocks of a network."""

    widths: list[int]  # maps of each stage, from the base on
    base: tuple[int, int]  # (height, width) of the smallest maps, in pixels
    blocks: int  # in a stage
    expansion: int  # maps inside a block, times those outside
    group: int  # maps in a group of the 3x3 convolution

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return self.blocks * len(self.widths)


def _stages(part: R3GANGenerator | R3GANDiscriminator, space: Space) -> Stages:
    """Read the fields of a network.

    Raises:
        RecipeError: points or images of an unsupported size, or maps that do not divide into groups.
    """
    halvings, base = plan(part.name, space)
    widths = pyramid(part.channels, part.halve_above, base, halvings)
    for width in widths:
        if width * part.expansion % part.group:
            raise RecipeError(
                f"network {part.name!r}: a stage of {width} channels has {width * part.expansion} inside its blocks, "
                f"which do not divide into groups of {part.group}; set channels to a multiple of {part.group}, "
                "or another group"
            )
    return Stages(widths, base, part.blocks, part.expansion, part.group)


def _conv(inputs: int, outputs: int, gain: float, kernel: int = 1, groups: int = 1, *, bias: bool = False) -> nn.Conv2d:
    """Convolution that keeps the size, with normal weights of standard deviation gain / sqrt(fan-in) and bias 0."""
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=bias)
    nn.init.normal_(conv.weight, std=gain / math.sqrt(inputs // groups * kernel * kernel))
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


def _linear(inputs: int, outputs: int) -> nn.Linear:
    """Linear layer without bias, with normal weights of standard deviation 1 / sqrt(inputs)."""
    linear = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(linear.weight, std=1 / math.sqrt(inputs))
    return linear


def _embedding(classes: int, size: int, gain: float = 1.0) -> nn.Embedding:
    """A vector for each class: a linear layer without bias on the one-hot class, so its fan-in is their number."""
    embedding = nn.Embedding(classes, size)
    nn.init.normal_(embedding.weight, std=gain / math.sqrt(classes))
    return embedding


class Block(nn.Module):
    """x + C(lrelu(B(lrelu(A x)))): A widens pixel by pixel, B is a grouped 3x3 convolution, C narrows and begins at 0.

    In a network of L blocks the weights of A and B have the gain sqrt(2 / (1 + 0.2^2)) of the leaky ReLU times
    L^(-1/4), Fixup's factor for branches of three layers.
    """

    def __init__(self, width: int, stages: Stages) -> None:
        super().__init__()
        inner, gain = width * stages.expansion, math.sqrt(2 / (1 + _SLOPE**2)) * stages.depth**-0.25
        self.widen = _conv(width, inner, gain, bias=True)
        self.mix = _conv(inner, inner, gain, kernel=3, groups=inner // stages.group, bias=True)
        self.narrow = _conv(inner, width, gain=0)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, width, H, W]` to the same."""
        y = leaky_relu(self.widen(x), _SLOPE)
        y = leaky_relu(self.mix(y), _SLOPE)
        return self.narrow(y) + x  # in this order the sum takes the memory format of the weights


def _stage(width: int, stages: Stages) -> nn.Sequential:
    return nn.Sequential(*(Block(width, stages) for _ in range(stages.blocks)))


def _adapt(before: int, after: int) -> list[nn.Module]:
    """A 1x1 convolution where the width changes; at the smaller size, where it costs a quarter."""
    return [] if before == after else [_conv(before, after, gain=1)]


class Basis(nn.Module):
    """A learned map for each channel, scaled by a linear function of the latent and the class."""

    def __init__(self, inputs: int, width: int, base: tuple[int, int]) -> None:
        super().__init__()
        self.maps = nn.Parameter(torch.randn(width, *base))
        self.scales = _linear(inputs, width)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, inputs]` to `[N, width, *base]`."""
        return self.maps * self.scales(x)[:, :, None, None]


class _Generator(nn.Module):
    """Base and colours in float32, as in the published training; the stages between in the precision of autocast."""

    def __init__(
        self, stages: Stages, inputs: int, classes: int, embedding: int, colours: int, output: Output = "linear"
    ) -> None:
        super().__init__()
        self.output = output
        self.embedding = _embedding(classes, embedding) if classes else None
        first, inputs = stages.widths[0], inputs + (embedding if classes else 0)
        self.start = nn.Sequential(Basis(inputs, first, stages.base), _stage(first, stages))
        body: list[nn.Module] = []
        for before, after in itertools.pairwise(stages.widths):
            body += [*_adapt(before, after), Up(), _stage(after, stages)]
        self.body = nn.Sequential(*body)
        self.colours = _conv(stages.widths[-1], colours, gain=1)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Latents `[N, latent]` to images `[N, C, H, W]`, within [-1, 1] unless the output is linear."""
        with no_autocast(x):
            if self.embedding is not None:
                x = torch.cat([x, rows(self.embedding, required(label, self.embedding.num_embeddings)).to(x.dtype)], 1)
            x = self.start(x)
        x = self.body(x)
        with no_autocast(x):
            x = self.colours(at_least_float32(x))
        return end(x, self.output)


class Pool(nn.Module):
    """Maps each channel to one number: a depthwise convolution that covers the map."""

    def __init__(self, width: int, base: tuple[int, int]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width, *base) / math.sqrt(math.prod(base)))

    def forward(self, x: Tensor) -> Tensor:
        """`[N, width, *base]` to `[N, width]`."""
        return (x * self.weight).sum((2, 3))


class ClassHead(Head):
    """The logit is v_y.f alone: a projection discriminator without the term that all classes share."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__(features, labels="projection", classes=classes)
        del self.logit

    def forward(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        """Features `[N, F]` to logits `[N]`."""
        assert self.projection is not None
        return self.projection(features).gather(1, required(label, self.count)[:, None]).squeeze(1)


def _head(width: int, embedding: int, labels: str, classes: int) -> tuple[nn.Module, Head]:
    """The layer from pooled maps to features, and the head; only a classifier has biases."""
    if labels == "projection":
        head: Head = ClassHead(embedding, classes)
        assert head.projection is not None
        # its rows are embeddings of classes: fan-in is their number, and the gain 1 / sqrt(F) keeps v_y.f near 1
        nn.init.normal_(head.projection.weight, std=1 / math.sqrt(embedding * classes))
        return _linear(width, embedding), head
    head = Head(width, labels=labels, classes=classes, bias=False)
    for layer in filter(None, (head.logit, head.classes)):
        nn.init.normal_(layer.weight, std=1 / math.sqrt(width))
    return nn.Identity(), head


class _Discriminator(Discriminator):
    """The generator mirrored: everything from the base on is float32, the rest has the precision of autocast."""

    def __init__(self, stages: Stages, colours: int, embedding: int, labels: str, classes: int) -> None:
        super().__init__()
        last = stages.widths[0]
        body: list[nn.Module] = [_conv(colours, stages.widths[-1], gain=1)]
        for before, after in itertools.pairwise(stages.widths[::-1]):
            body += [_stage(before, stages), Down(), *_adapt(before, after)]
        self.body = nn.Sequential(*body)
        features, self.head = _head(last, embedding, labels, classes)
        self.top = nn.Sequential(_stage(last, stages), Pool(last, stages.base), features)

    def features(self, x: Tensor, label: Tensor | None = None) -> Tensor:  # noqa: ARG002 (the class is the head's)
        """Images `[N, C, H, W]` to `[N, F]`."""
        x = self.body(x)
        with no_autocast(x):
            return self.top(at_least_float32(x))

    def logits(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        """Features `[N, F]` to logits `[N]`."""
        with no_autocast(features):
            return super().logits(features, label)


@register("network", "r3gan-generator")
@dataclass(frozen=True)
class R3GANGenerator(Part):
    """Residual generator without norms or styles: learned maps that the latent scales, blocks, doublings.

    R3GAN, Huang et al. 2024, configuration E, where the output is linear. For CIFAR-10 (32x32, latents of 64): 4 stages
    of 768 maps.
    """

    channels: Count = 768  # largest number of maps between blocks
    halve_above: Count = 32  # side in pixels up to which stages have all maps; each doubling beyond halves them
    blocks: Repeats = 2  # residual blocks at each size
    expansion: Count = 2  # maps inside a block, times those outside
    group: Count = 16  # maps in a group of the 3x3 convolutions
    embedding: Count = 64  # numbers in the embedding of a class, with labels=embed
    output: Output = "linear"  # tanh: for large areas of pure black or white; tanh-inward: can also leave them again
    labels: Literal["none", "embed"] = "none"  # embed: a learned embedding of the class beside the latent

    def build(self, inputs: Signals, outputs: Signals) -> nn.Module:
        """Make the network; its forward takes `[N, latent]` and gives `[N, C, H, W]`."""
        space = Space.of(inputs, outputs)
        stages, classes = _stages(self, space), conditioned_on(self.name, self.labels, space)
        latent, colours = latent_size(self.name, space), space.shape[0]
        return _Generator(stages, latent, classes, self.embedding, colours, self.output)

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        return network_traits("generator", labels=self.labels)


@register("network", "r3gan-discriminator")
@dataclass(frozen=True)
class R3GANDiscriminator(Part):
    """Residual discriminator without norms: the generator mirrored, then a depthwise convolution over each map.

    R3GAN, Huang et al. 2024, configuration E. With labels=projection the logit is v_y.f alone, where f is a
    linear function of the pooled maps.
    """

    channels: Count = 768  # largest number of maps between blocks
    halve_above: Count = 32  # side in pixels up to which stages have all maps; each doubling beyond halves them
    blocks: Repeats = 2  # residual blocks at each size
    expansion: Count = 2  # maps inside a block, times those outside
    group: Count = 16  # maps in a group of the 3x3 convolutions
    embedding: Count = 768  # numbers in the features that a class is compared with, with labels=projection
    labels: Literal["none", "projection", "classifier"] = "none"  # how the class enters, or is predicted

    def build(self, inputs: Signals, outputs: Signals) -> nn.Module:
        """Make the network; its forward takes `[N, C, H, W]` and gives `[N]`."""
        space = Space.of(inputs, outputs)
        stages, classes = _stages(self, space), conditioned_on(self.name, self.labels, space)
        return _Discriminator(stages, space.shape[0], self.embedding, self.labels, classes)

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        return network_traits("discriminator", "logits", "features", labels=self.labels)
