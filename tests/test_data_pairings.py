"""Inputs computed from images: what each pairing does, that the image alone decides, and where they are kept."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image

from zerosum.core.errors import DataError
from zerosum.core.registry import parse, registered
from zerosum.data import Preparation, inputs, open_data
from zerosum.data.pairings import Blur, Edges, Grey, Inpaint, Noise, Pairing, SuperResolution

COMPUTED = sorted(registered("pairing").keys() - {"files"})
PHOTOS = torch.randint(256, (6, 3, 12, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", COMPUTED)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_inputs_depend_on_the_image_alone_and_have_its_size(name, channels):
    pairing = parse("pairing", name)
    images = PHOTOS.repeat(1, 2, 1, 1)[:, :channels]
    before = images.clone()
    given = pairing(images)
    assert given.dtype == torch.uint8
    assert given.shape == (6, pairing.channels(channels), 12, 16)
    assert torch.equal(images, before)
    assert torch.equal(pairing(images[[4]]), given[[4]])
    assert torch.equal(pairing(images.flip(0)), given.flip(0))
    tiny = torch.zeros(2, channels, 1, 2, dtype=torch.uint8)
    assert pairing(tiny).shape == (2, pairing.channels(channels), 1, 2)


def test_a_step_has_one_black_line_and_a_slope_below_the_threshold_none():
    step = torch.zeros(1, 1, 9, 16, dtype=torch.uint8)
    step[..., 8:] = 200
    lines = Edges(threshold=10)(step)[0, 0]
    dark = (lines == 0).nonzero()[:, 1]
    assert lines.unique().tolist() == [0, 255]
    assert len(dark) == 9  # one pixel a row
    assert dark.unique().tolist() in ([7], [8])
    assert torch.equal(Edges(threshold=10)(step.transpose(2, 3)), lines.T[None, None])
    slope = (5 * torch.arange(16, dtype=torch.uint8)).expand(1, 1, 9, 16)
    assert (Edges(threshold=6)(slope) == 255).all()
    assert (Edges(threshold=6, deviation=0)(step) == 0).sum() == 9


def test_grey_is_luma():
    pure = torch.eye(3, dtype=torch.uint8)[..., None, None] * 255
    assert Grey()(pure).flatten().tolist() == [round(255 * weight) for weight in (0.299, 0.587, 0.114)]


@pytest.mark.parametrize("place", ["random", "centre"])
def test_a_hole_has_its_share_of_the_area_and_the_rest_is_left(place):
    images = PHOTOS.repeat(20, 1, 1, 1)[:, :, :, :12].clone()
    images[images == 128] = 127
    images[:, 0, 0, 0] = torch.arange(120)  # no two are equal
    holed = Inpaint(share=0.25, place=place)(images)
    hidden = (holed == 128).all(1)
    assert (hidden.flatten(1).sum(1) == 36).all()
    assert torch.equal(holed[~hidden[:, None].expand_as(holed)], images[~hidden[:, None].expand_as(images)])
    tops = {tuple(one.nonzero()[0].tolist()) for one in hidden}
    if place == "centre":
        assert tops == {(3, 3)}
    else:
        assert {top for top, _ in tops} == {left for _, left in tops} == set(range(7))


def test_details_go_and_means_stay():
    flat = torch.full((1, 3, 8, 8), 77, dtype=torch.uint8)
    fine = flat.clone()
    fine[..., ::2] += 100
    for pairing in (SuperResolution(factor=2), Blur(deviation=2)):
        assert torch.equal(pairing(flat), flat)
        left = pairing(fine)[..., 2:6].float()
        assert left.mean() == pytest.approx(127, abs=5)
        assert left.std() < 10  # of 50
    dot = torch.zeros(1, 1, 21, 21)
    dot[..., 10, 10] = 255
    spread = Blur(deviation=1.5)(dot.to(torch.uint8)).float()
    places = torch.arange(21.0) - 10
    assert float((spread.sum(2)[0, 0] * places**2).sum() / spread.sum()) == pytest.approx(1.5**2, rel=0.1)


def test_noise_has_its_deviation():
    grey = torch.full((4, 3, 32, 32), 128, dtype=torch.uint8)
    grey[:, 0, 0, 0] = torch.arange(4)
    noise = Noise(deviation=10)(grey).float() - grey.float()
    assert noise.std() == pytest.approx(10, rel=0.05)
    assert noise.mean() == pytest.approx(0, abs=0.5)
    assert not torch.equal(noise[0], noise[1])


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.setenv("ZEROSUM_CACHE", str(tmp_path / "cache"))
    for number, image in enumerate(PHOTOS.permute(0, 2, 3, 1).numpy()):
        folder = tmp_path / "set" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[:12, :12]).save(folder / f"{number}.png")
    return tmp_path / "set"


def test_several_fields_are_joined_by_a_stroke(photos):
    found = open_data(photos, Preparation(pairs="inpaint:share=0.1/place=centre", held_out=0.34))
    assert (found.inputs[:, 6, 6] == 128).all()
    assert np.array_equal(found.inputs[:, 0], found.values[:, 0])
    assert len(found.held_out) == 2  # one of each class
    assert found.fingerprint != open_data(photos, Preparation(pairs="inpaint", held_out=0.34)).fingerprint


def test_inputs_of_large_sets_are_kept_in_the_cache(photos, monkeypatch, tmp_path):
    plain = open_data(photos, Preparation(pairs="blur"))
    monkeypatch.setattr(inputs, "HELD", 100)
    first = open_data(photos, Preparation(pairs="blur"))
    monkeypatch.setattr(inputs, "_computed", None)  # nothing is computed again
    again = open_data(photos, Preparation(pairs="blur"))
    assert isinstance(again.inputs, np.memmap)
    assert np.array_equal(plain.inputs, first.inputs)
    assert np.array_equal(again.inputs, first.inputs)
    monkeypatch.undo()
    monkeypatch.setenv("ZEROSUM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(inputs, "HELD", 100)
    (file,) = (tmp_path / "cache" / "inputs").iterdir()
    file.write_bytes(b"damaged")
    assert np.array_equal(open_data(photos, Preparation(pairs="blur")).inputs, plain.inputs)
    assert not np.array_equal(open_data(photos, Preparation(pairs="blur:deviation=1")).inputs, plain.inputs)


def test_grey_images_have_no_colours_to_learn(tmp_path):
    np.save(tmp_path / "x.npy", PHOTOS[:, 0].numpy())
    with pytest.raises(DataError, match=r"^x: data\.pairs=grey: the images are grey already; take another"):
        open_data(tmp_path / "x.npy", Preparation(pairs="grey"))


@dataclass(frozen=True)
class Wrong(Pairing):
    """Gives floats, or fails."""

    name = "wrong"
    fails: bool = False

    def __call__(self, images):
        return images.nothing if self.fails else images / 2


def test_a_pairing_of_ones_own_that_fails_is_named(photos, monkeypatch):
    for fails, told in (
        (False, r"pairing 'wrong' gave torch.float32 \[6, 3, 12, 12\]; it must give uint8 \[6, 3, 12, 12\]"),
        (True, r"pairing 'wrong' failed in .*test_data_pairings.py, line \d+: AttributeError: 'Tensor' object has no"),
    ):
        monkeypatch.setattr(Preparation, "pairing", Wrong(fails))
        with pytest.raises(DataError, match=told):
            open_data(photos, Preparation())
