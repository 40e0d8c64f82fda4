"""Layers with an equalized learning rate: their weights begin as N(0, 1) and are scaled each time they are used.

Karras et al. 2018 (Progressive GAN), section 4.1. The scale 1 / sqrt(fan-in) makes outputs as large as inputs, as an
initialization would; kept outside the weights, it lets an optimizer that divides by gradient size (Adam) move all
layers at one relative speed. They are not `nn.Linear` or `nn.Conv2d`, so initializations leave them alone.

An `active` layer ends in sqrt(2) * leaky ReLU of slope 0.2, which keeps the mean square up to a factor of 1.04. As
c * lrelu(x) = lrelu(c * x) for c > 0, the factor is applied to weights and biases, which saves a pass over all maps.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, leaky_relu, linear

from zerosum.networks.resampling import Blur

__all__ = ["GAIN", "SLOPE", "EqualizedConv", "EqualizedLinear"]

SLOPE = 0.2  # of leaky ReLUs
GAIN = math.sqrt(2)  # of leaky ReLUs


class EqualizedLinear(nn.Module):
    """x W^T / sqrt(inputs) + b.

    Weight and bias are stored divided by `rate` and multiplied by it in use: Adam moves them `rate` times as fast.
    """

    def __init__(
        self, inputs: int, outputs: int, *, start: float = 0.0, rate: float = 1.0, active: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full([outputs], start / rate))
        self.active, self.rate = active, rate * (GAIN if active else 1)
        self.scale = self.rate / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, inputs]` to `[N, outputs]`."""
        y = linear(x, self.weight * self.scale, self.bias * self.rate)
        return leaky_relu(y, SLOPE) if self.active else y

    def extra_repr(self) -> str:
        """Sizes."""
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}, active={self.active}"


class EqualizedConv(nn.Module):
    """Convolution of maps with weights over sqrt(inputs * kernel^2); `down` smooths the maps first and halves them."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, bias: bool = True, down: bool = False, active: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.active, self.gain = active, GAIN if active else 1.0
        self.scale = self.gain / math.sqrt(inputs * kernel * kernel)
        self.stride, self.padding = (2, 0) if down else (1, kernel // 2)
        self.blur = Blur(padding=kernel // 2 + 1) if down else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """`[N, inputs, H, W]` to `[N, outputs, H, W]`, or with `down` half of both sides."""
        bias = None if self.bias is None else self.bias * self.gain
        y = conv2d(self.blur(x), self.weight * self.scale, bias, self.stride, self.padding)
        return leaky_relu(y, SLOPE) if self.active else y

    def extra_repr(self) -> str:
        """Sizes."""
        outputs, inputs, kernel, _ = self.weight.shape
        return f"{inputs}, {outputs}, kernel={kernel}, stride={self.stride}, active={self.active}"
