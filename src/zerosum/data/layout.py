"""What folders mean: classes, and the parts train and test. The same rules for folders, zip and tar."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from zerosum.core.errors import DataError
from zerosum.data.attributes import AttributeReader, numbered
from zerosum.data.classes import listed
from zerosum.data.counting import counted
from zerosum.data.labelling import Read, is_table, labels_beside

_USUAL = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
SUFFIXES = frozenset(
    (*_USUAL, ".apng", ".jfif", ".avif", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".jp2", ".ico", ".npy")
)
_PHOTOGRAPHS = {".heic", ".heif", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"}
_SHARD = re.compile(r"(?:^|/)(\d{5})/img\1\d{3}\.\w+$")  # as NVIDIA's tools write images, 1,000 a folder
PARTS = frozenset({"train", "test", "val", "valid", "validation"})
DEEPEST = 16  # folders in one another: how far down those without images are said; names may hold millions


@dataclass(frozen=True, eq=False)
class Layout:
    """Order, names, labels and split of image files; every sequence is in the order of `names`."""

    order: list[int]  # position of each image in the names that were given
    names: list[str]  # below the folders that all images share
    labels: np.ndarray | None  # int64 [N]; of attributes uint8 [N, K]
    classes: tuple[str, ...]  # or names of the attributes
    held_out: np.ndarray | None  # int64 indices
    tables: tuple[int, ...] = ()  # positions of the files that gave the labels
    notes: tuple[str, ...] = ()  # which these are, and what they say; why folders are no classes, or have no images


def arrange(
    where: str,
    members: Sequence[str],
    read: Read = lambda _: b"",
    *,
    folders: Iterable[str] = (),
    filtered: bool = False,
    attributes: bool = False,
) -> Layout:
    """Sort images, drop the folders that all of them share, read the rest; `read` gives the bytes of a member.

    Parts: where the top folders are `train` and some of test, val, valid, validation, only train/ trains.
    Classes: what a file beside the images says (`zerosum.data.labelling`), else the first folder (below the part). An
    image outside every class folder leaves the whole set unlabelled, which is said; NVIDIA's numbered folders are none.

    `folders` are all that are looked at, so that those without images are said; `filtered`: some files are not;
    `attributes`: files beside the images are read as several labels of 0 and 1 each.

    Raises:
        DataError: there is no image; test/ without train/; images beside train/ and test/; labels that do not fit.
    """
    chosen = sorted((name, position) for position, name in enumerate(members) if is_image(name))
    if not chosen:
        raise DataError(f"{where}: {_nothing(members, filtered=filtered)}")
    full_paths = [PurePosixPath(name).parts for name, _ in chosen]
    depth = _shared(full_paths)
    paths = [path[depth:] for path in full_paths]
    parts = _parts(where, paths)
    names = ["/".join(path) for path in paths]
    tables = [place for place, name in enumerate(members) if is_table(name) and not is_hidden(PurePosixPath(name))]
    reader = AttributeReader() if attributes else None
    given = labels_beside(where, members, tables, [name for name, _ in chosen], read, reader)
    if given.values is not None and reader is not None:
        labels, classes = numbered(given.values), reader.names
    elif given.values is not None:
        labels, classes = _numbered(given.values)
    elif given.unlabelled or all(_SHARD.search(name) for name, _ in chosen):
        labels, classes = None, ()
    else:
        labels, classes = _classes([path[1:] for path in paths] if parts else paths)
    held_out = np.flatnonzero([part != "train" for part in parts]).astype(np.int64) if parts else None
    order = [position for _, position in chosen]
    by_folder = given.values is None and not given.unlabelled
    beside_notes = _beside([path[bool(parts) :] for path in paths]) if by_folder and labels is None else ()
    level = depth + 1 + bool(parts) if by_folder and classes else 0
    only = full_paths[0][depth - 1] if by_folder and depth and max(map(len, paths)) == 1 else ""
    alone = "" if only.lower() in PARTS else only
    bare = _without_images(folders, full_paths, depth, level, alone, parts=bool(parts))
    return Layout(order, names, labels, classes, held_out, given.used, (*given.notes, *beside_notes, *bare))


def is_image(name: str) -> bool:
    """True for names with an image's suffix that are not hidden."""
    path = PurePosixPath(name)
    return path.suffix.lower() in SUFFIXES and not is_hidden(path)


def is_hidden(path: PurePosixPath) -> bool:
    """True where the name or a folder above it starts with a dot, or was left by macOS."""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def _nothing(members: Iterable[str], *, filtered: bool) -> str:
    suffixes = Counter(PurePosixPath(name).suffix.lower() or "no suffix" for name in members)
    if filtered:
        return "holds no images besides those that data.ignore and data.levels leave out"
    if not suffixes:
        return "is empty; it should hold images (png, jpg, webp, ...), in one folder or in a folder for each class"
    kinds = ", ".join(f"{count:,} {suffix}" for suffix, count in suffixes.most_common(5))
    files = counted(suffixes.total(), "other or hidden file")
    return f"holds no images; found {files} ({kinds}){to_convert(suffixes)}"


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
    present = set(tops) - {""}
    if not present or not present <= PARTS or (len(present) == 1 and "" not in tops):
        return []
    if "" in tops:
        raise DataError(f"{where}: images lie beside the folders {_list(present)}; move them into one of these")
    if "train" not in present:
        raise DataError(f"{where}: there is {_list(present)} but no train/; name the folder to train on 'train'")
    return tops


def _list(folders: Iterable[str]) -> str:
    return ", ".join(f"{folder}/" for folder in sorted(folders))


def _without_images(
    folders: Iterable[str], images: Sequence[tuple[str, ...]], depth: int, level: int, alone: str, *, parts: bool
) -> tuple[str, ...]:
    """What is said of folders without images that would be a class, a part, or beside the folders that images share.

    `images` are whole paths. `depth`: how many folders all of them share. `level`: how many parts the path of a class
    folder has, 0 where folders are no classes. `alone`: the one folder that images lie in, and is no class therefore.
    """
    deepest = min(depth + 2, DEEPEST)
    holding = {path[:end] for path in {image[:-1] for image in images} for end in range(min(len(path), deepest) + 1)}
    paths = {path.parts for path in map(PurePosixPath, folders) if len(path.parts) <= deepest and not is_hidden(path)}
    bare = sorted(path for path in paths - holding if path[:-1] in holding)
    classes = [path for path in bare if len(path) == level]
    tops = [path for path in bare if parts and len(path) == depth + 1 and path[-1].lower() in PARTS]
    others = [*(path for path in bare if len(path) <= depth), *tops]
    hint = f"; {alone!r} alone makes no classes" if alone else ""
    lines = (_have_none("class folder", classes), _have_none("folder", others, hint))
    return tuple(line for line in lines if line)


def _have_none(kind: str, folders: Sequence[tuple[str, ...]], more: str = "") -> str:
    names = listed(["/".join(path) for path in folders])
    if len(folders) < 2:
        return f"{kind} {names} has no images{more}" if folders else ""
    return f"{len(folders):,} {kind}s have no images: {names}{more}"


def _classes(paths: Sequence[tuple[str, ...]]) -> tuple[np.ndarray | None, tuple[str, ...]]:
    if any(len(path) < 2 for path in paths):
        return None, ()
    return _numbered([path[0] for path in paths])


def _beside(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """What is said where images lie beside folders that would be classes without them."""
    loose = [path[0] for path in paths if len(path) < 2]
    folders = sorted({path[0] for path in paths if len(path) > 1})
    if not (loose and folders):
        return ()
    no, these = ("are not classes", "these folders") if len(folders) > 1 else ("is not a class", "this folder")
    lie = f"{counted(len(loose), 'image')} {'lies' if len(loose) == 1 else 'lie'} beside {these}"
    move = "to train with classes, move each into the folder of its class"
    return (f"labels: {listed(folders)} {no}, since {lie}: {listed(loose)}; {move}",)


def _numbered(values: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Classes in the order of text, and the number of each image's."""
    classes = sorted(set(values))
    number = {name: index for index, name in enumerate(classes)}
    return np.array([number[value] for value in values], dtype=np.int64), tuple(classes)
