"""Affine maps of images: exact where the answer is known, closer than the published filters where it is not."""

import math

import numpy as np
import pytest
import torch

from zerosum.augmentations import resampling
from zerosum.augmentations.geometry import quarter_turns, rotation, scaling, translate, translation
from zerosum.augmentations.resampling import resample


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def images(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def one(*values):
    return [torch.tensor([value], dtype=torch.float64) for value in values]


def both_sides(half):
    return np.array([*half[:0:-1], *half])


def close(a, b, tolerance=1e-12):
    return a.shape == b.shape and float((a - b).abs().max()) < tolerance


def test_raising_and_lowering_is_the_identity_and_both_are_low_passes():
    up, down = both_sides(resampling.RAISING), both_sides(resampling.LOWERING)
    assert (len(up), len(down)) == (17, 11)
    product = np.convolve(up, down)
    centre = len(product) // 2
    kept = product[centre % 2 :: 2]
    assert np.allclose(kept, np.arange(len(kept)) == centre // 2, atol=1e-14)
    assert up[::2].sum() == pytest.approx(1, abs=1e-14)
    assert up[1::2].sum() == pytest.approx(1, abs=1e-14)
    assert down.sum() == pytest.approx(1, abs=1e-14)
    for taps, moments in ((up, 8), (down, 6)):
        place = np.arange(len(taps)) - len(taps) // 2
        found = [abs(((-1.0) ** place * place**m * taps).sum()) / (abs(place) ** m @ abs(taps)) for m in range(10)]
        assert max(found[:moments]) < 1e-13
        assert found[moments] > 1e-3


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (1, 1, 7, 7), (3, 2, 28, 28)], ids=str)
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_right_angles_are_those_of_rot90(shape, turns):
    x = images(*shape)
    inverse = quarter_turns(torch.full((shape[0],), turns))
    assert close(resample(x, inverse.double()), torch.rot90(x, turns, (2, 3)))
    assert close(resample(x.float(), inverse), torch.rot90(x, turns, (2, 3)).float(), 2e-5)


def test_right_angles_agree_with_the_angles():
    angles = torch.arange(4) * math.pi / 2
    assert close(quarter_turns(torch.arange(4)), rotation(angles), 1e-6)


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (2, 1, 5, 12), (1, 3, 9, 4)], ids=str)
def test_mirrors_are_flips(shape):
    x = images(*shape)
    plus = torch.ones(shape[0])
    assert close(resample(x, scaling(-plus, plus)), x.flip(3))
    assert close(resample(x, scaling(plus, -plus)), x.flip(2))
    assert close(resample(x, rotation(math.pi * plus.double())), x.flip(2, 3))


@pytest.mark.parametrize(("right", "down"), [(2, 0), (0, 3), (-1, 2), (-3, -4), (9, -13)])
def test_whole_pixels_move_exactly_and_the_border_is_a_mirror(right, down):
    x = images(1, 2, 5, 8)
    reach = 16
    wide = np.pad(x.numpy(), ((0, 0), (0, 0), (reach, reach), (reach, reach)), mode="reflect")
    top, left = reach - down, reach - right
    expected = torch.from_numpy(wide[:, :, top : top + 5, left : left + 8])
    assert close(resample(x, translation(*one(-right, -down))), expected)
    assert torch.equal(translate(x, torch.tensor([right]), torch.tensor([down]), "reflect"), expected)


@pytest.mark.parametrize(("right", "down"), [(2, 0), (0, 3), (-1, 2), (-3, -4), (9, 0)])
def test_whole_pixels_move_exactly_and_let_a_value_in(right, down):
    x = images(1, 2, 5, 8)
    wide = np.pad(x.numpy(), ((0, 0), (0, 0), (16, 16), (16, 16)), constant_values=0.25)
    expected = wide[:, :, 16 - down : 21 - down, 16 - right : 24 - right]
    assert np.array_equal(translate(x, torch.tensor([right]), torch.tensor([down]), fill=0.25).numpy(), expected)


def test_every_image_has_its_own_map():
    x = images(4, 1, 6, 6)
    made = resample(x, quarter_turns(torch.arange(4)).double())
    for turns in range(4):
        assert close(made[turns], torch.rot90(x[turns], turns, (1, 2)))
    moved = translate(x, torch.tensor([0, 1, 2, 3]), torch.tensor([0, 0, 1, 0]), "reflect")
    assert torch.equal(moved[2, 0, 1:, 2:], x[2, 0, :-1, :-2])
    assert torch.equal(moved[3, 0, :, 3:], x[3, 0, :, :-3])


def test_an_image_whose_map_is_the_identity_passes_bit_for_bit():
    x = torch.randn(3, 3, 6, 6)
    maps = torch.eye(3).repeat(3, 1, 1)
    maps[1] = quarter_turns(torch.tensor([1]))[0]
    made = resample(x, maps)
    assert torch.equal(made[[0, 2]], x[[0, 2]])
    assert not torch.equal(made[1], x[1])


@pytest.mark.parametrize("border", ["reflect", "fill"])
def test_a_plain_image_stays_plain(border):
    x = torch.full((5, 3, 8, 10), 0.3, dtype=torch.float64)
    maps = translation(*torch.randn(2, 5, dtype=torch.float64) * 5) @ rotation(torch.randn(5, dtype=torch.float64))
    assert close(resample(x, maps, border, fill=0.3), x)


def test_beyond_the_border_is_the_value_that_was_asked_for():
    x = images(1, 1, 16, 16)
    made = resample(x, translation(*one(-9, 0)), "fill", fill=-0.5)
    assert close(made[..., :3], torch.full((1, 1, 16, 3), -0.5))
    inner = slice(6, -6)
    assert close(made[:, :, inner, 12:], x[:, :, inner, 3:7])  # where the filters do not see the border


def waves(band, angle, seed):
    """A sum of eight plane waves with frequencies of a band, and the same turned by an angle, as functions."""
    draw = np.random.default_rng(seed)
    frequency, direction, phase = draw.uniform(*band, 8), draw.uniform(0, 2 * np.pi, 8), draw.uniform(0, 2 * np.pi, 8)

    def wave(x, y):
        along = np.multiply.outer(np.cos(direction), x) + np.multiply.outer(np.sin(direction), y)
        return np.cos(2 * np.pi * frequency[:, None, None] * along + phase[:, None, None]).sum(0) / 2

    cos, sin = np.cos(angle), np.sin(angle)
    return wave, lambda x, y: wave(cos * x - sin * y, sin * x + cos * y)


def turned_by_sym6(wave, angle, size, margin):
    """The published way: up by sym6, bilinear look-up, down by sym6, on a canvas so large that no border is seen."""
    taps = np.array([
        0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633, 0.4910559419267466,
        0.787641141030194, 0.3379294217276218, -0.07263752278646252, -0.021060292512300564, 0.04472490177066578,
        0.0017677118642428036, -0.007800708325034148,
    ]) / math.sqrt(2)  # fmt: skip
    delay = taps @ np.arange(12)
    count = size + 2 * margin
    places = np.arange(count) - (count - 1) / 2
    up = np.zeros((2 * count + 10, count))
    for i in range(count):
        up[2 * i : 2 * i + 12, i] = 2 * taps
    fine = up @ wave(*np.meshgrid(places, places)) @ up.T  # its sample j lies at pixel (j - delay) / 2
    wanted = (np.arange(2 * size + 10) - delay) / 2 - (size - 1) / 2
    x, y = np.meshgrid(wanted, wanted)
    from_x, from_y = np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y
    at_x, at_y = (2 * (place + (count - 1) / 2) + delay for place in (from_x, from_y))
    left, top = np.floor(at_x).astype(int), np.floor(at_y).astype(int)
    u, v = at_x - left, at_y - top
    seen = ((1 - v) * ((1 - u) * fine[top, left] + u * fine[top, left + 1])
            + v * ((1 - u) * fine[top + 1, left] + u * fine[top + 1, left + 1]))  # fmt: skip
    down = np.zeros((size, 2 * size + 10))
    for i in range(size):
        down[i, 2 * i : 2 * i + 12] = taps
    return down @ seen @ down.T


@pytest.mark.parametrize(
    ("band", "bound"),
    [((0.02, 0.15), 0.01), ((0.15, 0.25), 0.04), ((0.25, 0.35), 0.1), ((0.35, 0.45), 0.26)],
    ids=str,
)
def test_turned_waves_are_closer_to_the_truth_than_with_sym6(band, bound):
    size, margin = 24, 24
    inner = np.arange(size) - (size - 1) / 2
    whole = np.arange(size + 2 * margin) - (size + 2 * margin - 1) / 2
    ours, theirs = [], []
    for seed in range(6):
        angle = 0.3 + seed
        wave, turned = waves(band, angle, seed)
        truth = turned(*np.meshgrid(inner, inner))
        x = torch.from_numpy(wave(*np.meshgrid(whole, whole)))[None, None]
        made = resample(x, rotation(*one(angle)))[0, 0, margin:-margin, margin:-margin].numpy()
        ours.append(((made - truth) ** 2).mean())
        theirs.append(((turned_by_sym6(wave, angle, size, margin) - truth) ** 2).mean())
    assert math.sqrt(np.mean(ours)) < 0.9 * math.sqrt(np.mean(theirs))
    assert math.sqrt(np.mean(ours)) < bound


@pytest.mark.parametrize("border", ["reflect", "fill"])
def test_first_and_second_derivatives_reach_the_image(border):
    x = images(2, 1, 4, 5).requires_grad_()
    maps = rotation(torch.tensor([0.3, 2.0], dtype=torch.float64)) @ translation(*one(1.3, -0.4))
    assert torch.autograd.gradcheck(lambda x: resample(x, maps, border, fill=0.2), x)
    assert torch.autograd.gradgradcheck(lambda x: resample(x, maps, border, fill=0.2).pow(3), x)


def test_mixed_precision_changes_nothing():
    x, maps = torch.randn(2, 3, 9, 9), rotation(torch.tensor([0.3, 0.7]))
    plain = resample(x, maps)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(resample(x, maps), plain)
    assert resample(x.bfloat16(), maps).dtype == torch.float32


def test_the_layout_in_memory_changes_nothing_and_the_input_stays():
    x, maps = torch.randn(2, 3, 9, 9), rotation(torch.tensor([0.3, 0.7]))
    kept = x.clone()
    assert close(resample(x.contiguous(memory_format=torch.channels_last), maps), resample(x, maps), 1e-5)
    assert torch.equal(x, kept)


def test_a_single_row_or_column_of_pixels_is_possible():
    x = images(1, 1, 1, 6)
    assert close(resample(x, scaling(*one(-1, 1))), x.flip(3))
    assert close(resample(x.mT, scaling(*one(1, -1))), x.mT.flip(2))
