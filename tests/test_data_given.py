"""Data given from Python: arrays, tensors, PIL images and torch data sets, and how a run finds them again."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import zerosum
from tests.small import words
from zerosum.core.errors import DataError, RunError
from zerosum.data import Preparation, kept, open_data

pytestmark = pytest.mark.filterwarnings("ignore:.* bad, and left out")  # most tests are of what is left

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
LABELS = np.arange(12) % 3
NAMES = ["ants", "bees", "cats"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ZEROSUM_CACHE", str(tmp_path / "cache"))


class Pairs(Dataset):
    """A torch data set without an end of its own, as most are."""

    classes = ("ant", "bee", "cat")

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
    "float8 of few": lambda: (torch.from_numpy(PIXELS) // 255).float().to(torch.float8_e4m3fn),
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
    expected = PIXELS // 255 * 255 if "of few" in kind else PIXELS
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
        ([], "there is no image in what you gave; give a name, a path"),
        (None, "the data are None, as if a variable was never set; give a name, a path"),
        (7, "the data are 7, of type 'int'; give a name, a path"),
        (b"a.png", "the data are b'a.png', of type 'bytes'; give a name, a path"),
        (DataLoader(TensorDataset(torch.from_numpy(PIXELS))), "give the data set that it loads: loader.dataset"),
        ({}, "the dictionary you gave has no images; its keys are none, and one of 'image', 'images'.* is needed"),
        ({"train": PIXELS, "test": PIXELS}, "the dictionary you gave has no images; its keys are 'train', 'test'"),
        ({"images": None}, "the data are None"),
        ([{"picture": PIXELS[0]}], "item 0 has no images; its keys are 'picture'"),
        ([(PIXELS[0], 1, 7)], "item 0 has 3 values; give an image, or an image and its label"),
        ([(PIXELS[0], torch.arange(2))], r"item 0 has the label tensor\(\[0, 1\]\); labels are"),
        ([(PIXELS[0], "")], "item 0 has the label ''; labels are names"),
        ([(PIXELS[0], 0), (PIXELS[0], -1)], "item 1 has the label -1; labels are whole numbers from 0$"),
        (np.ma.masked_less(PIXELS, 9), "some values of the array you gave are masked"),
        (["a.png"], "item 0 is a str and neither an image nor an array"),
        (np.array(["a"]), "an array of <U1 cannot be data"),
        ("", "the name of the data is empty; give a name, a path"),
        ([(PIXELS[0], 1 << 70)], "item 0 has the label .*; labels are names of classes, or whole numbers"),
        ([(PIXELS[0], 0.5)], "item 0 has the label 0.5; labels are names of classes, or whole numbers"),
        ((PIXELS, LABELS[:4]), "12 images and 4 labels were given; one is needed for each"),
        ((np.array(3), [1]), "0 images and 1 label were given"),
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


def test_without_data_digits_are_trained_on_and_none_is_an_error(tmp_path):
    with pytest.raises(DataError, match="the data are None, as if a variable was never set"):
        zerosum.train(None, out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
    with pytest.raises(DataError, match="digits: held_out=1 leaves no image"):
        zerosum.train(settings=["held_out=1"], out=tmp_path / "run", quiet=True)


def pictures(labels, names=None, images=None):
    """A data set of PIL images, kept as files in an archive."""
    images = images or [Image.fromarray(one) for one in PIXELS[: len(labels)]]

    class Pictures(list):
        classes = names

    return Pictures(zip(images, labels, strict=True))


@pytest.mark.parametrize(
    "names",
    [
        ["a/b", "a_b", "c"],
        [".", "..", ".hidden"],
        ["train", "test", "val"],
        ["__MACOSX", "\x1b[2J\n\0", "\udcff"],
        ["x" * 300, "C:\\y", "z "],
    ],
)
def test_classes_keep_their_names_whatever_these_are(names):
    found = open_data(pictures([0, 1, 2, 1], names), Preparation(held_out=0))
    assert [found.classes[label] for label in found.labels] == [names[place] for place in (0, 1, 2, 1)]
    assert np.array_equal(found.values, PIXELS[:4])
    assert found.notes == ()


def shades(dataset, of):
    """The first number of each image of a signal, in order."""
    return [int(one.flat[0]) for one in (dataset.inputs if of == "input" else dataset.values)]


def grey(shades):
    return np.repeat(np.array(shades, np.uint8), 64).reshape(-1, 8, 8)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x,
        lambda x: torch.from_numpy(x)[:, None],
        lambda x: [Image.fromarray(one) for one in x],
        lambda x: list(torch.from_numpy(x)),
    ],
)
def test_pairs_are_a_dictionary_of_inputs_and_targets(make):
    data = {"target": make(grey([5, 6, 7])), "input": make(grey([200, 90, 0]))}
    found = open_data(data, Preparation(pairs="files", held_out=0.0))
    assert (shades(found, "input"), shades(found, "target")) == ([200, 90, 0], [5, 6, 7])
    assert "pairs: inputs A and targets B" in found.notes
    back = open_data(data, Preparation(pairs="files", held_out=0.0, direction="BtoA"))
    assert shades(back, "input") == [5, 6, 7]
    assert open_data(data, Preparation(pairs="files", held_out=0.0)).fingerprint == found.fingerprint


def test_the_images_of_a_pair_may_have_other_colours_and_each_pair_another_size():
    sides = [[Image.new(mode, (size, 8), 9) for size in (8, 12)] for mode in ("L", "RGB")]
    found = open_data(dict(zip(("input", "target"), sides, strict=True)), Preparation(pairs="files", held_out=0.0))
    assert found.inputs.shape == found.values.shape == (2, 64, 64, 3)


@pytest.mark.parametrize(
    ("inputs", "targets", "pairs", "told"),
    [
        (grey([1, 2]), grey([3]), "files", "2 inputs and 1 target were given; one is needed for each"),
        ([], [], "files", "0 inputs and 0 targets were given; give some"),
        (
            grey([1]),
            grey([3]),
            "",
            "you gave pairs of input and target, and this recipe takes no pairs; take another, such as",
        ),
        (grey([1]), grey([3]), "grey", "you gave pairs of input and target, and data.pairs=grey; set data.pairs=files"),
        (grey([1]), grey([3])[:, :4], "files", "target 0: is 4x8 (height x width), and its partner input 0 8x8"),
        (grey([1]), ["x"], "files", "item 0 is a str and neither an image nor an array"),
        (grey([1]), None, "files", "the data are None"),
    ],
)
def test_pairs_that_do_not_fit_are_refused(inputs, targets, pairs, told):
    with pytest.raises(DataError) as error:
        open_data({"input": inputs, "target": targets}, Preparation(pairs=pairs))
    assert told in str(error.value)


def test_a_run_on_given_pairs_resumes(tmp_path):
    data = {"input": grey(range(8)), "target": grey(range(8, 16))}
    more = ["data.pairs=files", "evaluation=never", "samples=never", "evaluator.metrics=similarity"]
    settings = [*words("pix2pix-small"), *more]
    run = zerosum.train(data, "pix2pix-small", settings, images=8, out=tmp_path / "run", threads=1, quiet=True)
    assert zerosum.resume(run.path, images=16, quiet=True).metrics[-1]["images"] == 16


def test_one_class_stays_one_and_classes_without_an_image_are_said():
    assert open_data(pictures([3, 3])).classes == ("3",)
    found = open_data(pictures([0, 2], np.array(NAMES)))
    assert found.classes == ("ants", "cats")
    assert found.notes == ("1 class has no image to train on and is left out: 'bees'",)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "a", "b"], "each class needs a name of its own; 'a' in data.classes is repeated or empty"),
        (["a", ""], "'' in data.classes is repeated or empty"),
        (["a", "b"], "item 2 has the label 2; labels are whole numbers from 0 to 1, as data.classes has 2 names"),
    ],
)
def test_names_of_classes_that_do_not_tell_them_apart_are_refused(names, message):
    with pytest.raises(DataError, match=message):
        open_data(pictures([0, 1, 2], names))


ODD = np.full((4, 4), np.nan, np.float32)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (PIXELS[:0], r"^the array you gave \(uint8, 0x8x8x3\) is empty"),
        (np.array(3), r"^the array you gave \(int64\) is a single number"),
        (torch.zeros(4, 3, 3) + 300, r"^the array you gave \(float32, 4x3x3\): floats from 300 to 300"),
        (PIXELS[None, None], r"^the array you gave \(uint8, 1x1x12x8x8x3\): shape .* is not a set of images"),
        (np.full((9, 2), np.inf), r"^the array you gave \(float64, 9x2\): holds NaN or infinity"),
        ((PIXELS, LABELS / 2), r"^the array you gave \(uint8, 12x8x8x3\): labels must be 12 whole numbers.*float64 12"),
        ([ODD, ODD[1:]], r"^the images you gave: all 2 images are bad, the first one: item 0: holds NaN or infinity$"),
        (
            [ODD, PIXELS[0]],
            "^item 0: holds NaN or infinity; mend or remove such files, or leave them out with --skip-bad",
        ),
        ([np.float32([[9e9]]), PIXELS[0]], "^the images you gave: floats from 9e"),
    ],
)
def test_faults_name_what_was_given_and_not_a_file_of_the_cache(data, message):
    with pytest.raises(DataError, match=message) as caught:
        open_data(data)
    assert "cache" not in str(caught.value)


def test_a_data_set_of_labelled_items_of_which_one_is_bad_names_it_by_its_place():
    images = [Image.fromarray(PIXELS[0]), ODD, Image.fromarray(PIXELS[1])]
    found = open_data(pictures(["b", "c", "a"], images=images), skip_bad=True)
    assert found.name == "the images you gave"
    assert found.skipped == ("item 1: holds NaN or infinity",)
    assert found.classes == ("a", "b")


def test_a_data_set_that_fails_is_no_fault_of_the_cache():
    def fail(_):
        raise FileNotFoundError("cat.png")

    message = r"^item 0 of the Pairs you gave cannot be read \(FileNotFoundError: cat.png\)"
    with pytest.raises(DataError, match=message):
        open_data(Pairs(fail))
