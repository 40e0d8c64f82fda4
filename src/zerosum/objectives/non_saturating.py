"""The loss that most GANs use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from zerosum.core.registry import Part, register
from zerosum.objectives.cross_entropy import Probability, cross_entropy
from zerosum.objectives.logits import REFUSES_AUTOENCODER, ZERO_LEVEL


@register("objective", "non-saturating")
@dataclass(frozen=True)
class NonSaturating(Part):
    """The usual GAN loss: the generator raises log D instead of lowering log(1 - D), so its gradient does not vanish.

    Goodfellow et al. 2014, section 3. Discriminator: E[sp(-s_r)] + E[sp(s_f)]; generator: E[sp(-s_f)].
    Smoothing (Salimans et al. 2016, section 3.4) is one-sided: it changes the real target of the discriminator only.
    Reward: log D = -sp(-s), below 0.
    """

    pairs: ClassVar[bool] = False
    clashes: ClassVar[dict[str, str]] = REFUSES_AUTOENCODER
    real_target: Probability = 1.0  # probability of "real" that the discriminator should give real samples; 0.9 smooths

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Binary cross-entropy of telling real from fake."""
        return cross_entropy(real, fake, self.real_target)

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:  # noqa: ARG002  (`pairs` need it)
        """-E[log D]."""
        return softplus(-fake.float()).mean()

    def reward(self, logit: Tensor) -> Tensor:
        """Log D, below 0."""
        return logsigmoid(logit.float())

    def traits(self) -> frozenset[str]:
        """The sign of a logit says real or fake."""
        return ZERO_LEVEL
