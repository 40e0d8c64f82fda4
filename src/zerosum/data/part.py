"""Sources of data as parts: what `@register("data", NAME)` puts in the registry, and `zerosum train NAME` opens."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from zerosum.core.download import Report
from zerosum.core.errors import DataError, ZerosumError
from zerosum.core.registry import Part
from zerosum.core.usercode import origin_of
from zerosum.data.contents import Contents, Source


@dataclass(frozen=True)
class Search:
    """Where a set may lie, and who hears of the search."""

    data_root: str | Path | None
    cache: Path
    report: Report


class DataPart(Part):
    """Base of the parts of kind `data`. A source of your own gives its `contents`, the same ones each time."""

    @abstractmethod
    def contents(self) -> Contents:
        """Everything there is: an array of any form that an .npz may hold, or image files; labels, classes, test part.

        Raises:
            DataError: it cannot be had; the message says why and how to mend it.
        """

    def key(self) -> str:
        """Text that changes when the contents do, so that decoded images are kept; "" decodes them each time anew."""
        return ""

    def source(self, search: Search) -> Source:  # noqa: ARG002
        """The source, which is read only where the cache has nothing; sets that must be looked for override it."""
        key = self.key()
        return Source(self.name, f"part {self} {key}" if key else "", self._checked)

    def _checked(self) -> Contents:
        """The contents, or words about what is wrong with them."""
        try:
            contents = self.contents()
        except ZerosumError:
            raise
        except Exception as error:  # whatever a user's source raises is the user's to mend
            where = origin_of(type(self), error)
            raise DataError(f"data {self.name!r} failed{where}: {type(error).__name__}: {error}") from error
        if fault := "; ".join(_faults(contents)):
            raise DataError(f"data {self.name!r}: {fault}")
        return replace(contents, where=contents.where or f"data {self.name!r}")


def _faults(contents: Any) -> Iterable[str]:
    if not isinstance(contents, Contents):
        yield f"contents() returned {type(contents).__name__}; return zerosum.data.Contents(array=..., labels=...)"
        return
    if (contents.array is None) == (contents.files is None):
        yield "contents() gives neither an array nor files, or both; give Contents(array=...) or names and files"
        return
    if contents.array is not None and not (
        isinstance(contents.array, np.ndarray) and contents.array.ndim and contents.array.size
    ):
        yield f"its array is {type(contents.array).__name__} and empty, a single number or no NumPy array"
        return
    count = len(contents)
    if contents.labels is not None:
        yield from _label_faults(np.asarray(contents.labels), len(contents.classes), count)
    if contents.held_out is not None and not _are_indices(np.asarray(contents.held_out), count):
        yield f"held_out must be whole numbers from 0 to {count - 1}, each once, or None"


def _label_faults(labels: np.ndarray, classes: int, count: int) -> Iterable[str]:
    if labels.ndim == 2 and labels.shape == (count, classes) and np.isin(labels, (0, 1)).all():
        return  # attributes
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        yield f"{count} samples need {count} whole-number labels, not {labels.dtype} {list(labels.shape)}"
    elif labels.min() < 0 or labels.max() >= classes:
        yield f"labels from {labels.min()} to {labels.max()} and {classes} names of classes; name each from 0 on"


def _are_indices(indices: np.ndarray, count: int) -> bool:
    plain = indices.ndim == 1 and indices.dtype.kind in "iu"
    return plain and len(np.unique(indices)) == len(indices) and bool(((indices >= 0) & (indices < count)).all())
