"""R3GAN: the start of Fixup, formulas in NumPy, counts from the published sizes, heads."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from zerosum.core.errors import RecipeError
from zerosum.core.registry import described_fields, parse
from zerosum.networks.r3gan import Block, R3GANDiscriminator, R3GANGenerator, Stages
from zerosum.networks.resampling import Down, Up
from zerosum.networks.space import Space

SPACES = [Space((1, 8, 8), 5, 3), Space((1, 28, 28), 6, 10), Space((3, 32, 32), 7, 2), Space((3, 16, 24), 4, 3)]
COLOURS = Space((3, 16, 16), 6, 4)
every_space = pytest.mark.parametrize("space", SPACES, ids=str)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def generator(**settings):
    return R3GANGenerator(**{"channels": 8, "group": 4, "embedding": 5, **settings})


def discriminator(**settings):
    return R3GANDiscriminator(**{"channels": 8, "group": 4, "embedding": 5, **settings})


def double(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def count(net):
    return sum(p.numel() for p in net.parameters())


def spread(weight):
    return weight.detach().std().item()


def stir(net):
    """Give every parameter, those that begin at 0 too, a value that shows."""
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.3)
    return net


# Blocks


def test_a_block_begins_as_the_identity():
    x = torch.randn(2, 8, 5, 6)
    assert torch.equal(Block(8, Stages([8], (5, 6), 1, 2, 4))(x), x)


def test_a_block_is_its_formula():
    block = stir(Block(4, Stages([4], (3, 4), 1, 2, 2))).double()
    x = double(2, 4, 3, 4)
    weights = [w.detach().numpy() for w in (block.widen.weight, block.mix.weight, block.narrow.weight)]
    biases = [b.detach().numpy()[:, None, None] for b in (block.widen.bias, block.mix.bias)]

    def leaky(y):
        return np.where(y > 0, y, 0.2 * y)

    y = leaky(np.einsum("oi,nihw->nohw", weights[0][:, :, 0, 0], x) + biases[0])
    padded, mixed = np.pad(y, ((0, 0), (0, 0), (1, 1), (1, 1))), np.zeros_like(y)
    for o, i, a, b in itertools.product(range(8), range(2), range(3), range(3)):
        neighbour = padded[:, o // 2 * 2 + i, a : a + 3, b : b + 4]  # groups of two maps
        mixed[:, o] += weights[1][o, i, a, b] * neighbour
    expected = x.numpy() + np.einsum("oi,nihw->nohw", weights[2][:, :, 0, 0], leaky(mixed + biases[1]))
    np.testing.assert_allclose(block(x).detach(), expected, rtol=1e-10)
    assert block.narrow.bias is None


def test_weights_begin_with_the_gains_of_fixup():
    stages = Stages([96, 96], (4, 4), 4, 2, 16)
    block = Block(96, stages)
    gain = math.sqrt(2 / 1.04) / 8 ** (1 / 4)  # eight blocks
    assert spread(block.widen.weight) == pytest.approx(gain / math.sqrt(96), rel=0.03)
    assert spread(block.mix.weight) == pytest.approx(gain / math.sqrt(9 * 16), rel=0.03)
    assert block.narrow.weight.abs().max() == block.widen.bias.abs().max() == block.mix.bias.abs().max() == 0


def test_all_other_weights_begin_with_their_fan_in():
    space = Space((3, 16, 16), 40, 30)
    net = generator(channels=64, halve_above=8, embedding=50, labels="embed", group=16).build(*space.ports)
    assert spread(net.embedding.weight) == pytest.approx(1 / math.sqrt(30), rel=0.05)
    assert spread(net.start[0].scales.weight) == pytest.approx(1 / math.sqrt(90), rel=0.05)
    assert spread(net.start[0].maps) == pytest.approx(1, rel=0.08)
    assert spread(net.colours.weight) == pytest.approx(1 / math.sqrt(32), rel=0.25)
    assert [spread(m.weight) for m in net.body if isinstance(m, nn.Conv2d)] == [pytest.approx(1 / 8, rel=0.05)]
    net = discriminator(channels=64, halve_above=8, embedding=50, labels="projection", group=16).build(*space.ports)
    assert spread(net.body[0].weight) == pytest.approx(1 / math.sqrt(3), rel=0.2)
    assert spread(net.top[1].weight) == pytest.approx(1 / 4, rel=0.08)
    assert spread(net.top[2].weight) == pytest.approx(1 / 8, rel=0.05)
    assert spread(net.head.projection.weight) == pytest.approx(1 / math.sqrt(50 * 30), rel=0.06)
    for labels in ("none", "classifier"):
        head = discriminator(channels=64, labels=labels).build(*space.ports).head
        assert spread(head.logit.weight) == pytest.approx(1 / 8, rel=0.3)
    assert spread(head.classes.weight) == pytest.approx(1 / 8, rel=0.06)


# Networks


def test_generator_begins_as_enlarged_basis_maps():
    net = generator(halve_above=8).build(*COLOURS.ports).double()
    z = double(3, 6)
    maps = net.start[0].maps * (z @ net.start[0].scales.weight.T)[:, :, None, None]
    change = next(m for m in net.body if isinstance(m, nn.Conv2d))  # from 8 maps to 4, on the way to 16 pixels
    image = torch.einsum("oi,nihw->nohw", net.colours.weight[:, :, 0, 0] @ change.weight[:, :, 0, 0], maps)
    torch.testing.assert_close(net(z), Up()(Up()(image)))


def test_discriminator_begins_linear_without_a_constant():
    net = discriminator(halve_above=8).build(*COLOURS.ports).double()
    a, b = double(2, 3, 16, 16), double(2, 3, 16, 16)
    torch.testing.assert_close(net(2 * a - 3 * b), 2 * net(a) - 3 * net(b))
    change = next(m for m in net.body[1:] if isinstance(m, nn.Conv2d))
    weight = change.weight[:, :, 0, 0] @ net.body[0].weight[:, :, 0, 0]
    pooled = torch.einsum("oi,nihw,ohw->no", weight, Down()(Down()(a)), net.top[1].weight)
    torch.testing.assert_close(net(a), pooled @ net.head.logit.weight[0])
    assert net.head.logit.bias is None


@every_space
@pytest.mark.parametrize("labels", ["none", "embed"])
def test_generator_makes_images(space, labels):
    net = stir(generator(labels=labels).build(*space.ports))
    z, label = torch.randn(4, space.latent), torch.arange(4) % space.classes
    images = net(z, label)
    assert images.shape == (4, *space.shape)
    assert images.dtype == torch.float32
    assert images.isfinite().all()
    assert torch.equal(images, net(z, label))
    if labels == "none":
        assert torch.equal(net(z), images)
    else:
        assert not torch.allclose(images, net(z, (label + 1) % space.classes))
        with pytest.raises(ValueError, match="conditional: call it with the classes"):
            net(z)


@every_space
@pytest.mark.parametrize(("labels", "width"), [("none", 8), ("projection", 5), ("classifier", 8)])
def test_discriminator_judges_images(space, labels, width):
    net = discriminator(labels=labels).build(*space.ports)
    x, label = torch.rand(6, *space.shape) * 2 - 1, torch.arange(6) % space.classes
    logits = net(x, label)
    assert logits.shape == (6,)
    assert logits.isfinite().all()
    assert net.features(x).shape == (6, width)
    assert torch.equal(net.logits(net.features(x), label), logits)
    torch.testing.assert_close(net(x[2:3], label[2:3]), logits[2:3])  # no sample sees another
    if labels == "projection":
        with pytest.raises(ValueError, match="conditional: call it with the classes"):
            net(x)
    if labels == "classifier":
        assert net.classify(net.features(x)).shape == (6, space.classes)
    else:
        with pytest.raises(ValueError, match="classifier"):
            net.classify(net.features(x))


def test_the_conditional_logit_is_a_product_and_nothing_else():
    net = stir(discriminator(labels="projection").build(*COLOURS.ports))
    x = torch.rand(4, 3, 16, 16) * 2 - 1
    first, second = torch.tensor([0, 1, 2, 3]), torch.tensor([3, 3, 0, 1])
    rows, features = net.head.projection.weight, net.features(x)
    torch.testing.assert_close(net(x, first), (rows[first] * features).sum(1))
    expected = ((rows[first] - rows[second]) * features).sum(1)
    torch.testing.assert_close(net(x, first) - net(x, second), expected)
    assert expected.abs().min() > 1e-4
    assert set(net.head.state_dict()) == {"projection.weight"}


def test_sizes_of_the_published_networks_for_cifar10():
    space = Space((3, 32, 32), 64, 10)
    block = 768 * 1536 + 1536 + 16 * 9 * 1536 + 1536 + 1536 * 768
    with torch.device("meta"):
        G = R3GANGenerator(labels="embed").build(*space.ports)
        D = R3GANDiscriminator(labels="projection").build(*space.ports)
    assert count(G) == 8 * block + 768 * 16 + (64 + 64) * 768 + 10 * 64 + 768 * 3
    assert count(D) == 8 * block + 3 * 768 + 768 * 16 + 768 * 768 + 10 * 768
    assert [m.groups for m in G.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)] == [96] * 8


def test_widths_halve_above_a_side():
    with torch.device("meta"):
        net = R3GANGenerator().build(*Space((3, 256, 256), 64).ports)
    blocks = [m for m in net.modules() if isinstance(m, Block)]
    assert [b.widen.in_channels for b in blocks[::2]] == [768, 768, 768, 768, 384, 192, 96]
    assert (
        count(generator(blocks=3, expansion=3).build(*COLOURS.ports)) == 9 * (8 * 24 * 2 + 48 + 24 * 36) + 128 + 48 + 24
    )


def test_gradient_penalties_reach_the_weights_of_the_discriminator():
    net = stir(discriminator(channels=4, blocks=1).build(*Space((2, 8, 8)).ports)).double()
    x = double(3, 2, 8, 8)

    def penalty(create_graph=False):
        images = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(net(images).sum(), images, create_graph=create_graph)
        return slope.square().sum()

    penalty(create_graph=True).backward()
    for name, parameter in net.named_parameters():
        flat, sides = parameter.detach().view(-1), []
        for step in (1e-5, -2e-5):
            flat[1] += step
            sides.append(penalty().item())
        flat[1] += 1e-5
        slope = 0 if parameter.grad is None else parameter.grad.view(-1)[1].item()
        assert slope == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-4, abs=1e-7), name


# Parts

PARTS = [
    generator(), generator(labels="embed", halve_above=8, blocks=1),
    discriminator(), discriminator(labels="projection"), discriminator(labels="classifier", halve_above=8),
]  # fmt: skip
every_part = pytest.mark.parametrize("part", PARTS, ids=str)


def call(part, net, space, device="cpu"):
    shape = (space.latent,) if "generator" in part.traits() else space.shape
    return net(torch.randn(4, *shape, device=device), torch.zeros(4, dtype=torch.long, device=device))


@every_part
def test_parts_wire_on_the_meta_device(part):
    with torch.device("meta"):
        net = part.build(*COLOURS.ports)
        y = call(part, net, COLOURS, "meta")
    assert y.shape[0] == 4
    assert all(tensor.is_meta for tensor in [y, *net.parameters(), *net.buffers()])


@every_part
def test_parts_run_in_bf16_and_answer_in_float32(part):
    net = stir(part.build(*COLOURS.ports))
    answers = []
    for narrow in (False, True):
        torch.manual_seed(1)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=narrow):
            answers.append(call(part, net, COLOURS))
    exact, y = answers
    assert y.dtype == torch.float32
    assert not torch.equal(y, exact)
    assert (y - exact).abs().max() < 0.05 * exact.abs().max()
    assert (y.bfloat16().float() != y).float().mean() > 0.5  # no grid of bf16
    y.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


def test_the_base_of_the_generator_stays_float32_under_autocast():
    net, seen = stir(generator(labels="embed").build(*COLOURS.ports)), []
    net.start.register_forward_hook(lambda _, __, maps: seen.append(maps))
    z, label = torch.randn(2, 6), torch.tensor([1, 3])
    net(z, label)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        net(z, label)
    assert torch.equal(*seen)


@every_part
def test_parts_are_seeded_and_have_text(part):
    nets = []
    for _ in range(2):
        torch.manual_seed(5)
        nets.append(part.build(*COLOURS.ports).state_dict())
    assert all(torch.equal(nets[0][name], nets[1][name]) for name in nets[0])
    assert parse("network", str(part)) == part
    assert all(comment for _, _, comment in described_fields(type(part)))


@every_part
def test_gradients_reach_every_parameter(part):
    net = stir(part.build(*COLOURS.ports))
    y = call(part, net, COLOURS)
    if "classifier" in part.traits():
        y = y + net.classify(net.features(torch.randn(4, 3, 16, 16))).sum(1)
    y.square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())


def test_traits_are_what_the_networks_bring():
    assert generator().traits() == {"generator"}
    assert generator(labels="embed").traits() == {"generator", "labels", "blends"}
    both = {"discriminator", "logits", "features"}
    assert discriminator().traits() == both
    assert discriminator(labels="projection").traits() == both | {"labels"}
    assert discriminator(labels="classifier").traits() == both | {"classifier"}


@pytest.mark.parametrize(("part", "space", "message"), [
    (generator(), Space((2,), 5), "works on images, and these are points of 2 dimensions"),
    (generator(), Space((1, 27, 28), 5), "does not take 27x28 images"),
    (generator(), Space((1, 28, 28)), "needs a latent"),
    (generator(labels="embed"), Space((1, 28, 28), 5), "labels=embed needs data with classes"),
    (discriminator(labels="projection"), Space((1, 28, 28)), "labels=projection needs data with classes"),
    (discriminator(channels=24, halve_above=8, group=16), Space((1, 16, 16)), "stage of 12 channels has 24 inside"),
    (generator(channels=9), Space((1, 16, 16), 5), "which do not divide into groups of 4; set channels"),
], ids=str)  # fmt: skip
def test_what_does_not_fit_is_refused(part, space, message):
    with pytest.raises(RecipeError, match=message):
        part.build(*space.ports)
