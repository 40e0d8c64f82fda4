"""scikit-learn's handwritten digits: 1,797 grey images of 8x8, there without a download."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np

from zerosum.data.contents import Contents, Source


def digits() -> Source:
    """The digits with values 0..16 scaled to 0..255, in 10 classes."""
    return Source("digits", f"digits of scikit-learn {version('scikit-learn')}", _contents)


def _contents() -> Contents:
    from sklearn.datasets import load_digits  # here, because importing it takes a second

    digits = load_digits()
    array = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    return Contents(array=array, labels=digits.target.astype(np.int64), classes=tuple("0123456789"))
