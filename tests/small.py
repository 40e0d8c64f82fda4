"""Recipes at a size at which a test is quick."""

import torch

from zerosum.core.engine import Engine
from zerosum.core.model import Networks
from zerosum.core.player import Player
from zerosum.core.registry import field_types
from zerosum.core.signals import build
from zerosum.data import Feed, open_data
from zerosum.recipes import read_recipe
from zerosum.runs.storage.trained import TrainedModel

EAGER = ["report=96", "samples=128", "evaluation=128", "checkpoint=96", "evaluator.count=40"]
DATA = {
    "mixture": "ring8",
    "pacgan": "ring8",
    "unrolled": "ring8",
    "veegan": "ring8",
    "dirac": "dirac",
} | dict.fromkeys(("cyclegan", "cyclegan-small"), "digits-inverted")
MADE = dict.fromkeys(("pix2pix", "pix2pix-small"), "data.pairs=edges")  # what makes pairs of them
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
    "layers": "1",
}
WIDE = {
    "stylegan2": "channels=16",
    "r3gan": "channels=16",
    "biggan": "channels=2",
}  # what cannot be that narrow, or is wide


def trained(recipe, signals, classes=(), images=1_000, *, seed=0, networks=None, **facts):
    """A model of a recipe with its first weights, or with given networks."""
    torch.manual_seed(seed)
    game = recipe.game
    players, wirings = game.players(), game.networks(signals)
    own = Networks(lambda name: build(players[wirings[name].players[0]].network, wirings[name]).eval())
    own.update(networks or {})
    return TrainedModel(game.model(own, signals), recipe, signals, classes, images, **facts)


def words(name):
    """Settings that make a recipe small."""
    game = read_recipe(name).game
    found = [
        "batch=16",
        *([MADE[name]] if name in MADE else []),
        *(["pool.size=100"] if "pool" in field_types(type(game)) else []),
    ]
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
    engine = Engine(recipe.game, dataset.signals, seed=seed, total=10_000, **options)
    return engine, Feed(dataset, recipe.batch, seed=seed)
