"""DCGAN's networks and ACGAN's generator: sizes, stage widths, parameter counts, layers."""

import pytest
import torch
from torch import nn

from zerosum.core.errors import RecipeError
from zerosum.networks import (
    ACGANGenerator,
    BEGANDiscriminator,
    DCGANDiscriminator,
    DCGANEncoder,
    DCGANGenerator,
    JointDCGANDiscriminator,
)
from zerosum.networks.sizes import supported_sides
from zerosum.networks.space import Space

NORMS = ["batch", "layer", "instance", "group", "none"]


def count(net):
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(("part", "space", "parameters"), [
    (DCGANGenerator(), Space((3, 64, 64), 100), 3_576_704),
    (DCGANDiscriminator(), Space((3, 64, 64), 100), 2_765_568),
    (DCGANGenerator(), Space((1, 64, 64), 100), 3_574_656),
    (DCGANDiscriminator(), Space((1, 64, 64), 100), 2_763_520),
    (DCGANDiscriminator(spectral=True), Space((1, 64, 64), 100), 2_763_520),
    (DCGANDiscriminator(codes=7, norm="none"), Space((1, 64, 64)), 2_763_520 - 2 * 896 + 961 + 7 * 8193),
    (ACGANGenerator(labels="concat"), Space((1, 28, 28), 100, 10), 822_401),
], ids=lambda x: str(x) if not isinstance(x, int) else "")  # fmt: skip
def test_parameter_counts_are_those_of_the_papers(part, space, parameters):
    with torch.device("meta"):
        assert count(part.build(*space.ports)) == parameters


@pytest.mark.parametrize("side", supported_sides())
def test_networks_take_every_square_size(side):
    space = Space((3, side, side), 5)
    with torch.device("meta"):
        fake = DCGANGenerator(channels=2).build(*space.ports)(torch.empty(2, 5))
        small = ACGANGenerator(channels=16).build(*space.ports)(torch.empty(2, 5))
        logits = DCGANDiscriminator(channels=2).build(*space.ports)(fake)
    assert fake.shape == small.shape == (2, 3, side, side)
    assert logits.shape == (2,)


def test_supported_sizes():
    assert supported_sides() == [
        *(8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256)
    ]


@pytest.mark.parametrize(
    ("side", "widths"),
    [(8, [64]), (28, [128, 64]), (32, [256, 128, 64]), (64, [512, 256, 128, 64]), (128, [512, 512, 256, 128, 64])],
)
def test_dcgan_widths(side, widths):
    space = Space((3, side, side), 100)
    with torch.device("meta"):
        generator, discriminator = DCGANGenerator().build(*space.ports), DCGANDiscriminator().build(*space.ports)
    assert [m.out_channels for m in generator.modules() if isinstance(m, nn.ConvTranspose2d)] == [*widths, 3]
    assert [m.out_channels for m in discriminator.modules() if isinstance(m, nn.Conv2d)] == widths[::-1]


def test_dcgan_layers_are_those_of_the_paper():
    with torch.device("meta"):
        generator, discriminator = (
            DCGANGenerator().build(*Space((3, 32, 32), 9).ports),
            DCGANDiscriminator().build(*Space((3, 32, 32)).ports),
        )
    stage = ["ConvTranspose2d", "BatchNorm2d", "ReLU"]
    kinds = [type(m).__name__ for m in generator.body]
    assert kinds == ["JoinLabel", "FromPixel", *stage[1:], *stage * 2, "ConvTranspose2d"]
    first, stage = ["JoinLabel", "Conv2d", "LeakyReLU"], ["Conv2d", "BatchNorm2d", "LeakyReLU"]
    assert [type(m).__name__ for m in discriminator.body] == [*first, *stage * 2, "FlatMaps"]
    assert discriminator.body[2].negative_slope == 0.2
    assert discriminator.head.logit.in_features == 256 * 4 * 4
    convolutions = [
        m for net in (generator, discriminator) for m in net.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))
    ]
    settings = [(m.kernel_size, m.stride, m.padding) for m in convolutions]
    assert settings == [((4, 4), (1, 1), (0, 0)), *[((4, 4), (2, 2), (1, 1))] * 6]


def test_the_last_layer_is_the_convolution_over_the_whole_map():
    net = DCGANDiscriminator(channels=8).build(*Space((1, 28, 28)).ports).eval()
    maps = net.body[:-1](x := torch.rand(3, 1, 28, 28))
    kernel = net.head.logit.weight.unflatten(1, (7, 7, 16)).permute(0, 3, 1, 2)
    torch.testing.assert_close(net(x), nn.functional.conv2d(maps, kernel).flatten())


@pytest.mark.parametrize("cls", [DCGANGenerator, DCGANDiscriminator])
@pytest.mark.parametrize("norm", NORMS)
def test_biases_are_there_where_no_norm_is(cls, norm):
    net = cls(channels=8, norm=norm).build(*Space((3, 32, 32), 4).ports)
    layers = [m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear))]
    assert {m.bias is not None for m in layers} == {norm == "none"}


@pytest.mark.parametrize("cls", [DCGANGenerator, DCGANDiscriminator])
@pytest.mark.parametrize("norm", NORMS)
def test_norms_are_those_of_the_field(cls, norm):
    part = cls(channels=8, norm=norm)
    kinds = {type(m).__name__ for m in part.build(*Space((3, 32, 32), 4).ports).modules() if "Norm" in type(m).__name__}
    names = {"batch": "BatchNorm2d", "layer": "GroupNorm", "instance": "InstanceNorm2d", "group": "GroupNorm"}
    assert kinds == ({names[norm]} if norm in names else set())
    assert ("batchnorm" in part.traits()) == (norm == "batch")


@pytest.mark.parametrize("cls", [DCGANGenerator, ACGANGenerator])
def test_class_norms_take_the_place_of_all_norms(cls):
    net = cls(labels="norm").build(*Space((1, 28, 28), 10, 3).ports)
    norms = [type(m).__name__ for m in net.body if "Norm" in type(m).__name__]
    assert norms == ["ConditionalBatchNorm"] * 2


def test_class_norms_need_batch_norm():
    with pytest.raises(RecipeError, match=r"network 'dcgan-generator': labels=norm gives.*set norm=batch"):
        DCGANGenerator(labels="norm", norm="group").build(*Space((1, 28, 28), 10, 3).ports)


@pytest.mark.parametrize("minibatch", ["stddev", "discrimination"])
def test_minibatch_layers_see_the_last_map(minibatch):
    net = DCGANDiscriminator(channels=4, minibatch=minibatch, kernels=9).build(*Space((1, 16, 16)).ports)
    x = torch.rand(8, 1, 16, 16)
    features = net.features(x)
    assert features.shape == (8, 8 * 16 + (16 if minibatch == "stddev" else 9))
    same = net.features(x[:1].expand(8, -1, -1, -1))
    if minibatch == "stddev":
        torch.testing.assert_close(same.unflatten(1, (16, 9))[:, :, 8], torch.full((8, 16), 1e-4), rtol=0.1, atol=0)
        assert (features.unflatten(1, (16, 9))[:, :, 8] > 1e-3).all()
    else:
        torch.testing.assert_close(same[:, -9:], torch.full((8, 9), 7.0), rtol=1e-3, atol=0)
        assert (features[:, -9:] < 6.999).all()


@pytest.mark.parametrize(
    ("side", "maps"), [(28, [(128, 7), (64, 14)]), (32, [(128, 4), (64, 8), (32, 16)]), (8, [(128, 4)])]
)
def test_acgan_generator_halves_its_maps_at_each_doubling(side, maps):
    net = ACGANGenerator().build(*Space((1, side, side), 100).ports)
    assert isinstance(net.body[1], nn.Linear)
    shapes, x = [], torch.randn(2, 100)
    for layer in net.body:
        x = layer(x)
        shapes += [x.shape[1:3]] if isinstance(layer, nn.BatchNorm2d) else []
    assert shapes == maps
    assert [m.bias is not None for m in net.body if hasattr(m, "weight") and hasattr(m, "stride")] == [
        *[False] * (len(maps) - 1),
        True,
    ]


@pytest.mark.parametrize("cls", [DCGANGenerator, DCGANDiscriminator])
@pytest.mark.parametrize(("shape", "message"), [
    ((3, 30, 30), "does not take 30x30 images with 3 channels.*nearest: 28 and 32; set size=28"),
    ((1, 31, 31), "nearest: 28 and 32; set size=32"),
    ((1, 7, 7), "nearest: 8; set size=8"),
    ((1, 300, 300), "at most 256; nearest: 256; set size=256"),
    ((1, 32, 36), "does not take 32x36 images.*nearest: 32; set size=32"),
    ((1, 32, 512), "nearest: 32; set size=32"),
])  # fmt: skip
def test_unsupported_sizes_name_the_nearest(cls, shape, message):
    with pytest.raises(RecipeError, match=f"network '{cls.name}' .*{message}"):
        cls().build(*Space(shape, 10).ports)


@pytest.mark.parametrize(("cls", "instead"), [
    (DCGANGenerator, "mlp-generator"),
    (DCGANDiscriminator, "mlp-discriminator"),
    (DCGANEncoder, "mlp-encoder"),
    (JointDCGANDiscriminator, "joint-mlp-discriminator"),
    (ACGANGenerator, "mlp-generator"),
    (BEGANDiscriminator, "mlp-discriminator"),
])  # fmt: skip
def test_points_are_sent_to_the_perceptrons(cls, instead):
    with pytest.raises(RecipeError, match=f"works on images, and these are points of 2 dimensions; use {instead}$"):
        cls().build(*Space((2,), 10).ports)
