"""From what a user writes as DATA to the source that reads it."""

from __future__ import annotations

import difflib
import os
from itertools import islice
from pathlib import Path

from zerosum.core.download import Report
from zerosum.core.errors import DataError, nearest
from zerosum.core.registry import parse
from zerosum.data.archives import TAR_SUFFIXES, folder, is_tar, is_zip, single, tarred, zipped
from zerosum.data.arrays import arrays
from zerosum.data.cifar import cifar10, is_cifar
from zerosum.data.contents import Source
from zerosum.data.given_files import given, is_given
from zerosum.data.hub import hub
from zerosum.data.idx import is_idx, pairs
from zerosum.data.layout import is_image
from zerosum.data.named import idx_folder, names
from zerosum.data.part import DataPart, Search
from zerosum.data.preparation import Preparation
from zerosum.data.tables import SUFFIXES, table

OF_RUNS = ("recipe.toml", "environment.json")  # files of a folder that a training wrote
LOOKED_AT = 10_000  # entries of a folder, for one that a mistaken name may have meant


def find(
    text: str | Path, data_root: str | Path | None, cache: Path, report: Report, preparation: Preparation
) -> Source:
    """Find the source: a name, `hf:owner/name`, a folder, or a file by its suffix or first bytes.

    Raises:
        DataError: it is none of these.
    """
    word = str(text)
    if is_name(text):
        return part_of(word).source(Search(data_root, cache, report))
    if word.startswith("hf:"):
        return hub(word.removeprefix("hf:"), cache)
    path = Path(text).expanduser()
    if is_cifar(path):
        return cifar10(path, cache, report)
    if all((path / file).is_file() for file in OF_RUNS):
        raise DataError(
            f"{word!r} is a run directory, not data; name what it was trained on, or {path / 'samples'}, its pictures"
        )
    if path.is_dir():
        return idx_folder(path, path.resolve().name, cache, report) or folder(
            path, cache, report, preparation.wants, attributes=bool(preparation.attributes)
        )
    if not path.is_file():
        raise DataError(f"{word!r} is not a file or folder, nor a named set; {_offer(word, path)}")
    return _file(path, cache, report, preparation)


def is_name(text: str | Path) -> bool:
    """True for the name of a set, as `digits` or `mine:count=9`; it wins over a place, which is written `./NAME`."""
    return not isinstance(text, Path) and text.partition(":")[0] in names()


def part_of(word: str) -> DataPart:
    """The source that a name with its fields stands for.

    Raises:
        RecipeError: it has no such field, or the value does not fit.
    """
    return parse("data", word)


def namesake(text: str | Path) -> tuple[str, ...]:
    """What is said where a place has the name of a set that is opened."""
    if not is_name(text) or not Path(text).exists():
        return ()
    return (f"{text!r} means the named set; for what lies here under that name write ./{text}",)


def whole_place(text: str | Path) -> str:
    """What means the same data from anywhere: a name with all of its fields, a place by its whole path."""
    word = str(text)
    if is_name(text):
        return str(part_of(word))
    local = word.removeprefix("hf:")
    if local != word:
        return f"hf:{Path(local).expanduser().absolute()}" if Path(local).expanduser().is_dir() else word
    path = Path(text).expanduser()
    return str(path.absolute()) if path.exists() else word


def _offer(word: str, path: Path) -> str:
    """The nearest name of a set, or of what lies where the path first leads nowhere."""
    if ":" in word and "/" not in word:
        return nearest(word.partition(":")[0], names())
    while path.parent != path and not path.parent.exists():
        path = path.parent
    try:
        entries = [entry for entry in islice(os.scandir(path.parent), LOOKED_AT) if not entry.name.startswith(".")]
    except OSError:
        entries = []
    lying = {entry.name: f"{path.with_name(entry.name)}{'/' if entry.is_dir() else ''}" for entry in entries}
    folded = {name.casefold(): place for name, place in lying.items()} | {name: name for name in names()}
    close = difflib.get_close_matches(path.name.casefold(), folded, n=1, cutoff=0.6)
    if close:
        return f"did you mean {folded[close[0]]!r}?"
    return f"there is no {path.name!r} in {path.parent}" if "/" in word else nearest(word, names())


def _file(path: Path, cache: Path, report: Report, preparation: Preparation) -> Source:
    name, wants, attributes = path.name.lower(), preparation.wants, bool(preparation.attributes)
    if is_given(path, cache):
        return given(path, cache, report, preparation)
    if name.endswith((".npz", ".npy")):
        return arrays(path, cache, report)
    if name.endswith(SUFFIXES):
        return table(path, preparation.drop, cache, report)
    if name.endswith(TAR_SUFFIXES):
        return tarred(path, cache, report, wants, attributes=attributes)
    if name.endswith(".zip"):
        return zipped(path, cache, report, wants, attributes=attributes)
    if is_idx(path):
        return pairs(path.name.split("-idx")[0], path, None, (), cache, report)
    if is_image(path.name):
        return single(path, cache, report)
    if is_zip(path):
        return zipped(path, cache, report, wants, attributes=attributes)
    if is_tar(path):
        return tarred(path, cache, report, wants, attributes=attributes)
    raise DataError(
        f"{path}: cannot be read as data; zerosum reads folders of images, zip, tar, npz, npy, csv, tsv, idx files, "
        f"hf:owner/name, and the names {', '.join(names())}"
    )
