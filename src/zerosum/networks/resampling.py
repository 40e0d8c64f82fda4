"""Maps of twice or half the size, and smoothed maps, by the filter [1, 3, 3, 1] of StyleGAN2 and R3GAN.

The filter is the row [1, 3, 3, 1] times the column [1, 3, 3, 1], divided by its sum; beyond the border lie zeros. Each
module filters every map by itself and gives the type of its input.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d

from zerosum.networks.precision import no_autocast

__all__ = ["Blur", "Down", "Up"]


class _Convolve(torch.autograd.Function):
    """Depthwise convolution with one fixed kernel `[4, 4]`, or the transposed one.

    Each is the gradient of the other, so every derivative is such a convolution again. PyTorch's own second derivative
    would also compute the unused one of the kernel, map by map.
    """

    @staticmethod
    def forward(x: Tensor, kernel: Tensor, stride: int, padding: int, transposed: bool) -> Tensor:
        maps, dtype = x.shape[1], x.dtype
        if transposed and stride == 2 and dtype == torch.bfloat16 and x.device.type == "cpu":
            x = x.float()  # oneDNN in bfloat16 takes 50 times as long
        taps = kernel.to(x.dtype).expand(maps, 1, 4, 4)
        with no_autocast(x):
            convolve = conv_transpose2d if transposed else conv2d
            return convolve(x, taps, stride=stride, padding=padding, groups=maps).to(dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004 (torch's signature)
        _, kernel, *ctx.settings = inputs
        ctx.save_for_backward(kernel)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        stride, padding, transposed = ctx.settings
        return _Convolve.apply(grad, *ctx.saved_tensors, stride, padding, not transposed), None, None, None, None


class _Filter(nn.Module):
    """The filter as a kernel `[4, 4]` of a given sum."""

    kernel: Tensor

    def __init__(self, total: float, stride: int, padding: int, *, transposed: bool = False) -> None:
        super().__init__()
        row = torch.tensor([1.0, 3.0, 3.0, 1.0])
        self.register_buffer("kernel", row.outer(row) * (total / 64), persistent=False)
        self.settings = stride, padding, transposed

    def forward(self, x: Tensor) -> Tensor:
        """Filter maps `[N, C, H, W]`."""
        return _Convolve.apply(x, self.kernel, *self.settings)


class Up(_Filter):
    """Maps of twice the size, `[N, C, 2H, 2W]`: zeros between the pixels, then the filter, which keeps the mean.

    That is bilinear interpolation, with each output pixel a quarter of an input pixel off the nearest input's centre.
    """

    def __init__(self) -> None:
        super().__init__(total=4, stride=2, padding=1, transposed=True)


class Down(_Filter):
    """Maps of half the size, `[N, C, H/2, W/2]`: the filter, then every other pixel; sides are even."""

    def __init__(self) -> None:
        super().__init__(total=1, stride=2, padding=1)


class Blur(_Filter):
    """Smoothed maps, `[N, C, H + 2 padding - 3, W + 2 padding - 3]`.

    Goes after a transposed convolution of stride 2 (`total` 4, for the zeros between its inputs), or before a
    convolution of stride 2.
    """

    def __init__(self, padding: int, total: float = 1) -> None:
        super().__init__(total, 1, padding)
