"""A penalty on weights: filters of a layer should not repeat each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.parametrize import is_parametrized

from zerosum.core.registry import Part, register
from zerosum.core.values import Count, NonNegative
from zerosum.critic import Exchange


@register("regularizer", "orthogonal")
@dataclass(frozen=True)
class Orthogonal(Part):
    """Keeps the filters of each layer orthogonal without changing their norms: strength * |W W^T * (1 - I)|^2.

    BigGAN, Brock et al. 2019, eq. 3, on the generator; a row of W holds all weights of one filter. With `norms` the
    diagonal counts too, strength * |W W^T - I|^2, as in Brock et al. 2017. The sum is over linear and convolutional
    layers; under spectral normalisation it takes the learned weights. Embeddings and biases are left alone.

    Raises:
        ValueError: the network has no such weights.
    """

    tracks: ClassVar[frozenset[str]] = frozenset()
    clashes: ClassVar[dict[str, str]] = {
        "equalized": (
            "it weighs the stored numbers of plain layers, and equalized layers store theirs at another size than they "
            "use them, in layers of their own; remove this regularizer, or choose a network without them"
        )
    }
    player: Literal["generator", "discriminator", "both"] = "generator"  # whose filters
    strength: NonNegative = 1e-4  # weight of the sum of squared products of filters
    norms: bool = False  # true: also draws the norm of every filter to 1
    every: Count = 1  # updates of the player from one penalty to the next; each then counts that many times

    def __call__(self, exchange: Exchange) -> Tensor:
        """Penalty of the weights of the player that moves, `[]`."""
        network: nn.Module = exchange.generator if exchange.player == "generator" else exchange.critic.network
        costs = [self._cost(filters) for filters in _filters(network)]
        if not costs:
            raise ValueError(f"orthogonal: the {exchange.player} has no linear or convolutional layers; leave it out")
        return self.strength * torch.stack(costs).sum()

    def _cost(self, filters: Tensor) -> Tensor:
        with torch.autocast(filters.device.type, enabled=False):
            products = filters @ filters.T
        square_norms = products.diagonal()
        off_diagonal = products.square().sum() - square_norms.square().sum()
        return off_diagonal + (square_norms - 1).square().sum() if self.norms else off_diagonal


def _filters(network: nn.Module) -> Iterator[Tensor]:
    """Weights of every layer, `[filters, weights of a filter]`, float32."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | _ConvNd):
            weight = _learnt(layer)
            turned = isinstance(layer, _ConvNd) and layer.transposed  # the second dimension counts its filters
            yield (weight.transpose(0, 1) if turned else weight).float().flatten(1)


def _learnt(layer: Any) -> Tensor:
    """The weight that the optimizer updates; reading a normalised one would advance its power iteration."""
    return layer.parametrizations.weight.original if is_parametrized(layer, "weight") else layer.weight
