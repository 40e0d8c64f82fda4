"""Rules: applied to a player's weights right after its optimizer's step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from zerosum.core.registry import Part, register
from zerosum.core.values import Positive

__all__ = ["MaxNorm", "WeightClip"]


_SPECTRAL = {
    "spectral": (
        "spectral normalization divides every weight by its largest singular value, so limits on the weights bound "
        "no slope and only bend their ratios; remove the rule, or set spectral=false or a network without it"
    )
}


@register("rule", "clip")
@dataclass(frozen=True)
class WeightClip(Part):
    """Keeps every parameter in [-limit, limit], which bounds the discriminator's slope.

    WGAN, Arjovsky et al. 2017, algorithm 1, line 7. All parameters are clamped: biases and scales of norms too.
    """

    clashes: ClassVar[dict[str, str]] = _SPECTRAL
    limit: Positive = 0.01  # largest magnitude of a parameter

    @torch.no_grad()
    def apply(self, module: nn.Module) -> None:
        """Clamp the module's parameters in place; buffers stay."""
        parameters: list[Tensor] = list(module.parameters())
        if parameters:  # torch refuses empty lists
            torch._foreach_clamp_min_(parameters, -self.limit)
            torch._foreach_clamp_max_(parameters, self.limit)


@register("rule", "max-norm")
@dataclass(frozen=True)
class MaxNorm(Part):
    """Limits the norm of the weights that lead to a unit; biases and scales of norms stay.

    Srebro & Shraibman 2005; Hinton et al. 2012, with dropout, where it allows large learning rates; Goodfellow et al.
    2014 use 1.9365 in the maxout discriminator of the first GAN. A unit is an output of a linear or convolutional layer
    and the norm is the root of the sum of its squared weights.
    """

    clashes: ClassVar[dict[str, str]] = _SPECTRAL
    limit: Positive = 1.9365  # largest Euclidean norm of the weights of a unit

    @torch.no_grad()
    def apply(self, module: nn.Module) -> None:
        """Scale down the weights of units above the limit in place; buffers stay."""
        for weight in module.parameters():
            if weight.ndim > 1:
                weight.copy_(torch.renorm(weight, 2, 0, self.limit))
