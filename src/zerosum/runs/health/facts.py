"""What can be known of data before a training: how many, how many different ones, how different."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from zerosum.core.spacing import spaced
from zerosum.data import Dataset

MOST = 2_000  # training samples that are looked at, evenly spread
AT_ONCE = 256  # of them in memory


def facts(dataset: Dataset) -> dict[str, Any]:
    """Shape and classes; training samples that were looked at, how many of them differ, and by how much.

    `spread` is the mean over pixels of their standard deviation; black and white differ by 1.
    """
    chosen = dataset.train[spaced(len(dataset.train), MOST)]
    distinct, total, squares = set(), np.zeros(()), np.zeros(())
    for start in range(0, len(chosen), AT_ONCE):
        values = np.ascontiguousarray(dataset.values[chosen[start : start + AT_ONCE]])
        distinct |= {hashlib.blake2b(one.tobytes(), digest_size=16).digest() for one in values}
        exact = values.astype(np.float64) / (255 if dataset.is_image else 1)
        total, squares = total + exact.sum(0), squares + np.square(exact).sum(0)
    variance = squares / len(chosen) - np.square(total / len(chosen))
    return {
        "shape": list(dataset.shape),
        "classes": len(dataset.classes),
        "looked_at": len(chosen),
        "distinct": len(distinct),
        "spread": float(np.sqrt(variance.clip(0)).mean()),
    }
