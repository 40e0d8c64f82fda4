"""The health of translations: what a report measures of them, and what deliberate failures lead to."""

import math
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from tests.small import table, words
from zerosum.core.engine import Engine
from zerosum.core.registry import Part
from zerosum.data import Feed, open_data
from zerosum.networks import Default
from zerosum.recipes import read_recipe
from zerosum.runs import health
from zerosum.runs.health.history import History

SMALL = [*words("cyclegan-small"), "batch=16", "pool.size=0", "discriminators.channels=4", "generators.lr=0.05"]


class Contrast(nn.Module):
    """Images at another contrast, e to a power that is learnt."""

    def __init__(self, power):
        super().__init__()
        self.power = nn.Parameter(torch.tensor(float(power)))

    def forward(self, x, label=None):
        return x * self.power.exp()


@dataclass(frozen=True)
class ContrastPart(Part):
    """Translators that learn a contrast."""

    def build(self, inputs, outputs):
        return Contrast(0.5)

    def traits(self):
        return frozenset({"translator"})


ContrastPart.kind, ContrastPart.name = "network", "contrast"


@pytest.fixture(scope="module")
def dataset():
    return open_data("digits-inverted", read_recipe("cyclegan-small").data)


def begun(dataset, *settings, powers=(-0.5, 0.0)):
    """A recipe, an engine whose translators begin at these contrasts, and a feed."""
    recipe = read_recipe("cyclegan-small", [*SMALL, *settings])
    players = recipe.game.generators.replace(network=ContrastPart(), initialization=Default())
    engine = Engine(recipe.game.replace(generators=players), dataset.signals, total=1_000_000)
    for network, power in zip(engine.networks("a_to_b", "b_to_a"), powers, strict=True):
        network.power.data.fill_(power)
    return recipe, engine, Feed(dataset, recipe.batch)


def looked_at(dataset, *translators):
    """What a report says of these translators."""
    _, engine, _ = begun(dataset)
    engine.modules |= dict(zip(("a_to_b", "b_to_a"), translators, strict=True))
    return health.Diagnostics(dataset, 16).look(engine)


def test_a_report_says_what_comes_back_and_what_was_hidden(dataset):
    same, faint = (looked_at(dataset, Contrast(-power), Contrast(power)) for power in (0, math.log(100)))
    negative = looked_at(dataset, Negative(), Negative())
    for name in ("a_to_b", "b_to_a"):
        assert same[f"change-{name}"] == pytest.approx(0, abs=1e-3)
        assert negative[f"cycle_error-{name}"] == pytest.approx(0, abs=1e-3)
        assert negative[f"change-{name}"] > 100
        assert max(same[f"hidden-{name}"], negative[f"hidden-{name}"]) < 0.01
        assert negative[f"constant_error-{name}"] > 20
    assert faint["cycle_error-a_to_b"] == pytest.approx(0, abs=0.01)
    assert faint["hidden-a_to_b"] > 0.9


class Negative(nn.Module):
    """Black for white."""

    def forward(self, x, label=None):
        return -x


def test_translations_that_none_undoes_are_not_measured():
    engine, feed = table("pix2pix")
    engine.turn(feed)
    digits = open_data("digits", read_recipe("pix2pix", ["data.pairs=edges"]).data)
    assert not [name for name in health.Diagnostics(digits, 16).look(engine) if name.endswith("-translate")]


def reported(dataset, *settings, powers=(-0.5, 0.0), turns=1):
    """Findings by name, after two reports of so many turns, of a training of contrasts that begin at these powers."""
    recipe, engine, feed = begun(dataset, *settings, powers=powers)
    own, lines = health.Diagnostics(dataset, recipe.batch), []
    for images in (5_000, 10_000):  # as if batches had been larger
        for _ in range(turns):
            engine.turn(feed)
        losses = engine.meter.take("report")
        lines.append({"images": images, "images_per_second": 1.0, **losses, **own.look(engine)})
    return {one.name: one for one in health.examine(History(recipe, {"train": len(dataset.train)}, lines))}


def test_translators_that_learn_to_change_nothing_are_named(dataset):
    found = reported(dataset, "adversarial=0", "identity=5", "discriminators.lr=1e-2", turns=25)["identity-mapping"]
    assert found.seen.startswith("a_to_b changes images by ")
    assert found.advice == "identity=0, or cycle=2"


def test_images_that_hide_in_their_translations_are_named(dataset):
    found = reported(dataset, "generators.lr=1e-9", powers=(-math.log(100), math.log(100)))
    assert found["steganography"].seen.endswith("noise of 4 in their translations takes 100% of what comes back")
    assert found["steganography"].advice == "cycle=2, or more data"
    assert "identity-mapping" not in found


def test_translators_that_change_images_openly_are_not_named(dataset):
    found = reported(dataset, "generators.lr=1e-9", powers=(-0.5, 0.5))
    assert not {"identity-mapping", "steganography"} & found.keys()
