"""A generator of images (or points) against a discriminator: GAN, DCGAN, LSGAN, WGAN, WGAN-GP, hinge, relativistic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from zerosum.core.engine import Engine
from zerosum.core.game import Feed
from zerosum.core.player import Player
from zerosum.core.registry import Part, register, slot
from zerosum.core.round import Round
from zerosum.core.values import Count


@register("game", "image")
@dataclass(frozen=True)
class ImageGame(Part):
    """Alternating updates of a discriminator and a generator (Goodfellow et al. 2014, algorithm 1)."""

    product: ClassVar[str] = "generator"

    generator: Player = slot("player")  # turns latents into images
    discriminator: Player = slot("player")  # turns images into logits; higher looks more real
    objective: Any = slot("objective")  # adversarial loss
    latent: Any = slot("latent")  # where latents come from
    regularizers: tuple[Any, ...] = slot("regularizer", ())  # further losses of either player
    discriminator_updates: Count = 1  # discriminator updates for each generator update
    fresh_fakes: bool = True  # false: the generator's move reuses the fakes of the last discriminator's move

    def players(self) -> dict[str, Player]:
        """The two players."""
        return {"discriminator": self.discriminator, "generator": self.generator}

    def step(self, feed: Feed, engine: Engine) -> None:
        """Several moves of the discriminator, then one of the generator."""
        G, D, objective = engine.network("generator"), engine.network("discriminator"), self.objective

        for move in range(self.discriminator_updates):
            real, label = feed.next()
            reused = not self.fresh_fakes and move == self.discriminator_updates - 1
            with torch.set_grad_enabled(reused):
                z = self.latent(len(real), real.device)
                fake = G(z, label)
            r = Round(G, D, real, fake.detach(), label, z).track(engine.due("discriminator"))
            with r.precision():
                r.real_logits, r.fake_logits = D(r.real, label), D(r.fake, label)
            engine.ledger.watch(real_logit=r.real_logits.mean(), fake_logit=r.fake_logits.mean())
            loss = objective.discriminator(r.real_logits, r.fake_logits)
            engine.update("discriminator", adversarial=loss, **engine.extras("discriminator", r))

        if self.fresh_fakes:
            z = self.latent(len(real), real.device)
            fake = G(z, label)
        r = Round(G, D, real, fake, label, z)
        r.fake_logits = D(fake, label)
        if objective.pairs:
            with torch.no_grad():
                r.real_logits = D(real, label)
        loss = objective.generator(r.fake_logits, r.real_logits)
        engine.update("generator", adversarial=loss, **engine.extras("generator", r))

    def sample(self, generator: nn.Module, latent: Tensor, label: Tensor | None) -> Tensor:
        """Images [N, C, H, W] in [-1, 1], or points [N, D], from latents [N, K]."""
        return generator(latent, label)
