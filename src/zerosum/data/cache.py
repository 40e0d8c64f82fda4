"""Decoded images on disk: made once, memory-mapped ever after, keyed by content and preparation."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from zerosum.core.download import Report
from zerosum.core.errors import DataError
from zerosum.data import fitting
from zerosum.data.contents import Contents, Decoded, Source
from zerosum.data.decode import decode
from zerosum.data.fitting import Fits
from zerosum.data.halves import half
from zerosum.data.pixels import calm_pillow, refuse_bad
from zerosum.data.planes import as_images, is_table
from zerosum.data.preparation import Preparation
from zerosum.data.room import Allocate
from zerosum.data.survey import Survey, survey
from zerosum.data.tables import points

ABANDONED = 86_400  # seconds
LAYOUT = 6  # raise it when decoding or the files of an entry change, and old entries are left alone


def decoded(
    source: Source, preparation: Preparation, cache: Path, skip_bad: bool, report: Report, fits: Fits | None = None
) -> Decoded:
    """Take a source's images from the cache, or decode them into it; into memory where the cache cannot be written.

    Where the size is automatic, `fits` says which the networks take.

    Raises:
        DataError: more than a few images are bad and `skip_bad` is off, or the disk is full.
    """
    contents = surveyed = None
    if fits is not None and preparation.size == "auto":
        preparation, contents, surveyed = _fit(source, preparation, cache, report, fits)
    entry = cache / "decoded" / _key(source, preparation)
    samples = _load(entry) if source.key else None
    if samples is None:
        contents = source.contents() if contents is None else contents
        if contents.array is not None and is_table(contents.array, preparation):
            samples = points(contents.where or source.name, contents, contents.array)
        elif source.key:
            samples = _build(source, contents, preparation, entry, report, surveyed)
        else:
            samples = decode(source.name, contents, preparation, _in_memory, report, surveyed)
    if not skip_bad:
        of = "images" if samples.inputs is None else "pairs"
        refuse_bad(samples.skipped, len(samples.values) + len(samples.skipped), of)
    return replace(samples, size=preparation.size)


def _fit(
    source: Source, preparation: Preparation, cache: Path, report: Report, fits: Fits
) -> tuple[Preparation, Contents | None, Survey | None]:
    """The preparation with a size that networks take; and what was opened and seen to know it."""
    place = cache / "sizes" / f"{_key(source, preparation)}.json"
    facts = fitting.recall(place) if source.key else None
    if facts is not None:
        return fitting.fitted(preparation, facts, fits), None, None
    contents = source.contents()
    surveyed = _look(contents, preparation, report)
    if surveyed is None:
        return preparation, contents, None
    facts = fitting.Facts(surveyed.size, surveyed.shape(preparation), len(contents.classes))
    if source.key:
        fitting.remember(facts, place)
    return fitting.fitted(preparation, facts, fits), contents, surveyed


def _key(source: Source, preparation: Preparation) -> str:
    return hashlib.sha256(f"{LAYOUT}\n{source.key}\n{preparation.decoding()}".encode()).hexdigest()


def _look(contents: Contents, preparation: Preparation, report: Report) -> Survey | None:
    """What is seen of images before they are decoded; None for points."""
    array = contents.array
    if array is None:
        with calm_pillow():
            return survey(contents, preparation, {}, report)
    if is_table(array, preparation):
        return None
    height, width, channels = as_images(array, contents.where)[0].shape[1:]
    size = half((height, width), contents.where, contents.pairs) if contents.pairs else (height, width)
    return Survey({size}, channels == 1, {channels})


def _build(
    source: Source, contents: Contents, preparation: Preparation, entry: Path, report: Report, surveyed: Survey | None
) -> Decoded:
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        _sweep(entry.parent)
        building = Path(tempfile.mkdtemp(prefix="building-", dir=entry.parent))
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise _full(source.name, entry, 0) from error
        report(f"the cache {entry.parent} cannot be written ({error.strerror}); decoding into memory", 0, 0)
        return decode(source.name, contents, preparation, _in_memory, report, surveyed)
    try:
        samples = decode(source.name, contents, preparation, _in_file(source.name, building), report, surveyed)
        _save(samples, building)
        _publish(building, entry)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise _full(source.name, entry, 0) from error
        raise DataError(
            f"{source.name}: the cache {entry.parent} failed ({error}); name another: ZEROSUM_CACHE"
        ) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    cached = _load(entry)
    if cached is None:
        raise DataError(
            f"{source.name}: the cache entry {entry} cannot be read back; name another folder: ZEROSUM_CACHE"
        )
    return cached


def _sweep(place: Path) -> None:
    """Remove what a killed process left unfinished a day ago or earlier."""
    for old in place.glob("building-*"):
        if time.time() - old.stat().st_mtime > ABANDONED:
            shutil.rmtree(old, ignore_errors=True)


def _in_memory(shape: tuple[int, ...], _: str) -> np.ndarray:
    return np.empty(shape, dtype=np.uint8)


def _in_file(name: str, building: Path) -> Allocate:
    def allocate(shape: tuple[int, ...], called: str) -> np.ndarray:
        needed = int(np.prod(shape))
        if shutil.disk_usage(building).free < needed:
            raise _full(name, building.parent, needed)
        path = building / f"{called}.npy"
        values = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
        if hasattr(os, "posix_fallocate"):  # a full disk must show here: under a memory map it kills the process
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        return values

    return allocate


def _full(name: str, place: Path, needed: int) -> DataError:
    room = f" ({needed:,} bytes are needed)" if needed else ""
    return DataError(f"{name}: the disk of the cache {place} is full{room}; make room or name another: ZEROSUM_CACHE")


def _save(samples: Decoded, building: Path) -> None:
    """Write everything beside the values, which are in their file already."""
    for name, images in {"values": samples.values, "inputs": samples.inputs}.items():
        if isinstance(images, np.memmap):
            images.flush()
        if samples.skipped and images is not None:  # the file still has room for the images that were left out
            np.save(building / "kept.npy", images)
            os.replace(building / "kept.npy", building / f"{name}.npy")  # noqa: PTH105
    if samples.labels is not None:
        np.save(building / "labels.npy", samples.labels)
    if samples.held_out is not None:
        np.save(building / "held_out.npy", samples.held_out)
    facts = {
        "shape": samples.values.shape,
        "labels": samples.labels is not None,
        "held_out": samples.held_out is not None,
        "inputs": samples.inputs is not None,
        "classes": samples.classes,
        "skipped": samples.skipped,
        "content": samples.content,
        "notes": samples.notes,
    }
    (building / "entry.json").write_text(json.dumps(facts), encoding="utf-8")


def _publish(building: Path, entry: Path) -> None:
    """Rename the finished entry into place; another process may have been first with the same content."""
    try:
        building.rename(entry)
    except OSError:
        if _load(entry) is None:
            shutil.rmtree(entry, ignore_errors=True)
            building.rename(entry)


def _load(entry: Path) -> Decoded | None:
    """Open an entry; None where there is none or it is damaged."""
    try:
        facts = json.loads((entry / "entry.json").read_text(encoding="utf-8"))
        values = np.load(entry / "values.npy", mmap_mode="r", allow_pickle=False)
        labels = np.load(entry / "labels.npy", allow_pickle=False) if facts["labels"] else None
        held_out = np.load(entry / "held_out.npy", allow_pickle=False) if facts["held_out"] else None
        paired = facts.get("inputs", False)
        inputs = np.load(entry / "inputs.npy", mmap_mode="r", allow_pickle=False) if paired else None
        fits = values.shape == tuple(facts["shape"]) and values.dtype == np.uint8
        fits = fits and (inputs is None or (inputs.dtype == np.uint8 and inputs.shape == values.shape))
        if not fits or (labels is not None and labels.shape[:1] != values.shape[:1]):
            return None
        texts = (tuple(facts[name]) for name in ("classes", "skipped", "notes"))
        classes, skipped, notes = texts
        return Decoded(values, labels, classes, held_out, skipped, str(facts["content"]), notes, inputs=inputs)
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
