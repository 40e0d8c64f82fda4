"""The Dirac-GAN: one parameter per player, the smallest example that shows whether a way of training converges."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zerosum.core.errors import RecipeError
from zerosum.core.registry import Part, register
from zerosum.core.signals import Signals
from zerosum.networks.discriminator import Discriminator
from zerosum.networks.layers import network_traits
from zerosum.networks.space import Space

__all__ = ["DiracDiscriminator", "DiracGenerator"]


def _on_a_line(name: str, space: Space) -> None:
    """Require points of one dimension.

    Raises:
        RecipeError: the data are something else.
    """
    if space.shape != (1,):
        instead = f"mlp-{name.rpartition('-')[2]}"
        raise RecipeError(f"network {name!r} works on points of 1 dimension, and these are {space}; use {instead}")


class _Generator(nn.Module):
    def __init__(self, theta: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(theta))

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:  # noqa: ARG002  (all generators take it)
        """Latents `[N, latent]`, whatever they are, to theta, `[N, 1]`."""
        return self.theta.expand(len(x), 1)


class _Discriminator(Discriminator):
    def __init__(self, psi: float) -> None:
        super().__init__()
        self.psi = nn.Parameter(torch.tensor(psi))

    def features(self, x: Tensor, label: Tensor | None = None) -> Tensor:  # noqa: ARG002  (all discriminators take it)
        """Points `[N, 1]` as they are."""
        return x

    def logits(self, features: Tensor, label: Tensor | None = None) -> Tensor:  # noqa: ARG002  (as above)
        """Points `[N, 1]` to logits psi x, `[N]`."""
        return (self.psi * features).squeeze(1)


@register("network", "dirac-generator")
@dataclass(frozen=True)
class DiracGenerator(Part):
    """One number theta: every sample is the point theta.

    Dirac-GAN, Mescheder, Geiger & Nowozin 2018, definition 2.1. The data are the point 0. 1 parameter.
    """

    theta: float = 1.0  # initial value

    def build(self, inputs: Signals, outputs: Signals) -> nn.Module:
        """Make the network; its forward takes `[N, latent]` and gives `[N, 1]`."""
        space = Space.of(inputs, outputs)
        _on_a_line(self.name, space)
        return _Generator(self.theta)

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        return network_traits("generator")


@register("network", "dirac-discriminator")
@dataclass(frozen=True)
class DiracDiscriminator(Part):
    """One number psi: the logit of a point x is psi x.

    Dirac-GAN, Mescheder, Geiger & Nowozin 2018, definition 2.1. 1 parameter.
    """

    psi: float = 1.0  # initial value

    def build(self, inputs: Signals, outputs: Signals) -> Discriminator:
        """Make the network; its forward takes `[N, 1]` and gives `[N]`."""
        space = Space.of(inputs, outputs)
        _on_a_line(self.name, space)
        return _Discriminator(self.psi)

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        return network_traits("discriminator", "logits", "features")
