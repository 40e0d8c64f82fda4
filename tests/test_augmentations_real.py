"""Single augmentations: what they draw, how often, and what comes in at the border."""

import math

import numpy as np
import pytest
import torch

from zerosum import augmentations
from zerosum.augmentations import Crop, Flip, Rotation, Scale, Shift
from zerosum.augmentations.augmentation import keep_some, sometimes
from zerosum.core.errors import RecipeError
from zerosum.core.registry import parse, registered

MANY = 4000
FEW = 800  # where each image costs a resampling
PARTS = [Flip(), Shift(), Crop(), Rotation(), Scale()]
every_part = pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)


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


def ramps(height, width, count=FEW):
    """Two channels that hold each pixel's x and y, counted from the middle of the image."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = torch.stack([x - (width - 1) / 2, y - (height - 1) / 2]).double()
    return places.expand(count, -1, -1, -1)


def seen(made, reach=2):
    """Matrix [N, 2, 2] and offset [N, 2] of the map that the middle pixels of changed ramps show."""
    height, width = made.shape[2:]
    rows, columns = slice(height // 2 - reach, height // 2 + reach), slice(width // 2 - reach, width // 2 + reach)
    places = ramps(height, width, 1)[0, :, rows, columns].flatten(1)
    points = torch.cat([places, torch.ones(1, places.shape[1])]).T
    values = made[:, :, rows, columns].flatten(2).mT
    solved = torch.linalg.pinv(points) @ values
    assert (points @ solved - values).abs().max() < 1e-6
    return solved[:, :2].mT.numpy(), solved[:, 2].numpy()


def test_exports_are_the_registered_parts():
    parts = {part.__name__ for part in registered("augmentation").values() if part.__module__.startswith("zerosum.")}
    assert set(augmentations.__all__) == parts
    assert set(registered("augmentation")) >= {"ada", "crop", "diffaugment", "flip", "rotation", "scale", "shift"}


# ---------------------------------------------------------------------------------------------- each


@pytest.mark.parametrize("probability", [0.5, 0.2])
def test_flip_mirrors_left_to_right(probability):
    x = torch.randn(MANY, 3, 2, 3)
    made = Flip(probability)(x)
    mirrored, same = ((made == other).flatten(1).all(1) for other in (x.flip(3), x))
    assert (mirrored ^ same).all()
    assert near(mirrored.float().mean(), probability)


def moves(x, part):
    """Steps (right, down) of a shift, each image checked pixel by pixel."""
    reach = part.pixels
    mode = {"mode": "reflect"} if part.border == "reflect" else {"constant_values": part.fill}
    wide = torch.from_numpy(np.pad(x.numpy(), ((0, 0), (0, 0), (reach, reach), (reach, reach)), **mode))
    height, width = x.shape[2:]
    made, found = part(x), torch.zeros(len(x), 2, dtype=torch.int64)
    count = torch.zeros(len(x), dtype=torch.int64)
    for right in range(-reach, reach + 1):
        for down in range(-reach, reach + 1):
            window = wide[:, :, reach - down : reach - down + height, reach - right : reach - right + width]
            hit = (made == window).flatten(1).all(1)
            count += hit
            found[hit] = torch.tensor([right, down])
    assert (count == 1).all()
    return found.numpy()


@pytest.mark.parametrize("part", [
    Shift(), Shift(fill=-1), Shift(border="reflect"), Shift(pixels=1), Shift(pixels=3, fill=0.5),
], ids=str)  # fmt: skip
def test_shifts_are_uniform_over_the_square(part):
    found = moves(torch.rand(MANY, 2, 5, 6) + 1, part)
    side = range(-part.pixels, part.pixels + 1)
    for right in side:
        for down in side:
            assert near((found == (right, down)).all(1).mean(), 1 / len(side) ** 2), (right, down)


def test_what_comes_in_is_grey_unless_said():
    made = Shift()(torch.ones(200, 1, 4, 4))
    assert set(made.unique().tolist()) == {0.0, 1.0}
    made = Shift(fill=-1)(torch.ones(200, 1, 4, 4))
    assert set(made.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(Shift(border="reflect")(torch.ones(200, 1, 4, 4)), torch.ones(200, 1, 4, 4))


def test_crops_are_uniform_parts_of_the_same_proportions():
    height, width, least = 24, 32, 0.6
    matrix, offset = seen(Crop(least=least)(ramps(height, width)))
    assert np.allclose(matrix, matrix[:, :1, :1] * np.eye(2), atol=1e-6)
    side = matrix[:, 0, 0]
    assert uniform(side, least, 1)
    for axis, size in ((0, width), (1, height)):
        room = (1 - side) * (size - 1) / 2
        assert uniform(offset[:, axis] / room, -1, 1)
    assert abs(np.corrcoef(offset[:, 0] / (1 - side), offset[:, 1] / (1 - side))[0, 1]) < 4.5 / math.sqrt(FEW)


@pytest.mark.parametrize("degrees", [15, 180])
def test_angles_are_uniform_to_both_sides(degrees):
    matrix, offset = seen(Rotation(degrees)(ramps(24, 32)))
    assert np.allclose(matrix @ matrix.transpose(0, 2, 1), np.eye(2), atol=1e-6)
    assert np.allclose(np.linalg.det(matrix), 1)
    assert abs(offset).max() < 1e-6
    assert uniform(np.degrees(np.arctan2(matrix[:, 1, 0], matrix[:, 0, 0])), -degrees, degrees)


def test_scales_are_uniform_in_their_logarithm():
    matrix, offset = seen(Scale(1.5)(ramps(24, 32)))
    assert np.allclose(matrix, matrix[:, :1, :1] * np.eye(2), atol=1e-6)
    assert abs(offset).max() < 1e-6
    assert uniform(np.log(matrix[:, 0, 0]) / np.log(1.5), -1, 1)


@pytest.mark.parametrize("part", [Rotation(45), Scale(2)], ids=lambda part: part.name)
def test_what_turns_or_shrinks_in_is_the_border(part):
    x = torch.full((64, 1, 16, 16), 0.75)
    corner = slice(None), 0, 0, 0
    assert part(x)[corner].min() < 0.1  # grey has come in
    assert part.replace(fill=-1)(x)[corner].min() < -0.8
    assert part.replace(fill=0.75)(x).sub(0.75).abs().max() < 1e-5
    assert part.replace(border="reflect")(x).sub(0.75).abs().max() < 1e-5
    assert (part(x)[:, 0, 7:9, 7:9] - 0.75).abs().max() < 0.02


# ---------------------------------------------------------------------------------------------- all


@every_part
@pytest.mark.parametrize("shape", [(8, 3, 8, 8), (8, 1, 28, 28), (8, 3, 9, 14)], ids=str)
def test_every_image_and_every_call_has_its_own_draw(part, shape):
    part = part.replace(probability=0.5 if part.name == "flip" else 1.0)
    x = torch.randn(1, *shape[1:]).expand(shape)
    kept = x.clone()
    torch.manual_seed(1)
    first, second = part(x), part(x)
    torch.manual_seed(1)
    assert torch.equal(part(x), first)
    assert first.shape == x.shape
    assert not torch.equal(first, second)
    assert len({tuple(image.flatten().tolist()) for image in first}) >= (2 if part.name == "flip" else 4)
    assert torch.equal(x, kept)


@every_part
def test_each_image_is_changed_with_the_probability(part):
    x = torch.randn(MANY, 1, 6, 6)
    never = part.replace(probability=0.0)
    assert torch.equal(never(x), x)
    same = (part.replace(probability=0.3)(x) == x).flatten(1).all(1).float().mean()
    assert near(1 - same, 0.3 * 24 / 25 if part.name == "shift" else 0.3)


@every_part
def test_derivatives(part):
    def frozen(x):
        torch.manual_seed(4)
        return part(x)

    x = torch.randn(3, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(frozen, x)
    assert torch.autograd.gradgradcheck(lambda x: frozen(x).pow(3), x, fast_mode=True)


@every_part
def test_mixed_precision_changes_nothing(part):
    x = torch.randn(8, 3, 8, 8)
    torch.manual_seed(2)
    plain = part(x)
    torch.manual_seed(2)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(part(x), plain)


@every_part
def test_real_images_alone_are_changed_unless_said(part):
    assert part.where == "real"
    assert part.replace(where="both").where == "both"
    assert set(part.needs) == {"images"}
    assert parse("augmentation", str(part)) == part
    with pytest.raises(RecipeError, match=f"'{part.name}': where: 'fake' is not allowed"):
        part.replace(where="fake")


def test_defaults_are_those_of_the_field():
    assert (Flip().probability, Shift().pixels, Shift().probability, Shift().fill) == (0.5, 2, 1.0, 0.0)


@pytest.mark.parametrize(("text", "fault"), [
    ("flip:probability=2", "probability: 2.0 must be at least 0 and at most 1"),
    ("shift:pixels=0", "pixels: 0 must be at least 1"),
    ("shift:fill=127", "fill: 127.0 must be at least -1 and at most 1"),
    ("shift:border=127", "border: '127' is not allowed; there is: fill, reflect"),
    ("crop:least=0", "least: 0.0 must be above 0 and at most 1"),
    ("rotation:degrees=200", "degrees: 200.0 must be at least 0 and at most 180"),
    ("scale:factor=0.5", "factor: 0.5 must be at least 1"),
])  # fmt: skip
def test_impossible_values_are_refused(text, fault):
    with pytest.raises(RecipeError) as raised:
        parse("augmentation", text)
    assert fault in str(raised.value)


@pytest.mark.parametrize("drawn", [0.0, 0.999])
def test_what_has_no_chance_never_happens_whatever_is_drawn(drawn, monkeypatch):
    values, images = torch.tensor([3.0, -2.0]), torch.ones(2, 1, 2, 2)
    monkeypatch.setattr(torch, "rand", lambda *size, device=None: torch.full(torch.empty(*size).shape, drawn))
    assert torch.equal(sometimes(0.0, values), torch.zeros(2))
    assert torch.equal(keep_some(0.0, 2 * images, images), images)
    assert torch.equal(sometimes(1.0, values), values)
    assert torch.equal(keep_some(1.0, 2 * images, images), 2 * images)
