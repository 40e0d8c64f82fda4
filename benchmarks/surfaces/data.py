"""Surfaces: files that data come in, with damage in the packed bytes, in what is packed, and in what headers claim."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import shutil
import struct
import tarfile
import zipfile
import zlib
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import ClassVar

import numpy as np
from PIL import Image

from benchmarks.surfaces.surface import Case, Surface, damage
from zerosum.data import Preparation, open_data

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
PREPARATIONS = (
    Preparation(),
    Preparation(size="4", channels="3"),
    Preparation(size="6x4", channels="1", fit="pad"),
    Preparation(channels="4", range="0..100"),
    Preparation(arrays="images"),
    Preparation(arrays="points", drop=("2",)),
    Preparation(levels="0", ignore="*.txt b*"),
)
SIDES = (0, 1, 2, 3, 6, 8, 255, 65_535, 2**31 - 1, 2**31, 2**32 - 1)
MUCH = 24 << 20  # bytes that a bomb of a few kilobytes unpacks to


class Opened(Surface):
    """A file or folder that is written anew for each case and opened as data."""

    endings: ClassVar[tuple[str, ...]] = ()

    def case(self, random: Random) -> Case:
        """Damage nothing, or one thing, or several."""
        name = f"set{random.choice(self.endings)}"
        what, content = self.content(name, random)
        for _ in range(random.choice((0, 1, 1, 1, 3))):
            more, content = damage(content, random)
            what += f", {more}"
        preparation, skip_bad = random.choice(PREPARATIONS), random.random() < 0.3
        place = self.lay(name, content)
        cache = self.folder / "cache"

        def call() -> object:
            shutil.rmtree(cache, ignore_errors=True)
            return open_data(place, preparation, cache=cache, skip_bad=skip_bad)

        return Case(f"{name}: {what}; {preparation}", call)

    def lay(self, name: str, content: bytes) -> Path:
        """Write the case; where it lies."""
        path = self.folder / name
        path.write_bytes(content)
        return path

    @abstractmethod
    def content(self, name: str, random: Random) -> tuple[str, bytes]:
        """What is in the file, and what is odd about it."""


# ---------------------------------------------------------------------- arrays


def npy(random: Random) -> tuple[str, bytes]:
    """An .npy file, often with a header that claims something else."""
    shape: tuple[object, ...] = random.choice(
        [(6, 8, 8), (6, 8, 8, 3), (6, 3, 8, 8), (6, 8, 8, 7), (6, 4), (6,), (6, 20, 2)]
    )
    kind = random.choice(["|u1", "<f4", "<f8", "<f2", "|b1", "<i8", "<u2", ">i4", ">f8"])
    count = int(np.prod(np.array(shape, dtype=np.int64)))
    values = np.random.default_rng(random.randrange(99)).integers(0, 200, count)
    body = (values / random.choice((1, 200))).astype(kind).tobytes()
    if random.random() < 0.5:
        shape = tuple(random.choice([*shape, -1, 0, 10**9, 10**18, 10**400, "x", None, True, 1.5, (1,)]) for _ in shape)
    if random.random() < 0.3:
        kind = random.choice(["|O", "<U9", "|S9", "<M8[s]", "<c16", "|V9", "<f16", "|u9", "", "V0", "[('a','<f4')]"])
    extra = random.choice(["", "", "", "(" * 500, "\0", "'", "# ", "1" * 5000, "é"])
    text = f"{{'descr': {kind!r}, 'fortran_order': {random.random() < 0.3}, 'shape': {shape!r}, }}{extra}\n"
    version = random.choice([b"\x01\x00", b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x09"])
    size = struct.pack("<H" if version[0] == 1 else "<I", len(text.encode("utf-8", "replace")) % 65_536)
    return f"{kind} {shape!r:.60}", b"\x93NUMPY" + version + size + text.encode("utf-8", "replace") + body


class Npy(Opened):
    """Single arrays."""

    name, endings = "npy", (".npy",)

    def content(self, name: str, random: Random) -> tuple[str, bytes]:
        """One array."""
        return npy(random)


class Npz(Opened):
    """Several arrays in a zip."""

    name, endings = "npz", (".npz",)

    def content(self, name: str, random: Random) -> tuple[str, bytes]:
        """Images and often labels, under names that mean something or nothing."""
        labels = io.BytesIO()
        wrong = random.choice([6, 6, 6, 5, 0])
        np.save(labels, np.arange(wrong).astype(random.choice(["i8", "u1", "f4", "i2"])) - random.choice((0, 0, 1)))
        what, images = npy(random)
        names = random.sample(["images", "labels", "x", "y", "x_train", "arr_0", "\x1b[2J", "a/../b", ""], 2)
        return what, zipped({f"{names[0]}.npy": images, f"{names[1]}.npy": labels.getvalue()}, random)


class Idx(Opened):
    """MNIST's format."""

    name, endings = "idx", ("-images-idx3-ubyte", "-images-idx3-ubyte.gz")

    def content(self, name: str, random: Random) -> tuple[str, bytes]:
        """Sizes that fit or not, packed or not, damaged before packing."""
        sizes = [6, 8, 8] if random.random() < 0.4 else [random.choice(SIDES) for _ in range(3)]
        head = bytes((0, 0, random.choice((8, 8, 8, 9)), random.choice((3, 3, 3, 1, 0, 255))))
        whole = head + struct.pack(">3I", *sizes) + PIXELS[..., 0].tobytes()
        what, whole = damage(whole, random) if random.random() < 0.5 else ("whole", whole)
        if random.random() < 0.02:
            what, whole = "bomb", whole + bytes(MUCH)
        return f"{sizes}, {what}", gzip.compress(whole, 1) if name.endswith("gz") else whole


class Cifar(Opened):
    """CIFAR-10 as published, with pickles."""

    name, endings = "cifar", ("",)

    def lay(self, name: str, content: bytes) -> Path:
        """The file has to have the published name."""
        return super().lay("cifar-10-python.tar.gz", content)

    def content(self, name: str, random: Random) -> tuple[str, bytes]:
        """One batch is damaged; some ask for what a pickle must not have."""
        rows = np.zeros((2, 3072), np.uint8)
        batch = pickle.dumps({b"data": rows, b"labels": [0, 1]}, protocol=random.choice((2, 2, 4)))
        names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
        files = {f"cifar-10-batches-py/{one}": batch for one in names}
        odd = random.choice((
            b"cos\nsystem\n(S'true'\ntR.", b"\x80\x02r\xff\xff\xff\xff.", b"\x80\x05\x96" + b"\xff" * 7 + b"\x00.",
            b"}.", b"]" * 9 + b".", pickle.dumps({b"data": [[1] * 3] * 2, b"labels": "ab"}), pickle.dumps({b"data": 3}),
        ))  # fmt: skip
        what, new = damage(batch, random) if random.random() < 0.6 else ("odd pickle", odd)
        files[f"cifar-10-batches-py/{random.choice(names)}"] = new
        return what, gzip.compress(tarred(files, random), 1)


# ---------------------------------------------------------------------- pictures


def picture(random: Random) -> tuple[str, bytes]:
    """A small picture in any format, with metadata and claims that may be wrong."""
    mode = random.choice(["RGB", "L", "RGBA", "P", "LA", "1", "I;16", "CMYK", "F", "I"])
    form = random.choice({
        "RGB": ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "TGA", "JPEG2000", "ICO"],
        "L": ["PNG", "JPEG", "TIFF", "PPM"], "RGBA": ["PNG", "WEBP", "TIFF", "ICO"], "P": ["PNG", "GIF"], "LA": ["PNG"],
        "1": ["PNG", "TIFF"], "I;16": ["PNG", "TIFF"], "CMYK": ["JPEG", "TIFF"], "F": ["TIFF"], "I": ["TIFF"],
    }[mode])  # fmt: skip
    image = Image.fromarray(PIXELS[random.randrange(6)])
    image = Image.new(mode, (8, 8), 9) if mode in ("I;16", "F", "I") else image.convert(mode)
    options = (
        {"exif": random.randbytes(random.randrange(60))}
        if form in ("JPEG", "PNG", "WEBP") and random.random() < 0.5
        else {}
    )
    file = io.BytesIO()
    try:
        image.save(file, form, **options)
    except Exception:
        image.save(file, form)
    data = file.getvalue()
    if form == "PNG" and random.random() < 0.5:
        data = _with_chunk(data, random)
    if random.random() < 0.02:
        data = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
    return f"{mode} {form}", data


def _with_chunk(data: bytes, random: Random) -> bytes:
    """A PNG with another header, or one more chunk."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    if random.random() < 0.4:
        sides = struct.pack(">2I", random.choice(SIDES), random.choice(SIDES))
        flags = bytes(random.choice(((8, 2, 0, 0, 0), (16, 6, 0, 0, 1), (1, 3, 0, 0, 0), (3, 9, 9, 9, 9))))
        return data[:8] + chunk(b"IHDR", sides + flags) + data[33:]
    kind = random.choice(
        (b"zTXt", b"iTXt", b"tEXt", b"eXIf", b"iCCP", b"acTL", b"fcTL", b"tRNS", b"PLTE", b"gAMA", b"pHYs")
    )
    body = random.choice(
        (random.randbytes(40), b"a\0\0" + zlib.compress(bytes(MUCH >> 3)), struct.pack(">2I", *[2**32 - 1] * 2))
    )
    return data[:33] + chunk(kind, body) + data[33:]


class Pictures(Opened):
    """A folder with one damaged picture among whole ones."""

    name, endings = "pictures", (".png", ".jpg", ".webp", ".tif", ".gif", ".npy")

    def lay(self, name: str, content: bytes) -> Path:
        """A folder."""
        root = self.folder / "set"
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        (root / name).write_bytes(content)
        Image.fromarray(PIXELS[0]).save(root / "a.png")
        return root

    def content(self, name: str, random: Random) -> tuple[str, bytes]:
        """The damaged one."""
        return npy(random) if name.endswith(".npy") else picture(random)


def zipped(files: dict[str, bytes], random: Random) -> bytes:
    """A zip archive, stored or packed."""
    file = io.BytesIO()
    with zipfile.ZipFile(
        file, "w", random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA))
    ) as archive:
        for name, data in files.items():
            archive.writestr(name or "_", data)
    return file.getvalue()


def tarred(files: dict[str, bytes], random: Random) -> bytes:
    """A tar archive, sometimes with a header that claims another size, kind or name."""
    file = io.BytesIO()
    with tarfile.open(
        fileobj=file, mode="w", format=random.choice((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT))
    ) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    whole = bytearray(file.getvalue())
    if random.random() < 0.4:
        start, width, new = random.choice((
            (124, 12, b"\x80" + b"\xff" * 11), (124, 12, b"77777777777\0"), (124, 12, b"\x80" + bytes(3) + b"\xff" * 8),
            (156, 1, bytes([random.choice(b"01234567xgKLSV")])), (0, 100, b"../../../x.png".ljust(100, b"\0")),
            (124, 12, b"\xff" * 12), (0, 100, b"\xff\x1b[2J.png".ljust(100, b"\0")),
        ))  # fmt: skip
        whole[start : start + width] = new
        whole[148:156] = b" " * 8
        whole[148:156] = f"{sum(whole[:512]):06o}\0 ".encode()
    return bytes(whole)


def members(random: Random) -> tuple[str, dict[str, bytes]]:
    """Pictures in folders, one of them odd, beside other files; now and then a bomb."""
    files = {}
    for number in range(3):
        file = io.BytesIO()
        Image.fromarray(PIXELS[number]).save(file, "PNG")
        files[f"{random.choice('ab')}/{number}.png"] = file.getvalue()
    what, content = picture(random)
    files[
        random.choice(
            ("a/9.png", "train/9.jpg", "\x1b[31mx.png", "../9.png", "/9.png", "é\udcff.png", "c" * 300 + ".png")
        )
    ] = content
    files[random.choice(("dataset.json", "labels.csv", "readme.txt", "a/x.heic"))] = random.randbytes(30)
    if random.random() < 0.02:
        files["bomb.png"] = bytes(MUCH)
    return what, files


class Zips(Opened):
    """Zip archives."""

    name, endings = "zip", (".zip", "")

    def content(self, name: str, random: Random) -> tuple[str, bytes]:
        """Names that UTF-8 cannot write are left out: Python's own writer refuses them."""
        what, files = members(random)
        return what, zipped({one: data for one, data in files.items() if "\udcff" not in one}, random)


class Tars(Opened):
    """Tar archives, plain and packed."""

    name, endings = "tar", (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")

    def content(self, name: str, random: Random) -> tuple[str, bytes]:
        """Headers that claim something else come before packing."""
        what, files = members(random)
        whole = tarred(files, random)
        if random.random() < 0.3:
            more, whole = damage(whole, random)
            what += f", {more} before packing"
        pack: Callable[[bytes], bytes] = {
            ".tar": bytes, ".tar.xz": lambda data: lzma.compress(data, preset=0), ".tar.bz2": bz2.compress
        }.get(name.removeprefix("set"), lambda data: gzip.compress(data, 1))  # fmt: skip
        return what, pack(whole)


class Tables(Opened):
    """Text that should be a table."""

    name, endings = "csv", (".csv", ".tsv")

    def content(self, name: str, random: Random) -> tuple[str, bytes]:
        """Cells of all kinds in rows of several lengths."""
        odd = (
            "",
            "x",
            "nan",
            "inf",
            "1e999",
            '"',
            '"a,b"',
            "1_0",
            "٣",
            "\0",
            "9" * 400,
            "é",
            "\x1b[2J",
            "=1+1",
            "a" * 5000,
        )
        mark = random.choice(",,;\t|")
        width = random.choice((1, 2, 3, 60))
        rows = [[f"{random.gauss(0, 9):.4g}" for _ in range(width)] for _ in range(random.choice((0, 1, 2, 20)))]
        if random.random() < 0.5:
            rows.insert(0, [random.choice(("height", "weight", "", *odd)) for _ in range(width)])
        if rows and random.random() < 0.5:
            random.choice(rows)[random.randrange(width)] = random.choice(odd)
        if rows and random.random() < 0.2:
            random.choice(rows).append("1")
        end = random.choice(("\n", "\r\n", "\r"))
        return f"{len(rows)} rows of {width}", end.join(mark.join(row) for row in rows).encode("utf-8", "replace")
