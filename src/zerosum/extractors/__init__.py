"""Extractors: images to features, on which distances between sets of images are measured."""

from zerosum.extractors.choose import choose
from zerosum.extractors.efficientnet import EfficientNetLite0
from zerosum.extractors.extractor import Extractor, ExtractorPart, Features
from zerosum.extractors.inception import Inception
from zerosum.extractors.lenet import LeNetMnist
from zerosum.extractors.pixels import PCA, Pixels, Values
from zerosum.extractors.small import DigitsCNN, FashionCNN, MnistCNN
from zerosum.extractors.stacked import Stacked
from zerosum.extractors.timm import Timm

__all__ = [
    "PCA",
    "DigitsCNN",
    "EfficientNetLite0",
    "Extractor",
    "ExtractorPart",
    "FashionCNN",
    "Features",
    "Inception",
    "LeNetMnist",
    "MnistCNN",
    "Pixels",
    "Stacked",
    "Timm",
    "Values",
    "choose",
]
