"""Energies of an auto-encoder with a margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import relu

from zerosum.core.registry import Part, register
from zerosum.core.values import Positive
from zerosum.objectives.logits import NEEDS_AUTOENCODER, RECONSTRUCTION


@register("objective", "ebgan")
@dataclass(frozen=True)
class EBGAN(Part):
    """The discriminator reconstructs real images well and keeps the error of each fake above a margin.

    EBGAN, Zhao, Mathieu & LeCun 2017, eq. 1-2. With L = -logit, the error of a reconstruction: discriminator
    E[L(x)] + E[max(0, m - L(y))], generator E[L(y)]. The paper adds the regularizer `pulling-away`. Reward: -L.
    """

    pairs: ClassVar[bool] = False
    needs: ClassVar[dict[str, str]] = NEEDS_AUTOENCODER
    margin: Positive = 1.0  # m: error from which a fake is bad enough; between that of real images and that of noise

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Error of real images plus what each fake lacks to the margin."""
        return relu(self.margin + fake.float()).mean() - real.float().mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:  # noqa: ARG002  (`pairs` need it)
        """Error of fakes."""
        return -fake.float().mean()

    def reward(self, logit: Tensor) -> Tensor:
        """Minus the reconstruction error."""
        return logit.float()

    def traits(self) -> frozenset[str]:
        """Logits are minus reconstruction errors."""
        return RECONSTRUCTION
