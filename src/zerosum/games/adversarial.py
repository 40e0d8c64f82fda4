"""What games of a generator against discriminators are made of: their settings, and how their networks are called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

from torch import Tensor, nn

from zerosum.core.engine import Engine
from zerosum.core.game import Feed, role
from zerosum.core.model import Model
from zerosum.core.player import Player
from zerosum.core.registry import Part, slot
from zerosum.core.signals import Batch, Signal, Signals, Wiring
from zerosum.core.slots import Regularizer
from zerosum.core.values import Count, NonNegative
from zerosum.critic import pack
from zerosum.games.checks import adversarial_faults
from zerosum.games.tasks import generation
from zerosum.latents import Latent
from zerosum.protocols import Augmentation, Objective, Selection
from zerosum.selection import All

_WHERE = ("real", "both")  # an augmentation may act


@dataclass(frozen=True)
class Adversarial(Part):
    """Settings of games in which a generator learns from the logits of discriminators. It plays nothing."""

    roles: ClassVar[dict[str, frozenset[str]]] = {
        "generator": frozenset({"generator"}),
        "discriminator": frozenset({"discriminator"}),
    }

    generator: Player = slot("player")  # turns latents into images
    discriminator: Player = slot("player")  # turns images into logits; higher looks more real
    objective: Objective = slot("objective")  # adversarial loss
    latent: Latent = slot("latent")  # where latents come from
    regularizers: tuple[Regularizer, ...] = slot("regularizer", ())  # further losses of either player
    augmentations: tuple[Augmentation, ...] = slot("augmentation", ())  # what happens to images, in their order
    selection: Selection = slot("selection", All())  # which fakes of a batch the generator learns from
    adversarial: NonNegative = 1.0  # weight of the objective in the generator's loss; 0: regularizers alone teach it
    pack: Count = 1  # samples that the discriminator judges together, joined along their channels
    discriminator_updates: Count = 1  # discriminator updates for each turn of the generator

    def players(self) -> dict[str, Player]:
        """The players by name."""
        return {"discriminator": self.discriminator, "generator": self.generator}

    def networks(self, signals: Signals) -> dict[str, Wiring]:
        """What the networks receive and give, by name; the discriminator sees packs of samples."""
        label = {name: signal for name, signal in signals.items() if name == "label"}
        sample = {"sample": signals["sample"]}
        channels, *sides = signals["sample"].shape
        packed = {"sample": replace(signals["sample"], shape=(channels * self.pack, *sides)), **label}
        latent = {"latent": Signal("latent", (self.latent.size,)), **label}
        return {
            name: Wiring(latent, sample, (name,))
            if role(name) == "generator"
            else Wiring(packed, {"logit": Signal("logit")}, (name,), self.pack)
            for name in self.players()
        }

    def faults(self, signals: Signals, batch: int | None) -> list[str]:
        """What does not fit."""
        return adversarial_faults(self, signals, batch)

    def scores(self, networks: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Logits of real samples by discriminator."""
        x, label = batch["sample"], batch.get("label")
        given = pack(x, self.pack), label if label is None else label[:: self.pack]
        return {name: networks[name](*given) for name in self.players() if role(name) == "discriminator"}

    def model(self, networks: Mapping[str, nn.Module], signals: Signals) -> Model:
        """The generator, which makes samples of latents."""
        G = networks["generator"]
        tasks = generation(G, self.generator.network, self.latent, signals)
        return Model({"generator": G}, tasks)


class Adversaries(Protocol):
    """A game with an objective and augmentations."""

    @property
    def objective(self) -> Objective:
        """Adversarial loss."""
        ...

    @property
    def augmentations(self) -> tuple[Augmentation, ...]:
        """What happens to images, in their order."""
        ...


def bound_parts(game: Adversaries, engine: Engine) -> tuple[Objective, list[Augmentation], list[Augmentation]]:
    """Objective, augmentations of real samples alone, and those of all that discriminators see, with their memory."""
    real, both = ([engine.bind(part.name, part) for part in game.augmentations if part.where == w] for w in _WHERE)
    return engine.bind(game.objective.name, game.objective), real, both


def real_batch(feed: Feed, augmentations: Iterable[Augmentation]) -> tuple[Tensor, Tensor | None]:
    """Next real batch and its labels, after the augmentations that belong to real samples alone."""
    batch = feed.next()
    real, label = batch["sample"], batch.get("label")
    for augmentation in augmentations:
        real = augmentation(real)
    return real, label
