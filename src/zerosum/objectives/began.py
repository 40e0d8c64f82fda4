"""Balanced reconstruction errors of an auto-encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from zerosum.core.memory import Memory
from zerosum.core.registry import Part, register
from zerosum.core.values import Fraction, Positive
from zerosum.critic import Outcome
from zerosum.objectives.logits import NEEDS_AUTOENCODER, RECONSTRUCTION


@register("objective", "began")
@dataclass(frozen=True)
class BEGAN(Part):
    """The discriminator reconstructs real images well and fakes badly, as far as a feedback k lets it.

    BEGAN, Berthelot, Schumm & Metz 2017, section 3.3-3.4. With L = -logit, the mean absolute error of a reconstruction:
    discriminator L(x) - k L(y), generator L(y), then k <- clip(k + lambda_k (gamma L(x) - L(y)), 0, 1) from k = 0, so
    that L(y) / L(x) settles at gamma. Convergence is measured by M = L(x) + |gamma L(x) - L(y)|. Reward: -L.
    On several ranks k moves by the mean errors over all ranks, so that each holds the same k.
    """

    pairs: ClassVar[bool] = False
    needs: ClassVar[dict[str, str]] = NEEDS_AUTOENCODER
    watched: ClassVar[tuple[str, ...]] = ("k", "convergence")  # of the memory, for the log
    gamma: Fraction = 0.5  # diversity ratio: error of fakes over error of real images at the balance; low: less varied
    gain: Positive = 1e-3  # lambda_k: change of k for a unit of imbalance

    def memory(self) -> dict[str, Tensor]:
        """Feedback `k` [] in [0, 1], and the last measure of `convergence` []."""
        return {"k": torch.zeros(()), "convergence": torch.zeros(())}

    def discriminator(self, real: Tensor, fake: Tensor, memory: Memory) -> Tensor:
        """Error of real images minus k times the error of fakes."""
        return memory["k"] * fake.float().mean() - real.float().mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:  # noqa: ARG002  (`pairs` need it)
        """Error of fakes."""
        return -fake.float().mean()

    @torch.no_grad()
    def adapt(self, outcome: Outcome, memory: Memory) -> None:
        """Move k towards the balance and measure convergence, by the logits of a turn."""
        real, fake = -memory.mean(outcome.real.float().mean()), -memory.mean(outcome.fake.float().mean())
        balance = self.gamma * real - fake
        memory["k"].add_(self.gain * balance).clamp_(0, 1)
        memory["convergence"].copy_(real + balance.abs())

    def reward(self, logit: Tensor) -> Tensor:
        """Minus the reconstruction error."""
        return logit.float()

    def traits(self) -> frozenset[str]:
        """Logits are minus reconstruction errors."""
        return RECONSTRUCTION
