"""Recipes on residual networks, each at its published setting and at a size for a CPU."""

from __future__ import annotations

from typing import Any

from zerosum import latents
from zerosum.core.average import Average, ExponentialAverage
from zerosum.core.signals import Network
from zerosum.core.slots import Optimizer, Schedule
from zerosum.core.values import Length
from zerosum.games import ImageGame
from zerosum.networks import (
    BigGANDiscriminator,
    BigGANGenerator,
    Default,
    ResNetDiscriminator,
    ResNetGenerator,
)
from zerosum.objectives import Hinge, Wasserstein
from zerosum.optimizers import Adam, Linear
from zerosum.protocols import Objective
from zerosum.recipes.building import AVERAGE, BRISK, LONG, SMALL, pair, small
from zerosum.recipes.recipe import Recipe, recipe
from zerosum.regularizers import ALR, BCR, CR, ZCR, LeCam, Orthogonal

NARROW = (  # BigGAN's networks for a CPU, and rates at which so narrow a discriminator lives: docs/log/narrow-biggan.md
    *("generator.channels=16", "discriminator.channels=16", "generator.half_life=10k", "discriminator_updates=2"),
    *("generator.lr=5e-4", "discriminator.lr=1e-3", "generator.schedule=linear", "discriminator.schedule=linear"),
)


def residual(
    name: str,
    networks: tuple[Network, Network],
    optimizers: tuple[Optimizer, Optimizer],
    length: int,
    *,
    objective: Objective | None = None,
    schedule: Schedule | None = None,
    average: Average = AVERAGE,
    batch: int = 64,
    latent: int = 128,
    **others: Any,
) -> Recipe:
    """A pair of residual networks, with the hinge unless another objective is given; others are fields of the game."""
    players = pair(networks, optimizers, Default(), schedule, average)
    game = ImageGame(**players, objective=objective or Hinge(), latent=latents.Normal(latent), **others)
    return Recipe(recipe=name, length=Length(length), batch=batch, game=game, **LONG)


def spectral(name: str, labels: tuple[Any, Any] = ("none", "none"), **others: Any) -> Recipe:
    """SNGAN's pair and schedule: 50,000 generator updates of five discriminator updates each."""
    adam = Adam(lr=2e-4, beta1=0.0, beta2=0.9)
    networks = ResNetGenerator(channels=256, labels=labels[0]), ResNetDiscriminator(channels=128, labels=labels[1])
    decay = Linear()
    return residual(name, networks, (adam, adam), 16_000_000, schedule=decay, discriminator_updates=5, **others)


@recipe("sngan")
def sngan() -> Recipe:
    """Spectral norm and hinge on residual networks, five updates, Adam 2e-4 (Miyato et al. 2018, CIFAR-10).

    The generator's batch is as large as the discriminator's, 64; theirs is 128.
    """
    return spectral("sngan")


@recipe("sngan-small")
def sngan_small() -> Recipe:
    """SNGAN for a CPU: 32 channels, two updates of D instead of five, five times the learning rate."""
    return small(sngan(), *SMALL, *BRISK)


@recipe("projection")
def projection() -> Recipe:
    """SNGAN with classes: projection in D, conditional batch norm in G (Miyato & Koyama 2018).

    As in `sngan`, the generator's batch is 64, theirs 128.
    """
    return spectral("projection", ("norm", "projection"))


@recipe("projection-small")
def projection_small() -> Recipe:
    """Projection discriminator for a CPU: as `sngan-small`."""
    return small(projection(), *SMALL, *BRISK)


@recipe("crgan")
def crgan() -> Recipe:
    """SNGAN whose logits stay where a real image is flipped or shifted: weight 10 (Zhang et al. 2020)."""
    return spectral("crgan", regularizers=(CR(weight=10.0),))


@recipe("crgan-small")
def crgan_small() -> Recipe:
    """Consistency regularization for a CPU: as `sngan-small`."""
    return small(crgan(), *SMALL, *BRISK)


@recipe("icrgan")
def icrgan() -> Recipe:
    """SNGAN with balanced and latent consistency regularization (Zhao et al. 2021)."""
    return spectral("icrgan", regularizers=(BCR(real=10.0, fake=10.0), ZCR(discriminator=20.0, generator=0.5)))


@recipe("icrgan-small")
def icrgan_small() -> Recipe:
    """Improved consistency regularization for a CPU: as `sngan-small`."""
    return small(icrgan(), *SMALL, *BRISK)


@recipe("alr")
def alr() -> Recipe:
    """Wasserstein critic held to slope 1 in the worst direction, five updates, Adam 2e-4 (Terjék 2020, their code)."""
    adam = Adam(lr=2e-4, beta1=0.0, beta2=0.9)
    return residual(
        "alr",
        (ResNetGenerator(channels=128), ResNetDiscriminator(channels=128, spectral=False)),
        (adam, adam),
        32_000_000,
        objective=Wasserstein(),
        schedule=Linear(),
        discriminator_updates=5,
        regularizers=(ALR(weight=10.0),),
    )


@recipe("alr-small")
def alr_small() -> Recipe:
    """Adversarial Lipschitz regularization for a CPU: as `sngan-small`."""
    return small(alr(), *SMALL, *BRISK)


@recipe("sagan")
def sagan() -> Recipe:
    """Self-attention at 32 pixels, spectral norm in both, D learns four times as fast, classes (Zhang et al. 2019)."""
    return residual(
        "sagan",
        (
            ResNetGenerator(channels=256, spectral=True, attention=32, labels="norm"),
            ResNetDiscriminator(channels=128, attention=32, labels="projection"),
        ),
        (Adam(lr=1e-4, beta1=0.0, beta2=0.9), Adam(lr=4e-4, beta1=0.0, beta2=0.9)),
        256_000_000,
        batch=256,
    )


@recipe("sagan-small")
def sagan_small() -> Recipe:
    """SAGAN for a CPU: 32 channels, attention at 16 pixels at most, five times the learning rates."""
    attention = "generator.attention=16", "discriminator.attention=16"
    return small(sagan(), *SMALL, *attention, "generator.lr=5e-4", "discriminator.lr=2e-3")


@recipe("biggan")
def biggan() -> Recipe:
    """Large batches, hierarchical latents, shared class embedding, orthogonal weights (Brock et al. 2019, 128 px).

    `zerosum sample --latent truncated:threshold=0.7` gives fewer faults and less variety.
    """
    return residual(
        "biggan",
        (
            BigGANGenerator(channels=96, attention=64, labels="norm"),
            BigGANDiscriminator(channels=96, attention=64, labels="projection"),
        ),
        (Adam(lr=5e-5, beta1=0.0, eps=1e-6), Adam(lr=2e-4, beta1=0.0, eps=1e-6)),
        500_000_000,
        batch=2048,
        latent=120,
        average=ExponentialAverage(half_life=28_000_000, ramp=0.05),
        discriminator_updates=2,
        regularizers=(Orthogonal(strength=1e-4),),
    )


@recipe("biggan-small")
def biggan_small() -> Recipe:
    """BigGAN for a CPU: 16 channels, batches of 64, the generator's learning rate half of the discriminator's.

    Both are higher than published and fall to 0. At equal rates that do not fall its narrow discriminator dies
    (docs/log/narrow-biggan.md).
    """
    attention = "generator.attention=16", "discriminator.attention=16"
    return small(biggan(), *NARROW, *attention)


@recipe("lecam")
def lecam() -> Recipe:
    """BigGAN held by averages of its own logits, weight 0.3 after 1,000 updates (Tseng et al. 2021, CIFAR-10 code).

    The formula is the paper's; that of the code is `lecam.form=one-sided`.
    """
    adam = Adam(lr=2e-4, beta1=0.0, eps=1e-6)
    return residual(
        "lecam",
        (BigGANGenerator(channels=64, labels="norm"), BigGANDiscriminator(channels=64, labels="projection")),
        (adam, adam),
        50_000_000,
        batch=50,
        average=ExponentialAverage(half_life=1_400_000, ramp=0.05),
        discriminator_updates=4,
        regularizers=(LeCam(weight=0.3, after=200_000),),
    )


@recipe("lecam-small")
def lecam_small() -> Recipe:
    """LeCam regularization for a CPU: 16 channels, from 10,000 images on, rates and updates as `biggan-small`."""
    return small(lecam(), *NARROW, "lecam.after=10k")
