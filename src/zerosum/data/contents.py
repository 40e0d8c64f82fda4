"""What a source holds before anything is decoded, and what is left once it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np


@dataclass(frozen=True, eq=False)
class Contents:
    """Image files (`names` and `files`) or an array, with labels and the set's own split."""

    names: Sequence[str] = ()  # of the image files, sorted, "/" between folders
    files: Callable[[], Iterator[tuple[int, BinaryIO]]] | None = None  # each file once, as (index into names, bytes)
    array: np.ndarray | None = None  # uint8 [N, H, W, C], or float32 points [N, D]
    labels: np.ndarray | None = None  # int64 [N]; of attributes uint8 [N, K]
    classes: tuple[str, ...] = ()  # names by label, or of the attributes
    held_out: np.ndarray | None = None  # int64 indices of the set's own test part; None: it has none
    notes: tuple[str, ...] = ()  # what was decided or left out on the way, in words
    where: str = ""  # of the array, for errors
    columns: tuple[str, ...] = ()  # names of a table's columns
    called: Sequence[str] = ()  # what messages call image files, where that is not their names
    pairs: str = ""  # files: names 2k and 2k + 1 are pair k; halves, square halves: each image shows both; "": no pairs
    bad: tuple[str, ...] = ()  # files without a place here, each with the reason

    def name(self, index: int) -> str:
        """What messages call an image file."""
        return self.called[index] if self.called else self.names[index]

    def __len__(self) -> int:
        return len(self.names) if self.array is None else len(self.array)


@dataclass(frozen=True, eq=False)
class Source:
    """A place that data come from; `contents` is called only where the cache has nothing."""

    name: str  # for people
    key: str  # changes when the content changes; "": what was decoded is not kept
    contents: Callable[[], Contents]
    notes: tuple[str, ...] = ()  # what was left out before anything was read, a line each


@dataclass(frozen=True, eq=False)
class Decoded:
    """Images of one shape, as they stand in the cache."""

    values: np.ndarray  # uint8 [N, H, W, C], or points [N, D] of any type, in their own units
    labels: np.ndarray | None  # int64 [N]; of attributes uint8 [N, K]
    classes: tuple[str, ...]  # names by label, or of the attributes
    held_out: np.ndarray | None  # int64 indices of the set's own test part
    skipped: tuple[str, ...]  # files left out, each with the reason
    content: str  # sha256 over the names and bytes of the files (or over the array) and the labels
    notes: tuple[str, ...] = ()  # what was decided or left out on the way, in words
    columns: tuple[str, ...] = ()  # names of a table's columns
    size: str = "auto"  # as a preparation says it: what was chosen for the networks
    inputs: np.ndarray | None = None  # uint8 [N, H, W, C], of pairs whose targets are the values; None: no pairs
