"""Files that announce or unpack to more than there is: one sentence, and no memory."""

import gzip
import io
import struct
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pytest

from zerosum.core.errors import DataError
from zerosum.data import limits, open_data


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    monkeypatch.setenv("ZEROSUM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(limits, "HARMLESS", 1 << 16)


@pytest.fixture
def bounded():
    tracemalloc.start()
    yield
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def header(shape, dtype="|u1"):
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


HEADERS = {
    "claims 10^18": (header((10**18,)), "1,000,000,000,000,000,000 bytes are announced, 9 are there"),
    "claims 10^400": (header((10**400,)), "are announced|is damaged"),
    "negative": (header((-1, 9)), "is damaged|of type"),
    "objects": (header((1,), "|O"), "holds Python objects, which could run code"),
    "no dictionary": (header(()).replace(b"{", b"("), "is damaged or not a NumPy file"),
    "deep": (b"\x93NUMPY\x01\x00" + struct.pack("<H", 9000) + b"(" * 9000, "is damaged or not a NumPy file"),
    "cut": (header((9,))[:20], "is damaged or not a NumPy file"),
    "version 9": (b"\x93NUMPY\x09\x00" + bytes(90), "is damaged or not a NumPy file"),
    "dates": (header((1,), "<M8[s]"), "values of type datetime64"),
}


@pytest.mark.parametrize("kind", HEADERS)
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.usefixtures("bounded")
def test_npy_headers_are_not_believed(tmp_path, kind, packed):
    head, message = HEADERS[kind]
    path = tmp_path / ("set.npz" if packed else "set.npy")
    if packed:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("images.npy", head + bytes(9))
    else:
        path.write_bytes(head + bytes(9))
    with pytest.raises(DataError, match=message):
        open_data(path)


def tar_of(name, size):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = size
        archive.addfile(member, io.BytesIO(bytes(size)))
    return file.getvalue()


def zip_of(name, size):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, bytes(size))
    return file.getvalue()


MUCH = 2 << 20
BOMBS = {
    "set.tar.gz": gzip.compress(tar_of("1.png", MUCH)),
    "beside.tar.gz": gzip.compress(tar_of("1.txt", MUCH)),
    "set-images-idx3-ubyte.gz": gzip.compress(b"\0\0\x08\x03" + struct.pack(">3I", MUCH, 1, 1) + bytes(MUCH)),
    "set.zip": zip_of("1.png", MUCH),
    "set.npz": zip_of("images.npy", MUCH),
    "cifar-10-python.tar.gz": gzip.compress(tar_of("data_batch_1", MUCH)),
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.usefixtures("bounded")
def test_bombs_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(BOMBS[name])
    with pytest.raises(DataError, match=r"would unpack to .* or more, over 200 times its size; .*decompression bomb"):
        open_data(tmp_path / name)


@pytest.mark.parametrize(("count", "message"), [(1 << 25, "unpack to 33,554,448 or more"), (9, "9 bytes .*, more are")])
@pytest.mark.usefixtures("bounded")
def test_idx_takes_no_more_memory_than_its_header_allows(tmp_path, monkeypatch, count, message):
    monkeypatch.setattr(limits, "HARMLESS", 1 << 24)  # which is more than `bounded`
    with gzip.open(tmp_path / "set-images-idx3-ubyte.gz", "wb", 1) as file:
        file.write(b"\0\0\x08\x03" + struct.pack(">3I", count, 1, 1))
        for _ in range(17):
            file.write(bytes(1 << 20))
    with pytest.raises(DataError, match=message):
        open_data(tmp_path / "set-images-idx3-ubyte.gz")


def test_what_does_not_fit_into_memory_is_refused_before_it_is_read():
    limits.room(1 << 20, "x")
    with pytest.raises(DataError, match=r"x: needs 1,152,921,504,606,846,976 bytes of memory, there are .*save it as"):
        limits.room(1 << 60, "x")


def test_gz_cut_short_and_announced_bytes_that_are_not_there(tmp_path):
    path = tmp_path / "set-images-idx3-ubyte.gz"
    whole = b"\0\0\x08\x03" + struct.pack(">3I", 4, 9, 9) + bytes(range(81)) * 4
    path.write_bytes(gzip.compress(whole)[:-12])
    with pytest.raises(DataError, match="is damaged"):
        open_data(path)
    path.write_bytes(gzip.compress(whole.replace(b"\0\0\0\x04", b"\xff\xff\xff\xff", 1)))
    with pytest.raises(
        DataError, match=r"would unpack to 347,892,350,911 or more, .* it is damaged or a decompression"
    ):
        open_data(path)
    path.write_bytes(whole.replace(b"\0\0\0\x04", b"\xff\xff\xff\xff", 1))
    with pytest.raises(DataError, match=r"347,892,350,895 bytes are announced, 324 are there"):
        open_data(path)


def test_a_tar_whose_members_go_round_in_a_circle_ends(tmp_path):
    data = bytearray(tar_of("1.png", 0))
    data[124:136] = b"\x80" + b"\xff" * 3 + struct.pack(">q", -1024)  # a size below zero
    data[148:156] = b"        "
    data[148:156] = f"{sum(data[:512]):06o}".encode() + b"\0 "
    (tmp_path / "set.tar").write_bytes(data)
    with pytest.raises(DataError):
        open_data(tmp_path / "set.tar")


def test_an_eps_file_called_png_starts_no_program(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "1.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n")
    with pytest.raises(DataError, match="is not an image in a format that zerosum reads"):
        open_data(tmp_path / "set")


def test_only_the_arrays_that_are_used_are_read(tmp_path):
    np.savez(tmp_path / "set.npz", images=np.zeros((4, 8, 8), np.uint8), other=np.array([None]))
    found = open_data(tmp_path / "set.npz")
    assert "left out: array 'other' beside 'images'" in found.notes
