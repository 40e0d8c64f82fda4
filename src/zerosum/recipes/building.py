"""What recipes are built of: players, pairs of them, and a smaller copy of a recipe.

The weight average of classic recipes and the sizes of reports are ours: they change no update.
"""

from __future__ import annotations

from typing import Any

from zerosum.core import settings
from zerosum.core.average import ExponentialAverage
from zerosum.core.player import Player
from zerosum.core.registry import Part
from zerosum.core.values import Length
from zerosum.networks import Normal
from zerosum.optimizers import Constant
from zerosum.recipes.recipe import Recipe

AVERAGE = ExponentialAverage(half_life=10_000, ramp=0.05)


def player(network: Part, optimizer: Part, initialization: Part, schedule: Part | None = None, **others: Any) -> Player:
    """A player with a constant learning rate unless a schedule is given."""
    return Player(network, optimizer, schedule or Constant(), initialization, **others)


def pair(
    networks: tuple[Part, Part],
    optimizers: tuple[Part, Part],
    initialization: Part | None = None,
    schedule: Part | None = None,
    average: Part = AVERAGE,
    rules: tuple[Part, ...] = (),
) -> dict[str, Any]:
    """Fields `generator` and `discriminator` of a game, from parts of (generator, discriminator).

    Weights begin as N(0, 0.02), DCGAN's, unless another initialization is given; `rules` are the discriminator's.
    """
    start = initialization or Normal(0.02)
    return {
        "generator": player(networks[0], optimizers[0], start, schedule, average=average),
        "discriminator": player(networks[1], optimizers[1], start, schedule, rules=rules),
    }


def small(recipe: Recipe, *words: str) -> Recipe:
    """The recipe as NAME-small: 300,000 images, with `field=value` words applied."""
    start = recipe.replace(recipe=f"{recipe.recipe}-small", **SHORT)
    return settings.assign(start, list(words))


SHORT: dict[str, Any] = {  # what a CPU does in minutes to an hour
    "length": Length(300_000),
    "batch": 64,
    "report": Length(5_000),
    "samples": Length(20_000),
    "evaluation": Length(50_000),
    "checkpoint": Length(50_000),
}
LONG: dict[str, Any] = {  # reports of a training of many millions of images
    "report": Length(20_000),
    "samples": Length(200_000),
    "evaluation": Length(500_000),
    "checkpoint": Length(500_000),
}
# words of small recipes
SMALL = ("generator.channels=32", "discriminator.channels=32")
# For few images: docs/log/spectral-norm-rates.md
BRISK = ("discriminator_updates=2", "generator.lr=1e-3", "discriminator.lr=1e-3")
