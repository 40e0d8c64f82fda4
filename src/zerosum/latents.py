"""Latents: the noise a generator starts from.

A latent is called as `latent(count, device)` and draws `[count, size]` from torch's default generator of the device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from zerosum.core.errors import RecipeError
from zerosum.core.registry import Part, register
from zerosum.core.slots import Described
from zerosum.core.values import Count, Natural, Positive

__all__ = ["InfoGAN", "Normal", "Truncated", "Uniform"]


class Latent(Described, Protocol):
    """Where latents come from."""

    @property
    def size(self) -> int:
        """Numbers in a latent."""
        ...

    def __call__(self, count: int, device: torch.device | str = "cpu", /) -> Tensor:
        """Draw `[count, size]` from torch's default generator of the device."""
        ...


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


@register("latent", "truncated")
@dataclass(frozen=True)
class Truncated(Part):
    """Standard normal numbers, each drawn again until it lies in [-threshold, threshold].

    BigGAN's truncation trick, Brock et al. 2019, section 3.1: a low threshold trades variety for quality. Drawn by the
    inverse of the distribution function, which gives the same numbers as resampling does, without its loop.
    """

    size: Count = 100  # numbers in a latent
    threshold: Positive = 2.0  # largest magnitude of a number, in standard deviations

    def __call__(self, count: int, device: torch.device | str = "cpu") -> Tensor:
        """Draw `[count, size]` from torch's default generator of the device."""
        share = math.erf(self.threshold / math.sqrt(2))  # of a normal distribution that lies within the threshold
        uniform = (torch.rand(count, self.size, device=device) * 2 - 1) * share
        # where the share rounds to 1, the inverse reaches infinity
        return (uniform.erfinv() * math.sqrt(2)).clamp(-self.threshold, self.threshold)


@register("latent", "infogan")
@dataclass(frozen=True)
class InfoGAN(Part):
    """Noise, and a code that the image should encode: N(0, 1) numbers, a one-hot category, uniform numbers in [-1, 1).

    Chen et al. 2016, section 7 (62 noise numbers for MNIST, as here). The code is the end of the latent, where the
    regularizer `mutual-information` expects it.

    Raises:
        RecipeError: all three sizes are 0.
    """

    noise: Natural = 62  # normal numbers that are not part of the code
    categories: Natural = 10  # equally likely values of the categorical code; 0 for none
    continuous: Natural = 2  # uniform numbers of the continuous code

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.size:
            raise RecipeError("latent 'infogan': noise, categories and continuous are all 0; set one of them")

    @property
    def size(self) -> int:
        """Numbers in a latent."""
        return self.noise + self.categories + self.continuous

    def traits(self) -> frozenset[str]:
        """The code that a regularizer may recover."""
        return frozenset({f"code of {self.categories} categories and {self.continuous} numbers"})

    def __call__(self, count: int, device: torch.device | str = "cpu") -> Tensor:
        """Draw `[count, size]` from torch's default generator of the device: noise, category, continuous."""
        columns = [torch.randn(count, self.noise, device=device)]
        if self.categories:
            category = torch.randint(self.categories, (count, 1), device=device)
            columns.append(torch.zeros(count, self.categories, device=device).scatter_(1, category, 1))
        columns.append(torch.rand(count, self.continuous, device=device) * 2 - 1)
        return torch.cat(columns, dim=1)
