"""Networks of BEGAN: the discriminator is an auto-encoder, the generator has the shape of its decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from torch import Tensor, nn

from zerosum.core.registry import Part, register
from zerosum.core.signals import Signals
from zerosum.core.values import Count, Range
from zerosum.networks.layers import FlatMaps, network_traits
from zerosum.networks.precision import at_least_float32
from zerosum.networks.sizes import latent_size, plan
from zerosum.networks.space import Space
from zerosum.networks.stack import StackedGenerator

__all__ = ["BEGANDiscriminator", "BEGANGenerator"]


def _plan(name: str, space: Space) -> tuple[int, tuple[int, int]]:
    """Halvings from the image to its base, and the base, whose smaller side is 5 to 8 pixels; 8x8 in the paper."""
    halvings, (height, width) = plan(name, space)
    return (halvings - 1, (2 * height, 2 * width)) if min(height, width) == 4 else (halvings, (height, width))


def _convolution(before: int, after: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, stride, 1), nn.ELU(inplace=True)]


def _decoder(hidden: int, n: int, halvings: int, base: tuple[int, int], colours: int) -> list[nn.Module]:
    """Vectors to images: a linear layer, then two convolutions at each size, all of n channels."""
    body: list[nn.Module] = [nn.Linear(hidden, n * base[0] * base[1]), nn.Unflatten(1, (n, *base))]
    for stage in range(halvings + 1):
        body += [nn.Upsample(scale_factor=2)] if stage else []
        body += [*_convolution(n, n), *_convolution(n, n)]
    return [*body, nn.Conv2d(n, colours, 3, 1, 1)]


def _encoder(hidden: int, n: int, halvings: int, base: tuple[int, int], colours: int) -> list[nn.Module]:
    """Images to vectors: two convolutions at each size, of n, 2n, 3n ... channels, one of stride 2 between sizes."""
    body, before = _convolution(colours, n), n
    for stage in range(halvings + 1):
        body += _convolution(before, before, stride=2) if stage else []
        after = n * (stage + 1)
        body += [*_convolution(before, after), *_convolution(after, after)]
        before = after
    return [*body, FlatMaps(), nn.Linear(before * base[0] * base[1], hidden)]


class AutoEncoder(nn.Module):
    """Discriminator whose logit is minus the reconstruction error of a sample.

    Args:
        encoder: images `[N, C, H, W]` to codes `[N, hidden]`.
        decoder: codes to images, not limited to [-1, 1].
        power: of the absolute difference of a value.
    """

    def __init__(self, encoder: list[nn.Module], decoder: list[nn.Module], power: int) -> None:
        super().__init__()
        self.encoder, self.decoder, self.power = nn.Sequential(*encoder), nn.Sequential(*decoder), power

    def encode(self, x: Tensor) -> Tensor:
        """Images `[N, C, H, W]` to codes `[N, hidden]`."""
        return self.encoder(x)

    def reconstruct(self, x: Tensor) -> Tensor:
        """Images `[N, C, H, W]` to their reconstructions, of the same shape."""
        return at_least_float32(self.decoder(self.encode(x)))

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:  # noqa: ARG002  (an auto-encoder sees images)
        """Images `[N, C, H, W]` to minus the mean over their values of |v - D(v)|^power, `[N]`."""
        return -(at_least_float32(x) - self.reconstruct(x)).abs().pow(self.power).flatten(1).mean(1)


@register("network", "began-generator")
@dataclass(frozen=True)
class BEGANGenerator(Part):
    """Convolutional generator of constant width: a linear layer to 5 to 8 pixels, nearest up-sampling, ELU, no norm.

    BEGAN, Berthelot, Schumm & Metz 2017, section 3.5 and figure 1: the decoder of the discriminator, with its own
    weights; two 3x3 convolutions at each size. The paper names no last activation; here it is tanh, so images stay in
    [-1, 1]. For 64x64 colour images and latents of 64: 563,395 parameters.
    """

    channels: Count = 64  # n, channels of every layer; 64 or 128 in the paper

    def build(self, inputs: Signals, outputs: Signals) -> nn.Module:
        """Make the network; its forward takes `[N, latent]` and gives `[N, C, H, W]`."""
        space = Space.of(inputs, outputs)
        halvings, base = _plan(self.name, space)
        return StackedGenerator(_decoder(latent_size(self.name, space), self.channels, halvings, base, space.shape[0]))

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        return network_traits("generator")


@register("network", "began-discriminator")
@dataclass(frozen=True)
class BEGANDiscriminator(Part):
    """Auto-encoder whose logit is minus its reconstruction error: samples that it reconstructs well count as real.

    BEGAN, Berthelot, Schumm & Metz 2017, eq. 1, section 3.5 and figure 1: L(v) = |v - D(v)|^eta, a mean over values.
    3x3 convolutions and ELU, no norm; the encoder has n, 2n, 3n ... channels from size to size and halves by strided
    convolutions, the decoder has n throughout and doubles by repetition; code and image are linear in what precedes
    them. EBGAN (Zhao, Mathieu & LeCun 2017) takes squares: power=2. For 64x64 colour images: 4,011,651 parameters.
    """

    channels: Count = 64  # n; 64 or 128 in the paper
    hidden: Count = 64  # numbers in the code between encoder and decoder
    power: Annotated[int, Range(1, 2)] = 1  # eta: 1 for absolute differences of values, 2 for squares

    def build(self, inputs: Signals, outputs: Signals) -> AutoEncoder:
        """Make the network; its forward takes `[N, C, H, W]` and gives `[N]`."""
        space = Space.of(inputs, outputs)
        halvings, base = _plan(self.name, space)
        shape = self.hidden, self.channels, halvings, base, space.shape[0]
        return AutoEncoder(_encoder(*shape), _decoder(*shape), self.power)

    def traits(self) -> frozenset[str]:
        """What the network brings; not `logits`."""
        return network_traits("discriminator", "autoencoder")
