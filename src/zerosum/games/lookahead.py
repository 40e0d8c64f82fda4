"""A generator that plays against the discriminator of some steps ahead."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zerosum.core.engine import Engine
from zerosum.core.game import Feed
from zerosum.core.registry import register
from zerosum.core.signals import Signals
from zerosum.core.values import Count, Natural
from zerosum.critic import Critic, Regularization, adapt, charge, distinguish, verdicts
from zerosum.games.adversarial import Adversarial, bound_parts, real_batch
from zerosum.games.ahead import Ahead
from zerosum.protocols import Objective
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

    def faults(self, signals: Signals, batch: int | None) -> list[str]:
        """What speaks against this game before it begins."""
        optimizer, faults = self.discriminator.optimizer, super().faults(signals, batch)
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
        G, D = engine.networks("generator", "discriminator")
        loss, alter, augment = bound_parts(self, engine)
        for _ in range(self.discriminator_updates):
            x, label = real_batch(feed, alter)
            z = engine.draw(self.latent, len(x))
            with torch.no_grad():
                generated = G(z, label)
            due = Regularization(self.regularizers, "discriminator", engine)
            critic = Critic(D, augment, self.pack, precise=bool(due.tracks))
            real = critic(x, track="real" in due.tracks, label=label)
            fake = critic(generated, track="fake" in due.tracks, label=label)
            cost = distinguish(loss, real, fake)
            engine.watch(**verdicts(real, fake))
            engine.update("discriminator", adversarial=cost, **due(real, fake, G, z))
        judged = real.logits
        for _ in range(self.generator_updates):
            z = engine.draw(self.latent, len(x))
            generated = G(z, label)
            due = Regularization(self.regularizers, "generator", engine)
            critic = unrolled(engine, loss, Critic(D, augment, self.pack), self.depth, x, generated, label)
            real, fake = critic(x, grad=self.depth > 0, label=label), critic(generated, label=label)
            if self.zero_sum:
                cost = -self.adversarial * distinguish(loss, real, fake)
            else:
                cost = self.adversarial * charge(loss, fake, real, self.selection, engine.clock)
            engine.update("generator", adversarial=cost, **due(real, fake, G, z))
        engine.show(real=x, fake=generated)
        adapt((loss, *alter, *augment), judged, fake.logits, batch=len(x), clock=engine.clock)


def unrolled(
    engine: Engine, loss: Objective, critic: Critic, depth: int, x: Tensor, generated: Tensor, label: Tensor | None
) -> Critic:
    """The critic after some differentiable steps of the discriminator's optimizer on its objective at these samples."""
    if not depth:
        return critic
    learner, D = engine.learners["discriminator"], engine.network("discriminator")
    rule, rate = learner.player.optimizer, learner.optimizer.param_groups[0]["lr"]
    assert hasattr(rule, "ahead"), "`faults` refuses others"
    live = {name: weight for name, weight in D.named_parameters() if weight.requires_grad}
    moments = {name: dict(learner.optimizer.state.get(weight, {})) for name, weight in live.items()}
    weights: dict[str, Tensor] = {**live}
    ahead = Ahead(D, weights)
    ahead_critic = Critic(ahead, critic.augmentations, critic.pack)
    for _ in range(depth):
        cost = distinguish(loss, ahead_critic(x, label=label), ahead_critic(generated, label=label))
        with torch.autocast(engine.device.type, enabled=False):
            gradients = torch.autograd.grad(cost.float(), tuple(weights.values()), create_graph=True, allow_unused=True)
        for name, gradient in zip(tuple(weights), gradients, strict=True):
            if gradient is not None:
                joint = engine.team.mean(gradient)
                weights[name], moments[name] = rule.ahead(weights[name], joint, moments[name], rate)
        ahead.move(weights)
    return ahead_critic
