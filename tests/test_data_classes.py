"""Classes: their order, those without an image to train on, the split by class; names and places of data."""

import json

import numpy as np
import pytest

from tests.test_data_files import cache, folder, png, tarred, zipped  # noqa: F401  (a fixture)
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
    assert open_data("digits", rules=1).fingerprint.startswith(
        "8e132e0bd312243b"
    )  # as it was before rules had a number
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
        with pytest.raises(DataError, match="'classes' must name each class once, 2 in all; found"):
            open_data(arrays(tmp_path / "b.npz", [0, 1], classes=np.array(wrong)))


def test_classes_that_only_the_test_part_has_are_neither_offered_nor_judged(tmp_path):
    files = {"train/a/1.png": png(1), "train/c/2.png": png(2), "test/b/3.png": png(3), "test/c/4.png": png(4)}
    found = open_data(folder(tmp_path / "set", files))
    assert found.classes == ("a", "c")
    assert found.values[found.held_out][:, 0, 0, 0].tolist() == [4]
    assert found.labels[found.held_out].tolist() == [1]
    assert "1 class has no image to train on and is left out, and 1 held-out image with it: 'b'" in found.notes


# ---------------------------------------------------------------------------- files of labels

FLAT = {f"{name}.png": png(k) for k, name in enumerate(["a", "b", "c", "d"])}
SHARDS = {f"{k // 1000:05d}/img{k:08d}.png": png(k % 900) for k in (0, 1, 1000, 1001)}


def labelled(place, files, how="folder"):
    """Labels by the first pixel, and notes, of a set with these files (text or bytes)."""
    files = {name: data.encode() if isinstance(data, str) else data for name, data in files.items()}
    source = {"folder": folder, "zip": zipped, "tar": lambda path, all_: tarred(path, all_, "w")}[how](place, files)
    found = open_data(source, Preparation(held_out=0))
    if found.labels is None:
        return None, found.notes
    names = [found.classes[label] for label in found.labels]
    return dict(zip(found.values[:, 0, 0, 0].tolist(), names, strict=True)), found.notes


def shards(labels):
    return json.dumps(
        {"labels": labels if labels is None else [[name, one] for name, one in zip(SHARDS, labels, strict=True)]}
    )


@pytest.mark.parametrize("how", ["folder", "zip", "tar"])
def test_dataset_json_gives_the_labels_and_its_folders_are_no_classes(tmp_path, how):
    place = tmp_path / {"folder": "set", "zip": "set.zip", "tar": "set.tar"}[how]
    found, notes = labelled(place, {**SHARDS, "dataset.json": shards([6, 10, 6, 9])}, how)
    assert found == {0: "6", 1: "10", 100: "6", 101: "9"}
    assert "labels: 3 classes from dataset.json: '6', '9', '10'" in notes
    assert not any(note.startswith("left out") for note in notes)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([[0, 1], [1, 0], [0, 1], [1, 0]], ("0", "1")),
        (["x", "y", "x", "y"], ("x", "y")),
        (None, ()),
        ([2.0, 1, 10, 2], ("1", "2", "10")),
    ],
)
def test_dataset_json_holds_numbers_names_one_hot_lists_or_nothing(tmp_path, labels, classes):
    root = folder(tmp_path / "set", {**SHARDS, "dataset.json": shards(labels).encode()})
    assert open_data(root, Preparation(held_out=0)).classes == classes


def test_numbered_folders_of_nvidias_tools_are_no_classes_without_a_json_either(tmp_path):
    assert open_data(folder(tmp_path / "set", SHARDS)).labels is None
    assert open_data(folder(tmp_path / "other", {"00000/1.png": png(1), "00001/2.png": png(2)})).labels is not None


TABLES = {
    "labels.csv": "file,label\na.png,cat\nb.png,dog\nc.png,cat\nd.png,dog\n",
    "metadata.csv": "a.png,cat\nb.png,dog\nc.png,cat\nd.png,dog\n",  # no titles
    "breeds.csv": "id,size,breed\na,1,cat\nb,2,dog\nc,3,cat\nd,4,dog\n",  # no endings
    "train.tsv": "class\tpath\ncat\t./a.png\ndog\tb.png\ncat\tc.png\ndog\td.png\n",
    "x.csv": '\ufefffile_name;text\n"a.png";cat\n\nb.png;dog\nc.png;cat\nd.png;dog\nnot.png;cow\n',
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_gives_the_labels_and_it_is_said(tmp_path, name):
    found, notes = labelled(tmp_path / "set", {**FLAT, name: TABLES[name]})
    assert found == {0: "cat", 1: "dog", 2: "cat", 3: "dog"}
    spare = "; 1 of its entries names no image here" if "not.png" in TABLES[name] else ""
    assert notes == (f"labels: 2 classes from {name}: 'cat', 'dog'{spare}",)


def test_a_table_comes_before_folders_and_each_part_may_have_its_own(tmp_path):
    pets = {"x/a.png": png(0), "y/b.png": png(1)}
    found, _ = labelled(tmp_path / "set", {**pets, "labels.csv": "x/a.png,dog\ny/b.png,cat\n"})
    assert found == {0: "dog", 1: "cat"}
    parts = {
        f"{part}/{name}": data
        for part, of in (("train", "ab"), ("test", "cd"))
        for name, data in FLAT.items()
        if name[0] in of
    }
    tables = {"train/labels.csv": "a.png,cat\nb.png,dog\n", "test/labels.csv": "c.png,dog\nd.png,cat\n"}
    assert labelled(tmp_path / "parts", {**parts, **tables})[0] == {0: "cat", 1: "dog", 2: "dog", 3: "cat"}


def test_a_changed_table_changes_the_labels(tmp_path):
    labelled(tmp_path / "set", {**FLAT, "labels.csv": TABLES["labels.csv"]})
    found, _ = labelled(tmp_path / "set", {"labels.csv": TABLES["labels.csv"].replace("cat", "cow")})
    assert found[0] == "cow"


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        (
            "dataset.json",
            '{"labels": [["a.png", 1]]}',
            "has no label for 3 of 4 images: 'b.png', 'c.png', 'd.png'; complete it",
        ),
        (
            "dataset.json",
            '{"labels": [["a.png", [0.5, 0.5]]]}',
            r"has the label \[0.5, 0.5\]; a class is a whole number",
        ),
        ("dataset.json", '{"labels": [["a.png", -1]]}', "has the label -1; a class is a whole number"),
        ("dataset.json", '{"labels": [["z.png", 1]]}', "has no label for 4 of 4 images"),
        ("labels.csv", "a.png,cat\n", "has no label for 3 of 4 images: .*leave it out with data.ignore=labels.csv"),
        ("labels.csv", "a.png,cat\nb.png,\nc.png,x\nd.png,x\n", "has no label for 1 of 4 images: 'b.png'"),
        ("labels.csv", "a.png,cat\na.png,dog\n", "gives 'a.png' two labels, 'cat' and 'dog'; keep one"),
    ],
)
def test_labels_that_do_not_fit_are_one_clear_error(tmp_path, name, text, fault):
    with pytest.raises(DataError, match=f"set: {name} {fault}"):
        labelled(tmp_path / "set", {**FLAT, name: text})


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("metadata.csv", "width,height\n4,4\n", "names none of the images"),
        ("metadata.csv", "file,width,height\na.png,4,4\n", "has no column label"),
        ("metadata.csv", b"\xff\xfe\x00", "is not UTF-8 text"),
        ("metadata.csv", "", "is empty"),
        ("dataset.json", "[" * 100_000, "is not JSON"),
        ("dataset.json", '{"labels": 3}', "has a list `labels` that is not made of"),
        ("dataset.json", '{"name": "x"}', "has no list `labels`"),
    ],
)
def test_a_file_that_is_no_table_of_labels_is_said_to_be_unused(tmp_path, name, text, why):
    found, notes = labelled(tmp_path / "set", {**FLAT, name: text})
    assert found is None
    assert any(note.startswith(f"labels: {name} is not used; it {why}") for note in notes)


def test_captions_are_no_classes(tmp_path):
    files = {f"{k}.png": png(k) for k in range(20)}
    captions = "file_name,text\n" + "".join(f"{k}.png,picture number {k}\n" for k in range(20))
    assert labelled(tmp_path / "set", {**files, "metadata.csv": captions})[0] is None


def test_a_table_of_one_folder_alone_does_not_label_the_rest(tmp_path):
    found, notes = labelled(tmp_path / "set", {"x/a.png": png(0), "y/b.png": png(1), "x/labels.csv": "a.png,cat\n"})
    assert found == {0: "x", 1: "y"}
    assert "labels: 'x/labels.csv' covers only some folders and is not used" in notes


# ---------------------------------------------------------------------------- names and places


def test_a_named_set_wins_over_a_folder_of_its_name_and_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plain = open_data("digits")
    folder(tmp_path / "digits", {f"{k}.png": png(k) for k in range(3)})
    (tmp_path / "ring8").mkdir()
    named, place = open_data("digits"), open_data("./digits")
    assert (len(named), len(place)) == (1797, 3)
    assert len(open_data(tmp_path / "digits")) == 3
    assert "'digits' means the named set; for what lies here under that name write ./digits" in named.notes
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
    with pytest.raises(DataError, match=rf"{word!r} is not a file or folder, nor a named set; did you mean '{offer}'"):
        open_data(word)
