"""Networks of image translation: sizes as the paper has them, what a logit sees, what is refused."""

import pytest
import torch
from torch.nn.functional import conv2d, conv_transpose2d, instance_norm, leaky_relu, pad, relu

from zerosum.core.errors import RecipeError
from zerosum.core.signals import Signal
from zerosum.networks import MultiscaleDiscriminator, PatchDiscriminator, ResNetTranslator, UNetTranslator
from zerosum.networks.patch import halved
from zerosum.networks.translator import _Reflect

LOGIT = {"logit": Signal("logit")}


def images(channels, height, width=None):
    return Signal("image", (channels, height, width or height))


def translator(part, taken, given=None):
    return part.build({"a": taken}, {"b": given or taken})


def patches(part, sample):
    return part.build({"sample": sample}, LOGIT)


def count(network):
    return sum(one.numel() for one in network.parameters())


def test_the_networks_are_as_large_as_those_of_the_paper():
    sizes = [count(translator(ResNetTranslator(blocks=blocks), images(3, 256))) for blocks in (9, 6)]
    single, pairs = (patches(PatchDiscriminator(), images(channels, 256)) for channels in (3, 6))
    assert patches(PatchDiscriminator(channels=1), images(1, 256))(torch.zeros(1, 1, 256, 256)).shape == (1, 1, 30, 30)
    norms = 2 * (64 + 128 + 256 + 2 * 9 * 256 + 128 + 64)
    published = 11_378_179  # with biases in place of the norms' scales and shifts
    assert sizes == [published + norms // 2, published + norms // 2 - 3 * (2 * 256 * 256 * 9 + 4 * 256)]
    assert [count(single), count(pairs)] == [2_765_633, 2_768_705]


def test_the_unet_is_as_large_as_the_published_one():
    with torch.device("meta"):
        network = translator(UNetTranslator(), images(3, 256))
        batch = translator(UNetTranslator(norm="batch"), images(3, 256))
        without = translator(UNetTranslator(norm="none"), images(3, 256))
        halved = [len(translator(UNetTranslator(), images(3, *sides)).encoder) for sides in ((128,), (96, 64), (512,))]
    assert count(network) == count(batch) == 54_413_955
    norms = 128 + 256 + 4 * 512 + 4 * 512 + 256 + 128 + 64  # a scale and a shift each, in place of a bias
    assert count(without) == count(network) - 2 * norms + norms + 64 + 512  # and of the two maps without a norm
    assert halved == [7, 5, 8]


def test_the_unet_is_that_of_the_paper():
    """Isola et al. 2017, section 6.1.1, layer by layer: e1 .. e8 down, d1 .. d7 up, and the image."""
    torch.manual_seed(0)
    network = translator(UNetTranslator(channels=2, dropout=0), images(3, 256), images(1, 256)).eval()
    weights = list(network.parameters())
    for weight in weights:
        torch.nn.init.normal_(weight)
    x, given = torch.randn(2, 3, 256, 256), iter(weights)

    def norm(x):
        return instance_norm(x, weight=next(given), bias=next(given))

    e = [conv2d(x, next(given), stride=2, padding=1)]
    for _ in range(6):
        e.append(norm(conv2d(leaky_relu(e[-1], 0.2), next(given), stride=2, padding=1)))
    d = conv2d(leaky_relu(e[-1], 0.2), next(given), stride=2, padding=1)
    for across in reversed(e):
        d = norm(conv_transpose2d(relu(d), next(given), stride=2, padding=1))
        d = torch.cat([d, across], 1)
    paper = conv_transpose2d(relu(d), next(given), next(given), stride=2, padding=1).tanh()
    with torch.no_grad():
        assert torch.equal(network(x), paper)
    assert [one.shape[1] for one in e] == [2, 4, 8, 16, 16, 16, 16]
    assert next(given, None) is None
    assert paper.std() > 0.5


def test_dropout_of_the_unet_is_in_the_three_innermost_stages_and_lasts_by_choice():
    def build(**settings):
        network = translator(UNetTranslator(channels=4, norm="batch", **settings), images(1, 32)).eval()
        return network, [
            [type(layer).__name__ for layer in stage if "Dropout" in str(layer)] for stage in network.decoder
        ]

    x = torch.randn(2, 1, 32, 32)
    network, found = build()
    assert found == [["LastingDropout"]] * 3 + [[]] * 2
    with torch.no_grad():
        first, second = network(x), network(x)
        torch.manual_seed(1)
        third = network(x)
        torch.manual_seed(1)
        assert torch.equal(third, network(x))
    assert not torch.equal(first, second)
    assert network.training is False
    quiet, found = build(lasting=False)
    assert found == [["Dropout"]] * 3 + [[]] * 2
    assert build(dropout=0)[1] == [[]] * 5
    with torch.no_grad():
        assert torch.equal(quiet(x), quiet(x))
        assert not torch.equal(quiet.train()(x), quiet(x))


def test_a_translator_keeps_sizes_and_range_whatever_the_channels():
    torch.manual_seed(0)
    for norm in ("instance", "batch", "none"):
        for part in (ResNetTranslator(channels=4, blocks=1, norm=norm), UNetTranslator(channels=4, norm=norm)):
            network = translator(part, images(1, 8, 12), images(3, 8, 12))
            made = network(10 * torch.randn(2, 1, 8, 12))
            assert made.shape == (2, 3, 8, 12)
            assert made.dtype == torch.float32
            assert made.abs().max() < 1
            with torch.autocast("cpu", torch.bfloat16):
                assert network(torch.randn(2, 1, 8, 12)).dtype == torch.float32


def test_borders_are_mirrored():
    x = torch.randn(2, 3, 5, 7, dtype=torch.float64, requires_grad=True)
    mine, theirs = _Reflect(3)(x), pad(x, [3, 3, 3, 3], mode="reflect")
    assert torch.equal(mine, theirs)
    weight = torch.randn_like(mine)
    gradients = [torch.autograd.grad((weight * one).sum(), x)[0] for one in (mine, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("layers", "side"), [(1, 16), (2, 34), (3, 70), (4, 142), (5, 286)])
def test_a_logit_sees_a_patch(layers, side):
    torch.manual_seed(0)
    network = patches(PatchDiscriminator(channels=1, layers=layers, norm="none"), images(1, 320))
    x = torch.randn(1, 1, 320, 320, requires_grad=True)
    logits = network(x)
    middle = logits.shape[2] // 2
    logits[0, 0, middle, middle].backward()
    seen = x.grad[0, 0].abs().sum(0).nonzero().flatten()
    assert int(seen[-1] - seen[0]) + 1 == side


def test_a_shift_of_the_image_shifts_the_map():
    torch.manual_seed(0)
    network = patches(PatchDiscriminator(channels=2, norm="none"), images(1, 128)).double()
    x = torch.randn(1, 1, 136, 128, dtype=torch.float64)
    with torch.no_grad():
        here, there = network(x[:, :, :128]), network(x[:, :, 8:])
    torch.testing.assert_close(here[:, :, 6:-4], there[:, :, 5:-5])


def test_scales_see_the_image_at_half_its_size_again_and_again():
    torch.manual_seed(0)
    network = patches(MultiscaleDiscriminator(channels=1, scales=3), images(1, 256))
    x = torch.randn(2, 1, 256, 256)
    with torch.no_grad():
        judges, logits = network.layers(x), network(x)
        assert [stages[-1].shape[2] for stages in judges] == [35, 19, 11]  # as the authors' code gives for 256 and 128
        sums, ones = (conv2d(pad(one, [1] * 4), torch.ones(1, 1, 3, 3), stride=2) for one in (x, torch.ones_like(x)))
        torch.testing.assert_close(network.members[1](sums / ones), judges[1][-1], rtol=1e-3, atol=1e-5)
    assert [len(stages) for stages in judges] == [5, 5, 5]  # four stages and the logits
    torch.testing.assert_close(logits, torch.stack([stages[-1].mean((1, 2, 3)) for stages in judges], 1))
    assert torch.equal(halved(torch.full((1, 2, 9, 8), 0.75)), torch.full((1, 2, 5, 4), 0.75))


def test_one_scale_is_a_patchgan():
    torch.manual_seed(0)
    one = patches(MultiscaleDiscriminator(channels=2, layers=2, scales=1, padding=1), images(3, 32))
    plain = patches(PatchDiscriminator(channels=2, layers=2), images(3, 32))
    plain.load_state_dict({name.removeprefix("members.0."): weight for name, weight in one.state_dict().items()})
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(one(x), plain(x))
    assert all(torch.equal(*pair) for pair in zip(one.layers(x)[0], plain.layers(x)[0], strict=True))
    assert torch.equal(plain.layers(x)[0][-1], plain(x))


def test_heads_judge_each_place_by_kernels_of_several_sizes():
    torch.manual_seed(0)
    network = patches(PatchDiscriminator(channels=2, layers=1, norm="none", heads=(1, 3, 5)), images(1, 16))
    trunk, x = network[:-1], torch.randn(2, 1, 16, 16)
    maps = trunk(x)
    assert network(x).shape == (2, 3, *maps.shape[2:])
    for place, head in enumerate(network[-1]):
        expected = conv2d(maps, head.weight, head.bias, padding=place)
        assert head.weight.shape[2:] == (2 * place + 1, 2 * place + 1)
        torch.testing.assert_close(network(x)[:, place : place + 1], expected)
    for heads in ((), (3, 4)):
        with pytest.raises(RecipeError, match="or odd sizes of several"):
            PatchDiscriminator(heads=heads)


def test_sizes_that_do_not_fit_are_refused_with_the_nearest():
    def fault(make, *args):
        with pytest.raises(RecipeError) as error:
            make(*args)
        return str(error.value)

    assert fault(translator, ResNetTranslator(), images(3, 30)).endswith("are 30x30; set size=32x32")
    assert fault(translator, ResNetTranslator(), images(3, 4)).endswith(
        "at least 8, and these images are 4x4; set size=8x8"
    )
    assert "keeps the size" in fault(translator, ResNetTranslator(), images(3, 8), images(3, 16))
    assert "images into images, not points into points" in fault(translator, ResNetTranslator(), Signal("points", (2,)))
    assert fault(translator, UNetTranslator(), images(3, 30, 52)).endswith("halved 1 times; set size=32x64")
    assert fault(translator, UNetTranslator(stages=1), images(3, 32)).endswith("; set stages=2 or more")
    assert "keeps the size" in fault(translator, UNetTranslator(), images(3, 8), images(3, 16))
    told = fault(patches, PatchDiscriminator(), images(1, 16))
    assert told.endswith("at least 24 pixels, and these are 16x16 images with 1 channel; give it layers=2")
    several = MultiscaleDiscriminator(scales=4)
    assert "with scales=4 needs sides of at least 32 pixels" in fault(patches, several, images(1, 16))
    assert fault(patches, several, images(1, 16)).endswith("; give it scales=3")
    assert fault(patches, MultiscaleDiscriminator(scales=2, padding=1), images(1, 20)).endswith("; set size=48")
    assert fault(patches, PatchDiscriminator(layers=1), images(1, 4)).endswith("set size=6")
    assert "use mlp-discriminator" in fault(patches, PatchDiscriminator(), Signal("points", (2,)))
