"""What trains and what is held out: indices into a set, and what is said of classes that nothing trains."""

from __future__ import annotations

import numpy as np

from zerosum.core.errors import DataError
from zerosum.data import classes as classing
from zerosum.data.contents import Decoded
from zerosum.data.preparation import Preparation


def absent(names: list[str], labels: np.ndarray) -> tuple[str, ...]:
    """What is said of classes without an image to train on."""
    if not names:
        return ()
    images, many = int((labels < 0).sum()), len(names) > 1
    with_them = f", and {images:,} held-out image{'s' if images > 1 else ''} with {'them' if many else 'it'}"
    classes = f"{len(names):,} classes have" if many else "1 class has"
    left_out = f"{'are' if many else 'is'} left out{with_them if images else ''}"
    return (f"{classes} no image to train on and {left_out}: {classing.listed(names)}",)


def divide(
    name: str, made: Decoded, labels: np.ndarray | None, preparation: Preparation, seed: int
) -> tuple[np.ndarray, np.ndarray, str]:
    """Indices that train, indices held out (of every class where labels are given), and which rule gave them."""
    count = len(made.values)
    if made.held_out is not None:
        held_out, how = made.held_out, "own split"
    elif preparation.held_out == 1:
        raise DataError(f"{name}: held_out=1 leaves no image to train on; take a share below 1")
    elif labels is not None:
        held_out = classing.stratified(labels, preparation.held_out, seed)
        how = f"held_out={len(held_out)} of {count} by class, seed={seed if len(held_out) else None}"
    else:
        kept = min(round(preparation.held_out * count), count - 1)
        held_out = np.sort(np.random.default_rng(seed).permutation(count)[:kept]).astype(np.int64)
        how = f"held_out={kept} of {count}, seed={seed if kept else None}"
    train = np.setdiff1d(np.arange(count, dtype=np.int64), held_out, assume_unique=True)
    if not len(train):
        raise DataError(f"{name}: no image is left to train on; its test part has all of them ({count:,})")
    return train, held_out, how
