"""Networks for pairs of sample and latent: encoders, and discriminators of pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from zerosum.core.registry import Part, register
from zerosum.core.signals import Signals
from zerosum.core.values import Count
from zerosum.networks.conditioning import JoinLabel, conditioned_on
from zerosum.networks.dcgan import Norm, halve, widths
from zerosum.networks.discriminator import Discriminator, Head
from zerosum.networks.layers import FlatMaps, network_traits
from zerosum.networks.mlp import Activation, DiscriminatorActivation, Share, VectorNorm, hidden, join_flat
from zerosum.networks.precision import at_least_float32
from zerosum.networks.sizes import latent_size, plan
from zerosum.networks.space import Space
from zerosum.networks.stack import Stack

__all__ = ["DCGANEncoder", "JointDCGANDiscriminator", "JointMLPDiscriminator", "MLPEncoder"]

Labels = Literal["none", "concat"]
_NEEDS = {
    "joint game": "it judges a sample beside a latent, which only a game such as joint shows it; choose a recipe of "
    "that game, or set discriminator.network=mlp-discriminator or dcgan-discriminator"
}


class Encoder(nn.Module):
    """Layers from a sample to a latent."""

    def __init__(self, body: list[nn.Module]) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:  # noqa: ARG002  (called as all networks are)
        """Samples `[N, *shape]` to latents `[N, latent]`."""
        return at_least_float32(self.body(x))


class JointDiscriminator(Discriminator):
    """Discriminator of pairs of a sample and a latent.

    Args:
        look: samples `[N, *shape]` to vectors `[N, S]`.
        body: joined vectors and latents, `[N, S + latent]`, to features `[N, F]`.
        head: features to logits.
    """

    def __init__(self, look: list[nn.Module], body: list[nn.Module], head: Head) -> None:
        super().__init__()
        self.look, self.body, self.head = Stack(*look), nn.Sequential(*body), head

    def features(self, x: Tensor, label: Tensor | None = None, latent: Tensor | None = None) -> Tensor:
        """Samples `[N, *shape]` and latents `[N, latent]` to the input of the head, `[N, F]`.

        Raises:
            ValueError: the latents are missing.
        """
        if latent is None:
            raise ValueError("this discriminator judges pairs: call it with sample, label or None, and latent [N, K]")
        vectors = self.look(x, label)
        return self.body(torch.cat([vectors, latent.to(vectors.dtype)], 1))

    def forward(self, x: Tensor, label: Tensor | None = None, latent: Tensor | None = None) -> Tensor:
        """Samples `[N, *shape]` and latents `[N, latent]` to logits `[N]`."""
        return self.logits(self.features(x, label, latent), label)


@register("network", "mlp-encoder")
@dataclass(frozen=True)
class MLPEncoder(Part):
    """Fully connected encoder: a sample to a latent, for example VEEGAN's reconstructor (Srivastava et al. 2017)."""

    widths: tuple[Count, ...] = (1024, 512, 256)  # units of each hidden layer, from the sample on
    activation: Activation = "leaky-relu"  # of hidden layers; leaky-relu has slope 0.2
    norm: VectorNorm = "none"  # of hidden layers, before the activation

    def build(self, inputs: Signals, outputs: Signals) -> nn.Module:
        """Make the network; its forward takes `[N, *shape]` and gives `[N, latent]`."""
        space = Space.of(inputs, outputs)
        sizes = [space.values, *self.widths]
        last = nn.Linear(sizes[-1], latent_size(self.name, space))
        return Encoder([nn.Flatten(), *hidden(sizes, self.activation, self.norm), last])

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        return network_traits("encoder", norm=self.norm if self.widths else "none")


@register("network", "dcgan-encoder")
@dataclass(frozen=True)
class DCGANEncoder(Part):
    """Convolutional encoder: the stages of DCGAN's discriminator (Radford et al. 2016), then a linear map to a latent.

    As in the discriminator, the first stage has no norm, so with images of 8 to 14 pixels there is none.
    """

    channels: Count = 64  # channels of the first stage, the one at half the image's size
    norm: Norm = "batch"  # of all stages but the first, before the LeakyReLU of slope 0.2

    def build(self, inputs: Signals, outputs: Signals) -> nn.Module:
        """Make the network; its forward takes `[N, C, H, W]` and gives `[N, latent]`."""
        space = Space.of(inputs, outputs)
        halvings, (height, width) = plan(self.name, space)
        stages = widths(self.channels, halvings)
        last = nn.Linear(stages[-1] * height * width, latent_size(self.name, space))
        return Encoder([*halve(space.shape[0], stages, self.norm), FlatMaps(), last])

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        return network_traits("encoder", norm=self.norm)


@register("network", "joint-mlp-discriminator")
@dataclass(frozen=True)
class JointMLPDiscriminator(Part):
    """Fully connected discriminator of pairs of sample and latent, joined at the input.

    BiGAN, Donahue, Krähenbühl & Darrell 2017, section 3; VEEGAN, Srivastava et al. 2017.
    """

    needs: ClassVar[dict[str, str]] = _NEEDS
    widths: tuple[Count, ...] = (1024, 512, 256)  # units of each hidden layer, from the pair on
    activation: DiscriminatorActivation = "leaky-relu"  # of hidden layers; leaky-relu has slope 0.2
    dropout: Share = 0.0  # share of hidden units switched off at each training pass; off in evaluation
    labels: Labels = "none"  # concat: the one-hot class joins the sample
    spectral: bool = False  # true: divide every weight by its largest singular value

    def build(self, inputs: Signals, outputs: Signals) -> Discriminator:
        """Make the network; its forward takes `[N, *shape]`, labels and `[N, latent]`, and gives `[N]`."""
        space = Space.of(inputs, outputs)
        join = join_flat(self.labels, conditioned_on(self.name, self.labels, space), space)
        sizes = [space.values + join.width + latent_size(self.name, space), *self.widths]
        body = hidden(sizes, self.activation, dropout=self.dropout, spectral=self.spectral)
        return JointDiscriminator([nn.Flatten(), join], body, Head(sizes[-1], spectral=self.spectral))

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        dropout = self.dropout if self.widths else 0
        always = "discriminator", "logits", "features", "joint"
        return network_traits(*always, labels=self.labels, dropout=dropout, spectral=self.spectral)


@register("network", "joint-dcgan-discriminator")
@dataclass(frozen=True)
class JointDCGANDiscriminator(Part):
    """Discriminator of pairs of image and latent: the latent joins the last map of DCGAN's stages on the image.

    BiGAN, Donahue, Krähenbühl & Darrell 2017, section 3, on the stages of Radford et al. 2016; one hidden layer follows
    map and latent. As in DCGAN's, with images of 8 to 14 pixels there is no norm.
    """

    needs: ClassVar[dict[str, str]] = _NEEDS
    channels: Count = 64  # channels of the first stage, the one at half the image's size
    units: Count = 512  # units of the hidden layer after image and latent
    norm: Norm = "batch"  # of all stages but the first, before the LeakyReLU of slope 0.2
    labels: Labels = "none"  # concat: one constant map per class joins the image
    spectral: bool = False  # true: divide every weight by its largest singular value

    def build(self, inputs: Signals, outputs: Signals) -> Discriminator:
        """Make the network; its forward takes `[N, C, H, W]`, labels and `[N, latent]`, and gives `[N]`."""
        space = Space.of(inputs, outputs)
        halvings, (height, width) = plan(self.name, space)
        join = JoinLabel(self.labels, conditioned_on(self.name, self.labels, space), (1, *space.shape[1:]))
        stages = widths(self.channels, halvings)
        look = [join, *halve(space.shape[0] + join.width, stages, self.norm, spectral=self.spectral), FlatMaps()]
        sizes = [stages[-1] * height * width + latent_size(self.name, space), self.units]
        body = hidden(sizes, "leaky-relu", spectral=self.spectral)
        return JointDiscriminator(look, body, Head(self.units, spectral=self.spectral))

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        always = "discriminator", "logits", "features", "joint"
        return network_traits(*always, norm=self.norm, labels=self.labels, spectral=self.spectral)
