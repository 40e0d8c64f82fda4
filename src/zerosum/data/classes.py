"""Classes of a set: their order, which of them can be learnt, and a split that leaves images to each."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

SHOWN = 5  # names in a sentence


def natural(name: str) -> tuple[tuple[object, ...], str]:
    """Key that sorts the numbers in names as numbers: 2 before 10, whether zeros pad them or not."""
    words = re.split(r"([0-9]+)", name)
    numbers = [word.lstrip("0") for word in words[1::2]]
    key: list[object] = list(words)
    key[1::2] = [(len(number), number) for number in numbers]
    return tuple(key), name


def in_natural_order(labels: np.ndarray, classes: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Number classes that stand in the order of text by the numbers in their names; any other order is kept."""
    if list(classes) != sorted(classes):
        return labels, classes
    order = sorted(range(len(classes)), key=lambda index: natural(classes[index]))
    place = np.empty(len(classes), dtype=np.int64)
    place[order] = np.arange(len(classes))
    return place[labels], tuple(classes[index] for index in order)


def by_name(labels: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels that are names as numbers, and the classes: these names in natural order."""
    classes = tuple(sorted(set(labels), key=natural))
    number = {name: index for index, name in enumerate(classes)}
    return np.array([number[label] for label in labels], dtype=np.int64), classes


def without(
    labels: np.ndarray, classes: tuple[str, ...], train: np.ndarray
) -> tuple[np.ndarray, tuple[str, ...], list[str]]:
    """Labels and classes without those that have no image to train on, and the names of these; their images get -1."""
    occurring = np.bincount(labels[train], minlength=len(classes)) > 0
    place = np.where(occurring, np.cumsum(occurring) - 1, -1)
    names = tuple(name for name, stays in zip(classes, occurring, strict=True) if stays)
    return place[labels], names, [name for name, stays in zip(classes, occurring, strict=True) if not stays]


def stratified(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Indices held out: `share` of every class as nearly as whole images allow, at random, never a class's last image.

    Shares of an image are rounded up for the classes where most of one is left, so that the sum is `share` of all.
    """
    random = np.random.default_rng(seed)
    rank = random.permutation(len(labels))
    counts = np.bincount(labels)
    quota = np.floor(share * counts).astype(np.int64)
    left = share * counts - quota - random.random(len(counts)) * 1e-6  # which breaks ties
    able = np.flatnonzero(quota + 1 < counts)
    more = max(0, round(share * len(labels)) - int(quota.sum()))
    quota[able[np.argsort(-left[able], kind="stable")][:more]] += 1
    order = np.lexsort((rank, labels))  # class by class, each in random order
    within = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(order[within < quota[labels[order]]]).astype(np.int64)


def listed(names: Sequence[str]) -> str:
    """The first few names, and how many there are where that is more."""
    text = ", ".join(map(repr, names[:SHOWN]))
    return text if len(names) <= SHOWN else f"{text} ... ({len(names):,} in all)"
