"""NumPy's own files, .npy and .npz, without trust: no objects, and no room for what a header merely announces."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zerosum.core.errors import DataError
from zerosum.data.limits import allowed, refuse, room, take

NUMBERS = "buif"  # kinds of NumPy's types that are numbers
TEXT = "U"  # the kind that is text
_READ = {"i": "whole numbers", "f": "floats", "b": "bool", TEXT: "text"}
_HEADER = 1 << 16  # bytes that a header may have
_MAGIC = b"\x93NUMPY"


@dataclass(frozen=True)
class Header:
    """What stands before the values."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    offset: int  # bytes before the values

    @property
    def size(self) -> int:
        """Bytes of the values."""
        return math.prod(self.shape) * self.dtype.itemsize

    def array(self, values: bytes) -> np.ndarray:
        """The array of these bytes."""
        return np.frombuffer(values, self.dtype).reshape(self.shape, order="F" if self.fortran else "C")


def is_npy(head: bytes) -> bool:
    """True for the first bytes of an .npy file."""
    return head.startswith(_MAGIC)


def read_header(head: bytes, length: int, where: str, kinds: str = NUMBERS) -> Header:
    """Read the header from the first bytes of a file of this length.

    Raises:
        DataError: it is none, holds Python objects, or announces more than there is.
    """
    file = io.BytesIO(head[:_HEADER])
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
        header = Header(tuple(int(side) for side in shape), bool(fortran), dtype, file.tell())
    except Exception as error:  # NumPy reads the header as Python text, and raises what that raises
        raise DataError(f"{where}: is damaged or not a NumPy file ({_first_line(error)})") from error
    if dtype.hasobject:
        raise DataError(f"{where}: holds Python objects, which could run code; save plain numbers instead")
    if dtype.kind not in kinds or min(shape, default=0) < 0:
        *others, last = [words for letters, words in _READ.items() if letters in kinds]
        raise DataError(f"{where}: holds values of type {dtype}; {', '.join(others)} and {last} are read")
    if header.size > length - header.offset:
        available = max(0, length - header.offset)
        raise DataError(
            f"{where}: is truncated or damaged; {header.size:,} bytes are announced, {available:,} are there"
        )
    return header


def open_npy(path: Path) -> np.ndarray:
    """An .npy file, left on disk and read where it is looked at.

    Raises:
        DataError: it is damaged, or holds no plain numbers.
    """
    try:
        with path.open("rb") as file:
            header = read_header(file.read(_HEADER), path.stat().st_size, str(path))
        if not header.size:
            return np.empty(header.shape, header.dtype)
        order: Any = "F" if header.fortran else "C"
        return np.memmap(path, header.dtype, "r", header.offset, header.shape, order)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error


def parse_npy(data: bytes, where: str) -> np.ndarray:
    """The array in the bytes of an .npy file.

    Raises:
        DataError: they are damaged, or hold no plain numbers.
    """
    header = read_header(data, len(data), where)
    try:
        return header.array(data[header.offset : header.offset + header.size])
    except ValueError as error:  # nothing by something that NumPy cannot count
        raise DataError(f"{where}: is damaged or not a NumPy file ({_first_line(error)})") from error


class Npz:
    """The arrays of an .npz file, by name; each is read when it is asked for.

    Raises:
        DataError: the file is damaged, or an array is, or would not fit into memory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(path) as archive:
                infos = archive.infolist()
        except Exception as error:  # zipfile raises anything where the directory is damaged
            raise DataError(f"{path}: is damaged or not a NumPy file ({_first_line(error)})") from error
        self.members = {info.filename.removesuffix(".npy"): info for info in infos if not info.filename.endswith("/")}

    def __iter__(self) -> Iterator[str]:
        return iter(self.members)

    def __getitem__(self, name: str) -> np.ndarray:
        return self.read(name)

    def read(self, name: str, kinds: str = NUMBERS) -> np.ndarray:
        """The array of this name, of one of these kinds of NumPy's types."""
        info, where = self.members[name], f"{self.path}: array {name!r}"
        if info.file_size > allowed(self.path.stat().st_size):
            refuse(self.path, info.file_size)
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(info) as file:
                head = take(file, _HEADER)
                header = read_header(head, info.file_size, where, kinds)
                room(header.size, where)
                values = head[header.offset :] + take(file, header.offset + header.size - len(head))
                return header.array(values[: header.size])
        except DataError:
            raise
        except Exception as error:  # as above
            raise DataError(f"{where}: is damaged ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    line = str(error).strip().partition("\n")[0] or type(error).__name__
    return line if len(line) <= 200 else f"{line[:160]} ..."
