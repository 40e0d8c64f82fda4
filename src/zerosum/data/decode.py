"""Decode a source's images into one uint8 array, on a few threads."""

from __future__ import annotations

import hashlib
import io
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import BinaryIO

import numpy as np
from PIL import Image

from zerosum.core.download import Report
from zerosum.core.errors import DataError
from zerosum.data.contents import Contents, Decoded
from zerosum.data.pixels import BadImageError, blaming, is_grey, look, open_image, prepare, strict_pillow
from zerosum.data.preparation import Preparation
from zerosum.data.tally import Look, Tally, resizing

Shape = tuple[int, int, int]  # (H, W, C)
Allocate = Callable[[tuple[int, ...]], np.ndarray]  # room for uint8 of this shape, in a file or in memory
Outcome = tuple[np.ndarray, str, Look]  # pixels, digest of the file, and how it was before

LARGEST_FILE = 1 << 30  # bytes; a larger member of an archive is taken for a decompression bomb
THREADS = min(8, os.cpu_count() or 1)
SMALL = 1 << 14  # bytes; below it threads spend more time waiting for each other than decoding
CHUNK = 4096  # images copied at a time


def decode(
    name: str, contents: Contents, preparation: Preparation, allocate: Allocate, skip_bad: bool, report: Report
) -> Decoded:
    """Decode all images into what `allocate` gives.

    Raises:
        DataError: an image is bad and `skip_bad` is off, or all of them are.
    """
    bad: dict[int, str] = {}
    if contents.array is not None:
        values, notes = _decode_array(name, contents.array, preparation, allocate, report)
        content = hashlib.sha256(np.ascontiguousarray(contents.array).data).hexdigest()
    else:
        with strict_pillow():
            values, content, notes = _decode_files(contents, preparation, allocate, bad, skip_bad, report)
    if len(bad) == len(contents):
        raise DataError(f"{name}: all {len(bad)} images are bad, the first one: {next(iter(bad.values()))}")
    labels, held_out = contents.labels, contents.held_out
    if bad:
        keep = np.setdiff1d(np.arange(len(contents)), list(bad))
        values, labels = _compact(values, keep), None if labels is None else labels[keep]
        held_out = None if held_out is None else np.flatnonzero(np.isin(keep, held_out))
    bare = b"" if labels is None else labels.tobytes()
    content = hashlib.sha256(content.encode(errors="surrogateescape") + bare).hexdigest()
    skipped = tuple(bad[i] for i in sorted(bad))
    return Decoded(values, labels, contents.classes, held_out, skipped, content, (*contents.notes, *notes))


def _compact(values: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Move the kept rows to the front, in place; `keep` ascends, so no row is overwritten before it moves."""
    for to in range(0, len(keep), CHUNK):
        rows = keep[to : to + CHUNK]
        values[to : to + len(rows)] = values[rows]
    return values[: len(keep)]


def _decode_files(
    contents: Contents,
    preparation: Preparation,
    allocate: Allocate,
    bad: dict[int, str],
    skip_bad: bool,
    report: Report,
) -> tuple[np.ndarray, str, tuple[str, ...]]:
    """Values, names with digests of the files that were kept, notes; faults of bad images go to `bad`, by index."""
    shape = _survey(contents, preparation, bad, skip_bad, report)
    values = allocate((len(contents), *shape))
    digests: dict[int, str] = {}
    tally = Tally()
    for index, outcome in _in_threads(contents, shape, preparation, bad):
        try:
            values[index], digests[index], before = outcome()
            tally.add(contents.names[index], before)
        except BadImageError as error:
            _note(error, index, bad, skip_bad)
        report("decoding", len(digests) + len(bad), len(contents))
    whole = "".join(f"{contents.names[index]}\0{digests[index]}\n" for index in sorted(digests))
    return values, whole, tally.notes(preparation, shape)


def _note(error: BadImageError, index: int, bad: dict[int, str], skip_bad: bool) -> None:
    if not skip_bad:
        raise error
    bad[index] = error.fault


def _survey(contents: Contents, preparation: Preparation, bad: dict[int, str], skip_bad: bool, report: Report) -> Shape:
    """Find the common shape from the headers; where nothing is automatic no file is opened."""
    sizes: set[tuple[int, int]] = set()
    grey = True
    if preparation.needs_survey:
        assert contents.files is not None
        for done, (index, file) in enumerate(contents.files()):
            name = contents.names[index]
            try:
                with blaming(name), open_image(file, name) as image:
                    sizes.add((image.height, image.width))
                    grey = grey and is_grey(image)
            except BadImageError as error:
                _note(error, index, bad, skip_bad)
            report("looking at headers", done + 1, len(contents))
            if len(sizes) > 1 and not grey:
                break  # nothing that follows can change the shape
    return preparation.shape(sizes, grey)


def _in_threads(
    contents: Contents, shape: Shape, preparation: Preparation, bad: dict[int, str]
) -> Iterator[tuple[int, Callable[[], Outcome]]]:
    """Read files one after the other, decode them side by side, yield (index, result) in the order of reading."""

    def work(index: int, data: bytes) -> Outcome:
        name = contents.names[index]
        with open_image(io.BytesIO(data), name) as image:
            return prepare(image, name, shape, preparation), hashlib.sha256(data).hexdigest(), look(image)

    assert contents.files is not None
    waiting: deque[tuple[int, Callable[[], Outcome]]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            for index, file in contents.files():
                if index in bad:
                    continue
                waiting.append((index, _submit(pool, work, index, contents.names[index], file)))
                if len(waiting) > 4 * THREADS:
                    yield waiting.popleft()
            yield from waiting
        finally:
            pool.shutdown(cancel_futures=True)


def _submit(
    pool: ThreadPoolExecutor,
    work: Callable[[int, bytes], Outcome],
    index: int,
    name: str,
    file: BinaryIO,
) -> Callable[[], Outcome]:
    """Read a file, decode it at once if it is small, else in the pool; return what gives or raises the outcome."""
    try:
        with blaming(name):
            data = file.read(LARGEST_FILE + 1)
            if len(data) > LARGEST_FILE:
                raise BadImageError(name, f"is larger than {LARGEST_FILE:,} bytes")
        if len(data) > SMALL:
            return pool.submit(work, index, data).result
        outcome = work(index, data)
    except BadImageError as error:
        return partial(_fail, error)
    return lambda: outcome


def _fail(error: BadImageError) -> Outcome:
    raise error


def _decode_array(
    name: str, array: np.ndarray, preparation: Preparation, allocate: Allocate, report: Report
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Copy rows where shape and channels agree already; otherwise treat each row as an image."""
    height, width, channels = array.shape[1:]
    shape = preparation.shape({(height, width)}, channels == 1)
    values = allocate((len(array), *shape))
    for start in range(0, len(array), CHUNK):
        rows = array[start : start + CHUNK]
        if shape != array.shape[1:]:
            images = (Image.fromarray(row[..., 0] if channels == 1 else row) for row in np.asarray(rows))
            rows = np.stack([prepare(image, name, shape, preparation) for image in images])
        values[start : start + len(rows)] = rows
        report("decoding", start + len(rows), len(array))
    note = resizing(Counter({(height, width): len(array)}), shape[:2], preparation)
    return values, (note,) if note else ()
