"""The simple networks, whatever they are: shapes at every size, ranges, true traits, seeds, second derivatives."""

import copy
import math
from typing import get_args

import pytest
import torch
from torch import nn

from zerosum import networks
from zerosum.core.errors import RecipeError
from zerosum.core.registry import field_types, parse, registered
from zerosum.networks import (
    ACGANGenerator,
    BEGANDiscriminator,
    BEGANGenerator,
    DCGANDiscriminator,
    DCGANEncoder,
    DCGANGenerator,
    JointDCGANDiscriminator,
    JointMLPDiscriminator,
    MLPDiscriminator,
    MLPEncoder,
    MLPGenerator,
    R3GANGenerator,
    StyleGAN2Generator,
)
from zerosum.networks.layers import end
from zerosum.networks.minibatch import MinibatchDiscrimination, MinibatchStddev
from zerosum.networks.space import Space

SMALL = [
    MLPGenerator(widths=(12, 16)),
    MLPDiscriminator(widths=(12, 16)),
    DCGANGenerator(channels=8),
    DCGANDiscriminator(channels=8),
    ACGANGenerator(channels=32),
    BEGANGenerator(channels=6),
    BEGANDiscriminator(channels=6, hidden=5),
    MLPEncoder(widths=(12, 16)),
    DCGANEncoder(channels=8),
    JointMLPDiscriminator(widths=(12, 16)),
    JointDCGANDiscriminator(channels=8, units=9),
]
EXTRAS = [
    *[
        part.replace(labels=labels, **changes)
        for part, changes in [(MLPDiscriminator(widths=(12, 16)), {}), (DCGANDiscriminator(channels=8), {})]
        for labels, changes in [
            ("projection", {"spectral": True, "minibatch": "stddev"}),
            ("classifier", {"codes": 3, "minibatch": "discrimination", "kernels": 4}),
        ]
    ],
    MLPDiscriminator(widths=(12, 16), activation="maxout", dropout=0),
    MLPGenerator(widths=(12, 16), activation="tanh", norm="layer"),
    DCGANGenerator(channels=8, norm="group"),
    DCGANDiscriminator(channels=8, norm="instance"),
    DCGANEncoder(channels=8, norm="none"),
    JointMLPDiscriminator(widths=(12, 16), spectral=True, dropout=0.5),
    JointDCGANDiscriminator(channels=8, units=9, spectral=True, norm="none"),
    BEGANDiscriminator(channels=6, hidden=5, power=2),
]


def choices(part):
    """The part with each way that the class may enter."""
    for labels in get_args(field_types(type(part)).get("labels")):
        yield part.replace(labels=labels, **({"norm": "batch"} if labels == "norm" and hasattr(part, "norm") else {}))


PARTS = [*SMALL, *EXTRAS, *[part for small in SMALL for part in choices(small) if part.labels != "none"]]
IDS = [
    part.name + "".join(f",{k}={v}" for k, v in vars(part).items() if v != getattr(type(part)(), k)) for part in PARTS
]
every_part = pytest.mark.parametrize("part", PARTS, ids=IDS)
every_network = pytest.mark.parametrize("part", SMALL, ids=lambda part: part.name)
SPACES = [
    Space((1, 8, 8), 3, 2),
    Space((1, 28, 28), 20, 10),
    Space((3, 32, 32), 12, 2),
    Space((3, 64, 64), 5, 3),
    Space((4, 16, 24), 7, 3),
]


@pytest.fixture(autouse=True)
def _settings():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def inputs(part, space, count=4, **how):
    """What the network is called with: a latent or a sample, labels, and a latent beside the sample of a pair."""
    x = torch.randn(count, space.latent, **how)
    label = torch.arange(count, device=how.get("device")) % max(space.classes, 1)
    if "generator" in part.traits():
        return x, label
    sample = torch.rand(count, *space.shape, **how) * 2 - 1
    return (sample, label, x) if "joint" in part.traits() else (sample, label)


def output_shape(part, space, count=4):
    traits = part.traits()
    return (
        (count, *space.shape) if "generator" in traits else (count, space.latent) if "encoder" in traits else (count,)
    )


def test_exports_are_the_registered_parts():
    parts = [*registered("network").values(), *registered("initialization").values()]
    assert set(networks.__all__) == {cls.__name__ for cls in parts if cls.__module__.startswith("zerosum.")}


@every_part
@pytest.mark.parametrize("space", SPACES, ids=str)
def test_shapes_ranges_and_types(part, space):
    net, given = part.build(*space.ports), inputs(part, space)
    out = net(*given)
    assert out.shape == output_shape(part, space)
    assert out.dtype == torch.float32
    assert out.isfinite().all()
    assert out.std() > 1e-5
    if "generator" in part.traits():
        assert out.abs().max() <= 1
        assert out.std() > 1e-3
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = net.eval()(*given)
    assert half.shape == out.shape
    torch.testing.assert_close(half.float(), net(*given), rtol=0.1, atol=0.05)
    assert half.dtype == torch.float32 or "logits" in part.traits()


@every_part
@pytest.mark.parametrize("space", [SPACES[0], SPACES[3]], ids=str)
def test_networks_wire_on_the_meta_device(part, space):
    with torch.device("meta"):
        net = part.build(*space.ports)
        out = net(*inputs(part, space, 2))
    assert out.shape == output_shape(part, space, 2)
    assert all(tensor.is_meta for tensor in [*net.parameters(), *net.buffers()])


@every_part
def test_text_round_trips(part):
    assert parse("network", str(part)) == part
    assert parse("network", part.name) == type(part)()


@every_part
def test_traits_are_true(part):
    space, traits = SPACES[1], part.traits()
    net, (x, label, *beside) = part.build(*space.ports), inputs(part, SPACES[1])
    kinds = {type(module) for module in net.modules()}
    assert ("batchnorm" in traits) == bool(kinds & {nn.BatchNorm1d, nn.BatchNorm2d})
    assert ("minibatch" in traits) == bool(kinds & {MinibatchStddev, MinibatchDiscrimination})
    layers = [module for module in net.modules() if isinstance(module, (nn.Linear, nn.Conv2d))]
    assert {hasattr(layer, "u") for layer in layers} <= {"spectral" in traits}
    assert ("dropout" in traits) == any(kind.__name__ == "Dropout" for kind in kinds)
    for role in ("generator", "discriminator", "encoder"):
        assert (role in traits) == part.name.endswith(role)
    assert ("logits" in traits) == ("discriminator" in traits and "autoencoder" not in traits)
    assert ("features" in traits) == hasattr(net, "features") == hasattr(net, "logits")
    assert ("joint" in traits) == bool(beside)
    net.eval()
    if "norm" in getattr(part, "labels", ""):  # scales begin equal
        nn.init.normal_(next(p for name, p in net.named_parameters() if name.endswith("weight") and p.shape[0] == 10))
    changed = (label + 1) % 10
    assert ("labels" in traits) == (not torch.equal(net(x, label, *beside), net(x, changed, *beside)))
    alone = [tensor[:2] for tensor in (x, label, *beside)]
    together = net(x, label, *beside)[:2]
    assert ("minibatch" in traits) == (not torch.allclose(together, net(*alone), atol=1e-5))
    if "blends" in traits:
        assert torch.allclose(net(x, nn.functional.one_hot(label, 10).float()), net(x, label), atol=1e-5)
    assert traits <= {
        *("generator", "discriminator", "encoder", "logits", "features", "labels", "batchnorm", "minibatch"),
        *("classifier", "codes", "dropout", "spectral", "joint", "autoencoder", "blends"),
    }


@every_part
def test_heads_are_what_the_traits_say(part):
    traits, (x, label, *beside) = part.traits(), inputs(part, SPACES[1])
    if "features" not in traits:
        return
    net = part.build(*SPACES[1].ports).eval()
    features = net.features(x, label, *beside)
    assert features.ndim == 2
    assert torch.equal(net.logits(features, label), net(x, label, *beside))
    for trait, head, width in [("classifier", "classify", 10), ("codes", "recover", 3)]:
        if trait in traits:
            guess = getattr(net, head)(features)
            assert guess.shape == (4, width)
            assert guess.std(0).min() > 0  # each number depends on the sample
        elif hasattr(net, head):
            with pytest.raises(ValueError, match="build it with"):
                getattr(net, head)(features)


@every_part
def test_one_seed_gives_one_network(part):
    def state(seed):
        torch.manual_seed(seed)
        net = part.build(*SPACES[1].ports)
        return torch.cat([tensor.flatten().float() for tensor in net.state_dict().values()])

    assert torch.equal(state(5), state(5))
    assert not torch.equal(state(5), state(6))


@every_part
def test_evaluation_is_deterministic_and_equivariant(part):
    net, given = part.build(*SPACES[1].ports).eval(), inputs(part, SPACES[1], 6)
    out = net(*given)
    assert torch.equal(out, net(*given))
    if "minibatch" in part.traits():  # the groups of a standard deviation are made by place
        return
    order = torch.tensor([4, 0, 5, 2, 1, 3])
    torch.testing.assert_close(net(*(tensor[order] for tensor in given)), out[order])
    torch.testing.assert_close(net(*(tensor[:2] for tensor in given)), out[:2])


@every_part
def test_channels_last_gives_the_same(part):
    net, (x, *others) = part.build(*SPACES[2].ports).eval(), inputs(part, SPACES[2])
    out = net(x, *others)
    last = net.to(memory_format=torch.channels_last)
    again = last(x.to(memory_format=torch.channels_last) if x.ndim == 4 else x, *others)
    torch.testing.assert_close(again, out, rtol=1e-4, atol=1e-5)


@every_part
def test_inputs_are_left_as_they_are(part):
    given = inputs(part, SPACES[1])
    before = copy.deepcopy(given)
    part.build(*SPACES[1].ports)(*given)
    assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True))


@pytest.mark.parametrize("part", [p for p in PARTS if "discriminator" in p.traits()], ids=lambda part: str(part)[:60])
def test_gradient_penalties_reach_the_weights(part):
    """The second derivative of every discriminator against differences of the first."""
    space = Space((2, 16, 16), 3, 2)
    net, (x, *others) = part.build(*space.ports).double().eval(), inputs(part, space, dtype=torch.float64)
    x.requires_grad_()
    weights = list(net.parameters())

    def penalty(graph):
        (slope,) = torch.autograd.grad(net(x, *others).sum(), x, create_graph=graph)
        return slope.square().sum()

    gradients = torch.autograd.grad(penalty(graph=True), weights, allow_unused=True)  # biases may not matter
    direction = [torch.randn_like(weight) for weight in weights]
    expected = sum((g * d).sum() for g, d in zip(gradients, direction, strict=True) if g is not None).item()
    values = []
    for step in (1e-8, -1e-8):
        with torch.no_grad():
            moved = [weight + step * d for weight, d in zip(weights, direction, strict=True)]
        kept = [weight.detach().clone() for weight in weights]
        for weight, value in zip(weights, moved, strict=True):
            weight.data.copy_(value)
        values.append(penalty(graph=False).item())
        for weight, value in zip(weights, kept, strict=True):
            weight.data.copy_(value)
    assert abs(expected) > 1e-9
    assert (values[0] - values[1]) / 2e-8 == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("output", ["tanh", "tanh-inward"])
@pytest.mark.parametrize("part", [R3GANGenerator(channels=16), StyleGAN2Generator(channels=16, noise=False)])
def test_a_bounded_output_is_tanh_of_the_linear_one(part, output):
    space = Space((1, 28, 28), 10, 8)
    z = 3 * torch.randn(4, space.latent)
    linear, bounded = part.build(*space.ports).eval(), part.replace(output=output).build(*space.ports).eval()
    bounded.load_state_dict(linear.state_dict())
    assert linear(z).abs().max() > 1.5
    torch.testing.assert_close(bounded(z), linear(z).tanh())
    assert bounded(z).requires_grad
    with torch.no_grad():
        torch.testing.assert_close(bounded(z), linear(z).tanh())


@pytest.mark.parametrize(
    ("output", "slopes"),  # where the gradient leads out, and where it leads back
    [("linear", (1.0, 1.0)), ("tanh", (0.0, 0.0)), ("tanh-inward", (0.0, 0.01))],
)
def test_what_goes_through_of_the_gradient_of_pixels_far_out(output, slopes):
    for x in (-1000.0, 1000.0):
        for grad, slope in zip((-math.copysign(2, x), math.copysign(2, x)), slopes, strict=True):
            far = torch.tensor([x], requires_grad=True)
            end(far, output).backward(torch.tensor([grad]))
            assert far.grad.item() == pytest.approx(grad * slope, rel=1e-6)


def test_near_the_middle_tanh_inward_has_the_slopes_of_tanh():
    x = torch.linspace(-2.9, 2.9, 30, dtype=torch.float64, requires_grad=True)  # farther out they are below 0.01
    assert torch.autograd.gradcheck(lambda x: end(x, "tanh-inward"), x)
    assert torch.autograd.gradgradcheck(lambda x: end(x, "tanh-inward"), x)


@every_network
def test_unconditional_networks_ignore_labels(part):
    net, (x, label, *beside) = part.build(*SPACES[1].ports).eval(), inputs(part, SPACES[1])
    assert torch.equal(net(x, None, *beside), net(x, label, *beside))


@pytest.mark.parametrize(
    "part", [p for p in SMALL if not p.name.endswith("discriminator") or "joint" in p.name], ids=str
)
def test_networks_say_when_they_miss_a_latent(part):
    with pytest.raises(RecipeError, match=f"network '{part.name}' needs a latent; set latent=normal:size=100"):
        part.build(*Space((1, 32, 32)).ports)
