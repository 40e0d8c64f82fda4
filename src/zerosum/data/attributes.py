"""Attributes: several labels of 0 and 1 for each image, from a table or a `dataset.json` beside the images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from zerosum.core.errors import DataError, nearest, shown
from zerosum.core.signals import Signal
from zerosum.data.classes import listed
from zerosum.data.counting import counted
from zerosum.data.labelling import FILES, Entries, UnusableError, as_posix, json_rows, table_rows

KIND = "attributes"  # of the signal `label`, where it holds attributes in place of a class
CONDITIONS = ("label", KIND)  # kinds of signals that say something of a sample, and are none
ALL = "all"
NAMED = ("attributes", "tags")  # titles of a column that lists the names of those that an image has
_BLANKS = str.maketrans(",;|", "   ")
_FLAGS = {"1": "1", "true": "1", "yes": "1", "0": "0", "-1": "0", "false": "0", "no": "0", "1.0": "1", "0.0": "0"}


def signal(count: int) -> Signal:
    """The signal of so many attributes."""
    return Signal(KIND, (count,))


class AttributeReader:
    """Reads attributes of images; the label of an image is a text of 0 and 1, in the order of `names`."""

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()

    def entries(self, name: str, text: str) -> Entries:
        """Images and their attributes.

        Raises:
            UnusableError: it is no file of attributes.
            DataError: it has others than a file that was read before.
        """
        names, entries = _of_json(text) if name.endswith(".json") else _of_table(name, text)
        if twice := [one for one, count in Counter(names).items() if count > 1 or not one]:
            raise DataError(f"has several attributes of one name, or without a name: {listed(twice)}")
        if self.names and names != self.names:
            raise DataError(f"has the attributes {listed(names)}, and another file has {listed(self.names)}")
        self.names = self.names or names
        return entries

    def said(self, labels: Sequence[str], name: str) -> str:  # noqa: ARG002
        """How many there are, and the first of them."""
        return f"labels: {counted(len(self.names), 'attribute')} from {name}: {listed(self.names)}"


def numbered(labels: Sequence[str]) -> np.ndarray:
    """What an `AttributeReader` read of images, as uint8 [N, K] of 0 and 1."""
    return np.array([[sign == "1" for sign in label] for label in labels], dtype=np.uint8)


def chosen(
    where: str,
    requested: Sequence[str],
    values: np.ndarray | None,
    names: Sequence[str],
    train: np.ndarray,
    notes: Sequence[str] = (),
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The attributes that are asked for, uint8 [N, K], in their order, and their names.

    Args:
        where: the data, for people.
        requested: names, or `all`.
        values: uint8 [N, K] of all; classes int64 [N], or None, where there are none.
        names: of all.
        train: rows that train.
        notes: what is said of the data; it tells why a file gave none.

    Raises:
        DataError: there are none, none of that name, or one that all images to train on have alike.
    """
    if values is None or values.ndim != 2:
        reasons = [note for note in notes if "not used" in note]
        raise DataError(
            f"{where}: data.attributes needs attributes, and these data have none; put a table beside the images, with "
            "a column of file names and a column of 0 and 1 for each attribute, or a dataset.json with lists of 0 and 1"
            + (f" ({'; '.join(reasons)})" if reasons else "")
        )
    if tuple(requested) != (ALL,):
        for name in requested:
            if name not in names:
                raise DataError(f"{where}: data.attributes: there is no attribute {name!r}; {nearest(name, names)}")
        values, names = values[:, [names.index(name) for name in requested]], requested
    counts = values[train].sum(0, dtype=np.int64)
    if alike := [name for name, count in zip(names, counts, strict=True) if count in (0, len(train))]:
        rest = "/".join(name for name in names if name not in alike) or "others"
        raise DataError(
            f"{where}: all images to train on are alike in {listed(alike)}, so nothing can be learnt of that; set "
            f"data.attributes={rest}"
        )
    return np.ascontiguousarray(values, dtype=np.uint8), tuple(names)


def _of_json(text: str) -> tuple[tuple[str, ...], Entries]:
    rows, read = json_rows(text)
    lists = [label for _, label in rows]
    count = len(lists[0]) if lists and isinstance(lists[0], list) else 0
    if not count or not all(_are_flags(one, count) for one in lists):
        wrong = next((one for one in lists if not _are_flags(one, count or 1)), None)
        raise UnusableError(f"has the label {shown(wrong)}; attributes are lists of 0 and 1 of one length")
    named = next((read[key] for key in (KIND, "classes") if _are_names(read.get(key), count)), range(count))
    return tuple(map(str, named)), [(file, "".join(str(int(one)) for one in label)) for file, label in rows]


def _are_flags(label: Any, count: int) -> bool:
    return isinstance(label, list) and len(label) == count and all(one in (0, 1) for one in label)


def _are_names(names: Any, count: int) -> bool:
    return isinstance(names, list) and len(names) == count and all(isinstance(one, str) for one in names)


def _of_table(name: str, text: str) -> tuple[tuple[str, ...], Entries]:
    rows = table_rows(name, text)
    titles = [title.strip() for title in rows[0]]
    folded = [title.casefold() for title in titles]
    file = next((folded.index(one) for one in FILES if one in folded), 0)
    rows = [row for row in rows[1:] if len(row) == len(titles)]
    listing = next((folded.index(one) for one in NAMED if one in folded), None)
    if listing is not None:
        return _listed(rows, file, listing)
    columns = [
        place
        for place in range(len(titles))
        if place != file and rows and all(row[place].strip().casefold() in _FLAGS for row in rows)
    ]
    if not columns:
        raise UnusableError("has no columns of 0 and 1 under a title")
    names = tuple(titles[place] for place in columns)
    signs = ["".join(_FLAGS[row[place].strip().casefold()] for place in columns) for row in rows]
    return names, [(as_posix(row[file]), sign) for row, sign in zip(rows, signs, strict=True)]


def _listed(rows: list[list[str]], file: int, column: int) -> tuple[tuple[str, ...], Entries]:
    """Attributes of a column that lists the names of those that an image has, between blanks, commas, ; or |."""
    owned = [(as_posix(row[file]), {*row[column].translate(_BLANKS).split()}) for row in rows]
    names = tuple(sorted(set().union(*(one for _, one in owned))))
    if not names:
        raise UnusableError("lists no attributes")
    return names, [(called, "".join(str(int(name in one)) for name in names)) for called, one in owned]
