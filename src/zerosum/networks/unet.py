"""A U-Net: an image to one pixel and back, with skip connections between maps of the same size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from zerosum.core.errors import RecipeError
from zerosum.core.registry import Part, register
from zerosum.core.signals import Signals
from zerosum.core.values import Count
from zerosum.networks.dcgan import widths
from zerosum.networks.layers import Dropout, network_traits
from zerosum.networks.mlp import Share
from zerosum.networks.normalization import make_norm
from zerosum.networks.precision import at_least_float32
from zerosum.networks.translator import image_sides

DROPPED = 3  # innermost stages of the decoder, with dropout
LEAST = 2  # halvings; with fewer there are no skip connections


@register("network", "unet-translator")
@dataclass(frozen=True)
class UNetTranslator(Part):
    """Image to image: convolutions halve it to one pixel, transposed ones double it, with skip connections.

    pix2pix, Isola et al. 2017, section 6.1.1: encoder C64-C128-C256-C512-C512-C512-C512-C512 for 256x256 pixels,
    decoder CD512-CD512-CD512-C512-C256-C128-C64 and a last convolution, all 4x4 of stride 2, LeakyReLU of 0.2 down and
    ReLU up; each stage of the decoder also sees the encoder's map of its size. An image is halved as often as its
    sides divide by 2, at most `stages` times. No norm in the first and the innermost stage of the encoder. With a norm
    no convolution but the last has a bias, as in the authors' PyTorch code; the paper's batch norm, with one image a
    batch and with the batch's statistics at test too, is norm=instance. For 256x256 colour images: 54,413,955
    parameters.
    """

    channels: Count = 64  # channels of the first stage; at most 8 times as many further in
    stages: Count = 8  # halvings at most
    norm: Literal["instance", "batch", "none"] = "instance"  # of all stages but the outermost, and the innermost map
    dropout: Share = 0.5  # share of units switched off in the three innermost stages of the decoder; the only noise
    lasting: bool = True  # true: dropout goes on in evaluation, as in the paper; false: one answer for each image

    def build(self, inputs: Signals, outputs: Signals) -> nn.Module:
        """Make the network; its forward takes `[N, C, H, W]` and gives `[N, C', H, W]` in [-1, 1].

        Raises:
            RecipeError: these are not images, their sizes differ, or a side does not halve twice.
        """
        sides = image_sides(self.name, inputs, outputs)
        (colours_in, *_), (colours_out, *_) = (next(iter(signals.values())).shape for signals in (inputs, outputs))
        wide = widths(self.channels, self._halvings(sides))
        encoder = [self._down(before, after) for before, after in zip([colours_in, *wide], wide, strict=False)]
        encoder[0], encoder[-1] = encoder[0][1:2], encoder[-1][:2]
        doubled = [wide[-1], *(2 * channels for channels in wide[-2::-1])]  # inner maps and skip connection together
        decoder = [self._up(before, after) for before, after in zip(doubled, wide[-2::-1], strict=False)]
        for stage in decoder[:DROPPED]:
            stage += [(LastingDropout if self.lasting else Dropout)(self.dropout)] if self.dropout else []
        decoder += [[nn.ReLU(inplace=True), nn.ConvTranspose2d(doubled[-1], colours_out, 4, 2, 1)]]
        return _UNet(*([nn.Sequential(*stage) for stage in side] for side in (encoder, decoder)))

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        return network_traits("translator", norm=self.norm, dropout=self.dropout)

    def _down(self, before: int, after: int) -> list[nn.Module]:
        conv = nn.Conv2d(before, after, 4, 2, 1, bias=self.norm == "none")
        return [nn.LeakyReLU(0.2, inplace=True), conv, make_norm(self.norm, after, 2)]

    def _up(self, before: int, after: int) -> list[nn.Module]:
        conv = nn.ConvTranspose2d(before, after, 4, 2, 1, bias=self.norm == "none")
        return [nn.ReLU(inplace=True), conv, make_norm(self.norm, after, 2)]

    def _halvings(self, sides: list[int]) -> int:
        halvings = min(self.stages, *((side & -side).bit_length() - 1 for side in sides))
        if halvings < LEAST:
            size = "x".join(str(max(1 << LEAST, 1 << round(math.log2(side)))) for side in sides)
            mend = f"set stages={LEAST} or more" if self.stages < LEAST else f"set size={size}"
            raise RecipeError(
                f"network {self.name!r} halves an image at least {LEAST} times, and with stages={self.stages} images "
                f"of {sides[0]}x{sides[1]} are halved {halvings} times; {mend}"
            )
        return halvings


class LastingDropout(Dropout):
    """Dropout that goes on in evaluation."""

    def train(self, mode: bool = True) -> LastingDropout:  # noqa: ARG002  (torch's signature)
        """Stay in training mode."""
        super().train()
        return self


class _UNet(nn.Module):
    """Encoder and decoder with skip connections; images end in tanh."""

    def __init__(self, encoder: list[nn.Sequential], decoder: list[nn.Sequential]) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.ModuleList(encoder), nn.ModuleList(decoder)
        self.step = 1 << len(encoder)  # sides of images may be any multiple of it

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Images `[N, C, H, W]` to images in [-1, 1]."""
        maps: list[Tensor] = []
        for stage in self.encoder:
            x = stage(x)
            maps.append(x)
        x = self.decoder[0](maps.pop())
        for stage in self.decoder[1:]:
            x = stage(torch.cat([x, maps.pop()], 1))
        return at_least_float32(x).tanh()
