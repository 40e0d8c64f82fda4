"""Margins that the discriminator keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import relu

from zerosum.core.registry import Part, register
from zerosum.objectives.logits import REFUSES_AUTOENCODER, ZERO_LEVEL


@register("objective", "hinge")
@dataclass(frozen=True)
class Hinge(Part):
    """The discriminator pushes real logits above 1 and fake ones below -1, and no further.

    Lim & Ye 2017, eq. 10; Miyato et al. 2018, eq. 16-17. Discriminator: E[max(0, 1 - s_r)] + E[max(0, 1 + s_f)];
    generator: -E[s_f]. Reward: s.
    """

    pairs: ClassVar[bool] = False
    clashes: ClassVar[dict[str, str]] = REFUSES_AUTOENCODER

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Sum of both mean margins that are not kept."""
        return relu(1 - real.float()).mean() + relu(1 + fake.float()).mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:  # noqa: ARG002  (`pairs` need it)
        """Minus the mean fake logit."""
        return -fake.float().mean()

    def reward(self, logit: Tensor) -> Tensor:
        """The logit itself."""
        return logit.float()

    def traits(self) -> frozenset[str]:
        """The sign of a logit says real or fake."""
        return ZERO_LEVEL
