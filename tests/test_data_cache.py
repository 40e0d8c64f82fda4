"""The cache: decoded once, keyed by content, rebuilt when damaged, absent without harm."""

import errno
import os
import time

import numpy as np
import pytest
from PIL import Image

from zerosum.core.download import cache_folder
from zerosum.core.errors import DataError
from zerosum.data import Preparation, digests, open_data
from zerosum.data import cache as cache_module

pytestmark = pytest.mark.filterwarnings("ignore:.* bad, and left out")  # most tests are of what is left


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ZEROSUM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ZEROSUM_DATA", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def photos(tmp_path):
    root = tmp_path / "photos"
    for index in range(4):
        place = root / "ab"[index % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (index, 0, 0)).save(place / f"{index}.png")
        os.utime(place / f"{index}.png", (1e9, 1e9))
    return root


@pytest.fixture
def counted(monkeypatch):
    counts = {"decode": 0, "hash": 0}

    def count(module, name, key):
        plain = getattr(module, name)

        def wrapped(*words):
            counts[key] += 1
            return plain(*words)

        monkeypatch.setattr(module, name, wrapped)

    count(cache_module, "decode", "decode")
    count(digests, "sha256_of", "hash")
    return counts


def entries(cache):
    return sorted((cache / "decoded").iterdir())


def test_second_open_neither_decodes_nor_reads_the_files(photos, counted):
    first, second = open_data(photos), open_data(photos)
    assert counted == {"decode": 1, "hash": 4}
    assert isinstance(second.values, np.memmap)
    assert np.array_equal(first.values, second.values)
    assert second.classes == ("a", "b")
    assert second.labels.tolist() == first.labels.tolist() == [0, 0, 1, 1]
    assert second.fingerprint == first.fingerprint


def test_only_the_changed_file_is_read_again(photos, counted):
    open_data(photos)
    Image.new("RGB", (4, 4), (99, 0, 0)).save(photos / "a" / "0.png")
    found = open_data(photos)
    assert counted == {"decode": 2, "hash": 5}
    assert found.values[0, 0, 0, 0] == 99


def test_a_new_file_is_the_only_one_read(photos, counted):
    open_data(photos)
    Image.new("RGB", (4, 4), (99, 0, 0)).save(photos / "a" / "9.png")
    assert len(open_data(photos)) == 5
    assert counted == {"decode": 2, "hash": 5}


def test_a_file_that_changed_just_now_is_not_trusted_yet(photos, counted):
    os.utime(photos / "a" / "0.png", (time.time() + 5,) * 2)
    open_data(photos)
    open_data(photos)
    assert counted == {"decode": 1, "hash": 5}


def test_content_not_place_is_the_key(photos, counted, tmp_path):
    open_data(photos)
    photos.rename(tmp_path / "moved")
    assert open_data(tmp_path / "moved").name == "moved"
    assert counted["decode"] == 1


def test_preparation_that_changes_pixels_decodes_again_and_flip_does_not(photos, counted):
    open_data(photos)
    open_data(photos, Preparation(flip=True, held_out=0.5))
    assert counted["decode"] == 1
    open_data(photos, Preparation(size="8"))
    open_data(photos, Preparation(background="black"))
    assert counted["decode"] == 3


DAMAGES = {
    "no json": lambda entry: (entry / "entry.json").unlink(),
    "half json": lambda entry: (entry / "entry.json").write_text('{"shape": ['),
    "short values": lambda entry: os.truncate(entry / "values.npy", 150),
    "no values": lambda entry: (entry / "values.npy").unlink(),
    "other values": lambda entry: np.save(entry / "values.npy", np.zeros((3, 4, 4, 3), dtype=np.uint8)),
    "another shape": lambda entry: np.save(entry / "values.npy", np.zeros((4, 5, 5, 3), dtype=np.uint8)),
    "another type": lambda entry: np.save(entry / "values.npy", np.zeros((4, 4, 4, 3), dtype=np.float32)),
    "no labels": lambda entry: (entry / "labels.npy").unlink(),
    "short labels": lambda entry: np.save(entry / "labels.npy", np.zeros(3, dtype=np.int64)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_entry_is_rebuilt(photos, counted, cache, damage):
    first = np.array(open_data(photos).values)
    (entry,) = entries(cache)
    DAMAGES[damage](entry)
    assert np.array_equal(open_data(photos).values, first)
    open_data(photos)
    assert counted["decode"] == 2
    assert len(entries(cache)) == 1


def test_damaged_index_of_digests_is_replaced(photos, counted, cache):
    open_data(photos)
    (index,) = (cache / "digests").iterdir()
    index.write_text("[]")
    open_data(photos)
    assert counted == {"decode": 1, "hash": 8}


def test_unwritable_cache_falls_back_to_memory(photos, tmp_path):
    (tmp_path / "file").write_text("")
    heard = []
    found = open_data(photos, cache=tmp_path / "file" / "cache", report=lambda *word: heard.append(word[0]))
    assert len(found) == 4
    assert not isinstance(found.values, np.memmap)
    assert any("cannot be written" in word and "decoding into memory" in word for word in heard)
    assert found.fingerprint == open_data(photos).fingerprint


def test_full_disk_is_one_clear_error_and_leaves_nothing(photos, cache, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DataError, match=r"photos: the disk of the cache .* is full; make room or name another"):
        open_data(photos)
    assert entries(cache) == []


def test_too_little_room_is_seen_before_decoding(photos, cache, monkeypatch):
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match=r"is full \(192 bytes are needed\)"):
        open_data(photos)
    assert entries(cache) == []


def test_what_is_good_is_kept_where_a_bad_image_is_refused(photos, counted):
    (photos / "a" / "9.png").write_bytes(b"text")
    for _ in range(2):
        with pytest.raises(DataError, match=r"a/9\.png"):
            open_data(photos)
    assert len(open_data(photos, skip_bad=True)) == 4
    assert counted["decode"] == 1


def test_what_a_killed_process_left_is_swept_after_a_day(photos, cache):
    for name, age in (("building-old", 90_000), ("building-new", 10)):
        (cache / "decoded" / name).mkdir(parents=True)
        os.utime(cache / "decoded" / name, (time.time() - age,) * 2)
    open_data(photos)
    names = [entry.name for entry in entries(cache)]
    assert "building-new" in names
    assert "building-old" not in names


def test_place_of_the_cache(tmp_path, monkeypatch):
    assert cache_folder("given").name == "given"
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("ZEROSUM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "zerosum"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "zerosum"
