"""Chooses the extractor for data where none is named: by what the images show, not by what the data set is called.

A shipped classifier is chosen for images that it recognises: it predicts their labels or, without labels, is confident.
So MNIST gets its classifier as idx files, as a folder of PNG files, enlarged or as a subset; photographs in a folder
called `mnist` do not.
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

CLASSIFIERS: tuple[type[ExtractorPart], ...] = (DigitsCNN, MnistCNN, FashionCNN)
IMAGES_NEEDED = 256  # on so many images of its own data set each classifier clears the limits by three deviations
ACCURATE = 0.8  # least accuracy on the labels
SURE, EVEN = 0.92, 0.04  # without labels: least mean probability of the top class; least share of a class that counts
CLASSES = 8  # of 10 that must occur: a classifier is confident of many things, but rarely in all its classes
COMPONENTS = 64  # principal components; images of no more numbers are compared pixel by pixel


def choose(samples: np.ndarray, labels: np.ndarray | None = None, count: int | None = None) -> ExtractorPart:
    """Choose the extractor for such samples: a classifier that recognises them, else a general one.

    Colour images get EfficientNet-Lite0 where its package is installed. All others get principal components of their
    pixels, whose distances say little about image quality (see `zerosum.extractors.pixels`). Nothing is downloaded.

    Args:
        samples: real training samples, uint8 `[N, H, W, C]` or points `[N, D]`; IMAGES_NEEDED of them are enough.
        labels: their classes, whole numbers `[N]`.
        count: size of the training set, which bounds the number of principal components; N by default.
    """
    if samples.ndim == 2:
        return Values()
    classifier = _classifier(samples, labels)
    if classifier is not None:
        return classifier
    if samples.shape[3] == 3 and efficientnet.packaged():
        return EfficientNetLite0()
    count = count or len(samples)
    if math.prod(samples.shape[1:]) <= COMPONENTS or count < 2:
        return Pixels()
    return PCA(components=min(COMPONENTS, count - 1))


def hint(part: ExtractorPart, channels: int) -> str:
    """Name a better extractor for these images and how to install it; empty where there is none."""
    if channels != 3 or not isinstance(part, (PCA, Pixels)) or efficientnet.packaged():
        return ""
    return f"distances are of pixels, which tell little of photographs; for those of a network: {efficientnet.INSTALL}"


def _classifier(images: np.ndarray, labels: np.ndarray | None) -> ExtractorPart | None:
    """The first shipped classifier that recognises the images `[N, H, W, C]`; None where none does."""
    channels = images.shape[3]
    if channels == 3 and (images != images[..., :1]).any():
        planes = np.moveaxis(images, 3, 1).reshape(-1, *images.shape[1:3], 1)
        probabilities = _probabilities(MnistCNN(), planes)
        digits = probabilities.argmax(1).view(len(images), channels)
        coloured = (digits == digits[:, :1]).all(1).double().mean() > 1 / 2  # one digit, not three
        if not coloured and _sure(probabilities):
            return Stacked()
    parts = [part() for part in CLASSIFIERS] if channels in (1, 3) else []
    return next((part for part in parts if _recognises(_probabilities(part, images), labels)), None)


def _probabilities(part: ExtractorPart, images: np.ndarray) -> Tensor:
    probabilities = part.build((images.shape[3], *images.shape[1:3]))(images).probabilities
    assert probabilities is not None
    return probabilities


def _recognises(probabilities: Tensor, labels: np.ndarray | None) -> bool:
    if labels is None:
        return _sure(probabilities)
    accurate = (probabilities.argmax(1).numpy() == labels).mean() >= ACCURATE
    return bool(accurate) and len(np.unique(labels)) >= CLASSES


def _sure(probabilities: Tensor) -> bool:
    shares = probabilities.argmax(1).bincount(minlength=probabilities.shape[1]) / len(probabilities)
    return bool(probabilities.amax(1).mean() >= SURE) and int((shares >= EVEN).sum()) >= CLASSES
