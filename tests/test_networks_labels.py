"""Networks that take the class of a sample, or tell it."""

from typing import get_args

import pytest
import torch

from zerosum.core.errors import RecipeError
from zerosum.core.registry import field_types
from zerosum.networks import (
    ACGANGenerator,
    DCGANDiscriminator,
    DCGANGenerator,
    JointDCGANDiscriminator,
    JointMLPDiscriminator,
    MLPDiscriminator,
    MLPGenerator,
)
from zerosum.networks.space import Space

PLAIN = [
    MLPGenerator(widths=(12, 16), norm="batch"),
    MLPDiscriminator(widths=(12, 16)),
    DCGANGenerator(channels=8),
    DCGANDiscriminator(channels=8),
    ACGANGenerator(channels=32),
    JointMLPDiscriminator(widths=(12, 16)),
    JointDCGANDiscriminator(channels=8, units=9),
]
CONDITIONAL = [
    part.replace(labels=labels)
    for part in PLAIN
    for labels in get_args(field_types(type(part))["labels"])
    if labels != "none"
]
every_way = pytest.mark.parametrize("part", CONDITIONAL, ids=lambda part: f"{part.name},{part.labels}")
DIGITS, COLOUR = Space((1, 28, 28), 20, 10), Space((3, 32, 32), 12, 2)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def inputs(part, space, count=4):
    """What the network is called with: a latent or a sample, labels, and a latent beside the sample of a pair."""
    z, label = torch.randn(count, space.latent), torch.arange(count) % space.classes
    if "generator" in part.traits():
        return z, label
    sample = torch.rand(count, *space.shape) * 2 - 1
    return (sample, label, z) if "joint" in part.traits() else (sample, label)


@every_way
def test_conditional_networks_insist_on_classes(part):
    said = f"network '{part.name}': labels={part.labels} needs data with classes.*set labels=none"
    with pytest.raises(RecipeError, match=said):
        part.build(*Space((1, 28, 28), 100).ports)
    if part.labels == "classifier":
        return
    x, _, *beside = inputs(part, DIGITS)
    with pytest.raises(ValueError, match=r"this network is conditional.*the classes, a label \[N\] of 0 to 9"):
        part.build(*DIGITS.ports)(x, None, *beside)


@every_way
def test_class_weights_of_zero_give_the_unconditional_network(part):
    """The weights that only the class uses are cut away: what remains must load into the plain network."""
    space = COLOUR
    plain = part.replace(labels="none").build(*space.ports).eval()
    conditional = part.build(*space.ports).eval()
    state, wanted = conditional.state_dict(), plain.state_dict()
    for name, value in list(state.items()):
        if name.endswith("embedding.weight") or "head.projection" in name:
            value.zero_()
        elif name in wanted and value.shape == wanted[name].shape:
            wanted[name].copy_(value)
        elif name in wanted and part.labels != "norm":  # the class joined the input of this layer, before any latent
            axis = next(i for i in range(value.ndim) if value.shape[i] != wanted[name].shape[i])
            width = value.shape[axis] - wanted[name].shape[axis]
            first = space.values if part.name == "joint-mlp-discriminator" else wanted[name].shape[axis]
            head, own, tail = value.tensor_split((first, first + width), axis)
            own.zero_()
            wanted[name].copy_(torch.cat([head, tail], axis))
        else:
            assert part.labels == "norm" or "head.classes" in name
    x, label, *beside = inputs(part, space)
    torch.testing.assert_close(conditional(x, label, *beside), plain(x, None, *beside))


@pytest.mark.parametrize("part", [p for p in CONDITIONAL if p.labels == "classifier"], ids=lambda part: part.name)
def test_classifying_discriminators_look_at_the_image_alone(part):
    net, (x, label) = part.build(*DIGITS.ports).eval(), inputs(part, DIGITS)
    assert torch.equal(net(x), net(x, label + 1))
    assert torch.equal(net.features(x, label), net.features(x))
