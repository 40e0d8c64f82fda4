"""What does not fit is refused before the first image, all of it together."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from tests.small import words
from zerosum.core import compatibility
from zerosum.core.errors import RecipeError
from zerosum.core.registry import Part
from zerosum.core.space import Space
from zerosum.data import Feed, open_data
from zerosum.recipes import read_recipe
from zerosum.regularizers import R1

DIGITS = Space((1, 8, 8), 100, 10)


def refused(name, *settings, space=DIGITS, total=1000, **changes):
    game = read_recipe(name, [*words(name), *settings]).game.replace(**changes)
    with pytest.raises(RecipeError) as raised:
        compatibility.check(game, space, total)
    return raised.value.faults


@dataclass(frozen=True)
class Made(Part):
    """A network that a user might write."""

    forward: Any = None
    kind = "network"
    name = "made"
    role: str = "generator"

    def traits(self):
        return frozenset({self.role})

    def build(self, space):
        network = nn.Linear(space.latent or space.values, space.values)
        made = self.forward
        network.forward = lambda x, label=None: made(network, x)
        return network


def with_generator(forward):
    game = read_recipe("mlp", words("mlp")).game
    return {"generator": game.generator.replace(network=Made(forward))}


def with_discriminator(forward):
    game = read_recipe("mlp", words("mlp")).game
    return {"discriminator": game.discriminator.replace(network=Made(forward, "discriminator"))}


def test_what_fits_passes():
    for name in ("mlp", "dcgan", "wgan-gp", "rpgan"):
        compatibility.check(read_recipe(name).game, DIGITS, 1000)


@pytest.mark.parametrize("penalty", ["r1", "r2", "gradient-penalty"])
def test_a_gradient_penalty_refuses_batch_norm_in_the_discriminator_only(penalty):
    (fault,) = refused("dcgan", f"regularizers={penalty}")
    assert f"{penalty!r} with 'batchnorm'" in fault
    assert "discriminator.norm=" in fault
    game = read_recipe("dcgan", [f"regularizers={penalty}", "discriminator.norm=layer"]).game
    compatibility.check(game, DIGITS, 1000)  # the generator may keep its batch norm


def test_all_problems_are_reported_together():
    faults = refused(
        "dcgan",
        "regularizers=r1+r2",
        "generator.network=dcgan-discriminator",
        "discriminator.schedule=linear",
        total=None,
    )
    assert len(faults) == 4
    assert sum("batchnorm" in fault for fault in faults) == 2
    assert any("generator.network: 'dcgan-discriminator' is no generator" in fault for fault in faults)
    assert any("discriminator.schedule" in fault for fault in faults)


def test_a_regularizer_given_twice_is_refused():
    (fault,) = refused("rpgan", regularizers=(R1(gamma=1), R1(gamma=2)))
    assert fault == "regularizer 'r1' is given 2 times; give it once"


def test_networks_that_do_not_fit_the_data_are_refused():
    assert "30x30" in refused("dcgan", space=Space((1, 30, 30), 100))[0]
    assert "points" in refused("dcgan", space=Space((2,), 100))[0]
    conditional = "generator.labels=concat", "discriminator.labels=concat"
    for fault in refused("mlp", *conditional, space=Space((1, 8, 8), 9)):
        assert "labels=concat needs data with classes" in fault


def test_faults_of_a_users_network_are_explained():
    (fault,) = refused("mlp", **with_generator(lambda net, x: net.missing(x)))
    assert "the networks do not fit 8x8 images with 1 channel: AttributeError" in fault
    (fault,) = refused("mlp", **with_generator(lambda net, x: x))
    assert "the generator makes [100] where the data are [1, 8, 8]" in fault
    (fault,) = refused("mlp", **with_discriminator(lambda net, x: x.mean()))
    assert "the discriminator gives logits [] for a batch of 2" in fault


def test_a_trial_turn_finds_what_shapes_do_not_show():
    def broken(net, x):
        if x.device.type == "meta":
            return torch.zeros(len(x), 1, 8, 8)
        raise ZeroDivisionError("only with real numbers")

    game = read_recipe("mlp", words("mlp")).game.replace(**with_generator(broken))
    compatibility.check(game, DIGITS, 1000)
    with pytest.raises(RecipeError, match=r"a trial turn on a few images failed: ZeroDivisionError: only with real"):
        compatibility.trial(game, DIGITS, Feed(open_data("digits"), 2), 1000)
