"""Classes: their order, those without an image to train on, the split by class; names and places of data."""

import numpy as np
import pytest

from tests.test_data_files import cache, folder, png  # noqa: F401  (a fixture)
from zerosum.core.errors import DataError
from zerosum.data import Preparation, open_data, whole_place
from zerosum.data.classes import natural, stratified


def arrays(path, labels, **more):
    """An .npz of images with these labels; each image's first pixel is its place."""
    images = np.zeros((len(labels), 4, 4), np.uint8)
    images[:, 0, 0] = np.arange(len(labels))
    np.savez(path, images=images, labels=np.array(labels), **more)
    return path


def test_numbers_in_names_sort_as_numbers():
    names = ["10", "9", "010", "a10", "a9", "02", "1", "b", "x2y10", "x2y9", "9" * 5000]
    ordered = ["1", "02", "9", "010", "10", "9" * 5000, "a9", "a10", "b", "x2y9", "x2y10"]
    assert sorted(names, key=natural) == ordered


def test_class_folders_with_numbers_are_numbered_by_them(tmp_path):
    root = folder(tmp_path / "set", {f"{name}/{k}.png": png(k) for k, name in enumerate(["10", "2", "1", "010"])})
    found = open_data(root, Preparation(held_out=0))
    assert found.classes == ("1", "2", "010", "10")
    assert dict(zip(found.values[:, 0, 0, 0].tolist(), found.labels.tolist(), strict=True)) == {2: 0, 1: 1, 3: 2, 0: 3}


def test_runs_of_earlier_versions_keep_their_classes_and_split(tmp_path):
    files = {f"{name}/{k}.png": png(10 * k + int(name)) for name in ("1", "2", "10") for k in range(4)}
    root = folder(tmp_path / "set", files)
    old, new = (open_data(root, Preparation(held_out=0.25), rules=rules) for rules in (1, 2))
    assert (old.classes, new.classes) == (("1", "10", "2"), ("1", "2", "10"))
    assert old.fingerprint != new.fingerprint
    count = np.sort(np.random.default_rng(0).permutation(12)[:3])
    assert old.held_out.tolist() == count.tolist()
    plain = folder(tmp_path / "plain", {f"{k}.png": png(k) for k in range(9)})
    assert open_data(plain, rules=1).fingerprint == open_data(plain).fingerprint


@pytest.mark.parametrize(
    ("counts", "share"), [((13, 2, 5), 0.1), ((300, 50, 2, 1, 0, 7), 0.2), ((1, 1), 0.5), ((9,), 0.9)]
)
def test_the_held_out_part_is_a_share_of_every_class_and_never_its_last_image(counts, share):
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(len(counts)), counts))
    held = stratified(labels, share, seed=3)
    taken = np.bincount(labels[held], minlength=len(counts))
    assert np.unique(held).tolist() == held.tolist()
    assert all(size - out >= 1 for size, out in zip(counts, taken, strict=True) if size)
    assert (np.abs(taken - share * np.array(counts)) < 1).all()
    if min(counts) > 1:
        assert len(held) == round(share * len(labels))
    assert stratified(labels, share, seed=3).tolist() == held.tolist()
    if max(counts) > 9:
        assert stratified(labels, share, seed=4).tolist() != held.tolist()


def test_ties_between_equal_classes_are_broken_at_random():
    labels = np.repeat(np.arange(30), 2)
    taken = [set(labels[stratified(labels, 0.1, seed)].tolist()) for seed in range(5)]
    assert [len(one) for one in taken] == [6] * 5
    assert len(set().union(*taken)) > 15


def test_labels_from_one_on_leave_out_the_class_that_nobody_has(tmp_path):
    found = open_data(arrays(tmp_path / "a.npz", [1, 2, 3, 3, 1, 2, 1]), Preparation(held_out=0.2))
    assert found.classes == ("1", "2", "3")
    assert found.labels.tolist() == [0, 1, 2, 2, 0, 1, 0]
    assert found.shares == pytest.approx(np.bincount(found.labels[found.train]) / len(found.train))
    assert "1 class has no image to train on and is left out: '0'" in found.notes


def test_names_of_classes_in_an_npz(tmp_path):
    named = open_data(arrays(tmp_path / "a.npz", [0, 1, 1, 0], classes=np.array(["cat", "dog"])))
    assert named.classes == ("cat", "dog")
    for wrong in (["cat"], ["cat", "cat"], [[1, 2]]):
        with pytest.raises(DataError, match="'classes' must name each of the 2 classes once"):
            open_data(arrays(tmp_path / "b.npz", [0, 1], classes=np.array(wrong)))


def test_classes_that_only_the_test_part_has_are_neither_offered_nor_judged(tmp_path):
    files = {"train/a/1.png": png(1), "train/c/2.png": png(2), "test/b/3.png": png(3), "test/c/4.png": png(4)}
    found = open_data(folder(tmp_path / "set", files))
    assert found.classes == ("a", "c")
    assert found.values[found.held_out][:, 0, 0, 0].tolist() == [4]
    assert found.labels[found.held_out].tolist() == [1]
    assert "1 class has no image to train on and is left out, and 1 held-out image with it: 'b'" in found.notes


# ---------------------------------------------------------------------------- names and places


def test_a_named_set_wins_over_a_folder_of_its_name_and_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plain = open_data("digits")
    folder(tmp_path / "digits", {f"{k}.png": png(k) for k in range(3)})
    (tmp_path / "ring8").mkdir()
    named, place = open_data("digits"), open_data("./digits")
    assert (len(named), len(place)) == (1797, 3)
    assert len(open_data(tmp_path / "digits")) == 3
    assert "'digits' is the named set; what lies here under that name is written ./digits" in named.notes
    assert not any("named set" in note for note in (*plain.notes, *place.notes))
    assert any("./ring8" in note for note in open_data("ring8").notes)


def test_a_place_means_the_same_from_anywhere_and_a_name_stays_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert whole_place("digits") == "digits"
    assert whole_place("hf:owner/name") == "hf:owner/name"
    for text in ("./digits", "hf:./digits"):
        assert whole_place(text).removeprefix("hf:") == str(tmp_path / "digits")
    assert whole_place("photos") == "photos"  # which is not there: errors say what was written


@pytest.mark.parametrize(
    ("word", "offer"),
    [
        ("photo", "photos/"),
        ("PHOTO", "photos/"),
        ("./photo", "photos/"),
        ("phtos/cats", "photos/"),
        ("photos/cat", "photos/cats/"),
        ("faces.zp", "faces.zip"),
        ("digit", "digits"),
    ],
)
def test_a_near_miss_offers_what_lies_there(tmp_path, monkeypatch, word, offer):
    folder(tmp_path, {"photos/cats/1.png": png(1), "faces.zip": b"", ".photo": b""})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=rf"{word!r} is not a file or folder, and no named set; did you mean '{offer}'"):
        open_data(word)
