"""The generator that starts from an image, its bank of real images, and the discriminator of pairs."""

from collections import defaultdict, deque

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, leaky_relu

from zerosum.core.errors import RecipeError
from zerosum.core.registry import parse
from zerosum.data import Feed, open_data
from zerosum.networks import DAGANDiscriminator, DAGANGenerator
from zerosum.networks.dagan import Bank
from zerosum.networks.space import Space
from zerosum.recipes import read_recipe

SPACE = Space((1, 16, 16), 5, 3)
SPACES = [
    Space((1, 8, 8), 3, 2),
    Space((3, 8, 8), 3, 2),
    Space((1, 28, 28), 20, 10),
    Space((3, 28, 28), 20, 10),
    Space((1, 32, 32), 12, 2),
    Space((3, 32, 32), 12, 2),
    Space((1, 64, 64), 5, 3),
    Space((3, 64, 64), 5, 3),
    Space((4, 16, 24), 7, 3),
]
PARTS = [
    DAGANGenerator(channels=4, units=6, bank=6),
    DAGANGenerator(channels=8, units=6, norm="group", bank=1),
    DAGANGenerator(channels=4, norm="none"),
    DAGANDiscriminator(channels=4, units=9),
    DAGANDiscriminator(channels=4, norm="none", spectral=True),
    DAGANDiscriminator(channels=4, units=9, norm="batch"),
]
every_part = pytest.mark.parametrize("part", PARTS, ids=str)


@pytest.fixture(autouse=True)
def _settings():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def inputs(part, space, count=4, **how):
    label = torch.arange(count, device=how.get("device")) % space.classes
    first = torch.randn(count, space.latent, **how)
    if "discriminator" in part.traits():
        first = torch.rand(count, *space.shape, **how) * 2 - 1
    return first, label, torch.rand(count, *space.shape, **how) * 2 - 1


# ---------------------------------------------------------------------------- both networks


@every_part
@pytest.mark.parametrize("space", SPACES, ids=str)
def test_shapes_ranges_and_types(part, space):
    net, given = part.build(*space.ports), inputs(part, space)
    out = net(*given)
    made = "generator" in part.traits()
    assert out.shape == ((4, *space.shape) if made else (4,))
    assert out.dtype == torch.float32
    assert out.isfinite().all()
    assert out.std() > (1e-3 if made else 1e-5)
    assert out.abs().max() <= 1 or not made
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = net.eval()(*given)
    assert half.dtype == torch.float32 or not made
    torch.testing.assert_close(half.float(), net(*given), rtol=0.1, atol=0.05)


@every_part
@pytest.mark.parametrize("space", [SPACES[0], Space((3, 256, 256), 5, 3)], ids=str)
def test_networks_wire_on_the_meta_device(part, space):
    with torch.device("meta"):
        net = part.build(*space.ports)
        given = inputs(part, space, 2)
        shapes = {net(*given).shape} | ({net(*given[:2]).shape, net(given[0]).shape} if hasattr(net, "bank") else set())
    assert shapes == {torch.Size((2, *space.shape) if hasattr(net, "bank") else (2,))}
    assert all(tensor.is_meta for tensor in [*net.parameters(), *net.buffers()])


@every_part
def test_each_output_belongs_to_its_own_inputs(part):
    net, given = part.build(*SPACE.ports).eval(), inputs(part, SPACE, 6)
    out, order = net(*given), torch.tensor([4, 0, 5, 2, 1, 3])
    torch.testing.assert_close(net(*(tensor[order] for tensor in given)), out[order])
    torch.testing.assert_close(net(*(tensor[:2] for tensor in given)), out[:2])
    first, label, source = given
    assert (net(first, label, source[order]) - out).reshape(6, -1).abs().amax(1).min() > 1e-5
    assert (net(first[order], label, source) - out).reshape(6, -1).abs().amax(1).min() > 1e-5
    assert torch.equal(net(first, (label + 1) % 3, source), out)  # the class is what the source shows


@every_part
def test_gradients_reach_both_inputs_and_all_weights(part):
    net, (first, label, source) = part.build(*SPACE.ports), inputs(part, SPACE)
    (net(first.requires_grad_(), label, source.requires_grad_()) * torch.randn(4, *net(first, label, source).shape[1:])
     ).sum().backward()  # fmt: skip
    assert first.grad.flatten(1).abs().amax(1).min() > 0
    assert source.grad.flatten(1).abs().amax(1).min() > 0
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())


@every_part
def test_traits_are_true_and_text_round_trips(part):
    net, traits = part.build(*SPACE.ports), part.traits()
    kinds = {type(module) for module in net.modules()}
    assert ("batchnorm" in traits) == (nn.BatchNorm2d in kinds) == (part.norm == "batch")
    layers = [module for module in net.modules() if isinstance(module, (nn.Linear, nn.Conv2d))]
    assert {hasattr(layer, "u") for layer in layers} == {"spectral" in traits}
    assert ("features" in traits) == ("pairs" in traits) == ("logits" in traits) == hasattr(net, "logits")
    assert ("source" in traits) == ("labels" in traits) == hasattr(net, "bank")
    assert traits & {"generator", "discriminator"} == {part.name.removeprefix("dagan-")}
    assert parse("network", str(part)) == part


def test_defaults_are_the_papers():
    assert "batchnorm" in DAGANGenerator().traits()
    assert DAGANDiscriminator().norm == "layer"
    assert "batchnorm" not in DAGANDiscriminator().traits()


@every_part
def test_channels_last_gives_the_same_and_inputs_stay(part):
    net, given = part.build(*SPACES[5].ports).eval(), inputs(part, SPACES[5])
    before, out = [tensor.clone() for tensor in given], net(*given)
    assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True))
    last = net.to(memory_format=torch.channels_last)
    moved = [x.to(memory_format=torch.channels_last) if x.ndim == 4 else x for x in given]
    torch.testing.assert_close(last(*moved), out, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("part", "space", "message"), [
    (DAGANGenerator(), Space((1, 32, 32), 9), "these data have no classes; sort the images into one sub"),
    (DAGANGenerator(), Space((1, 32, 32), 0, 3), "needs a latent; set latent=normal:size=100"),
    (DAGANGenerator(), Space((1, 30, 30), 9, 3), "a side must be 4, 5, 6 or 7 times 2"),
    (DAGANDiscriminator(), Space((2,), 9, 3), "works on images, and these are points of 2 dimensions"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(part, space, message):
    with pytest.raises(RecipeError, match=f"network '{part.name}'.*{message}"):
        part.build(*space.ports)


# ---------------------------------------------------------------------------- discriminator


def test_the_logit_belongs_to_the_pair_in_its_order():
    net = DAGANDiscriminator(channels=4, units=9).build(*SPACE.ports).eval()
    a, b = torch.rand(5, 1, 16, 16), torch.rand(5, 1, 16, 16)
    out = net(a, None, b)
    assert (net(a, None, b[[1, 2, 3, 4, 0]]) - out).abs().min() > 1e-6
    assert (net(b, None, a) - out).abs().min() > 1e-6
    features = net.features(a, None, b)
    assert features.shape == (5, net.head.logit.in_features) == (5, 9)
    assert torch.equal(net.logits(features), out)
    with pytest.raises(ValueError, match=r"judges pairs: call it with sample, label or None, and source \[N,"):
        net(a)


def test_the_logit_is_that_of_a_stage_and_a_layer_for_8x8():
    net = DAGANDiscriminator(channels=3, units=7, norm="none").build(*Space((2, 8, 8), 4, 2).ports).double()
    (first,) = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    x, source = torch.randn(4, 2, 8, 8).double(), torch.randn(4, 2, 8, 8).double()
    one, two = first.weight[:, :2], first.weight[:, 2:]  # of the sample and of the source
    maps = conv2d(x, one, stride=2, padding=1) + conv2d(source, two, stride=2, padding=1) + first.bias[:, None, None]
    (layer,) = [module for module in net.body if isinstance(module, nn.Linear)]
    weight = layer.weight.reshape(7, 4, 4, 3)  # channels last
    units = leaky_relu(torch.einsum("nchw,uhwc->nu", leaky_relu(maps, 0.2), weight) + layer.bias, 0.2)
    expected = units @ net.head.logit.weight[0] + net.head.logit.bias
    torch.testing.assert_close(net(x, None, source), expected)


def test_published_widths():
    net = DAGANDiscriminator().build(*Space((3, 64, 64), 100, 10).ports)
    convolutions = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert [(m.in_channels, m.out_channels) for m in convolutions] == [(6, 64), (64, 128), (128, 256), (256, 512)]
    (layer,) = [m for m in net.body if isinstance(m, nn.Linear)]
    assert (layer.in_features, layer.out_features) == (512 * 16, 512)
    assert [m.num_groups for m in net.modules() if isinstance(m, nn.GroupNorm)] == [1, 1, 1]
    made = DAGANGenerator().build(*Space((3, 64, 64), 100, 10).ports)
    assert [(m.in_features, m.out_features) for m in made.modules() if isinstance(m, nn.Linear)] == [(512 * 16, 128)]
    assert [(m.in_channels, m.out_channels) for m in made.modules() if isinstance(m, nn.Conv2d)] == [
        (3, 64), (64, 128), (128, 256), (256, 512)
    ]  # fmt: skip
    assert [(m.in_channels, m.out_channels) for m in made.modules() if isinstance(m, nn.ConvTranspose2d)] == [
        (228, 512), (1024, 256), (512, 128), (256, 64), (128, 3)
    ]  # fmt: skip
    assert len([m for m in made.modules() if isinstance(m, nn.BatchNorm2d)]) == 3 + 1 + 3  # down, latent, up


def test_the_gradient_penalty_reaches_the_weights():
    """Second derivative, sample against weights, beside differences of the first."""
    net = DAGANDiscriminator(channels=3, units=5).build(*SPACE.ports).double()
    x, _, source = inputs(DAGANDiscriminator(), SPACE, dtype=torch.float64)
    x.requires_grad_()

    def penalty(graph):
        (slope,) = torch.autograd.grad(net(x, None, source).sum(), x, create_graph=graph)
        return slope.square().sum()

    weights = [p for p in net.parameters() if p.ndim > 1]
    gradients = torch.autograd.grad(penalty(graph=True), weights)
    assert all(gradient.abs().max() > 0 for gradient in gradients)
    weight, gradient = weights[0], gradients[0]
    direction, values = torch.randn_like(weight), []
    with torch.no_grad():
        weight.add_(1e-8 * direction)
    values.append(penalty(graph=False).item())
    with torch.no_grad():
        weight.sub_(2e-8 * direction)
    values.append(penalty(graph=False).item())
    assert (values[0] - values[1]) / 2e-8 == pytest.approx((gradient * direction).sum().item(), rel=1e-3)


# ---------------------------------------------------------------------------- generator


WAYS = {  # that the source takes, and the weights that they need
    "vector": lambda net: net.code[1].weight,
    "map": lambda net: net.decoder[0][0].weight[8:],
    "skip": lambda net: net.decoder[1].weight[4:],
}


@pytest.mark.parametrize("way", [*WAYS, None])
def test_the_source_reaches_the_image_as_vector_as_map_and_by_the_skips(way):
    net = DAGANGenerator(channels=4, norm="none").build(*SPACE.ports)
    z, _, source = inputs(DAGANGenerator(), SPACE)
    with torch.no_grad():
        for other in WAYS.keys() - {way}:
            WAYS[other](net).zero_()
        change = (net(z, None, source) - net(z, None, source.flip(0))).abs().flatten(1).amax(1)
    assert change.min() > 1e-6 if way else change.max() == 0


def test_latent_and_vector_together_make_a_map_of_the_base():
    net = DAGANGenerator(channels=4, units=3, norm="none").build(*SPACE.ports)
    z, _, source = inputs(DAGANGenerator(), SPACE)
    maps = net.encoder[1](net.encoder[0](source))
    vector = net.code(maps)
    assert vector.shape == (4, 3)
    assert net.inlet(torch.cat([z, vector], 1)).shape == maps.shape == (4, 8, 4, 4)
    with torch.no_grad():
        net.inlet[0].weight[:5].zero_()  # the latent's
    assert torch.equal(net(z, None, source), net(z.flip(0), None, source))


def test_a_generator_without_a_source_takes_one_of_the_class_from_its_bank():
    net = DAGANGenerator(channels=4, bank=6).build(*SPACE.ports).eval()
    images = torch.arange(12).reshape(12, 1, 1, 1).expand(12, 1, 16, 16) / 127.5 - 1
    net.bank.keep(images, torch.arange(12) % 3)
    z, label = torch.randn(9, 5), torch.arange(9) % 3
    sources = net.bank.start(z, label)
    assert (((sources[:, 0, 0, 0] + 1) * 127.5).round().long() % 3 == label).all()
    assert torch.equal(net(z, label), net(z, label, sources))
    assert torch.equal(net(z), net(z, None, net.bank.start(z)))
    assert not torch.equal(net(z, label), net(z, (label + 1) % 3))


# ---------------------------------------------------------------------------- bank


def levels(images):
    return ((images[:, 0, 0, 0].float() + 1) * 127.5).round().int().tolist()


@pytest.mark.parametrize(("size", "each"), [(1, 1), (9, 3), (11, 3), (60, 20)])
def test_the_bank_holds_the_last_images_of_each_class(size, each):
    """Beside queues of Python, over batches in which a class may come more often than the bank has room, or never."""
    bank, queues, number = Bank((2, 4, 4), 3, size), defaultdict(lambda: deque(maxlen=each)), 0
    assert bank.images.shape == (3 * each, 2, 4, 4)
    for batch in (1, 5, 16, 2, 31, 8, 8):
        label = torch.randint(3, (batch,)) if batch != 8 else torch.full((8,), 2)
        numbers = torch.arange(number, number + batch) % 256
        number += batch
        images = (numbers / 127.5 - 1)[:, None, None, None].expand(batch, 2, 4, 4)
        before = images.clone(), label.clone()
        bank.keep(images, label)
        assert torch.equal(images, before[0])
        assert torch.equal(label, before[1])
        for one, kind in zip(numbers.tolist(), label.tolist(), strict=True):
            queues[kind].append(one)
        for kind in range(3):
            kept = len(queues[kind])
            held = bank.images.unflatten(0, (3, each))[kind, :, 0, 0, 0].tolist()
            assert sorted(held) == sorted([*queues[kind], *[0] * (each - kept)])
            if kept:
                drawn = levels(bank.draw(torch.full((kept,), kind), torch.arange(kept) + 5 * kept))
                assert sorted(drawn) == sorted(queues[kind])
    assert bank.seen.sum() == number


def test_the_bank_gives_back_exactly_what_the_feed_gave():
    feed = Feed(open_data("digits", read_recipe("dcgan").data), 50)
    images, label = feed.next().values()
    bank = Bank((1, 8, 8), 10, 500).to(memory_format=torch.channels_last)
    bank.keep(images, label)
    rank = torch.stack([(label[:i] == label[i]).sum() for i in range(50)])
    assert torch.equal(bank.draw(label, rank), images)
    bank = Bank((1, 16, 16), 1, 1)
    every = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    bank.keep(every.float().div(127.5).sub(1), torch.zeros(1, dtype=torch.int64))
    assert torch.equal(bank.images, every)
    bank.keep(torch.linspace(-3, 3, 256).reshape(1, 1, 16, 16), torch.zeros(1, dtype=torch.int64))
    assert bank.images.amin() == 0
    assert bank.images.amax() == 255
    assert (bank.images.flatten().int().diff() >= 0).all()  # no value wraps around


def test_a_class_that_was_never_seen_starts_from_grey_or_what_stands_in():
    bank = Bank((1, 4, 4), 3, 6)
    bank.keep(torch.full((1, 1, 4, 4), -0.6), torch.tensor([1]))
    label, key = torch.tensor([0, 1, 2]), torch.tensor([3, 4, 5])
    assert levels(bank.draw(label, key)) == [128, 51, 128]
    assert torch.equal(bank.draw(label, key)[[0, 2]], torch.zeros(2, 1, 4, 4))
    other = torch.tensor([0.2, 0.4, 0.8])[:, None, None, None].expand(3, 1, 4, 4)
    assert torch.equal(bank.draw(label, key, other)[[0, 2]], other[[0, 2]])


@pytest.mark.parametrize("draw", [torch.randn, lambda *size: torch.rand(*size) * 2 - 1], ids=["normal", "uniform"])
def test_what_a_sample_starts_from_is_a_function_of_its_latent_and_reaches_the_whole_bank(draw):
    bank = Bank((1, 4, 4), 4, 32)
    numbers = torch.arange(32)
    bank.keep((numbers / 127.5 - 1)[:, None, None, None].expand(32, 1, 4, 4), numbers % 4)
    z = draw(1600, 10)
    label = torch.arange(1600) // 400
    for given in (label, None):
        sources = bank.start(z, given)
        counts = torch.tensor(levels(sources)).bincount(minlength=32)
        assert counts.min() > 25  # of 50 on average, deviation 7
        assert counts.max() < 80
        order = torch.randperm(1600)[:70]
        assert torch.equal(bank.start(z[order], None if given is None else given[order]), sources[order])
        assert torch.equal(bank.start(z.t().contiguous().t(), given), sources)


def test_the_bank_travels_with_the_weights_and_is_no_weight():
    net = DAGANGenerator(channels=4, bank=6).build(*SPACE.ports)
    net.bank.keep(torch.rand(9, 1, 16, 16), torch.arange(9) % 3)
    other = DAGANGenerator(channels=4, bank=6).build(*SPACE.ports)
    other.load_state_dict(net.state_dict())
    z, label = torch.randn(4, 5), torch.arange(4) % 3
    assert torch.equal(other.eval()(z, label), net.eval()(z, label))
    assert not any("bank" in name for name, _ in net.named_parameters())
    assert Bank((1, 4, 4), 300, 256).images.shape == (300, 1, 4, 4)  # at least one of each class
