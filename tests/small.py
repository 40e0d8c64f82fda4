"""Recipes at a size at which a test is quick."""

from zerosum.core.engine import Engine
from zerosum.data import Feed, open_data
from zerosum.recipes import read_recipe
from zerosum.runs.training import make_space

MLP = ["generator.widths=16/16", "discriminator.widths=16/16"]
CONVOLUTIONAL = ["generator.channels=8", "discriminator.channels=8"]
EAGER = ["report=96", "samples=128", "evaluation=128", "checkpoint=96"]
DATA = {"mixture": "ring8"}


def words(name):
    """Settings that make a recipe small."""
    return [*(MLP if name.startswith(("ml", "mix")) else CONVOLUTIONAL), "batch=16"]


def table(name, *settings, seed=0, **options):
    """An engine and a feed for a small recipe."""
    recipe = read_recipe(name, [*words(name), *settings])
    dataset = open_data(DATA.get(name, "digits"), recipe.data)
    engine = Engine(recipe.game, make_space(recipe, dataset), seed=seed, total=10_000, **options)
    return engine, Feed(dataset, recipe.batch, seed=seed)
