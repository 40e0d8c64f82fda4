"""Pieces that several networks share: norms by name, dropout, maps of one pixel, class conditioning, traits."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from zerosum.core.errors import RecipeError
from zerosum.core.space import Space

_NEAR = 8  # channels that a group of a group norm aims at


def make_norm(name: str, channels: int, dims: int) -> nn.Module:
    """Make a norm with a learned scale and shift, for vectors (`dims` 0) or maps (`dims` 2).

    "layer" is one mean and variance a sample (on maps GroupNorm with one group), "group" one for every 8 channels or
    the nearest number that divides them, "instance" one for every map, "batch" one for every channel over the batch.

    Raises:
        ValueError: unknown name, or an instance norm of vectors, which would leave nothing.
    """
    match name, dims:
        case "none", _:
            return nn.Identity()
        case "batch", 0:
            return nn.BatchNorm1d(channels)
        case "batch", 2:
            return nn.BatchNorm2d(channels)
        case "layer", 0:
            return nn.LayerNorm(channels)
        case "layer", 2:
            return nn.GroupNorm(1, channels)
        case "group", 0 | 2:
            return nn.GroupNorm(_groups(channels), channels)
        case "instance", 2:
            return nn.InstanceNorm2d(channels, affine=True)
    raise ValueError(f"there is no norm {name!r} with {dims} dimensions")


def _groups(channels: int) -> int:
    """Divide channels into groups as near to 8 as they come."""
    divisors = (groups for groups in range(1, channels + 1) if channels % groups == 0)
    return min(divisors, key=lambda groups: abs(channels // groups - _NEAR))


class Dropout(nn.Module):
    """Dropout (Srivastava et al. 2014) from 16 random bits a unit, so the share is exact to 1/65536.

    PyTorch's own draws a double for each unit, which takes long on a CPU; this takes about a third of its time.
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
        kept = (bits >= self.dropped - 32_768).to(x.dtype)
        return x * kept.mul_(65_536 / (65_536 - self.dropped))

    def extra_repr(self) -> str:
        """Share that is dropped."""
        return f"{self.dropped / 65_536:g}"


class FromPixel(nn.ConvTranspose2d):
    """Transposed convolution of maps of one pixel, as the matrix product it is: faster on a CPU."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:  # noqa: A002  (torch's name)
        """Maps `[N, in, 1, 1]` to `[N, out, h, w]`, the size of the kernel, channels last."""
        assert output_size is None
        weight = self.weight.permute(0, 2, 3, 1)
        x = (input.flatten(1) @ weight.flatten(1)).unflatten(1, weight.shape[1:]).permute(0, 3, 1, 2)
        return x if self.bias is None else x + self.bias[:, None, None]


class ToPixel(nn.Conv2d):
    """Convolution whose kernel covers the whole map, as the matrix product it is: faster on a CPU."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (torch's name)
        """Maps `[N, in, h, w]` of the kernel's size to `[N, out, 1, 1]`."""
        flat = input.permute(0, 2, 3, 1).flatten(1), self.weight.permute(0, 2, 3, 1).flatten(1)
        return nn.functional.linear(*flat, self.bias)[:, :, None, None]


def network_traits(*always: str, norm: str = "none", labels: bool = False) -> frozenset[str]:
    """Traits of a network, by its settings."""
    return frozenset(always) | ({"batchnorm"} if norm == "batch" else set()) | ({"labels"} if labels else set())


def conditioned_on(name: str, labels: bool, space: Space) -> int:
    """Width of the one-hot label that joins the input: the number of classes, or 0.

    Raises:
        RecipeError: labels are asked for and the data have none.
    """
    if not labels:
        return 0
    if not space.classes:
        raise RecipeError(
            f"network {name!r}: labels=true needs data with classes, and these have none; "
            "set labels=false, or sort the images into one sub-folder a class"
        )
    return space.classes


def latent_size(name: str, space: Space) -> int:
    """Size of the latent.

    Raises:
        RecipeError: the space has none.
    """
    if not space.latent:
        raise RecipeError(f"network {name!r} needs a latent; set latent=normal:size=100")
    return space.latent


def with_label(x: Tensor, label: Tensor | None, classes: int) -> Tensor:
    """Join the one-hot label `[N]` to x as further channels, `[N, C + K, ...]`; without classes x as it is.

    Mirza & Osindero 2014, section 3.2; on maps every class is one constant map.

    Raises:
        ValueError: the network has classes and no label came.
    """
    if not classes:
        return x
    if label is None:
        raise ValueError(f"this network is conditional: call it with the classes, a label [N] of 0 to {classes - 1}")
    code = one_hot(label.long(), classes).to(x.dtype)
    return torch.cat([x, code.reshape(*code.shape, *[1] * (x.ndim - 2)).expand(-1, -1, *x.shape[2:])], 1)
