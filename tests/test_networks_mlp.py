"""Fully connected networks: layers, counts, activations, and how a class enters."""

import pytest
import torch
from torch import nn

from zerosum.core.errors import RecipeError
from zerosum.core.registry import parse
from zerosum.networks import MLPDiscriminator, MLPGenerator
from zerosum.networks.space import Space


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def count(net):
    return sum(p.numel() for p in net.parameters())


IMAGE = Space((1, 28, 28), 100, 10)


@pytest.mark.parametrize(("part", "parameters"), [
    (MLPGenerator(), 1_486_352),
    (MLPDiscriminator(), 1_460_225),
    (MLPGenerator(widths=(128, 256, 512, 1024), activation="relu"), 1_506_448),
    (MLPDiscriminator(widths=(512, 256, 128, 64), activation="relu"), 574_465),
    (MLPGenerator(labels="concat"), 1_486_352 + 10 * 256),
    (MLPGenerator(labels="embed"), 1_486_352 + 100 * 256 + 10 * 100),
    (MLPGenerator(labels="norm", norm="batch"), 1_486_352 + (2 * 10 - 1) * 1792),
    (MLPDiscriminator(labels="concat"), 1_460_225 + 10 * 1024),
    (MLPDiscriminator(labels="embed"), 1_460_225 + 784 * 1024 + 10 * 784),
    (MLPDiscriminator(labels="projection"), 1_460_225 + 10 * 256),
    (MLPDiscriminator(labels="classifier"), 1_460_225 + 10 * 257),
    (MLPDiscriminator(codes=3, spectral=True), 1_460_225 + 3 * 257),
    (MLPDiscriminator(minibatch="stddev"), 1_460_225 + 1),
    (MLPDiscriminator(minibatch="discrimination", kernels=20), 1_460_225 + 256 * 100 + 20),
], ids=lambda x: str(x) if not isinstance(x, int) else "")  # fmt: skip
def test_parameter_counts(part, parameters):
    with torch.device("meta"):
        assert count(part.build(*IMAGE.ports)) == parameters


def test_a_perceptron_without_hidden_layers_has_no_norm():
    part = MLPGenerator(widths=(), norm="batch")
    assert "batchnorm" not in part.traits()
    assert count(part.build(*Space((2,), 3).ports)) == 8
    assert parse("network", str(part)) == part
    assert "dropout" not in MLPDiscriminator(widths=()).traits()
    assert torch.equal((net := MLPDiscriminator(widths=()).build(*Space((2,)).ports))(x := torch.randn(3, 2)), net(x))


def test_dropout_is_on_in_training_only():
    part, x = MLPDiscriminator(widths=(64, 64)), torch.rand(4, 1, 28, 28)
    net = part.build(*IMAGE.ports)
    assert not torch.equal(net(x), net(x))
    assert torch.equal(net.eval()(x), net(x))
    calm = part.replace(dropout=0).build(*IMAGE.ports)
    assert torch.equal(calm(x), calm(x))


@pytest.mark.parametrize("shape", [(2,), (5,), (1, 9, 13), (3, 3, 3)], ids=str)
@pytest.mark.parametrize("labels", ["none", "concat", "embed"])
def test_perceptrons_take_any_space(shape, labels):
    space, label = Space(shape, 6, 4), torch.tensor([3, 0, 1])
    generator = MLPGenerator(widths=(8,), norm="layer", labels=labels).build(*space.ports)
    discriminator = MLPDiscriminator(widths=(8,), labels=labels).build(*space.ports)
    with torch.no_grad():
        generator.body[-2].bias += 3
    fake = generator(torch.randn(3, 6), label)
    assert fake.shape == (3, *shape)
    assert (fake.abs().max() <= 1) == (len(shape) == 3)  # points are not squashed
    assert discriminator(fake, label).shape == (3,)


def test_hidden_layers_are_what_the_fields_say():
    net = MLPGenerator(widths=(8, 8), activation="relu", norm="batch").build(*Space((2,), 3).ports)
    stage = ["Linear", "BatchNorm1d", "ReLU"]
    assert [type(m).__name__ for m in net.body] == ["JoinLabel", *stage * 2, "Linear", "Unflatten"]
    net = MLPDiscriminator(widths=(8,), dropout=0.5).build(*Space((2,)).ports)
    assert [type(m).__name__ for m in net.body] == ["Flatten", "JoinLabel", "Linear", "LeakyReLU", "Dropout"]
    assert net.body[3].negative_slope == 0.2
    net = MLPDiscriminator(widths=(8,), dropout=0, activation="tanh", minibatch="stddev").build(*Space((2,)).ports)
    assert [type(m).__name__ for m in net.body][2:] == ["Linear", "Tanh", "MinibatchStddev"]


def test_maxout_is_the_largest_of_five_linear_maps():
    net = MLPDiscriminator(widths=(3, 2), dropout=0, activation="maxout").build(*Space((4,)).ports)
    x = f = torch.randn(6, 4)
    for layer in [m for m in net.body if isinstance(m, nn.Linear)]:
        units = f @ layer.weight.T + layer.bias
        f = torch.stack([units[:, first : first + 5].amax(1) for first in range(0, units.shape[1], 5)], 1)
    torch.testing.assert_close(net.features(x), f)
    torch.testing.assert_close(net(x), f @ net.head.logit.weight[0] + net.head.logit.bias)


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_a_norm_of_a_perceptron_brings_the_bias(norm):
    body = MLPGenerator(widths=(8, 8), norm=norm).build(*Space((2,), 3).ports).body
    *hidden, last = [m.bias is not None for m in body if isinstance(m, nn.Linear)]
    assert hidden == [norm == "none"] * 2
    assert last


def test_class_norms_need_batch_norm_and_hidden_layers():
    for part in (MLPGenerator(labels="norm"), MLPGenerator(labels="norm", norm="batch", widths=())):
        with pytest.raises(
            RecipeError, match=r"network 'mlp-generator': labels=norm gives every class.*set norm=batch"
        ):
            part.build(*IMAGE.ports)


def test_the_flag_of_old_is_refused():
    with pytest.raises(RecipeError, match="labels: 'true' is not allowed"):
        parse("network", "mlp-generator:labels=true")


def test_spectral_discriminators_are_one_lipschitz():
    net = MLPDiscriminator(widths=(16, 16), dropout=0, spectral=True).build(*Space((3,)).ports)
    a, b = torch.randn(2, 400, 3)
    with torch.no_grad():
        for layer in [*net.body[2::2], net.head.logit]:
            layer.weight *= 10
    for _ in range(200):
        net(a[:1])
    ratio = (net.eval()(a) - net(b)).abs() / (a - b).norm(dim=1)
    assert 0.01 < ratio.max() <= 1.0001
