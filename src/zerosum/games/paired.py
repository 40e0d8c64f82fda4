"""A translator that learns from pairs, against a discriminator that sees inputs beside outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from zerosum.core.engine import Engine
from zerosum.core.game import Feed
from zerosum.core.model import Model
from zerosum.core.player import Player
from zerosum.core.registry import Part, register, slot
from zerosum.core.signals import Batch, Signal, Signals, Wiring
from zerosum.core.slots import Regularizer
from zerosum.core.values import NonNegative
from zerosum.critic import Critic, Regularization, adapt, charge, distinguish, verdicts
from zerosum.games.adversarial import bound_parts
from zerosum.games.domain import distance
from zerosum.games.tasks import translation
from zerosum.games.translation_checks import translation_faults
from zerosum.protocols import Augmentation, Objective
from zerosum.selection import All


@register("game", "paired")
@dataclass(frozen=True)
class PairedGame(Part):
    """A translator that is trained on pairs of input and target; the discriminator judges an output beside its input.

    pix2pix, Isola et al. 2017, eq. 1 to 4. For input x and target y the generator pays
    adversarial * L(D(x, G(x))) + distance * E|G(x) - y|, a mean over pixels; the discriminator pays
    judging * L(D(x, y), D(x, G(x))), which slows it down beside the generator (section 3.3). Input and output are
    joined along their channels. Augmentations change both halves of a pair alike; those of where=real act before G
    sees its input.
    """

    roles: ClassVar[dict[str, frozenset[str]]] = {
        "generator": frozenset({"translator"}),
        "discriminator": frozenset({"discriminator"}),
    }
    pack: ClassVar[int] = 1

    generator: Player = slot("player")  # turns inputs into outputs
    discriminator: Player = slot("player")  # turns inputs beside outputs into logits; higher looks more real
    objective: Objective = slot("objective")  # adversarial loss
    regularizers: tuple[Regularizer, ...] = slot("regularizer", ())  # further losses of either player
    augmentations: tuple[Augmentation, ...] = slot("augmentation", ())  # what happens to pairs, in their order
    adversarial: NonNegative = 1.0  # weight of the objective in the generator's loss; 0: the distance alone teaches it
    distance: NonNegative = 100.0  # weight of the mean difference of a pixel from the target
    judging: NonNegative = 0.5  # weight of the objective in the discriminator's loss
    conditional: bool = True  # false: the discriminator sees outputs alone

    def players(self) -> dict[str, Player]:
        """The players by name."""
        return {"discriminator": self.discriminator, "generator": self.generator}

    def networks(self, signals: Signals) -> dict[str, Wiring]:
        """What the networks receive and give, by name."""
        given, wanted = signals["input"], signals["target"]
        channels = wanted.shape[0] + (given.shape[0] if self.conditional else 0)
        judged = {"sample": replace(wanted, shape=(channels, *wanted.shape[1:]))}
        return {
            "discriminator": Wiring(judged, {"logit": Signal("logit")}, ("discriminator",)),
            "generator": Wiring({"input": given}, {"target": wanted}, ("generator",)),
        }

    def faults(self, signals: Signals, batch: int | None) -> list[str]:  # noqa: ARG002
        """What does not fit."""
        if not {"input", "target"} <= signals.keys():
            return [
                "game 'paired' needs pairs, input and target, and these data have none; set data.pairs=files where "
                "they hold both, or a way to make the input, such as data.pairs=edges"
            ]
        return translation_faults(self, signals, frozenset({"source"}))  # what is made belongs to a real sample

    def scores(self, networks: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Logits of real pairs."""
        return {"discriminator": networks["discriminator"](self.seen(batch["input"], batch["target"]))}

    def model(self, networks: Mapping[str, nn.Module], signals: Signals) -> Model:
        """The translator."""
        G, given, wanted = networks["generator"], {"input": signals["input"]}, {"target": signals["target"]}
        return Model({"generator": G}, {"translate": translation(G, given, wanted)})

    def step(self, feed: Feed, engine: Engine) -> None:
        """One move of the discriminator, then one of the generator with the same outputs."""
        G, D = engine.networks("generator", "discriminator")
        loss, alter, augment = bound_parts(self, engine)
        x, y = altered(feed.next(), alter)
        made, views = G(x), self.views(augment, x)
        due = Regularization(self.regularizers, "discriminator", engine)
        critic = Critic(D, views, precise=bool(due.tracks))
        real = critic(self.seen(x, y), track="real" in due.tracks)
        fake = critic(self.seen(x, made.detach()), track="fake" in due.tracks)
        cost = self.judging * distinguish(loss, real, fake)
        engine.watch(**verdicts(real, fake))
        engine.update("discriminator", adversarial=cost, **due(real, fake, G, None))
        judged = real.logits

        due = Regularization(self.regularizers, "generator", engine)
        critic = Critic(D, views)
        real, fake = critic(self.seen(x, y), grad=False), critic(self.seen(x, made))
        cost = self.adversarial * charge(loss, fake, real, All(), engine.clock)
        away = self.distance * distance(made, y)
        engine.update("generator", adversarial=cost, distance=away, **due(real, fake, G, None, (y, made)))
        engine.show(real=y, fake=made)
        adapt((loss, *alter, *augment), judged, fake.logits, batch=len(x), clock=engine.clock)

    def seen(self, x: Tensor, y: Tensor) -> Tensor:
        """What the discriminator sees of inputs and outputs, [N, C, H, W]."""
        return torch.cat([x, y], 1) if self.conditional else y

    def views(self, augmentations: Sequence[Augmentation], x: Tensor) -> list[Callable[[Tensor], Tensor]]:
        """Augmentations of what the discriminator sees beside such inputs."""
        return [partial(joined, one, x.shape[1]) for one in augmentations] if self.conditional else [*augmentations]


def altered(batch: Batch, augmentations: Sequence[Augmentation]) -> tuple[Tensor, Tensor]:
    """Inputs and targets after the augmentations that belong to real pairs alone."""
    x, y = batch["input"], batch["target"]
    for augmentation in augmentations:
        x, y = joined(augmentation, x.shape[1], torch.cat([x, y], 1)).split([x.shape[1], y.shape[1]], 1)
    return x, y


def joined(augmentation: Callable[[Tensor], Tensor], channels: int, pairs: Tensor) -> Tensor:
    """Change both halves of pairs [N, C, H, W], the first of so many channels, by the same random numbers.

    A grey half beside one in colour is changed as the colours that it is.
    """
    source = torch if pairs.device.type == "cpu" else torch.get_device_module(pairs.device)
    state, halves = source.get_rng_state(), pairs.tensor_split([channels], 1)
    wide, changed = max(half.shape[1] for half in halves), []
    for half in halves:
        source.set_rng_state(state)
        grey = half.shape[1] < wide
        one = augmentation(half.expand(-1, wide, -1, -1) if grey else half)
        changed.append(one.mean(1, keepdim=True) if grey else one)
    return torch.cat(changed, 1)
