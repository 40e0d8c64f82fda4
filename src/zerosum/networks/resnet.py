"""Residual networks of WGAN-GP, SNGAN and SAGAN, for every size that halves down to a base of 4 to 7."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from zerosum.core.registry import Part, register
from zerosum.core.signals import Signals
from zerosum.core.values import Count, Natural
from zerosum.networks.attention import attentions
from zerosum.networks.conditioning import GeneratorLabels, JoinLabel, conditioned_on
from zerosum.networks.discriminator import Discriminator, Head
from zerosum.networks.layers import network_traits
from zerosum.networks.normalization import conditional_classes, make_norm
from zerosum.networks.residual import DownBlock, UpBlock, glorot
from zerosum.networks.sizes import latent_size, plan
from zerosum.networks.space import Space
from zerosum.networks.spectral import convolution, linear

__all__ = [
    "ResNetDiscriminator",
    "ResNetGenerator",
    "ResidualDiscriminator",
    "halved_sides",
    "halving_blocks",
    "is_small",
]

_SMALL = 32  # pixels
_WIDEST = 16  # times the narrowest block
_EACH = 2  # blocks of a small discriminator that halve, if there is room, and as many that do not


def is_small(space: Space) -> bool:
    """Whether all blocks are equally wide: up to 32 px, as in SNGAN's networks for CIFAR-10."""
    return max(space.shape[1:]) <= _SMALL


def halving_blocks(halvings: int, space: Space) -> list[bool]:
    """Whether each block of a discriminator halves: two, then two do not; above 32 px all but the last do."""
    if is_small(space):
        return [True] * min(halvings, _EACH) + [False] * _EACH
    return [True] * halvings + [False]


def halved_sides(side: int, halves: list[bool]) -> list[int]:
    """Side of each block's map, where some blocks halve it."""
    return [side >> halvings for halvings in itertools.accumulate(halves)]


class ResidualDiscriminator(Discriminator):
    """Residual blocks, each with its follower, then ReLU, the sum over all positions, and a head."""

    def __init__(self, blocks: list[DownBlock], followers: list[nn.Module], head: Head) -> None:
        super().__init__()
        self.blocks, self.attentions, self.head = nn.ModuleList(blocks), nn.ModuleList(followers), head

    def features(self, x: Tensor, label: Tensor | None = None) -> Tensor:  # noqa: ARG002  (the head takes the label)
        """Images `[N, C, H, W]` to `[N, F]`, in float32."""
        for block, attention in zip(self.blocks, self.attentions, strict=True):
            x = attention(block(x))
        return x.relu().sum((2, 3), dtype=torch.promote_types(x.dtype, torch.float32))


class _Generator(nn.Module):
    """The latent becomes the base, residual blocks double it, and `image` makes it an image."""

    def __init__(
        self,
        join: JoinLabel,
        dense: nn.Module,
        blocks: list[UpBlock],
        followers: list[nn.Module],
        image: nn.Module,
        *,
        conditional: bool,
    ) -> None:
        super().__init__()
        self.join, self.dense, self.image, self.conditional = join, dense, image, conditional
        self.blocks, self.attentions = nn.ModuleList(blocks), nn.ModuleList(followers)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Latents `[N, latent]` to images `[N, C, H, W]` in [-1, 1]."""
        x = self.dense(self.join(x, label))
        for block, attention in zip(self.blocks, self.attentions, strict=True):
            x = attention(block(x, label if self.conditional else None))
        return self.image(x).float().tanh()


def _draw(network: nn.Module) -> nn.Module:
    """Initialize the weights as in SNGAN: Glorot's, times sqrt(2) in the residual branches."""
    glorot(network)
    for block in network.modules():
        if isinstance(block, (UpBlock, DownBlock)):
            glorot(block.branch, math.sqrt(2))
    return network


@register("network", "resnet-generator")
@dataclass(frozen=True)
class ResNetGenerator(Part):
    """Residual generator: a linear layer turns the latent into a 4 to 7 pixel map, blocks double it to the image.

    WGAN-GP, Gulrajani et al. 2017, and SNGAN, Miyato et al. 2018, tables of appendix B; `attention` and `spectral` as
    in SAGAN, Zhang et al. 2019. Up to 32 px all blocks have `channels`. Above, the last has a quarter and each before
    it twice as many, up to 4 times `channels`: with 256 the widths of SNGAN from 48 to 128 px, 64 in the last block and
    1024 at a 4 pixel base. Weights are drawn by Glorot's formula, times sqrt(2) in the branches.
    """

    channels: Count = 256  # of every block up to 32 px; above, a quarter in the last block, doubling towards the base
    norm: Literal["batch", "none"] = "batch"  # before the ReLUs
    spectral: bool = False  # true: divide every weight by its largest singular value
    attention: Natural = 0  # pixels: self-attention follows the largest map of at most this side; 0: none
    labels: GeneratorLabels = "none"  # how the class enters; norm needs norm=batch

    def build(self, inputs: Signals, outputs: Signals) -> nn.Module:
        """Make the network; its forward takes `[N, latent]` and gives `[N, C, H, W]`."""
        space = Space.of(inputs, outputs)
        halvings, base = plan(self.name, space)
        classes, latent = conditioned_on(self.name, self.labels, space), latent_size(self.name, space)
        widths, spectral = self._widths(halvings, space), self.spectral
        join = JoinLabel(self.labels, classes, (latent,))
        dense = linear(latent + join.width, widths[0] * math.prod(base), spectral=spectral)
        inside = conditional_classes(self.name, self.labels, self.norm, classes)
        inner = partial(make_norm, self.norm, dims=2, classes=inside)
        blocks = [UpBlock(*pair, inner, spectral=spectral) for pair in itertools.pairwise(widths)]
        sides = [min(base) << doublings for doublings in range(1, halvings + 1)]
        image = nn.Sequential(
            make_norm(self.norm, widths[-1], 2),
            nn.ReLU(inplace=True),
            convolution(widths[-1], space.shape[0], 3, padding=1, spectral=spectral),
        )
        return _draw(
            _Generator(
                join,
                nn.Sequential(dense, nn.Unflatten(1, (widths[0], *base))),
                blocks,
                attentions(self.name, self.attention, sides, widths[1:], spectral=spectral),
                image,
                conditional=inside > 0,
            )
        )

    def _widths(self, halvings: int, space: Space) -> list[int]:
        """Channels from the base to the image, one more than blocks."""
        if is_small(space):
            return [self.channels] * (halvings + 1)
        return [max(1, self.channels * min(1 << stage, _WIDEST) // 4) for stage in range(halvings, -1, -1)]

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        return network_traits("generator", norm=self.norm, labels=self.labels, spectral=self.spectral)


@register("network", "resnet-discriminator")
@dataclass(frozen=True)
class ResNetDiscriminator(Part):
    """Residual discriminator: blocks halve the image, then ReLU, the sum over all positions, and a linear head.

    SNGAN, Miyato et al. 2018, tables of appendix B; with spectral=false the critic of WGAN-GP, Gulrajani et al. 2017;
    `labels=projection` is Miyato & Koyama 2018. Up to 32 px all blocks have `channels`, two halve the side and two do
    not. Above, the first has half of `channels` and each next one twice as many, up to 8 times `channels`; they
    halve to the base of 4 to 7 pixels, where one more does not halve: for 128 px the published network. Weights are
    drawn by Glorot's formula, times sqrt(2) in the branches. For 32x32 colour images: 1,053,825 parameters.
    """

    channels: Count = 128  # of every block up to 32 px; above, half of it in the first block, then doubling
    norm: Literal["none", "layer", "instance", "group", "batch"] = "none"  # before the ReLUs, but for the first block
    spectral: bool = True  # divide every weight by its largest singular value
    attention: Natural = 0  # pixels: self-attention follows the largest map of at most this side; 0: none
    labels: Literal["none", "projection", "classifier"] = "none"  # how the class enters, or is predicted

    def build(self, inputs: Signals, outputs: Signals) -> nn.Module:
        """Make the network; its forward takes `[N, C, H, W]` and gives `[N]`."""
        space = Space.of(inputs, outputs)
        halvings, _ = plan(self.name, space)
        halves = halving_blocks(halvings, space)
        widths, spectral = self._widths(len(halves), space), self.spectral
        blocks = [
            DownBlock(
                before,
                after,
                before if place else after,
                norm=self.norm,
                halve=halve,
                first=not place,
                spectral=spectral,
            )
            for place, (before, after, halve) in enumerate(zip([space.shape[0], *widths], widths, halves, strict=False))
        ]
        head = Head(
            widths[-1], labels=self.labels, classes=conditioned_on(self.name, self.labels, space), spectral=spectral
        )
        sides = halved_sides(min(space.shape[1:]), halves)
        followers = attentions(self.name, self.attention, sides, widths, spectral=spectral)
        return _draw(ResidualDiscriminator(blocks, followers, head))

    def _widths(self, blocks: int, space: Space) -> list[int]:
        """Channels of the blocks' maps, from the image on."""
        if is_small(space):
            return [self.channels] * blocks
        return [max(1, self.channels * min(1 << stage, _WIDEST) // 2) for stage in range(blocks)]

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        always = "discriminator", "logits", "features"
        return network_traits(*always, norm=self.norm, labels=self.labels, spectral=self.spectral)
