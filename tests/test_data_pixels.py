"""Policies that turn an image of any mode into uint8 pixels."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from zerosum.core.errors import RecipeError
from zerosum.core.registry import described_fields, parse
from zerosum.data import Preparation, to_images
from zerosum.data.pixels import BadImageError, is_grey, open_image, prepare


def saved(image, form="PNG", **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    file.seek(0)
    return open_image(file, "x")


def pixels(image, shape, **fields):
    return prepare(image, "x", shape, Preparation(**fields))


def test_16_bit_grey_is_divided_by_257_and_never_clipped():
    deep = np.array([[0, 257, 65535, 128, 129, 1000]], dtype=np.uint16)
    image = saved(Image.fromarray(deep))
    assert image.mode == "I;16"
    assert is_grey(image)
    assert pixels(image, (1, 6, 1))[0, :, 0].tolist() == [0, 1, 255, 0, 1, 4]
    assert pixels(saved(Image.fromarray(deep)), (1, 6, 3))[0, :, 2].tolist() == [0, 1, 255, 0, 1, 4]


def test_every_16_bit_value_is_rounded_to_the_nearest():
    deep = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    expected = np.rint(deep.astype(np.float64) / 257)
    assert np.array_equal(pixels(Image.fromarray(deep), (256, 256, 1))[..., 0], expected)


def test_32_bit_grey_within_16_bits_is_divided_and_above_is_refused():
    assert pixels(Image.fromarray(np.array([[0, 65535]], dtype=np.int32)), (1, 2, 1)).ravel().tolist() == [0, 255]
    with pytest.raises(BadImageError, match=r"x: has whole-number pixels from -1 to 70000; 0\.\.65535 is allowed"):
        pixels(Image.fromarray(np.array([[-1, 70000]], dtype=np.int32)), (1, 2, 1))


def test_float_pixels_must_lie_in_0_to_1():
    image = saved(Image.fromarray(np.array([[0, 0.5, 1]], dtype=np.float32)), "TIFF")
    assert image.mode == "F"
    assert pixels(image, (1, 3, 1)).ravel().tolist() == [0, 128, 255]
    for wrong in ([0, 1.01], [0, 200], [-0.1, 1], [0, float("nan")]):
        with pytest.raises(BadImageError, match=r"float pixels from .*; 0\.\.1 is allowed"):
            pixels(Image.fromarray(np.array([wrong], dtype=np.float32)), (1, 2, 1))


@pytest.mark.parametrize(("background", "half", "none"), [("white", 154, 255), ("black", 27, 0)])
def test_transparency_shows_the_background(background, half, none):
    image = saved(Image.fromarray(np.array([[[54, 54, 54, 128], [9, 9, 9, 0], [7, 8, 9, 255]]], dtype=np.uint8)))
    found = pixels(image, (1, 3, 3), background=background)[0]
    assert found[0].tolist() == [half] * 3
    assert found[1].tolist() == [none] * 3
    assert found[2].tolist() == [7, 8, 9]


def test_grey_with_alpha_stays_grey():
    image = saved(Image.fromarray(np.array([[[50, 255], [0, 0]]], dtype=np.uint8)))
    assert image.mode == "LA"
    assert is_grey(image)
    assert pixels(image, (1, 2, 1)).ravel().tolist() == [50, 255]


def palette_image(colours):
    image = Image.new("P", (len(colours), 1))
    image.putpalette([value for colour in colours for value in colour])
    image.putdata(list(range(len(colours))))
    return image


def test_palette_becomes_its_colours_and_its_transparent_entry_the_background():
    colours = [(10, 20, 30), (200, 100, 50), (1, 2, 3)]
    assert pixels(saved(palette_image(colours)), (1, 3, 3))[0].tolist() == [list(colour) for colour in colours]
    image = saved(palette_image(colours), transparency=1)
    assert image.mode == "P"
    assert pixels(image, (1, 3, 3))[0].tolist() == [[10, 20, 30], [255, 255, 255], [1, 2, 3]]
    translucent = saved(palette_image(colours), transparency=b"\xff\x00\xff")
    assert pixels(translucent, (1, 3, 3), background="black")[0, 1].tolist() == [0, 0, 0]


def test_palette_is_grey_only_without_colour():
    assert is_grey(saved(palette_image([(0, 0, 0), (9, 9, 9), (7, 7, 7)])))
    assert not is_grey(saved(palette_image([(0, 0, 0), (9, 9, 8)])))


def test_colour_key_of_an_rgb_file_is_transparent():
    image = saved(Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], dtype=np.uint8)), transparency=(1, 2, 3))
    assert pixels(image, (1, 2, 3))[0].tolist() == [[255, 255, 255], [4, 5, 6]]


def test_1_bit_becomes_0_and_255():
    image = saved(Image.fromarray(np.array([[True, False]])))
    assert image.mode == "1"
    assert pixels(image, (1, 2, 1)).ravel().tolist() == [255, 0]


def test_cmyk_becomes_rgb():
    image = saved(Image.new("CMYK", (2, 2), (255, 0, 0, 0)), "TIFF")
    assert image.mode == "CMYK"
    assert pixels(image, (2, 2, 3))[0, 0].tolist() == [0, 255, 255]


def test_first_frame_stands_for_an_animation():
    frames = [Image.new("RGB", (2, 2), colour) for colour in ("red", "blue")]
    image = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert image.n_frames == 2
    assert pixels(image, (2, 2, 3))[0, 0].tolist() == [255, 0, 0]


def test_exif_rotation_is_applied():
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)  # 0 1 2 / 3 4 5
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to view
    found = pixels(saved(Image.fromarray(array), exif=exif), (3, 2, 1))[..., 0]
    assert found.tolist() == [[3, 0], [4, 1], [5, 2]]


WIDE = np.repeat(np.array([[10, 20, 30, 40]], dtype=np.uint8), 2, axis=0)  # 2 high, 4 wide


@pytest.mark.parametrize(
    ("fit", "expected"),
    [
        ("crop", [[20, 30], [20, 30]]),
        ("stretch", [[15, 35], [15, 35]]),
        ("pad", [[15, 35], [0, 0]]),
    ],
)
def test_fit_to_a_square(fit, expected):
    assert pixels(Image.fromarray(WIDE), (2, 2, 1), fit=fit, resample="box")[..., 0].tolist() == expected


def test_pad_centres_between_black_bars():
    tall = Image.fromarray(np.full((4, 2), 9, dtype=np.uint8))
    assert pixels(tall, (4, 4, 1), fit="pad")[0, :, 0].tolist() == [0, 9, 9, 0]


def test_size_is_height_by_width():
    assert Preparation(size="2x4").shape({(2, 4)}, True) == (2, 4, 1)
    assert pixels(Image.fromarray(WIDE), (2, 4, 1))[..., 0].tolist() == WIDE.tolist()


def test_resample_filters_differ():
    spot = Image.fromarray(np.eye(8, dtype=np.uint8) * 255)
    made = {name: pixels(spot, (3, 3, 1), resample=name).tobytes() for name in ("lanczos", "bicubic", "box", "nearest")}
    assert len(set(made.values())) == 4


@pytest.mark.parametrize(
    ("sizes", "grey", "shape"),
    [
        ({(28, 28)}, True, (28, 28, 1)),
        ({(256, 256)}, False, (256, 256, 3)),
        ({(257, 257)}, True, (64, 64, 1)),
        ({(28, 30)}, True, (64, 64, 1)),
        ({(28, 28), (30, 30)}, False, (64, 64, 3)),
    ],
)
def test_automatic_shape(sizes, grey, shape):
    assert Preparation().shape(sizes, grey) == shape


def test_asked_shape_wins():
    assert Preparation(size="48x64", channels="3").shape({(28, 28)}, True) == (48, 64, 3)
    assert Preparation(size="32", channels="1").shape({(28, 28)}, False) == (32, 32, 1)
    assert not Preparation(size="32", channels="1").needs_survey


@pytest.mark.parametrize("size", ["0", "64x", "-1", "big", "64x0", "64 x 64", ""])
def test_malformed_size_is_refused(size):
    with pytest.raises(RecipeError, match=r"size: .* is not auto, own, 64, or 48x64"):
        Preparation(size=size)


def test_enormous_size_is_refused():
    with pytest.raises(RecipeError, match="above 8192 pixels a side"):
        Preparation(size="64x9000")


def test_preparation_is_text_and_every_field_is_described():
    made = parse("preparation", "images:size=48x64,flip=true,held_out=0.25")
    assert made == Preparation(size="48x64", flip=True, held_out=0.25)
    assert parse("preparation", str(made)) == made
    assert all(comment for _, _, comment in described_fields(Preparation))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_to_images_inverts_the_feed(dtype):
    every = torch.arange(256, dtype=torch.float64).div(127.5).sub(1)
    if dtype == torch.bfloat16:
        every = every[::255]  # -1 and 1 are exact, what lies between is not
    tensor = every.to(dtype).reshape(1, 1, 1, -1)
    assert to_images(tensor).ravel().tolist() == ([0, 255] if len(every) == 2 else list(range(256)))


def test_to_images_clamps_and_puts_channels_last():
    tensor = torch.tensor([-3.0, 0.0, 3.0]).reshape(1, 3, 1, 1).expand(2, 3, 4, 5)
    found = to_images(tensor)
    assert found.shape == (2, 4, 5, 3)
    assert found.dtype == np.uint8
    assert found[1, 3, 4].tolist() == [0, 128, 255]
