"""Recipes that translate images: between two sets, or from one half of a pair to the other."""

from __future__ import annotations

from zerosum.core.values import Length
from zerosum.data import Preparation
from zerosum.games import PairedGame, UnpairedGame
from zerosum.networks import Normal, PatchDiscriminator, ResNetTranslator, UNetTranslator
from zerosum.objectives import LeastSquares, NonSaturating
from zerosum.optimizers import Adam, LateLinear
from zerosum.recipes.building import player, small
from zerosum.recipes.recipe import Recipe, recipe


@recipe("cyclegan")
def cyclegan() -> Recipe:
    """Two translators, least squares on patches, cycles of weight 10, pools of 50 images, one image at a time.

    Zhu et al. 2017, section 4 and appendix 7.1: rates fall in the second half of 200 epochs. Their least squares have
    no factor 1/2 in the translators' loss, so its weight is 2 here; in the discriminators' they halve it too.
    """
    networks, adam = (ResNetTranslator(), PatchDiscriminator()), Adam(lr=2e-4, beta1=0.5)
    start, fall = Normal(0.02), LateLinear()
    return Recipe(
        recipe="cyclegan",
        length=Length(200, "epochs"),
        batch=1,
        report=Length(1_000),
        samples=Length(5_000),
        evaluation=Length(20_000),
        checkpoint=Length(20_000),
        data=Preparation(domains=("auto",)),
        game=UnpairedGame(
            generators=player(networks[0], adam, start, fall),
            discriminators=player(networks[1], adam, start, fall),
            objective=LeastSquares(),
            adversarial=2.0,
        ),
    )


@recipe("cyclegan-small")
def cyclegan_small() -> Recipe:
    """CycleGAN for a CPU and images of up to 64 pixels: 16 channels, 3 blocks, patches of 34 pixels, batches of 4."""
    return small(
        cyclegan(),
        "batch=4",
        "length=50k",
        "generators.channels=16",
        "generators.blocks=3",
        "discriminators.channels=16",
        "discriminators.layers=2",
        "generators.lr=1e-3",
        "discriminators.lr=1e-3",
    )


@recipe("pix2pix")
def pix2pix() -> Recipe:
    """A U-Net, patches of 70 pixels that are seen beside the input, 100 times the mean difference, one pair at a time.

    Isola et al. 2017, section 3 and appendix 6: batch norm of one image is instance norm. Their jitter and mirroring
    are augmentations=crop:least=0.9+flip here.
    """
    adam, start = Adam(lr=2e-4, beta1=0.5), Normal(0.02)
    return Recipe(
        recipe="pix2pix",
        length=Length(200, "epochs"),
        batch=1,
        report=Length(1_000),
        samples=Length(5_000),
        evaluation=Length(20_000),
        checkpoint=Length(20_000),
        data=Preparation(pairs="files"),
        game=PairedGame(
            generator=player(UNetTranslator(), adam, start),
            discriminator=player(PatchDiscriminator(), adam, start),
            objective=NonSaturating(),
        ),
    )


@recipe("pix2pix-small")
def pix2pix_small() -> Recipe:
    """pix2pix for a CPU and images of up to 128 pixels: 16 channels, patches of 34 pixels, batches of 4."""
    return small(
        pix2pix(),
        "batch=4",
        "length=50k",
        "generator.channels=16",
        "discriminator.channels=16",
        "discriminator.layers=2",
        "generator.lr=1e-3",
        "discriminator.lr=1e-3",
    )
