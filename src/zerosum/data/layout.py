"""What folders mean: classes, and the parts train and test. The same rules for folders, zip and tar."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from zerosum.core.errors import DataError
from zerosum.data.labelling import Read, is_table, labels_beside

_USUAL = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
SUFFIXES = frozenset(
    (*_USUAL, ".apng", ".jfif", ".avif", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".jp2", ".ico", ".npy")
)
_PHOTOGRAPHS = {".heic", ".heif", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"}
_SHARD = re.compile(r"(?:^|/)(\d{5})/img\1\d{3}\.\w+$")  # as NVIDIA's tools write images, 1,000 a folder
PARTS = frozenset({"train", "test", "val", "valid", "validation"})


@dataclass(frozen=True, eq=False)
class Layout:
    """Order, names, labels and split of image files; every sequence is in the order of `names`."""

    order: list[int]  # position of each image in the names that were given
    names: list[str]  # below the folders that all images share
    labels: np.ndarray | None  # int64 [N]
    classes: tuple[str, ...]
    held_out: np.ndarray | None  # int64 indices
    tables: tuple[int, ...] = ()  # positions of the files that gave the labels
    notes: tuple[str, ...] = ()  # which these are, and what they say


def arrange(where: str, members: Sequence[str], read: Read = lambda _: b"") -> Layout:
    """Sort images, drop the folders that all of them share, read the rest; `read` gives the bytes of a member.

    Parts: where the top folders are `train` and some of test, val, valid, validation, only train/ trains.
    Classes: what a file beside the images says (`zerosum.data.labelling`), else the first folder (below the part). An
    image outside every class folder leaves the whole set unlabelled, and NVIDIA's numbered folders are no classes.

    Raises:
        DataError: there is no image; test/ without train/; images beside train/ and test/; labels that do not fit.
    """
    chosen = sorted((name, position) for position, name in enumerate(members) if is_image(name))
    if not chosen:
        raise DataError(f"{where}: {_nothing(members)}")
    paths = [PurePosixPath(name).parts for name, _ in chosen]
    depth = _shared(paths)
    paths = [path[depth:] for path in paths]
    parts = _parts(where, paths)
    names = ["/".join(path) for path in paths]
    tables = [place for place, name in enumerate(members) if is_table(name) and not is_hidden(PurePosixPath(name))]
    given = labels_beside(where, members, tables, [name for name, _ in chosen], read)
    if given.values is not None:
        labels, classes = _numbered(given.values)
    elif given.unlabelled or all(_SHARD.search(name) for name, _ in chosen):
        labels, classes = None, ()
    else:
        labels, classes = _classes([path[1:] for path in paths] if parts else paths)
    held_out = np.flatnonzero([part != "train" for part in parts]).astype(np.int64) if parts else None
    order = [position for _, position in chosen]
    return Layout(order, names, labels, classes, held_out, given.used, given.notes)


def is_image(name: str) -> bool:
    """True for names with an image's suffix that are not hidden."""
    path = PurePosixPath(name)
    return path.suffix.lower() in SUFFIXES and not is_hidden(path)


def is_hidden(path: PurePosixPath) -> bool:
    """True where the name or a folder above it starts with a dot, or was left by macOS."""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def _nothing(members: Iterable[str]) -> str:
    found = Counter(PurePosixPath(name).suffix.lower() or "no suffix" for name in members)
    if not found:
        return "is empty; it should hold images (png, jpg, webp, ...), in one folder or in a folder for each class"
    listed = ", ".join(f"{count} {suffix}" for suffix, count in found.most_common(5))
    files = f"{found.total():,} other or hidden file{'' if found.total() == 1 else 's'}"
    return f"holds no images; found {files} ({listed}){to_convert(found)}"


def to_convert(kinds: Iterable[str]) -> str:
    """What to do with photographs among files of these suffixes that zerosum does not read; empty without them."""
    return "; turn .heic and raw photographs into jpg or png" if _PHOTOGRAPHS & set(kinds) else ""


def _shared(paths: Sequence[tuple[str, ...]]) -> int:
    """Number of leading folders that all images share."""
    first, last = min(paths)[:-1], max(paths)[:-1]
    depth = 0
    while depth < min(len(first), len(last)) and first[depth] == last[depth]:
        depth += 1
    return depth


def _parts(where: str, paths: Sequence[tuple[str, ...]]) -> list[str]:
    """The part of each image; empty where the top folders are no parts."""
    tops = [path[0].lower() if len(path) > 1 else "" for path in paths]
    found = set(tops) - {""}
    if not found or not found <= PARTS or (len(found) == 1 and "" not in tops):
        return []
    if "" in tops:
        raise DataError(f"{where}: images lie beside the folders {_list(found)}; move them into one of these")
    if "train" not in found:
        raise DataError(f"{where}: there is {_list(found)} but no train/; name the folder to train on 'train'")
    return tops


def _list(folders: Iterable[str]) -> str:
    return ", ".join(f"{folder}/" for folder in sorted(folders))


def _classes(paths: Sequence[tuple[str, ...]]) -> tuple[np.ndarray | None, tuple[str, ...]]:
    if any(len(path) < 2 for path in paths):
        return None, ()
    return _numbered([path[0] for path in paths])


def _numbered(values: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Classes in the order of text, and the number of each image's."""
    classes = sorted(set(values))
    number = {name: index for index, name in enumerate(classes)}
    return np.array([number[value] for value in values], dtype=np.int64), tuple(classes)
