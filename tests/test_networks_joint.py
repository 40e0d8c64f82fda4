"""Encoders and discriminators of pairs; the Dirac-GAN."""

import math

import pytest
import torch
from torch import nn

from zerosum.core.errors import RecipeError
from zerosum.core.registry import parse
from zerosum.networks import (
    DCGANEncoder,
    DiracDiscriminator,
    DiracGenerator,
    JointDCGANDiscriminator,
    JointMLPDiscriminator,
    MLPEncoder,
)
from zerosum.networks.space import Space

PAIRS = [JointMLPDiscriminator(widths=(12, 8)), JointDCGANDiscriminator(channels=4, units=6)]
every_pair = pytest.mark.parametrize("part", PAIRS, ids=lambda part: part.name)
SPACE = Space((1, 16, 16), 5, 3)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@every_pair
def test_the_logit_belongs_to_the_pair(part):
    net = part.build(*SPACE.ports).eval()
    x, z = torch.rand(4, 1, 16, 16), torch.randn(4, 5)
    out, swap = net(x, None, z), torch.tensor([1, 2, 3, 0])
    assert (net(x, None, z[swap]) - out).abs().min() > 1e-6
    assert (net(x[swap], None, z) - out).abs().min() > 1e-6
    torch.testing.assert_close(net(x[swap], None, z[swap]), out[swap])
    features = net.features(x, None, z)
    assert features.shape == (4, net.head.logit.in_features)
    assert torch.equal(net.logits(features), out)
    with pytest.raises(ValueError, match=r"judges pairs: call it with sample, label or None, and latent \[N, K\]"):
        net(x)


@every_pair
def test_gradients_reach_sample_latent_and_weights(part):
    net = part.build(*SPACE.ports)
    x, z = torch.rand(4, 1, 16, 16, requires_grad=True), torch.randn(4, 5, requires_grad=True)
    net(x, None, z).sum().backward()
    assert x.grad.abs().amax((1, 2, 3)).min() > 0
    assert z.grad.abs().min() > 0
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())


def test_points_pair_too():
    net = JointMLPDiscriminator(widths=(4,), activation="tanh").build(*Space((2,), 3).ports)
    (layer,) = net.body[:1]
    x, z = torch.randn(6, 2), torch.randn(6, 3)
    units = (torch.cat([x, z], 1) @ layer.weight.T + layer.bias).tanh()
    torch.testing.assert_close(net(x, None, z), units @ net.head.logit.weight[0] + net.head.logit.bias)


def test_images_pass_the_stages_of_dcgan():
    net = JointDCGANDiscriminator().build(*Space((3, 64, 64), 100).ports)
    assert [m.out_channels for m in net.look if isinstance(m, nn.Conv2d)] == [64, 128, 256, 512]
    assert (net.body[0].in_features, net.body[0].out_features) == (512 * 16 + 100, 512)
    encoder = DCGANEncoder().build(*Space((3, 64, 64), 100).ports)
    assert [m.out_channels for m in encoder.body if isinstance(m, nn.Conv2d)] == [64, 128, 256, 512]
    assert (encoder.body[-1].in_features, encoder.body[-1].out_features) == (512 * 16, 100)


@pytest.mark.parametrize("part", [MLPEncoder(widths=(9,)), DCGANEncoder(channels=4)], ids=lambda part: part.name)
def test_encoders_give_unbounded_latents(part):
    net = part.build(*SPACE.ports)
    with torch.no_grad():
        net.body[-1].bias.copy_(torch.arange(5) * 100.0)
    out = net(torch.rand(3, 1, 16, 16), torch.tensor([0, 1, 2]))
    torch.testing.assert_close(out, (torch.arange(5) * 100.0).expand(3, 5), atol=5, rtol=0)
    assert (part.traits() & {"encoder", "generator", "discriminator", "logits"}) == {"encoder"}


def test_encoders_of_points():
    assert MLPEncoder(widths=(8,), norm="batch").build(*Space((2,), 7).ports)(torch.randn(3, 2)).shape == (3, 7)
    assert "batchnorm" in MLPEncoder(widths=(8,), norm="batch").traits()
    assert "batchnorm" not in MLPEncoder(widths=(), norm="batch").traits()


LINE = Space((1,), 4)


def test_dirac_networks_are_one_number_each():
    generator, discriminator = (
        DiracGenerator(theta=0.75).build(*LINE.ports),
        DiracDiscriminator(psi=-2).build(*LINE.ports),
    )
    assert [p.item() for p in generator.parameters()] == [0.75]
    assert [p.item() for p in discriminator.parameters()] == [-2]
    fake = generator(torch.randn(3, 4), None)
    assert torch.equal(fake, torch.full((3, 1), 0.75))
    assert torch.equal(discriminator(fake), torch.full((3,), -1.5))
    assert torch.equal(discriminator(torch.tensor([[0.0], [3]])), torch.tensor([0.0, -6]))


def test_dirac_game_has_the_gradients_of_the_paper():
    """M42: with f(t) = -log(1 + e^-t), theta' = -f'(theta psi) psi and psi' = f'(theta psi) theta."""
    theta, psi = 0.8, -1.3
    generator, discriminator = (
        DiracGenerator(theta=theta).build(*LINE.ports),
        DiracDiscriminator(psi=psi).build(*LINE.ports),
    )
    value = nn.functional.logsigmoid(discriminator(generator(torch.randn(5, 4)))).mean()
    value.backward()
    slope = 1 / (1 + math.exp(theta * psi))
    assert generator.theta.grad.item() == pytest.approx(slope * psi, rel=1e-5)
    assert discriminator.psi.grad.item() == pytest.approx(slope * theta, rel=1e-5)


def test_r1_of_the_dirac_discriminator_is_psi_squared():
    net = DiracDiscriminator(psi=-3).build(*LINE.ports)
    x = torch.zeros(4, 1, requires_grad=True)
    (slope,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
    slope.square().sum(1).mean().backward()
    assert net.psi.grad.item() == pytest.approx(2 * -3)


@pytest.mark.parametrize(("part", "space", "instead"), [
    (DiracGenerator(), Space((2,), 3), "points of 2 dimensions; use mlp-generator"),
    (DiracDiscriminator(), Space((1, 8, 8)), "8x8 images with 1 channel; use mlp-discriminator"),
])  # fmt: skip
def test_dirac_networks_live_on_a_line(part, space, instead):
    with pytest.raises(
        RecipeError, match=f"network '{part.name}' works on points of 1 dimension, and these are {instead}"
    ):
        part.build(*space.ports)
    assert parse("network", str(part)) == part


def test_traits_of_dirac_networks():
    assert DiracGenerator().traits() == {"generator"}
    assert DiracDiscriminator().traits() == {"discriminator", "logits", "features"}
