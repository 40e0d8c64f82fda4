"""Rules: applied to a player's weights right after its optimizer's step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from zerosum.core.registry import Part, register
from zerosum.core.values import Positive

__all__ = ["WeightClip"]


@register("rule", "clip")
@dataclass(frozen=True)
class WeightClip(Part):
    """Keeps every parameter in [-limit, limit], which bounds the discriminator's slope.

    WGAN, Arjovsky et al. 2017, algorithm 1, line 7. All parameters are clamped: biases and scales of norms too.
    """

    clashes: ClassVar[dict[str, str]] = {
        "spectral": (
            "spectral normalization divides every weight by its largest singular value, so limits on the weights bound "
            "no slope and only bend their ratios; remove the rule, or set spectral=false or a network without it"
        )
    }
    limit: Positive = 0.01  # largest magnitude of a parameter

    @torch.no_grad()
    def apply(self, module: nn.Module) -> None:
        """Clamp the module's parameters in place; buffers stay."""
        parameters: list[Tensor] = list(module.parameters())
        if parameters:  # torch refuses empty lists
            torch._foreach_clamp_min_(parameters, -self.limit)
            torch._foreach_clamp_max_(parameters, self.limit)
