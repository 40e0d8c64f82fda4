"""Points: rows of a csv or tsv file, rows of an array, or series; one number or many each."""

from __future__ import annotations

import csv
import hashlib
from array import array as packed
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

import numpy as np

from zerosum.core.download import Report
from zerosum.core.errors import DataError, nearest
from zerosum.data.contents import Contents, Decoded, Source
from zerosum.data.counting import counted
from zerosum.data.digests import digest

SUFFIXES = (".csv", ".tsv")
_DELIMITERS = ",;\t|"
_SEEN = 100  # rows that tell whether commas are decimal points
_SHOWN = 8  # columns that a message names


def table(path: Path, drop: Sequence[str], cache: Path, report: Report) -> Source:
    """A .csv or .tsv of numbers, with the names of its columns in the first row or without."""
    key = f"table {digest(path, {path.name: path}, cache, report)} {'/'.join(drop)}"
    return Source(path.stem, key, lambda: _contents(path, drop))


def _contents(path: Path, drop: Sequence[str]) -> Contents:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(file.readline(1 << 16))
            file.seek(0)
            rows = (row for row in csv.reader(file, delimiter=delimiter) if row)
            start = list(islice(rows, _SEEN))
            cells = [cell for row in start for cell in row if delimiter == ";" and "," in cell]
            comma = any(_number(cell, comma=True) is not None for cell in cells)
            values, names, header = _read(path, start, rows, drop, comma=comma)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from error
    except (OSError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a table ({error})") from error
    first = "the first row names the columns" if header else "the first row is not a header"
    dropped = f", {len(drop)} dropped" if drop else ""
    decimal = "; commas are decimal points" if comma else ""
    size = f"{counted(len(values), 'row')} of {counted(values.shape[1], 'column')}"
    note = f"table: {size} ({_listed(names)}){dropped}; {first}{decimal}"
    return Contents(array=values, notes=(note,), where=str(path), columns=names)


def _delimiter(line: str) -> str:
    cells = line.split(";")
    if len(cells) > 1 and all(_number(cell, comma=True) is not None for cell in cells):
        return ";"  # 1,5;2,5 has more commas
    return max(_DELIMITERS, key=line.count)


def _read(
    path: Path, start: list[list[str]], rows: Iterator[list[str]], drop: Sequence[str], *, comma: bool
) -> tuple[np.ndarray, tuple[str, ...], bool]:
    """Values [N, D], names of the columns, and whether the first row held them; `start` are the first rows."""
    if not start:
        raise DataError(f"{path}: is empty")
    header = _is_header(start, comma=comma)
    width = len(start[0])
    names = [(name.strip() if header else "") or str(place + 1) for place, name in enumerate(start[0])]
    columns = _kept(path, names, drop)
    values, faults, count = packed("d"), _Faults(names, comma=comma), 0
    for number, row in enumerate(chain(start[header:], rows), start=1 + header):
        if len(row) != width:
            raise DataError(
                f"{path}: row {number} and the first row differ in their number of cells: {len(row)} and {width}"
            )
        for place in columns:
            values.append(faults.number(row[place], place, number))
        count += 1
    faults.refuse(path, drop)
    if not count:
        raise DataError(f"{path}: has names of columns but no rows")
    return (
        np.frombuffer(values, np.float64).reshape(count, len(columns)),
        tuple(names[place] for place in columns),
        header,
    )


def _is_header(start: list[list[str]], *, comma: bool) -> bool:
    """True where no cell of the first row is a number, or one is none above a number."""
    first = [_number(cell, comma=comma) is not None for cell in start[0]]
    below = [_number(cell, comma=comma) is not None for cell in start[1]] if len(start) > 1 else []
    return not any(first) or any(under and not over for over, under in zip(first, below, strict=False))


def _number(cell: str, *, comma: bool) -> float | None:
    """The number in a cell; with decimal commas a point may group thousands, or not: such a cell is none."""
    try:
        if comma:
            cell = "" if "." in cell else cell.replace(",", ".")
        return None if "_" in cell else float(cell)  # Python reads 10_1 as 101
    except ValueError:
        return None


def _kept(path: Path, names: list[str], drop: Sequence[str]) -> list[int]:
    """Places of the columns that are not dropped, by name or by number from 1."""
    dropped: set[int] = set()
    for word in drop:
        places = [place for place, name in enumerate(names) if name == word]
        if not places and word.isdecimal() and 1 <= int(word) <= len(names):
            places = [int(word) - 1]
        if not places:
            raise DataError(f"{path}: drop: there is no column {word!r}; {nearest(word, names[:50])}")
        dropped.update(places)
    columns = [place for place in range(len(names)) if place not in dropped]
    if not columns:
        raise DataError(f"{path}: drop= leaves no column")
    return columns


class _Faults:
    """Cells that are no numbers, counted by column, and the first of each."""

    def __init__(self, names: list[str], *, comma: bool) -> None:
        self.names, self.comma = names, comma
        self.first: dict[int, str] = {}

    def number(self, cell: str, place: int, row: int) -> float:
        """The number in a cell; 0 where there is none, which is noted."""
        value = _number(cell, comma=self.comma)
        if value is None or not -np.inf < value < np.inf:
            what = repr(cell[:30]) if cell.strip() else "nothing"
            self.first.setdefault(place, f"{self.names[place]!r} ({what} in row {row})")
            return 0.0
        return value

    def refuse(self, path: Path, drop: Sequence[str]) -> None:
        """Name all columns that hold something else than numbers.

        Raises:
            DataError: there is one.
        """
        if not self.first:
            return
        places = list(self.first)
        listed = ", ".join(self.first[place] for place in places[:_SHOWN]) + (", ..." if len(places) > _SHOWN else "")
        words = "/".join([*drop, *(str(place + 1) for place in places)])
        all_bad = len(places) + len(drop) >= len(self.names)
        drop_them = f"data.drop={words}, a setting of `train` (`zerosum evaluate --data RUN` does as its run did)"
        leave = "" if all_bad else f", or leave the columns out with {drop_them}"
        raise DataError(
            f"{path}: not all cells of these columns are numbers: {listed}; "
            f"fill or remove these rows, turn words into numbers{leave}"
        )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def points(name: str, contents: Contents, array: np.ndarray) -> Decoded:
    """Read an array of any rank as points [N, D] in the data's own units; one number each where it has one axis.

    Raises:
        DataError: NaN or infinity is among them.
    """
    values = np.ascontiguousarray(array.reshape(len(array), -1))
    if not np.isfinite(values).all():
        raise DataError(f"{name}: holds NaN or infinity")
    content = hashlib.sha256(values.tobytes() + (b"" if contents.labels is None else contents.labels.tobytes()))
    shape = "x".join(map(str, array.shape))
    read = f"{counted(len(values), 'point')} of {counted(values.shape[1], 'number')}"
    note = f"points: {shape} {array.dtype} is read as {read}"
    notes = contents.notes if contents.columns else (*contents.notes, f"{note}; data.arrays=images reads it as images")
    labels, classes, held_out = contents.labels, contents.classes, contents.held_out
    return Decoded(values, labels, classes, held_out, (), content.hexdigest(), notes, columns=contents.columns)
