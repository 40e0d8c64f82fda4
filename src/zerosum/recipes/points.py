"""Recipes for points: mixtures whose modes can be counted, and the game that can be solved on paper."""

from __future__ import annotations

from zerosum import latents, networks
from zerosum.core.average import NoAverage
from zerosum.core.values import Length
from zerosum.games import ImageGame, JointGame, LookaheadGame
from zerosum.networks import (
    DiracDiscriminator,
    DiracGenerator,
    JointMLPDiscriminator,
    MLPDiscriminator,
    MLPEncoder,
    MLPGenerator,
)
from zerosum.objectives import Minimax, NonSaturating, Relativistic, ReverseKL
from zerosum.optimizers import SGD, Adam, Linear
from zerosum.recipes.building import pair, player
from zerosum.recipes.recipe import Recipe, recipe
from zerosum.regularizers import R1, R2


@recipe("mixture")
def mixture() -> Recipe:
    """Relativistic pairing with R1 and R2 between small fully connected networks: for 2-D mixtures such as grid25."""
    adam = Adam(lr=1e-3, beta1=0.0, beta2=0.99)
    widths = (128, 128, 128)
    sizes = MLPGenerator(widths=widths, activation="relu"), MLPDiscriminator(widths=widths, dropout=0.0)
    return Recipe(
        recipe="mixture",
        length=Length(384_000),
        batch=128,
        game=ImageGame(
            **pair(sizes, (adam, adam), networks.Default(), Linear()),
            objective=Relativistic(),
            latent=latents.Normal(2),
            regularizers=(R1(gamma=0.1), R2(gamma=0.1)),
        ),
    )


@recipe("dirac")
def dirac() -> Recipe:
    """The Dirac-GAN with R1: two numbers, plain gradient descent (Mescheder et al. 2018); without R1 it circles."""
    sgd = SGD(lr=0.1)
    return Recipe(
        recipe="dirac",
        length=Length(2_000),
        batch=1,
        game=ImageGame(
            **pair((DiracGenerator(), DiracDiscriminator()), (sgd, sgd), networks.Default(), average=NoAverage()),
            objective=Minimax(),
            latent=latents.Normal(1),
            regularizers=(R1(gamma=0.3),),
        ),
        report=Length(50),
        samples=Length(500),
        evaluation=Length(500),
        checkpoint=Length(500),
    )


@recipe("pacgan")
def pacgan() -> Recipe:
    """The discriminator judges pairs of samples, on mixtures: maxout, Adam 1e-4 with beta1 0.8 (Lin et al. 2018)."""
    adam = Adam(lr=1e-4, beta1=0.8)
    sizes = (
        MLPGenerator(widths=(400, 400, 400, 400), activation="relu", norm="batch"),
        MLPDiscriminator(widths=(200, 200, 200), activation="maxout", dropout=0.0),
    )
    return Recipe(
        recipe="pacgan",
        length=Length(40_000_000),
        batch=200,
        game=ImageGame(
            **pair(sizes, (adam, adam), networks.Default()),
            objective=NonSaturating(),
            latent=latents.Normal(2),
            pack=2,
        ),
    )


@recipe("unrolled")
def unrolled() -> Recipe:
    """The generator plays against the discriminator of five steps ahead, on mixtures (Metz et al. 2017, their demo)."""
    widths = (128, 128)
    sizes = (
        MLPGenerator(widths=widths, activation="tanh"),
        MLPDiscriminator(widths=widths, activation="tanh", dropout=0.0),
    )
    return Recipe(
        recipe="unrolled",
        length=Length(12_800_000),
        batch=512,
        game=LookaheadGame(
            **pair(sizes, (Adam(lr=1e-3, beta1=0.5), Adam(lr=1e-4, beta1=0.5)), networks.Orthogonal(gain=1.4)),
            objective=Minimax(),
            latent=latents.Normal(256),
            depth=5,
            zero_sum=True,
        ),
    )


@recipe("veegan")
def veegan() -> Recipe:
    """A reconstructor finds the latent of each sample, D judges both together, on mixtures (Srivastava et al. 2017).

    Their latents have 254 numbers, of which a network recovers few from two in ten million points; here 8. With 2, as
    many as a point has, the generator leaves more modes out.
    """
    adam = Adam(lr=1e-3, beta1=0.5)
    widths = (128, 128)
    sizes = MLPGenerator(widths=widths, activation="relu"), JointMLPDiscriminator(widths=widths, activation="relu")
    return Recipe(
        recipe="veegan",
        length=Length(10_000_000),
        batch=500,
        game=JointGame(
            **pair(sizes, (adam, adam), networks.Default()),
            reconstructor=player(MLPEncoder(widths=widths, activation="relu"), adam, networks.Default()),
            objective=ReverseKL(),
            latent=latents.Normal(8),
            reconstruction=0.5,
        ),
    )
