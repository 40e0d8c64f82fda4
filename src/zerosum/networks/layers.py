"""Pieces that several networks share: output activations, dropout, maps of one pixel, traits."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

Output = Literal["linear", "tanh", "tanh-inward"]  # output activation of a generator
INWARD = 0.01  # least slope of tanh-inward for gradients that lead back


def end(images: Tensor, output: Output) -> Tensor:
    """Apply the output activation to images of any values; they end within [-1, 1] unless it is linear.

    Far out the slope of tanh vanishes in float32, so a generator that gets there never comes back; tanh-inward has the
    same values, but passes a hundredth of a gradient that leads back (docs/log/r3gan-black-images.md).
    """
    if output == "linear":
        return images
    return _InwardTanh.apply(images) if output == "tanh-inward" and images.requires_grad else images.tanh()


class _InwardTanh(torch.autograd.Function):
    """The tanh, with a slope of at least INWARD for gradients whose descent leads towards 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = x.tanh()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        slope = 1 - y * y
        return grad * torch.where(grad * y > 0, slope.clamp(min=INWARD), slope)


class Dropout(nn.Module):
    """Dropout (Srivastava et al. 2014) from 16 random bits per unit, so the share is exact to 1/65536.

    PyTorch's own draws a double per unit, which is slow on a CPU; this takes about a third of its time.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.dropped = round(share * 65_536)

    def forward(self, x: Tensor) -> Tensor:
        """Zero each unit with the share's probability and scale the others; the identity in evaluation."""
        if not self.training:
            return x
        words = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device).random_(-(2**63), None)
        bits = words.view(torch.int16)[: x.numel()].view(x.shape)
        mask = (bits >= self.dropped - 32_768).to(x.dtype)
        return x * mask.mul_(65_536 / (65_536 - self.dropped))

    def extra_repr(self) -> str:
        """Share that is dropped."""
        return f"{self.dropped / 65_536:g}"


class FromPixel(nn.ConvTranspose2d):
    """Transposed convolution of maps of one pixel, as the matrix product it is: faster on a CPU."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:  # noqa: A002  (torch's name)
        """Vectors `[N, in]` to maps `[N, out, h, w]`, the size of the kernel, channels last."""
        assert output_size is None
        weight = self.weight.permute(0, 2, 3, 1)
        x = (input @ weight.flatten(1)).unflatten(1, weight.shape[1:]).permute(0, 3, 1, 2)
        return x if self.bias is None else x + self.bias[:, None, None]


class Maxout(nn.Module):
    """Largest of every `pieces` neighbouring units (Goodfellow et al. 2013)."""

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        """Units `[N, pieces * C]` to `[N, C]`."""
        return x.unflatten(1, (-1, self.pieces)).amax(2)


class FlatMaps(nn.Module):
    """Flattens maps in channels-last order: a view of maps in the memory format of convolutions."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps `[N, C, H, W]` to `[N, H * W * C]`."""
        return x.permute(0, 2, 3, 1).flatten(1)


def network_traits(
    *always: str,
    norm: str = "none",
    labels: str = "none",
    codes: int = 0,
    minibatch: str = "none",
    dropout: float = 0,
    spectral: bool = False,
) -> frozenset[str]:
    """Traits of a network, by its settings."""
    by_setting = {
        "batchnorm": norm == "batch",
        "labels": labels not in ("none", "classifier"),
        "blends": "generator" in always and labels in ("concat", "embed", "norm"),  # takes shares of classes
        "classifier": labels == "classifier",
        "codes": codes > 0,
        "minibatch": minibatch != "none",
        "dropout": dropout > 0,
        "spectral": spectral,
    }
    return frozenset(always) | {trait for trait, holds in by_setting.items() if holds}
