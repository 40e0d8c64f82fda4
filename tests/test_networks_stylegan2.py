"""StyleGAN2: filters and modulation against formulas in NumPy, sizes of the published networks, styles, noise."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, leaky_relu

from zerosum.core.errors import RecipeError
from zerosum.core.registry import described_fields, parse
from zerosum.networks.equalized import EqualizedConv, EqualizedLinear
from zerosum.networks.modulation import ModulatedConv, StyledConv
from zerosum.networks.pyramid import pyramid
from zerosum.networks.resampling import Blur, Down, Up
from zerosum.networks.space import Space
from zerosum.networks.stylegan2 import Mapping, StyleGAN2Generator, Synthesis
from zerosum.networks.stylegan2_discriminator import DownBlock, StyleGAN2Discriminator, Top

FILTER = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64
SPACES = [Space((1, 8, 8), 5, 3), Space((1, 28, 28), 6, 10), Space((3, 32, 32), 7, 2), Space((3, 16, 24), 4, 3)]
COLOURS = Space((3, 16, 16), 6, 4)
every_space = pytest.mark.parametrize("space", SPACES, ids=str)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def generator(**settings):
    return StyleGAN2Generator(**{"channels": 8, "style": 12, "mapping": 2, **settings})


def discriminator(**settings):
    return StyleGAN2Discriminator(**{"channels": 8, **settings})


def double(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def count(net):
    return sum(p.numel() for p in net.parameters())


def correlate(x, kernel, padding, stride=1):
    """Sum over taps of x[i + a, j + b] * kernel[a, b], for one map."""
    x, size = np.pad(x, padding), len(kernel)
    rows, columns = (1 + (side - size) // stride for side in x.shape)
    out = np.zeros((rows, columns))
    for i, j in itertools.product(range(rows), range(columns)):
        out[i, j] = (x[i * stride : i * stride + size, j * stride : j * stride + size] * kernel).sum()
    return out


def with_zeros(x):
    """Zeros between the pixels: [2H - 1, 2W - 1]."""
    out = np.zeros((2 * x.shape[0] - 1, 2 * x.shape[1] - 1))
    out[::2, ::2] = x
    return out


# Resampling


@pytest.mark.parametrize(("layer", "expected"), [
    (Up(), lambda x: correlate(with_zeros(x), 4 * FILTER, 2)),
    (Down(), lambda x: correlate(x, FILTER, 1, stride=2)),
    (Blur(1, 4), lambda x: correlate(x, 4 * FILTER, 1)),
    (Blur(2), lambda x: correlate(x, FILTER, 2)),
], ids=["up", "down", "blur-1", "blur-2"])  # fmt: skip
def test_filters_are_their_formula_on_every_map(layer, expected):
    x = double(2, 3, 6, 8)
    y = layer(x)
    for n, c in itertools.product(range(2), range(3)):
        np.testing.assert_allclose(y[n, c], expected(x[n, c].numpy()), atol=1e-6)  # the kernel is float32, but exact


def test_a_constant_stays_constant_away_from_borders():
    x = torch.full((1, 2, 6, 6), 3.0)
    for layer in (Up(), Down(), Blur(2)):
        inner = layer(x)[..., 2:-2, 2:-2] if not isinstance(layer, Down) else layer(x)[..., 1:-1, 1:-1]
        assert torch.equal(inner, torch.full_like(inner, 3.0))


def test_up_then_down_keeps_the_sum_and_the_centre():
    x = torch.zeros(1, 1, 7, 7)
    x[..., 3, 3] = 1
    y = Down()(Up()(x))[0, 0]
    row = torch.tensor([0, 0, 6, 20, 6, 0, 0]) / 32  # [1, 3, 3, 1] against itself, at shifts of two pixels
    torch.testing.assert_close(y, row.outer(row))


def test_up_and_down_are_adjoint_up_to_the_gain_of_four():
    x, y = double(2, 3, 4, 5), double(2, 3, 8, 10)
    torch.testing.assert_close((Up()(x) * y).sum(), 4 * (x * Down()(y)).sum())


@pytest.mark.parametrize("layer", [Up(), Down(), Blur(1, 4), Blur(2)], ids=["up", "down", "blur-1", "blur-2"])
def test_filters_have_right_gradients_of_both_orders(layer):
    x = double(1, 2, 2, 4).requires_grad_()
    assert torch.autograd.gradcheck(layer, x)
    assert torch.autograd.gradgradcheck(lambda x: layer(x) ** 2, x)


def test_filters_know_the_transforms_of_torch_func():
    x = double(1, 2, 4, 4)
    slope = torch.func.grad(lambda x: torch.func.grad(lambda y: Up()(y).pow(3).sum())(x).square().sum())(x)
    y = x.clone().requires_grad_()
    (first,) = torch.autograd.grad(Up()(y).pow(3).sum(), y, create_graph=True)
    torch.testing.assert_close(slope, torch.autograd.grad(first.square().sum(), y)[0])


def test_filters_give_the_type_of_their_input():
    x = torch.randn(1, 2, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(Up()(x), Up()(x.clone()))
        y = Up()(x)
    assert y.dtype == torch.float32
    assert torch.equal(y, Up()(x))
    rounded = x.bfloat16().requires_grad_()
    assert torch.equal(Up()(rounded), Up()(rounded.float()).bfloat16())
    (slope,) = torch.autograd.grad(Up()(rounded).sum(), rounded)
    assert slope.dtype == torch.bfloat16


def test_filters_have_nothing_to_save():
    assert not Up().state_dict()


# Equalized layers


def test_equalized_linear_is_its_formula():
    layer = EqualizedLinear(5, 3, start=1.5, rate=0.1).double()
    assert layer.weight.std() > 3  # 1 / rate
    x = double(4, 5)
    expected = x.numpy() @ layer.weight.detach().numpy().T * 0.1 / math.sqrt(5) + 1.5
    np.testing.assert_allclose(layer(x).detach(), expected, rtol=1e-6)


def test_an_active_layer_is_leaky_relu_times_the_root_of_two():
    for plain, active, x in (
        (EqualizedLinear(5, 3, start=0.7), EqualizedLinear(5, 3, active=True), double(4, 5)),
        (EqualizedConv(5, 3, 3), EqualizedConv(5, 3, 3, active=True), double(2, 5, 4, 4)),
    ):
        nn.init.normal_(plain.bias)
        active.load_state_dict(plain.state_dict())
        expected = leaky_relu(plain.double()(x), 0.2) * math.sqrt(2)
        torch.testing.assert_close(active.double()(x), expected)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("down", [False, True])
def test_equalized_convolution_is_its_formula(kernel, down):
    layer = EqualizedConv(2, 3, kernel, down=down).double()
    nn.init.normal_(layer.bias)
    weight, bias, x = layer.weight.detach().numpy(), layer.bias.detach().numpy(), double(1, 2, 6, 8)
    expected = np.zeros((3, 6, 8)) if not down else np.zeros((3, 3, 4))
    for o, i in itertools.product(range(3), range(2)):
        one = weight[o, i] / math.sqrt(2 * kernel**2)
        if not down:
            expected[o] += correlate(x[0, i].numpy(), one, kernel // 2)
        else:  # the filter, then the weights, on every other pixel
            smooth = correlate(x[0, i].numpy(), FILTER, kernel // 2 + 1)
            expected[o] += correlate(smooth, one, 0, stride=2)
    np.testing.assert_allclose(layer(x)[0].detach(), expected + bias[:, None, None], atol=1e-6)


def test_equalized_layers_keep_the_variance_of_white_input():
    for layer, x in (
        (EqualizedLinear(400, 50, rate=0.01), torch.randn(300, 400)),
        (EqualizedConv(60, 50, 3), torch.randn(4, 60, 24, 24)),
    ):
        y = layer(x) if x.ndim == 2 else layer(x)[..., 1:-1, 1:-1]
        assert 0.94 < y.var() < 1.06


def test_rate_scales_what_an_update_of_adam_changes():
    moved = []
    for rate in (1.0, 0.01):
        layer = EqualizedLinear(16, 4, rate=rate)
        x = torch.randn(8, 16)
        before = layer(x)
        optimizer = torch.optim.Adam(layer.parameters(), lr=1e-3)
        (before * torch.sign(torch.randn_like(before))).sum().backward()
        optimizer.step()
        moved.append((layer(x) - before).abs().mean().item())
    assert 0.005 < moved[1] / moved[0] < 0.02


# Modulation


def own_weights(layer, w, demodulate):
    """Weights of one sample `[out, in, k, k]`, by the paper's equations 1 and 3."""
    affine = layer.affine
    s = w @ affine.weight.T / math.sqrt(len(w)) + affine.bias
    weight = layer.weight / math.sqrt(layer.weight[0].numel()) * s[None, :, None, None]
    return weight / torch.sqrt((weight**2).sum((1, 2, 3), keepdim=True) + 1e-8) if demodulate else weight


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("demodulate", [True, False])
def test_modulation_equals_weights_of_each_samples_own(kernel, demodulate):
    layer = ModulatedConv(4, 5, kernel, 3, demodulate=demodulate).double()
    x, w = double(3, 4, 6, 7), double(3, 3)
    y = layer(x, w, gain=1.7)
    for n in range(3):
        expected = conv2d(x[n : n + 1], own_weights(layer, w[n], demodulate), padding=kernel // 2)
        torch.testing.assert_close(y[n : n + 1], 1.7 * expected)


def test_modulation_while_doubling_equals_weights_of_each_samples_own():
    layer = ModulatedConv(4, 5, 3, 3, up=True).double()
    x, w = double(3, 4, 5, 6), double(3, 3)
    y = layer(x, w)
    assert y.shape == (3, 5, 10, 12)
    for n in range(3):
        flipped = own_weights(layer, w[n], demodulate=True).flip(2, 3)  # a transposed convolution spreads its weights
        expected = conv2d(Up()(x[n : n + 1]), flipped, padding=1)
        torch.testing.assert_close(y[n : n + 1, :, 2:-2, 2:-2], expected[..., 2:-2, 2:-2], atol=1e-6, rtol=1e-6)


def test_styles_stay_float32_where_maps_are_bf16():
    layer, seen = ModulatedConv(4, 5, 3, 3), []
    layer.affine.register_forward_hook(lambda _, __, s: seen.append(s.dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(torch.randn(2, 4, 6, 6), torch.randn(2, 3)).dtype == torch.bfloat16
    assert seen == [torch.float32]


@pytest.mark.parametrize(("up", "expected"), [(False, 1), (True, 16 * (FILTER**2).sum() / 4)])
def test_demodulation_undoes_the_scale_of_styles(up, expected):
    layer = ModulatedConv(64, 40, 3, 16, up=up)
    x = torch.randn(6, 64, 32, 32)  # white: with `up`, one pixel in four of a map that the filter spreads
    w = torch.randn(6, 16) * torch.tensor([0.1, 1, 3, 10, 30, 100])[:, None]
    variance = layer(x, w)[..., 2:-2, 2:-2].var((1, 2, 3)) / expected
    assert ((variance > 0.9) & (variance < 1.1)).all()
    plain = ModulatedConv(64, 40, 3, 16, demodulate=False)
    assert plain(x, w)[5].var() > 100 * plain(x, w)[0].var()


def test_a_styled_layer_adds_noise_and_bias_before_its_activation():
    layer = StyledConv(4, 5, 3, (6, 7)).double().eval()
    nn.init.normal_(layer.bias)
    nn.init.constant_(layer.noise.strength, 0.3)
    x, w = double(2, 4, 6, 7), double(2, 3)
    before = layer.conv(x, w) + 0.3 * layer.noise.pattern + layer.bias[:, None, None]
    torch.testing.assert_close(layer(x, w), leaky_relu(before, 0.2) * math.sqrt(2))


# Generator


@every_space
@pytest.mark.parametrize("labels", ["none", "embed"])
def test_generator_makes_images(space, labels):
    net = generator(labels=labels).build(*space.ports)
    z, label = torch.randn(4, space.latent), torch.arange(4) % space.classes
    images = net(z, label)
    assert images.shape == (4, *space.shape)
    assert images.dtype == torch.float32
    assert images.isfinite().all()
    assert torch.equal(net.eval()(z, label), net.synthesis(net.mapping(z, label)))
    if labels == "none":
        assert torch.equal(net(z), net(z, label))
    else:
        assert not torch.allclose(net(z, label), net(z, (label + 1) % space.classes))
        with pytest.raises(ValueError, match="conditional: call it with the classes"):
            net(z)


@every_space
@pytest.mark.parametrize("labels", ["none", "projection", "classifier"])
def test_discriminator_judges_images(space, labels):
    net = discriminator(labels=labels).build(*space.ports)
    x, label = torch.rand(6, *space.shape) * 2 - 1, torch.arange(6) % space.classes
    logits = net(x, label)
    assert logits.shape == (6,)
    assert logits.isfinite().all()
    assert net.features(x).shape == (6, 8)
    assert torch.equal(net.logits(net.features(x), label), logits)
    if labels == "projection":
        with pytest.raises(ValueError, match="conditional: call it with the classes"):
            net(x)
    else:
        assert torch.equal(net(x), logits)
    if labels == "classifier":
        assert net.classify(net.features(x)).shape == (6, space.classes)


def test_sizes_of_the_published_networks_at_1024_pixels():
    widths = pyramid(512, 64, (4, 4), 8)
    assert widths == [512, 512, 512, 512, 512, 256, 128, 64, 32]
    with torch.device("meta"):
        synthesis = Synthesis(widths, (4, 4), 3, 512, noise=True)
        mapping = Mapping(512, 0, 512, 8, synthesis.layers)
        blocks = [DownBlock(a, b) for a, b in itertools.pairwise(widths[::-1])]
        discriminator = [EqualizedConv(3, 32, 1), *blocks, Top(512, (4, 4), 4), EqualizedLinear(512, 1)]
    assert synthesis.layers == 18
    assert count(synthesis) + count(mapping) == 30_370_060  # configuration F, as its authors' log says
    assert sum(map(count, discriminator)) == 29_012_513


def test_parameters_are_those_of_the_layers_drawn_in_the_paper():
    space = Space((3, 28, 28), 10, 4)
    net = generator(channels=16, halve_above=14, style=12, mapping=3, labels="embed").build(*space.ports)
    mapping = 4 * 12 + (10 + 12) * 12 + 12 + 2 * (12 * 12 + 12)
    convs = [(16, 16), (16, 16), (16, 16), (16, 8), (8, 8)]  # one of 7 pixels, two of 14, two of 28
    styled = sum(a * b * 9 + (12 * a + a) + b + 1 for a, b in convs)
    colours = sum(a * 3 + 3 + 12 * a + a for a in (16, 16, 8))
    assert count(net) == mapping + styled + colours + 16 * 7 * 7
    judge = discriminator(channels=16, halve_above=14, labels="projection").build(*space.ports)
    down = sum(a * a * 9 + a + a * b * 9 + b + a * b for a, b in ((8, 16), (16, 16)))
    top = 17 * 16 * 9 + 16 + 16 * 7 * 7 * 16 + 16
    assert count(judge) == (3 * 8 + 8) + down + top + (16 + 1) + 16 * 4


@pytest.mark.parametrize(("side", "halve_above", "widths"), [
    (28, 14, [40, 40, 20]), (28, 7, [40, 20, 10]), (28, 8, [40, 20, 10]), (28, 64, [40, 40, 40]), (28, 1, [5, 2, 1]),
], ids=str)  # fmt: skip
def test_widths_halve_with_each_doubling_above_a_side(side, halve_above, widths):
    assert pyramid(40, halve_above, (side // 4, side // 4), 2) == widths
    assert pyramid(40, halve_above, (side, side // 4), 2) == widths  # the smaller side counts


def test_mapping_is_its_formula():
    net = Mapping(4, 3, 5, 2, layers=6).double()
    z, label = double(2, 4), torch.tensor([2, 0])
    x, y = z.numpy(), net.embedding.weight.detach().numpy()[label]
    x = np.concatenate([v / np.sqrt((v**2).mean(1, keepdims=True) + 1e-8) for v in (x, y)], 1)
    for layer in net.body:
        weight = layer.weight.detach().numpy() * 0.01 / math.sqrt(x.shape[1])
        x = x @ weight.T + 0.01 * layer.bias.detach().numpy()
        x = math.sqrt(2) * np.where(x > 0, x, 0.2 * x)
    w = net(z, label)
    assert w.shape == (2, 6, 5)
    np.testing.assert_allclose(w.detach(), np.repeat(x[:, None], 6, 1))


def test_mapping_stays_float32_under_autocast():
    net, z = Mapping(4, 3, 5, 2, layers=6), torch.randn(2, 4)
    exact = net(z, torch.tensor([2, 0]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(net(z, torch.tensor([2, 0])), exact)


def test_synthesis_sums_colours_of_every_size():
    net = generator().build(*COLOURS.ports).synthesis.double().eval()
    for name, parameter in net.named_parameters():
        if "bias" in name or "strength" in name:
            nn.init.normal_(parameter)
    w = double(3, net.layers, 12)
    x, image = net.constant.expand(3, -1, -1, -1), 0
    for stage in range(3):
        for layer in [0] if stage == 0 else [2 * stage - 1, 2 * stage]:
            x = net.convs[layer](x, w[:, layer])
        rgb = net.colours[stage]
        image = image if stage == 0 else Up()(image)
        styled = zip(x, w[:, 2 * stage + 1], strict=True)
        own = [conv2d(maps[None], own_weights(rgb.conv, style, demodulate=False)) for maps, style in styled]
        image = image + torch.cat(own) + rgb.bias[:, None, None]
    torch.testing.assert_close(net(w), image)
    assert net.layers == 2 * 4 - 2  # for 2^4 pixels


def test_images_begin_about_as_large_as_data():
    images = generator(channels=32, style=32).build(*Space((3, 32, 32), 32).ports).eval()(torch.randn(16, 32))
    assert 0.2 < images.std() < 5


def test_biases_begin_at_zero_and_scales_of_styles_at_one():
    for part in PARTS:
        for name, parameter in part.build(*COLOURS.ports).named_parameters():
            if name.endswith(("bias", "strength")):
                assert (parameter == (1 if name.endswith("affine.bias") else 0)).all(), name


# Styles


def styles_used(net, z):
    """Styles `[N, layers, style]` that reach the synthesis."""
    seen = []
    hook = net.synthesis.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    net(z)
    hook.remove()
    return seen[0]


def test_mixing_changes_styles_from_one_layer_on():
    net = generator(mixing=1.0).build(*COLOURS.ports)
    z = torch.randn(400, 6)
    own, used = net.mapping(z), styles_used(net, z)
    swapped = (own != used).any(2)  # [N, layers]
    assert torch.equal(swapped, swapped.cummax(1).values)
    first = swapped.int().argmax(1)
    assert (swapped.sum(1) > 0).all()
    counts = torch.bincount(first, minlength=6)
    assert counts[0] == 0
    assert (counts[1:] > 40).all()  # five layers to begin at, 80 expected each
    assert (counts[1:] < 125).all()
    second = used[:, -1]
    torch.testing.assert_close(used, torch.where(swapped[..., None], second[:, None], own))
    assert not torch.isin(second[:, 0], own[:, 0, 0]).any()
    assert len(second[:, 0].unique()) == 400


@pytest.mark.parametrize(("mixing", "low", "high"), [(0.0, 0, 0), (0.3, 80, 160)])
def test_mixing_takes_its_share_of_samples(mixing, low, high):
    net = generator(mixing=mixing).build(*COLOURS.ports)
    z = torch.randn(400, 6)
    assert low <= (net.mapping(z) != styles_used(net, z)).any(2).any(1).sum() <= high


def test_mixing_is_for_training_and_keeps_the_class():
    net = generator(labels="embed").build(*COLOURS.ports)
    z, label = torch.randn(8, 6), torch.zeros(8, dtype=torch.long)
    net(z, label).sum().backward()
    assert (net.mapping.embedding.weight.grad[1:] == 0).all()
    assert (net.mapping.embedding.weight.grad[0] != 0).any()
    net = generator().build(*COLOURS.ports).eval()
    assert torch.equal(net.mapping(z), styles_used(net, z))


def test_average_style_moves_by_a_two_hundredth_in_training():
    net = generator().build(*COLOURS.ports)
    nn.init.normal_(net.average)
    z, before = torch.randn(16, 6), net.average.clone()
    net(z)
    torch.testing.assert_close(net.average, 0.995 * before + 0.005 * net.mapping(z)[:, 0].mean(0).detach())
    after = net.average.clone()
    net.eval()(z)
    net.train().synthesis(net.mapping(z))
    assert torch.equal(net.average, after)
    assert "average" in net.state_dict()
    assert not net.average.requires_grad


def test_truncation_moves_styles_towards_their_average():
    net = generator().build(*COLOURS.ports).eval()
    nn.init.normal_(net.average)
    z = torch.randn(3, 6)
    w = net.mapping(z)
    torch.testing.assert_close(net(z, psi=0.7), net.synthesis(0.7 * w + 0.3 * net.average))
    torch.testing.assert_close(net(z, psi=0.0), net.synthesis(net.average.expand(3, net.synthesis.layers, -1)))
    assert torch.equal(net(z, psi=1.0), net(z))


# Noise


def test_noise_is_fresh_in_training_and_fixed_in_evaluation():
    net = generator(mixing=0.0).build(*COLOURS.ports)
    z = torch.randn(2, 6)
    assert torch.equal(net(z), net(z))  # strengths begin at 0
    for layer in net.synthesis.convs:
        nn.init.constant_(layer.noise.strength, 0.5)
    assert not torch.equal(net(z), net(z))
    net.eval()
    state = torch.get_rng_state()
    first = net(z)
    assert torch.equal(first, net(z))
    assert torch.equal(state, torch.get_rng_state())
    copy = generator(mixing=0.0).build(*COLOURS.ports).eval()
    copy.load_state_dict(net.state_dict())
    assert torch.equal(copy(z), first)


def test_noise_is_one_number_a_pixel_of_each_sample():
    layer = StyledConv(2, 3, 4, (5, 6))
    nn.init.constant_(layer.noise.strength, 2.0)
    noise = layer.noise(400)
    assert noise.shape == (400, 1, 5, 6)
    assert 1.9 < noise.std() < 2.1
    assert noise[:, 0].flatten(1).unique(dim=0).shape == (400, 30)


def test_without_noise_training_needs_no_random_numbers():
    net = generator(mixing=0.0, noise=False).build(*COLOURS.ports)
    state = torch.get_rng_state()
    net(torch.ones(2, 6))
    assert torch.equal(state, torch.get_rng_state())
    assert not [name for name in net.state_dict() if "noise" in name]


# Second derivatives


def test_path_lengths_have_the_derivatives_of_finite_differences():
    net = generator(channels=4, style=5).build(*Space((2, 8, 8), 3).ports).synthesis.double().eval()
    for name, parameter in net.named_parameters():
        if "bias" in name or "strength" in name:
            nn.init.normal_(parameter, std=0.5)
    w, y = double(2, net.layers, 5), double(2, 2, 8, 8) / 8

    def penalty(create_graph=False):
        styles = w.clone().requires_grad_()
        (slope,) = torch.autograd.grad((net(styles) * y).sum(), styles, create_graph=create_graph)
        return (slope.square().sum(2).mean(1).sqrt() - 0.5).square().mean()

    penalty(create_graph=True).backward()
    for name, parameter in net.named_parameters():
        if name == "colours.1.bias":
            continue  # adds to images whatever the style
        assert parameter.grad is None or parameter.grad.isfinite().all()
        flat = parameter.detach().view(-1)
        for index in {0, flat.numel() // 2, flat.numel() - 1}:
            kept, step, sides = flat[index].item(), 1e-5, []
            for sign in (1, -1):
                flat[index] = kept + sign * step
                sides.append(penalty().item())
            flat[index] = kept
            slope = 0 if parameter.grad is None else parameter.grad.view(-1)[index].item()
            assert slope == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=1e-5, abs=1e-9), name


def test_gradient_penalties_reach_the_weights_of_the_discriminator():
    net = discriminator(channels=4).build(*Space((2, 8, 8)).ports).double()
    x, weight = double(4, 2, 8, 8), net.body[0].weight

    def penalty(create_graph=False):
        images = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(net(images).sum(), images, create_graph=create_graph)
        return slope.square().sum()

    penalty(create_graph=True).backward()
    flat, sides = weight.detach().view(-1), []
    for step in (1e-5, -2e-5):
        flat[3] += step
        sides.append(penalty().item())
    assert weight.grad.view(-1)[3].item() == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-5)


# Discriminator


def test_a_block_is_two_convolutions_beside_one_over_the_root_of_two():
    block = DownBlock(3, 5).double()
    nn.init.normal_(block.first.bias)
    nn.init.normal_(block.second.bias)
    x, gain = double(2, 3, 8, 8), math.sqrt(2)
    y = leaky_relu(conv2d(x, block.first.weight / math.sqrt(27), block.first.bias, padding=1), 0.2) * gain
    y = conv2d(Blur(2)(y), block.second.weight / math.sqrt(27), block.second.bias, stride=2)
    skip = conv2d(Down()(x), block.skip[1].weight / math.sqrt(3))
    torch.testing.assert_close(block(x), (leaky_relu(y, 0.2) * gain + skip) / gain)


def test_features_are_blocks_spread_and_two_active_layers():
    net = discriminator(channels=4, halve_above=8, group=2).build(*COLOURS.ports).double()
    colours, *blocks = net.body
    top = net.top
    for layer in (colours, top.conv, top.linear):
        nn.init.normal_(layer.bias)
    x, gain = double(4, 3, 16, 16), math.sqrt(2)
    y = leaky_relu(conv2d(x, colours.weight / math.sqrt(3), colours.bias), 0.2) * gain
    for block in blocks:
        y = block(y)
    pairs = ((y[:2] - y[2:]) / 2).square()  # a sample and the one two places on
    spread = (pairs + 1e-8).sqrt().mean((1, 2, 3)).repeat(2)[:, None, None, None].expand(4, 1, 4, 4)
    y = conv2d(torch.cat([y, spread], 1), top.conv.weight / math.sqrt(9 * 5), top.conv.bias, padding=1)
    y = (leaky_relu(y, 0.2) * gain).reshape(4, -1)
    y = leaky_relu(y @ top.linear.weight.T / math.sqrt(4 * 16) + top.linear.bias, 0.2) * gain
    torch.testing.assert_close(net.features(x), y)
    assert [block.first.weight.shape[0] for block in blocks] == [2, 4]


def test_head_is_equalized():
    net = discriminator(channels=100, labels="classifier").build(*Space((1, 8, 8), 0, 50).ports)
    assert 0.9 < net.head.classes.weight.std() < 1.1
    assert 0.7 < net.head.logit.weight.std() < 1.3
    assert (net.head.logit.bias == 0).all()
    nn.init.constant_(net.head.logit.bias, 0.5)
    features = torch.randn(3, 100)
    torch.testing.assert_close(net.logits(features), features @ net.head.logit.weight[0] / 10 + 0.5)
    torch.testing.assert_close(net.classify(features), features @ net.head.classes.weight.T / 10)


def test_projection_adds_the_product_of_class_and_features():
    net = discriminator(labels="projection").build(*COLOURS.ports)
    x = torch.rand(4, 3, 16, 16) * 2 - 1
    first, second = torch.tensor([0, 1, 2, 3]), torch.tensor([3, 3, 0, 1])
    rows, features = net.head.projection.weight / math.sqrt(8), net.features(x)
    expected = ((rows[first] - rows[second]) * features).sum(1)
    torch.testing.assert_close(net(x, first) - net(x, second), expected)
    assert expected.abs().min() > 1e-4
    plain = discriminator().build(*COLOURS.ports)
    plain.load_state_dict({k: v for k, v in net.state_dict().items() if "projection" not in k})
    nn.init.zeros_(net.head.projection.weight)
    torch.testing.assert_close(net(x, first), plain(x))


@pytest.mark.parametrize(("settings", "others"), [
    ({"group": 4}, {0, 2, 4, 6}), ({"group": 2}, {0, 4}), ({"minibatch": "none"}, {0})
], ids=str)  # fmt: skip
def test_a_logit_depends_on_the_samples_of_its_group(settings, others):
    part = discriminator(**settings)
    net = part.build(*COLOURS.ports)
    x = torch.randn(8, 3, 16, 16, requires_grad=True)
    (slope,) = torch.autograd.grad(net(x)[0], x)
    assert set(slope.flatten(1).any(1).nonzero().flatten().tolist()) == others
    assert ("minibatch" in part.traits()) == (len(others) > 1)


# Parts

PARTS = [
    generator(), generator(labels="embed", noise=False, mixing=0.0, halve_above=8),
    discriminator(), discriminator(labels="projection"), discriminator(labels="classifier", minibatch="none"),
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
    net = part.build(*COLOURS.ports).eval()
    torch.manual_seed(1)
    exact = call(part, net, COLOURS)
    torch.manual_seed(1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = call(part, net, COLOURS)
    assert y.dtype == torch.float32
    assert not torch.equal(y, exact)
    assert (y - exact).abs().max() < 0.05 * exact.abs().max()
    assert (y.bfloat16().float() != y).float().mean() > 0.5  # no grid of bf16
    y.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


@every_part
def test_parts_are_seeded_and_have_text(part):
    nets = []
    for _ in range(2):
        torch.manual_seed(5)
        nets.append(part.build(*COLOURS.ports).state_dict())
    assert all(torch.equal(nets[0][name], nets[1][name]) for name in nets[0])
    assert parse("network", str(part)) == part
    assert all(comment for _, _, comment in described_fields(type(part)))


def test_traits_are_what_the_networks_bring():
    assert generator().traits() == {"generator", "styles", "equalized"}
    assert generator(labels="embed").traits() == {"generator", "styles", "equalized", "labels", "blends"}
    assert discriminator().traits() == {"discriminator", "logits", "features", "equalized", "minibatch"}
    both = {"discriminator", "logits", "features", "equalized"}
    assert discriminator(labels="projection", minibatch="none").traits() == both | {"labels"}
    assert discriminator(labels="classifier", minibatch="none").traits() == both | {"classifier"}


@pytest.mark.parametrize(("part", "space", "message"), [
    (generator(), Space((2,), 5), "works on images, and these are points of 2 dimensions"),
    (generator(), Space((1, 27, 28), 5), "does not take 27x28 images"),
    (generator(), Space((1, 28, 28)), "needs a latent"),
    (generator(labels="embed"), Space((1, 28, 28), 5), "labels=embed needs data with classes"),
    (discriminator(), Space((2,)), "works on images"),
    (discriminator(labels="projection"), Space((1, 28, 28)), "labels=projection needs data with classes"),
], ids=str)  # fmt: skip
def test_what_does_not_fit_is_refused(part, space, message):
    with pytest.raises(RecipeError, match=message):
        part.build(*space.ports)


def test_gradients_reach_every_parameter():
    for part in PARTS:
        net = part.build(*COLOURS.ports)
        y = call(part, net, COLOURS)
        if "classifier" in part.traits():
            y = y + net.classify(net.features(torch.randn(4, 3, 16, 16))).sum(1)
        y.square().sum().backward()
        assert all(p.grad is not None and p.grad.any() for p in net.parameters()), part
