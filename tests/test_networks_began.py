"""BEGAN's auto-encoder and generator."""

import numpy as np
import pytest
import torch
from torch import nn

from zerosum.networks import BEGANDiscriminator, BEGANGenerator
from zerosum.networks.began import AutoEncoder
from zerosum.networks.space import Space


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("power", [1, 2])
def test_the_logit_is_minus_the_reconstruction_error(power):
    net = BEGANDiscriminator(channels=4, hidden=6, power=power).build(*Space((3, 16, 24)).ports)
    x = torch.rand(5, 3, 16, 24) * 2 - 1
    copy = net.reconstruct(x)
    assert copy.shape == x.shape
    errors = abs(x.double().numpy() - copy.detach().double().numpy()) ** power
    np.testing.assert_allclose(net(x).detach(), [-error.mean() for error in errors], rtol=1e-5)
    assert torch.equal(net.encode(x), net.encoder(x))
    assert net.encode(x).shape == (5, 6)
    torch.testing.assert_close(net.decoder(net.encode(x)), copy)


def test_a_perfect_copy_looks_real_and_a_bad_one_does_not():
    x = torch.rand(2, 1, 8, 8)
    assert torch.equal(AutoEncoder([nn.Identity()], [nn.Identity()], 1)(x), torch.zeros(2))
    with torch.no_grad():
        shifted = nn.Conv2d(1, 1, 1)
        shifted.weight.fill_(1), shifted.bias.fill_(0.5)
    for power in (1, 2):
        far = AutoEncoder([nn.Identity()], [shifted], power)
        torch.testing.assert_close(far(x), torch.full((2,), -(0.5**power)))


@pytest.mark.parametrize("power", [1, 2])
def test_the_image_itself_is_also_the_target(power):
    """With a decoder that ignores its code all of the generator's gradient comes by the target."""
    x = torch.randn(3, 1, 4, 4, requires_grad=True)
    blind = nn.Conv2d(1, 1, 1)
    with torch.no_grad():
        blind.weight.fill_(0), blind.bias.fill_(0.25)
    AutoEncoder([nn.Identity()], [blind], power)(x).sum().backward()
    far = x.detach() - 0.25
    torch.testing.assert_close(x.grad, -(far.sign() if power == 1 else 2 * far) / 16)


def test_training_the_logit_up_makes_better_copies():
    net = BEGANDiscriminator(channels=8, hidden=8).build(*Space((1, 8, 8)).ports)
    x = torch.rand(16, 1, 8, 8)
    optimizer, before = torch.optim.Adam(net.parameters(), 3e-3), net(x).mean().item()
    for _ in range(60):
        optimizer.zero_grad()
        (-net(x).mean()).backward()
        optimizer.step()
    assert net(x).mean().item() > 0.7 * before  # both are negative
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())


@pytest.mark.parametrize(
    ("side", "base", "sizes"), [(8, 8, 1), (28, 7, 3), (32, 8, 3), (64, 8, 4), (80, 5, 5), (48, 6, 4)]
)
def test_widths_grow_in_the_encoder_alone(side, base, sizes):
    with torch.device("meta"):
        net = BEGANDiscriminator(channels=10, hidden=3).build(*Space((3, side, side)).ports)
        generator = BEGANGenerator(channels=10).build(*Space((3, side, side), 7).ports)
    encoder = [(m.in_channels, m.out_channels, m.stride[0]) for m in net.encoder if isinstance(m, nn.Conv2d)]
    expected = [(3, 10, 1), (10, 10, 1), (10, 10, 1)]
    for i in range(1, sizes):
        n = 10 * i
        expected += [(n, n, 2), (n, n + 10, 1), (n + 10, n + 10, 1)]
    assert encoder == expected
    assert net.encoder[-1].in_features == 10 * sizes * base * base
    assert net.encoder[-1].out_features == net.decoder[0].in_features == 3
    for decoder in (net.decoder, generator.body):
        widths = [(m.in_channels, m.out_channels) for m in decoder if isinstance(m, nn.Conv2d)]
        assert widths == [(10, 10)] * 2 * sizes + [(10, 3)]
        assert sum(isinstance(m, nn.Upsample) for m in decoder) == sizes - 1
        assert decoder[0].out_features == 10 * base * base


def test_layers_are_elu_and_nearest_without_norm():
    net, generator = (
        cls(channels=4).build(*Space((1, 32, 32), 5).ports) for cls in (BEGANDiscriminator, BEGANGenerator)
    )
    for kinds in ([type(m).__name__ for m in body] for body in (net.encoder, net.decoder, generator.body)):
        assert set(kinds) <= {"Conv2d", "ELU", "FlatMaps", "Linear", "Unflatten", "Upsample"}
        assert kinds.count("ELU") == kinds.count("Conv2d") - (kinds[0] == "Linear")
    assert [m.mode for m in net.decoder if isinstance(m, nn.Upsample)] == ["nearest"] * 2
    assert [type(m).__name__ for m in net.decoder] == [type(m).__name__ for m in generator.body]


def test_copies_may_leave_the_range_but_fakes_may_not():
    net, generator = (cls(channels=4).build(*Space((1, 8, 8), 5).ports) for cls in (BEGANDiscriminator, BEGANGenerator))
    with torch.no_grad():
        net.decoder[-1].bias.fill_(4)
        generator.body[-1].bias.fill_(4)
    assert net.reconstruct(torch.rand(2, 1, 8, 8)).min() > 2
    assert 0.9 < generator(torch.randn(2, 5)).max() <= 1


def test_parameter_counts():
    with torch.device("meta"):
        space = Space((3, 64, 64), 64)
        assert sum(p.numel() for p in BEGANGenerator().build(*space.ports).parameters()) == 563_395
        assert sum(p.numel() for p in BEGANDiscriminator().build(*space.ports).parameters()) == 4_011_651
