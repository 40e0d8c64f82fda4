"""Decode a source's images into one uint8 array, on a few threads."""

from __future__ import annotations

import hashlib
import io
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import BinaryIO

import numpy as np

from zerosum.core.download import Report
from zerosum.core.errors import DataError
from zerosum.data import npy, planes, ranges
from zerosum.data.contents import Contents, Decoded
from zerosum.data.halves import cut, half, prepare
from zerosum.data.limits import LARGEST_FILE, take
from zerosum.data.metadata import without_metadata
from zerosum.data.pixels import (
    BadImageError,
    Shape,
    blaming,
    calm_pillow,
    fit_array,
    has_frames,
    is_clear,
    is_deep,
    is_grey,
    open_image,
    orientation,
    seen_size,
)
from zerosum.data.preparation import Preparation
from zerosum.data.ranges import Span
from zerosum.data.room import CHUNK, Allocate, Room
from zerosum.data.survey import Survey, read_picture, survey
from zerosum.data.tally import Look, Tally, resizing

Outcome = tuple[Sequence[np.ndarray], str, Look]  # a file's image, or both of a pair; its digest, and how it was before

THREADS = min(8, os.cpu_count() or 1)
SMALL = 1 << 14  # bytes; below it threads spend more time waiting for each other than decoding
AHEAD = 1 << 27  # bytes of files that may be read before they are decoded


@dataclass(frozen=True)
class Plan:
    """What every image is made into."""

    preparation: Preparation
    shape: Shape
    span: Span | None  # range of what has more than 8 bits; None: nothing has, or that of its type
    note: str = ""  # why this range
    cut: str = ""  # how files that hold pairs are cut; "": they hold none


def decode(
    name: str,
    contents: Contents,
    preparation: Preparation,
    allocate: Allocate,
    report: Report,
    surveyed: Survey | None = None,
) -> Decoded:
    """Decode all images into what `allocate` gives; bad ones are left out, and named in `skipped`.

    `seen` is a first look at all files, where there was one.

    Raises:
        DataError: all of them are bad, or an array is not a set of images.
    """
    bad: dict[int, str] = {}
    if contents.array is not None:
        room, notes = _decode_array(contents, name, preparation, allocate, report)
        content = _hash(contents.array)
    else:
        with calm_pillow():
            room, content, notes = _decode_files(name, contents, preparation, allocate, bad, report, surveyed)
    labels, held_out = contents.labels, contents.held_out
    if bad:
        keep = room.leave_out(bad)
        labels = None if labels is None else labels[keep]
        held_out = None if held_out is None else np.flatnonzero(np.isin(keep, held_out))
    bare = b"" if labels is None else labels.tobytes()
    content = hashlib.sha256(content.encode(errors="surrogateescape") + bare).hexdigest()
    skipped = (*contents.bad, *(bad[i] for i in sorted(bad)))
    notes = (*contents.notes, *notes)
    *inputs, values = room.images
    return Decoded(values, labels, contents.classes, held_out, skipped, content, notes, inputs=next(iter(inputs), None))


def _hash(array: np.ndarray) -> str:
    """Digest of an array's values in their order, whatever their order in memory."""
    hasher = hashlib.sha256()
    for start in range(0, len(array), CHUNK):
        hasher.update(np.ascontiguousarray(array[start : start + CHUNK]).data)
    return hasher.hexdigest()


# ---------------------------------------------------------------------- files


def _decode_files(
    name: str,
    contents: Contents,
    preparation: Preparation,
    allocate: Allocate,
    bad: dict[int, str],
    report: Report,
    surveyed: Survey | None,
) -> tuple[Room, str, tuple[str, ...]]:
    """Images, names with digests of the files that were kept, notes; faults of bad images go to `bad`, by index."""
    if surveyed is None:
        needed = preparation.needs_survey or preparation.range == "auto"
        surveyed = survey(contents, preparation, bad, report) if needed else Survey()
    _refuse_all(name, contents, bad)
    plan = _plan(name, surveyed, preparation, contents.pairs)
    room = Room(contents, plan.shape, allocate)
    digests: dict[int, str] = {}
    tally = Tally()
    for index, outcome in _in_threads(contents, plan, bad):
        try:
            images, digest, before = outcome()
            room.put(index, images, before.size)
            digests[index] = digest
            tally.add(contents.name(index), before)
        except BadImageError as error:
            bad[index] = error.fault
        report("decoding", len(digests) + len(bad), len(contents))
    _refuse_all(name, contents, bad, room.row)
    listing = "".join(f"{contents.names[index]}\0{digests[index]}\n" for index in sorted(digests))
    return room, listing, tally.notes(preparation, plan.shape, plan.note)


def _refuse_all(name: str, contents: Contents, bad: dict[int, str], row: Callable[[int], int] = int) -> None:
    if len({*map(row, bad)}) == row(len(contents)):
        which = f"all {len(bad):,} images are bad, the first one" if len(bad) > 1 else "its only image is bad"
        raise DataError(f"{name}: {which}: {bad[min(bad)]}")


def _plan(name: str, surveyed: Survey, preparation: Preparation, pairs: str) -> Plan:
    shape, cut = surveyed.shape(preparation), pairs if "halves" in pairs else ""
    if surveyed.extent is None:
        return Plan(preparation, shape, preparation.span, cut=cut)
    span = ranges.choose_span(surveyed.extent, preparation.span, name)
    return Plan(preparation, shape, span, ranges.note(surveyed.extent, span), cut)


def _in_threads(contents: Contents, plan: Plan, bad: dict[int, str]) -> Iterator[tuple[int, Callable[[], Outcome]]]:
    """Read files one after the other, decode them side by side, yield (index, result) in the order of reading."""
    assert contents.files is not None
    waiting: deque[tuple[int, Callable[[], Outcome], int]] = deque()
    ahead = 0
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            for index, file in contents.files():
                if index in bad:
                    continue
                outcome, size = _submit(pool, plan, contents.name(index), file)
                waiting.append((index, outcome, size))
                ahead += size
                while len(waiting) > 4 * THREADS or (ahead > AHEAD and waiting):
                    number, result, size = waiting.popleft()
                    ahead -= size
                    yield number, result
            yield from ((number, result) for number, result, _ in waiting)
        finally:
            pool.shutdown(cancel_futures=True)


def _submit(pool: ThreadPoolExecutor, plan: Plan, name: str, file: BinaryIO) -> tuple[Callable[[], Outcome], int]:
    """Read a file, decode it at once if it is small, else in the pool; what gives or raises the outcome, and bytes."""
    try:
        with blaming(name):
            data = take(file, LARGEST_FILE + 1)
            if len(data) > LARGEST_FILE:
                raise BadImageError(name, f"is larger than {LARGEST_FILE:,} bytes")
        if len(data) > SMALL:
            return pool.submit(_work, plan, name, data).result, len(data)
        outcome = _work(plan, name, data)
    except BadImageError as error:
        return partial(_fail, error), 0
    return lambda: outcome, 0


def _fail(error: BadImageError) -> Outcome:
    raise error


def _work(plan: Plan, name: str, data: bytes) -> Outcome:
    pixels, look = _array(plan, name, data) if npy.is_npy(data) else _picture(plan, name, data)
    return pixels, hashlib.sha256(data).hexdigest(), look


def _picture(plan: Plan, name: str, data: bytes) -> tuple[Sequence[np.ndarray], Look]:
    """Decode a picture; where it fails, once more without its metadata, which no pixel depends on."""
    try:
        return _decode_picture(plan, name, data)
    except BadImageError:
        bare = without_metadata(data)
        if bare is None:
            raise
        with_fault = _decode_picture(plan, name, bare)
    return with_fault[0], replace(with_fault[1], mended=True)


def _decode_picture(plan: Plan, name: str, data: bytes) -> tuple[Sequence[np.ndarray], Look]:
    with blaming(name), open_image(io.BytesIO(data), name) as image:
        deep = is_deep(image) or ";16" in str(getattr(image, "tile", ""))  # Pillow itself reduces colours of 16 bits
        frames, ink = has_frames(image), image.mode == "CMYK"
        images = prepare(image, name, plan.shape, plan.preparation, plan.span, plan.cut)
        channels, damaged = 1 if is_grey(image) else 3, orientation(image) == 0
        size = half(seen_size(image), name, plan.cut) if plan.cut else seen_size(image)
        return images, Look(size, channels, is_clear(image), deep, frames, ink, damaged)


def _array(plan: Plan, name: str, data: bytes) -> tuple[Sequence[np.ndarray], Look]:
    """Decode the bytes of an .npy file."""
    images = cut(read_picture(data, name), name, plan.cut)
    height, width, channels = images[0].shape
    look = Look((height, width), channels, clear=False, deep=images[0].dtype != np.uint8)
    with blaming(name):
        try:
            levels = [ranges.to_levels(one, plan.span or (0, 255)) if look.deep else one for one in images]
            return [fit_array(one, name, plan.shape, plan.preparation) for one in levels], look
        except DataError as error:
            raise BadImageError(name, str(error).removeprefix(f"{name}: ")) from error


# ---------------------------------------------------------------------- arrays


def _decode_array(
    contents: Contents, name: str, preparation: Preparation, allocate: Allocate, report: Report
) -> tuple[Room, tuple[str, ...]]:
    """Scale to 256 levels, copy rows where the shape agrees already, otherwise treat each row as an image."""
    where, array = contents.where or name, contents.array
    assert array is not None
    array, layout = planes.as_images(array, where)
    span, note = (0.0, 255.0), ""
    if array.dtype != np.uint8:
        extent = ranges.extent(array)
        span = ranges.choose_span(extent, preparation.span, where)
        note = ranges.note(extent, span)
    whole = cut(array, where, contents.pairs)
    height, width, channels = whole[0].shape[1:]
    shape = preparation.shape({(height, width)}, channels == 1, channels)
    room = Room(contents, shape, allocate)
    rows = max(1, min(CHUNK, (1 << 22) // max(1, array[0].size)))
    for images, values in zip(whole, room.images, strict=True):
        for start in range(0, len(images), rows):
            part = ranges.to_levels(images[start : start + rows], span)
            if part.shape[1:] != shape:
                part = np.stack([fit_array(row, where, shape, preparation) for row in part])
            values[start : start + len(part)] = part
            report("decoding", start + len(part), len(images))
    shown = f"pictures: sheets show the first 3 of {shape[2]} channels" if shape[2] > 4 else ""
    notes = layout, note, shown, resizing(Counter({(height, width): len(array)}), shape[:2], preparation)
    return room, tuple(line for line in notes if line)
