"""Relativistic pairing: each fake against one real sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from zerosum.core.registry import Part, register
from zerosum.objectives.logits import REFUSES_AUTOENCODER
from zerosum.objectives.margins import Loss, cost


@register("objective", "relativistic")
@dataclass(frozen=True)
class Relativistic(Part):
    """Every fake is judged against the real sample of the same place in the batch; no mode can be left behind.

    RpGAN, Jolicoeur-Martineau 2019; R3GAN, Huang et al. 2024, eq. 2, with `softplus`. Discriminator: E[f(s_r - s_f)];
    generator: E[f(s_f - s_r)], so it needs the real logits again; f(t) is sp(-t), max(0, 1 - t) or (t - 1)^2.
    Both batches have the same shape. Reward: s; only differences mean something, there is no zero level.

    Raises:
        ValueError: the generator's turn has no real logits, or the two shapes differ.
    """

    pairs: ClassVar[bool] = True
    clashes: ClassVar[dict[str, str]] = REFUSES_AUTOENCODER
    loss: Loss = "softplus"  # f: what a margin between the two logits of a pair costs

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Cost of how much more real the real sample looks than its partner."""
        return cost(self._margin(real, fake), self.loss)

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """Cost of how much more real the fake looks than its partner."""
        if real is None:
            raise ValueError("objective 'relativistic' compares pairs: call generator(fake, real) with the real logits")
        return cost(-self._margin(real, fake), self.loss)

    def reward(self, logit: Tensor) -> Tensor:
        """The logit itself."""
        return logit.float()

    @staticmethod
    def _margin(real: Tensor, fake: Tensor) -> Tensor:
        if real.shape != fake.shape:  # [N] against [N, 1] would broadcast to all N * N pairs without a word
            shapes = f"{tuple(real.shape)} and {tuple(fake.shape)}"
            raise ValueError(f"objective 'relativistic' compares pairs: real and fake logits have shapes {shapes}")
        return torch.sub(real.float(), fake.float())
