"""Colours: the product of the paper's matrices, and the distributions of what is drawn."""

import math

import numpy as np
import pytest
import torch

from zerosum.augmentations.colour import colour_maps, recolour

MANY = 4000


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def paper(brightness, contrast, mirror, hue, saturation):
    """The product of appendix B in homogeneous colours, step by step."""
    v = np.array([1, 1, 1, 0]) / math.sqrt(3)
    C = np.eye(4)
    C[:3, 3] = brightness
    C = np.diag([contrast, contrast, contrast, 1]) @ C
    C = (np.eye(4) - 2 * np.outer(v, v) * mirror) @ C
    cross = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    turn = np.eye(4)
    turn[:3, :3] = np.eye(3) + math.sin(hue) * cross + (1 - math.cos(hue)) * cross @ cross  # Rodrigues
    C = turn @ C
    along = np.outer(v, v)
    spread = along + (np.eye(4) - along) * saturation
    spread[3, 3] = 1
    return spread @ C


@pytest.mark.parametrize("drawn", [
    (0.3, 1.7, 0, 0.0, 1.0), (-0.2, 0.6, 1, 0.0, 1.0), (0.1, 1.0, 0, 1.1, 1.0), (0.0, 1.2, 1, -2.5, 0.4),
])  # fmt: skip
def test_the_maps_are_the_papers_product(drawn):
    brightness, contrast, mirror, hue, saturation = drawn
    expected = paper(*drawn)
    luma, chroma, angle = torch.tensor(
        [[contrast * (1 - 2 * mirror), contrast * saturation, hue]], dtype=torch.float64
    ).T
    made = colour_maps(luma, chroma, angle)[0].numpy()
    assert np.allclose(made, expected[:3, :3], atol=1e-6)
    assert np.allclose(made @ np.full(3, brightness), expected[:3, 3], atol=1e-6)  # brightness comes first


def drawn_colours(p):
    """What `recolour` did to many images, read off the images of black, red, green and blue."""
    pixels = torch.cat([torch.zeros(3, 1), torch.eye(3)], dim=1).double().view(1, 3, 2, 2).expand(MANY, -1, -1, -1)
    made = recolour(pixels, torch.tensor(p)).flatten(2)
    offset, maps = made[:, :, 0], made[:, :, 1:] - made[:, :, :1]
    luma = maps.sum(2).mean(1)
    plane = torch.tensor([[2.0, -1, -1], [0, math.sqrt(3), -math.sqrt(3)]], dtype=torch.float64) / math.sqrt(6)
    rest = plane @ maps @ plane.T  # what happens beside the grey axis: a turn times chroma
    chroma, hue = rest[:, :, 0].norm(dim=1), torch.atan2(rest[:, 1, 0], rest[:, 0, 0])
    assert torch.allclose(offset, (offset.mean(1) * torch.ones(3, 1, dtype=torch.float64)).T, atol=1e-6)
    return {
        "brightness": (offset.mean(1) / luma).numpy(),
        "contrast": luma.abs().log2().numpy(),
        "mirror": (luma < 0).numpy(),
        "hue": hue.numpy(),
        "saturation": (chroma.log2() - luma.abs().log2()).numpy(),
    }


def test_every_change_has_its_distribution():
    drawn = drawn_colours(1.0)
    for name, spread in (("brightness", 0.2), ("contrast", 0.5), ("saturation", 1.0)):
        assert abs(drawn[name].mean()) < 4 * spread / math.sqrt(MANY), name
        assert abs(drawn[name].std() / spread - 1) < 4 / math.sqrt(2 * MANY), name
        assert abs((abs(drawn[name]) < 0.6745 * spread).mean() - 0.5) < 4 * 0.5 / math.sqrt(MANY), name
    assert abs(drawn["mirror"].mean() - 0.5) < 4 * 0.5 / math.sqrt(MANY)
    table = np.corrcoef(np.abs([values for name, values in drawn.items() if name != "mirror"]))
    assert abs(table - np.eye(4)).max() < 4.5 / math.sqrt(MANY)
    counts = np.histogram(drawn["hue"], bins=8, range=(-math.pi, math.pi))[0]
    assert counts.sum() == MANY
    assert abs(counts - MANY / 8).max() < 4.5 * math.sqrt(MANY * 7 / 64)


def test_every_change_has_its_own_chance():
    drawn = drawn_colours(0.3)
    happened = {name: abs(values) > 1e-5 for name, values in drawn.items()}
    for name, values in happened.items():
        chance = 0.15 if name == "mirror" else 0.3
        assert abs(values.mean() - chance) < 4 * math.sqrt(chance * (1 - chance) / MANY), name
    table = np.corrcoef(np.array(list(happened.values())))
    assert abs(table - np.eye(5)).max() < 4.5 / math.sqrt(MANY)


def test_grey_images_take_brightness_contrast_and_the_mirror():
    x = torch.tensor([0.0, 1.0, -0.5, 0.25], dtype=torch.float64).view(1, 1, 2, 2).expand(MANY, -1, -1, -1)
    made = recolour(x, torch.tensor(1.0)).flatten(1)
    slope, offset = made[:, 1] - made[:, 0], made[:, 0]
    assert torch.allclose(made, offset[:, None] + slope[:, None] * x[0].flatten(), atol=1e-12)
    assert abs(float((slope < 0).double().mean()) - 0.5) < 4 * 0.5 / math.sqrt(MANY)
    for values, spread in ((slope.abs().log2(), 0.5), (offset / slope, 0.2)):
        assert abs(float(values.mean())) < 4 * spread / math.sqrt(MANY)
        assert abs(float(values.std()) / spread - 1) < 4 / math.sqrt(2 * MANY)


def test_an_image_without_a_change_passes_bit_for_bit():
    x = torch.randn(64, 3, 5, 5)
    x[0, 0, 0, :3] = torch.tensor([-0.0, math.inf, 1e-44])  # what arithmetic would spoil
    assert torch.equal(recolour(x, torch.tensor(0.0)).view(torch.int32), x.view(torch.int32))
    same = (recolour(x, torch.tensor(0.2)) == x).flatten(1).all(1).float().mean()
    assert 0.1 < same < 0.7  # 0.8 ** 4 * 0.9 = 0.37
    grey = x[:, :1]
    same = (recolour(grey, torch.tensor(0.2)) == grey).flatten(1).all(1).float().mean()
    assert 0.3 < same < 0.85  # 0.8 ** 2 * 0.9 = 0.58


def test_gradients_and_precision():
    x = torch.randn(3, 3, 2, 2, dtype=torch.float64, requires_grad=True)

    def change(x):
        torch.manual_seed(1)
        return recolour(x, torch.tensor(0.8))

    assert torch.autograd.gradcheck(change, x)
    assert torch.autograd.gradgradcheck(lambda x: change(x).pow(3), x)
    plain = change(x.float())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(change(x.float()), plain)
    assert change(x.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("channels", [2, 4])
def test_other_channels_have_no_colours(channels):
    with pytest.raises(ValueError, match=f"images with {channels} channels are unknown; use pipeline=bg"):
        recolour(torch.zeros(1, channels, 4, 4), torch.tensor(0.5))
