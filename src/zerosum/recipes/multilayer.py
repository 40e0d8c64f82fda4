"""Recipes of fully connected networks on pixels; `zerosum show NAME` prints every field."""

from __future__ import annotations

from zerosum import latents, networks
from zerosum.core.values import Length
from zerosum.games import ImageGame
from zerosum.networks import MLPDiscriminator, MLPGenerator
from zerosum.objectives import NonSaturating
from zerosum.optimizers import SGD, Adam, RMSprop
from zerosum.recipes.building import AVERAGE, pair, player
from zerosum.recipes.recipe import Recipe, recipe
from zerosum.regularizers import MaxNorm


@recipe("gan")
def gan() -> Recipe:
    """The first GAN: ReLU generator, maxout discriminator with dropout, max-norm, SGD (Goodfellow et al. 2014, code).

    The learning rate is a fifth of their 0.1, which was for images in [0, 1] and diverges on [-1, 1]; it does not
    decay, and momentum stays at 0.5, where theirs rises to 0.7.
    """
    sgd = SGD(lr=0.02, momentum=0.5)
    maxout = MLPDiscriminator(widths=(240, 240), activation="maxout", dropout=0.5)
    relu = MLPGenerator(widths=(1200, 1200), activation="relu")
    return Recipe(
        recipe="gan",
        length=Length(50, "epochs"),
        batch=100,
        game=ImageGame(
            generator=player(relu, sgd, networks.Normal(0.03), average=AVERAGE),
            discriminator=player(maxout, sgd, networks.Normal(0.003), rules=(MaxNorm(1.9365),)),
            objective=NonSaturating(),
            latent=latents.Uniform(100),
        ),
    )


@recipe("mlp")
def mlp() -> Recipe:
    """Fully connected GAN on pixels: 10 epochs, batch 128, Adam 2e-4 (Goodfellow et al. 2014, with dropout in D)."""
    adam = Adam(lr=2e-4)
    return Recipe(
        recipe="mlp",
        length=Length(10, "epochs"),
        batch=128,
        game=ImageGame(
            **pair((MLPGenerator(), MLPDiscriminator()), (adam, adam), networks.Default()),
            objective=NonSaturating(),
            latent=latents.Normal(100),
        ),
    )


@recipe("mlp-keras")
def mlp_keras() -> Recipe:
    """Fully connected GAN in the Keras manner: ReLU, Glorot, Adam for D, RMSprop for G, Keras' constants.

    The tutorial it comes from names no learning rate; on MNIST the pair collapses at each that was tried
    (docs/log/mlp-keras.md).
    """
    sizes = (
        MLPGenerator(widths=(128, 256, 512, 1024), activation="relu"),
        MLPDiscriminator(widths=(512, 256, 128, 64), activation="relu", dropout=0.0),
    )
    return Recipe(
        recipe="mlp-keras",
        length=Length(10, "epochs"),
        batch=128,
        game=ImageGame(
            **pair(sizes, (RMSprop(lr=1e-4, alpha=0.9, eps=1e-7), Adam(lr=2e-4, eps=1e-7)), networks.Glorot()),
            objective=NonSaturating(),
            latent=latents.Normal(100),
        ),
    )


@recipe("cgan")
def cgan() -> Recipe:
    """Conditional GAN: both networks are told the class (Mirza & Osindero 2014), on the pair `mlp`.

    The discriminator sees it as an embedding as long as the image: ten numbers beside 784 pixels are overlooked for
    long (docs/log/one-hot-class.md). In the paper classes get a layer of their own. Adam 2e-4 with beta1 0.5 stands for
    its SGD.
    """
    adam = Adam(lr=2e-4, beta1=0.5)
    sizes = MLPGenerator(labels="concat"), MLPDiscriminator(labels="embed")
    return Recipe(
        recipe="cgan",
        length=Length(20, "epochs"),
        batch=100,
        game=ImageGame(
            **pair(sizes, (adam, adam), networks.Default()),
            objective=NonSaturating(),
            latent=latents.Normal(100),
        ),
    )
