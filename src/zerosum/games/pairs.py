"""A generator of further images of a class, against a discriminator of pairs of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from zerosum.core.engine import Engine
from zerosum.core.errors import RecipeError
from zerosum.core.game import Feed
from zerosum.core.registry import register
from zerosum.core.signals import Batch, Signals, Wiring
from zerosum.critic import Critic, Regularization, adapt, charge, distinguish, verdicts
from zerosum.games.adversarial import Adversarial, bound_parts, real_batch

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

    def networks(self, signals: Signals) -> dict[str, Wiring]:
        """Both networks see images of the data beside their own."""
        source = {"source": signals["sample"]}
        wirings = super().networks(signals)
        return {name: one._replace(inputs={**one.inputs, **source}) for name, one in wirings.items()}

    def faults(self, signals: Signals, batch: int | None) -> list[str]:
        """Without classes there are no pairs."""
        return super().faults(signals, batch) + ([] if "label" in signals else [UNLABELLED])

    def scores(self, networks: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Logits of real samples, each beside itself."""
        x, label = batch["sample"], batch["label"]
        return {"discriminator": networks["discriminator"](x, label, x)}

    def step(self, feed: Feed, engine: Engine) -> None:
        """Several moves of the discriminator, then one of the generator from the last sources."""
        G, D = engine.networks("generator", "discriminator")
        loss, alter, augment = bound_parts(self, engine)
        for _ in range(self.discriminator_updates):
            source, partner, label = self.pair(feed, engine, alter)
            from_source, z = FromSource(G, source, label), engine.draw(self.latent, len(source))
            with torch.no_grad():
                generated = from_source(z, label)
            due = Regularization(self.regularizers, "discriminator", engine)
            critic = Critic(D, augment, self.pack, precise=bool(due.tracks))
            real = critic(partner, track="real" in due.tracks, label=label, source=source)
            fake = critic(generated, track="fake" in due.tracks, label=label, source=source)
            cost = distinguish(loss, real, fake)
            engine.watch(**verdicts(real, fake))
            engine.update("discriminator", adversarial=cost, **due(real, fake, from_source, z))
        judged = real.logits

        generated = from_source(z := engine.draw(self.latent, len(source)), label)
        due = Regularization(self.regularizers, "generator", engine)
        critic = Critic(D, augment, self.pack)
        real = critic(partner, grad=False, label=label, source=source)
        fake = critic(generated, label=label, source=source)
        cost = self.adversarial * charge(loss, fake, real, self.selection, engine.clock)
        engine.update("generator", adversarial=cost, **due(real, fake, from_source, z))
        engine.show(real=partner, fake=generated)
        adapt((loss, *alter, *augment), judged, fake.logits, batch=len(partner), clock=engine.clock)

    def pair(self, feed: Feed, engine: Engine, alter: Sequence[Any]) -> tuple[Tensor, Tensor, Tensor]:
        """Next real batch, altered, as sources and partners [N, C, H, W]: two images of one class, the label [N]."""
        source, label = real_batch(feed, alter)
        if label is None:
            raise RecipeError(UNLABELLED)
        bank: Any = engine.network("generator").bank
        earlier = bank.draw(label, torch.randint(1 << 31, label.shape, device=label.device), source)
        bank.keep(source, label)
        partner = source[another_of_class(label)]
        partner = torch.where(distinct(source, partner)[:, None, None, None], partner, earlier)
        paired = distinct(source, partner)
        engine.watch(paired=paired.float().mean())
        chosen = repeated(paired)
        return source[chosen], partner[chosen], label[chosen]


class FromSource(nn.Module):
    """The generator with the sources of an update, so that regularizers call it as any other."""

    def __init__(self, generator: nn.Module, source: Tensor, label: Tensor) -> None:
        super().__init__()
        self.generator, self.source, self.label = generator, source, label

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Latents `[N, K]` of this update to samples.

        Raises:
            ValueError: other labels than this update's: those samples had other sources.
        """
        if label is not self.label:
            raise ValueError(
                "this game's samples start from images, so a part cannot call its generator for another batch"
            )
        return self.generator(x, label, self.source)


def another_of_class(label: Tensor) -> Tensor:
    """Index [N] of another sample of the same class for each, itself where it is alone: a ring in random order."""
    shuffled = torch.randperm(len(label), device=label.device)
    order = shuffled[label[shuffled].argsort(stable=True)]
    row = label[order]
    first, end = torch.searchsorted(row, row), torch.searchsorted(row, row, right=True)
    after = torch.arange(1, len(row) + 1, device=row.device)
    return torch.empty_like(order).scatter_(0, order, order[torch.where(after < end, after, first)])


def distinct(a: Tensor, b: Tensor) -> Tensor:
    """True [N] where two samples are not one and the same."""
    return (a != b).flatten(1).any(1)


def repeated(good: Tensor) -> Tensor:
    """Indices [N] of the good ones, over and over; of all where none is good."""
    first = (~good).int().argsort(stable=True)
    count = good.sum()
    return first[torch.arange(len(good), device=good.device) % torch.where(count > 0, count, len(good))]
