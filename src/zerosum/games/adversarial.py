"""What all games of a generator against a discriminator have in common: their fields, and the parts of their steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from zerosum.core import round as rounds
from zerosum.core.engine import Engine
from zerosum.core.game import Feed, role
from zerosum.core.player import Player
from zerosum.core.registry import Part, slot
from zerosum.core.round import Round
from zerosum.core.space import Space
from zerosum.core.values import Count, NonNegative
from zerosum.selection import All


@dataclass(frozen=True)
class Adversarial(Part):
    """Base of games in which a generator learns from the logits of a discriminator."""

    product: ClassVar[str] = "generator"
    roles: ClassVar[dict[str, frozenset[str]]] = {
        "generator": frozenset({"generator"}),
        "discriminator": frozenset({"discriminator"}),
    }

    generator: Player = slot("player")  # turns latents into images
    discriminator: Player = slot("player")  # turns images into logits; higher looks more real
    objective: Any = slot("objective")  # adversarial loss
    latent: Any = slot("latent")  # where latents come from
    regularizers: tuple[Any, ...] = slot("regularizer", ())  # further losses of either player
    augmentations: tuple[Any, ...] = slot("augmentation", ())  # what happens to images, in their order
    selection: Any = slot("selection", All())  # which fakes of a batch the generator learns from
    adversarial: NonNegative = 1.0  # weight of the objective in the generator's loss; 0: regularizers alone teach it
    pack: Count = 1  # samples that the discriminator judges together, joined along their channels
    discriminator_updates: Count = 1  # discriminator updates for each turn of the generator

    def players(self) -> dict[str, Player]:
        """The players by name."""
        return {"discriminator": self.discriminator, "generator": self.generator}

    def view(self, player: str, space: Space) -> Space:
        """The discriminator sees packs of samples."""
        if role(player) != "discriminator" or self.pack == 1:
            return space
        return Space((space.shape[0] * self.pack, *space.shape[1:]), space.latent, space.classes)

    def wire(
        self, networks: dict[str, nn.Module], real: Tensor, latent: Tensor, label: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Fakes, and logits of real samples by discriminator."""
        seen, label_seen = rounds.pack(real, self.pack), label if label is None else label[:: self.pack]
        judges = {name: network for name, network in networks.items() if role(name) == "discriminator"}
        logits = {name: network(seen, label_seen) for name, network in judges.items()}
        return self.sample(networks[self.product], latent, label), logits

    def sample(self, generator: nn.Module, latent: Tensor, label: Tensor | None) -> Tensor:
        """Images [N, C, H, W] in [-1, 1], or points [N, D], from latents [N, K]."""
        return generator(latent, label)

    # ------------------------------------------------------------------ parts of a step

    def draw(self, feed: Feed) -> tuple[Tensor, Tensor | None]:
        """Next real batch and its labels, after the augmentations that belong to real samples alone."""
        real, label = feed.next()
        for augmentation in self.augmentations:
            if augmentation.where == "real":
                real = augmentation(real)
        return real, label

    def generate(self, engine: Engine, count: int, label: Tensor | None) -> tuple[Tensor, Tensor]:
        """Latents [count, K] and fakes of them."""
        latent = self.latent(count, engine.device)
        return latent, engine.network("generator")(latent, label)

    def open(self, engine: Engine, player: str, against: str = "discriminator", **exchange: Any) -> Round:
        """Round of a player's move, with the gradients that its due regularizers ask for."""
        made = Round(
            role(player),
            engine.network("generator"),
            exchange.pop("discriminator", None) or engine.network(against),
            augment=(lambda x: self._augmented(engine, x)) if self.augmentations else None,
            pack=self.pack,
            images=engine.images,
            **exchange,
        )
        return made.track(engine.due(player))

    def _augmented(self, engine: Engine, x: Tensor) -> Tensor:
        for augmentation in self.augmentations:
            if augmentation.where == "both":
                x = augmentation(x, **engine.recall(augmentation))
        return x

    def train_discriminator(self, engine: Engine, r: Round, player: str = "discriminator") -> Round:
        """One update of a discriminator: it looks at both batches, pays the objective and its regularizers."""
        r.look("real", "fake")
        assert r.real_logits is not None
        assert r.fake_logits is not None
        number = player.removeprefix(role(player))  # one of several has its own line: real_logit-2
        engine.ledger.watch(
            **{f"real_logit{number}": r.real_logits.mean(), f"fake_logit{number}": r.fake_logits.mean()}
        )
        loss = self.objective.discriminator(r.real_logits, r.fake_logits, **engine.recall(self.objective))
        engine.update(player, adversarial=loss, **engine.extras(player, r))
        return r

    def generator_loss(self, engine: Engine, r: Round) -> Tensor:
        """What the generator pays to the objective for the selected fakes, beside real logits where pairs count."""
        r.look("fake")
        if self.objective.pairs:
            r.look("real")
        fake, real = r.fake_logits, r.real_logits
        assert fake is not None
        chosen = self.selection(fake, engine.images)
        if chosen is not None:
            fake, real = fake[chosen], real if real is None else real[chosen]
        return self.adversarial * self.objective.generator(fake, real, **engine.recall(self.objective))

    def train_generator(self, engine: Engine, r: Round) -> Round:
        """One update of the generator: it pays the objective and its regularizers."""
        loss = self.generator_loss(engine, r)
        engine.update("generator", adversarial=loss, **engine.extras("generator", r))
        return r

    def close(self, engine: Engine, judged: Round, made: Round) -> None:
        """End of a turn: what adapts sees the logits of the last real batch, and those of the generator's fakes."""
        assert judged.real_logits is not None
        made.real_logits = judged.real_logits.detach()
        with torch.no_grad():
            engine.adapt(made)
