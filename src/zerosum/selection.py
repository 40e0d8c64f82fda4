"""Selections: which fakes of a batch the generator learns from.

A selection is called as `selection(fake_logits, images)` and gives the indices of the chosen logits along their first
dimension, or None for all; `images` is the clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from zerosum.core.registry import Part, register
from zerosum.core.values import Range, SampleCount

__all__ = ["All", "TopK"]

Share = Annotated[float, Range(0, 1, open_low=True)]


@register("selection", "all")
@dataclass(frozen=True)
class All(Part):
    """The generator learns from every fake."""

    def __call__(self, fake_logits: Tensor, images: int) -> None:  # noqa: ARG002  (it takes all of them)
        """No choice."""
        return


@register("selection", "top-k")
@dataclass(frozen=True)
class TopK(Part):
    """The generator learns from the fakes that look most real; those that look worst would push it away from modes.

    Sinha et al. 2020: k falls from the batch size by a constant factor an epoch (0.99) to half the batch.
    Here the same curve is a function of the clock: k = N * share^(images / until), rounded, at least 1. A patch map
    counts as one logit, its mean. On several ranks N is a rank's own part of the batch, and each chooses from it.
    """

    share: Share = 0.5  # share of a batch that is left at the end of the decay
    until: SampleCount = 3_450_000  # images over which the share falls from 1; 69 epochs of 50,000; 0: from the start

    @torch.no_grad()
    def __call__(self, fake_logits: Tensor, images: int) -> Tensor | None:
        """Indices `[k]` of the chosen logits, highest first; None while all are."""
        progress = min(images / self.until, 1.0) if self.until else 1.0
        count = max(1, round(len(fake_logits) * self.share**progress))
        if count >= len(fake_logits):
            return None
        looks = fake_logits.float().reshape(len(fake_logits), -1).mean(1)
        return looks.topk(count).indices
