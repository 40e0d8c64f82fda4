"""What one exchange of a game produced, for the objective and the regularizers."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass
class Round:
    """One exchange: images [N, C, H, W] in [-1, 1] or points [N, D], labels [N], latents [N, K], logits [N]."""

    generator: nn.Module
    discriminator: nn.Module
    real: Tensor
    fake: Tensor
    label: Tensor | None = None
    latent: Tensor | None = None
    real_logits: Tensor | None = None
    fake_logits: Tensor | None = None
    tracked: bool = False  # a regularizer will take gradients with respect to what the discriminator sees

    def track(self, due: Iterable[Any]) -> Round:
        """Follow gradients of the tensors that due regularizers ask for (their `tracks`)."""
        for name in sorted({name for part in due for name in part.tracks}):
            setattr(self, name, getattr(self, name).detach().float().requires_grad_())
            self.tracked = True
        return self

    def precision(self) -> AbstractContextManager[Any]:
        """Float32 where gradients are tracked (a penalty is meaningless in bf16), else what the engine set."""
        return torch.autocast(self.real.device.type, enabled=False) if self.tracked else nullcontext()
