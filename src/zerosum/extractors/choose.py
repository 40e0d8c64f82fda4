"""Which extractor judges which data, where nobody says so."""

from __future__ import annotations

import math

from zerosum.extractors.extractor import ExtractorPart
from zerosum.extractors.pixels import PCA, Pixels, Values
from zerosum.extractors.small import DigitsCNN, FashionCNN, MnistCNN
from zerosum.extractors.stacked import Stacked

KNOWN: dict[str, type[ExtractorPart]] = {"digits": DigitsCNN, "mnist": MnistCNN, "fashion-mnist": FashionCNN}
STACKED = "stacked-mnist"
FEW = 64  # numbers that need no summary


def choose(data: str, shape: tuple[int, ...], images: int = 5000) -> ExtractorPart:
    """Part that judges a set by its name: its own classifier, else principal components of its pixels.

    Nothing is fetched. What principal components can tell is little, see `zerosum.extractors.pixels`.

    Args:
        data: name of the set, as `zerosum.open_data` takes it.
        shape: of one sample: (C, H, W), or (D,) for points.
        images: number of real images that train; principal components are fewer.
    """
    if len(shape) == 1:
        return Values()
    if data in KNOWN and shape[0] in (1, 3):
        return KNOWN[data]()
    if data == STACKED:
        return Stacked()
    return Pixels() if math.prod(shape) <= FEW or images < 2 else PCA(components=min(FEW, images - 1))
