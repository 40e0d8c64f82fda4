"""Outputs: what may be replaced, links, pipes and devices, rights, full disks, names of folders."""

import errno
import os
import stat
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.test_sample import call, make
from zerosum.core.errors import RunError
from zerosum.core.writing import write_file
from zerosum.networks.space import Space
from zerosum.runs.storage import outputs
from zerosum.runs.storage.archives import write_npz
from zerosum.runs.storage.folders import LONGEST, class_folders, folder_name
from zerosum.runs.storage.saved import load_model, save_model
from zerosum.runs.view import animation, pictures
from zerosum.runs.view.report import page

posix = pytest.mark.skipif(os.name != "posix", reason="pipes, devices and rights are those of POSIX")
FRAMES = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return make(tmp_path_factory.mktemp("plain") / "g.safetensors")


def npz(path):
    with outputs.opened(path) as file:
        write_npz(file, {"images": FRAMES})


WRITERS = {
    ".png": lambda path: outputs.write(path, pictures.encode(FRAMES[0])),
    ".npz": npz,
    ".html": lambda path: outputs.write(path, page("A comparison", [], {"Numbers": "x" * 10_000}).encode()),
    **{form: lambda path, form=form: outputs.write(path, animation.encode(FRAMES, form)) for form in animation.FORMS},
}


@pytest.mark.parametrize("form", WRITERS)
def test_what_zerosum_wrote_is_replaced_and_other_files_are_not(tmp_path, form):
    path = tmp_path / f"out{form}"
    WRITERS[form](path)
    first = path.read_bytes()
    WRITERS[form](path)
    assert path.read_bytes() == first
    path.write_bytes(first.replace(outputs.MARK, b"x" * len(outputs.MARK)))
    theirs = path.read_bytes()
    with pytest.raises(
        RunError, match=r"out\S+ exists, and nothing in it says that zerosum wrote it; choose another --out, or replace"
    ):
        WRITERS[form](path)
    assert path.read_bytes() == theirs
    assert list(tmp_path.iterdir()) == [path]


def test_an_array_file_is_read_by_numpy(tmp_path):
    path = tmp_path / "a.npz"
    npz(path)
    with np.load(path) as file:
        assert file.files == ["images"]
        assert np.array_equal(file["images"], FRAMES)


def test_an_empty_file_is_free_and_others_with_permission(tmp_path):
    path = tmp_path / "a.txt"
    path.touch()
    outputs.write(path, b"one")
    with pytest.raises(RunError, match="nothing in it says that zerosum wrote it"):
        outputs.write(path, b"two")
    outputs.write(path, b"two", overwrite=True)
    assert path.read_bytes() == b"two"


@posix
def test_links_are_followed_and_stay_links(tmp_path):
    (tmp_path / "deep").mkdir()
    link, chain, target = tmp_path / "link.png", tmp_path / "chain.png", tmp_path / "deep" / "a.png"
    link.symlink_to("deep/a.png")
    chain.symlink_to("link.png")
    outputs.write(chain, outputs.MARK)
    assert target.read_bytes() == outputs.MARK
    assert link.is_symlink()
    assert chain.is_symlink()
    target.write_bytes(b"of the user")
    with pytest.raises(RunError, match=r"chain.png exists, and nothing in it says that zerosum wrote it"):
        outputs.write(chain, b"new")
    assert [one.name for one in target.parent.iterdir()] == ["a.png"]
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(RunError, match=r"cannot write .*loop: its links lead in a circle; choose another --out"):
        outputs.write(tmp_path / "loop", b"new")


@posix
def test_pipes_and_devices_are_written_through(tmp_path, place):
    pipe, heard = tmp_path / "pipe.npz", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: heard.append(pipe.read_bytes()))
    reader.start()
    assert call("sample", place, "-n", 3, "-o", pipe).exit_code == 0
    reader.join(10)
    assert call("sample", place, "-n", 3, "-o", tmp_path / "s.npz").exit_code == 0
    with np.load(tmp_path / "s.npz") as file:
        (tmp_path / "heard.npz").write_bytes(heard[0])  # a pipe cannot seek, so sizes stand elsewhere in the archive
        with np.load(tmp_path / "heard.npz") as other:
            assert np.array_equal(file["images"], other["images"])
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    (tmp_path / "null.png").symlink_to("/dev/null")
    for out in ("/dev/null", tmp_path / "null.png"):
        assert call("sample", place, "-n", 3, "-o", out, "--save-latents", "/dev/null").exit_code == 0
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    assert (tmp_path / "null.png").is_symlink()


@posix
def test_a_stream_that_goes_into_a_file_is_not_cut(tmp_path):
    with (tmp_path / "log").open("wb", buffering=0) as log:
        log.write(b"before ")
        outputs.write(f"/dev/fd/{log.fileno()}", b"it")
        log.write(b" after")
    assert (tmp_path / "log").read_bytes() == b"before it after"


@posix
def test_places_that_cannot_be_written_are_refused_in_words(tmp_path, place, monkeypatch):
    for out, why in (
        (tmp_path, "it is a folder; name a file with --out"),
        (tmp_path / "a\0b.png", "no file name holds a NUL byte"),
        (tmp_path / ("x" * 300 + ".png"), "File name too long; choose another --out"),
        ("/dev/full", "No space left on device; choose another --out"),
        (place / "s.png", r"g.safetensors is not a folder; choose another --out"),
    ):
        with pytest.raises(RunError, match=why):
            outputs.write(out, b"x" * 10)

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"cannot write .*new/s.png: No space left on device; choose another --html"):
        outputs.write(tmp_path / "new" / "s.png", b"x", option="--html")
    assert list((tmp_path / "new").iterdir()) == []


@posix
def test_rights_are_the_umask_s_or_those_of_the_old_file(tmp_path):
    before = os.umask(0o027)
    try:
        outputs.write(tmp_path / "a.png", outputs.MARK)
        assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o640
        (tmp_path / "a.png").chmod(0o604)
        outputs.write(tmp_path / "a.png", outputs.MARK)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o604


def test_a_photograph_in_the_way_is_kept_and_nothing_is_rendered(tmp_path, place):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in (1, 3):
        Image.fromarray(FRAMES[0]).save(photos / f"{number:06d}.png")
    before = {one.name: one.read_bytes() for one in photos.iterdir()}
    done = call("sample", place, "-n", 5, "-o", f"{photos}/")
    assert done.exit_code == 2
    assert "000001.png exists, and nothing in it says that zerosum wrote it" in done.stderr
    assert "(2 such files)" in done.stderr
    assert {one.name: one.read_bytes() for one in photos.iterdir()} == before
    assert call("sample", place, "-n", 5, "-o", f"{photos}/", "--overwrite").exit_code == 0
    again = call("sample", place, "-n", 5, "-o", f"{photos}/", "--seed", 1)  # they are zerosum's now
    assert again.exit_code == 0
    assert "other files" not in again.stderr
    fewer = call("sample", place, "-n", 3, "-o", f"{photos}/")
    assert "holds 2 other files beside these samples, for example '000003.png'" in fewer.stderr


@posix
def test_a_link_within_a_run_is_replaced_and_not_followed(tmp_path):
    """A stranger's run must not lead out of its directory; what lies in it is zerosum's."""
    (tmp_path / "theirs").write_bytes(b"of the user")
    (tmp_path / "report.html").symlink_to("theirs")
    write_file(tmp_path / "report.html", b"new")
    assert not (tmp_path / "report.html").is_symlink()
    assert (tmp_path / "theirs").read_bytes() == b"of the user"


# ---------------------------------------------------------------------- folders of classes


def test_names_of_classes_are_made_safe_as_folders():
    names = [
        "cat",
        "Cat",
        "a/b",
        "a\\b",
        "..",
        "",
        "nul",
        "con.txt",
        "x" * 300,
        "é" * 300,
        "\x1b[31m\0",
        " . ",
        "\u202egnp",
    ]
    folders = class_folders(names)
    assert folders[:8] == ["cat", "Cat-1", "a-b", "a-b-3", "class-4", "class-5", "nul-", "con.txt-"]
    assert len({one.casefold() for one in folders}) == len(names)
    for folder in folders:
        assert 0 < len(folder.encode()) <= LONGEST
        assert folder == folder.strip(" .")
        assert all(letter.isprintable() and letter not in '/\\:*?"<>|' for letter in folder)
    assert folder_name("x" * 300) != folder_name("x" * 301)
    assert folder_name("Ölbild 3") == "Ölbild 3"


def test_samples_of_odd_classes_lie_below_the_folder(tmp_path):
    path = make(tmp_path / "g.safetensors", "mlp", "generator.labels=concat", space=Space((1, 8, 8), 100, 3))
    generator = load_model(path)
    generator.classes = ("../../up", "a/b", "a-b")
    save_model(path, generator)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.jpg").touch()
    done = call("sample", path, "-n", 6, "-o", f"{tmp_path}/out/")
    assert done.exit_code == 0
    assert "holds 1 other file beside these samples, for example 'mine.jpg'" in done.stderr
    files = sorted(str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*.png"))
    folders = ("-..-up", "a-b", "a-b-2")
    assert files == sorted(f"out/{folders[number % 3]}/00000{number}.png" for number in range(6))
