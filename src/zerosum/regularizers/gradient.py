"""Penalties on the gradient of the discriminator's logit with respect to the sample it looks at.

The gradient is per sample, over all its numbers (summed over pixels, not averaged). A patch map counts as one logit a
sample, its mean. All of it is float32; the penalty itself is differentiable, which needs second derivatives of D.
"""
# ruff: noqa: ARG002 - every regularizer takes a memory, none of these remembers anything

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from zerosum.core.registry import Part, register
from zerosum.core.values import Count, NonNegative
from zerosum.regularizers.protocol import Round

_BATCHNORM = (
    "penalises the gradient of each sample's own logit, and BatchNorm makes a logit depend on the whole batch "
    "(Gulrajani et al. 2017, section 4); set discriminator.norm=layer, group or none"
)


def _gradient(logits: Tensor, x: Tensor) -> Tensor:
    """Gradient of each sample's logit at that sample, `[N, numbers in a sample]`, float32 and differentiable."""
    per_sample = logits.float().flatten(1).mean(1) if logits.ndim > 1 else logits.float()
    with torch.autocast(x.device.type, enabled=False):  # the graph of this gradient stays in float32
        (gradient,) = torch.autograd.grad(per_sample.sum(), x, create_graph=True)
    return gradient.float().flatten(1)


def _square_norm(name: str, what: str, logits: Tensor | None, x: Tensor) -> Tensor:
    """Mean over samples of the squared gradient norm."""
    if logits is None:
        raise ValueError(f"{name}: the round has no {what}_logits; let the discriminator look at {what} first")
    if not x.requires_grad:
        raise ValueError(f"{name}: call {what}.requires_grad_() before the discriminator looks at {what}")
    return _gradient(logits, x).square().sum(1).mean()


@register("regularizer", "r1")
@dataclass(frozen=True)
class R1(Part):
    """Keeps the discriminator flat around real samples: gamma/2 * E ||grad s(x)||^2.

    Mescheder et al. 2018, eq. 9. The gradient goes through an augmentation to the sample before it.

    Raises:
        ValueError: `round.real` required no gradient when the discriminator looked at it.
    """

    player: ClassVar[str] = "discriminator"
    tracks: ClassVar[frozenset[str]] = frozenset({"real"})
    clashes: ClassVar[dict[str, str]] = {"batchnorm": f"R1 {_BATCHNORM}"}
    gamma: NonNegative = 10.0  # weight of ||gradient||^2 / 2
    every: Count = 1  # discriminator updates from one penalty to the next; each then counts that many times

    def __call__(self, round: Round, memory: Any = None) -> Tensor:  # noqa: A002 - the round of the game
        """Penalty of a round, `[]`."""
        return self.gamma / 2 * self.every * _square_norm("r1", "real", round.real_logits, round.real)


@register("regularizer", "r2")
@dataclass(frozen=True)
class R2(Part):
    """Keeps the discriminator flat around generated samples: gamma/2 * E ||grad s(G(z))||^2.

    Mescheder et al. 2018, eq. 10. With R1 and the relativistic objective this is R3GAN's loss (Huang et al. 2024).

    Raises:
        ValueError: `round.fake` required no gradient when the discriminator looked at it.
    """

    player: ClassVar[str] = "discriminator"
    tracks: ClassVar[frozenset[str]] = frozenset({"fake"})
    clashes: ClassVar[dict[str, str]] = {"batchnorm": f"R2 {_BATCHNORM}"}
    gamma: NonNegative = 10.0  # weight of ||gradient||^2 / 2
    every: Count = 1  # discriminator updates from one penalty to the next; each then counts that many times

    def __call__(self, round: Round, memory: Any = None) -> Tensor:  # noqa: A002 - the round of the game
        """Penalty of a round, `[]`."""
        return self.gamma / 2 * self.every * _square_norm("r2", "fake", round.fake_logits, round.fake)


@register("regularizer", "gradient-penalty")
@dataclass(frozen=True)
class GradientPenalty(Part):
    """Pulls the gradient norm between real and fake samples to a target: weight * E (||grad s(x_hat)|| - target)^2.

    WGAN-GP, Gulrajani et al. 2017, eq. 3: x_hat = e*x + (1-e)*G(z), one e ~ U(0, 1) a sample, judged with the real
    label. One-sided (WGAN-LP, Petzka et al. 2018, eq. 8) only punishes norms above the target; target 0 gives the
    zero-centred penalty of Thanh-Tung et al. 2019. The generator receives nothing from it.

    Raises:
        ValueError: real and generated samples differ in shape.
    """

    player: ClassVar[str] = "discriminator"
    tracks: ClassVar[frozenset[str]] = frozenset()
    clashes: ClassVar[dict[str, str]] = {"batchnorm": f"the gradient penalty {_BATCHNORM}"}
    weight: NonNegative = 10.0  # weight of (norm - target)^2
    target: NonNegative = 1.0  # gradient norm that costs nothing
    one_sided: bool = False  # true: norms below the target cost nothing either
    every: Count = 1  # discriminator updates from one penalty to the next; each then counts that many times

    def __call__(self, round: Round, memory: Any = None) -> Tensor:  # noqa: A002 - the round of the game
        """Penalty of a round, `[]`."""
        x = _between(round.real, round.fake).requires_grad_()
        with torch.autocast(x.device.type, enabled=False):
            logits = round.discriminator(x, round.label)
        # The sub-gradient of this norm at 0 is 0, so a discriminator that is flat somewhere keeps finite gradients.
        excess = torch.linalg.vector_norm(_gradient(logits, x), dim=1) - self.target
        if self.one_sided:
            excess = excess.clamp_min(0)
        return self.weight * self.every * excess.square().mean()


def _between(real: Tensor, fake: Tensor) -> Tensor:
    """Random points on the lines between pairs, detached from both, float32."""
    if real.shape != fake.shape:
        raise ValueError(
            f"gradient-penalty: real samples {tuple(real.shape)} and generated ones {tuple(fake.shape)} "
            "are joined in pairs and must have one shape"
        )
    real, fake = real.detach().float(), fake.detach().float()
    share = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device)
    return torch.lerp(fake, real, share)
