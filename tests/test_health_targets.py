"""The health of trainings on pairs: what a report measures of them, and what deliberate failures lead to."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.small import words
from zerosum.core.engine import Engine
from zerosum.data import Feed, open_data
from zerosum.recipes import read_recipe
from zerosum.runs import health
from zerosum.runs.health import diagnostics_of_pairs as pairs
from zerosum.runs.health.history import History

SMALL = [*words("pix2pix-small"), "batch=1000", "generator.channels=2", "discriminator.channels=2"]


def reported(dataset, *settings):
    """The history of a training on pairs, with two reports."""
    recipe, lines = read_recipe("pix2pix-small", [*SMALL, *settings]), []
    engine, feed = Engine(recipe.game, dataset.signals, total=10_000), Feed(dataset, recipe.batch)
    own = health.Diagnostics(dataset, recipe.batch)
    while feed.position < 10_000:
        engine.turn(feed)
        if feed.position % 5_000 == 0:
            losses = engine.meter.take("report")
            lines.append({"images": feed.position, "images_per_second": 1.0, **losses, **own.look(engine)})
    return History(recipe, {"train": len(dataset.train)}, lines)


@pytest.fixture(scope="module")
def dataset():
    return open_data("digits", read_recipe("pix2pix-small", SMALL).data)


def named(history):
    return {one.name: one for one in health.examine(history)}


def test_a_discriminator_that_does_not_see_inputs_ignores_them(dataset):
    history = reported(dataset, "conditional=false")
    assert history.last("condition", 2) == [0, 0]
    found = named(history)["condition-ignored"]
    assert found.seen == "another input beside a target changes a verdict by 0 of their deviation"
    assert found.advice.startswith("conditional=true")
    assert "condition-ignored" not in named(reported(dataset))


def test_inputs_that_say_nothing_are_ignored(dataset):
    blank = dataclasses.replace(dataset, inputs=np.full_like(dataset.inputs, 255))
    assert named(reported(blank))["condition-ignored"].advice.endswith("inputs that tell their targets apart")


def test_without_a_discriminator_outputs_are_means_of_targets(dataset):
    noise = np.random.default_rng(0).integers(0, 256, dataset.values.shape, dtype=np.uint8)
    random = dataclasses.replace(dataset, values=noise)
    history = reported(random, "adversarial=0")
    assert min(history.last("contrast", 2)) > 0
    assert named(history)["averaged-blur"].advice.startswith("adversarial=1, or distance=10")


def test_contrast_is_the_difference_of_neighbouring_pixels_of_that_of_targets():
    targets = torch.tensor([[0.0, 1.0], [0.5, -1.0]]).view(1, 1, 2, 2)  # down 0.5, 2; across 1, 1.5
    outputs = torch.tensor([[0.0, 0.1], [0.3, 5.0]]).view(1, 1, 2, 2)  # 5 is white: down 0.3, 0.9; across 0.1, 0.7
    assert pairs.contrast(outputs, targets)["contrast"] == pytest.approx((0.6 + 0.4) / (1.25 + 1.25))
    assert pairs.contrast(targets, targets) == {"contrast": 1}
    assert pairs.contrast(targets, torch.ones(1, 1, 2, 2)) == {}


def test_a_condition_counts_by_how_far_it_moves_verdicts():
    batch = {"input": torch.tensor([0.0, 3.0]), "target": torch.tensor([1.0, -1.0])}
    for factor in (0.5, 0.0):
        found = pairs.conditions(lambda x, factor=factor: {"discriminator": factor * x["input"] + x["target"]}, batch)
        logits = np.array([1, -1 + 3 * factor, 1 + 3 * factor, -1])  # beside its own input, and beside the other's
        assert found == {"condition": pytest.approx(3 * factor / logits.std(ddof=1))}
    assert pairs.conditions(lambda x: {"critic-2": x["input"] * 0}, batch) == {}
