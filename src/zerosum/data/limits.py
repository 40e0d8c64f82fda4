"""How much may be read from a file before it is taken for a decompression bomb, or for damaged."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, BinaryIO

from zerosum.core.errors import DataError

TIMES = 200  # a compressed file that unpacks to more than this many times its size is taken for a bomb,
HARMLESS = 1 << 28  # bytes; unless it stays below this
LARGEST_FILE = 1 << 28  # bytes of one image file, or of one member of an archive
MOST_CLASSES = 100_001  # labels are whole numbers below it
_CHUNK = 1 << 20
_UNPACK: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}


class Metered(io.BufferedIOBase):
    """A file that is unpacked while it is read, and not further than the size of its packed form makes plausible."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file, self._packed = _opened(path)
        size = path.stat().st_size
        self._end = allowed(size) if self._packed else size

    def read(self, size: int | None = -1) -> bytes:
        """At most `size` bytes (negative: all)."""
        left = max(0, self._end - self._file.tell()) + 1
        data = self._file.read(left if size is None or size < 0 else min(size, left))
        self._check(self._file.tell())
        return data

    def expect(self, size: int) -> None:
        """Refuse now where `size` bytes from here on are more than may be unpacked, or than there is memory for."""
        if self._packed:
            self._check(self.tell() + size)
        room(min(size, self._end), str(self.path))

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place, unless that is beyond what may be unpacked."""
        if whence == 0:
            self._check(offset)
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Place in the unpacked form."""
        return self._file.tell()

    def seekable(self) -> bool:
        """True: backwards too, though that starts again."""
        return True

    def readable(self) -> bool:
        """True."""
        return True

    def close(self) -> None:
        """Close the file below."""
        self._file.close()
        super().close()

    def _check(self, place: int) -> None:
        if place > self._end:
            refuse(self.path, place)


def allowed(packed: int) -> int:
    """Bytes that a file of `packed` bytes may unpack to."""
    return max(HARMLESS, TIMES * packed)


def refuse(path: Path, size: int) -> None:
    """Say that a file is taken for a bomb.

    Raises:
        DataError: always.
    """
    raise too_much(str(path), path.stat().st_size, size)


def too_much(where: str, packed: int, size: int) -> DataError:
    """The error for something of `packed` bytes that would unpack to `size` or more."""
    return DataError(
        f"{where}: has {packed:,} bytes and would unpack to {size:,} or more, over {TIMES} times its size; "
        "it is damaged or a decompression bomb. If it is neither, unpack it yourself and give the result"
    )


def room(size: int, where: str) -> None:
    """Refuse what needs more memory than the machine has.

    Raises:
        DataError: `size` bytes are more than that.
    """
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else size
    if size > memory:
        raise DataError(
            f"{where}: needs {size:,} bytes of memory, there are {memory:,}; save it as .npy, which is read from disk"
        )


def take(file: IO[bytes] | Metered, size: int) -> bytes:
    """At most `size` bytes, read a part at a time: no room is made for what is only announced."""
    parts: list[bytes] = []
    while size > 0 and (part := file.read(min(size, _CHUNK))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _opened(path: Path) -> tuple[BinaryIO, bool]:
    """The file, unpacked where it is packed by itself; and whether it is."""
    with path.open("rb") as file:
        head = file.read(8)
    for magic, unpack in _UNPACK.items():
        if head.startswith(magic):
            return unpack(path, "rb"), True
    return path.open("rb"), False
