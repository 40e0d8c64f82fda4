"""Recipes of R3GAN."""

from __future__ import annotations

from zerosum import latents
from zerosum.augmentations import ADA
from zerosum.core.average import ExponentialAverage
from zerosum.core.values import Length
from zerosum.games import ImageGame
from zerosum.networks import Default, R3GANDiscriminator, R3GANGenerator
from zerosum.objectives import Relativistic
from zerosum.optimizers import Adam, Cosine
from zerosum.recipes.building import LONG, pair, small
from zerosum.recipes.recipe import Recipe, recipe
from zerosum.regularizers import R1, R2

RISE = 20_000_000  # images over which everything moves to its final value


@recipe("r3gan")
def r3gan() -> Recipe:
    """Relativistic pairing, R1 and R2 at each update, plain residual networks (Huang et al. 2024, CIFAR-10 code).

    beta2 is 0.99 from the start, where theirs rises from 0.9. Both players meet the same real images in a turn.
    """
    adam = Adam(lr=2e-4, beta1=0.0, beta2=0.99)
    average = ExponentialAverage(half_life=5_000_000, ramp=0.25)
    rate = Cosine(end=RISE, final=0.25)
    augmentation = ADA(control="ramp", p=0.55, until=RISE, colour=0.5, cutout=1.0)
    return Recipe(
        recipe="r3gan",
        length=Length(250_000_000),
        batch=512,
        game=ImageGame(
            **pair((R3GANGenerator(), R3GANDiscriminator()), (adam, adam), Default(), rate, average),
            objective=Relativistic(),
            latent=latents.Normal(64),
            regularizers=(R1(gamma=0.05, final=0.1, until=RISE), R2(gamma=0.05, final=0.1, until=RISE)),
            augmentations=(augmentation,),
        ),
        **LONG,
    )


@recipe("r3gan-small")
def r3gan_small() -> Recipe:
    """R3GAN for a CPU: 64 channels that halve from 8 pixels on, one block a stage, no augmentation, lazy penalties.

    Learning rates are twelve times its authors', for batches of 64 and few updates, and images end in a tanh that
    pixels come back from (docs/log/r3gan-black-images.md).
    """
    pair_fields = (
        f"{player}.{field}"
        for player in ("generator", "discriminator")
        for field in ("channels=64", "halve_above=8", "blocks=1", "lr=2.5e-3", "schedule=cosine:final=0.25")
    )
    generator_fields = "generator.output=tanh-inward", "generator.half_life=10k", "generator.ramp=0.05"
    penalties = "regularizers=r1:gamma=0.1,every=2+r2:gamma=0.1,every=2"
    return small(r3gan(), *pair_fields, *generator_fields, penalties, "augmentations=none")
