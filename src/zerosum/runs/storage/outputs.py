"""Outputs: files at places that a user names. What is replaced is only what zerosum wrote; for all else it asks.

A file that zerosum writes says so: `MARK` stands among its first or last bytes, as a comment of its format.
"""

from __future__ import annotations

import io
import os
import re
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from zerosum.core.errors import RunError

MARK = b"written by zerosum"
LOOKED_AT = 4096  # bytes at each end of a file, where formats keep comments
STANDARD = {"stdout": 1, "stderr": 2}
LINKS = 40  # followed before a chain counts as a loop, as Linux does
STREAMS = re.compile(r"/dev/(stdout|stderr|fd/\d+)|/proc/self/fd/\d+")


def check(path: str | Path, *, overwrite: bool = False, option: str = "--out") -> None:
    """Refuse a place before any work.

    Raises:
        RunError: something is there that zerosum did not write, or the place cannot be written.
    """
    if "\0" in str(path):
        raise RunError(f"cannot write {path}: no file name holds a NUL byte; choose another {option}")
    with _clear_errors(path, option):
        if _stream(Path(path)) is None:
            _refuse(Path(path), Path(os.path.realpath(path)), overwrite, option)


def check_files(paths: Sequence[Path], *, overwrite: bool = False, option: str = "--out") -> None:
    """Refuse files of a folder before any work, all that are in the way at once.

    Raises:
        RunError: as `check`.
    """
    faults = []
    for path in paths:
        try:
            check(path, overwrite=overwrite, option=option)
        except RunError as error:
            faults.append(error)
    if faults:
        raise faults[0] if len(faults) == 1 else RunError(f"{faults[0]} ({len(faults):,} such files)")


@contextmanager
def opened(path: str | Path, *, overwrite: bool = False, option: str = "--out") -> Iterator[BinaryIO]:
    """A binary file to write to. A regular file appears whole or not at all, with the rights that the old one had.

    A device, a pipe or a stream of this process (`/dev/stdout`) is written through; a link is followed.

    Raises:
        RunError: as `check`, or the disk is full.
    """
    check(path, overwrite=overwrite, option=option)
    target = Path(os.path.realpath(path))
    with _clear_errors(path, option):
        stream = _stream(Path(path))
        if stream is not None:
            with os.fdopen(os.dup(stream), "wb") as file:
                yield cast("BinaryIO", _Flow(file))
        elif is_pipe(target):
            with target.open("wb") as file:
                yield cast("BinaryIO", _Flow(file))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            with _replacing(target) as file:
                yield file


def write(path: str | Path, content: bytes, *, overwrite: bool = False, option: str = "--out") -> None:
    """Write the bytes of a file, as `opened`."""
    with opened(path, overwrite=overwrite, option=option) as file:
        file.write(content)


def is_pipe(path: str | Path) -> bool:
    """True for what takes bytes and keeps no file: a character device, a pipe, a stream of this process."""
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode) or _stream(Path(path)) is not None


def _stream(path: Path) -> int | None:
    """Number of the stream of this process that a path, or the link that it is, means."""
    for _ in range(LINKS):
        name = str(path)
        if STREAMS.fullmatch(name):
            last = name.rpartition("/")[2]
            return STANDARD[last] if last in STANDARD else int(last)
        if not path.is_symlink():
            return None
        path = path.parent / path.readlink()
    return None


def _refuse(path: Path, target: Path, overwrite: bool, option: str) -> None:
    """Everything that speaks against writing `target`, which `path` leads to."""
    if target.is_symlink():
        raise RunError(f"cannot write {path}: its links lead in a circle; choose another {option}")
    if not target.exists():
        ancestor = next(one for one in target.parents if one.exists())
        if not ancestor.is_dir():
            raise RunError(f"cannot write {path}: {ancestor} is not a folder; choose another {option}")
        _refuse_protected(path, ancestor, option)
        return
    mode = target.stat().st_mode
    if stat.S_ISDIR(mode):
        raise RunError(f"cannot write {path}: it is a folder; name a file with {option}")
    if stat.S_ISREG(mode):
        if not (overwrite or is_ours(target)):
            raise RunError(
                f"{path} exists, and nothing in it says that zerosum wrote it; choose another {option}, or replace it "
                "with --overwrite"
            )
    elif not is_pipe(target):
        raise RunError(f"cannot write {path}: it is neither file, pipe nor stream; choose another {option}")
    _refuse_protected(path, target, option)


def _refuse_protected(path: Path, place: Path, option: str) -> None:
    if not os.access(place, os.W_OK):
        raise RunError(f"cannot write {path}: {place} may not be written; choose another {option}")


def is_ours(path: Path) -> bool:
    """True for a file that zerosum wrote, or that is empty, so that nothing is lost with it."""
    with path.open("rb") as file:
        head = file.read(LOOKED_AT)
        file.seek(max(0, path.stat().st_size - LOOKED_AT))
        return not head or MARK in head or MARK in file.read(LOOKED_AT)


class _Flow(io.RawIOBase):
    """A file that only goes on: of some devices the system says that they can seek, and does not mean it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def writable(self) -> bool:
        """True."""
        return True

    def write(self, content: Any) -> int:
        """Pass bytes on."""
        return self.file.write(content)


@contextmanager
def _replacing(target: Path) -> Iterator[BinaryIO]:
    """A file aside, flushed and put in the target's place at the end; its rights are the old file's or the umask's."""
    aside = target.with_name(f".zerosum-{secrets.token_hex(8)}")
    mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else None
    try:
        with aside.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            aside.chmod(mode)
        aside.replace(target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


@contextmanager
def _clear_errors(path: str | Path, option: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}; choose another {option}") from error
