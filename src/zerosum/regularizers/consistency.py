"""Consistency: logits that do not change when a sample or its latent is changed in a way that does not matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from zerosum.core.registry import Part, register
from zerosum.core.values import Count, NonNegative, Positive, Range
from zerosum.critic import Exchange
from zerosum.regularizers.passes import FROM_SAMPLES, STYLES, logits_of, per_sample, still
from zerosum.regularizers.protocol import AUTOENCODER

Shift = Annotated[float, Range(0, 0.5)]

_CLASHES = {
    "autoencoder": AUTOENCODER,
    "dropout": (
        "dropout differs between the two passes, so its noise would be punished too; set discriminator.dropout=0"
    ),
}


@register("regularizer", "cr")
@dataclass(frozen=True)
class CR(Part):
    """Gives a real sample and a changed copy of it the same logit: weight * E (s(x) - s(T x))^2.

    CR-GAN, Zhang et al. 2020. T mirrors half of the images and shifts each by whole pixels, borders reflected; points
    are jittered instead. Gradients flow through both logits. A patch map counts as its mean.
    """

    player: ClassVar[str] = "discriminator"
    tracks: ClassVar[frozenset[str]] = frozenset()
    clashes: ClassVar[dict[str, str]] = _CLASHES
    weight: NonNegative = 10.0  # weight of the squared difference
    flip: bool = True  # true: T mirrors half of the images; false where left and right matter, as for digits
    shift: Shift = 0.125  # largest shift of an image either way, as a share of its side
    jitter: NonNegative = 0.05  # standard deviation of the noise on points
    every: Count = 1  # discriminator updates from one penalty to the next; each then counts that many times

    def __call__(self, exchange: Exchange) -> Tensor:
        """Penalty of an update, `[]`."""
        return self.weight * _inconsistency(self, exchange, "real")


@register("regularizer", "bcr")
@dataclass(frozen=True)
class BCR(Part):
    """Balanced consistency: cr on real and on generated samples, each with its weight.

    Improved consistency regularization, Zhao et al. 2021:
    real * E (s(x) - s(T x))^2 + fake * E (s(G(z)) - s(T G(z)))^2, with cr's T.
    """

    player: ClassVar[str] = "discriminator"
    tracks: ClassVar[frozenset[str]] = frozenset()
    clashes: ClassVar[dict[str, str]] = _CLASHES
    real: NonNegative = 10.0  # weight of the squared difference on real samples
    fake: NonNegative = 10.0  # weight of the squared difference on generated samples
    flip: bool = True  # true: T mirrors half of the images; false where left and right matter, as for digits
    shift: Shift = 0.125  # largest shift of an image either way, as a share of its side
    jitter: NonNegative = 0.05  # standard deviation of the noise on points
    every: Count = 1  # discriminator updates from one penalty to the next; each then counts that many times

    def __call__(self, exchange: Exchange) -> Tensor:
        """Penalty of an update, `[]`."""
        real, fake = (_inconsistency(self, exchange, name) for name in ("real", "fake"))
        return self.real * real + self.fake * fake


@register("regularizer", "zcr")
@dataclass(frozen=True)
class ZCR(Part):
    """Latent consistency: a nearby latent keeps the discriminator's logit, and yet changes the generator's image.

    Improved consistency regularization, Zhao et al. 2021, with z' = z + sigma * N(0, I):
    the discriminator pays discriminator * E (s(G(z)) - s(G(z')))^2,
    the generator pays -generator * E (G(z) - G(z'))^2, the mean over numbers of an image. That reward is unbounded
    where samples are (points): keep its weight small.
    """

    player: ClassVar[str] = "both"
    tracks: ClassVar[frozenset[str]] = frozenset()
    clashes: ClassVar[dict[str, str]] = _CLASHES | FROM_SAMPLES | {"styles": STYLES}
    discriminator: NonNegative = 20.0  # weight of the squared difference of logits, in the discriminator's loss
    generator: NonNegative = 0.5  # weight of the squared difference of images, taken off the generator's loss
    sigma: Positive = 0.05  # standard deviation of the noise on latents
    every: Count = 1  # updates of each player from one penalty to the next; each then counts that many times

    def __call__(self, exchange: Exchange) -> Tensor:
        """Penalty of an update for the player that moves, `[]`."""
        assert exchange.latent is not None
        learns = exchange.player == "generator"
        z = exchange.latent + self.sigma * torch.randn_like(exchange.latent)
        with torch.set_grad_enabled(learns), still(exchange.generator):
            moved = exchange.generator(z, exchange.label)
        if learns:
            return -self.generator * (exchange.fake.x.float() - moved.float()).square().mean()
        return self.discriminator * _difference(exchange, "fake", moved)


def _inconsistency(part: Any, exchange: Exchange, name: str) -> Tensor:
    x: Tensor = getattr(exchange, name).x.detach()
    return _difference(exchange, name, transformed(x, flip=part.flip, shift=part.shift, jitter=part.jitter))


def _difference(exchange: Exchange, name: str, changed: Tensor) -> Tensor:
    """Mean squared difference between the logits of samples and of their changed copies; gradients flow to both."""
    before = logits_of(exchange, name)
    with still(exchange.critic.network):
        after = per_sample(exchange.logits(changed))
    return (before - after).square().mean()


def transformed(x: Tensor, *, flip: bool, shift: float, jitter: float) -> Tensor:
    """Images `[N, C, H, W]` mirrored and shifted, each in its own way; points `[N, D]` jittered."""
    if x.ndim == 2:
        return x + jitter * torch.randn_like(x)
    count, _, height, width = x.shape
    rows, columns = (_shifted(count, side, shift, x.device) for side in (height, width))
    if flip:
        columns = torch.where(torch.rand(count, 1, device=x.device) < 0.5, columns.flip(1), columns)
    each = torch.arange(count, device=x.device)[:, None, None]
    return x[each, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _shifted(count: int, side: int, shift: float, device: torch.device) -> Tensor:
    """Index that each row (or column) of each image is taken from, `[count, side]`; reflected at the borders."""
    furthest, last = int(shift * side), side - 1
    places = torch.arange(side, device=device) + torch.randint(-furthest, furthest + 1, (count, 1), device=device)
    return last - (last - places.abs()).abs()
