"""Recipes at a size at which a test is quick."""

from zerosum.core.engine import Engine
from zerosum.core.player import Player
from zerosum.core.registry import field_types
from zerosum.core.space import Space
from zerosum.data import Feed, open_data
from zerosum.recipes import read_recipe
from zerosum.runs.training.training import make_space

EAGER = ["report=96", "samples=128", "evaluation=128", "checkpoint=96", "evaluator.count=40"]
DATA = {"mixture": "ring8", "pacgan": "ring8", "unrolled": "ring8", "veegan": "ring8", "dirac": "dirac"}
SIZES = {  # of networks' fields
    "channels": "8",
    "widths": "16/16",
    "style": "16",
    "mapping": "1",
    "hidden": "8",
    "units": "16",
    "kernels": "4",
    "blocks": "1",
    "embedding": "8",
}
WIDE = {
    "stylegan2": "channels=16",
    "r3gan": "channels=16",
    "biggan": "channels=2",
}  # what cannot be that narrow, or is wide


def space_of(engine):
    """Sizes that an engine's networks are built for."""
    label = engine.signals.get("label")
    return Space(engine.signals["sample"].shape, engine.game.latent.size, label.classes if label else 0)


def words(name):
    """Settings that make a recipe small."""
    game = read_recipe(name).game
    found = ["batch=16"]
    for field in field_types(type(game)):
        if isinstance(getattr(game, field), Player):
            network = getattr(game, field).network
            sizes = SIZES | dict([WIDE.get(network.name.partition("-")[0], "channels=8").split("=")])
            found += [f"{field}.{key}={sizes[key]}" for key in field_types(type(network)) if key in sizes]
    return found


def table(name, *settings, seed=0, **options):
    """An engine and a feed for a small recipe."""
    recipe = read_recipe(name, [*words(name), *settings])
    dataset = open_data(DATA.get(name, "digits"), recipe.data)
    engine = Engine(recipe.game, make_space(recipe, dataset).signals, seed=seed, total=10_000, **options)
    return engine, Feed(dataset, recipe.batch, seed=seed)
