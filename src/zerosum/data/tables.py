"""Points: the rows of a table, or series, as float32."""

from __future__ import annotations

import hashlib

import numpy as np

from zerosum.core.errors import DataError
from zerosum.data.contents import Contents, Decoded


def points(name: str, contents: Contents, array: np.ndarray) -> Decoded:
    """Read an array of any rank as float32 points [N, D]: one number each where it has one axis.

    Raises:
        DataError: NaN or infinity is among them.
    """
    values = np.ascontiguousarray(array.reshape(len(array), -1), dtype=np.float32)
    if not np.isfinite(values).all():
        raise DataError(f"{name}: holds NaN or infinity")
    shape = "x".join(map(str, array.shape))
    note = f"points: {shape} {array.dtype} is read as {len(values):,} points of {values.shape[1]} numbers"
    content = hashlib.sha256(values.tobytes() + (b"" if contents.labels is None else contents.labels.tobytes()))
    notes = (*contents.notes, f"{note}; data.arrays=images reads images")
    return Decoded(values, contents.labels, contents.classes, contents.held_out, (), content.hexdigest(), notes)
