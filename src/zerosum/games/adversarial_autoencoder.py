"""An auto-encoder whose latents a discriminator tells from those of the prior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor, nn

from zerosum.core.compatibility import data_traits, misfits
from zerosum.core.engine import Engine
from zerosum.core.game import Feed
from zerosum.core.model import Model
from zerosum.core.player import Player
from zerosum.core.registry import Part, field_types, register, slot
from zerosum.core.signals import Signal, Signals, Wiring
from zerosum.core.slots import Optimizer, Regularizer
from zerosum.core.values import Count, NonNegative
from zerosum.critic import Critic, Regularization, adapt, charge, distinguish, verdicts
from zerosum.games.adversarial import real_batch
from zerosum.games.checks import one_set
from zerosum.games.tasks import autoencoding
from zerosum.latents import Latent
from zerosum.protocols import Augmentation, Objective
from zerosum.selection import All

ASKING = {"classifier", "codes", "joint", "pairs"}  # traits of discriminators that judge more than a sample


@register("game", "aae")
@dataclass(frozen=True)
class AdversarialAutoencoder(Part):
    """Encoder and decoder rebuild samples, and the encoder's latents must look like those of the prior.

    Makhzani et al. 2015, section 2. A turn has two phases. Encoder and decoder lower |x - decoder(encoder(x))|^2 / 2;
    then the discriminator tells latents of the prior (real) from those of samples (fake), and the encoder, which is the
    generator of those, makes them look real. For this second move it has an optimizer of its own, and the logs call it
    `generator`. The prior may be any latent. A decoder that is told the class leaves to the latents what the class does
    not say (section 4); a discriminator that is told it asks for the prior within each class.
    """

    roles: ClassVar[dict[str, frozenset[str]]] = {
        "encoder": frozenset({"encoder"}),
        "decoder": frozenset({"generator"}),
        "discriminator": frozenset({"discriminator"}),
    }
    pack: ClassVar[int] = 1

    encoder: Player = slot("player")  # turns samples into latents
    decoder: Player = slot("player")  # turns latents into samples
    discriminator: Player = slot("player")  # turns latents into logits; higher looks more like the prior
    optimizer: Optimizer = slot("optimizer")  # of the encoder's move against the discriminator
    objective: Objective = slot("objective")  # adversarial loss
    latent: Latent = slot("latent")  # the prior
    regularizers: tuple[Regularizer, ...] = slot("regularizer", ())  # further losses, of latents
    augmentations: tuple[Augmentation, ...] = slot("augmentation", ())  # of samples of the data, in their order
    reconstruction: NonNegative = 1.0  # weight of |x - decoder(encoder(x))|^2 / 2
    adversarial: NonNegative = 1.0  # weight of the objective in the encoder's second loss
    discriminator_updates: Count = 1  # discriminator updates in a turn, each with another batch

    def players(self) -> dict[str, Player]:
        """The players by name; `generator` is the encoder at its second move."""
        return {
            "encoder": self.encoder,
            "decoder": self.decoder,
            "discriminator": self.discriminator,
            "generator": replace(self.encoder, optimizer=self.optimizer),
        }

    def networks(self, signals: Signals) -> dict[str, Wiring]:
        """What the networks receive and give; to the discriminator latents are points."""
        sample, label = {"sample": signals["sample"]}, {k: v for k, v in signals.items() if k == "label"}
        latent = {"latent": Signal("latent", (self.latent.size,))}
        return {
            "encoder": Wiring({**sample, **label}, latent, ("encoder", "generator")),
            "decoder": Wiring({**latent, **label}, sample, ("decoder",)),
            "discriminator": Wiring({"sample": self.judged, **label}, {"logit": Signal("logit")}, ("discriminator",)),
        }

    @property
    def judged(self) -> Signal:
        """What the discriminator sees."""
        return Signal("points", (self.latent.size,))

    def faults(self, signals: Signals, batch: int | None) -> list[str]:  # noqa: ARG002 - true of any batch
        """What does not fit."""
        if faults := one_set(self, signals):
            return faults
        critic, encoder = self.discriminator.network.traits(), self.encoder.network.traits()
        near = data_traits({"latent": self.judged}) | critic | self.objective.traits() | self.latent.traits()
        for part in (self.objective, *self.regularizers):
            faults += misfits(part, near, near | (encoder if getattr(part, "player", "") != "discriminator" else set()))
        for part in self.augmentations:
            faults += (
                misfits(part, data_traits(signals), data_traits(signals)) if part.where == "real" else [_late(part)]
            )
        if asked := sorted(critic & ASKING):
            told = f"discriminator.network judges latents beside {asked[0]!r}, and here it sees nothing else"
            faults.append(f"{told}; set discriminator.network=mlp-discriminator")
        return faults

    def step(self, feed: Feed, engine: Engine) -> None:
        """Encoder and decoder move, then the discriminator as often as it is told, then the encoder again."""
        E, G, D = engine.networks("encoder", "decoder", "discriminator")
        loss = engine.bind(self.objective.name, self.objective)
        alter = [engine.bind(part.name, part) for part in self.augmentations]
        for move in range(self.discriminator_updates):
            x, label = real_batch(feed, alter)
            if not move:
                lost = {"reconstruction": self.reconstruction * half_squares(G(E(x, label), label), x)}
                engine.move({"encoder": lost, "decoder": lost})
            z, prior = E(x, label), engine.draw(self.latent, len(x))
            due = Regularization(self.regularizers, "discriminator", engine)
            critic = Critic(D, precise=bool(due.tracks))
            real = critic(prior, track="real" in due.tracks, label=label)
            fake = critic(z.detach(), track="fake" in due.tracks, label=label)
            cost = distinguish(loss, real, fake)
            engine.watch(**verdicts(real, fake))
            engine.update("discriminator", adversarial=cost, **due(real, fake, E, x))
        judged = real.logits

        due = Regularization(self.regularizers, "generator", engine)
        critic = Critic(D)
        real, fake = critic(prior, grad=False, label=label), critic(z, label=label)
        cost = self.adversarial * charge(loss, fake, real, All(), engine.clock)
        engine.update("generator", adversarial=cost, **due(real, fake, E, x))
        adapt((loss, *alter), judged, fake.logits, batch=len(x), clock=engine.clock)

    def model(self, networks: Mapping[str, nn.Module], signals: Signals) -> Model:
        """Decoder and encoder: samples of latents, latents of samples, and samples of those."""
        D, E = networks["decoder"], networks["encoder"]
        tasks = autoencoding(E, D, (self.encoder.network, self.decoder.network), self.latent, signals)
        return Model({"decoder": D, "encoder": E}, tasks)


def _late(part: Augmentation) -> str:
    """What is wrong with an augmentation of what the discriminator sees."""
    told = f"augmentation {part.name!r} changes what the discriminator sees, and here it sees latents"
    return f"{told}; {f'set {part.name}.where=real, or ' if 'where' in field_types(type(part)) else ''}remove it"


def half_squares(rebuilt: Tensor, x: Tensor) -> Tensor:
    """|x - rebuilt|^2 / 2, summed over the numbers of a sample, mean over samples, []."""
    return (x.float() - rebuilt.float()).square().flatten(1).sum(1).mean() / 2
