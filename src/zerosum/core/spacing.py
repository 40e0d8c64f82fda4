"""A few of many, evenly spread."""

from __future__ import annotations

import numpy as np


def spaced(count: int, most: int) -> np.ndarray:
    """At most so many of the first `count` numbers, evenly spread, both ends among them; int64."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))
