"""Two sets of images without pairs: a translator each way, and a discriminator of each set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from zerosum.core.engine import Engine
from zerosum.core.game import Feed
from zerosum.core.model import Model
from zerosum.core.player import Player
from zerosum.core.registry import Part, register, slot
from zerosum.core.signals import Batch, Signal, Signals, Wiring
from zerosum.core.slots import Regularizer
from zerosum.core.values import NonNegative
from zerosum.games.domain import Domain, distance
from zerosum.games.tasks import translation
from zerosum.games.translation_checks import translation_faults
from zerosum.pools import ImagePool, Pool
from zerosum.protocols import Augmentation, Objective


@register("game", "unpaired")
@dataclass(frozen=True)
class UnpairedGame(Part):
    """Translators between two sets, a and b, whose samples have no partners; what went there and back must be the same.

    CycleGAN, Zhu et al. 2017, eq. 1 to 3. With G from a to b, F from b to a, and discriminators A and B, the generators
    pay adversarial * (L(B(G(a))) + L(A(F(b)))) + cycle * (E|F(G(a)) - a| + E|G(F(b)) - b|), means over pixels, and
    identity * (E|G(b) - b| + E|F(a) - a|) (section 5.2). Both translators move at once; then both discriminators, which
    see translated images through a pool. In the logs `-a` and `-b` name the set that a loss is about.
    """

    roles: ClassVar[dict[str, frozenset[str]]] = {
        "generators": frozenset({"translator"}),
        "discriminators": frozenset({"discriminator"}),
    }
    pack: ClassVar[int] = 1

    generators: Player = slot("player")  # both translators: each turns an image of one set into one of the other
    discriminators: Player = slot("player")  # both discriminators, each of its own set
    objective: Objective = slot("objective")  # adversarial loss
    pool: Pool = slot("pool", ImagePool())  # translated images that the discriminators see
    regularizers: tuple[Regularizer, ...] = slot("regularizer", ())  # further losses, for each set by itself
    augmentations: tuple[Augmentation, ...] = slot("augmentation", ())  # what happens to images, in their order
    adversarial: NonNegative = 1.0  # weight of the objective in the generators' loss
    cycle: NonNegative = 10.0  # weight of what an image loses on its way there and back, for each set
    identity: NonNegative = 0.0  # weight of what a translator changes in images that are of its goal already

    def players(self) -> dict[str, Player]:
        """The players by name."""
        return {"generators": self.generators, "discriminators": self.discriminators}

    def networks(self, signals: Signals) -> dict[str, Wiring]:
        """What the networks receive and give, by name."""
        a, b = {"a": signals["a"]}, {"b": signals["b"]}
        logit = {"logit": Signal("logit")}
        return {
            "a_to_b": Wiring(a, b, ("generators",)),
            "b_to_a": Wiring(b, a, ("generators",)),
            "a": Wiring({"sample": signals["a"]}, logit, ("discriminators",)),
            "b": Wiring({"sample": signals["b"]}, logit, ("discriminators",)),
        }

    def faults(self, signals: Signals, batch: int | None) -> list[str]:
        """What does not fit."""
        if not {"a", "b"} <= signals.keys():
            return ["game 'unpaired' needs two sets, a and b, and these data are one; set data.domains=auto"]
        faults = [_here(fault) for fault in translation_faults(self, signals)]
        if batch is not None and 0 < self.pool.size < batch:
            faults.append(f"pool.size={self.pool.size} holds no batch of {batch}; set pool.size={batch}, or 0 for none")
        return faults

    def scores(self, networks: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Logits of real images of each set."""
        return {f"discriminator-{name}": networks[name](batch[name]) for name in ("a", "b")}

    def model(self, networks: Mapping[str, nn.Module], signals: Signals) -> Model:
        """Both translators."""
        a, b, G, F = {"a": signals["a"]}, {"b": signals["b"]}, networks["a_to_b"], networks["b_to_a"]
        tasks = {
            "a_to_b": translation(G, a, b),
            "b_to_a": translation(F, b, a),
        }
        return Model({"a_to_b": G, "b_to_a": F}, tasks)

    def step(self, feed: Feed, engine: Engine) -> None:
        """One move of both translators, then one of both discriminators."""
        G, F = engine.networks("a_to_b", "b_to_a")
        in_a, in_b = Domain(self, "a", engine), Domain(self, "b", engine)
        batch = feed.next()
        a, b = in_a.altered(batch["a"]), in_b.altered(batch["b"])
        fake_a, fake_b = F(b), G(a)
        losses = {
            **in_a.fooled(a, fake_a, F),
            **in_b.fooled(b, fake_b, G),
            "cycle-a": self.cycle * distance(F(fake_b), a),
            "cycle-b": self.cycle * distance(G(fake_a), b),
        }
        if self.identity:
            losses |= {"identity-a": self.identity * distance(F(a), a), "identity-b": self.identity * distance(G(b), b)}
        engine.update("generators", **losses)
        engine.update("discriminators", **in_a.told_apart(a, fake_a, F), **in_b.told_apart(b, fake_b, G))
        in_a.adapt()
        in_b.adapt()
        engine.show(real=torch.cat([a, b]), fake=torch.cat([fake_a, fake_b]))


def _here(fault: str) -> str:
    """A fault whose settings are named as in this game."""
    return fault.replace("discriminator.", "discriminators.").replace("generator.", "generators.")
