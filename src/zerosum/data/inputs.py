"""Inputs that a pairing computes from images: in memory, or for large sets once and for all in the cache."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from zerosum.core.download import Report
from zerosum.core.errors import DataError, ZerosumError
from zerosum.core.usercode import origin_of
from zerosum.data.contents import Decoded
from zerosum.data.pairings import Pairing
from zerosum.data.preparation import Preparation

FOLDER = "inputs"  # of the cache
HELD = 1 << 24  # bytes; below it inputs are computed anew each time
PIXELS = 1 << 22  # of images that go through a pairing at a time


def with_inputs(name: str, images: Decoded, preparation: Preparation, cache: Path, report: Report) -> Decoded:
    """Images with the inputs that the pairing computes; as they are where inputs lie in the data, or for points.

    Raises:
        DataError: nothing can be learnt from them, or a pairing of the user's fails.
    """
    pairing = preparation.pairing
    if pairing is None or images.inputs is not None or images.values.ndim != 4:
        return images
    channels = images.values.shape[3]
    if fault := pairing.fault(channels):
        raise DataError(f"{name}: data.pairs={preparation.pairs}: {fault}; take another pairing, or other images")
    shape = (*images.values.shape[:3], pairing.channels(channels))
    place = cache / FOLDER / f"{_key(images, preparation, pairing)}.npy" if np.prod(shape) > HELD else None
    inputs = None if place is None else _recalled(place, shape)
    if inputs is None:
        inputs = _computed(images.values, shape, pairing, place, report)
    return replace(images, inputs=inputs, notes=(*images.notes, f"pairs: A is computed from each image, B: {pairing}"))


def _key(images: Decoded, preparation: Preparation, pairing: Pairing) -> str:
    module = type(pairing).__module__  # of a user's file it has a digest
    words = images.content, preparation.decoding(), str(images.values.shape), str(pairing), module
    return hashlib.sha256("\n".join(words).encode()).hexdigest()


def _recalled(place: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """What was computed before; None where there is nothing, or it is damaged."""
    try:
        inputs = np.load(place, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return inputs if inputs.shape == shape and inputs.dtype == np.uint8 else None


def _computed(
    images: np.ndarray, shape: tuple[int, ...], pairing: Pairing, place: Path | None, report: Report
) -> np.ndarray:
    """Compute all inputs, in memory where the cache cannot be written."""
    if place is None:
        return _filled(np.empty(shape, np.uint8), images, pairing, report)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=place.parent, suffix=".part")
    except OSError as error:
        report(f"the cache {place.parent} cannot be written ({error.strerror}); inputs stay in memory", 0, 0)
        return _filled(np.empty(shape, np.uint8), images, pairing, report)
    os.close(handle)
    try:
        room = np.lib.format.open_memmap(aside, mode="w+", dtype=np.uint8, shape=shape)
        _filled(room, images, pairing, report)
        room.flush()
        Path(aside).replace(place)
    finally:
        Path(aside).unlink(missing_ok=True)
    return np.load(place, mmap_mode="r", allow_pickle=False)


def _filled(room: np.ndarray, images: np.ndarray, pairing: Pairing, report: Report) -> np.ndarray:
    rows = max(1, PIXELS // int(np.prod(images.shape[1:])))
    for start in range(0, len(images), rows):
        inputs = _called(pairing, np.array(images[start : start + rows]))
        room[start : start + rows] = inputs.permute(0, 2, 3, 1).numpy()
        report("computing inputs", min(start + rows, len(images)), len(images))
    return room


def _called(pairing: Pairing, images: np.ndarray) -> torch.Tensor:
    """Inputs of some images; what a pairing of the user's does wrong is said in its name.

    Raises:
        DataError: it fails, or gives something else than such inputs.
    """
    given = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    wanted = (len(images), pairing.channels(given.shape[1]), *given.shape[2:])
    try:
        inputs = pairing(given)
    except ZerosumError:
        raise
    except Exception as error:  # whatever a user's part raises is the user's to mend
        where = origin_of(type(pairing), error)
        raise DataError(f"pairing {pairing.name!r} failed{where}: {type(error).__name__}: {error}") from error
    if not torch.is_tensor(inputs) or inputs.shape != wanted or inputs.dtype != torch.uint8:
        told = f"{inputs.dtype} {list(inputs.shape)}" if torch.is_tensor(inputs) else type(inputs).__name__
        raise DataError(f"pairing {pairing.name!r} gave {told}; it must give uint8 {list(wanted)}")
    return inputs.cpu()
