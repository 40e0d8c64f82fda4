"""Recipes of one translator among several domains."""

from __future__ import annotations

from zerosum.core.values import Length
from zerosum.games import MultiDomainGame
from zerosum.networks import Default, StarGANDiscriminator, StarGANTranslator
from zerosum.objectives import Wasserstein
from zerosum.optimizers import Adam, LateLinear
from zerosum.recipes.building import player, small
from zerosum.recipes.recipe import Recipe, recipe
from zerosum.regularizers import GradientPenalty


@recipe("stargan")
def stargan() -> Recipe:
    """One translator among all classes, WGAN-GP on patches, 5 updates of the discriminator, cycles of weight 10.

    Choi et al. 2018, section 4.3: Adam 1e-4 with beta1 0.5, 16 images at a time, rates fall in the second half of 20
    epochs.
    """
    adam, start, fall = Adam(lr=1e-4, beta1=0.5), Default(), LateLinear()
    return Recipe(
        recipe="stargan",
        length=Length(20, "epochs"),
        batch=16,
        report=Length(5_000),
        samples=Length(20_000),
        evaluation=Length(80_000),
        checkpoint=Length(80_000),
        game=MultiDomainGame(
            translator=player(StarGANTranslator(), adam, start, fall),
            discriminator=player(StarGANDiscriminator(labels="classifier"), adam, start, fall),
            objective=Wasserstein(),
            regularizers=(GradientPenalty(),),
            discriminator_updates=5,
        ),
    )


@recipe("stargan-small")
def stargan_small() -> Recipe:
    """StarGAN for a CPU and images of 32 pixels: 16 channels, 2 blocks, maps of 2x2, one update of each player.

    So few updates leave the discriminator behind, and its gradient would outweigh the image's own shape: identity ties
    a translation to its source, and the adversarial loss counts a fifth.
    """
    return small(
        stargan(),
        "batch=16",
        "size=32",
        "translator.channels=16",
        "translator.blocks=2",
        "translator.labels=norm",
        "discriminator.channels=16",
        "discriminator.layers=4",
        "discriminator_updates=1",
        "adversarial=0.2",
        "identity=10",
        "translator.lr=5e-4",
        "discriminator.lr=5e-4",
    )
