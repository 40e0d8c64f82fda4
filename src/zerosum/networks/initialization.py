"""Initial weights. Each scheme acts in place on the tensors that a network already has.

It sets the weights of linear, convolution and transposed convolution layers, and their biases to 0; norms keep scale 1
and shift 0, except under "normal". Embeddings keep the N(0, 1) that they are created with, the scale of the latents
that they are joined with. Fan-in is the number of input channels (of a group) times the taps of the kernel, also for
transposed convolutions, whose weight is stored as [in, out, ...] instead of [out, in, ...].
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zerosum.core.registry import Part, register
from zerosum.core.values import Positive
from zerosum.networks.normalization import ConditionalNorm

__all__ = ["Default", "Glorot", "He", "LeCun", "Normal", "Orthogonal"]

_Transposed = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_Convolution = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *_Transposed)
_Norm = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
    nn.GroupNorm,
    nn.LayerNorm,
    ConditionalNorm,
)


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    """Layers whose weights are to be drawn; sets their biases to 0."""
    for layer in module.modules():
        if isinstance(layer, (nn.Linear, *_Convolution)):
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
            yield layer


def _fans(layer: nn.Module) -> tuple[int, int]:
    """Fan-in and fan-out."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    assert isinstance(layer, _Convolution)
    taps = math.prod(layer.kernel_size)
    return layer.in_channels // layer.groups * taps, layer.out_channels // layer.groups * taps


def _weight(layer: nn.Module) -> Tensor:
    assert isinstance(layer.weight, Tensor)
    return layer.weight


@register("initialization", "default")
@dataclass(frozen=True)
class Default(Part):
    """PyTorch's own: uniform within 1 / sqrt(fan-in)."""

    def apply(self, module: nn.Module) -> None:
        """Leave all weights as they were created."""


@register("initialization", "glorot")
@dataclass(frozen=True)
class Glorot(Part):
    """Uniform within sqrt(6 / (fan-in + fan-out)): for tanh and linear layers.

    Glorot & Bengio 2010, eq. 16.
    """

    def apply(self, module: nn.Module) -> None:
        """Redraw all weights in place."""
        for layer in _layers(module):
            bound = math.sqrt(6 / sum(_fans(layer)))
            nn.init.uniform_(_weight(layer), -bound, bound)


@register("initialization", "he")
@dataclass(frozen=True)
class He(Part):
    """Normal with standard deviation sqrt(2 / fan-in): for ReLU.

    He et al. 2015, eq. 10; twice LeCun's variance.
    """

    def apply(self, module: nn.Module) -> None:
        """Redraw all weights in place."""
        for layer in _layers(module):
            nn.init.normal_(_weight(layer), std=math.sqrt(2 / _fans(layer)[0]))


@register("initialization", "lecun")
@dataclass(frozen=True)
class LeCun(Part):
    """Normal with standard deviation sqrt(1 / fan-in).

    LeCun et al. 1998, eq. 16.
    """

    def apply(self, module: nn.Module) -> None:
        """Redraw all weights in place."""
        for layer in _layers(module):
            nn.init.normal_(_weight(layer), std=math.sqrt(1 / _fans(layer)[0]))


@register("initialization", "orthogonal")
@dataclass(frozen=True)
class Orthogonal(Part):
    """Weights as [out, fan-in] matrices with orthonormal rows or columns, whichever are fewer.

    Saxe et al. 2014, section 3.
    """

    gain: Positive = 1.0  # length of those rows or columns

    @torch.no_grad()
    def apply(self, module: nn.Module) -> None:
        """Redraw all weights in place."""
        for layer in _layers(module):
            weight = _weight(layer)
            rows = weight.transpose(0, 1) if isinstance(layer, _Transposed) else weight  # [out, in, ...]
            rows.copy_(nn.init.orthogonal_(torch.empty_like(rows, memory_format=torch.contiguous_format), self.gain))


@register("initialization", "normal")
@dataclass(frozen=True)
class Normal(Part):
    """Weights N(0, std), scales of norms N(1, std), biases 0.

    DCGAN, Radford et al. 2016, section 4; the norms as in its reference code.
    """

    std: Positive = 0.02  # standard deviation of weights

    def apply(self, module: nn.Module) -> None:
        """Redraw all weights in place."""
        for layer in _layers(module):
            nn.init.normal_(_weight(layer), std=self.std)
        for layer in module.modules():
            if isinstance(layer, _Norm) and layer.weight is not None and layer.bias is not None:
                nn.init.normal_(layer.weight, mean=1, std=self.std)
                nn.init.zeros_(layer.bias)
