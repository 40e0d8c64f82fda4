"""Digits and their negatives: two sets with a known way between them, for tests and first steps."""

from __future__ import annotations

import numpy as np

from zerosum.data.contents import Contents, Source

SCALE = 2  # pixels for each one of scikit-learn's digits


def inverted(digits: Source) -> Source:
    """The first half of a set of grey digits as they are, the second half as negatives: no digit is in both sets."""
    return Source("digits-inverted", f"inverted {SCALE} {digits.key}", lambda: _contents(digits))


def _contents(digits: Source) -> Contents:
    array = digits.contents().array
    assert array is not None
    large = array.repeat(SCALE, axis=1).repeat(SCALE, axis=2)
    half = len(large) // 2
    large[half:] = 255 - large[half:]
    return Contents(array=large, labels=(np.arange(len(large)) >= half).astype(np.int64), classes=("plain", "inverted"))
