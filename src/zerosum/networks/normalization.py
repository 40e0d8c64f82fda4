"""Norms: by name, per pixel, and with a scale and shift for each class."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zerosum.core.errors import RecipeError
from zerosum.networks.conditioning import required, rows
from zerosum.networks.precision import at_least_float32

_NEAR = 8  # preferred number of channels in a group of group norm


def make_norm(name: str, channels: int, dims: int, classes: int = 0) -> nn.Module:
    """Make a norm with a learned scale and shift, for vectors (`dims` 0) or maps (`dims` 2).

    "layer" is one mean and variance per sample (on maps GroupNorm with one group), "group" one per 8 channels or the
    nearest number that divides them, "instance" one per map, "batch" one per channel over the batch.
    With `classes` a batch or instance norm has a scale and shift for each of them. On several ranks the statistics of
    "batch" are those of a rank's own part of the batch, and the running ones those of rank 0.

    Raises:
        ValueError: unknown name, instance norm of vectors, which would leave nothing, or classes with another norm than
            "batch" or "instance".
    """
    match name, dims:
        case "batch", 0 | 2 if classes:
            return ConditionalBatchNorm(channels, classes, dims)
        case "none", _ if not classes:
            return nn.Identity()
        case "batch", 0:
            return nn.BatchNorm1d(channels)
        case "batch", 2:
            return nn.BatchNorm2d(channels)
        case "layer", 0 if not classes:
            return nn.LayerNorm(channels)
        case "layer", 2 if not classes:
            return nn.GroupNorm(1, channels)
        case "group", 0 | 2 if not classes:
            return nn.GroupNorm(_groups(channels), channels)
        case "instance", 2:
            return ConditionalInstanceNorm(channels, classes) if classes else nn.InstanceNorm2d(channels, affine=True)
    raise ValueError(f"there is no norm {name!r} with {dims} dimensions" + (" and classes" if classes else ""))


def conditional_classes(name: str, labels: str, norm: str, classes: int) -> int:
    """Number of classes that have their own scale and shift in each batch norm: all with labels=norm, else 0.

    Raises:
        RecipeError: labels=norm without batch norm.
    """
    if labels == "norm" and norm != "batch":
        why = "labels=norm gives every class a scale and shift of each batch norm, and there is none"
        raise RecipeError(f"network {name!r}: {why}; set norm=batch, or labels=concat")
    return classes if labels == "norm" else 0


def _groups(channels: int) -> int:
    """Number of groups whose size is as near to 8 as possible."""
    divisors = (groups for groups in range(1, channels + 1) if channels % groups == 0)
    return min(divisors, key=lambda groups: abs(channels // groups - _NEAR))


class ConditionalNorm(nn.Module):
    """A norm with a learned scale and shift for each class; scales begin at 1 and shifts at 0.

    Args:
        norm: has no scale and shift of its own.
        channels: of what it normalises.
        classes: how many.
    """

    def __init__(self, norm: nn.Module, channels: int, classes: int) -> None:
        super().__init__()
        self.classes, self.norm = classes, norm
        self.weight = nn.Parameter(torch.ones(classes, channels))
        self.bias = nn.Parameter(torch.zeros(classes, channels))

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Normalise `[N, C]` or `[N, C, H, W]`, then scale and shift by the class `[N]` of each sample."""
        label = required(label, self.classes)
        x = self.norm(x)
        scale, shift = (
            rows(table, label).reshape(*x.shape[:2], *[1] * (x.ndim - 2)) for table in (self.weight, self.bias)
        )
        return torch.addcmul(shift.to(x.dtype), x, scale.to(x.dtype))


class ConditionalBatchNorm(ConditionalNorm):
    """Batch norm with a scale and shift for each class (de Vries et al. 2017).

    The statistics are those of the whole batch, whatever its classes.
    """

    def __init__(self, channels: int, classes: int, dims: int = 2) -> None:
        norm = nn.BatchNorm2d if dims == 2 else nn.BatchNorm1d
        super().__init__(norm(channels, affine=False), channels, classes)


class ConditionalInstanceNorm(ConditionalNorm):
    """Instance norm with a scale and shift for each class (Dumoulin, Shlens & Kudlur 2017)."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(nn.InstanceNorm2d(channels), channels, classes)


class PixelNorm(nn.Module):
    """Scales each pixel's channels to length sqrt(C): x / sqrt(mean(x^2) + 1e-8) (Karras et al. 2018, section 4.2)."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `[N, C, ...]` over its channels, in float32."""
        x = at_least_float32(x)
        return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()
