"""Pairs of images, signals `input` and `target`: which files belong together, and what a game is told of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import BinaryIO
from unicodedata import normalize

import numpy as np

from zerosum.core.errors import DataError
from zerosum.core.signals import Signal
from zerosum.data.contents import Contents, Source
from zerosum.data.layout import PARTS

Place = tuple[str, str]  # of a pair: train or a part that is held out, and its name below the folders
SIGNALS = ("input", "target")
FOLDERS = "images of one name in folders A and B"
_SIDE = re.compile(rf"({'|'.join(sorted(PARTS))})?[_-]?([AB])", re.IGNORECASE)  # folders A, trainA, test_b


def signals(given: tuple[int, ...], wanted: tuple[int, ...]) -> dict[str, Signal]:
    """What a batch of pairs consists of, by the shapes (C, H, W) of both images."""
    return {name: Signal("image", shape) for name, shape in zip(SIGNALS, (given, wanted), strict=True)}


@dataclass
class _Sides:
    """Where the images of folders A and B are among the names of a set."""

    places: dict[Place, list[int | None]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def add(self, contents: Contents, index: int) -> None:
        """Sort an image in by its name; one that belongs nowhere is a fault."""
        name, found = contents.names[index], _place(contents.names[index])
        if found is None:
            self.faults.append(f"{contents.name(index)}: lies in neither of the folders A and B")
            return
        side, place = found
        both = self.places.setdefault(place, [None, None])
        other = both[side]
        if other is None:
            both[side] = index
        else:
            self.faults.append(f"{name}: has the same name as {contents.names[other]}; only one can be in the pair")

    def whole(self, contents: Contents) -> dict[Place, tuple[int, int]]:
        """Pairs that have both images; what has one is a fault."""
        found = {}
        for place, (first, second) in sorted(self.places.items()):
            if first is not None and second is not None:
                found[place] = first, second
                continue
            alone, lacking = (second, "A") if first is None else (first, "B")
            assert alone is not None
            self.faults.append(f"{contents.name(alone)}: has no partner of its name in {lacking}")
        return found


def paired(source: Source, layout: str) -> Source:
    """A source whose samples are pairs, as they lie there."""
    return replace(source, contents=lambda: in_pairs(source.name, source.contents(), layout))


def in_pairs(where: str, contents: Contents, layout: str) -> Contents:
    """Image files in the order of their pairs, input and target in turn; or told that each file holds both.

    In folders, the images of a pair have one name, whatever their endings, below folders A and B: `A/1.png` and
    `B/1.jpg`, `trainA/x/2.png` and `trainB/x/2.png`, `A/test/3.png` and `B/test/3.png`.

    Raises:
        DataError: there are no folders A and B where they are asked for, or no pair in them.
    """
    bare = replace(contents, labels=None, classes=())
    sided = [name for name in contents.names if _place(name)]
    if layout == "halves" or (layout == "auto" and not sided):
        notes = (*bare.notes, "pairs: each file holds both, A in its left half and B in its right one")
        return replace(bare, pairs="square halves" if layout == "auto" else "halves", notes=notes)
    if not sided:
        raise DataError(
            f"{where}: there are no folders A and B, or trainA, trainB, testA and testB, which data.pairs="
            "files:layout=folders needs; layout=halves takes files that hold both images side by side"
        )
    sides = _Sides()
    for index in range(len(contents.names)):
        sides.add(contents, index)
    pairs = sides.whole(contents)
    if not pairs:
        raise DataError(f"{where}: no image of A has a partner of its name in B: {sides.faults[0]}")
    return _ordered(bare, pairs, sides.faults)


def _ordered(contents: Contents, pairs: dict[Place, tuple[int, int]], faults: Sequence[str]) -> Contents:
    order = [index for both in pairs.values() for index in both]
    position = {index: place for place, index in enumerate(order)}
    files = contents.files
    assert files is not None

    def read() -> Iterator[tuple[int, BinaryIO]]:
        for index, file in files():
            if index in position:
                yield position[index], file

    parts = np.array([part for part, _ in pairs])
    return replace(
        contents,
        names=[contents.names[index] for index in order],
        called=[contents.called[index] for index in order] if contents.called else (),
        files=read,
        held_out=np.flatnonzero(parts != "train").astype(np.int64) if (parts != "train").any() else None,
        pairs="files",
        bad=tuple(faults),
        notes=(*contents.notes, f"pairs: {'inputs A and targets B' if contents.called else FOLDERS}"),
    )


def _place(name: str) -> tuple[int, Place] | None:
    """Side of an image, 0 in folder A and 1 in B, and what it shares with its partner; None where it has no side."""
    path = PurePosixPath(name)
    folders = list(path.parts[:-1])
    found = next((at for at, folder in enumerate(folders) if _SIDE.fullmatch(folder)), None)
    if found is None:
        return None
    match = _SIDE.fullmatch(folders.pop(found))
    assert match is not None
    part = (match[1] or "").lower()
    if not part and folders and folders[0].lower() in PARTS:
        part = folders.pop(0).lower()
    shared = normalize("NFC", "/".join([*folders, path.stem]))  # macOS writes accents as letters of their own
    return int(match[2] in "Bb"), (part or "train", shared)
