"""Networks: shapes at every size, parameter counts of the papers, true traits; initializations by their spread."""

import math

import pytest
import torch
from torch import nn

from zerosum import networks
from zerosum.core.errors import RecipeError
from zerosum.core.registry import parse, shelf
from zerosum.core.space import Space
from zerosum.networks import DCGANDiscriminator, DCGANGenerator, MLPDiscriminator, MLPGenerator
from zerosum.networks.dcgan import supported_sides
from zerosum.networks.initialization import Default, Glorot, He, LeCun, Normal, Orthogonal
from zerosum.networks.layers import make_norm

NORMS = ["batch", "layer", "instance", "group", "none"]
PARTS = [cls for cls in shelf("network").values() if cls.__module__.startswith("zerosum.networks")]
every_network = pytest.mark.parametrize("cls", PARTS, ids=lambda cls: cls.name)
every_initialization = pytest.mark.parametrize(
    "part", [cls() for cls in shelf("initialization").values()], ids=lambda part: part.name
)
SPACES = [Space((1, 28, 28), 100, 10), Space((3, 32, 32), 64, 2), Space((3, 16, 24), 7, 3), Space((4, 8, 8), 2, 1)]


@pytest.fixture(autouse=True)
def _settings():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def small(cls, **settings):
    """A part of this class with few units."""
    return cls(**({"channels": 8} if "dcgan" in cls.name else {"widths": (12, 16)}), **settings)


def inputs(part, space, count=4):
    x = torch.randn(count, space.latent) if "generator" in part.traits() else torch.rand(count, *space.shape) * 2 - 1
    return x, torch.arange(count) % max(space.classes, 1)


def output_shape(part, space, count=4):
    return (count, *space.shape) if "generator" in part.traits() else (count,)


def count(net):
    return sum(p.numel() for p in net.parameters())


def test_exports_are_the_registered_parts():
    parts = [*shelf("network").values(), *shelf("initialization").values()]
    assert set(networks.__all__) == {cls.__name__ for cls in parts if cls.__module__.startswith("zerosum.")}


@pytest.mark.parametrize(("part", "space", "parameters"), [
    (DCGANGenerator(), Space((3, 64, 64), 100), 3_576_704),
    (DCGANDiscriminator(), Space((3, 64, 64), 100), 2_765_568),
    (DCGANGenerator(), Space((1, 64, 64), 100), 3_574_656),
    (DCGANDiscriminator(), Space((1, 64, 64), 100), 2_763_520),
    (MLPGenerator(), Space((1, 28, 28), 100), 1_486_352),
    (MLPDiscriminator(), Space((1, 28, 28), 100), 1_460_225),
    (MLPGenerator(widths=(128, 256, 512, 1024), activation="relu"), Space((1, 28, 28), 100), 1_506_448),
    (MLPDiscriminator(widths=(512, 256, 128, 64), activation="relu"), Space((1, 28, 28), 100), 574_465),
], ids=lambda x: str(x) if not isinstance(x, int) else "")  # fmt: skip
def test_parameter_counts_are_those_of_the_papers(part, space, parameters):
    with torch.device("meta"):
        assert count(part.build(space)) == parameters


@every_network
@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("space", SPACES, ids=str)
def test_shapes_ranges_and_types(cls, labels, space):
    part = small(cls, labels=labels)
    net = part.build(space)
    x, label = inputs(part, space)
    out = net(x, label)
    assert out.shape == output_shape(part, space)
    assert out.dtype == torch.float32
    if "generator" in part.traits():
        assert out.abs().max() <= 1
        assert out.std() > 1e-3
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = net.eval()(x, label)
    assert half.shape == out.shape
    torch.testing.assert_close(half.float(), net(x, label), rtol=0.1, atol=0.05)


@every_network
@pytest.mark.parametrize("space", SPACES, ids=str)
def test_networks_wire_on_the_meta_device(cls, space):
    part = small(cls, labels=True)
    with torch.device("meta"):
        net = part.build(space)
        out = net(
            torch.empty(2, space.latent) if "generator" in part.traits() else torch.empty(2, *space.shape),
            torch.zeros(2, dtype=torch.int64),
        )
    assert out.shape == output_shape(part, space, 2)
    assert all(tensor.is_meta for tensor in [*net.parameters(), *net.buffers()])


@every_network
def test_text_round_trips(cls):
    assert parse("network", str(small(cls, labels=True))) == small(cls, labels=True)
    assert parse("network", cls.name) == cls()


@every_network
def test_traits_are_true(cls):
    space = SPACES[0]
    norms = cls.__annotations__.get("norm")
    for norm in [None] if norms is None else ["none", "batch", "layer"] if "mlp" in cls.name else NORMS:
        for labels in (False, True):
            part = small(cls, labels=labels, **({} if norm is None else {"norm": norm}))
            net = part.build(space)
            traits = part.traits()
            assert ("batchnorm" in traits) == any(
                isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d)) for m in net.modules()
            )
            x, label = inputs(part, space)
            net.eval()
            assert ("labels" in traits) == (not torch.equal(net(x, label), net(x, label + 1)))
            assert ("generator" in traits) == cls.name.endswith("generator")
            assert ({"discriminator", "logits"} <= traits) == cls.name.endswith("discriminator")
            assert traits <= {"generator", "discriminator", "logits", "labels", "batchnorm"}


def test_a_perceptron_without_hidden_layers_has_no_norm():
    part = MLPGenerator(widths=(), norm="batch")
    assert "batchnorm" not in part.traits()
    assert count(part.build(Space((2,), 3))) == 8
    assert parse("network", str(part)) == part


@every_network
def test_one_seed_gives_one_network(cls):
    def weights(seed):
        torch.manual_seed(seed)
        return nn.utils.parameters_to_vector(small(cls).build(SPACES[0]).parameters())

    assert torch.equal(weights(5), weights(5))
    assert not torch.equal(weights(5), weights(6))


@every_network
def test_evaluation_is_deterministic_and_per_sample(cls):
    part = small(cls, labels=True)
    net = part.build(SPACES[0]).eval()
    x, label = inputs(part, SPACES[0], 6)
    out = net(x, label)
    assert torch.equal(out, net(x, label))
    order = torch.randperm(6)
    torch.testing.assert_close(net(x[order], label[order]), out[order])
    torch.testing.assert_close(net(x[:2], label[:2]), out[:2])


def test_dropout_is_on_in_training_only():
    part = MLPDiscriminator(widths=(64, 64))
    net, (x, _) = part.build(SPACES[0]), inputs(part, SPACES[0])
    assert not torch.equal(net(x), net(x))
    assert torch.equal(net.eval()(x), net(x))
    calm = part.replace(dropout=0).build(SPACES[0])
    assert torch.equal(calm(x), calm(x))


@every_network
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_channels_last_gives_the_same(cls, norm):
    space = SPACES[1]
    part = small(cls) if cls is MLPDiscriminator or (norm == "group" and "mlp" in cls.name) else small(cls, norm=norm)
    net, (x, _) = part.build(space).eval(), inputs(part, space)
    out = net(x)
    last = net.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last) if x.ndim == 4 else x)
    torch.testing.assert_close(last, out, rtol=1e-4, atol=1e-5)


@every_network
def test_unconditional_networks_ignore_labels_and_conditional_ones_insist(cls):
    part = small(cls)
    net = part.build(SPACES[0]).eval()
    x, label = inputs(part, SPACES[0])
    assert torch.equal(net(x), net(x, label))
    with pytest.raises(
        ValueError, match=r"this network is conditional: call it with the classes, a label \[N\] of 0 to 9"
    ):
        small(cls, labels=True).build(SPACES[0])(x)
    with pytest.raises(
        RecipeError, match=f"network '{cls.name}': labels=true needs data with classes.*set labels=false"
    ):
        small(cls, labels=True).build(Space((1, 28, 28), 100))


@every_network
def test_label_weights_of_zero_give_the_unconditional_network(cls):
    space = SPACES[1]
    part = small(cls, labels=True)
    conditional, plain = part.build(space).eval(), part.replace(labels=False).build(space).eval()
    state = conditional.state_dict()
    for name, value in plain.state_dict().items():
        if state[name].shape != value.shape:
            axis = next(i for i in range(value.ndim) if state[name].shape[i] != value.shape[i])
            head, tail = state[name].split([value.shape[axis], space.classes], axis)
            tail.zero_()
            state[name], value = torch.cat([head, tail], axis), head.clone()
            plain.state_dict()[name].copy_(value)
        else:
            plain.state_dict()[name].copy_(state[name])
    conditional.load_state_dict(state)
    x, label = inputs(part, space)
    torch.testing.assert_close(conditional(x, label), plain(x))


@pytest.mark.parametrize("cls", [MLPGenerator, DCGANGenerator])
def test_generators_say_when_they_miss_a_latent(cls):
    with pytest.raises(RecipeError, match=f"network '{cls.name}' needs a latent; set latent=normal:size=100"):
        cls().build(Space((1, 32, 32)))


@pytest.mark.parametrize("shape", [(2,), (5,), (1, 9, 13), (3, 3, 3)], ids=str)
def test_perceptrons_take_any_space(shape):
    space = Space(shape, 6)
    generator, discriminator = (
        MLPGenerator(widths=(8,), norm="layer").build(space),
        MLPDiscriminator(widths=(8,)).build(space),
    )
    with torch.no_grad():
        generator.body[-1].bias += 3
    fake = generator(torch.randn(3, 6))
    assert fake.shape == (3, *shape)
    assert (fake.abs().max() <= 1) == (len(shape) == 3)  # points are not squashed
    assert discriminator(fake).shape == (3,)


def test_hidden_layers_are_what_the_fields_say():
    kinds = [
        type(m).__name__
        for m in MLPGenerator(widths=(8, 8), activation="relu", norm="batch").build(Space((2,), 3)).body
    ]
    assert kinds == ["Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d", "ReLU", "Linear"]
    kinds = [type(m).__name__ for m in MLPDiscriminator(widths=(8,), dropout=0.5).build(Space((2,))).body]
    assert kinds == ["Linear", "LeakyReLU", "Dropout", "Linear"]
    assert MLPDiscriminator(widths=(8,)).build(Space((2,))).body[1].negative_slope == 0.2


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_a_norm_of_a_perceptron_brings_the_bias(norm):
    body = MLPGenerator(widths=(8, 8), norm=norm).build(Space((2,), 3)).body
    *hidden, last = [m.bias is not None for m in body if isinstance(m, nn.Linear)]
    assert hidden == [norm == "none"] * 2
    assert last


@pytest.mark.parametrize("side", supported_sides())
def test_dcgan_at_every_square_size(side):
    space = Space((3, side, side), 5)
    with torch.device("meta"):
        fake = DCGANGenerator(channels=2).build(space)(torch.empty(2, 5))
        logits = DCGANDiscriminator(channels=2).build(space)(fake)
    assert fake.shape == (2, 3, side, side)
    assert logits.shape == (2,)


def test_supported_sizes():
    assert supported_sides() == [
        8,
        10,
        12,
        14,
        16,
        20,
        24,
        28,
        32,
        40,
        48,
        56,
        64,
        80,
        96,
        112,
        128,
        160,
        192,
        224,
        256,
    ]


@pytest.mark.parametrize(
    ("side", "widths"),
    [(8, [64]), (28, [128, 64]), (32, [256, 128, 64]), (64, [512, 256, 128, 64]), (128, [512, 512, 256, 128, 64])],
)
def test_dcgan_widths(side, widths):
    space = Space((3, side, side), 100)
    with torch.device("meta"):
        generator, discriminator = DCGANGenerator().build(space), DCGANDiscriminator().build(space)
    assert [m.out_channels for m in generator.modules() if isinstance(m, nn.ConvTranspose2d)] == [*widths, 3]
    assert [m.out_channels for m in discriminator.modules() if isinstance(m, nn.Conv2d)] == [*widths[::-1], 1]


def test_dcgan_layers_are_those_of_the_paper():
    with torch.device("meta"):
        generator, discriminator = (
            DCGANGenerator().build(Space((3, 32, 32), 9)),
            DCGANDiscriminator().build(Space((3, 32, 32))),
        )
    stage = ["ConvTranspose2d", "BatchNorm2d", "ReLU"]
    assert [type(m).__name__ for m in generator.body] == ["FromPixel", *stage[1:], *stage * 2, "ConvTranspose2d"]
    first, stage = ["Conv2d", "LeakyReLU"], ["Conv2d", "BatchNorm2d", "LeakyReLU"]
    assert [type(m).__name__ for m in discriminator.body] == [*first, *stage * 2, "ToPixel"]
    assert discriminator.body[1].negative_slope == 0.2
    convolutions = [
        m for net in (generator, discriminator) for m in net.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))
    ]
    settings = [(m.kernel_size, m.stride, m.padding) for m in convolutions]
    inner, outer = ((4, 4), (2, 2), (1, 1)), ((4, 4), (1, 1), (0, 0))
    assert settings == [outer, inner, inner, inner, inner, inner, inner, outer]


@pytest.mark.parametrize("cls", [DCGANGenerator, DCGANDiscriminator])
@pytest.mark.parametrize("norm", NORMS)
def test_biases_are_there_where_no_norm_is(cls, norm):
    net = cls(channels=8, norm=norm).build(Space((3, 32, 32), 4))
    layers = [m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))]
    assert {m.bias is not None for m in layers} == {norm == "none"}


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
        cls().build(Space(shape, 10))


@pytest.mark.parametrize(
    ("cls", "instead"), [(DCGANGenerator, "mlp-generator"), (DCGANDiscriminator, "mlp-discriminator")]
)
def test_points_are_sent_to_the_perceptrons(cls, instead):
    with pytest.raises(RecipeError, match=f"works on images, and these are points of 2 dimensions; use {instead}"):
        cls().build(Space((2,), 10))


@pytest.mark.parametrize(("name", "axes"), [("layer", (1, 2, 3)), ("instance", (2, 3)), ("batch", (0, 2, 3))])
def test_norms_normalise_over_what_they_say(name, axes):
    x = torch.randn(6, 16, 5, 7) * 3 + torch.randn(6, 16, 1, 1)
    out = make_norm(name, 16, 2)(x)
    assert out.mean(axes).abs().max() < 1e-5
    torch.testing.assert_close(out.var(axes, correction=0), torch.ones_like(out.mean(axes)), atol=1e-4, rtol=0)
    others = {(1, 2, 3), (2, 3), (0, 2, 3)} - {axes}
    assert all((out.var(other, correction=0) - 1).abs().max() > 1e-3 for other in others if not set(axes) < set(other))
    assert {name for name, _ in make_norm(name, 16, 2).named_parameters()} == {"weight", "bias"}


@pytest.mark.parametrize(
    ("channels", "groups"), [(64, 8), (8, 1), (4, 1), (24, 3), (20, 2), (7, 1), (512, 64), (13, 1)]
)
def test_groups_divide_the_channels_into_about_eight(channels, groups):
    assert make_norm("group", channels, 2).num_groups == groups


def test_norms_of_vectors():
    x = torch.randn(5, 16) * 2 + 1
    assert make_norm("layer", 16, 0)(x).mean(1).abs().max() < 1e-5
    assert make_norm("batch", 16, 0)(x).mean(0).abs().max() < 1e-5
    assert torch.equal(make_norm("none", 16, 0)(x), x)
    for name, dims in (("instance", 0), ("nonsense", 2)):
        with pytest.raises(ValueError, match=f"there is no norm '{name}' with {dims} dimensions"):
            make_norm(name, 16, dims)


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
    net = DCGANGenerator().build(Space((3, 32, 32), 100))
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
    net = DCGANDiscriminator(channels=8, norm="none").build(Space((1, 16, 16)))
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
        part.apply(DCGANGenerator(channels=8).build(Space((1, 16, 16), 4)))


def test_dropout_drops_its_share_and_keeps_the_mean():
    from zerosum.networks.layers import Dropout

    torch.manual_seed(0)
    layer, x = Dropout(0.3), torch.ones(1000, 1001)
    y = layer(x)
    dropped = (y == 0).double().mean().item()
    assert dropped == pytest.approx(0.3, abs=4 * (0.21 / x.numel()) ** 0.5 + 1e-5)
    assert y.max().item() == pytest.approx(1 / 0.7, rel=1e-4)
    assert (y == 0).double().mean(0).std().item() == pytest.approx((0.21 / 1000) ** 0.5, rel=0.1)  # units independent
    assert not torch.equal(y, layer(x))
    assert layer.eval()(x) is x


def test_dropout_passes_gradients_where_it_kept_units():
    from zerosum.networks.layers import Dropout

    x = torch.randn(7, 3, requires_grad=True)
    y = Dropout(0.5)(x)
    y.sum().backward()
    assert torch.equal(x.grad, (y != 0).float() * 2)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("base", [4, (5, 7)])
def test_maps_of_one_pixel_are_the_convolutions_they_stand_for(bias, base):
    from zerosum.networks.layers import FromPixel, ToPixel

    torch.manual_seed(0)
    up, down = FromPixel(6, 3, base, bias=bias).double(), ToPixel(3, 2, base, bias=bias).double()
    z = torch.randn(5, 6, 1, 1, dtype=torch.float64)
    maps = nn.functional.conv_transpose2d(z, up.weight, up.bias)
    torch.testing.assert_close(up(z), maps, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(down(maps), nn.functional.conv2d(maps, down.weight, down.bias), rtol=1e-12, atol=1e-12)
    assert up(z).is_contiguous(memory_format=torch.channels_last)
