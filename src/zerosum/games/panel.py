"""A generator against a panel of discriminators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from zerosum.core.engine import Engine
from zerosum.core.game import Feed
from zerosum.core.player import Player
from zerosum.core.registry import register
from zerosum.core.values import Count, NonNegative
from zerosum.critic import Critic, Regularization, adapt, charge, distinguish, verdicts
from zerosum.games.adversarial import Adversarial, bound_parts, real_batch


@register("game", "panel")
@dataclass(frozen=True)
class PanelGame(Adversarial):
    """Several discriminators, each with a loss of its own; the generator pays a mixture of what they charge.

    GMAN, Durugkar, Gemp & Mahadevan 2017. With L_i the generator's loss against discriminator i, the generator pays
    F = the mean, the largest, or sum_i w_i L_i with w = softmax(sharpness * L), which leads from the one to the other.
    Weights are differentiated too, dF/dL_i = w_i (1 + sharpness (L_i - F)), so a discriminator whose loss is more than
    1 / sharpness below F has its say reversed. The paper's V_i also has the discriminator's real term; here, as in the
    authors' code, weights follow the generator's losses alone.

    All discriminators are made after one description and differ by their first weights, their dropout and, unless
    `shared`, their batches. The generator shows one batch of fakes to all of them; the authors' code divides one, which
    would leave it to chance who is the strictest. A regularizer of the generator counts as its mean over the panel,
    but one that remembers is asked once, before the first discriminator. What adapts (an objective, an augmentation)
    has one state for the panel and sees the logits of all, one after the other.
    """

    discriminators: Count = 3  # members of the panel
    aggregation: Literal["mean", "softmax", "max"] = "softmax"  # how the generator's losses against them are mixed
    sharpness: NonNegative = 1.0  # softmax: how far weights lean to the largest loss; 0: not at all
    shared: bool = False  # true: all members see the same batch; false: each draws one, so a turn takes several

    def players(self) -> dict[str, Player]:
        """The players by name: discriminator-1, discriminator-2, ..., generator."""
        panel = {f"discriminator-{i + 1}": self.discriminator for i in range(self.discriminators)}
        return {**panel, "generator": self.generator}

    def step(self, feed: Feed, engine: Engine) -> None:
        """Each discriminator moves, as often as it is told; then the generator."""
        G = engine.network("generator")
        loss, alter, augment = bound_parts(self, engine)
        panel = [name for name in self.players() if name != "generator"]
        judged: dict[str, Tensor] = {}
        for _ in range(self.discriminator_updates):
            for name in panel:
                if name == panel[0] or not self.shared:
                    x, label = real_batch(feed, alter)
                    z = engine.draw(self.latent, len(x))
                    with torch.no_grad():
                        generated = G(z, label)
                due = Regularization(self.regularizers, name, engine)
                critic = Critic(engine.network(name), augment, self.pack, precise=bool(due.tracks))
                real = critic(x, track="real" in due.tracks, label=label)
                fake = critic(generated, track="fake" in due.tracks, label=label)
                cost = distinguish(loss, real, fake)
                engine.watch(**verdicts(real, fake, name.removeprefix("discriminator")))
                engine.update(name, adversarial=cost, **due(real, fake, G, z))
                judged[name] = real.logits
        generated = G(z := engine.draw(self.latent, len(x)), label)
        due = Regularization(self.regularizers, "generator", engine)
        critics = [Critic(engine.network(name), augment, self.pack) for name in panel]
        met = [(critic(x, grad=False, label=label), critic(generated, label=label)) for critic in critics]
        costs = [self.adversarial * charge(loss, fake, real, self.selection, engine.clock) for real, fake in met]
        mixture = self.aggregate(engine.team.mean(torch.stack(costs)))
        engine.update("generator", adversarial=mixture, **due.mean(met, G, z))
        engine.show(real=x, fake=generated)
        both = torch.cat(list(judged.values())), torch.cat([fake.logits for _, fake in met])
        adapt((loss, *alter, *augment), *both, batch=len(x), clock=engine.clock)

    def aggregate(self, losses: Tensor) -> Tensor:
        """What the generator pays, [], from its losses against each discriminator, [discriminators]."""
        match self.aggregation:
            case "mean":
                return losses.mean()
            case "max":
                return losses.amax()
        return (torch.softmax(self.sharpness * losses, 0) * losses).sum()
