"""Consistency of the generator from one update to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from zerosum.core.memory import Memory
from zerosum.core.registry import Part, register
from zerosum.core.values import Count, NonNegative
from zerosum.critic import Exchange
from zerosum.regularizers.passes import FROM_SAMPLES, SOURCE, STYLES, still


@register("regularizer", "successive-consistency")
@dataclass(frozen=True)
class SuccessiveConsistency(Part):
    """Keeps the generator's output for the same latents close to the one before: weight * E |G_t(z) - G_t-1(z)|.

    The mean absolute difference, over samples and pixels, between successive outputs for the same latents; each penalty
    takes a new batch of latents, and the first penalty of a training is 0. The older output is a constant. Whole
    batches are stored, because BatchNorm would normalise part of a batch differently.

    It is a proximal term: it slows the generator down where its outputs would oscillate. It is not consistency
    regularization (cr, bcr, zcr act on the discriminator's logits under a change of the sample), it compares nothing
    with real samples (feature-matching does), and samples of one batch are never compared with each other, which would
    punish diversity. The discriminator receives nothing from it. On several ranks the latents and samples of all ranks
    are stored, and each rank compares its own.
    """

    player: ClassVar[str] = "generator"
    tracks: ClassVar[frozenset[str]] = frozenset()
    clashes: ClassVar[dict[str, str]] = FROM_SAMPLES | {"styles": STYLES, "source": SOURCE}
    weight: NonNegative = 1.0  # weight of the mean absolute difference
    every: Count = 1  # generator updates from one penalty to the next; each then counts that many times

    def memory(self) -> dict[str, Tensor]:
        """Empty at first; the first update adds the latents, labels and outputs, whose sizes it determines."""
        return {}

    def __call__(self, exchange: Exchange, memory: Memory) -> Tensor:
        """Penalty of an update, `[]`; stores its latents and outputs."""
        assert exchange.latent is not None
        fake = exchange.fake.x.float()
        difference = _difference(exchange.generator, memory) if memory else fake.new_zeros(())
        current = {"latent": exchange.latent, "fake": fake, "label": exchange.label}
        memory.update({name: memory.gather(x).clone() for name, x in current.items() if x is not None})
        return self.weight * difference


def _difference(G: Any, memory: Memory) -> Tensor:
    last = {name: memory.share(x) for name, x in memory.items()}
    with still(G):
        now = G(last["latent"], last.get("label"))
    return (now.float() - last["fake"]).abs().mean()
