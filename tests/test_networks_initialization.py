"""Initializations by their spread, in place and by the seed."""

import math

import pytest
import torch
from torch import nn

from zerosum.core.registry import parse, registered
from zerosum.networks import DCGANDiscriminator, DCGANGenerator, MLPGenerator
from zerosum.networks.initialization import Default, Glorot, He, LeCun, Normal, Orthogonal
from zerosum.networks.space import Space

every_initialization = pytest.mark.parametrize(
    "part", [cls() for cls in registered("initialization").values()], ids=lambda part: part.name
)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize(("part", "std"), [
    (Glorot(), 0.0680414 / math.sqrt(3)),
    (He(), 0.0505076),
    (LeCun(), 0.0357143),
    (Normal(std=0.02), 0.02),
    (Orthogonal(gain=2), 2 / math.sqrt(784)),
], ids=str)  # fmt: skip
def test_spread_on_a_784_to_512_layer(part, std):
    layer = nn.Linear(784, 512)
    part.apply(layer)
    assert layer.weight.std().item() == pytest.approx(std, rel=0.02)
    assert layer.weight.mean().item() == pytest.approx(0, abs=5e-4)
    assert not layer.bias.any()


def test_glorot_is_uniform_within_its_bound():
    layer = nn.Linear(784, 512)
    Glorot().apply(layer)
    assert 0.0680 < layer.weight.abs().max() <= 0.0680415


@pytest.mark.parametrize(
    "layer",
    [nn.ConvTranspose2d(64, 16, 4, 2, 1), nn.Conv2d(64, 16, 4), nn.Conv2d(128, 32, 4, groups=2)],
    ids=lambda m: type(m).__name__,
)
def test_fan_in_counts_the_inputs_of_convolutions_both_ways(layer):
    He().apply(layer)
    assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / (64 * 16)), rel=0.02)
    LeCun().apply(layer)
    assert layer.weight.std().item() == pytest.approx(math.sqrt(1 / (64 * 16)), rel=0.02)
    Glorot().apply(layer)
    assert layer.weight.abs().max().item() == pytest.approx(math.sqrt(6 / (80 * 16)), rel=0.02)


@pytest.mark.parametrize(
    "layer", [nn.Linear(30, 12), nn.Linear(12, 30), nn.Conv2d(3, 8, 2), nn.ConvTranspose2d(6, 4, 2)], ids=str
)
def test_orthogonal_rows_or_columns(layer):
    Orthogonal(gain=1.5).apply(layer)
    weight = layer.weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else layer.weight
    matrix = weight.flatten(1)
    gram = matrix @ matrix.T if matrix.shape[0] < matrix.shape[1] else matrix.T @ matrix
    torch.testing.assert_close(gram, 2.25 * torch.eye(len(gram)), atol=1e-5, rtol=0)


def test_normal_also_draws_the_scales_of_norms():
    net = DCGANGenerator().build(*Space((3, 32, 32), 100).ports)
    Normal().apply(net)
    for layer in net.modules():
        if isinstance(layer, nn.ConvTranspose2d):
            assert layer.weight.std().item() == pytest.approx(0.02, abs=1e-3)
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.weight.mean().item() == pytest.approx(1, abs=0.01)
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.35)
            assert not layer.bias.any()


@every_initialization
def test_initializations_act_in_place_and_obey_the_seed(part):
    net = DCGANDiscriminator(channels=8, norm="none").build(*Space((1, 16, 16)).ports)
    before = [p.detach().clone() for p in net.parameters()]
    pointers = [p.data_ptr() for p in net.parameters()]

    def draw(seed):
        torch.manual_seed(seed)
        part.apply(net)
        return nn.utils.parameters_to_vector(net.parameters()).clone()

    first = draw(1)
    changed = [not torch.equal(old, new) for old, new in zip(before, net.parameters(), strict=True)]
    assert all(changed) if part != Default() else not any(changed)
    assert torch.equal(first, draw(1))
    assert torch.equal(first, draw(2)) == (part == Default())
    assert [p.data_ptr() for p in net.parameters()] == pointers
    assert all(p.requires_grad and p.is_leaf for p in net.parameters())
    assert parse("initialization", str(part)) == part


@every_initialization
def test_initializations_leave_norms_alone_but_for_normal(part):
    net = nn.Sequential(nn.Linear(3, 16), nn.GroupNorm(2, 16), nn.LayerNorm(16), nn.InstanceNorm2d(16))
    part.apply(net)
    assert torch.equal(net[1].weight, torch.ones(16)) == (part.name != "normal")
    assert torch.equal(net[2].weight, torch.ones(16)) == (part.name != "normal")


@every_initialization
def test_initializations_work_on_the_meta_device(part):
    with torch.device("meta"):
        network = DCGANGenerator(channels=8).build(*Space((1, 16, 16), 4).ports)
        part.apply(network)
    assert all(weight.is_meta for weight in network.parameters())


def test_normal_also_draws_the_scales_of_conditional_norms():
    net = DCGANGenerator(labels="norm").build(*Space((3, 32, 32), 100, 10).ports)
    Normal(std=0.1).apply(net)
    scales = [p for name, p in net.named_parameters() if name.endswith("weight") and p.ndim == 2]
    shifts = [p for name, p in net.named_parameters() if name.endswith("bias")]
    assert [tuple(p.shape) for p in scales] == [(10, 256), (10, 128), (10, 64)] == [tuple(p.shape) for p in shifts]
    for scale, shift in zip(scales, shifts, strict=True):
        assert scale.mean().item() == pytest.approx(1, abs=0.02)
        assert scale.std().item() == pytest.approx(0.1, rel=0.15)
        assert not shift.any()


@pytest.mark.parametrize("part", [Normal(), He(), Orthogonal()], ids=str)
def test_embeddings_keep_the_spread_of_latents(part):
    net = MLPGenerator(labels="embed").build(*Space((2,), 100, 50).ports)
    (table,) = [p for name, p in net.named_parameters() if "embedding" in name]
    before = table.detach().clone()
    part.apply(net)
    assert torch.equal(table, before)
    assert table.std().item() == pytest.approx(1, rel=0.05)


def test_projections_are_drawn_as_linear_maps_of_the_features():
    net = DCGANDiscriminator(labels="projection", spectral=True).build(*Space((3, 32, 32), classes=10).ports)
    He().apply(net)
    assert net.head.projection.weight.std().item() == pytest.approx(math.sqrt(2 / 4096), rel=0.03)
