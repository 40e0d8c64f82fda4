"""What recipes are built of: players, pairs of them, and a smaller copy of a recipe.

The weight average of classic recipes and the sizes of reports are ours: they change no update.
"""

from __future__ import annotations

from typing import Any, TypedDict

from zerosum.core import settings
from zerosum.core.average import Average, ExponentialAverage, NoAverage
from zerosum.core.player import Player
from zerosum.core.signals import Network
from zerosum.core.slots import ChangesWeights, Optimizer, Schedule
from zerosum.core.values import Length
from zerosum.networks import Normal
from zerosum.optimizers import Constant
from zerosum.recipes.recipe import Recipe

NO_AVERAGE = NoAverage()
AVERAGE = ExponentialAverage(half_life=10_000, ramp=0.05)


def player(
    network: Network,
    optimizer: Optimizer,
    initialization: ChangesWeights,
    schedule: Schedule | None = None,
    average: Average = NO_AVERAGE,
    rules: tuple[ChangesWeights, ...] = (),
) -> Player:
    """A player with a constant learning rate unless a schedule is given."""
    return Player(network, optimizer, schedule or Constant(), initialization, average, rules)


class Pair(TypedDict):
    """The two players of a game, by the names of its fields."""

    generator: Player
    discriminator: Player


def pair(
    networks: tuple[Network, Network],
    optimizers: tuple[Optimizer, Optimizer],
    initialization: ChangesWeights | None = None,
    schedule: Schedule | None = None,
    average: Average = AVERAGE,
    rules: tuple[ChangesWeights, ...] = (),
) -> Pair:
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
