"""One translator among all classes or attributes of a set, and a discriminator that also names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from zerosum.core.compatibility import data_traits, misfits
from zerosum.core.engine import Engine
from zerosum.core.game import Feed
from zerosum.core.model import Model
from zerosum.core.player import Player
from zerosum.core.registry import Part, register, slot
from zerosum.core.signals import Batch, Signal, Signals, Wiring
from zerosum.core.slots import Regularizer
from zerosum.core.values import Count, NonNegative
from zerosum.critic import Critic, Regularization, Scored, adapt, charge, distinguish, verdicts
from zerosum.games.adversarial import bound_parts, real_batch
from zerosum.games.domain import distance
from zerosum.games.goals import Goals, goals_of
from zerosum.games.tasks import translation
from zerosum.protocols import Augmentation, Objective
from zerosum.selection import All

TOLD = {"labels", "codes", "joint", "pairs"}  # traits of discriminators that judge more than a sample


@register("game", "multi-domain")
@dataclass(frozen=True)
class MultiDomainGame(Part):
    """A translator that is told a class turns any image into one of that class; the classes are the domains.

    StarGAN, Choi et al. 2018, eq. 1 to 6. G(x, c) is judged as real or not, and D's second head names its class. The
    discriminator learns classes of real images alone. The translator pays adversarial * L(D(G(x, c))) +
    classification * CE(C(G(x, c)), c) + reconstruction * E|x - G(G(x, c), c')|, where c' is the class that x has, and
    identity * E|x - G(x, c')|, which the paper does without. Each class c is drawn with equal probability. In place of
    a class an image may have attributes, 0 or 1 each (section 3.2): CE is then the sum of theirs, and c' those of
    another image of the batch.
    """

    roles: ClassVar[dict[str, frozenset[str]]] = {
        "translator": frozenset({"translator", "labels"}),
        "discriminator": frozenset({"discriminator", "classifier"}),
    }
    pack: ClassVar[int] = 1

    translator: Player = slot("player")  # turns an image into one of a class that it is told
    discriminator: Player = slot("player")  # tells real images from translated ones, and names their class
    objective: Objective = slot("objective")  # adversarial loss
    regularizers: tuple[Regularizer, ...] = slot("regularizer", ())  # further losses of either player
    augmentations: tuple[Augmentation, ...] = slot("augmentation", ())  # what happens to images, in their order
    adversarial: NonNegative = 1.0  # weight of the objective in the translator's loss
    classification: NonNegative = 1.0  # weight of the cross-entropy of classes, in both losses
    reconstruction: NonNegative = 10.0  # weight of what an image loses on its way to another class and back
    identity: NonNegative = 0.0  # weight of what the translator changes in an image that is told its own class
    discriminator_updates: Count = 1  # discriminator updates for each of the translator

    def players(self) -> dict[str, Player]:
        """The players by name."""
        return {"discriminator": self.discriminator, "translator": self.translator}

    def networks(self, signals: Signals) -> dict[str, Wiring]:
        """What the networks receive and give, by name."""
        sample = {"sample": signals["sample"]}
        both = {**sample, "label": signals["label"]}
        return {
            "discriminator": Wiring(both, {"logit": Signal("logit")}, ("discriminator",)),
            "translator": Wiring(both, sample, ("translator",)),
        }

    def faults(self, signals: Signals, batch: int | None) -> list[str]:  # noqa: ARG002 - true of any batch
        """What does not fit."""
        if not {"sample", "label"} <= signals.keys():
            return [
                "game 'multi-domain' translates between classes, and these data have none; sort the images into one "
                "sub-folder a class, and leave data.domains empty; or set data.attributes"
            ]
        critics = self.discriminator.network.traits()
        present = data_traits(signals) | critics | self.translator.network.traits() | self.objective.traits()
        present |= {"source"}  # what is made belongs to a real sample
        faults = []
        for part in (self.objective, *self.augmentations, *self.regularizers):
            faults += [fault.replace("generator.", "translator.") for fault in misfits(part, present, present)]
        faults += [
            f"{part.kind} {part.name!r} trains the head of classes, as this game does; set `classification`, its weight"
            for part in self.regularizers
            if "classifier" in part.needs
        ]
        if told := sorted(critics & TOLD):
            faults.append(f"discriminator.network brings {told[0]!r}, and here it judges images alone; leave it out")
        return faults

    def scores(self, networks: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Logits of real samples."""
        return {"discriminator": networks["discriminator"](batch["sample"])}

    def model(self, networks: Mapping[str, nn.Module], signals: Signals) -> Model:
        """The translator."""
        G, sample, label = networks["translator"], {"sample": signals["sample"]}, signals["label"]
        task = translation(G, {**sample, "label": label}, sample, goals_of(label).prior)
        return Model({"translator": G}, {"translate": task})

    def step(self, feed: Feed, engine: Engine) -> None:
        """Several moves of the discriminator, then one of the translator."""
        G, D = engine.networks("translator", "discriminator")
        loss, alter, augment = bound_parts(self, engine)
        goals = goals_of(engine.signals["label"])
        for later in reversed(range(self.discriminator_updates)):
            x, given = real_batch(feed, alter)
            assert given is not None
            wanted = goals.draw(given, engine)
            with torch.set_grad_enabled(not later):  # the translator learns from the last of them
                y = G(x, label=wanted)
            due = Regularization(self.regularizers, "discriminator", engine)
            critic = Critic(D, augment, precise=bool(due.tracks))
            real, fake = critic(x, track="real" in due.tracks), critic(y.detach(), track="fake" in due.tracks)
            cost, (names, right) = distinguish(loss, real, fake), self.naming(goals, real, given)
            engine.watch(**verdicts(real, fake), class_accuracy=right)
            engine.update("discriminator", adversarial=cost, classification=names, **due(real, fake, G, None))

        due = Regularization(self.regularizers, "generator", engine, "translator")
        critic = Critic(D, augment)
        beside, fake = critic(x, grad=False), critic(y)
        cost = self.adversarial * charge(loss, fake, beside, All(), engine.clock)
        names, right = self.naming(goals, fake, wanted)
        back = self.reconstruction * distance(G(y, label=given), x)
        engine.watch(translated_accuracy=right)
        losses = {"adversarial": cost, "classification": names, "reconstruction": back}
        if self.identity:
            losses["identity"] = self.identity * distance(G(x, label=given), x)
        engine.update("translator", **losses, **due(beside, fake, G, None))
        engine.show(real=x, fake=y)
        adapt((loss, *alter, *augment), real.logits, fake.logits, batch=len(x), clock=engine.clock)

    def naming(self, goals: Goals, seen: Scored, label: Tensor) -> tuple[Tensor, Tensor]:
        """What naming the labels costs, and the share that is right, both []."""
        logits = seen.critic.network.classify(seen.features).float()
        return self.classification * goals.surprise(logits, label), goals.right(logits, label)
