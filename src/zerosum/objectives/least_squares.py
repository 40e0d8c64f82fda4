"""Least squares instead of cross-entropy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from zerosum.core.errors import RecipeError
from zerosum.core.registry import Part, register
from zerosum.objectives.logits import REFUSES_AUTOENCODER, ZERO_LEVEL


@register("objective", "least-squares")
@dataclass(frozen=True)
class LeastSquares(Part):
    """Squared distance of logits to coded targets; (1, 0, 1) is the practical coding, (1, -1, 0) Pearson's chi-squared.

    LSGAN, Mao et al. 2017, eq. 2 and 9. Discriminator: E[(s_r - b)^2]/2 + E[(s_f - a)^2]/2;
    generator: E[(s_f - c)^2]/2. Reward: (s - a)/(b - a), at the optimum p/(p + q): linear, where
    -(s - c)^2 would fall above c.

    Raises:
        RecipeError: `real` or `goal` is not above `fake`.
    """

    pairs: ClassVar[bool] = False
    clashes: ClassVar[dict[str, str]] = REFUSES_AUTOENCODER
    real: float = 1.0  # b: target of real logits
    fake: float = 0.0  # a: target of fake logits in the discriminator's turn
    goal: float = 1.0  # c: target of fake logits in the generator's turn

    def __post_init__(self) -> None:
        super().__post_init__()
        low = [name for name in ("real", "goal") if getattr(self, name) <= self.fake]
        if low:
            why = f"must be above fake={self.fake:g}, since a higher logit looks more real"
            raise RecipeError([f"objective 'least-squares': {name}={getattr(self, name):g} {why}" for name in low])

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Half the sum of both mean squares."""
        return ((real.float() - self.real).square().mean() + (fake.float() - self.fake).square().mean()) / 2

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:  # noqa: ARG002  (`pairs` need it)
        """Half the mean square to the goal."""
        return (fake.float() - self.goal).square().mean() / 2

    def reward(self, logit: Tensor) -> Tensor:
        """0 at the fake target, 1 at the real one, linear."""
        return (logit.float() - self.fake) / (self.real - self.fake)

    def traits(self) -> frozenset[str]:
        """The optimum (b p + a q)/(p + q) changes its sign where p = q only if the two targets are opposite."""
        return ZERO_LEVEL if self.real == -self.fake else frozenset()
