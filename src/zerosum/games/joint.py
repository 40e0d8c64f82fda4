"""A generator and a reconstructor of its latents, against a discriminator of pairs of sample and latent."""

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
from zerosum.core.registry import register, slot
from zerosum.core.signals import Batch, Signal, Signals, Wiring
from zerosum.core.values import NonNegative
from zerosum.critic import Critic, Regularization, adapt, charge, distinguish, verdicts
from zerosum.games.adversarial import Adversarial, bound_parts, real_batch
from zerosum.games.tasks import autoencoding


@register("game", "joint")
@dataclass(frozen=True, kw_only=True)
class JointGame(Adversarial):
    """A reconstructor finds the latent of every sample, and the discriminator judges samples beside latents.

    VEEGAN, Srivastava et al. 2017, algorithm 1. Real is the pair of a sample x and a latent drawn from
    N(F(x), noise^2 I), with F the reconstructor; fake is the pair of G(z) and z. (The paper gives fakes the high logit,
    here as everywhere they have the low one.) Generator and reconstructor share a goal: the objective's generator loss
    plus reconstruction * E |z - F(G(z))|^2, the square summed over the numbers of a latent. The first term looks at
    G(z) and z alone, so F learns from the second only; that F occurs in the discriminator's loss is not F's to mind.

    In the authors' code noise is 1 and the reconstruction the log-likelihood of that normal, so its weight is 0.5; the
    generator's loss is minus its logit. Without noise the latents of real samples lie on a surface, which tells them
    from those of fakes.

    The paper moves all players at once. Here the discriminator moves first, then the reconstructor, then the generator:
    each meets the others as they are by then, the last two with the same latents and fakes. The reconstructor sees
    samples as they are, the discriminator sees them through the augmentations. Gradient penalties hold the latent
    fixed and are about the sample.
    """

    roles: ClassVar[dict[str, frozenset[str]]] = {
        "generator": frozenset({"generator"}),
        "discriminator": frozenset({"discriminator", "joint"}),
        "reconstructor": frozenset({"encoder"}),
    }

    reconstructor: Player = slot("player")  # turns samples into latents
    reconstruction: NonNegative = 1.0  # weight of |z - F(G(z))|^2, in the loss of generator and reconstructor
    noise: NonNegative = 1.0  # standard deviation of the latents that it gives real samples, around its output

    def players(self) -> dict[str, Player]:
        """The players by name."""
        return {**super().players(), "reconstructor": self.reconstructor}

    def networks(self, signals: Signals) -> dict[str, Wiring]:
        """The discriminator sees samples beside latents, the reconstructor turns samples into latents."""
        wirings, latent = super().networks(signals), {"latent": Signal("latent", (self.latent.size,))}
        judged = wirings["discriminator"]
        return {
            **wirings,
            "discriminator": judged._replace(inputs={**judged.inputs, **latent}),
            "reconstructor": Wiring({**signals}, latent, ("reconstructor",)),
        }

    def scores(self, networks: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Logits of real samples beside their latents."""
        x, label = batch["sample"], batch.get("label")
        return {"discriminator": networks["discriminator"](x, label, networks["reconstructor"](x, label))}

    def model(self, networks: Mapping[str, nn.Module], signals: Signals) -> Model:
        """Generator and reconstructor: samples of latents, and latents of samples."""
        G, F = networks["generator"], networks["reconstructor"]
        parts = self.reconstructor.network, self.generator.network
        tasks = autoencoding(F, G, parts, self.latent, signals)
        return Model({"generator": G, "reconstructor": F}, tasks)

    def step(self, feed: Feed, engine: Engine) -> None:
        """Several moves of the discriminator, one of the reconstructor, one of the generator."""
        G, D, F = engine.networks("generator", "discriminator", "reconstructor")
        loss, alter, augment = bound_parts(self, engine)
        for _ in range(self.discriminator_updates):
            x, label = real_batch(feed, alter)
            z = engine.draw(self.latent, len(x))
            with torch.no_grad():
                generated, inferred = G(z, label), self.noisy(F(x, label))
            due = Regularization(self.regularizers, "discriminator", engine)
            critic = Critic(D, augment, self.pack, precise=bool(due.tracks))
            real = critic(x, track="real" in due.tracks, label=label, latent=inferred)
            fake = critic(generated, track="fake" in due.tracks, label=label, latent=z)
            cost = distinguish(loss, real, fake)
            engine.watch(**verdicts(real, fake))
            engine.update("discriminator", adversarial=cost, **due(real, fake, G, z))
        judged = real.logits
        z = engine.draw(self.latent, len(x))
        generated = G(z, label)
        engine.update("reconstructor", reconstruction=self.reconstruction * lost(F(generated.detach(), label), z))

        due = Regularization(self.regularizers, "generator", engine)
        critic = Critic(D, augment, self.pack)
        real = critic(x, grad=False, label=label, latent=inferred)
        fake = critic(generated, label=label, latent=z)
        cost = self.adversarial * charge(loss, fake, real, self.selection, engine.clock)
        reconstruction = self.reconstruction * lost(F(generated, label), z)
        engine.update("generator", adversarial=cost, reconstruction=reconstruction, **due(real, fake, G, z))
        engine.show(real=x, fake=generated)
        adapt((loss, *alter, *augment), judged, fake.logits, batch=len(x), clock=engine.clock)

    def noisy(self, latent: Tensor) -> Tensor:
        """Inferred latents [N, K] as the discriminator sees them."""
        return latent + self.noise * torch.randn_like(latent) if self.noise else latent


def lost(inferred: Tensor, latent: Tensor) -> Tensor:
    """What latents lose on their way through generator and reconstructor: squared distance, mean over samples, []."""
    return (latent.float() - inferred.float()).square().sum(1).mean()
