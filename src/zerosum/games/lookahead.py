"""A generator that plays against the discriminator of some steps ahead."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from zerosum.core.engine import Engine
from zerosum.core.game import Feed
from zerosum.core.registry import register
from zerosum.core.round import Round
from zerosum.core.space import Space
from zerosum.core.values import Count, Natural
from zerosum.games.adversarial import Adversarial
from zerosum.games.ahead import Ahead
from zerosum.selection import All


@register("game", "lookahead")
@dataclass(frozen=True)
class LookaheadGame(Adversarial):
    """The generator pays at an unrolled discriminator, and sees how that would answer (Metz et al. 2017, eq. 7-10).

    The discriminator moves as in any game, by ordinary updates. The generator then pays the objective, and its
    regularizers, at a discriminator `depth` steps ahead, and the gradient flows back through these steps too:
    d/dG f(G, D_K(G)), where D_k+1 = D_k - (the optimizer's step on the discriminator's objective at G, D_k). All steps
    see the batch of the generator's move, and begin at the discriminator's weights, moments and learning rate of that
    moment. They follow the objective alone: the discriminator's regularizers and rules stay outside. Augmentations and
    dropout draw afresh for each. The live discriminator, its buffers and its optimizer do not notice them.

    The paper's f is the whole value of the minimax game. Its term of the real samples has no gradient for a generator
    that plays the discriminator of the moment, but it has one through the steps: `zero_sum` with objective=minimax.
    """

    depth: Natural = 5  # steps of the discriminator that the generator looks ahead; 0: the image game
    generator_updates: Count = 1  # generator updates in a turn, each looking ahead anew
    zero_sum: bool = False  # true: the generator pays minus all that the discriminator pays there, for real samples too

    def faults(self, space: Space) -> list[str]:  # noqa: ARG002 - true of any space
        """What speaks against this game before it begins."""
        optimizer, faults = self.discriminator.optimizer, []
        if self.depth and not hasattr(optimizer, "ahead"):
            faults.append(
                f"game {self.name!r} differentiates the discriminator's steps, and optimizer {optimizer.name!r} has no "
                "ahead(weight, gradient, moments, lr); set discriminator.optimizer=adam, or depth=0"
            )
        if self.zero_sum and hasattr(self.objective, "memory"):
            faults.append(
                f"objective {self.objective.name!r} with zero_sum=true: what it remembers weighs the discriminator's "
                "loss alone, so minus that is no loss of the generator's; set zero_sum=false, or objective=minimax"
            )
        if self.zero_sum and not isinstance(self.selection, All):
            faults.append(
                f"selection {self.selection.name!r} with zero_sum=true: the discriminator pays for all samples, the "
                "generator minus that; set selection=all, or zero_sum=false"
            )
        return faults

    def step(self, feed: Feed, engine: Engine) -> None:
        """Several moves of the discriminator, then those of the generator against what that would become."""
        for _ in range(self.discriminator_updates):
            real, label = self.draw(feed)
            with torch.no_grad():
                z, fake = self.generate(engine, len(real), label)
            r = self.open(engine, "discriminator", real=real, fake=fake, label=label, latent=z)
            judged = self.train_discriminator(engine, r)

        for _ in range(self.generator_updates):
            z, fake = self.generate(engine, len(real), label)
            r = self.open(engine, "generator", real=real, fake=fake, label=label, latent=z)
            if self.depth:
                r.discriminator, r.ahead = self.unroll(engine, r), True
            made = self.train_generator(engine, r)

        self.close(engine, judged, made)

    def generator_loss(self, engine: Engine, r: Round) -> Tensor:
        """What the generator pays at the discriminator of the round."""
        if not self.zero_sum:
            return super().generator_loss(engine, r)
        r.look("real", "fake")
        return -self.adversarial * self.objective.discriminator(
            r.real_logits, r.fake_logits, **engine.recall(self.objective)
        )

    def unroll(self, engine: Engine, r: Round) -> Ahead:
        """The discriminator after `depth` differentiable steps on a round of the generator."""
        seat = engine.seats["discriminator"]
        rule, rate = seat.player.optimizer, seat.optimizer.param_groups[0]["lr"]
        live = {name: weight for name, weight in seat.module.named_parameters() if weight.requires_grad}
        moments = {name: dict(seat.optimizer.state.get(weight, {})) for name, weight in live.items()}
        weights: dict[str, Tensor] = {**live}
        there = Ahead(seat.module, weights)
        for _ in range(self.depth):
            for name, gradient in self._gradients(engine, r, there, weights).items():
                weights[name], moments[name] = rule.ahead(weights[name], gradient, moments[name], rate)
            there.move(weights)
        return there

    def _gradients(self, engine: Engine, r: Round, there: Ahead, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Gradients of the discriminator's objective, with their graph, for the weights that it depends on."""
        seen = replace(r, player="discriminator", discriminator=there, features={}).look("real", "fake")
        loss = self.objective.discriminator(seen.real_logits, seen.fake_logits, **engine.recall(self.objective))
        with torch.autocast(engine.device.type, enabled=False):
            gradients = torch.autograd.grad(loss.float(), tuple(weights.values()), create_graph=True, allow_unused=True)
        return {name: one for name, one in zip(weights, gradients, strict=True) if one is not None}
