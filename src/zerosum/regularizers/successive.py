"""A generator that does not jump between its updates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from zerosum.core.memory import Memory
from zerosum.core.registry import Part, register
from zerosum.core.values import Count, NonNegative
from zerosum.critic import Exchange
from zerosum.regularizers.passes import SOURCE, STYLES, TRANSLATOR, still


@register("regularizer", "successive-consistency")
@dataclass(frozen=True)
class SuccessiveConsistency(Part):
    """Holds the generator to what it made of the same latents before its last update: weight * E |G_t(z) - G_t-1(z)|.

    The mean absolute difference, over samples and pixels, between successive outputs for one latent; a new batch of
    latents is taken at each penalty, and the first penalty of a training is 0. The older output is a constant. Whole
    batches are remembered, because BatchNorm would normalise a part of one differently.

    It is a proximal term: it slows the generator down where its outputs would swing. It is not consistency
    regularization (cr, bcr, zcr act on the discriminator's logits under a change of the sample), it compares nothing
    with real samples (feature-matching does), and successive samples of one batch are never compared, which would
    punish their diversity. The discriminator receives nothing from it. On several ranks the latents and samples of all
    are remembered, and each rank compares its own.
    """

    player: ClassVar[str] = "generator"
    tracks: ClassVar[frozenset[str]] = frozenset()
    clashes: ClassVar[dict[str, str]] = {"styles": STYLES, "source": SOURCE, "translator": TRANSLATOR}
    weight: NonNegative = 1.0  # weight of the mean absolute difference
    every: Count = 1  # generator updates from one penalty to the next; each then counts that many times

    def memory(self) -> dict[str, Tensor]:
        """Nothing at first; then the last latents, labels and outputs, whose sizes the first update tells."""
        return {}

    def __call__(self, exchange: Exchange, memory: Memory) -> Tensor:
        """Penalty of an update, `[]`; remembers its latents and outputs."""
        assert exchange.latent is not None
        fake = exchange.fake.x.float()
        difference = _difference(exchange.generator, memory) if memory else fake.new_zeros(())
        kept = {"latent": exchange.latent, "fake": fake, "label": exchange.label}
        memory.update({name: memory.gather(x).clone() for name, x in kept.items() if x is not None})
        return self.weight * difference


def _difference(G: Any, memory: Memory) -> Tensor:
    own = {name: memory.share(x) for name, x in memory.items()}
    with still(G):
        now = G(own["latent"], own.get("label"))
    return (now.float() - own["fake"]).abs().mean()
