"""Folders, zip and tar: classes, parts, bad files, and what is equal between them."""

import io
import os
import struct
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from zerosum.core.errors import DataError, RecipeError, ZerosumWarning
from zerosum.data import Preparation, open_data
from zerosum.data.pixels import calm_pillow, open_image

pytestmark = pytest.mark.filterwarnings("ignore:.* bad, and left out")  # most tests are of what is left


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ZEROSUM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ZEROSUM_DATA", raising=False)


def png(value, size=(4, 4)):
    file = io.BytesIO()
    Image.new("RGB", size, (value, 0, 0)).save(file, "PNG")
    return file.getvalue()


def bomb(side=20_000):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def folder(root, files):
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    root.mkdir(exist_ok=True)
    return root


def values(found):
    return found.values[:, 0, 0, 0].tolist()


PETS = {"dogs/2.png": png(2), "cats/10.png": png(10), "cats/9.png": png(9), "dogs/1.png": png(1)}


def test_sub_folders_are_classes_in_sorted_order(tmp_path):
    found = open_data(folder(tmp_path / "pets", PETS))
    assert found.name == "pets"
    assert found.classes == ("cats", "dogs")
    assert values(found) == [10, 9, 1, 2]  # names are sorted as text
    assert found.labels.tolist() == [0, 0, 1, 1]
    assert found.labels.dtype == np.int64
    assert found.shape == (3, 4, 4)
    assert found.num_classes == 2


def test_folders_that_all_images_share_are_no_classes(tmp_path):
    deep = open_data(folder(tmp_path / "deep", {f"photos/2020/{name}": data for name, data in PETS.items()}))
    assert deep.classes == ("cats", "dogs")
    assert open_data(folder(tmp_path / "one", {"a/1.png": png(1), "a/2.png": png(2)})).labels is None


def test_images_beside_class_folders_leave_the_set_unlabelled(tmp_path):
    found = open_data(folder(tmp_path / "mixed", PETS | {"stray.png": png(7)}))
    assert found.labels is None
    assert found.classes == ()
    assert len(found) == 5


def test_parts_and_their_classes(tmp_path):
    files = {"train/cat/1.png": png(1), "train/dog/2.png": png(2), "test/dog/3.png": png(3), "val/cat/4.png": png(4)}
    found = open_data(folder(tmp_path / "set", files))
    assert found.classes == ("cat", "dog")
    assert np.array(values(found))[found.train].tolist() == [1, 2]
    assert sorted(np.array(values(found))[found.held_out].tolist()) == [3, 4]
    assert found.labels[found.train].tolist() == [0, 1]


def test_one_class_below_parts_works(tmp_path):
    files = {"train/cat/1.png": png(1), "test/cat/2.png": png(2)}
    found = open_data(folder(tmp_path / "set", files))
    assert found.classes == ("cat",)
    assert found.labels.tolist() == [0, 0]


def test_a_test_part_without_train_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"there is test/, val/ but no train/; name the folder to train on 'train'"):
        open_data(folder(tmp_path / "set", {"test/1.png": png(1), "val/2.png": png(2)}))


def test_images_beside_parts_are_refused(tmp_path):
    with pytest.raises(DataError, match="images lie beside the folders test/, train/"):
        open_data(folder(tmp_path / "set", {"test/1.png": png(1), "train/2.png": png(2), "3.png": png(3)}))


def test_hidden_files_are_ignored(tmp_path):
    hidden = {".hidden/1.png": b"x", "__MACOSX/a/1.png": b"x", "cats/.DS_Store": b"x", "cats/._1.png": b"x"}
    assert len(open_data(folder(tmp_path / "pets", PETS | hidden))) == 4


def test_a_link_to_its_own_parent_is_followed_once(tmp_path):
    root = folder(tmp_path / "pets", PETS)
    (root / "cats" / "loop").symlink_to(root, target_is_directory=True)
    assert len(open_data(root)) == 4


def test_empty_folder_and_folder_without_images_say_what_is_there(tmp_path):
    with pytest.raises(DataError, match="nothing: is empty; it should hold images"):
        open_data(folder(tmp_path / "nothing", {}))
    with pytest.raises(DataError, match=r"holds no images; found 3 other or hidden files \(2 .txt, 1 .md\)"):
        open_data(folder(tmp_path / "texts", {"a.txt": b"", "b.txt": b"", "c.md": b""}))
    with pytest.raises(DataError, match=r"found 1 other or hidden file \(1 .heic\); turn .heic and raw photographs"):
        open_data(folder(tmp_path / "phone", {"a.HEIC": b""}))


def test_one_image_trains_and_none_is_held_out(tmp_path):
    root = folder(tmp_path / "one", {"1.png": png(1)})
    for source in (root, root / "1.png"):
        found = open_data(source, Preparation(held_out=0.9))
        assert found.train.tolist() == [0]
        assert found.held_out.tolist() == []


def test_mixed_sizes_become_64(tmp_path):
    found = open_data(folder(tmp_path / "mixed", {"1.png": png(1), "2.png": png(2, (9, 5))}))
    assert found.values.shape == (2, 64, 64, 3)


def test_grey_files_make_a_grey_set_and_one_colour_file_a_colour_set(tmp_path):
    grey = io.BytesIO()
    Image.new("L", (4, 4), 9).save(grey, "PNG")
    assert open_data(folder(tmp_path / "grey", {"1.png": grey.getvalue()})).shape == (1, 4, 4)
    assert open_data(folder(tmp_path / "both", {"1.png": grey.getvalue(), "2.png": png(1)})).shape == (3, 4, 4)


def zipped(path, files, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def tarred(path, files, mode):
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def test_folder_zip_and_tar_are_equal(tmp_path):
    sources = [folder(tmp_path / "pets", PETS), zipped(tmp_path / "pets.zip", PETS)]
    sources += [tarred(tmp_path / f"pets.tar.{kind}", PETS, f"w:{kind}") for kind in ("gz", "xz", "bz2")]
    sources.append(tarred(tmp_path / "wrapped.tar", {f"top/{name}": data for name, data in PETS.items()}, "w"))
    found = [open_data(source) for source in sources]
    assert {one.fingerprint for one in found} == {found[0].fingerprint}
    assert all(values(one) == [10, 9, 1, 2] and one.labels.tolist() == [0, 0, 1, 1] for one in found)


def test_fingerprint_depends_on_content_preparation_and_split(tmp_path):
    root = folder(tmp_path / "pets", PETS)
    preparations = [Preparation(held_out=0.25), Preparation(held_out=0.25, size="8"), Preparation(held_out=0.5)]
    made = [open_data(root, preparation) for preparation in preparations] + [open_data(root, preparations[0], seed=1)]
    (root / "cats" / "9.png").write_bytes(png(8))
    made.append(open_data(root, preparations[0]))
    assert len({one.fingerprint for one in made}) == 5
    assert 8 in values(made[-1])


@pytest.mark.parametrize("name", ["pets.zip", "pets.tar.gz", "pets.tar"])
def test_damaged_archive_is_named(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"no archive at all" * 100)
    with pytest.raises(DataError, match=rf"{name}: is damaged or not a (zip|tar) archive .*; fetch or pack it again"):
        open_data(path)


@pytest.mark.parametrize("kind", ["gz", "xz", "bz2", ""])
def test_shortened_tar_is_an_error(tmp_path, kind):
    path = tarred(tmp_path / f"{kind}pets.tar", PETS, f"w:{kind}")
    path.write_bytes(path.read_bytes()[: -5 if kind else -10_000])
    with pytest.raises(DataError, match=r"pets.tar: is damaged"):
        open_data(path)


def test_encrypted_zip_is_refused(tmp_path):
    path = zipped(tmp_path / "pets.zip", PETS)
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1  # the flag of encryption in the first directory entry
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"pets.zip: is encrypted; unpack it with its password"):
        open_data(path)


def test_member_with_a_wrong_checksum_is_a_bad_image(tmp_path):
    path = zipped(tmp_path / "pets.zip", PETS)
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 6] ^= 255
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"dogs/2.png: is damaged .*CRC"):
        open_data(path)
    assert len(open_data(path, skip_bad=True)) == 3


BAD = {
    "text": (b"hello, I am text", "is not an image in a format that zerosum reads"),
    "empty": (b"", "is empty"),
    "cut": (png(1, (64, 64))[:90], "is damaged"),
    "bomb": (bomb(), "more than 100,000,000"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("size", ["auto", "4"])
def test_bad_image_is_named_with_the_way_out(tmp_path, kind, size):
    data, reason = BAD[kind]
    root = folder(tmp_path / "pets", PETS | {"dogs/bad.png": data})
    preparation = Preparation(size=size, channels="3")
    with pytest.raises(DataError, match=rf"^dogs/bad.png: .*{reason}.*leave them out with --skip-bad$"):
        open_data(root, preparation)
    for _ in range(2):  # decoded, then from the cache
        found = open_data(root, preparation, skip_bad=True)
        assert len(found.skipped) == 1
        assert found.skipped[0].startswith("dogs/bad.png: ")
        assert values(found) == [10, 9, 1, 2]
        assert found.labels.tolist() == [0, 0, 1, 1]
    with pytest.raises(DataError, match=r"dogs/bad.png: .*--skip-bad"):  # the cache must not hide it
        open_data(root, preparation)


def test_one_bad_image_of_twenty_is_left_out_and_named_and_two_are_too_many(tmp_path):
    root = folder(tmp_path / "pets", {f"{number:02}.png": png(number) for number in range(19)} | {"bad.png": b"x"})
    with pytest.warns(ZerosumWarning, match=r"^pets: 1 of 20 images is bad, and left out:\n  bad.png: is not an image"):
        assert values(open_data(root)) == [*range(19)]
    (root / "00.png").write_bytes(b"y")
    with pytest.raises(DataError, match=r"(?s)^2 of 20 images are bad:\n  00.png: .*\n  bad.png: "):
        open_data(root)


def test_skipping_keeps_labels_and_parts_in_step(tmp_path):
    files = {"train/a/0.png": b"bad", "train/a/1.png": png(1), "test/b/2.png": png(2), "test/a/3.png": b"bad"}
    found = open_data(folder(tmp_path / "set", {**files, "train/b/4.png": png(4)}), skip_bad=True)
    assert len(found.skipped) == 2
    assert np.array(values(found))[found.train].tolist() == [1, 4]
    assert np.array(values(found))[found.held_out].tolist() == [2]
    assert found.labels[found.held_out].tolist() == [1]


def test_all_bad_is_an_error_even_when_skipping(tmp_path):
    with pytest.raises(DataError, match=r"all 2 images are bad, the first one: 1.png: "):
        open_data(folder(tmp_path / "bad", {"1.png": b"x", "2.png": b"y"}), skip_bad=True)


def test_large_files_decode_in_threads_in_the_right_places(tmp_path):
    random = np.random.default_rng(0)
    files = {}
    for index in range(30):
        pixels = random.integers(0, 256, (80, 80, 3), dtype=np.uint8)
        pixels[0, 0] = index
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        files[f"{index:02d}.png"] = file.getvalue()
    files["07.png"] = files["07.png"][:-3000]
    found = open_data(folder(tmp_path / "noise", files), skip_bad=True)
    assert values(found) == [index for index in range(30) if index != 7]
    assert len(found.skipped) == 1


def test_progress_is_reported(tmp_path):
    heard = []
    open_data(folder(tmp_path / "pets", PETS), report=lambda *word: heard.append(word))
    assert ("decoding", 4, 4) in heard
    assert ("reading", 4, 4) in heard


def test_suffixes_in_capitals_are_images(tmp_path):
    assert len(open_data(folder(tmp_path / "camera", {"DSC1.PNG": png(1), "DSC2.Png": png(2)}))) == 2


def test_names_that_are_no_text_are_read(tmp_path):
    root = folder(tmp_path / "odd", {"1.png": png(1)})
    (root / os.fsdecode(b"\xff.png")).write_bytes(png(2))
    assert sorted(values(open_data(root))) == [1, 2]


def jpg(**options):
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (200, 0, 0)).save(file, "JPEG", **options)
    return file.getvalue()


def chunk(kind, data, check=None):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check or zlib.crc32(kind + data))


HARMLESS = {  # faults beside the pixels
    "exif.jpg": jpg(exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01"),
    "exif-garbage.jpg": jpg(exif=b"Exif\0\0" + b"\xff" * 40),
    "icc.jpg": jpg(icc_profile=b"\0" * 30),
    "mpo.jpg": jpg()[:2] + b"\xff\xe2\0\x0eMPF\0II*\0\xff\xff" + jpg()[2:],
    "short-app.jpg": jpg()[:2] + b"\xff\xed\0\x10Photoshop 3.0\0" + jpg()[2:],
    "trailing.jpg": jpg() + b"garbage" * 99,
    "text.png": png(200)[:33] + chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2_000_000))) + png(200)[33:],
    "checksum.png": png(200)[:33] + chunk(b"tEXt", b"a\0b", 7) + png(200)[33:],
    "icc.png": png(200)[:33] + chunk(b"iCCP", b"x\0\0garbage") + png(200)[33:],
    "exif.png": png(200)[:33] + chunk(b"eXIf", b"II*\0\x08\0\0\0\x05\0\x12\x01") + png(200)[33:],
    "trailing.png": png(200) + b"garbage",
}


@pytest.mark.parametrize("size", ["auto", "4"])
def test_damaged_metadata_do_not_refuse_pixels_that_decode(tmp_path, size):
    found = open_data(folder(tmp_path / "photos", HARMLESS), Preparation(size=size, channels="3"))
    assert found.skipped == ()
    assert all(190 < value < 210 for value in values(found))
    assert any(line.startswith("metadata: damaged in") and "text.png" in line for line in found.notes)


def test_the_first_20_bad_files_are_named_at_once(tmp_path):
    root = folder(tmp_path / "photos", {"good.png": png(1)} | {f"{i:02}.png": b"x" for i in range(23)})
    with pytest.raises(DataError, match=r"(?s)^23 of 24 images are bad:\n  00.png: .*\n  19.png: .*\n  and 3 more\n"):
        open_data(root)


def test_what_cannot_be_opened_is_a_bad_image(tmp_path):
    root = folder(tmp_path / "photos", {"good.png": png(1)})
    (root / "link.png").symlink_to(root / "nowhere.png")
    os.mkfifo(root / "pipe.png")
    with pytest.raises(
        DataError, match=r"(?s)link.png: cannot be read \(it is a broken link\).*pipe.png: .*not a regular"
    ):
        open_data(root)
    assert len(open_data(root, skip_bad=True)) == 1


def test_patterns_and_levels_leave_files_out(tmp_path):
    files = {"1.png": png(1), "1_mask.png": png(9), "thumbs/2.png": png(9), "deep/er/3.png": png(3)}
    places = folder(tmp_path / "pets", files), zipped(tmp_path / "pets.zip", files)
    for place in (*places, tarred(tmp_path / "pets.tar", files, "w")):
        chosen = [Preparation(ignore="*_mask.png thumbs"), Preparation(ignore="thumbs/* *_mask*", levels="0")]
        assert [values(open_data(place, one)) for one in chosen] == [[1, 3], [1]]
    with pytest.raises(RecipeError, match="levels: '-1' is not all, or a number of folders"):
        Preparation(levels="-1")


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_a_folder_of_npy_files_one_image_each(tmp_path):
    planes = np.arange(8 * 8 * 5, dtype=np.uint16).reshape(8, 8, 5)
    root = folder(tmp_path / "cells", {"a/1.npy": npy(planes), "b/2.npy": npy(planes + 3000)})
    found = open_data(root)
    assert found.shape == (5, 8, 8)
    assert found.classes == ("a", "b")
    assert found.values[1, 0, 0, 0] == round(3000 / 4095 * 255)
    assert not any("transparency" in line for line in found.notes)
    assert any("whole numbers from 0 to 3319 are read as 0..4095" in line for line in found.notes)
    stated = open_data(root, Preparation(range="0..3319"))
    assert stated.values.max() == 255
    (root / "a" / "1.npy").write_bytes(npy(planes).replace(b"(8, 8, 5), }  ", b"(0, 9" + b"0" * 20 + b")}", 1))
    with pytest.raises(DataError, match=r"a/1.npy: is damaged or not a NumPy file"):
        open_data(root)
    (root / "a" / "1.npy").write_bytes(npy(planes)[:-9])
    with pytest.raises(DataError, match=r"a/1.npy: is truncated or damaged; 640 bytes are announced, 631 are there"):
        open_data(root)


def deep(array, form="PNG"):
    file = io.BytesIO()
    Image.fromarray(array).save(file, form)
    return file.getvalue()


def test_one_range_for_all_deep_images_of_a_set(tmp_path):
    grey = np.full((4, 4), 1000, np.uint16)
    root = folder(tmp_path / "scans", {"1.png": deep(grey), "2.png": deep(grey * 4)})
    assert values(open_data(root)) == [62, 249]  # of 12 bits
    assert values(open_data(root, Preparation(range="1000..4000", size="4"))) == [0, 255]
    floats = {
        "1.tif": deep(np.full((4, 4), 30.0, np.float32), "TIFF"),
        "2.tif": deep(np.full((4, 4), 240.0, np.float32), "TIFF"),
    }
    assert values(open_data(folder(tmp_path / "floats", floats))) == [30, 240]


def test_transparency_is_kept_or_laid_on_a_colour(tmp_path):
    file = io.BytesIO()
    Image.new("RGBA", (4, 4), (10, 20, 30, 0)).save(file, "PNG")
    root = folder(tmp_path / "icons", {"1.png": file.getvalue(), "2.png": png(7)})
    assert open_data(root).notes == ("transparency: 1 image laid on white (background=white; channels=4 keeps it)",)
    kept = open_data(root, Preparation(channels="4"))
    assert kept.values[:, 0, 0].tolist() == [[10, 20, 30, 0], [7, 0, 0, 255]]
    assert open_data(root, Preparation(background="#ff8000")).values[0, 0, 0].tolist() == [255, 128, 0]
    assert open_data(root, Preparation(background="tomato")).values[0, 0, 0].tolist() == [255, 99, 71]
    with pytest.raises(RecipeError, match="background: unknown color specifier: 'puce'; write a name"):
        Preparation(background="puce")


def test_pillows_own_warning_about_size_is_not_ours():
    assert Image.MAX_IMAGE_PIXELS < 9_900**2 < 100_000_000
    with calm_pillow():
        assert open_image(io.BytesIO(bomb(9_900)), "x").size == (9_900, 9_900)
        with pytest.raises(DataError, match=r"x: has 10001x10001 pixels, more than 100,000,000"):
            open_image(io.BytesIO(bomb(10_001)), "x")


def notes(place, **fields):
    return open_data(place, Preparation(**fields)).notes


def test_what_is_cut_away_is_said(tmp_path):
    root = folder(tmp_path / "mixed", {"1.png": png(1, (80, 40)), "2.png": png(2, (32, 64)), "3.png": png(3, (16, 16))})
    for _ in range(2):  # decoded, then from the cache
        (line,) = notes(root, size="32")
        assert line == (
            "size: 3 images of 3 sizes, 16x16 to 64x32, resized to 32x32 (height x width); cut away at the edges: "
            "33.3% of the pixels on average, 50.0% at most (fit=pad keeps them); enlarged: 1"
        )
    assert "black bars" in notes(root, size="32", fit="pad")[0]
    assert "one side by 2.00 more than the other" in notes(root, size="32", fit="stretch")[0]
    assert notes(folder(tmp_path / "same", {"1.png": png(1), "2.png": png(2)})) == ()


def test_frames_and_inks_that_go_are_said(tmp_path):
    frames = [Image.new("RGB", (4, 4), (value, 0, 0)) for value in (50, 99, 200)]
    moving, still, printed = io.BytesIO(), io.BytesIO(), io.BytesIO()
    frames[0].save(moving, "GIF", save_all=True, append_images=frames[1:])
    frames[1].save(still, "GIF")
    Image.new("CMYK", (4, 4)).save(printed, "JPEG")
    files = {"a.gif": moving.getvalue(), "b.gif": still.getvalue(), "c.jpg": printed.getvalue(), "d.png": png(1)}
    assert notes(folder(tmp_path / "odd", files)) == (
        "frames: 1 image has several; only the first is used",
        "inks: 1 CMYK image becomes RGB",
    )
    whole = moving.getvalue()
    assert notes(folder(tmp_path / "cut", {"a.gif": whole[: len(whole) - 20], "d.png": png(1)}))[0].startswith("frames")


def test_files_left_out_are_counted_by_kind(tmp_path):
    files = PETS | {"a.heic": b"", "cats/b.HEIC": b"", "readme.txt": b"", "cats/.DS_Store": b""}
    line = (
        "left out: 3 files that are not images zerosum reads (2 .heic, 1 .txt); turn .heic and raw photographs into jpg"
    )
    for place in (
        folder(tmp_path / "pets", files),
        zipped(tmp_path / "pets.zip", files),
        tarred(tmp_path / "pets.tar.gz", files, "w:gz"),
    ):
        assert [one[: len(line)] for one in notes(place)] == [line]
