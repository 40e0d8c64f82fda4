"""A generator of further images of a class, against a discriminator of pairs of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from zerosum.core.engine import Engine
from zerosum.core.errors import RecipeError
from zerosum.core.game import Feed
from zerosum.core.registry import register
from zerosum.core.round import Round
from zerosum.core.space import Space
from zerosum.games.adversarial import Adversarial

UNLABELLED = (
    "game 'pairs' needs 'labels': it pairs images of one class, and these data have no classes; sort the images into "
    "one sub-folder a class, or choose a recipe of another game"
)


@register("game", "pairs")
@dataclass(frozen=True)
class PairsGame(Adversarial):
    """Pairs of images of one class: two real ones, or a real one and what the generator made of it.

    Data augmentation GAN, Antoniou, Storkey & Edwards 2018. The generator is called with latent, label and source, a
    real image; the discriminator with sample, label and the source beside it, and learns to tell another real image of
    that class from G(z, source). So a copy of the source is no good fake: no real pair has one image twice.

    An image finds its partner in its batch. One that is alone there, or beside a copy of itself, finds it among the
    last images of its class, which the generator keeps; if it finds none, pairs that were found are taken again in its
    place. `paired` in the logs is the share that found one. That memory makes the generator sample without data, so
    WHAT IS SAVED OF THE GENERATOR CONTAINS TRAINING IMAGES. Augmentations of `where=both` change the sample alone, not
    the source beside it.

    Raises:
        RecipeError: the data have no classes.
    """

    roles: ClassVar[dict[str, frozenset[str]]] = {
        "generator": frozenset({"generator", "source"}),
        "discriminator": frozenset({"discriminator", "pairs"}),
    }

    def faults(self, space: Space) -> list[str]:
        """Without classes there are no pairs."""
        return [] if space.classes else [UNLABELLED]

    def wire(
        self, networks: dict[str, nn.Module], real: Tensor, latent: Tensor, label: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Fakes, and logits of real pairs."""
        logits = {"discriminator": networks["discriminator"](real, label, real)}
        return networks["generator"](latent, label, real), logits

    def step(self, feed: Feed, engine: Engine) -> None:
        """Several moves of the discriminator, then one of the generator from the last sources."""
        for _ in range(self.discriminator_updates):
            source, partner, label = self.pair(feed, engine)
            judged = self.train_discriminator(engine, self.exchange(engine, "discriminator", source, partner, label))
        made = self.train_generator(engine, self.exchange(engine, "generator", source, partner, label))
        self.close(engine, judged, made)

    def pair(self, feed: Feed, engine: Engine) -> tuple[Tensor, Tensor, Tensor]:
        """Next real batch as sources and partners [N, C, H, W]: different images of one class, the label [N]."""
        source, label = self.draw(feed)
        if label is None:
            raise RecipeError(UNLABELLED)
        bank: Any = engine.network("generator").bank
        earlier = bank.draw(label, torch.randint(1 << 31, label.shape, device=label.device), source)
        bank.keep(source, label)
        partner = source[another(label)]
        partner = torch.where(differ(source, partner)[:, None, None, None], partner, earlier)
        found = differ(source, partner)
        engine.ledger.watch(paired=found.float().mean())
        chosen = again(found)
        return source[chosen], partner[chosen], label[chosen]

    def exchange(self, engine: Engine, player: str, source: Tensor, partner: Tensor, label: Tensor) -> Round:
        """Round of a move: partners against fakes of fresh latents, each beside its source."""
        generator, z = FromSource(engine.network("generator"), source, label), self.latent(len(source), engine.device)
        with torch.set_grad_enabled(player == "generator"):
            fake = generator(z, label)
        beside = {"real": source, "fake": source}
        r = self.open(engine, player, real=partner, fake=fake, label=label, latent=z, beside=beside)
        r.generator = generator
        return r


class FromSource(nn.Module):
    """The generator with the sources of a round, so that regularizers call it as any other."""

    def __init__(self, generator: nn.Module, source: Tensor, label: Tensor) -> None:
        super().__init__()
        self.generator, self.source, self.label = generator, source, label

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Latents `[N, K]` of this round to samples.

        Raises:
            ValueError: other labels than this round's: those samples had other sources.
        """
        if label is not self.label:
            raise ValueError(
                "this game's samples start from images, so a part cannot call its generator for another batch"
            )
        return self.generator(x, label, self.source)


def another(label: Tensor) -> Tensor:
    """Index [N] of another sample of the same class for each, itself where it is alone: a ring in random order."""
    shuffled = torch.randperm(len(label), device=label.device)
    order = shuffled[label[shuffled].argsort(stable=True)]
    row = label[order]
    first, end = torch.searchsorted(row, row), torch.searchsorted(row, row, right=True)
    after = torch.arange(1, len(row) + 1, device=row.device)
    return torch.empty_like(order).scatter_(0, order, order[torch.where(after < end, after, first)])


def differ(a: Tensor, b: Tensor) -> Tensor:
    """True [N] where two samples are not one and the same."""
    return (a != b).flatten(1).any(1)


def again(good: Tensor) -> Tensor:
    """Indices [N] of the good ones, over and over; of all where none is good."""
    first = (~good).int().argsort(stable=True)
    count = good.sum()
    return first[torch.arange(len(good), device=good.device) % torch.where(count > 0, count, len(good))]
