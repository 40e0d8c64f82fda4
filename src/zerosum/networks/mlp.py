"""Fully connected networks: for points, and for small images as in the first GANs."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Annotated, Literal

from torch import Tensor, nn

from zerosum.core.registry import Part, register
from zerosum.core.space import Space
from zerosum.core.values import Count, Range
from zerosum.networks.layers import Dropout, conditioned_on, latent_size, make_norm, network_traits, with_label

__all__ = ["MLPDiscriminator", "MLPGenerator"]

Activation = Literal["leaky-relu", "relu"]
Share = Annotated[float, Range(0, 0.99)]


def _activation(name: Activation) -> nn.Module:
    return nn.ReLU() if name == "relu" else nn.LeakyReLU(0.2)


def _hidden(sizes: list[int], activation: Activation, norm: str, dropout: float) -> list[nn.Module]:
    """Hidden layers: linear, norm, activation, dropout; a norm brings the bias with it."""
    body: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        body += [nn.Linear(before, after, bias=norm == "none")]
        body += [make_norm(norm, after, 0)] if norm != "none" else []
        body += [_activation(activation)]
        body += [Dropout(dropout)] if dropout else []
    return body


class _Generator(nn.Module):
    def __init__(self, body: list[nn.Module], shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.body, self.shape, self.classes = nn.Sequential(*body), shape, classes

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Latents `[N, latent]` to samples `[N, *shape]`; images in [-1, 1]."""
        x = self.body(with_label(x, label, self.classes)).unflatten(1, self.shape)
        return x.float().tanh() if len(self.shape) == 3 else x.float()


class _Discriminator(nn.Module):
    def __init__(self, body: list[nn.Module], classes: int) -> None:
        super().__init__()
        self.body, self.classes = nn.Sequential(*body), classes

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Samples `[N, *shape]` to logits `[N]`."""
        return self.body(with_label(x.flatten(1), label, self.classes)).squeeze(1)


@register("network", "mlp-generator")
@dataclass(frozen=True)
class MLPGenerator(Part):
    """Fully connected generator: widening layers, tanh at the end for images.

    Goodfellow et al. 2014; with `labels` the one-hot class joins the latent (Mirza & Osindero 2014). For 28x28 images
    and latents of 100: 1,486,352 parameters.
    """

    widths: tuple[Count, ...] = (256, 512, 1024)  # units of each hidden layer, from the latent on
    activation: Activation = "leaky-relu"  # of hidden layers; leaky-relu has slope 0.2
    norm: Literal["none", "batch", "layer"] = "none"  # of hidden layers, before the activation
    labels: bool = False  # true: also takes the class

    def build(self, space: Space) -> nn.Module:
        """Make the network; its forward takes `[N, latent]` and gives `[N, *shape]`."""
        classes = conditioned_on(self.name, self.labels, space)
        sizes = [latent_size(self.name, space) + classes, *self.widths]
        body = _hidden(sizes, self.activation, self.norm, dropout=0)
        return _Generator([*body, nn.Linear(sizes[-1], space.values)], space.shape, classes)

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        return network_traits("generator", norm=self.norm if self.widths else "none", labels=self.labels)


@register("network", "mlp-discriminator")
@dataclass(frozen=True)
class MLPDiscriminator(Part):
    """Fully connected discriminator: narrowing layers with dropout, one logit.

    Goodfellow et al. 2014; with `labels` the one-hot class joins the sample (Mirza & Osindero 2014). For 28x28 images:
    1,460,225 parameters.
    """

    widths: tuple[Count, ...] = (1024, 512, 256)  # units of each hidden layer, from the sample on
    activation: Activation = "leaky-relu"  # of hidden layers; leaky-relu has slope 0.2
    dropout: Share = 0.3  # share of hidden units switched off at each training pass; off in evaluation
    labels: bool = False  # true: also takes the class

    def build(self, space: Space) -> nn.Module:
        """Make the network; its forward takes `[N, *shape]` and gives `[N]`."""
        classes = conditioned_on(self.name, self.labels, space)
        sizes = [space.values + classes, *self.widths]
        body = _hidden(sizes, self.activation, "none", self.dropout)
        return _Discriminator([*body, nn.Linear(sizes[-1], 1)], classes)

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        return network_traits("discriminator", "logits", labels=self.labels)
