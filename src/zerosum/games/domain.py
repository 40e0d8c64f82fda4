"""One of several sets of images in a turn: its discriminator, and the parts that remember something of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor, nn

from zerosum.core.engine import Engine
from zerosum.critic import Critic, Regularization, Scored, adapt, charge, distinguish, verdicts
from zerosum.selection import All

if TYPE_CHECKING:
    from zerosum.games.unpaired import UnpairedGame


class Domain:
    """A set in a turn.

    Args:
        game: whose parts these are: objective, pool, regularizers, augmentations.
        name: of the set, and of its discriminator.
        engine: keeps their memories.
    """

    def __init__(self, game: UnpairedGame, name: str, engine: Engine) -> None:
        self.game, self.name, self.engine, self.network = game, name, engine, engine.network(name)
        self.loss = engine.bind(f"{game.objective.name}-{name}", game.objective)
        self.pool = engine.bind(f"pool-{name}", game.pool, engine.signals[name])
        bound = [(part.where, engine.bind(f"{part.name}-{name}", part)) for part in game.augmentations]
        self.alter, self.augment = ([part for where, part in bound if where == here] for here in ("real", "both"))

    def altered(self, x: Tensor) -> Tensor:
        """Real images after the augmentations that belong to them alone."""
        for augmentation in self.alter:
            x = augmentation(x)
        return x

    def fooled(self, real: Tensor, fake: Tensor, translator: nn.Module) -> dict[str, Tensor]:
        """What the generators pay for translated images, by name."""
        due = Regularization(self.game.regularizers, f"generator-{self.name}", self.engine, "generators")
        critic = Critic(self.network, self.augment)
        x, y = critic(real, grad=False), critic(fake)
        cost = self.game.adversarial * charge(self.loss, y, x, All(), self.engine.clock)
        return self._named({"adversarial": cost, **due(x, y, translator, None)})

    def told_apart(self, real: Tensor, fake: Tensor, translator: nn.Module) -> dict[str, Tensor]:
        """What the discriminators pay, by name; the pool decides which translated images are seen."""
        due = Regularization(self.game.regularizers, f"discriminator-{self.name}", self.engine, "discriminators")
        critic = Critic(self.network, self.augment, precise=bool(due.tracks))
        x = critic(real, track="real" in due.tracks)
        y = critic(self.pool(fake), track="fake" in due.tracks)
        cost = distinguish(self.loss, x, y)
        self.engine.watch(**verdicts(x, y, f"-{self.name}"))
        self._last: tuple[Scored, Scored] = x, y
        return self._named({"adversarial": cost, **due(x, y, translator, None)})

    def adapt(self) -> None:
        """Let the parts of this set that adapt follow what its discriminator said."""
        x, y = self._last
        parts = (self.loss, *self.alter, *self.augment)
        adapt(parts, x.logits, y.logits, batch=len(x.x), clock=self.engine.clock)

    def _named(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {f"{name}-{self.name}": loss for name, loss in losses.items()}


def distance(x: Tensor, y: Tensor) -> Tensor:
    """Mean absolute difference of two batches of images, []."""
    return (x.float() - y.float()).abs().mean()
