"""Image files in a folder, a zip or a tar, read where they are: nothing is unpacked to disk."""

from __future__ import annotations

import io
import lzma
import os
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from zerosum.core.download import Report
from zerosum.core.errors import DataError
from zerosum.data.contents import Contents, Source
from zerosum.data.digests import digest
from zerosum.data.layout import Layout, arrange, is_hidden, is_image

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")
_PHOTOGRAPHS = {".heic", ".heif", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"}

_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError, NotImplementedError)


def folder(path: Path, cache: Path, report: Report) -> Source:
    """All images of a folder and its sub-folders."""
    found = _walk(path)
    layout = arrange(str(path), list(found))
    places = list(found.values())
    files = {name: places[position] for name, position in zip(layout.names, layout.order, strict=True)}

    def read() -> Iterator[tuple[int, BinaryIO]]:
        for index, place in enumerate(files.values()):
            with _opened(place) as file:
                yield index, file

    key = f"folder {digest(path, files, cache, report)}"
    return Source(path.resolve().name, key, lambda: _contents(layout, read), left_out(found))


def single(path: Path, cache: Path, report: Report) -> Source:
    """One image file: a set of one image."""
    layout = arrange(str(path), [path.name])

    def read() -> Iterator[tuple[int, BinaryIO]]:
        with _opened(path) as file:
            yield 0, file

    key = f"file {digest(path, {path.name: path}, cache, report)}"
    return Source(path.stem, key, lambda: _contents(layout, read))


def zipped(path: Path, cache: Path, report: Report) -> Source:
    """All images of a zip archive."""

    def contents() -> Contents:
        with _whole(path, "zip"), zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
        if any(info.flag_bits & 1 for info in members):
            raise DataError(f"{path}: is encrypted; unpack it with its password and give the folder")
        layout = arrange(str(path), [info.filename for info in members])

        def read() -> Iterator[tuple[int, BinaryIO]]:
            with zipfile.ZipFile(path) as archive:
                for index, position in enumerate(layout.order):
                    with _whole(path, "zip"):
                        file = archive.open(members[position])
                    with file:
                        yield index, file  # type: ignore[misc]

        return _contents(layout, read, left_out(info.filename for info in members))

    return Source(path.stem, f"zip {digest(path, {path.name: path}, cache, report)}", contents)


def tarred(path: Path, cache: Path, report: Report) -> Source:
    """All images of a tar archive, plain or compressed; always read from front to back."""

    def contents() -> Contents:
        with _whole(path, "tar"), tarfile.open(path) as archive:
            members = [member.name for member in archive if member.isfile()]
            _drain(archive)
        layout = arrange(str(path), members)
        place = {position: index for index, position in enumerate(layout.order)}

        def read() -> Iterator[tuple[int, BinaryIO]]:
            with tarfile.open(path) as archive:
                files = (member for member in archive if member.isfile())
                for position, member in enumerate(files):
                    if position in place:
                        with _whole(path, "tar"):
                            file = archive.extractfile(member)
                            assert file is not None
                            data = io.BytesIO(file.read())
                        yield place[position], data

        return _contents(layout, read, left_out(members))

    return Source(path.name.split(".")[0], f"tar {digest(path, {path.name: path}, cache, report)}", contents)


def _drain(archive: tarfile.TarFile) -> None:
    """Read on to the end: tarfile alone takes a compressed archive that was cut short for a finished one."""
    assert archive.fileobj is not None
    while archive.fileobj.read(1 << 20):
        pass


def left_out(members: Iterable[str]) -> tuple[str, ...]:
    """A note that counts by kind the files that are no images; empty where there are none, or hidden ones only."""
    paths = [PurePosixPath(name) for name in members if not is_image(name)]
    kinds = Counter(path.suffix.lower() or path.name for path in paths if not is_hidden(path))
    if not kinds:
        return ()
    listed = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common(8)) + (
        ", ..." if len(kinds) > 8 else ""
    )
    unread = "; turn .heic and raw photographs into jpg or png" if kinds.keys() & _PHOTOGRAPHS else ""
    return (f"left out: {kinds.total():,} files that are no images zerosum reads ({listed}){unread}",)


def _contents(
    layout: Layout, read: Callable[[], Iterator[tuple[int, BinaryIO]]], notes: tuple[str, ...] = ()
) -> Contents:
    return Contents(
        names=layout.names,
        files=read,
        labels=layout.labels,
        classes=layout.classes,
        held_out=layout.held_out,
        notes=notes,
    )


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); mend or remove it") from error


def _walk(root: Path) -> dict[str, Path]:
    """Every file below a folder by its name with "/"; links to folders are followed, once."""
    found: dict[str, Path] = {}
    seen: set[str] = set()
    for here, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(here)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        for name in files:
            place = Path(here, name)
            found[place.relative_to(root).as_posix()] = place
    return found


@contextmanager
def _whole(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever a damaged archive raises into one error that names it."""
    try:
        yield
    except _DAMAGE as error:
        reason = str(error).partition(":\n")[0]  # tarfile lists every compression it tried
        raise DataError(f"{path}: is damaged or no {kind} archive ({reason}); fetch or pack it again") from error
