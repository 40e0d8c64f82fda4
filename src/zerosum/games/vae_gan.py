"""A variational auto-encoder whose errors are measured by the features of a discriminator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from zerosum.core.engine import Engine
from zerosum.core.game import Feed
from zerosum.core.model import Model
from zerosum.core.player import Player
from zerosum.core.registry import register, slot
from zerosum.core.signals import Signal, Signals, Wiring
from zerosum.core.values import NonNegative
from zerosum.critic import Critic, Regularization, Scored, adapt, charge, distinguish, verdicts
from zerosum.games.adversarial import Adversarial, bound_parts, real_batch
from zerosum.games.tasks import autoencoding
from zerosum.games.variational import divergence, means, other_priors


@register("game", "vae-gan")
@dataclass(frozen=True, kw_only=True)
class VAEGAN(Adversarial):
    """An encoder finds latents from which the generator makes what the discriminator sees the same features in.

    Larsen et al. 2016, algorithm 1. With x' = G(z) rebuilt from z of x, made = G(z_p) from the prior, and f the
    discriminator's features:

        rate        KL(q(z | x) || N(0, I))        the encoder pays beta * rate + distortion
        distortion  |f(x) - f(x')|^2 / 2           the generator pays distortion * this - its part of the game
        game        log D(x) + (log(1 - D(x')) + log(1 - D(made))) / 2            the discriminator pays minus this

    All move at once, at the weights as they are: the encoder learns nothing from the logits, the discriminator nothing
    from the distortion. The generator's part is the objective's loss of rebuilt and made samples, summed. To the
    discriminator both kinds together weigh as much as the real ones, as in the authors' code. Augmentations change what
    is judged; the distortion compares samples as they are. Regularizers see real and made samples.
    """

    roles: ClassVar[dict[str, frozenset[str]]] = {
        "generator": frozenset({"generator"}),
        "discriminator": frozenset({"discriminator"}),
        "encoder": frozenset({"encoder"}),
    }

    encoder: Player = slot("player")  # turns samples into distributions of latents
    distortion: NonNegative = 1e-5  # weight of |f(x) - f(x')|^2 / 2 in the generator's loss; the encoder's is 1
    beta: NonNegative = 1.0  # weight of the divergence from the prior in the encoder's loss

    def players(self) -> dict[str, Player]:
        """The players by name."""
        return {**super().players(), "encoder": self.encoder}

    def networks(self, signals: Signals) -> dict[str, Wiring]:
        """What the networks receive and give; the encoder gives mean and log variance, one after the other."""
        posterior = {"latent": Signal("latent", (2 * self.latent.size,))}
        return {**super().networks(signals), "encoder": Wiring({**signals}, posterior, ("encoder",))}

    def faults(self, signals: Signals, batch: int | None) -> list[str]:
        """What does not fit."""
        faults = super().faults(signals, batch) + other_priors(self)
        network = self.discriminator.network
        if "features" not in network.traits():
            told = f"game {self.name!r} compares features, and {network.name!r} shows none"
            faults.append(f"{told}; set discriminator.network=dcgan-discriminator or mlp-discriminator")
        return faults

    def step(self, feed: Feed, engine: Engine) -> None:
        """One move of all at once; before it, where the discriminator has several, the others of its moves."""
        E, G, D = engine.networks("encoder", "generator", "discriminator")
        loss, alter, augment = bound_parts(self, engine)
        for left in reversed(range(self.discriminator_updates)):
            x, label = real_batch(feed, alter)
            mean, log_var = E(x, label).float().chunk(2, dim=1)
            z = mean + (log_var / 2).exp() * engine.draw(self.latent, len(x))
            z_p = engine.draw(self.latent, len(x))
            due = Regularization(self.regularizers, "discriminator", engine)
            critic = Critic(D, augment, self.pack, precise=bool(due.tracks))
            real = critic(x, track="real" in due.tracks, label=label)
            rebuilt, made = critic(G(z, label), label=label), critic(G(z_p, label), label=label)
            fake = critic(made.x.detach(), track="fake" in due.tracks, label=label) if due.due else made
            cost = distinguish(loss, real, rebuilt) + distinguish(loss, real, fake)
            told = {"adversarial": cost / 2, **due(real, fake, G, z_p)}
            engine.watch(**verdicts(real, fake))
            if left:
                engine.update("discriminator", **told)

        due = Regularization(self.regularizers, "generator", engine)
        cost, more = (charge(loss, one, real, self.selection, engine.clock) for one in (rebuilt, made))
        distortion = self.distorted(real, rebuilt)
        found = {"rate": self.beta * divergence(mean, log_var), "distortion": distortion}
        spent = {"distortion": self.distortion * distortion, "adversarial": self.adversarial * (cost + more)}
        spent |= due(real, made, G, z_p)
        engine.move({"encoder": found, "generator": spent, "discriminator": told})
        engine.show(real=x, fake=made.x)
        adapt((loss, *alter, *augment), real.logits, made.logits, batch=len(x), clock=engine.clock)

    def distorted(self, real: Scored, rebuilt: Scored) -> Tensor:
        """|f(x) - f(x')|^2 / 2, summed over features, mean over samples, []."""
        if real.critic.augmentations:
            critic = Critic(real.critic.network, (), self.pack, precise=real.critic.precise)
            real, rebuilt = (critic(one.x, label=one.given["label"]) for one in (real, rebuilt))
        assert real.features is not None
        assert rebuilt.features is not None
        return (real.features.detach().float() - rebuilt.features.float()).square().flatten(1).sum(1).mean() / 2

    def model(self, networks: Mapping[str, nn.Module], signals: Signals) -> Model:
        """Generator and encoder: samples of latents, the likeliest latents of samples, and samples of those."""
        G, E = networks["generator"], networks["encoder"]
        parts = self.encoder.network, self.generator.network
        tasks = autoencoding(means(E, self.latent.size), G, parts, self.latent, signals)
        return Model({"generator": G, "encoder": E}, tasks)
