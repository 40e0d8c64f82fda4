"""Image files in a folder, a zip or a tar, read where they are: nothing is unpacked to disk."""

from __future__ import annotations

import errno
import io
import os
import stat
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from zerosum.core.download import Report
from zerosum.core.errors import DataError
from zerosum.data.contents import Contents, Source
from zerosum.data.digests import digest
from zerosum.data.labelling import LARGEST, is_table
from zerosum.data.layout import DEEPEST, Layout, arrange, is_hidden, is_image, to_convert
from zerosum.data.limits import LARGEST_FILE, Metered, allowed, refuse, take
from zerosum.data.preparation import leaving_out

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")


Wants = Callable[[str], bool]  # whether a file of this name, from the top, is looked at


def everything(_: str) -> bool:
    """Every file is looked at."""
    return True


def folder(path: Path, cache: Path, report: Report, wants: Wants = everything, *, attributes: bool = False) -> Source:
    """All images of a folder and its sub-folders; those that cannot be read count as bad."""
    tree = _walk(path, wants)
    members, places = list(tree.files), list(tree.files.values())

    def look(position: int) -> bytes:
        try:
            with opened(places[position]) as file:
                return take(file, LARGEST + 1)
        except OSError as error:
            raise DataError(f"{places[position]}: cannot be read ({error.strerror or error})") from error

    layout = arrange(str(path), members, look, folders=tree.folders, filtered=tree.filtered, attributes=attributes)
    files = {name: places[position] for name, position in zip(layout.names, layout.order, strict=True)}
    tables = {f"labels of {members[position]}": places[position] for position in layout.tables}

    def read() -> Iterator[tuple[int, BinaryIO]]:
        for index, place in enumerate(files.values()):
            with opened(place) as file:
                yield index, file

    key = f"folder {digest(path, files | tables, cache, report, lenient=True)}"
    notes = (*layout.notes, *left_out(members, layout.tables))
    return Source(path.resolve().name, key, lambda: _contents(layout, read), notes)


def single(path: Path, cache: Path, report: Report) -> Source:
    """One image file: a set of one image."""
    layout = arrange(str(path), [path.name])

    def read() -> Iterator[tuple[int, BinaryIO]]:
        with opened(path) as file:
            yield 0, file

    key = f"file {digest(path, {path.name: path}, cache, report)}"
    return Source(path.stem, key, lambda: _contents(layout, read))


def is_zip(path: Path) -> bool:
    """True for a file that starts as a zip archive does, or ends as one."""
    return zipfile.is_zipfile(path)


def is_tar(path: Path) -> bool:
    """True for a file that starts as a tar archive does, plain or compressed."""
    try:
        with Metered(path) as unpacked, tarfile.open(fileobj=unpacked, mode="r:"):
            return True
    except Exception:  # no archive: the decompressors and tarfile raise anything
        return False


def zipped(path: Path, cache: Path, report: Report, wants: Wants = everything, *, attributes: bool = False) -> Source:
    """All images of a zip archive."""

    def contents() -> Contents:
        with _whole(path, "zip"), zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
        files = [info for info in infos if not info.filename.endswith("/")]
        members = [info for info in files if wants(info.filename)]
        if any(info.flag_bits & 1 for info in members):
            raise DataError(f"{path}: is encrypted; unpack it with its password and give the folder")

        def look(position: int) -> bytes:
            with _whole(path, "zip"), zipfile.ZipFile(path) as archive, archive.open(members[position]) as file:
                return take(file, LARGEST + 1)

        names = [info.filename for info in members]
        folders = _folders((info.filename for info in infos), wants)
        filtered = len(members) < len(files)
        layout = arrange(str(path), names, look, folders=folders, filtered=filtered, attributes=attributes)
        unpacked = sum(members[position].file_size for position in layout.order)
        if unpacked > allowed(path.stat().st_size):
            refuse(path, unpacked)

        def read() -> Iterator[tuple[int, BinaryIO]]:
            with _whole(path, "zip"):
                archive = zipfile.ZipFile(path)
            with archive:
                for index, position in enumerate(layout.order):
                    with _whole(path, "zip"):
                        file = archive.open(members[position])
                    with file:
                        yield index, file  # type: ignore[misc]

        return _contents(layout, read, (*layout.notes, *left_out(names, layout.tables)))

    return Source(path.stem, f"zip {digest(path, {path.name: path}, cache, report)}", contents)


def tarred(path: Path, cache: Path, report: Report, wants: Wants = everything, *, attributes: bool = False) -> Source:
    """All images of a tar archive, plain or compressed; always read from front to back."""

    def contents() -> Contents:
        members: list[str] = []
        folders: set[str] = set()
        tables: dict[int, bytes] = {}
        filtered = False
        for archive, member in _members(path):
            folders |= _folders([member.name + "/" * member.isdir()], wants)
            if not _chosen(member, wants):
                filtered |= member.isfile()
                continue
            if is_table(member.name) and (file := archive.extractfile(member)):
                with _whole(path, "tar"):
                    tables[len(members)] = take(file, LARGEST + 1)
            members.append(member.name)
        layout = arrange(
            str(path), members, tables.__getitem__, folders=folders, filtered=filtered, attributes=attributes
        )
        place = {position: index for index, position in enumerate(layout.order)}

        def read() -> Iterator[tuple[int, BinaryIO]]:
            members = (one for one in _members(path) if _chosen(one[1], wants))
            for position, (archive, member) in enumerate(members):
                if position in place:
                    with _whole(path, "tar"):
                        file = archive.extractfile(member)
                        data = take(file, LARGEST_FILE + 1) if file else b""
                    yield place[position], io.BytesIO(data)

        return _contents(layout, read, (*layout.notes, *left_out(members, layout.tables)))

    return Source(path.name.split(".")[0], f"tar {digest(path, {path.name: path}, cache, report)}", contents)


def _members(path: Path) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """What a tar holds, from front to back; then what is left is read, or one cut short would pass for whole."""
    with _whole(path, "tar"):
        unpacked = Metered(path)
    with unpacked:
        with _whole(path, "tar"):
            archive = tarfile.open(fileobj=unpacked, mode="r:")  # noqa: SIM115  (closed with what it reads)
        last = -1
        while True:
            with _whole(path, "tar"):
                member = archive.next()
                if member is not None and member.offset <= last:
                    raise tarfile.ReadError("its members go round in a circle")
            if member is None:
                break
            last = member.offset
            archive.members = []  # type: ignore[attr-defined]  # tarfile would keep them all
            yield archive, member
        with _whole(path, "tar"):
            while unpacked.read(1 << 20):
                pass


def _chosen(member: tarfile.TarInfo, wants: Wants) -> bool:
    return member.isfile() and wants(member.name)


def _folders(names: Iterable[str], wants: Wants) -> set[str]:
    """The wanted folders of an archive: those it lists, whose names end with "/", and those that files lie in."""
    paths = {name.rpartition("/")[0] for name in names}
    above = {folder for path in paths for folder in accumulate(path.split("/")[:DEEPEST], "{}/{}".format)}
    return {folder for folder in above if folder and wants(folder)}


def left_out(members: Iterable[str], used: tuple[int, ...] = ()) -> tuple[str, ...]:
    """A note that counts by kind the files that are not images; empty where there are none but hidden and used ones."""
    rest = [name for place, name in enumerate(members) if place not in used]
    paths = [PurePosixPath(name) for name in rest if not is_image(name)]
    kinds = Counter(path.suffix.lower() or path.name for path in paths if not is_hidden(path))
    if not kinds:
        return ()
    listed = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common(8)) + (
        ", ..." if len(kinds) > 8 else ""
    )
    what = "1 file that is not an image" if kinds.total() == 1 else f"{kinds.total():,} files that are not images"
    return (f"left out: {what} zerosum reads ({listed}){to_convert(kinds)}",)


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


class _Unreadable(io.BytesIO):
    """Stands for a file that cannot be opened; reading says why."""

    def __init__(self, fault: OSError) -> None:
        super().__init__()
        self.fault = fault

    def read(self, _: int | None = -1) -> bytes:
        raise self.fault


def opened(path: Path) -> BinaryIO:
    """A file; where it cannot be opened, something that says why when it is read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would wait for ever
            return _Unreadable(OSError(errno.EINVAL, "it is not a regular file"))
        return path.open("rb")
    except OSError as error:
        broken = error.errno == errno.ENOENT and path.is_symlink()
        return _Unreadable(OSError(errno.ENOENT, "it is a broken link") if broken else error)


@dataclass
class _Tree:
    """What lies below a folder, by names with "/" from there."""

    files: dict[str, Path] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    filtered: bool = False  # there is more, which is not wanted


def _walk(root: Path, wants: Wants) -> _Tree:
    """Every wanted file and folder below a folder; links to folders are followed, once.

    Raises:
        DataError: a folder cannot be read.
    """
    tree = _Tree()
    visited: set[str] = set()

    def refuse(error: OSError) -> None:
        place = Path(error.filename)
        leave = "" if place == root else f", or leave it out with {leaving_out(place.relative_to(root).as_posix())}"
        raise DataError(f"{place}: cannot be read ({error.strerror}); mend it{leave}")

    for here, folders, files in os.walk(root, followlinks=True, onerror=refuse):
        real = os.path.realpath(here)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        below = Path(here).relative_to(root)
        tree.folders.append(below.as_posix())
        chosen = {name for name in (*folders, *files) if wants((below / name).as_posix())}
        tree.filtered |= len(chosen) < len(folders) + len(files)
        folders[:] = sorted(chosen.intersection(folders))
        for name in files:
            if name in chosen:
                place = below / name
                tree.files[place.as_posix()] = root / place
    return tree


@contextmanager
def _whole(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever a damaged archive raises into one error that names it."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # zipfile, tarfile and the decompressors raise anything
        reason = str(error).partition(":\n")[0]  # tarfile lists every compression it tried
        raise DataError(f"{path}: is damaged or not a {kind} archive ({reason}); fetch or pack it again") from error
