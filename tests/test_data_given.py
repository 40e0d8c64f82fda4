"""Data given from Python: arrays, tensors, PIL images and torch data sets, and how a run finds them again."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, TensorDataset

import zerosum
from tests.small import words
from zerosum.core.errors import DataError, RunError
from zerosum.data import kept, open_data

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
LABELS = np.arange(12) % 3
NAMES = ["ants", "bees", "cats"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ZEROSUM_CACHE", str(tmp_path / "cache"))


class Pairs(Dataset):
    """A torch data set without an end of its own, as most are."""

    classes = ("ant", "bee", "cat/x")

    def __init__(self, make):
        self.make = make

    def __len__(self):
        return len(PIXELS)

    def __getitem__(self, place):
        return self.make(place % len(PIXELS)), int(LABELS[place % len(PIXELS)])


class Endless(IterableDataset):
    def __iter__(self):
        yield from (torch.from_numpy(one).permute(2, 0, 1) for one in PIXELS)


GIVEN = {
    "array": lambda: PIXELS,
    "tensor": lambda: torch.from_numpy(PIXELS).permute(0, 3, 1, 2),
    "floats": lambda: torch.from_numpy(PIXELS).permute(0, 3, 1, 2) / 255,
    "bfloat16 of few": lambda: (torch.from_numpy(PIXELS) // 255 * 255).bfloat16(),
    "PIL": lambda: [Image.fromarray(one) for one in PIXELS],
    "list of arrays": lambda: list(PIXELS),
    "iterable": Endless,
    "one tensor of a TensorDataset": lambda: TensorDataset(torch.from_numpy(PIXELS)),
    "dictionary": lambda: {"images": PIXELS},
    "sparse": lambda: torch.from_numpy(PIXELS).permute(0, 3, 1, 2).to_sparse(),
}
LABELLED = {
    "pair": lambda: (PIXELS, LABELS),
    "pair with a list": lambda: (PIXELS, LABELS.tolist()),
    "dictionary with a list": lambda: {"images": PIXELS, "labels": LABELS.tolist()},
    "lists of PIL and names": lambda: ([Image.fromarray(one) for one in PIXELS], [NAMES[label] for label in LABELS]),
    "array of names": lambda: (PIXELS, np.array(NAMES)[LABELS]),
    "rows with names": lambda: [
        {"image": one, "label": NAMES[label]} for one, label in zip(PIXELS, LABELS, strict=True)
    ],
    "TensorDataset": lambda: TensorDataset(torch.from_numpy(PIXELS), torch.from_numpy(LABELS)),
    "Dataset of tensors": lambda: Pairs(lambda place: torch.from_numpy(PIXELS[place]).permute(2, 0, 1)),
    "Dataset of PIL": lambda: Pairs(lambda place: Image.fromarray(PIXELS[place])),
    "rows": lambda: [
        {"image": Image.fromarray(one), "label": int(label)} for one, label in zip(PIXELS, LABELS, strict=True)
    ],
}


ZIPPED = ("Dataset of PIL", "rows", "lists of PIL and names")  # in a folder for each class


@pytest.mark.parametrize("kind", GIVEN)
def test_images_are_taken_as_people_have_them(kind):
    found = open_data(GIVEN[kind]())
    expected = PIXELS // 255 * 255 if "bfloat16" in kind else PIXELS
    assert np.array_equal(found.values, expected)
    assert found.labels is None
    assert kept(GIVEN[kind]()) == kept(GIVEN[kind]())


@pytest.mark.parametrize("kind", LABELLED)
def test_labels_and_classes_come_along(kind):
    found = open_data(LABELLED[kind]())
    order = np.argsort(LABELS, kind="stable") if kind in ZIPPED else np.arange(12)
    assert np.array_equal(found.values, PIXELS[order])
    assert found.labels.tolist() == LABELS[order].tolist()
    called = ["ant", "bee"] if "Dataset of" in kind else NAMES if "names" in kind else ["0", "1"]
    assert list(found.classes[:2]) == called[:2]


def test_names_of_classes_are_in_natural_order():
    found = open_data((PIXELS, ["week 10", "week 9"] * 6))
    assert found.classes == ("week 9", "week 10")
    assert found.labels.tolist() == [1, 0] * 6


def test_images_of_several_sizes_and_modes():
    images = [Image.new("RGB", (9, 5)), Image.new("L", (4, 4)), Image.new("CMYK", (8, 8)), PIXELS[0]]
    assert open_data(images).shape == (3, 64, 64)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "there is no image in what was given"),
        (7, "'int' is nothing to train on; give a name, a path"),
        (["a.png"], "item 0 is a str, and no image or array"),
        (np.array(["a"]), "an array of <U1 cannot be data"),
        ("", "the name of the data is empty; give a name, a path"),
        ([(PIXELS[0], 1 << 70)], "item 0 has the label .*; labels are names of classes, or whole numbers"),
        ([(PIXELS[0], 0.5)], "item 0 has the label 0.5; labels are names of classes, or whole numbers"),
        ((PIXELS, LABELS[:4]), "there are 12 images and 4 labels; one is needed for each"),
        ((np.array(3), [1]), "there are 0 images and 1 labels"),
        ([(PIXELS[0], 1), (PIXELS[1], None)], "item 1 has no label, and others have"),
        ((PIXELS, [0] * 11 + ["cat"]), "some labels are names and some are numbers"),
    ],
)
def test_what_is_no_data_is_refused(data, message):
    with pytest.raises(DataError, match=message):
        open_data(data)


def test_a_run_on_an_array_resumes_and_takes_the_array_again(tmp_path):
    points = RANDOM.normal(100, 5, (60, 2))
    sets = ["batch=8", "evaluation=never", "samples=never", *words("mixture")]
    options = {"recipe": "mixture", "settings": sets, "images": 16, "out": tmp_path / "run", "quiet": True}
    run = zerosum.train(points, **options)
    assert run.sample(50).mean() > 50
    assert zerosum.resume(run.path, quiet=True).finished
    (place,) = (tmp_path / "cache" / "given").iterdir()
    place.unlink()
    with pytest.raises(DataError, match=place.name):
        zerosum.resume(run.path, quiet=True)
    with pytest.raises(RunError, match="the data changed since this run began"):
        zerosum.resume(run.path, data=points + 1, quiet=True)
    assert zerosum.resume(run.path, data=torch.from_numpy(points), quiet=True).finished
