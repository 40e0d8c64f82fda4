"""Networks of BigGAN, for every size that halves down to a base of 4 to 7."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from zerosum.core.errors import RecipeError
from zerosum.core.registry import Part, register
from zerosum.core.signals import Signals
from zerosum.core.values import Count, Natural
from zerosum.networks.attention import attentions
from zerosum.networks.conditioning import JoinLabel, conditioned_on
from zerosum.networks.discriminator import Head
from zerosum.networks.initialization import Orthogonal
from zerosum.networks.layers import network_traits
from zerosum.networks.residual import DownBlock, UpBlock
from zerosum.networks.resnet import (
    ResidualDiscriminator,
    halved_sides,
    halving_blocks,
    is_small,
)
from zerosum.networks.sizes import latent_size, plan
from zerosum.networks.space import Space
from zerosum.networks.spectral import convolution, linear

__all__ = ["BigGANDiscriminator", "BigGANGenerator"]

_WIDEST = 16  # times `channels`, as in the paper
_EMBEDDING = 128  # numbers of the shared embedding of the class, as in the paper


def _widths(channels: int, halvings: int) -> list[int]:
    """Channels from the base to the image: 16, 16, 8, 4, 2, 1 times `channels` for 128 px."""
    return [channels * max(1, _WIDEST >> max(0, stage - 1)) for stage in range(halvings + 1)]


@torch.no_grad()
def _draw(network: nn.Module) -> nn.Module:
    """Initialize all weights orthogonally, including the shared embedding."""
    Orthogonal().apply(network)
    for table in network.modules():
        if isinstance(table, nn.Embedding):
            nn.init.orthogonal_(table.weight)
    return network


class _ModulatedBatchNorm(nn.Module):
    """Batch norm whose scale and shift are linear in a condition: 1 + A c and B c.

    Brock et al. 2019, appendix B: the bias projections are zero-centred, the gain projections centred at 1.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale, self.shift = (linear(width, channels, bias=False, spectral=True) for _ in range(2))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Normalise `[N, C, H, W]`, then scale and shift by linear functions of the conditions `[N, width]`."""
        x = self.norm(x)
        scale, shift = (layer(condition).to(x.dtype)[:, :, None, None] for layer in (self.scale, self.shift))
        return torch.addcmul(shift, x, 1 + scale)


class _Generator(nn.Module):
    """The first chunk of the latent becomes the base; each block is modulated by a further chunk and the class."""

    def __init__(
        self, dense: nn.Module, join: JoinLabel, blocks: list[UpBlock], followers: list[nn.Module], image: nn.Module
    ) -> None:
        super().__init__()
        self.dense, self.join, self.image = dense, join, image
        self.blocks, self.attentions = nn.ModuleList(blocks), nn.ModuleList(followers)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Latents `[N, latent]` to images `[N, C, H, W]` in [-1, 1]."""
        first, *chunks = x.tensor_split(len(self.blocks) + 1, 1)
        x = self.dense(first)
        for block, attention, chunk in zip(self.blocks, self.attentions, chunks, strict=True):
            x = attention(block(x, self.join(chunk, label)))
        return self.image(x).float().tanh()


@register("network", "biggan-generator")
@dataclass(frozen=True)
class BigGANGenerator(Part):
    """Residual generator with a hierarchical latent: each block gets a chunk of it, and the class, in its batch norms.

    BigGAN, Brock et al. 2019, appendix B. The latent is cut into one chunk more than there are blocks, as equal as
    possible; the first makes the base. Each other chunk, with the class embedding that all blocks share, is mapped to
    the scales and shifts of a block's batch norms. Widths above 32 px from the base on: 16, 16, 8, 4, 2, 1 times
    `channels` for 128 px (the paper's, with 96), the first of them for smaller images; up to 32 px, which the paper
    does not draw, 4 times `channels` throughout. Every weight is spectrally normalised and initialized orthogonally.
    For 128 px, 1,000 classes, latents of 120, attention at 64 px and 96 channels: 70,433,988 parameters.
    """

    channels: Count = 64  # unit of the widths; all blocks have 4 times as many up to 32 px
    attention: Natural = 0  # pixels: self-attention follows the largest map of at most this side; 0: none
    labels: Literal["none", "norm"] = "none"  # norm: the class modulates the batch norms beside the latent

    def build(self, inputs: Signals, outputs: Signals) -> nn.Module:
        """Make the network; its forward takes `[N, latent]` and gives `[N, C, H, W]`."""
        space = Space.of(inputs, outputs)
        halvings, base = plan(self.name, space)
        chunks = self._chunks(halvings, space)
        classes = conditioned_on(self.name, self.labels, space)
        join = JoinLabel("embed" if classes else "none", classes, (_EMBEDDING,))
        small = is_small(space)
        widths = [4 * self.channels] * (halvings + 1) if small else _widths(self.channels, halvings)
        dense = linear(chunks[0], widths[0] * math.prod(base), spectral=True)
        blocks = [
            UpBlock(before, after, partial(_ModulatedBatchNorm, width=chunk + join.width), spectral=True)
            for (before, after), chunk in zip(itertools.pairwise(widths), chunks[1:], strict=True)
        ]
        sides = [min(base) << doublings for doublings in range(1, halvings + 1)]
        image = nn.Sequential(
            nn.BatchNorm2d(widths[-1]),
            nn.ReLU(inplace=True),
            convolution(widths[-1], space.shape[0], 3, padding=1, spectral=True),
        )
        return _draw(
            _Generator(
                nn.Sequential(dense, nn.Unflatten(1, (widths[0], *base))),
                join,
                blocks,
                attentions(self.name, self.attention, sides, widths[1:], spectral=True),
                image,
            )
        )

    def _chunks(self, halvings: int, space: Space) -> list[int]:
        """Sizes of the latent's chunks."""
        latent, parts = latent_size(self.name, space), halvings + 1
        if latent < parts:
            raise RecipeError(
                f"network {self.name!r} cuts the latent into {parts} chunks, and it has {latent} "
                f"number{'s' if latent > 1 else ''}; set latent=normal:size={20 * parts}"
            )
        return [latent // parts + (part < latent % parts) for part in range(parts)]

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        return network_traits("generator", norm="batch", labels=self.labels, spectral=True)


@register("network", "biggan-discriminator")
@dataclass(frozen=True)
class BigGANDiscriminator(Part):
    """Residual discriminator: blocks halve the image, then ReLU, the sum over all positions, and a linear head.

    BigGAN, Brock et al. 2019, appendix B. Unlike SNGAN's, the first convolution of a block is as wide as its output.
    Widths above 32 px: 1, 2, 4, 8, 16, 16 times `channels` for 128 px, the last of them for smaller images; up to
    32 px, which the paper does not draw, twice `channels` in two blocks that halve and two that do not. Every weight
    is spectrally normalised and begins orthogonal. For 128 px, 1,000 classes, projection, attention at 64 px and
    96 channels: 87,982,370 parameters.
    """

    channels: Count = 64  # unit of the widths; all blocks have twice as many up to 32 px
    attention: Natural = 0  # pixels: self-attention follows the largest map of at most this side; 0: none
    labels: Literal["none", "projection", "classifier"] = "none"  # how the class enters, or is predicted

    def build(self, inputs: Signals, outputs: Signals) -> nn.Module:
        """Make the network; its forward takes `[N, C, H, W]` and gives `[N]`."""
        space = Space.of(inputs, outputs)
        halvings, _ = plan(self.name, space)
        halves = halving_blocks(halvings, space)
        small = is_small(space)
        widths = [2 * self.channels] * len(halves) if small else _widths(self.channels, halvings)[::-1]
        blocks = [
            DownBlock(before, after, after, halve=halve, first=not place, spectral=True)
            for place, (before, after, halve) in enumerate(zip([space.shape[0], *widths], widths, halves, strict=False))
        ]
        classes = conditioned_on(self.name, self.labels, space)
        head = Head(widths[-1], labels=self.labels, classes=classes, spectral=True)
        sides = halved_sides(min(space.shape[1:]), halves)
        return _draw(
            ResidualDiscriminator(blocks, attentions(self.name, self.attention, sides, widths, spectral=True), head)
        )

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        return network_traits("discriminator", "logits", "features", labels=self.labels, spectral=True)
