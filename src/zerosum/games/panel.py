"""A generator against a panel of discriminators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from zerosum.core.engine import Engine
from zerosum.core.game import Feed, role
from zerosum.core.player import Player
from zerosum.core.registry import register
from zerosum.core.round import Round
from zerosum.core.values import Count, NonNegative
from zerosum.games.adversarial import Adversarial


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
        panel = [name for name in engine.seats if role(name) == "discriminator"]
        judged: dict[str, Round] = {}
        for _ in range(self.discriminator_updates):
            for name in panel:
                if name == panel[0] or not self.shared:
                    real, label = self.draw(feed)
                    with torch.no_grad():
                        z, fake = self.generate(engine, len(real), label)
                r = self.open(engine, name, against=name, real=real, fake=fake, label=label, latent=z)
                judged[name] = self.train_discriminator(engine, r, name)

        z, fake = self.generate(engine, len(real), label)
        made = [
            self.open(engine, "generator", against=name, real=real, fake=fake, label=label, latent=z) for name in panel
        ]
        loss = self.aggregate(torch.stack([self.generator_loss(engine, r) for r in made]))
        engine.update("generator", adversarial=loss, **self.charges(engine, made))
        self.close(engine, together(list(judged.values())), together(made))

    # ------------------------------------------------------------------ parts of a step

    def aggregate(self, losses: Tensor) -> Tensor:
        """What the generator pays, [], from its losses against each discriminator, [discriminators]."""
        match self.aggregation:
            case "mean":
                return losses.mean()
            case "max":
                return losses.amax()
        return (torch.softmax(self.sharpness * losses, 0) * losses).sum()

    def charges(self, engine: Engine, made: list[Round]) -> dict[str, Tensor]:
        """Losses of the generator's due regularizers, by name; one that remembers must not be asked more than once."""
        found = {}
        for part in engine.due("generator"):
            memory = engine.memory.get(f"generator.{part.name}")
            asked = made if memory is None else made[:1]
            found[part.name] = torch.stack([part(r, {} if memory is None else memory) for r in asked]).mean()
        return found


def together(rounds: list[Round]) -> Round:
    """The first round with the logits of all rounds, one after the other."""
    first = rounds[0]
    for name in ("real_logits", "fake_logits"):
        logits = [getattr(r, name) for r in rounds]
        setattr(first, name, None if logits[0] is None else torch.cat(logits).detach())
    return first
