"""Turns of pix2pix and CycleGAN are those of another repository's loops, written plainly for the race against them."""

import copy

import pytest
import torch

from benchmarks.translation_speed import PLAIN, PLAYERS, dataset_of, sides_of
from zerosum.core.engine import Engine
from zerosum.data import Feed
from zerosum.recipes import read_recipe

SMALL = {"pix2pix": ["generator.dropout=0"], "cyclegan": ["generators.blocks=1"]}


class Repeated:
    """A feed of one batch."""

    position = 0

    def __init__(self, batch):
        self.batch = batch

    def next(self):
        self.position += 1
        return dict(self.batch)


@pytest.mark.parametrize("game", PLAIN)
def test_turns_move_weights_as_the_plain_loop_does(game):
    words = [f"{player}.channels=4" for player in PLAYERS[game]]
    recipe = read_recipe(game, [*SMALL[game], *words, f"{PLAYERS[game][1]}.layers=1"])
    dataset = dataset_of(game, 16)
    engine = Engine(recipe.game, dataset.signals, total=10**6)
    start, networks = copy.deepcopy(engine.modules), copy.deepcopy(engine.modules)
    feed = Repeated(Feed(dataset, 1).next())
    loop, weight = PLAIN[game]
    plain = loop(networks, tuple(feed.batch.values()), getattr(recipe.game, weight))
    for _ in range(2):
        engine.turn(feed)
        next(plain)
    for name in networks:
        before, ours, theirs = (numbers(one[name]) for one in (start, engine.modules, networks))
        assert (ours - before).abs().sum() > 300 * (ours - theirs).abs().sum() > 0, name


@torch.no_grad()
def numbers(module):
    return torch.cat([one.flatten() for one in module.parameters()])


@pytest.mark.parametrize("game", PLAIN)
def test_both_sides_of_a_race_see_the_same_images(game):
    dataset = dataset_of(game, 16)
    batch = Feed(dataset, 8).next()
    for ours, theirs in zip(batch.values(), sides_of(dataset), strict=True):
        assert all((theirs == image).flatten(1).all(1).any() for image in ours)
