"""Sizes that are chosen for the networks, faults found before decoding, and images of any number of channels."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.small import words
from zerosum.core.errors import RecipeError, RunError
from zerosum.data import Preparation, decode, open_data
from zerosum.recipes import read_recipe
from zerosum.runs.evaluation.evaluate import evaluate
from zerosum.runs.training import early, opening, session
from zerosum.runs.view import pictures
from zerosum.runs.view.sample import draft, pictured, write

RANDOM = np.random.default_rng(0)


def images(path, *sizes):
    path.mkdir()
    for number, (height, width) in enumerate(sizes):
        Image.fromarray(RANDOM.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path / f"{number}.png")
    return path


def multiples(of):
    return lambda shape, _: all(side % of == 0 for side in shape[:2])


@pytest.mark.parametrize(
    ("sizes", "of", "size", "shape"),
    [
        ([(48, 64)] * 2, 8, "48x64", (48, 64)),
        ([(50, 70)] * 2, 8, "48x64", (48, 64)),
        ([(50, 70)] * 2, 1, "50x70", (50, 70)),
        ([(28, 28)] * 2, 4, "auto", (28, 28)),
        ([(30, 30)] * 2, 4, "28x28", (28, 28)),
        ([(300, 400)] * 2, 8, "48x64", (48, 64)),
        ([(300, 300)] * 2, 8, "auto", (64, 64)),
        ([(40, 40), (50, 50)], 8, "auto", (64, 64)),
        ([(40, 40), (50, 50)], 128, "128x128", (128, 128)),
        ([(40, 50)] * 2, 1000, "auto", (64, 64)),
    ],
)
def test_equal_images_keep_their_shape_as_far_as_the_networks_take_it(tmp_path, sizes, of, size, shape):
    place = images(tmp_path / "set", *sizes)
    for _ in range(2):  # looked at, then remembered
        found = open_data(place, fits=multiples(of), cache=tmp_path / "cache")
        assert (found.size, found.shape) == (size, (3, *shape))
    assert open_data(place, Preparation(size="16"), fits=multiples(of), cache=tmp_path / "cache").size == "16"


def test_what_the_networks_take_is_asked_of_the_networks():
    takes = early.fits(read_recipe("dcgan"))
    assert takes((48, 64, 3), 0)
    assert takes((48, 64, 7), 10)
    assert not takes((50, 64, 3), 0)


def test_damaged_memory_of_sizes_is_looked_at_again(tmp_path):
    place = images(tmp_path / "set", (48, 64))
    open_data(place, fits=multiples(8), cache=tmp_path / "cache")
    (kept,) = (tmp_path / "cache" / "sizes").iterdir()
    for damage in ("", "[]", json.dumps({"size": [48], "usual": [1, 2, 3], "classes": 0})):
        kept.write_text(damage)
        assert open_data(place, fits=multiples(8), cache=tmp_path / "cache").shape == (3, 48, 64)


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        (["size=100"], {}, "nearest: 96 and 112; set size="),
        (["size=32", "schedule=linear"], {"images": "5min"}, "schedule"),
        ([], {"device": "cuda:99"}, "device 'cuda:99' cannot be used here"),
        (["objective=hing"], {}, "did you mean 'hinge'"),
    ],
)
def test_faults_of_settings_are_found_before_anything_is_decoded(tmp_path, monkeypatch, settings, options, message):
    monkeypatch.setattr(decode, "survey", None)
    monkeypatch.setattr(opening, "open_data", None)
    with pytest.raises((RecipeError, RunError), match=message):
        session.train(tmp_path, "dcgan", settings, quiet=True, **options)


def test_settings_that_could_fit_some_data_are_left_to_them():
    for settings in (["size=32"], ["size=32", "generator.labels=concat", "discriminator.labels=concat"], ["batch=8"]):
        early.check(read_recipe("dcgan", settings))
    early.check(read_recipe("mixture", ["size=50"]))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on images of 8x12 and five channels of 12 bits."""
    place = tmp_path_factory.mktemp("five")
    np.save(place / "cells.npy", RANDOM.integers(0, 4000, (40, 8, 12, 5)).astype(np.int32))
    sets = ["batch=8", "evaluation=32", "samples=32", "checkpoint=32", "evaluator.count=20", *words("dcgan")]
    return place, session.train(place / "cells.npy", "dcgan", sets, images=32, out=place / "run", quiet=True)


def test_any_channels_and_rectangles_train_sample_and_are_judged(trained):
    place, run = trained
    assert run.recipe.data.size == "8x12"
    assert run.sample(3).shape == (3, 5, 8, 12)
    assert "pictures: sheets show the first 3 of 5 channels" in open_data(place / "cells.npy").notes
    assert pictured(draft(run.path), "s.png") == "pictures of the first 3 of 5 channels (FILE.npz holds all)"
    assert pictured(draft(run.path), "s.npz") == ""
    write(draft(run.path, count=20), place / "s.npz")
    assert np.load(place / "s.npz")["images"].shape == (20, 8, 12, 5)
    for picture in (*(run.path / "samples").glob("*.png"), write(draft(run.path, count=4), place / "s.png")):
        assert mode_of(picture) == "RGB"
    (record,) = evaluate(place / "s.npz", data=place / "cells.npy", metrics="sliced-wasserstein")
    assert record.value > 0
    assert session.resume(run.path, quiet=True).finished


def mode_of(picture):
    with Image.open(picture) as file:
        return file.mode


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA"), (6, "RGB")])
def test_pictures_of_any_channels(tmp_path, channels, mode):
    pixels = RANDOM.integers(0, 256, (3, 8, 8, channels), dtype=np.uint8)
    pictures.save(tmp_path / "grid.png", pictures.grid(pixels))
    assert mode_of(tmp_path / "grid.png") == mode
    pictures.save(tmp_path / "one.png", pixels[0])
    with Image.open(tmp_path / "one.png") as file:
        seen = np.asarray(file).reshape(8, 8, -1)
    assert np.array_equal(seen, pixels[0][..., : seen.shape[2]])
