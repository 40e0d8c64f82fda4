"""Penalties on the gradient of the discriminator's logit with respect to its input.

The gradient is per logit, over all numbers of its input (summed over pixels, not averaged): a sample, or a whole pack.
A patch map counts as one logit, its mean. Gradients go through augmentations to the sample before them. All of it is
float32; the penalty itself is differentiable, which needs second derivatives of D.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from zerosum.core.errors import RecipeError
from zerosum.core.registry import Part, register
from zerosum.core.values import Count, Fraction, NonNegative, SampleCount
from zerosum.critic import Exchange
from zerosum.regularizers.passes import logits_of, per_sample
from zerosum.regularizers.protocol import AUTOENCODER

_CLASHES = {
    "batchnorm": (
        "it penalises the gradient of each sample's own logit, and BatchNorm makes a logit depend on the whole batch "
        "(Gulrajani et al. 2017, section 4); set discriminator.norm=layer, group or none"
    ),
    "autoencoder": AUTOENCODER,
}


def _gradient(logits: Tensor, x: Tensor) -> Tensor:
    """Gradient of each logit with respect to its input, `[logits, numbers of input]`, float32 and differentiable."""
    with torch.autocast(x.device.type, enabled=False):  # the graph of this gradient stays in float32
        (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return gradient.float().reshape(len(logits), -1)


def _square_norm(exchange: Exchange, name: str, part: str) -> Tensor:
    """Mean over logits of the squared gradient norm at the real or the generated samples."""
    x: Tensor = getattr(exchange, name).x
    if not x.requires_grad:
        raise ValueError(f"{part}: the {name} samples follow no gradient; score them with critic({name}, track=True)")
    return _gradient(logits_of(exchange, name), x).square().sum(1).mean()


def _excess(exchange: Exchange, x: Tensor, target: float) -> Tensor:
    """Gradient norm at x minus the target, for each logit; x has the real labels."""
    x.requires_grad_()
    with torch.autocast(x.device.type, enabled=False):
        logits = per_sample(exchange.logits(x))
    # The sub-gradient of this norm at 0 is 0, so a discriminator that is flat somewhere keeps finite gradients.
    return torch.linalg.vector_norm(_gradient(logits, x), dim=1) - target


@dataclass(frozen=True)
class _Flatness(Part):
    """gamma/2 times the mean squared gradient norm at the samples that it tracks; gamma may follow half a cosine."""

    player: ClassVar[str] = "discriminator"
    tracks: ClassVar[frozenset[str]]
    clashes: ClassVar[dict[str, str]] = _CLASHES
    gamma: NonNegative = 10.0  # weight of ||gradient||^2 / 2
    final: Fraction = 1.0  # factor on gamma from `until` on
    until: SampleCount = 0  # images over which gamma moves to final * gamma; 0: it stays
    every: Count = 1  # discriminator updates from one penalty to the next; each then counts that many times

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.final != 1 and not self.until:
            raise RecipeError(
                f"regularizer {self.name!r}: final={self.final:g} is reached after `until` images; set until, for "
                "example until=20M, or final=1"
            )

    def __call__(self, exchange: Exchange) -> Tensor:
        """Penalty of an update, `[]`."""
        (samples,) = self.tracks
        return self._weight(exchange.clock) / 2 * _square_norm(exchange, samples, self.name)

    def _weight(self, images: int) -> float:
        """Gamma after so many images: half a cosine from gamma to final * gamma over `until` images, then constant."""
        done = min(1.0, images / self.until) if self.until else 0.0
        return self.gamma * (self.final + (1 - self.final) * (1 + math.cos(math.pi * done)) / 2)


@register("regularizer", "r1")
@dataclass(frozen=True)
class R1(_Flatness):
    """Keeps the discriminator flat around real samples: gamma/2 * E ||grad s(x)||^2.

    Mescheder et al. 2018, eq. 9. R3GAN lowers gamma to a tenth along half a cosine: `final` and `until`.

    Raises:
        RecipeError: `final` without `until`.
        ValueError: the real samples were scored without `track=True`.
    """

    tracks: ClassVar[frozenset[str]] = frozenset({"real"})


@register("regularizer", "r2")
@dataclass(frozen=True)
class R2(_Flatness):
    """Keeps the discriminator flat around generated samples: gamma/2 * E ||grad s(G(z))||^2.

    Mescheder et al. 2018, eq. 10. With R1 and the relativistic objective this is R3GAN's loss (Huang et al. 2024).

    Raises:
        RecipeError: `final` without `until`.
        ValueError: the generated samples were scored without `track=True`.
    """

    tracks: ClassVar[frozenset[str]] = frozenset({"fake"})


@register("regularizer", "gradient-penalty")
@dataclass(frozen=True)
class GradientPenalty(Part):
    """Pulls the gradient norm between real and fake samples to a target: weight * E (||grad s(x_hat)|| - target)^2.

    WGAN-GP, Gulrajani et al. 2017, eq. 3: x_hat = e*x + (1-e)*G(z), one e ~ U(0, 1) per sample (per pack), with the
    real label. One-sided (WGAN-LP, Petzka et al. 2018, eq. 8) only punishes norms above the target; target 0 gives the
    zero-centred penalty of Thanh-Tung et al. 2019. The generator receives nothing from it.

    Raises:
        ValueError: real and generated samples differ in shape.
    """

    player: ClassVar[str] = "discriminator"
    tracks: ClassVar[frozenset[str]] = frozenset()
    clashes: ClassVar[dict[str, str]] = _CLASHES
    weight: NonNegative = 10.0  # weight of (norm - target)^2
    target: NonNegative = 1.0  # gradient norm that costs nothing
    one_sided: bool = False  # true: norms below the target cost nothing either
    every: Count = 1  # discriminator updates from one penalty to the next; each then counts that many times

    def __call__(self, exchange: Exchange) -> Tensor:
        """Penalty of an update, `[]`."""
        excess = _excess(exchange, _between(exchange.real.x, exchange.fake.x, exchange.critic.pack), self.target)
        if self.one_sided:
            excess = excess.clamp_min(0)
        return self.weight * excess.square().mean()


def _between(real: Tensor, fake: Tensor, pack: int) -> Tensor:
    """Random points on the lines between pairs, one share per pack, detached from both, float32."""
    if real.shape != fake.shape:
        raise ValueError(
            f"gradient-penalty: real samples {tuple(real.shape)} and generated ones {tuple(fake.shape)} "
            "are joined in pairs and must have one shape"
        )
    real, fake = real.detach().float(), fake.detach().float()
    share = torch.rand(len(real) // pack, *[1] * (real.ndim - 1), device=real.device)
    return torch.lerp(fake, real, share.repeat_interleave(pack, 0))


@register("regularizer", "dragan")
@dataclass(frozen=True)
class DRAGAN(Part):
    """Pulls the gradient norm around real samples to a target: weight * E (||grad s(x + d)|| - target)^2.

    DRAGAN, Kodali et al. 2017. The noise d is uniform in +-spread * (standard deviation of all numbers of the batch);
    the authors' code draws it from 0 to that bound, which moves the data, here it is centred. x + d is not clipped.
    On several ranks the deviation is that of a rank's own part of the batch.
    """

    player: ClassVar[str] = "discriminator"
    tracks: ClassVar[frozenset[str]] = frozenset()
    clashes: ClassVar[dict[str, str]] = _CLASHES
    weight: NonNegative = 10.0  # weight of (norm - target)^2
    target: NonNegative = 1.0  # gradient norm that costs nothing
    spread: NonNegative = 0.5  # largest noise, in standard deviations of the batch
    every: Count = 1  # discriminator updates from one penalty to the next; each then counts that many times

    def __call__(self, exchange: Exchange) -> Tensor:
        """Penalty of an update, `[]`."""
        real = exchange.real.x.detach().float()
        noise = self.spread * real.std(correction=0) * (2 * torch.rand_like(real) - 1)
        return self.weight * _excess(exchange, real + noise, self.target).square().mean()
