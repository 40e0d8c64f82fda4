"""Relativistic averages: each sample against the mean of the other kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from zerosum.core.registry import Part, register
from zerosum.objectives.logits import REFUSES_AUTOENCODER
from zerosum.objectives.margins import Loss, cost


@register("objective", "relativistic-average")
@dataclass(frozen=True)
class RelativisticAverage(Part):
    """Every sample is judged against the average logit of the other kind.

    RaGAN, Jolicoeur-Martineau 2019. Discriminator: E[f(s_r - E[s_f])] + E[f(E[s_r] - s_f)]; generator: the same with
    real and fake exchanged, so it needs the real logits again; f(t) is sp(-t), max(0, 1 - t) or (t - 1)^2 (RaSGAN,
    RaHingeGAN, RaLSGAN). Reward: s; only differences mean something, there is no zero level.
    On several ranks the averages are those of a rank's own part of the batch.

    Raises:
        ValueError: the generator's turn has no real logits.
    """

    pairs: ClassVar[bool] = True
    clashes: ClassVar[dict[str, str]] = REFUSES_AUTOENCODER
    loss: Loss = "softplus"  # f: what a margin between a logit and the other kind's average costs

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Cost of how much more real each real sample looks than fakes do, and each fake than real samples do."""
        real, fake = real.float(), fake.float()
        return cost(real - fake.mean(), self.loss) + cost(real.mean() - fake, self.loss)

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """The discriminator's loss with the two kinds exchanged."""
        if real is None:
            raise ValueError(
                "objective 'relativistic-average' compares with real samples: call generator(fake, real) with the real "
                "logits"
            )
        return self.discriminator(fake, real)

    def reward(self, logit: Tensor) -> Tensor:
        """The logit itself."""
        return logit.float()
