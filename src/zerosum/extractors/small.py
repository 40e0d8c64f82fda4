"""Small classifiers of digits and clothes whose weights are part of zerosum."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zerosum.core.registry import register
from zerosum.extractors import weights
from zerosum.extractors.extractor import Extractor, ExtractorPart
from zerosum.extractors.preprocessing import BILINEAR, GREY, to_channels, to_sides

WEIGHTS = Path(__file__).with_name("weights")
SHA256 = {  # of the files that benchmarks/classifiers.py wrote
    "digits-cnn-v1": "198dad5090ef5218d53070b35acc34aa48ed5646acbad9cf995d757d1c46ac4c",
    "mnist-cnn-v1": "26fed4cf1becb4c0eb0b6ccb5da16d03f53d568667ee9a4e3d465c9a22714788",
    "fashion-cnn-v1": "3653da0d32d66d3d2e00742386f60a851a9a8410c520ae1fff3b249be89d1fe7",
}


class SmallCNN(nn.Module):
    """Four convolutions, then 64 features, then class logits; grey square images of one size.

    Features end in a GELU. Bounded features (tanh, unit length, layer normalisation) saturate, and by how much depends
    on the seed: after two short trainings on MNIST a class-wise PCA Gaussian lay at 38 and 9 times the distance of two
    real sets with tanh, at 56 and 53 times with GELU. The one advantage of a bounded activation, the same scale after
    every training, comes from a constant instead: features are multiplied by `scale`, so that the trace of their
    covariance over the training images is 64, 1 per feature.
    """

    def __init__(self, side: int, classes: int = 10, size: int = 64) -> None:
        super().__init__()
        self.side = side  # pixels, a multiple of 4
        self.trunk = nn.Sequential(*_layer(1, 16), *_layer(16, 32, 2), *_layer(32, 48, 2), *_layer(48, 32))
        self.features = nn.Linear(32 * (side // 4) ** 2, size)
        self.head = nn.Linear(size, classes)
        self.register_buffer("scale", torch.ones(()))

    def forward(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        """Map levels `[N, 1 or 3, H, W]` in 0..255 to features `[N, 64]` and logits `[N, K]`."""
        grey = to_sides(to_channels(levels, 1), self.side, self.side)
        features = F.gelu(self.features(self.trunk(grey / 127.5 - 1).flatten(1)))
        return features * self.get_buffer("scale"), self.head(features)


def _layer(inputs: int, outputs: int, stride: int = 1) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.GELU()


def rule(side: int) -> str:
    """How an image is preprocessed for a classifier of images with this side, in words."""
    return f"{GREY}; to {side}x{side}, {BILINEAR}; 0..255 to -1..1"


class SmallClassifier(ExtractorPart):
    """Base of the shipped classifiers: the file of weights and the side of its images."""

    file: ClassVar[str]  # name in results and of the file, with its version
    side: ClassVar[int]  # pixels

    def make(self, shape: tuple[int, ...], device: torch.device | str) -> Extractor:
        """Load the weights from the package; images of another size are resized, colour becomes grey."""
        state = safetensors.torch.load(self._read())
        network = weights.fill(lambda: SmallCNN(self.side), state)
        classes, size = network.head.weight.shape
        return Extractor(self.file, SHA256[self.file], size, classes, rule(self.side), shape, network, device)

    @classmethod
    def card(cls) -> dict[str, str]:
        """Metadata of the file: data, accuracy, input rule, command, date, versions."""
        data = cls._read()
        return json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]  # safetensors' header

    @classmethod
    def _read(cls) -> bytes:
        return weights.read(WEIGHTS / f"{cls.file}.safetensors", SHA256[cls.file], "install zerosum again")


@register("extractor", "digits-cnn")
@dataclass(frozen=True)
class DigitsCNN(SmallClassifier):
    """Classifier of scikit-learn's 8x8 digits: 64 features, 10 classes."""

    file: ClassVar[str] = "digits-cnn-v1"
    side: ClassVar[int] = 8


@register("extractor", "mnist-cnn")
@dataclass(frozen=True)
class MnistCNN(SmallClassifier):
    """Classifier of MNIST, 28x28: 64 features, 10 classes."""

    file: ClassVar[str] = "mnist-cnn-v1"
    side: ClassVar[int] = 28


@register("extractor", "fashion-cnn")
@dataclass(frozen=True)
class FashionCNN(SmallClassifier):
    """Classifier of Fashion-MNIST, 28x28: 64 features, 10 classes."""

    file: ClassVar[str] = "fashion-cnn-v1"
    side: ClassVar[int] = 28
