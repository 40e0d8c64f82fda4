"""Networks of image translation: sizes as the paper has them, what a logit sees, what is refused."""

import pytest
import torch
from torch.nn.functional import pad

from zerosum.core.errors import RecipeError
from zerosum.core.signals import Signal
from zerosum.networks import PatchDiscriminator, ResNetTranslator
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


def test_a_translator_keeps_sizes_and_range_whatever_the_channels():
    torch.manual_seed(0)
    for norm in ("instance", "batch", "none"):
        network = translator(ResNetTranslator(channels=4, blocks=1, norm=norm), images(1, 8, 12), images(3, 8, 12))
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
    told = fault(patches, PatchDiscriminator(), images(1, 16))
    assert told.endswith("at least 24 pixels, and these are 16x16 images with 1 channel; give it layers=2")
    assert fault(patches, PatchDiscriminator(layers=1), images(1, 4)).endswith("set size=6")
    assert "use mlp-discriminator" in fault(patches, PatchDiscriminator(), Signal("points", (2,)))
