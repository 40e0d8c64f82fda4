"""Which extractor looks at which data, where nobody says so: by what the pictures show, whatever the set is called.

A shipped classifier judges images that it knows: those whose labels it finds, or, where there are none, of which it is
sure. So MNIST is judged by its classifier as idx files, as a folder of PNG files, enlarged or in part, and photographs
in a folder called `mnist` are not.
"""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from zerosum.extractors import efficientnet
from zerosum.extractors.efficientnet import EfficientNetLite0
from zerosum.extractors.extractor import ExtractorPart
from zerosum.extractors.pixels import PCA, Pixels, Values
from zerosum.extractors.small import DigitsCNN, FashionCNN, MnistCNN
from zerosum.extractors.stacked import Stacked

KNOWN: tuple[type[ExtractorPart], ...] = (DigitsCNN, MnistCNN, FashionCNN)
LOOKED_AT = 256  # images; of so many of their own sets the classifiers are above the limits by three deviations
RIGHT = 0.8  # share of labels that the classifier of these images finds
SURE, EVEN = 0.92, 0.04  # without labels: mean probability of the most probable class; share of a class that counts
CLASSES = 8  # of 10 that must be there: a classifier is sure of many things, but rarely in all its classes
FEW = 64  # numbers that need no summary


def choose(samples: np.ndarray, labels: np.ndarray | None = None, count: int | None = None) -> ExtractorPart:
    """Part that judges samples like these: a classifier that knows them, else what is there for such images.

    Colour images are seen by EfficientNet-Lite0 where its package is installed. All others fall to principal components
    of their pixels, which can tell little, see `zerosum.extractors.pixels`. Nothing is fetched.

    Args:
        samples: real ones that train, uint8 `[N, H, W, C]` or points `[N, D]`; LOOKED_AT of them are enough.
        labels: their classes, whole numbers `[N]`.
        count: how many train, which principal components are fewer than; N where it is not given.
    """
    if samples.ndim == 2:
        return Values()
    classifier = _classifier(samples, labels)
    if classifier is not None:
        return classifier
    if samples.shape[3] == 3 and efficientnet.packaged():
        return EfficientNetLite0()
    count = count or len(samples)
    return Pixels() if math.prod(samples.shape[1:]) <= FEW or count < 2 else PCA(components=min(FEW, count - 1))


def hint(part: ExtractorPart, channels: int) -> str:
    """What would see these images better, and how to have it; empty where nothing would."""
    if channels != 3 or not isinstance(part, (PCA, Pixels)) or efficientnet.packaged():
        return ""
    return f"distances are of pixels, which tell little of photographs; for those of a network: {efficientnet.INSTALL}"


def _classifier(images: np.ndarray, labels: np.ndarray | None) -> ExtractorPart | None:
    """The first shipped classifier that knows the images `[N, H, W, C]`."""
    channels = images.shape[3]
    if channels == 3 and (images != images[..., :1]).any():
        planes = np.moveaxis(images, 3, 1).reshape(-1, *images.shape[1:3], 1)
        seen = _probabilities(MnistCNN(), planes)
        digits = seen.argmax(1).view(len(images), channels)
        coloured = (digits == digits[:, :1]).all(1).double().mean() > 1 / 2  # one digit, not three
        if not coloured and _sure(seen):
            return Stacked()
    parts = [part() for part in KNOWN] if channels in (1, 3) else []
    return next((part for part in parts if _knows(_probabilities(part, images), labels)), None)


def _probabilities(part: ExtractorPart, images: np.ndarray) -> Tensor:
    seen = part.build((images.shape[3], *images.shape[1:3]))(images).probabilities
    assert seen is not None
    return seen


def _knows(seen: Tensor, labels: np.ndarray | None) -> bool:
    if labels is None:
        return _sure(seen)
    right = (seen.argmax(1).numpy() == labels).mean() >= RIGHT
    return bool(right) and len(np.unique(labels)) >= CLASSES


def _sure(seen: Tensor) -> bool:
    shares = seen.argmax(1).bincount(minlength=seen.shape[1]) / len(seen)
    return bool(seen.amax(1).mean() >= SURE) and int((shares >= EVEN).sum()) >= CLASSES
