"""Sets of the Hugging Face hub, or local folders in its formats, through the optional library `datasets`."""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from zerosum.core.errors import DataError
from zerosum.data.archives import opened
from zerosum.data.classes import listed
from zerosum.data.contents import Contents, Source
from zerosum.data.limits import MOST_CLASSES, allowed, too_much

_LEAST = 512  # bytes that every image counts, as in a tar: a file of nothing but rows would fill the memory


def hub(name: str, cache: Path) -> Source:
    """`owner/name` of the hub, or a local folder of parquet files or images; every part but train is held out."""
    try:
        with _calm():
            import datasets
    except ImportError as error:
        raise DataError(f"hf:{name}: needs the library datasets; pip install 'zerosum[hub]'") from error
    local = Path(name).expanduser()
    given = {"path": str(local), "cache_dir": str(cache / "hub")} if local.is_dir() else {"path": name}
    try:
        with _calm():
            parts = datasets.load_dataset(**given)
    except Exception as error:  # network, formats, missing names: the library raises anything
        raise DataError(f"hf:{name}: cannot be loaded ({_reason(error)})") from error
    if "train" not in parts:
        raise DataError(f"hf:{name}: has no split 'train'; it has {', '.join(parts)}")
    order = ["train", *sorted(part for part in parts if part != "train")]
    # the library keys its own cache by this digest of files and settings; it has no public name
    key = " ".join(f"{part} {parts[part]._fingerprint}" for part in order)
    sorted_parts = {part: parts[part] for part in order}
    return Source(Path(name).name, f"hub {name} {key}", lambda: _contents(f"hf:{name}", sorted_parts))


def _contents(where: str, parts: dict[str, Any]) -> Contents:
    import datasets

    features = parts["train"].features
    columns = [key for key, kind in features.items() if _is_image(kind)]
    if not columns:
        raise DataError(f"{where}: has no column of images; its columns are {', '.join(features)}")
    column, ignored = columns[0], columns[1:]
    raw = {part: rows.cast_column(column, datasets.Image(decode=False)) for part, rows in parts.items()}
    counts = [len(rows) for rows in raw.values()]
    if not counts[0]:
        raise DataError(f"{where}: its split 'train' is empty")
    packed = _packed(parts)
    if sum(counts) * _LEAST > allowed(packed):
        raise too_much(where, packed, sum(counts) * _LEAST)
    names = [f"{part}/{index:09d}" for part, rows in raw.items() for index in range(len(rows))]

    def read() -> Iterator[tuple[int, BinaryIO]]:
        unpacked = 0
        for index, cell in enumerate(_cells(where, raw.values(), column)):
            with _opened(cell) as file:
                unpacked += max(_LEAST, file.seek(0, io.SEEK_END))
                if unpacked > allowed(packed):
                    raise too_much(where, packed, unpacked)
                file.seek(0)
                yield index, file

    labels, classes, notes = _labels(parts)
    notes += (f"left out: images of {listed(ignored)}; those of {column!r} are used",) if ignored else ()
    held_out = np.arange(counts[0], sum(counts), dtype=np.int64) if len(counts) > 1 else None
    return Contents(names=names, files=read, labels=labels, classes=classes, held_out=held_out, notes=notes)


def _packed(parts: dict[str, Any]) -> int:
    """Bytes that were fetched, or lie in the folder; where the library does not know, those that it made of them."""
    info = parts["train"].info
    return int(info.download_size or info.dataset_size or 0)


def _cells(where: str, tables: Iterable[Any], column: str) -> Iterator[Any]:
    try:
        for rows in tables:
            for row in rows.select_columns([column]):
                yield row[column]
    except Exception as error:  # the library raises anything
        raise DataError(f"{where}: cannot be read ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def _opened(cell: dict[str, Any] | None) -> BinaryIO:
    """The file that a cell holds or names; an empty one where it does neither."""
    if cell and cell.get("bytes"):
        return io.BytesIO(cell["bytes"])
    return opened(Path(cell["path"])) if cell and cell.get("path") else io.BytesIO()


def _is_image(kind: Any) -> bool:
    """True for image columns, and for their plain form in parquet files that were written without the library."""
    return type(kind).__name__ == "Image" or (isinstance(kind, dict) and set(kind) == {"bytes", "path"})


def _labels(parts: dict[str, Any]) -> tuple[np.ndarray | None, tuple[str, ...], tuple[str, ...]]:
    """Labels, names of classes, and why a column is not used that looks like labels."""
    features = parts["train"].features
    named = [key for key, kind in features.items() if type(kind).__name__ == "ClassLabel"]
    plain = [key for key in ("label", "labels") if getattr(features.get(key), "dtype", "").startswith("int")]
    notes: list[str] = []
    for key in dict.fromkeys(named + plain):
        names = tuple(features[key].names) if key in named else None
        without = [part for part, rows in parts.items() if key not in rows.features]
        if without:
            notes.append(f"labels: column {key!r} is not used; it is missing in {listed(without)}")
            continue
        labels = np.concatenate([np.asarray(rows[key][:], dtype=np.float64) for rows in parts.values()])
        most = MOST_CLASSES if names is None else len(names)
        if np.isfinite(labels).all() and labels.min() >= 0 and labels.max() < most:
            return labels.astype(np.int64), names or tuple(map(str, range(int(labels.max()) + 1))), tuple(notes)
        wrong = f"not all of its values are whole numbers from 0 to {most - 1:,}"
        notes.append(f"labels: column {key!r} is not used; {wrong}")
    return None, (), tuple(notes)


@contextmanager
def _calm() -> Iterator[None]:
    """Keep the library's warnings and progress bars to itself."""
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    logging.getLogger("datasets").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
