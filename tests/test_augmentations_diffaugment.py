"""DiffAugment: each change against its definition, and what it does to derivatives."""

import math

import numpy as np
import pytest
import torch

from zerosum.augmentations import DiffAugment
from zerosum.core.errors import RecipeError
from zerosum.core.registry import parse

MANY = 4000


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def near(share, chance, count=MANY):
    return abs(float(share) - chance) < 4.5 * math.sqrt(chance * (1 - chance) / count)


def uniform(values, low, high):
    """True for values that could have been drawn uniformly from low .. high."""
    values = np.asarray(values)
    eighths = np.histogram(values, bins=8, range=(low, high))[0]
    return eighths.sum() == len(values) and all(near(part / len(values), 1 / 8, len(values)) for part in eighths)


# ---------------------------------------------------------------------------------------------- colour


def means(x):
    """Mean over channels, and over the whole image."""
    return x.mean(1, keepdim=True), x.mean((1, 2, 3), keepdim=True)


def test_colour_is_brightness_saturation_and_contrast():
    x = torch.randn(1, 3, 4, 4, dtype=torch.float64).expand(MANY, -1, -1, -1)
    made = DiffAugment(("colour",))(x)
    (grey, mean), (made_grey, made_mean) = means(x), means(made)
    brightness = (made_mean - mean).flatten()
    contrast = ((made_grey - made_mean) / (grey - mean)).flatten(1)
    both = ((made - made_grey) / (x - grey)).flatten(1)  # saturation times contrast
    for factors in (contrast, both):
        assert (factors - factors[:, :1]).abs().max() < 1e-9  # one factor for the whole image
    saturation = both[:, 0] / contrast[:, 0]
    assert uniform(brightness, -0.5, 0.5)
    assert uniform(contrast[:, 0], 0.5, 1.5)
    assert uniform(saturation, 0, 2)
    table = np.corrcoef(np.stack([brightness.numpy(), contrast[:, 0].numpy(), saturation.numpy()]))
    assert abs(table - np.eye(3)).max() < 4.5 / math.sqrt(MANY)


def test_grey_images_have_no_saturation():
    x = torch.randn(1, 1, 4, 4, dtype=torch.float64).expand(MANY, -1, -1, -1)
    made = DiffAugment(("colour",))(x)
    (_, mean), (_, made_mean) = means(x), means(made)
    contrast = ((made - made_mean) / (x - mean)).flatten(1)
    assert (contrast - contrast[:, :1]).abs().max() < 1e-9
    assert uniform(contrast[:, 0], 0.5, 1.5)
    assert uniform((made_mean - mean).flatten(), -0.5, 0.5)


# ---------------------------------------------------------------------------------------------- translation


@pytest.mark.parametrize(("side", "farthest"), [(8, 1), (28, 4), (32, 4), (11, 1), (12, 2)])
def test_translation_moves_up_to_an_eighth_and_lets_zeros_in(side, farthest):
    height, width = side, 16  # 16: two pixels
    x = torch.arange(1.0, height * width + 1).view(1, 1, height, width).expand(1000, 2, -1, -1)
    made = DiffAugment(("translation",))(x)
    wide = np.pad(x[0, 0].numpy(), 8)
    steps = []
    for image in made:
        row, column = divmod(int(image[0, height // 2, 8]) - 1, width)  # where the middle pixel came from
        down, right = height // 2 - row, 8 - column
        expected = wide[8 - down : 8 - down + height, 8 - right : 8 - right + width]
        assert np.array_equal(image[0].numpy(), expected)
        assert np.array_equal(image[1].numpy(), expected)
        steps.append((down, right))
    down, right = np.array(steps).T
    for moved, reach in ((down, farthest), (right, 2)):
        assert set(moved) == set(range(-reach, reach + 1))
        assert all(near((moved == step).mean(), 1 / (2 * reach + 1), 1000) for step in range(-reach, reach + 1))
    assert abs(np.corrcoef(down, right)[0, 1]) < 4.5 / math.sqrt(1000)


# ---------------------------------------------------------------------------------------------- cutout


@pytest.mark.parametrize(("side", "box"), [(8, 4), (28, 14), (32, 16), (7, 4), (9, 5), (11, 6)])
def test_cutout_is_a_box_of_half_the_side_around_a_uniform_middle(side, box):
    made = DiffAugment(("cutout",))(torch.ones(1000, 2, side, 12))
    assert torch.equal(made[:, 0], made[:, 1])
    zeros = made[:, 0] == 0
    assert torch.equal(made[:, 0], (~zeros).float())
    for axis, size, extent in ((1, side, box), (2, 12, 6)):
        line = zeros.any(3 - axis)
        first, length = line.float().argmax(1).numpy(), line.sum(1).numpy()
        # the middle m covers [m - extent // 2, m - extent // 2 + extent) of 0 .. size - 1; count each (first, length)
        middles = range(size + 1 - extent % 2)
        spans = [(max(m - extent // 2, 0), min(m - extent // 2 + extent, size)) for m in middles]
        chances = {span: spans.count(span) / len(spans) for span in spans}
        seen = list(zip(first, first + length, strict=True))
        assert set(seen) == set(chances)
        assert all(near(seen.count(span) / 1000, chance, 1000) for span, chance in chances.items())
    area = zeros.float().mean((1, 2))
    assert area.max() <= box * 6 / (side * 12) + 1e-6
    assert torch.equal(zeros, zeros.any(2, keepdim=True) & zeros.any(1, keepdim=True))


def test_cutout_keeps_at_least_three_quarters_and_exactly_those_away_from_borders():
    kept = DiffAugment(("cutout",))(torch.ones(1000, 1, 32, 32)).mean((1, 2, 3))
    assert kept.min() == 0.75
    assert near((kept == 0.75).float().mean(), (17 / 33) ** 2, 1000)


# ---------------------------------------------------------------------------------------------- as a whole


def test_an_empty_policy_is_the_identity():
    x = torch.randn(4, 3, 8, 8)
    assert torch.equal(DiffAugment(())(x), x)
    assert parse("augmentation", "diffaugment:policy=") == DiffAugment(())


def test_changes_come_in_the_order_of_the_policy():
    x = torch.randn(50, 3, 16, 16)
    last = DiffAugment(("colour", "translation", "cutout"))(x)
    first = DiffAugment(("cutout", "colour"))(x)
    assert ((last == 0).flatten(1).float().mean(1) >= 1 / 16).all()
    assert not (first == 0).any()


def test_every_image_and_every_call_has_its_own_draw():
    x = torch.randn(1, 3, 16, 16).expand(8, -1, -1, -1)
    kept = x.clone()
    change = DiffAugment()
    torch.manual_seed(1)
    first, second = change(x), change(x)
    torch.manual_seed(1)
    assert torch.equal(change(x), first)
    assert (torch.cdist(first.flatten(1), first.flatten(1)) + torch.eye(8)).min() > 0.1
    assert (first - second).flatten(1).abs().amax(1).min() > 0.1
    assert torch.equal(x, kept)
    for policy in ("colour", "translation", "cutout"):
        made = DiffAugment((policy,))(x)
        assert len({tuple(image.flatten().tolist()) for image in made}) >= 5, policy


@pytest.mark.parametrize("policy", ["colour", "translation", "cutout", "colour/translation/cutout"])
def test_derivatives(policy):
    change = parse("augmentation", f"diffaugment:policy={policy}")

    def frozen(x):
        torch.manual_seed(4)
        return change(x)

    x = torch.randn(3, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(frozen, x)
    assert torch.autograd.gradgradcheck(lambda x: frozen(x).pow(3), x, fast_mode=True)


def test_a_discriminator_that_sees_only_the_cut_learns_nothing_and_teaches_nothing():
    x = torch.randn(4, 3, 8, 8, requires_grad=True)
    (gradient,) = torch.autograd.grad(DiffAugment(("cutout",))(x).square().sum(), x)
    made_zero = gradient == 0
    assert torch.equal(made_zero[:, 0], made_zero[:, 2])
    assert made_zero.float().mean((1, 2, 3)).min() >= 1 / 16
    assert made_zero.float().mean((1, 2, 3)).max() <= 1 / 4


def test_half_precision_is_raised():
    assert DiffAugment()(torch.randn(2, 3, 8, 8).bfloat16()).dtype == torch.float32
    assert DiffAugment()(torch.randn(2, 3, 8, 8).double()).dtype == torch.float64


def test_text_and_faults():
    assert DiffAugment().policy == ("colour", "translation", "cutout")
    assert str(DiffAugment(("translation", "cutout"))) == "diffaugment:policy=translation/cutout"
    assert DiffAugment().where == "both"
    assert set(DiffAugment().needs) == {"images"}
    with pytest.raises(RecipeError, match="policy: cutout/cutout names a change twice"):
        parse("augmentation", "diffaugment:policy=cutout/cutout")
    with pytest.raises(RecipeError, match=r"policy: 'color' is not allowed; did you mean 'colour'\?"):
        parse("augmentation", "diffaugment:policy=color")
