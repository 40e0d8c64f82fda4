"""Bounds on how far the generator's output moves per step of the latent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from zerosum.core.errors import RecipeError
from zerosum.core.registry import Part, register
from zerosum.core.values import Count, NonNegative, Positive
from zerosum.critic import Exchange
from zerosum.regularizers.passes import FROM_SAMPLES, STYLES, still


@register("regularizer", "jacobian-clamping")
@dataclass(frozen=True)
class JacobianClamping(Part):
    """Keeps Q = ||G(z) - G(z')|| / ||z - z'|| between two bounds: weight * E (max(0, Q - high)^2 + max(0, low - Q)^2).

    Jacobian clamping, Odena et al. 2018, algorithm 1: z' is z plus a step of length `epsilon` in a random direction.
    The norms are over all numbers of an image, so the bounds grow with its size. Between the bounds the penalty is 0.
    The discriminator receives nothing from it.

    Raises:
        RecipeError: `low` is above `high`.
    """

    player: ClassVar[str] = "generator"
    tracks: ClassVar[frozenset[str]] = frozenset()
    clashes: ClassVar[dict[str, str]] = FROM_SAMPLES | {"styles": STYLES}
    weight: NonNegative = 1.0  # weight of the squared excess
    low: NonNegative = 1.0  # smallest quotient that costs nothing
    high: Positive = 20.0  # largest quotient that costs nothing
    epsilon: Positive = 1.0  # length of the step from z to z'
    every: Count = 1  # generator updates from one penalty to the next; each then counts that many times

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low > self.high:
            raise RecipeError(f"regularizer {self.name!r}: low={self.low:g} is above high={self.high:g}; lower low")

    def __call__(self, exchange: Exchange) -> Tensor:
        """Penalty of an update, `[]`."""
        assert exchange.latent is not None
        step = torch.nn.functional.normalize(torch.randn_like(exchange.latent), dim=1) * self.epsilon
        with still(exchange.generator):
            moved = exchange.generator(exchange.latent + step, exchange.label)
        distance = torch.linalg.vector_norm((moved.float() - exchange.fake.x.float()).flatten(1), dim=1)
        quotient = distance / self.epsilon
        excess = (quotient - self.high).clamp_min(0).square() + (self.low - quotient).clamp_min(0).square()
        return self.weight * excess.mean()
