"""A generator of images (or points) against a discriminator, update by update."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from zerosum.core.engine import Engine
from zerosum.core.game import Feed
from zerosum.core.registry import register
from zerosum.core.values import Count
from zerosum.games.adversarial import Adversarial


@register("game", "image")
@dataclass(frozen=True)
class ImageGame(Adversarial):
    """Alternating updates of a discriminator and a generator (Goodfellow et al. 2014, algorithm 1)."""

    generator_updates: Count = 1  # generator updates in a turn, after those of the discriminator
    fresh_fakes: bool = True  # false: the generator's move reuses the fakes of the last discriminator's move

    def step(self, feed: Feed, engine: Engine) -> None:
        """Several moves of the discriminator, then those of the generator."""
        for move in range(self.discriminator_updates):
            real, label = self.draw(feed)
            reused = not self.fresh_fakes and move == self.discriminator_updates - 1
            with torch.set_grad_enabled(reused):
                z, fake = self.generate(engine, len(real), label)
            r = self.open(engine, "discriminator", real=real, fake=fake.detach(), label=label, latent=z)
            judged = self.train_discriminator(engine, r)

        for move in range(self.generator_updates):
            if self.fresh_fakes or move:
                z, fake = self.generate(engine, len(real), label)
            r = self.open(engine, "generator", real=real, fake=fake, label=label, latent=z)
            made = self.train_generator(engine, r)

        self.close(engine, judged, made)
