"""Several labels of 0 and 1 for each image: files that give them, which are taken, and what is refused."""

import json

import numpy as np
import pytest

from tests.test_data_files import cache, folder, png, tarred, zipped  # noqa: F401  (a fixture)
from zerosum.core.errors import DataError, RecipeError
from zerosum.core.signals import Signal
from zerosum.data import Contents, Feed, Preparation, open_data
from zerosum.data.part import _faults

FLAT = {f"{name}.png": png(k) for k, name in enumerate("abcd")}
WANTED = {0: [1, 0], 1: [0, 1], 2: [1, 1], 3: [0, 0]}  # by first pixel
FILES = {
    "list.csv": "image_id,Size,Hat,Young\na.png,3,1,-1\nb.png,5,-1,1\nc.png,7,1,1\nd.png,9,-1,-1\nx.png,1,1,1\n",
    "faces.tsv": "Hat\tfile\tYoung\tsaid\nyes\ta\tfalse\tx\nno\tb\ttrue\ty\nYes\tc\tTrue\tz\nno\td\tFalse\tx\n",
    "tags.csv": 'file,tags\na.png,Hat\nb.png,Young\nc.png,"Hat, Young"\nd.png,\n',
    "dataset.json": json.dumps(
        {"labels": [["a.png", [1, 0]], ["b.png", [0, 1]], ["c.png", [1.0, 1]], ["d.png", [0, 0]]],
         "attributes": ["Hat", "Young"]}
    ),
}  # fmt: skip


def opened(place, files, how="folder", attributes=("all",), **more):
    files = {name: data.encode() if isinstance(data, str) else data for name, data in files.items()}
    source = {"folder": folder, "zip": zipped, "tar": lambda path, all_: tarred(path, all_, "w")}[how](place, files)
    return open_data(source, Preparation(held_out=0, attributes=attributes, **more))


def by_pixel(found):
    return dict(zip(found.values[:, 0, 0, 0].tolist(), found.attributes.tolist(), strict=True))


@pytest.mark.parametrize("name", FILES)
def test_a_file_beside_the_images_gives_their_attributes(tmp_path, name):
    found = opened(tmp_path / "set", {**FLAT, name: FILES[name]})
    assert found.attribute_names == ("Hat", "Young")
    assert by_pixel(found) == WANTED
    assert found.labels is None
    assert found.classes == ()
    assert found.signals["label"] == Signal("attributes", (2,))
    spare = "; 1 of its entries names no image here" if "x.png" in FILES[name] else ""
    assert f"labels: 2 attributes from {name}: 'Hat', 'Young'{spare}" in found.notes


@pytest.mark.parametrize("how", ["zip", "tar"])
def test_archives_hold_them_too(tmp_path, how):
    found = opened(tmp_path / f"set.{how}", {**FLAT, "list.csv": FILES["list.csv"]}, how)
    assert by_pixel(found) == WANTED


def test_those_that_are_named_are_taken_in_their_order(tmp_path):
    files = {**FLAT, "list.csv": FILES["list.csv"]}
    found = opened(tmp_path / "set", files, attributes=("Young", "Hat"))
    assert by_pixel(found) == {pixel: flags[::-1] for pixel, flags in WANTED.items()}
    one = opened(tmp_path / "set", files, attributes=("Young",))
    assert one.attributes.shape == (4, 1)
    assert len({one.fingerprint, found.fingerprint, opened(tmp_path / "set", files).fingerprint}) == 3


def test_batches_and_arrays_have_them(tmp_path):
    images = np.arange(12, dtype=np.uint8)[:, None, None].repeat(4, 1).repeat(4, 2)
    flags = np.stack([np.arange(12) % 2, np.arange(12) // 6], 1)
    np.savez(tmp_path / "x.npz", images=images, labels=flags, classes=["odd", "late"])
    found = open_data(tmp_path / "x.npz", Preparation(held_out=0.25, attributes=("late", "odd")))
    assert found.attribute_names == ("late", "odd")
    batch = Feed(found, 5).next()
    values = ((batch["sample"][:, 0, 0, 0] + 1) * 127.5).round().int()
    assert batch["label"].dtype is batch["sample"].dtype
    assert batch["label"].tolist() == [[value // 6, value % 2] for value in values.tolist()]
    with pytest.raises(DataError, match=r"the labels are 2 of 0 and 1 for each image; set data.attributes=all"):
        open_data(tmp_path / "x.npz")
    np.savez(tmp_path / "y.npz", images=images, labels=flags, classes=["odd", "odd"])
    with pytest.raises(DataError, match="'classes' must name each of the 2 attributes once"):
        open_data(tmp_path / "y.npz", Preparation(attributes=("all",)))


def test_attributes_come_from_python_and_from_a_source_of_ones_own():
    flags = np.array([[1, 0], [0, 1], [1, 1], [0, 0]])
    images = np.arange(4, dtype=np.uint8)[:, None, None].repeat(4, 1).repeat(4, 2)
    found = open_data((images, flags), Preparation(held_out=0, attributes=("all",)))
    assert (found.attributes.tolist(), found.attribute_names) == (flags.tolist(), ("0", "1"))
    for labels, fault in (
        (flags, None),
        (flags + 1, "4 samples need 4 whole-number labels"),
        (flags[:, :1], "4 samples need 4 whole-number labels"),
    ):
        faults = [*_faults(Contents(array=images, labels=labels, classes=("a", "b")))]
        assert (fault is None) == (faults == [])
        assert not faults or faults[0].startswith(fault)


@pytest.mark.parametrize(
    ("files", "attributes", "fault"),
    [
        ({}, ("all",), "data.attributes needs attributes, and these data have none; put a table beside the images"),
        (FILES, ("Hut",), "data.attributes: there is no attribute 'Hut'; did you mean 'Hat'"),
        ({"list.csv": "file,Hat,Old\na,1,0\nb,0,0\nc,1,0\nd,1,0\n"}, ("all",),
         "all images to train on are alike in 'Old', so nothing can be learnt of that; set data.attributes=Hat"),
        ({"list.csv": "file,Hat,Hat\na,1,0\nb,0,1\nc,1,0\nd,1,0\n"}, ("all",), "has several attributes of one name"),
        ({"list.csv": "file,Hat\na,1\nb,0\n"}, ("all",), "list.csv has no label for 2 of 4 images: 'c.png', 'd.png'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said(tmp_path, files, attributes, fault):
    files = dict([*files.items()][:1])
    with pytest.raises(DataError, match=fault):
        opened(tmp_path / "set", {**FLAT, **files}, attributes=attributes)


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("list.csv", "file,size\na.png,3\n", "has no columns of 0 and 1 under a title"),
        (
            "dataset.json",
            '{"labels": [["a.png", 3]]}',
            "has the label 3; attributes are lists of 0 and 1 of one length",
        ),
        ("dataset.json", '{"labels": [["a.png", [1, 0]], ["b.png", [1]]]}', r"has the label \[1\]; attributes are"),
    ],
)
def test_a_file_without_attributes_is_said_to_be_unused(tmp_path, name, text, why):
    tables = {name: text.encode()}
    with pytest.raises(DataError, match=r"data.attributes needs attributes"):
        opened(tmp_path / "set", {**FLAT, **tables})
    with pytest.raises(DataError, match=f"labels: {name} is not used; it {why}"):
        opened(tmp_path / "set", {**FLAT, **tables})


def test_without_being_asked_for_they_are_no_classes_and_a_note_says_how(tmp_path):
    found = opened(tmp_path / "set", {**FLAT, "list.csv": FILES["list.csv"]}, attributes=())
    assert (found.labels, found.attributes) == (None, None)
    assert any("columns of 0 and 1 are read with data.attributes=all" in note for note in found.notes)
    with pytest.raises(DataError, match=r"several attributes at once are read with data.attributes=all"):
        opened(tmp_path / "other", {**FLAT, "dataset.json": FILES["dataset.json"]}, attributes=())


def test_settings_that_contradict_are_refused():
    for settings, fault in (
        ({"attributes": ("a", "a")}, "name each once, as hat/young, or all"),
        ({"attributes": ("all", "a")}, "name each once, as hat/young, or all"),
        ({"attributes": ("a",), "domains": ("auto",)}, "attributes are of single images, and domains is set"),
        ({"attributes": ("a",), "pairs": "grey"}, "attributes are of single images, and pairs is set"),
    ):
        with pytest.raises(RecipeError, match=fault):
            Preparation(**settings)
