"""Recipes of auto-encoders in which nobody judges."""

from __future__ import annotations

from zerosum import latents
from zerosum.core.values import Length
from zerosum.games import VariationalAutoencoder
from zerosum.networks import Glorot, MLPEncoder, MLPGenerator
from zerosum.optimizers import Adam
from zerosum.recipes.building import AVERAGE, SHORT, player
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
