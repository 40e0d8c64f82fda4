"""Latents: the noise a generator starts from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zerosum.core.registry import Part, register
from zerosum.core.values import Count

__all__ = ["Normal", "Uniform"]


@register("latent", "normal")
@dataclass(frozen=True)
class Normal(Part):
    """Independent standard normal numbers, N(0, 1)."""

    size: Count = 100  # numbers in a latent

    def __call__(self, count: int, device: torch.device | str = "cpu") -> Tensor:
        """Draw `[count, size]` from torch's default generator of the device."""
        return torch.randn(count, self.size, device=device)


@register("latent", "uniform")
@dataclass(frozen=True)
class Uniform(Part):
    """Independent uniform numbers in [-1, 1), as DCGAN's paper draws them."""

    size: Count = 100  # numbers in a latent

    def __call__(self, count: int, device: torch.device | str = "cpu") -> Tensor:
        """Draw `[count, size]` from torch's default generator of the device."""
        return torch.rand(count, self.size, device=device) * 2 - 1
