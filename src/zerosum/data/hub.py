"""Sets of the Hugging Face hub, or local folders in its formats, through the optional library `datasets`."""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from zerosum.core.errors import DataError
from zerosum.data.contents import Contents, Source


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
        reason = str(error).strip().partition("\n")[0]
        raise DataError(f"hf:{name}: cannot be loaded ({type(error).__name__}: {reason})") from error
    if "train" not in parts:
        raise DataError(f"hf:{name}: has no part 'train'; there is {', '.join(parts)}")
    order = ["train", *sorted(part for part in parts if part != "train")]
    # the library keys its own cache by this digest of files and settings; it has no public name
    key = " ".join(f"{part} {parts[part]._fingerprint}" for part in order)
    return Source(Path(name).name, f"hub {name} {key}", lambda: _contents(name, {part: parts[part] for part in order}))


def _contents(name: str, parts: dict[str, Any]) -> Contents:
    import datasets

    features = parts["train"].features
    column = next((key for key, kind in features.items() if _is_image(kind)), None)
    if column is None:
        raise DataError(f"hf:{name}: has no column of images; there is {', '.join(features)}")
    raw = {part: rows.cast_column(column, datasets.Image(decode=False)) for part, rows in parts.items()}
    counts = [len(rows) for rows in raw.values()]
    names = [f"{part}/{index:09d}" for part, rows in raw.items() for index in range(len(rows))]

    def read() -> Iterator[tuple[int, BinaryIO]]:
        for index, row in enumerate(row for rows in raw.values() for row in rows.select_columns([column])):
            yield index, io.BytesIO(_bytes(row[column]))

    labels, classes = _labels(parts)
    held_out = np.arange(counts[0], sum(counts), dtype=np.int64) if len(counts) > 1 else None
    return Contents(names=names, files=read, labels=labels, classes=classes, held_out=held_out)


def _bytes(cell: dict[str, Any] | None) -> bytes:
    if cell and cell.get("bytes"):
        return bytes(cell["bytes"])
    return Path(cell["path"]).read_bytes() if cell and cell.get("path") else b""


def _is_image(kind: Any) -> bool:
    """True for image columns, and for their plain form in parquet files that were written without the library."""
    return type(kind).__name__ == "Image" or (isinstance(kind, dict) and set(kind) == {"bytes", "path"})


def _labels(parts: dict[str, Any]) -> tuple[np.ndarray | None, tuple[str, ...]]:
    features = parts["train"].features
    named = [key for key, kind in features.items() if type(kind).__name__ == "ClassLabel"]
    plain = [key for key in ("label", "labels") if getattr(features.get(key), "dtype", "").startswith("int")]
    for key in named + plain:
        if not all(key in rows.features for rows in parts.values()):
            continue
        labels = np.concatenate([np.asarray(rows[key][:], dtype=np.float64) for rows in parts.values()])
        if np.isfinite(labels).all() and (labels >= 0).all():
            count = int(labels.max()) + 1
            classes = features[key].names if key in named else [str(label) for label in range(count)]
            return labels.astype(np.int64), tuple(classes)
    return None, ()


@contextmanager
def _calm() -> Iterator[None]:
    """Keep the library's warnings and progress bars to itself."""
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    logging.getLogger("datasets").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
