"""A generator of images (or points) against a discriminator, update by update."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from zerosum.core.engine import Engine
from zerosum.core.game import Feed
from zerosum.core.registry import register
from zerosum.core.values import Count
from zerosum.critic import Critic, Regularization, adapt, charge, distinguish, verdicts
from zerosum.games.adversarial import Adversarial, bound_parts, real_batch


@register("game", "image")
@dataclass(frozen=True)
class ImageGame(Adversarial):
    """Alternating updates of a discriminator and a generator (Goodfellow et al. 2014, algorithm 1)."""

    generator_updates: Count = 1  # generator updates in a turn, after those of the discriminator
    fresh_fakes: bool = True  # false: the generator's move reuses the fakes of the last discriminator's move

    def step(self, feed: Feed, engine: Engine) -> None:
        """Several moves of the discriminator, then those of the generator."""
        G, D = engine.networks("generator", "discriminator")
        loss, alter, augment = bound_parts(self, engine)
        for move in range(self.discriminator_updates):
            x, label = real_batch(feed, alter)
            z = engine.draw(self.latent, len(x))
            with torch.set_grad_enabled(not self.fresh_fakes and move == self.discriminator_updates - 1):
                generated = G(z, label)
            due = Regularization(self.regularizers, "discriminator", engine)
            critic = Critic(D, augment, self.pack, precise=bool(due.tracks))
            real = critic(x, track="real" in due.tracks, label=label)
            fake = critic(generated.detach(), track="fake" in due.tracks, label=label)
            cost = distinguish(loss, real, fake)
            engine.watch(**verdicts(real, fake))
            engine.update("discriminator", adversarial=cost, **due(real, fake, G, z))
        judged = real.logits

        for move in range(self.generator_updates):
            if self.fresh_fakes or move:
                z = engine.draw(self.latent, len(x))
                generated = G(z, label)
            due = Regularization(self.regularizers, "generator", engine)
            critic = Critic(D, augment, self.pack)
            real, fake = critic(x, grad=False, label=label), critic(generated, label=label)
            cost = self.adversarial * charge(loss, fake, real, self.selection, engine.clock)
            engine.update("generator", adversarial=cost, **due(real, fake, G, z))
        engine.show(real=x, fake=generated)
        adapt((loss, *alter, *augment), judged, fake.logits, batch=len(x), clock=engine.clock)
