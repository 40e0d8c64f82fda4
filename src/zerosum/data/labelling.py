"""Labels from a file beside images: the `dataset.json` of NVIDIA's tools, or a table of files and labels."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Protocol

from zerosum.core.errors import DataError, shown
from zerosum.data.classes import listed, natural
from zerosum.data.counting import counted
from zerosum.data.preparation import leaving_out

LARGEST = 1 << 28  # bytes of a file of labels
FILES = ("file", "filename", "file_name", "image", "image_name", "path", "filepath", "name", "id", "image_id")
LABELS = ("label", "labels", "class", "class_name", "category", "target", "species", "breed")
FIRST = ("dataset", "labels", "metadata")  # names of files that are asked first, in this order

Read = Callable[[int], bytes]  # at most LARGEST + 1 bytes of the member at a position
Entries = list[tuple[str, str]]  # an image as a file of labels calls it, and its class


@dataclass(frozen=True)
class Labels:
    """What files of labels say of a set."""

    values: list[str] | None = None  # a class for each image; None: nothing names them
    unlabelled: bool = False  # a file says that there are no labels, whatever the folders are called
    used: tuple[int, ...] = ()  # positions of the files that say so
    notes: tuple[str, ...] = ()


class UnusableError(Exception):
    """A file that is no table of labels, and why."""


class Reader(Protocol):
    """Reads files of labels; what it reads of an image is text, equal for equal labels."""

    def entries(self, name: str, text: str) -> Entries:
        """Images and labels as a file of this name lists them; none where it says that there are none.

        Raises:
            UnusableError: it is no file of such labels.
            DataError: it is one, and cannot be read; the name of the file comes before the message.
        """
        ...

    def said(self, labels: Sequence[str], name: str) -> str:
        """What the labels of a set are, in words, and that a file of this name gave them."""
        ...


class ClassReader:
    """Reads one class for each image."""

    def entries(self, name: str, text: str) -> Entries:
        """Images and classes as a file lists them; none where a `dataset.json` says that there are no labels."""
        return _of_json(text) if name.endswith(".json") else _of_table(name, text)

    def said(self, labels: Sequence[str], name: str) -> str:
        """How many classes, and the first of them."""
        classes = sorted(set(labels), key=natural)
        return f"labels: {counted(len(classes), 'class')} from {name}: {listed(classes)}"


def is_table(name: str) -> bool:
    """True for names of files that may hold labels."""
    path = PurePosixPath(name)
    return path.name == "dataset.json" or path.suffix.lower() in (".csv", ".tsv")


def labels_beside(
    where: str,
    members: Sequence[str],
    tables: Sequence[int],
    images: Sequence[str],
    read: Read,
    reader: Reader | None = None,
) -> Labels:
    """What the files at some positions of a set's members say of its images.

    A file speaks of all images in its folder and below; `dataset.json` comes before `labels.csv`, `metadata.csv` and
    other tables. It names an image by its path below that folder, by its file name, or by that without its ending.
    `reader` says what labels are; one class each by default.

    Raises:
        DataError: a file names some of its images and not others, or one twice with two labels.
    """
    reader = reader or ClassReader()
    spoken: dict[str, str] = {}  # image -> label
    bare: set[str] = set()  # images of which a file says that there are no labels
    used: list[int] = []
    notes: list[str] = []
    for place in sorted(tables, key=lambda place: _rank(members[place])):
        folder = PurePosixPath(members[place]).parent
        mine = [name for name in images if name not in spoken and name not in bare and _is_below(name, folder)]
        try:
            if not mine:
                continue
            entries = reader.entries(members[place], _text(read(place)))
            given = _given(members[place], entries, mine, folder)
        except DataError as error:
            raise DataError(f"{where}: {members[place]} {error}") from None
        except UnusableError as error:
            notes.append(f"labels: {members[place]} is not used; it {error}")
            continue
        used.append(place)
        if entries:
            spoken |= given
            notes.append(_found(reader, members[place], len(entries), given))
        else:
            bare.update(mine)
            notes.append(f"labels: {members[place]} says that there are none, so folders are not classes")
    if len(spoken) + len(bare) < len(images) or (spoken and bare):
        return Labels(notes=(*notes, *_partly([members[place] for place in used])))
    return Labels([spoken[name] for name in images] if spoken else None, bool(bare), tuple(used), tuple(notes))


def _partly(names: list[str]) -> tuple[str, ...]:
    verbs = ("cover", "are") if len(names) > 1 else ("covers", "is")
    return (f"labels: {listed(names)} {verbs[0]} only some folders and {verbs[1]} not used",) if names else ()


def _rank(name: str) -> tuple[int, int, str]:
    """The nearest to the top first, then by what it is called."""
    path = PurePosixPath(name)
    stem = path.stem.lower()
    return len(path.parts), FIRST.index(stem) if stem in FIRST else len(FIRST), name


def _is_below(name: str, folder: PurePosixPath) -> bool:
    return folder == PurePosixPath() or name.startswith(f"{folder}/")


def _found(reader: Reader, name: str, entries: int, given: dict[str, str]) -> str:
    spare = entries - len(given)
    more = f"; {spare:,} of its entries name{'s' if spare == 1 else ''} no image here" if spare > 0 else ""
    return f"{reader.said([*given.values()], name)}{more}"


def _given(name: str, entries: Entries, images: list[str], folder: PurePosixPath) -> dict[str, str]:
    """The class of every image.

    Raises:
        UnusableError: the file names none of them.
        DataError: it names some and not others, or one twice with two labels.
    """
    if not entries:
        return {}
    named: dict[str, str] = {}
    for called, label in entries:
        if named.setdefault(called, label) != label:
            raise DataError(f"gives {shown(called)} two labels, {shown(named[called])} and {shown(label)}; keep one")
    keys = {image: _keys(image, folder) for image in images}
    common = Counter(key for mine in keys.values() for key in mine)
    given = {}
    for image, mine in keys.items():
        key = next((one for one in mine if one in named and (common[one] == 1 or one == mine[0])), None)
        if key is not None and named[key]:
            given[image] = named[key]
    if not given and PurePosixPath(name).name != "dataset.json":
        raise UnusableError("names none of the images")
    if missing := [image for image in images if image not in given]:
        raise DataError(
            f"has no label for {len(missing):,} of {len(images):,} images: {listed(missing)}; complete it, or leave it "
            f"out with {leaving_out(PurePosixPath(name).name)}"
        )
    return given


def _keys(name: str, folder: PurePosixPath) -> tuple[str, str, str]:
    """What a file of labels may call an image: path below its folder, file name, name without ending."""
    path = PurePosixPath(name)
    return path.relative_to(folder).as_posix(), path.name, path.stem


def _text(data: bytes) -> str:
    """A file of labels as text.

    Raises:
        UnusableError: it is none.
    """
    if len(data) > LARGEST:
        raise UnusableError(f"is larger than {LARGEST:,} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnusableError("is not UTF-8 text") from None


def _of_json(text: str) -> Entries:
    return [(file, _class(label)) for file, label in json_rows(text)[0]]


def json_rows(text: str) -> tuple[list[tuple[str, Any]], dict[str, Any]]:
    """Images and labels of a `dataset.json`, and all that it holds.

    Raises:
        UnusableError: it is none.
    """
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        raise UnusableError("is not JSON") from None
    if not isinstance(read, dict) or "labels" not in read:
        raise UnusableError("has no list `labels`")
    listed_labels = read["labels"]
    rows = list(listed_labels.items()) if isinstance(listed_labels, dict) else listed_labels or []
    if not isinstance(rows, list) or not all(
        isinstance(row, (list, tuple)) and len(row) == 2 and isinstance(row[0], str) for row in rows
    ):
        raise UnusableError("has a list `labels` that is not made of [file, label]")
    return [(as_posix(file), label) for file, label in rows], read


def _class(label: Any) -> str:
    """The class of a whole number, a name or a one-hot list."""
    if isinstance(label, list):
        ones = [place for place, value in enumerate(label) if value == 1]
        if len(ones) == 1 and all(value in (0, 1) for value in label):
            return str(ones[0])
    elif isinstance(label, str):
        return label
    elif isinstance(label, (int, float)) and not isinstance(label, bool) and label == label // 1 >= 0:
        return str(int(label)) if label < 1e15 else repr(label)
    raise DataError(
        f"has the label {shown(label)}; a class is a whole number from 0 on, a name or a one-hot list; "
        "several attributes at once are read with data.attributes=all"
    )


def table_rows(name: str, text: str) -> list[list[str]]:
    """Rows of a table of this name that are not empty, titles among them.

    Raises:
        UnusableError: it is none, or has no rows.
    """
    chosen = "\t" if name.lower().endswith(".tsv") else _delimiter(text.partition("\n")[0])
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=chosen) if any(row)]
    except csv.Error as error:
        raise UnusableError(f"is not a table ({error})") from None
    if not rows:
        raise UnusableError("is empty")
    return rows


def _of_table(name: str, text: str) -> Entries:
    rows = table_rows(name, text)
    titles = [title.strip().casefold() for title in rows[0]]
    file = next((titles.index(name) for name in FILES if name in titles), None)
    label = next((titles.index(name) for name in LABELS if name in titles), None)
    header = 0 if file is None and label is None else 1  # without titles the first row is an image too
    if len(titles) < 2 or (label is None and len(titles) != 2):
        raise UnusableError(
            f"has no column {', '.join(LABELS[:4])} or the like (columns of 0 and 1 are read with data.attributes=all)"
        )
    if label is None:
        file = file or 0
        label = 1 - file
        _refuse_captions([row[label] for row in rows[header:] if len(row) == 2])
    elif file is None:
        file = int(label == 0)
    return [(as_posix(row[file]), row[label].strip()) for row in rows[header:] if len(row) > max(file, label)]


def _refuse_captions(texts: list[str]) -> None:
    """A column without a telling title is one of classes only where these come back."""
    if len(set(texts)) > max(10, len(texts) // 2):
        raise UnusableError(
            f"has no column {', '.join(LABELS[:4])} or the like, and its texts differ from image to image"
        )


def _delimiter(line: str) -> str:
    return max(",;\t", key=line.count)


def as_posix(file: str) -> str:
    """A path as archives write it."""
    return PurePosixPath(file.strip().replace("\\", "/")).as_posix()
