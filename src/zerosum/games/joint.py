"""A generator and a reconstructor of its latents, against a discriminator of pairs of sample and latent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from zerosum.core.engine import Engine
from zerosum.core.game import Feed
from zerosum.core.player import Player
from zerosum.core.registry import register, slot
from zerosum.core.values import NonNegative
from zerosum.games.adversarial import Adversarial


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

    def wire(
        self, networks: dict[str, nn.Module], real: Tensor, latent: Tensor, label: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Fakes, and logits of real samples beside their latents."""
        inferred = networks["reconstructor"](real, label)
        logits = networks["discriminator"](real, label, inferred)
        return self.sample(networks["generator"], latent, label), {"discriminator": logits}

    def step(self, feed: Feed, engine: Engine) -> None:
        """Several moves of the discriminator, one of the reconstructor, one of the generator."""
        for _ in range(self.discriminator_updates):
            real, label = self.draw(feed)
            with torch.no_grad():
                z, fake = self.generate(engine, len(real), label)
                pairs = {"real": self.infer(engine, real, label), "fake": z}
            r = self.open(engine, "discriminator", real=real, fake=fake, label=label, latent=z, beside=pairs)
            judged = self.train_discriminator(engine, r)

        z, fake = self.generate(engine, len(real), label)
        engine.update("reconstructor", reconstruction=self.reconstruct(engine, fake.detach(), z, label))

        r = self.open(engine, "generator", real=real, fake=fake, label=label, latent=z, beside={**pairs, "fake": z})
        losses = {
            "adversarial": self.generator_loss(engine, r),
            "reconstruction": self.reconstruct(engine, fake, z, label),
        }
        engine.update("generator", **losses, **engine.extras("generator", r))
        self.close(engine, judged, r)

    # ------------------------------------------------------------------ parts of a step

    def infer(self, engine: Engine, real: Tensor, label: Tensor | None) -> Tensor:
        """Latents of real samples, [N, K], noise and all."""
        latent = engine.network("reconstructor")(real, label)
        return latent + self.noise * torch.randn_like(latent) if self.noise else latent

    def reconstruct(self, engine: Engine, fake: Tensor, latent: Tensor, label: Tensor | None) -> Tensor:
        """What latents lose on their way through generator and reconstructor, []."""
        found = engine.network("reconstructor")(fake, label)
        return self.reconstruction * (latent.float() - found.float()).square().sum(1).mean()
