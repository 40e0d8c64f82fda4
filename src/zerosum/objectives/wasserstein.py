"""The critic's loss of the Wasserstein GANs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from zerosum.core.registry import Part, register
from zerosum.objectives.logits import REFUSES_AUTOENCODER


@register("objective", "wasserstein")
@dataclass(frozen=True)
class Wasserstein(Part):
    """Difference of mean logits: an earth mover's distance where the discriminator is kept 1-Lipschitz.

    WGAN, Arjovsky et al. 2017, eq. 2. Discriminator: E[s_f] - E[s_r]; generator: -E[s_f].
    Needs a weight clip, a gradient penalty or spectral normalisation beside it.
    Reward: s; only differences mean something, there is no zero level.
    """

    pairs: ClassVar[bool] = False
    clashes: ClassVar[dict[str, str]] = REFUSES_AUTOENCODER

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Minus the estimated distance."""
        return fake.float().mean() - real.float().mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:  # noqa: ARG002  (`pairs` need it)
        """Minus the mean fake logit."""
        return -fake.float().mean()

    def reward(self, logit: Tensor) -> Tensor:
        """The logit itself."""
        return logit.float()
