"""Recipes whose discriminator is an auto-encoder."""

from __future__ import annotations

from zerosum import latents
from zerosum.core.values import Length
from zerosum.games import ImageGame
from zerosum.networks import BEGANDiscriminator, BEGANGenerator, Default
from zerosum.objectives import BEGAN, EBGAN
from zerosum.optimizers import Adam, Halving
from zerosum.recipes.building import LONG, pair, small
from zerosum.recipes.recipe import Recipe, recipe
from zerosum.regularizers import PullingAway


@recipe("began")
def began() -> Recipe:
    """Boundary equilibrium of reconstruction errors: gamma 0.5, Adam 1e-4, halved in steps (Berthelot et al. 2017)."""
    adam = Adam(lr=1e-4)
    networks = BEGANGenerator(channels=64), BEGANDiscriminator(channels=64, hidden=64)
    return Recipe(
        recipe="began",
        length=Length(4_800_000),
        batch=16,
        game=ImageGame(
            **pair(networks, (adam, adam), Default(), Halving(every=1_600_000)),
            objective=BEGAN(gamma=0.5),
            latent=latents.Uniform(64),
        ),
        **LONG,
    )


@recipe("began-small")
def began_small() -> Recipe:
    """BEGAN for a CPU: 16 channels, squared errors, k that moves faster, and codes pulled apart as in EBGAN.

    Code, pull, rates and batch are EBGAN's or near them. With a code of 32, batches of 32 and a pull of 0.3 small
    networks drew specks of MNIST, without the pull ones, in perfect balance (docs/log/began-on-mnist.md).
    """
    return small(
        began(),
        "generator.channels=16",
        "discriminator.channels=16",
        "discriminator.power=2",
        "generator.lr=5e-4",
        "discriminator.lr=5e-4",
        "generator.beta1=0.5",
        "discriminator.beta1=0.5",
        "gamma=0.9",
        "gain=0.05",
        "regularizers=pulling-away:weight=0.1",
    )


@recipe("ebgan")
def ebgan() -> Recipe:
    """Energies of an auto-encoder with a margin, and codes pulled apart (Zhao et al. 2017), on BEGAN's networks.

    Adam 1e-3 in the paper is for networks with batch norm; these have none and take 2e-4. The margin is a mean squared
    difference of pixels, 0.1 for images in [-1, 1].
    """
    adam = Adam(lr=2e-4, beta1=0.5)
    networks = BEGANGenerator(channels=16), BEGANDiscriminator(channels=16, hidden=64, power=2)
    return Recipe(
        recipe="ebgan",
        length=Length(300_000),
        batch=64,
        game=ImageGame(
            **pair(networks, (adam, adam), Default()),
            objective=EBGAN(margin=0.1),
            latent=latents.Normal(64),
            regularizers=(PullingAway(weight=0.1),),
        ),
    )
