"""Recipes on DCGAN's networks, each at its published setting; what differs between them lines up."""

from __future__ import annotations

from typing import Any

from zerosum import latents
from zerosum.core.average import ExponentialAverage
from zerosum.core.signals import Network
from zerosum.core.slots import ChangesWeights, Optimizer
from zerosum.core.values import Length
from zerosum.games import ImageGame, PairsGame, PanelGame
from zerosum.networks import (
    ACGANGenerator,
    DAGANDiscriminator,
    DAGANGenerator,
    DCGANDiscriminator,
    DCGANGenerator,
    Default,
    He,
)
from zerosum.objectives import LeastSquares, Minimax, NonSaturating, Relativistic, Wasserstein
from zerosum.optimizers import Adam, Cosine, RMSprop
from zerosum.protocols import Objective
from zerosum.recipes.building import BRISK, LONG, SMALL, pair, small
from zerosum.recipes.recipe import Recipe, recipe
from zerosum.regularizers import (
    DRAGAN,
    R1,
    R2,
    VAT,
    AuxiliaryClassifier,
    FeatureMatching,
    GradientPenalty,
    MutualInformation,
    WeightClip,
)

ADAM = Adam(lr=2e-4, beta1=0.5)


def convolutional(
    name: str,
    objective: Objective,
    optimizers: tuple[Optimizer, Optimizer] = (ADAM, ADAM),
    discriminator: Network | None = None,
    *,
    generator: Network | None = None,
    initialization: ChangesWeights | None = None,
    rules: tuple[ChangesWeights, ...] = (),
    batch: int = 64,
    **others: Any,
) -> Recipe:
    """A DCGAN pair under an objective; optimizers of (generator, discriminator); others are fields of the game."""
    networks = generator or DCGANGenerator(), discriminator or DCGANDiscriminator()
    others = {"latent": latents.Normal(100), "fresh_fakes": False, **others}
    game = ImageGame(**pair(networks, optimizers, initialization, rules=rules), objective=objective, **others)
    return Recipe(recipe=name, batch=batch, game=game)


@recipe("dcgan")
def dcgan() -> Recipe:
    """Deep convolutional GAN: batch norm, Adam 2e-4 with beta1 0.5, N(0, 0.02) weights (Radford et al. 2016).

    Batches of 64 and normal latents are those of PyTorch's example; the paper has 128 and uniform ones.
    """
    return convolutional("dcgan", NonSaturating())


@recipe("lsgan")
def lsgan() -> Recipe:
    """Least squares instead of cross-entropy, 0-1 coding (Mao et al. 2017) on the DCGAN pair."""
    return convolutional("lsgan", LeastSquares())


@recipe("wgan")
def wgan() -> Recipe:
    """Wasserstein critic with weights clipped to 0.01, RMSprop 5e-5, five critic updates (Arjovsky et al. 2017).

    Their code also trains the critic 100 times a turn at the start and at every 500th; this does not.
    """
    rmsprop = RMSprop(lr=5e-5)
    rules = (WeightClip(0.01),)
    return convolutional(
        "wgan", Wasserstein(), (rmsprop, rmsprop), discriminator_updates=5, rules=rules, fresh_fakes=True
    )


@recipe("wgan-small")
def wgan_small() -> Recipe:
    """WGAN for a CPU: 32 channels, two updates of the critic for one of the generator, at ten times the rate.

    At the published setting 300,000 images are 937 updates of the generator at a rate for days of training. RMSprop's
    first updates are up to ten times its rate, a quarter of the weights at this one; so the rate rises from 0.
    """
    return small(
        wgan(),
        *SMALL,
        "discriminator_updates=2",
        "generator.lr=5e-4",
        "discriminator.lr=5e-4",
        "generator.schedule=constant:warmup=5k",
        "discriminator.schedule=constant:warmup=5k",
    )


@recipe("wgan-gp")
def wgan_gp() -> Recipe:
    """Wasserstein critic with gradient penalty 10, layer norm, Adam 1e-4, five updates (Gulrajani et al. 2017).

    On the DCGAN pair, one of the paper's architectures; their CIFAR-10 numbers are of residual networks:
    `generator.network=resnet-generator:channels=128 discriminator.network=resnet-discriminator:spectral=false`.
    """
    adam = Adam(lr=1e-4, beta1=0.0, beta2=0.9)
    critic = DCGANDiscriminator(norm="layer")
    penalty = (GradientPenalty(weight=10.0),)
    return convolutional(
        "wgan-gp",
        Wasserstein(),
        (adam, adam),
        critic,
        discriminator_updates=5,
        regularizers=penalty,
        fresh_fakes=True,
    )


@recipe("wgan-gp-small")
def wgan_gp_small() -> Recipe:
    """WGAN-GP for a CPU: 32 channels, two critic updates for one of G, ten times the rate, weights as in PyTorch.

    At the published setting 300,000 images are 937 updates of the generator at a rate for days of training.
    """
    return small(
        wgan_gp(),
        *SMALL,
        *BRISK,
        "generator.initialization=default",
        "discriminator.initialization=default",
    )


@recipe("dragan")
def dragan() -> Recipe:
    """The usual loss with a gradient penalty of 10 around real images (Kodali et al. 2017), layer norm in D."""
    return convolutional(
        "dragan", NonSaturating(), discriminator=DCGANDiscriminator(norm="layer"), regularizers=(DRAGAN(),)
    )


@recipe("rpgan")
def rpgan() -> Recipe:
    """Relativistic pairing with R1 and R2, no norm in D (losses of R3GAN, Huang et al. 2024, on the DCGAN pair).

    Learning rate and PyTorch's own start of the weights are measured, not published: with DCGAN's, the distance after
    100,000 images of MNIST is more than twice as large (docs/log/rpgan-rates.md).
    """
    adam = Adam(lr=1e-3, beta1=0.0, beta2=0.99)
    penalties = (R1(gamma=0.1, every=4), R2(gamma=0.1, every=4))
    plain = DCGANDiscriminator(norm="none")
    return convolutional("rpgan", Relativistic(), (adam, adam), plain, initialization=Default(), regularizers=penalties)


@recipe("mnist-speedrun")
def mnist_speedrun() -> Recipe:
    """What reached low distances on MNIST soonest on two cores: docs/speedrun.md says what its choices gain.

    `rpgan` on DCGAN's pair with 32 channels, which is told the class, at twice its learning rate, falling along half a
    cosine, and with a longer average.
    """
    adam = Adam(lr=2e-3, beta1=0.0, beta2=0.99)
    networks = (
        DCGANGenerator(channels=32, labels="concat"),
        DCGANDiscriminator(channels=32, norm="none", labels="projection"),
    )
    average = ExponentialAverage(half_life=50_000, ramp=0.05)
    game = ImageGame(
        **pair(networks, (adam, adam), Default(), Cosine(), average),
        objective=Relativistic(),
        latent=latents.Normal(100),
        regularizers=(R1(gamma=0.1, every=4), R2(gamma=0.1, every=4)),
        fresh_fakes=False,
    )
    return Recipe(recipe="mnist-speedrun", length=Length(700_000), batch=64, game=game, evaluation=Length(100_000))


@recipe("acgan")
def acgan() -> Recipe:
    """The discriminator also names the class, which the generator is told: two heads (Odena et al. 2017)."""
    return convolutional(
        "acgan",
        NonSaturating(),
        generator=ACGANGenerator(labels="concat"),
        discriminator=DCGANDiscriminator(labels="classifier"),
        regularizers=(AuxiliaryClassifier(),),
        batch=100,
    )


@recipe("infogan")
def infogan() -> Recipe:
    """A ten-way and two continuous codes that the image must show, without labels (Chen et al. 2016, for MNIST)."""
    return convolutional(
        "infogan",
        NonSaturating(),
        (Adam(lr=1e-3, beta1=0.5), ADAM),
        DCGANDiscriminator(codes=12),
        latent=latents.InfoGAN(noise=62, categories=10, continuous=2),
        regularizers=(MutualInformation(categories=10, continuous=2),),
        batch=100,
    )


@recipe("minibatch")
def minibatch() -> Recipe:
    """The discriminator sees how alike the samples of a batch are: 100 kernels, Adam 3e-4 (Salimans et al. 2016).

    No batch norm in D, where the paper has weight norm: with it MNIST ended in grain
    (docs/log/minibatch-and-batch-norm.md).
    """
    adam = Adam(lr=3e-4, beta1=0.5)
    discriminator = DCGANDiscriminator(norm="none", minibatch="discrimination", kernels=100)
    return convolutional("minibatch", NonSaturating(), (adam, adam), discriminator, batch=100)


@recipe("feature-matching")
def feature_matching() -> Recipe:
    """The generator only matches the mean features of real batches, Adam 3e-4 (Salimans et al. 2016, section 3.1)."""
    adam = Adam(lr=3e-4, beta1=0.5)
    return convolutional(
        "feature-matching", NonSaturating(), (adam, adam), adversarial=0.0, regularizers=(FeatureMatching(),), batch=100
    )


@recipe("vat")
def vat() -> Recipe:
    """DCGAN whose discriminator is smooth in the direction of the largest change (VAT of Miyato et al. 2018).

    VAT was published for classifiers; in the discriminator of a GAN it is our combination, at its published radius.
    """
    return convolutional("vat", NonSaturating(), regularizers=(VAT(epsilon=8.0),))


@recipe("gman")
def gman() -> Recipe:
    """Five discriminators, mixed by a softmax of the generator's losses against them (Durugkar et al. 2017)."""
    game = PanelGame(
        **pair((DCGANGenerator(), DCGANDiscriminator(norm="none")), (ADAM, ADAM)),
        objective=Minimax(),
        latent=latents.Uniform(100),
        discriminators=5,
        aggregation="softmax",
        sharpness=1.0,
    )
    return Recipe(recipe="gman", batch=100, game=game)


@recipe("gman-small")
def gman_small() -> Recipe:
    """GMAN for a CPU: 32 channels, batches of 32 and a higher rate.

    Each of the five takes batches of its own, so a turn is 160 images, not 500, and 300,000 images are 1,875 turns.
    """
    return small(
        gman(),
        *SMALL,
        "batch=32",
        "generator.lr=5e-4",
        "discriminator.lr=5e-4",
    )


@recipe("dagan")
def dagan() -> Recipe:
    """Further images of a class from one of them, judged in pairs: critic with penalty 10 (Antoniou et al. 2018).

    Its model file holds some of the real images, from which it starts.
    """
    adam = Adam(lr=1e-4, beta1=0.0, beta2=0.9)
    game = PairsGame(
        **pair((DAGANGenerator(), DAGANDiscriminator()), (adam, adam), He()),
        objective=Wasserstein(),
        latent=latents.Normal(100),
        regularizers=(GradientPenalty(weight=10.0),),
        discriminator_updates=5,
    )
    return Recipe(recipe="dagan", length=Length(20_000_000), batch=64, game=game, **LONG)


@recipe("dagan-small")
def dagan_small() -> Recipe:
    """DAGAN for a CPU: 24 channels, two critic updates at five times the learning rate."""
    fields = (f"{player}.{field}" for player in ("generator", "discriminator") for field in ("channels=24", "lr=5e-4"))
    return small(dagan(), *fields, "discriminator_updates=2")
