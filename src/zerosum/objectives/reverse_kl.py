"""The divergence that the logit itself measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from zerosum.core.registry import Part, register
from zerosum.objectives.cross_entropy import Probability, cross_entropy
from zerosum.objectives.logits import REFUSES_AUTOENCODER, ZERO_LEVEL


@register("objective", "reverse-kl")
@dataclass(frozen=True)
class ReverseKL(Part):
    """The usual discriminator, and a generator that raises its logit: at the best discriminator it lowers KL(q || p).

    Sønderby et al. 2017, section 3.1; VEEGAN's generator, Srivastava et al. 2017. Discriminator: E[sp(-s_r)] +
    E[sp(s_f)], whose best logit is log p / q; generator: -E[s_f]. It is the sum of the generators of `minimax` and
    `non-saturating`, and its gradient is 1 everywhere. Reward: s.
    """

    pairs: ClassVar[bool] = False
    clashes: ClassVar[dict[str, str]] = REFUSES_AUTOENCODER
    real_target: Probability = 1.0  # probability of "real" that the discriminator should give real samples; 0.9 smooths

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Binary cross-entropy of telling real from fake."""
        return cross_entropy(real, fake, self.real_target)

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:  # noqa: ARG002  (`pairs` need it)
        """Minus the mean logit of fakes."""
        return -fake.float().mean()

    def reward(self, logit: Tensor) -> Tensor:
        """The logit."""
        return logit.float()

    def traits(self) -> frozenset[str]:
        """The sign of a logit says real or fake."""
        return ZERO_LEVEL
