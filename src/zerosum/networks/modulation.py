"""Convolutions whose weights are scaled by a style: weight modulation and demodulation of StyleGAN2.

Karras et al. 2020, section 2.2, eq. 1 and 3. For a sample with style scales s_i of its input maps, the weights are

    w'_oik  = s_i * w_oik                                        modulation
    w''_oik = w'_oik / sqrt(sum over i, k of w'_oik^2 + 1e-8)    demodulation

Separate weights per sample would need a grouped convolution with one group per sample. A convolution is linear, so
scaling its inputs by s_i and its outputs by the root above is the same arithmetic with one set of weights for the
batch: an ordinary convolution, fast on every device and twice differentiable.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu

from zerosum.networks.equalized import GAIN, SLOPE, EqualizedLinear
from zerosum.networks.precision import at_least_float32, no_autocast
from zerosum.networks.resampling import Blur

__all__ = ["ModulatedConv", "StyledConv"]


class ModulatedConv(nn.Module):
    """Convolution modulated by a style, without bias; `up` doubles the sides of the maps.

    An affine layer, whose scales begin around 1, makes the style s of this layer from w. Weights are equalized.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, style: int, *, up: bool = False, demodulate: bool = True
    ) -> None:
        super().__init__()
        self.affine = EqualizedLinear(style, inputs, start=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.scale = 1 / math.sqrt(inputs * kernel * kernel)
        self.demodulate, self.padding = demodulate, kernel // 2
        self.blur = Blur(padding=1, total=4) if up else None

    def forward(self, x: Tensor, w: Tensor, gain: float = 1.0) -> Tensor:
        """Maps `[N, inputs, H, W]` and styles `[N, style]` to `gain` times `[N, outputs, H, W]`, or 2H and 2W."""
        weight = self.weight * self.scale
        with no_autocast(w):
            s = self.affine(at_least_float32(w))
            root = (s.square() @ weight.square().sum((2, 3)).T + 1e-8).rsqrt() if self.demodulate else None
            s = s * gain
        x = self._convolve(x * s.to(x.dtype)[:, :, None, None], weight)
        return x if root is None else x * root.to(x.dtype)[:, :, None, None]

    def _convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        if self.blur is None:
            return conv2d(x, weight, padding=self.padding)
        return self.blur(conv_transpose2d(x, weight.transpose(0, 1), stride=2))


class Noise(nn.Module):
    """Noise for maps, one number per pixel, times a learned strength that starts at 0.

    Karras et al. 2019 (StyleGAN), section 2. Fresh in training; a fixed buffer in evaluation, so that a latent always
    gives the same image.
    """

    pattern: Tensor

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.zeros(1))
        self.register_buffer("pattern", torch.randn(size))

    def forward(self, count: int) -> Tensor:
        """`[count, 1, *size]` in training, `[1, 1, *size]` in evaluation."""
        if not self.training:
            return self.pattern[None, None] * self.strength
        return torch.randn_like(self.pattern.expand(count, 1, -1, -1)) * self.strength


class StyledConv(nn.Module):
    """One layer of the synthesis: modulated 3x3 convolution, noise, bias, and sqrt(2) * leaky ReLU of slope 0.2."""

    def __init__(
        self, inputs: int, outputs: int, style: int, size: tuple[int, int], *, up: bool = False, noise: bool = True
    ) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, outputs, 3, style, up=up)
        self.noise = Noise(size) if noise else None
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Maps `[N, inputs, H, W]` and styles `[N, style]` to `[N, outputs, *size]`."""
        x = self.conv(x, w, GAIN)  # the gain goes ahead of the activation, as in equalized layers
        if self.noise is not None:
            x = x + (GAIN * self.noise(len(x))).to(x.dtype)
        return leaky_relu(x + (GAIN * self.bias).to(x.dtype)[:, None, None], SLOPE)
