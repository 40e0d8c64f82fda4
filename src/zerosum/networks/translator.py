"""Networks that turn an image into an image of the same size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from zerosum.core.errors import RecipeError
from zerosum.core.registry import Part, register
from zerosum.core.signals import Signals
from zerosum.core.values import Count
from zerosum.networks.normalization import make_norm
from zerosum.networks.precision import at_least_float32

HALVINGS = 2  # of the image before the residual blocks, and doublings after them
LEAST = 8  # pixels of a side: below it the middle map has one pixel, and instance norm nothing to normalise


@register("network", "resnet-translator")
@dataclass(frozen=True)
class ResNetTranslator(Part):
    """Image to image: two strided convolutions, residual blocks at a quarter of the size, and two transposed ones.

    CycleGAN, Zhu et al. 2017, appendix 7.2, after Johnson et al. 2016: c7s1-64, d128, d256, R256 for each block, u128,
    u64, c7s1-3, that is 64 `channels`, with reflection at the borders; 9 blocks for 256x256 and more, 6 for 128x128.
    Blocks are convolution, norm, ReLU, convolution, norm, and nothing after the sum (Gross & Wilber 2016). Layers
    before a norm have no bias. For colour images and 9 blocks: 11,383,427 parameters, with 6: 7,841,411.
    """

    channels: Count = 64  # channels of the first stage, at the image's own size
    blocks: Count = 9  # residual blocks, of 4 times `channels`
    norm: Literal["instance", "batch", "none"] = "instance"  # of all convolutions but the last

    def build(self, inputs: Signals, outputs: Signals) -> nn.Module:
        """Make the network; its forward takes `[N, C, H, W]` and gives `[N, C', H, W]` in [-1, 1].

        Raises:
            RecipeError: these are not images, their sizes differ, or a side does not halve twice.
        """
        self._fit(image_sides(self.name, inputs, outputs))
        source, target = next(iter(inputs.values())), next(iter(outputs.values()))
        wide = self.channels
        body = self._stage(source.shape[0], wide, 7)
        for _ in range(HALVINGS):
            body += self._stage(wide, 2 * wide, 3, 2)
            wide *= 2
        body += [_Block(*self._stage(wide, wide, 3), *self._stage(wide, wide, 3)[:-1]) for _ in range(self.blocks)]
        for _ in range(HALVINGS):
            up = nn.ConvTranspose2d(wide, wide // 2, 3, 2, 1, output_padding=1, bias=self.norm == "none")
            body += [up, *self._ending(wide // 2)]
            wide //= 2
        return _Translator(*body, *_convolution(wide, target.shape[0], 7))

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        return frozenset({"translator"} | ({"batchnorm"} if self.norm == "batch" else set()))

    def _stage(self, before: int, after: int, size: int, stride: int = 1) -> list[nn.Module]:
        return [*_convolution(before, after, size, stride, bias=self.norm == "none"), *self._ending(after)]

    def _ending(self, channels: int) -> list[nn.Module]:
        return [make_norm(self.norm, channels, 2), nn.ReLU(inplace=True)]

    def _fit(self, sides: list[int]) -> None:
        step = 1 << HALVINGS
        if min(sides) < LEAST or any(side % step for side in sides):
            near = [max(LEAST, round(side / step) * step) for side in sides]
            raise RecipeError(
                f"network {self.name!r} takes sides that are multiples of {step}, at least {LEAST}, and these images "
                f"are {sides[0]}x{sides[1]}; set size={near[0]}x{near[1]}"
            )


def image_sides(name: str, inputs: Signals, outputs: Signals) -> list[int]:
    """Height and width of the images that a network takes and gives.

    Raises:
        RecipeError: these are not images, or their sizes differ.
    """
    source, target = next(iter(inputs.values())), next(iter(outputs.values()))
    if {source.kind, target.kind} != {"image"}:
        raise RecipeError(f"network {name!r} turns images into images, not {source.kind} into {target.kind}")
    (_, *sides), (_, *target_sides) = source.shape, target.shape
    if sides != target_sides:
        raise RecipeError(f"network {name!r} keeps the size of an image, and these are {sides} and {target_sides}")
    return sides


def _convolution(before: int, after: int, size: int, stride: int = 1, *, bias: bool = True) -> list[nn.Module]:
    return [_Reflect(size // 2), nn.Conv2d(before, after, size, stride, bias=bias)]


class _Reflect(nn.Module):
    """Pads maps at each border by reflection; torch's own has no deterministic gradient on CUDA."""

    def __init__(self, border: int) -> None:
        super().__init__()
        self.border = border

    def forward(self, x: Tensor) -> Tensor:
        """Maps `[N, C, H, W]` to `[N, C, H + 2 border, W + 2 border]`."""
        end = self.border + 1
        x = torch.cat([x[..., 1:end].flip(-1), x, x[..., -end:-1].flip(-1)], -1)
        return torch.cat([x[..., 1:end, :].flip(-2), x, x[..., -end:-1, :].flip(-2)], -2)


class _Block(nn.Sequential):
    """Residual block: the input plus the output of its layers."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (torch's name)
        """Maps `[N, C, H, W]` to maps of the same shape."""
        return input + super().forward(input)


class _Translator(nn.Sequential):
    """Sequential layers; images end in tanh."""

    step = LEAST  # sides of images may be any multiple of it

    def forward(self, input: Tensor, label: Tensor | None = None) -> Tensor:  # noqa: A002, ARG002  (torch's name)
        """Images `[N, C, H, W]` to images in [-1, 1]."""
        return at_least_float32(super().forward(input)).tanh()
