"""Folders without images, which would be classes or parts: said, in folders, zip and tar alike."""

import errno
import os
import shlex
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.test_data_files import cache, folder, png  # noqa: F401  (a fixture)
from zerosum.core.errors import DataError
from zerosum.data import Preparation, open_data

pytestmark = pytest.mark.filterwarnings("ignore:.* bad, and left out")  # most tests are of what is left

BOTH = {"cats/1.png": png(1), "dogs/2.png": png(2)}


def notes(place, files, empty=(), **fields):
    """What is said of a set with these files and empty folders: a folder, a zip and a tar say the same."""
    root = folder(place / "set", files)
    for name in empty:
        (root / name).mkdir(parents=True)
    with zipfile.ZipFile(place / "set.zip", "w") as packed, tarfile.open(place / "set.tar", "w") as taped:
        for path in sorted(root.rglob("*")):
            packed.write(path, path.relative_to(root))
            taped.add(path, path.relative_to(root), recursive=False)
    said = [open_data(one, Preparation(**fields)).notes for one in (root, place / "set.zip", place / "set.tar")]
    assert said[0] == said[1] == said[2]
    return said[0]


def test_an_empty_class_folder_is_said(tmp_path):
    assert notes(tmp_path, BOTH, ["birds"]) == ("class folder 'birds' has no images",)


@pytest.mark.parametrize(
    ("files", "empty", "line"),
    [
        (BOTH | {"birds/list.txt": b""}, [], "class folder 'birds' has no images"),
        (BOTH, ["birds/young"], "class folder 'birds' has no images"),
        (BOTH, ["birds", "\x1b[2J\n"], r"2 class folders have no images: '\x1b[2J\n', 'birds'"),
        (BOTH, list("bacdefg"), "7 class folders have no images: 'a', 'b', 'c', 'd', 'e' ... (7 in all)"),
        ({f"pets/2020/{name}": data for name, data in BOTH.items()}, ["pets/2020/birds"],
         "class folder 'pets/2020/birds' has no images"),
        ({f"{part}/{name}": data for part in ("train", "test") for name, data in BOTH.items()}, ["train/birds"],
         "class folder 'train/birds' has no images"),
        ({"train/1.png": png(1), "test/2.png": png(2)}, ["Val", "other"], "folder 'Val' has no images"),
        ({"train/1.png": png(1)}, ["test"], "folder 'test' has no images"),
        ({"cats/1.png": png(1)}, ["dogs"], "folder 'dogs' has no images; 'cats' alone makes no classes"),
    ],
)  # fmt: skip
def test_folders_without_images(tmp_path, files, empty, line):
    assert line in notes(tmp_path, files, empty)


def test_a_class_folder_of_which_everything_is_ignored_is_said_and_an_ignored_folder_is_not(tmp_path):
    files = BOTH | {"birds/3_mask.png": png(3), "fish/deep/4.png": png(4), "thumbs/5.png": png(5)}
    said = notes(tmp_path, files, ignore="*_mask.png thumbs", levels="1")
    assert said == ("2 class folders have no images: 'birds', 'fish'",)


LOOSE = {"x/1.png": png(1), "x/2.png": png(2), "y/3.png": png(3), "a.png": png(4), "b.png": png(5)}
MOVE = "to train with classes, move each into the folder of its class"


@pytest.mark.parametrize("top", ["", "train/"])
def test_images_that_lie_beside_class_folders_are_said(tmp_path, top):
    files = {f"{top}{name}": data for name, data in LOOSE.items()} | ({"test/x/6.png": png(6)} if top else {})
    line = f"labels: 'x', 'y' are not classes, since 2 images lie beside these folders: 'a.png', 'b.png'; {MOVE}"
    assert notes(tmp_path, files, [f"{top}x/empty", *([] if top else ["birds"])]) == (line,)


def test_one_image_beside_one_folder_is_said_and_none_beside_folders_of_another_meaning(tmp_path):
    one = {"x/1.png": png(1), "a.png": png(4)}
    line = f"labels: 'x' is not a class, since 1 image lies beside this folder: 'a.png'; {MOVE}"
    assert notes(tmp_path / "one", one) == (line,)
    says = {"dataset.json": b'{"labels": null}'}
    (said,) = notes(tmp_path / "json", LOOSE | says)
    assert said.endswith("dataset.json says that there are none, so folders are not classes")


def test_a_folder_that_cannot_be_read_is_left_out_by_what_the_message_says(tmp_path, monkeypatch):
    root, scan = folder(tmp_path / "set", BOTH | {"no entry [1]/sub/3.png": png(3)}), os.scandir

    def refuse(path):
        if Path(path).name in forbidden:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    forbidden = ["sub"]
    with pytest.raises(
        DataError, match=r"sub: cannot be read \(Permission denied\); mend it, or leave it out"
    ) as raised:
        open_data(root)
    (setting,) = shlex.split(str(raised.value).partition("leave it out with ")[2])
    found = open_data(root, Preparation(ignore=setting.removeprefix("data.ignore=")))
    assert (len(found), found.classes) == (2, ("cats", "dogs"))
    forbidden = ["set"]
    with pytest.raises(DataError, match=r"set: cannot be read \(Permission denied\); mend it$"):
        open_data(root)


@pytest.mark.parametrize(
    ("files", "empty"),
    [
        (BOTH, ["cats/none", ".git", "__MACOSX/x"]),
        (BOTH | {"labels.csv": b"1.png,a\n2.png,b\n"}, ["birds"]),
    ],
)
def test_folders_that_are_no_classes_are_not_said(tmp_path, files, empty):
    assert not any("no images" in line for line in notes(tmp_path, files, empty))


def test_a_class_of_damaged_images_alone_is_said(tmp_path):
    root = folder(tmp_path / "set", BOTH | {"birds/3.png": b"x"})
    assert "1 class has no image to train on and is left out: 'birds'" in open_data(root, skip_bad=True).notes


def test_what_is_ignored_is_not_called_empty(tmp_path):
    for files in (BOTH, BOTH | {"readme.txt": b""}):
        with pytest.raises(
            DataError, match=r"set: holds no images besides those that data.ignore and data.levels leave out"
        ):
            notes(tmp_path, files, ignore="*.png")


def test_names_of_a_million_folders_take_no_time(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as packed:
        packed.writestr("a/" * 30_000 + "1.png", png(1))
        packed.writestr("b/" * 30_000, b"")
    assert open_data(tmp_path / "set.zip").notes == ("folder 'b' has no images; 'a' alone makes no classes",)
