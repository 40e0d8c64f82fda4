"""Recipes of the image game, each at its published setting; what differs between them lines up.

The weight average and the sizes of reports are ours: they change no update. `zerosum show NAME` prints every field.
"""

from __future__ import annotations

from typing import Any

from zerosum import latents, networks
from zerosum.core.average import ExponentialAverage
from zerosum.core.player import Player
from zerosum.core.registry import Part
from zerosum.core.values import Length
from zerosum.games import ImageGame
from zerosum.networks import DCGANDiscriminator, DCGANGenerator, MLPDiscriminator, MLPGenerator
from zerosum.objectives import LeastSquares, NonSaturating, Relativistic, Wasserstein
from zerosum.optimizers import Adam, Constant, Linear, RMSprop
from zerosum.recipes.recipe import Recipe, recipe
from zerosum.regularizers import R1, R2, GradientPenalty, WeightClip

AVERAGE = ExponentialAverage(half_life=10_000, ramp=0.05)


def player(network: Part, optimizer: Part, initialization: Part, schedule: Part | None = None, **others: Any) -> Player:
    """A player with a constant learning rate unless a schedule is given."""
    return Player(network, optimizer, schedule or Constant(), initialization, **others)


@recipe("mlp")
def mlp() -> Recipe:
    """Fully connected GAN on pixels: 10 epochs, batch 128, Adam 2e-4 (Goodfellow et al. 2014, with dropout in D)."""
    return Recipe(
        recipe="mlp",
        length=Length(10, "epochs"),
        batch=128,
        game=ImageGame(
            generator=player(MLPGenerator(), Adam(lr=2e-4), networks.Default(), average=AVERAGE),
            discriminator=player(MLPDiscriminator(), Adam(lr=2e-4), networks.Default()),
            objective=NonSaturating(),
            latent=latents.Normal(100),
        ),
    )


@recipe("mlp-keras")
def mlp_keras() -> Recipe:
    """Fully connected GAN in the Keras manner: ReLU, Glorot, Adam for D, RMSprop for G, Keras' constants.

    The tutorial it comes from names no learning rate; on MNIST the pair collapses at each that was tried (docs/log.md).
    """
    return Recipe(
        recipe="mlp-keras",
        length=Length(10, "epochs"),
        batch=128,
        game=ImageGame(
            generator=player(
                MLPGenerator(widths=(128, 256, 512, 1024), activation="relu"),
                RMSprop(lr=1e-4, alpha=0.9, eps=1e-7),
                networks.Glorot(),
                average=AVERAGE,
            ),
            discriminator=player(
                MLPDiscriminator(widths=(512, 256, 128, 64), activation="relu", dropout=0.0),
                Adam(lr=2e-4, eps=1e-7),
                networks.Glorot(),
            ),
            objective=NonSaturating(),
            latent=latents.Normal(100),
        ),
    )


def convolutional(
    name: str, objective: Part, optimizers: tuple[Part, Part], norms: tuple[Any, Any], **others: Any
) -> Recipe:
    """A DCGAN pair under an objective; optimizers and norms of (generator, discriminator)."""
    rules = others.pop("rules", ())
    return Recipe(
        recipe=name,
        game=ImageGame(
            generator=player(DCGANGenerator(norm=norms[0]), optimizers[0], networks.Normal(0.02), average=AVERAGE),
            discriminator=player(DCGANDiscriminator(norm=norms[1]), optimizers[1], networks.Normal(0.02), rules=rules),
            objective=objective,
            latent=latents.Normal(100),
            **others,
        ),
    )


@recipe("dcgan")
def dcgan() -> Recipe:
    """Deep convolutional GAN: batch norm, Adam 2e-4 with beta1 0.5, N(0, 0.02) weights (Radford et al. 2016)."""
    adam = Adam(lr=2e-4, beta1=0.5)
    return convolutional("dcgan", NonSaturating(), (adam, adam), ("batch", "batch"), fresh_fakes=False)


@recipe("lsgan")
def lsgan() -> Recipe:
    """Least squares instead of cross-entropy, 0-1 coding (Mao et al. 2017) on the DCGAN pair."""
    adam = Adam(lr=2e-4, beta1=0.5)
    return convolutional("lsgan", LeastSquares(), (adam, adam), ("batch", "batch"), fresh_fakes=False)


@recipe("wgan")
def wgan() -> Recipe:
    """Wasserstein critic with weights clipped to 0.01, RMSprop 5e-5, five critic updates (Arjovsky et al. 2017)."""
    rmsprop = RMSprop(lr=5e-5)
    rules = (WeightClip(0.01),)
    return convolutional(
        "wgan", Wasserstein(), (rmsprop, rmsprop), ("batch", "batch"), discriminator_updates=5, rules=rules
    )


@recipe("wgan-gp")
def wgan_gp() -> Recipe:
    """Wasserstein critic with gradient penalty 10, layer norm, Adam 1e-4, five updates (Gulrajani et al. 2017)."""
    adam = Adam(lr=1e-4, beta1=0.0, beta2=0.9)
    penalty = (GradientPenalty(weight=10.0),)
    return convolutional(
        "wgan-gp", Wasserstein(), (adam, adam), ("batch", "layer"), discriminator_updates=5, regularizers=penalty
    )


@recipe("rpgan")
def rpgan() -> Recipe:
    """Relativistic pairing with R1 and R2, no norm in D (losses of R3GAN, Huang et al. 2024, on the DCGAN pair)."""
    adam = Adam(lr=2e-4, beta1=0.0, beta2=0.99)
    penalties = (R1(gamma=0.1, every=4), R2(gamma=0.1, every=4))
    return convolutional(
        "rpgan", Relativistic(), (adam, adam), ("batch", "none"), regularizers=penalties, fresh_fakes=False
    )


@recipe("mixture")
def mixture() -> Recipe:
    """Relativistic pairing with R1 and R2 between small fully connected networks: for 2-D mixtures such as grid25."""
    adam = Adam(lr=1e-3, beta1=0.0, beta2=0.99)
    decay = Linear()
    widths = (128, 128, 128)
    return Recipe(
        recipe="mixture",
        length=Length(384_000),
        batch=128,
        game=ImageGame(
            generator=player(
                MLPGenerator(widths=widths, activation="relu"), adam, networks.Default(), decay, average=AVERAGE
            ),
            discriminator=player(MLPDiscriminator(widths=widths, dropout=0.0), adam, networks.Default(), decay),
            objective=Relativistic(),
            latent=latents.Normal(2),
            regularizers=(R1(gamma=0.1), R2(gamma=0.1)),
        ),
    )
