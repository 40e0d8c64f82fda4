"""Fully connected networks: for points, and for small images as in the first GANs."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Annotated, Literal

from torch import nn

from zerosum.core.registry import Part, register
from zerosum.core.signals import Signals
from zerosum.core.values import Count, Natural, Range
from zerosum.networks.conditioning import DiscriminatorLabels, GeneratorLabels, JoinLabel, conditioned_on
from zerosum.networks.discriminator import Discriminator, Head
from zerosum.networks.layers import Dropout, Maxout, network_traits
from zerosum.networks.minibatch import Minibatch, MinibatchDiscrimination, MinibatchStddev
from zerosum.networks.normalization import conditional_classes, make_norm
from zerosum.networks.sizes import latent_size
from zerosum.networks.space import Space
from zerosum.networks.spectral import linear
from zerosum.networks.stack import StackedDiscriminator, StackedGenerator

__all__ = ["MLPDiscriminator", "MLPGenerator"]

Activation = Literal["leaky-relu", "relu", "tanh"]
DiscriminatorActivation = Literal["leaky-relu", "relu", "tanh", "maxout"]
VectorNorm = Literal["none", "batch", "layer"]
Share = Annotated[float, Range(0, 0.99)]
_PIECES = 5  # of maxout, as in PacGAN's discriminators


def _activation(name: str) -> nn.Module:
    match name:
        case "relu":
            return nn.ReLU()
        case "tanh":
            return nn.Tanh()
        case "maxout":
            return Maxout(_PIECES)
    return nn.LeakyReLU(0.2)


def hidden(
    sizes: list[int], activation: str, norm: str = "none", dropout: float = 0, classes: int = 0, spectral: bool = False
) -> list[nn.Module]:
    """Hidden layers from sizes[0] units to sizes[-1]: linear, norm, activation, dropout; no bias before a norm."""
    body: list[nn.Module] = []
    pieces = _PIECES if activation == "maxout" else 1
    for before, after in itertools.pairwise(sizes):
        body += [linear(before, pieces * after, bias=norm == "none", spectral=spectral)]
        body += [make_norm(norm, pieces * after, 0, classes)] if norm != "none" else []
        body += [_activation(activation)]
        body += [Dropout(dropout)] if dropout else []
    return body


def join_flat(labels: str, classes: int, space: Space) -> JoinLabel:
    """Join the class to a flattened sample; an embedding has one number per pixel of an image or value of a point."""
    return JoinLabel(labels, classes, (math.prod(space.shape[1:]) if space.is_image else space.values,))


@register("network", "mlp-generator")
@dataclass(frozen=True)
class MLPGenerator(Part):
    """Fully connected generator: widening layers, tanh at the end for images.

    Goodfellow et al. 2014; labels=concat joins the one-hot class to the latent (Mirza & Osindero 2014), embed a learned
    vector as wide as the latent, norm gives every class a scale and shift of each batch norm. For 28x28 images and
    latents of 100: 1,486,352 parameters; with widths 128/256/512/1024 1,506,448.
    """

    widths: tuple[Count, ...] = (256, 512, 1024)  # units of each hidden layer, from the latent on
    activation: Activation = "leaky-relu"  # of hidden layers; leaky-relu has slope 0.2
    norm: VectorNorm = "none"  # of hidden layers, before the activation
    labels: GeneratorLabels = "none"  # how the class enters; norm needs norm=batch

    def build(self, inputs: Signals, outputs: Signals) -> nn.Module:
        """Make the network; its forward takes `[N, latent]` and gives `[N, *shape]`."""
        space = Space.of(inputs, outputs)
        classes, latent = conditioned_on(self.name, self.labels, space), latent_size(self.name, space)
        join = JoinLabel(self.labels, classes, (latent,))
        sizes = [latent + join.width, *self.widths]
        conditional = conditional_classes(self.name, self.labels, self._norm(), classes)
        body = hidden(sizes, self.activation, self.norm, classes=conditional)
        last = nn.Linear(sizes[-1], space.values), nn.Unflatten(1, space.shape)
        return StackedGenerator([join, *body, *last])

    def _norm(self) -> str:
        return self.norm if self.widths else "none"

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        return network_traits("generator", norm=self._norm(), labels=self.labels)


@register("network", "mlp-discriminator")
@dataclass(frozen=True)
class MLPDiscriminator(Part):
    """Fully connected discriminator: narrowing layers with dropout, one logit.

    Goodfellow et al. 2014; labels=concat joins the one-hot class to the sample (Mirza & Osindero 2014), embed a learned
    map, projection is Miyato & Koyama 2018, classifier the second head of Odena et al. 2017. Maxout takes the largest
    of 5 units (Goodfellow et al. 2013), as in PacGAN, Lin et al. 2018. For 28x28 images: 1,460,225 parameters; with
    widths 512/256/128/64 574,465.
    """

    widths: tuple[Count, ...] = (1024, 512, 256)  # units of each hidden layer, from the sample on
    activation: DiscriminatorActivation = "leaky-relu"  # of hidden layers; leaky-relu has slope 0.2
    dropout: Share = 0.3  # share of hidden units dropped in each training pass; off in evaluation
    labels: DiscriminatorLabels = "none"  # how the class enters, or classifier: it is predicted
    codes: Natural = 0  # numbers of the latent code that a further head recovers
    spectral: bool = False  # true: divide every weight by its largest singular value
    minibatch: Minibatch = "none"  # statistics of the other samples that the last layer receives
    kernels: Count = 100  # features that minibatch=discrimination adds

    def build(self, inputs: Signals, outputs: Signals) -> Discriminator:
        """Make the network; its forward takes `[N, *shape]` and gives `[N]`."""
        space = Space.of(inputs, outputs)
        classes, spectral = conditioned_on(self.name, self.labels, space), self.spectral
        join = join_flat(self.labels, classes, space)
        sizes = [space.values + join.width, *self.widths]
        body = [nn.Flatten(), join, *hidden(sizes, self.activation, dropout=self.dropout, spectral=spectral)]
        features = sizes[-1]
        if self.minibatch == "stddev":
            body, features = [*body, MinibatchStddev()], features + 1
        elif self.minibatch == "discrimination":
            body += [MinibatchDiscrimination(features, self.kernels, spectral=spectral)]
            features += self.kernels
        head = Head(features, labels=self.labels, classes=classes, codes=self.codes, spectral=spectral)
        return StackedDiscriminator(body, head)

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        return network_traits(
            "discriminator",
            "logits",
            "features",
            labels=self.labels,
            codes=self.codes,
            minibatch=self.minibatch,
            dropout=self.dropout if self.widths else 0,
            spectral=self.spectral,
        )
