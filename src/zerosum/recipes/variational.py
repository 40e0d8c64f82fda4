"""Recipes of auto-encoders: variational ones, and those whose samples or latents a discriminator judges."""

from __future__ import annotations

from zerosum import latents
from zerosum.core.values import Length
from zerosum.games import VAEGAN, AdversarialAutoencoder, VariationalAutoencoder
from zerosum.networks import (
    DCGANDiscriminator,
    DCGANEncoder,
    DCGANGenerator,
    Glorot,
    MLPDiscriminator,
    MLPEncoder,
    MLPGenerator,
    Normal,
)
from zerosum.objectives import NonSaturating
from zerosum.optimizers import Adam, RMSprop
from zerosum.recipes.building import AVERAGE, LONG, SHORT, pair, player, small
from zerosum.recipes.recipe import Recipe, recipe


@recipe("vae")
def vae() -> Recipe:
    """Variational auto-encoder (Kingma & Welling 2014): fully connected, 20 latents, Bernoulli, Adam 1e-3."""
    adam, start = Adam(lr=1e-3, beta1=0.9), Glorot()
    return Recipe(
        recipe="vae",
        game=VariationalAutoencoder(
            encoder=player(MLPEncoder(widths=(500, 500), activation="relu"), adam, start),
            decoder=player(MLPGenerator(widths=(500, 500), activation="relu"), adam, start, average=AVERAGE),
            latent=latents.Normal(20),
        ),
        **{**SHORT, "batch": 128, "length": Length(1_200_000)},
    )


@recipe("vae-gan")
def vae_gan() -> Recipe:
    """Auto-encoder judged by a discriminator's features (Larsen et al. 2016): 128 latents, RMSprop 3e-4, weight 1e-5.

    Settings of the authors' code for CelebA at 64 pixels, on DCGAN's networks in the place of theirs.
    """
    networks, rms = (DCGANGenerator(channels=64), DCGANDiscriminator(channels=64)), RMSprop(lr=3e-4)
    return Recipe(
        recipe="vae-gan",
        length=Length(5_000_000),
        batch=64,
        game=VAEGAN(
            **pair(networks, (rms, rms)),
            encoder=player(DCGANEncoder(channels=64), rms, Normal(0.02), average=AVERAGE),
            objective=NonSaturating(),
            latent=latents.Normal(128),
            distortion=1e-5,
        ),
        **LONG,
    )


@recipe("vae-gan-small")
def vae_gan_small() -> Recipe:
    """VAE-GAN for a CPU: 32 channels, 20 latents, weight 0.01 of few features, R1 in place of batch norm, Adam 2e-3.

    With batch norm in D and Adam 2e-4 its samples stay behind those of a VAE of the same networks
    (docs/log/vae-gan-rates.md).
    """
    players = "generator", "discriminator", "encoder"
    return small(
        vae_gan(),
        *(f"{player}.channels=32" for player in players),
        *(f"{player}.optimizer=adam:lr=2e-3,beta1=0,beta2=0.99" for player in players),
        *(f"{player}.initialization=default" for player in players),
        "discriminator.norm=none",
        "regularizers=r1:gamma=0.1,every=4",
        "latent.size=20",
        "distortion=0.01",
    )


@recipe("aae")
def aae() -> Recipe:
    """Adversarial auto-encoder (Makhzani et al. 2015): two layers of 1,000 units each, 8 latents.

    The paper's stochastic gradient descent has rates that were changed by hand; Adam takes its place.
    """
    rates, start = Adam(lr=2e-4, beta1=0.5), Glorot()
    return Recipe(
        recipe="aae",
        length=Length(6_000_000),
        batch=100,
        game=AdversarialAutoencoder(
            encoder=player(MLPEncoder(widths=(1000, 1000), activation="relu"), rates, start, average=AVERAGE),
            decoder=player(MLPGenerator(widths=(1000, 1000), activation="relu"), rates, start, average=AVERAGE),
            discriminator=player(MLPDiscriminator(widths=(1000, 1000), activation="relu", dropout=0.0), rates, start),
            optimizer=rates,
            objective=NonSaturating(),
            latent=latents.Normal(8),
        ),
        **LONG,
    )


@recipe("aae-small")
def aae_small() -> Recipe:
    """Adversarial auto-encoder for a CPU: layers of 500 units, Adam 1e-3 for the errors of reconstruction."""
    return small(
        aae(),
        "encoder.widths=500/500",
        "decoder.widths=500/500",
        "discriminator.widths=500/500",
        "encoder.lr=1e-3",
        "decoder.lr=1e-3",
    )
