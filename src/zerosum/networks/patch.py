"""Discriminators of patches: one logit for each of many overlapping squares of an image, on one scale or several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from zerosum.core.errors import RecipeError
from zerosum.core.registry import Part, register
from zerosum.core.signals import Signals
from zerosum.core.values import Count, Range
from zerosum.critic import logits_of
from zerosum.networks.dcgan import widths
from zerosum.networks.layers import network_traits
from zerosum.networks.normalization import make_norm
from zerosum.networks.space import Space
from zerosum.networks.spectral import convolution

Norm = Literal["instance", "batch", "layer", "group", "none"]


@register("network", "patch-discriminator")
@dataclass(frozen=True)
class PatchDiscriminator(Part):
    """PatchGAN: strided convolutions, one more without stride, and a logit for each position of the last map.

    Isola et al. 2017, section 3.2.2; CycleGAN, Zhu et al. 2017, appendix 7.2: C64-C128-C256-C512, that is 3 `layers`,
    of which the last convolution keeps the size, all 4x4, LeakyReLU of 0.2, no norm in the first. A logit sees a square
    of 16, 34, 70, 142 or 286 pixels with 1 to 5 layers; 256x256 pixels give 30x30 logits with 3. With a norm its
    convolution has no bias. For colour images and 3 layers: 2,765,633 parameters. Several `heads` are convolutions of
    odd sizes side by side, which keep the map's size; each place has a logit of each.
    """

    channels: Count = 64  # channels of the first stage
    layers: Count = 3  # stages that halve the map
    norm: Norm = "instance"  # of all stages but the first
    spectral: bool = False  # true: divide every weight by its largest singular value
    heads: tuple[Count, ...] = (4,)  # sizes of the last convolutions: one, or several odd ones side by side

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.heads or (len(self.heads) > 1 and not all(size % 2 for size in self.heads)):
            raise RecipeError(
                f"network {self.name!r}: heads={'/'.join(map(str, self.heads))}: name the size of one convolution, or "
                "odd sizes of several, so that their maps are equally large, as heads=1/3/5"
            )

    def build(self, inputs: Signals, outputs: Signals) -> nn.Module:
        """Make the network; its forward takes `[N, C, H, W]` and gives `[N, heads, h, w]`.

        Raises:
            RecipeError: these are not images, or they are too small for so many layers.
        """
        least = {f"layers={count}": 3 << count for count in range(1, self.layers + 1)}
        channels = _channels(self, inputs, outputs, least, f"layers={self.layers}")
        return _patches(self, channels, heads=self.heads)

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        return network_traits("discriminator", "logits", "layers", norm=self.norm, spectral=self.spectral)


@register("network", "multiscale-discriminator")
@dataclass(frozen=True)
class MultiscaleDiscriminator(Part):
    """Discriminators of patches that see the image in several sizes: as it is, at half its size, and so on.

    pix2pixHD, Wang et al. 2018, section 3.2: `scales` PatchGANs of weights of their own, on an image that is halved by
    means of 3x3 pixels, of those inside at the border. What each says of its patches is averaged; the objective is
    added up over scales. The authors' code pads every convolution by 2; with `padding` 1 one scale is a PatchGAN.
    """

    channels: Count = 64  # channels of the first stage
    layers: Count = 3  # stages that halve the map, on each scale
    scales: Count = 2  # sizes in which the image is seen
    norm: Norm = "instance"  # of all stages but the first
    spectral: bool = False  # true: divide every weight by its largest singular value
    padding: Annotated[int, Range(1, 2)] = 2  # of the convolutions; 1: as in patch-discriminator

    def build(self, inputs: Signals, outputs: Signals) -> nn.Module:
        """Make the network; its forward takes `[N, C, H, W]` and gives a logit for each scale, `[N, scales]`.

        Raises:
            RecipeError: these are no images, or smaller than the patches leave anything of on the smallest scale.
        """
        smallest = 4 if self.padding > 1 else 3 << self.layers
        least = {f"scales={count}": smallest << (count - 1) for count in range(1, self.scales + 1)}
        channels = _channels(self, inputs, outputs, least, f"scales={self.scales}")
        return _Scales(_patches(self, channels, self.padding) for _ in range(self.scales))

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        return network_traits("discriminator", "logits", "layers", norm=self.norm, spectral=self.spectral)


def _channels(part: Part, inputs: Signals, outputs: Signals, least: dict[str, int], told: str) -> int:
    """Channels of the images that a network takes.

    Args:
        part: the network.
        inputs: what it receives.
        outputs: what it gives.
        least: pixels of a side that it needs with each of some settings; its own come last.
        told: its own settings.

    Raises:
        RecipeError: these are no images, or smaller than the patches leave anything of.
    """
    space = Space.of(inputs, outputs)
    if not space.is_image:
        raise RecipeError(f"network {part.name!r} works on images, and these are {space}; use mlp-discriminator")
    side, needed = min(space.shape[1:]), [*least.values()][-1]
    if side < needed:
        fitting = [words for words, pixels in least.items() if side >= pixels]
        mend = f"give it {fitting[-1]}" if fitting else f"set size={needed}"
        raise RecipeError(
            f"network {part.name!r} with {told} needs sides of at least {needed} pixels, and these are {space}; {mend}"
        )
    return space.shape[0]


def _patches(
    part: PatchDiscriminator | MultiscaleDiscriminator, before: int, padding: int = 1, heads: Sequence[int] = (4,)
) -> _Patches:
    """Stages of a discriminator of patches that takes so many channels; `heads`: sizes of the last convolutions."""
    body: list[nn.Module] = []
    for stage, after in enumerate(widths(part.channels, part.layers + 1)):
        norm, stride = part.norm if stage else "none", 2 if stage < part.layers else 1
        body += [convolution(before, after, 4, stride, padding, bias=norm == "none", spectral=part.spectral)]
        body += [make_norm(norm, after, 2), nn.LeakyReLU(0.2, inplace=True)]
        before = after
    pads = [padding if size == 4 else (size - 1) // 2 for size in heads]
    last = [convolution(before, 1, size, 1, pad, spectral=part.spectral) for size, pad in zip(heads, pads, strict=True)]
    return _Patches(*body, last[0] if len(last) == 1 else _Heads(last))


class _Heads(nn.ModuleList):
    """Convolutions of one map, side by side."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps `[N, C, h, w]` to `[N, heads, h, w]`."""
        return torch.cat([head(x) for head in self], 1)


class _Patches(nn.Sequential):
    """Sequential layers."""

    def forward(self, input: Tensor, label: Tensor | None = None) -> Tensor:  # noqa: A002, ARG002  (torch's name)
        """Images `[N, C, H, W]` to logits `[N, heads, h, w]`."""
        return super().forward(input)

    def layers(self, x: Tensor, label: Tensor | None = None) -> list[list[Tensor]]:  # noqa: ARG002
        """What each stage makes of images `[N, C, H, W]`, and the logits, of its one member."""
        found = []
        for layer in self:
            x = layer(x)
            found += [x] if isinstance(layer, nn.LeakyReLU) else []
        return [[*found, x]]


class _Scales(nn.Module):
    """One discriminator of patches for each size of an image."""

    def __init__(self, members: Iterable[_Patches]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def layers(self, x: Tensor, label: Tensor | None = None) -> list[list[Tensor]]:  # noqa: ARG002
        """What the stages of each member make of images `[N, C, H, W]`, and its logits; the largest images first."""
        found: list[list[Tensor]] = []
        member: Any
        for member in self.members:
            x = halved(x) if found else x
            found += member.layers(x)
        return found

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Images `[N, C, H, W]` to logits `[N, scales]`; of one scale to its map."""
        return logits_of([stages[-1] for stages in self.layers(x)])


def halved(x: Tensor) -> Tensor:
    """Images `[N, C, H, W]` at half their size, rounded up: means of 3x3 pixels, of those inside at the border."""
    return avg_pool2d(x, 3, 2, 1, count_include_pad=False)
