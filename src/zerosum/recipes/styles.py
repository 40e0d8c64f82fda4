"""Recipes of StyleGAN2.

A regularizer that is due every k updates counts k times, and Adam's constants are those of k updates in k + 1 steps
(Karras et al. 2020, appendix B): learning rate and exponents of the betas times k / (k + 1).
"""

from __future__ import annotations

from typing import Any

from zerosum import latents
from zerosum.augmentations import ADA, DiffAugment
from zerosum.core.average import Average, ExponentialAverage
from zerosum.core.signals import Network
from zerosum.core.values import Length
from zerosum.games import ImageGame
from zerosum.networks import Default, StyleGAN2Discriminator, StyleGAN2Generator
from zerosum.objectives import NonSaturating
from zerosum.optimizers import Adam
from zerosum.recipes.building import LONG, pair, small
from zerosum.recipes.recipe import Recipe, recipe
from zerosum.regularizers import R1, PathLength

SMALL = (
    *(f"{player}.{field}" for player in ("generator", "discriminator") for field in ("channels=64", "halve_above=8")),
    *("generator.style=64", "generator.mapping=2", "latent.size=64", "generator.half_life=10k", "generator.ramp=0.05"),
    "generator.output=tanh",  # linear collapses on MNIST: docs/log/linear-output.md
    *("generator.lr=8e-3", "discriminator.lr=9.4e-3"),  # 1e-2, lazy: docs/log/linear-output.md
)


def lazy(lr: float, every: int) -> Adam:
    """Adam(0, 0.99) at a learning rate, for a player with a regularizer that is due every so many updates."""
    share = every / (every + 1)
    return Adam(lr=round(lr * share, 8), beta1=0.0, beta2=round(0.99**share, 8))


def styles(name: str, generator: Network, gamma: float, average: Average, lr: float = 2.5e-3, **others: Any) -> Recipe:
    """StyleGAN2's pair with R1 every 16 and path length every 4 updates; others are fields of the game."""
    networks = generator, StyleGAN2Discriminator()
    game = ImageGame(
        **pair(networks, (lazy(lr, 4), lazy(lr, 16)), Default(), average=average),
        objective=NonSaturating(),
        latent=latents.Normal(512),
        regularizers=(R1(gamma=gamma, every=16), PathLength(weight=2.0, every=4)),
        **others,
    )
    return Recipe(recipe=name, length=Length(25_000_000), batch=64, game=game, **LONG)


@recipe("stylegan2")
def stylegan2() -> Recipe:
    """Styles, modulated convolutions, lazy R1 and path length (Karras et al. 2020; ADA's code, setting of 256 px).

    R1's gamma should shrink with the number of pixels: 0.1 at 64 px.
    """
    return styles("stylegan2", StyleGAN2Generator(), 1.0, ExponentialAverage(half_life=20_000, ramp=0.0))


@recipe("stylegan2-small")
def stylegan2_small() -> Recipe:
    """StyleGAN2 for a CPU: 64 channels that halve from 8 pixels on, latents and styles of 64, four times the rates."""
    return small(stylegan2(), *SMALL)


@recipe("stylegan2-ada")
def stylegan2_ada() -> Recipe:
    """StyleGAN2 with adaptive augmentation, for few images; mapping of two layers (Karras et al. 2020, NeurIPS).

    R1's gamma follows 0.0002 * pixels of a side^2 / batch: 0.0128 at 64 px, 0.205 at 256 px; here 0.05, for 128 px.
    """
    average = ExponentialAverage(half_life=20_000, ramp=0.05)
    return styles("stylegan2-ada", StyleGAN2Generator(mapping=2), 0.05, average, augmentations=(ADA(),))


@recipe("stylegan2-ada-small")
def stylegan2_ada_small() -> Recipe:
    """StyleGAN2-ADA for a CPU: 64 channels that halve from 8 pixels on, four times the rates, p five times as fast."""
    return small(stylegan2_ada(), *SMALL, "ada.speed=100k")


@recipe("diffaugment")
def diffaugment() -> Recipe:
    """StyleGAN2 for few images: colour, translation and cutout on all that D sees (Zhao et al. 2020).

    R1's gamma of 1 is for 256 px, as in `stylegan2`; at 64 px try 0.1.
    """
    average = ExponentialAverage(half_life=20_000, ramp=0.05)
    return styles("diffaugment", StyleGAN2Generator(), 1.0, average, lr=2e-3, augmentations=(DiffAugment(),))


@recipe("diffaugment-small")
def diffaugment_small() -> Recipe:
    """DiffAugment for a CPU: StyleGAN2 with 64 channels that halve from 8 pixels on, five times the rates."""
    return small(diffaugment(), *SMALL)
