"""Sequential networks, some of whose layers take the class."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from zerosum.networks.conditioning import JoinLabel
from zerosum.networks.discriminator import Discriminator, Head
from zerosum.networks.normalization import ConditionalNorm
from zerosum.networks.precision import at_least_float32


class Stack(nn.Sequential):
    """Sequential layers; those of the kinds `conditional`, which take the class, receive it."""

    conditional: ClassVar[tuple[type[nn.Module], ...]] = (JoinLabel, ConditionalNorm)

    def forward(self, input: Tensor, label: Tensor | None = None) -> Tensor:  # noqa: A002  (torch's name)
        """Output of the last layer."""
        x = input
        for layer in self:
            x = layer(x, label) if isinstance(layer, self.conditional) else layer(x)
        return x


class StackedGenerator(nn.Module):
    """Sequential layers; images end in tanh."""

    def __init__(self, body: list[nn.Module]) -> None:
        super().__init__()
        self.body = Stack(*body)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Latents `[N, latent]` to samples `[N, *shape]`; images in [-1, 1]."""
        # bf16 has too few steps near -1 and 1: the discriminator would know fakes by them
        x = at_least_float32(self.body(x, label))
        return x.tanh() if x.ndim == 4 else x


class StackedDiscriminator(Discriminator):
    """Sequential layers, then the head."""

    def __init__(self, body: list[nn.Module], head: Head) -> None:
        super().__init__()
        self.body, self.head = Stack(*body), head

    def features(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Samples `[N, *shape]` to features `[N, F]`."""
        return self.body(x, label)
