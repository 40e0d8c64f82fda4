"""A set of images or points, ready to train on: `open_data` is the one way in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zerosum.core.download import Report, cache_folder, silent
from zerosum.core.errors import DataError
from zerosum.data import mixtures
from zerosum.data.cache import decoded
from zerosum.data.contents import Decoded
from zerosum.data.preparation import Preparation
from zerosum.data.sources import find

AS_THEY_ARE = Preparation()


@dataclass(frozen=True, eq=False)
class Dataset:
    """Values, labels and the split into what trains and what judges."""

    name: str
    values: np.ndarray  # uint8 [N, H, W, C], memory-mapped where the cache holds it, or float32 points [N, D]
    labels: np.ndarray | None  # int64 [N]
    classes: tuple[str, ...]  # names by label; () where unlabelled
    train: np.ndarray  # int64 indices into values, ascending
    held_out: np.ndarray  # int64 indices into values, ascending; disjoint from train
    fingerprint: str  # sha256 over content, preparation and split
    skipped: tuple[str, ...] = ()  # files that --skip-bad left out, each with the reason
    centres: np.ndarray | None = None  # float32 [modes, D]; mixtures only
    spread: float | None = None  # standard deviation of every mode; mixtures only
    own_split: bool = False  # the set came with a test part, which is what is held out
    notes: tuple[str, ...] = ()  # what was decided or left out on the way, each a sentence

    def __len__(self) -> int:
        return len(self.values)

    @property
    def is_image(self) -> bool:
        """True for images, false for points."""
        return self.values.ndim == 4

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample as networks see it: (C, H, W) or (D,)."""
        if not self.is_image:
            return (self.values.shape[1],)
        height, width, channels = self.values.shape[1:]
        return channels, height, width

    @property
    def num_classes(self) -> int:
        """Number of classes; 0 where unlabelled."""
        return len(self.classes)


def open_data(
    source: str | Path,
    preparation: Preparation = AS_THEY_ARE,
    *,
    seed: int = 0,
    data_root: str | Path | None = None,
    cache: str | Path | None = None,
    skip_bad: bool = False,
    report: Report | None = None,
) -> Dataset:
    """Open a named set, folder, archive, array file, idx file or `hf:` set; images are decoded once, into the cache.

    `seed` draws the held-out part (and the points of a mixture); `report(what, done, total)` hears of the progress.

    Raises:
        DataError: there is no such source, or it cannot be read; the message says where and how to mend it.
    """
    if str(source) in mixtures.MIXTURES:
        return _open_mixture(str(source), preparation, seed)
    folder = cache_folder(cache)
    report = report or silent
    found = find(source, data_root, folder, report, preparation.wants)
    made = decoded(found, preparation, folder, skip_bad, report)
    train, held_out, how = _split(found.name, made, preparation, seed)
    parts = [made.content, str(made.values.shape[1:]), preparation.rendering() if made.values.ndim == 4 else "", how]
    return Dataset(
        found.name,
        made.values,
        made.labels,
        made.classes,
        train,
        held_out,
        _fingerprint(parts),
        made.skipped,
        own_split=made.held_out is not None,
        notes=(*found.notes, *made.notes),
    )


def _open_mixture(name: str, preparation: Preparation, seed: int) -> Dataset:
    mixture = mixtures.MIXTURES[name]
    values = mixture.sample(seed)
    content = hashlib.sha256(values.tobytes()).hexdigest()
    made = Decoded(values, None, (), None, (), content)
    train, held_out, how = _split(name, made, preparation, seed)
    fingerprint = _fingerprint([content, how])
    return Dataset(name, values, None, (), train, held_out, fingerprint, centres=mixture.centres, spread=mixture.spread)


def _split(name: str, made: Decoded, preparation: Preparation, seed: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Indices that train, indices held out, and a text that says which rule gave them."""
    count = len(made.values)
    if made.held_out is None:
        if preparation.held_out == 1:
            raise DataError(f"{name}: held_out=1 leaves no image to train on; take a share below 1")
        kept = min(round(preparation.held_out * count), count - 1)
        held_out = np.sort(np.random.default_rng(seed).permutation(count)[:kept]).astype(np.int64)
        how = f"held_out={kept} of {count}, seed={seed if kept else None}"
    else:
        held_out, how = made.held_out, "own split"
    train = np.setdiff1d(np.arange(count, dtype=np.int64), held_out, assume_unique=True)
    if not len(train):
        raise DataError(f"{name}: no image is left to train on; all {count} are in its test part")
    return train, held_out, how


def _fingerprint(parts: list[str]) -> str:
    return hashlib.sha256("\n".join(["zerosum data 1", *parts]).encode()).hexdigest()
