"""Every recipe trains, resumes exactly and gives finite samples; its text gives it back."""

import copy

import pytest
import torch

from tests.small import DATA, table
from zerosum.core import compatibility, registry, settings
from zerosum.core.signals import Signal, build
from zerosum.data import open_data
from zerosum.networks.space import Space
from zerosum.recipes import Recipe, read_recipe
from zerosum.recipes.building import SHORT
from zerosum.runs.storage import checkpoint

RECIPES = list(registry.registered("recipe"))
SMALL = [name for name in RECIPES if name.endswith("-small")]


@pytest.mark.parametrize("name", [name for name in RECIPES if name not in SMALL])
def test_every_recipe_trains_2000_images_resumes_bit_for_bit_and_samples_finite_images(name, tmp_path):
    engine, feed = table(name, "batch=80")
    while feed.position < 1000:
        engine.turn(feed)
    tensors, numbers = engine.state()
    checkpoint.save(tmp_path, feed.position, tensors, numbers)
    engine.model()  # somebody looks at it in between
    saved = checkpoint.load_latest(tmp_path, pytest.fail)
    other, other_feed = table(name, "batch=80")
    other.load(saved.tensors, saved.manifest)
    other_feed.position = feed.position
    for one, its_feed in ((engine, feed), (other, other_feed)):
        while its_feed.position < 2000:
            one.turn(its_feed)
    assert feed.position >= 2000
    (ours, _), (theirs, _) = engine.state(), other.state()
    assert ours.keys() == theirs.keys()
    for group, found in ours.items():
        assert found.keys() == theirs[group].keys(), group
        for key, value in found.items():
            assert torch.equal(value, theirs[group][key]), (group, key)
    model, batch = engine.model(), feed.next()
    (output, samples), *_ = model.draw(20, **{key: batch[key][:20] for key in model.task().asked}).items()
    assert samples.shape == (20, *engine.signals[output].shape)
    assert samples.isfinite().all()
    if name != "dirac":  # whose generator is one number
        assert samples.flatten(1).std(0).max() > 1e-4


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_fits_data_it_is_made_for_and_its_text_gives_it_back(name):
    recipe = read_recipe(name)
    assert recipe.recipe == name
    assert settings.from_toml(Recipe, str(recipe)) == recipe
    known = DATA.get(name.removesuffix("-small"))
    if name == "cyclegan":  # whose patches are larger than those data
        spaces = [dict.fromkeys("ab", Signal("image", (3, 256, 256)))]
    elif recipe.data.pairs:
        spaces = [dict.fromkeys(("input", "target"), Signal("image", (3, side, side))) for side in (64, 128, 256)]
    elif name.startswith("stargan"):  # whose sides halve so often
        spaces = [Space((3, side, side), 0, 5).signals for side in (64, 128)]
    elif known:
        spaces = [open_data(known, recipe.data).signals]
    else:
        spaces = [Space(shape, 0, 10).signals for shape in ((1, 8, 8), (1, 28, 28), (3, 64, 64))]
    for space in spaces:
        compatibility.check(recipe.game, space, 10_000, recipe.batch)


@pytest.mark.parametrize("name", SMALL)
def test_a_small_recipe_is_its_large_one_at_another_size(name):
    small, large = read_recipe(name), read_recipe(name.removesuffix("-small"))
    if name not in ("cyclegan-small", "pix2pix-small"):  # whose images cost ten times as much
        assert small.length == SHORT["length"]
    assert type(small.game) is type(large.game)
    assert type(small.game.objective) is type(large.game.objective)
    if name != "began-small":  # at the authors' constants it collapses at that size
        assert small.game.objective == large.game.objective
    for player, seat in small.game.players().items():
        assert type(seat.network) is type(large.game.players()[player].network)

    def weights(recipe):
        signals = Space((3, 64, 64) if name == "stargan-small" else (3, 32, 32), 0, 10).signals
        signals |= dict.fromkeys(("a", "b", "input", "target"), signals["sample"])
        with torch.device("meta"):
            players, wirings = recipe.game.players(), recipe.game.networks(signals)
            networks = [build(players[wiring.players[0]].network, wiring) for wiring in wirings.values()]
        return sum(parameter.numel() for network in networks for parameter in network.parameters())

    assert weights(small) < weights(large) / 2


def test_a_recipe_at_rest_is_a_value():
    assert len({read_recipe("dcgan"), copy.deepcopy(read_recipe("dcgan"))}) == 1
    assert read_recipe("dcgan") != read_recipe("lsgan")
