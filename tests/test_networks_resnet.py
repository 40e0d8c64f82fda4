"""Residual networks and self-attention: shapes, published counts, the papers' formulas, labels, spectral norms."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import avg_pool2d, conv2d, interpolate, relu

from zerosum.core.errors import RecipeError
from zerosum.core.registry import parse
from zerosum.networks.attention import SelfAttention, attentions
from zerosum.networks.biggan import BigGANDiscriminator, BigGANGenerator
from zerosum.networks.normalization import ConditionalBatchNorm, make_norm
from zerosum.networks.residual import DownBlock, UpBlock
from zerosum.networks.resnet import ResNetDiscriminator, ResNetGenerator
from zerosum.networks.space import Space

PARTS = {
    "resnet-generator": ResNetGenerator(channels=8),
    "resnet-discriminator": ResNetDiscriminator(channels=8),
    "biggan-generator": BigGANGenerator(channels=2),
    "biggan-discriminator": BigGANDiscriminator(channels=2),
}
GENERATORS = [PARTS["resnet-generator"], PARTS["biggan-generator"]]
DISCRIMINATORS = [PARTS["resnet-discriminator"], PARTS["biggan-discriminator"]]
SPACES = [
    Space((1, 8, 8), 9, 10),
    Space((1, 28, 28), 12, 3),
    Space((3, 32, 32), 16, 10),
    Space((3, 16, 24), 7, 2),
    Space((3, 64, 64), 10, 4),
    Space((1, 128, 128), 12, 2),
]
LABELS = {
    "resnet-generator": ["none", "concat", "embed", "norm"],
    "resnet-discriminator": ["none", "projection", "classifier"],
    "biggan-generator": ["none", "norm"],
    "biggan-discriminator": ["none", "projection", "classifier"],
}
every_part = pytest.mark.parametrize("part", PARTS.values(), ids=lambda part: part.name)
every_generator = pytest.mark.parametrize("part", GENERATORS, ids=lambda part: part.name)
every_discriminator = pytest.mark.parametrize("part", DISCRIMINATORS, ids=lambda part: part.name)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def is_generator(part):
    return "generator" in part.traits()


def inputs(part, space, count=4):
    x = torch.randn(count, space.latent) if is_generator(part) else torch.rand(count, *space.shape) * 2 - 1
    return x, torch.arange(count) % max(space.classes, 1)


def count(net):
    return sum(p.numel() for p in net.parameters())


def settled(net, part, space, passes=3):
    """The network in evaluation, after some training passes: running statistics and singular vectors have moved."""
    with torch.no_grad():
        for _ in range(passes):
            net.train()(*inputs(part, space, 6))
    return net.eval()


def awake(net):
    """The network with attention and conditional norms that have learnt something."""
    for module in net.modules():
        if isinstance(module, SelfAttention):
            nn.init.constant_(module.gain, 0.5)
        if isinstance(module, ConditionalBatchNorm):
            nn.init.normal_(module.weight, 1, 0.3)
            nn.init.normal_(module.bias)
    return net


def watched(net, modules, *args):
    """Outputs of modules in a pass."""
    seen = []
    hooks = [module.register_forward_hook(lambda _, __, out: seen.append(out.detach().clone())) for module in modules]
    net(*args)
    for hook in hooks:
        hook.remove()
    return seen


def layers(net):
    return [m for m in net.modules() if isinstance(m, (nn.Linear, nn.Conv2d))]


# --- self-attention


def pooled(maps):
    """Maximum over 2x2 windows by NumPy; at an odd edge over what is there."""
    height, width = maps.shape[2:]
    rows = [maps[:, :, i : i + 2].max(2) for i in range(0, height, 2)]
    return np.stack([np.stack([row[:, :, j : j + 2].max(2) for j in range(0, width, 2)], 2) for row in rows], 2)


@pytest.mark.parametrize("shape", [(6, 8), (5, 7)])
def test_attention_is_the_papers_formula(shape):
    layer = SelfAttention(16).double()
    nn.init.constant_(layer.gain, -0.7)
    x = torch.randn(2, 16, *shape, dtype=torch.float64)
    f, g, h, v = (w.weight[:, :, 0, 0].detach().numpy() for w in (layer.key, layer.query, layer.value, layer.out))
    assert (f.shape, g.shape, h.shape, v.shape) == ((2, 16), (2, 16), (8, 16), (16, 8))
    maps = x.numpy()
    keys, values = (pooled(np.einsum("dc,nchw->ndhw", w, maps)).reshape(2, len(w), -1) for w in (f, h))
    queries = np.einsum("dc,nchw->ndhw", g, maps).reshape(2, len(g), -1)
    scores = np.exp(np.einsum("ndi,ndj->nji", keys, queries))
    shares = scores / scores.sum(2, keepdims=True)  # beta_{j,i}: rows are places j, columns pooled places i
    seen = np.einsum("od,ndi,nji->noj", v, values, shares).reshape(maps.shape)
    np.testing.assert_allclose(layer(x).detach().numpy(), maps - 0.7 * seen, rtol=0, atol=1e-12)
    np.testing.assert_allclose(layer.weights(x).detach().numpy(), shares, rtol=0, atol=1e-14)


def test_attention_starts_as_the_identity_and_can_leave_it():
    layer, x = SelfAttention(16), torch.randn(3, 16, 6, 6)
    out = layer(x)
    assert torch.equal(out, x)
    out.square().sum().backward()
    assert layer.gain.grad.abs() > 1e-3
    nn.init.constant_(layer.gain, 1)
    moved = (layer(x) - x).square().mean().sqrt()
    assert 0.01 < moved < 1


def test_attention_shares_sum_to_one_over_the_keys():
    shares = SelfAttention(16).weights(torch.randn(2, 16, 6, 8) * 3)
    assert shares.shape == (2, 48, 12)
    torch.testing.assert_close(shares.sum(2), torch.ones(2, 48))
    assert (shares.sum(1) - 4).abs().max() > 0.05
    assert (shares > 0).all()


def test_every_place_sees_every_place():
    layer = SelfAttention(8).double()
    nn.init.constant_(layer.gain, 1)
    x = torch.randn(1, 8, 4, 4, dtype=torch.float64)
    other = x.clone()
    other[:, :, 3, 3] += 10  # stays the largest of its window in some channel
    assert ((layer(other) - layer(x)).abs().amax((0, 1)) > 1e-6).all()


@pytest.mark.parametrize("channels", [1, 2, 3, 8])
def test_attention_takes_few_channels(channels):
    assert SelfAttention(channels)(torch.randn(2, channels, 4, 4)).shape == (2, channels, 4, 4)


@pytest.mark.parametrize(("attention", "place"), [(8, 1), (15, 1), (16, 0), (64, 0)])
def test_attention_takes_the_largest_map_that_is_small_enough(attention, place):
    followers = attentions("resnet-discriminator", attention, [16, 8, 8], [4, 16, 24], spectral=False)
    assert [isinstance(one, SelfAttention) for one in followers] == [place == index for index in range(3)]


def test_attention_follows_the_first_map_of_its_side():
    followers = attentions("resnet-discriminator", 8, [16, 8, 8], [4, 16, 24], spectral=True)
    assert [type(m).__name__ for m in followers] == ["Identity", "SelfAttention", "Identity"]
    assert followers[1].out.out_channels == 16
    assert all(hasattr(layer, "sigma") for layer in layers(followers[1]))
    assert not any(hasattr(layer, "sigma") for layer in layers(attentions("", 8, [8], [16], spectral=False)[0]))


@every_part
def test_attention_sits_where_it_is_asked_for_and_begins_as_nothing(part):
    space = SPACES[2]
    attentive = part.replace(attention=16).build(*space.ports)
    places = [m for m in attentive.modules() if isinstance(m, SelfAttention)]
    assert len(places) == 1
    x, label = inputs(part, space)
    assert watched(attentive.eval(), places, x, label)[0].shape[2:] == (16, 16)
    plain = part.build(*space.ports).eval()
    plain.load_state_dict({k: v for k, v in attentive.state_dict().items() if "attentions" not in k})
    torch.testing.assert_close(plain(x, label), attentive(x, label), rtol=0, atol=0)
    assert not torch.equal(plain(x, label), awake(attentive)(x, label))


@every_part
def test_attention_on_wide_images_goes_by_the_height(part):
    net = part.replace(attention=8).build(*Space((3, 16, 24), 7).ports).eval()
    places = [m for m in net.modules() if isinstance(m, SelfAttention)]
    x = torch.randn(2, 7) if is_generator(part) else torch.rand(2, 3, 16, 24)
    assert watched(net, places, x)[0].shape[2:] == (8, 12)


@pytest.mark.parametrize(("part", "sides"), [
    (PARTS["resnet-generator"], "8 or 16 or 32"), (PARTS["biggan-generator"], "8 or 16 or 32"),
    (PARTS["resnet-discriminator"], "8 or 16"), (PARTS["biggan-discriminator"], "8 or 16"),
], ids=lambda x: getattr(x, "name", ""))  # fmt: skip
def test_attention_below_every_map_names_the_maps(part, sides):
    message = f"network '{part.name}': no block gives maps of 3 pixels or fewer; set attention=0 or {sides}$"
    with pytest.raises(RecipeError, match=message):
        part.replace(attention=3).build(*SPACES[2].ports)


# --- blocks


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_up_block_is_what_the_papers_draw(norm):
    block = UpBlock(5, 3, lambda channels: make_norm(norm, channels, 2)).double().eval()
    x = torch.randn(2, 5, 3, 4, dtype=torch.float64)
    for module in block.norms:
        if norm == "batch":
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    first, second, skip = block.branch[0], block.branch[1], block.skip
    y = conv2d(interpolate(relu(block.norms[0](x)), scale_factor=2), first.weight, first.bias, padding=1)
    y = conv2d(relu(block.norms[1](y)), second.weight, second.bias, padding=1)
    y += conv2d(interpolate(x, scale_factor=2), skip.weight, skip.bias)
    torch.testing.assert_close(block(x), y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("before", "after", "halve", "first"), [
    (3, 6, True, True), (3, 6, True, False), (6, 6, True, False), (6, 6, False, False), (6, 4, False, False),
])  # fmt: skip
@pytest.mark.parametrize("norm", ["none", "layer"])
def test_down_block_is_what_the_papers_draw(before, after, halve, first, norm):
    block = DownBlock(before, after, 7, norm=norm, halve=halve, first=first).double()
    x = torch.randn(2, before, 6, 4, dtype=torch.float64)
    one, two = (m for m in block.branch if isinstance(m, nn.Conv2d))
    normed = norm == "layer" and not first
    norms = [m for m in block.branch if isinstance(m, nn.GroupNorm)] if normed else [nn.Identity(), nn.Identity()]
    assert [m.out_channels for m in (one, two)] == [7, after]
    y = conv2d(x if first else relu(norms[0](x)), one.weight, one.bias, padding=1)
    y = conv2d(relu(norms[1](y)), two.weight, two.bias, padding=1)
    if before == after and not halve:
        assert count(block.skip) == 0
        expected = y + x
    else:
        shortcut = next(m for m in block.skip.modules() if isinstance(m, nn.Conv2d))
        beside = conv2d(x, shortcut.weight, shortcut.bias)
        expected = avg_pool2d(y, 2) + avg_pool2d(beside, 2) if halve else y + beside
    given = x.clone()
    torch.testing.assert_close(block(given), expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(given, x)  # nothing in place reaches the input


# --- networks


@every_part
@pytest.mark.parametrize("space", SPACES, ids=str)
def test_shapes_ranges_and_types(part, space):
    for labels in LABELS[part.name]:
        net = part.replace(labels=labels).build(*space.ports)
        x, label = inputs(part, space)
        out = net(x, label)
        assert out.shape == ((4, *space.shape) if is_generator(part) else (4,))
        assert out.dtype == torch.float32
        assert out.isfinite().all()
        assert out.std() > 1e-3
        if is_generator(part):
            assert out.abs().max() <= 1
        else:
            assert net.features(x, label).shape == (4, net.head.logit.in_features)
            torch.testing.assert_close(net.eval().logits(net.features(x, label), label), net(x, label))


@every_generator
def test_images_end_in_tanh(part):
    net = part.build(*SPACES[2].ports).eval()
    (raw,) = watched(net, [net.image[-1]], x := inputs(part, SPACES[2])[0])
    nn.init.constant_(net.image[-1].bias, 0.5)
    torch.testing.assert_close(net(x), (raw + 0.5).tanh())
    assert type(net.image[1]) is nn.ReLU


@every_part
def test_text_and_meta_device(part):
    part = part.replace(labels=LABELS[part.name][-1], attention=16)
    assert parse("network", str(part)) == part
    with torch.device("meta"):
        net = part.build(*SPACES[4].ports)
        out = net(torch.empty(2, *((10,) if is_generator(part) else (3, 64, 64))), torch.zeros(2, dtype=torch.long))
    assert out.shape == ((2, 3, 64, 64) if is_generator(part) else (2,))


def test_counts_of_sngan_at_32_by_hand():
    def conv(taps, before, after):
        return taps * before * after + after

    first = conv(9, 3, 128) + conv(9, 128, 128) + conv(1, 3, 128)
    halving = 2 * conv(9, 128, 128) + conv(1, 128, 128)
    plain = 2 * conv(9, 128, 128)
    discriminator = first + halving + 2 * plain + 128 + 1
    norm = 2 * 256
    block = 2 * norm + 2 * conv(9, 256, 256) + conv(1, 256, 256)
    generator = conv(1, 128, 4 * 4 * 256) + 3 * block + norm + conv(9, 256, 3)
    with torch.device("meta"):
        assert count(ResNetDiscriminator().build(*Space((3, 32, 32)).ports)) == discriminator == 1_053_825
        assert count(ResNetGenerator().build(*Space((3, 32, 32), 128).ports)) == generator == 4_276_739
        # a row a class: in the projection, and a scale and shift in each of six batch norms instead of one
        conditional = ResNetDiscriminator(labels="projection").build(*Space((3, 32, 32), 0, 10).ports)
        assert count(conditional) == discriminator + 10 * 128
        assert (
            count(ResNetGenerator(labels="norm").build(*Space((3, 32, 32), 128, 10).ports)) == generator + 9 * 6 * norm
        )


@pytest.mark.parametrize(("shape", "generator", "discriminator"), [
    ((8, 8), [(256, 4), (256, 8)], [(128, 4), (128, 4), (128, 4)]),
    ((28, 28), [(256, 7), (256, 14), (256, 28)], [(128, 14), (128, 7), (128, 7), (128, 7)]),
    ((32, 32), [(256, 4), (256, 8), (256, 16), (256, 32)], [(128, 16), (128, 8), (128, 8), (128, 8)]),
    ((48, 48), [(512, 6), (256, 12), (128, 24), (64, 48)], [(64, 24), (128, 12), (256, 6), (512, 6)]),
    ((64, 64), [(1024, 4), (512, 8), (256, 16), (128, 32), (64, 64)],
     [(64, 32), (128, 16), (256, 8), (512, 4), (1024, 4)]),
    ((128, 128), [(1024, 4), (1024, 8), (512, 16), (256, 32), (128, 64), (64, 128)],
     [(64, 64), (128, 32), (256, 16), (512, 8), (1024, 4), (1024, 4)]),
])  # fmt: skip
def test_widths_and_sides_of_the_published_networks(shape, generator, discriminator):
    space = Space((3, *shape), 128)
    with torch.device("meta"):
        g, d = ResNetGenerator().build(*space.ports), ResNetDiscriminator().build(*space.ports)
        up = watched(g, [g.dense, *g.blocks], torch.empty(1, 128))
        down = watched(d, d.blocks, torch.empty(1, *space.shape))
        assert d.features(torch.empty(1, *space.shape)).shape == (1, discriminator[-1][0])
    assert [tuple(out.shape[1:3]) for out in up] == generator
    assert [tuple(out.shape[1:3]) for out in down] == discriminator
    inner = [[m.out_channels for m in block.branch if isinstance(m, nn.Conv2d)] for block in d.blocks]
    before = [discriminator[0][0], *(width for width, _ in discriminator)]
    assert inner == [[hidden, after] for hidden, (after, _) in zip(before, discriminator, strict=False)]


def test_the_first_weights_are_glorots_with_more_in_the_branches():
    space = Space((3, 32, 32), 16)
    for net in (ResNetGenerator(channels=32).build(*space.ports), ResNetDiscriminator(channels=32).build(*space.ports)):
        branches = [m for block in net.blocks for m in block.branch.modules() if isinstance(m, nn.Conv2d)]
        assert len(branches) == 2 * len(net.blocks)
        for layer in layers(net):
            taps = layer.weight[0, 0].numel()
            gain = math.sqrt(2) if layer in branches else 1
            bound = gain * math.sqrt(6 / (taps * (layer.weight.shape[0] + layer.weight.shape[1])))
            largest = layer.weight.abs().max().item()
            assert bound * (1 - 8 / layer.weight.numel() ** 0.9) < largest <= bound * (1 + 1e-6)
            assert not layer.bias.any()


@every_part
def test_traits_are_true(part):
    for labels in LABELS[part.name]:
        part = part.replace(labels=labels)
        net = part.build(*SPACES[2].ports)
        kinds = {type(m).__name__ for m in net.modules()}
        traits = set(part.traits())
        assert ("batchnorm" in traits) == any("BatchNorm" in kind for kind in kinds)
        assert ("spectral" in traits) == all(hasattr(layer, "sigma") for layer in layers(net))
        assert ("spectral" in traits) or not any(hasattr(layer, "sigma") for layer in layers(net))
        assert ("features" in traits) == ("logits" in traits) == hasattr(net, "logits")
        assert ("classifier" in traits) == (labels == "classifier")
        x, label = inputs(part, SPACES[2])
        net = settled(awake(net), part, SPACES[2])
        assert ("labels" in traits) == (not torch.equal(net(x, label), net(x, label.flip(0))))


@pytest.mark.parametrize("norm", ["none", "layer", "instance", "group", "batch"])
def test_norms_and_spectral_of_the_discriminator(norm):
    part = ResNetDiscriminator(channels=8, norm=norm, spectral=False)
    assert part.traits() == {"discriminator", "logits", "features"} | ({"batchnorm"} if norm == "batch" else set())
    net = part.build(*SPACES[2].ports)
    kind = {"layer": nn.GroupNorm, "group": nn.GroupNorm, "instance": nn.InstanceNorm2d, "batch": nn.BatchNorm2d}
    found = [sum(isinstance(m, kind.get(norm, ())) for m in block.modules()) for block in net.blocks]
    assert found == ([0, 0, 0, 0] if norm == "none" else [0, 2, 2, 2])
    assert not any(hasattr(layer, "sigma") for layer in layers(net))


def test_norms_and_spectral_of_the_generator():
    plain = ResNetGenerator(channels=8, norm="none", spectral=True)
    net = plain.build(*SPACES[2].ports)
    assert plain.traits() == {"generator", "spectral"}
    assert all(hasattr(layer, "sigma") for layer in layers(net))
    assert not any(isinstance(m, nn.BatchNorm2d) for m in net.modules())
    conditional = ResNetGenerator(channels=8, labels="norm").build(*SPACES[2].ports)
    names = [type(m).__name__ for m in conditional.modules() if "BatchNorm" in type(m).__name__]
    assert names.count("ConditionalBatchNorm") == 6  # each around a BatchNorm2d without weights
    assert names[-1] == "BatchNorm2d"
    assert conditional.image[0].affine
    with pytest.raises(RecipeError, match=r"network 'resnet-generator': labels=norm.*set norm=batch"):
        ResNetGenerator(labels="norm", norm="none").build(*SPACES[2].ports)


@every_part
def test_a_sample_does_not_depend_on_its_place_in_the_batch(part):
    part = part.replace(labels=LABELS[part.name][1 if "disc" in part.name else -1], attention=16)
    space = SPACES[2]
    net = settled(awake(part.build(*space.ports)), part, space)
    x, label = inputs(part, space, 6)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    out = net(x, label)
    assert torch.equal(out, net(x, label))
    torch.testing.assert_close(net(x[order], label[order]), out[order], rtol=1e-4, atol=1e-5)
    assert (net(x, label[order]) - out).abs().max() > 1e-3


@pytest.mark.parametrize("labels", ["concat", "embed", "norm"])
def test_renaming_the_classes_renames_their_weights(labels):
    space = SPACES[2]
    part = ResNetGenerator(channels=8, labels=labels)
    net = settled(awake(part.build(*space.ports)), part, space)
    x, label = inputs(part, space, 6)
    out, order = net(x, label), torch.randperm(10)
    assert (net(x, order[label]) - out).abs().max() > 1e-2
    with torch.no_grad():
        for table in net.modules():
            if isinstance(table, ConditionalBatchNorm):
                table.weight[order], table.bias[order] = table.weight.clone(), table.bias.clone()
            elif isinstance(table, nn.Embedding):
                table.weight[order] = table.weight.clone()
        if labels == "concat":
            columns = net.dense[0].weight[:, space.latent :]
            columns[:, order] = columns.clone()
    torch.testing.assert_close(net(x, order[label]), out)


@every_part
def test_labels_are_ignored_asked_for_or_refused(part):
    space = SPACES[1]
    x, label = inputs(part, space)
    net = part.build(*space.ports).eval()
    assert torch.equal(net(x), net(x, label))
    for labels in LABELS[part.name][1:]:
        conditional = part.replace(labels=labels)
        with pytest.raises(RecipeError, match=f"network '{part.name}': labels={labels} needs data with classes"):
            conditional.build(*Space(space.shape, space.latent).ports)
        if labels != "classifier":
            with pytest.raises(ValueError, match="this network is conditional: call it with the classes"):
                conditional.build(*space.ports)(x)


@every_part
@pytest.mark.parametrize(("space", "message"), [
    (Space((3, 30, 30), 9), "does not take 30x30 images with 3 channels.*set size=28"),
    (Space((2,), 9), "works on images, and these are points of 2 dimensions; use mlp-"),
])  # fmt: skip
def test_spaces_that_do_not_fit(part, space, message):
    with pytest.raises(RecipeError, match=f"network '{part.name}' {message}"):
        part.build(*space.ports)


@every_generator
def test_generators_say_when_they_miss_a_latent(part):
    with pytest.raises(RecipeError, match=f"network '{part.name}' needs a latent; set latent=normal:size=100"):
        part.build(*Space((1, 32, 32)).ports)


# --- heads


@every_discriminator
def test_projection_is_a_vector_of_the_class_on_the_sum_over_places(part):
    space = SPACES[2]
    conditional = part.replace(labels="projection")
    net = settled(conditional.build(*space.ports), conditional, space, passes=20).double()
    x = inputs(part, space)[0].double()
    (last,) = watched(net, [net.blocks[-1]], x, torch.zeros(4, dtype=torch.long))
    features = net.features(x)
    torch.testing.assert_close(features, last.clamp(min=0).flatten(2).sum(2), rtol=1e-12, atol=0)
    vectors = net.head.projection.normalised().detach()
    assert torch.linalg.matrix_norm(vectors, 2).item() == pytest.approx(1, abs=0.02)
    one, two = torch.tensor([1, 7, 0, 2]), torch.tensor([4, 7, 3, 9])
    difference = ((vectors[one] - vectors[two]) * features).sum(1)
    assert difference[[0, 2, 3]].abs().min() > 1e-2
    torch.testing.assert_close(net(x, one) - net(x, two), difference, rtol=1e-9, atol=1e-12)
    plain = part.build(*space.ports).double().eval()
    plain.load_state_dict({k: v for k, v in net.state_dict().items() if "projection" not in k})
    nn.init.zeros_(net.head.projection.weight)
    torch.testing.assert_close(net(x, one), plain(x), rtol=0, atol=1e-12)


@every_discriminator
def test_the_classifier_looks_at_the_image_alone(part):
    space = SPACES[2]
    net = part.replace(labels="classifier").build(*space.ports).eval()
    x, label = inputs(part, space)
    features = net.features(x)
    assert net.classify(features).shape == (4, 10)
    assert torch.equal(net(x), net(x, label))
    assert torch.equal(net.features(x, label), features)
    assert net.classify(features).std(0).min() > 1e-4
    with pytest.raises(ValueError, match="labels=classifier"):
        part.build(*space.ports).classify(features)


# --- gradients, precision, Lipschitz constants


@every_discriminator
@pytest.mark.parametrize("norm", ["none", "layer", "instance"])
def test_a_gradient_penalty_reaches_every_weight(part, norm):
    part = part.replace(labels="projection", attention=8, **({"norm": norm} if part.name.startswith("res") else {}))
    net = awake(part.build(*SPACES[2].ports))
    x, label = inputs(part, SPACES[2])
    x.requires_grad_()
    (slope,) = torch.autograd.grad(net(x, label).sum(), x, create_graph=True)
    slope.flatten(1).norm(dim=1).sub(1).square().mean().backward()
    missing = {name for name, p in net.named_parameters() if p.grad is None or not p.grad.isfinite().all()}
    assert missing <= {name for name, _ in net.named_parameters() if name.endswith("bias")}
    zero = {name for name, p in net.named_parameters() if name not in missing and not p.grad.any()}
    assert {name for name in zero if name.endswith("weight")} == set()


@pytest.mark.parametrize("spectral", [True, False])
def test_the_gradient_of_a_penalty_is_right(spectral):
    part = ResNetDiscriminator(channels=4, attention=8, spectral=spectral)
    net = awake(part.build(*Space((1, 16, 16)).ports)).double().eval()
    x = torch.rand(2, 1, 16, 16, dtype=torch.float64, requires_grad=True)
    weight = net.blocks[1].branch[2].weight

    def penalty():
        (slope,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
        return slope.square().sum()

    direction = torch.randn_like(weight)
    (gradient,) = torch.autograd.grad(penalty(), weight)
    step, values = 1e-6, []
    for side in (1, -1):
        with torch.no_grad():
            weight += side * step * direction
        values.append(penalty().item())
        with torch.no_grad():
            weight -= side * step * direction
    expected = (values[0] - values[1]) / (2 * step)
    assert abs(expected) > 1e-4
    assert (gradient * direction).sum().item() == pytest.approx(expected, rel=1e-4)


@every_part
def test_bf16_autocast(part):
    part = part.replace(labels=LABELS[part.name][1 if "disc" in part.name else -1], attention=16)
    space = SPACES[2]
    net = settled(awake(part.build(*space.ports)), part, space)
    x, label = inputs(part, space)
    exact = net(x, label)
    with torch.autocast("cpu", torch.bfloat16):
        rough = net(x, label)
        if not is_generator(part):
            assert net.features(x, label).dtype == torch.float32
    if is_generator(part):
        assert rough.dtype == torch.float32
    assert rough.isfinite().all()
    assert 0 < (rough - exact).abs().max() < 0.05 * exact.abs().max() + 0.02


@every_part
def test_scaling_a_spectral_network_changes_nothing(part):
    part = part.replace(attention=16, **({"spectral": True} if part.name.startswith("res") else {}))
    net = awake(part.build(*SPACES[2].ports))
    net = settled(net, part, SPACES[2])
    x, label = inputs(part, SPACES[2])
    before = net(x, label)
    with torch.no_grad():
        for layer in layers(net):
            layer.weight *= 3
    torch.testing.assert_close(net(x, label), before, rtol=1e-4, atol=1e-5)


@every_discriminator
def test_spectral_weights_bound_the_slope(part):
    """A halving block is at most (9 + 1) / 2 steep, a plain one 9 + 1, the sum over 8x8 places 8."""
    space = Space((1, 32, 32), 0, 5)
    part = part.replace(labels="projection")
    net = part.build(*space.ports)
    with torch.no_grad():
        for layer in layers(net):
            layer.weight *= 20
        for _ in range(150):  # each finds the singular vectors a little better
            net(*inputs(part, space, 1))
    for layer in layers(net):
        norm = torch.linalg.matrix_norm(layer.normalised().flatten(1), 2).item()
        assert 1 - 1e-4 < norm < 1.02
    x, y = (inputs(part, space, 16)[0] for _ in range(2))
    near = x + 1e-3 * torch.randn_like(x)
    label, bound = torch.arange(16) % 5, (5 * 5 * 10 * 10 * 8 * 2) * 1.02**10
    for other in (y, near):
        slope = (net(x, label) - net(other, label)).abs() / (x - other).flatten(1).norm(dim=1)
        assert 0 < slope.max() < bound
    net.eval()
    plain = ResNetDiscriminator(channels=8, spectral=False).build(*space.ports)
    with torch.no_grad():
        for layer in layers(plain):
            layer.weight *= 20
    assert ((plain(x) - plain(y)).abs() / (x - y).flatten(1).norm(dim=1)).max() > bound  # so the bound says something
